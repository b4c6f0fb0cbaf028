"""Many recorded queries under many settings at once: what ``replay`` does, in arrays.

A replay through the stages takes milliseconds a query; thousands of settings on thousands of
queries want less. The engine's arithmetic is that of ``core.normalization`` and
``core.combination``, called on many queries together; ties and reranking are done here again, in
arrays, and tests hold them to the stages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from opensearch_funnel.core.blending import HALF_AT
from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.fusion import fused, weights_used
from opensearch_funnel.core.leg_hit import LegHit
from opensearch_funnel.core.plan import Reranking
from opensearch_funnel.evaluating.replaying.pool import (
    Pool,
    Slots,
    combined,
    listing,
    pool,
    tie_ranks,
)
from opensearch_funnel.evaluating.replaying.record import Asker, Floats, Record
from opensearch_funnel.evaluating.replaying.replay import unscored
from opensearch_funnel.evaluating.replaying.setting import Setting

CUTOFF = 10
_CHUNK = 250
"""Queries that are replayed together: more would leave a processor's cache, and are slower."""

Mask = NDArray[np.bool_]


class Replays:
    """A record, made ready for many settings."""

    def __init__(
        self,
        record: Record,
        *,
        qrels: Mapping[str, Mapping[str, float]],
        cutoff: int = CUTOFF,
        ask: Asker | None = None,
    ) -> None:
        """Look at every candidate once.

        Args:
            record: what was found.
            qrels: the grade of each judged document, by query id; a document without one, and
                one with a grade below 0, gains nothing.
            cutoff: of the nDCG.
            ask: scores what the record has no score of; without it that is an error.

        Raises:
            InputError: a query of the record has no relevant document, so that its nDCG says
                nothing.
        """
        self._record = record
        self._cutoff = cutoff
        self._ask = ask
        self._discounts = 1.0 / np.log2(np.arange(2, cutoff + 2))
        self._ties = [tie_ranks(recorded) for recorded in record.queries]
        self._listings = [
            [listing(recorded, leg=leg, ties=ties) for leg in range(len(record.legs))]
            for recorded, ties in zip(record.queries, self._ties, strict=True)
        ]
        grades = [qrels.get(recorded.query.query_id, {}) for recorded in record.queries]
        self._gains = [
            np.array([max(known.get(doc_id, 0.0), 0.0) for doc_id in recorded.doc_ids])
            for recorded, known in zip(record.queries, grades, strict=True)
        ]
        self._ideals = np.array([self._ideal(known) for known in grades])
        if (self._ideals <= 0).any():
            nothing = record.queries[int(np.argmin(self._ideals))].query.query_id
            raise InputError(f"query {nothing!r} has no relevant document: leave it out")

    def __len__(self) -> int:
        return len(self._record.queries)

    def _ideal(self, grades: Mapping[str, float]) -> float:
        best = sorted((max(grade, 0.0) for grade in grades.values()), reverse=True)
        best = best[: self._cutoff]
        return float(np.dot(best, self._discounts[: len(best)]))

    def ndcg(self, settings: Sequence[Setting], *, queries: slice = slice(None)) -> Floats:
        """Return nDCG with linear gains, as trec_eval computes it, ``(settings, queries)``.

        Args:
            settings: what to try; those with the same legs and depth share most of the work.
            queries: which of the record's.

        Raises:
            InvalidPlanError: the record lacks a leg of a setting, or is not that deep, or its
                version of OpenSearch cannot fuse like this.
            InputError: a reranker's score is missing.
        """
        numbers = range(len(self))[queries]
        values = np.zeros((len(settings), len(numbers)))
        for first in range(0, len(numbers), _CHUNK):
            some = numbers[first : first + _CHUNK]
            gains = _padded([self._gains[number] for number in some])
            ideals = self._ideals[some.start : some.stop]
            for number, places, real in self._orders(settings, queries=some, most=self._cutoff):
                gained = np.where(real, np.take_along_axis(gains, places, axis=1), 0.0)
                found = gained @ self._discounts[: gained.shape[1]]
                values[number, first : first + len(some)] = found / ideals
        return values

    def orders(self, setting: Setting, *, most: int) -> list[tuple[str, ...]]:
        """Return the best documents of each query under one setting, best first."""
        [(_, places, real)] = self._orders([setting], queries=range(len(self)), most=most)
        return [
            tuple(recorded.doc_ids[place] for place in row[kept].tolist())
            for recorded, row, kept in zip(self._record.queries, places, real, strict=True)
        ]

    def _orders(
        self, settings: Sequence[Setting], *, queries: range, most: int
    ) -> Iterator[tuple[int, Slots, Mask]]:
        """Go through settings, those that share work one after another.

        Yields:
            The setting's number; the best candidates of each query, by their place in the
            recorded query; and which of these are real and not padding.
        """

        def work(number: int) -> tuple[tuple[object, ...], ...]:
            return _work(settings[number])

        version = self._record.version
        for _, alike in groupby(sorted(range(len(settings)), key=work), key=lambda n: work(n)[:1]):
            found: Pool | None = None
            hits: list[dict[str, list[LegHit]]] | None = None
            for _, scaled in groupby(alike, key=lambda n: work(n)[:2]):
                normalized = None
                for _, same in groupby(scaled, key=work):
                    numbers = list(same)
                    one = settings[numbers[0]]
                    _check_fusion(one, record=self._record)
                    if found is None:
                        found = self._found(one, queries=queries)
                    if normalized is None:
                        normalized = found.normalized(one.fusion, version=version)
                    weights = np.asarray(one.shares, dtype=np.float32)
                    if one.fusion.by_service:
                        # By what the legs found: the formula looks at one query after another.
                        hits = hits or self._hits(one, queries=queries)
                        weighed = (
                            weights_used(legs, weights=one.shares, fusion=one.fusion)
                            for legs in hits
                        )
                        weights = found.weights_of_rows(list(weighed))
                    scores = combined(normalized, weights=weights, fusion=one.fusion)
                    windows = [settings[n].rerank for n in numbers]
                    deepest = max([most, *(rerank.depth for rerank in windows if rerank)])
                    slots = found.best(scores, most=deepest)
                    real = slots < found.counts[:, None]
                    places = np.where(real, np.take_along_axis(found.places, slots, axis=1), 0)
                    for number, rerank in zip(numbers, windows, strict=True):
                        order = self._reranked(places, real, rerank, queries=queries)
                        yield number, order[:, :most], real[:, :most]

    def _hits(self, setting: Setting, *, queries: range) -> list[dict[str, list[LegHit]]]:
        """Return what each leg found for each query, as a live funnel gets it."""
        columns = dict(zip(setting.legs, self._record.columns(setting), strict=True))
        return [
            {leg: asked.hits(leg=column, setting=setting) for leg, column in columns.items()}
            for asked in self._record.queries[queries.start : queries.stop]
        ]

    def _found(self, setting: Setting, *, queries: range) -> Pool:
        columns = self._record.columns(setting)
        rows = slice(queries.start, queries.stop)
        return pool(
            self._record.queries[rows],
            listings=[[each[column] for column in columns] for each in self._listings[rows]],
            ties=self._ties[rows],
            depth=setting.depth,
            overall=setting.fusion.by_service,
        )

    def _reranked(
        self, places: Slots, real: Mask, rerank: Reranking | None, *, queries: range
    ) -> Slots:
        """Put the best of each row in the order that ``stages.rerank`` gives them."""
        if rerank is None:
            return places
        depth = min(rerank.depth, places.shape[1])
        if not depth:
            return places
        window, kept = places[:, :depth], real[:, :depth]
        scores = self._scores(rerank.models[0], window, kept, queries=queries)
        before = np.broadcast_to(np.arange(depth), window.shape)
        order = _blended_order([scores], before, kept, share=rerank.blend)
        ranked = places.copy()
        ranked[:, :depth] = np.take_along_axis(window, order, axis=1)
        if len(rerank.models) == 1:
            return ranked
        keep = min(rerank.keep, depth)
        window, kept, before = ranked[:, :keep].copy(), real[:, :keep], order[:, :keep]
        beside = np.take_along_axis(scores, before, axis=1)
        scores = self._scores(rerank.models[1], window, kept, queries=queries)
        order = _blended_order([scores, beside], before, kept, share=rerank.blend)
        ranked[:, :keep] = np.take_along_axis(window, order, axis=1)
        return ranked

    def _scores(self, model: str, places: Slots, real: Mask, *, queries: range) -> Floats:
        """Return what a reranker gave candidates, asking it where it was not asked yet."""
        scores = np.zeros(places.shape)
        for row, number in enumerate(queries):
            asked = self._record.queries[number]
            window = places[row, real[row]]
            known = asked.scores_of(model)
            lacking = np.isnan(known[window])
            if lacking.any():
                if self._ask is None:
                    raise unscored(model, asked.query, count=int(lacking.sum()))
                self._ask.fill(self._record, number, model=model, places=window.tolist())
            scores[row, real[row]] = known[window]
        return scores


