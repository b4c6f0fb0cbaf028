"""What the doctor says of the cluster as a whole and of its settings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from opensearch_funnel.build.doctor.check_settings import PRIVATE_TRUSTED, REMOTE
from opensearch_funnel.build.doctor.cluster import Node, NodeStats
from opensearch_funnel.build.doctor.reading import Unread, unread
from opensearch_funnel.core.errors import EngineDeniedError, EngineUnreachableError
from opensearch_funnel.engine.search_pipelines import trusted_pattern
from opensearch_funnel.engine.service_access import PRIVATE_IP, TRUSTED
from tests.unit.build.doctor.healthy import (
    GREEN,
    PLUGINS,
    SERVICE,
    bad,
    cluster,
    facts,
    findings,
    named,
    pipeline,
    settings_of,
)

WATERMARK = "cluster.routing.allocation.disk.watermark."
MARKS = {f"{WATERMARK}low": "85%", f"{WATERMARK}high": "90%", f"{WATERMARK}flood_stage": "95%"}


def test_nothing_is_wrong_with_what_is_well() -> None:
    assert bad(facts()) == {}


def test_a_cluster_that_is_down_is_one_error() -> None:
    down = Unread(why="no OpenSearch answers", error=EngineUnreachableError("no"))
    silent = cluster(info=down, health=down, nodes=down, stats=down, settings=down)
    spoiled = facts(cluster=silent, pipelines=(), indices=(), services={}, probes={})
    assert list(bad(spoiled)) == ["cluster.reachable"]
    assert named(spoiled, "cluster").level == "skipped"
    assert named(spoiled, "install.runtime").level == "ok"


def test_wrong_credentials_are_one_error() -> None:
    refused = unread(EngineDeniedError("refused (401)", status=401))
    denied = cluster(info=refused, health=refused, nodes=refused, stats=refused, settings=refused)
    spoiled = facts(cluster=denied, pipelines=(), indices=(), services={}, probes={})
    assert list(bad(spoiled)) == ["cluster.reachable"]
    assert "FUNNEL_USERNAME" in named(spoiled, "cluster.reachable").fix


@pytest.mark.parametrize(
    ("number", "distribution", "level"),
    [
        ("3.6.0", "opensearch", "ok"),
        ("3.8.1", "opensearch", "ok"),
        ("3.5.0", "opensearch", "warning"),
        ("2.19.1", "opensearch", "error"),
        ("4.0.0-alpha1", "opensearch", "error"),
        ("8.14.0", None, "error"),
    ],
)
def test_versions(number: str, distribution: str | None, level: str) -> None:
    version = {"number": number, "distribution": distribution}
    spoiled = facts(cluster=cluster(info={"version": version}))
    assert named(spoiled, "cluster.version").level == level
    assert named(spoiled, "cluster.reachable").level == "ok"


def test_a_node_without_a_plugin_is_named() -> None:
    lacking = Node(name="n2", version="3.6.0", plugins=PLUGINS - {"opensearch-ml"})
    whole = Node(name="n1", version="3.6.0", plugins=PLUGINS)
    found = bad(facts(cluster=cluster(nodes=(whole, lacking))))["cluster.plugins"]
    assert "node n2 has no opensearch-ml" in found.finding
    assert found.fix == (
        "bin/opensearch-plugin install org.opensearch.plugin:opensearch-ml-plugin:3.6.0.0"
    )


def test_nodes_of_two_versions_are_a_warning() -> None:
    nodes = tuple(Node(name=v, version=v, plugins=PLUGINS) for v in ("3.6.0", "3.7.0"))
    assert "3.6.0, 3.7.0" in bad(facts(cluster=cluster(nodes=nodes)))["cluster.plugins"].finding


def test_the_health_of_all_matters_only_where_all_is_looked_at() -> None:
    red = cluster(health={**GREEN, "status": "red", "unassigned_shards": 4})
    assert bad(facts(cluster=red))["cluster.health"].level == "error"
    assert bad(facts(cluster=red, asked="films", named=("films-1",))) == {}


@pytest.mark.parametrize(
    ("available", "level", "said"),
    [
        (200, "ok", "below"),
        (149, "warning", "low"),
        (99, "warning", "high"),
        (49, "error", "flood"),
    ],
)
def test_watermarks(available: int, level: str, said: str) -> None:
    stats = (NodeStats(name="n1", total=1000, available=available, searches={"funnel-films": 1}),)
    full = cluster(stats=stats, settings=settings_of(defaults=MARKS))
    found = named(facts(cluster=full), "cluster.disk")
    assert found.level == level
    assert said in found.finding


def test_a_disk_that_the_cluster_does_not_look_at_is_fine() -> None:
    off = {**MARKS, "cluster.routing.allocation.disk.threshold_enabled": "false"}
    stats = (NodeStats(name="n1", total=1000, available=1, searches={"funnel-films": 1}),)
    assert bad(facts(cluster=cluster(stats=stats, settings=settings_of(defaults=off)))) == {}


def test_a_transient_setting_is_told_from_the_persistent_one() -> None:
    hidden = settings_of(transient={TRUSTED: ["^https://x$"], PRIVATE_IP: "false", REMOTE: "false"})
    found = bad(facts(cluster=cluster(settings=hidden)))
    assert set(found) == {"settings.transient"}
    for name in (TRUSTED, PRIVATE_IP, REMOTE):
        assert f'"{name}":null' in found["settings.transient"].fix


def test_an_address_is_added_to_those_that_are_trusted() -> None:
    other = settings_of(persistent={TRUSTED: ["^https://x$"]})
    fix = bad(facts(cluster=cluster(settings=other)))["settings.trusted_address"].fix
    assert '"^https://x$"' in fix
    assert trusted_pattern(SERVICE).replace("\\", "\\\\") in fix


def test_private_addresses_have_a_list_of_their_own_in_later_versions() -> None:
    narrowed = settings_of(persistent={PRIVATE_TRUSTED: ["^http://10\\..*$"]})
    found = bad(facts(cluster=cluster(settings=narrowed)))["settings.trusted_address"]
    assert PRIVATE_TRUSTED in found.fix
    assert TRUSTED not in found.fix
    admitted = settings_of(persistent={PRIVATE_TRUSTED: [trusted_pattern(SERVICE)]})
    assert bad(facts(cluster=cluster(settings=admitted))) == {}


def test_models_that_were_opened_while_private_addresses_were_off_are_opened_again() -> None:
    closed = pipeline(called=Unread(why="Remote inference host name has private ip address: x"))
    off = cluster(settings=settings_of(persistent={PRIVATE_IP: "false"}))
    found = bad(facts(cluster=off, pipelines=(closed,)))
    assert set(found) == {"settings.private_ip"}
    assert "/models/m1/_undeploy" in found["settings.private_ip"].fix
    # The setting was put right, and the models were not.
    found = bad(facts(pipelines=(closed,)))
    assert set(found) == {"service.from_node"}
    assert "/models/m1/_undeploy" in found["service.from_node"].fix
    assert "private_ip_enabled" not in found["service.from_node"].fix


def test_remote_inference_that_is_off_is_named() -> None:
    off = cluster(settings=settings_of(persistent={REMOTE: "false"}))
    closed = pipeline(called=Unread(why="Remote Inference is currently disabled"))
    assert set(bad(facts(cluster=off, pipelines=(closed,)))) == {"settings.remote_inference"}


def test_what_may_not_be_read_is_skipped_with_the_right_that_is_missing() -> None:
    denied = unread(
        EngineDeniedError(
            "http://n refused the credentials (403): no permissions for "
            "[cluster:monitor/nodes/info, cluster:monitor/x] and User [name=ann, roles=[]]; set",
            status=403,
        )
    )
    found = named(facts(cluster=cluster(nodes=denied)), "cluster.plugins")
    assert found.level == "skipped"
    assert "ann may not cluster:monitor/nodes/info and cluster:monitor/x" in found.finding
    assert "roles/funnel_doctor" in found.fix
    assert '"value":"cluster:monitor/nodes/info"' in found.fix
    assert "a role of ann" in found.advice


def test_every_part_that_is_denied_is_skipped_and_nothing_fails() -> None:
    """An ordinary user who may do nothing but ask who is there."""
    denied = unread(EngineDeniedError("no permissions for [x:y] and User [name=ann]", status=403))
    least = cluster(health=denied, nodes=denied, stats=denied, settings=denied)
    records = replace(facts().records, pipelines=denied, unfinished=denied, migrations=denied)
    spoiled = facts(
        asked="films",
        named=denied,
        cluster=least,
        records=records,
        pipelines=(),
        indices=(),
        services={},
        probes={},
    )
    assert bad(spoiled) == {}
    skipped = [one for one in findings(spoiled) if one.level == "skipped" and one.fix]
    assert {one.check for one in skipped} == {
        "cluster.plugins",
        "cluster.health",
        "cluster.disk",
        "settings",
        "state.record",
        "state.unfinished",
        "state.migration",
        "index.found",
    }
