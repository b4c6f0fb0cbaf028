"""The tables of a plan: what each leg, the fusion and the reranking may say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from opensearch_funnel.core.query_kinds import Feature, feature_of

LegName = Literal["bm25", "sparse", "dense"]
Technique = Literal["auto", "min_max", "z_score", "l2", "rrf"]
Combination = Literal["arithmetic_mean", "geometric_mean", "harmonic_mean"]
Trace = Literal["off", "mark"]
Matching = Literal["auto", "widen", "same_set"]

LEGS: tuple[LegName, ...] = get_args(LegName)
MAX_DEPTH = 2000
MAX_RERANK_DEPTH = 500
MAX_QUERY_TERMS = 500
MAX_RANK_CONSTANT = 10_000  # the engine's own limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Bm25Leg:
    """The client's own query, as it came."""

    weight: float = 1.0
    """Share of this leg in the fused score, relative to the other legs; 0 leaves it out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseLeg:
    """Learned term weights in ``funnel.sparse_<slot>``."""

    weight: float = 0.5
    """Half of the others: measured on train and dev queries (docs/decisions/0005)."""
    model: str = "splade-tiny"
    fingerprint: str = ""
    """Of the model that encoded the index; empty until the plan is applied."""
    max_tokens: int = 0
    """Where its texts were cut; 0 for the model's own limit. Written when the plan is bound."""
    query_terms: int = 64
    """At most this many of a query's heaviest terms are searched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseLeg:
    """One vector a document in ``funnel.dense_<slot>``."""

    weight: float = 1.0
    model: str = "bge-small-en-v1.5"
    fingerprint: str = ""
    """Of the model that encoded the index; empty until the plan is applied."""
    max_tokens: int = 0
    """Where its texts were cut; 0 for the model's own limit. Written when the plan is bound."""
    native_neural: bool = False
    """Let the engine ask for the query's vector while it searches (a ``neural`` query), and not
    the rewrite. A search whose vector cannot be had then fails: the engine does not go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fusion:
    """How the legs' scores become one: the words are the engine's, but for ``auto``."""

    technique: Technique = "auto"
    """``auto`` weighs the legs anew for each query, by what they found (``core.query_weights``),
    and fuses as ``min_max`` does; the legs' own weights say how far each is trusted."""
    combination: Combination = "arithmetic_mean"
    rank_constant: int = 60
    """Only read by ``rrf``."""
    full_match: float = 0.0
    """Only read by ``auto``: what the sparse leg gives a document that holds all that a query
    says; 0 where that is not known. Written when the index is measured (``[trust]``)."""

    @property
    def by_service(self) -> bool:
        """Whether the service fuses: the engine has the same weights for all queries."""
        return self.technique == "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """How far each leg is trusted on this index, told by probes made of its own documents.

    Only read by ``auto``, where it multiplies the legs' weights.
    """

    bm25: float = 1.0
    sparse: float = 1.0
    dense: float = 1.0
    decided: bool = False
    """Whether the index was measured."""
    thin: bool = False
    """Whether there was too little to measure: the plan then fuses by ``rrf``."""
    reason: str = "not measured yet"
    """What was measured, in words."""
    index: str = ""
    """The uuid of the index that was measured; empty where a person wrote the rest."""

    def of(self, leg: str) -> float:
        """Return how far a leg is trusted; 1 for one that no plan has.

        Example:
            >>> Trust(bm25=0.5).of("bm25"), Trust(bm25=0.5).of("title")
            (0.5, 1.0)
        """
        own = {"bm25": self.bm25, "sparse": self.sparse, "dense": self.dense}
        return own.get(leg, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PerQuery:
    """Other weights of the legs for queries of one kind, told by their text alone."""

    feature: Feature = "none"
    """What is looked at (``core.query_kinds``); ``none`` for the same weights for all queries."""
    at_least: float = 0.0
    """Queries with less of it are fused as all others."""
    below: float = 0.0
    """So are those with as much or more; 0 for no such end."""
    bm25: float = 0.0
    sparse: float = 0.0
    dense: float = 0.0
    reason: str = ""
    """What they were chosen on, and what that gained; written by ``funnel tune``."""

    def fits(self, text: str) -> bool:
        """Say whether a query is of the kind.

        Example:
            >>> numbers = PerQuery(feature="digits", at_least=1, bm25=1.0)
            >>> numbers.fits("wh-1000xm4"), numbers.fits("headphones")
            (True, False)
        """
        if self.feature == "none":
            return False
        found = feature_of(text, feature=self.feature)
        return found >= self.at_least and (self.below == 0 or found < self.below)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reranking:
    """The cross-encoder over the best of the fused hits."""

    enabled: bool = False
    model: str = "funnel-reranker-mini"
    depth: int = 50
    """How many hits are reranked."""
    first_model: str = "funnel-reranker-tiny"
    """A cheaper cross-encoder that scores all ``depth`` hits first; empty leaves it out."""
    cascade: bool = True
    """Whether ``first_model`` is used. Without it ``model`` scores all ``depth`` hits itself:
    slower, and better on texts that the small model cannot read."""
    keep: int = 12
    """How many of the best hits of ``first_model`` are left to ``model``; both count for those."""
    blend: float = 0.0
    """Share of the fused order in the final score, from 0 (the models alone) to 1."""
    decided: bool = False
    """Whether ``enabled``, ``cascade`` and ``blend`` were chosen by evidence, not by a person."""
    reason: str = "not decided yet"
    """Why it is on or off, with the evidence."""

    @property
    def models(self) -> tuple[str, ...]:
        """The models that score, in order: one, or the two of a cascade."""
        return (
            (self.first_model, self.model) if self.cascade and self.first_model else (self.model,)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long the service may take before the answer goes on without it; in milliseconds."""

    rewrite_ms: int = 250
    rank_ms: int = 700
    encode_ms: int = 2000
    """Of a document that is written: behind it, the document is written without funnel fields."""
