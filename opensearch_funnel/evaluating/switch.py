"""Decide whether a plan reranks: only where that is shown to help, on queries not reported.

A cross-encoder that was trained on other texts can make a good order worse. So it is tried on
queries with known answers (a train or dev split, or probes made from the index itself), and
switched on only when it surely gains; the plan keeps the figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan, Reranking
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.core.ranking import Candidate, Query, Ranking
from opensearch_funnel.core.stage import PairScorer
from opensearch_funnel.stages.rerank import cross_encoders

BLENDS = (0.0, 0.25, 0.5, 0.75)
"""Shares of the fused order that are tried."""
CUTOFF = 10
RULE = 2
"""Another number for another way to decide: decisions of the old one are not reused."""
FEWEST_TRIALS = 20
"""With fewer known queries reranking stays off."""
_RESAMPLES = 2000
_SEED = 1
_TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One query with known answers, and the candidates that the reranker would get for it.

    Attributes:
        query: the query's text.
        grades: the grade of each judged document, by id.
        doc_ids: the candidates in fused order.
        texts: their texts.
    """

    query: str
    grades: Mapping[str, float]
    doc_ids: Sequence[str]
    texts: Sequence[str]


def decide(
    plan: FunnelPlan,
    trials: Sequence[Trial],
    *,
    models: PlanModels,
    evidence: str,
    progress: Progress = SILENT,
) -> FunnelPlan:
    """Return the plan with reranking on or off, and the figures behind that.

    Tried are a few blends, with the first model of a cascade and without it. What is best on one
    half of the trials is judged on the other half, and the other way round, so that the choice does
    not flatter the figure that it is judged by. On means: over all trials, the mean difference in
    nDCG@10 so found has a bootstrap interval (90 %) above zero. The plan then gets what is best on
    all of them.

    Best means: the larger model alone reads every candidate, so it has to be better than the
    cascade by more than the standard error of their difference (the one-standard-error rule of
    Breiman and others, Classification and Regression Trees, 1984).

    Args:
        plan: the plan to decide for; what it says of reranking is replaced.
        trials: queries with known answers.
        models: with the cross-encoder that the plan names, and the first one of a cascade.
        evidence: what the trials are, for the plan's ``reason``.
        progress: hears of each trial.
    """
    if len(trials) < FEWEST_TRIALS:
        reason = f"off: no evidence ({len(trials)} {evidence}, at least {FEWEST_TRIALS} are needed)"
        off = replace(plan.rerank, enabled=False, blend=0.0, decided=True, reason=reason)
        return replace(plan, rerank=off)
    tried = _options(plan.rerank)
    fused, found = [], []
    with progress.task("trying the reranker", total=len(trials), unit="queries") as advance:
        for trial in trials:
            fused.append(ndcg(trial.doc_ids, trial.grades, k=CUTOFF))
            orders = reranked_orders(trial, tried, models=models)
            found.append([ndcg(order, trial.grades, k=CUTOFF) for order in orders])
            advance(1)
    before = float(np.mean(fused))
    gains = np.asarray(found) - np.asarray(fused)[:, None]
    halves = _halves(len(trials))
    gained = np.concatenate(
        [gains[judging, _best(gains[choosing])] for choosing, judging in (halves, halves[::-1])]
    )
    low, high = interval(gained, level=0.90)
    switch = "on" if low > 0 else "off"
    reason = (
        f"{switch}: nDCG@10 {before:.4f} fused, {before + gained.mean():.4f} reranked "
        f"(difference {gained.mean():+.4f}, 90 % interval {low:+.4f} to {high:+.4f}) on "
        f"{len(gained)} {evidence}"
    )
    chosen = tried[_best(gains)]
    decision = replace(chosen, enabled=low > 0, decided=True, reason=reason)
    return replace(plan, rerank=decision)


def _options(rerank: Reranking) -> list[Reranking]:
    """Return what may be chosen, cheapest first."""
    forms = (True, False) if rerank.cascade and rerank.first_model else (False,)
    return [replace(rerank, cascade=cascade, blend=blend) for cascade in forms for blend in BLENDS]


def _best(gains: NDArray[np.float64]) -> int:
    """Return the best option: of each form the best blend, of the forms the cheaper if in doubt."""
    best, *dearer = (
        first + int(np.argmax(gains[:, first : first + len(BLENDS)].mean(axis=0)))
        for first in range(0, gains.shape[1], len(BLENDS))
    )
    for option in dearer:
        better = gains[:, option] - gains[:, best]
        if better.mean() > better.std(ddof=1) / np.sqrt(len(better)):
            best = option
    return best


def _halves(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split trials at random, always in the same way: their order may have a pattern."""
    order = np.random.default_rng(_SEED).permutation(count)
    return order[: count // 2], order[count // 2 :]


def reranked_orders(
    trial: Trial, options: Sequence[Reranking], *, models: PlanModels
) -> list[list[str]]:
    """Return the order of a trial's candidates under each option, as the funnel would give it.

    Each model scores a text once, whatever the number of options.

    Raises:
        StageUnavailableError: a model is not open or does not answer.
    """
    once = replace(
        models,
        reranker=models.reranker and _Once(models.reranker),
        first_reranker=models.first_reranker and _Once(models.first_reranker),
    )
    given = tuple(
        Candidate(doc_id=doc_id, score=0.0, source={_TEXT: text})
        for doc_id, text in zip(trial.doc_ids, trial.texts, strict=True)
    )
    orders = []
    for option in options:
        ranking = Ranking(Query(text=trial.query), given)
        for stage in cross_encoders(option, models=once, text_fields=(_TEXT,)):
            ranking = stage(ranking)
        orders.append([candidate.doc_id for candidate in ranking.candidates])
    return orders


class _Once:
    """A scorer that reads each text of one query once."""

    def __init__(self, scorer: PairScorer) -> None:
        self._scorer = scorer
        self._known: dict[str, float] = {}

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known.update(zip(new, self._scorer.score(query, new), strict=True) if new else ())
        return [self._known[text] for text in texts]


def ndcg(doc_ids: Sequence[str], grades: Mapping[str, float], *, k: int) -> float:
    """Return nDCG with linear gains, as trec_eval computes it.

    Example:
        >>> round(ndcg(["x", "a"], {"a": 1.0}, k=10), 4)  # 1 / log2(3)
        0.6309
    """
    gains = [max(grades.get(d, 0.0), 0.0) for d in doc_ids[:k]]
    ideal = sorted((max(g, 0.0) for g in grades.values()), reverse=True)[:k]
    best = _discounted(ideal)
    return _discounted(gains) / best if best > 0 else 0.0


def _discounted(gains: Sequence[float]) -> float:
    ranks = np.arange(2, len(gains) + 2)
    return float(np.sum(np.asarray(gains, dtype=np.float64) / np.log2(ranks)))


def interval(
    values: NDArray[np.float64], *, level: float, seed: int = _SEED
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a mean."""
    random = np.random.default_rng(seed)
    picks = random.integers(0, len(values), size=(_RESAMPLES, len(values)))
    means = values[picks].mean(axis=1)
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)
