"""Where nDCG is lost: between the ideal order and the answer, stage by stage.

A ceiling analysis: the stages are replaced by perfect ones, from the last to the first, and what
that wins is due to the stage that was replaced. For one query, with nDCG@k (Järvelin and
Kekäläinen, ACM TOIS 2002; linear gains, as trec_eval), these are the points:

1. ``1``: the ideal order of all that was judged;
2. the best order of everything that any leg retrieved within the depth;
3. the best order of the fused window, the rest behind it as it was fused;
4. the fused order as it is;
5. the order after each reranker in turn;
6. the answer, where later stages (a policy) changed it.

Each part is the difference of two neighbours, so all parts add up to ``1 - nDCG``. The first
three are never below 0: each bound is the best over a set of orders that holds the next one. What
a reranker or a policy lost is below 0 where it won something back.

Limits. The parts depend on the order in which stages are replaced: a document that no leg
retrieved is charged to retrieval, though fusion might have lost it, too. A bound is what a stage
that knows the judgments would reach, which no stage does. A document that nobody judged counts as
not relevant, so a loss may be one of judging: ``judged`` says how much of the answer was looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from opensearch_funnel.core.progress import Advance
from opensearch_funnel.core.ranking import Ranking
from opensearch_funnel.evaluating.measures import bootstrap_interval, mean
from opensearch_funnel.evaluating.replaying.many import Replays
from opensearch_funnel.evaluating.replaying.record import (
    Asker,
    Floats,
    Record,
    RecordedQuery,
)
from opensearch_funnel.evaluating.replaying.replay import FUSED, RETRIEVED, replayed
from opensearch_funnel.evaluating.replaying.setting import Setting
from opensearch_funnel.evaluating.switch import CUTOFF, ndcg
from opensearch_funnel.stages.rerank import FIRST, LAST

RETRIEVAL, WINDOW, ORDER, LATER = "retrieval", "fusion: window", "fusion: order", "later stages"
"""The parts of the stages before and behind the rerankers, which have their stages' names."""
_RERANKERS = (FIRST, LAST)
_DIGITS = 6

