"""From an index, its samples and a user's wishes to a migration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.engine.indices import Slot
from opensearch_funnel.migrating.migration import Migration, target_name
from opensearch_funnel.migrating.planning.slots import kept_slots
from opensearch_funnel.migrating.planning.source import Source
from opensearch_funnel.migrating.planning.text_fields import (
    FieldChoice,
    choose_fields,
    named_fields,
)
from opensearch_funnel.migrating.planning.token_counts import TokenCounter

_MOST_SHARDS = 1024
_PARTITION = "index.routing_partition_size"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a user may decide.

    Attributes:
        slot: the slot that is filled, with its models.
        text_fields: what is encoded, most telling first; ``None`` to have it chosen.
        max_tokens: where longer texts are cut; 0 for each model's own limit.
        limit: how many tokens of a text the models read then.
        shards: how many the target gets; ``None`` for as many as the source has.
        target: the name of the new index; ``None`` to have it made.
    """

    slot: Slot
    limit: int
    text_fields: Sequence[str] | None = None
    max_tokens: int = 0
    shards: int | None = None
    target: str | None = None


def decide(
    source: Source,
    samples: Sequence[Mapping[str, Any]],
    *,
    wishes: Wishes,
    counter: TokenCounter,
) -> tuple[Migration, list[FieldChoice]]:
    """Decide how an index is migrated.

    Args:
        source: the index.
        samples: documents of it.
        wishes: what the user has decided.
        counter: counts tokens.

    Returns:
        The migration, and the fields with text: those that are encoded, then the others.

    Raises:
        InputError: it cannot be done so.
    """
    slot, shards = wishes.slot, _shards(source, wishes.shards)
    kept = kept_slots(source, slot=slot, shards=shards)
    choices = _choices(source, samples, wishes=wishes, counter=counter)
    migration = Migration(
        alias=source.alias,
        source=source.name,
        source_uuid=source.settings["index.uuid"],
        target=wishes.target or target_name(source.alias.lower(), now=datetime.now(UTC)),
        snapshot=source.snapshot,
        text_fields=tuple(one.path for one in choices if one.taken),
        slots={**source.funnel_meta.get("slots", {}), slot.name: slot.meta},
        slot=slot.name,
        sparse_model=slot.sparse.model if slot.sparse else "",
        dense_model=slot.dense.model if slot.dense else "",
        max_tokens=wishes.max_tokens,
        dimension=slot.dimension,
        kept_slots=kept,
        shards=shards,
    )
    return migration, choices


def _shards(source: Source, wanted: int | None) -> int:
    shards = wanted or source.shards
    if not 1 <= shards <= _MOST_SHARDS:
        raise InputError(f"an index has 1 to {_MOST_SHARDS} shards, not {shards}")
    partition = int(source.settings.get(_PARTITION, 1))
    if partition > 1 and shards <= partition:
        raise InputError(
            f"{source.name} spreads each routing value over {partition} shards ({_PARTITION}), so "
            f"that the target needs more than those: --shards {partition + 1}"
        )
    return shards


def _choices(
    source: Source,
    samples: Sequence[Mapping[str, Any]],
    *,
    wishes: Wishes,
    counter: TokenCounter,
) -> list[FieldChoice]:
    # The slots that a funnel index has were filled from these: their hashes would not hold.
    names = wishes.text_fields or source.funnel_meta.get("text_fields")
    if names is None:
        return choose_fields(source.fields, samples, counter=counter, limit=wishes.limit)
    return named_fields(names, source.fields, samples, counter=counter)
