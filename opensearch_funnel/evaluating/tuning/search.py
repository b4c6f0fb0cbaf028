"""Find the best of many settings on known queries, and say whether it is better than before.

Successive halving (Karnin, Koren and Somekh, ICML 2013; Jamieson and Talwalkar, AISTATS 2016): all
settings are tried on some of the queries, the better third on three times as many, and so on.

What is best on a set of queries looks better there than it is. So the choice is made once more for
each fold, on the queries outside of it, and judged on those inside: no query takes part in the
choice that it judges. The gain found so is that of the whole procedure, not of one setting.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.evaluating.measures import bootstrap_interval
from opensearch_funnel.evaluating.replaying.record import Floats
from opensearch_funnel.evaluating.replaying.setting import Setting
from opensearch_funnel.evaluating.tuning.costs import Cost, pairs_of

Measured = Callable[[Sequence[Setting], slice], Floats]
"""Settings, and which of the queries → the value of each, ``(settings, queries)``."""

FEWEST_QUERIES = 20
_FEWEST_IN_A_RUNG = 100
_SHARE = 3
_EQUAL = 9
"""Digits that two means are compared by."""
AS_GOOD = 0.002
"""A setting that loses surely less than that is called as good."""
_ABOUT = 0.1
"""By how much costs differ that are called about the same."""
_STEP = 250
"""Queries after which progress is told."""

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One setting, and what it reached.

    Attributes:
        setting: what was tried.
        cost: of one query.
        queries: how many it was tried on; fewer than all where others were better.
        mean: over these.
        folds: the mean over these in each fold; ``None`` where none of them is in it.
    """

    setting: Setting
    cost: float
    queries: int
    mean: float
    folds: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What a search found.

    Attributes:
        trials: every setting, best first, those on all queries before the others.
        present: the one that is used now.
        best: the one with the best mean on all queries; of equal ones the simplest.
        chosen: the best of those that cost hardly more than the cheapest one that is not surely
            worse than ``best``.
        gain: the mean held-out gain over the present one.
        interval: its 95 % interval.
        limit: what a query may cost; ``None`` for no limit.
        front: of the settings tried on all queries those that no cheaper one reaches, cheapest
            first. Their means are those they were chosen by, and flatter them a little.
    """

    trials: tuple[Trial, ...]
    present: Trial
    best: Trial
    chosen: Trial
    gain: float
    interval: tuple[float, float]
    front: tuple[Trial, ...]
    limit: float | None = None

    @property
    def too_dear(self) -> bool:
        """Whether the present setting costs more than it may: it cannot stay."""
        return self.limit is not None and self.present.cost > self.limit

    @property
    def thrifty(self) -> bool:
        """Whether the chosen setting is clearly cheaper than the present one, and as good."""
        cheaper = self.chosen.cost < self.present.cost * (1.0 - _ABOUT)
        return cheaper and self.interval[0] > -AS_GOOD

    @property
    def proposed(self) -> Setting | None:
        """The setting to take; ``None`` where the present one stays."""
        taken = self.interval[0] > 0 or self.thrifty or self.too_dear
        other = self.chosen.setting != self.present.setting
        return self.chosen.setting if taken and other else None

    @property
    def verdict(self) -> str:
        """What is done, and why, in a few words."""
        if self.proposed is None:
            return "kept: nothing is surely better"
        if self.interval[0] > 0:
            return "tuned"
        if self.too_dear:
            return f"tuned: the plan took {self.present.cost:.0f} ms and may take {self.limit:g}"
        saved = 1.0 - self.chosen.cost / self.present.cost
        return f"tuned: as good, and {saved:.0%} faster"

    @property
    def evidence(self) -> str:
        """The verdict with its figures, in one line."""
        low, high = self.interval
        return (
            f"{self.verdict}; nDCG@10 {self.chosen.mean:.4f} of {len(self.trials)} plans (best "
            f"{self.best.mean:.4f}), before {self.present.mean:.4f}; held-out gain "
            f"{self.gain:+.4f} (95 % interval {low:+.4f} to {high:+.4f}) on "
            f"{self.present.queries} queries in {len(self.present.folds)} folds"
        )


def pairs_read(setting: Setting) -> float:
    """Return how many texts rerankers read: the cost where nothing was timed."""
    return float(sum(pairs_of(setting).values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to search.

    Attributes:
        folds: how many.
        cost: of one query under a setting.
        limit: settings that cost more are not tried; ``None`` for no limit.
        progress: hears of the queries that settings were tried on.
    """

    folds: int = 5
    cost: Cost = pairs_read
    limit: float | None = None
    progress: Progress = SILENT


