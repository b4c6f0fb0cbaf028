"""Files of searches that source and target are compared on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.migrating.verifying.probes import ProbeQuery, read_queries

FIELDS = ("title", "text")


def _read(folder: Path, *lines: str) -> list[ProbeQuery]:
    path = folder / "queries.ndjson"
    path.write_text("\n".join(lines))
    return read_queries(path, text_fields=FIELDS)


def _text(text: str) -> dict[str, Any]:
    query = {"query": text, "fields": ["title", "text"], "type": "best_fields"}
    return {"query": {"multi_match": query}}


def test_texts_objects_and_bodies_may_be_mixed(tmp_path: Path) -> None:
    body = '{"query": {"match": {"t": "x"}}, "size": 3, "aggs": {}, "min_score": 1, "id": 7}'
    lines = ("heat", "", '{"_id": "q2", "text": "red fox"}', '{"query": "thief"}', body)
    assert _read(tmp_path, *lines) == [
        ProbeQuery(query_id="1", body=_text("heat")),
        ProbeQuery(query_id="q2", body=_text("red fox")),
        ProbeQuery(query_id="4", body=_text("thief")),
        ProbeQuery(query_id="7", body={"query": {"match": {"t": "x"}}, "min_score": 1}),
    ]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("heat", '{"query": '), r"queries.ndjson:2: not valid JSON"),
        (('{"size": 3}',), r"queries.ndjson:1: neither a text nor a search body with a query"),
        (('{"text": "  "}',), r"queries.ndjson:1: neither a text nor a search body"),
        (("", " "), r"has no queries"),
        (('{"_id": "2", "text": "a"}', "b"), r"queries.ndjson:2: another query is called '2'"),
    ],
)
def test_what_is_no_query_is_named_by_its_line(
    tmp_path: Path, lines: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        _read(tmp_path, *lines)
