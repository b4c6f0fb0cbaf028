"""Is the cluster there, of a version that is known, whole, and with room on its disks?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from opensearch_funnel.build.doctor.cluster import ClusterSettings, NodeStats
from opensearch_funnel.build.doctor.facts import Case
from opensearch_funnel.build.doctor.findings import Finding
from opensearch_funnel.build.doctor.reading import Unread
from opensearch_funnel.build.doctor.services import is_loopback
from opensearch_funnel.build.doctor.skipping import not_read
from opensearch_funnel.settings import EMBEDDED_URL

TESTED = (3, 6)
"""The version that all of this was run against."""
PLUGINS = {
    "opensearch-knn": "opensearch-knn",
    "opensearch-ml": "opensearch-ml-plugin",
    "opensearch-neural-search": "neural-search",
}
"""The plugins that searches need, each with its Maven artifact."""
_MAJOR = 3
_UNAUTHORIZED = 401
_WATERMARKS = "cluster.routing.allocation.disk.watermark."
_DISK_CHECKED = "cluster.routing.allocation.disk.threshold_enabled"
_UNITS = {"b": 1, "kb": 2**10, "mb": 2**20, "gb": 2**30, "tb": 2**40, "pb": 2**50}
_GIGABYTE = 10**9


def check_reachable(case: Case) -> Iterator[Finding]:
    """Look whether the cluster answers this user."""
    info = case.facts.cluster.info
    name = "cluster.reachable"
    if not isinstance(info, Unread):
        version = info["version"]
        what = f"OpenSearch {version['number']} answers at {case.fixes.url}"
        yield Finding(check=name, level="ok", finding=what)
    elif info.status == _UNAUTHORIZED:
        yield Finding(
            check=name,
            level="error",
            finding=info.why,
            fix="export FUNNEL_USERNAME=NAME FUNNEL_PASSWORD=PASSWORD",
        )
    elif not case.facts.cluster.answers:
        parts = urlsplit(case.fixes.url)
        here = is_loopback(case.fixes.url) and parts.scheme == "http"
        port = "" if case.fixes.url == EMBEDDED_URL else f" --port {parts.port or 80}"
        yield Finding(
            check=name,
            level="error",
            finding=info.why,
            fix=f"funnel node start{port}" if here else case.fixes.curl("GET", "/"),
            advice="if the embedded node is meant"
            if here
            else "the command shows what is in the way: name, port, certificate",
        )
    else:
        yield Finding(check=name, level="ok", finding=f"a cluster answers at {case.fixes.url}")
        yield not_read("cluster.version", info, fixes=case.fixes)


def check_version(case: Case) -> Iterator[Finding]:
    """Look whether the version is one that the funnel runs on."""
    info = case.facts.cluster.info
    name = "cluster.version"
    if isinstance(info, Unread):
        return
    number, distribution = info["version"]["number"], info["version"].get("distribution")
    version = tuple(int(part) for part in re.findall(r"\d+", number)[:2])
    tested = ".".join(map(str, TESTED))
    if distribution != "opensearch":
        yield Finding(
            check=name,
            level="error",
            finding=f"{case.fixes.url} is {distribution or 'no OpenSearch'} {number}",
            advice="the native funnel needs OpenSearch 3: name its address with --url",
        )
    elif version[0] != _MAJOR:
        yield Finding(
            check=name,
            level="error",
            finding=f"OpenSearch {number} is not supported: {_MAJOR}.x is, tested with {tested}",
            advice=f"upgrade the cluster to {_MAJOR}.x (docs: rolling upgrade)",
        )
    elif version < TESTED:
        yield Finding(
            check=name,
            level="warning",
            finding=f"OpenSearch {number} fuses and reranks differently from {tested}, which was "
            "tested",
            advice=f"upgrade the cluster to {tested} or later",
        )
    else:
        note = "" if version == TESTED else f"; {tested} is what was tested"
        yield Finding(check=name, level="ok", finding=f"OpenSearch {number}{note}")


def check_plugins(case: Case) -> Iterator[Finding]:
    """Look whether every node has the plugins that searches need, in one version."""
    nodes = case.facts.cluster.nodes
    name = "cluster.plugins"
    if isinstance(nodes, Unread):
        yield not_read(name, nodes, fixes=case.fixes)
        return
    needed = PLUGINS.keys()
    lacking = {node: sorted(needed - node.plugins) for node in nodes if needed - node.plugins}
    for node, plugins in lacking.items():
        parts = [f"org.opensearch.plugin:{PLUGINS[one]}:{node.version}.0" for one in plugins]
        yield Finding(
            check=name,
            level="error",
            subject=node.name,
            finding=f"node {node.name} has no {', '.join(plugins)}",
            fix=f"bin/opensearch-plugin install {' '.join(parts)}",
            advice="run it in the folder of OpenSearch on that node, and restart the node",
        )
    versions = sorted({node.version for node in nodes})
    if len(versions) > 1:
        yield Finding(
            check=name,
            level="warning",
            finding=f"the nodes are of different versions: {', '.join(versions)}",
            advice="finish the upgrade before a pipeline is applied",
        )
    elif not lacking:
        yield Finding(
            check=name, level="ok", finding=f"{', '.join(sorted(needed))} on {len(nodes)} nodes"
        )


def check_health(case: Case) -> Iterator[Finding]:
    """Look whether all shards are assigned; those of one index have a check of their own."""
    health = case.facts.cluster.health
    name = "cluster.health"
    if isinstance(health, Unread):
        yield not_read(name, health, fixes=case.fixes)
        return
    status, missing = health["status"], health["unassigned_shards"]
    finding = f"{status}, {missing} shards unassigned, {health['number_of_nodes']} nodes"
    if status == "green" or case.facts.asked is not None:
        yield Finding(check=name, level="ok", finding=finding)
        return
    yield Finding(
        check=name,
        level="error" if status == "red" else "warning",
        finding=finding,
        fix=case.fixes.curl("POST", "/_cluster/reroute?retry_failed=true&metric=none"),
        advice="GET _cluster/allocation/explain says why a shard has no place; on a single node "
        "replicas never have one: index.number_of_replicas 0",
    )


def check_disk(case: Case) -> Iterator[Finding]:
    """Look whether a disk is so full that the cluster moves shards or blocks writes."""
    stats, settings = case.facts.cluster.stats, case.facts.cluster.settings
    name = "cluster.disk"
    for what in (stats, settings):
        if isinstance(what, Unread):
            yield not_read(name, what, fixes=case.fixes)
            return
    if isinstance(stats, Unread) or isinstance(settings, Unread):
        return
    if str(settings.value(_DISK_CHECKED)).lower() == "false":
        least = min((node.available for node in stats), default=0)
        told = f"{least / _GIGABYTE:.1f} GB free at least, and the cluster does not look at it"
        yield Finding(check=name, level="ok", finding=told)
        return
    full = False
    for node in stats:
        passed = [mark for mark in ("flood_stage", "high", "low") if _is_past(node, mark, settings)]
        if not passed:
            continue
        full = True
        yield Finding(
            check=name,
            level="error" if passed[0] == "flood_stage" else "warning",
            subject=node.name,
            finding=f"the disk of {node.name} is past its {passed[0]} watermark "
            f"({node.available / _GIGABYTE:.1f} of {node.total / _GIGABYTE:.1f} GB free): "
            + _CONSEQUENCES[passed[0]],
            fix=case.fixes.curl("GET", "/_cat/indices?v&s=store.size:desc&h=index,store.size"),
            advice="delete what nobody needs (the command shows what is large; after a migration: "
            "funnel migrate cleanup), or add disk",
        )
    if not full:
        told = ", ".join(f"{one.name} {one.available / _GIGABYTE:.1f} GB" for one in stats)
        yield Finding(check=name, level="ok", finding=f"below every watermark; free: {told}")


_CONSEQUENCES = {
    "low": "it gets no new shards",
    "high": "its shards are moved away",
    "flood_stage": "its indices are blocked for writes",
}


def _is_past(node: NodeStats, mark: str, settings: ClusterSettings) -> bool:
    limit = settings.value(_WATERMARKS + mark)
    return (
        bool(node.total)
        and limit is not None
        and node.available < least_free(str(limit), total=node.total)
    )


def least_free(watermark: str, *, total: int) -> float:
    """Return how many bytes a watermark wants free.

    Args:
        watermark: a share of the disk that may be full, or an amount that has to be free.
        total: bytes of the disk.

    Example:
        >>> least_free("85%", total=1000), least_free("0.9", total=1000)
        (150.0, 100.0)
        >>> least_free("1kb", total=1000)
        1024.0
    """
    text = watermark.strip().lower()
    if text.endswith("%"):
        return round(total * (1 - float(text[:-1]) / 100), 6)
    found = re.fullmatch(r"([\d.]+)\s*([a-z]*)", text)
    if found is None:
        return 0.0
    if not found[2]:
        return round(total * (1 - float(found[1])), 6)
    return float(found[1]) * _UNITS.get(found[2], 0)
