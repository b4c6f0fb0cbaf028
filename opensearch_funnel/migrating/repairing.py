"""Find documents whose funnel fields are missing or of another text, and encode them, in place.

Writers may go on. What is read is written back only if nobody wrote it in between; a document
that somebody did write has a higher operation number, and is met by the next pass. So whoever is
killed here starts anew, and no write is lost or undone.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.funnel_object import (
    FUNNEL,
    READY,
    is_funnel_object,
    renewed,
    slot_fields,
    still_holds,
)
from opensearch_funnel.core.progress import SILENT, Advance, Progress
from opensearch_funnel.core.text import text_hash
from opensearch_funnel.engine.bulk import BulkLimits, Line, bulk_write, line_of_bytes
from opensearch_funnel.engine.indices import read_funnel_meta
from opensearch_funnel.engine.scanning import StoredDocument, shard_bounds
from opensearch_funnel.engine.source_bytes import decoded_source, with_funnel
from opensearch_funnel.migrating.encoding import SlotEncoder
from opensearch_funnel.migrating.repair_pages import pages
from opensearch_funnel.migrating.throttle import Throttle, Unthrottled

PAGE = 500
"""Documents that are read and encoded together."""
MOST_PASSES = 10
"""Then what writers leave behind them faster than it is repaired is left to the next call."""
_TOLD = 20

Need = Literal["pending", "missing", "stale", "other models"]
"""Why a document is encoded: it is marked so, has no fields, those of another text, or of other
models than the slot's."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A document that cannot be repaired, and why."""

    doc_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairReport:
    """What a repair did.

    Attributes:
        index: the concrete index.
        looked_at: documents that were read, those of later passes included.
        needs: how many needed it, by why; in a dry run nothing is done about them.
        repaired: documents that were encoded and written.
        changed_meanwhile: writes that came too late: somebody else was faster.
        left: of those, how many the last pass left behind; the next repair meets them.
        troubles: documents that cannot be repaired: the first of them, with the reason.
        troubled: how many there are.
        passes: how often the index was looked through.
        seconds: from the first request to the last.
    """

    index: str
    looked_at: int
    needs: Mapping[Need, int]
    repaired: int
    changed_meanwhile: int
    left: int
    troubles: tuple[Trouble, ...]
    troubled: int
    passes: int
    seconds: float

    @property
    def complete(self) -> bool:
        """Whether nothing is left that this repair met."""
        return self.left == 0 and self.troubled == 0


def need_of(
    present: Any, *, doc_text_hash: str, encoder: SlotEncoder, has_text: bool
) -> Need | None:
    """Say why a document has to be encoded; ``None`` where its fields are right.

    Args:
        present: what stands in its field ``funnel``.
        doc_text_hash: of its text as it is now.
        encoder: fills the slot that is looked at.
        has_text: whether there is any text.
    """
    if not isinstance(present, Mapping) or not present.get("hash") or not present.get("state"):
        pending = isinstance(present, Mapping) and present.get("state") not in {None, READY}
        return "pending" if pending else "missing"
    if present["state"] != READY:
        return "pending"
    if present["hash"] != doc_text_hash:
        return "stale"
    legs = zip(slot_fields(encoder.name), (encoder.sparse, encoder.dense), strict=True)
    fields = [name for name, model in legs if has_text and model is not None]
    if not set(encoder.models) <= set(_list(present.get("model"))):
        return "other models"
    holds = still_holds(present, text_hash=doc_text_hash, models=encoder.models, fields=fields)
    return None if holds and present.get("id") else "missing"


def repair(  # noqa: PLR0913 - each is a choice of the caller's
    client: OpenSearch,
    index: str,
    *,
    encoder: SlotEncoder,
    pending_only: bool = False,
    dry_run: bool = False,
    page: int = PAGE,
    most_passes: int = MOST_PASSES,
    limits: BulkLimits | None = None,
    throttle: Throttle | None = None,
    progress: Progress = SILENT,
) -> RepairReport:
    """Encode the documents of an index whose funnel fields are not those of their text.

    Safe while others write, and at any moment to be stopped or killed. No document loses
    anything: only its object ``funnel`` changes. No ingest pipeline runs on what is written, but
    the index's ``final_pipeline``, which the engine lets nobody pass by, does.

    Args:
        client: made by ``connect``.
        index: an index, or an alias of one.
        encoder: fills the slot; its models have to be those that the index says filled it.
        pending_only: ask the index for documents that are marked as pending or have no fields,
            and read no others: quick, but what a bulk update left stale is not found.
        dry_run: count only.
        page: documents that are read and encoded together.
        most_passes: passes that meet new work before this ends all the same.
        limits: of the bulk requests.
        throttle: pauses for other people's searches.
        progress: hears of every document that is read.

    Raises:
        IndexMissingError: there is no such index.
        InputError: the name stands for several indices, or the slot is not filled by these
            models.
        EngineError: the cluster did not answer, or takes no documents. Repairing again is safe.
    """
    start = time.monotonic()
    work = _Repair(
        client=client,
        index=_concrete(client, index, encoder=encoder),
        encoder=encoder,
        dry_run=dry_run,
        limits=limits or BulkLimits(),
        throttle=throttle or Unthrottled(),
        progress=progress,
    )
    done: dict[int, int] = {}
    passes = 0
    while passes < most_passes:
        passes += 1
        bounds = shard_bounds(client, work.index)
        total = sum(bound - done.get(shard, -1) for shard, bound in bounds.items())
        label = "looking for pending documents" if pending_only else "repairing"
        with progress.task(label, total=total, unit="operations") as advance:
            met = work.run_pass(
                pages(
                    client,
                    work.index,
                    after=done,
                    bounds=bounds,
                    size=page,
                    pending_only=pending_only,
                ),
                advance=advance,
            )
        done = bounds
        if dry_run or not met:
            break
    return work.report(passes=passes, seconds=time.monotonic() - start)


