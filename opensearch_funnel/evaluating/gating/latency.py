"""Whether answers take longer than they did: judged on the same machine only."""

from __future__ import annotations

from collections.abc import Sequence

from opensearch_funnel.evaluating.gating.checks import Check, Outcome
from opensearch_funnel.evaluating.gating.snapshot import Timing

NOISE_MS = 5.0
"""What answers take longer by less than this is the machine's noise, whatever the ratio."""
MOST_LATE = 0.05
"""With a larger share of timed answers that lack a stage, the 95th percentile is one of those."""
_ADVICE = (
    "take both on the same idle machine, and if it is meant, accept it with --update "
    "(--latency-ratio sets how much is allowed)"
)


def latency_checks(
    name: str, before: Timing, now: Timing, *, ratio: float, comparable: bool
) -> Sequence[Check]:
    """Compare the latency of a system with what it was.

    Args:
        name: of the system.
        before: at the baseline.
        now: measured again.
        ratio: how many times as long an answer may take.
        comparable: whether both were taken on the same kind of machine, in the same way; what
            is not comparable is shown and not judged.

    Example:
        >>> slow, fast = (Timing(p50=ms, p95=ms * 2, timed=99) for ms in (20.0, 10.0))
        >>> [check.outcome for check in latency_checks("bm25", fast, slow, ratio=3,
        ...                                            comparable=True)]
        ['passed', 'passed', 'passed']
        >>> latency_checks("bm25", fast, slow, ratio=1.5, comparable=True)[0].finding
        'grew from 10.0 to 20.0 ms, 2.00 times as long where 1.5 is allowed'
    """
    return [
        _percentile(f"{name} p50", before.p50, now.p50, ratio=ratio, comparable=comparable),
        _percentile(f"{name} p95", before.p95, now.p95, ratio=ratio, comparable=comparable),
        _late(f"{name} timed answers", before, now, comparable=comparable),
    ]


def _percentile(name: str, before: float, now: float, *, ratio: float, comparable: bool) -> Check:
    times = now / before if before > 0 else 1.0
    grew = times > ratio and now - before > NOISE_MS
    change = f"from {before:.1f} to {now:.1f} ms"
    if grew:
        finding = f"grew {change}, {times:.2f} times as long where {ratio:g} is allowed"
    else:
        finding = f"went {change}, which is no growth past {ratio:g} times and {NOISE_MS:g} ms"
    return Check(
        name=name,
        outcome=_outcome(failed=grew, comparable=comparable),
        finding=finding,
        advice=_ADVICE if grew else "",
        cells=("", f"{before:.1f} ms", f"{now:.1f} ms", f"x{times:.2f}"),
        figures={"baseline_ms": before, "now_ms": now, "ratio": round(times, 4)},
    )


def _late(name: str, before: Timing, now: Timing, *, comparable: bool) -> Check:
    """Judge answers without a stage: they are quick, and would hide what got slow."""
    grew = now.degraded > before.degraded and now.degraded > MOST_LATE * now.timed
    finding = (
        f"without a stage: {now.degraded} of {now.timed}; {before.degraded} of {before.timed} at "
        "the baseline"
    )
    return Check(
        name=name,
        outcome=_outcome(failed=grew, comparable=comparable),
        finding=finding,
        advice="a deadline was missed: see the log of funnel serve, and funnel doctor"
        if grew
        else "",
        cells=(
            str(now.timed),
            f"{before.degraded} degraded",
            f"{now.degraded} degraded",
        ),
        figures={"baseline_degraded": before.degraded, "now_degraded": now.degraded},
    )


def _outcome(*, failed: bool, comparable: bool) -> Outcome:
    if not comparable:
        return "not judged"
    return "failed" if failed else "passed"
