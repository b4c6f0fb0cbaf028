"""The vectors of query texts, for an engine that asks for them while it searches."""

from __future__ import annotations

from collections.abc import Sequence

from opensearch_funnel.core.errors import StageUnavailableError
from opensearch_funnel.service.plans import ReadyPlan


def embed(texts: Sequence[str], *, ready: ReadyPlan) -> list[list[float]]:
    """Encode texts as the dense leg of a plan encodes its queries.

    Args:
        texts: what was searched; the engine sends one at a time.
        ready: the plan and its models.

    Returns:
        One vector a text, in the order given.

    Raises:
        StageUnavailableError: the plan has no dense leg.
    """
    if ready.models.dense is None:
        raise StageUnavailableError(f"plan {ready.plan.plan_id} has no dense leg")
    return [ready.models.dense.encode_query(text).tolist() for text in texts]
