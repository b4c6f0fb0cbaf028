"""What BM25 would give a text that is in no index: read from the index's own statistics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.plan import FunnelPlan

_AT_ONCE = 50
_K1, _B = 1.2, 0.75


def inverse_frequency(documents: int, found: int) -> float:
    """Return how rare a word is, as Lucene's BM25 counts it.

    Args:
        documents: that have the field.
        found: of these, how many have the word.

    Example:
        >>> round(inverse_frequency(100, 1), 2), round(inverse_frequency(100, 100), 3)
        (4.21, 0.005)
    """
    return log(1.0 + (documents - found + 0.5) / (found + 0.5))


@dataclass(frozen=True, slots=True, kw_only=True)
class WordMasses:
    """Reads texts as an index would: which words they have, and how rare those are.

    Attributes:
        client: the cluster.
        plan: names the index and its text fields.
    """

    client: OpenSearch
    plan: FunnelPlan

    def of(self, texts: Sequence[str]) -> list[float]:
        """Add up how rare the words of each text are; of a word in several fields the commonest."""
        documents = [dict.fromkeys(self.plan.text_fields, text) for text in texts]
        return [self._mass(vectors) for vectors in self._vectors(documents)]

    def scores(self, texts: Sequence[str], documents: Sequence[Mapping[str, str]]) -> list[float]:
        """Return what each text, as a query, would get in the document of the same place.

        The best field wins. Lengths are exact here and coarse in the engine's norms: scores are
        near the engine's, not equal.
        """
        asked = self._vectors([dict.fromkeys(self.plan.text_fields, text) for text in texts])
        read = self._vectors(documents)
        return [_best_field(query, doc) for query, doc in zip(asked, read, strict=True)]

    def _mass(self, vectors: Mapping[str, Any]) -> float:
        rarest: dict[str, float] = {}
        for about in vectors.values():
            total = max(0, about["field_statistics"]["doc_count"])
            for word, term in about["terms"].items():
                own = inverse_frequency(total, min(total, term.get("doc_freq", 0)))
                rarest[word] = min(own, rarest.get(word, own))
        return sum(rarest.values())

    def _vectors(self, documents: Sequence[Mapping[str, str]]) -> Iterator[Mapping[str, Any]]:
        asked = [
            {
                "_index": self.plan.alias,
                "doc": dict(document),
                "fields": list(document),
                "term_statistics": True,
                "positions": False,
                "offsets": False,
                "payloads": False,
            }
            for document in documents
        ]
        for start in range(0, len(asked), _AT_ONCE):
            body = {"docs": asked[start : start + _AT_ONCE]}
            for answer in self.client.mtermvectors(body=body)["docs"]:
                yield answer.get("term_vectors", {})


def _best_field(query: Mapping[str, Any], document: Mapping[str, Any]) -> float:
    best = 0.0
    for field, about in document.items():
        statistics = about["field_statistics"]
        total = statistics["doc_count"]
        if total <= 0 or field not in query:
            continue
        mean_length = statistics["sum_ttf"] / total
        length = sum(term["term_freq"] for term in about["terms"].values())
        saturation = _K1 * (1 - _B + _B * length / mean_length)
        score = 0.0
        for word, asked in query[field]["terms"].items():
            term = about["terms"].get(word)
            if term is not None and term.get("doc_freq"):
                rare = inverse_frequency(total, term["doc_freq"])
                often = term["term_freq"]
                score += asked["term_freq"] * rare * often / (often + saturation)
        best = max(best, score)
    return best
