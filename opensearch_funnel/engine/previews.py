"""What the pipeline would make of a search, without asking a service: pure functions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any, Literal

from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine.allow_list import TextSearch, search_or_reason
from opensearch_funnel.engine.client_bodies import as_handed_on
from opensearch_funnel.engine.paging import FusedList
from opensearch_funnel.engine.queries import (
    MATCH_NONE,
    Body,
    asked_by_engine,
    dense_query,
    leg_queries,
    neural_query,
)
from opensearch_funnel.engine.rewriting import fused_by_engine, upgraded_body, wanted_of_list

Outcome = Literal["widened", "same set", "untouched"]

REQUEST_ID = "<id of the request>"
_ENGINE_PLACEHOLDER = "${parameters."
_WIDTH = 96
_CONTEXT = 2
_LONGEST_LIST, _SHOWN = 12, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What becomes of one search.

    Attributes:
        outcome: what happens to it.
        reason: why it passes as it came; empty where it is upgraded.
        before: the body as the pipeline gets it.
        after: the body that runs.
    """

    outcome: Outcome
    reason: str
    before: Body
    after: Body


def preview(
    body: Mapping[str, Any],
    *,
    plan: FunnelPlan,
    models: PlanModels | None = None,
    dimension: int = 0,
) -> Preview:
    """Say what the pipeline of a plan makes of a search.

    Args:
        body: the search as a client sends it.
        plan: a plan that is bound to its index.
        models: the encoders of its legs; without them vectors and tokens are placeholders.
        dimension: numbers of a vector in the index, for the placeholder.

    Raises:
        StageUnavailableError: an encoder gave no numbers.

    Example:
        >>> plan = FunnelPlan(alias="films", searched_fields=("text",)).with_legs("bm25", "dense")
        >>> found = preview({"query": {"match": {"text": "fox"}}}, plan=plan, dimension=384)
        >>> found.outcome, sorted(found.after["query"]["hybrid"])
        ('widened', ['pagination_depth', 'queries'])
        >>> preview({"query": {"match_all": {}}}, plan=plan).reason
        'a match_all query is no text search'
    """
    before = as_handed_on(body)
    search = search_or_reason(before, plan=plan)
    if isinstance(search, str):
        return _untouched(before, search)
    if not plan.samples(search.text):
        return _untouched(before, f"it is not in the plan's sample of {plan.sample:.3g}")
    if _ENGINE_PLACEHOLDER in json.dumps(before):
        return _untouched(before, "the engine takes ${parameters.…} in it for its own placeholder")
    legs = (
        _blank_legs(plan, search, dimension=dimension)
        if models is None
        else leg_queries(
            plan,
            text=search.text,
            bm25=search.query,
            models=models,
            in_pipeline=fused_by_engine(search, plan=plan),
        )
    )
    after = upgraded_body(
        before,
        search,
        plan=plan,
        legs=legs,
        fused=None if fused_by_engine(search, plan=plan) else _unknown_list(search, plan=plan),
        request_id=REQUEST_ID,
    )
    outcome: Outcome = "same set" if search.same_set else "widened"
    return Preview(outcome=outcome, reason="", before=before, after=after)


def _unknown_list(search: TextSearch, *, plan: FunnelPlan) -> FusedList:
    """Return placeholders for the hits that a page names: only the cluster knows them."""
    named = wanted_of_list(search, plan=plan) if plan.fusion.by_service else plan.depth
    ids = [f"<hit {n} of the fused list>" for n in range(1, named + 1)]
    return FusedList(ids=ids, hits=max(plan.depth, named))


def _untouched(before: Body, reason: str) -> Preview:
    return Preview(outcome="untouched", reason=reason, before=before, after=before)


def _blank_legs(plan: FunnelPlan, search: TextSearch, *, dimension: int) -> dict[str, Body]:
    """Return the legs as ``leg_queries`` does, with placeholders for what an encoder would give."""
    tokens = f"<at most {plan.sparse.query_terms} tokens and their weights>"
    nearest = dense_query(plan.dense_field, [], k=plan.depth)
    nearest["knn"][plan.dense_field]["vector"] = f"<vector of {dimension} numbers>"
    if asked_by_engine(plan, search.text) and fused_by_engine(search, plan=plan):
        nearest = neural_query(plan.dense_field, search.text, k=plan.depth)
    every: dict[str, Body] = {
        "bm25": dict(search.query),
        "sparse": {"neural_sparse": {plan.sparse_field: {"query_tokens": tokens}}},
        "dense": nearest,
    }
    return {leg: every.get(leg, dict(MATCH_NONE)) for leg in plan.placed(search.text)}


def body_diff(found: Preview) -> list[str]:
    """Return what the pipeline changes in a search, as lines of a unified diff.

    Vectors, and long maps and lists, are cut short. No lines where nothing is changed.

    Example:
        >>> changed = Preview(outcome="widened", reason="", before={"size": 5}, after={"size": 50})
        >>> body_diff(changed)
        ['--- what comes in', '+++ what runs', '@@ -1 +1 @@', '-{"size": 5}', '+{"size": 50}']
    """
    before, after = (list(_lines(_short(body))) for body in (found.before, found.after))
    named = {"fromfile": "what comes in", "tofile": "what runs"}
    return list(unified_diff(before, after, **named, lineterm="", n=_CONTEXT))


def _short(value: Any, *, name: str = "") -> Any:
    """Cut down what nobody reads to its end."""
    if isinstance(value, Mapping):
        if name == "query_tokens" and len(value) > _LONGEST_LIST:
            # The heaviest come first.
            kept = dict(list(value.items())[:_SHOWN])
            return {**kept, "…": f"<{len(value) - _SHOWN} more>"}
        return {key: _short(inner, name=str(key)) for key, inner in value.items()}
    if not isinstance(value, list):
        return value
    if len(value) > _LONGEST_LIST and all(isinstance(one, float) for one in value):
        return f"<vector of {len(value)} numbers>"
    if len(value) > _LONGEST_LIST:
        return [*map(_short, value[:_SHOWN]), f"<{len(value) - _SHOWN} more>"]
    return [_short(one) for one in value]


def _lines(value: Any, *, indent: int = 0, label: str = "", end: str = "") -> Iterator[str]:
    """Write JSON on few lines: what fits on one, and what branches nowhere, is on one."""
    blank = "  " * indent
    flat = f"{blank}{label}{json.dumps(value, ensure_ascii=False)}{end}"
    if not isinstance(value, dict | list) or len(flat) <= _WIDTH or _is_plain(value):
        yield flat
        return
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    yield f"{blank}{label}{opening}"
    parts: list[tuple[str, Any]] = (
        [(f"{json.dumps(str(key), ensure_ascii=False)}: ", inner) for key, inner in value.items()]
        if isinstance(value, dict)
        else [("", inner) for inner in value]
    )
    for place, (name, inner) in enumerate(parts, start=1):
        comma = "," if place < len(parts) else ""
        yield from _lines(inner, indent=indent + 1, label=name, end=comma)
    yield f"{blank}{closing}{end}"


def _is_plain(value: Any) -> bool:
    """Say whether nothing in a container branches: one entry in another, or no containers."""
    inner = list(value.values() if isinstance(value, dict) else value)
    nested = [one for one in inner if isinstance(one, dict | list) and not _is_list_of_scalars(one)]
    return not nested or (len(inner) == 1 and _is_plain(nested[0]))


def _is_list_of_scalars(value: Any) -> bool:
    return isinstance(value, list) and not any(isinstance(one, dict | list) for one in value)
