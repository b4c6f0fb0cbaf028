"""The plans that the service answers for: read from the cluster, loaded in the background."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from cachetools import LRUCache

from opensearch_funnel.core.errors import FunnelError, InvalidPlanError
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.service.exchange import one_line
from opensearch_funnel.service.models import OpenModels, check_fingerprints

logger = logging.getLogger(__name__)

PLAN_ID = r"[\w.-]{1,300}"
"""What an id can look like, as a pattern: ``FunnelPlan.plan_id`` makes no other. Nothing that
could break a line of the log is among it."""
KEPT_PLANS = 16
"""Plans kept ready, the ones used last; plans that are no longer applied fall out in time."""
FIRST_RETRY_S, LAST_RETRY_S = 5.0, 60.0
UNKNOWN_RETRY_S = 1.0
"""How soon a plan is looked for again that the cluster does not have: it may be applied now."""
LOADERS = 2
"""Plans that are loaded at once: whoever asks for many ids must not get a thread for each."""
MOST_LOADING = 64
"""Plans that are loaded or wait for it; any further one is loaded when it is asked for later."""
_KEPT_FAILURES = 64


@dataclass(frozen=True, slots=True)
class ReadyPlan:
    """A plan with its models loaded."""

    plan: FunnelPlan
    models: PlanModels


@dataclass(frozen=True, slots=True)
class _Failure:
    reason: str
    wait_s: float
    retry_at: float


class LoadedPlans:
    """Plans by id; one that is asked for the first time is loaded without making anybody wait.

    A plan never changes under its id, so what was loaded stays right. A plan that failed to load
    is tried again by the first request after a pause, which doubles each time.
    """

    def __init__(
        self,
        *,
        read_plan: Callable[[str], FunnelPlan],
        open_models: OpenModels,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read_plan = read_plan
        self._open_models = open_models
        self._clock = clock
        self._lock = threading.Lock()
        self._ready: LRUCache[str, ReadyPlan] = LRUCache(KEPT_PLANS)
        self._loading: set[str] = set()
        self._waiting: deque[str] = deque()
        self._loaders = 0
        self._failed: LRUCache[str, _Failure] = LRUCache(_KEPT_FAILURES)

    def get(self, plan_id: str) -> ReadyPlan | None:
        """Return a plan that is ready; otherwise start to load it and return ``None``."""
        with self._lock:
            ready = self._ready.get(plan_id)
        if ready is None:
            self.start_loading(plan_id)
        return ready

    def start_loading(self, plan_id: str) -> bool:
        """Load a plan in the background, unless that is going on, was done, or has just failed.

        Returns:
            Whether it is loaded anew, now or after those that came before.
        """
        with self._lock:
            failure = self._failed.get(plan_id)
            if plan_id in self._loading or plan_id in self._ready:
                return False
            if failure is not None and self._clock() < failure.retry_at:
                return False
            if len(self._loading) >= MOST_LOADING:
                return False
            self._loading.add(plan_id)
            self._waiting.append(plan_id)
            if self._loaders == LOADERS:
                return True
            self._loaders += 1
        # A daemon: a model that hangs must not keep the service from ending.
        threading.Thread(target=self._load_waiting, name="load plans", daemon=True).start()
        return True

    def ask(self, plan_id: str) -> str:
        """Return a plan's state, and load it where that is not done.

        ``loading`` also where it had failed and is tried again from now on: a failure that
        follows is a new one.
        """
        if self.start_loading(plan_id):
            return "loading"
        return self.states().get(plan_id, "loading")

    def states(self) -> dict[str, str]:
        """Say of each plan whether it is ``ready``, ``loading``, or why it failed."""
        with self._lock:
            return {
                **{
                    plan_id: f"failed: {failure.reason}"
                    for plan_id, failure in self._failed.items()
                },
                **dict.fromkeys(self._ready, "ready"),
                **dict.fromkeys(self._loading, "loading"),
            }

    def _load_waiting(self) -> None:
        """Load plans until none waits any more."""
        while True:
            with self._lock:
                if not self._waiting:
                    self._loaders -= 1
                    return
                plan_id = self._waiting.popleft()
            self._load(plan_id)

    def _load(self, plan_id: str) -> None:
        """Load a plan; a failure is kept as the plan's state, not raised."""
        plan = None
        try:
            plan = self._read_plan(plan_id)
            models = self._open_models(plan)
            check_fingerprints(plan, models)
        except FunnelError as error:
            unknown = plan is None and isinstance(error, InvalidPlanError)
            self._failed_to_load(plan_id, str(error), unknown=unknown)
        except Exception as error:  # a broken model must not take the other plans down
            logger.exception("plan %s could not be loaded", plan_id)
            self._failed_to_load(plan_id, f"{type(error).__name__}: {error}")
        else:
            with self._lock:
                self._ready[plan_id] = ReadyPlan(plan, models)
                self._loading.discard(plan_id)
                self._failed.pop(plan_id, None)
            logger.info("plan %s is ready", plan_id)

    def _failed_to_load(self, plan_id: str, reason: str, *, unknown: bool = False) -> None:
        with self._lock:
            before = self._failed.get(plan_id)
            wait_s = FIRST_RETRY_S if before is None else min(before.wait_s * 2, LAST_RETRY_S)
            if unknown:
                wait_s = UNKNOWN_RETRY_S
            self._failed[plan_id] = _Failure(reason, wait_s, self._clock() + wait_s)
            self._loading.discard(plan_id)
        logger.error("plan %s could not be loaded: %s", plan_id, one_line(reason))