def fold_of(query_id: str, *, folds: int) -> int:
    """Return the fold of a query, by its id alone: the same whatever queries are beside it.

    Not by the checksum that holds queries out of training (``core.held_out``): those that it
    holds out would all be in one fold.

    Example:
        >>> [fold_of(query_id, folds=5) for query_id in ("5", "6", "7")]
        [4, 0, 2]
    """
    return int.from_bytes(sha256(b"fold " + query_id.encode()).digest()[:4], "big") % folds


def shuffled(query_ids: Sequence[str], *, seed: int = 0) -> list[int]:
    """Return the places of queries in an order that the search may take them in.

    Args:
        query_ids: of all queries.
        seed: which order.
    """
    keys = [sha256(f"{seed} {query_id}".encode()).digest() for query_id in query_ids]
    return sorted(range(len(query_ids)), key=lambda place: (keys[place], query_ids[place]))


def check_enough(queries: int, *, folds: int) -> None:
    """Refuse what cannot be tuned on, before long work.

    Args:
        queries: how many there are.
        folds: how many.

    Raises:
        InputError: there are too few.
    """
    if queries < FEWEST_QUERIES or folds < 2:  # noqa: PLR2004 - one judges nothing
        raise InputError(
            f"{queries} queries in {folds} folds: tuning needs at least {FEWEST_QUERIES} queries "
            "in 2 folds"
        )


def tune(
    measured: Measured,
    *,
    query_ids: Sequence[str],
    settings: Sequence[Setting],
    present: Setting,
    options: Options,
) -> Tuning:
    """Search settings for one that is better than the present one.

    Args:
        measured: measures settings on some of the queries (``Replays.ndcg``).
        query_ids: of the queries, in an order without a pattern (``shuffled``): the first of
            them decide which settings are tried on all.
        settings: what to try.
        present: what is used now.
        options: folds and costs.

    Raises:
        InputError: there are too few queries or folds, or every setting costs too much.
    """
    check_enough(len(query_ids), folds=options.folds)
    tried = list(dict.fromkeys([present, *settings]))
    costs = np.array([options.cost(setting) for setting in tried])
    within = np.flatnonzero(costs <= (np.inf if options.limit is None else options.limit))
    if not len(within):
        raise InputError(
            f"every plan costs more than {options.limit:g}: the cheapest {costs.min():g}"
        )
    folds = np.array([fold_of(query_id, folds=options.folds) for query_id in query_ids])
    search = _Search(tried=tried, costs=costs, folds=folds)
    values = np.full((len(tried), len(query_ids)), np.nan)
    # The last choice is made on all queries, the others each without one fold.
    alive = [within] * (options.folds + 1)
    done = 0
    for size in _rungs(len(query_ids)):
        some = np.unique(np.concatenate([[0], *alive]))
        label = f"trying {len(some)} plans"
        with options.progress.task(label, total=size - done, unit="queries") as advance:
            for first in range(done, size, _STEP):
                rows = slice(first, min(first + _STEP, size))
                values[some, rows] = measured([tried[number] for number in some], rows)
                advance(rows.stop - rows.start)
        done = size
        if size < len(query_ids):
            alive = [search.halved(values, some, fold=fold) for fold, some in enumerate(alive)]
    return search.result(values, alive=alive, query_ids=query_ids, options=options)


