"""What the worker says after the supervisor has answered in its place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus

from opensearch_funnel.service.supervisor.link import Call
from opensearch_funnel.service.supervisor.reading import Header

LISTENED_S = 0.5
"""How long the worker is listened to after the deadline."""


class LateAnswer:
    """Takes over a call whose client has been answered, so that one line of the log says why.

    A worker that gives a request up logs the reason itself, and it knows more. Where it does not,
    because it hangs, died, or was about to answer well, the supervisor's line is written.
    """

    def __init__(self, call: Call, *, log: Callable[[], None]) -> None:
        """Listen to a call from now on.

        Args:
            call: it is given up when nothing comes.
            log: writes the supervisor's line.
        """
        self._call = call
        self._log = log
        self._status = 0
        self._timer = asyncio.get_running_loop().call_later(LISTENED_S, self._no_answer)
        call.listener = self

    def answer_began(self, status: int, headers: list[Header], *, chunked: bool) -> None:
        """Keep the status."""
        del headers, chunked
        self._status = status

    def answer_part(self, part: bytes) -> None:
        """Drop a part of the body: nobody waits for it."""

    def answer_arrived(self) -> None:
        """Wait for the end."""

    def answer_ended(self) -> None:
        """Write the line unless the worker has written its own."""
        self._timer.cancel()
        if self._status < HTTPStatus.INTERNAL_SERVER_ERROR:
            self._log()

    def answer_lost(self, why: str) -> None:
        """Write the line."""
        del why
        self._timer.cancel()
        self._log()

    def _no_answer(self) -> None:
        self._call.give_up()
        self._log()
