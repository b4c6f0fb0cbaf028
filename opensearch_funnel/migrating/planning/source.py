"""The index behind an alias, as it is before it is migrated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import IndexMissingError, InputError
from opensearch_funnel.engine.flat_settings import flat_settings
from opensearch_funnel.engine.scanning.asking import check_answered, search_params
from opensearch_funnel.migrating.mapping_tree import MappedField, mapped_fields
from opensearch_funnel.migrating.migration import Snapshot

_NOT_A_NAME = re.compile(r'[\\/*?"<>|,#:\s]|^[_+.-]*$')


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The index that is to be migrated.

    Attributes:
        alias: the name that clients use.
        name: the concrete index behind it.
        snapshot: its mapping, settings and aliases, as the cluster gives them.
        documents: how many there are, inner documents of nested fields left out.
        lucene_documents: the same with them.
        deleted: documents that are deleted and still take room.
        bytes: what the primaries take on disk.
    """

    alias: str
    name: str
    snapshot: Snapshot
    documents: int
    lucene_documents: int
    deleted: int
    bytes: int

    @property
    def settings(self) -> dict[str, Any]:
        """The settings, by their full names."""
        return flat_settings(self.snapshot.settings)

    @property
    def fields(self) -> dict[str, MappedField]:
        """The fields of the mapping, by their full names."""
        return mapped_fields(self.snapshot.mappings)

    @property
    def funnel_meta(self) -> Mapping[str, Any]:
        """What ``_meta.funnel`` says; empty for an index that is none of ours."""
        found: Mapping[str, Any] = self.snapshot.mappings.get("_meta", {}).get("funnel", {})
        return found

    @property
    def shards(self) -> int:
        """How many primaries there are."""
        return int(self.settings["index.number_of_shards"])

    @property
    def replicas(self) -> int:
        """How many copies of each there are to be."""
        return int(self.settings["index.number_of_replicas"])


def read_source(client: OpenSearch, alias: str) -> Source:
    """Find the one index behind an alias, and read what a plan needs to know of it.

    Raises:
        IndexMissingError: there is no such name.
        InputError: the name is none of exactly one open index, or a part of it is missing; says
            what can be done.
    """
    name = _behind(client, alias)
    if client.cluster.health(index=name)["status"] == "red":
        raise InputError(
            f"a part of {name} is missing (its health is red), and would be in the copy, too: see "
            "GET _cluster/allocation/explain"
        )
    whole = client.indices.get(index=name)[name]
    stats = client.indices.stats(index=name, metric="docs,store")["_all"]["primaries"]
    return Source(
        alias=alias,
        name=name,
        snapshot=Snapshot(
            mappings=whole["mappings"], settings=whole["settings"], aliases=whole["aliases"]
        ),
        documents=count_seen(client, name),
        lucene_documents=stats["docs"]["count"],
        deleted=stats["docs"]["deleted"],
        bytes=stats["store"]["size_in_bytes"],
    )


def count_seen(client: OpenSearch, index: str) -> int:
    """Count the documents that this user sees, whatever search pipeline the index has.

    Raises:
        EngineError: a shard did not answer.
    """
    answer = client.search(
        index=index,
        body={"size": 0, "track_total_hits": True},
        params=search_params(shard=None),
    )
    check_answered(answer["_shards"], answer["timed_out"], index=index, shard=None)
    return int(answer["hits"]["total"]["value"])


def count_routed(client: OpenSearch, index: str) -> int:
    """Count the documents that were written with a routing value of their own.

    Raises:
        EngineError: a shard did not answer.
    """
    answer = client.search(
        index=index,
        body={"size": 0, "track_total_hits": True, "query": {"exists": {"field": "_routing"}}},
        params=search_params(shard=None),
    )
    check_answered(answer["_shards"], answer["timed_out"], index=index, shard=None)
    return int(answer["hits"]["total"]["value"])


def count_in_lucene(client: OpenSearch, index: str) -> int:
    """Count the documents in the primaries, inner ones of nested fields among them."""
    found = client.indices.stats(index=index, metric="docs")["_all"]["primaries"]
    return int(found["docs"]["count"])


def _behind(client: OpenSearch, alias: str) -> str:
    if ":" in alias:
        raise InputError(
            f"{alias} names another cluster: plan the migration there, with its address (--url)"
        )
    if _NOT_A_NAME.search(alias):
        raise InputError(f"{alias!r} is not the name of one alias: name the one that clients use")
    found = _resolve(client, alias)
    if found["data_streams"]:
        raise InputError(
            f"{alias} is a data stream, whose indices come and go: a migration moves an alias; "
            "copy what is to be searched into an index behind one (POST _reindex)"
        )
    if not found["aliases"]:
        if found["indices"]:
            raise InputError(_in_front_of(alias))
        raise IndexMissingError(f"no alias {alias}: see GET _cat/aliases for those there are")
    names = found["aliases"][0]["indices"]
    if len(names) > 1:
        raise InputError(_several(alias, names, writing=_write_index(client, alias)))
    name = str(names[0])
    inside = _resolve(client, name)
    if inside["indices"] and "closed" in inside["indices"][0]["attributes"]:
        raise InputError(f"{name}, the index behind {alias}, is closed: POST {name}/_open")
    return name


def _resolve(client: OpenSearch, name: str) -> dict[str, Any]:
    found: dict[str, Any] = client.indices.resolve_index(
        name=name, params={"expand_wildcards": "all"}
    )
    return found


def _write_index(client: OpenSearch, alias: str) -> str:
    for index, one in client.indices.get_alias(name=alias).items():
        if one["aliases"][alias].get("is_write_index"):
            return str(index)
    return ""


def _in_front_of(name: str) -> str:
    return (
        f"{name} is an index, and only an alias can be moved to another one without a moment in "
        f"which it is missing: give it one (POST _aliases, add alias {name}-live to {name}), let "
        f"clients read and write by that, and migrate {name}-live; if the name {name} has to "
        f"stay, block its writes (PUT {name}/_block/write; writers get 403 for some seconds), "
        f"POST {name}/_clone/{name}-1 with index.blocks.write null, and in one POST _aliases "
        f"remove_index {name} and add alias {name} to {name}-1"
    )


def _several(alias: str, names: list[str], *, writing: str) -> str:
    writes = f"writes go to {writing}" if writing else "with no write index"
    return (
        f"{alias} stands for {len(names)} indices ({', '.join(sorted(names))}; {writes}), and a "
        f"migration has one source: give each an alias of its own (POST _aliases, add) and "
        f"migrate those one by one; all other aliases of an index move along, {alias} too"
    )
