"""Why queries moved: which documents decide, and what is said of their way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from opensearch_funnel.cli.comparison_lines import comparison_lines
from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.evaluating.comparing import Comparison, compare
from opensearch_funnel.evaluating.comparison_page import markdown, page
from opensearch_funnel.evaluating.datasets import Dataset
from opensearch_funnel.evaluating.document_traces import DocumentTrace, LegPlace, Tracer
from opensearch_funnel.evaluating.measures import Measure
from opensearch_funnel.evaluating.moves import Deciding, deciding
from opensearch_funnel.evaluating.pages import Table
from opensearch_funnel.evaluating.reasons import explained, reason_lines

NDCG, RECALL = Measure("nDCG", 3), Measure("R", 3)
GRADES = {"a": 3, "b": 1, "c": 1, "never": 2, "bad": 0, "worse": -1}
DATASET = Dataset(
    name="films",
    split="test",
    corpus=Path("corpus.jsonl"),
    queries=(Query(text="red fox", query_id="q1"), Query(text="owl", query_id="q2")),
    qrels={"q1": GRADES, "q2": {"a": 1}},
    skipped_queries=0,
)
OLD = {"q1": ["bad", "x", "b", "a"], "q2": ["a"]}
NEW = {"q1": ["a", "b", "bad", "x"], "q2": ["x"]}
LEGS = {
    "bm25": LegPlace(rank=4, terms=[("fox", 2.0), ("red", 1.0), ("dog", 0.5), ("cat", 0.25)]),
    "sparse": LegPlace(rank=None),
    "dense": LegPlace(rank=1),
}


def names_of(found: Sequence[Deciding]) -> list[tuple[str, int | None, int | None]]:
    return [(one.doc_id, one.before, one.after) for one in found]


def test_documents_decide_by_gain_times_discount() -> None:
    found = deciding(OLD["q1"], NEW["q1"], grades=GRADES, measure=NDCG)
    # a: 3 * (1 - 0), as its rank of 4 is behind the cutoff; b: 1 / log2(3) - 1 / log2(4).
    assert names_of(found) == [("a", 4, 1), ("b", 3, 2)]
    # Of recall, b counts the same on both places.
    found = deciding(OLD["q1"], NEW["q1"], grades=GRADES, measure=RECALL)
    assert names_of(found) == [("a", 4, 1)]
    # Without a cutoff, a document that fell out loses everything.
    found = deciding(["c", "b"], ["b"], grades=GRADES, measure=Measure("MAP"))
    assert names_of(found) == [("c", 1, None), ("b", 2, 1)]
    assert deciding(["a"], ["a", "x"], grades=GRADES, measure=NDCG) == []


def test_at_most_three_documents_and_equal_ones_by_id() -> None:
    ids = ["d", "c", "b", "a"]
    found = deciding([], ids, grades=dict.fromkeys(ids, 1), measure=Measure("R", 10))
    assert names_of(found) == [("a", None, 4), ("b", None, 3), ("c", None, 2)]


def compared() -> Comparison:
    return compare({"old": OLD, "new": NEW}, DATASET, measures=[NDCG])


class Asked:
    """Answers with one trace for all documents, and keeps what it was asked."""

    def __init__(self, trace: DocumentTrace) -> None:
        self.trace = trace
        self.calls: list[tuple[str, list[str]]] = []

    def __call__(self, query: Query, doc_ids: Sequence[str]) -> dict[str, DocumentTrace]:
        self.calls.append((query.query_id, list(doc_ids)))
        return dict.fromkeys(doc_ids, self.trace)


def test_a_system_is_asked_once_a_query_about_documents_that_it_returned() -> None:
    new = Asked(DocumentTrace(legs=LEGS, fused=2, reranked=1))
    found = explained(compared(), {"new": new})
    # q2 lost its only document: the new system does not have it.
    assert new.calls == [("q1", ["a", "b"])]
    [moves] = found.moves
    [gained] = moves.gained
    assert [list(one.traces) for one in gained.deciding] == [["new"], ["new"]]
    assert found.why_note == ""
    told = gained.deciding[0].to_json()["stages"]["new"]
    assert told["legs"]["sparse"] == {"rank": None, "terms": []}
    assert told["legs"]["bm25"]["terms"][3] == {"term": "cat", "score": 0.25}
    assert (told["fused"], told["reranked"], "doubts" in told) == (2, 1, False)
    # It was measured at 2 and says 1: that is told, not shown as the truth.
    assert gained.deciding[1].to_json()["stages"]["new"]["doubts"] == ["measured at 2, traced to 1"]


def test_three_systems_are_each_asked_once_a_query() -> None:
    asked = Asked(DocumentTrace(legs=LEGS, fused=1))
    runs = {"old": OLD, "new": NEW, "other": {**NEW, "q1": ["b", "a", "bad"]}}
    explained(compare(runs, DATASET, measures=[NDCG]), {"new": asked})
    assert asked.calls == [("q1", ["a", "b"])]


def test_lines_and_tables_say_why() -> None:
    found = explained(compared(), {"new": Asked(DocumentTrace(legs=LEGS, fused=2, reranked=1))})
    lines = [*comparison_lines(found)]
    assert (
        "         why: a (3) rose from 4 to 1. new: dense 1, bm25 4 (fox, red, dog), not in "
        "sparse; fused 2; reranked 1"
    ) in lines
    assert "         why: a (1) fell out from 1" in lines
    tables = [block for block in page(found) if isinstance(block, Table)]
    [table] = [one for one in tables if "matched terms" in one.header]
    assert list(table.header) == [
        "query",
        "document (grade)",
        "rank",
        "stages of",
        "in bm25",
        "in sparse",
        "in dense",
        "fused",
        "reranked",
        "matched terms",
    ]
    terms = "bm25: fox 2.00, red 1.00, dog 0.50"
    assert table.rows[0] == ("q1", "a (3)", "4 → 1", "new", "4", "-", "1", "2", "1", terms)
    assert table.rows[1][:4] == ("", "b (1)", "3 → 2", "new")
    assert all(len(row) == len(table.header) for row in table.rows)
    assert "the rank in each leg, after fusion and after reranking" in markdown(found)


LEGS_TOLD = "dense 1, bm25 4 (fox, red, dog), not in sparse"


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        (
            DocumentTrace(legs=LEGS, fused=4),
            DocumentTrace(legs=LEGS, fused=4, reranked=1),
            [f"new: {LEGS_TOLD}; fused 4; reranked 1"],
        ),
        (
            DocumentTrace(legs=LEGS, fused=4),
            DocumentTrace(legs=LEGS, fused=1),
            [f"old: {LEGS_TOLD}; fused 4", "new: the same legs; fused 1"],
        ),
        (
            DocumentTrace(legs=LEGS, fused=4, doubts=["x is not y"]),
            DocumentTrace(legs={"dense": LegPlace(rank=1)}, fused=1),
            [f"old: {LEGS_TOLD}; fused 4; in doubt: x is not y", "new: dense 1; fused 1"],
        ),
    ],
)
def test_what_both_say_alike_is_said_once(
    old: DocumentTrace, new: DocumentTrace, lines: list[str]
) -> None:
    traces = {"old": old, "new": new}
    document = Deciding(doc_id="a", grade=3, before=4, after=1, traces=traces)
    first, *rest = lines
    told = reason_lines(document, names=("old", "new"))
    assert told == [f"a (3) rose from 4 to 1. {first}", *rest]


def test_a_system_that_cannot_say_why_takes_no_figures_along() -> None:
    def broken(query: Query, doc_ids: Sequence[str]) -> dict[str, DocumentTrace]:
        raise EngineError(f"no answer about {query.text} and {len(doc_ids)} documents")

    tracers: dict[str, Tracer] = {
        "old": broken,
        "new": Asked(DocumentTrace(legs=LEGS, fused=1)),
    }
    found = explained(compared(), tracers)
    note = (
        "Why is not told of 2 queries, the first: query 'q1' of old: no answer about red fox and "
        "2 documents."
    )
    assert found.why_note == note
    assert list(found.moves[0].gained[0].deciding[0].traces) == ["new"]
    assert found.to_json()["why_note"] == note
    assert [*comparison_lines(found)][-1] == note
    assert note in markdown(found)


def test_nothing_is_said_of_nothing() -> None:
    found = explained(compare({"a": NEW, "b": NEW}, DATASET, measures=[NDCG]), {})
    assert found.why_note == ""
    assert "Why queries moved" not in markdown(found)
