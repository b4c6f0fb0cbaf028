"""An index on the real node, and the service with its page, on stand-in models."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.core.text import encoded_text, text_hash
from opensearch_funnel.engine import state
from opensearch_funnel.engine.applying import apply_pipeline, remove_pipeline
from opensearch_funnel.engine.binding import bound_plan
from opensearch_funnel.engine.indices import EncodedBy, Slot, index_body
from opensearch_funnel.service.app import create_app
from opensearch_funnel.service.page.routes import page_routes
from opensearch_funnel.service.plans import LoadedPlans
from opensearch_funnel.service.process import wait_for_plan
from opensearch_funnel.service.search_api import search_routes
from opensearch_funnel.service.search_api_applied import AppliedSearches
from opensearch_funnel.service.texts import IndexTexts
from opensearch_funnel.testing import OverlapScorer, WordVector, WordWeights, served

TEXT = (
    "red blue green fox hound whale owl river forest night morning train house window letter "
    "song silver copper storm harbour"
)
WORDS = TEXT.split()
RERANK = {"enabled": True, "depth": 12}
XSS = "<img src=x onerror=\"document.title='owned'\">"


class FineWeights(WordWeights):
    """Weights with more digits than the index keeps."""

    def encode_query(self, text: str) -> dict[str, float]:
        words = super().encode_query(text)
        return {word: 1.3791 * n + 0.0173 * len(word) for word, n in words.items()}


@dataclass
class Scorer:
    """A reranker that a test can break."""

    broken: bool = False
    asked: list[str] = field(default_factory=list)

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        self.asked.append(query)
        if self.broken:
            raise RuntimeError("the model is gone")
        return [
            overlap - len(text) / 1000
            for overlap, text in zip(OverlapScorer().score(query, texts), texts, strict=True)
        ]


class LengthScorer:
    """The first model of a cascade: prefers short texts."""

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        del query
        return [-float(len(text)) for text in texts]


SPARSE, DENSE = FineWeights(), WordVector()


@dataclass(frozen=True)
class Playground:
    """A service over an index with an applied plan."""

    url: str
    index: str
    plan: FunnelPlan
    scorer: Scorer
    client: OpenSearch


@pytest.fixture
def scorer() -> Scorer:
    return Scorer()


def fill(client: OpenSearch, index: str, *, shards: int) -> None:
    """Make an index of all documents."""
    body = index_body(
        slot=Slot(
            sparse=EncodedBy(model="splade-tiny", fingerprint=SPARSE.fingerprint),
            dense=EncodedBy(model="bge-small-en-v1.5", fingerprint=DENSE.fingerprint),
            dimension=DENSE.dimension,
        )
    )
    body["settings"]["number_of_shards"] = shards
    body["mappings"]["properties"]["year"] = {"type": "integer"}
    client.indices.create(index=index, body=body)
    lines: list[dict[str, Any]] = []
    for doc_id, source in documents().items():
        encoded = encoded_text(source, fields=["title", "text"])
        source["funnel"] = {
            "id": doc_id,
            "hash": text_hash(encoded),
            "state": "ready",
            "sparse_a": SPARSE.encode_query(encoded),
            "dense_a": DENSE.encode_query(encoded).tolist(),
        }
        lines += [{"index": {"_id": doc_id}}, source]
    client.bulk(body=lines, index=index, params={"refresh": "true"})


def documents() -> dict[str, dict[str, Any]]:
    """Make 80 documents of a few words, always the same."""
    random = Random(20)  # noqa: S311 - nothing secret
    made: dict[str, dict[str, Any]] = {
        f"d{number}": {
            "title": " ".join(random.choices(WORDS, k=2)),
            "text": " ".join(random.choices(WORDS, k=random.randint(3, 12))) + ".",
            "year": 1950 + number,
        }
        for number in range(80)
    }
    made["markup"] = {"title": XSS, "text": f"a red fox and {XSS} <em>storm</em>", "year": 2000}
    return made


@contextmanager
def playground(
    client: OpenSearch,
    index: str,
    *,
    scorer: Scorer,
    token: str | None = None,
    texts: IndexTexts | None = None,
    **changes: Any,
) -> Iterator[Playground]:
    """Serve an index with a plan that is applied to it; deadlines nobody reaches."""
    models = PlanModels(sparse=SPARSE, dense=DENSE, first_reranker=LengthScorer(), reranker=scorer)

    def opened(plan: FunnelPlan) -> PlanModels:
        first = models.first_reranker if plan.rerank.first_model else None
        last = models.reranker if plan.rerank.enabled else None
        return PlanModels(sparse=SPARSE, dense=DENSE, first_reranker=first, reranker=last)

    plans = LoadedPlans(
        read_plan=lambda plan_id: state.load_plan(client, plan_id), open_models=opened
    )
    app = create_app(
        plans,
        texts or IndexTexts(client),
        engine_url="test",
        preload=list,
        routers=[search_routes(AppliedSearches(client, ready_plan=plans.get)), page_routes()],
        token=token,
    )
    patient = {"deadlines": {"rewrite_ms": 20_000, "rank_ms": 20_000}}
    plan = FunnelPlan.from_dict({"alias": index, **patient, **changes})
    plan = bound_plan(client, plan, with_others=True)
    with ExitStack() as stack:
        url = stack.enter_context(served(app))
        done = apply_pipeline(client, plan, service_url=url, check=token is None)
        stack.callback(remove_pipeline, client, done.name)
        if token is None:
            wait_for_plan(url, plan.plan_id)
        yield Playground(url, index, plan, scorer, client)


@pytest.fixture
def start(
    client: OpenSearch, index_name: str, scorer: Scorer
) -> Iterator[Callable[..., Playground]]:
    """Return a function that starts a playground; it ends with the test."""
    with ExitStack() as stack:

        def started(*, shards: int = 1, **changes: Any) -> Playground:
            fill(client, index_name, shards=shards)
            return stack.enter_context(playground(client, index_name, scorer=scorer, **changes))

        yield started


@pytest.fixture(scope="module")
def shared(client: OpenSearch) -> Iterator[Playground]:
    """A playground with a reranker, for tests that break nothing."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    fill(client, name, shards=1)
    try:
        with playground(client, name, scorer=Scorer(), rerank=RERANK) as here:
            yield here
    finally:
        client.indices.delete(index=name)
