"""How much better one system is than another, on the same queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opensearch_funnel.evaluating.measures import Measure, Values, bootstrap_interval, mean

COMPARED = (("funnel", "bm25"), ("funnel", "rrf"), ("funnel", "hybrid"), ("hybrid", "rrf"))
"""Each system with one that it has to beat, by name."""
_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What one system gained over another, paired by query.

    Pairs say more than the intervals of both systems: what makes a query hard is hard for both,
    and falls out of their difference.

    Attributes:
        system: the one that should be better.
        reference: the one that it is measured against.
        values: for each measure, the value of the system minus that of the reference, by query.
    """

    system: str
    reference: str
    values: Mapping[Measure, Values]

    @property
    def name(self) -> str:
        """How the JSON calls it."""
        return f"{self.system} - {self.reference}"

    def mean(self, measure: Measure) -> float:
        """Return the mean difference over queries."""
        return mean(self.values[measure])

    def interval(self, measure: Measure) -> tuple[float, float]:
        """Return its 95 % interval: queries are drawn, each with both of its answers."""
        return bootstrap_interval(self.values[measure])

    def to_json(self) -> dict[str, Any]:
        """Return what ``--output json`` prints of it."""
        return {
            str(measure): {
                "difference": round(self.mean(measure), _DIGITS),
                "interval": [round(end, _DIGITS) for end in self.interval(measure)],
            }
            for measure in self.values
        }


def differences(
    systems: Mapping[str, Mapping[Measure, Values]],
    *,
    pairs: Sequence[tuple[str, str]] = COMPARED,
) -> list[Difference]:
    """Compare systems that were measured on the same queries.

    Args:
        systems: by name, for each measure the value of each query.
        pairs: a system and its reference; left out where one of them was not measured.

    Example:
        >>> ndcg = Measure("nDCG", 10)
        >>> measured = {"a": {ndcg: {"q": 0.75}}, "b": {ndcg: {"q": 0.5}}}
        >>> [gain] = differences(measured, pairs=[("a", "b"), ("a", "c")])
        >>> gain.name, gain.mean(ndcg)
        ('a - b', 0.25)
    """
    return [
        Difference(
            system=system,
            reference=reference,
            values={
                measure: paired(values, systems[reference][measure])
                for measure, values in systems[system].items()
            },
        )
        for system, reference in pairs
        if system in systems and reference in systems
    ]


def paired(values: Values, others: Values) -> dict[str, float]:
    """Return by how much each query's value is larger than its other one."""
    return {query_id: value - others[query_id] for query_id, value in values.items()}
