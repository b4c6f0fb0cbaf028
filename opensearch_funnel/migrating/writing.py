"""Write pages to the target, and delete copies from it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from opensearchpy import OpenSearch

from opensearch_funnel.core.progress import SILENT, Advance, Progress
from opensearch_funnel.engine.bulk import BulkLimits, BulkReport, bulk_index
from opensearch_funnel.engine.bulk.dead_letters import DeadLetters
from opensearch_funnel.engine.bulk.lines import Line, delete_line, line_of_bytes, refused
from opensearch_funnel.migrating.copying import Page, external_version, key_of
from opensearch_funnel.migrating.present import present_documents

# Copies are as they were: no pipeline of the target runs on them. And a target that somebody
# deletes takes its alias along, so that no index is made up in its place.
_PARAMS = {"pipeline": "_none", "require_alias": "true"}
_AT_ONCE_S = 20.0
_NOT_COPIED = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of a page.

    Attributes:
        written: documents that the target took.
        kept: documents of which it has this version or a later one.
        dead_at: operations of those that it refused, or that could not be copied.
    """

    written: int
    kept: int
    dead_at: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """A copy that is to go; one that was written under this version or a higher one stays."""

    doc_id: str
    routing: str | None
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Writes to the target of a migration.

    Attributes:
        client: the cluster.
        alias: the target's alias for writing.
        letters: the file for documents that are not copied.
        patience_s: how long to wait for a disk that is full.
        senders: requests at once.
        progress: hears of a disk that is full.
    """

    client: OpenSearch
    alias: str
    letters: Path
    patience_s: float
    senders: int = 1
    progress: Progress = SILENT

    def write(self, page: Page) -> Written:
        """Write a page; each of its documents is in the target then, or among the dead letters.

        Raises:
            EngineError: the target takes no documents now. Writing the page again is safe.
            InputError: the dead letters cannot be written.
        """
        lines = [
            line_of_bytes(
                copy.document.doc_id,
                copy.source,
                routing=copy.document.routing,
                external_version=external_version(copy.document),
            )
            for copy in page.copies
        ]
        report = self._send(lines)
        dead = self._not_in_target(page) if report.dead else []
        if page.unusable:
            dead += [one.document.seq_no for one in page.unusable]
            with DeadLetters(self.letters) as letters:
                letters.add(
                    refused(
                        line_of_bytes(
                            one.document.doc_id, one.document.source, routing=one.document.routing
                        ),
                        status=_NOT_COPIED,
                        reason=one.reason,
                    )
                    for one in page.unusable
                )
        return Written(written=report.indexed, kept=report.kept, dead_at=tuple(sorted(dead)))

    def delete(self, deletions: Sequence[Deletion]) -> int:
        """Delete copies, and return how many are gone.

        Raises:
            EngineError: the target takes no writes now. Deleting them again is safe.
        """
        lines = [
            delete_line(one.doc_id, routing=one.routing, external_version=one.version)
            for one in deletions
        ]
        return self._send(lines).indexed

    def _send(self, lines: Sequence[Line]) -> BulkReport:
        return bulk_index(
            self.client,
            lines,
            index=self.alias,
            dead_letters=self.letters,
            limits=replace(
                BulkLimits(),
                senders=self.senders,
                max_seconds=min(_AT_ONCE_S, self.patience_s),
                wait_for_blocks=self.patience_s,
            ),
            params=_PARAMS,
            keep_conflicts=True,
            progress=_Lines(self.progress),
        )

    def _not_in_target(self, page: Page) -> list[int]:
        """Return the operations of the copies that the target does not have."""
        present = present_documents(
            self.client, index=self.alias, keys=[key_of(copy.document) for copy in page.copies]
        )
        found: list[int] = []
        for copy in page.copies:
            there = present.get(key_of(copy.document))
            if there is None or there.version < external_version(copy.document):
                found.append(copy.document.seq_no)
        return found


@dataclass(frozen=True, slots=True)
class _Lines:
    """Passes on what is said, and no page as a task of its own."""

    progress: Progress

    def task(
        self, label: str, *, total: int | None = None, unit: str = "documents"
    ) -> AbstractContextManager[Advance]:
        return SILENT.task(label, total=total, unit=unit)

    def say(self, line: str) -> None:
        self.progress.say(line)
