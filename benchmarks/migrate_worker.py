"""A worker of a migration that kills itself where it is told to; for benchmarks/migrate_kills.py.

It is the product's own worker; only the transport of its client counts requests, and sends the
process SIGKILL before one is sent, or when it has been answered. What it did until then is in a
file, a JSON object a line, with the machine's monotonic clock.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from opensearchpy import Transport

from benchmarks.migrate_setting import Encoders, opened
from opensearch_funnel.engine.client import connect
from opensearch_funnel.migrating.encoding import SlotEncoder
from opensearch_funnel.migrating.migration import load_migration
from opensearch_funnel.migrating.passes import WorkOptions
from opensearch_funnel.migrating.running import RunOptions, run
from opensearch_funnel.settings import Settings

EVERY, BULK = ".", r"/_bulk$"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """Where a worker ends.

    Attributes:
        where: a pattern: only requests whose path has it are counted.
        number: at which of them, from 1.
        answered: when it was answered; else before it is sent.
    """

    where: str
    number: int
    answered: bool


class Log:
    """Writes what happened, so that it is there when the process is not."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, what: str, **details: Any) -> None:
        """Write a line."""
        line = json.dumps({"what": what, "at": time.monotonic(), **details}) + "\n"
        os.write(self._file, line.encode())


@dataclass(frozen=True, slots=True)
class Counted:
    """An encoder that writes down how many texts it has read."""

    encoder: Any
    log: Log

    @property
    def name(self) -> str:
        """What the model is called."""
        return str(self.encoder.name)

    @property
    def fingerprint(self) -> str:
        """What tells its output from that of any other model."""
        return str(self.encoder.fingerprint)

    def encode_documents(self, texts: Sequence[str]) -> Sequence[Mapping[str, float]]:
        """Encode, and write it down."""
        made: Sequence[Mapping[str, float]] = self.encoder.encode_documents(texts)
        self.log.write("encoded", documents=len(texts))
        return made


def kill_at(kill: Kill | None, *, log: Log) -> None:
    """Let this process end at a request of its client."""
    send = Transport.perform_request
    seen = 0

    def perform_request(self: Transport, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        nonlocal seen
        counts = kill is not None and re.search(kill.where, url) is not None
        seen += counts
        ends = counts and kill is not None and seen == kill.number
        if ends and kill is not None and not kill.answered:
            _end(log, method, url, kill)
        answer = send(self, method, url, *args, **kwargs)
        if url.endswith("/_bulk"):
            log.write("written")
        if ends and kill is not None:
            _end(log, method, url, kill)
        return answer

    Transport.perform_request = perform_request  # type: ignore[method-assign]


def _end(log: Log, method: str, url: str, kill: Kill) -> None:
    log.write("killed", method=method, path=url, answered=kill.answered)
    os.kill(os.getpid(), signal.SIGKILL)


def work(  # noqa: PLR0913 - what the command line says
    url: str,
    alias: str,
    *,
    encoders: Encoders,
    page: int,
    letters: Path,
    log: Log,
    kill: Kill | None,
) -> dict[str, Any]:
    """Run a migration until it is even, or until the end."""
    client = connect(Settings(url=url))
    migration = load_migration(client, alias)
    encoder: SlotEncoder = opened(migration, encoders)
    counted = replace(encoder, sparse=Counted(encoder.sparse, log))
    log.write("started")
    kill_at(kill, log=log)
    options = RunOptions(
        documents_per_second=float("inf"), work=WorkOptions(page=page, letters=letters)
    )
    return run(client, migration, encoder=counted, options=options).to_dict()


def arguments_of(kill: Kill | None) -> list[str]:
    """Return the arguments that tell a worker where to end."""
    return [] if kill is None else ["--kill", json.dumps(asdict(kill))]


def main() -> int:
    """Run from benchmarks/migrate_kills.py; prints the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--alias", required=True)
    parser.add_argument("--encoders", default="words")
    parser.add_argument("--page", type=int, default=500)
    parser.add_argument("--letters", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--kill", default=None)
    told = parser.parse_args()
    report = work(
        told.url,
        told.alias,
        encoders=told.encoders,
        page=told.page,
        letters=told.letters,
        log=Log(told.log),
        kill=None if told.kill is None else Kill(**json.loads(told.kill)),
    )
    sys.stdout.write(json.dumps(report) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
