"""Why a hit is where it is: every number between a query and a place in the list.

A trace is checked before it is shown. What the legs contribute has to add up to the fused score,
that has to be the score that the engine gave, and a reranked hit has to have the score that its
reranker gives it again. Where one of these does not hold, the trace says so (``consistent`` and
``differences``): a trace that only looks right would be worse than none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from opensearch_funnel.core.plan import LegName

DecidedBy = Literal["plain", "fused", "first_model", "reranked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTerm:
    """What one term added to the raw score of the lexical leg.

    Attributes:
        field: where it was found; ``None`` where the engine does not tell.
        term: the term as the index holds it, stemmed; or the engine's own words for what cannot
            be told apart into terms.
        contribution: its part of the leg's raw score.
    """

    field: str | None
    term: str
    contribution: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenTerm:
    """What one token of the model added to the raw score of the sparse leg.

    Attributes:
        term: the token.
        query_weight: what the model makes of it in the query.
        stored_weight: what the index keeps of its weight in the document: 9 significant bits.
        contribution: the product of the two.
    """

    term: str
    query_weight: float
    stored_weight: float
    contribution: float


Term = TextTerm | TokenTerm


@dataclass(frozen=True, slots=True, kw_only=True)
class LegTrace:
    """What one leg knows of a hit.

    Attributes:
        rank: its place among the leg's candidates, from 1; ``None`` where it is none of them.
        score: the leg's raw score; ``None`` likewise.
        normalized: the score that the fusion makes of it, before weights.
        weight: the leg's share in the plan.
        contribution: the leg's part of the fused score; 0 where it did not find the hit.
        terms: what matched, the most important first; they add up to ``score``. Empty in the
            dense leg: a vector has no terms.
    """

    rank: int | None
    score: float | None
    normalized: float | None
    weight: float
    contribution: float
    terms: tuple[Term, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankTrace:
    """What the reranker made of a hit.

    Attributes:
        rank_before: its place in the fused order, from 1.
        rank_after: its place in the answer.
        score: the cross-encoder's own score, on its own scale.
        first_score: that of the cheaper cross-encoder before it; ``None`` without a cascade.
        model_share: ``score`` stretched over the window: 0 is the worst of it, 1 the best. In a
            cascade the mean of both scores, each stretched over what its last model saw.
        order_share: the fused order as a number: 1 is the first hit of the window.
        blend: how much of ``order_share`` the plan mixes in, from 0 to 1.
        final: the mix that the reranked order goes by.
    """

    rank_before: int
    rank_after: int
    score: float | None
    first_score: float | None
    model_share: float | None
    order_share: float | None
    blend: float
    final: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HitTrace:
    """Why one hit is where it is.

    Attributes:
        decided_by: the last stage that the hit went through: ``plain`` for the order of the plain
            query, ``fused``, ``first_model`` of a cascade whose last one failed, or ``reranked``.
        legs: what each leg knows of it. Of the plain order, the lexical one alone, without a
            weight in anything.
        fused_score: the sum of the contributions; ``None`` in the plain order.
        engine_score: the fused score that the engine gives; ``None`` likewise.
        fused_rank: its place in the fused order, from 1.
        rerank: ``None`` for a hit that the reranker did not see.
        differences: what does not agree, one line each; empty where everything does.
    """

    decided_by: DecidedBy
    legs: Mapping[LegName, LegTrace] = field(default_factory=dict)
    fused_score: float | None = None
    engine_score: float | None = None
    fused_rank: int | None = None
    rerank: RerankTrace | None = None
    consistent: bool = True
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerTrace:
    """What holds for all hits of an answer.

    Attributes:
        technique: how scores are made comparable, or ``rrf``; ``auto`` where the legs are weighed
            for each query.
        combination: which mean; ``None`` for ``rrf``.
        candidates: how many candidates each leg had.
        weights: each leg's share in the fused scores of this query.
        reasons: under ``auto`` what speaks for that share, by leg; and by ``trust`` what was
            measured on the index.
        consistent: whether every hit's trace is.
        largest_error: the largest difference between a fused score that was added up here and
            the engine's.
        took_ms: what making the trace took, on top of the search.
    """

    technique: str
    combination: str | None
    candidates: Mapping[LegName, int]
    weights: Mapping[LegName, float]
    reasons: Mapping[str, str]
    reranked: int
    consistent: bool
    largest_error: float
    took_ms: int
