"""Whether searches are worse, or slower, than at the baseline: query by query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import floor, log2

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.evaluating.differences import paired
from opensearch_funnel.evaluating.gating.checks import Check, Gate, Outcome
from opensearch_funnel.evaluating.gating.latency import latency_checks
from opensearch_funnel.evaluating.gating.snapshot import Snapshot
from opensearch_funnel.evaluating.gating.what_changed import (
    named,
    plan_changes,
    query_warnings,
    why_times_differ,
)
from opensearch_funnel.evaluating.measures import Values, bootstrap_interval, mean
from opensearch_funnel.evaluating.significance import (
    EXACT_UP_TO,
    SAMPLES,
    holm,
    outcomes,
    randomisation_p,
)

SMALLEST_GROUP = 20
"""A language with fewer queries is shown and not judged."""
LEAST_SHARED = 0.5
"""With a smaller share of the baseline's queries left, it is another test that would pass."""
COLUMNS = ("queries", "baseline", "now", "difference", "95 % interval", "corrected p")
_NAMED = 3
_DIGITS = 6
_SMALL_P = 1e-4
_ADVICE = (
    "see which queries fell (funnel evaluate --runs, funnel compare), and if it is meant, accept "
    "it with --update"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a gate lets pass.

    Attributes:
        alpha: a fall whose corrected p is below this is no chance.
        tolerance: a mean may fall by so much even so, in the measure's own units.
        latency_ratio: an answer may take so many times as long; 0 judges no latency.
    """

    alpha: float = 0.05
    tolerance: float = 0.0
    latency_ratio: float = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """What was measured again.

    Attributes:
        snapshot: the figures.
        degraded: by system, how many answers lacked a stage.
        languages: of queries, where these are to be looked at one by one.
        notes: what to know about how it was measured.
    """

    snapshot: Snapshot
    degraded: Mapping[str, int] = field(default_factory=dict)
    languages: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


def require_same_data(baseline: Snapshot, *, dataset: str, split: str, corpus: str) -> None:
    """Refuse to compare figures of other documents, or of another split.

    Raises:
        InputError: says which of the two differs.
    """
    if split != baseline.split:
        raise InputError(
            f"the baseline is of split {baseline.split!r}, not {split!r}: say --split "
            f"{baseline.split}, or measure it anew with --update"
        )
    if corpus != baseline.corpus:
        raise InputError(
            f"the baseline was measured on other documents: {baseline.dataset} had corpus "
            f"{baseline.corpus}, {dataset} has {corpus}; name the data set that it is of, or "
            "measure it anew with --update"
        )


def judge_quality(baseline: Snapshot, again: Again, *, limits: Limits) -> Gate:
    """Compare what was measured again with a baseline, on the queries that both have.

    A measure fails where its mean fell by more than the tolerance and a paired randomisation test
    (two-sided, with Holm's correction over every measure, system and language of the call) says
    that this is no chance.

    Args:
        baseline: its systems and measures are judged.
        again: the same, now.
        limits: what may pass.

    Raises:
        InputError: the two are of other documents or splits, or share no query.
    """
    now = again.snapshot
    require_same_data(baseline, dataset=now.dataset, split=now.split, corpus=now.corpus)
    shared = [q for q, mark in baseline.queries.items() if now.queries.get(q) == mark]
    if not shared:
        raise InputError(
            f"the baseline and {now.dataset}/{now.split} share no query with the same text and "
            "judgments: measure it anew with --update"
        )
    tests = _tests(baseline, again, shared=shared)
    corrected = iter(holm([test.p for test in tests if test.judged]))
    tests = [replace(test, corrected=next(corrected)) if test.judged else test for test in tests]
    checks = [*_query_checks(baseline, shared), *_answer_checks(baseline, again)]
    checks += [_measure_check(test, limits=limits) for test in tests]
    timed, slow = _timing(baseline, now, ratio=limits.latency_ratio)
    return Gate(
        title=f"{now.dataset}/{now.split}: {len(shared):,} queries as at the baseline",
        columns=COLUMNS,
        checks=[*checks, *timed],
        warnings=[
            *query_warnings(baseline, now),
            *_power_warnings(tests, limits=limits),
            *slow,
        ],
        notes=[*again.notes, *_notes(baseline, again, shared=shared)],
        figures={"dataset": now.dataset, "split": now.split, "queries": len(shared)},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Test:
    """One measure of one system, over all shared queries or those of one language."""

    name: str
    before: Values
    now: Values
    judged: bool
    p: float = 1.0
    corrected: float = 1.0
    why_not: str = ""

    @property
    def changes(self) -> dict[str, float]:
        return paired(self.now, self.before)


def _tests(baseline: Snapshot, again: Again, *, shared: Sequence[str]) -> list[_Test]:
    groups = {"": shared}
    for language in sorted(set(again.languages.values())):
        groups[language] = [q for q in shared if again.languages.get(q) == language]
    tests: list[_Test] = []
    for system in (name for name in baseline.systems if name in again.snapshot.systems):
        for measure in baseline.systems[system].values:
            before = baseline.values(system, measure)
            now = again.snapshot.values(system, measure)
            for language, some in groups.items():
                why_not = ""
                if again.degraded.get(system):
                    why_not = "answers were degraded"
                elif language and len(some) < SMALLEST_GROUP:
                    why_not = f"{len(some)} queries are fewer than {SMALLEST_GROUP}"
                test = _Test(
                    name=f"{system} {measure}" + (f" [{language}]" if language else ""),
                    before={q: before[q] for q in some},
                    now={q: now[q] for q in some},
                    judged=not why_not,
                    why_not=why_not,
                )
                tests.append(replace(test, p=randomisation_p(test.changes)))
    return tests


def _measure_check(test: _Test, *, limits: Limits) -> Check:
    changes = test.changes
    before, now, change = mean(test.before), mean(test.now), mean(changes)
    low, high = bootstrap_interval(changes)
    shown = test.judged and test.corrected < limits.alpha
    outcome: Outcome = "not judged"
    advice = ""
    how = f"by {abs(change):.4f} ({before:.4f} to {now:.4f})"
    if not test.judged:
        finding = f"was not judged: {test.why_not}"
    elif shown and change < 0 and -change > limits.tolerance:
        outcome, advice = "failed", _ADVICE
        worst = sorted(changes, key=lambda query_id: changes[query_id])[:_NAMED]
        finding = (
            f"fell {how}, 95 % interval {low:+.4f} to {high:+.4f}, p {_p(test.corrected)} after "
            f"Holm's correction; most at queries {', '.join(worst)}"
        )
    elif shown and change < 0:
        outcome, finding = "passed", f"fell {how}, within the tolerance of {limits.tolerance:g}"
    elif shown:
        outcome, finding = "passed", f"rose {how}, p {_p(test.corrected)}"
    else:
        outcome, finding = "passed", f"changed by {change:+.4f}, which is no fall that is shown"
    counts = outcomes(changes)
    return Check(
        name=test.name,
        outcome=outcome,
        finding=finding,
        advice=advice,
        cells=(
            f"{len(changes):,}",
            f"{before:.4f}",
            f"{now:.4f}",
            f"{change:+.4f}",
            f"{low:+.4f} to {high:+.4f}",
            _p(test.corrected) if test.judged else "-",
        ),
        figures={
            "queries": len(changes),
            "baseline": round(before, _DIGITS),
            "now": round(now, _DIGITS),
            "difference": round(change, _DIGITS),
            "interval": [round(low, _DIGITS), round(high, _DIGITS)],
            "p": test.p,
            "corrected_p": test.corrected if test.judged else None,
            "wins": counts.wins,
            "ties": counts.ties,
            "losses": counts.losses,
        },
    )


def _query_checks(baseline: Snapshot, shared: Sequence[str]) -> list[Check]:
    every = len(baseline.queries)
    if len(shared) >= LEAST_SHARED * every:
        return []
    return [
        Check(
            name="queries",
            outcome="failed",
            finding=f"of the baseline: only {len(shared):,} of {every:,} are as they were",
            advice="measure the baseline anew with --update",
            cells=(f"{len(shared):,}", f"{every:,}", f"{len(shared):,}"),
            figures={"baseline": every, "shared": len(shared)},
        )
    ]


def _answer_checks(baseline: Snapshot, again: Again) -> list[Check]:
    """Name systems that are missing, and those whose answers were not whole."""
    checks: list[Check] = []
    for name in baseline.systems:
        if name not in again.snapshot.systems:
            there = ", ".join(again.snapshot.systems) or "nothing"
            checks.append(
                Check(
                    name=name,
                    outcome="failed",
                    finding=f"of the baseline was not measured; there is: {there}",
                    advice="measure it, or leave it out with --systems",
                )
            )
        elif count := again.degraded.get(name, 0):
            checks.append(
                Check(
                    name=f"{name} answers",
                    outcome="failed",
                    finding=f"without a stage: {count}, so its figures do not count",
                    advice="see the log of funnel serve, and funnel doctor",
                    figures={"degraded": count},
                )
            )
    return checks


def _timing(baseline: Snapshot, now: Snapshot, *, ratio: float) -> tuple[list[Check], list[str]]:
    if not ratio:
        return [], []
    apart = why_times_differ(baseline, now)
    checks: list[Check] = []
    untimed: list[str] = []
    for name, figures in baseline.systems.items():
        if name not in now.systems:
            continue
        before, after = figures.latency_ms, now.systems[name].latency_ms
        if before is None or after is None:
            untimed.append(name)
        else:
            checks += latency_checks(name, before, after, ratio=ratio, comparable=not apart)
    warnings: list[str] = []
    if untimed:
        warnings.append(
            f"no latency was compared for {', '.join(untimed)}: the baseline or this measurement "
            "has none"
        )
    if checks and apart:
        warnings.append(f"latency was not judged: {apart}")
        warnings += [f"{check.name} {check.finding}" for check in checks if check.advice]
    return checks, warnings


def _power_warnings(tests: Sequence[_Test], *, limits: Limits) -> list[str]:
    """Name what could not fail whatever happened: too few queries, or too low a level."""
    judged = [test for test in tests if test.judged]
    if not judged:
        return []
    needed = 2 + floor(log2(len(judged) / limits.alpha))
    weak = [test.name for test in judged if len(test.before) < needed]
    tests_at = f"{len(judged)} tests at alpha {limits.alpha:g}"
    warnings = []
    if weak:
        warnings.append(
            f"too few queries to show any fall in {named(weak)}: {tests_at} need {needed} or more "
            "each"
        )
    # Where patterns are drawn, p is never lower than one in all of them.
    lowest = len(judged) / (SAMPLES + 1)
    drawn = [test.name for test in judged if EXACT_UP_TO < len(test.before) >= needed]
    if drawn and lowest >= limits.alpha:
        warnings.append(
            f"no fall can be shown in {named(drawn)}: of {tests_at} no p comes out below "
            f"{lowest:.4g}; raise --alpha, or name fewer --measures and --systems"
        )
    return warnings


def _notes(baseline: Snapshot, again: Again, *, shared: Sequence[str]) -> list[str]:
    now = again.snapshot
    notes = [
        f"{what}: {before or 'unknown'} at the baseline, now {after or 'unknown'}"
        for what, before, after in (
            ("OpenSearch", baseline.by.opensearch, now.by.opensearch),
            ("execution", baseline.by.execution, now.by.execution),
        )
        if before != after
    ]
    notes += [f"changed since the baseline: {line}" for line in plan_changes(baseline, now)]
    extra = [name for name in now.systems if name not in baseline.systems]
    if extra:
        notes.append(f"not in the baseline, and not judged: {named(extra)}")
    if again.languages and (without := [q for q in shared if q not in again.languages]):
        notes.append(f"{len(without):,} queries have no language: {named(without)}")
    return notes


def _p(value: float) -> str:
    return f"{value:.4f}" if value >= _SMALL_P else f"< {_SMALL_P:.4f}"
