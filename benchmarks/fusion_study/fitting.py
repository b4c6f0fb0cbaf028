"""Constants of a weighting fitted to judgments, by a smooth nDCG@10 and its gradient.

The rank of a relevant document is 1 and how many documents are above it. "Above" is made smooth:
a logistic function of the difference of the fused scores (approximate ranks; Qin, Liu and Li, "A
general approximation framework for direct optimization of information retrieval measures",
Information Retrieval 13, 2010). Fits are deterministic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.fusion_study.cases import CUT, Case, Kind
from benchmarks.fusion_study.features import FEATURES, PRODUCT, features_of
from benchmarks.fusion_study.found import LEGS
from benchmarks.fusion_study.signals import Floats

BROKEN = 0.02
"""How far probes trust a leg whose documents are permuted."""

_SOFT = 0.02
"""Fused scores that differ by this much are told apart by about three to one."""
_SOFT_CUT = 0.5
_QUERIES = 300
_DEEP = 40
_RIDGE, _RIDGE_LEAN = 3e-3, 1e-2
_STEPS = 60
_SEED = 0
_FLAT = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighting:
    """How much each leg counts for one query.

    Attributes:
        lean: what each leg has whatever it found, in logarithms; that of the last leg is 0.
        slopes: what each feature adds, by its name.
    """

    lean: Sequence[float]
    slopes: Mapping[str, float] = field(default_factory=dict)

    def weights(self, case: Case, *, trust: Sequence[float] = (1.0, 1.0, 1.0)) -> Floats:
        """Return the share of each leg, ``(queries, legs)``."""
        values = features_of(case, tuple(self.slopes))
        grown = np.asarray(self.lean) + values @ np.array(list(self.slopes.values()))
        return _shares(grown + np.log(np.asarray(trust)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What is fitted, and on what.

    Attributes:
        features: by name.
        kinds: of cases, and how much a collection's cases of that kind weigh.
    """

    features: Sequence[str] = PRODUCT
    kinds: Mapping[Kind, float] = field(
        default_factory=lambda: {"natural": 1.0, "permuted": 0.5, "degraded": 0.5}
    )


def trust_in(case: Case) -> tuple[float, ...]:
    """Return how far probes would trust each leg of a case: little where it is permuted.

    A degraded leg still finds documents by their own words: no probe would tell.
    """
    broken = case.variant.legs if case.variant.kind == "permuted" else ()
    return tuple(BROKEN if leg in broken else 1.0 for leg in LEGS)


