"""What makes an index one that cannot be migrated: each with the way out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.funnel_object import FUNNEL
from opensearch_funnel.migrating.mapping_tree import mapped_fields
from opensearch_funnel.migrating.planning.source import Source, count_routed

_TRUE = "true"
_OURS = {"id": "keyword", "origin": "long", "model": "keyword", "hash": "keyword"}
_OURS |= {"state": "keyword"}
_LEGS = {"sparse": "rank_features", "dense": "knn_vector"}


def refuse_obstacles(source: Source) -> None:
    """Refuse an index whose documents cannot be copied whole, or not under their own ids.

    Raises:
        InputError: names the obstacle and what to do.
    """
    name, settings = source.name, source.settings
    blocks = [n for n in sorted(settings) if n.startswith("index.blocks.") and _on(settings, n)]
    if blocks:
        raise InputError(
            f"{name} has {' and '.join(blocks)} set, and a migration needs it as clients use it: "
            f'take that away (PUT {name}/_settings {{"{blocks[0]}": null}}); where the engine set '
            "it, the disk is full"
        )
    for setting, reason in _SETTINGS.items():
        if _on(settings, setting):
            raise InputError(f"{name} has {setting}: {reason}")
    if settings.get("index.store.type") == "remote_snapshot":
        raise InputError(
            f"{name} is a snapshot that is searched where it lies: restore it into the cluster "
            "(POST _snapshot/…/_restore) and migrate that"
        )
    leader = "index.plugins.replication.follower.leader_index"
    if leader in settings:
        raise InputError(
            f"{name} follows {settings[leader]} of another cluster, and nothing else may write to "
            f"it: migrate that one, or end the replication (POST _plugins/_replication/{name}/"
            "_stop)"
        )
    _refuse_source(source.snapshot.mappings.get("_source", {}), name=name)
    if "loading" in source.funnel_meta:
        raise InputError(
            f"a load into {name} was interrupted, and left it without replicas and refreshes: run "
            "the same funnel load again"
        )
    if "dropping" in source.funnel_meta:
        raise InputError(
            f"a slot of {name} is being dropped: run the same funnel migrate drop to its end first"
        )
    if not funnel_field_is_ours(source.snapshot.mappings):
        raise InputError(
            f"{name} has a field {FUNNEL!r} of its own, which the funnel needs for itself: rename "
            "it (POST _reindex into a new index, with a script)"
        )


def refuse_reshaped_routing(client: OpenSearch, source: Source, *, shards: int | None) -> None:
    """Refuse another number of shards for documents that were written with routing.

    One id may be there twice, under two routing values, and a document may have been deleted and
    written again under another one. Each copy's version is its operation in a shard of the
    source; with other shards those of two of them meet, and the later document is not copied.

    Args:
        client: made by ``connect``.
        source: what is migrated.
        shards: how many the target is to have; ``None`` for as many as the source.

    Raises:
        InputError: as said.
        EngineError: a shard did not answer.
    """
    if shards in {None, source.shards}:
        return
    if routed := count_routed(client, source.name):
        raise InputError(
            f"{routed:,} documents of {source.name} were written with routing, and are copied "
            f"rightly only into as many shards as it has: leave --shards out ({source.shards})"
        )


def funnel_field_is_ours(mappings: Mapping[str, Any]) -> bool:
    """Say whether what a mapping has under ``funnel``, if anything, is what this project maps.

    Example:
        >>> ours = {"properties": {"funnel": {"properties": {"id": {"type": "keyword"}}}}}
        >>> funnel_field_is_ours({}), funnel_field_is_ours(ours)
        (True, True)
        >>> funnel_field_is_ours({"properties": {"funnel": {"type": "keyword"}}})
        False
    """
    fields = mapped_fields(mappings)
    if FUNNEL in fields and fields[FUNNEL].kind != "object":
        return False
    return all(
        field.kind == _expected(path.removeprefix(f"{FUNNEL}."))
        for path, field in fields.items()
        if path.startswith(f"{FUNNEL}.")
    )


_SETTINGS = {
    "index.derived_source.enabled": (
        "it does not keep what was sent, but makes documents up from their fields, in which order "
        "and repetitions are lost, and such an index cannot have funnel fields: load the documents "
        "anew from where they come from (funnel load)"
    ),
    "index.append_only.enabled": (
        "it refuses documents that come with an id, so that none can be copied: load the documents "
        "anew from where they come from (funnel load)"
    ),
}


def _refuse_source(source: Mapping[str, Any], *, name: str) -> None:
    again = "load the documents anew from where they come from (funnel load)"
    if source.get("enabled") is False:
        raise InputError(
            f"{name} does not keep the text of its documents (_source.enabled is false), so that "
            f"there is nothing to copy: {again}"
        )
    for part in ("excludes", "includes"):
        if source.get(part):
            what = "but" if part == "includes" else "less"
            raise InputError(
                f"{name} keeps its documents {what} {', '.join(source[part])} (_source.{part}), "
                f"and what it does not keep would be gone from the copy's index, too: {again}"
            )


def _expected(name: str) -> str:
    return _OURS.get(name) or _LEGS.get(name.partition("_")[0], "")


def _on(settings: Mapping[str, Any], name: str) -> bool:
    return str(settings.get(name)) == _TRUE