def _rungs(queries: int) -> list[int]:
    """Return on how many queries settings are tried, one number after the other."""
    sizes = [queries]
    while sizes[-1] // _SHARE >= _FEWEST_IN_A_RUNG:
        sizes.append(sizes[-1] // _SHARE)
    return sizes[::-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """The settings of a search, and how they are told apart.

    Attributes:
        tried: the settings; the first is the present one.
        costs: of each.
        folds: the fold of each query.
    """

    tried: Sequence[Setting]
    costs: Floats
    folds: NDArray[np.int64]

    def halved(self, values: Floats, alive: Places, *, fold: int) -> Places:
        """Return the better third of settings, and those that no cheaper one reaches.

        Args:
            values: of each setting and query; NaN where it was not tried.
            alive: the settings to choose from.
            fold: whose queries take no part in the choice.
        """
        means = self._means(values, alive, fold=fold)
        ranked = self._ranked(alive, means)
        better = ranked[: -(-len(ranked) // _SHARE)]
        return np.unique([*better, *self._front(alive, means)])

    def result(
        self,
        values: Floats,
        *,
        alive: Sequence[Places],
        query_ids: Sequence[str],
        options: Options,
    ) -> Tuning:
        """Judge what was chosen, when the last settings were tried on all queries."""
        folds = options.folds
        gained = np.zeros(len(query_ids))
        for fold, some in enumerate(alive[:folds]):
            winner = self._chosen(values, some, fold=fold)
            inside = self.folds == fold
            gained[inside] = values[winner, inside] - values[0, inside]
        last = alive[folds]
        means = self._means(values, last, fold=folds)
        tried = [self._trial(values[number], number, folds=folds) for number in range(len(values))]
        ordered = sorted(
            (number for number in range(len(tried)) if tried[number].queries),
            key=lambda number: (-tried[number].queries, -tried[number].mean, number),
        )
        return Tuning(
            trials=tuple(tried[number] for number in ordered),
            present=tried[0],
            best=tried[self._ranked(last, means)[0]],
            chosen=tried[self._chosen(values, last, fold=folds)],
            gain=float(gained.mean()),
            interval=bootstrap_interval(dict(zip(query_ids, gained.tolist(), strict=True))),
            front=tuple(tried[number] for number in self._front(last, means)),
            limit=options.limit,
        )

    def _means(self, values: Floats, alive: Places, *, fold: int) -> Floats:
        """Return means over the queries tried so far that are not in a fold."""
        so_far = ~np.isnan(values[0]) & (self.folds != fold)
        means: Floats = values[np.ix_(alive, np.flatnonzero(so_far))].mean(axis=1)
        return means

    def _ranked(self, alive: Places, means: Floats) -> list[int]:
        """Return settings best first; of equal ones the simpler one, then the earlier."""
        keys = {
            number: (-round(mean, _EQUAL), *_complexity(self.tried[number]), number)
            for number, mean in zip(alive.tolist(), means.tolist(), strict=True)
        }
        return sorted(keys, key=keys.__getitem__)

    def _chosen(self, values: Floats, alive: Places, *, fold: int) -> int:
        """Return the cheapest setting that is not surely worse than the best one.

        The one-standard-error rule (Breiman and others, Classification and Regression Trees,
        1984), on the differences of each query. What a setting costs was timed and is not exact:
        of those that cost about as little the best is taken.
        """
        ranked = np.array(self._ranked(alive, self._means(values, alive, fold=fold)))
        rows = np.flatnonzero(~np.isnan(values[0]) & (self.folds != fold))
        behind = values[ranked[0], rows] - values[np.ix_(ranked, rows)]
        error = behind.std(axis=1, ddof=1) / np.sqrt(len(rows))
        costs = self.costs[ranked]
        as_good = np.round(behind.mean(axis=1) - error, _EQUAL) <= 0
        cheap = costs <= costs[as_good].min() * (1.0 + _ABOUT)
        return int(ranked[np.flatnonzero(as_good & cheap)[0]])

    def _front(self, alive: Places, means: Floats) -> list[int]:
        """Return the settings that are better than all cheaper ones, cheapest first."""
        mean = dict(zip(alive.tolist(), means.tolist(), strict=True))
        front: list[int] = []
        for number in sorted(self._ranked(alive, means), key=lambda number: self.costs[number]):
            if not front or round(mean[number], _EQUAL) > round(mean[front[-1]], _EQUAL):
                front.append(number)
        return front

    def _trial(self, values: Floats, number: int, *, folds: int) -> Trial:
        known = ~np.isnan(values)
        inside = [values[known & (self.folds == fold)] for fold in range(folds)]
        return Trial(
            setting=self.tried[number],
            cost=float(self.costs[number]),
            queries=int(known.sum()),
            mean=float(values[known].mean()) if known.any() else 0.0,
            folds=tuple(float(some.mean()) if len(some) else None for some in inside),
        )


def _complexity(setting: Setting) -> tuple[int, int, int]:
    """Say how much there is to a setting: rerankers, legs, weights that differ."""
    return len(setting.models), len(setting.legs), len(set(setting.weights))
