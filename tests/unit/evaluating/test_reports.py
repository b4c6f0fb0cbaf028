"""Systems into a report."""

from __future__ import annotations

from pathlib import Path

import pytest

from opensearch_funnel.core.errors import EngineError, InputError
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.evaluating.datasets import Dataset
from opensearch_funnel.evaluating.measures import (
    Measure,
    bootstrap_interval,
    mean,
    measure_named,
    measure_run,
)
from opensearch_funnel.evaluating.reports import evaluate_systems
from opensearch_funnel.evaluating.systems import Answer, System, measure_latency, whole_page

DATASET = Dataset(
    name="films",
    split="test",
    corpus=Path("corpus.jsonl"),
    queries=(Query(text="one", query_id="q1"), Query(text="two", query_id="q2")),
    qrels={"q1": {"a": 1}, "q2": {"b": 1, "c": 0}},
    skipped_queries=3,
)


def test_a_report_says_what_the_product_promises() -> None:
    sizes: list[int] = []

    def search(query: Query, size: int) -> Answer:
        sizes.append(size)
        found = {"one": ("a", "x"), "two": ("c", "b")}[query.text]
        return Answer(found[:size], degraded=query.text == "two")

    measures = [Measure("nDCG", 10), Measure("MRR", 10), Measure("R", 1)]
    report = evaluate_systems(
        [System("half", search)], DATASET, index="i", documents=4, measures=measures
    ).to_json()
    assert {key: value for key, value in report.items() if key != "systems"} == {
        "dataset": "films",
        "split": "test",
        "index": "i",
        "queries": 2,
        "skipped_queries": 3,
        "documents": 4,
    }
    half = report["systems"]["half"]
    assert half["MRR@10"] == (1 + 1 / 2) / 2
    assert half["R@1"] == (1 + 0) / 2
    assert half["nDCG@10"] == pytest.approx((1 + 0.63092975) / 2, abs=1e-6)
    assert half["judged@10"] == ((1 / 2) + (2 / 2)) / 2
    assert half["intervals"]["MRR@10"] == [0.5, 1.0]
    assert half["degraded"] == 1
    assert 0 <= half["latency_ms"]["p50"] <= half["latency_ms"]["p95"]
    assert sizes == [100, 100, 10, 10]


def test_a_report_keeps_the_rankings_and_takes_no_times_where_nobody_asks_for_them() -> None:
    sizes: list[int] = []

    def search(query: Query, size: int) -> Answer:
        sizes.append(size)
        return Answer((query.text,))

    report = evaluate_systems([System("s", search)], DATASET, index="i", documents=4, timed=0)
    [system] = report.systems
    assert system.run == {"q1": ("one",), "q2": ("two",)}
    assert sizes == [100, 100]
    assert (system.latency.p50, system.latency.p95) == (0.0, 0.0)


def test_a_measure_deeper_than_100_asks_for_more() -> None:
    sizes: list[int] = []

    def search(_query: Query, size: int) -> Answer:
        sizes.append(size)
        return Answer(())

    deep = [Measure("R", 500)]
    evaluate_systems([System("s", search)], DATASET, index="i", documents=0, measures=deep)
    assert max(sizes) == 500


def test_a_failing_system_names_the_query() -> None:
    def search(query: Query, _size: int) -> Answer:
        raise EngineError(f"no {query.text}", status=503)

    with pytest.raises(EngineError, match="s failed at query 'q1': no one") as caught:
        evaluate_systems([System("s", search)], DATASET, index="i", documents=0)
    assert caught.value.status == 503


def test_latency_is_taken_over_at_most_so_many_queries() -> None:
    asked: list[str] = []

    def search(query: Query, _size: int) -> Answer:
        asked.append(query.query_id)
        return Answer(())

    queries = [Query(text="t", query_id=str(number)) for number in range(1000)]
    measure_latency(System("s", search), queries)
    first, asked = asked, []
    measure_latency(System("s", search), queries)
    assert first == asked
    assert len(set(first)) == 200


def test_a_partial_answer_is_refused() -> None:
    hits = {"hits": {"hits": [{"_id": "a"}]}}
    assert whole_page({**hits, "_shards": {"failed": 0}, "timed_out": False}) == ("a",)
    with pytest.raises(EngineError, match="partial"):
        whole_page({**hits, "_shards": {"failed": 1}})
    with pytest.raises(EngineError, match="partial"):
        whole_page({**hits, "timed_out": True})


def test_measures_are_read_by_their_usual_names() -> None:
    names = ["nDCG@10", "recall@100", "rr@5", "AP@1000", "P@1", "success@3", "Judged@10"]
    names += ["map", "RR", "bpref", "Condensed-ndcg@10", "condensed-MAP"]
    assert [str(measure_named(name)) for name in names] == [
        "nDCG@10",
        "R@100",
        "MRR@5",
        "MAP@1000",
        "P@1",
        "Success@3",
        "Judged@10",
        "MAP",
        "MRR",
        "Bpref",
        "condensed-nDCG@10",
        "condensed-MAP",
    ]
    wrong_names = ["nDCG", "nDCG@0", "nDCG@x", "err@10", "", "nDCG@-1", "P", "Success", "R"]
    wrong_names += ["Bpref@10", "condensed-Bpref", "condensed-Judged@10", "condensed-", "condensed"]
    for wrong in wrong_names:
        with pytest.raises(InputError, match="no measure"):
            measure_named(wrong)


def test_a_ranking_with_a_document_twice_is_refused() -> None:
    with pytest.raises(InputError, match="'q' has a document twice"):
        measure_run({"q": ["a", "a"]}, qrels={"q": {"a": 1}}, measures=[Measure("R", 10)])


def test_the_interval_holds_the_mean_and_is_the_same_every_time() -> None:
    values = {str(number): number / 10 for number in range(11)}
    low, high = bootstrap_interval(values)
    assert 0.0 < low < mean(values) < high < 1.0
    assert bootstrap_interval(dict(reversed(values.items()))) == (low, high)
    # The normal approximation: mean ± 1.96 standard errors.
    half_width = 1.96 * (sum((value - 0.5) ** 2 for value in values.values()) / 11 / 11) ** 0.5
    assert low == pytest.approx(0.5 - half_width, abs=0.02)
    assert high == pytest.approx(0.5 + half_width, abs=0.02)


def test_no_queries_and_equal_queries_have_a_plain_interval() -> None:
    assert (mean({}), bootstrap_interval({})) == (0.0, (0.0, 0.0))
    assert bootstrap_interval({"a": 0.25, "b": 0.25}) == (0.25, 0.25)
