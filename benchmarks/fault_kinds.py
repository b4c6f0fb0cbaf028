"""What can go wrong with a search, for benchmarks/faults.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from opensearch_funnel.core.plan import Deadlines

Stage = Literal["plain", "fused", "complete"]
"""The last stage that an answer has gone through."""

MARGIN = 0.2
"""What a hanging service may add beyond the deadline of its stage, as a share of it."""
DEADLINES = Deadlines()


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong with one search."""

    stage: str
    kind: str
    leaves: Stage
    """What is left of the answer."""
    limit_ms: float | None = None
    """The most that it may add, where the service hangs."""
    ends_worker: bool = False
    """Whether the worker has to recover before it can be told something else."""

    @property
    def name(self) -> str:
        """What the report calls it."""
        return f"{self.stage}: {self.kind}"


_LIMITS = {
    "rewrite": DEADLINES.rewrite_ms * (1 + MARGIN),
    "rank": DEADLINES.rank_ms * (1 + MARGIN),
}
_LEFT: dict[str, Stage] = {"rewrite": "plain", "rank": "fused"}
_BAD_ANSWERS = (
    "status 500",
    "status 400",
    "html",
    "broken json",
    "empty object",
    "empty body",
    "half an answer",
)
_BAD_SCORES = (
    "one score short",
    "one score more",
    "NaN on the wire",
    "null scores",
    "words for scores",
    "whole numbers",
)
_HANGING = ("hangs", "model is late")
_ENDING = ("exits", "SIGKILL", "SIGSTOP", "event loop blocked")
NONE = Fault("none", "healthy", "complete")
SINGLE = (
    *(Fault(s, kind, _LEFT[s]) for s in ("rewrite", "rank") for kind in _BAD_ANSWERS),
    *(Fault("rank", kind, "fused") for kind in _BAD_SCORES),
    *(Fault(s, "model raises", _LEFT[s]) for s in ("rewrite", "rank")),
    *(Fault(s, "NaN from the model", _LEFT[s]) for s in ("rewrite", "rank")),
    Fault("rank", "short from the model", "fused"),
    *(
        Fault(s, kind, _LEFT[s], limit_ms=_LIMITS[s])
        for s in ("rewrite", "rank")
        for kind in _HANGING
    ),
    *(Fault(s, "slow", "complete") for s in ("rewrite", "rank")),
    Fault("plan", "model missing", "plain"),
    Fault("plan", "fingerprints differ", "plain"),
)
"""Faults of one search, which leave nothing behind."""
ENDING = tuple(
    Fault(
        stage,
        kind,
        _LEFT[stage],
        limit_ms=_LIMITS[stage] if kind in {"SIGSTOP", "event loop blocked"} else None,
        ends_worker=True,
    )
    for stage in ("rewrite", "rank")
    for kind in _ENDING
)
"""Faults after which the worker is dead or frozen."""
BASELINES = tuple(Fault("baseline", stage, stage) for stage in ("plain", "fused"))
"""Nothing wrong, and a pipeline that goes no further."""


def known_to_service(kind: str) -> bool:
    """Say whether the service itself can tell that it failed, and why."""
    return kind not in {*_BAD_ANSWERS[:-1], *_BAD_SCORES}
