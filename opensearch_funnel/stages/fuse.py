"""Make one order of what several legs found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from opensearch_funnel.core.fusion import Version, fused
from opensearch_funnel.core.leg_hit import LegHit
from opensearch_funnel.core.plan import Fusion
from opensearch_funnel.core.ranking import Candidate, Ranking
from opensearch_funnel.stages.retrieve import DOC_NUMBER, SHARD


@dataclass(frozen=True, slots=True)
class Fuse:
    """Order candidates by their raw scores in several legs, as the engine fuses them.

    Reads the features that ``Retrieve`` wrote, and adds to each candidate's what each leg
    contributed (``Fused.ranking``). Candidates that no leg found follow at the end.

    Attributes:
        legs: their names.
        weights: the share of each leg, or of what ``placed`` puts in its place.
        fusion: the normalization and the combination technique.
        version: of OpenSearch, which decides how ranks are counted over shards.
        placed: the legs in their places for a query's text, where queries differ in that
            (``FunnelPlan.placed``); a name that is no leg finds nothing.
        name: how traces call the stage.
    """

    legs: Sequence[str]
    weights: Sequence[float]
    fusion: Fusion
    version: Version = (3, 6)
    placed: Callable[[str], Sequence[str]] | None = None
    name: str = "fuse"

    def __call__(self, ranking: Ranking) -> Ranking:
        """Put the candidates in fused order."""
        legs = self.legs if self.placed is None else self.placed(ranking.query.text)
        by_leg = {
            leg: [_hit(c, leg=leg) for c in ranking.candidates if c.features.get(leg, 0.0) > 0]
            for leg in legs
        }
        order = fused(by_leg, weights=self.weights, fusion=self.fusion, version=self.version)
        before = {c.doc_id: c for c in ranking.candidates}
        placed = [
            replace(
                new,
                source=before[new.doc_id].source,
                features={**_kept(before[new.doc_id]), **new.features},
            )
            for new in order.ranking(ranking.query).candidates
        ]
        known = set(order.doc_ids)
        left = [replace(c, score=0.0) for c in ranking.candidates if c.doc_id not in known]
        return replace(ranking, candidates=(*placed, *left))


def _hit(candidate: Candidate, *, leg: str) -> LegHit:
    number = candidate.features.get(DOC_NUMBER)
    return LegHit(
        doc_id=candidate.doc_id,
        score=candidate.features[leg],
        shard=int(candidate.features.get(SHARD, 0)),
        doc_number=None if number is None else int(number),
    )


def _kept(candidate: Candidate) -> dict[str, float]:
    """Return a candidate's features without those that only break ties."""
    return {k: v for k, v in candidate.features.items() if k not in {SHARD, DOC_NUMBER}}
