"""Take the bias of the place out of clicks: a position-based model, fitted by EM.

People click what they saw and what attracted them; what stands further down is seen less often.
So the share of views that became clicks says little of a document: the top of the list gets
clicks for being there. The position-based model takes both apart: in each view

    P(click) = examination of the place x attractiveness of the document for the query

(Chuklin, Markov, de Rijke, "Click Models for Web Search", 2015, sections 3.3 and 4.2). It was
chosen over COEC (clicks over expected clicks, what the Search Relevance Workbench counts), which
takes the mean click rate of a place for its bias. Where better documents stand higher, as in any
search worth the name, that rate has the quality of the documents in it, and COEC punishes what
deserves its place. EM learns the bias from documents that were seen in several places. Where none
ever moved, places and documents cannot be told apart by any method; EM is then started at, and
stays near, what COEC says. It was chosen over cascade models, which say that people read from the
top and stop: they need every view of a search, and pages with grids or filters break them.

The model has no scale of its own: places half as visible and documents twice as attractive give
the same clicks. Examination is therefore given relative to the place that is seen most, and only
ratios of attractiveness mean something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.evaluating.labelling.click_log import Shown

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]
_MOST_STEPS, _CLOSE = 5_000, 1e-6
_LEAST = 1e-9

PairKey = tuple[str, str]
"""A query and a document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickModel:
    """What was fitted.

    Attributes:
        examination: place → how often it is looked at, relative to the place seen most.
        attractiveness: query and document → how often it is clicked when it is looked at there.
        mean: of the attractiveness, over all views.
        moved: how many pairs were seen in at least two places: all that tells places and
            documents apart.
        groups: places of different groups have no such pair between them: their examinations
            are compared by the assumption alone that their documents are equally good.
        converged: whether the estimate had come to rest.
    """

    examination: Mapping[int, float]
    attractiveness: Mapping[PairKey, float]
    mean: float
    moved: int
    groups: int
    converged: bool


def fit_click_model(shown: Sequence[Shown], *, prior_views: float = 5.0) -> ClickModel:
    """Fit examination and attractiveness to what was shown and clicked.

    Attractiveness has a Beta prior around its mean over all views, which is fitted, too: one click
    in one view makes no document perfect. Examination has the prior Beta(1, 1).

    Args:
        shown: with views of at least 1 and at most as many clicks.
        prior_views: how many views the prior weighs.

    Raises:
        InputError: there are no clicks, or the prior's weight is not above 0.
    """
    if prior_views <= 0:
        raise InputError("--prior-views must be above 0")
    pairs = {key: n for n, key in enumerate(dict.fromkeys((s.query, s.doc_id) for s in shown))}
    places = {key: n for n, key in enumerate(sorted({s.position for s in shown}))}
    of_pair = np.array([pairs[s.query, s.doc_id] for s in shown], dtype=np.int64)
    of_place = np.array([places[s.position] for s in shown], dtype=np.int64)
    views = np.array([s.views for s in shown], dtype=np.float64)
    clicks = np.array([s.clicks for s in shown], dtype=np.float64)
    if not clicks.sum():
        raise InputError("nothing that was shown was clicked: there is nothing to learn from")
    data = _Data(of_pair, of_place, views, clicks)
    examined, attracted, mean, converged = _em(data, prior_views=prior_views)
    most = float(examined.max())
    several = _several_places(of_pair, of_place, pairs=len(pairs))
    return ClickModel(
        examination={place: float(examined[n]) / most for place, n in places.items()},
        attractiveness={key: float(attracted[n]) * most for key, n in pairs.items()},
        mean=mean * most,
        moved=len(several),
        groups=_groups(several, places=len(places)),
        converged=converged,
    )


@dataclass(frozen=True, slots=True)
class _Data:
    of_pair: _Ints
    of_place: _Ints
    views: _Floats
    clicks: _Floats

    def by_pair(self, values: _Floats) -> _Floats:
        return np.bincount(self.of_pair, weights=values).astype(np.float64)

    def by_place(self, values: _Floats) -> _Floats:
        return np.bincount(self.of_place, weights=values).astype(np.float64)


def _em(data: _Data, *, prior_views: float) -> tuple[_Floats, _Floats, float, bool]:
    """Return examination by place, attractiveness by pair, its mean, and if it came to rest."""
    of_pair, of_place, views, clicks = data.of_pair, data.of_place, data.views, data.clicks
    missed = views - clicks
    seen_at, seen_of, total = data.by_place(views), data.by_pair(views), views.sum()
    rates = (data.by_place(clicks) + 1) / (seen_at + 2)
    examined = rates / rates.max()
    mean = float(clicks.sum() / (views * examined[of_place]).sum())
    attracted = np.full(seen_of.shape, min(mean, 1 - _LEAST))
    for _ in range(_MOST_STEPS):
        looks, draws = examined[of_place], attracted[of_pair]
        not_clicked = np.maximum(1 - looks * draws, _LEAST)
        # A click means that both were so. Without one: what each was, given that not both were.
        drew = clicks + missed * draws * (1 - looks) / not_clicked
        looked = clicks + missed * looks * (1 - draws) / not_clicked
        mean = float(drew.sum() / total)
        new_attracted = (data.by_pair(drew) + prior_views * mean) / (seen_of + prior_views)
        new_examined = (data.by_place(looked) + 1) / (seen_at + 2)
        change = max(
            float(np.abs(new_attracted - attracted).max()),
            float(np.abs(new_examined - examined).max()),
        )
        examined, attracted = new_examined, new_attracted
        if change < _CLOSE:
            return examined, attracted, mean, True
    return examined, attracted, mean, False


def _several_places(of_pair: _Ints, of_place: _Ints, *, pairs: int) -> list[set[int]]:
    found: list[set[int]] = [set() for _ in range(pairs)]
    for pair, place in zip(of_pair.tolist(), of_place.tolist(), strict=True):
        found[pair].add(place)
    return [there for there in found if len(there) > 1]


def _groups(several: Sequence[set[int]], *, places: int) -> int:
    """Count the groups of places that documents moved between."""
    groups: list[set[int]] = [{place} for place in range(places)]
    for there in {frozenset(there) for there in several}:
        joined = [group for group in groups if group & there]
        groups = [group for group in groups if not group & there]
        groups.append(set().union(*joined))
    return len(groups)
