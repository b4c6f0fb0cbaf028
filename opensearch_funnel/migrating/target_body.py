"""What the target of a migration is made of: pure functions of the migration's record."""

from __future__ import annotations

from typing import Any

from opensearch_funnel.core.funnel_object import FUNNEL
from opensearch_funnel.engine.flat_settings import flat_settings
from opensearch_funnel.engine.indices import FUNNEL_SCHEMA, EncodedBy, Slot
from opensearch_funnel.migrating.mapping_tree import mapped_fields
from opensearch_funnel.migrating.migration import Migration

Body = dict[str, Any]

SHARDS, REPLICAS = "index.number_of_shards", "index.number_of_replicas"
KNN, DERIVED = "index.knn", "index.knn.derived_source.enabled"
_ROUTING_SHARDS = "index.number_of_routing_shards"
_LIMIT = "index.mapping.total_fields.limit"
_EXPAND = "index.auto_expand_replicas"
_INGEST = ("index.default_pipeline", "index.final_pipeline")
# A final pipeline also runs on writes that ask for none, and what is copied went through it once.
_WHILE_LOADING: Body = {
    "index.refresh_interval": "-1",
    REPLICAS: "0",
    **dict.fromkeys(_INGEST, "_none"),
}

LEFT_OUT = {
    "index.uuid": "",
    "index.creation_date": "",
    "index.provided_name": "",
    "index.version": "",
    "index.history": "",
    "index.verified_before_close": "",
    "index.resize": "left behind when the source was made of another index",
    "index.shrink": "left behind when the source was made of another index",
    "index.routing.allocation.initial_recovery": "says where the source began",
    "index.blocks": "blocks are of the source alone",
    "index.remote_store": "the cluster sets it",
    "index.plugins.index_state_management": "says what manages the source",
    "index.opendistro.index_state_management": "says what manages the source",
}
"""Settings that the target does not take over, with all below them, and why; without a reason
where every index has its own."""

_DEFAULT_LIMIT = 1000
_MORE_FIELDS = 20
_FIELDS_LEFT = 100


def left_out(name: str) -> bool:
    """Say whether a setting of the source is none of the target's.

    Example:
        >>> left_out("index.uuid"), left_out("index.version.created"), left_out("index.codec")
        (True, True, False)
    """
    return any(name == one or name.startswith(f"{one}.") for one in LEFT_OUT)


def planned_slot(migration: Migration) -> Slot:
    """Return the slot that a migration fills, as its record describes it."""
    legs = {leg: EncodedBy(**by) for leg, by in migration.slots[migration.slot].items()}
    return Slot(
        name=migration.slot,
        sparse=legs.get("sparse"),
        dense=legs.get("dense"),
        dimension=migration.dimension,
    )


def target_mappings(migration: Migration) -> Body:
    """Return the mapping of the target: the source's, and the fields of the slot.

    Fields of slots that the migration does not keep are left out.
    """
    source = migration.snapshot.mappings
    slot = planned_slot(migration).mapping["properties"][FUNNEL]
    present = source.get("properties", {}).get(FUNNEL, {})
    fields = {
        name: field
        for name, field in present.get("properties", {}).items()
        if _slot_of(name) in {"", *migration.slots}
    }
    ours = {**present, "properties": {**fields, **slot["properties"]}}
    meta = source.get("_meta", {})
    of_source = {k: v for k, v in meta.get(FUNNEL, {}).items() if k != "loading"}
    funnel_meta = {
        **of_source,
        "schema": FUNNEL_SCHEMA,
        "slots": migration.slots,
        "text_fields": list(migration.text_fields),
    }
    return {
        **source,
        "_meta": {**meta, FUNNEL: funnel_meta},
        "properties": {**source.get("properties", {}), FUNNEL: ours},
    }


def target_settings(migration: Migration) -> Body:
    """Return the settings of the target when it is finished, by their full names.

    They are the source's less those that are each index's own, with three changes: the number of
    shards; vectors are allowed where there are any; and more fields, where the source is near its
    limit.
    """
    source = flat_settings(migration.snapshot.settings)
    settings = {name: value for name, value in source.items() if not left_out(name)}
    if str(migration.shards) != str(settings.get(SHARDS)):
        # It decides what a later split can be, and has to fit the number of shards.
        settings.pop(_ROUTING_SHARDS, None)
        settings[SHARDS] = str(migration.shards)
    if _has_vectors(migration):
        settings[KNN] = "true"
        # With it the engine takes vectors out of the stored documents, and writes a document anew
        # whenever it is read: 1.50 comes back as 1.5, and digits past a double's are lost.
        settings.setdefault(DERIVED, "false")
    limit = int(source.get(_LIMIT, _DEFAULT_LIMIT))
    if len(mapped_fields(target_mappings(migration))) + _FIELDS_LEFT > limit:
        settings[_LIMIT] = str(limit + _MORE_FIELDS)
    return settings


def loading_settings(migration: Migration) -> Body:
    """Return the settings that the target has while documents are copied into it."""
    settings = target_settings(migration)
    expand = {_EXPAND: "false"} if _EXPAND in settings else {}
    return {**settings, **_WHILE_LOADING, **expand}


def finishing_settings(migration: Migration) -> Body:
    """Return what ends the loading but for the last copies; ``None`` stands for the default."""
    settings = target_settings(migration)
    names = [name for name in _WHILE_LOADING if name not in _INGEST]
    return {name: settings.get(name) for name in [*names, *({_EXPAND} & settings.keys())]}


def ingest_settings(migration: Migration) -> Body:
    """Return the ingest pipelines that the target gets behind the last copy."""
    settings = target_settings(migration)
    return {name: settings.get(name) for name in _INGEST}


def target_body(migration: Migration) -> Body:
    """Return the body that the target is created with: no refreshes, replicas and pipelines yet."""
    return {
        "settings": loading_settings(migration),
        "mappings": target_mappings(migration),
        "aliases": {migration.writing_alias: {"is_write_index": True, "is_hidden": True}},
    }


def _has_vectors(migration: Migration) -> bool:
    return any("dense" in legs for legs in migration.slots.values())


def _slot_of(field: str) -> str:
    leg, _, slot = field.partition("_")
    return slot if leg in {"sparse", "dense"} else ""
