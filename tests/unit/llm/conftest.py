"""A language model of the settings that a test wants, in a folder of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from opensearch_funnel.llm.client import Prompt
from opensearch_funnel.llm.spending import Message
from opensearch_funnel.settings import Settings
from tests.unit.llm.llm_server import KEY

Rows = Callable[[], list[dict[str, Any]]]
MakeSettings = Callable[..., Settings]


@pytest.fixture(autouse=True)
def _settings_of_the_test_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def settings(tmp_path: Path) -> MakeSettings:
    def make(url: str, **more: Any) -> Settings:
        given = {"llm_model": "m", "llm_key": KEY, "llm_input_price": 1.0, "llm_output_price": 4.0}
        return Settings(llm_url=url, home=tmp_path / "home", **{**given, **more})

    return make


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    """The rows of the ledger, as they are in its file."""

    def read() -> list[dict[str, Any]]:
        with closing(sqlite3.connect(tmp_path / "home" / "llm.sqlite")) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute("SELECT * FROM calls ORDER BY id")]

    return read


def prompt(text: str = "Is it there?", **more: Any) -> Prompt:
    given = {"purpose": "test", "max_tokens": 100, **more}
    return Prompt(messages=(Message("user", text),), **given)
