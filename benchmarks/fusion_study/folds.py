"""Weightings fitted without what they are measured on: each family of collections left out once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.fusion_study.cases import Case
from benchmarks.fusion_study.fitting import Recipe, Weighting, fit, trust_in
from benchmarks.fusion_study.found import LEGS
from benchmarks.fusion_study.fusing import alone, fused, reciprocal
from benchmarks.fusion_study.signals import Floats

BEST_LEG, RRF, EQUAL, DEFAULT, AUTO = "best leg", "rrf", "min-max", "min-max 1:0.5:1", "auto"
TRUSTED = "auto with trust"
REFERENCES = (BEST_LEG, RRF, EQUAL, DEFAULT)
SYSTEMS = (*LEGS, RRF, EQUAL, DEFAULT, AUTO)

_EQUAL_WEIGHTS, _DEFAULT_WEIGHTS = (1.0, 1.0, 1.0), (1.0, 0.5, 1.0)
_BELOW_LEG, _BELOW_LEG_BROKEN, _BELOW_FUSION = 0.005, 0.02, 0.002

Trusts = Mapping[str, Mapping[str, float]]
"""How far each leg is trusted on a collection, by the collection's name: measured by probes."""


def left_out(cases: Sequence[Case], recipe: Recipe) -> dict[str, Weighting]:
    """Fit one weighting for each family, on all other families.

    Args:
        cases: all of them; those that may not be fitted on are not.
        recipe: what is fitted.

    Returns:
        By family: what its cases are to be measured with.
    """
    fitted = [case for case in cases if case.fitted]
    return {
        family: fit([case for case in fitted if case.family != family], recipe)
        for family in sorted({case.family for case in cases})
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """What a case gives without any weighting.

    Attributes:
        values: nDCG@10 of each query, by system.
        best: the name of the best leg; of those whose documents were not permuted.
    """

    values: Mapping[str, Floats]
    best: str

    @classmethod
    def of(cls, case: Case) -> References:
        """Measure the legs alone, and the fusions whose weights are the same for all queries."""
        legs = {leg: alone(case, leg) for leg in LEGS}
        best = max(LEGS, key=lambda leg: float(legs[leg].mean()))
        fusions = {
            RRF: reciprocal(case),
            EQUAL: fused(case, _EQUAL_WEIGHTS),
            DEFAULT: fused(case, _DEFAULT_WEIGHTS),
        }
        return cls(values={**legs, **fusions, BEST_LEG: legs[best]}, best=best)

    def mean(self, system: str) -> float:
        """Return the mean over queries."""
        return float(self.values[system].mean())

    def goal(self, case: Case) -> float:
        """Return what a fusion has to reach: next to the best leg, and to fixed weights.

        With a broken leg it has to stay near the best of the other two: fixed weights do not.
        """
        if case.variant.kind == "permuted":
            return self.mean(BEST_LEG) - _BELOW_LEG_BROKEN
        fixed = max(self.mean(name) for name in (RRF, EQUAL, DEFAULT))
        return max(self.mean(BEST_LEG) - _BELOW_LEG, fixed - _BELOW_FUSION)


def automatic(
    case: Case, weightings: Mapping[str, Weighting], *, trusts: Trusts | None = None
) -> Floats:
    """Return nDCG@10 of each query, weighed by what was fitted without the case's family.

    Args:
        case: the queries.
        weightings: by family (``left_out``).
        trusts: measured trust; by default each leg is trusted alike, but for a permuted one.
    """
    trust = trust_in(case)
    if trusts is not None:
        own = trusts.get(case.collection, {})
        trust = tuple(base * own.get(leg, 1.0) for base, leg in zip(trust, LEGS, strict=True))
    return fused(case, weightings[case.family].weights(case, trust=trust))
