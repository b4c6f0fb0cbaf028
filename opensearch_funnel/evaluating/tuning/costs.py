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
        leg_ms: of each column of a record (``Setting.columns``) at each depth, with its query's
            encoding.
        pair_ms: of each reranker, for one query and text.
        base_ms: of every query.

    Raises:
        KeyError: a leg at that depth or a reranker was not timed (when called).

    Example:
        >>> from opensearch_funnel.core.plan import Reranking
        >>> cost = LatencyModel(leg_ms={("bm25", 200): 3.0}, pair_ms={"tiny": 0.25, "mini": 2.0})
        >>> cascade = Reranking(first_model="tiny", model="mini", depth=40, keep=10)
        >>> cost(Setting(legs=("bm25",), weights=(1.0,), rerank=cascade))
        33.0
    """

    leg_ms: Mapping[tuple[str, int], float]
    pair_ms: Mapping[str, float] = field(default_factory=dict)
    base_ms: float = 0.0

    def __call__(self, setting: Setting) -> float:
        """Return the milliseconds of one query."""
        legs = sum(self.leg_ms[column, setting.depth] for column in setting.columns)
        pairs = sum(self.pair_ms[model] * count for model, count in pairs_of(setting).items())
        return self.base_ms + legs + pairs

    @classmethod
    def timed(
        cls,
        *,
        alone_ms: Mapping[tuple[str, int], float],
        together_ms: float,
        together: Setting,
        pair_ms: Mapping[str, float],
    ) -> LatencyModel:
        """Tell what every query takes from what its legs take.

        A leg searched alone takes its own time and what every query takes; so legs alone take
        that once for each, and together once.

        Args:
            alone_ms: of each column at each depth, searched alone.
            together_ms: of several of them in one search.
            together: which ones.
            pair_ms: of each reranker.

        Example:
            >>> both = Setting(legs=("bm25", "dense"), weights=(1.0, 1.0), depth=9)
            >>> LatencyModel.timed(alone_ms={("bm25", 9): 3.0, ("dense", 9): 6.0}, together_ms=7.0,
            ...                    together=both, pair_ms={}).base_ms
            2.0
        """
        alone = [alone_ms[column, together.depth] for column in together.columns]
        shared = (sum(alone) - together_ms) / (len(alone) - 1) if len(alone) > 1 else 0.0
        base = min(max(shared, 0.0), *alone_ms.values())
        legs = {key: milliseconds - base for key, milliseconds in alone_ms.items()}
        return cls(leg_ms=legs, pair_ms=pair_ms, base_ms=base)


def pairs_of(setting: Setting) -> dict[str, int]:
    """Return how many texts each reranker of a setting reads, at most."""
    rerank = setting.rerank
    if rerank is None:
        return {}
    *first, last = rerank.models
    read = dict.fromkeys(first, rerank.depth)
    kept = min(rerank.keep, rerank.depth) if first else rerank.depth
    read[last] = read.get(last, 0) + kept
    return read
