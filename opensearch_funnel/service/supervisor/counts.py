"""What the supervisor counts, in the text form of Prometheus."""

from __future__ import annotations

from collections import Counter
from typing import Literal

Reason = Literal["starting", "restarting", "silent", "deadline", "lost", "busy", "stopping"]
"""Why the supervisor answered 503 itself.

``starting``: the first worker does not answer yet; ``restarting``: the last one died;
``silent``: it lives and does not answer; ``deadline``: it took longer than it may; ``lost``: it
died, or sent what is no answer, while the request was with it; ``busy``: too many at once;
``stopping``: the service ends.
"""

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class Counts:
    """Counts since the supervisor started.

    Example:
        >>> counts = Counts()
        >>> counts.unavailable("deadline")
        >>> print(counts.text(worker_up=True))
        # HELP funnel_supervisor_unavailable_total Answers of 503 given in place of the worker.
        # TYPE funnel_supervisor_unavailable_total counter
        funnel_supervisor_unavailable_total{reason="deadline"} 1
        # HELP funnel_worker_restarts_total Workers that were started because one had died.
        # TYPE funnel_worker_restarts_total counter
        funnel_worker_restarts_total 0
        # HELP funnel_worker_up Whether the worker answers.
        # TYPE funnel_worker_up gauge
        funnel_worker_up 1
        <BLANKLINE>
    """

    def __init__(self) -> None:
        self._unavailable: Counter[Reason] = Counter()
        self._restarts = 0

    def unavailable(self, reason: Reason) -> None:
        """Count an answer of 503."""
        self._unavailable[reason] += 1

    def restarted(self) -> None:
        """Count a worker that takes the place of one that died."""
        self._restarts += 1

    def text(self, *, worker_up: bool) -> str:
        """Return the counts as Prometheus reads them."""
        lines = [
            *_head("funnel_supervisor_unavailable_total", "counter", _UNAVAILABLE_HELP),
            *(
                f'funnel_supervisor_unavailable_total{{reason="{reason}"}} {n}'
                for reason, n in sorted(self._unavailable.items())
            ),
            *_head("funnel_worker_restarts_total", "counter", _RESTARTS_HELP),
            f"funnel_worker_restarts_total {self._restarts}",
            *_head("funnel_worker_up", "gauge", "Whether the worker answers."),
            f"funnel_worker_up {int(worker_up)}",
        ]
        return "\n".join(lines) + "\n"


_UNAVAILABLE_HELP = "Answers of 503 given in place of the worker."
_RESTARTS_HELP = "Workers that were started because one had died."


def _head(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
