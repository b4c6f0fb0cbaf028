"""Fixtures of the real parts: the embedded node, the models, the data sets.

On a developer's machine a test whose part is missing is skipped; with ``CI=true`` it fails.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import hypothesis
import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import NodeError
from opensearch_funnel.engine.client import connect
from opensearch_funnel.engine.node import embedded_node
from opensearch_funnel.settings import Settings

# What a test says is what happens, not how fast: a busy machine must not turn it red.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


def missing(what: str) -> NoReturn:
    """Skip, or fail where everything has to be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing, and CI runs everything")
    pytest.skip(f"{what} is missing")


@pytest.fixture(scope="session")
def node_url() -> Iterator[str]:
    """A real node of this test run's own, on a free port, with data of its own.

    ``FUNNEL_TEST_URL`` names one that runs already: it saves a developer the start of a node.
    """
    if running := os.environ.get("FUNNEL_TEST_URL"):
        yield running
        return
    try:
        with embedded_node(port=0) as node:
            yield node.url
    except NodeError as error:
        missing(f"the embedded node ({error})")


@pytest.fixture(scope="session")
def engine_settings(node_url: str) -> Settings:
    return Settings(url=node_url)


@pytest.fixture(scope="session")
def client(engine_settings: Settings) -> OpenSearch:
    return connect(engine_settings)


@pytest.fixture
def index_name(client: OpenSearch) -> Iterator[str]:
    """A fresh name; what the test makes under it, or behind it, is deleted afterwards."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    yield name
    client.indices.delete(index=f"{name}*", params={"ignore_unavailable": "true"})


@pytest.fixture(scope="session")
def datasets() -> Path:
    """The folder with evaluation data: ``FUNNEL_DATASETS``, or beside the checkout."""
    here = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("FUNNEL_DATASETS", here / "../shared/datasets")).resolve()
    if not (folder / "scifact" / "corpus.jsonl").is_file():
        missing(f"the data sets in {folder}")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser that the page is tested in: Debian's package, for Playwright to drive."""
    found = shutil.which("chromium")
    if found is None:
        missing("chromium (scripts/install-browser installs it)")
    return found
