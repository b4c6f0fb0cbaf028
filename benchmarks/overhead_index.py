"""The index of benchmarks/overhead.py: made up, with what real documents have."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from opensearchpy import OpenSearch

from opensearch_funnel.core.text import encoded_text, text_hash
from opensearch_funnel.engine.indices import EncodedBy, Slot, delete_index, index_body
from opensearch_funnel.testing import WordVector, WordWeights

INDEX = "funnel-bench-overhead"
_DIMENSION, _VOCABULARY, _EXPANSIONS = 384, 20_000, 95
_WORDS_A_TEXT = 120
_BULK = 250


def words(randomness: random.Random, count: int) -> str:
    """Return a text whose words are as unequally frequent as a language's."""
    ranks = (int(_VOCABULARY ** randomness.random()) for _ in range(count))
    return " ".join(f"w{rank}" for rank in ranks)


@contextmanager
def filled_index(client: OpenSearch, *, documents: int, shards: int) -> Iterator[None]:
    """Make the index, and drop it afterwards."""
    slot = Slot(
        sparse=EncodedBy(model="splade-tiny", fingerprint=WordWeights().fingerprint),
        dense=EncodedBy(model="bge-small-en-v1.5", fingerprint=WordVector().fingerprint),
        dimension=_DIMENSION,
    )
    delete_index(client, index=INDEX)
    body = index_body(slot=slot, replicas=0)
    body["settings"]["number_of_shards"] = shards
    client.indices.create(index=INDEX, body=body)
    randomness = random.Random(1)  # noqa: S311 - the same documents each time
    try:
        for first in range(0, documents, _BULK):
            lines: list[Any] = []
            for number in range(first, min(first + _BULK, documents)):
                lines += [{"index": {"_id": f"d{number}"}}, _document(number, randomness)]
            client.bulk(index=INDEX, body=lines)
        client.indices.refresh(index=INDEX)
        client.indices.forcemerge(index=INDEX, params={"max_num_segments": 1})
        yield
    finally:
        delete_index(client, index=INDEX)


def _document(number: int, randomness: random.Random) -> dict[str, Any]:
    text = words(randomness, _WORDS_A_TEXT)
    encoded = encoded_text({"text": text}, fields=["title", "text"])
    terms = words(randomness, _EXPANSIONS).split()
    return {
        "title": "",
        "text": text,
        "funnel": {
            "id": f"d{number}",
            "hash": text_hash(encoded),
            "state": "ready",
            "sparse_a": {term: round(randomness.uniform(0.1, 2.5), 4) for term in terms},
            "dense_a": _direction(number),
        },
    }


def _direction(seed: int) -> list[float]:
    vector = np.random.default_rng(seed).standard_normal(_DIMENSION).astype(np.float32)
    return [float(number) for number in vector / np.float32(np.linalg.norm(vector))]
