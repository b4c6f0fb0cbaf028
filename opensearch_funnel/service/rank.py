"""The response side: the keys of the fused hits in, one score for each out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opensearch_funnel.core.blending import blended
from opensearch_funnel.core.errors import StageUnavailableError
from opensearch_funnel.core.text import HASH_LENGTH
from opensearch_funnel.engine.rewriting import read_rank_context
from opensearch_funnel.service.plans import ReadyPlan

FetchTexts = Callable[[Sequence[str]], Sequence[str]]
"""Return the text of each key, in order."""

_TOP, _BOTTOM, _GAP = 1999.0, 1001.0, 0.001


def rank(request: Mapping[str, Any], *, ready: ReadyPlan, fetch_texts: FetchTexts) -> list[float]:
    """Score the hits of one page.

    Args:
        request: ``plan`` (the rank context) and ``documents`` (the hits' keys in fused order).
        ready: the plan and its models.
        fetch_texts: where a key's text comes from.

    Returns:
        One score a key, in the order given (``page_scores``).

    Raises:
        StageUnavailableError: a key is empty or doubled, or the plan has no reranker: the fused
            order has to stand.
    """
    keys = request["documents"]
    if ready.models.reranker is None:
        raise StageUnavailableError(f"plan {ready.plan.plan_id} has no reranker")
    if any(len(key) <= HASH_LENGTH for key in keys) or len(set(keys)) != len(keys):
        raise StageUnavailableError("a hit has no funnel.id of its own: encode the index again")
    window = keys[: ready.plan.rerank.depth]
    query = read_rank_context(request["plan"])
    scores = ready.models.reranker.score(query, fetch_texts(window))
    if len(scores) != len(window):
        raise StageUnavailableError(f"{len(scores)} scores for {len(window)} hits")
    return page_scores(blended(scores, share=ready.plan.rerank.blend), hits=len(keys))


def page_scores(scores: NDArray[np.float64], *, hits: int) -> list[float]:
    """Turn scores between 0 and 1 into the ones that mark a reranked page.

    Reranked hits get scores in (1000, 2000), at least 0.001 apart; equal scores keep the order
    that they came in. Hits behind the window get falling scores below 1.

    The engine casts every score to a Java ``Double``: an integer or a long decimal throws. These
    are floats, which are written with a decimal point, of at most nine significant digits.

    Example:
        >>> page_scores(np.array([0.25, 1.0]), hits=3)
        [1250.5, 1999.0, 0.333333]
    """
    marked = [0.0] * hits
    ceiling = float("inf")
    for position in np.argsort(-scores, kind="stable"):
        wanted = _BOTTOM + float(scores[position]) * (_TOP - _BOTTOM)
        ceiling = min(wanted, ceiling - _GAP)
        ceiling = round(ceiling, 4)
        marked[position] = ceiling
    for position in range(len(scores), hits):
        marked[position] = round((hits - position) / hits, 6)
    return marked


def share_of_score(score: float) -> float:
    """Return the score between 0 and 1 that a reranked hit's page score stands for.

    Example:
        >>> share_of_score(1999.0)
        1.0
    """
    return round(min(max((score - _BOTTOM) / (_TOP - _BOTTOM), 0.0), 1.0), 6)
