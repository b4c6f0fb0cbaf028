"""``funnel compare`` on run files, as a user calls it: no cluster is there."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import rich_click as click
from click.testing import CliRunner, Result

from opensearch_funnel.cli.compare import compare
from opensearch_funnel.cli.main import main
from opensearch_funnel.evaluating.comparing import Verdict
from opensearch_funnel.evaluating.difference_plot import draw_differences
from opensearch_funnel.evaluating.differences import Difference
from opensearch_funnel.evaluating.formats.trec_run import write_runs
from opensearch_funnel.evaluating.measures import Measure
from opensearch_funnel.evaluating.significance import outcomes

NASTY = "<b>fish & chips</b> | $x_2$ 魚"


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Thirty queries, each with a good and a bad document, and two runs."""
    folder = tmp_path / "films"
    (folder / "qrels").mkdir(parents=True)
    corpus = [{"_id": one, "title": "t", "text": "t"} for one in ("good", "bad", "x")]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)))
    ids = [f"q{number:02d}" for number in range(30)]
    lines = [json.dumps({"_id": one, "text": f"{NASTY} {one}"}) for one in ids]
    (folder / "queries.jsonl").write_text("\n".join(lines), encoding="utf-8")
    grades = "".join(f"{one}\tgood\t1\n{one}\tbad\t-1\n" for one in ids)
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{grades}")
    old = {one: ["bad", "good"] for one in ids}
    new = {**{one: ["good", "bad"] for one in ids}, "q05": ["bad", "x"]}
    write_runs({"old": old, "new": new, "hybrid": new}, tmp_path / "runs")
    return folder


def called(*arguments: str | Path) -> Result:
    return CliRunner().invoke(compare, [*map(str, arguments)])


def found(*arguments: str | Path) -> dict[str, Any]:
    result = called(*arguments, "--output", "json")
    assert result.exit_code == 0, result.output
    plain: dict[str, Any] = json.loads(result.stdout)
    return plain


def test_run_files_are_compared_without_a_cluster(films: Path) -> None:
    runs = films.parent / "runs"
    plain = found(runs / "old.run", runs / "new.run", "--dataset", films, "--measures", "MRR@10")
    assert list(plain["systems"]) == ["old", "new"]
    verdict = plain["differences"]["new - old"]["MRR@10"]
    assert verdict["difference"] == pytest.approx((29 * 0.5 - 0.5) / 30, abs=1e-6)
    assert (verdict["wins"], verdict["ties"], verdict["losses"]) == (29, 0, 1)
    assert verdict["verdict"] == "better"
    assert [one["query_id"] for one in plain["moved"]["new - old"]["lost"]] == ["q05"]
    assert plain["degraded"] == 0


def test_the_same_call_prints_the_same(films: Path) -> None:
    runs = films.parent / "runs"
    arguments = (runs / "old.run", runs / "new.run", "--dataset", films)
    for output in ("table", "markdown", "json"):
        first, second = (called(*arguments, "--output", output).stdout for _ in range(2))
        assert first == second
        assert "nDCG@10" in first


def test_files_are_named_as_shortly_as_tells_them_apart(films: Path) -> None:
    runs = films.parent / "runs"
    other = films.parent / "old.run"
    other.write_bytes((runs / "new.run").read_bytes())
    plain = found(runs / "old.run", other, runs / "hybrid.run", "--dataset", films)
    assert list(plain["systems"]) == [str(runs / "old.run"), str(other), "hybrid"]


def test_an_html_report_stands_alone(films: Path) -> None:
    runs, report = films.parent / "runs", films.parent / "new" / "report.html"
    result = called(
        runs / "old.run", runs / "new.run", "--dataset", films, "--report", report, "--moved", "1"
    )
    assert result.exit_code == 0, result.output
    assert f"written: {report}" in result.stderr
    html = report.read_text(encoding="utf-8")
    assert "&lt;b&gt;fish &amp; chips&lt;/b&gt; | $x_2$ 魚 q05" in html
    assert "<b>" not in html
    sources = re.findall(r'(?:src|href)="([^"]*)"', html)
    # One drawing for each measure, and nothing else is loaded.
    assert len(sources) == 2
    for source in sources:
        head, _, svg = source.partition(",")
        assert head == "data:image/svg+xml;base64"
        drawn = ET.fromstring(base64.b64decode(svg))  # noqa: S314 - our own drawing
        assert drawn.tag.endswith("svg")
    assert [path.name for path in report.parent.iterdir()] == ["report.html"]


