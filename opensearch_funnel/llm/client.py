"""Ask a language model: within a deadline and a budget, and what it took is written down."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Generic, Self, TypeVar

import msgspec

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.llm.cache import AnswerCache, key_of
from opensearch_funnel.llm.calling import Calling, Line, Request
from opensearch_funnel.llm.endpoint import Endpoint
from opensearch_funnel.llm.ledger import Ledger
from opensearch_funnel.llm.loose_json import loose_json
from opensearch_funnel.llm.replies import Reply
from opensearch_funnel.llm.schemas import response_format
from opensearch_funnel.llm.spending import Budget, Message, Prices, Tokens
from opensearch_funnel.llm.store import FILE
from opensearch_funnel.settings import Settings

T = TypeVar("T")
_MOST_QUOTED = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What a model is asked.

    Attributes:
        messages: the conversation so far.
        purpose: what for, in a word: the ledger sums by it.
        max_tokens: the most that the model may write, its thoughts with it.
        temperature: not sent where it is None; some models take no other than their own.
        remember: whether an answer that is kept may be used, and this one kept.
    """

    messages: tuple[Message, ...]
    purpose: str
    max_tokens: int = 1024
    temperature: float | None = None
    remember: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Generic[T]):
    """What a model answered, and what that took.

    Attributes:
        value: its text, or the object in it.
        cut: whether the text ends at the limit of tokens.
        cached: whether it was known: then it took nothing.
        tokens: of all tries.
        cost: of all tries, by the prices in the settings.
        estimated: whether some of that is an upper estimate, as the endpoint did not say.
        tries: requests that were sent.
        seconds: from the question to the answer.
    """

    value: T
    cut: bool
    cached: bool
    tokens: Tokens
    cost: float
    estimated: bool
    tries: int
    seconds: float


class Llm:
    """A language model behind an endpoint; safe to use from several threads.

    Each call is a row of the ledger, whatever comes of it. It ends by its deadline, and its
    tries, the request to correct an answer among them, stay together within the limits.

    Args:
        line: the way to the model; its endpoint is closed with this.
        prices: of its tokens.
        cache: where answers are kept.
    """

    def __init__(self, line: Line, *, prices: Prices, cache: AnswerCache) -> None:
        self._line = line
        self._prices = prices
        self._cache = cache

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._line.endpoint.close()

    def ask(self, prompt: Prompt) -> Answer[str]:
        """Return a model's answer as text.

        Raises:
            LlmUnavailableError: no whole answer came by the deadline.
            LlmRefusedError: the endpoint refuses the request for good.
            LlmAnswerError: what it answers cannot be used.
            LlmBudgetError: the call could pass a limit, or did.
            InputError: the ledger cannot be written; nothing was asked.
        """
        return _returned(self._texts(prompt, streamed=False))

    def stream(self, prompt: Prompt) -> Generator[str, None, Answer[str]]:
        """Yield a model's answer as it is written; the generator returns it whole.

        An answer that is kept comes in one piece. What breaks after the first text is not begun
        again. A stream that is left early counts with the most that it could take.

        Raises:
            FunnelError: as ``ask``, at the first or a later text.
        """
        return self._texts(prompt, streamed=True)

    def ask_json(self, prompt: Prompt, *, answer: type[T]) -> Answer[T]:
        """Return a model's answer as an object.

        The schema is sent along and not trusted: the answer is mended where that is clear, read
        strictly, and asked for once more with what was wrong. The prompt should say that it wants
        JSON, and which, for endpoints that ignore schemas.

        Args:
            prompt: what to ask.
            answer: a ``msgspec.Struct``; ``forbid_unknown_fields`` and no defaults make a schema
                that strict endpoints enforce.

        Raises:
            FunnelError: as ``ask``.
        """
        request = self._request(prompt, form=response_format(answer))
        with self._calling(prompt) as calling:
            key = self._key(request)
            if (kept := self._kept(prompt, key, calling)) is not None:
                with suppress(ValueError):  # a struct may check more than its schema says
                    value = _read(kept, answer=answer)
                    calling.booked.cached = True
                    return _answer(calling, value)
            mended, value = self._corrected(request, answer=answer, calling=calling)
            self._keep(prompt, key, mended)
            return _answer(calling, value)

    def _texts(self, prompt: Prompt, *, streamed: bool) -> Generator[str, None, Answer[str]]:
        request = self._request(prompt, form=None)
        with self._calling(prompt) as calling:
            key = self._key(request)
            if (kept := self._kept(prompt, key, calling)) is not None:
                calling.booked.cached = True
                yield kept
                return _answer(calling, kept)
            reply = yield from calling.send(request, streamed=streamed)
            if not reply.cut:
                self._keep(prompt, key, reply.text)
            return _answer(calling, reply.text, cut=reply.cut)

    def _corrected(self, request: Request, *, answer: type[T], calling: Calling) -> tuple[str, T]:
        """Return the object in an answer, as JSON and read; asked for a second time if need be."""
        reply: Reply = _returned(calling.send(request, streamed=False))
        try:
            return _mended(reply, answer=answer)
        except ValueError as problem:
            if reply.cut:
                limit = f"at the limit of {request.max_tokens:,} tokens: allow more"
                raise calling.error(f"{problem}, {limit}", kind="unusable") from None
            again = _with_correction(request, wrote=reply.text, problem=str(problem))
        second: Reply = _returned(calling.send(again, streamed=False))
        try:
            return _mended(second, answer=answer)
        except ValueError as problem:
            reason = f"its answer is no {answer.__name__}, asked twice: {problem}"
            raise calling.error(reason, kind="unusable") from None

    def _calling(self, prompt: Prompt) -> Calling:
        line = self._line
        booked = line.ledger.begin(model=line.model, purpose=prompt.purpose, prices=self._prices)
        return Calling(line=line, booked=booked)

    def _request(self, prompt: Prompt, *, form: Mapping[str, Any] | None) -> Request:
        parameters: dict[str, Any] = {"model": self._line.model}
        if prompt.temperature is not None:
            parameters["temperature"] = prompt.temperature
        return Request(
            messages=prompt.messages,
            parameters=parameters,
            max_tokens=prompt.max_tokens,
            response_format=form,
        )

    def _key(self, request: Request) -> str:
        # The same name may stand for different weights at another endpoint.
        return key_of({"url": self._line.endpoint.url, "request": request})

    def _kept(self, prompt: Prompt, key: str, calling: Calling) -> str | None:
        if not prompt.remember:
            return None
        return self._cache.get(key, patience_s=calling.remaining_s)

    def _keep(self, prompt: Prompt, key: str, text: str) -> None:
        if prompt.remember:
            with suppress(InputError):  # the answer is paid for, kept or not
                self._cache.put(key, text)


