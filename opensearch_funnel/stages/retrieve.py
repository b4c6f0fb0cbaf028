"""Find the candidates of a query: the first stage of a funnel."""

from __future__ import annotations

from dataclasses import dataclass

from opensearch_funnel.core.ranking import Candidate, Ranking
from opensearch_funnel.core.stage import LegSearcher

SHARD, DOC_NUMBER = "shard", "doc_number"
"""Features that say where in the engine a candidate is, until it is fused: they break ties."""


@dataclass(frozen=True, slots=True)
class Retrieve:
    """Put what the legs find in the place of the candidates that came in.

    Nothing is ordered yet: candidates come in the order of the legs, each where the first leg
    that found it has it, and all with the same score. Their features hold each leg's raw score.

    Attributes:
        legs: where candidates come from.
        name: how traces call the stage.
    """

    legs: LegSearcher
    name: str = "retrieve"

    def __call__(self, ranking: Ranking) -> Ranking:
        """Search with the query of a ranking; its candidates are not looked at."""
        found: dict[str, dict[str, float]] = {}
        for leg, hits in self.legs.find(ranking.query).items():
            for hit in hits:
                if hit.score <= 0:
                    continue  # the engine's hybrid query does not count it as found
                features = found.setdefault(hit.doc_id, {SHARD: float(hit.shard)})
                if hit.doc_number is not None:
                    features[DOC_NUMBER] = float(hit.doc_number)
                features[leg] = hit.score
        return Ranking(
            ranking.query,
            tuple(
                Candidate(doc_id=doc_id, score=0.0, features=features)
                for doc_id, features in found.items()
            ),
        )
