"""Whether vectors and sparse terms are not only stored, but found by a search."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.core.funnel_object import FUNNEL, READY
from opensearch_funnel.core.text import text_hash
from opensearch_funnel.engine.queries import sparse_query
from opensearch_funnel.migrating.verifying.coverage import Expected
from opensearch_funnel.migrating.verifying.report import NAMED, Named

PROBED = 200
"""Most documents whose sparse field is asked for."""
_IN_ONE_REQUEST = 50
_PARAMS = {"search_pipeline": "_none", "allow_partial_search_results": "false"}


@dataclass(slots=True)
class Sample:
    """Documents spread evenly over a walk of unknown length, each with one term of its field.

    Example:
        >>> sample = Sample(most=4)
        >>> for n in range(100):
        ...     sample.add(str(n), None, {"t": 1.0})
        >>> [doc_id for doc_id, _, _ in sample.kept]
        ['0', '32', '64', '96']
    """

    most: int = PROBED
    kept: list[tuple[str, str | None, str]] = field(default_factory=list)
    _step: int = 1
    _met: int = 0

    def add(self, doc_id: str, routing: str | None, weights: Mapping[str, float]) -> None:
        """Meet the next document; the ones kept so far are thinned out when there are too many."""
        if self._met % self._step == 0:
            if len(self.kept) == self.most:
                self.kept = self.kept[::2]
                self._step *= 2
            if self._met % self._step == 0:
                heaviest = max(weights, key=lambda term: (weights[term], term))
                self.kept.append((doc_id, routing, heaviest))
        self._met += 1


def without_indexed_vector(client: OpenSearch, *, index: str, expected: Expected) -> Named:
    """Name documents with text, said to be encoded, that no search in the dense field can find.

    Raises:
        EngineError: a shard did not answer.
    """
    query = {
        "bool": {
            "filter": [{"term": {f"{FUNNEL}.state": READY}}],
            "must_not": [
                {"exists": {"field": f"{FUNNEL}.{expected.dense}"}},
                {"term": {f"{FUNNEL}.hash": text_hash("")}},
            ],
        }
    }
    answer = client.search(
        index=index,
        body={
            "size": NAMED,
            "query": query,
            "sort": ["_doc"],
            "_source": False,
            "track_total_hits": True,
        },
        params=_PARAMS,
    )
    ids = sorted(hit["_id"] for hit in answer["hits"]["hits"])
    return Named(count=answer["hits"]["total"]["value"], ids=ids)


def without_indexed_terms(
    client: OpenSearch, *, index: str, sparse_field: str, sample: Sample
) -> Named:
    """Name documents of a sample that are not found by a term of their own sparse field.

    ``rank_features`` knows no ``exists`` query, so each document is asked for by its heaviest
    term.

    Raises:
        EngineError: a shard did not answer, or the engine knows no ``neural_sparse``.
    """
    lost = Named()
    for some in _parts(sample.kept):
        lines: list[dict[str, Any]] = []
        for doc_id, routing, term in some:
            lines.append({"index": index, **({"routing": routing} if routing else {})})
            lines.append(_by_term(doc_id, term=term, field=f"{FUNNEL}.{sparse_field}"))
        answers = client.msearch(body=lines)["responses"]
        for (doc_id, _, _), answer in zip(some, answers, strict=True):
            if "error" in answer:
                reason = answer["error"].get("reason", answer["error"])
                raise EngineError(f"the sparse field of {index} cannot be searched: {reason}")
            if not answer["hits"]["hits"]:
                lost.add(doc_id)
    return lost


def _by_term(doc_id: str, *, term: str, field: str) -> dict[str, Any]:
    return {
        "size": 1,
        "_source": False,
        "query": {
            "bool": {
                "filter": [{"ids": {"values": [doc_id]}}],
                "must": [sparse_query(field, {term: 1.0})],
            }
        },
        "search_pipeline": "_none",
    }


def _parts(
    kept: Sequence[tuple[str, str | None, str]],
) -> Iterator[list[tuple[str, str | None, str]]]:
    waiting = iter(kept)
    while some := list(islice(waiting, _IN_ONE_REQUEST)):
        yield some
