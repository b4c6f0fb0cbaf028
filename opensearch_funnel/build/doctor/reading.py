"""Read something that may not be there, may be forbidden, or may not answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import (
    EngineDeniedError,
    EngineError,
    EngineUnreachableError,
    FunnelError,
)

CALL_S = 20.0
"""The longest that one call to the cluster may take. A connection to a service that nothing
listens for costs the engine up to 10 s, and the cluster answers after that."""
_MOST_SILENCES = 2
_RIGHT = re.compile(r"no permissions for \[([^\]]+)\](?: and User \[name=([^,\]]+))?")

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """Why something could not be read.

    Attributes:
        why: in one line.
        rights: the actions that the user may not do, in the words of the security plugin; none
            where that is not the reason.
        user: who may not do it; empty where the cluster did not say.
        error: what was raised.
    """

    why: str
    rights: tuple[str, ...] = ()
    user: str = ""
    error: FunnelError | None = None

    @property
    def status(self) -> int | None:
        """The HTTP status, where there was an answer."""
        return self.error.status if isinstance(self.error, EngineError) else None


def unread(error: FunnelError) -> Unread:
    """Say why something could not be read.

    Example:
        >>> denied = EngineDeniedError("http://n refused the credentials (403): no permissions for "
        ...                            "[cluster:monitor/main] and User [name=ann, roles=[]]")
        >>> unread(denied).why
        'ann may not cluster:monitor/main'
    """
    found = _RIGHT.search(str(error)) if isinstance(error, EngineDeniedError) else None
    if found is None:
        return Unread(why=str(error), error=error)
    rights, user = tuple(found[1].split(", ")), found[2] or ""
    why = f"{user or 'the user'} may not {' and '.join(rights)}"
    return Unread(why=why, rights=rights, user=user, error=error)


class Reader:
    """Asks a cluster, and turns whatever goes wrong into an ``Unread``.

    A cluster that stops answering is left alone: every further call would take as long again.
    """

    def __init__(self, client: OpenSearch) -> None:
        """Ask nothing yet.

        Args:
            client: a client whose every call has a deadline.
        """
        self._client = client
        self._silences = 0

    def read(self, call: Callable[[OpenSearch], Value]) -> Value | Unread:
        """Call, and return the answer or why there is none.

        Args:
            call: asks the cluster through the client that it gets.
        """
        if self._silences >= _MOST_SILENCES:
            return Unread(why="the cluster stopped answering")
        try:
            value = call(self._client)
        except EngineUnreachableError as error:
            self._silences += 1
            return unread(error)
        except FunnelError as error:
            self._silences = 0
            return unread(error)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            return Unread(why=f"an answer that is not understood ({type(error).__name__}: {error})")
        self._silences = 0
        return value
