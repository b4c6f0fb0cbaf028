"""The shipped lock, and what is refused in one."""

import json
from collections import Counter

import pytest

from opensearch_funnel.core.errors import NodeError
from opensearch_funnel.engine.node.lock import Coordinate, node_lock, parse_lock
from opensearch_funnel.engine.node.modules import MODULES, PLUGINS

ENTRY = {
    "coordinate": "org.example:thing:1.0",
    "target": "lib",
    "sha256": "ab" * 32,
    "size": 10,
}


def locked(**changes: object) -> str:
    return json.dumps({"version": "3.6.0", "artifacts": [ENTRY | changes]})


def test_the_shipped_lock_fills_every_module_and_plugin() -> None:
    targets = {str(artifact.target) for artifact in node_lock().artifacts}
    assert targets == {
        "lib",
        *(f"modules/{module.name}" for module in MODULES),
        *(f"plugins/{folder}" for _, folder in PLUGINS),
    }


def test_no_module_brings_a_library_that_lib_has() -> None:
    by_name = Counter(
        (str(a.target), a.coordinate.group, a.coordinate.artifact, a.coordinate.classifier)
        for a in node_lock().artifacts
    )
    library = {
        name for target, *name_parts in by_name for name in [tuple(name_parts)] if target == "lib"
    }
    elsewhere = {tuple(name) for target, *name in by_name if target != "lib"}
    assert not library & elsewhere
    assert max(by_name.values()) == 1


def test_the_unused_library_of_the_largest_plugin_is_not_fetched() -> None:
    with_gap = [artifact for artifact in node_lock().artifacts if artifact.gap]
    assert [artifact.coordinate.artifact for artifact in with_gap] == ["opensearch-ml-plugin"]
    (start, end) = with_gap[0].gap or (0, 0)
    assert end - start > 300_000_000
    assert sum(artifact.size for artifact in node_lock().artifacts) < 250_000_000


def test_a_lock_is_read_as_it_was_written() -> None:
    artifact = parse_lock(locked(gap=[3, 8])).artifacts[0]
    assert artifact.coordinate == Coordinate("org.example", "thing", "1.0")
    assert artifact.coordinate.filename == "thing-1.0.jar"
    assert artifact.spans == ((0, 3), (8, 10 + 8 - 3))


@pytest.mark.parametrize(
    "coordinate",
    ["g:a:1", "g:a:1:zip", "g:a:1:jar:linux-x86_64"],
)
def test_a_coordinate_survives_a_round_trip(coordinate: str) -> None:
    assert str(Coordinate.parse(coordinate)) == coordinate


def test_a_classifier_is_part_of_the_file_name() -> None:
    assert Coordinate.parse("g:a:1:jar:linux").filename == "a-1-linux.jar"


def test_the_digest_changes_with_any_file_and_not_with_the_order() -> None:
    one, two = ENTRY, ENTRY | {"coordinate": "org.example:other:1.0"}
    forward = parse_lock(json.dumps({"version": "1", "artifacts": [one, two]}))
    backward = parse_lock(json.dumps({"version": "1", "artifacts": [two, one]}))
    assert forward.digest == backward.digest
    assert parse_lock(locked()).digest != parse_lock(locked(sha256="cd" * 32)).digest
    assert parse_lock(locked()).folder_name.startswith("opensearch-3.6.0-")


@pytest.mark.parametrize(
    "target", ["../lib", "lib/deep", "modules", "modules/../..", "modules/a/b", "bin/x", "/lib", ""]
)
def test_a_target_outside_the_node_is_refused(target: str) -> None:
    with pytest.raises(NodeError, match="is not a folder of the node"):
        parse_lock(locked(target=target))


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        '{"version": "1"}',
        locked(coordinate="g:a"),
        locked(coordinate="g::1"),
        locked(sha256="short"),
        locked(size="many"),
        locked(gap=[1]),
    ],
)
def test_what_is_not_a_lock_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(NodeError, match=r"lock\.json") as caught:
        parse_lock(text)
    assert "\n" not in str(caught.value)
