"""BM25 of texts that no index has, against the statistics of one that could have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum, log
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.evaluating.trust.probes import Cut, Sample

_K1, _B = 1.2, 0.75
"""What an index has that sets no similarity of its own."""


def lexical_scores(client: OpenSearch, cuts: Sequence[tuple[Sample, Cut]]) -> list[float]:
    """Return what BM25 gives each document for what was cut out of it: of its best field.

    The engine makes terms of the query and of what is left, as it would of a document, and says in
    how many documents each one is (``_mtermvectors`` of documents that it does not have). Of an
    index with several shards one shard speaks for all.

    Args:
        client: the cluster.
        cuts: documents, each with a part taken out; one at least.

    Raises:
        EngineError: the engine did not answer for one of them.
    """
    docs: list[dict[str, Any]] = []
    for sample, cut in cuts:
        asked = dict.fromkeys(cut.fields, cut.query)
        docs += (_made(fields, index=sample.index) for fields in (asked, cut.fields))
    index = cuts[0][0].index
    answers = client.mtermvectors(index=index, body={"docs": docs})["docs"]
    for answer in answers:
        if answer.get("error"):
            raise EngineError(f"the terms of a probe were not told: {answer['error']}")
    vectors = [answer.get("term_vectors", {}) for answer in answers]
    return [
        max((bm25(query.get(field), document[field]) for field in document), default=0.0)
        for query, document in zip(vectors[::2], vectors[1::2], strict=True)
    ]


def bm25(query: Mapping[str, Any] | None, document: Mapping[str, Any]) -> float:
    """Return the BM25 of one field, as Lucene computes it, but for how it rounds lengths.

    Args:
        query: the term vector of what is asked; ``None`` where nothing is left of it.
        document: the term vector of what is asked for, with the statistics of the index.

    Example:
        >>> statistics = {"doc_count": 3, "sum_ttf": 12}
        >>> document = {"field_statistics": statistics,
        ...             "terms": {"fox": {"term_freq": 1, "doc_freq": 1},
        ...                       "red": {"term_freq": 1, "doc_freq": 2},
        ...                       "a": {"term_freq": 2, "doc_freq": 3}}}
        >>> round(bm25({"terms": {"fox": {"term_freq": 1}, "blue": {"term_freq": 1}}}, document), 4)
        0.4458
    """
    count = document["field_statistics"]["doc_count"]
    if query is None or count <= 0:
        return 0.0
    terms = document["terms"]
    length = fsum(term["term_freq"] for term in terms.values())
    mean = document["field_statistics"]["sum_ttf"] / count
    longer = _K1 * (1 - _B + _B * length / mean)
    return fsum(
        asked["term_freq"]
        * _idf(found["doc_freq"], of=count)
        * found["term_freq"]
        / (found["term_freq"] + longer)
        for term, asked in query["terms"].items()
        if (found := terms.get(term)) and found.get("doc_freq")
    )


def _idf(documents: int, *, of: int) -> float:
    return log(1 + (of - documents + 0.5) / (documents + 0.5))


def _made(fields: Mapping[str, str], *, index: str) -> dict[str, Any]:
    return {
        "_index": index,
        "doc": dict(fields),
        "fields": list(fields),
        "term_statistics": True,
        "field_statistics": True,
        "positions": False,
        "offsets": False,
        "payloads": False,
    }