def test_what_is_odd_is_named_and_counted(films: Path) -> None:
    runs = films.parent / "runs"
    with (films / "qrels" / "test.tsv").open("a") as qrels:
        qrels.write("q00\tgone\t3.000\nq00\tgood\t1\n")
    with (films / "queries.jsonl").open("a") as queries:
        queries.write('\n{"_id": "alone", "text": "nobody judged this"}')
    tied = runs / "tied.run"
    tied.write_text("q00 Q0 bad 1 1 x\nq00 Q0 good 2 1 x\nq00 Q0 lost 3 1 x\nq01 Q0 x 1 1 x\n")
    arguments = (tied, runs / "new.run", "--dataset", films)
    printed = called(*arguments).stderr
    kinds = [line.rpartition(" x ")[0] for line in printed.splitlines()]
    assert kinds == ["warning: 1"] * 4 + [f"note: {tied}: 2", f"warning: {tied}: 1"]
    plain = found(*arguments)
    told = {one["kind"]: (one["count"], one["examples"]) for one in plain["findings"]}
    assert told == {
        "decimal_grade": (1, ["line 62: '3.000' for document 'gone' of query 'q00'"]),
        "negative_grade": (
            30,
            [f"line {n}: -1 for document 'bad' of query 'q0{n // 2 - 1}'" for n in (3, 5, 7)],
        ),
        "repeated": (1, ["line 63: document 'good' of query 'q00'"]),
        "unjudged": (1, ["query 'alone'"]),
        "unknown_document": (1, ["document 'gone' of query 'q00'"]),
    }
    of_run = {one["kind"]: one["count"] for one in plain["run_findings"][str(tied)]}
    assert of_run == {"run_tie": 2, "run_unknown_document": 1}
    assert plain["run_findings"][str(runs / "new.run")] == []
    assert plain["notes"] == [
        "tied: 28 of 30 queries have no results and count as 0: q02, q03, q04, …"
    ]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("q00 Q0 good 3 0.1 x", "1 x documents twice in one ranking, the first kept: line 61"),
        ("q00 Q0 new 3 nan x", "1 x scores that are no finite number of single precision"),
    ],
)
def test_nothing_is_measured_of_a_broken_run(
    films: Path, capsys: pytest.CaptureFixture[str], line: str, told: str
) -> None:
    runs = films.parent / "runs"
    with (runs / "old.run").open("a") as broken:
        broken.write(f"{line}\n")
    given = [str(runs / "old.run"), str(runs / "new.run"), "--dataset", str(films)]
    assert main(["compare", *given]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"error: {runs / 'old.run'}: {told}")
    assert printed.err.count("\n") == 1


def test_a_report_on_thousands_of_queries_stays_small() -> None:
    rng = Random(1)  # noqa: S311 - nothing secret
    values = {f"q{number}": rng.gauss(0.05, 0.2) for number in range(20_000)}
    measure = Measure("nDCG", 10)
    difference = Difference(system="new", reference="old", values={measure: values})
    verdict = Verdict(
        difference=difference,
        measure=measure,
        p=0.01,
        corrected_p=0.01,
        effect=0.25,
        outcomes=outcomes(values),
    )
    svg = draw_differences(verdict)
    assert len(svg) < 25_000
    # Names and figures are text: their letters are not drawn, and their digits are all there.
    assert f">mean: {difference.mean(measure):+.4f}<".encode() in svg


def test_run_files_say_why_in_ranks_alone(films: Path) -> None:
    runs = films.parent / "runs"
    arguments = (runs / "old.run", runs / "new.run", "--dataset", films, "--moved", "1")
    note = (
        "Why is told in ranks alone: run files, and systems of one leg, have no stages to be asked."
    )
    shown = called(*arguments).stdout
    assert "why: good (1) rose from 2 to 1\n" in shown
    assert "why: good (1) fell out from 2\n" in shown
    assert shown.endswith(f"\n{note}\n")
    plain = found(*arguments)
    assert plain["why_note"] == note
    [lost] = plain["moved"]["new - old"]["lost"]
    assert lost["deciding"] == [
        {"id": "good", "grade": 1, "reference_rank": 2, "system_rank": None}
    ]
    text = called(*arguments, "--output", "markdown").stdout
    assert note in text
    assert "| query | document (grade) | rank |\n" in text
    assert "| q05 | good (1) | 2 → - |\n" in text


