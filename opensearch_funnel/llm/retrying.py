"""How long to wait before a request is made again."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_FIRST_S, _LONGEST_S = 0.5, 8.0


def pause(tries: int) -> float:
    """Return the seconds to wait after so many tries that failed.

    Twice as long each time, and half of it at random: clients that were refused together do not
    come back together.

    Example:
        >>> 0.5 <= pause(2) <= 1.0
        True
    """
    longest: float = min(_LONGEST_S, _FIRST_S * 2 ** (tries - 1))
    return longest * (0.5 + random.random() / 2)  # noqa: S311 - not for secrets


def asked_wait(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Return the seconds that an endpoint asks to wait; None where it does not, or not in earnest.

    Both forms of ``Retry-After`` are read (RFC 9110, 10.2.3), and ``retry-after-ms``.

    Example:
        >>> asked_wait({"retry-after": "2.5"}), asked_wait({"retry-after": "soon"})
        (2.5, None)
    """
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        return max(0.0, seconds) if math.isfinite(seconds) else None
    try:
        at = parsedate_to_datetime(headers.get("retry-after", ""))
    except (TypeError, ValueError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - (now or datetime.now(UTC))).total_seconds())
