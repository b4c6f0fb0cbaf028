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

from opensearch_funnel.core.blending import blended
from opensearch_funnel.core.plan import FunnelPlan, Reranking
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.core.stage import PairScorer

BLENDS = (0.0, 0.25, 0.5)
"""Shares of the fused order that are tried."""
CUTOFF = 10
FEWEST_TRIALS = 20
"""With fewer known queries reranking stays off."""
_RESAMPLES = 2000
_SEED = 1


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
    reranker: PairScorer,
    evidence: str,
    progress: Progress = SILENT,
) -> FunnelPlan:
    """Return the plan with reranking on or off, and the figures behind that.

    The best of a few blends is chosen on one half of the trials. On means: over the other half,
    the mean difference in nDCG@10 between the reranked and the fused order has a bootstrap
    interval (90 %) above zero. So the choice does not flatter the figure that it is judged by.

    Args:
        plan: the plan to decide for; what it says of reranking is replaced.
        trials: queries with known answers.
        reranker: the cross-encoder that the plan names.
        evidence: what the trials are, for the plan's ``reason``.
        progress: hears of each trial.
    """
    if len(trials) < FEWEST_TRIALS:
        reason = f"off: no evidence ({len(trials)} {evidence}, at least {FEWEST_TRIALS} are needed)"
        return _with(plan, enabled=False, reason=reason)
    gains: dict[float, list[float]] = {blend: [] for blend in BLENDS}
    fused_quality: list[float] = []
    with progress.task("trying the reranker", total=len(trials), unit="queries") as advance:
        for trial in trials:
            fused = ndcg(trial.doc_ids, trial.grades, k=CUTOFF)
            fused_quality.append(fused)
            scores = reranker.score(trial.query, list(trial.texts))
            for blend in BLENDS:
                order = reordered(trial.doc_ids, scores, blend=blend)
                gains[blend].append(ndcg(order, trial.grades, k=CUTOFF) - fused)
            advance(1)
    choosing, judging = _halves(len(trials))
    mean_gain = {b: float(np.mean(np.asarray(gains[b])[choosing])) for b in BLENDS}
    blend = max(BLENDS, key=lambda b: (mean_gain[b], -b))
    gained = np.asarray(gains[blend])[judging]
    before = float(np.mean(np.asarray(fused_quality)[judging]))
    low, high = interval(gained, level=0.90)
    enabled = low > 0
    reason = (
        f"nDCG@10 {before:.4f} fused, {before + gained.mean():.4f} reranked "
        f"(difference {gained.mean():+.4f}, 90 % interval {low:+.4f} to {high:+.4f}) on "
        f"{len(gained)} {evidence}"
    )
    return _with(
        plan, enabled=enabled, blend=blend, reason=f"{'on' if enabled else 'off'}: {reason}"
    )


def _halves(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split trials at random, always in the same way: their order may have a pattern."""
    order = np.random.default_rng(_SEED).permutation(count)
    return order[: count // 2], order[count // 2 :]


def _with(plan: FunnelPlan, *, enabled: bool, reason: str, blend: float = 0.0) -> FunnelPlan:
    rerank: Reranking = replace(
        plan.rerank, enabled=enabled, blend=blend, decided=True, reason=reason
    )
    return replace(plan, rerank=rerank)


def reordered(doc_ids: Sequence[str], scores: Sequence[float], *, blend: float) -> list[str]:
    """Return candidates in the order that the service would give them.

    Example:
        >>> reordered(["a", "b"], [0.1, 0.9], blend=0.0)
        ['b', 'a']
    """
    mixed = blended(scores, share=blend)
    return [doc_ids[i] for i in np.argsort(-mixed, kind="stable")]


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
