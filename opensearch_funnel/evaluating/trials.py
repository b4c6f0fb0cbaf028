"""Queries with known answers to decide on: judged ones, or probes made from the index itself."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.fusion import fused_ids
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.core.text import encoded_text
from opensearch_funnel.engine.leg_hits import EngineLegs, EngineSources, plain_query, shards_of
from opensearch_funnel.engine.queries import leg_queries, multi_match
from opensearch_funnel.engine.searching import NO_PIPELINE, hit_ids, search_fused, sources
from opensearch_funnel.evaluating.switch import Trial

TRIALS = 300
"""Queries that a decision is made on: more would take longer than it would tell."""

_SEED = 20
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_WORDS_OF_A_PROBE = (4, 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownQuery:
    """A query, and the grade of each document that is known for it."""

    text: str
    grades: Mapping[str, float]


def sampled(queries: Sequence[KnownQuery], *, count: int = TRIALS) -> list[KnownQuery]:
    """Pick some of the queries, always the same ones."""
    picked = random.Random(_SEED).sample(list(queries), k=min(count, len(queries)))  # noqa: S311
    return sorted(picked, key=lambda query: query.text)


def trials(
    client: OpenSearch,
    plan: FunnelPlan,
    queries: Sequence[KnownQuery],
    *,
    models: PlanModels,
    progress: Progress = SILENT,
) -> list[Trial]:
    """Search the fused candidates of each query, with the texts that a reranker would read.

    Args:
        client: the cluster.
        plan: the plan whose legs are searched; ``rerank.depth`` candidates are kept.
        queries: queries with known answers.
        models: the encoders of the plan's legs.
        progress: hears of each query.
    """
    best = _fused_here if plan.fusion.by_service else _fused_by_engine
    found: list[Trial] = []
    with progress.task("searching known queries", total=len(queries), unit="queries") as advance:
        for query in queries:
            candidates = best(client, plan, query.text, models=models)
            texts = [encoded_text(s, fields=plan.text_fields) for s in candidates.values()]
            found.append(
                Trial(
                    query=query.text,
                    grades=query.grades,
                    doc_ids=list(candidates),
                    texts=texts,
                )
            )
            advance(1)
    return found


def _fused_by_engine(
    client: OpenSearch, plan: FunnelPlan, text: str, *, models: PlanModels
) -> dict[str, Mapping[str, Any]]:
    """Return the best candidates and their texts as the engine fuses them."""
    lexical = multi_match(text, fields=plan.text_fields)
    response = search_fused(
        client,
        plan,
        legs=leg_queries(plan, text=text, bm25=lexical, models=models),
        size=plan.rerank.depth,
        source=list(plan.text_fields),
    )
    return dict(zip(hit_ids(response), sources(response), strict=True))


def _fused_here(
    client: OpenSearch, plan: FunnelPlan, text: str, *, models: PlanModels
) -> dict[str, Mapping[str, Any]]:
    """Return the same of a plan that the service fuses: the engine does not know its order."""
    shards = shards_of(client, plan.alias)
    legs = EngineLegs(
        client=client, plan=plan, models=models, shards=shards, lexical=plain_query(plan)
    )
    order = fused_ids(legs.find(Query(text=text)), weights=plan.weights, fusion=plan.fusion)
    documents = EngineSources(client=client, shards=shards, fields=plan.text_fields)
    return documents.read(order[: plan.rerank.depth])


def probes(client: OpenSearch, plan: FunnelPlan, *, count: int = TRIALS) -> list[KnownQuery]:
    """Make queries from an index's own documents: what a document says should find it.

    By turns the document's first text field (its title or name), and a sentence from its last
    one. Nobody judged them, and a searcher's words are rarely a document's own, so they are
    easier than real queries: a stage that gains nothing on them is not shown to help.

    Args:
        client: the cluster.
        plan: names the index and the text fields.
        count: how many documents to draw, always the same ones.
    """
    made = (
        (str(hit["_id"]), probe_text(hit.get("_source") or {}, plan=plan, turn=turn))
        for turn, hit in enumerate(drawn(client, plan, count=count))
    )
    return [KnownQuery(text=text, grades={doc_id: 1.0}) for doc_id, text in made if text]


def drawn(
    client: OpenSearch,
    plan: FunnelPlan,
    *,
    count: int,
    among: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Draw documents of a plan's index, always the same ones while it does not change.

    Args:
        client: the cluster.
        plan: names the index, and the fields that are read.
        count: how many.
        among: a query that they match; by default all documents.

    Returns:
        The engine's hits, with the plan's text fields.
    """
    body = {
        "size": count,
        "_source": list(plan.text_fields),
        "query": {
            "function_score": {
                "query": dict(among or {"match_all": {}}),
                "random_score": {"seed": _SEED, "field": "_seq_no"},
            }
        },
    }
    answer = client.search(index=plan.alias, body=body, params={"search_pipeline": NO_PIPELINE})
    hits: list[dict[str, Any]] = answer["hits"]["hits"]
    return hits


def probe_text(source: Mapping[str, Any], *, plan: FunnelPlan, turn: int) -> str:
    """Return a query that a document should answer; empty where it has no fitting words.

    Args:
        source: the document's fields.
        plan: names the text fields.
        turn: even for the first field, odd for a sentence of the last one.

    Example:
        >>> film = {"title": "Heat", "text": "A thief plans one more job. He fails."}
        >>> [probe_text(film, plan=FunnelPlan(alias="films"), turn=turn) for turn in (0, 1)]
        ['Heat', 'A thief plans one more job.']
    """
    name = encoded_text(source, fields=plan.text_fields[:1])
    if turn % 2 == 0:
        return name
    least, most = _WORDS_OF_A_PROBE
    sentences = _SENTENCE.split(encoded_text(source, fields=plan.text_fields[-1:]))
    fitting = [s for s in sentences if least <= len(s.split()) <= most]
    return fitting[turn % len(fitting)] if fitting else name
