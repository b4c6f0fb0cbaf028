"""The response side: the keys of the fused hits in, one score for each out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.ranking import Candidate, Query, Ranking
from opensearch_funnel.core.text import HASH_LENGTH
from opensearch_funnel.engine.paging import reranked_window
from opensearch_funnel.engine.rewriting import RankContext
from opensearch_funnel.service.exchange import adopt_request_id, note_degraded
from opensearch_funnel.service.plans import ReadyPlan
from opensearch_funnel.stages.rerank import cross_encoders

FetchTexts = Callable[[Sequence[str]], Sequence[str]]
"""Return the text of each key, in order."""

_TEXT = "text"
_TOP, _BOTTOM, _GAP = 1999.0, 1001.0, 0.001


def rank(request: Mapping[str, Any], *, ready: ReadyPlan, fetch_texts: FetchTexts) -> list[float]:
    """Score the hits of one page.

    The hits are all that a page inside the reranked window is cut from; the engine keeps the
    best, as many as the client's page has.

    Args:
        request: ``plan`` (the rank context) and ``documents`` (the hits' keys in fused order).
        ready: the plan and its models.
        fetch_texts: where a key's text comes from.

    Returns:
        One score a key, in the order given (``page_scores``); the fused order, marked as degraded,
        where a key is empty or doubled.

    Raises:
        StageUnavailableError: the reranker did not answer: the fused order has to stand.
    """
    keys = request["documents"]
    context = _context(request["plan"])
    if any(len(key) <= HASH_LENGTH for key in keys) or len(set(keys)) != len(keys):
        # Answered all the same: of a page after the first, the engine alone would show the first.
        detail = "a hit has no funnel.id of its own: encode the index again"
        note_degraded("unavailable", detail=detail)
        return page_scores(range(len(keys)), shares=(), start=context.start)
    size = context.size or len(keys)
    depth = reranked_window(len(keys), size=size, depth=ready.plan.rerank.depth)
    texts = fetch_texts(keys[:depth])
    window = Ranking(
        Query(text=context.text),
        tuple(
            Candidate(doc_id=key, score=float(depth - place), source={_TEXT: text})
            for place, (key, text) in enumerate(zip(keys, texts, strict=False))
        ),
    )
    reranked, complete = _reranked(window, ready=ready)
    places = {key: place for place, key in enumerate(keys)}
    order = [*(places[c.doc_id] for c in reranked.candidates), *range(depth, len(keys))]
    # Candidates that only the first model of a cascade scored lie below 1, like the engine's.
    shares = [max(c.score - 1.0, 0.0) for c in reranked.candidates]
    return page_scores(order, shares=shares if complete else (), start=context.start)


def fused_page(request: Mapping[str, Any]) -> list[float] | None:
    """Return the scores that bring up a page in fused order, where reranking it failed.

    Returns:
        ``None`` for the first page: the order that the engine has is the fused one already. On
        any other page the engine has the hits of all pages before it, too, and would show the
        first page again.

    Raises:
        InputError: the rank context is none.
    """
    start = _context(request["plan"]).start
    if start == 0:
        return None
    return page_scores(range(len(request["documents"])), shares=(), start=start)


def _context(given: Mapping[str, Any]) -> RankContext:
    try:
        context = RankContext.read(given)
    except (KeyError, TypeError, ValueError) as error:
        # The error's own text may hold the query, and what is refused is logged.
        raise InputError(f"plan is no rank context: {type(error).__name__}") from error
    adopt_request_id(context.request_id)
    return context


def _reranked(window: Ranking, *, ready: ReadyPlan) -> tuple[Ranking, bool]:
    """Run the stages of the reranking; say whether all of them did their work.

    Raises:
        StageUnavailableError: not even the first one did.
    """
    first, *rest = cross_encoders(ready.plan.rerank, models=ready.models, text_fields=(_TEXT,))
    window = first(window)
    for stage in rest:
        try:
            window = stage(window)
        except Exception as error:  # noqa: BLE001 - whatever it was, the first order stands
            kind = type(error).__name__
            note_degraded("failed", detail=f"the cascade ended after its first model: {kind}")
            return window, False
    return window, True


def page_scores(order: Sequence[int], *, shares: Sequence[float], start: int) -> list[float]:
    """Turn the order of a search's hits into scores that bring one page of it to the top.

    Reranked hits get scores in (1000, 2000), at least 0.001 apart, which also says that they
    were reranked. All others get falling scores below 1: first what follows on the page and
    behind it, then what was on the pages before.

    The engine casts every score to a Java ``Double``: an integer or a long decimal throws. These
    are floats, which are written with a decimal point, of at most nine significant digits.

    Args:
        order: which hit comes first, second, …: places in the order that the engine gave.
        shares: the reranker's scores of the first of them, from 0 to 1, falling; empty where
            the reranking is not complete.
        start: how many hits of the order come before the page.

    Returns:
        One score a hit, in the order that the engine gave.

    Example:
        >>> page_scores([1, 0, 2], shares=[1.0, 0.25], start=0)
        [1250.5, 1999.0, 0.25]
        >>> page_scores([1, 0, 2], shares=[1.0, 0.25], start=1)
        [1250.5, 0.25, 0.5]
    """
    scores = [0.0] * len(order)
    ranked = order[start : len(shares)]
    ceiling = float("inf")
    for place, share in zip(ranked, shares[start:], strict=True):
        wanted = _BOTTOM + float(share) * (_TOP - _BOTTOM)
        ceiling = round(min(wanted, ceiling - _GAP), 4)
        scores[place] = ceiling
    others = [*order[start + len(ranked) :], *order[:start]]
    for fallen, place in enumerate(others):
        scores[place] = round((len(others) - fallen) / (len(order) + 1), 6)
    return scores
