"""The pages whose reader has an index behind an alias, and nothing of the funnel yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from opensearchpy import OpenSearch

from tests.docs.worlds import PLAIN, World, world_of

pytestmark = [pytest.mark.engine, pytest.mark.model]

PAGES = (
    "README.md",
    "docs/migrate.md",
    "docs/quick-start.md",
)


@pytest.fixture(scope="module")
def world(
    client: OpenSearch, node_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    with world_of(PLAIN, client, url=node_url, folder=folder) as world:
        yield world


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_run(page: str, world: World, tmp_path: Path) -> None:
    world.run(page, tmp_path)
