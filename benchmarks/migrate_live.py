"""A migration under a writer that never stops, cut over, swapped to and fro, and rolled back.

20,000 films, splade-tiny at 64 tokens, and a client at 50 operations a second (60 % updates, half
of which change the text, 20 % inserts, 20 % deletes) that tries again when a block refuses it. It
writes through ``run``, ``verify`` and ``cutover``, and on behind it. Then what the index has is
compared with what the client wrote. After that: 500 writes and a rollback, compared again; and
100 swaps of the alias between the two indices under 20 readers.

Goal: 0 stale, 0 missing, 0 resurrected; writers refused for at most 5 s; no reader ever gets an
error, an empty page, or a page of both indices; after the rollback the source has what the target
had, and its mapping, settings and aliases are those of the plan.

``python -m benchmarks.migrate_live --url http://127.0.0.1:9250``
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any

from opensearchpy import OpenSearch

from benchmarks.migrate_setting import Encoders, Setting, opened, planned
from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.engine.client import connect
from opensearch_funnel.engine.scanning import read_page, shard_bounds
from opensearch_funnel.engine.source_bytes import decoded_source, without_funnel
from opensearch_funnel.migrating.carrying import forget_carried
from opensearch_funnel.migrating.cutover import cutover
from opensearch_funnel.migrating.migration import Migration, load_migration
from opensearch_funnel.migrating.passes import WorkOptions
from opensearch_funnel.migrating.rollback import rollback
from opensearch_funnel.migrating.running import RunOptions
from opensearch_funnel.migrating.running import run as run_migration
from opensearch_funnel.migrating.swapping import (
    aliases_of,
    fence_name,
    raise_fence,
    swap_aliases,
)
from opensearch_funnel.migrating.verifying import verify
from opensearch_funnel.settings import Settings, load_settings

Documents = dict[str, dict[str, Any]]
MAX_BLOCK_S = 5.0
_PAGE = 2000
_BEHIND_S = 5.0
_HITS = 10


@dataclass
class Client:
    """A client that writes, and remembers what the index has to have.

    Attributes:
        engine: the cluster.
        alias: what it writes through.
        documents: what the index has to have, by id.
        seed: of what it writes.
        operations: done so far.
        refused: tries that a block refused.
        waited_s: the longest time until a write was taken.
    """

    engine: OpenSearch
    alias: str
    documents: Documents
    seed: int
    operations: int = 0
    refused: int = 0
    waited_s: float = 0.0
    error: BaseException | None = None
    _ids: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin with what is there."""
        self._ids = sorted(self.documents)
        self._drawn = random.Random(self.seed)  # noqa: S311 - what is written

    def write(self) -> None:
        """Write once: the next update, insert or delete."""
        kind = self._drawn.random()
        if kind < 0.6:  # noqa: PLR2004 - the shares of the goal
            self._put(self._drawn.choice(self._ids), self._changed)
        elif kind < 0.8:  # noqa: PLR2004
            doc_id = f"new-{self.operations:06}"
            self._put(doc_id, lambda _: {"title": f"new {doc_id}", "text": "a film of today"})
            self._ids.append(doc_id)
        elif len(self._ids) > 1:
            place = self._drawn.randrange(len(self._ids))
            self._ids[place], self._ids[-1] = self._ids[-1], self._ids[place]
            doc_id = self._ids.pop()
            self._tried(lambda: self.engine.delete(index=self.alias, id=doc_id))
            del self.documents[doc_id]
        self.operations += 1

    def _changed(self, present: Mapping[str, Any]) -> dict[str, Any]:
        # Every other update says what was there before: nothing has to be encoded for it.
        if self.operations % 2:
            return dict(present)
        return {**present, "text": f"{present.get('text', '')} again"}

    def _put(self, doc_id: str, change: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
        body = change(self.documents.get(doc_id, {}))
        self._tried(lambda: self.engine.index(index=self.alias, id=doc_id, body=body))
        self.documents[doc_id] = body

    def _tried(self, send: Callable[[], Any]) -> None:
        begun = time.monotonic()
        while True:
            try:
                send()
            except EngineError as error:
                if error.kind != "cluster_block_exception":
                    raise
                self.refused += 1
                time.sleep(0.005)
            else:
                self.waited_s = max(self.waited_s, time.monotonic() - begun)
                return


@contextmanager
def writing(client: Client, *, rate: float) -> Iterator[None]:
    """Let a client write so many times a second while the context is open."""
    stop = Event()

    def work() -> None:
        due = time.monotonic()
        try:
            while not stop.wait(max(0.0, due - time.monotonic())):
                client.write()
                # One that was held up does not make up for it: that would be another rate.
                due = max(due + 1 / rate, time.monotonic() - 1 / rate)
        except BaseException as error:  # noqa: BLE001 - it is raised where the writing ends
            client.error = error

    thread = Thread(target=work, name="writer")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if client.error is not None:
        raise client.error


def run(  # noqa: PLR0913 - the size of the run, and what it runs on
    url: str,
    *,
    documents: int = 20_000,
    rate: float = 50.0,
    writes: int = 500,
    swaps: int = 100,
    readers: int = 20,
    encoders: Encoders = "splade-tiny",
    datasets: Path | None = None,
    seed: int = 7,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Migrate under a writer, cut over, roll back, and swap.

    Args:
        url: a node; what is made on it is deleted at the end.
        documents: how many are migrated.
        rate: operations of the writer a second.
        writes: how many come between cutover and rollback.
        swaps: how often the alias moves under the readers.
        readers: how many search meanwhile.
        encoders: what fills the slot.
        datasets: the folder with ``msrd_movies``; without it, documents are made up.
        seed: of what is written.
        progress: hears of the phases.

    Returns:
        What was lost, how long writers were refused, and how long the calls took.
    """
    settings = Settings(url=url)
    engine = connect(settings, pool_size=readers + 10)
    begun = time.monotonic()
    with (
        planned(
            engine,
            documents=documents,
            datasets=datasets,
            encoders=encoders,
            seed=seed,
            progress=progress,
        ) as setting,
        TemporaryDirectory() as folder,
    ):
        client = Client(
            connect(settings), setting.alias, _present(engine, setting.source), seed=seed
        )
        there = _there(
            setting, client, settings, encoders, rate=rate, letters=Path(folder), progress=progress
        )
        back = _back(setting, settings, writes=writes, seed=seed, progress=progress)
        migration = load_migration(engine, setting.alias)
        forget_carried(engine, migration)
        swapped = _swapped(engine, migration, swaps=swaps, readers=readers, progress=progress)
    found = {"cutover": there, "rollback": back, "swaps": swapped}
    return {
        "documents": documents,
        "encoders": encoders,
        **found,
        "right": _right(there, back, swapped),
        "seed": seed,
        "seconds": round(time.monotonic() - begun, 1),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
    }


def _there(  # noqa: PLR0913 - see run
    setting: Setting,
    client: Client,
    settings: Settings,
    encoders: Encoders,
    *,
    rate: float,
    letters: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Copy, prove and cut over while the client writes; compare with what it wrote."""
    engine, alias = setting.client, setting.alias
    migration = load_migration(engine, alias)
    encoder = opened(migration, encoders)
    options = RunOptions(documents_per_second=inf, work=WorkOptions(letters=letters))
    begun = time.monotonic()
    with writing(client, rate=rate):
        copied = run_migration(
            engine, migration, encoder=encoder, options=options, progress=progress
        )
        proof = verify(engine, load_migration(engine, alias), progress=progress)
        report = cutover(
            engine,
            load_migration(engine, alias),
            settings=settings,
            encoder=encoder,
            max_block_s=MAX_BLOCK_S,
            letters=letters,
            progress=progress,
        )
        written_s = time.monotonic() - begun
        operations = client.operations
        time.sleep(_BEHIND_S)
    return {
        **_compared(_present(engine, report.target), client.documents),
        "operations": client.operations,
        "operations_per_second": round(operations / written_s, 1),
        "documents_now": len(client.documents),
        "copied_per_second": copied.to_dict()["documents_per_second"],
        "reused": copied.counts.reused,
        "verify": {
            "passed": proof.passed,
            "failed": proof.failed,
            "documents": proof.documents,
            "in_motion": proof.in_motion,
            "seconds": round(proof.seconds, 1),
        },
        "compared_since": report.compared,
        "behind_at_block": report.behind,
        "blocked_ms": report.blocked_ms,
        "cutover_ms": report.cutover_ms,
        "late": report.late,
        "writer_refused": client.refused,
        "writer_waited_ms": round(client.waited_s * 1000, 1),
    }


def _back(
    setting: Setting, settings: Settings, *, writes: int, seed: int, progress: Progress
) -> dict[str, Any]:
    """Write on, roll back, and compare the source with what the target has."""
    engine, alias = setting.client, setting.alias
    migration = load_migration(engine, alias)
    client = Client(engine, alias, _present(engine, migration.target), seed=seed + 1)
    for _ in range(writes):
        client.write()
    report = rollback(
        engine, migration, settings=settings, max_block_s=MAX_BLOCK_S, progress=progress
    )
    return {
        **_compared(_present(engine, migration.source), client.documents),
        "writes": client.operations,
        "documents_written": report.written,
        "documents_deleted": report.deleted,
        "differences": list(report.differences),
        "blocked_ms": report.blocked_ms,
        "rollback_ms": report.rollback_ms,
    }


def _swapped(
    engine: OpenSearch, migration: Migration, *, swaps: int, readers: int, progress: Progress
) -> dict[str, Any]:
    """Move the alias to and fro while readers search through it."""
    stop = Event()
    pages: list[list[str]] = []
    errors: list[str] = []

    def read() -> None:
        body = {"size": _HITS, "query": {"match_all": {}}}
        while not stop.is_set():
            try:
                hits = engine.search(index=migration.alias, body=body)["hits"]["hits"]
            except EngineError as error:
                errors.append(str(error))
            else:
                pages.append([hit["_index"] for hit in hits])

    threads = [Thread(target=read) for _ in range(readers)]
    for thread in threads:
        thread.start()
    took = []
    try:
        with progress.task("swapping", total=swaps, unit="swaps") as advance:
            old, new = migration.source, migration.target
            for _ in range(swaps):
                took.append(_swap(engine, old=old, new=new))
                old, new = new, old
                advance(1)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    return {
        "swaps": len(took),
        "readers": readers,
        "searches": len(pages),
        "errors": len(errors),
        "empty_pages": sum(not page for page in pages),
        "pages_of_both": sum(len(set(page)) > 1 for page in pages),
        "swap_ms": {
            "median": round(statistics.median(took), 1),
            "most": round(max(took), 1),
        },
    }


def _swap(engine: OpenSearch, *, old: str, new: str) -> float:
    fence = fence_name(new)
    raise_fence(engine, index=new, fence=fence)
    aliases = aliases_of(engine, index=old)
    begun = time.monotonic()
    swap_aliases(engine, aliases, old=old, new=new, gone={fence: new})
    return (time.monotonic() - begun) * 1000


def _present(engine: OpenSearch, index: str) -> Documents:
    """Read what an index has, without the funnel's part."""
    found: Documents = {}
    for shard, bound in shard_bounds(engine, index).items():
        after = -1
        while page := read_page(engine, index, shard=shard, after=after, upto=bound, size=_PAGE):
            for document in page:
                found[document.doc_id] = decoded_source(without_funnel(document.source))
            after = page[-1].seq_no
    return found


def _compared(found: Documents, wanted: Documents) -> dict[str, int]:
    return {
        "stale": sum(found[doc_id] != wanted[doc_id] for doc_id in found.keys() & wanted.keys()),
        "missing": len(wanted.keys() - found.keys()),
        "resurrected": len(found.keys() - wanted.keys()),
    }


def _right(there: Mapping[str, Any], back: Mapping[str, Any], swapped: Mapping[str, Any]) -> bool:
    lost: Sequence[int] = [
        *(one[name] for one in (there, back) for name in ("stale", "missing", "resurrected")),
        *(swapped[name] for name in ("errors", "empty_pages", "pages_of_both")),
        there["late"],
        len(back["differences"]),
    ]
    slowest = max(there["blocked_ms"], back["blocked_ms"])
    return not any(lost) and there["verify"]["passed"] and slowest <= MAX_BLOCK_S * 1000


def main() -> int:
    """Run from the shell: prints one JSON object; exit status 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default=Settings().url, help="a node")
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--writes", type=int, default=500)
    parser.add_argument("--swaps", type=int, default=100)
    parser.add_argument("--readers", type=int, default=20)
    parser.add_argument("--encoders", choices=["splade-tiny", "words"], default="splade-tiny")
    parser.add_argument("--seed", type=int, default=7)
    told = parser.parse_args()
    found = run(
        told.url,
        documents=told.documents,
        rate=told.rate,
        writes=told.writes,
        swaps=told.swaps,
        readers=told.readers,
        encoders=told.encoders,
        datasets=load_settings().datasets,
        seed=told.seed,
    )
    json.dump(found, sys.stdout, indent=1)
    sys.stdout.write("\n")
    return 0 if found["right"] else 1


if __name__ == "__main__":
    sys.exit(main())
