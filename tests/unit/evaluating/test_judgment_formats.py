"""What each format's reader makes of a file, and what it tells about a bad one."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.documents.readers import read_documents
from opensearch_funnel.evaluating.formats.against import (
    judgments_against_corpus,
    run_against_corpus,
    run_against_judgments,
)
from opensearch_funnel.evaluating.formats.beir import read_beir
from opensearch_funnel.evaluating.formats.detecting import format_of_source, format_of_target
from opensearch_funnel.evaluating.formats.findings import Finding, Kind
from opensearch_funnel.evaluating.formats.ir_datasets_names import read_named
from opensearch_funnel.evaluating.formats.model import (
    JudgedQuery,
    Judgments,
    ReadJudgments,
    ReadRun,
    made_id,
)
from opensearch_funnel.evaluating.formats.quepid import read_quepid
from opensearch_funnel.evaluating.formats.reading import read_judgments
from opensearch_funnel.evaluating.formats.trec import read_trec
from opensearch_funnel.evaluating.formats.trec_run import read_run, run_files
from opensearch_funnel.evaluating.formats.workbench import read_workbench
from opensearch_funnel.evaluating.formats.workbench_queries import read_workbench_queries
from opensearch_funnel.evaluating.formats.writing import judgments_files, save

HEADER = "query-id\tcorpus-id\tscore\n"


def _file(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode())
    return path


def _beir(folder: Path, qrels: str, *, queries: int = 3) -> Path:
    lines = [json.dumps({"_id": f"q{n}", "text": f"query {n}"}) for n in range(queries)]
    _file(folder, "queries.jsonl", "\n".join(lines))
    _file(folder, "qrels/test.tsv", HEADER + qrels)
    return folder


def _counts(findings: tuple[Finding, ...]) -> dict[Kind, int]:
    return {finding.kind: finding.count for finding in findings}


def _grades(judgments: Judgments) -> dict[str, dict[str, str]]:
    return {
        query.text or query.query_id: {d: str(grade) for d, grade in query.grades.items()}
        for query in judgments.queries
    }


def test_what_is_odd_about_judgments_is_named_counted_and_has_its_line(tmp_path: Path) -> None:
    rows = (
        "q0\td1\t3.000\n"  # a whole number, written as text with decimals
        "q0\td2\t-1\n"
        "q0\td3\tgood\n"
        "q0\td1\t3\n"  # again, the same
        "q0\td2\t2\n"  # again, another
        "q9\td1\t1\n"  # no such query
    )
    read = read_beir(_beir(tmp_path, rows, queries=2))
    assert [str(finding) for finding in read.findings] == [
        "1 x whole grades written with decimals, read as whole numbers: line 2: '3.000'",
        "1 x negative grades, kept: line 3: -1 for document 'd2' of query 'q0'",
        "1 x grades that are no number, left out: line 4: 'good' for document 'd3' of query 'q0'",
        "1 x judgments given twice, kept once: line 5: document 'd1' of query 'q0'",
        (
            "1 x judgments given twice with different grades, the first kept: "
            "line 6: -1 and 2 for document 'd2' of query 'q0'"
        ),
        "1 x queries without judgments: query 'q1'",
        "1 x queries without a text: query 'q9'",
    ]
    q0 = read.judgments.queries[0]
    assert q0.grades == {"d1": 3, "d2": -1}
    faults = {finding.kind for finding in read.findings if not finding.is_fault}
    assert faults == {Kind.NEGATIVE_GRADE}


def test_only_the_first_examples_are_kept_and_all_are_counted(tmp_path: Path) -> None:
    read = read_beir(_beir(tmp_path, "".join(f"q0\td{n}\t1.0\n" for n in range(9)), queries=1))
    (finding,) = read.findings
    assert finding.count == 9
    assert finding.examples == ("line 2: '1.0'", "line 3: '1.0'", "line 4: '1.0'")
    assert str(finding).endswith("; …")


def test_queries_of_another_split_are_left_out_and_told(tmp_path: Path) -> None:
    folder = _beir(tmp_path, "q0\td1\t1\n")
    _file(folder, "qrels/train.tsv", HEADER + "q1\td1\t1\nq0\td2\t1\n")
    read = read_beir(folder)
    assert [query.query_id for query in read.judgments.queries] == ["q0", "q2"]
    assert _counts(read.findings) == {Kind.OTHER_SPLIT: 1, Kind.UNJUDGED: 1}
    assert [query.query_id for query in read_beir(folder, split="train").judgments.queries] == [
        "q0",
        "q1",
        "q2",
    ]


def test_trec_takes_texts_from_the_file_beside_it(tmp_path: Path) -> None:
    qrels = _file(tmp_path, "a.qrels", "1 0 d1 2\r\n1 0 d2 0\n\n2 Q0 d1 -2\n")
    read = read_trec(qrels)
    assert _grades(read.judgments) == {"1": {"d1": "2", "d2": "0"}, "2": {"d1": "-2"}}
    assert _counts(read.findings) == {Kind.NEGATIVE_GRADE: 1, Kind.NO_TEXT: 2}
    _file(tmp_path, "queries.tsv", "1\tred\tdress \n2\tgreen\n3\tblue\n1\tagain\n")
    read = read_trec(qrels)
    assert [query.text for query in read.judgments.queries] == ["red\tdress ", "green", "blue"]
    assert _counts(read.findings) == {
        Kind.REPEATED_QUERY: 1,
        Kind.NEGATIVE_GRADE: 1,
        Kind.UNJUDGED: 1,
    }
    other = _file(tmp_path, "texts.jsonl", '{"_id": 1, "text": "one"}\n{"_id": "2", "text": "two"}')
    assert [q.text for q in read_trec(qrels, queries=other).judgments.queries] == ["one", "two"]


def test_a_run_with_duplicates_and_scores_that_are_none_is_told(tmp_path: Path) -> None:
    rows = (
        "q1 Q0 a 1 9.5 bm25\n"
        "q1 Q0 b 2 nan bm25\n"
        "q1 Q0 a 3 8 bm25\n"
        "q1 Q0 c 4 inf bm25\n"
        "q1 Q0 d 5 1e-3 bm25\n"
        "q1 Q0 e 6 7 bm25\n"
        "q1 Q0 f 7 high bm25\n"
        "q2 Q0 a 1 1 bm25\n"
    )
    read = read_run(_file(tmp_path, "a.run", rows))
    assert _counts(read.findings) == {
        Kind.RUN_SCORE: 3,
        Kind.RUN_REPEATED: 1,
        Kind.RUN_ORDER: 1,
    }
    assert read.findings[0].examples[0] == "line 2: nan for document 'b' of query 'q1'"
    assert [d.doc_id for d in read.run.rankings["q1"]] == ["a", "e", "d"]
    assert run_files(read.run, tmp_path / "b.run")[tmp_path / "b.run"] == (
        "q1 Q0 a 1 9.5 bm25\nq1 Q0 e 2 7.0 bm25\nq1 Q0 d 3 0.001 bm25\nq2 Q0 a 1 1.0 bm25\n"
    )


def test_equal_scores_are_in_the_order_of_trec_eval(tmp_path: Path) -> None:
    read = read_run(_file(tmp_path, "a.run", "q 0 b 1 1 x\nq 0 a 2 1 x\nq 0 c 3 1 x\n"))
    assert read.run.doc_ids["q"] == ("c", "b", "a")
    assert _counts(read.findings) == {Kind.RUN_TIE: 1}
    clean = tmp_path / "b.run"
    save(run_files(read.run, clean))
    assert read_run(clean) == ReadRun(read.run, ())


def test_documents_and_queries_that_are_not_there_are_told(tmp_path: Path) -> None:
    folder = _beir(tmp_path, "q0\td1\t1\nq0\tgone\t1\nq1\tgone\t0\n", queries=2)
    corpus = _file(folder, "corpus.jsonl", '{"_id": "d1", "text": "a"}')
    ids = {document.doc_id for document in read_documents(corpus)}
    judgments = read_beir(folder).judgments
    (unknown,) = judgments_against_corpus(judgments, ids)
    assert (unknown.kind, unknown.count) == (Kind.UNKNOWN_DOCUMENT, 2)
    assert unknown.examples[0] == "document 'gone' of query 'q0'"
    run = read_run(_file(tmp_path, "a.run", "q0 0 d1 1 2 x\nq0 0 d7 2 1 x\nq5 0 d1 1 1 x\n")).run
    assert _counts(run_against_corpus(run, ids)) == {Kind.RUN_UNKNOWN_DOCUMENT: 1}
    assert _counts(run_against_judgments(run, judgments)) == {
        Kind.RUN_UNJUDGED: 1,
        Kind.NOT_IN_RUN: 1,
    }


def test_quepids_basic_export(tmp_path: Path) -> None:
    export = (
        "\ufeffquery,docid,rating\r\n"
        '"dress, ""red""",1,3\r\n'
        '"dress, ""red""",2,0.5\r\n'
        "star\r\n"
        "trek,,\r\n"
        "trek,9,\r\n"
        " -minus,4,1\r\n"
        '"two\nlines",5,3.000\r\n'
    )
    read = read_quepid(_file(tmp_path, "a.csv", export))
    assert _grades(read.judgments) == {
        'dress, "red"': {"1": "3", "2": "0.5"},
        "star": {},
        "trek": {},
        "-minus": {"4": "1"},
        "two\nlines": {"5": "3.000"},
    }
    assert _counts(read.findings) == {
        Kind.UNRATED: 1,
        Kind.SPACE_BEFORE_SIGN: 1,
        Kind.UNJUDGED: 2,
    }
    assert read.findings[0].examples == ("line 6: document '9' of query 'trek'",)
    assert read.judgments.made_ids
    assert read.judgments.queries[1].query_id == made_id("star")


