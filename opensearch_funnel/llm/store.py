"""The small database of the ledger and the cache: one file, for all processes of a machine."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock

from opensearch_funnel.core.errors import InputError

FILE = "llm.sqlite"
"""Its name below ``FUNNEL_HOME``."""
PATIENCE_S = 3.0
"""How long to wait for another process that writes."""
_TURNS = Lock()
_TABLES = """
CREATE TABLE IF NOT EXISTS calls (
    id INTEGER PRIMARY KEY, day TEXT NOT NULL, at REAL NOT NULL, model TEXT NOT NULL,
    purpose TEXT NOT NULL, tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL,
    cost REAL NOT NULL, estimated INTEGER NOT NULL, outcome TEXT NOT NULL, tries INTEGER NOT NULL,
    seconds REAL NOT NULL, cached INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS calls_by_day ON calls (day);
CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, at REAL NOT NULL, text TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS answers_by_age ON answers (at);
"""


@contextmanager
def transaction(path: Path, *, patience_s: float = PATIENCE_S) -> Iterator[sqlite3.Connection]:
    """Read and write as one step: no other process writes meanwhile.

    The file is made where it is missing, and only its owner can read it: it holds answers.

    Args:
        path: of the file.
        patience_s: how long to wait for another process that writes.

    Raises:
        InputError: the file cannot be used; nothing was written.
    """
    patience_s = max(0.0, patience_s)
    # Threads of this process wait in line here: of those that wait in SQLite, one may never come.
    if not _TURNS.acquire(timeout=patience_s):
        raise _unusable(path, "database is locked")
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        with closing(sqlite3.connect(path, timeout=patience_s)) as database:
            database.isolation_level = None  # transactions begin and end where it says so
            database.execute("BEGIN IMMEDIATE")
            if not database.execute("SELECT 1 FROM sqlite_master WHERE name='answers'").fetchone():
                for statement in _TABLES.split(";"):
                    database.execute(statement)
            yield database
            database.execute("COMMIT")  # without it, closing takes everything back
    except (OSError, sqlite3.Error) as error:
        raise _unusable(path, error) from error
    finally:
        _TURNS.release()


def _unusable(path: Path, reason: object) -> InputError:
    return InputError(
        f"{path} cannot be used ({reason}): nothing is asked of a language model without a "
        "ledger; see that FUNNEL_HOME can be written"
    )
