"""The roles in the documentation are what the security plugin takes."""

from __future__ import annotations

from opensearch_funnel.build.doctor.fixes import DOCTOR_ROLE
from tests.engine.rights_roles import is_of_cluster, role, written_roles


def test_the_file_is_one_of_roles() -> None:
    found = written_roles()
    assert found.pop("_meta") == {"type": "roles", "config_version": 2}
    assert DOCTOR_ROLE in found
    assert "funnel_search" in found
    for name, one in found.items():
        assert set(one) == {"cluster_permissions", "index_permissions"}, name
        for part in one["index_permissions"]:
            assert set(part) == {"index_patterns", "allowed_actions"}, name
            assert part["index_patterns"], name
            assert part["allowed_actions"], name


def test_each_action_stands_where_the_plugin_looks_for_it() -> None:
    for name in written_roles():
        if name == "_meta":
            continue
        one = role(name, index="films")
        assert [right for right in one.cluster if not is_of_cluster(right)] == [], name
        granted = [right for _, actions in one.indices for right in actions]
        assert [right for right in granted if is_of_cluster(right)] == [], name


def test_a_role_is_for_its_indices() -> None:
    search = role("funnel_search", index="news")
    assert search.allows("indices:data/read/search", index="news-2026")
    assert not search.allows("indices:data/read/search", index="films")
    assert not search.allows("indices:data/write/index", index="news")
