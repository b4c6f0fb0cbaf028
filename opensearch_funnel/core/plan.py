"""The declarative form of a funnel: what ``funnel.toml`` says, and the only thing users write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from math import isclose, isfinite
from typing import Any

from opensearch_funnel.core.errors import InvalidPlanError
from opensearch_funnel.core.plan_parts import (
    LEGS,
    MAX_DEPTH,
    MAX_QUERY_TERMS,
    MAX_RANK_CONSTANT,
    MAX_RERANK_DEPTH,
    Bm25Leg,
    Combination,
    Deadlines,
    DenseLeg,
    Fusion,
    LegName,
    Matching,
    PerQuery,
    Reranking,
    SparseLeg,
    Technique,
    Trace,
    Trust,
)
from opensearch_funnel.core.plan_reading import PARTS, read_table
from opensearch_funnel.core.sampling import in_sample

__all__ = [
    "LEGS",
    "MAX_DEPTH",
    "MAX_QUERY_TERMS",
    "MAX_RANK_CONSTANT",
    "MAX_RERANK_DEPTH",
    "Bm25Leg",
    "Combination",
    "Deadlines",
    "DenseLeg",
    "FunnelPlan",
    "Fusion",
    "LegName",
    "Matching",
    "PerQuery",
    "Reranking",
    "SparseLeg",
    "Technique",
    "Trace",
    "Trust",
]

_DIGITS_OF_KINDS = 9
_MEAN_ONLY = frozenset({"auto", "z_score"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelPlan:
    """A whole funnel over one index or alias.

    Immutable: a change gives another plan with another ``plan_id``.

    Example:
        >>> plan = FunnelPlan(alias="films")
        >>> plan.active_legs
        ('bm25', 'sparse', 'dense')
        >>> FunnelPlan.from_dict(plan.to_dict()) == plan
        True
    """

    alias: str
    """The index or alias whose searches the plan upgrades."""
    text_fields: tuple[str, ...] = ("title", "text")
    """The fields that are encoded and that the reranker reads, most telling first."""
    slot: str = "a"
    """Which pair of funnel fields is searched."""
    searched_fields: tuple[str, ...] = ()
    """The index's fields of type ``text``: a search in any other field is a look-up and not
    upgraded. Written when the plan is bound to its index; empty upgrades nothing."""
    mapped_fields: int = 0
    """How many fields of any type the index has, which a query string without fields searches
    all; 0 upgrades no such query. Written when the plan is bound to its index."""
    depth: int = 200
    """Candidates of each leg: the ``pagination_depth`` of the hybrid query."""
    bm25: Bm25Leg = field(default_factory=Bm25Leg)
    sparse: SparseLeg = field(default_factory=SparseLeg)
    dense: DenseLeg = field(default_factory=DenseLeg)
    fusion: Fusion = field(default_factory=Fusion)
    trust: Trust = field(default_factory=Trust)
    per_query: PerQuery = field(default_factory=PerQuery)
    rerank: Reranking = field(default_factory=Reranking)
    deadlines: Deadlines = field(default_factory=Deadlines)
    trace: Trace = "mark"
    matching: Matching = "auto"
    """Whether an upgraded search may find documents that the client's own query does not:
    ``widen`` lets it, ``same_set`` does not, ``auto`` lets it unless the request counts its
    hits (aggregations, exact totals). What the client requires holds either way."""
    tuned: str = ""
    """What the legs' weights and fusion were chosen on, and what that gained; written by
    ``funnel tune``."""
    sample: float = 1.0
    """Share of the searches that are upgraded, by what was typed; the others pass as they came.
    Above 0, and 1 for all. The client form, and with it every evaluation, knows no sample."""

    def __post_init__(self) -> None:
        weights = self._leg_weights().values()
        rules = (
            (bool(self.alias), "a plan needs the index or alias that it is for"),
            (bool(self.text_fields), "text_fields is empty: name the fields to encode"),
            (self.slot.isalnum(), f"slot must be letters and digits, not {self.slot!r}"),
            (1 <= self.depth <= MAX_DEPTH, f"depth must be from 1 to {MAX_DEPTH}"),
            (
                1 <= self.rerank.depth <= min(self.depth, MAX_RERANK_DEPTH),
                f"rerank.depth must be from 1 to {min(self.depth, MAX_RERANK_DEPTH)}",
            ),
            (
                1 <= self.rerank.keep <= MAX_RERANK_DEPTH,
                f"rerank.keep must be from 1 to {MAX_RERANK_DEPTH}",
            ),
            (0.0 <= self.rerank.blend <= 1.0, "rerank.blend must be from 0 to 1"),
            (
                1 <= self.fusion.rank_constant <= MAX_RANK_CONSTANT,
                f"fusion.rank_constant must be from 1 to {MAX_RANK_CONSTANT}",
            ),
            (
                self.fusion.technique not in _MEAN_ONLY
                or self.fusion.combination == "arithmetic_mean",
                f'"{self.fusion.technique}" goes with combination = "arithmetic_mean" only',
            ),
            (
                self.fusion.technique != "auto" or self.per_query.feature == "none",
                '"auto" weighs the legs for each query: leave [per_query] out, or set technique',
            ),
            (
                1 <= self.sparse.query_terms <= MAX_QUERY_TERMS,
                f"sparse.query_terms must be from 1 to {MAX_QUERY_TERMS}",
            ),
            (min(weights) >= 0, "a leg's weight must not be negative"),
            (max(weights) > 0, "at least one leg needs a weight above 0"),
            (all(map(isfinite, weights)), "a leg's weight must be a finite number"),
            (
                all(isfinite(one) and one > 0 for one in map(self.trust.of, LEGS)),
                "[trust] needs a finite number above 0 for each leg",
            ),
            (
                isfinite(self.fusion.full_match) and self.fusion.full_match >= 0,
                "fusion.full_match must be a finite number, 0 or above",
            ),
            (
                self.per_query.feature == "none"
                or min(getattr(self.per_query, leg) for leg in self.active_legs) > 0,
                f"[per_query] needs a weight above 0 for each of {', '.join(self.active_legs)}",
            ),
            (self.per_query.below >= 0, "per_query.below must not be negative"),
            (
                self.per_query.below == 0 or self.per_query.below > self.per_query.at_least,
                "per_query.below must be above at_least: no query is of such a kind",
            ),
            (
                min(asdict(self.deadlines).values()) >= 1,
                "deadlines must be at least 1 ms",
            ),
            (0.0 < self.sample <= 1.0, "sample must be above 0 and at most 1"),
        )
        for holds, message in rules:
            if not holds:
                raise InvalidPlanError(message)
        # A share that is rounded to 0 would take its leg out of a search unseen.
        if self.per_query.feature != "none" and not min(self.weights) > 0:
            raise InvalidPlanError(
                "the weights of [per_query] and of the legs lie too far apart: the engine gets "
                f"them with {_DIGITS_OF_KINDS} digits"
            )

    def _leg_weights(self) -> dict[LegName, float]:
        return {
            "bm25": self.bm25.weight,
            "sparse": self.sparse.weight,
            "dense": self.dense.weight,
        }

    @property
    def active_legs(self) -> tuple[LegName, ...]:
        """The legs that are searched, in the order in which the engine gets them."""
        weights = self._leg_weights()
        return tuple(leg for leg in LEGS if weights[leg] > 0)

    @property
    def weights(self) -> tuple[float, ...]:
        """The share of each place of the hybrid query; they add up to 1, as the engine wants.

        Each active leg has a place. The engine's weights are fixed, whatever is searched; so
        where queries of some kind have others, legs have a second place with that weight, and a
        query leaves one of the two empty (``placed``). What counts is how weights compare, so
        the first leg has the same weight for all, and more than five places are never needed.

        Under ``auto`` these are what a query's own weights start from: the legs' weights times
        how far each is trusted on this index.
        """
        own, spare = self._own_places(), self._spare_places()
        if self.fusion.technique == "auto":
            own = [(leg, weight * self.trust.of(leg)) for leg, weight in own]
        total = sum(weight for _, weight in (*own, *spare))
        # A second place may be far from the first, and small weights have to stay exact.
        digits = _DIGITS_OF_KINDS if spare else 6
        return tuple(round(weight / total, digits) for _, weight in (*own, *spare))

    def placed(self, text: str) -> tuple[str, ...]:
        """Return what is searched in each place of the hybrid query for a text.

        Returns:
            The names of legs; a place that stays empty has a name that no leg has.

        Example:
            >>> plan = FunnelPlan.from_dict({"alias": "shop", "fusion": {"technique": "rrf"},
            ...     "per_query": {"feature": "digits", "at_least": 1,
            ...                   "bm25": 4.0, "sparse": 2.0, "dense": 1.0}})
            >>> plan.weights
            (0.363636364, 0.181818182, 0.363636364, 0.090909091)
            >>> plan.placed("headphones")
            ('bm25', 'sparse', 'dense', 'empty 1')
            >>> plan.placed("wh-1000xm4")
            ('bm25', 'sparse', 'empty 1', 'dense')
        """
        own, spare = self._own_places(), self._spare_places()
        moved = {leg for leg, _ in spare} if self.per_query.fits(text) else set()
        names = [
            *("" if leg in moved else leg for leg, _ in own),
            *(leg if leg in moved else "" for leg, _ in spare),
        ]
        empty = (f"empty {number}" for number in range(1, len(names)))
        return tuple(name or next(empty) for name in names)

    def _own_places(self) -> list[tuple[LegName, float]]:
        weights = self._leg_weights()
        return [(leg, weights[leg]) for leg in self.active_legs]

    def _spare_places(self) -> list[tuple[LegName, float]]:
        """Return the legs whose weight some queries change, on the scale of the others."""
        if self.per_query.feature == "none":
            return []
        own = self._own_places()
        first, weight = own[0]
        scale = weight / getattr(self.per_query, first)
        scaled = {leg: getattr(self.per_query, leg) * scale for leg, _ in own}
        return [(leg, scaled[leg]) for leg, before in own if not isclose(scaled[leg], before)]

    def for_query(self, text: str) -> FunnelPlan:
        """Return the plan with the weights that a text is fused with, the same for all queries."""
        fits = self.per_query.fits(text)
        chosen = {leg: getattr(self.per_query, leg) for leg in self.active_legs} if fits else {}
        weighed: dict[str, Any] = {
            leg: replace(getattr(self, leg), weight=weight) for leg, weight in chosen.items()
        }
        return replace(self, per_query=PerQuery(), **weighed)

    def with_legs(self, *legs: LegName) -> FunnelPlan:
        """Return the plan with only these of its legs; a rule for one kind of queries stays.

        Example:
            >>> FunnelPlan(alias="films").with_legs("bm25", "dense").weights
            (0.5, 0.5)
        """
        without: dict[str, Any] = {
            leg: replace(getattr(self, leg), weight=0.0) for leg in LEGS if leg not in legs
        }
        return replace(self, **without)

    def with_every_leg(self) -> FunnelPlan:
        """Return the plan with a weight of 1 for each leg that it leaves out.

        A rule for one kind of queries says nothing of these legs, and goes where there are any.

        Example:
            >>> FunnelPlan(alias="films").with_legs("dense").with_every_leg().weights
            (0.333333, 0.333333, 0.333333)
        """
        left_out = [leg for leg in LEGS if leg not in self.active_legs]
        added: dict[str, Any] = {leg: replace(getattr(self, leg), weight=1.0) for leg in left_out}
        return replace(self, per_query=PerQuery(), **added) if added else self

    def samples(self, text: str) -> bool:
        """Say whether a search for a text is one of those that the plan upgrades.

        Example:
            >>> FunnelPlan(alias="films").samples("heat")
            True
            >>> FunnelPlan(alias="films", sample=0.5).samples("heat")
            False
        """
        return in_sample(text, alias=self.alias, share=self.sample)

    def unmeasured(self) -> FunnelPlan:
        """Return the plan without what was measured of its legs: ``auto`` trusts all alike."""
        fusion = self.fusion
        if self.trust.decided and (self.trust.thin or fusion.technique == "auto"):
            fusion = replace(fusion, technique="auto", full_match=Fusion().full_match)
        return replace(self, fusion=fusion, trust=Trust())

    def undecided(self) -> FunnelPlan:
        """Return the plan without what was measured and decided, about reranking and trust."""
        plain = Reranking()
        return replace(
            self.unmeasured(),
            rerank=replace(
                self.rerank,
                enabled=plain.enabled,
                cascade=plain.cascade,
                blend=plain.blend,
                decided=plain.decided,
                reason=plain.reason,
            ),
        )

    @property
    def sparse_field(self) -> str:
        """The field of the sparse leg."""
        return f"funnel.sparse_{self.slot}"

    @property
    def dense_field(self) -> str:
        """The field of the dense leg."""
        return f"funnel.dense_{self.slot}"

    @property
    def plan_id(self) -> str:
        """The alias and a hash of everything the plan says; good in a URL path."""
        content = json.dumps(self.to_dict(), sort_keys=True).encode()
        safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in self.alias)
        return f"{safe}.{sha256(content).hexdigest()[:12]}"

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON types, to store or to send."""
        plain = asdict(self)
        for name in _TUPLES:
            plain[name] = list(plain[name])
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> FunnelPlan:
        """Read a plan from JSON or TOML types.

        Raises:
            InvalidPlanError: a key is unknown, or a value is of the wrong type or out of range.

        Example:
            >>> FunnelPlan.from_dict({"alias": "films", "detph": 100})
            Traceback (most recent call last):
            ...
            opensearch_funnel.core.errors.InvalidPlanError: unknown key 'detph' in the plan
        """
        parts: dict[str, Any] = dict(plain)
        for name, kind in PARTS.items():
            if name in parts:
                parts[name] = read_table(kind, parts[name], where=f"[{name}]")
        for name in _TUPLES:
            if isinstance(parts.get(name), list):
                parts[name] = tuple(parts[name])
        if "alias" not in parts:
            raise InvalidPlanError('a plan needs the index or alias that it is for: alias = "…"')
        return read_table(cls, parts, where="the plan")


_TUPLES = ("text_fields", "searched_fields")
