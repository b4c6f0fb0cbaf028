"""The part of a plan that can be tried on stored results: all that comes after the legs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any

from opensearch_funnel.core.errors import InvalidPlanError
from opensearch_funnel.core.plan import (
    LEGS,
    FunnelPlan,
    Fusion,
    PerQuery,
    Reranking,
    SparseLeg,
    Trust,
)

QUERY_TERMS = SparseLeg().query_terms
"""What a plan has that says nothing else."""
_DIGITS = 6


def column_of(leg: str, *, query_terms: int) -> str:
    """Return the name that a leg's hits have in a record.

    Example:
        >>> column_of("bm25", query_terms=64), column_of("sparse", query_terms=16)
        ('bm25', 'sparse:16')
    """
    return f"{leg}:{query_terms}" if leg == "sparse" else leg


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How legs are fused and reranked; any number of legs, by any names.

    Attributes:
        legs: their names, in the order in which the engine gets them.
        weights: of each leg, relative to the others; above 0.
        fusion: normalization and combination.
        trust: what weights are multiplied by under ``auto``.
        depth: candidates of each leg on each shard.
        query_terms: the heaviest terms of a query that the sparse leg searches.
        rerank: how the fused hits are reranked; ``None`` for not at all.

    Raises:
        InvalidPlanError: no plan can say this.

    Example:
        >>> plan = FunnelPlan(alias="films")
        >>> setting = Setting.of(plan)
        >>> setting.legs, setting.shares
        (('bm25', 'sparse', 'dense'), (0.4, 0.2, 0.4))
        >>> setting.applied(plan) == plan
        True
    """

    legs: tuple[str, ...]
    weights: tuple[float, ...]
    fusion: Fusion = field(default_factory=Fusion)
    trust: Trust = field(default_factory=Trust)
    depth: int = 200
    query_terms: int = QUERY_TERMS
    rerank: Reranking | None = None

    def __post_init__(self) -> None:
        rerank = self.rerank
        rules = (
            (bool(self.legs), "a setting needs a leg"),
            (len(set(self.legs)) == len(self.legs), f"a leg is named twice: {self.legs}"),
            (len(self.weights) == len(self.legs), "a setting needs one weight for each leg"),
            (
                all(isfinite(weight) and weight > 0 for weight in self.weights),
                "weights must be above 0: leave a leg out that should have none",
            ),
            (self.depth >= 1, "depth must be at least 1"),
            (
                rerank is None or 1 <= rerank.depth <= self.depth,
                "rerank.depth must be from 1 to depth",
            ),
            (self.query_terms >= 1, "query_terms must be at least 1"),
        )
        for holds, message in rules:
            if not holds:
                raise InvalidPlanError(message)

    @property
    def shares(self) -> tuple[float, ...]:
        """The weights as they are fused with (``FunnelPlan.weights``): they add up to 1."""
        weights = self.weights
        if self.fusion.by_service:
            trusts = map(self.trust.of, self.legs)
            weights = tuple(w * trust for w, trust in zip(weights, trusts, strict=True))
        total = sum(weights)
        return tuple(round(weight / total, _DIGITS) for weight in weights)

    @property
    def columns(self) -> tuple[str, ...]:
        """The name of each leg's column in a record."""
        return tuple(column_of(leg, query_terms=self.query_terms) for leg in self.legs)

    @property
    def models(self) -> tuple[str, ...]:
        """The rerankers that it asks, in order."""
        return self.rerank.models if self.rerank else ()

    @classmethod
    def of(cls, plan: FunnelPlan) -> Setting:
        """Return what a plan says; its reranking only where that is on.

        What it says of one kind of queries is left out: ask ``FunnelPlan.for_query`` first.
        """
        legs = plan.active_legs
        plain = Reranking()
        rerank = replace(plan.rerank, enabled=True, decided=plain.decided, reason=plain.reason)
        return cls(
            legs=legs,
            weights=tuple(float(getattr(plan, leg).weight) for leg in legs),
            fusion=plan.fusion,
            trust=plan.trust,
            depth=plan.depth,
            query_terms=plan.sparse.query_terms,
            rerank=rerank if plan.rerank.enabled else None,
        )

    def with_legs(self, *legs: str) -> Setting:
        """Return the setting with only these of its legs, in their order."""
        kept = [(leg, w) for leg, w in zip(self.legs, self.weights, strict=True) if leg in legs]
        names, weights = tuple(leg for leg, _ in kept), tuple(weight for _, weight in kept)
        return replace(self, legs=names, weights=weights)

    def applied(self, plan: FunnelPlan) -> FunnelPlan:
        """Return a plan that does this; what a setting does not say stays as the plan has it.

        But for other weights of some kind of queries: they go where the plan's own weights do.

        Raises:
            InvalidPlanError: a plan has no such leg, or not in that order.
        """
        if self.legs != tuple(leg for leg in LEGS if leg in self.legs):
            raise InvalidPlanError(f"a plan has the legs {', '.join(LEGS)}, not {self.legs}")
        weights = dict(zip(self.legs, self.weights, strict=True))
        changed: dict[str, Any] = {
            leg: replace(getattr(plan, leg), weight=weights.get(leg, 0.0)) for leg in LEGS
        }
        changed["sparse"] = replace(changed["sparse"], query_terms=self.query_terms)
        if self.rerank is None:
            depth = min(plan.rerank.depth, self.depth)
            rerank = replace(plan.rerank, enabled=False, depth=depth)
        else:
            before = plan.rerank
            rerank = replace(
                self.rerank, enabled=True, decided=before.decided, reason=before.reason
            )
        own = Setting.of(plan)
        if (self.legs, self.shares) != (own.legs, own.shares):
            changed["per_query"] = PerQuery()
        return replace(
            plan, fusion=self.fusion, trust=self.trust, depth=self.depth, rerank=rerank, **changed
        )
