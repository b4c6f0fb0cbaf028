"""Tokens and money: what a call could take, what it took, and what it may take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from opensearch_funnel.core.errors import LlmBudgetError

_PER_MESSAGE, _PER_REQUEST = 16, 256
"""Tokens that a chat template adds: role marks, and a system prompt of its own."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens that were sent, and tokens that the model wrote.

    Example:
        >>> Tokens(10, 2) + Tokens(5, 1)
        Tokens(sent=15, written=3)
    """

    sent: int = 0
    written: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.sent + other.sent, self.written + other.written)

    @property
    def total(self) -> int:
        """Both kinds together."""
        return self.sent + self.written


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What a million tokens cost, in one currency.

    Example:
        >>> Prices(sent=0.5, written=2.0).cost(Tokens(1_000_000, 500_000))
        1.5
    """

    sent: float = 0.0
    written: float = 0.0

    def cost(self, tokens: Tokens) -> float:
        """Return what tokens cost."""
        return (tokens.sent * self.sent + tokens.written * self.written) / 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What one call, and all calls of a day, may take; ``None`` is no limit."""

    tokens_per_call: int
    tokens_per_day: int
    cost_per_call: float | None = None
    cost_per_day: float | None = None

    def check(self, *, call: tuple[int, float], day: tuple[int, float]) -> None:
        """Refuse what passes a limit.

        Args:
            call: tokens and cost of the call.
            day: tokens and cost of the day, the call among them.

        Raises:
            LlmBudgetError: names the first limit that is passed.
        """
        limits = (
            ("a call", "TOKENS_PER_CALL", call[0], self.tokens_per_call),
            ("a call", "COST_PER_CALL", call[1], self.cost_per_call),
            ("a day", "TOKENS_PER_DAY", day[0], self.tokens_per_day),
            ("a day", "COST_PER_DAY", day[1], self.cost_per_day),
        )
        for whose, name, taken, allowed in limits:
            if allowed is not None and taken > allowed:
                what = "tokens" if name.startswith("TOKENS") else "of money"
                raise LlmBudgetError(
                    f"{whose} may take {allowed:,.10g} {what}, and this could make it "
                    f"{taken:,.10g}: send less, or raise FUNNEL_LLM_{name}"
                )


def upper_estimate(messages: Sequence[Message], *, schema: str, max_tokens: int) -> Tokens:
    """Return how many tokens a request takes at most.

    Every tokenizer in use falls back to bytes, so a text has at most as many tokens as bytes;
    most have a quarter of that. What a chat template adds is allowed for.

    Args:
        messages: what is sent.
        schema: of the answer, as JSON: some endpoints put it into the prompt and bill it.
        max_tokens: the most that the model may write.

    Example:
        >>> upper_estimate([Message("user", "What is BM25?")], schema="", max_tokens=100)
        Tokens(sent=285, written=100)
    """
    content = sum(len(message.content.encode()) + _PER_MESSAGE for message in messages)
    return Tokens(content + len(schema.encode()) + _PER_REQUEST, max_tokens)
