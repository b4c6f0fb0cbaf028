"""The models of the service: opened once, asked by many requests at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opensearch_funnel.build.plans import SharedModels
from opensearch_funnel.core.errors import ModelError
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.settings import Settings

if TYPE_CHECKING:
    from opensearch_funnel.encoders.opening import Encoder
    from opensearch_funnel.service.metrics import Metrics
    from opensearch_funnel.service.model_shelf import ModelShelf


def served_models(settings: Settings, *, metrics: Metrics) -> SharedModels:
    """Return models whose requests share batches, and rerankers that remember their scores.

    Args:
        settings: say how many threads a model runs in, and how many scores are kept.
        metrics: where batches and remembered scores are counted.
    """
    from opensearch_funnel.encoders.cross_encoder import CrossEncoder
    from opensearch_funnel.encoders.dense import DenseEncoder
    from opensearch_funnel.encoders.hosted import HostedEncoder
    from opensearch_funnel.encoders.splade import SpladeEncoder
    from opensearch_funnel.service.batched_models import (
        BatchedDense,
        BatchedReranker,
        BatchedSparse,
        HostedDense,
    )
    from opensearch_funnel.service.score_cache import ScoreCache

    kept = settings.score_cache
    cache = ScoreCache(capacity=kept, lookups=metrics) if kept else None

    def served(encoder: Encoder) -> Any:
        if isinstance(encoder, CrossEncoder):
            batched = BatchedReranker(encoder, observe=metrics.batch)
            return cache.around(batched, fingerprint=batched.fingerprint) if cache else batched
        if isinstance(encoder, DenseEncoder):
            return BatchedDense(encoder, observe=metrics.batch)
        if isinstance(encoder, HostedEncoder):
            return HostedDense(encoder)
        if isinstance(encoder, SpladeEncoder):
            return BatchedSparse(encoder, observe=metrics.batch)
        raise ModelError(
            f"model {encoder.name} gives token vectors, which the service has no use for"
        )

    return SharedModels(settings, adapt=served)


def model_shelf(models: SharedModels) -> ModelShelf:
    """Return what requests may ask for by name: every model whose files are on this machine.

    Where a request names none, the model of a plan that says nothing of models is meant.
    """
    from opensearch_funnel.encoders.fetch import is_here
    from opensearch_funnel.encoders.manifest_files import list_manifests
    from opensearch_funnel.service.model_shelf import ModelShelf, ShelvedModel

    plain = FunnelPlan(alias="-")
    return ModelShelf(
        known=lambda: [
            ShelvedModel(
                name=manifest.name,
                kind=manifest.kind,
                fingerprint=manifest.fingerprint(),
                is_here=is_here(manifest),
            )
            for manifest in list_manifests()
        ],
        open_model=models.named,
        opened=models.opened,
        defaults={
            "splade": plain.sparse.model,
            "dense": plain.dense.model,
            "cross_encoder": plain.rerank.model,
        },
    )