def test_quepids_detailed_export(tmp_path: Path) -> None:
    export = (
        "Team Name,Case Name,Case ID,Query Text,Doc ID,Doc Position,Title,Rating,thumb\r\n"
        'Us,Films,7,say ""hi"",12,1,"One, two",2,x\r\n'
        'Us,Films,7,say ""hi"",13,2,Three,,x\r\n'
        'Us,Films,7, "-a,b",14,1,Four,1,x\r\n'
        "Us,Films,7,nothing\r\n"
    )
    read = read_quepid(_file(tmp_path, "a.csv", export))
    assert _grades(read.judgments) == {
        'say "hi"': {"12": "2"},
        "-a,b": {"14": "1"},
        "nothing": {},
    }
    assert _counts(read.findings) == {Kind.NOT_KEPT: 6, Kind.UNRATED: 1, Kind.UNJUDGED: 1}
    assert read.findings[0].examples[0] == "line 1: column 'Team Name'"


def test_what_no_model_holds_is_told(tmp_path: Path) -> None:
    def told(read: ReadJudgments | ReadRun) -> list[str]:
        [found] = [one for one in read.findings if one.kind is Kind.NOT_KEPT]
        assert not found.is_fault
        return list(found.examples)

    body = {
        "id": "7f",
        "type": "LLM_JUDGMENT",
        "judgmentRatings": [
            {"query": "red", "note": "x", "ratings": [{"docId": "a", "rating": "1"}]}
        ],
    }
    read = read_workbench(_file(tmp_path, "a.json", json.dumps(body)))
    assert told(read) == ["field 'id'", "type 'LLM_JUDGMENT'", "field 'note'"]
    queries = {"sampling": "random", "querySetQueries": [{"queryText": "red"}], "status": "x"}
    asked = read_workbench_queries(_file(tmp_path, "b.json", json.dumps(queries)))
    assert told(asked) == ["field 'status'", "sampling 'random'"]
    qrels = _file(tmp_path, "c.qrels", "q1 0 a 1\nq1 2 b 1\n")
    assert told(read_trec(qrels)) == ["line 2: iteration '2'"]
    run = read_run(_file(tmp_path, "d.run", "q1 Q0 a 1 2 one\nq1 Q0 b 2 1 two\n"))
    assert told(run) == ["line 2: another name of the run, 'two'"]
    assert run.run.tag == "one"


