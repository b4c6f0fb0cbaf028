"""What the legs of an index found for each query, and what rerankers gave those candidates."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opensearch_funnel.core.errors import InputError, InvalidPlanError, InvalidRankingError
from opensearch_funnel.core.fusion import Version
from opensearch_funnel.core.leg_hit import LegHit, best_overall
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.core.stage import LegSearcher, PairScorer, SourceReader
from opensearch_funnel.core.text import encoded_text
from opensearch_funnel.evaluating.replaying.setting import Setting

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

UNKNOWN = -1
"""The document number of a candidate whose place in its shard is not known."""
_SEARCHED = ("alias", "text_fields", "slot", "depth", "matching", "sparse", "dense")
_TUNED = ("weight", "query_terms")
_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a record was made of: with any other of these, the legs would have said other things.

    Attributes:
        index: what tells the index from all others and from itself before a change.
        plan: what of the plan decides about what its legs find (``searched_by``).
        rerankers: the fingerprint of each reranker, by its name.
        queries: of ids and texts (``fingerprint_of``).
    """

    index: str
    plan: str
    rerankers: Mapping[str, str]
    queries: str

    @property
    def fingerprint(self) -> str:
        """All of it in 12 hex digits."""
        parts = [self.index, self.plan, sorted(self.rerankers.items()), self.queries]
        return _digest(parts)

    def differs_in(self, other: Origin) -> list[str]:
        """Name what is not the same in another one."""
        names = ("index", "plan", "rerankers", "queries")
        return [name for name in names if getattr(self, name) != getattr(other, name)]


def searched_by(plan: FunnelPlan) -> str:
    """Return the fingerprint of what decides about what a plan's legs find.

    No weight does, and how many terms a sparse query has is said by a record's columns.

    Example:
        >>> plan = FunnelPlan(alias="films")
        >>> searched_by(plan) == searched_by(FunnelPlan.from_dict(
        ...     {"alias": "films", "dense": {"weight": 9.0}, "fusion": {"technique": "rrf"}}))
        True
        >>> searched_by(plan) == searched_by(FunnelPlan(alias="films", depth=50))
        False
    """
    plain = plan.to_dict()
    kept = {name: plain[name] for name in _SEARCHED}
    # Of a sparse query the weights add up to 1 now: records with other scores are others.
    kept["query_weights"] = "shares"
    for leg in ("sparse", "dense"):
        kept[leg] = {k: v for k, v in kept[leg].items() if k not in _TUNED}
    return _digest(kept)


def fingerprint_of(queries: Sequence[Query]) -> str:
    """Return the fingerprint of queries: their ids and texts, in order."""
    return _digest([[query.query_id, query.text] for query in queries])


def _digest(content: Any) -> str:
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:_DIGITS]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedQuery:
    """The candidates of one query: everything that any leg found, each document once.

    Attributes:
        query: what was asked.
        doc_ids: of the candidates.
        shards: the shard of each candidate.
        numbers: its number inside the shard; ``UNKNOWN`` where that is not known.
        raw: each leg's raw score, ``(candidates, legs)``; 0 where the leg did not find it.
        scores: by reranker, the score that each candidate got; NaN for one that it was not
            asked about. Filled as rerankers are asked.
    """

    query: Query
    doc_ids: tuple[str, ...]
    shards: Integers
    numbers: Integers
    raw: Floats
    scores: dict[str, Floats] = field(default_factory=dict)

    def scores_of(self, model: str) -> Floats:
        """Return the scores of a reranker, by candidate; NaN where it was not asked."""
        if model not in self.scores:
            self.scores[model] = np.full(len(self.doc_ids), np.nan)
        return self.scores[model]

    def hits(self, *, leg: int, setting: Setting) -> list[LegHit]:
        """Return a leg's hits as they are fused: the best of every shard, or of all together.

        Args:
            leg: the leg's column.
            setting: says how deep the leg is, and who fuses.
        """
        found = [
            self._hit(place, leg=leg) for place in np.flatnonzero(self.raw[:, leg] > 0).tolist()
        ]
        depth = setting.depth
        if setting.fusion.by_service:
            return best_overall(found, depth=depth)
        found.sort(key=_best_of_shard)
        kept: list[LegHit] = []
        in_shard: dict[int, int] = {}
        for hit in found:
            in_shard[hit.shard] = in_shard.get(hit.shard, 0) + 1
            if in_shard[hit.shard] <= depth:
                kept.append(hit)
        return kept

    def _hit(self, place: int, *, leg: int) -> LegHit:
        number = int(self.numbers[place])
        return LegHit(
            doc_id=self.doc_ids[place],
            score=float(self.raw[place, leg]),
            shard=int(self.shards[place]),
            doc_number=None if number == UNKNOWN else number,
        )