def fit(cases: Sequence[Case], recipe: Recipe) -> Weighting:
    """Fit the constants of a weighting.

    Args:
        cases: to be fitted on; queries without a relevant document among the hits are left out.
        recipe: what is fitted.
    """
    from scipy.optimize import minimize

    objective = Objective.of(cases, recipe)
    start = np.zeros(len(LEGS) + len(recipe.features))
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": _STEPS})
    return objective.weighting(found.x)


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What a fit makes small: minus the smooth nDCG@10, each collection with one weight.

    A ridge pulls the legs towards counting alike where the evidence is an average one, and each
    slope towards 0.
    """

    scale: _Scale
    packs: Sequence[_Pack]

    @classmethod
    def of(cls, cases: Sequence[Case], recipe: Recipe) -> Objective:
        """Prepare cases to be fitted on."""
        used = [case for case in cases if recipe.kinds.get(case.variant.kind, 0.0) > 0]
        parts: dict[str, set[str]] = {}
        for case in used:
            parts.setdefault(case.collection, set()).add(case.part)
        scale = _Scale.of(used, recipe.features)
        weights = [recipe.kinds[case.variant.kind] / len(parts[case.collection]) for case in used]
        packs = [
            _Pack.of(case, scale=scale, weight=weight / sum(weights))
            for case, weight in zip(used, weights, strict=True)
        ]
        return cls(scale=scale, packs=packs)

    def __call__(self, at: Floats) -> tuple[float, Floats]:
        """Return its value and its gradient.

        Args:
            at: the lean of each leg, then the slope of each feature, on the scale of the fit.
        """
        lean, slopes = at[: len(LEGS)], at[len(LEGS) :]
        level = lean - lean.mean()
        value = _RIDGE * float(slopes @ slopes) + _RIDGE_LEAN * float(level @ level)
        gradient = 2 * np.concatenate([_RIDGE_LEAN * level, _RIDGE * slopes])
        for pack in self.packs:
            own, by_lean, by_slope = pack.loss(lean, slopes)
            value += pack.weight * own
            gradient += pack.weight * np.concatenate([by_lean, by_slope])
        return value, gradient

    def weighting(self, at: Floats) -> Weighting:
        """Return what a place stands for, on the scale of the signals."""
        return self.scale.weighting(at)


@dataclass(frozen=True, slots=True)
class _Scale:
    """Features brought to a mean of 0 and a deviation of 1 over the legs that they speak of."""

    names: Sequence[str]
    means: Floats
    deviations: Floats

    @classmethod
    def of(cls, cases: Sequence[Case], names: Sequence[str]) -> _Scale:
        means, deviations = [], []
        for name in names:
            feature = FEATURES[name]
            spoken = feature.applies > 0
            values = np.concatenate([feature.values(case)[:, spoken].ravel() for case in cases])
            means.append(values.mean())
            deviations.append(values.std() + 1e-9)
        return cls(names, np.array(means), np.array(deviations))

    def scaled(self, case: Case) -> Floats:
        values = features_of(case, self.names)
        return (values - self.means) / self.deviations * self._applies()

    def weighting(self, at: Floats) -> Weighting:
        slopes = at[len(LEGS) :] / self.deviations
        lean = at[: len(LEGS)] - self._applies() @ (slopes * self.means)
        named = dict(zip(self.names, slopes.tolist(), strict=True))
        return Weighting(lean=tuple((lean - lean[-1]).tolist()), slopes=named)

    def _applies(self) -> Floats:
        if not self.names:
            return np.zeros((len(LEGS), 0))
        return np.stack([FEATURES[name].applies for name in self.names], axis=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pack:
    """Some queries of a case, and each of their relevant documents in a row of its own."""

    normalized: NDArray[np.float32]
    there: NDArray[np.bool_]
    values: Floats
    log_trust: Floats
    query: NDArray[np.intp]
    document: NDArray[np.intp]
    gain: Floats
    weight: float

    @classmethod
    def of(cls, case: Case, *, scale: _Scale, weight: float) -> _Pack:
        near = case.ranks.min(axis=2) <= _DEEP
        useful = np.flatnonzero(((case.gains > 0) & near).any(axis=1))
        drawn = np.random.default_rng(_SEED).permutation(len(useful))[:_QUERIES]
        kept = np.sort(useful[drawn])
        normalized, gains, there = _packed(case, kept, near)
        query, document = np.nonzero(gains > 0)
        return cls(
            normalized=normalized,
            there=there,
            values=scale.scaled(case)[kept],
            log_trust=np.log(np.array(trust_in(case))),
            query=query,
            document=document,
            gain=gains[query, document] / case.ideal[kept][query] / max(1, len(kept)),
            weight=weight,
        )

    def loss(self, lean: Floats, slopes: Floats) -> tuple[float, Floats, Floats]:
        """Return minus the smooth nDCG, and its gradient by lean and by slopes."""
        shares = _shares(lean + self.log_trust + self.values @ slopes)
        scores = np.einsum("qdl,ql->qd", self.normalized, shares.astype(np.float32))
        own = scores[self.query, self.document]
        apart = np.clip((scores[self.query] - own[:, None]) / _SOFT, -_FLAT, _FLAT)
        above = 1.0 / (1.0 + np.exp(-apart))
        above *= self.there[self.query]
        above[np.arange(len(own)), self.document] = 0.0
        rank = 1.0 + above.sum(axis=1, dtype=np.float64)
        cut = 1.0 / (1.0 + np.exp(np.clip(rank - CUT - _SOFT_CUT, -_FLAT, _FLAT)))
        digits = np.log2(1.0 + rank)
        value = -float((self.gain * cut / digits).sum())
        # By the rank, by each score above, by each share, by the logarithm of each weight.
        by_rank = (
            self.gain * cut * ((1.0 - cut) / digits + 1.0 / (digits**2 * (1.0 + rank) * np.log(2)))
        )
        by_score = above * (1.0 - above) * (by_rank / _SOFT).astype(np.float32)[:, None]
        rows = np.einsum("rd,rdl->rl", by_score, self.normalized[self.query])
        rows -= by_score.sum(axis=1)[:, None] * self.normalized[self.query, self.document]
        by_share = np.zeros(shares.shape)
        np.add.at(by_share, self.query, rows)
        by_log = shares * (by_share - (shares * by_share).sum(axis=1, keepdims=True))
        return value, by_log.sum(axis=0), np.einsum("ql,qlf->f", by_log, self.values)


def _packed(
    case: Case, queries: NDArray[np.intp], near: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Return scores and gains of the documents near the top, moved to the front of each row."""
    kept = near[queries]
    width = int(kept.sum(axis=1).max(initial=1))
    order = np.argsort(~kept, axis=1, kind="stable")[:, :width]
    there = np.take_along_axis(kept, order, axis=1)
    gains = np.where(there, np.take_along_axis(case.gains[queries], order, axis=1), 0.0)
    scores = np.take_along_axis(case.normalized[queries], order[:, :, None], axis=1)
    return scores * there[:, :, None], gains.astype(np.float32), there


def _shares(grown: Floats) -> Floats:
    raised = np.exp(grown - grown.max(axis=1, keepdims=True))
    shares: Floats = raised / raised.sum(axis=1, keepdims=True)
    return shares
