"""Runs compared: figures, verdicts, and the queries that moved."""

from __future__ import annotations

from pathlib import Path

import pytest

from opensearch_funnel.cli.comparison_lines import comparison_lines
from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.evaluating.comparing import compare
from opensearch_funnel.evaluating.comparison_page import markdown
from opensearch_funnel.evaluating.datasets import Dataset
from opensearch_funnel.evaluating.measures import Measure

RECIPROCAL, SUCCESS = Measure("MRR", 10), Measure("Success", 1)
MEASURES = (RECIPROCAL, SUCCESS)


def dataset(queries: int) -> Dataset:
    ids = [f"q{number:02d}" for number in range(queries)]
    return Dataset(
        name="films",
        split="test",
        corpus=Path("corpus.jsonl"),
        queries=tuple(Query(text=f"text of {query_id}", query_id=query_id) for query_id in ids),
        qrels={query_id: {"good": 2, "bad": 0} for query_id in ids},
        skipped_queries=0,
    )


TWENTY = dataset(20)
FIRST = {query.query_id: ["good", "bad", "x"] for query in TWENTY.queries}
SECOND = {query_id: ["bad", "good"] for query_id in FIRST}


def test_a_system_that_is_better_on_every_query_is_called_better() -> None:
    plain = compare({"old": SECOND, "new": FIRST}, TWENTY, measures=MEASURES).to_json()
    assert plain["systems"]["old"]["MRR@10"] == 0.5
    assert plain["systems"]["old"]["intervals"]["MRR@10"] == [0.5, 0.5]
    assert plain["systems"]["new"]["judged@10"] == pytest.approx(2 / 3, abs=1e-6)
    [pair] = plain["differences"]
    assert pair == "new - old"
    found = plain["differences"][pair]["MRR@10"]
    assert (found["difference"], found["interval"]) == (0.5, [0.5, 0.5])
    assert found["p"] == 1 / 20_001
    # The same p twice: the smallest is doubled, and the other takes that over.
    assert found["corrected_p"] == plain["differences"][pair]["Success@1"]["corrected_p"]
    assert found["corrected_p"] == 2 / 20_001
    assert (found["wins"], found["ties"], found["losses"], found["changed"]) == (20, 0, 0, 1.0)
    assert found["cohens_d"] is None
    assert found["verdict"] == "better"
    back = compare({"new": FIRST, "old": SECOND}, TWENTY, measures=MEASURES).to_json()
    assert back["differences"]["old - new"]["MRR@10"]["verdict"] == "worse"


def test_identical_runs_differ_in_nothing() -> None:
    plain = compare({"a": FIRST, "b": dict(FIRST)}, TWENTY, measures=MEASURES).to_json()
    for found in plain["differences"]["b - a"].values():
        assert (found["p"], found["corrected_p"], found["cohens_d"]) == (1.0, 1.0, 0.0)
        assert (found["difference"], found["interval"]) == (0.0, [0.0, 0.0])
        assert (found["wins"], found["ties"], found["losses"]) == (0, 20, 0)
        assert found["verdict"] == "not shown"
    assert plain["moved"]["b - a"] == {"measure": "MRR@10", "gained": [], "lost": []}


def test_one_query_shows_nothing() -> None:
    runs = {"a": {"q00": ["bad"]}, "b": {"q00": ["good"]}}
    plain = compare(runs, dataset(1), measures=MEASURES).to_json()
    found = plain["differences"]["b - a"]["MRR@10"]
    assert (found["difference"], found["p"], found["cohens_d"]) == (1.0, 1.0, None)
    assert found["verdict"] == "not shown"


def test_every_pair_is_compared_and_corrected_for_all_of_them() -> None:
    plain = compare({"a": SECOND, "b": FIRST, "c": SECOND}, TWENTY, measures=MEASURES).to_json()
    assert list(plain["differences"]) == ["b - a", "c - a", "c - b"]
    corrected = [pair["MRR@10"]["corrected_p"] for pair in plain["differences"].values()]
    # Of six p, four are the smallest that can be, and two are 1.
    assert corrected == [6 / 20_001, 1.0, 6 / 20_001]