def open_llm(settings: Settings, *, wait: Callable[[float], None] = time.sleep) -> Llm:
    """Open the language model of the settings; nothing is asked yet.

    Args:
        settings: those that begin with ``llm_``, and the folder for ledger and cache.
        wait: waits between tries.

    Raises:
        InputError: none is set, or a limit of money without prices.
        MissingExtraError: ``openai`` is not installed.
    """
    if not settings.llm_url or not settings.llm_model:
        raise InputError(
            "no language model is set: put the address of a chat endpoint into FUNNEL_LLM_URL "
            "and the model's name into FUNNEL_LLM_MODEL"
        )
    prices = Prices(sent=settings.llm_input_price, written=settings.llm_output_price)
    budget = Budget(
        tokens_per_call=settings.llm_tokens_per_call,
        tokens_per_day=settings.llm_tokens_per_day,
        cost_per_call=settings.llm_cost_per_call,
        cost_per_day=settings.llm_cost_per_day,
    )
    limited = budget.cost_per_call is not None or budget.cost_per_day is not None
    if limited and not (prices.sent or prices.written):
        raise InputError(
            "a limit of money needs prices: set FUNNEL_LLM_INPUT_PRICE and "
            "FUNNEL_LLM_OUTPUT_PRICE, for a million tokens each"
        )
    line = Line(
        endpoint=Endpoint(url=settings.llm_url, key=settings.llm_key),
        model=settings.llm_model,
        budget=budget,
        ledger=open_ledger(settings),
        deadline_s=settings.llm_deadline,
        secret=settings.llm_key.get_secret_value() if settings.llm_key else "",
        wait=wait,
    )
    cache = AnswerCache(path=settings.home / FILE, most=settings.llm_cache)
    return Llm(line, prices=prices, cache=cache)


def open_ledger(settings: Settings) -> Ledger:
    """Open the ledger of this machine; no language model need be set."""
    return Ledger(path=settings.home / FILE)


def _answer(calling: Calling, value: T, *, cut: bool = False) -> Answer[T]:
    booked = calling.booked
    return Answer(
        value=value,
        cut=cut,
        cached=booked.cached,
        tokens=booked.tokens,
        cost=booked.cost,
        estimated=booked.estimated,
        tries=booked.tries,
        seconds=time.monotonic() - calling.began,
    )


def _mended(reply: Reply, *, answer: type[T]) -> tuple[str, T]:
    text = loose_json(reply.text)
    return text, _read(text, answer=answer)


def _read(text: str, *, answer: type[T]) -> T:
    try:
        return msgspec.json.decode(text.encode(), type=answer)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def _with_correction(request: Request, *, wrote: str, problem: str) -> Request:
    """Return the request with the answer to it, and what was wrong with that."""
    correction = (
        f"That cannot be used: {problem}. Answer with nothing but one JSON object of this "
        f"schema: {request.schema}"
    )
    messages = (
        *request.messages,
        Message("assistant", wrote[:_MOST_QUOTED]),
        Message("user", correction),
    )
    return replace(request, messages=messages)


def _returned(steps: Generator[str, None, T]) -> T:
    """Run a generator to its end and return what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            value: T = end.value
            return value
