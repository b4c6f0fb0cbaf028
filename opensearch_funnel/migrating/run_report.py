"""What a worker of a migration did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from opensearch_funnel.migrating.copying import Page
from opensearch_funnel.migrating.writing import Written

Outcome = Literal["caught_up", "paused", "stopped"]


@dataclass(slots=True, kw_only=True)
class Counts:
    """What has been done so far, by this worker."""

    documents: int = 0
    written: int = 0
    kept: int = 0
    reused: int = 0
    dead: int = 0
    deleted: int = 0
    bytes: int = 0
    passes: int = 0

    def add(self, page: Page, written: Written) -> None:
        """Count a page that was written down."""
        self.documents += page.documents
        self.written += written.written
        self.kept += page.kept + written.kept
        self.reused += page.reused
        self.dead += len(written.dead_at)
        self.bytes += page.bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What a worker did; ``written + kept + dead`` is the number of documents that it read.

    Attributes:
        outcome: why it ended.
        counts: what it did. ``written`` documents went to the target, ``reused`` of them with
            the fields of their older version; ``kept`` ones the target had; ``dead`` ones it
            refused; ``deleted`` copies were of documents that are gone.
        seconds: that it took.
        throttled_s: seconds of these that it paused for other people's searches.
        behind: operations of the source that are not in the target yet.
        bounds: by shard of the source, up to which operation all is in the target.
        missing: by shard of the source, documents that have no copy of their last version.
        dead_letters: the file with the refused documents, if there are any of this worker's.
    """

    outcome: Outcome
    counts: Counts
    seconds: float
    throttled_s: float = 0.0
    behind: int = 0
    bounds: Mapping[int, int] = field(default_factory=dict)
    missing: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    dead_letters: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the report for a program to read."""
        counts = self.counts
        return {
            "outcome": self.outcome,
            "passes": counts.passes,
            "documents": counts.documents,
            "written": counts.written,
            "kept": counts.kept,
            "reused": counts.reused,
            "encoded": counts.written - counts.reused,
            "dead": counts.dead,
            "deleted": counts.deleted,
            "bytes": counts.bytes,
            "seconds": round(self.seconds, 3),
            "documents_per_second": round(counts.documents / max(1e-3, self.seconds), 1),
            "throttled_seconds": round(self.throttled_s, 3),
            "behind": self.behind,
            "dead_letters": str(self.dead_letters) if self.dead_letters else None,
        }