def test_the_queries_that_moved_most_say_what_each_system_did() -> None:
    new = dict(SECOND)
    new["q03"] = ["good"]
    new["q07"] = ["x", "y", "z", "good"]
    del new["q09"]
    [moves] = compare({"old": SECOND, "new": new}, TWENTY, measures=MEASURES, moved=2).moves
    assert [move.query.query_id for move in moves.gained] == ["q03"]
    assert [move.query.query_id for move in moves.lost] == ["q09", "q07"]
    assert [move.difference for move in moves.lost] == [-0.5, -0.25]
    assert moves.lost[1].to_json() == {
        "query_id": "q07",
        "text": "text of q07",
        "difference": -0.25,
        "reference": {
            "value": 0.5,
            "first_relevant": 2,
            "top": [{"id": "bad", "grade": 0}, {"id": "good", "grade": 2}],
        },
        "system": {
            "value": 0.25,
            "first_relevant": 4,
            "top": [{"id": one, "grade": None} for one in ("x", "y", "z")],
        },
        "deciding": [{"id": "good", "grade": 2, "reference_rank": 2, "system_rank": 4}],
    }
    assert moves.lost[0].system.first_relevant is None
    assert moves.lost[0].system.top == []


def test_queries_that_are_missing_or_foreign_are_counted() -> None:
    part = {"q00": ["good"], "q01": [], "other": ["good"], "another": ["x"]}
    found = compare({"all": FIRST, "part": part}, TWENTY, measures=MEASURES)
    assert found.to_json()["systems"]["part"]["unanswered_queries"] == 19
    assert found.to_json()["systems"]["part"]["foreign_queries"] == 2
    assert found.systems[1].values[RECIPROCAL]["q02"] == 0.0
    unanswered, foreign = found.notes
    assert unanswered == "part: 19 of 20 queries have no results and count as 0: q01, q02, q03, …"
    assert foreign.startswith("part: 2 queries of the run have no relevant document in split test ")
    assert foreign.endswith(" and were not measured: another, other")
    assert "Note: part: 19 of 20 queries" in markdown(found)
    assert f"note: {found.notes[0]}" in list(comparison_lines(found))


def test_a_run_of_other_queries_and_a_run_alone_are_refused() -> None:
    with pytest.raises(InputError, match="new ranks no query of split 'test' of films"):
        compare({"old": FIRST, "new": {"other": ["good"]}}, TWENTY)
    with pytest.raises(InputError, match="new ranks no query"):
        compare({"old": FIRST, "new": dict.fromkeys(FIRST, ())}, TWENTY)
    with pytest.raises(InputError, match="name two systems"):
        compare({"old": FIRST}, TWENTY)


def test_lines_for_a_terminal_stand_below_one_another() -> None:
    new = {**SECOND, "q03": ["good"]}
    found = compare({"old": SECOND, "new": new}, TWENTY, measures=[RECIPROCAL], moved=1)
    lines = list(comparison_lines(found))
    assert lines[:4] == [
        "films/test: 20 queries",
        "",
        "system  MRR@10                   judged@10",
        "old     0.5000 (0.500 to 0.500)  1.00",
    ]
    start = next(number for number, line in enumerate(lines) if line.startswith("difference"))
    assert lines[start + 1].split()[:5] == ["new", "over", "old", "MRR@10", "+0.0250"]
    assert lines[-5:] == [
        "new gained most over old, MRR@10; top 3 with grades, - where nobody judged",
        "+0.5000  q03: text of q03",
        "         old  0.5000  first relevant 2  bad (0), good (2)",
        "         new  1.0000  first relevant 1  good (2)",
        "         why: good (2) rose from 2 to 1",
    ]
