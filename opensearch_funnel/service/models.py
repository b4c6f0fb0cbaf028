"""How the service gets the models of a plan, and which ones it refuses."""

from __future__ import annotations

from collections.abc import Callable

from opensearch_funnel.core.errors import InvalidPlanError
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan

OpenModels = Callable[[FunnelPlan], PlanModels]
"""Load the models that a plan names; may take seconds, and raise ``FunnelError``."""


def check_fingerprints(plan: FunnelPlan, models: PlanModels) -> None:
    """Refuse models that are not the ones which encoded the plan's index.

    Raises:
        InvalidPlanError: a fingerprint differs; searching would compare unlike vectors.
    """
    for leg, wanted, model in (
        ("sparse", plan.sparse, models.sparse),
        ("dense", plan.dense, models.dense),
    ):
        if model is not None and wanted.fingerprint != model.fingerprint:
            raise InvalidPlanError(
                f"the {leg} model {wanted.model} here is {model.fingerprint}, but the index was "
                f"encoded by {wanted.fingerprint or 'nothing that the plan records'}: pull the "
                "same model, or encode the index again"
            )
