"""LangChain's ``OpenSearchVectorSearch``, as ``langchain_community`` sends it.

Its vector searches carry ``min_score`` (0.0 where the caller gives none) and come in five shapes:
a plain ``knn``, ``knn`` below ``bool`` beside a filter, ``knn`` with a filter inside it, and
``script_score`` by the k-NN plugin's script or by Painless; newer ones have a hybrid, which is
``script_score`` over ``match`` and ``knn``. Older ones sent the same without ``min_score``. Its
text retrievers take a body from the application.
"""

from __future__ import annotations

from typing import Any

from tests.clients.requests import SAME_SET, UNTOUCHED, WIDENED, Client, ClientRequest, Treatment
from tests.clients.sending import search

VECTOR = [1.0, 3.0, 2.0, 0.0]
KNN: dict[str, Any] = {"knn": {"vector_field": {"vector": VECTOR, "k": 4}}}
LAMPS: dict[str, Any] = {"bool": {"filter": {"term": {"metadata.source": "lamps.pdf"}}}}


def _store(name: str, expected: Treatment, body: dict[str, Any]) -> ClientRequest:
    return ClientRequest(
        name=f"LangChain, {name}", client=Client.LANGCHAIN, expected=expected, send=search(body)
    )


REQUESTS = (
    _store("approximate", UNTOUCHED, {"size": 4, "min_score": 0.0, "query": KNN}),
    _store("approximate, older", UNTOUCHED, {"size": 4, "query": KNN}),
    _store("above a score", UNTOUCHED, {"size": 4, "min_score": 0.2, "query": KNN}),
    _store(
        "filtered by bool",
        UNTOUCHED,
        {"size": 4, "min_score": 0.0, "query": {"bool": {"filter": LAMPS, "must": [KNN]}}},
    ),
    _store(
        "filtered by bool, should",
        UNTOUCHED,
        {"size": 4, "query": {"bool": {"filter": LAMPS, "should": [KNN]}}},
    ),
    _store(
        "filtered inside",
        UNTOUCHED,
        {
            "size": 4,
            "min_score": 0.0,
            "query": {"knn": {"vector_field": {"vector": VECTOR, "k": 4, "filter": LAMPS}}},
        },
    ),
    _store(
        "by the plugin's script",
        UNTOUCHED,
        {
            "size": 4,
            "min_score": 0.0,
            "query": {
                "script_score": {
                    "query": {"match_all": {}},
                    "script": {
                        "source": "knn_score",
                        "lang": "knn",
                        "params": {
                            "field": "vector_field",
                            "query_value": VECTOR,
                            "space_type": "l2",
                        },
                    },
                }
            },
        },
    ),
    _store(
        "by Painless",
        UNTOUCHED,
        {
            "size": 4,
            "min_score": 0.0,
            "query": {
                "script_score": {
                    "query": LAMPS,
                    "script": {
                        "source": "1/(1.0 + l2Squared(params.query_value, doc['vector_field']))",
                        "params": {"field": "vector_field", "query_value": VECTOR},
                    },
                }
            },
        },
    ),
    _store(
        "its own hybrid",
        UNTOUCHED,
        {
            "size": 4,
            "query": {
                "script_score": {
                    "query": {"bool": {"should": [{"match": {"text": "red lamp"}}, KNN]}},
                    "script": {
                        "source": "0.7 * _score + 0.3 * (1.0 + cosineSimilarity("
                        "params.query_vector, doc[params.vector_field]))",
                        "params": {"query_vector": VECTOR, "vector_field": "vector_field"},
                    },
                }
            },
        },
    ),
    _store("a text", WIDENED, {"size": 4, "query": {"match": {"text": "red lamp"}}}),
    _store(
        "a text, parts of the source",
        WIDENED,
        {"_source": ["text", "metadata"], "query": {"match": {"text": {"query": "red lamp"}}}},
    ),
    _store(
        "a phrase",
        SAME_SET,
        {"_source": ["text", "metadata"], "query": {"match_phrase": {"text": "late reading"}}},
    ),
    _store(
        "a text above a score",
        UNTOUCHED,
        {"size": 4, "min_score": 0.0, "query": {"match": {"text": "red lamp"}}},
    ),
)
