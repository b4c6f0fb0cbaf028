"""What calls to language models took: a row a call, so that limits hold over restarts.

A call is booked with the most it could take before anything is sent, and with what it took
afterwards. So a process that is killed in between leaves a row that counts too much, never too
little, and processes that ask at the same time cannot pass a limit together.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from opensearch_funnel.llm.spending import Budget, Prices, Tokens
from opensearch_funnel.llm.store import PATIENCE_S, transaction

Outcome = Literal["open", "ok", "unavailable", "refused", "unusable", "budget", "stopped", "failed"]
_WRITE = """INSERT OR REPLACE INTO calls (id, day, at, model, purpose, tokens_in, tokens_out, cost,
estimated, outcome, tries, seconds, cached) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_TOTALS = """SELECT day, purpose, model, count(*), sum(cached), sum(outcome NOT IN ('ok', 'open')),
sum(outcome = 'open'), sum(tokens_in), sum(tokens_out), sum(cost), sum(estimated)
FROM calls WHERE day >= ? GROUP BY day, purpose, model ORDER BY day DESC, purpose, model"""


@dataclass(slots=True, kw_only=True)
class Call:
    """One call, as the ledger will have it.

    Attributes:
        day: in UTC, as ``2026-11-22``; a call belongs to the day on which it began.
        at: when it began, in seconds since 1970.
        tokens: what its tries took so far.
        estimated: whether some of that is the upper estimate, for want of a report.
        tries: requests that were sent.
        row: its number, once it is booked.
    """

    day: str
    at: float
    model: str
    purpose: str
    prices: Prices
    tokens: Tokens = field(default_factory=Tokens)
    estimated: bool = False
    outcome: Outcome = "open"
    tries: int = 0
    seconds: float = 0.0
    cached: bool = False
    row: int | None = None

    @property
    def cost(self) -> float:
        """What its tries cost so far."""
        return self.prices.cost(self.tokens)


@dataclass(frozen=True, slots=True)
class Total:
    """What the calls of a day, a purpose and a model took together.

    Attributes:
        calls: how many, with those below.
        cached: answered from the cache, for nothing.
        failed: without an answer that could be used.
        open: not ended yet, or killed; they count with the most they could take.
        estimated: how many count, wholly or partly, with an upper estimate.
    """

    day: str
    purpose: str
    model: str
    calls: int
    cached: int
    failed: int
    open: int
    tokens_in: int
    tokens_out: int
    cost: float
    estimated: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The rows in one file; safe to use from several threads and processes.

    Attributes:
        path: of the file; made with the first row.
        clock: seconds since 1970.
    """

    path: Path
    clock: Callable[[], float] = time.time

    def begin(self, *, model: str, purpose: str, prices: Prices) -> Call:
        """Begin a call; nothing is written yet."""
        at = self.clock()
        return Call(day=_day(at), at=at, model=model, purpose=purpose, prices=prices)

    def today(self) -> str:
        """Return the day that limits of a day count now."""
        return _day(self.clock())

    def reserve(
        self, call: Call, *, estimate: Tokens, budget: Budget, patience_s: float = PATIENCE_S
    ) -> None:
        """Book the most that the next try of a call could take, if the limits allow it.

        Raises:
            LlmBudgetError: a limit could be passed; nothing was booked.
            InputError: the file cannot be used.
        """
        wanted = call.tokens + estimate
        cost = call.prices.cost(wanted)
        with transaction(self.path, patience_s=patience_s) as database:
            tokens, spent = database.execute(
                "SELECT coalesce(sum(tokens_in + tokens_out), 0), coalesce(sum(cost), 0.0) "
                "FROM calls WHERE day = ? AND id IS NOT ?",
                (call.day, call.row),
            ).fetchone()
            budget.check(call=(wanted.total, cost), day=(tokens + wanted.total, spent + cost))
            row = _row(call, tokens=wanted)
            call.row = database.execute(_WRITE, row).lastrowid

    def settle(self, call: Call) -> None:
        """Book what a call took.

        Raises:
            InputError: the file cannot be used; what was reserved stays booked.
        """
        with transaction(self.path) as database:
            call.row = database.execute(_WRITE, _row(call, tokens=call.tokens)).lastrowid

    def totals(self, *, days: int) -> list[Total]:
        """Return what was spent, by day, purpose and model, the latest day first.

        Args:
            days: how many, today among them.
        """
        if not self.path.exists():
            return []
        first = _day(max(0.0, self.clock() - (days - 1) * 86_400))
        with transaction(self.path) as database:
            rows = database.execute(_TOTALS, (first,)).fetchall()
        return [Total(*row) for row in rows]


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).date().isoformat()


def _row(call: Call, *, tokens: Tokens) -> tuple[object, ...]:
    return (
        call.row,
        call.day,
        call.at,
        call.model,
        call.purpose,
        tokens.sent,
        tokens.written,
        call.prices.cost(tokens),
        call.estimated,
        call.outcome,
        call.tries,
        call.seconds,
        call.cached,
    )
