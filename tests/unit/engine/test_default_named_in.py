"""Where settings may name a default search pipeline: every nesting that the engine gives back."""

from __future__ import annotations

from typing import Any

import pytest

from opensearch_funnel.engine.templates import default_named_in


@pytest.mark.parametrize(
    "settings",
    [
        {"index": {"search": {"default_pipeline": "p"}}},
        {"index.search.default_pipeline": "p"},
        {"index": {"search.default_pipeline": "p"}},
        {"index.search": {"default_pipeline": "p"}},
        {"index": {"number_of_shards": "1"}, "index.search.default_pipeline": "p"},
    ],
)
def test_a_default_is_found_however_it_is_nested(settings: dict[str, Any]) -> None:
    assert default_named_in(settings) == "p"


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"index": {}},
        {"index": {"search": {}}},
        {"index": {"search": {"default_pipeline": None}}},
    ],
)
def test_no_default_is_none(settings: dict[str, Any]) -> None:
    assert default_named_in(settings) is None
