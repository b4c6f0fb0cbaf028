"""The plans that the service answers for: read from the cluster, loaded in the background."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from opensearch_funnel.core.errors import FunnelError
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.service.models import OpenModels, check_fingerprints

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReadyPlan:
    """A plan with its models loaded."""

    plan: FunnelPlan
    models: PlanModels


class LoadedPlans:
    """Plans by id; one that is asked for the first time is loaded without making anybody wait.

    A plan never changes under its id, so what was loaded stays right. A plan that failed to load
    is tried again when it is asked for after somebody else succeeded or the service restarted:
    the reason stays visible until then.
    """

    def __init__(self, *, read_plan: Callable[[str], FunnelPlan], open_models: OpenModels) -> None:
        self._read_plan = read_plan
        self._open_models = open_models
        self._lock = threading.Lock()
        self._ready: dict[str, ReadyPlan] = {}
        self._loading: set[str] = set()
        self._failed: dict[str, str] = {}

    def get(self, plan_id: str) -> ReadyPlan | None:
        """Return a plan that is ready; otherwise start to load it and return ``None``."""
        ready = self._ready.get(plan_id)
        if ready is None:
            self.start_loading(plan_id)
        return ready

    def start_loading(self, plan_id: str) -> None:
        """Load a plan in the background, unless that is going on, was done, or failed."""
        with self._lock:
            if plan_id in self._loading or plan_id in self._ready or plan_id in self._failed:
                return
            self._loading.add(plan_id)
        threading.Thread(
            target=self.load, args=(plan_id,), name=f"load {plan_id}", daemon=True
        ).start()

    def load(self, plan_id: str) -> None:
        """Load a plan now; a failure is kept as the plan's state, not raised."""
        reason = ""
        try:
            plan = self._read_plan(plan_id)
            models = self._open_models(plan)
            check_fingerprints(plan, models)
            ready = ReadyPlan(plan, models)
        except FunnelError as error:
            reason = str(error)
        except Exception as error:  # a broken model must not take the other plans down
            logger.exception("plan %s could not be loaded", plan_id)
            reason = f"{type(error).__name__}: {error}"
        with self._lock:
            self._loading.discard(plan_id)
            if reason:
                self._failed[plan_id] = reason
                logger.error("plan %s could not be loaded: %s", plan_id, reason)
            else:
                self._ready[plan_id] = ready
                logger.info("plan %s is ready", plan_id)

    def forget_failure(self, plan_id: str) -> None:
        """Let a plan that failed be tried again."""
        with self._lock:
            self._failed.pop(plan_id, None)

    def states(self) -> dict[str, str]:
        """Say of each plan whether it is ``ready``, ``loading``, or why it failed."""
        with self._lock:
            return {
                **dict.fromkeys(self._ready, "ready"),
                **dict.fromkeys(self._loading, "loading"),
                **{plan_id: f"failed: {why}" for plan_id, why in self._failed.items()},
            }
