"""What else differs between a baseline and what is measured now: queries, plan, models, machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opensearch_funnel.evaluating.gating.snapshot import Snapshot

_NAMED = 3
# The index has another name and uuid whenever a model changes, reasons have figures in them, and
# fingerprints stand with the models.
_NOT_TOLD = frozenset(
    {
        "alias",
        "per_query.reason",
        "rerank.reason",
        "trust.reason",
        "trust.index",
        "tuned",
        "sparse.fingerprint",
        "dense.fingerprint",
    }
)
_SWITCH = "rerank.enabled"


def why_times_differ(baseline: Snapshot, now: Snapshot) -> str:
    """Say why times cannot be compared; empty where they can.

    Args:
        baseline: with the times of then.
        now: with those of now.
    """
    if baseline.by.cpus != now.by.cpus:
        return f"the baseline is of {baseline.by.cpus} processors, this machine has {now.by.cpus}"
    if baseline.by.execution != now.by.execution:
        return f"the baseline was executed {baseline.by.execution}, this {now.by.execution}"
    return ""


def query_warnings(baseline: Snapshot, now: Snapshot) -> list[str]:
    """Name the queries that only one of the two has, or that are not the same in both."""
    missing = [q for q in baseline.queries if q not in now.queries]
    changed = [
        q for q in baseline.queries if now.queries.get(q, "") not in {"", baseline.queries[q]}
    ]
    fresh = [q for q in now.queries if q not in baseline.queries]
    return [
        f"{len(some):,} {what}, and not compared: {named(some)}"
        for some, what in (
            (missing, "queries of the baseline are missing"),
            (changed, "queries have another text or other judgments than at the baseline"),
            (fresh, "queries are not in the baseline"),
        )
        if some
    ]


def plan_changes(baseline: Snapshot, now: Snapshot) -> list[str]:
    """Say what differs between two plans and their models, a setting a line."""
    before = {**_flat(baseline.by.plan), **{f"model {n}": f for n, f in baseline.by.models.items()}}
    after = {**_flat(now.by.plan), **{f"model {n}": f for n, f in now.by.models.items()}}
    if not before or not after:
        return []
    reranks = bool(before.get(_SWITCH) or after.get(_SWITCH))
    return [
        f"{name} {_shown(before.get(name))} -> {_shown(after.get(name))}"
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
        and name not in _NOT_TOLD
        # How a reranker that is off would rerank changes nothing.
        and (reranks or not name.startswith("rerank."))
    ]


def _shown(value: Any) -> str:
    return "none" if value is None or value == "" else str(value)


def _flat(plan: Mapping[str, Any], *, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in plan.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, prefix=f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def named(names: Sequence[str]) -> str:
    """Name the first of several, and count the rest.

    Example:
        >>> named(["a", "b", "c", "d"])
        'a, b, c and 1 more'
    """
    rest = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + rest
