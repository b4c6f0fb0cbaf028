"""What a weighting may look at: signals on a scale on which they add up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.fusion_study.cases import Case
from benchmarks.fusion_study.found import LEGS
from benchmarks.fusion_study.signals import Floats

_LEAST = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A number a query and leg that may speak for the leg.

    Attributes:
        read: ``(queries, legs)`` of a case.
        legs: the legs that it speaks for or against; it says nothing of the others.
    """

    read: Callable[[Case], Floats]
    legs: Sequence[str] = LEGS

    def values(self, case: Case) -> Floats:
        """Return its values; 0 for legs of which it says nothing."""
        return np.where(self.applies, self.read(case), 0.0)

    @property
    def applies(self) -> Floats:
        """1 for each leg that it speaks of, otherwise 0."""
        return np.array([float(leg in self.legs) for leg in LEGS])


def _grown(name: str) -> Callable[[Case], Floats]:
    return lambda case: np.log1p(np.maximum(case.signal(name), 0.0))


def _share(name: str) -> Callable[[Case], Floats]:
    return lambda case: np.log(np.maximum(case.signal(name), _LEAST))


def _beyond(name: str, others: str) -> Callable[[Case], Floats]:
    return lambda case: case.signal(name) - case.signal(others)


BY_WORDS = ("bm25", "sparse")
FEATURES: Mapping[str, Feature] = {
    "gap": Feature(read=_grown("gap")),
    "agreement": Feature(read=_beyond("agreement", "others")),
    "match": Feature(read=_share("match"), legs=BY_WORDS),
    "gap2": Feature(read=_grown("gap2")),
    "z": Feature(read=_grown("z")),
    "agreement_first": Feature(read=_beyond("agreement_first", "others_first")),
    "coverage": Feature(read=_share("coverage"), legs=("bm25",)),
    "words": Feature(read=_grown("words"), legs=BY_WORDS),
}
PRODUCT = ("gap", "agreement", "match")
"""What the product looks at."""


def features_of(case: Case, names: Sequence[str]) -> Floats:
    """Return the values of some features, ``(queries, legs, features)``."""
    if not names:
        return np.zeros((len(case.ideal), len(LEGS), 0))
    return np.stack([FEATURES[name].values(case) for name in names], axis=2)
