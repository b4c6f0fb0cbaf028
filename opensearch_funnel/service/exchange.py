"""What is known of the request that is being answered: its id, its stage, how it is refused.

The record travels in a context variable, also into the threads of a stage: whoever logs or hands
the id on asks for it here, and no function needs a parameter for it.
"""

from __future__ import annotations

import logging
import re
from contextvars import ContextVar
from dataclasses import dataclass
from secrets import token_hex
from typing import Literal, Protocol

from opensearch_funnel.core.errors import EngineError, EngineUnreachableError, FunnelError
from opensearch_funnel.service.forms import PIPELINE, Form

logger = logging.getLogger(__name__)

Cause = Literal[
    "invalid",
    "empty",
    "unauthorized",
    "misdirected",
    "unknown_model",
    "unknown_route",
    "too_large",
    "too_many",
    "not_ready",
    "busy",
    "deadline",
    "gone",
    "engine",
    "unavailable",
    "failed",
]
"""Why a request was refused or degraded. A fixed set: it is a label of ``/metrics``."""

_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_ID_BYTES = 8
_LONGEST_DETAIL = 500


class Counters(Protocol):
    """Where refusals and degradations are counted."""

    def degraded(self, *, stage: str, reason: str) -> None:
        """Count a stage that was left out of an answer."""
        ...

    def unsampled(self) -> None:
        """Count a search that the plan would upgrade, were it in its sample."""
        ...


@dataclass(slots=True)
class Exchange:
    """One request and what becomes of it."""

    request_id: str
    path: str = ""
    trusted: bool = True
    """Whether it showed the token, or none is wanted."""
    stage: str = "request"
    """Which stage works on it, as metrics and the log call it."""
    form: Form = PIPELINE
    """How it is refused."""
    counters: Counters | None = None


_CURRENT: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


def current_exchange() -> Exchange:
    """Return the record of the request that is being answered; a new one outside of any."""
    found = _CURRENT.get()
    return found if found is not None else Exchange(request_id="")


def begin_exchange(exchange: Exchange) -> None:
    """Make a record the current one of this task and of what it starts."""
    _CURRENT.set(exchange)


def enter(stage: str, *, form: Form = PIPELINE) -> None:
    """Say which stage works on the current request, and how it is refused from here on."""
    exchange = current_exchange()
    exchange.stage, exchange.form = stage, form


def request_id() -> str:
    """Return the id of the request that is being answered; empty outside of any."""
    return current_exchange().request_id


def adopt_request_id(given: object) -> None:
    """Go on under the id of the search that this request belongs to, where it names one.

    ``/rank`` is called by the engine, which passes no headers on: the id that ``/rewrite`` had
    comes back in the rank context. What is no usable id is ignored.
    """
    if isinstance(given, str) and _ID.fullmatch(given):
        current_exchange().request_id = given


def usable_request_id(given: str | None) -> str:
    r"""Return an id that a client gave where it is usable, and a new one otherwise.

    Usable are 1 to 64 letters, digits and ``. _ : -``: an id is logged and sent back.

    Example:
        >>> usable_request_id("trace-1"), len(usable_request_id("two\nlines"))
        ('trace-1', 16)
    """
    if given is not None and _ID.fullmatch(given):
        return given
    return token_hex(_ID_BYTES)


def note_refused(
    cause: Cause,
    *,
    status: int,
    detail: str,
    expected: bool = False,
    origin: BaseException | None = None,
) -> None:
    """Log that the current request was refused, and count what the pipeline goes on without.

    Args:
        cause: why.
        status: of the answer.
        detail: one line for the log, without anything of the query.
        expected: whether this is nothing to warn of.
        origin: an error that nobody planned for; its trace is logged.
    """
    exchange = current_exchange()
    logger.log(
        logging.INFO if expected else logging.WARNING,
        "request=%s stage=%s reason=%s status=%d path=%s: %s",
        exchange.request_id,
        exchange.stage,
        cause,
        status,
        one_line(exchange.path),
        one_line(detail),
        exc_info=None if isinstance(origin, FunnelError) else origin,
    )
    if exchange.form is PIPELINE and exchange.counters is not None:
        exchange.counters.degraded(stage=exchange.stage, reason=cause)


def note_degraded(cause: Cause, *, detail: str, stage: str | None = None) -> None:
    """Log and count that the current request is answered without a stage or a part of one.

    For an answer that is given all the same: a request that is refused is noted by its refusal.

    Args:
        cause: why.
        detail: one line for the log, without anything of the query.
        stage: what is missing in the answer; the stage of the request if not given.
    """
    exchange = current_exchange()
    missing = stage or exchange.stage
    logger.warning(
        "request=%s stage=%s reason=%s: %s",
        exchange.request_id,
        missing,
        cause,
        one_line(detail),
    )
    if exchange.counters is not None:
        exchange.counters.degraded(stage=missing, reason=cause)


def note_unsampled() -> None:
    """Count that the current search passes as it came, because it is not in the plan's sample.

    It is not degraded: nothing is missing in its answer.
    """
    counters = current_exchange().counters
    if counters is not None:
        counters.unsampled()


def one_line(text: str) -> str:
    r"""Return a text as it can be logged: one line of printable characters, of 500 at most.

    What a client sent may be part of it: it must not look like a line of its own, nor tell the
    terminal that shows the log what to do.

    Example:
        >>> one_line("two\nlines and a \x1b[31m colour")
        'two lines and a ?[31m colour'
    """
    flat = " ".join(text[:_LONGEST_DETAIL].split())
    return "".join(c if c.isprintable() else "?" for c in flat)


def without_query(error: BaseException) -> str:
    """Say for the log what an error is.

    The cluster's reasons quote the query that they are about: of an answer of the cluster only
    its status and its word for the error are told.

    Example:
        >>> without_query(EngineError("Failed to parse [my secret]", status=400, kind="parse"))
        'EngineError: status 400, parse'
    """
    if isinstance(error, EngineError) and not isinstance(error, EngineUnreachableError):
        return f"{type(error).__name__}: status {error.status}, {error.kind or 'no kind'}"
    return str(error)