Grades = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Where one query's nDCG was lost.

    Attributes:
        ndcg: of the answer.
        parts: what each stage lost, in their order; they add up to ``1 - ndcg``.
        reachable: by reranker, the best order of what it was given to reorder: what it left
            undone is that minus what it made.
        judged: the share of the answer's first documents that somebody judged; 1 for no answer.
    """

    ndcg: float
    parts: Mapping[str, float]
    reachable: Mapping[str, float]
    judged: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LegWorth:
    """What one leg is worth, in mean nDCG of the fused order; nothing is reranked.

    Attributes:
        alone: the order of this leg alone.
        without: the fused order of the others; 0 where there is none.
        worth: what all legs reach more than the others do; below 0 for one that harms.
        retrieves: the best order of what it retrieved, alone.
        only: how much lower the best order of everything retrieved would be without it.
    """

    alone: float
    without: float
    worth: float
    retrieves: float
    only: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """Where nDCG is lost over all queries of a record.

    Attributes:
        cutoff: of the nDCG.
        losses: by query id, of those with a relevant document.
        skipped: the ids of the others: with nothing to find, nothing is lost.
        legs: what each leg is worth.
    """

    cutoff: int
    losses: Mapping[str, Loss]
    skipped: tuple[str, ...]
    legs: Mapping[str, LegWorth]

    @property
    def ndcg(self) -> float:
        """The mean over queries."""
        return mean({query_id: loss.ndcg for query_id, loss in self.losses.items()})

    @property
    def judged(self) -> float:
        """The share of the first documents that somebody judged, as a mean over queries."""
        return mean({query_id: loss.judged for query_id, loss in self.losses.items()})

    @property
    def parts(self) -> dict[str, float]:
        """The mean of each part; they add up to 1 minus the mean nDCG."""
        return {name: mean(values) for name, values in self._by_part().items()}

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Return the 95 % interval of each part: other such queries are drawn."""
        return {name: bootstrap_interval(values) for name, values in self._by_part().items()}

    def worst(self, part: str, *, most: int) -> list[tuple[str, float]]:
        """Return the queries that lost most in a part, and how much, the worst first.

        Args:
            part: its name.
            most: how many; fewer where fewer lost anything.
        """
        lost = {query_id: loss.parts[part] for query_id, loss in self.losses.items()}
        ranked = sorted(lost.items(), key=lambda item: (-item[1], item[0]))
        return [(query_id, value) for query_id, value in ranked[:most] if value > 0]

    def _by_part(self) -> dict[str, dict[str, float]]:
        names = dict.fromkeys(name for loss in self.losses.values() for name in loss.parts)
        return {
            name: {query_id: loss.parts[name] for query_id, loss in self.losses.items()}
            for name in names
        }

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON types, rounded."""
        intervals = self.intervals()
        return {
            "measure": f"nDCG@{self.cutoff}",
            "queries": len(self.losses),
            "skipped": list(self.skipped),
            "ndcg": round(self.ndcg, _DIGITS),
            "judged": round(self.judged, _DIGITS),
            "lost": {
                name: {
                    "mean": round(value, _DIGITS),
                    "interval": [round(end, _DIGITS) for end in intervals[name]],
                }
                for name, value in self.parts.items()
            },
            "legs": {
                leg: {
                    "alone": round(worth.alone, _DIGITS),
                    "without": round(worth.without, _DIGITS),
                    "worth": round(worth.worth, _DIGITS),
                    "retrieves": round(worth.retrieves, _DIGITS),
                    "only": round(worth.only, _DIGITS),
                }
                for leg, worth in self.legs.items()
            },
        }


def attribute(  # noqa: PLR0913 - what is looked at
    record: Record,
    setting: Setting,
    *,
    qrels: Mapping[str, Grades],
    own: Mapping[str, Setting] | None = None,
    answers: Mapping[str, Sequence[str]] | None = None,
    ask: Asker | None = None,
    advance: Advance = lambda _: None,
) -> Attribution:
    """Say where nDCG@10 is lost on the queries of a record.

    Args:
        record: what the legs found.
        setting: how that is fused and reranked.
        qrels: the grade of each judged document, by query id; what is not judged, or below 0,
            gains nothing.
        own: by query id, what queries have that are fused otherwise, by the same legs.
        answers: what came out of later stages, by query id; without an entry nothing followed.
        ask: scores what the record has no score of; without it that is an error.
        advance: hears of each query.

    Raises:
        InvalidPlanError: the record lacks a leg of the setting, or is not that deep.
        InputError: a reranker's score is missing.
    """
    losses: dict[str, Loss] = {}
    skipped: list[str] = []
    judged: dict[Setting, list[RecordedQuery]] = {}
    for number, recorded in enumerate(record.queries):
        query_id = recorded.query.query_id
        advance(1)
        grades = qrels.get(query_id, {})
        if max(grades.values(), default=0.0) <= 0:
            skipped.append(query_id)
            continue
        its = (own or {}).get(query_id, setting)
        after = replayed(record, number, its, ask=ask)
        final = (answers or {}).get(query_id)
        losses[query_id] = loss_of(after, its, grades=grades, final=final)
        judged.setdefault(its, []).append(recorded)
    parts = [(replace(record, queries=tuple(queries)), its) for its, queries in judged.items()]
    worths = _worths(parts, legs=setting.legs, qrels=qrels) if judged else {}
    return Attribution(cutoff=CUTOFF, losses=losses, skipped=tuple(skipped), legs=worths)


def loss_of(
    after: Mapping[str, Ranking],
    setting: Setting,
    *,
    grades: Grades,
    final: Sequence[str] | None = None,
) -> Loss:
    """Split what one query lost; the chain is the module's.

    Args:
        after: the ranking after each stage, as ``replayed`` returns it.
        setting: how many hits rerankers may reorder.
        grades: of judged documents; one of them above 0.
        final: the answer after later stages; ``None`` where nothing followed.
    """
    fused = _ids(after[FUSED])
    rerank = setting.rerank
    window = rerank.depth if rerank else CUTOFF
    points = {
        RETRIEVAL: _best(_ids(after[RETRIEVED]), grades=grades),
        WINDOW: _best(fused, grades=grades, window=window),
        ORDER: ndcg(fused, grades, k=CUTOFF),
    }
    reachable: dict[str, float] = {}
    answer = fused
    for name in (name for name in _RERANKERS if name in after and rerank):
        size = rerank.keep if rerank and FIRST in after and name == LAST else window
        reachable[name] = _best(answer, grades=grades, window=size)
        answer = _ids(after[name])
        points[name] = ndcg(answer, grades, k=CUTOFF)
    if final is not None:
        answer = tuple(final)
        points[LATER] = ndcg(answer, grades, k=CUTOFF)
    parts: dict[str, float] = {}
    before = 1.0
    for name, reached in points.items():
        parts[name] = before - reached
        before = reached
    top = answer[:CUTOFF]
    known = sum(doc_id in grades for doc_id in top) / len(top) if top else 1.0
    return Loss(ndcg=before, parts=parts, reachable=reachable, judged=known)


def _ids(ranking: Ranking) -> tuple[str, ...]:
    return tuple(candidate.doc_id for candidate in ranking.candidates)


def _best(doc_ids: Sequence[str], *, grades: Grades, window: int | None = None) -> float:
    """Return the nDCG of the best order of the first documents, the others behind them."""
    first = sorted(doc_ids[:window], key=lambda doc_id: -max(grades.get(doc_id, 0.0), 0.0))
    rest = () if window is None else doc_ids[window:]
    return ndcg((*first, *rest), grades, k=CUTOFF)


def _worths(
    parts: Sequence[tuple[Record, Setting]],
    *,
    legs: tuple[str, ...],
    qrels: Mapping[str, Grades],
) -> dict[str, LegWorth]:
    """Compare each leg with the others and with all of them; every query has an answer.

    Args:
        parts: records, each with what its queries are fused by.
        legs: of all of them.
        qrels: the grades.
    """
    rests = {leg: tuple(other for other in legs if other != leg) for leg in legs}
    subsets = list(dict.fromkeys([legs, *((leg,) for leg in legs), *filter(None, rests.values())]))
    reached, best = [], []
    for record, setting in parts:
        whole = replace(setting, rerank=None)
        settings = [whole.with_legs(*subset) for subset in subsets]
        reached.append(Replays(record, qrels=qrels, cutoff=CUTOFF).ndcg(settings))
        best.append(_bounds(record, setting, subsets=subsets, qrels=qrels))
    ndcgs = {(): 0.0, **_means(subsets, reached)}
    bounds = {(): 0.0, **_means(subsets, best)}
    return {
        leg: LegWorth(
            alone=ndcgs[(leg,)],
            without=ndcgs[rests[leg]],
            worth=ndcgs[legs] - ndcgs[rests[leg]],
            retrieves=bounds[(leg,)],
            only=bounds[legs] - bounds[rests[leg]],
        )
        for leg in legs
    }


def _means(
    subsets: Sequence[tuple[str, ...]], values: Sequence[Floats]
) -> dict[tuple[str, ...], float]:
    """Return the mean over all queries of each row of several ``(subsets, queries)``."""
    means = np.concatenate(values, axis=1).mean(axis=1).tolist()
    return dict(zip(subsets, means, strict=True))


def _bounds(
    record: Record,
    setting: Setting,
    *,
    subsets: Sequence[tuple[str, ...]],
    qrels: Mapping[str, Grades],
) -> Floats:
    """Return the nDCG of the best order of what some legs retrieved together, by query."""
    columns = dict(zip(setting.legs, record.columns(setting), strict=True))
    best = np.zeros((len(subsets), len(record.queries)))
    for number, recorded in enumerate(record.queries):
        found = {
            leg: {hit.doc_id for hit in recorded.hits(leg=column, setting=setting)}
            for leg, column in columns.items()
        }
        for row, subset in enumerate(subsets):
            together = set().union(*(found[leg] for leg in subset))
            best[row, number] = _best(sorted(together), grades=qrels[recorded.query.query_id])
    return best
