"""How far each leg is trusted: measured where a plan is evaluated or applied, and then kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from opensearchpy import OpenSearch

from opensearch_funnel.build.decisions import trust_key
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan, Fusion, Trust
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.engine.binding import planned_index
from opensearch_funnel.engine.indices import index_uuid, read_funnel_meta, write_funnel_meta
from opensearch_funnel.evaluating.trust.measuring import measured_plan

_KEPT = "trust"


def is_unmeasured(plan: FunnelPlan) -> bool:
    """Say whether a plan's legs have to be measured: ``auto`` weighs them, and nobody did so yet.

    Example:
        >>> is_unmeasured(FunnelPlan(alias="films", fusion=Fusion(technique="auto")))
        True
        >>> is_unmeasured(FunnelPlan(alias="films", fusion=Fusion(technique="rrf")))
        False
    """
    return plan.fusion.technique == "auto" and not plan.trust.decided


def with_trust_of(plan: FunnelPlan, other: FunnelPlan) -> FunnelPlan:
    """Return a plan with what was measured for another one."""
    return replace(plan, fusion=other.fusion, trust=other.trust)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusting:
    """Measures the legs of plans.

    Attributes:
        client: the cluster.
        progress: hears of each probe.
    """

    client: OpenSearch
    progress: Progress = SILENT

    def measured(self, plan: FunnelPlan, *, models: PlanModels) -> FunnelPlan:
        """Return a plan with its legs measured; one that needs it not is left as it is.

        Args:
            plan: bound to its index.
            models: the encoders of its legs.
        """
        if not is_unmeasured(plan):
            return plan
        return measured_plan(self.client, plan, models=models, progress=self.progress)

    def remembered(self, plan: FunnelPlan, *, index: str, models: PlanModels) -> FunnelPlan:
        """Return a plan with its legs measured; on the same index that is done once.

        An evaluation index never changes, so what was measured is kept in its ``_meta``.

        Args:
            plan: bound to the index, or to an alias of it.
            index: the evaluation index.
            models: the encoders of the plan's legs.
        """
        if not is_unmeasured(plan):
            return plan
        key = trust_key(replace(plan, alias=index))
        meta = read_funnel_meta(self.client, index=index)
        kept = meta.get(_KEPT, {})
        if key in kept:
            known = kept[key]
            return replace(plan, fusion=Fusion(**known["fusion"]), trust=Trust(**known["trust"]))
        found = self.measured(plan, models=models)
        known = {"fusion": asdict(found.fusion), "trust": asdict(found.trust)}
        write_funnel_meta(self.client, index=index, meta={**meta, _KEPT: {**kept, key: known}})
        return found

    def still_holds(self, before: FunnelPlan, plan: FunnelPlan) -> bool:
        """Say whether what was measured for an earlier plan says as much of this one.

        It does where both search the same index in the same way. Too little evidence does not:
        there may be more by now.

        Args:
            before: the earlier plan.
            plan: bound to its index.
        """
        trust = before.trust
        if not trust.decided or trust.thin or trust_key(before) != trust_key(plan):
            return False
        index = planned_index(self.client, plan)
        return trust.index == index_uuid(self.client, index=index)
