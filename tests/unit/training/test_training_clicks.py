"""Clicks read as judgments, kept apart from what is only looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.held_out import is_held_out
from opensearch_funnel.training.clicks import read_clicks, split_clicked, with_clicks
from opensearch_funnel.training.corpora import Judged

HEADER = "query\tdocument\tclicks\tshows\n"


def clicks_file(folder: Path, text: str | bytes) -> Path:
    path = folder / "clicks.tsv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_enough_clicks_are_relevant_and_none_where_it_was_shown_rejected(tmp_path: Path) -> None:
    path = clicks_file(
        tmp_path,
        HEADER + "red fox\td1\t2\t9\nred fox\td2\t1\t9\nred fox\td3\t0\t9\nred fox\td4\t0\t0\n",
    )
    (query,) = read_clicks(path, least_clicks=2)
    assert query == Judged("red fox", "red fox", ("d1",), ("d3",))
    (generous,) = read_clicks(path, least_clicks=1)
    assert generous.relevant == ("d1", "d2")


def test_without_shows_a_line_without_clicks_was_shown(tmp_path: Path) -> None:
    path = clicks_file(tmp_path, "query\tdocument\tclicks\nfox\td1\t3\nfox\td2\t0\n")
    assert read_clicks(path, least_clicks=2) == [Judged("fox", "fox", ("d1",), ("d2",))]


def test_lines_add_up_over_days_and_spellings(tmp_path: Path) -> None:
    path = clicks_file(
        tmp_path,
        HEADER + "Red  Fox\td1\t1\t4\nred fox\td2\t0\t4\n\nred fox \td1\t1\t4\nRED FOX\td2\t1\t1\n",
    )
    assert read_clicks(path, least_clicks=2) == [Judged("red fox", "Red Fox", ("d1",), ())]


def test_queries_without_a_relevant_document_are_left_out_and_the_rest_ordered(
    tmp_path: Path,
) -> None:
    path = clicks_file(tmp_path, HEADER + "hen\td1\t5\t9\nfox\td1\t1\t9\ncow\td1\t2\t9\n")
    assert [query.text for query in read_clicks(path, least_clicks=2)] == ["cow", "hen"]


def test_the_files_of_windows_are_read(tmp_path: Path) -> None:
    text = (HEADER + "füchse\td1\t2\t9\n").replace("\n", "\r\n")
    path = clicks_file(tmp_path, b"\xef\xbb\xbf" + text.encode())
    assert read_clicks(path, least_clicks=2)[0].text == "füchse"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("fox\td1\t2", "expected 4 columns with tabs between, not 3"),
        ("fox d1 2 9", "not 1"),
        ("fox\td1\t2\t9\t1", "not 5"),
        ("\td1\t2\t9", "query or document is empty"),
        ("fox\t \t2\t9", "query or document is empty"),
        ("fox\td1\ttwo\t9", "clicks is 'two', expected a whole number"),
        ("fox\td1\t-1\t9", "clicks is '-1'"),
        ("fox\td1\t2\t1.5", r"shows is '1\.5'"),
        ("fox\td1\t2\t", "shows is ''"),
    ],
)
def test_a_bad_line_is_named_by_file_and_number(tmp_path: Path, line: str, reason: str) -> None:
    path = clicks_file(tmp_path, HEADER + "fox\td1\t2\t9\n" + line + "\n")
    with pytest.raises(InputError, match=rf"clicks\.tsv line 3: .*{reason}"):
        read_clicks(path, least_clicks=2)


@pytest.mark.parametrize("header", ["", "query,document,clicks\n", "query\tclicks\tdocument\n"])
def test_another_first_line_is_refused(tmp_path: Path, header: str) -> None:
    path = clicks_file(tmp_path, header)
    with pytest.raises(InputError, match=r"line 1: expected the columns query, document, clicks"):
        read_clicks(path, least_clicks=2)


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = clicks_file(tmp_path, HEADER.encode() + b"f\xfcchse\td1\t2\t9\n")
    with pytest.raises(InputError, match="line 2 is not UTF-8"):
        read_clicks(path, least_clicks=2)


def test_a_missing_file_and_too_few_clicks_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="missing: name a file of clicks"):
        read_clicks(tmp_path / "none.tsv", least_clicks=2)
    path = clicks_file(tmp_path, HEADER + "fox\td1\t1\t9\n")
    with pytest.raises(InputError, match=r"no document was clicked 2 times .* --least-clicks"):
        read_clicks(path, least_clicks=2)


def asked(text: str) -> Judged:
    return Judged(text, text, ("d1",), ())


def test_a_fifth_of_the_clicked_queries_is_only_looked_at() -> None:
    clicked = [asked(f"fox {n}") for n in range(1000)]
    trained, looked_at = split_clicked(clicked, trained=[], kept=[])
    assert looked_at == [query for query in clicked if is_held_out(query.query_id)]
    assert 150 < len(looked_at) < 250
    assert sorted([*trained, *looked_at], key=clicked.index) == clicked


def test_a_labelled_query_stays_on_its_side_and_one_of_another_split_is_not_used() -> None:
    away = next(f"fox {n}" for n in range(99) if is_held_out(f"fox {n}"))
    here = next(f"fox {n}" for n in range(99) if not is_held_out(f"fox {n}"))
    clicked = [asked(away), asked(here)]
    assert split_clicked(clicked, trained=[away.upper()], kept=[]) == (clicked, [])
    assert split_clicked(clicked, trained=[], kept=[f" {here.title()}"]) == ([], [asked(away)])
    assert split_clicked(clicked, trained=[], kept=[away, here]) == ([], [])


def test_labels_and_clicks_of_a_query_join_and_the_label_counts() -> None:
    label = Judged("q7", "Red Fox", ("d1",), ("d2",))
    clicks = Judged("red fox", "red fox", ("d2", "d3"), ("d1", "d4"))
    joined, alone = with_clicks([label], clicked=[clicks, asked("hen")])
    assert joined == Judged("q7", "Red Fox", ("d1", "d3"), ("d2", "d4"))
    assert alone == asked("hen")
    assert with_clicks([label], clicked=[]) == [label]
