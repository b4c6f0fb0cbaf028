"""What a setting costs: milliseconds of one query, from what was timed of its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from opensearch_funnel.evaluating.replaying.setting import Setting

Cost = Callable[[Setting], float]
"""Milliseconds of one query under a setting, or any other figure of which less is better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyModel:
    """Adds up what legs and rerankers take.

    Legs are searched one after another in a hybrid query, and a reranker's time grows with the
    pairs that it reads; where several run beside one another, this says too much.

    Attributes:
        leg_ms: of each leg, with its query's encoding.
        pair_ms: of each reranker, for one query and text.
        base_ms: of every query.

    Raises:
        KeyError: a leg or a reranker was not timed (when called).

    Example:
        >>> from opensearch_funnel.core.plan import Reranking
        >>> cost = LatencyModel(leg_ms={"bm25": 3.0}, pair_ms={"tiny": 0.25, "mini": 2.0})
        >>> cascade = Reranking(first_model="tiny", model="mini", depth=40, keep=10)
        >>> cost(Setting(legs=("bm25",), weights=(1.0,), rerank=cascade))
        33.0
    """

    leg_ms: Mapping[str, float]
    pair_ms: Mapping[str, float] = field(default_factory=dict)
    base_ms: float = 0.0

    def __call__(self, setting: Setting) -> float:
        """Return the milliseconds of one query."""
        legs = sum(self.leg_ms[leg] for leg in setting.legs)
        pairs = sum(self.pair_ms[model] * count for model, count in pairs_of(setting).items())
        return self.base_ms + legs + pairs


def pairs_of(setting: Setting) -> dict[str, int]:
    """Return how many texts each reranker of a setting reads, at most."""
    rerank = setting.rerank
    if rerank is None:
        return {}
    *first, last = rerank.models
    read = dict.fromkeys(first, rerank.depth)
    read[last] = read.get(last, 0) + (rerank.keep if first else rerank.depth)
    return read
