"""Settings and trials in words, and as JSON."""

from __future__ import annotations

from typing import Any

from opensearch_funnel.core.plan import Fusion, Reranking
from opensearch_funnel.evaluating.replaying.setting import Setting
from opensearch_funnel.evaluating.tuning.search import Trial, Tuning

_DIGITS = 6


def legs_in_words(setting: Setting) -> str:
    """Say how legs are fused.

    Example:
        >>> legs_in_words(Setting(legs=("bm25", "dense"), weights=(1.0, 3.0)))
        'bm25 .25, dense .75 by auto; depth 200'
        >>> legs_in_words(Setting(legs=("sparse",), weights=(2.0,), depth=50))
        'sparse alone; depth 50, 64 query terms'
    """
    terms = f", {setting.query_terms} query terms" if "sparse" in setting.legs else ""
    if len(setting.legs) == 1:
        return f"{setting.legs[0]} alone; depth {setting.depth}{terms}"
    parts = ", ".join(
        f"{leg} {share:.2f}".replace(" 0.", " .")
        for leg, share in zip(setting.legs, setting.shares, strict=True)
    )
    return f"{parts} by {fusion_in_words(setting.fusion)}; depth {setting.depth}{terms}"


def fusion_in_words(fusion: Fusion) -> str:
    """Say how scores become one.

    Example:
        >>> fusion_in_words(Fusion(technique="rrf")), fusion_in_words(Fusion(technique="l2"))
        ('rrf 60', 'l2')
    """
    if fusion.technique == "rrf":
        return f"rrf {fusion.rank_constant}"
    mean = fusion.combination.removesuffix("_mean")
    return fusion.technique if mean == "arithmetic" else f"{fusion.technique}, {mean} mean"


def rerank_in_words(rerank: Reranking | None) -> str:
    """Say how hits are reranked.

    Example:
        >>> rerank_in_words(None)
        'no reranking'
        >>> rerank_in_words(Reranking(first_model="tiny", model="mini", blend=0.5))
        'tiny on 50, mini on 12, blend .5'
    """
    if rerank is None:
        return "no reranking"
    *first, last = rerank.models
    blend = f"{rerank.blend:g}".removeprefix("0") or "0"
    cheap = "".join(f"{name} on {rerank.depth}, " for name in first)
    return f"{cheap}{last} on {rerank.keep if first else rerank.depth}, blend {blend}"


def trial_json(trial: Trial) -> dict[str, Any]:
    """Return a trial as JSON types."""
    setting, rerank = trial.setting, trial.setting.rerank
    plain: dict[str, Any] = {
        "weights": dict(zip(setting.legs, setting.shares, strict=True)),
        "technique": setting.fusion.technique,
        "combination": setting.fusion.combination,
        "rank_constant": setting.fusion.rank_constant,
        "depth": setting.depth,
        "query_terms": setting.query_terms,
        "rerank": None,
        "ms": round(trial.cost, 2),
        "queries": trial.queries,
        "nDCG@10": round(trial.mean, _DIGITS),
        "folds": [None if fold is None else round(fold, _DIGITS) for fold in trial.folds],
    }
    if rerank is not None:
        plain["rerank"] = {
            "models": list(rerank.models),
            "depth": rerank.depth,
            "keep": rerank.keep,
            "blend": rerank.blend,
        }
    return plain


def tuning_json(found: Tuning) -> dict[str, Any]:
    """Return what a search found as JSON types, every trial in it."""
    return {
        "evidence": found.evidence,
        "tuned": found.proposed is not None,
        "gain": round(found.gain, _DIGITS),
        "interval": [round(end, _DIGITS) for end in found.interval],
        "present": trial_json(found.present),
        "best": trial_json(found.best),
        "chosen": trial_json(found.chosen),
        "front": [trial_json(trial) for trial in found.front],
        "trials": [trial_json(trial) for trial in found.trials],
    }