def _blended_order(opinions: Sequence[Floats], before: Slots, real: Mask, *, share: float) -> Slots:
    """Return the order that ``core.blending.blended`` gives each row."""
    model = np.mean([_stretched(scores, real) for scores in opinions], axis=0)
    mixed = (1.0 - share) * model + share * (HALF_AT / (HALF_AT + before.astype(np.float64)))
    return np.argsort(np.where(real, -mixed, np.inf), axis=1, kind="stable")


def _stretched(scores: Floats, real: Mask) -> Floats:
    """Do with each row what ``core.blending.stretched`` does with one."""
    low = np.where(real, scores, np.inf).min(axis=1, keepdims=True)
    high = np.where(real, scores, -np.inf).max(axis=1, keepdims=True)
    spread = np.where(real, high - low, 0.0)
    shifted = np.where(real, scores - low, 0.0)
    return np.divide(shifted, spread, out=np.ones_like(scores), where=spread > 0)


def _check_fusion(setting: Setting, *, record: Record) -> None:
    """Raise what a live funnel would raise, at what no version or weight allows."""
    nothing: dict[str, Sequence[LegHit]] = dict.fromkeys(setting.legs, ())
    fused(nothing, weights=setting.shares, fusion=setting.fusion, version=record.version)


def _work(setting: Setting) -> tuple[tuple[object, ...], ...]:
    """Return what a setting takes to replay, in parts: what is dearest to do again first."""
    fusion = setting.fusion
    return (
        (setting.columns, setting.depth, fusion.by_service),
        (fusion.technique, fusion.rank_constant),
        (fusion.combination, fusion.full_match, setting.shares),
    )


def _padded(rows: Sequence[Floats]) -> Floats:
    wide = np.zeros((len(rows), max((len(row) for row in rows), default=0)))
    for number, row in enumerate(rows):
        wide[number, : len(row)] = row
    return wide
