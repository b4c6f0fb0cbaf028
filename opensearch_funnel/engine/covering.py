"""What a default pipeline meets besides its own index: wider aliases, filters, other defaults.

A search through an alias runs a default pipeline on **all** indices behind it, if only one of
them names one and the others name none; if they name different ones, it runs none at all, and
says nothing. Where one has ``_none``, the hashes of their names decide. All executed on 3.6.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InvalidPlanError
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine import state
from opensearch_funnel.engine.binding import planned_index, slot_of
from opensearch_funnel.engine.default_pipelines import default_pipelines_of
from opensearch_funnel.engine.flat_settings import index_setting

NO_PIPELINE = "_none"
SCROLL_NOTE = (
    "a scroll in score order answers 400 through a default pipeline, and "
    "search_type=dfs_query_then_fetch over several shards gives wrong hits: such clients use "
    "search_pipeline=_none"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """An alias through which an index is searched.

    Attributes:
        name: the alias.
        others: the indices behind it besides the plan's, with the default pipeline of each
            (empty where it has none).
        strangers: those of ``others`` whose funnel fields hold what other models made.
        filtered: whether it shows only a part of the index.
    """

    name: str
    others: Mapping[str, str]
    strangers: tuple[str, ...] = ()
    filtered: bool = False

    def may_run(self, pipeline: str) -> bool:
        """Say whether a search through the alias can run the pipeline of the plan's index.

        Example:
            >>> Alias(name="all", others={"news": ""}).may_run("funnel-films")
            True
            >>> Alias(name="all", others={"news": "theirs"}).may_run("funnel-films")
            False
        """
        return all(theirs in {"", NO_PIPELINE, pipeline} for theirs in self.others.values())


def aliases_of(client: OpenSearch, plan: FunnelPlan, *, index: str) -> list[Alias]:
    """Read through which aliases a plan's index is searched, and what else is behind them.

    Args:
        client: the cluster.
        plan: says which slot holds whose vectors.
        index: the concrete index of the plan.

    Returns:
        The aliases of that index, by name.
    """
    every = client.indices.get_alias(params={"expand_wildcards": "all"})
    defaults = default_pipelines_of(client)
    behind: dict[str, dict[str, str]] = {name: {} for name in every[index]["aliases"]}
    for other, found in every.items():
        for name in found["aliases"]:
            if name in behind and other != index:
                behind[name][other] = defaults.get(other, "")
    others = sorted({other for names in behind.values() for other in names})
    mappings = client.indices.get_mapping(index=",".join(others)) if others else {}
    strange = {other for other, found in mappings.items() if _is_strange(found["mappings"], plan)}
    return [
        Alias(
            name=name,
            others=dict(sorted(names.items())),
            strangers=tuple(sorted(strange.intersection(names))),
            filtered="filter" in every[index]["aliases"][name],
        )
        for name, names in sorted(behind.items())
    ]


def _is_strange(mapping: Mapping[str, Any], plan: FunnelPlan) -> bool:
    """Say whether a slot was filled by models that the plan's queries are not for."""
    encoded = slot_of(mapping, plan.slot)
    wanted = {"sparse": plan.sparse.fingerprint, "dense": plan.dense.fingerprint}
    return any(
        leg in plan.active_legs and leg in encoded and encoded[leg]["fingerprint"] != fingerprint
        for leg, fingerprint in wanted.items()
    )


