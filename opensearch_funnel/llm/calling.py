"""One call while it runs: its tries, what they took, its deadline, its row in the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self

import orjson

from opensearch_funnel.core.errors import (
    InputError,
    LlmAnswerError,
    LlmBudgetError,
    LlmError,
    LlmRefusedError,
    LlmUnavailableError,
)
from opensearch_funnel.llm.endpoint import Endpoint
from opensearch_funnel.llm.ledger import Call, Ledger, Outcome
from opensearch_funnel.llm.replies import Fault, Reply
from opensearch_funnel.llm.retrying import pause
from opensearch_funnel.llm.spending import Budget, Message, Tokens, upper_estimate
from opensearch_funnel.llm.store import PATIENCE_S

_MOST_TRIES = 4
_MOST_WORDS = 300
_REFUSED_PARAMETER = frozenset({400, 422, 501})
_ERRORS: Mapping[str, type[LlmError]] = {
    "unavailable": LlmUnavailableError,
    "refused": LlmRefusedError,
    "unusable": LlmAnswerError,
}
_OUTCOMES: Mapping[type[BaseException], Outcome] = {
    LlmUnavailableError: "unavailable",
    LlmRefusedError: "refused",
    LlmAnswerError: "unusable",
    LlmBudgetError: "budget",
    KeyboardInterrupt: "stopped",
    GeneratorExit: "stopped",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent.

    Attributes:
        messages: the conversation so far.
        parameters: those of the request that all endpoints take alike.
        max_tokens: the most that the model may write.
        response_format: asks for JSON of a schema; None asks for text.
    """

    messages: Sequence[Message]
    parameters: Mapping[str, Any]
    max_tokens: int
    response_format: Mapping[str, Any] | None = None

    @property
    def schema(self) -> str:
        """The schema that is sent along, as JSON; empty if there is none."""
        if self.response_format is None:
            return ""
        return orjson.dumps(self.response_format["json_schema"]["schema"]).decode()

    def estimate(self) -> Tokens:
        """Return the most that it could take."""
        return upper_estimate(self.messages, schema=self.schema, max_tokens=self.max_tokens)


@dataclass(frozen=True, slots=True)
class Form:
    """What an endpoint takes, as far as it was found out: they differ in three parameters."""

    limit: str = "max_tokens"
    schema: bool = True
    usage_of_streams: bool = True

    def body(self, request: Request, *, streamed: bool) -> dict[str, Any]:
        """Return the body of a request."""
        messages = [{"role": m.role, "content": m.content} for m in request.messages]
        body = {**request.parameters, self.limit: request.max_tokens, "messages": messages}
        if request.response_format is not None and self.schema:
            body["response_format"] = request.response_format
        elif request.response_format is not None:
            messages[-1]["content"] += f"\n\nAnswer with JSON of this schema: {request.schema}"
        if streamed and self.usage_of_streams:
            body["stream_options"] = {"include_usage": True}
        return body

    def after(self, fault: Fault) -> Form | None:
        """Return the form to try next, where a parameter was refused; None where none was."""
        if fault.status not in _REFUSED_PARAMETER:
            return None
        said = fault.reason.lower()
        if self.limit == "max_tokens" and "max_completion_tokens" in said:
            return replace(self, limit="max_completion_tokens")
        if self.schema and ("response_format" in said or "json_schema" in said):
            return replace(self, schema=False)
        if self.usage_of_streams and "stream_options" in said:
            return replace(self, usage_of_streams=False)
        return None


@dataclass(slots=True, kw_only=True)
class Line:
    """The way to one model: the endpoint, what it takes, and the rules for all calls.

    Attributes:
        endpoint: where the model is.
        model: what it is called there.
        budget: what calls may take.
        ledger: where they are written down.
        deadline_s: seconds that a call may take.
        secret: what no message may show.
        wait: waits between tries.
        form: what the endpoint takes.
    """

    endpoint: Endpoint
    model: str
    budget: Budget
    ledger: Ledger
    deadline_s: float
    secret: str = field(default="", repr=False)
    wait: Callable[[float], None] = time.sleep
    form: Form = field(default_factory=Form)


