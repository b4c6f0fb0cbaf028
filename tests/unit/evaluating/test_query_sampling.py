"""A log into counts, and counts into a sample of frequent, rare, easy and hard queries."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.evaluating.formats.findings import Kind
from opensearch_funnel.evaluating.formats.model import RankedRun, ScoredDocument
from opensearch_funnel.evaluating.query_log import LoggedQuery, read_query_log
from opensearch_funnel.evaluating.query_sampling import (
    QuerySample,
    bands,
    sample_queries,
    spreads,
)

# 300 searches: 2 queries of 50, 10 of 10, 100 of 1.
LOG = (
    *(LoggedQuery(f"head {n}", 50) for n in range(2)),
    *(LoggedQuery(f"torso {n}", 10) for n in range(10)),
    *(LoggedQuery(f"tail {n:03}", 1) for n in range(100)),
)


def _drawn(sample: QuerySample) -> dict[str, int]:
    return dict(Counter(found.band for found in sample.queries))


def test_each_band_has_a_third_of_the_searches() -> None:
    assert bands(LOG) == ["head"] * 2 + ["torso"] * 10 + ["tail"] * 100


def test_each_band_gets_as_many_and_what_one_lacks_goes_to_the_others() -> None:
    sample = sample_queries(LOG, size=30)
    assert _drawn(sample) == {"head": 2, "torso": 10, "tail": 18}
    assert [(s.band, s.queries, s.searches, s.drawn) for s in sample.strata] == [
        ("head", 2, 100, 2),
        ("torso", 10, 100, 10),
        ("tail", 100, 100, 18),
    ]
    assert _drawn(sample_queries(LOG, size=6)) == {"head": 2, "torso": 2, "tail": 2}
    assert len(sample_queries(LOG, size=500).queries) == 112
    with pytest.raises(InputError, match="at least 1"):
        sample_queries(LOG, size=0)


def test_a_seed_draws_the_same_queries_and_another_one_others() -> None:
    first = sample_queries(LOG, size=30, seed=7)
    assert first == sample_queries(LOG, size=30, seed=7)
    assert first.queries != sample_queries(LOG, size=30, seed=8).queries


def test_easy_and_hard_queries_are_drawn_equally() -> None:
    spread = {query.text: float(place % 2) for place, query in enumerate(LOG[:-4])}
    sample = sample_queries(LOG, size=40, spread=spread)
    assert [(s.band, s.difficulty, s.queries, s.drawn) for s in sample.strata] == [
        ("head", "easy", 1, 1),
        ("head", "hard", 1, 1),
        ("torso", "easy", 5, 5),
        ("torso", "hard", 5, 5),
        ("tail", "easy", 48, 12),
        ("tail", "hard", 48, 12),
        ("tail", "unknown", 4, 4),
    ]
    hard = {found.query.text for found in sample.queries if found.difficulty == "hard"}
    assert {spread[text] for text in hard} == {0.0}


def test_the_spread_of_rankings_is_by_text_and_none_found_is_hardest() -> None:
    ranking = (ScoredDocument("a", 3.0), ScoredDocument("b", 1.0))
    run = RankedRun(rankings={"1": ranking})
    assert spreads(run, {"1": "red", "2": "blue"}) == {"red": 0.5, "blue": 0.0}


def test_spellings_of_a_query_add_up_and_the_most_frequent_stands_for_all(tmp_path: Path) -> None:
    path = tmp_path / "log.tsv"
    path.write_text("query\tcount\nRed  Dress\t2\nred dress\t5\n\t3\nblue\t1\n", encoding="utf-8")
    log = read_query_log(path)
    assert log.queries == (LoggedQuery("red dress", 7), LoggedQuery("blue", 1))
    assert [(f.kind, f.count, f.examples) for f in log.findings] == [
        (Kind.NO_QUERY, 1, ("line 4: ''",))
    ]


def test_a_log_of_lines_without_counts(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("blue\nred\nRED\n", encoding="utf-8")
    assert read_query_log(path).queries == (LoggedQuery("RED", 2), LoggedQuery("blue", 1))


def test_ubi_queries_are_read_with_and_without_the_lines_of_a_bulk_request(tmp_path: Path) -> None:
    event = {"action_name": "click", "user_query": "blue"}
    bulk = [
        {"index": {"_index": "ubi_queries", "_id": "1"}},
        {"user_query": "red"},
        {"index": {"_index": "ubi_events"}},
        event,
        {"create": {"_index": "ubi_queries"}},
        {"query_id": "x"},
    ]
    for name, lines in (
        ("bulk", bulk),
        ("plain", [{"user_query": "red"}, event, {"query_id": "x"}]),
        (
            "hits",
            [
                {"_index": "ubi_queries", "_source": {"user_query": "red"}},
                {"_index": "ubi_events", "_source": event},
                {"_index": "ubi_queries", "_source": {"user_query": ""}},
            ],
        ),
    ):
        path = tmp_path / f"{name}.ndjson"
        path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
        log = read_query_log(path)
        assert log.queries == (LoggedQuery("red", 1),), name
        assert [(f.kind, f.count) for f in log.findings] == [(Kind.NO_QUERY, 1)], name


def test_a_broken_log_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for content, message in (
        ("", "has no query in it"),
        ("red\t1\nblue\tmany\n", "log:2: expected query, a tab and how often"),
        ('{"user_query": 3}', "log:1: user_query must be text"),
    ):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match=message):
            read_query_log(path)


@pytest.mark.datasets
def test_the_log_of_esci(datasets: Path) -> None:
    log = read_query_log(datasets / "esci_us_ubi" / "ubi_queries_events.ndjson")
    assert log.queries[:2] == (LoggedQuery("gold", 42), LoggedQuery("wireless earbuds", 36))
    assert sum(query.count for query in log.queries) + log.findings[0].count == 473
    assert _drawn(sample_queries(log.queries, size=40)) == {"head": 14, "torso": 13, "tail": 13}