@dataclass(slots=True, kw_only=True)
class _Repair:
    """A repair under way."""

    client: OpenSearch
    index: str
    encoder: SlotEncoder
    dry_run: bool
    limits: BulkLimits
    throttle: Throttle
    progress: Progress
    needs: Counter[Need] = field(default_factory=Counter)
    troubles: dict[str, str] = field(default_factory=dict)
    looked_at: int = 0
    repaired: int = 0
    changed: int = 0
    left: int = 0

    def run_pass(
        self, found: Iterator[tuple[Sequence[StoredDocument], int]], *, advance: Advance
    ) -> int:
        """Repair what pages show, and return how many documents needed it."""
        met, changed_before = 0, self.changed
        began = time.monotonic()
        for documents, operations in found:
            met += self._repair_page(documents)
            advance(operations)
            seconds = time.monotonic() - began
            pause = self.throttle.pause_after(documents=len(documents), seconds=seconds)
            if pause > 0:
                with self.throttle.pausing():
                    time.sleep(pause)
            began = time.monotonic()
        self.left = self.changed - changed_before
        return met

    def report(self, *, passes: int, seconds: float) -> RepairReport:
        """Say what was done."""
        told = list(self.troubles.items())[:_TOLD]
        return RepairReport(
            index=self.index,
            looked_at=self.looked_at,
            needs=dict(self.needs),
            repaired=self.repaired,
            changed_meanwhile=self.changed,
            left=self.left,
            troubles=tuple(Trouble(doc_id, reason) for doc_id, reason in told),
            troubled=len(self.troubles),
            passes=passes,
            seconds=seconds,
        )

    def _repair_page(self, documents: Sequence[StoredDocument]) -> int:
        self.looked_at += len(documents)
        todo = [one for one in map(self._looked_at, documents) if one is not None]
        if self.dry_run or not todo:
            return len(todo)
        encoded = self.encoder.encode([one.text for one in todo])
        lines = [
            one.line(made, encoder=self.encoder) for one, made in zip(todo, encoded, strict=True)
        ]
        outcome = bulk_write(
            self.client,
            lines,
            index=self.index,
            limits=self.limits,
            params={"pipeline": "_none"},
            # Somebody else has written it: the next pass looks at what they wrote.
            keep_conflicts=True,
            progress=self.progress,
        )
        self.repaired += outcome.indexed
        self.changed += outcome.kept
        self.troubles |= {letter.doc_id: letter.reason for letter in outcome.dead}
        return len(todo)

    def _looked_at(self, document: StoredDocument) -> _Todo | None:
        """Return a document that needs to be encoded, counted."""
        try:
            fields = _own_fields(document)
        except InputError as error:
            self.troubles[document.doc_id] = str(error)
            return None
        text = self.encoder.text(fields)
        present = fields.get(FUNNEL)
        hashed = text_hash(text)
        need = need_of(present, doc_text_hash=hashed, encoder=self.encoder, has_text=bool(text))
        if need is None:
            return None
        self.needs[need] += 1
        return _Todo(document=document, present=present, text=text, hash=hashed)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Todo:
    """A document that has to be encoded."""

    document: StoredDocument
    present: Any
    text: str
    hash: str

    def line(self, made: Mapping[str, Any], *, encoder: SlotEncoder) -> Line:
        """Return the write that repairs it, if it is still what was read."""
        document = self.document
        funnel = renewed(
            self.present,
            key=document.doc_id,
            text_hash=self.hash,
            models=encoder.models,
            slot=encoder.name,
            made=made,
        )
        if isinstance(self.present, Mapping) and self.present.get("origin") is not None:
            # Nothing but the funnel's own fields changes: it is as good a copy as before.
            funnel["origin"] = self.present["origin"]
        return line_of_bytes(
            document.doc_id,
            with_funnel(document.source, funnel),
            routing=document.routing,
            if_seq_no=document.seq_no,
            if_primary_term=document.primary_term,
        )


def _own_fields(document: StoredDocument) -> dict[str, Any]:
    fields = decoded_source(document.source)
    dotted = next((name for name in fields if name.startswith(f"{FUNNEL}.")), None)
    present = fields.get(FUNNEL)
    if dotted is not None or (present is not None and not is_funnel_object(present)):
        raise InputError(
            f"it has a field {dotted or FUNNEL!r} of its own, which the funnel needs: rename it"
        )
    return fields


def _concrete(client: OpenSearch, index: str, *, encoder: SlotEncoder) -> str:
    """Return the one index that a name stands for, whose slot these models filled."""
    found: list[str] = sorted(
        client.indices.get_settings(index=index, params={"filter_path": "*.settings.index.uuid"})
    )
    if len(found) != 1:
        raise InputError(f"{index} stands for {len(found)} indices: name one of them")
    slots = read_funnel_meta(client, index=found[0]).get("slots", {})
    filled = slots.get(encoder.name)
    if filled is None:
        raise InputError(
            f"{found[0]} has no slot {encoder.name!r}: migrate it first (funnel migrate plan)"
        )
    for leg, by in encoder.slot.meta.items():
        if filled.get(leg) != by:
            there = filled.get(leg) or {"model": "nothing", "fingerprint": "none"}
            raise InputError(
                f"{leg}_{encoder.name} of {found[0]} was filled by {there['model']} "
                f"({there['fingerprint']}), and not by {by['model']} ({by['fingerprint']}): "
                "vectors of two models cannot be mixed; take the models that filled it"
            )
    return found[0]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
