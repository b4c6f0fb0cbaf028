"""A search for a better plan as a report."""

from __future__ import annotations

from collections.abc import Iterator

from opensearch_funnel.evaluating.pages import Block, Heading, Paragraph, Picture, Table
from opensearch_funnel.evaluating.tuning.front_plot import draw_front
from opensearch_funnel.evaluating.tuning.search import Trial, Tuning
from opensearch_funnel.evaluating.tuning.wording import legs_in_words, rerank_in_words

_BEST = 20
TRIAL_COLUMNS = ("ms", "nDCG@10", "queries", "plan")


def in_words(trial: Trial, *, reranks: bool) -> str:
    """Say what a trial tried: how legs are fused, or how hits are reranked.

    Args:
        trial: one of a search.
        reranks: whether the search was for reranking.
    """
    return rerank_in_words(trial.setting.rerank) if reranks else legs_in_words(trial.setting)


def trial_row(trial: Trial, *, reranks: bool) -> tuple[str, ...]:
    """Return a trial as cells under ``TRIAL_COLUMNS``."""
    words = in_words(trial, reranks=reranks)
    return f"{trial.cost:.1f}", f"{trial.mean:.4f}", f"{trial.queries:,}", words


def tuning_blocks(found: Tuning, *, title: str, reranks: bool) -> Iterator[Block]:
    """Lay out a search.

    Args:
        found: what it found.
        title: what was searched for.
        reranks: whether that was reranking.
    """
    texts = frozenset({3})
    yield Heading(title)
    yield Paragraph(found.evidence + ".")
    yield Picture(draw_front(found), f"Quality against milliseconds, {title}")
    yield Heading(f"{title}: the front")
    yield Table(TRIAL_COLUMNS, [trial_row(t, reranks=reranks) for t in found.front], texts)
    yield Heading(f"{title}: the best of {len(found.trials):,} plans")
    best = [trial_row(t, reranks=reranks) for t in found.trials[:_BEST]]
    yield Table(TRIAL_COLUMNS, best, texts)
    yield Paragraph(
        "Means are those that plans were chosen by, and flatter the best of many. The gain above "
        "is not: each query judged a choice that it took no part in. Plans that were worse on "
        "the first queries were not tried on the others."
    )
