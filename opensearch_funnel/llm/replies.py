"""What an endpoint sends back, read without trust: an answer, or a fault."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from opensearch_funnel.llm.spending import Tokens

_FINAL = frozenset({"400", "401", "402", "403", "404", "insufficient_quota", "model_not_found"})
"""Codes of errors that another try does not mend."""
_MOST_BYTES_A_TOKEN, _SLACK_BYTES = 16, 1024


class Fault(Exception):  # noqa: N818 - it never leaves this package
    """A try that gave no answer.

    Attributes:
        reason: what happened, in a few words.
        kind: which error it is, should it be the last try.
        again: whether another try may help.
        wait_s: how long the endpoint asks to wait.
        tokens: what the endpoint says it took; None where it does not say.
        billed: whether it may have taken tokens, where it does not say.
        status: of the HTTP answer, if there was one.
    """

    def __init__(
        self,
        reason: str,
        *,
        kind: Literal["unavailable", "refused", "unusable"],
        again: bool = False,
        billed: bool = True,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind
        self.again = again
        self.billed = billed
        self.wait_s: float | None = None
        self.tokens: Tokens | None = None
        self.status: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole answer.

    Attributes:
        text: what the model wrote; never empty.
        cut: whether it stopped at the limit of tokens.
        tokens: what the endpoint says it took; None where it does not say.
    """

    text: str
    cut: bool
    tokens: Tokens | None


class _Usage(msgspec.Struct):
    prompt_tokens: msgspec.Raw = msgspec.Raw(b"null")
    completion_tokens: msgspec.Raw = msgspec.Raw(b"null")


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Message | None = None
    delta: _Message | None = None
    finish_reason: str | None = None


class _Body(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")
    error: Any = None
    message: Any = None
    code: Any = None


@dataclass(slots=True, kw_only=True)
class Listener:
    """Puts an answer together, from a whole body or from the events of a stream.

    Attributes:
        max_tokens: what the model may write; an answer that cannot be that short is refused, as
            the endpoint then does not keep to it.
    """

    max_tokens: int
    _texts: list[str] = field(default_factory=list)
    _bytes: int = 0
    _finish: str | None = None
    _refusal: str = ""
    _tokens: Tokens | None = None

    def hear(self, content: bytes) -> str:
        """Take a whole body, or one event of a stream, and return the text in it.

        Raises:
            Fault: it is no part of an answer, or one too many.
        """
        try:
            body = msgspec.json.decode(content, type=_Body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise self.fault("it answered with something that is no JSON of a chat") from None
        self._tokens = _reported(body.usage) or self._tokens
        if body.error or (body.choices is None and body.message):
            said = body.error or body.message
            codes = {str(body.code), str(said.get("code") if isinstance(said, dict) else "")}
            again = not codes & _FINAL
            raise self.fault(f"it answered with an error: {words_of(said)}", again=again)
        text = ""
        for choice in (body.choices or ())[:1]:
            part = choice.message or choice.delta or _Message()
            text = part.content or ""
            self._refusal += part.refusal or ""
            self._finish = choice.finish_reason or self._finish
        self._texts.append(text)
        self._bytes += len(text.encode())
        if self._bytes > _MOST_BYTES_A_TOKEN * self.max_tokens + _SLACK_BYTES:
            reason = f"it wrote far more than the {self.max_tokens:,} tokens it was allowed"
            raise self.fault(reason, again=False)
        return text

    def end(self, *, streamed: bool) -> Reply:
        """Return the answer, now that all of it was heard.

        Raises:
            Fault: there is none, or its end is missing.
        """
        text = "".join(self._texts)
        if self._refusal and not text:
            raise self.fault(f"the model declines: {self._refusal}", again=False)
        if self._finish == "content_filter":
            raise self.fault("its content filter stopped the answer", again=False)
        if self._finish == "error":
            raise self.fault("it says that the answer failed")
        if streamed and self._finish is None:
            raise self.fault("its answer stops before its end", kind="unavailable")
        cut = self._finish == "length"
        if not text.strip():
            if cut:
                reason = f"it wrote {self.max_tokens:,} tokens of thoughts and no answer"
                raise self.fault(f"{reason}: allow more", again=False)
            raise self.fault("its answer is empty")
        return Reply(text=text, cut=cut, tokens=self._tokens)

    def fault(
        self,
        reason: str,
        *,
        kind: Literal["unavailable", "unusable"] = "unusable",
        again: bool = True,
    ) -> Fault:
        """Return a fault with what was reported so far."""
        fault = Fault(reason, kind=kind, again=again)
        fault.tokens = self._tokens
        return fault


def _reported(usage: msgspec.Raw) -> Tokens | None:
    """Read what was taken; a report that makes no sense is none."""
    try:
        read = msgspec.json.decode(usage, type=_Usage | None)
        if read is None:
            return None
        sent = msgspec.json.decode(read.prompt_tokens, type=int)
        written = msgspec.json.decode(read.completion_tokens, type=int)
    except msgspec.DecodeError:
        return None
    # A model reads something, always: an endpoint that says 0 does not count.
    return Tokens(sent, written) if 0 < sent < 2**40 and 0 <= written < 2**40 else None


def words_of(said: Any) -> str:
    """Return what an error says in words: providers put them at several places."""
    if isinstance(said, dict):
        inner = said.get("error") or said.get("message") or said.get("detail") or said.get("code")
        return words_of(inner) if inner else str(said)
    return str(said)
