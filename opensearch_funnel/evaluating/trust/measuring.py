"""Measure a plan's legs on its index: probes through the real legs, and what came of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.leg_hit import LegHit
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan, Trust
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.core.stage import DenseTextEncoder, SparseTextEncoder
from opensearch_funnel.engine.binding import planned_index
from opensearch_funnel.engine.indices import count_documents, index_uuid
from opensearch_funnel.engine.leg_hits import EngineLegs, plain_query, shards_of
from opensearch_funnel.engine.vector_scores import space_type_of
from opensearch_funnel.evaluating.trust.cut import CutScores
from opensearch_funnel.evaluating.trust.deciding import (
    FEWEST_CUT,
    FEWEST_PROBES,
    Measured,
    trusted_plan,
)
from opensearch_funnel.evaluating.trust.probed import Probed
from opensearch_funnel.evaluating.trust.probes import DOCUMENTS, samples


def measured_plan(
    client: OpenSearch,
    plan: FunnelPlan,
    *,
    models: PlanModels,
    progress: Progress = SILENT,
    documents: int = DOCUMENTS,
) -> FunnelPlan:
    """Return a plan that trusts its legs as far as its own index shows (``trusted_plan``).

    Takes seconds, and nobody's judgments. One leg alone needs no trust, and is not measured.

    Args:
        client: the cluster.
        plan: bound to its index, fused by ``auto``.
        models: the encoders of its legs, of queries and of documents.
        progress: hears of each probe.
        documents: of each kind of probes, at most so many.

    Raises:
        InputError: a model encodes no documents.
        EngineError: a search failed.
    """
    index = planned_index(client, plan)
    uuid = index_uuid(client, index=index)
    if len(plan.active_legs) == 1:
        reason = f"{plan.active_legs[0]} is the only leg"
        return replace(plan, trust=Trust(decided=True, reason=reason, index=uuid))
    found = measured(
        client, plan, index=index, models=models, progress=progress, documents=documents
    )
    return trusted_plan(plan, replace(found, index=uuid))


def measured(  # noqa: PLR0913 - what is measured, on what
    client: OpenSearch,
    plan: FunnelPlan,
    *,
    index: str,
    models: PlanModels,
    progress: Progress = SILENT,
    documents: int = DOCUMENTS,
) -> Measured:
    """Send probes through the legs of a plan, each leg for itself.

    Args:
        client: the cluster.
        plan: bound to its index.
        index: the concrete index that is encoded.
        models: the encoders of its legs, of queries and of documents.
        progress: hears of each probe.
        documents: of each kind of probes, at most so many.
    """
    # Each leg is judged by all that it finds, whatever set a search is kept to.
    plan = replace(plan, matching="widen")
    models = _remembering(models)
    shards = shards_of(client, plan.alias)
    legs = EngineLegs(
        client=client, plan=plan, models=models, shards=shards, lexical=plain_query(plan)
    )
    # Twice as many, because not every title says something that the rest does not.
    made = samples(client, plan, shards=shards, count=2 * documents)
    asked = [(sample.own, sample.target) for sample in made[:documents] if sample.own]
    if len(asked) < FEWEST_PROBES:
        # They would say nothing: no search is made for them.
        return Measured(own=[Probed(target=target, found={}) for _, target in asked])
    cuts = [(sample, sample.title) for sample in made if sample.title][:documents]
    by_titles = len(cuts) >= FEWEST_CUT
    if not by_titles:
        cuts = [(sample, sample.lead) for sample in made if sample.lead][:documents]
    worded = [sample.words for sample in made[:documents] if sample.words]
    worded = worded if "sparse" in plan.active_legs else []
    total = len(asked) + 2 * len(cuts) + len(worded)
    # Every second document is asked for by its title in both ways.
    kept: dict[str, Mapping[str, Sequence[LegHit]]] = {}

    with progress.task("measuring the legs", total=total, unit="probes") as advance:

        def probed(text: str, *, target: str) -> Probed:
            advance(1)
            if text not in kept:
                kept[text] = legs.find(Query(text=text))
            return Probed(target=target, found=kept[text])

        own = [probed(text, target=target) for text, target in asked]
        whole = [probed(part.query, target=sample.target) for sample, part in cuts]
        (mapping,) = client.indices.get_mapping(index=index).values()
        cut = CutScores(
            client=client,
            plan=plan,
            models=models,
            space_type=space_type_of(mapping["mappings"], field=plan.dense_field),
        )
        without = []
        for probe, scores in zip(whole, cut.scores(cuts), strict=True):
            without.append(probe.replaced(scores, depth=plan.depth))
            advance(1)
        best = []
        for words in worded:
            best.append(_best_sparse(legs, words))
            advance(1)
    return Measured(
        own=own,
        cut=without,
        cut_by="titles" if by_titles else "first sentences",
        documents=count_documents(client, index=index),
        full_match=median(best) if best else 0.0,
    )


def _best_sparse(legs: EngineLegs, text: str) -> float:
    """Return the best score of the sparse leg alone; 0 where it finds nothing."""
    plan = legs.plan.with_legs("sparse")
    first = replace(plan, depth=1, rerank=replace(plan.rerank, depth=1))
    hits = replace(legs, plan=first).find(Query(text=text))["sparse"]
    return max((hit.score for hit in hits), default=0.0)


@dataclass(frozen=True, slots=True)
class _Remembering:
    """An encoder that reads each query once: legs that are searched and scored have the same."""

    encoder: Any
    known: dict[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        made: str = self.encoder.fingerprint
        return made

    def encode_query(self, text: str) -> Any:
        if text not in self.known:
            self.known[text] = self.encoder.encode_query(text)
        return self.known[text]

    def encode_documents(self, texts: Sequence[str]) -> Any:
        return self.encoder.encode_documents(texts)


def _remembering(models: PlanModels) -> PlanModels:
    """Return the same models; one that encodes no documents stays as it is."""
    sparse, dense = models.sparse, models.dense
    return replace(
        models,
        sparse=_Remembering(sparse) if isinstance(sparse, SparseTextEncoder) else sparse,
        dense=_Remembering(dense) if isinstance(dense, DenseTextEncoder) else dense,
    )
