"""Draw the queries of an evaluation set from a log: frequent and rare ones, easy and hard ones."""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.evaluating.formats.model import RankedRun
from opensearch_funnel.evaluating.query_log import LoggedQuery

Band = Literal["head", "torso", "tail"]
BANDS: tuple[Band, ...] = get_args(Band)
Difficulty = Literal["easy", "hard", "unknown"]
_DIFFICULTIES: tuple[Difficulty, ...] = get_args(Difficulty)
_TOP = 100

Stratum = tuple[Band, Difficulty]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledQuery:
    """A query that was drawn, and of what kind it is."""

    query: LoggedQuery
    band: Band
    difficulty: Difficulty


@dataclass(frozen=True, slots=True, kw_only=True)
class StratumFigures:
    """One part of a log.

    Attributes:
        band: how frequent its queries are.
        difficulty: how hard.
        queries: how many different ones the log has.
        searches: how often they were asked.
        drawn: how many are in the sample.
    """

    band: Band
    difficulty: Difficulty
    queries: int
    searches: int
    drawn: int


@dataclass(frozen=True, slots=True)
class QuerySample:
    """The drawn queries, most frequent first, and the parts that they were drawn from."""

    queries: tuple[SampledQuery, ...]
    strata: tuple[StratumFigures, ...]


def bands(queries: Sequence[LoggedQuery]) -> list[Band]:
    """Cut a log into three parts that were asked equally often.

    Few queries make the first third of all searches (the head), many the last (the tail).

    Args:
        queries: most frequent first.

    Example:
        >>> bands([LoggedQuery("a", 3), LoggedQuery("b", 2), LoggedQuery("c", 1),
        ...        LoggedQuery("d", 1), LoggedQuery("e", 1), LoggedQuery("f", 1)])
        ['head', 'torso', 'torso', 'tail', 'tail', 'tail']
    """
    total = max(1, sum(query.count for query in queries))
    found: list[Band] = []
    before = 0
    for query in queries:
        found.append(BANDS[min(before * len(BANDS) // total, len(BANDS) - 1)])
        before += query.count
    return found


def ranking_spread(scores: Sequence[float]) -> float:
    """Return how far the best scores of a ranking lie apart, compared with their mean.

    A ranking whose best documents stand out is likely to be good: the idea of normalized query
    commitment (Shtok et al., "Predicting query performance by query-drift estimation", 2012),
    with the mean of the scores in the place of the score of the whole corpus. It is a guess
    without judgments, no measure. 0 for fewer than two documents.

    Args:
        scores: best first.

    Example:
        >>> ranking_spread([3.0, 1.0]), ranking_spread([2.0, 2.0]), ranking_spread([])
        (0.5, 0.0, 0.0)
    """
    top = scores[:_TOP]
    mean = abs(statistics.fmean(top)) if top else 0.0
    return statistics.pstdev(top) / mean if mean else 0.0


def spreads(run: RankedRun, texts: Mapping[str, str]) -> dict[str, float]:
    """Return the spread of each query's ranking.

    Args:
        run: what a system returned.
        texts: query id → text.

    Returns:
        By text; one that found nothing has 0.
    """
    return {
        text: ranking_spread([d.score for d in run.rankings.get(query_id, ())])
        for query_id, text in texts.items()
    }


def sample_queries(
    queries: Sequence[LoggedQuery],
    *,
    size: int,
    seed: int = 0,
    spread: Mapping[str, float] | None = None,
) -> QuerySample:
    """Draw queries, as many of each stratum as there can be.

    The strata are head, torso and tail, each in halves by difficulty where spreads are given: a
    query is hard where its spread is below the median of its band. A stratum that has too few
    gives its share to the others. Within a stratum every query is as likely as any other.

    Args:
        queries: most frequent first.
        size: how many to draw; all of them where the log has fewer.
        seed: the same one draws the same queries.
        spread: of the rankings, by the query's text.

    Raises:
        InputError: the size is below 1.
    """
    if size < 1:
        raise InputError("--size must be at least 1")
    strata: dict[Stratum, list[LoggedQuery]] = {}
    for query, stratum in zip(queries, _strata(queries, spread), strict=True):
        strata.setdefault(stratum, []).append(query)
    ordered = sorted(strata, key=lambda s: (BANDS.index(s[0]), _DIFFICULTIES.index(s[1])))
    shares = _shares([len(strata[stratum]) for stratum in ordered], size=size)
    rng = random.Random(seed)  # noqa: S311 - not for secrets
    drawn: list[SampledQuery] = []
    figures: list[StratumFigures] = []
    for (band, difficulty), share in zip(ordered, shares, strict=True):
        there = strata[band, difficulty]
        drawn += [
            SampledQuery(query=query, band=band, difficulty=difficulty)
            for query in rng.sample(there, share)
        ]
        figures.append(
            StratumFigures(
                band=band,
                difficulty=difficulty,
                queries=len(there),
                searches=sum(query.count for query in there),
                drawn=share,
            )
        )
    drawn.sort(key=lambda found: (-found.query.count, found.query.text))
    return QuerySample(tuple(drawn), tuple(figures))


def _strata(queries: Sequence[LoggedQuery], spread: Mapping[str, float] | None) -> list[Stratum]:
    of_band = bands(queries)
    if spread is None:
        return [(band, "unknown") for band in of_band]
    medians = {
        band: statistics.median(known)
        for band in BANDS
        if (
            known := [
                spread[query.text]
                for query, own in zip(queries, of_band, strict=True)
                if own == band and query.text in spread
            ]
        )
    }
    return [
        (band, _difficulty(spread.get(query.text), medians.get(band, 0.0)))
        for query, band in zip(queries, of_band, strict=True)
    ]


def _difficulty(spread: float | None, median: float) -> Difficulty:
    if spread is None:
        return "unknown"
    return "hard" if spread < median else "easy"


def _shares(sizes: Sequence[int], *, size: int) -> list[int]:
    """Deal one place after the other to the strata in turn, until none is left."""
    shares = [0] * len(sizes)
    left = min(size, sum(sizes))
    while left:
        for place, there in enumerate(sizes):
            if left and shares[place] < there:
                shares[place] += 1
                left -= 1
    return shares