def default_index(
    client: OpenSearch,
    plan: FunnelPlan,
    *,
    name: str,
    with_others: bool,
    replace_default: bool = False,
) -> str:
    """Return the index that a plan's pipeline becomes the default of.

    Args:
        client: the cluster.
        plan: what the pipeline runs.
        name: of the pipeline.
        with_others: whether searches of others that the funnel does not know may go through it.
        replace_default: whether it may take the place of a default pipeline of somebody else's.

    Returns:
        The concrete index of the plan.

    Raises:
        InvalidPlanError: the default would reach other indices, too, or end another default;
            names the alias, the indices or the pipeline, and the ways out.
    """
    index = planned_index(client, plan)
    opt_in = f"leave --default out and let clients opt in (search_pipeline={name})"
    theirs = default_pipelines_of(client).get(index, "")
    ours = {name, *(applied.name for applied in state.list_pipelines(client))}
    if theirs not in {"", NO_PIPELINE} and theirs not in ours and not replace_default:
        raise InvalidPlanError(
            f"{index} has the default pipeline {theirs}, which would no longer run, with all that "
            f"it filters or renames: allow that until remove (--replace-default), or {opt_in}"
        )
    for alias in aliases_of(client, plan, index=index):
        if not alias.others or not alias.may_run(name):
            continue
        if alias.strangers:
            raise InvalidPlanError(
                f"alias {alias.name} also covers {', '.join(alias.strangers)}, whose slot "
                f"{plan.slot!r} was filled by other models, and its searches there would compare "
                f"what cannot be compared: fill another slot, or {opt_in}"
            )
        if not with_others:
            raise InvalidPlanError(
                f"alias {alias.name} also covers {', '.join(alias.others)}, so the default would "
                "run on its searches, too, which find documents there by their words alone and "
                f"are not reranked: allow that (--with-others), or {opt_in}"
            )
    return index


def shard_note(client: OpenSearch, plan: FunnelPlan, *, index: str) -> str | None:
    """Say where an index is slower than it has to be: ``None`` where it has several shards.

    On the only shard of a search the engine fetches what it found in the same step, and that is
    every candidate of every leg; from two shards on it fuses first, and fetches what is left.
    Measured on 5,000 documents at the default depth: 68 ms at the median, 9 ms with two shards.
    Where the service fuses, a page is all that the engine fetches.
    """
    if plan.fusion.by_service:
        return None
    if index_setting(client, index=index, name="index.number_of_shards") != "1":
        return None
    candidates = plan.depth * len(plan.active_legs)
    return (
        f"{index} has one shard, where the engine fetches up to {candidates} candidates a search "
        "before it fuses them; with two shards (POST index/_split/other) it fetches the page "
        "alone, several times faster"
    )


def default_notes(client: OpenSearch, plan: FunnelPlan, *, index: str, name: str) -> list[str]:
    """Say what clients of an index may notice now that a pipeline is its default.

    Args:
        client: the cluster.
        plan: what the pipeline runs.
        index: the concrete index of the plan.
        name: of the pipeline.

    Returns:
        One line each.
    """
    notes = [SCROLL_NOTE]
    for alias in aliases_of(client, plan, index=index):
        if alias.others:
            notes.append(_note_on_others(alias, name=name))
        if alias.filtered and alias.name == plan.alias:
            notes.append(
                f"the plan's alias {alias.name} has a filter, and what it hides is not "
                f"reranked in a search of {index} itself: apply the plan to the index"
            )
        elif alias.filtered:
            notes.append(
                f"alias {alias.name} has a filter: pages after the first may come short there, "
                "because hits are counted on the whole index"
            )
    return notes


def _note_on_others(alias: Alias, *, name: str) -> str:
    theirs = [f"{i} ({p})" for i, p in alias.others.items() if p not in {"", name}]
    if not alias.may_run(name):
        return (
            f"searches through alias {alias.name} run no search pipeline at all: it also covers "
            f"{', '.join(theirs)}, and where defaults differ the engine takes none; such clients "
            f"name one (search_pipeline={name})"
        )
    if theirs:
        return (
            f"searches through alias {alias.name} may run the pipeline or none: it also covers "
            f"{', '.join(theirs)}, and the engine goes by the order of names in its memory; such "
            f"clients say which (search_pipeline={name}, or _none)"
        )
    return (
        f"searches through alias {alias.name} find documents of {', '.join(alias.others)} by their "
        "words alone; pages with such hits are not reranked and marked as degraded, and later ones "
        "may repeat or miss a hit"
    )
