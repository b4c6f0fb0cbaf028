"""Take a slot out of an index: its fields out of every document, its name out of ``_meta``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import (
    EngineError,
    IndexMissingError,
    InputError,
    InvalidPlanError,
)
from opensearch_funnel.core.funnel_object import slot_fields
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.engine import state
from opensearch_funnel.engine.binding import planned_index
from opensearch_funnel.engine.bulk import BulkLimits, Line, bulk_index, line_of_bytes
from opensearch_funnel.engine.indices import (
    concrete_index,
    read_funnel_meta,
    write_funnel_meta,
)
from opensearch_funnel.engine.scanning import StoredDocument, shard_bounds
from opensearch_funnel.engine.source_bytes import funnel_of, with_funnel
from opensearch_funnel.migrating.repair_pages import pages

PASSES = 20
_PAGE = 1000
_DROPPING = "dropping"


@dataclass(frozen=True, slots=True, kw_only=True)
class DropReport:
    """What dropping a slot did.

    Attributes:
        index: the concrete index.
        slot: what was dropped.
        documents: how many documents held fields of it.
        written: how many were written without them.
        passes: how often what was new since was read, until none was left.
    """

    index: str
    slot: str
    documents: int
    written: int
    passes: int


def drop_slot(
    client: OpenSearch,
    alias: str,
    *,
    slot: str,
    dry_run: bool = False,
    progress: Progress = SILENT,
) -> DropReport:
    """Take a slot's fields out of every document of an index, while it is searched and written.

    Each document is written whole, and only if nobody wrote it in the meantime; such a one is met
    again by the next pass. Calling this again after it was ended goes on with what is left. The
    fields stay in the mapping, empty: a mapping loses nothing but with its index.

    Args:
        client: the cluster.
        alias: stands for one index.
        slot: what is dropped.
        dry_run: only count.
        progress: told of every document that was read.

    Raises:
        InputError: there is no such slot, it is the last one, or an applied plan searches it.
        EngineError: writers were faster than this in every pass.
    """
    index = concrete_index(client, index=alias)
    meta = read_funnel_meta(client, index=index)
    begun = meta.get(_DROPPING, {})
    if slot not in begun:
        _refuse_needed(client, index=index, slot=slot, slots=meta.get("slots", {}))
    slots = {name: by for name, by in meta.get("slots", {}).items() if name != slot}
    others = frozenset(by["fingerprint"] for filled in slots.values() for by in filled.values())
    dropping = _Dropping(client=client, index=index, slot=slot, others=others)
    if dry_run:
        found = dropping.one_pass(progress=progress, write=False)
        return DropReport(index=index, slot=slot, documents=found, written=0, passes=1)
    # From here on no plan can be bound to the slot, and a drop that is ended can go on.
    meta = {**meta, "slots": slots, _DROPPING: [*(one for one in begun if one != slot), slot]}
    write_funnel_meta(client, index=index, meta=meta)
    found = left = dropping.one_pass(progress=progress, write=True)
    passes = 1
    while left:
        if passes == PASSES:
            raise EngineError(
                f"{left:,} documents of {index} were written by others in each of {PASSES} "
                "passes: try again when there is less going on"
            )
        left = dropping.one_pass(progress=progress, write=True)
        passes += 1
    meta = read_funnel_meta(client, index=index)
    rest = [one for one in meta.pop(_DROPPING, ()) if one != slot]
    write_funnel_meta(client, index=index, meta={**meta, **({_DROPPING: rest} if rest else {})})
    return DropReport(
        index=index, slot=slot, documents=found, written=dropping.written, passes=passes
    )


def _refuse_needed(client: OpenSearch, *, index: str, slot: str, slots: dict[str, Any]) -> None:
    if slot not in slots:
        known = ", ".join(sorted(slots)) or "none"
        raise InputError(f"{index} has no slot {slot!r}; it has: {known}")
    if len(slots) == 1:
        raise InputError(f"slot {slot!r} is the only one of {index}: fill another one first")
    for applied in state.list_pipelines(client):
        plan = state.load_plan(client, applied.plan_id)
        if plan.slot == slot and _is_of(client, plan, index=index):
            raise InputError(
                f"pipeline {applied.name} searches slot {slot!r}: apply another one first "
                f"(funnel pipeline apply --index {plan.alias} --slot …)"
            )


def _is_of(client: OpenSearch, plan: FunnelPlan, *, index: str) -> bool:
    try:
        return planned_index(client, plan) == index
    except (IndexMissingError, InvalidPlanError):
        # What such a pipeline was for is gone.
        return False


@dataclass(slots=True, kw_only=True)
class _Dropping:
    """One index on its way to having a slot less."""

    client: OpenSearch
    index: str
    slot: str
    others: frozenset[str]
    written: int = 0
    done: Mapping[int, int] = field(default_factory=dict)

    def one_pass(self, *, progress: Progress, write: bool) -> int:
        """Read what was written since the last pass; write what holds the slot without it.

        Returns:
            How many documents held it.
        """
        held = 0
        bounds = shard_bounds(self.client, self.index)
        total = sum(bound - self.done.get(shard, -1) for shard, bound in bounds.items())
        with progress.task(f"dropping slot {self.slot}", total=total, unit="operations") as advance:
            for page, operations in pages(
                self.client,
                self.index,
                after=self.done,
                bounds=bounds,
                size=_PAGE,
                pending_only=False,
            ):
                lines = [line for line in map(self._without_slot, page) if line is not None]
                held += len(lines)
                if lines and write:
                    report = bulk_index(
                        self.client,
                        lines,
                        index=self.index,
                        limits=BulkLimits(senders=1),
                        params={"pipeline": "_none"},
                        keep_conflicts=True,
                    )
                    self.written += report.indexed
                advance(operations)
        self.done = bounds
        return held

    def _without_slot(self, document: StoredDocument) -> Line | None:
        funnel = funnel_of(document.source) or {}
        fields = slot_fields(self.slot)
        if not any(name in funnel for name in fields):
            return None
        kept = {name: value for name, value in funnel.items() if name not in fields}
        kept["model"] = [one for one in funnel.get("model", ()) if one in self.others]
        return line_of_bytes(
            document.doc_id,
            with_funnel(document.source, kept),
            routing=document.routing,
            if_seq_no=document.seq_no,
            if_primary_term=document.primary_term,
        )
