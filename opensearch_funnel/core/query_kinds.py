"""What can be told of a query from its text alone, in no time: numbers that kinds differ in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, get_args

Feature = Literal["none", "words", "characters", "longest_word", "digits"]


def feature_of(text: str, *, feature: Feature) -> float:
    """Return a feature of a query's text; 0 for ``none``.

    Args:
        text: as it was typed.
        feature: ``words`` between blanks; ``characters`` without the blanks around them;
            characters of the ``longest_word``; how many characters are ``digits``.

    Example:
        >>> text = " sony wh-1000xm4 "
        >>> [feature_of(text, feature=one) for one in FEATURES]
        [2.0, 15.0, 10.0, 5.0]
    """
    return float(_FEATURES[feature](text))


_FEATURES: Mapping[str, Callable[[str], int]] = {
    "none": lambda _: 0,
    "words": lambda text: len(text.split()),
    "characters": lambda text: len(text.strip()),
    "longest_word": lambda text: max(map(len, text.split()), default=0),
    "digits": lambda text: sum(character.isdigit() for character in text),
}
FEATURES: tuple[Feature, ...] = get_args(Feature)[1:]
"""Those that tell something."""
