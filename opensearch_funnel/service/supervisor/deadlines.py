"""How long the worker may take for an answer, before the supervisor gives one in its place."""

from __future__ import annotations

from collections.abc import Iterable

from opensearch_funnel.service.supervisor.reading import Header

DEADLINE_HEADER = b"x-funnel-deadline-ms"
"""Milliseconds that a stage has; on every answer of a plan's routes."""

_OWN_ROUTES = {b"/health": 1.0, b"/ready": 1.0, b"/metrics": 2.0}
_OTHERS_S = 60.0
# The engine waits 200 ms or more beyond the plan's deadline, and a search has to be answered
# within a fifth of it: half of that fifth is left to the engine, and to a busy machine.
_GRACE_SHARE = 0.06
_SHORTEST_GRACE_S, _LONGEST_GRACE_S = 0.015, 0.15
_REMEMBERED = 256
_MILLISECONDS = 1000


class Deadlines:
    """Seconds for each path; those of plans are learned from the worker's own answers.

    The worker keeps its deadlines itself and knows why it missed one. The supervisor's are a
    little longer, and count when the worker cannot even say no: it is stopped, or its event loop
    hangs. A path that the worker never answered is given the time of any other route; the engine
    waits no longer than its own ``read_timeout`` for it.

    Example:
        >>> deadlines = Deadlines()
        >>> path = b"/v1/plans/films.3f/rewrite"
        >>> deadlines.of(path)
        60.0
        >>> deadlines.learn(path, [(b"x-funnel-deadline-ms", b"250")])
        >>> deadlines.of(path)
        0.265
    """

    def __init__(self) -> None:
        self._learned: dict[bytes, float] = {}

    def of(self, path: bytes) -> float:
        """Return how many seconds an answer to a path may take."""
        return self._learned.get(path) or _OWN_ROUTES.get(path, _OTHERS_S)

    def bounds_the_whole(self, path: bytes) -> bool:
        """Say whether the answer's end has to come in time, and not only its beginning."""
        return path in self._learned or path in _OWN_ROUTES

    def learn(self, path: bytes, headers: Iterable[Header]) -> None:
        """Remember what an answer says about its path; nothing where it says nothing."""
        for name, value in headers:
            if name == DEADLINE_HEADER and value.isdigit() and int(value):
                deadline = int(value) / _MILLISECONDS
                self._learned.pop(path, None)
                if len(self._learned) >= _REMEMBERED:
                    # The one that was learned longest ago: its plan is likely gone.
                    del self._learned[next(iter(self._learned))]
                grace = max(deadline * _GRACE_SHARE, _SHORTEST_GRACE_S)
                self._learned[path] = deadline + min(grace, _LONGEST_GRACE_S)
