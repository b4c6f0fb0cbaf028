"""Judgments from any format to any other and back: nothing is lost that both can hold."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.evaluating.formats.detecting import Format, format_of_source
from opensearch_funnel.evaluating.formats.model import (
    JudgedQuery,
    Judgments,
    RankedRun,
    ScoredDocument,
)
from opensearch_funnel.evaluating.formats.reading import read_judgments
from opensearch_funnel.evaluating.formats.trec_run import ranked, read_run, run_files
from opensearch_funnel.evaluating.formats.writing import judgments_files, save

TARGETS: dict[Format, str] = {
    "beir": "set",
    "trec": "set.qrels",
    "quepid": "set.csv",
    "workbench": "set.json",
}
WITH_IDS = frozenset({"beir", "trec"})
PAIRS = [(first, second) for first in TARGETS for second in TARGETS]

# Everything that a text may have, and often what formats trip over.
ANY = st.characters(codec="utf-8")
TRICKY = st.sampled_from(
    ['"', '""', ",", ";", "\n", "\t", "'", " ", "\\", "é", "日本", "🙂", "\u2028"]
)
TEXTS = st.lists(ANY | TRICKY, min_size=1, max_size=12).map("".join)
PLAIN_TEXTS = TEXTS.filter(lambda t: not {"\n", "\r"} & set(t) and not t.startswith(" "))
IDS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=8)
WHOLE = st.integers(-3, 100).map(Decimal)
DECIMALS = st.decimals(-5, 100, places=3) | WHOLE


def _judgments(
    texts: st.SearchStrategy[str], grades: st.SearchStrategy[Decimal]
) -> st.SearchStrategy[Judgments]:
    query = st.builds(
        lambda query_id, text, given: JudgedQuery(query_id=query_id, text=text, grades=given),
        IDS,
        texts,
        st.dictionaries(IDS, grades, max_size=4),
    )
    return st.lists(
        query, min_size=1, max_size=4, unique_by=(lambda q: q.query_id, lambda q: q.text)
    ).map(lambda queries: Judgments(queries=tuple(queries)))


def _through(judgments: Judgments, name: Format) -> Judgments:
    with TemporaryDirectory() as folder:
        path = Path(folder) / TARGETS[name]
        save(judgments_files(judgments, path, format=name).files)
        assert judgments.count == 0 or format_of_source(str(path)).format == name
        return read_judgments(str(path), format=name).judgments


def _content(judgments: Judgments, *, with_ids: bool) -> list[tuple[object, ...]]:
    return [
        (*([query.query_id] if with_ids else []), query.text, dict(query.grades))
        for query in judgments.queries
    ]


@pytest.mark.parametrize(("first", "second"), PAIRS)
@given(judgments=_judgments(PLAIN_TEXTS, WHOLE))
@settings(max_examples=40)
def test_two_formats_carry_the_same_whole_grades(
    first: Format, second: Format, judgments: Judgments
) -> None:
    found = _through(_through(judgments, first), second)
    with_ids = {first, second} <= WITH_IDS
    assert _content(found, with_ids=with_ids) == _content(judgments, with_ids=with_ids)


@pytest.mark.parametrize("pair", [("quepid", "workbench"), ("workbench", "quepid")])
@given(judgments=_judgments(PLAIN_TEXTS, DECIMALS))
def test_decimals_are_exact(pair: tuple[Format, Format], judgments: Judgments) -> None:
    found = _through(_through(judgments, pair[0]), pair[1])
    assert _content(found, with_ids=False) == _content(judgments, with_ids=False)


@pytest.mark.parametrize("name", TARGETS)
@given(judgments=_judgments(TEXTS, WHOLE))
def test_any_text_comes_back_or_is_refused(name: Format, judgments: Judgments) -> None:
    try:
        found = _through(judgments, name)
    except InputError:
        # Only what the format's page in its module says that it cannot hold.
        marks = {"trec": "\n\r", "quepid": "\r"}.get(name, "")
        texts = [query.text or "" for query in judgments.queries]
        spaced = name == "quepid" and any(text.startswith(" ") for text in texts)
        assert spaced or any(mark in text for text in texts for mark in marks)
        return
    with_ids = name in WITH_IDS
    assert _content(found, with_ids=with_ids) == _content(judgments, with_ids=with_ids)


SCORES = st.floats(allow_nan=False, allow_infinity=False, width=32) | st.sampled_from([0.0, 1.0])
RANKINGS = st.dictionaries(IDS, SCORES, min_size=1, max_size=6).map(
    lambda scores: tuple(ScoredDocument(doc_id, scores[doc_id]) for doc_id in ranked(scores))
)


@given(rankings=st.dictionaries(IDS, RANKINGS, min_size=1, max_size=3), tag=IDS)
def test_a_run_comes_back(rankings: dict[str, tuple[ScoredDocument, ...]], tag: str) -> None:
    run = RankedRun(rankings=rankings, tag=tag)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.run"
        save(run_files(run, path))
        read = read_run(path)
    assert read.run == run
    assert read.findings == ()


@pytest.mark.datasets
@pytest.mark.parametrize("between", TARGETS)
def test_the_judgments_of_esci_come_back_to_the_letter(
    datasets: Path, tmp_path: Path, between: Format
) -> None:
    source = datasets / "esci_us_ubi" / "esci_us_judgments.json"
    read = read_judgments(str(source), format="workbench").judgments
    path = tmp_path / TARGETS[between]
    save(judgments_files(read, path, format=between).files)
    back = read_judgments(str(path), format=between).judgments
    (written,) = judgments_files(back, tmp_path / "back.json", format="workbench").files.values()
    assert (
        json.loads(written)["judgmentRatings"] == json.loads(source.read_text())["judgmentRatings"]
    )


@pytest.mark.datasets
@pytest.mark.parametrize("between", TARGETS)
@pytest.mark.parametrize(
    ("name", "split"), [("cranfield", "test"), ("msrd_movies", "dev"), ("scifact", "test")]
)
def test_the_judgments_of_a_beir_folder_come_back(
    datasets: Path, tmp_path: Path, name: str, split: str, between: Format
) -> None:
    read = read_judgments(str(datasets / name), format="beir", split=split).judgments
    path = tmp_path / TARGETS[between]
    save(judgments_files(read, path, format=between, split=split).files)
    back = read_judgments(str(path), format=between, split=split).judgments
    with_ids = between in WITH_IDS
    assert _content(back, with_ids=with_ids) == _content(read, with_ids=with_ids)
    if not with_ids:
        return
    again = judgments_files(back, tmp_path / "again", format="beir", split=split).files
    qrels = again[tmp_path / "again" / "qrels" / f"{split}.tsv"]
    original = (datasets / name / "qrels" / f"{split}.tsv").read_text()
    assert sorted(qrels.splitlines()) == sorted(original.splitlines())


@pytest.mark.datasets
@pytest.mark.parametrize("file_name", ["set.json", "set.ndjson"])
def test_the_query_set_of_esci_comes_back(datasets: Path, tmp_path: Path, file_name: str) -> None:
    source = datasets / "esci_us_ubi" / "esci_us_queryset.json"
    assert format_of_source(str(source)).format == "workbench-queries"
    read = read_judgments(str(source), format="workbench-queries").judgments
    path = tmp_path / file_name
    save(judgments_files(read, path, format="workbench-queries").files)
    back = read_judgments(str(path), format="workbench-queries").judgments
    assert back.queries == read.queries
    if path.suffix == ".json":
        assert json.loads(path.read_text()) == json.loads(source.read_text())
