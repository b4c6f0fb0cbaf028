"""Which searches are in a plan's sample: decided by what was typed, the same each time."""

from __future__ import annotations

from hashlib import sha256

_BYTES = 8


def in_sample(text: str, *, alias: str, share: float) -> bool:
    """Say whether a search is one of the share that a plan upgrades.

    Only what was typed decides, without capitals and superfluous blanks: the pages of one search
    differ in ``from``, often in their aggregations, and at times in a date in a filter, and all
    have to be of one order. So have a search that is repeated and one that gets a filter more.
    A larger share holds the searches of every smaller one.

    Args:
        text: what was typed.
        alias: of the plan, so that two plans do not pick the same searches.
        share: from 0 (nothing) to 1 (everything); of the texts, which is that of the requests
            only where no text is asked much more often than others.

    Example:
        >>> [in_sample(text, alias="films", share=0.5) for text in ("heat", "alien", " Alien")]
        [False, True, True]
    """
    if share >= 1.0:
        return True
    typed = " ".join(text.split()).casefold()
    digest = sha256(f"{alias}\n{typed}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:_BYTES], "big") < share * 2.0 ** (8 * _BYTES)
