"""Judging in the terminal: what is asked, what is kept, and what a kill loses."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from opensearch_funnel.cli.judgments import judgments
from opensearch_funnel.cli.main import main
from opensearch_funnel.core.errors import InputError
from opensearch_funnel.evaluating.formats.model import (
    JudgedQuery,
    Judgments,
    RankedRun,
    ScoredDocument,
)
from opensearch_funnel.evaluating.labelling.journal import PERSON, Journal, read_journal
from opensearch_funnel.evaluating.labelling.pool import Pair, pooled
from opensearch_funnel.evaluating.labelling.sitting import Sitting

DOCUMENTS = "abcdef"
PAIRS = tuple(Pair(query_id="1", query="red dress", doc_id=name) for name in DOCUMENTS)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two queries, two runs over six documents, and no judgments."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set" / "qrels").mkdir(parents=True)
    queries = [{"_id": "1", "text": "red dress"}, {"_id": "2", "text": "blue shoe"}]
    _write(tmp_path / "set" / "queries.jsonl", "".join(json.dumps(q) + "\n" for q in queries))
    _write(tmp_path / "set" / "qrels" / "test.tsv", "query-id\tcorpus-id\tscore\n1\ta\t1\n")
    corpus = [
        {"_id": name, "title": f"Title {name}", "text": f"Title {name} is long. " * 90}
        for name in DOCUMENTS
    ]
    _write(tmp_path / "set" / "corpus.jsonl", "".join(json.dumps(d) + "\n" for d in corpus))
    _write(tmp_path / "a.run", "1 Q0 a 1 3 t\n1 Q0 b 2 2 t\n1 Q0 c 3 1 t\n2 Q0 d 1 1 t\n")
    _write(tmp_path / "b.run", "1 Q0 b 1 3 t\n1 Q0 e 2 2 t\n2 Q0 d 1 1 t\n")
    return tmp_path


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _judge(*arguments: str, keys: str = "", target: str = "mine.csv") -> Result:
    runs = ("--run", "a.run", "--run", "b.run")
    return CliRunner().invoke(judgments, ["judge", "set", target, *runs, *arguments], input=keys)


def _kept(target: str = "mine.csv") -> list[tuple[str, str, int | None]]:
    found = read_journal(Path(f"{target}.journal.ndjson")).values()
    return [(decision.query_id, decision.doc_id, decision.grade) for decision in found]


# -- what there is to judge


def run_of(tag: str, **rankings: str) -> RankedRun:
    ranked = {
        query_id[1:]: tuple(ScoredDocument(doc_id, -float(n)) for n, doc_id in enumerate(found))
        for query_id, found in rankings.items()
    }
    return RankedRun(rankings=ranked, tag=tag)


QUERIES = Judgments(
    queries=tuple(JudgedQuery(query_id=str(n), text=f"query {n}") for n in range(1, 4))
)


def test_a_pool_has_the_best_of_each_run_once_and_not_in_their_order() -> None:
    long = "".join(map(chr, range(ord("a"), ord("z") + 1)))
    runs = [run_of("t", q1=long, q2="ab", q9="x"), run_of("u", q1=long[::-1], q2="b")]
    pool = pooled(runs, QUERIES, depth=5)
    first = [pair.doc_id for pair in pool.pairs if pair.query_id == "1"]
    assert sorted(first) == ["a", "b", "c", "d", "e", "v", "w", "x", "y", "z"]
    assert first not in (sorted(first), sorted(first)[::-1])
    assert [pair.query_id for pair in pool.pairs] == ["1"] * 10 + ["2"] * 2
    assert {finding.kind.name: finding.count for finding in pool.findings} == {
        "RUN_OTHER_QUERY": 1,
        "NOT_POOLED": 1,
    }
    # A run more adds documents, and whoever judges goes on in the same order.
    more = pooled([*runs, run_of("v", q1="klm")], QUERIES, depth=5)
    assert [p.doc_id for p in more.pairs if p.query_id == "1" and p.doc_id in first] == first
    other = pooled(runs, QUERIES, depth=5, seed=1)
    assert [pair.doc_id for pair in other.pairs if pair.query_id == "1"] != first


def test_runs_of_other_queries_are_refused_with_both_kinds_of_ids() -> None:
    with pytest.raises(InputError, match="of the runs are such as '9', of the queries such as '1'"):
        pooled([run_of("t", q9="x")], QUERIES, depth=5)


# -- the journal


def test_a_line_that_was_cut_off_is_passed_over_and_not_run_into(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal = Journal(path, by=PERSON)
    journal.write(PAIRS[0], 2)
    whole = path.read_bytes()
    for cut in range(1, len(whole)):
        path.write_bytes(whole + whole[:cut])
        again = Journal(path, by=PERSON)
        assert list(again.decisions) == [("1", "a")]
        again.write(PAIRS[1], 0)
        assert [d.grade for d in read_journal(path).values()] == [2, 0]


def test_a_journal_of_another_judge_or_of_other_queries_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j"
    Journal(path, by="model m, prompt 1").write(PAIRS[0], 2)
    with pytest.raises(InputError, match="by 'model m, prompt 1', and these would be by 'person'"):
        Journal(path, by=PERSON)
    journal = Journal(path, by="model m, prompt 1")
    with pytest.raises(InputError, match="'1' is 'red dress' there and 'blue' here"):
        journal.check((Pair(query_id="1", query="blue", doc_id="z"),))
    path.write_bytes(path.read_bytes() + b'{"grade": 1}\n')
    with pytest.raises(InputError, match=":2: no line of a journal"):
        read_journal(path)


# -- going through the pairs


@settings(max_examples=60)
@given(keys=st.lists(st.sampled_from(["0", "1", "2", "s", "b", "stop"]), max_size=40))
def test_a_sitting_asks_for_each_pair_once_whatever_is_pressed_and_whenever_it_is_left(
    keys: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("sitting") / "j"
    sitting = Sitting(PAIRS, journal=Journal(path, by=PERSON))
    expected: dict[str, int | None] = {}
    for key in keys:
        if key == "stop":
            sitting = Sitting(PAIRS, journal=Journal(path, by=PERSON))
            continue
        pair = sitting.current
        if key == "b":
            moved = sitting.back()
            assert moved or not expected or sitting.current == pair
            assert not moved or (sitting.current is not None and sitting.given)
        elif pair is not None:
            expected[pair.doc_id] = None if key == "s" else int(key)
            sitting.decide(expected[pair.doc_id])
            assert sitting.given == ""
    found = {decision.doc_id: decision.grade for decision in read_journal(path).values()}
    assert found == expected
    assert (sitting.done, sitting.left) == (len(expected), len(PAIRS) - len(expected))
    # What is open is asked for in the order of the pairs.
    rest = Sitting(PAIRS, journal=Journal(path, by=PERSON))
    for name in DOCUMENTS:
        if name not in expected:
            assert rest.current is not None
            assert rest.current.doc_id == name
            rest.decide(0)
    assert rest.current is None


def test_back_goes_through_what_was_judged_before_also_in_an_earlier_sitting(
    tmp_path: Path,
) -> None:
    first = Sitting(PAIRS, journal=Journal(tmp_path / "j", by=PERSON))
    for grade in (0, 1, None):
        first.decide(grade)
    second = Sitting(PAIRS, journal=Journal(tmp_path / "j", by=PERSON))
    told = []
    while second.back():
        assert second.current is not None
        told.append((second.current.doc_id, second.given))
    assert told == [("c", "skipped before"), ("b", "graded 1 before"), ("a", "graded 0 before")]
    second.decide(2)
    assert second.current == PAIRS[3]
    assert second.counts() == {"1": 1, "2": 1, "skipped": 1}
    again = Sitting(PAIRS, journal=Journal(tmp_path / "j", by=PERSON), again=True)
    assert again.current == PAIRS[2]


# -- the command


def test_each_document_is_shown_once_with_query_title_and_shortened_text(here: Path) -> None:
    result = _judge(keys="0\nx\n3\ns\nb\nb\n2\nm\n1\n1\n1\n")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "judged 5 of 5 (1 with grade 0, 2 with grade 1, 1 with grade 2, 1 skipped)",
        "kept in mine.csv.journal.ndjson, written to mine.csv",
    ]
    shown = result.stderr
    assert "0 not relevant   1 same subject   2 partly   3 just right" in shown
    assert "a grade from 0 to 3, or s, b, m, q" in shown
    assert "again: graded 3 before" in shown
    assert shown.count("more lines: m") >= 5
    # Neither systems nor ranks nor scores are seen.
    assert all(hint not in shown for hint in ("a.run", "b.run", "Q0", "rank", "score"))
    assert len(_kept()) == 5
    lines = (here / "mine.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "query,docid,rating"
    assert len(lines) == 1 + 4
    assert _judge(keys="3\n").stdout.splitlines()[0].startswith("judged 5 of 5")


def test_the_time_that_is_left_and_the_progress_are_told(here: Path) -> None:
    corpus = here / "set" / "corpus.jsonl"
    _write(corpus, "".join(f'{{"_id": "d{n}", "text": "t{n}"}}\n' for n in range(9)))
    run = "".join(f"1 Q0 d{n} {n} {9 - n} t\n" for n in range(9))
    _write(here / "a.run", run)
    _write(here / "b.run", run)
    shown = _judge(keys="1\n" * 6).stderr
    assert "7 of 9 · under a minute left" in shown
    assert "3 of 9 ──" in shown


@pytest.mark.usefixtures("here")
def test_it_goes_on_where_it_stopped_and_never_asks_again() -> None:
    first = _judge(keys="1\n2\nq\n")
    assert "judged 2 of 5" in first.stdout
    second = _judge(keys="0\n", target="mine.csv")  # the end of the input is an end, too
    assert "3 of 5" in second.stderr
    assert [grade for *_, grade in _kept()] == [1, 2, 0]
    _judge(keys="1\n1\n")
    assert sorted((query_id, doc_id) for query_id, doc_id, _ in _kept()) == [
        *(("1", name) for name in "abce"),
        ("2", "d"),
    ]
    assert "judged 5 of 5" in _judge().stdout


def test_only_what_nobody_judged_if_wanted_and_the_scale_that_is_wanted(here: Path) -> None:
    found = json.loads(_judge("--unjudged", "--output", "json", keys="q\n").stdout)
    assert (found["pairs"], found["left"], found["files"]) == (4, 4, [])
    assert not (here / "mine.csv").exists()
    result = _judge("--grades", "1", keys="2\n1\n")
    assert "0 not relevant   1 relevant" in result.stderr
    assert "a grade from 0 to 1" in result.stderr
    assert [grade for *_, grade in _kept()] == [1]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("set", r"set/queries.jsonl, set/qrels/test.tsv is there already"),
        ("mine.ndjson", "would be a query set, which holds no judgments"),
        ("mine.run", "judgments cannot be written as trec-run"),
        ("mine.pdf", "the name does not tell the format"),
    ],
)
def test_a_target_that_cannot_take_the_judgments_is_refused_before_anybody_judges(
    target: str, reason: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    assert main(["judgments", "judge", "set", target, "--run", "a.run"]) == 1
    assert reason in capsys.readouterr().err
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before


def test_queries_of_one_text_need_a_target_that_tells_them_apart(here: Path) -> None:
    _write(here / "set" / "queries.jsonl", '{"_id":"1","text":"x"}\n{"_id":"2","text":"x"}\n')
    assert "mine.csv knows queries by their text" in str(_judge().exception)
    assert _judge(keys="1\n1\n1\n1\n1\n", target="mine").exit_code == 0
    qrels = (here / "mine" / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines()
    assert qrels[1:] == ["1\ta\t1", "1\tb\t1", "1\tc\t1", "1\te\t1", "2\td\t1"]


def test_documents_without_a_text_and_other_gaps_are_told(here: Path) -> None:
    _write(here / "b.run", "1 Q0 zzz 1 1 t\n8 Q0 a 1 1 t\n")
    result = _judge("--output", "json", keys="1\n")
    found = json.loads(result.stdout)
    assert {f["kind"]: f["count"] for f in found["findings"]} == {
        "run_other_query": 1,
        "run_unknown_document": 1,
        "ids_lost": 1,
    }
    assert "warning: 1 x ranked documents that the corpus does not have: document 'zzz'" in (
        result.stderr
    )
    assert _judge("--strict").exit_code == 1
    _write(here / "a.csv", "query,docid,rating\nred dress,,\n")
    result = CliRunner().invoke(judgments, ["judge", "a.csv", "b.csv", "--run", "a.run"])
    assert "ids of the runs are such as '1'" in str(result.exception)


def test_a_text_cannot_steer_the_terminal(here: Path) -> None:
    hostile = json.dumps({"_id": "d", "title": "\x1b[2J[red]x", "text": "a\x1b]0;b\x07[/]c"})
    _write(here / "set" / "corpus.jsonl", hostile + "\n")
    shown = _judge(keys="q\n").stderr
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "[2J[red]x" in shown


@contextmanager
def _process(*, stdin: int, stderr: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "opensearch_funnel", "judgments", "judge", "set", "mine.csv"]
    runs = ["--run", "a.run", "--run", "b.run"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    with subprocess.Popen(
        [*command, *runs], stdin=stdin, stdout=subprocess.PIPE, stderr=stderr, env=environment
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.usefixtures("here")
def test_a_kill_loses_nothing() -> None:
    with _process(stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        process.stdin.write(b"1\n2\n")
        process.stdin.flush()
        _until(lambda: len(_kept()) == 2)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not Path("mine.csv").exists()
    assert "3 of 5" in _judge(keys="0\n").stderr
    assert [grade for *_, grade in _kept()] == [1, 2, 0]
    assert len(Path("mine.csv").read_text(encoding="utf-8").splitlines()) == 4


def _read_until(descriptor: int, wanted: bytes) -> None:
    found = b""
    while not found.endswith(wanted):
        assert select.select([descriptor], [], [], 120)[0], found
        found += os.read(descriptor, 1)


def _press(terminal: int, typist: int, key: bytes) -> None:
    # What is typed before it waits for a key, and not for a line, is thrown away.
    _until(lambda: not termios.tcgetattr(terminal)[3] & termios.ICANON)
    os.write(typist, key)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("end", "code"), [(b"q", 0), (b"\x04", 0), (b"\x03", 130)])
def test_on_a_terminal_a_key_counts_without_enter(end: bytes, code: int) -> None:
    leader, follower = pty.openpty()
    try:
        with _process(stdin=follower, stderr=follower) as process:
            _read_until(leader, b"> ")
            _press(follower, leader, b"3")
            _read_until(leader, b"> ")
            assert [grade for *_, grade in _kept()] == [3]
            _press(follower, leader, end)
            assert process.stdout is not None
            told = process.stdout.read().decode()
            assert process.wait() == code
    finally:
        os.close(leader)
        os.close(follower)
    assert ("judged 1 of 5 (1 with grade 3)" in told) == (code == 0)
    assert len(Path("mine.csv").read_text(encoding="utf-8").splitlines()) == 2
