"""One recorded query under one setting, through the stages that a live funnel runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.leg_hit import LegHit
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.ranking import Query, Ranking
from opensearch_funnel.core.stage import Stage
from opensearch_funnel.evaluating.replaying.record import Asker, Record
from opensearch_funnel.evaluating.replaying.setting import Setting
from opensearch_funnel.stages.fetch import Fetch
from opensearch_funnel.stages.fuse import Fuse
from opensearch_funnel.stages.rerank import cross_encoders
from opensearch_funnel.stages.retrieve import Retrieve

RETRIEVED, FUSED = "retrieve", "fuse"
_PLACE = "place"


def replayed(
    record: Record, number: int, setting: Setting, *, ask: Asker | None = None
) -> dict[str, Ranking]:
    """Run the stages of a setting over what was recorded for one query.

    The stages are the funnel's own (``stages``); only what they search, read and ask is the
    record. So the order is the one of a live run, to the last tie, as long as the legs find at
    a smaller depth what they found first at the recorded one. Exact searches do; an approximate
    vector search looks less far for fewer neighbours, and may miss one of them.

    Args:
        record: what was found.
        number: of the query in the record.
        setting: what to run.
        ask: scores what the record has no score of; without it that is an error.

    Returns:
        The ranking after each stage, by the stage's name, in their order.

    Raises:
        InvalidPlanError: the record lacks a leg of the setting, or is not that deep.
        InputError: a reranker's score is missing.
    """
    ranking = Ranking(record.queries[number].query)
    after: dict[str, Ranking] = {}
    for stage in _stages(record, number, setting, ask=ask):
        ranking = stage(ranking)
        after[stage.name] = ranking
    return after


def replayed_order(
    record: Record, number: int, setting: Setting, *, ask: Asker | None = None
) -> tuple[str, ...]:
    """Return the ids of one query's documents under a setting, best first; as ``replayed``."""
    *_, last = replayed(record, number, setting, ask=ask).values()
    return tuple(candidate.doc_id for candidate in last.candidates)


def _stages(
    record: Record, number: int, setting: Setting, *, ask: Asker | None
) -> tuple[Stage, ...]:
    columns = dict(zip(setting.legs, record.columns(setting), strict=True))
    found = _Found(record=record, number=number, columns=columns, setting=setting)
    stages: tuple[Stage, ...] = (
        Retrieve(found),
        Fuse(setting.legs, weights=setting.shares, fusion=setting.fusion, version=record.version),
    )
    if setting.rerank is None:
        return stages
    *first, last = (
        _Scores(record=record, number=number, model=model, ask=ask) for model in setting.models
    )
    models = PlanModels(reranker=last, first_reranker=first[0] if first else None)
    encoders = cross_encoders(setting.rerank, models=models, text_fields=(_PLACE,))
    places = _Places(record=record, number=number)
    return (*stages, Fetch(places, depth=setting.rerank.depth), *encoders)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """The legs as they were recorded for one query."""

    record: Record
    number: int
    columns: Mapping[str, int]
    setting: Setting

    def find(self, query: Query) -> dict[str, list[LegHit]]:
        del query
        asked = self.record.queries[self.number]
        return {
            leg: asked.hits(leg=column, setting=self.setting)
            for leg, column in self.columns.items()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Places:
    """Gives each document, in the place of its text, where it is in the record."""

    record: Record
    number: int

    def read(self, doc_ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        asked = self.record.queries[self.number]
        place = {doc_id: str(number) for number, doc_id in enumerate(asked.doc_ids)}
        return {doc_id: {_PLACE: place[doc_id]} for doc_id in doc_ids}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scores:
    """A reranker as it was recorded for one query."""

    record: Record
    number: int
    model: str
    ask: Asker | None

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        del query
        places = [int(text) for text in texts]
        if self.ask is not None:
            self.ask.fill(self.record, self.number, model=self.model, places=places)
        asked = self.record.queries[self.number]
        scores = asked.scores_of(self.model)[places]
        if np.isnan(scores).any():
            raise unscored(self.model, asked.query, count=int(np.isnan(scores).sum()))
        return [float(score) for score in scores]


def unscored(model: str, query: Query, *, count: int) -> InputError:
    """Return what is raised where a record lacks scores and nobody is there to be asked."""
    return InputError(
        f"the record has no score of {model} for {count} candidates of query "
        f"{query.query_id!r}: record again with this plan"
    )