WORKBENCH = {
    "name": "Ours",
    "description": "By hand",
    "type": "IMPORT_JUDGMENT",
    "judgmentRatings": [
        {
            "query": "red dress",
            "ratings": [
                {"docId": "a", "rating": "1.000"},
                {"docId": "b", "rating": "0.12345"},
                {"docId": "c", "rating": "3.000"},
            ],
        },
        {"query": "blue", "ratings": []},
    ],
}


def test_a_rating_of_the_workbench_is_text_and_keeps_its_decimals(tmp_path: Path) -> None:
    read = read_workbench(_file(tmp_path, "a.json", json.dumps(WORKBENCH)))
    assert read.judgments.queries[0].grades == {"a": 1, "b": Decimal("0.12345"), "c": 3}
    assert _counts(read.findings) == {Kind.TEXT_GRADE: 3, Kind.UNJUDGED: 1}
    assert "'3.000' for document 'c'" in read.findings[0].examples
    written = judgments_files(read.judgments, tmp_path / "b.json", format="workbench")
    assert json.loads(written.files[tmp_path / "b.json"]) == WORKBENCH


def test_an_answer_of_the_workbench_is_read_and_numbers_are_taken(tmp_path: Path) -> None:
    source = {
        "judgmentRatings": [
            {
                "query": "tv",
                "ratings": [
                    {"docId": "1", "rating": 0.1},
                    {"docId": "2", "rating": 2},
                    {"docId": "3", "rating": None},
                    {"docId": "4", "rating": "good"},
                    {"docId": "1", "rating": "0.100"},
                ],
            },
            {"query": "tv", "ratings": [{"docId": "1", "rating": "7"}]},
        ]
    }
    answer = {"hits": {"total": {"value": 1}, "hits": [{"_source": source}]}}
    read = read_workbench(_file(tmp_path, "a.json", json.dumps(answer)))
    assert _grades(read.judgments) == {"tv": {"1": "0.1", "2": "2"}}
    assert _counts(read.findings) == {
        Kind.UNRATED: 1,
        Kind.TEXT_GRADE: 3,
        Kind.NO_GRADE: 1,
        Kind.REPEATED: 1,
        Kind.REPEATED_QUERY: 1,
        Kind.CONFLICT: 1,
    }


