"""One batch, sent until each of its documents is settled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError, IndexMissingError
from opensearch_funnel.engine.bulk.answers import (
    BUSY,
    TOO_LARGE,
    Fate,
    Verdict,
    fate,
    is_full_disk,
    verdict,
)
from opensearch_funnel.engine.bulk.batches import Batch, BulkLimits, Pace
from opensearch_funnel.engine.bulk.lines import Refused, refused
from opensearch_funnel.engine.bulk.patience import BlockNotice, Patience

_ANSWER_PATHS = "errors,items.*._id,items.*.status,items.*.error"


@dataclass(slots=True)
class Tally:
    """What became of one batch."""

    indexed: int = 0
    kept: int = 0
    dead: list[Refused] = field(default_factory=list)
    documents_sent: int = 0
    bytes_sent: int = 0
    longest_pause: float = 0.0
    error: EngineError | None = None
    """Why the load cannot go on."""


class Sender:
    """Sends one batch until each of its documents is settled; used by several threads."""

    def __init__(  # noqa: PLR0913 - what bulk_index was asked for
        self,
        client: OpenSearch,
        *,
        index: str,
        limits: BulkLimits,
        params: Mapping[str, str],
        keep_conflicts: bool,
        notice: BlockNotice,
        stop: Event | None = None,
    ) -> None:
        self._client = client
        self._index = index
        self._limits = limits
        self._params = {**params, "filter_path": _ANSWER_PATHS}
        self._only_alias = params.get("require_alias") == "true"
        self._keep_conflicts = keep_conflicts
        self._notice = notice
        self._waits = limits.wait_for_blocks > 0
        self.pace = Pace(limits)
        self.stop = stop or Event()

    def settle(self, batch: Batch) -> Tally:
        """Send a batch, and what is left of it again, until nothing is left or ``stop`` is set.

        Returns:
            The counts; with an error where the cluster took nothing for too long or never will.
        """
        tally = Tally()
        try:
            self._settle(batch, tally=tally)
        except EngineError as error:
            tally.error = error
        return tally

    def _settle(self, batch: Batch, *, tally: Tally) -> None:
        patience = Patience(self._limits)
        todo = [batch]
        while todo and not self.stop.is_set():
            part = todo.pop()
            try:
                outcome = self._outcome(part, tally=tally)
                cause = EngineError(f"OpenSearch takes no more: {outcome.reason}", status=BUSY)
            except EngineError as error:
                decided = fate(error, wait_for_blocks=self._waits)
                if decided is Fate.STOP:
                    raise
                if decided is Fate.HALVE:
                    todo += self._halves(part, error, tally=tally)
                    continue
                outcome, cause = self._all_again(part, error), error
            tally.indexed += outcome.indexed
            tally.kept += outcome.kept
            tally.dead += outcome.dead
            if outcome.stop is not None:
                raise outcome.stop
            if not outcome.again:
                if part is batch:
                    self.pace.accepted()
                continue
            todo.append(outcome.again)
            if len(outcome.again) < len(part):
                patience.progressed()
            self._pause(outcome, cause, patience=patience, tally=tally)

    def _outcome(self, part: Batch, *, tally: Tally) -> Verdict:
        return verdict(
            part,
            self._ask(part, tally=tally),
            keep_conflicts=self._keep_conflicts,
            wait_for_blocks=self._waits,
        )

    def _all_again(self, part: Batch, error: EngineError) -> Verdict:
        blocked = is_full_disk(kind=error.kind, reason=str(error))
        return Verdict(0, again=part, reason=str(error), blocked=blocked)

    def _pause(
        self, outcome: Verdict, cause: EngineError, *, patience: Patience, tally: Tally
    ) -> None:
        waits = self._waits and outcome.blocked
        pause = patience.next_pause(cause, blocked=waits)
        if waits:
            self._notice.blocked(outcome.reason)
        else:
            self.pace.busy()
        tally.longest_pause = max(tally.longest_pause, pause)
        self.stop.wait(pause)

    def _ask(self, part: Batch, *, tally: Tally) -> Any:
        if self._only_alias and all(line.deletes for line in part):
            self._see_alias()
        tally.documents_sent += len(part)
        tally.bytes_sent += size_of(part)
        return self._client.bulk(
            body=b"".join(line.payload for line in part),
            index=self._index,
            params=dict(self._params),
            headers={"content-type": "application/x-ndjson"},
        )

    def _see_alias(self) -> None:
        """See that the alias is there, before a request that only deletes.

        Executed on 3.6.0: ``require_alias`` does not hold for deletes, and one with an external
        version makes an index of the name that it does not find.
        """
        if not self._client.indices.exists_alias(name=self._index):
            raise IndexMissingError(
                f"there is no alias {self._index}, and nothing to delete behind it: see "
                "GET _cat/aliases",
                status=404,
                kind="index_not_found_exception",
            )

    def _halves(self, part: Batch, error: EngineError, *, tally: Tally) -> list[Batch]:
        """Close in on the document that makes a whole request fail."""
        if error.status == TOO_LARGE:
            self.pace.too_large()
        if len(part) == 1 and part[0].deletes:
            raise EngineError(
                f"document {part[0].doc_id!r} could not be deleted: {error}", status=error.status
            )
        if len(part) == 1:
            tally.dead.append(refused(part[0], status=error.status or 0, reason=str(error)))
            return []
        middle = len(part) // 2
        return [part[middle:], part[:middle]]


def size_of(batch: Batch) -> int:
    """Return how many bytes a batch is in a request."""
    return sum(len(line.payload) for line in batch)
