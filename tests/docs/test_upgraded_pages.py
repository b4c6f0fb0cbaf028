"""The pages whose reader has an index that is searched through the funnel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from opensearchpy import OpenSearch

from tests.docs.worlds import UPGRADED, World, world_of

pytestmark = [pytest.mark.engine, pytest.mark.model]

PAGES = (
    "docs/faq.md",
    "docs/how-it-works.md",
    "docs/operate.md",
    "docs/security.md",
    "docs/service.md",
    "docs/sizing.md",
    "docs/troubleshooting.md",
)


@pytest.fixture(scope="module")
def world(
    client: OpenSearch, node_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    with world_of(UPGRADED, client, url=node_url, folder=folder) as world:
        yield world


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_run(page: str, world: World, tmp_path: Path) -> None:
    world.run(page, tmp_path)


def test_turning_it_off_works_with_the_service_dead(world: World, tmp_path: Path) -> None:
    with world.without_service():
        world.run("docs/turn-it-off.md", tmp_path)
