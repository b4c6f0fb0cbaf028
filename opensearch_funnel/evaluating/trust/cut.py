"""What each leg gives a document for a query, if the document were without a part of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any

import numpy as np
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan, LegName
from opensearch_funnel.core.stage import DenseTextEncoder, SparseTextEncoder
from opensearch_funnel.core.text import encoded_text
from opensearch_funnel.encoders.stored_weights import stored_weights
from opensearch_funnel.engine.leg_hits import refuse_failed
from opensearch_funnel.engine.queries import Body, leg_queries, multi_match
from opensearch_funnel.engine.searching import NO_PIPELINE
from opensearch_funnel.engine.vector_scores import vector_score
from opensearch_funnel.evaluating.trust.cut_lexical import lexical_scores
from opensearch_funnel.evaluating.trust.probes import Cut, Sample

TOGETHER = 25
"""Documents that are encoded, and asked for, together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutScores:
    """Scores documents without a part of them as the legs of a plan would.

    The lexical leg is asked for the document in the fields that are left; where the index does not
    have these as they are, BM25 is computed of the terms that the engine makes of them
    (``cut_lexical``). For the other legs what is left is encoded, and compared with the query as
    the engine does.

    Attributes:
        client: the cluster.
        plan: says which legs there are.
        models: their encoders, of queries and of documents.
        space_type: of the vector field; not read without the dense leg.
    """

    client: OpenSearch
    plan: FunnelPlan
    models: PlanModels
    space_type: str

    def scores(self, cuts: Sequence[tuple[Sample, Cut]]) -> Iterator[dict[str, float]]:
        """Yield the scores of each document for what was cut, by leg; 0 where it is not found.

        Args:
            cuts: documents, each with a part taken out.

        Raises:
            InputError: a model encodes no documents.
            EngineError: a search failed.
        """
        for start in range(0, len(cuts), TOGETHER):
            some = cuts[start : start + TOGETHER]
            by_leg: dict[str, list[float]] = {
                leg: self._of(leg, some) for leg in self.plan.active_legs
            }
            for place in range(len(some)):
                yield {leg: values[place] for leg, values in by_leg.items()}

    def _of(self, leg: LegName, cuts: Sequence[tuple[Sample, Cut]]) -> list[float]:
        if leg != "bm25":
            only = [cut for _, cut in cuts]
            return self._sparse(only) if leg == "sparse" else self._dense(only)
        if all(cut.indexed for _, cut in cuts):
            return self._lexical(cuts)
        return lexical_scores(self.client, cuts)

    def _lexical(self, cuts: Sequence[tuple[Sample, Cut]]) -> list[float]:
        lines: list[Body] = []
        for sample, cut in cuts:
            rest = multi_match(cut.query, fields=list(cut.fields))
            own = {"ids": {"values": [sample.doc_id]}}
            lines.append({"index": sample.index, "preference": "_primary"})
            lines.append(
                {
                    "query": {"bool": {"must": [rest], "filter": [own]}},
                    "size": 1,
                    "_source": False,
                    "search_pipeline": NO_PIPELINE,
                }
            )
        answers = self.client.msearch(body=lines)["responses"]
        return [_score(answer) for answer in answers]

    def _sparse(self, cuts: Sequence[Cut]) -> list[float]:
        encoder = self.models.sparse
        if not isinstance(encoder, SparseTextEncoder):
            raise InputError("the sparse model encodes no documents: it cannot be measured")
        documents = encoder.encode_documents([self._left(cut) for cut in cuts])
        return [
            _product(self._query("sparse", cut), stored_weights(weights))
            for cut, weights in zip(cuts, documents, strict=True)
        ]

    def _dense(self, cuts: Sequence[Cut]) -> list[float]:
        encoder = self.models.dense
        if not isinstance(encoder, DenseTextEncoder):
            raise InputError("the dense model encodes no documents: it cannot be measured")
        documents = encoder.encode_documents([self._left(cut) for cut in cuts])
        asked = [self._query("dense", cut) for cut in cuts]
        return [
            vector_score(
                np.asarray(query["knn"][self.plan.dense_field]["vector"], dtype=np.float32),
                vector,
                space_type=self.space_type,
            )
            for query, vector in zip(asked, documents, strict=True)
        ]

    def _left(self, cut: Cut) -> str:
        return encoded_text(cut.fields, fields=self.plan.text_fields)

    def _query(self, leg: LegName, cut: Cut) -> Body:
        alone = self.plan.with_legs(leg)
        return leg_queries(alone, text=cut.query, bm25={}, models=self.models)[leg]


def _score(answer: Mapping[str, Any]) -> float:
    refuse_failed(answer, what="a probe")
    return fsum(float(hit["_score"]) for hit in answer["hits"]["hits"])


def _product(query: Mapping[str, Any], document: Mapping[str, float]) -> float:
    """Return the dot product; a query without tokens matches nothing."""
    tokens: Mapping[str, float] = next(
        (asked["query_tokens"] for asked in query.get("neural_sparse", {}).values()), {}
    )
    return fsum(share * document.get(token, 0.0) for token, share in tokens.items())
