"""Answers that were paid for once: by the hash of all that made them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from opensearch_funnel.llm.store import PATIENCE_S, transaction


def key_of(request: Mapping[str, Any]) -> str:
    """Return the key of a request: the same for the same endpoint, model, messages and parameters.

    Example:
        >>> key_of({"model": "m", "max_tokens": 1}) == key_of({"max_tokens": 1, "model": "m"})
        True
    """
    return hashlib.sha256(orjson.dumps(request, option=orjson.OPT_SORT_KEYS)).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerCache:
    """Answers in one file; the oldest go first.

    Attributes:
        path: of the file.
        most: how many are kept; 0 keeps none.
    """

    path: Path
    most: int

    def get(self, key: str, *, patience_s: float = PATIENCE_S) -> str | None:
        """Return the answer of a request, if it is kept."""
        if not self.most or not self.path.exists():
            return None
        with transaction(self.path, patience_s=min(PATIENCE_S, patience_s)) as database:
            found = database.execute("SELECT text FROM answers WHERE key = ?", (key,)).fetchone()
        return None if found is None else str(found[0])

    def put(self, key: str, text: str) -> None:
        """Keep the answer of a request."""
        if not self.most:
            return
        with transaction(self.path) as database:
            database.execute(
                "INSERT OR REPLACE INTO answers (key, at, text) VALUES (?, ?, ?)",
                (key, time.time(), text),
            )
            database.execute(
                "DELETE FROM answers WHERE rowid IN "
                "(SELECT rowid FROM answers ORDER BY at DESC, rowid DESC LIMIT -1 OFFSET ?)",
                (self.most,),
            )
