"""What benchmarks/faults.py has seen, by fault and over all."""

from __future__ import annotations

import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from benchmarks.fault_kinds import BASELINES, ENDING, NONE, SINGLE, Stage, known_to_service
from benchmarks.fault_setting import Observed


def medians(seen: Sequence[Observed]) -> dict[Stage, float]:
    """Return the milliseconds of an answer of each stage while nothing was wrong."""
    healthy: dict[Stage, str] = {one.leaves: one.name for one in (*BASELINES, NONE)}
    times = {
        stage: [one.took_ms for one in seen if one.fault == name] for stage, name in healthy.items()
    }
    return {stage: statistics.median(found) for stage, found in times.items() if found}


def report(seen: Sequence[Observed], *, counts: str, log: str) -> dict[str, Any]:
    """Return what was seen, by fault and over all.

    Args:
        seen: the searches.
        counts: what the service counted.
        log: what it logged.
    """
    baselines = medians(seen)
    by_fault: dict[str, list[Observed]] = defaultdict(list)
    for one in seen:
        by_fault[one.fault].append(one)
    limits = {fault.name: fault.limit_ms for fault in (*SINGLE, *ENDING) if fault.limit_ms}
    rows = {
        name: _row(found, baselines=baselines, limit_ms=limits.get(name))
        for name, found in sorted(by_fault.items())
    }
    answered = [one for one in seen if one.got is not None]
    wrong = [one for one in seen if not one.right]
    said = Counter(re.findall(r"WARNING \S+ request=(\S+) stage=(?:rank|rewrite)", log))
    known = {one.request_id for one in seen if one.request_id and _service_left_out(one)}
    return {
        "searches": len(seen),
        "answered": len(answered),
        "right_order_and_mark": len(seen) - len(wrong),
        "as_expected": sum(one.expected in {None, one.got} for one in seen),
        "degraded": sum(one.got != "complete" for one in answered),
        "logged": {
            "degraded_after_rewrite": len(known),
            "of_these_once": sum(said[request_id] == 1 for request_id in known),
            "ids": len(said),
            "ids_once": sum(n == 1 for n in said.values()),
        },
        "within_limit": all(row["within_limit"] for row in rows.values()),
        "median_ms": {stage: round(ms, 1) for stage, ms in baselines.items()},
        "faults": rows,
        "supervisor": [line for line in counts.splitlines() if re.match(r"funnel_(sup|wor)", line)],
        "errors": sorted({one.error for one in seen if one.error}),
        "wrong": [f"{one.fault}: {one.got}" for one in wrong][:20],
    }


def _service_left_out(one: Observed) -> bool:
    """Say whether an answer lacks the reranking, and the service knows that it does."""
    return one.got == "fused" and one.kind != "fused" and known_to_service(one.kind)


def _row(
    found: Sequence[Observed], *, baselines: dict[Stage, float], limit_ms: float | None
) -> dict[str, Any]:
    added = sorted(
        one.took_ms - baselines.get(one.got, 0.0) for one in found if one.got is not None
    )
    p50, p95 = _quantile(added, 0.5), _quantile(added, 0.95)
    return {
        "n": len(found),
        "answered": len(added),
        "right_order_and_mark": sum(one.right for one in found),
        "expected": found[0].expected or "it depends",
        "got": dict(Counter(str(one.got) for one in found)),
        "added_ms": {"p50": p50, "p95": p95, "max": _quantile(added, 1.0)},
        "limit_ms": limit_ms,
        # The others are the machine's: see how the healthy ones are spread.
        "within_limit": limit_ms is None or p50 <= limit_ms,
    }


def _quantile(ordered: Sequence[float], share: float) -> float:
    if not ordered:
        return float("nan")
    return round(ordered[min(int(share * len(ordered)), len(ordered) - 1)], 1)