def _best_of_shard(hit: LegHit) -> tuple[Any, ...]:
    return hit.shard, -np.float32(hit.score), *hit.tie


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What was found for a set of queries.

    Attributes:
        origin: what it was made of.
        legs: the name of each column (``Setting.columns``).
        depth: candidates that each leg was asked for, on each shard.
        version: of OpenSearch, which decides how legs are fused.
        queries: with their candidates.
        texts: what a reranker reads of a document, by its id; of those that were read so far.
    """

    origin: Origin
    legs: tuple[str, ...]
    depth: int
    version: Version
    queries: tuple[RecordedQuery, ...]
    texts: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ids = [recorded.query.query_id for recorded in self.queries]
        if len(set(ids)) != len(ids):
            raise InputError("two queries of a record have the same id")

    def columns(self, setting: Setting) -> list[int]:
        """Return the column of each leg of a setting.

        Raises:
            InvalidPlanError: a leg was not recorded, or not that deep.
        """
        missing = [column for column in setting.columns if column not in self.legs]
        if missing:
            raise InvalidPlanError(
                f"the record has {', '.join(self.legs)} and not {', '.join(missing)}: "
                "record again with it"
            )
        if setting.depth > self.depth:
            raise InvalidPlanError(
                f"the record is {self.depth} deep and the plan asks for {setting.depth}: record "
                "again with that depth"
            )
        return [self.legs.index(column) for column in setting.columns]


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstStage:
    """Legs that can be searched, and what they were opened for.

    Attributes:
        legs: where to search; ``depth`` hits of every column and shard.
        names: of the columns (``Setting.columns``), in the order of the plan.
        depth: candidates of each leg on each shard.
        version: of OpenSearch.
    """

    legs: LegSearcher
    names: Sequence[str]
    depth: int
    version: Version

    def record(
        self, queries: Sequence[Query], *, origin: Origin, progress: Progress = SILENT
    ) -> Record:
        """Search each query once with every leg, and keep what was found.

        Args:
            queries: each with an id of its own.
            origin: what the record is made of.
            progress: hears of each query.

        Raises:
            InputError: two queries have the same id.
            InvalidRankingError: a leg found a document twice, or gave it a score that is not
                finite.
        """
        found = []
        with progress.task("recording the legs", total=len(queries), unit="queries") as advance:
            for query in queries:
                found.append(recorded(query, self.legs.find(query), names=self.names))
                advance(1)
        return Record(
            origin=origin,
            legs=tuple(self.names),
            depth=self.depth,
            version=self.version,
            queries=tuple(found),
        )


def recorded(
    query: Query, found: Mapping[str, Sequence[LegHit]], *, names: Sequence[str]
) -> RecordedQuery:
    """Put what the legs found for one query in columns; what scores 0 or less is not found.

    Raises:
        InvalidRankingError: a leg found a document twice, or with a score that is not finite.
    """
    first: dict[str, LegHit] = {}
    for leg in names:
        hits = found.get(leg, ())
        if len({hit.doc_id for hit in hits}) != len(hits):
            raise InvalidRankingError(f"the {leg} leg has a document twice")
        if not all(isfinite(hit.score) for hit in hits):
            raise InvalidRankingError(f"the {leg} leg has a score that is not finite")
        for hit in hits:
            if hit.score > 0:
                first.setdefault(hit.doc_id, hit)
    place = {doc_id: number for number, doc_id in enumerate(first)}
    raw = np.zeros((len(first), len(names)))
    for column, leg in enumerate(names):
        for hit in found.get(leg, ()):
            if hit.score > 0:
                raw[place[hit.doc_id], column] = hit.score
    numbers = (UNKNOWN if hit.doc_number is None else hit.doc_number for hit in first.values())
    return RecordedQuery(
        query=query,
        doc_ids=tuple(first),
        shards=np.fromiter((hit.shard for hit in first.values()), np.int64, len(first)),
        numbers=np.fromiter(numbers, np.int64, len(first)),
        raw=raw,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Asks rerankers about candidates that a record has no score of, each pair once.

    Attributes:
        scorers: the rerankers by name.
        sources: where documents are whose text was not read yet.
        text_fields: the fields of a document that are read, most telling first.
    """

    scorers: Mapping[str, PairScorer]
    sources: SourceReader
    text_fields: Sequence[str]

    def fill(self, record: Record, number: int, *, model: str, places: Sequence[int]) -> None:
        """Score candidates of one query that have no score yet, and keep scores and texts.

        Args:
            record: where scores are kept.
            number: of the query.
            model: the reranker's name.
            places: of the candidates, in the query's ``doc_ids``.

        Raises:
            InputError: the reranker is not open, or a score of it is not finite.
            StageUnavailableError: the reranker did not answer.
        """
        asked = record.queries[number]
        known = asked.scores_of(model)
        new = [place for place in dict.fromkeys(places) if np.isnan(known[place])]
        if not new:
            return
        if model not in self.scorers:
            raise InputError(f"the record has no scores of {model}, and it is not open")
        texts = self.texts(record, number, places=new)
        scores = np.asarray(self.scorers[model].score(asked.query.text, texts), dtype=np.float64)
        if scores.shape != (len(new),) or not np.isfinite(scores).all():
            raise InputError(f"{model} did not give one finite score for each of {len(new)} texts")
        known[new] = scores

    def texts(self, record: Record, number: int, *, places: Sequence[int]) -> list[str]:
        """Return what a reranker reads of candidates of one query, and keep it.

        Args:
            record: where texts are kept.
            number: of the query.
            places: of the candidates, in the query's ``doc_ids``.
        """
        doc_ids = [record.queries[number].doc_ids[place] for place in places]
        unread = [doc_id for doc_id in doc_ids if doc_id not in record.texts]
        read = self.sources.read(unread) if unread else {}
        for doc_id in unread:
            # A document that is gone has no text: so does the funnel's own stage read it.
            record.texts[doc_id] = encoded_text(read.get(doc_id, {}), fields=self.text_fields)
        return [record.texts[doc_id] for doc_id in doc_ids]
