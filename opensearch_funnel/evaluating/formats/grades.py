"""A grade as a file has it, as an exact number."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,2})?", re.ASCII)
_MOST_DIGITS = 15
_PLACES = Decimal("0.001")


@lru_cache(maxsize=4096)
def grade_of(text: str) -> Decimal | None:
    """Read a grade; its decimals are kept as they are written.

    Returns:
        The number; nothing for what is no number of at most 15 digits.

    Example:
        >>> grade_of("3.000"), grade_of("-1"), grade_of("nan"), grade_of("good")
        (Decimal('3.000'), Decimal('-1'), None, None)
    """
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        return None
    grade = Decimal(text)
    digits = max(len(grade.as_tuple().digits), abs(grade.adjusted()))
    return grade if digits <= _MOST_DIGITS else None


def is_whole(grade: Decimal) -> bool:
    """Say whether a grade is a whole number, however it is written.

    Example:
        >>> is_whole(Decimal("3.000")), is_whole(Decimal("0.5"))
        (True, False)
    """
    return grade == grade.to_integral_value()


def is_decimal(text: str) -> bool:
    """Say whether a grade is a whole number that is not written as one.

    Example:
        >>> is_decimal("3.000"), is_decimal("3"), is_decimal("0.5"), is_decimal("good")
        (True, False, False, False)
    """
    grade = grade_of(text)
    return grade is not None and is_whole(grade) and not text.strip().lstrip("+-").isdigit()


def rounded(grade: Decimal) -> Decimal:
    """Round to the nearest whole number, a half away from zero.

    Example:
        >>> rounded(Decimal("2.5")), rounded(Decimal("-0.5"))
        (Decimal('3'), Decimal('-1'))
    """
    return grade.to_integral_value(rounding=ROUND_HALF_UP)


def plain(grade: Decimal) -> str:
    """Write a grade as short as it is exact.

    Example:
        >>> plain(Decimal("3.000")), plain(Decimal("0.50")), plain(Decimal("1E+2"))
        ('3', '0.5', '100')
    """
    if is_whole(grade):
        return str(int(grade))
    return f"{grade.normalize():f}"


def with_places(grade: Decimal) -> str:
    """Write a grade as the Workbench does: a whole number with three places, others as they are.

    Example:
        >>> with_places(Decimal(3)), with_places(Decimal("1.000")), with_places(Decimal("0.12345"))
        ('3.000', '1.000', '0.12345')
    """
    return f"{grade:f}" if int(grade.as_tuple().exponent) < 0 else f"{grade.quantize(_PLACES):f}"
