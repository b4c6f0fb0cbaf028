"""What every case gives by every system, and how surely one is better than another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.fusion_study.cases import Case, Kind
from benchmarks.fusion_study.fitting import Weighting
from benchmarks.fusion_study.folds import (
    AUTO,
    REFERENCES,
    TRUSTED,
    References,
    Trusts,
    automatic,
)
from benchmarks.fusion_study.signals import Floats
from opensearch_funnel.evaluating.measures import bootstrap_interval

_DIGITS = 4
_SAMPLES = 1000
_SEED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """What ``auto`` has more than another system, paired by query, with its 95 % interval."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Floats, others: Floats) -> Gain:
        """Compare values of the same queries."""
        each = dict(zip(map(str, range(len(values))), (values - others).tolist(), strict=True))
        low, high = bootstrap_interval(each)
        return cls.rounded(sum(each.values()) / len(each), low, high)

    @classmethod
    def over_cases(cls, differences: Sequence[Floats]) -> Gain:
        """Return the mean over cases of the mean over queries.

        Queries are drawn anew inside each case; which cases there are is not left to chance.

        Args:
            differences: of each query, case by case.
        """
        rng = np.random.default_rng(_SEED)
        drawn = np.zeros(_SAMPLES)
        for each in differences:
            places = rng.integers(len(each), size=(_SAMPLES, len(each)))
            drawn += each[places].mean(axis=1) / len(differences)
        mean = float(np.mean([each.mean() for each in differences]))
        low, high = np.quantile(drawn, [0.025, 0.975])
        return cls.rounded(mean, float(low), float(high))

    @classmethod
    def rounded(cls, mean: float, low: float, high: float) -> Gain:
        """Keep four digits: no more are certain."""
        return cls(mean=round(mean, _DIGITS), low=round(low, _DIGITS), high=round(high, _DIGITS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One case by every system.

    Attributes:
        part: the collection and its split.
        family: what it is akin to.
        fitted: whether it was fitted on, for the other families.
        kind: natural, permuted or degraded.
        variant: what was done, in words; empty for nothing.
        queries: how many.
        best: the name of the best leg.
        values: mean nDCG@10 by system.
        gains: of ``auto`` over each of ``REFERENCES``.
        short: by how much ``auto`` misses its goal (``References.goal``); 0 where it does not.
    """

    part: str
    family: str
    fitted: bool
    kind: Kind
    variant: str
    queries: int
    best: str
    values: Mapping[str, float]
    gains: Mapping[str, Gain]
    short: float


def row_of(
    case: Case,
    references: References,
    weightings: Mapping[str, Weighting],
    *,
    trusts: Trusts | None = None,
) -> Row:
    """Measure a case.

    Args:
        case: any.
        references: of the same case.
        weightings: by family (``folds.left_out``).
        trusts: measured trust, for a column of its own.
    """
    auto = automatic(case, weightings)
    values = {name: float(own.mean()) for name, own in references.values.items()}
    values[AUTO] = float(auto.mean())
    if trusts is not None:
        values[TRUSTED] = float(automatic(case, weightings, trusts=trusts).mean())
    return Row(
        part=case.part,
        family=case.family,
        fitted=case.fitted,
        kind=case.variant.kind,
        variant=case.variant.name,
        queries=len(case.ideal),
        best=references.best,
        values={name: round(value, _DIGITS) for name, value in values.items()},
        gains={name: Gain.of(auto, references.values[name]) for name in REFERENCES},
        short=round(max(0.0, references.goal(case) - float(auto.mean())), _DIGITS),
    )
