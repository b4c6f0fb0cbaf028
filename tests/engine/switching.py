"""An index that was migrated up to the cutover, for tests of what comes then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from threading import Event, Thread
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.engine.client import connect
from opensearch_funnel.engine.indices import refresh_index
from opensearch_funnel.migrating.carrying import forget_carried
from opensearch_funnel.migrating.cutover import cutover
from opensearch_funnel.migrating.encoding import SlotEncoder
from opensearch_funnel.migrating.journal import Journal
from opensearch_funnel.migrating.migration import (
    Migration,
    find_migration,
    forget_migration,
    load_migration,
)
from opensearch_funnel.migrating.passes import WorkOptions
from opensearch_funnel.migrating.rollback import rollback
from opensearch_funnel.migrating.running import RunOptions, run
from opensearch_funnel.migrating.switch_reports import CutoverReport, RollbackReport
from opensearch_funnel.migrating.verifying import VerifyReport, verify
from opensearch_funnel.settings import Settings
from tests.engine.migrations import film, films, make_source, planned, stand_in

LONG_S = 60.0
"""What a block may last in tests that are not about that: other work shares the machine."""


@dataclass
class Heard:
    """Keeps what is said."""

    lines: list[str] = field(default_factory=list)

    @contextmanager
    def task(
        self, label: str, *, total: int | None = None, unit: str = "documents"
    ) -> Iterator[Callable[[int], None]]:
        del label, total, unit
        yield lambda _: None

    def say(self, line: str) -> None:
        self.lines.append(line)


@dataclass
class Migrated:
    """A migration whose copy is made."""

    client: OpenSearch
    settings: Settings
    alias: str
    encoder: SlotEncoder
    letters: Path
    heard: Heard = field(default_factory=Heard)

    @property
    def migration(self) -> Migration:
        return load_migration(self.client, self.alias)

    @property
    def source(self) -> str:
        return self.migration.source

    @property
    def target(self) -> str:
        return self.migration.target

    def run(self) -> None:
        options = RunOptions(documents_per_second=inf, work=WorkOptions(letters=self.letters))
        report = run(self.client, self.migration, encoder=self.encoder, options=options)
        assert report.outcome == "caught_up"

    def verify(self, **options: Any) -> VerifyReport:
        return verify(self.client, self.migration, **options)

    def cutover(self, **options: Any) -> CutoverReport:
        given: dict[str, Any] = {"max_block_s": LONG_S, **options}
        return cutover(
            self.client,
            self.migration,
            settings=self.settings,
            encoder=self.encoder,
            letters=self.letters,
            progress=self.heard,
            **given,
        )

    def cut_over(self) -> CutoverReport:
        """Verify, and cut over."""
        report = self.verify()
        assert report.passed, report.to_dict()
        return self.cutover()

    def rollback(self, **options: Any) -> RollbackReport:
        given: dict[str, Any] = {"max_block_s": LONG_S, **options}
        return rollback(
            self.client, self.migration, settings=self.settings, progress=self.heard, **given
        )

    def behind(self, alias: str | None = None) -> list[str]:
        """Name the indices behind an alias."""
        return sorted(self.client.indices.get_alias(name=alias or self.alias))


@contextmanager
def migrated(  # noqa: PLR0913 - what a test asks for
    client: OpenSearch,
    settings: Settings,
    alias: str,
    *,
    letters: Path,
    documents: int = 120,
    copied: bool = True,
    **source: Any,
) -> Iterator[Migrated]:
    """Make a source behind an alias, plan its migration and, unless told not to, copy it."""
    name = make_source(client, alias, **source)
    films(client, name, range(documents))
    refresh_index(client, index=name)
    encoder = stand_in()
    planned(client, alias, encoder=encoder)
    made = Migrated(client, settings, alias, encoder, letters)
    try:
        if copied:
            made.run()
        yield made
    finally:
        present = find_migration(client, alias)
        if present is not None:
            Journal(client, target=present.target).forget()
            forget_carried(client, present)
            forget_migration(client, alias)


@contextmanager
def writer(
    settings: Settings, alias: str, *, begin: int, pause_s: float = 0.02
) -> Iterator[Expected]:
    """Write through an alias while the context is open, as a client does that tries again.

    Of ten operations six change a document, two insert one, two delete one. A write that a block
    refuses is tried again until it is taken.
    """
    expected = Expected(begin=begin)
    stop = Event()
    thread = Thread(
        target=expected.write, args=(connect(settings), alias, stop, pause_s), name="writer"
    )
    thread.start()
    try:
        yield expected
    finally:
        stop.set()
        thread.join()
    assert expected.error is None, expected.error


@dataclass
class Expected:
    """What an index has to have when its writer has ended: edition by number, none if deleted."""

    begin: int
    editions: dict[int, int | None] = field(default_factory=dict)
    operations: int = 0
    refused: int = 0
    error: BaseException | None = None
    wrote: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        self.editions = dict.fromkeys(range(self.begin), 0)

    def write(self, client: OpenSearch, alias: str, stop: Event, pause_s: float) -> None:
        try:
            number = 0
            while not stop.wait(pause_s):
                self._one(client, alias, number)
                number += 1
        except BaseException as error:  # noqa: BLE001 - it is raised where the writer ends
            self.error = error

    def _one(self, client: OpenSearch, alias: str, number: int) -> None:
        kind = number % 10
        if kind < 6:
            # Spread over all documents by a step that has no factor in common with their number.
            at = (number * 7919) % self.begin
            edition = (self.editions[at] or 0) + 1
            self._tried(client, alias, at, edition=edition)
        elif kind < 8:
            self._tried(client, alias, self.begin + number, edition=1)
        else:
            at = (number * 104_729) % self.begin
            if self.editions[at] is not None:
                self._tried(client, alias, at, edition=None)
        self.operations += 1
        self.wrote.set()

    def _tried(self, client: OpenSearch, alias: str, number: int, *, edition: int | None) -> None:
        while True:
            try:
                if edition is None:
                    client.delete(index=alias, id=f"d{number}")
                else:
                    body = film(number, edition=edition % 5)
                    client.index(index=alias, id=f"d{number}", body=body)
            except EngineError as error:
                if error.kind != "cluster_block_exception":
                    raise
                self.refused += 1
            else:
                self.editions[number] = edition
                return

    def documents(self) -> dict[str, dict[str, Any]]:
        """Return what the index has to have, by id."""
        return {
            f"d{number}": film(number, edition=edition % 5)
            for number, edition in self.editions.items()
            if edition is not None
        }
