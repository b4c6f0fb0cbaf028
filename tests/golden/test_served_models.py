"""The service's own models, in common batches and from its caches: the numbers do not change."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import numpy as np
import openai
import pytest

from opensearch_funnel.build.service import service_app
from opensearch_funnel.encoders.opening import open_cross_encoder, open_dense, open_splade
from opensearch_funnel.service.rerank_shapes import nine_digits
from opensearch_funnel.settings import Settings
from opensearch_funnel.testing import served

pytestmark = pytest.mark.model

TEXTS = [
    "dict.fromkeys(items) drops repeated items and keeps their order",
    "a fish in the sea",
    "fish " * 300,
    "sorted(set(items)) drops repeated items and sorts the rest",
    "",
]
QUERIES = [f"how to drop repeated items{' in python' * i}" for i in range(8)]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served(service_app(Settings(url="http://127.0.0.1:9", service_token=None))) as address:
        yield address


def test_scores_of_parallel_requests_are_those_of_the_model_alone_bit_for_bit(url: str) -> None:
    encoder = open_cross_encoder("funnel-reranker-mini")
    wanted = [[nine_digits(s) for s in encoder.score(query, TEXTS)] for query in QUERIES]

    def ask(query: str) -> list[float]:
        body = {"query": query, "texts": TEXTS, "raw_scores": True}
        ranks = httpx2.post(f"{url}/rerank", json=body, timeout=60).json()
        return [rank["score"] for rank in sorted(ranks, key=lambda rank: rank["index"])]

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, QUERIES)) == wanted
        # The second time they are known.
        assert list(threads.map(ask, QUERIES)) == wanted
    counters = httpx2.get(f"{url}/metrics").text
    hits = next(x for x in counters.splitlines() if x.startswith("funnel_score_cache_hits_total"))
    assert float(hits.rpartition(" ")[2]) >= len(QUERIES) * len(TEXTS)


def test_embeddings_are_those_of_the_model(url: str) -> None:
    texts = [text for text in TEXTS if text]
    dense, splade = open_dense("bge-small-en-v1.5"), open_splade("splade-tiny")
    with openai.OpenAI(api_key="any", base_url=f"{url}/v1") as client:
        made = client.embeddings.create(model="bge-small-en-v1.5", input=texts)
        query = client.embeddings.create(
            model="bge-small-en-v1.5", input="fish", extra_body={"input_type": "search_query"}
        )
    vectors = np.array([one.embedding for one in made.data], dtype=np.float32)
    np.testing.assert_allclose(vectors, dense.encode_documents(texts), atol=1e-6)
    asked = np.array(query.data[0].embedding, dtype=np.float32)
    np.testing.assert_allclose(asked, dense.encode_query("fish"), atol=1e-6)
    rows = httpx2.post(f"{url}/embed_sparse", json={"inputs": texts}, timeout=60).json()
    for row, weights in zip(rows, splade.encode_documents(texts), strict=True):
        by_token = {splade.vocabulary[one["index"]]: one["value"] for one in row}
        assert by_token == pytest.approx(weights, rel=1e-6)
