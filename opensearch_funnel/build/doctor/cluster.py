"""What is read of the cluster as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.build.doctor.reading import Reader, Unread
from opensearch_funnel.core.errors import EngineUnreachableError

_UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node, and what is installed on it."""

    name: str
    version: str
    plugins: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStats:
    """What a node counted since it started.

    Attributes:
        name: of the node.
        total: bytes of its disk; 0 where it did not say.
        available: bytes that are free.
        searches: how many searches each search pipeline took part in.
    """

    name: str
    total: int
    available: int
    searches: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """The cluster's settings by their full names, by who set them."""

    transient: Mapping[str, Any]
    persistent: Mapping[str, Any]
    defaults: Mapping[str, Any]

    def value(self, name: str) -> Any:
        """Return what holds: the transient value, else the persistent one, else the default.

        Example:
            >>> one = ClusterSettings(transient={}, persistent={"a": 1}, defaults={"a": 0, "b": 2})
            >>> one.value("a"), one.value("b"), one.value("c")
            (1, 2, None)
        """
        return self.transient.get(name, self.lasting(name))

    def lasting(self, name: str) -> Any:
        """Return what holds without the transient settings."""
        return self.persistent.get(name, self.defaults.get(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster, as far as it could be read."""

    url: str
    info: Mapping[str, Any] | Unread
    health: Mapping[str, Any] | Unread
    nodes: tuple[Node, ...] | Unread
    stats: tuple[NodeStats, ...] | Unread
    settings: ClusterSettings | Unread

    @property
    def answers(self) -> bool:
        """Whether the cluster answers this user at all."""
        return answers(self.info)


def answers(info: object) -> bool:
    """Say whether a cluster answers this user, by what became of the first call."""
    return not (
        isinstance(info, Unread)
        and (isinstance(info.error, EngineUnreachableError) or info.status == _UNAUTHORIZED)
    )


def read_cluster(reader: Reader, *, url: str) -> Cluster:
    """Read a cluster; one that is down is asked once."""
    info = reader.read(_info)
    if isinstance(info, Unread) and not answers(info):
        return Cluster(url=url, info=info, health=info, nodes=info, stats=info, settings=info)
    return Cluster(
        url=url,
        info=info,
        health=reader.read(_health),
        nodes=reader.read(_nodes),
        stats=reader.read(_stats),
        settings=reader.read(read_settings),
    )


def read_settings(client: OpenSearch) -> ClusterSettings:
    """Read the cluster's settings, its defaults too."""
    found = client.cluster.get_settings(
        params={"include_defaults": "true", "flat_settings": "true"}
    )
    return ClusterSettings(
        transient=found["transient"], persistent=found["persistent"], defaults=found["defaults"]
    )


def _info(client: OpenSearch) -> Mapping[str, Any]:
    found: Mapping[str, Any] = client.info()
    return found


def _health(client: OpenSearch) -> Mapping[str, Any]:
    found: Mapping[str, Any] = client.cluster.health()
    return found


def _nodes(client: OpenSearch) -> tuple[Node, ...]:
    kept = "nodes.*.name,nodes.*.version,nodes.*.plugins.name"
    found = client.transport.perform_request("GET", "/_nodes/plugins", params={"filter_path": kept})
    return tuple(
        Node(
            name=node["name"],
            version=node["version"],
            plugins=frozenset(plugin["name"] for plugin in node.get("plugins", ())),
        )
        for node in found["nodes"].values()
    )


def _stats(client: OpenSearch) -> tuple[NodeStats, ...]:
    found = client.transport.perform_request("GET", "/_nodes/stats/fs,search_pipeline")
    return tuple(
        NodeStats(
            name=node["name"],
            total=node.get("fs", {}).get("total", {}).get("total_in_bytes", 0),
            available=node.get("fs", {}).get("total", {}).get("available_in_bytes", 0),
            searches={
                name: counted["request"]["count"]
                for name, counted in node.get("search_pipeline", {}).get("pipelines", {}).items()
            },
        )
        for node in found["nodes"].values()
    )