@dataclass(slots=True, kw_only=True)
class Calling:
    """One call; as a context it is written into the ledger at its end, whatever happens.

    Attributes:
        line: over which it goes.
        booked: its row.
        began: by ``time.monotonic``.
    """

    line: Line
    booked: Call
    began: float = field(default_factory=time.monotonic)
    _pending: Tokens | None = None

    @property
    def remaining_s(self) -> float:
        """Seconds to the deadline; never below 0."""
        return max(0.0, self.began + self.line.deadline_s - time.monotonic())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        del error
        self._charge(None)
        self.booked.outcome = "ok" if kind is None else _OUTCOMES.get(kind, "failed")
        self.booked.seconds = time.monotonic() - self.began
        with suppress(InputError):  # what was reserved stays booked: it is more, not less
            self.line.ledger.settle(self.booked)

    def send(self, request: Request, *, streamed: bool) -> Generator[str, None, Reply]:
        """Send a request until there is an answer; yield its text as it comes, if it is streamed.

        Raises:
            LlmError: there is none; which kind says why.
        """
        failed, limit, reason = 0, request.max_tokens, ""
        deadline = self.began + self.line.deadline_s
        while True:
            self._reserve(request, after=reason)
            self.booked.tries += 1
            form = self.line.form
            body = form.body(request, streamed=streamed)
            try:
                if streamed:
                    reply = yield from self.line.endpoint.stream(
                        body, max_tokens=limit, deadline=deadline
                    )
                else:
                    reply = self.line.endpoint.ask(body, max_tokens=limit, deadline=deadline)
            except Fault as fault:
                self._charge(fault.tokens if fault.tokens or fault.billed else Tokens())
                if form.after(fault) is not None:
                    # Another call may have found it out meanwhile.
                    self.line.form = self.line.form.after(fault) or self.line.form
                    continue
                failed, reason = failed + 1, fault.reason
                self._wait_after(fault, failed=failed)
            else:
                self._charge(reply.tokens)
                self._check_report()
                return reply

    def error(self, reason: str, *, kind: str) -> LlmError:
        """Return the error that says in one line which model it is and what happened."""
        return _ERRORS[kind](
            f"{self.line.model} at {self.line.endpoint.url}: {self._hidden(reason)}"
        )

    def _hidden(self, reason: str) -> str:
        """Return a reason on one line of some length, without the key."""
        words = reason.replace(self.line.secret, "(hidden)") if self.line.secret else reason
        words = " ".join(words.split())
        return words if len(words) <= _MOST_WORDS else words[:_MOST_WORDS] + "…"

    def _reserve(self, request: Request, *, after: str) -> None:
        """Book the most that a try could take, and say why there is another one if it may not."""
        estimate = request.estimate()
        patience_s = min(PATIENCE_S, self.remaining_s)
        try:
            self.line.ledger.reserve(
                self.booked, estimate=estimate, budget=self.line.budget, patience_s=patience_s
            )
        except LlmBudgetError as refused:
            if not after:
                raise
            raise LlmBudgetError(f"{self._hidden(after)}; not tried again: {refused}") from None
        self._pending = estimate

    def _charge(self, tokens: Tokens | None) -> None:
        """Count what a try took; where nobody says, the most that it could."""
        if self._pending is None:
            return
        self.booked.estimated |= tokens is None
        self.booked.tokens += self._pending if tokens is None else tokens
        self._pending = None

    def _check_report(self) -> None:
        """Refuse what an endpoint took against the limits: it does not keep to ``max_tokens``."""
        taken = (self.booked.tokens.total, self.booked.cost)
        self.line.budget.check(call=taken, day=(0, 0.0))

    def _wait_after(self, fault: Fault, *, failed: int) -> None:
        """Wait until the next try; raise the error where there is none."""
        kind = "unavailable" if fault.kind == "unusable" and not self.remaining_s else fault.kind
        tried = f" (tried {failed} times)" if failed > 1 else ""
        if not fault.again or failed >= _MOST_TRIES:
            raise self.error(f"{fault.reason}{tried}{self._advice(fault)}", kind=kind) from None
        wait_s = pause(failed) if fault.wait_s is None else fault.wait_s
        if wait_s >= self.remaining_s:
            asked = "asks to wait" if fault.wait_s is not None else "has to wait"
            reason = (
                f"{fault.reason}{tried}: {asked} {wait_s:,.3g} s, past the deadline of "
                f"{self.line.deadline_s:g} s; try later, or raise FUNNEL_LLM_DEADLINE"
            )
            raise self.error(reason, kind=kind) from None
        self.line.wait(wait_s)

    def _advice(self, fault: Fault) -> str:
        if fault.kind != "unavailable":
            return ""
        if not self.remaining_s:
            return f": ask for less, or raise FUNNEL_LLM_DEADLINE ({self.line.deadline_s:g} s)"
        return ": see that the endpoint runs, with funnel llm check"