def test_a_markdown_report_has_its_drawings_beside_it(films: Path) -> None:
    runs, report = films.parent / "runs", films.parent / "report.md"
    arguments = (runs / "old.run", runs / "new.run", "--dataset", films, "--report", report)
    assert called(*arguments).exit_code == 0
    text = report.read_text(encoding="utf-8")
    names = re.findall(r"!\[[^\]]*\]\(<([^>]*)>\)", text)
    assert names == ["report-1.svg", "report-2.svg"]
    before = [(films.parent / name).read_bytes() for name in names]
    assert all(svg.startswith(b"<?xml") for svg in before)
    assert called(*arguments).exit_code == 0
    assert [(films.parent / name).read_bytes() for name in names] == before
    assert report.read_text(encoding="utf-8") == text


def test_identical_runs_have_a_report(films: Path) -> None:
    runs, report = films.parent / "runs", films.parent / "report.html"
    arguments = (runs / "new.run", runs / "hybrid.run", "--dataset", films, "--report", report)
    assert called(*arguments).exit_code == 0
    html = report.read_text(encoding="utf-8")
    assert "0/30/0" in html
    assert "gained most" not in html


def test_a_report_without_matplotlib_is_refused_in_one_line(films: Path) -> None:
    runs, report = films.parent / "runs", films.parent / "report.html"
    given = [runs / "old.run", runs / "new.run", "--dataset", films, "--report", report]
    program = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from opensearch_funnel.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "compare", *map(str, given)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = "error: matplotlib is not installed: pip install 'opensearch-funnel[evaluation]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("old.run",), "name two systems or run files"),
        (("old.run", "old.run"), "is named twice"),
        (("old.run", "bm26"), "'bm26' is neither a file nor a system; systems are: bm25"),
        (("old.run", "missing.run"), "'missing.run' is neither a file nor a system"),
        (("old.run", "new.run", "--measures", "nDCG"), "no measure 'nDCG'"),
        (("old.run", "new.run", "--output", "yaml"), "'yaml' is not one of"),
        (("old.run", "new.run", "--moved", "-1"), "-1 is not in the range"),
    ],
)
def test_a_call_that_cannot_be_understood_is_refused(
    films: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], fault: str
) -> None:
    monkeypatch.chdir(films.parent / "runs")
    result = called(*arguments, "--dataset", films)
    assert result.exit_code == 2
    assert fault in " ".join(click.unstyle(result.stderr).replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("old.run", "broken.run"), "broken.run:1: 2 columns"),
        (("old.run", "others.run"), "others ranks no query of split 'test' of films"),
        (("old.run", "runs"), "runs is a folder"),
        (("old.run", "new.run", "--split", "dev"), "dev.tsv is missing; there are: test"),
        (("old.run", "new.run", "--report", "x.pdf"), "x.pdf is no report: end it with .md or"),
    ],
)
def test_input_that_cannot_be_used_is_named_in_one_line(
    films: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    fault: str,
) -> None:
    folder = films.parent / "runs"
    monkeypatch.chdir(folder)
    (folder / "broken.run").write_text("q00 good\n")
    (folder / "others.run").write_text("other Q0 good 1 1.0 x\n")
    (folder / "runs").mkdir()
    assert main(["compare", *arguments, "--dataset", str(films)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert fault in printed.err
    assert printed.err.count("\n") == 1


def test_a_report_that_cannot_be_written_leaves_the_figures_printed(
    films: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = films.parent / "runs"
    report = runs / "old.run" / "report.html"
    given = [str(runs / "old.run"), str(runs / "new.run"), "--dataset", str(films)]
    assert main(["compare", *given, "--report", str(report)]) == 1
    printed = capsys.readouterr()
    assert "new over old" in printed.out
    assert "error: cannot write" in printed.err
