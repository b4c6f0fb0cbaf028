"""What applying a plan has to make, before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine import search_pipelines
from opensearch_funnel.engine.default_pipelines import INGEST, SEARCH, Kind
from opensearch_funnel.engine.ingest_pipelines import ingest_pipeline
from opensearch_funnel.engine.live_documents import LiveIndex
from opensearch_funnel.engine.state import AppliedPipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What applying a plan has to make.

    Attributes:
        plan: the plan.
        connectors: by what they ask for, in the order in which their models are recorded.
        live: the index whose documents are encoded while they are written.
    """

    plan: FunnelPlan
    connectors: Mapping[str, dict[str, Any]]
    live: LiveIndex | None

    def models_of(self, applied: AppliedPipeline) -> dict[str, str]:
        """Return the models of a pipeline by what they answer; empty where others are wanted."""
        if len(applied.models) != len(self.connectors):
            return {}
        return dict(zip(self.connectors, applied.models, strict=True))

    def bodies(self, models: Mapping[str, str]) -> dict[Kind, dict[str, Any]]:
        """Return the pipelines.

        Args:
            models: ids of the remote models, by what they answer.
        """
        made = {
            SEARCH: search_pipelines.funnel_pipeline(
                self.plan,
                rewrite_model=models["rewrite"],
                rank_model=models.get("rank"),
                embed_model=models.get("embed"),
            )
        }
        if self.live is not None:
            made[INGEST] = ingest_pipeline(
                self.plan,
                encode_model=models["encode"],
                theirs=self.live.theirs,
                slots=self.live.slots,
            )
        return made


def planned_requests(
    plan: FunnelPlan,
    *,
    service_url: str,
    name: str,
    with_token: bool = False,
    live: LiveIndex | None = None,
) -> dict[str, Any]:
    """Return the bodies that applying a plan would send, for a look before it is done.

    Args:
        plan: a plan that was bound to its index.
        service_url: where the cluster reaches the service.
        name: of the pipelines.
        with_token: whether the connectors would carry a token; the token itself is not shown.
        live: the index whose documents would be encoded while they are written.
    """
    token = "<service_token>" if with_token else None
    connectors = search_pipelines.plan_connectors(
        plan, service_url=service_url, token=token, ingest=live is not None
    )
    wanted = Wanted(plan=plan, connectors=connectors, live=live)
    bodies = wanted.bodies({action: f"<id of model {action}>" for action in connectors})
    return {
        "plan_id": plan.plan_id,
        "plan": plan.to_dict(),
        "connectors": connectors,
        **{f"PUT {kind.path}/{name}": body for kind, body in bodies.items()},
    }
