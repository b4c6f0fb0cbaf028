"""Texts to vectors by somebody else's model, over HTTP."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Self

import httpx2
import numpy as np
import orjson
from numpy.typing import NDArray

from opensearch_funnel.core.errors import InputError, ModelError, StageUnavailableError
from opensearch_funnel.core.progress import SILENT, Advance, Progress
from opensearch_funnel.encoders.hosted_shapes import SHAPES, Reply
from opensearch_funnel.encoders.manifest import Endpoint, Manifest

Vectors = NDArray[np.float32]

_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Statuses that another try may turn into an answer."""
_DENIED = frozenset({401, 403})
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0
_CALL_S = 60.0


@dataclass(slots=True)
class HostedUsage:
    """What a hosted model was asked for, and what that cost.

    Attributes:
        requests: answers that were used.
        retries: tries that gave no answer.
        texts: how many were encoded.
        tokens: as the provider bills them; 0 where it does not say.
        price_per_million: of tokens.
    """

    price_per_million: float
    requests: int = 0
    retries: int = 0
    texts: int = 0
    tokens: int = 0

    @property
    def cost(self) -> float:
        """What the tokens cost, in the provider's currency.

        Example:
            >>> HostedUsage(price_per_million=0.02, tokens=500_000).cost
            0.01
        """
        return self.tokens * self.price_per_million / 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedEncoder:
    """A dense model behind HTTP; safe to call from several threads.

    Every text leaves this machine. A call that meets a limit or an error of the other side is
    made again, later and later, until its patience is over: seconds for a query, minutes for
    documents.
    """

    name: str
    fingerprint: str
    dimension: int
    endpoint: Endpoint
    unit_length: bool = True
    query_prefix: str = ""
    document_prefix: str = ""
    asks_dimension: bool = False
    """Whether the provider is asked for shorter vectors than the model's own."""
    client: httpx2.Client
    usage: HostedUsage
    query_patience_s: float = 5.0
    document_patience_s: float = 300.0
    wait: Callable[[float], None] = time.sleep
    _lock: Lock = field(default_factory=Lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def encode_query(self, text: str) -> Vectors:
        """Return the vector of a query, ``(dimension,)``.

        Raises:
            StageUnavailableError: the endpoint gave no answer in time.
            ModelError: its answer cannot be used, or it refuses the request for good.
        """
        vector: Vectors = self.embed([text], as_queries=True)[0][0]
        return vector

    def encode_documents(self, texts: Sequence[str], *, progress: Progress = SILENT) -> Vectors:
        """Return one vector a document, ``(documents, dimension)``; as ``encode_query``."""
        with progress.task(f"encoding with {self.name}", total=len(texts)) as advance:
            return self.embed(texts, as_queries=False, advance=advance)[0]

    def embed(
        self, texts: Sequence[str], *, as_queries: bool, advance: Advance = lambda _: None
    ) -> tuple[Vectors, int]:
        """Return the vectors of texts, in the order given, and the tokens that are billed.

        Args:
            texts: what to encode.
            as_queries: whether they are what is searched with, or what is searched.
            advance: hears of each batch.
        """
        prefix = self.query_prefix if as_queries else self.document_prefix
        made = np.zeros((len(texts), self.dimension), dtype=np.float32)
        tokens = 0
        for first in range(0, len(texts), self.endpoint.batch):
            # An empty text is refused by some providers; a space means as little.
            batch = [prefix + text or " " for text in texts[first : first + self.endpoint.batch]]
            reply = self._ask(batch, as_queries=as_queries)
            made[first : first + len(batch)] = self._checked(reply.vectors, count=len(batch))
            tokens += reply.tokens
            with self._lock:
                self.usage.texts += len(batch)
                self.usage.tokens += reply.tokens
            advance(len(batch))
        return made, tokens

    def ask_dimension(self, text: str) -> int:
        """Send one text and return how many numbers its vector has; errors as ``encode_query``."""
        return int(self._ask([text], as_queries=True).vectors.shape[1])

    def _checked(self, vectors: Vectors, *, count: int) -> Vectors:
        if vectors.shape != (count, self.dimension):
            given = " of ".join(str(n) for n in vectors.shape)
            raise ModelError(
                f"{self._where} gave {given} numbers for {count} texts, not {self.dimension} each"
            )
        if not np.isfinite(vectors).all():
            raise ModelError(f"{self._where} gave vectors that are not finite")
        if not self.unit_length:
            return vectors
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: Vectors = vectors / np.maximum(length, np.finfo(np.float32).tiny)
        return unit

    @property
    def _where(self) -> str:
        return f"{self.endpoint.url} ({self.endpoint.model})"

    def _ask(self, texts: Sequence[str], *, as_queries: bool) -> Reply:
        patience_s = self.query_patience_s if as_queries else self.document_patience_s
        shape = SHAPES[self.endpoint.api]
        dimension = self.dimension if self.asks_dimension else 0
        body = shape.body(self.endpoint, texts, dimension=dimension, as_queries=as_queries)
        content = orjson.dumps(body)
        deadline = time.monotonic() + patience_s
        tries = 0
        while True:
            reason, asked_wait = "", None
            try:
                answer = self.client.post(
                    self.endpoint.url.rstrip("/") + shape.path,
                    content=content,
                    timeout=min(_CALL_S, max(0.1, deadline - time.monotonic())),
                )
            except httpx2.HTTPError as error:
                reason = f"{type(error).__name__}: {error}".rstrip(": ")
            else:
                if answer.is_success:
                    with self._lock:
                        self.usage.requests += 1
                    return self._read(answer, shape_reply=shape.reply)
                reason = f"status {answer.status_code}: {_said(answer)}"
                if answer.status_code not in _AGAIN:
                    raise ModelError(self._refusal(answer.status_code, reason))
                asked_wait = _retry_after(answer)
            tries += 1
            with self._lock:
                self.usage.retries += 1
            pause = _pause(tries) if asked_wait is None else asked_wait
            if time.monotonic() + pause >= deadline:
                raise StageUnavailableError(
                    f"{self._where} gave no answer in {patience_s:g} s and {tries} tries: {reason}"
                )
            self.wait(pause)

    def _refusal(self, status: int, reason: str) -> str:
        fix = ""
        if status in _DENIED:
            variable = self.endpoint.key_variable
            fix = f": put the key into {variable}" if variable else ": it wants a key"
        return f"{self._where} refuses: {reason}{fix}"

    def _read(self, answer: httpx2.Response, *, shape_reply: Any) -> Reply:
        try:
            content = orjson.loads(answer.content)
            reply: Reply = shape_reply(content, output=self.endpoint.output)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(
                f"{self._where} answered in no form of {self.endpoint.api}: {_said(answer)}"
            ) from error
        return reply


def open_hosted(manifest: Manifest) -> HostedEncoder:
    """Open a hosted model; nothing is asked yet.

    The key is read from the environment variable that the manifest names, and is kept nowhere
    else.

    Raises:
        InputError: that variable is not set.
        ModelError: the manifest has no endpoint, or an output that its API does not know.
    """
    endpoint = manifest.endpoint
    if endpoint is None:
        raise ModelError(f"manifest {manifest.name}: endpoint is missing")
    if endpoint.output not in SHAPES[endpoint.api].outputs:
        raise ModelError(f"manifest {manifest.name}: {endpoint.api} gives no {endpoint.output}")
    headers = {"content-type": "application/json"}
    if endpoint.key_variable:
        key = os.environ.get(endpoint.key_variable, "").strip()
        if not key:
            raise InputError(f"model {manifest.name} needs its key in {endpoint.key_variable}")
        headers["authorization"] = f"Bearer {key}"
    return HostedEncoder(
        name=manifest.name,
        fingerprint=manifest.fingerprint(),
        dimension=manifest.dimension,
        endpoint=endpoint,
        unit_length=manifest.unit_length,
        query_prefix=manifest.query_prefix,
        document_prefix=manifest.document_prefix,
        asks_dimension=bool(manifest.cut_from),
        client=httpx2.Client(headers=headers),
        usage=HostedUsage(price_per_million=endpoint.price_per_million),
    )


def _pause(tries: int) -> float:
    longest: float = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** (tries - 1))
    # Half of it at random: clients that were refused together do not come back together.
    return longest * (0.5 + random.random() / 2)  # noqa: S311 - not for secrets


def _retry_after(answer: httpx2.Response) -> float | None:
    try:
        wait = float(answer.headers.get("retry-after", ""))
    except ValueError:
        return None
    return min(max(wait, 0.0), _LONGEST_WAIT_S)


def _said(answer: httpx2.Response) -> str:
    return " ".join(answer.text.split())[:200] or "nothing"
