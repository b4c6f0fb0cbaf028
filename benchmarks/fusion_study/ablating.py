"""The weighting without one of its parts, with others in their place, and how far it could go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.fusion_study.cases import KINDS, Case, Kind
from benchmarks.fusion_study.features import PRODUCT
from benchmarks.fusion_study.fitting import Recipe
from benchmarks.fusion_study.folds import (
    AUTO,
    DEFAULT,
    EQUAL,
    RRF,
    References,
    automatic,
    left_out,
)
from benchmarks.fusion_study.fusing import best_mix, fused
from benchmarks.fusion_study.rows import Gain
from benchmarks.fusion_study.signals import Floats
from opensearch_funnel.core.progress import SILENT, Progress

_HALF = 0.5
_DIGITS = 4


def _without(name: str) -> tuple[str, ...]:
    return tuple(feature for feature in PRODUCT if feature != name)


def _instead(name: str, other: str) -> tuple[str, ...]:
    return tuple(other if feature == name else feature for feature in PRODUCT)


RECIPES: Mapping[str, Recipe] = {
    AUTO: Recipe(),
    "without the gap": Recipe(features=_without("gap")),
    "without agreement": Recipe(features=_without("agreement")),
    "without the match": Recipe(features=_without("match")),
    "one weighting for all queries": Recipe(features=()),
    "gap to the second hit": Recipe(features=_instead("gap", "gap2")),
    "z-score of the best hit": Recipe(features=_instead("gap", "z")),
    "agreement of the first hits": Recipe(features=_instead("agreement", "agreement_first")),
    "with BM25's coverage, not the match": Recipe(features=_instead("match", "coverage")),
    "with BM25's coverage, too": Recipe(features=(*PRODUCT, "coverage")),
    "with the number of words, too": Recipe(features=(*PRODUCT, "words")),
    "fitted without permuted legs": Recipe(kinds={"natural": 1.0, "degraded": _HALF}),
    "fitted without degraded legs": Recipe(kinds={"natural": 1.0, "permuted": _HALF}),
    "fitted on natural legs alone": Recipe(kinds={"natural": 1.0}),
}
UNTOLD = "auto, not told which leg is permuted"
CEILING = "best mix of each query"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What a way to weigh the legs gives over all cases.

    Attributes:
        name: of the way.
        means: nDCG@10, the mean over the cases of a kind.
        auto_gains: what ``auto`` has more than it, the mean over the natural cases.
        natural: nDCG@10 of each natural case, by its part.
        short: by how much the goals of a kind are missed, all cases together.
        missed: how many of them are.
    """

    name: str
    means: Mapping[Kind, float]
    auto_gains: Gain
    natural: Mapping[str, float]
    short: Mapping[Kind, float]
    missed: Mapping[Kind, int]


def tried(
    cases: Sequence[Case], references: Sequence[References], *, progress: Progress = SILENT
) -> list[Tried]:
    """Measure every way, each family with what was fitted without it.

    Args:
        cases: all of them.
        references: of each case, in the same order.
        progress: hears of each way.

    Returns:
        Fixed weights first, then ``RECIPES``, then the best that any mix could give.
    """
    goals = [own.goal(case) for case, own in zip(cases, references, strict=True)]
    values = {name: [own.values[name] for own in references] for name in (RRF, EQUAL, DEFAULT)}
    with progress.task("ablations", total=len(RECIPES) + 1, unit="ways") as advance:
        for name, recipe in RECIPES.items():
            weightings = left_out(cases, recipe)
            values[name] = [automatic(case, weightings) for case in cases]
            if name == AUTO:
                values[UNTOLD] = [
                    fused(case, weightings[case.family].weights(case)) for case in cases
                ]
            advance(1)
        values[CEILING] = [best_mix(case) for case in cases]
        advance(1)
    return [
        _tried(name, cases, goals=goals, values=own, auto=values[AUTO])
        for name, own in values.items()
    ]


def _tried(
    name: str,
    cases: Sequence[Case],
    *,
    goals: Sequence[float],
    values: Sequence[Floats],
    auto: Sequence[Floats],
) -> Tried:
    means, short, missed = {}, {}, {}
    for kind in KINDS:
        places = [place for place, case in enumerate(cases) if case.variant.kind == kind]
        reached = [float(values[place].mean()) for place in places]
        means[kind] = round(float(np.mean(reached)), _DIGITS)
        below = [max(0.0, goals[p] - own) for p, own in zip(places, reached, strict=True)]
        short[kind] = round(sum(below), _DIGITS)
        missed[kind] = sum(one > 0 for one in below)
    natural = [place for place, case in enumerate(cases) if case.variant.kind == "natural"]
    gains = Gain.over_cases([auto[place] - values[place] for place in natural])
    return Tried(
        name=name,
        means=means,
        auto_gains=gains,
        natural={cases[p].part: round(float(values[p].mean()), _DIGITS) for p in natural},
        short=short,
        missed=missed,
    )
