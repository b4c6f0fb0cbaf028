"""What tells of a leg's quality: signals by query, probes by collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2

import numpy as np

from benchmarks.fusion_study.cases import CUT, Case
from benchmarks.fusion_study.features import FEATURES
from benchmarks.fusion_study.found import LEGS, Asked
from benchmarks.fusion_study.fusing import alone
from benchmarks.fusion_study.signals import Floats

BETWEEN = "between"

_DIGITS = 3


def correlations(case: Case) -> dict[str, dict[str, float]]:
    """Return how far each feature goes with each leg's nDCG@10 of a query (Spearman).

    Args:
        case: the queries.

    Returns:
        By feature, by leg; and under ``BETWEEN`` how far a leg that has more of it than the other
        legs of the same query is better than they are. That alone can guide weights.
    """
    reached = np.stack([alone(case, leg) for leg in LEGS], axis=1)
    told: dict[str, dict[str, float]] = {}
    for name, feature in FEATURES.items():
        read, spoken = feature.read(case), feature.values(case)
        told[name] = {
            leg: _together(read[:, place], reached[:, place]) for place, leg in enumerate(LEGS)
        }
        told[name][BETWEEN] = _together(_beyond_mean(spoken), _beyond_mean(reached))
    return told


def _beyond_mean(values: Floats) -> Floats:
    beyond: Floats = values - values.mean(axis=1, keepdims=True)
    return beyond.ravel()


def _together(values: Floats, others: Floats) -> float:
    """Return Spearman's correlation; 0 where one of the two is always the same."""
    from scipy.stats import spearmanr

    if np.ptp(values) == 0 or np.ptp(others) == 0:
        return 0.0
    return round(float(spearmanr(values, others).statistic), _DIGITS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeOrder:
    """What probes of a kind say of the legs.

    Attributes:
        probes: how many.
        whole: nDCG@10 of each leg for the probe's own document, as it is in the index.
        rest: the same with the document without the probe's words; empty where nothing was taken
            away.
    """

    probes: int
    whole: Mapping[str, float]
    rest: Mapping[str, float]


def order_by_probes(asked: Sequence[Asked]) -> ProbeOrder:
    """Measure the legs on probes.

    Args:
        asked: probes of one kind, each with the one document that it was made of.
    """
    whole = {leg: _mean([_reached(one, leg) for one in asked]) for leg in LEGS}
    cut = {leg: _mean([_reached_by_rest(one, leg) for one in asked if one.cut]) for leg in LEGS}
    return ProbeOrder(
        probes=len(asked), whole=whole, rest=cut if any(one.cut for one in asked) else {}
    )


def _reached(asked: Asked, leg: str) -> float:
    [own] = asked.grades
    ids = list(asked.columns[leg].ids[:CUT])
    return 1.0 / log2(ids.index(own) + 2) if own in ids else 0.0


def _reached_by_rest(asked: Asked, leg: str) -> float:
    """Put the document's score without the probe's words in the place of the whole one's."""
    [own] = asked.grades
    hits, score = asked.columns[leg], asked.cut[leg]
    rows = zip(hits.ids, hits.scores, strict=True)
    above = sum(other > score for doc_id, other in rows if doc_id != own)
    return 1.0 / log2(above + 2) if score > 0 and above < CUT else 0.0


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), _DIGITS) if values else 0.0


def same_order(told: Mapping[str, float], real: Mapping[str, float]) -> float:
    """Return the share of pairs of legs that two measurements order alike.

    Example:
        >>> same_order({"a": 3, "b": 2, "c": 1}, {"a": 0.9, "b": 0.1, "c": 0.5})
        0.6666666666666666
    """
    legs = list(real)
    pairs = [(one, other) for place, one in enumerate(legs) for other in legs[place + 1 :]]
    alike = [(told[one] - told[other]) * (real[one] - real[other]) > 0 for one, other in pairs]
    return sum(alike) / len(pairs)


def dense_shares(weights: Floats, case: Case) -> dict[str, list[float]]:
    """Return the dense leg's weight of each query, its gap beyond the others', and the match.

    Args:
        weights: ``(queries, legs)``.
        case: the same queries.
    """
    column = LEGS.index("dense")
    gap = case.signal("gap")
    ahead = gap[:, column] - np.delete(gap, column, axis=1).mean(axis=1)
    return {
        "weight": [round(one, _DIGITS) for one in weights[:, column].tolist()],
        "gap": [round(one, _DIGITS) for one in ahead.tolist()],
        "match": [round(one, _DIGITS) for one in case.signal("match")[:, 0].tolist()],
    }
