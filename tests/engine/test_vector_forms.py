"""Vectors in every form that the engine keeps, against the exact answer."""

from __future__ import annotations

import numpy as np
import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.build.vector_figures import measure_forms
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.engine.vector_forms import (
    FORMS,
    FormName,
    index_vectors,
    search_vectors,
    vector_form,
)
from opensearch_funnel.evaluating.datasets import Dataset
from opensearch_funnel.evaluating.model_runs import ModelRun, best

pytestmark = pytest.mark.engine

DOCUMENTS, DIMENSION = 400, 64


@pytest.fixture
def vectors() -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Vectors around a few centres, as those of texts are."""
    random = np.random.default_rng(5)
    centres = random.normal(0, 1, (20, DIMENSION))
    made = centres[random.integers(20, size=DOCUMENTS)]
    made = made + random.normal(0, 0.7, (DOCUMENTS, DIMENSION))
    unit: np.ndarray[tuple[int, int], np.dtype[np.float32]] = (
        made / np.linalg.norm(made, axis=1, keepdims=True)
    ).astype(np.float32)
    return unit


@pytest.mark.parametrize(("form", "least"), [("full", 0.99), ("7-bit", 0.9), ("1-bit", 0.9)])
def test_the_nearest_vectors_are_found(
    client: OpenSearch, index_name: str, vectors: np.ndarray, form: FormName, least: float
) -> None:
    index = index_vectors(
        client, index_name, vectors=vectors, form=vector_form(form, dimension=DIMENSION)
    )
    found = 0
    for query in vectors[:20]:
        places = search_vectors(client, index, vector=query, k=10)
        assert places[0] in best(vectors @ query, k=2)
        found += len(set(places) & set(best(vectors @ query, k=10)))
    assert found / 200 >= least


def test_fewer_bits_are_fewer_bytes_to_search(
    client: OpenSearch, index_name: str, vectors: np.ndarray
) -> None:
    searched = {}
    for form in FORMS:
        name = f"{index_name}-{form}"
        made = index_vectors(
            client, name, vectors=vectors, form=vector_form(form, dimension=DIMENSION)
        )
        searched[form] = made.searched
        assert made.size > made.searched * 0.5
        client.indices.delete(index=name)
    assert searched["1-bit"] < searched["7-bit"] < searched["full"]
    assert searched["half"] < searched["full"]


def test_every_form_is_measured_and_nothing_is_left(
    client: OpenSearch, vectors: np.ndarray
) -> None:
    queries = tuple(Query(text=f"q{i}", query_id=f"q{i}") for i in range(10))
    dataset = Dataset(
        name="made",
        split="test",
        corpus=None,  # type: ignore[arg-type]
        queries=queries,
        qrels={query.query_id: {f"d{i}": 1} for i, query in enumerate(queries)},
        skipped_queries=0,
    )
    run = ModelRun(
        run={},
        documents_s=1.0,
        query_ms=(1.0,),
        bytes_per_document=4.0 * DIMENSION,
        doc_ids=tuple(f"d{i}" for i in range(DOCUMENTS)),
        vectors=vectors,
        query_vectors=vectors[:10],
    )
    before = _vector_indices(client)
    made = measure_forms(client, run, dataset, forms=FORMS)
    assert [figures.form for figures in made] == list(FORMS)
    for figures in made:
        assert figures.measures["R@100"] == 1, "each query is its own document"
        assert figures.recall > 0.5
        assert figures.query_ms > 0
    assert made[0].recall > 0.99
    assert _vector_indices(client) == before


def _vector_indices(client: OpenSearch) -> set[str]:
    return set(client.indices.get(index="funnel-vectors-*", params={"allow_no_indices": "true"}))
