"""Systems compared on the same judged queries: by how much, how surely, and on which queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.evaluating.datasets import Dataset
from opensearch_funnel.evaluating.differences import Difference, differences
from opensearch_funnel.evaluating.measures import (
    DEFAULT_MEASURES,
    Measure,
    Run,
    Values,
    bootstrap_interval,
    mean,
    measure_run,
)
from opensearch_funnel.evaluating.moves import Moves, moves_of
from opensearch_funnel.evaluating.significance import (
    Outcomes,
    cohens_d,
    holm,
    outcomes,
    randomisation_p,
)

LEVEL = 0.05
"""A corrected p below this is called a difference."""
JUDGED = Measure("Judged", 10)
_DIGITS = 6
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One system that is compared.

    Attributes:
        name: how the report calls it.
        run: its rankings.
        values: for each measure, the value of each query of the data set.
        judged: the share of its top 10 that a person judged.
        unanswered: queries of the data set without results; they count as 0.
        foreign: queries of the run that the data set's split has no relevant document for; they
            are not measured.
    """

    name: str
    run: Run
    values: Mapping[Measure, Values]
    judged: float
    unanswered: Sequence[str]
    foreign: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """Return what ``--output json`` prints of a system."""
        return {
            **{str(measure): _rounded(mean(values)) for measure, values in self.values.items()},
            "intervals": {
                str(measure): _ends(bootstrap_interval(values))
                for measure, values in self.values.items()
            },
            "judged@10": _rounded(self.judged),
            "unanswered_queries": len(self.unanswered),
            "foreign_queries": len(self.foreign),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one measure says about a pair of systems.

    Attributes:
        difference: the pair, with the difference of each query.
        measure: which measure.
        p: of the paired randomisation test, two-sided.
        corrected_p: the same after Holm's correction over all verdicts of the comparison.
        effect: Cohen's d of the paired differences; ``None`` where it has no value.
        outcomes: queries won, tied and lost.
    """

    difference: Difference
    measure: Measure
    p: float
    corrected_p: float
    effect: float | None
    outcomes: Outcomes

    @property
    def values(self) -> Values:
        """The difference of each query."""
        return self.difference.values[self.measure]

    @property
    def word(self) -> str:
        """``better``, ``worse``, or ``not shown`` where it may be chance."""
        if self.corrected_p >= LEVEL:
            return "not shown"
        return "better" if self.difference.mean(self.measure) > 0 else "worse"

    def to_json(self) -> dict[str, Any]:
        """Return what ``--output json`` prints of a verdict."""
        return {
            "difference": _rounded(self.difference.mean(self.measure)),
            "interval": _ends(self.difference.interval(self.measure)),
            "p": self.p,
            "corrected_p": self.corrected_p,
            "cohens_d": None if self.effect is None else _rounded(self.effect),
            "wins": self.outcomes.wins,
            "ties": self.outcomes.ties,
            "losses": self.outcomes.losses,
            "changed": _rounded(self.outcomes.changed),
            "verdict": self.word,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Systems measured on one split, each with all before it.

    Attributes:
        dataset: queries and judgments.
        systems: in the order they were named.
        verdicts: of each pair and measure.
        moves: of each pair, by the first measure.
        why_note: what is missing in the reasons for these moves.
    """

    dataset: Dataset
    systems: Sequence[Compared]
    verdicts: Sequence[Verdict]
    moves: Sequence[Moves]
    why_note: str = ""

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What was measured, in the order it was asked for."""
        return tuple(self.systems[0].values)

    @property
    def notes(self) -> list[str]:
        """What a reader has to know to judge the figures; a sentence each."""
        every = len(self.dataset.queries)
        notes = [
            f"{one.name}: {len(one.unanswered):,} of {every:,} queries have no results and count "
            f"as 0: {_first(one.unanswered)}"
            for one in self.systems
            if one.unanswered
        ]
        notes += [
            f"{one.name}: {len(one.foreign):,} queries of the run have no relevant document in "
            f"split {self.dataset.split} and were not measured: {_first(one.foreign)}"
            for one in self.systems
            if one.foreign
        ]
        if self.dataset.skipped_queries:
            notes.append(
                f"{self.dataset.skipped_queries:,} judged queries without a relevant document "
                "were left out"
            )
        return notes

    def to_json(self) -> dict[str, Any]:
        """Return what ``funnel compare --output json`` prints."""
        found: dict[str, dict[str, Any]] = {}
        for verdict in self.verdicts:
            pair = found.setdefault(verdict.difference.name, {})
            pair[str(verdict.measure)] = verdict.to_json()
        return {
            "dataset": self.dataset.name,
            "split": self.dataset.split,
            "queries": len(self.dataset.queries),
            "skipped_queries": self.dataset.skipped_queries,
            "systems": {one.name: one.to_json() for one in self.systems},
            "differences": found,
            "moved": {moves.difference.name: moves.to_json() for moves in self.moves},
            "why_note": self.why_note,
            "notes": self.notes,
        }


def compare(
    runs: Mapping[str, Run],
    dataset: Dataset,
    *,
    measures: Sequence[Measure] = DEFAULT_MEASURES,
    moved: int = 5,
) -> Comparison:
    """Compare every system with those that were named before it.

    Args:
        runs: the rankings of two systems or more, by name; the first is the reference of all.
        dataset: queries and judgments.
        measures: what to compare by; the first says which queries moved most.
        moved: so many queries of those that gained most, and of those that lost most.

    Raises:
        InputError: there is only one system, or one ranks no query of the data set.
        MissingExtraError: ir-measures is not installed.
    """
    if len(runs) < 2:  # noqa: PLR2004 - a comparison
        raise InputError("name two systems or runs to compare, for example bm25 and hybrid")
    systems = [_measured(name, run, dataset, measures=measures) for name, run in runs.items()]
    pairs = [(later, earlier) for earlier, later in combinations(runs, 2)]
    found = differences({one.name: one.values for one in systems}, pairs=pairs)
    return Comparison(
        dataset=dataset,
        systems=systems,
        verdicts=_verdicts(found),
        moves=[_moves(one, systems, dataset=dataset, most=moved) for one in found],
    )


def _measured(name: str, run: Run, dataset: Dataset, *, measures: Sequence[Measure]) -> Compared:
    answered = {query_id for query_id, ranking in run.items() if ranking}
    if not answered & dataset.qrels.keys():
        raise InputError(
            f"{name} ranks no query of split {dataset.split!r} of {dataset.name}: it is a run of "
            "other queries, or of another --split"
        )
    values = measure_run(run, qrels=dataset.qrels, measures=[*measures, JUDGED])
    return Compared(
        name=name,
        run=run,
        values={measure: values[measure] for measure in measures},
        judged=mean(values[JUDGED]),
        unanswered=sorted(dataset.qrels.keys() - answered),
        foreign=sorted(run.keys() - dataset.qrels.keys()),
    )


def _verdicts(found: Sequence[Difference]) -> list[Verdict]:
    tests = [(one, measure) for one in found for measure in one.values]
    raw = [randomisation_p(one.values[measure]) for one, measure in tests]
    return [
        Verdict(
            difference=one,
            measure=measure,
            p=p,
            corrected_p=corrected,
            effect=cohens_d(one.values[measure]),
            outcomes=outcomes(one.values[measure]),
        )
        for (one, measure), p, corrected in zip(tests, raw, holm(raw), strict=True)
    ]


def _moves(
    difference: Difference, systems: Sequence[Compared], *, dataset: Dataset, most: int
) -> Moves:
    measure = next(iter(difference.values))
    return moves_of(
        difference,
        runs={one.name: one.run for one in systems},
        values={one.name: one.values[measure] for one in systems},
        dataset=dataset,
        most=most,
    )


def _first(names: Sequence[str]) -> str:
    return ", ".join([*names[:_NAMED], *["…"] * (len(names) > _NAMED)])


def _rounded(value: float) -> float:
    return round(value, _DIGITS)


def _ends(interval: tuple[float, float]) -> list[float]:
    return [_rounded(end) for end in interval]
