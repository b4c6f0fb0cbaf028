"""A small index of words, encoded by stand-ins, and a service for it: what engine tests share."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import Deadlines, FunnelPlan
from opensearch_funnel.core.text import encoded_text, text_hash
from opensearch_funnel.engine import state
from opensearch_funnel.engine.applying import apply_pipeline, bound_plan, remove_pipeline
from opensearch_funnel.engine.indices import EncodedBy, Slot, index_body
from opensearch_funnel.service.app import create_app
from opensearch_funnel.service.plans import LoadedPlans
from opensearch_funnel.service.texts import IndexTexts
from opensearch_funnel.testing import OverlapScorer, WordVector, WordWeights, served

SPARSE, DENSE = WordWeights(), WordVector()
MODELS = PlanModels(sparse=SPARSE, dense=DENSE, reranker=OverlapScorer())
COLOURS = ("red", "blue", "green", "grey")
DOCUMENTS = 90


def document(number: int) -> dict[str, Any]:
    words = [COLOURS[number % 4], "fox" if number % 3 else "hound", f"n{number}", f"m{number % 7}"]
    source = {
        "title": "",
        "text": " ".join(words * (1 + number % 3)),
        "number": number,
        "day": f"2026-0{1 + number % 3}-{1 + number % 28:02}",
        "colour": COLOURS[number % 4],
    }
    return encoded(source, doc_id=f"d{number}")


def encoded(source: Mapping[str, Any], *, doc_id: str, dense: WordVector = DENSE) -> dict[str, Any]:
    """Return a document with its funnel fields, as the stand-ins fill them."""
    text = encoded_text(source, fields=["title", "text"])
    return {
        **source,
        "funnel": {
            "id": doc_id,
            "hash": text_hash(text),
            "state": "ready",
            "sparse_a": SPARSE.encode_query(text),
            "dense_a": dense.encode_query(text).tolist(),
        },
    }


def stand_in_slot(dense: WordVector = DENSE) -> Slot:
    """Return the slot that the stand-ins filled."""
    return Slot(
        sparse=EncodedBy(model="splade-tiny", fingerprint=SPARSE.fingerprint),
        dense=EncodedBy(model="bge-small-en-v1.5", fingerprint=dense.fingerprint),
        dimension=dense.dimension,
    )


def fill_index(
    client: OpenSearch,
    name: str,
    sources: Mapping[str, Mapping[str, Any]],
    *,
    dense: WordVector = DENSE,
) -> None:
    """Make an index with these documents, by id, each encoded by the stand-ins."""
    client.indices.create(index=name, body=index_body(slot=stand_in_slot(dense)))
    for doc_id, source in sources.items():
        client.index(index=name, id=doc_id, body=encoded(source, doc_id=doc_id, dense=dense))
    client.indices.refresh(index=name)


@contextmanager
def shelves(client: OpenSearch) -> Iterator[dict[int, str]]:
    """The same documents on one shard and on three."""
    made = {shards: f"test-shelf-{uuid.uuid4().hex[:12]}" for shards in (1, 3)}
    for shards, name in made.items():
        body = index_body(slot=stand_in_slot())
        body["settings"]["number_of_shards"] = shards
        body["mappings"]["properties"] |= {
            "number": {"type": "integer"},
            "day": {"type": "date"},
            "colour": {"type": "keyword"},
        }
        client.indices.create(index=name, body=body)
        lines: list[Any] = []
        for number in range(DOCUMENTS):
            lines += [{"index": {"_index": name, "_id": f"d{number}"}}, document(number)]
        answer = client.bulk(body=lines, params={"refresh": "true"})
        assert not answer["errors"]
    yield made
    for name in made.values():
        client.indices.delete(index=name)


@contextmanager
def stand_in_service(
    client: OpenSearch,
    *,
    models: PlanModels = MODELS,
    token: str | None = None,
    texts: IndexTexts | None = None,
) -> Iterator[str]:
    """A service whose encoders and reranker are stand-ins."""
    plans = LoadedPlans(
        read_plan=lambda plan_id: state.load_plan(client, plan_id), open_models=lambda _: models
    )
    app = create_app(
        plans, texts or IndexTexts(client), engine_url="test", preload=list, token=token
    )
    with served(app) as address:
        yield address


@contextmanager
def applied(client: OpenSearch, plan: FunnelPlan, *, url: str) -> Iterator[None]:
    """Make a plan's pipeline the default of its index; its deadlines are no test's concern."""
    patient = replace(plan, deadlines=Deadlines(rewrite_ms=20_000, rank_ms=20_000))
    plan = bound_plan(client, patient)
    done = apply_pipeline(client, plan, service_url=url, default=True)
    try:
        yield
    finally:
        remove_pipeline(client, done.name)
