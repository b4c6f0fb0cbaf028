"""What a plan says to the person who is to run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from opensearch_funnel.migrating.migration import Migration
from opensearch_funnel.migrating.planning.text_fields import FieldChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """What is encoded of each document.

    Attributes:
        fields: those that are taken, in their order, then the others that have text.
        samples: how many documents were looked at.
        tokens: mean length of the samples' texts.
        limit: how many tokens of a text the models read.
        cut: of the samples, how many have a text longer than that.
        empty: of the samples, how many have no text at all.
        counted_by: whose tokens they are.
    """

    fields: tuple[FieldChoice, ...]
    samples: int
    tokens: float
    limit: int
    cut: float
    empty: float
    counted_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Bytes on disk; those of the target are estimates.

    Attributes:
        primaries_now: of the source's primaries.
        replicas: copies of each primary.
        a_document: what the funnel fields of a document take; ``None`` where nothing was measured.
        primaries_after: of the target's primaries; ``None`` where nothing was measured.
        free: what is free on the cluster's disks; ``None`` where that cannot be read.
    """

    primaries_now: int
    replicas: int
    a_document: int | None
    primaries_after: int | None
    free: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long encoding takes, measured on this machine.

    Attributes:
        documents: how many samples were encoded.
        rate: documents a second.
        hours: for all documents of the source, by one worker.
    """

    documents: int
    rate: float
    hours: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsChanges:
    """What becomes of the source's settings.

    Attributes:
        taken_over: names of those that the target has, too.
        changed: name → what the source has (``None`` for nothing), and the target.
        held_back: name → what it is while documents are copied.
        left_out: name → why the target does not have it.
    """

    taken_over: tuple[str, ...]
    changed: Mapping[str, tuple[Any, Any]]
    held_back: Mapping[str, Any]
    left_out: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReport:
    """What a migration would do, how long that takes, and what may go wrong.

    Attributes:
        documents: in the source.
        shards: of the source, and of the target.
        texts: what is encoded.
        slots: slot → its models, of the target.
        sizes: on disk.
        times: ``None`` where nothing was measured.
        mapping_diff: what is added to the mapping, as a unified diff of its JSON.
        settings: what becomes of them.
        aliases: those that move, each with its properties.
        templates: those whose patterns match the target's name; they add nothing to it.
        untouched: what stays as it is.
        risks: what may surprise, one sentence each.
        next_command: what to run now.
    """

    documents: int
    shards: tuple[int, int]
    texts: Texts
    slots: Mapping[str, Any]
    sizes: Sizes
    times: Times | None
    mapping_diff: str
    settings: SettingsChanges
    aliases: Mapping[str, Any]
    templates: tuple[str, ...]
    untouched: tuple[str, ...]
    risks: tuple[str, ...]
    next_command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedMigration:
    """A migration that could be made, and what there is to know before it is.

    Attributes:
        migration: what is stored for ``run``.
        report: what a person reads.
    """

    migration: Migration
    report: PlanReport

    def to_dict(self) -> dict[str, Any]:
        """Return the report and the decisions, for JSON; the snapshot is left out."""
        made = self.migration
        return {
            "alias": made.alias,
            "source": made.source,
            "target": made.target,
            "slot": made.slot,
            "kept_slots": list(made.kept_slots),
            "text_fields": list(made.text_fields),
            "sparse_model": made.sparse_model,
            "dense_model": made.dense_model,
            "max_tokens": made.max_tokens,
            **asdict(self.report),
        }
