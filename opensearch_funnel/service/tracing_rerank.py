"""What the reranker made of the fused order: asked once more, with every number kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opensearch_funnel.core.blending import blended, order_shares
from opensearch_funnel.core.ranking import Candidate, Query, Ranking
from opensearch_funnel.engine.paging import reranked_window
from opensearch_funnel.service.plans import ReadyPlan
from opensearch_funnel.service.rank import page_scores
from opensearch_funnel.stages.rerank import FIRST, LAST, PLACE, cross_encoders


@dataclass(frozen=True, slots=True, kw_only=True)
class Reranked:
    """One document that the reranker saw.

    Attributes:
        rank: its place in the reranked order, from 1.
        score: the (last) cross-encoder's own score; ``None`` for one that a cascade left out.
        first_score: that of a cascade's first cross-encoder; ``None`` without a cascade.
        model_share: ``score`` stretched over what the model saw, from 0 to 1; in a cascade the mean
            of both scores, each stretched so.
        order_share: the fused order as a number, from 1 for its first hit down.
        final: what the order goes by, from 0 to 1.
        page_score: the score that marks it as reranked in an answer.
    """

    rank: int
    score: float | None
    first_score: float | None
    model_share: float | None
    order_share: float | None
    final: float
    page_score: float


def reranked_again(
    sources: Sequence[Mapping[str, Any]], *, text: str, ready: ReadyPlan, start: int, size: int
) -> list[Reranked]:
    """Score the window of a fused order as ``rank`` does.

    Args:
        sources: the documents of the fused order, best first; as many as the engine hands over.
        text: what was searched.
        ready: the plan and its models.
        start: how many hits come before the page.
        size: of the page.

    Returns:
        What became of each document of the window, in fused order.

    Raises:
        StageUnavailableError: a model did not answer, or the plan has none.
    """
    plan, models = ready.plan, ready.models
    window = reranked_window(len(sources), size=size, depth=plan.rerank.depth)
    if window == 0:
        return []
    ranking = Ranking(
        Query(text=text),
        tuple(
            Candidate(doc_id=str(place), score=float(window - place), source=source)
            for place, source in enumerate(sources[:window])
        ),
    )
    for stage in cross_encoders(plan.rerank, models=models, text_fields=plan.text_fields):
        ranking, seen = stage(ranking), ranking.candidates[: stage.depth]
    order = ranking.candidates
    places = [int(candidate.doc_id) for candidate in order]
    by_place = dict(zip(places, order, strict=True))
    last = [by_place[int(candidate.doc_id)].features for candidate in seen]
    opinions = [[told[name] for told in last] for name in (FIRST, LAST) if name in last[0]]
    seen_at = [int(told[PLACE]) for told in last]
    model = blended(opinions, places=seen_at, share=0.0)
    mixed = dict(zip(seen_at, model, strict=True))
    finals = [max(candidate.score - 1.0, 0.0) for candidate in order]
    whole = [*places, *range(window, len(sources))]
    marks = page_scores(whole, shares=finals, start=start)
    told: dict[int, Reranked] = {}
    for rank, (place, candidate, final) in enumerate(
        zip(places, order, finals, strict=True), start=1
    ):
        model_share = mixed.get(place)
        told[place] = Reranked(
            rank=rank,
            score=candidate.features.get(LAST),
            first_score=candidate.features.get(FIRST),
            model_share=None if model_share is None else float(model_share),
            order_share=None if model_share is None else float(order_shares([place])[0]),
            final=final,
            page_score=marks[place],
        )
    return [told[place] for place in range(window)]
