"""A header that tells the supervisor how long a plan's stage may take."""

from __future__ import annotations

import re

from opensearch_funnel.core.plan import Deadlines
from opensearch_funnel.service.gate import Application, Message, Receive, Scope, Send
from opensearch_funnel.service.plans import PLAN_ID, LoadedPlans
from opensearch_funnel.service.supervisor.deadlines import DEADLINE_HEADER

_STAGE = re.compile(rf"/v1/plans/(?P<plan_id>{PLAN_ID})/(?P<stage>rewrite|rank|embed|encode)")


class DeadlineHeader:
    """An ASGI application around another one.

    Refusals carry the header, too: the supervisor learns it from whichever answer comes first,
    so that it can answer in time when none comes any more.
    """

    def __init__(self, app: Application, *, plans: LoadedPlans) -> None:
        self._app = app
        self._plans = plans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer with the deadline of its stage."""
        found = _STAGE.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if found is None:
            await self._app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                ready = self._plans.get(found["plan_id"])
                if ready is not None:
                    deadline = stage_deadline_ms(ready.plan.deadlines, stage=found["stage"])
                    header = (DEADLINE_HEADER, b"%d" % deadline)
                    message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        await self._app(scope, receive, answer)


def stage_deadline_ms(deadlines: Deadlines, *, stage: str) -> int:
    """Return the milliseconds that a stage has; vectors are asked for while a search waits.

    Example:
        >>> stage_deadline_ms(Deadlines(), stage="rank"), stage_deadline_ms(Deadlines(), stage="x")
        (700, 250)
    """
    return {"rank": deadlines.rank_ms, "encode": deadlines.encode_ms}.get(
        stage, deadlines.rewrite_ms
    )
