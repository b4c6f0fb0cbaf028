"""Say what a user lacks a right for, instead of what the engine calls it alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from opensearch_funnel.core.errors import EngineDeniedError

_ACTION = re.compile(r"no permissions for \[([^\]]+)\](?: and User \[name=([^,\]]+))?")


@contextmanager
def needing(what: str) -> Iterator[None]:
    """Turn a refusal of the security plugin into one that says what the right is for.

    Args:
        what: what is done, for example ``reading the mapping of films-1``.

    Raises:
        EngineDeniedError: as the engine's, naming the action that has to be allowed.

    Example:
        >>> reason = "no permissions for [indices:admin/get] and User [name=ann, roles=[]]"
        >>> with needing("reading films-1"):
        ...     raise EngineDeniedError(reason, status=403)
        Traceback (most recent call last):
        ...
        opensearch_funnel.core.errors.EngineDeniedError: reading films-1 needs the right \
indices:admin/get, which user ann does not have: give it to one of the user's roles
    """
    try:
        yield
    except EngineDeniedError as error:
        raise EngineDeniedError(
            f"{what} {denied(error)}", status=error.status, kind=error.kind
        ) from error


def denied(error: EngineDeniedError) -> str:
    """Say which right is missing, and what to do; the engine's own words where it names none."""
    found = _ACTION.search(str(error))
    if found is None:
        return f"was refused: {error}"
    user = f"user {found[2]}" if found[2] else "this user"
    return (
        f"needs the right {found[1]}, which {user} does not have: give it to one of the user's "
        "roles"
    )