@pytest.mark.parametrize("name", ["set.ndjson", "set.json"])
def test_a_query_set_of_the_workbench_keeps_its_fields(tmp_path: Path, name: str) -> None:
    entries = [
        {"queryText": "red dress", "referenceAnswer": "a dress, red", "color": "red"},
        {"queryText": "blue", "referenceAnswer": None},
    ]
    content = (
        json.dumps({"name": "n", "querySetQueries": entries})
        if name.endswith(".json")
        else "\n".join(map(json.dumps, entries))
    )
    read = read_workbench_queries(_file(tmp_path, name, content))
    assert [(query.text, dict(query.fields)) for query in read.judgments.queries] == [
        ("red dress", {"referenceAnswer": "a dress, red", "color": "red"}),
        ("blue", {}),
    ]
    again = judgments_files(read.judgments, tmp_path / name, format="workbench-queries")
    save(again.files, replacing=True)
    assert read_workbench_queries(tmp_path / name).judgments.queries == read.judgments.queries


BROKEN = [
    ("a.qrels", "1 0 d1\n", "trec", "a.qrels:1: 3 columns; expected query id, 0"),
    ("a.csv", "query,rating\nx,1\n", "quepid", "a.csv:1: no column for 'docid'"),
    ("a.csv", 'query,docid,rating\n"x,1,2\n', "quepid", "a.csv:2: not a valid row"),
    ("a.json", '{"judgmentRatings": [\n{]}', "workbench", "a.json:2: not valid JSON"),
    ("a.json", '{"judgmentRatings": 3}', "workbench", "expected a list 'judgmentRatings'"),
    ("a.json", '{"judgmentRatings": [{}]}', "workbench", "judgmentRatings[0]: expected query"),
    (
        "a.json",
        '{"judgmentRatings": [{"query": "a", "ratings": [{"rating": "1"}]}]}',
        "workbench",
        "judgmentRatings[0]: a rating without a docId",
    ),
    ("a.json", '{"hits": {"hits": []}}', "workbench", "expected an answer with one list"),
    ("a.json", "[]", "workbench", "expected a JSON object, found a list"),
    ("a.ndjson", '{"query": "a"}', "workbench-queries", "query 1: expected an object"),
    ("a.run", "", "trec-run", "is a run, which has rankings and no judgments"),
    ("a.x", "", "magic", "unknown format 'magic'"),
]


@pytest.mark.parametrize(("name", "content", "format_name", "message"), BROKEN)
def test_a_broken_file_is_refused_by_its_place(
    tmp_path: Path, name: str, content: str, format_name: str, message: str
) -> None:
    path = _file(tmp_path, name, content)
    with pytest.raises(InputError) as caught:
        read_judgments(str(path), format=format_name)
    assert message in str(caught.value)


