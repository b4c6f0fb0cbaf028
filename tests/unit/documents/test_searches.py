"""A user's own searches out of a file: every form, and each fault by its line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.documents.searches import RecordedSearches, read_searches

# Written by OpenSearch 3.6.0: two indices' shards, the fetch phase, and the whole request.
LOGS = Path(__file__).parent / "slow_logs"
FOX = {"query": {"match": {"text": "fox"}}}
HOUND = {"query": {"match": {"text": "hound"}}, "size": 5}
ENTRY = "[2026-11-21T15:28:58,806][WARN ][i.s.s.query] [node-1] [films][1] took[1ms], source[{}], "


def read(path: Path) -> RecordedSearches:
    return read_searches(path, as_body=lambda text: {"typed": text})


def saved(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "searches"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def as_json(*contents: Any) -> list[str]:
    return [json.dumps(content) for content in contents]


@pytest.mark.parametrize("ending", ["json", "log"])
def test_a_slow_log_gives_each_search_once(ending: str) -> None:
    found = read(LOGS / f"search_slowlog.{ending}")
    assert (found.format, found.other_lines) == ("slow log", 0)
    assert [(one.line, one.times) for one in found.searches] == [
        (1, 4),
        (5, 2),
        (7, 2),
        (9, 1),
        (10, 1),
    ]
    match, odd, by_year, everything, in_address = (one.body for one in found.searches)
    assert match["query"]["match"]["text"]["query"] == "red fox"
    # What looks like the end of the source is a part of it.
    assert odd["query"]["multi_match"]["query"] == 'fox "quoted" $x], id[7], é\n\\'
    assert by_year["sort"] == [{"year": {"order": "desc"}}]
    assert everything == {}
    assert in_address["query"]["query_string"]["query"] == "fox"


def test_both_forms_of_a_slow_log_hold_the_same_searches() -> None:
    in_json, in_text = (read(LOGS / f"search_slowlog.{ending}") for ending in ("json", "log"))
    assert in_json.searches == in_text.searches


def test_bodies_one_a_line(tmp_path: Path) -> None:
    found = read(saved(tmp_path, *as_json(FOX, HOUND), "", *as_json(FOX)))
    assert found.format == "bodies"
    assert [(one.line, one.body, one.times) for one in found.searches] == [
        (1, FOX, 2),
        (2, HOUND, 1),
    ]


def test_headers_and_bodies_of_an_msearch(tmp_path: Path) -> None:
    found = read(saved(tmp_path, *as_json({}, FOX, {"index": "films"}, HOUND)))
    assert found.format == "msearch"
    assert [(one.line, one.body) for one in found.searches] == [(2, FOX), (4, HOUND)]


def test_texts_one_a_line_whatever_they_look_like(tmp_path: Path) -> None:
    found = read(saved(tmp_path, "red fox", ' {"not": a body', "", "red fox"))
    assert found.format == "texts"
    assert [(one.line, one.body["typed"], one.times) for one in found.searches] == [
        (1, "red fox", 2),
        (2, '{"not": a body', 1),
    ]


def test_a_packed_log_that_was_rolled_over(tmp_path: Path) -> None:
    path = tmp_path / "slow.log.gz"
    path.write_bytes(gzip.compress((LOGS / "search_slowlog.log").read_bytes()))
    assert len(read(path).searches) == 5


def test_lines_of_other_loggers_are_counted(tmp_path: Path) -> None:
    other = "[2026-11-21T15:28:44,184][INFO ][o.o.n.Node] [node-1] started"
    trace = "java.lang.IllegalStateException: source[no entry]"
    found = read(saved(tmp_path, other, ENTRY, trace))
    assert (len(found.searches), found.other_lines) == (1, 2)


@pytest.mark.parametrize(
    ("logger", "rest"),
    [
        ("i.i.s.index              ", "[node-1] [films/1] took[1ms], source[{}"),
        (
            "o.o.t.TaskManager        ",
            "register 7 [transport] [x] [index {[films][1], source[n/a]}]",
        ),
    ],
)
def test_what_others_write_into_the_same_log_is_no_search(
    tmp_path: Path, logger: str, rest: str
) -> None:
    found = read(saved(tmp_path, ENTRY, f"[2026-11-21T15:28:44,184][TRACE][{logger}] {rest}"))
    assert (len(found.searches), found.other_lines) == (1, 1)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([""], "is empty"),
        (["", *as_json(FOX), '{"query": '], ":3: not JSON"),
        ([*as_json(FOX, [1])], ":2: a search is a JSON object"),
        ([*as_json({}, FOX, FOX)], ":3: 'query' does not belong into a header"),
        ([*as_json({}, FOX, {})], ":3: a header of _msearch without a body"),
        ([ENTRY, ENTRY.replace("{}", '{"size": ')], ":2: not JSON"),
        ([ENTRY, ENTRY.replace("{}]", "{}")], ":2: the source of this entry has no end"),
        (["[2026-11-21T15:28:44,184][INFO ][o.o.n.Node] started"], "has no search in it"),
        (
            as_json({"type": "index_indexing_slowlog", "component": "i.i.s", "source": "{}"}),
            "has no search in it",
        ),
        (
            as_json({"type": "index_search_slowlog", "component": "i.s.s.query", "source": "{"}),
            ":1: not JSON",
        ),
    ],
)
def test_a_fault_is_named_by_its_line(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(saved(tmp_path, *lines))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
