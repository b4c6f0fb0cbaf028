"""The models that a plan's stages ask, behind their ports."""

from __future__ import annotations

from dataclasses import dataclass

from opensearch_funnel.core.stage import DenseQueryEncoder, PairScorer, SparseQueryEncoder


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanModels:
    """What a plan's stages ask; a leg or stage that the plan leaves out has none."""

    sparse: SparseQueryEncoder | None = None
    dense: DenseQueryEncoder | None = None
    first_reranker: PairScorer | None = None
    """The cheaper cross-encoder of a cascade; it scores before ``reranker`` does."""
    reranker: PairScorer | None = None