def test_a_broken_run_or_file_of_queries_is_refused_by_its_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.run:2: 5 columns"):
        read_run(_file(tmp_path, "a.run", "q Q0 d 1 1 t\nq Q0 d 1 1\n"))
    qrels = _file(tmp_path, "a.qrels", "1 0 d 1\n")
    with pytest.raises(InputError, match=r"t\.tsv:1: expected query id, a tab"):
        read_trec(qrels, queries=_file(tmp_path, "t.tsv", "1 red\n"))
    _file(tmp_path, "f/queries.jsonl", '{"_id": "q", "text": "a"}')
    _file(tmp_path, "f/qrels/test.tsv", "q\td\t1\n")
    with pytest.raises(InputError, match=r"test\.tsv:1: expected a header line"):
        read_beir(tmp_path / "f")


DETECTED = [
    ("a.txt", "1 0 d1 2\n", "trec"),
    ("a.txt", "{1} 0 d1 2\n", "trec"),
    ("a.txt", "q 0 d 1 0.3 tag\n", "trec-run"),
    ("a.txt", "query,docid,rating\n", "quepid"),
    ("a.txt", "Team Name;Query Text;Doc ID;Rating\n", "quepid"),
    ("a.txt", json.dumps(WORKBENCH), "workbench"),
    ("a.txt", json.dumps(WORKBENCH, indent=1), "workbench"),
    ("a.txt", '{"queryText": "a"}\n{"queryText": "b"}', "workbench-queries"),
    ("a.txt", '{\n"querySetQueries": []}', "workbench-queries"),
]


@pytest.mark.parametrize(("name", "content", "expected"), DETECTED)
def test_content_tells_a_format(tmp_path: Path, name: str, content: str, expected: str) -> None:
    assert format_of_source(str(_file(tmp_path, name, content))).format == expected


def test_a_name_tells_a_format_and_what_tells_nothing_is_said(tmp_path: Path) -> None:
    assert format_of_source(str(_beir(tmp_path / "b", ""))).format == "beir"
    assert format_of_source("irds:beir/scifact").format == "ir-datasets"
    with pytest.raises(InputError, match="neither name nor content"):
        format_of_source(str(_file(tmp_path, "a.txt", "good morning to you\n")))
    with pytest.raises(InputError, match="neither name nor content"):
        format_of_source(str(_file(tmp_path, "empty", "")))
    with pytest.raises(InputError, match="name the folder, and its --split"):
        format_of_source(str(tmp_path / "b" / "qrels" / "test.tsv"))
    with pytest.raises(InputError, match=r"has no queries\.jsonl"):
        format_of_source(str(tmp_path))
    with pytest.raises(InputError, match="--to-format"):
        format_of_target(Path("a.bin"))


def _judged(
    *grades: str, text: str | None = "red", query_id: str = "q1", doc_id: str = "d"
) -> Judgments:
    given = {f"{doc_id}{place}": Decimal(grade) for place, grade in enumerate(grades)}
    return Judgments(queries=(JudgedQuery(query_id=query_id, text=text, grades=given),))


def test_grades_that_are_not_whole_are_refused_or_rounded_and_counted(tmp_path: Path) -> None:
    judgments = _judged("0.5", "2.000", "1.4")
    for format_name in ("beir", "trec"):
        with pytest.raises(InputError, match=r"2 grades are no whole numbers, such as 0\.5"):
            judgments_files(judgments, tmp_path / "x", format=format_name)
    written = judgments_files(judgments, tmp_path / "x", format="trec", rounding=True)
    assert written.files[tmp_path / "x"] == "q1 0 d0 1\nq1 0 d1 2\nq1 0 d2 1\n"
    assert _counts(written.findings) == {Kind.ROUNDED_GRADE: 2}


REFUSED = [
    ("beir", _judged("1", text=None), "has no text, which queries.jsonl needs"),
    ("beir", _judged("1", doc_id="a\tb"), "has a tab or a line's end"),
    ("trec", _judged("1", query_id="q 1"), "has white space, which TREC"),
    ("trec", _judged("1", text="two\nlines"), "has a line's end, which queries.tsv"),
    ("quepid", _judged("1", text=None), "has no text, which Quepid"),
    ("quepid", _judged("1", text=" =1"), "a space before a sign"),
    ("quepid", _judged("1", text="a\rb"), "a carriage return"),
    ("workbench", _judged("1", text=None), "has no text, which the Workbench"),
    ("workbench-queries", _judged(text='say "hi"'), "the Workbench refuses quotes"),
    ("workbench-queries", _judged(text="x" * 2001), "the Workbench refuses quotes"),
    ("trec-run", _judged("1"), "judgments cannot be written as trec-run"),
]


