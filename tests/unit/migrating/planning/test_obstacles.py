"""What makes an index one that cannot be migrated."""

from __future__ import annotations

from typing import Any

import pytest

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.migrating.planning.obstacles import refuse_obstacles
from tests.unit.migrating.planning.sources import source_of


def test_a_plain_index_passes() -> None:
    refuse_obstacles(source_of())
    refuse_obstacles(source_of(settings={"blocks": {"write": "false"}}))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"blocks": {"write": "true"}}, "index.blocks.write set.*_settings"),
        ({"blocks": {"read_only_allow_delete": "true"}}, "read_only_allow_delete.*disk is full"),
        ({"derived_source": {"enabled": "true"}}, "makes documents up from their fields"),
        ({"append_only": {"enabled": "true"}}, "refuses documents that come with an id"),
        ({"store": {"type": "remote_snapshot"}}, "restore it into the cluster"),
        (
            {"plugins": {"replication": {"follower": {"leader_index": "far"}}}},
            "films-1 follows far of another cluster",
        ),
    ],
)
def test_settings_that_forbid_it(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        refuse_obstacles(source_of(settings=settings))


@pytest.mark.parametrize(
    ("mappings", "reason"),
    [
        ({"_source": {"enabled": False}}, "does not keep the text of its documents"),
        ({"_source": {"excludes": ["a.*"]}}, r"less a\.\* \(_source\.excludes\)"),
        ({"_source": {"includes": ["title"]}}, r"but title \(_source\.includes\)"),
        ({"properties": {"funnel": {"type": "text"}}}, "has a field 'funnel' of its own"),
        (
            {"properties": {"funnel": {"properties": {"stage": {"type": "keyword"}}}}},
            "has a field 'funnel' of its own",
        ),
        ({"_meta": {"funnel": {"loading": {}}}}, "a load into films-1 was interrupted"),
        ({"_meta": {"funnel": {"dropping": ["a"]}}}, "a slot of films-1 is being dropped"),
    ],
)
def test_mappings_that_forbid_it(mappings: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        refuse_obstacles(source_of(mappings=mappings))


def test_what_recoveries_leave_out_is_kept_all_the_same() -> None:
    refuse_obstacles(source_of(mappings={"_source": {"recovery_source_excludes": ["a"]}}))


def test_our_own_fields_are_no_obstacle() -> None:
    legs = {"sparse_b": {"type": "rank_features"}, "dense_b": {"type": "knn_vector"}}
    plain = {"id": {"type": "keyword"}, "origin": {"type": "long"}}
    funnel = {"properties": {**plain, **legs}}
    refuse_obstacles(source_of(mappings={"properties": {"funnel": funnel}}))
