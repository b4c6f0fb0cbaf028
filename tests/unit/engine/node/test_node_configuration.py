"""What OpenSearch is told at its start."""

from pathlib import Path

import pytest

from opensearch_funnel.core.errors import NodeError
from opensearch_funnel.engine.node.configuration import (
    NodeFolders,
    checked_heap,
    java_command,
    opensearch_yml,
)
from opensearch_funnel.engine.node.java import VECTOR_MODULE, JavaRuntime

FOLDERS = NodeFolders(Path("/data of me/node"))


def java(*modules: str) -> JavaRuntime:
    return JavaRuntime(Path("/java"), 25, frozenset(modules), "a test")


def command(*modules: str) -> list[str]:
    return java_command(java(*modules), distribution=Path("/os"), folders=FOLDERS, heap="2g")


def test_the_node_listens_on_loopback_and_on_no_fixed_port_but_its_own() -> None:
    lines = opensearch_yml(FOLDERS, port=9250).splitlines()
    assert 'network.host: "127.0.0.1"' in lines
    assert "http.port: 9250" in lines
    assert "transport.port: 0" in lines
    assert not any("aux.transport" in line for line in lines)


def test_paths_with_blanks_are_quoted() -> None:
    assert 'path.data: "/data of me/node/indices"' in opensearch_yml(FOLDERS, port=1).splitlines()


def test_a_nearly_full_disk_does_not_stop_a_laptops_node() -> None:
    lines = opensearch_yml(FOLDERS, port=1).splitlines()
    assert "cluster.routing.allocation.disk.threshold_enabled: false" in lines


def test_what_the_funnel_needs_is_left_to_pipeline_apply() -> None:
    text = opensearch_yml(FOLDERS, port=1)
    for setting in ("only_run_on_ml_node", "private_ip_enabled", "trusted_connector"):
        assert setting not in text


def test_a_full_java_uses_its_vector_module_and_a_trimmed_one_does_not() -> None:
    flag = f"--add-modules={VECTOR_MODULE}"
    assert flag in command("java.base", VECTOR_MODULE)
    assert flag not in command("java.base")


def test_the_heap_is_fixed_and_thai_words_have_a_provider() -> None:
    assert {"-Xms2g", "-Xmx2g", "-Djava.locale.providers=CLDR,SPI"} <= set(command())
    assert command()[-3:] == ["-cp", "/os/lib/*", "org.opensearch.bootstrap.OpenSearch"]


@pytest.mark.parametrize(("heap", "taken"), [("1g", "1g"), ("768M", "768m"), ("12G", "12g")])
def test_a_heap_is_a_number_with_a_unit(heap: str, taken: str) -> None:
    assert checked_heap(heap) == taken


@pytest.mark.parametrize("heap", ["", "g", "1", "0g", "1t", "1.5g", "1g -Xss9g", "1gb"])
def test_anything_else_is_no_heap(heap: str) -> None:
    with pytest.raises(NodeError, match="write it like 1g"):
        checked_heap(heap)
