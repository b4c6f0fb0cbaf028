"""Record the first stage of a data set's index, so that plans can be tried without searching."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from opensearchpy import OpenSearch

from opensearch_funnel.build.evaluation import Bench, as_measured
from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.leg_hit import LegHit
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.core.stage import PairScorer
from opensearch_funnel.encoders.manifest_files import load_manifest
from opensearch_funnel.engine.applying import bound_plan
from opensearch_funnel.engine.indices import index_uuid
from opensearch_funnel.engine.leg_hits import (
    EngineLegs,
    EngineSources,
    Shard,
    engine_version,
    plain_query,
    shards_of,
)
from opensearch_funnel.evaluating.datasets import Dataset
from opensearch_funnel.evaluating.replaying.record import (
    Asker,
    FirstStage,
    Origin,
    Record,
    fingerprint_of,
    searched_by,
)
from opensearch_funnel.evaluating.replaying.record_file import load_record, save_record
from opensearch_funnel.evaluating.replaying.setting import column_of

_FOLDER = "records"
_KEPT = 20
"""Records that are kept: those of an index that is gone would stay for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSet:
    """What the legs found for a data set's queries, and whom to ask for more.

    Attributes:
        plan: bound to the index, with all legs.
        models: the encoders of the legs.
        record: what was found.
        ask: scores candidates that have no score yet.
    """

    plan: FunnelPlan
    models: PlanModels
    record: Record
    ask: Asker


@contextmanager
def recorded_set(  # noqa: PLR0913 - what a record is made of
    bench: Bench,
    dataset: Dataset,
    plan: FunnelPlan,
    *,
    queries: Sequence[Query],
    query_terms: Sequence[int] = (),
    rerankers: Sequence[str] = (),
) -> Iterator[RecordedSet]:
    """Record queries once, and keep the record in the cache folder for the next time.

    Scores that rerankers gave until then are kept when this is interrupted, too.

    Args:
        bench: where the index is.
        dataset: whose corpus is searched.
        plan: what is searched; a leg of weight 0 is recorded, too.
        queries: what is asked.
        query_terms: record the sparse leg with these numbers of query terms, too.
        rerankers: the models that may be asked for scores.

    Raises:
        InputError: there is no query, or no such reranker.
        ModelError: a model's files cannot be had.
    """
    if not queries:
        raise InputError(f"{dataset.name}/{dataset.split} has no query to record")
    whole = plan.with_every_leg()
    models = bench.open_encoders(whole)
    index = bench.encoded_index(dataset, whole, models=models).name
    bound = bound_plan(bench.client, as_measured(whole, index=index))
    shards = shards_of(bench.client, index)
    columns = _Columns.of(
        bench.client, bound, models=models, shards=shards, query_terms=query_terms
    )
    stage = FirstStage(
        legs=columns,
        names=columns.names,
        depth=bound.depth,
        version=engine_version(bench.client),
    )
    origin = Origin(
        index=f"{index} {index_uuid(bench.client, index=index)}",
        plan=searched_by(bound),
        rerankers={name: load_manifest(name).fingerprint() for name in rerankers},
        queries=fingerprint_of(queries),
    )
    path = _path(bench.settings.home, index=index, origin=origin, names=columns.names)
    record = (
        load_record(path, origin=origin)
        if path.is_file()
        else stage.record(queries, origin=origin, progress=bench.progress)
    )
    ask = Asker(
        scorers={name: _opened(bench, name) for name in rerankers},
        sources=EngineSources(client=bench.client, shards=shards, fields=bound.text_fields),
        text_fields=bound.text_fields,
    )
    before = _scored(record) if path.is_file() else -1
    try:
        yield RecordedSet(plan=bound, models=models, record=record, ask=ask)
    finally:
        if _scored(record) != before:
            save_record(record, path)
            _forget_oldest(path.parent)


def _opened(bench: Bench, name: str) -> PairScorer:
    from opensearch_funnel.encoders.opening import open_cross_encoder

    return open_cross_encoder(name, threads=bench.settings.threads, progress=bench.progress)


def _scored(record: Record) -> int:
    """Count the candidates that rerankers gave a score."""
    scores = (each for recorded in record.queries for each in recorded.scores.values())
    return sum(int((each == each).sum()) for each in scores)  # noqa: PLR0124 - NaN is not itself


def _path(home: Path, *, index: str, origin: Origin, names: Sequence[str]) -> Path:
    columns = sha256(",".join(names).encode()).hexdigest()[:4]
    return home / _FOLDER / f"{index}-{origin.fingerprint}-{columns}.npz"


def _forget_oldest(folder: Path) -> None:
    """Remove the records that were written longest ago; another process may do so, too."""
    written = sorted(folder.glob("*.npz"), key=_written_at, reverse=True)
    for path in written[_KEPT:]:
        path.unlink(missing_ok=True)


def _written_at(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """The legs of a plan, the sparse one with several numbers of query terms."""

    legs: EngineLegs
    pruned: Mapping[str, EngineLegs]

    @classmethod
    def of(
        cls,
        client: OpenSearch,
        plan: FunnelPlan,
        *,
        models: PlanModels,
        shards: Sequence[Shard],
        query_terms: Sequence[int],
    ) -> _Columns:
        legs = EngineLegs(
            client=client, plan=plan, models=models, shards=shards, lexical=plain_query(plan)
        )
        alone = plan.with_legs("sparse")
        pruned = {
            column_of("sparse", query_terms=terms): replace(
                legs, plan=replace(alone, sparse=replace(alone.sparse, query_terms=terms))
            )
            for terms in dict.fromkeys(query_terms)
            if terms != plan.sparse.query_terms
        }
        return cls(legs=legs, pruned=pruned)

    @property
    def names(self) -> tuple[str, ...]:
        plan = self.legs.plan
        terms = plan.sparse.query_terms
        whole = (column_of(leg, query_terms=terms) for leg in plan.active_legs)
        return (*whole, *self.pruned)

    def find(self, query: Query) -> dict[str, list[LegHit]]:
        terms = self.legs.plan.sparse.query_terms
        # What is recorded is replayed in every way of fusing.
        found = self.legs.find_on_shards(query)
        columns = {column_of(leg, query_terms=terms): hits for leg, hits in found.items()}
        return columns | {
            name: legs.find_on_shards(query)["sparse"] for name, legs in self.pruned.items()
        }
