"""One chat endpoint: a request goes out, an answer or a fault comes back, by the deadline.

The requests run on an event loop of their own, in a thread. Whoever asks waits there until the
deadline and no longer; the request is then cancelled, whatever it waits for. Timeouts of sockets
could not do that: a server that sends a byte a second never exceeds one.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from concurrent.futures import Future
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import httpx2
import msgspec
from pydantic import SecretStr

from opensearch_funnel.core.errors import MissingExtraError
from opensearch_funnel.llm.replies import Fault, Listener, Reply, words_of
from opensearch_funnel.llm.retrying import asked_wait

T = TypeVar("T")

_MOST_BYTES = 16 * 1024 * 1024
_SENT = frozenset(
    {"host", "accept", "accept-encoding", "connection", "content-type", "content-length"}
)
"""What is sent of the headers. The client library adds more of its own accord: what machine this
is, and what the environment has for another provider."""
_PATH = "/chat/completions"
_AGAIN = frozenset({408, 409, 425, 429})
_MAY_BE_BILLED = frozenset({408, 502, 504})
"""Statuses of gateways that gave up on a model, which may have gone on."""
_DENIED = frozenset({401, 403})
_NOT_FOUND, _SERVER_ERROR = 404, 500
_SLACK_S, _CLOSING_S = 0.5, 10.0


class Endpoint:
    """An endpoint; safe to use from several threads, to be closed at the end.

    Args:
        url: up to and with ``/v1``.
        key: sent to that address alone: redirects are not followed.

    Raises:
        MissingExtraError: ``openai`` is not installed.
    """

    def __init__(self, *, url: str, key: SecretStr | None) -> None:
        try:
            import openai
        except ModuleNotFoundError as error:
            raise MissingExtraError("openai", extra="llm") from error
        self.url = url
        self._key = key
        self._http = httpx2.AsyncClient(
            follow_redirects=False,
            timeout=None,  # there is a deadline
            event_hooks={"request": [self._sent], "response": [_received]},
        )
        # Its own key is none: it would be sent along with redirects, and stand in its messages.
        self._client = openai.AsyncOpenAI(
            api_key="none", base_url=url, max_retries=0, http_client=self._http
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="llm")
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; what still runs is cancelled."""
        if self._loop.is_closed():
            return
        closing = asyncio.run_coroutine_threadsafe(self._closed(), self._loop)
        try:
            closing.result(timeout=_CLOSING_S)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def ask(self, body: dict[str, Any], *, max_tokens: int, deadline: float) -> Reply:
        """Send a request and wait for the whole answer.

        Args:
            body: of the request.
            max_tokens: what the model may write.
            deadline: by ``time.monotonic``.

        Raises:
            Fault: there is no answer.
        """
        asking = self._asked(body, max_tokens=max_tokens)
        future = self._start(asking, deadline=deadline)
        try:
            return future.result(timeout=max(0.0, deadline - time.monotonic()) + _SLACK_S)
        except TimeoutError:
            raise _late() from None
        finally:
            future.cancel()

    def stream(
        self, body: dict[str, Any], *, max_tokens: int, deadline: float
    ) -> Generator[str, None, Reply]:
        """Send a request and yield the answer as it is written; see ``ask``.

        After the first text, no fault is one for which another try may help.
        """
        heard: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        told = False
        listening = self._listened(body, max_tokens=max_tokens, tell=heard.put)
        future = self._start(listening, deadline=deadline)
        future.add_done_callback(lambda _: heard.put(None))
        try:
            while True:
                remaining = max(0.0, deadline - time.monotonic())
                text = heard.get(timeout=remaining + _SLACK_S)
                if text is None:
                    return future.result()
                told = True
                yield text
        except queue.Empty:
            raise _late() from None
        except Fault as fault:
            fault.again = fault.again and not told
            raise
        finally:
            future.cancel()

    def _start(self, work: Coroutine[Any, Any, T], *, deadline: float) -> Future[T]:
        if self._loop.is_closed():
            work.close()
            raise RuntimeError(f"{self.url} was closed")
        guarded = self._guarded(work, deadline=deadline)
        return asyncio.run_coroutine_threadsafe(guarded, self._loop)

    async def _guarded(self, work: Coroutine[Any, Any, T], *, deadline: float) -> T:
        """Turn all that can go wrong into a fault, without what the library has to say of it."""
        import openai

        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                return await work
        except TimeoutError:
            raise _late() from None
        except openai.APIStatusError as error:
            raise _refusal(error.response, body=error.body, url=self.url) from None
        except openai.APIConnectionError as error:
            raise _no_connection(error.__cause__ or error) from None
        except openai.APIError as error:  # an event of a stream
            said = words_of(error.body or error.message)
            reason = f"it answered with an error: {said}"
            raise Fault(reason, kind="unusable", again=True) from None
        except (openai.OpenAIError, httpx2.HTTPError, ValueError, RecursionError) as error:
            reason = f"its answer cannot be read ({type(error).__name__})"
            raise Fault(reason, kind="unusable", again=True) from None

    async def _asked(self, body: dict[str, Any], *, max_tokens: int) -> Reply:
        # Not by the typed methods: they read an answer before it can be looked at.
        response = await self._client.post(_PATH, cast_to=httpx2.Response, body=body)
        return _whole(response, max_tokens=max_tokens)

    async def _listened(
        self, body: dict[str, Any], *, max_tokens: int, tell: Callable[[str], None]
    ) -> Reply:
        import openai
        from openai.types.chat import ChatCompletionChunk

        stream = await self._client.post(
            _PATH,
            cast_to=ChatCompletionChunk,
            body={**body, "stream": True},
            stream=True,
            stream_cls=openai.AsyncStream[ChatCompletionChunk],
        )
        response = stream.response
        async with stream:
            if _content_type(response) == "application/json":  # it does not stream
                await response.aread()
                reply = _whole(response, max_tokens=max_tokens)
                tell(reply.text)
                return reply
            listener = Listener(max_tokens=max_tokens)
            async for event in stream:
                if text := listener.hear(msgspec.json.encode(event.to_dict(mode="json"))):
                    tell(text)
            if _content_type(response) == "text/html":
                raise _no_json(response)
            return listener.end(streamed=True)

    async def _sent(self, request: httpx2.Request) -> None:
        for name in [name for name in request.headers if name.lower() not in _SENT]:
            del request.headers[name]
        request.headers["user-agent"] = "opensearch-funnel"
        request.headers["accept-encoding"] = "identity"
        if self._key is not None:
            request.headers["authorization"] = f"Bearer {self._key.get_secret_value()}"

    async def _closed(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.close()


class _Bounded(httpx2.AsyncByteStream):
    """A body that ends in a fault where it is larger than any answer."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        taken = 0
        async for part in self._stream:
            taken += len(part)
            if taken > _MOST_BYTES:
                raise Fault(f"it sent more than {_MOST_BYTES:,} bytes", kind="unusable")
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _received(response: httpx2.Response) -> None:
    if response.headers.get("content-encoding", "identity") != "identity":
        # A few bytes may become gigabytes.
        raise Fault("it sent a compressed answer, against the request", kind="unusable")
    if isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _Bounded(response.stream)


def _whole(response: httpx2.Response, *, max_tokens: int) -> Reply:
    listener = Listener(max_tokens=max_tokens)
    if _content_type(response) == "text/html":
        raise _no_json(response)
    listener.hear(response.content)
    return listener.end(streamed=False)


def _content_type(response: httpx2.Response) -> str:
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


def _no_json(response: httpx2.Response) -> Fault:
    kind = _content_type(response) or "nothing that it names"
    reason = f"it answered with {kind}: is FUNNEL_LLM_URL the address up to and with /v1?"
    return Fault(reason, kind="refused")


def _late() -> Fault:
    return Fault("no whole answer by the deadline", kind="unavailable")


def _no_connection(error: BaseException) -> Fault:
    never = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.ProxyError)
    reason = "it cannot be reached" if never else "the connection broke"
    said = f"{reason} ({error or type(error).__name__})"
    return Fault(said, kind="unavailable", again=True, billed=not never)


def _refusal(response: httpx2.Response, *, body: object, url: str) -> Fault:
    status = response.status_code
    # Providers put the key, or most of it, into what they say of a wrong one.
    words = "" if status in _DENIED else words_of(body or "")
    reason = f"status {status}{': ' if words else ''}{words}"
    again = status in _AGAIN or status >= _SERVER_ERROR
    if "insufficient_quota" in str(body):
        again = False
    if response.is_redirect:
        place = urlsplit(response.headers.get("location", ""))
        reason = (
            f"status {status}, a redirect to {place.hostname or 'another path'}: it is not "
            "followed, set FUNNEL_LLM_URL to the address that answers"
        )
    elif status in _DENIED:
        reason += ": put a key that it takes into FUNNEL_LLM_KEY"
    elif status == _NOT_FOUND:
        reason += f": see that {url} ends as it should, often in /v1, and FUNNEL_LLM_MODEL"
    fault = Fault(
        reason,
        kind="unavailable" if again else "refused",
        again=again,
        billed=status in _MAY_BE_BILLED,
    )
    fault.status = status
    fault.wait_s = asked_wait(response.headers)
    return fault
