"""The page that ends with another index than it began with."""

from __future__ import annotations

from pathlib import Path

import pytest
from opensearchpy import OpenSearch

from tests.docs.worlds import UPGRADED, world_of

pytestmark = [pytest.mark.engine, pytest.mark.model]

PAGES = ("docs/change-the-model.md",)


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_run(
    page: str, client: OpenSearch, node_url: str, tmp_path: Path
) -> None:
    (tmp_path / "world").mkdir()
    (tmp_path / "page").mkdir()
    with world_of(UPGRADED, client, url=node_url, folder=tmp_path / "world") as world:
        world.run(page, tmp_path / "page", changes=True)