@pytest.mark.parametrize(("format_name", "judgments", "message"), REFUSED)
def test_what_a_format_cannot_hold_is_refused(
    tmp_path: Path, format_name: str, judgments: Judgments, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        judgments_files(judgments, tmp_path / "x", format=format_name)  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_queries_of_one_text_are_put_together_or_refused_where_they_disagree(
    tmp_path: Path,
) -> None:
    first = JudgedQuery(query_id="1", text="red", grades={"a": Decimal(1)})
    second = JudgedQuery(query_id="2", text="red", grades={"b": Decimal(2)})
    third = JudgedQuery(query_id="3", text="red", grades={"b": Decimal(0)})
    written = judgments_files(Judgments(queries=(first, second)), tmp_path / "a", format="quepid")
    assert written.files[tmp_path / "a"] == "query,docid,rating\nred,b,2\nred,a,1\n"
    assert _counts(written.findings) == {Kind.IDS_LOST: 2, Kind.SAME_TEXT: 1}
    with pytest.raises(InputError, match="'1' and '3' have the same text and give document 'b'"):
        judgments_files(Judgments(queries=(first, second, third)), tmp_path, format="workbench")


def test_what_is_lost_is_told(tmp_path: Path) -> None:
    query = JudgedQuery(query_id="1", text="red", grades={"a": Decimal(1)}, fields={"x": "y"})
    judgments = Judgments(queries=(query,), made_ids=True, name="Ours")
    for format_name, lost in (
        ("quepid", {Kind.NAME_LOST: 1, Kind.FIELDS_LOST: 1}),
        ("trec", {Kind.NAME_LOST: 1, Kind.FIELDS_LOST: 1}),
        ("workbench", {Kind.FIELDS_LOST: 1}),
        ("workbench-queries", {Kind.JUDGMENTS_LOST: 1}),
        ("beir", {Kind.NAME_LOST: 1}),
    ):
        written = judgments_files(judgments, tmp_path / "a.x", format=format_name)  # type: ignore[arg-type]
        assert _counts(written.findings) == lost


def test_files_are_replaced_only_when_told(tmp_path: Path) -> None:
    there = _file(tmp_path, "there", "old")
    with pytest.raises(InputError, match="is there already"):
        save({there: "new", tmp_path / "other": "x"})
    assert there.read_text() == "old"
    assert not (tmp_path / "other").exists()
    save({there: "new\r\n", tmp_path / "sub" / "other": "x"}, replacing=True)
    assert there.read_bytes() == b"new\r\n"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["other", "sub", "there"]
    with pytest.raises(InputError, match="cannot be written"):
        save({there / "below": "x"})


IR_DATASETS = """
from collections import namedtuple

Text = namedtuple("Text", "query_id text")
Topic = namedtuple("Topic", "query_id title description")
Qrel = namedtuple("Qrel", "query_id doc_id relevance iteration")

class Judged:
    def queries_iter(self):
        return iter([Text("1", "red"), Topic("2", "blue", "what is blue")])
    def qrels_iter(self):
        return iter([Qrel("1", "a", 2, "0"), Qrel("2", "b", -1, "0"), Qrel("3", "a", 1, "0")])

class Documents:
    pass

class Offline(Judged):
    def qrels_iter(self):
        raise ConnectionError("no route\\nto host")

def load(name):
    return {"set/test": Judged, "set": Documents, "set/far": Offline}[name]()
"""


def test_names_of_ir_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The package is not installed here: a module with what its documentation says it gives.
    _file(tmp_path, "ir_datasets.py", IR_DATASETS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "ir_datasets", raising=False)
    read = read_named("irds:set/test")
    assert _grades(read.judgments) == {"red": {"a": "2"}, "blue": {"b": "-1"}, "3": {"a": "1"}}
    assert _counts(read.findings) == {Kind.NEGATIVE_GRADE: 1, Kind.NO_TEXT: 1}
    for name, message in (
        ("none", "ir_datasets has no set 'none'"),
        ("set", "has no queries or no judgments"),
        ("set/far", "the files of 'set/far' cannot be had \\(no route to host\\)"),
    ):
        with pytest.raises(InputError, match=message):
            read_named(name)
