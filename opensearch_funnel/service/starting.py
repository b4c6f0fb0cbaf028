"""The start of the service: the plans that the cluster runs are loaded before anybody asks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event, Thread

from opensearch_funnel.service.plans import LoadedPlans

logger = logging.getLogger(__name__)

RETRY_S = 2.0
_POLL_S = 0.05


class Start:
    """Loads the applied plans in the background, again and again until all of them are ready.

    Once they are, the service stays ready: a plan that is applied later is loaded when it is
    asked for, and a request for a plan that does not exist says nothing about the others.
    """

    def __init__(
        self, plans: LoadedPlans, *, applied: Callable[[], list[str]], retry_s: float = RETRY_S
    ) -> None:
        """Prepare the start.

        Args:
            plans: where the plans are loaded.
            applied: asks the cluster for the ids of the plans that it runs.
            retry_s: the pause before the cluster is asked again.
        """
        self._plans = plans
        self._applied = applied
        self._retry_s = retry_s
        self._ready = Event()
        self._stopped = Event()
        self.reason = ""
        """Why the applied plans are not known; empty where they are."""

    @property
    def ready(self) -> bool:
        """Whether every plan that was applied is loaded."""
        return self._ready.is_set()

    def begin(self) -> None:
        """Start to load."""
        # A daemon: a cluster that hangs must not keep the service from ending.
        Thread(target=self._run, name="start", daemon=True).start()

    def stop(self) -> None:
        """Stop trying."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            if self._load_applied():
                self._ready.set()
                return
            self._stopped.wait(self._retry_s)

    def _load_applied(self) -> bool:
        try:
            plan_ids = self._applied()
        except Exception as error:  # noqa: BLE001 - whatever it was, asking again may help
            # Plans are loaded when they are asked for, too: the service goes on.
            if not self.reason:
                logger.warning("the applied plans could not be read: %s", error)
            self.reason = f"the applied plans could not be read: {error}"
            return False
        self.reason = ""
        for plan_id in plan_ids:
            self._plans.start_loading(plan_id)
        while "loading" in (states := self._states(plan_ids)):
            if self._stopped.wait(_POLL_S):
                return False
        return all(state == "ready" for state in states)

    def _states(self, plan_ids: list[str]) -> list[str]:
        states = self._plans.states()
        return [states.get(plan_id, "dropped") for plan_id in plan_ids]
