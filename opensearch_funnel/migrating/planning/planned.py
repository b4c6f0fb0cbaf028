"""Plan a migration: look at everything, decide, measure, and change nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineDeniedError, InputError
from opensearch_funnel.core.funnel_object import FUNNEL, is_funnel_object
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.migrating.encoding import SlotEncoder
from opensearch_funnel.migrating.migration import Migration
from opensearch_funnel.migrating.opening import open_slot_encoder
from opensearch_funnel.migrating.planning.deciding import Wishes, decide
from opensearch_funnel.migrating.planning.feasibility import refuse_infeasible
from opensearch_funnel.migrating.planning.measuring import measure
from opensearch_funnel.migrating.planning.obstacles import refuse_obstacles, refuse_reshaped_routing
from opensearch_funnel.migrating.planning.report import PlannedMigration, Sizes
from opensearch_funnel.migrating.planning.reporting import report_of, sizes_of, texts_of, times_of
from opensearch_funnel.migrating.planning.risks import managed_by, risks_of
from opensearch_funnel.migrating.planning.room import Room, read_room, refuse_no_room
from opensearch_funnel.migrating.planning.sampling import read_sample
from opensearch_funnel.migrating.planning.saving import refuse_under_way
from opensearch_funnel.migrating.planning.slots import (
    read_models,
    refuse_other_texts,
    refuse_slot_name,
)
from opensearch_funnel.migrating.planning.source import Source, read_source
from opensearch_funnel.migrating.planning.token_counts import (
    TokenCounter,
    WordCounter,
    open_counter,
)
from opensearch_funnel.migrating.planning.visibility import refuse_hidden_documents
from opensearch_funnel.migrating.rights import denied, needing

SAMPLE = 200
_STAND_IN_LIMIT = 256


def plan_migration(  # noqa: PLR0913 - independent options, all with defaults
    client: OpenSearch,
    alias: str,
    *,
    text_fields: Sequence[str] | None = None,
    sparse_model: str = "splade-tiny",
    dense_model: str = "bge-small-en-v1.5",
    max_tokens: int = 0,
    slot: str = "a",
    shards: int | None = None,
    target: str | None = None,
    sample: int = SAMPLE,
    measured: bool = True,
    force: bool = False,
    encoder: SlotEncoder | None = None,
    threads: int | None = None,
    progress: Progress = SILENT,
) -> PlannedMigration:
    """Look at an index and decide how it would be migrated; nothing is changed or stored.

    Args:
        client: made by ``connect``.
        alias: what clients search; one index is behind it.
        text_fields: what is encoded, most telling first; chosen by names and samples if not given.
        sparse_model: fills the sparse field; empty for none.
        dense_model: fills the dense field; empty for none.
        max_tokens: where longer texts are cut; 0 for each model's own limit.
        slot: which slot is filled; a funnel index keeps those that it has.
        shards: how many the target gets; as many as the source has if not given.
        target: the name of the new index; made of the alias and the time if not given.
        sample: how many documents are looked at.
        measured: whether samples are encoded, to estimate time and room.
        force: go on where the target does not fit on the disks.
        encoder: encodes instead of the models named; its fields and name do not count.
        threads: cores of one run of a model.
        progress: told of what takes long.

    Returns:
        The migration to store (``save_plan``), and what a person should know before.

    Raises:
        InputError: this index cannot be migrated, or not so; names the cause and the way out.
        InvalidPlanError: the engine would not make the target, or not as planned.
        IndexMissingError: there is no such alias.
        EngineDeniedError: names the right that is missing.
        ModelError: a model cannot be opened.
    """
    refuse_slot_name(slot)
    counter: TokenCounter = WordCounter()
    if encoder is None:
        models = read_models(sparse_model, dense_model, max_tokens=max_tokens)
        filled, limit = models.slot(slot), models.limit
    else:
        filled, limit = replace(encoder, name=slot).slot, max_tokens or _STAND_IN_LIMIT
    source, samples, risks = _looked_at(client, alias, sample=sample)
    if encoder is None and measured:
        counter = open_counter(models.manifests[0], progress=progress)
    wishes = Wishes(
        slot=filled,
        limit=limit,
        text_fields=text_fields,
        max_tokens=max_tokens,
        shards=shards,
        target=target,
    )
    refuse_reshaped_routing(client, source, shards=shards)
    migration, choices = decide(source, samples, wishes=wishes, counter=counter)
    risks += refuse_other_texts(source, samples, text_fields=migration.text_fields)
    with needing(f"seeing what templates would add to {migration.target}"):
        templates = refuse_infeasible(client, migration).names
    taken = None
    if measured and samples:
        opened = encoder or open_slot_encoder(migration, threads=threads, progress=progress)
        opened = replace(opened, name=slot, fields=migration.text_fields)
        taken = measure(opened, samples, progress=progress)
    room = _room(client, risks)
    sizes = sizes_of(source, migration, measured=taken, room=room)
    if sizes.primaries_after is None and source.documents:
        risks.append("nothing was measured: neither how long it takes nor whether there is room")
    if not force:
        _refuse_no_room(sizes, room, migration=migration)
    texts = texts_of(choices, samples, counter=counter, limit=limit)
    risks += [*risks_of(source, migration, texts=texts), *managed_by(client, source)]
    report = report_of(
        source,
        migration,
        texts=texts,
        sizes=sizes,
        times=times_of(source, taken),
        templates=templates,
        risks=risks,
    )
    return PlannedMigration(migration=migration, report=report)


def _looked_at(
    client: OpenSearch, alias: str, *, sample: int
) -> tuple[Source, list[dict[str, Any]], list[str]]:
    """Read the source and some of its documents, and refuse what cannot be migrated at all."""
    with needing(f"reading {alias} and what is behind it"):
        source = read_source(client, alias)
        refuse_under_way(client, alias, source=source.name)
    refuse_obstacles(source)
    with needing(f"counting and reading the documents of {source.name}"):
        risks = refuse_hidden_documents(client, source)
        samples = read_sample(client, source.name, size=sample)
    if any(_has_own_funnel(one) for one in samples):
        raise InputError(
            f"documents of {source.name} have a field {FUNNEL!r} of their own, which the funnel "
            "needs for itself: rename it (POST _update_by_query, with a script)"
        )
    return source, samples, risks


def _has_own_funnel(document: Mapping[str, Any]) -> bool:
    dotted = any(name.startswith(f"{FUNNEL}.") for name in document)
    return dotted or (FUNNEL in document and not is_funnel_object(document[FUNNEL]))


def _room(client: OpenSearch, risks: list[str]) -> Room | None:
    """Read what is free; a user who migrates an index need not see the machines."""
    try:
        return read_room(client)
    except EngineDeniedError as error:
        risks.append(f"whether the target fits on the disks was not seen: it {denied(error)}")
        return None


def _refuse_no_room(sizes: Sizes, room: Room | None, *, migration: Migration) -> None:
    if room is not None and sizes.primaries_after is not None:
        refuse_no_room(
            room,
            primaries=sizes.primaries_after,
            replicas=sizes.replicas,
            shards=migration.shards,
        )
