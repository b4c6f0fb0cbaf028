"""Traces on the real node: they add up, for every way of fusing, and say so where they do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.engine.client import connect
from opensearch_funnel.engine.indices import index_body
from opensearch_funnel.service.texts import IndexTexts
from opensearch_funnel.settings import Settings

from .conftest import RERANK, Scorer, fill, playground

pytestmark = pytest.mark.engine

OFF = {"enabled": False, "depth": 12}
FUSIONS = [
    {"technique": "rrf"},
    {"technique": "min_max", "combination": "arithmetic_mean"},
    {"technique": "min_max", "combination": "geometric_mean"},
    {"technique": "l2", "combination": "harmonic_mean"},
    {"technique": "z_score", "combination": "arithmetic_mean"},
]
QUERIES = ("red fox", "silver storm harbour", "whale", "morning train to the forest")


def asked(url: str, body: dict[str, Any], *, trace: bool = True) -> dict[str, Any]:
    answer = httpx2.post(f"{url}/search?trace={str(trace).lower()}", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def check_sums(answer: dict[str, Any]) -> None:
    """Add everything up once more, from the numbers that were shown."""
    about = answer["trace"]
    assert answer["trace_failed"] is None
    assert not answer["degraded"]
    assert answer["hits"]
    for hit in answer["hits"]:
        trace = hit["trace"]
        assert trace["consistent"], trace["differences"]
        total = sum(leg["contribution"] for leg in trace["legs"].values())
        assert total == pytest.approx(trace["engine_score"], abs=1e-5, rel=1e-5)
        found = [leg for leg in trace["legs"].values() if leg["rank"] is not None]
        assert found
        for name, leg in trace["legs"].items():
            terms = sum(term["contribution"] for term in leg["terms"])
            if name != "dense":
                assert terms == pytest.approx(leg["score"] or 0.0, rel=1e-4)
            for term in leg["terms"]:
                if name == "sparse":
                    product = term["query_weight"] * term["stored_weight"]
                    assert term["contribution"] == pytest.approx(product)
    assert about["consistent"]
    assert about["largest_error"] < 1e-5


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("fusion", FUSIONS, ids=lambda f: "-".join(f.values()))
def test_contributions_add_up_to_the_score_that_the_engine_gave(
    start: Callable[..., Any], fusion: dict[str, str], shards: int
) -> None:
    # Legs shallower than what they match, so that they end somewhere.
    here = start(shards=shards, fusion=fusion, rerank=OFF, depth=14)
    for query in QUERIES:
        answer = asked(here.url, {"index": here.index, "query": query, "size": 12})
        check_sums(answer)
        for hit in answer["hits"]:
            # Nothing came after the fusion: what is added up is what the client got.
            assert hit["trace"]["decided_by"] == "fused"
            assert hit["trace"]["fused_score"] == pytest.approx(hit["score"], abs=1e-5, rel=1e-5)
            assert hit["trace"]["fused_rank"] == hit["rank"]
    assert answer["trace"]["candidates"]["dense"] == min(14 * shards, 81)


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("rerank", [OFF, RERANK], ids=["fused", "reranked"])
def test_where_the_service_fuses_a_trace_says_how_it_weighed_the_legs(
    start: Callable[..., Any], rerank: dict[str, Any], shards: int
) -> None:
    here = start(shards=shards, fusion={"technique": "auto"}, rerank=rerank, depth=14)
    weights = []
    for query in QUERIES:
        for page in (0, 1):
            body = {"index": here.index, "query": query, "size": 5, "from": page * 5}
            answer = asked(here.url, body)
            check_sums(answer)
            about = answer["trace"]
            assert about["technique"] == "auto"
            for hit in answer["hits"]:
                legs = hit["trace"]["legs"]
                assert {name: leg["weight"] for name, leg in legs.items()} == about["weights"]
                if rerank is OFF:
                    assert hit["trace"]["fused_rank"] == hit["rank"]
        assert sum(about["weights"].values()) == pytest.approx(1.0)
        weights.append(tuple(about["weights"].values()))
    assert len(set(weights)) == len(QUERIES), "each query has weights of its own"


@pytest.mark.parametrize("rerank", [OFF, RERANK], ids=["fused", "reranked"])
def test_where_the_engine_had_to_fuse_its_order_is_explained(
    start: Callable[..., Any], rerank: dict[str, Any]
) -> None:
    nobody = IndexTexts(connect(Settings(url="http://127.0.0.1:9")))
    trust = {"bm25": 0.5, "decided": True, "reason": "as the test wants"}
    here = start(fusion={"technique": "auto"}, trust=trust, rerank=rerank, depth=14, texts=nobody)
    answer = asked(here.url, {"index": here.index, "query": "red fox", "size": 5})
    assert answer["degraded"]
    about = answer["trace"]
    assert about["technique"] == "rrf"
    assert about["weights"] == pytest.approx({"bm25": 0.25, "sparse": 0.25, "dense": 0.5})
    assert list(about["reasons"]) == ["fusion"]
    for hit in answer["hits"]:
        trace = hit["trace"]
        assert trace["consistent"], trace["differences"]
        assert trace["fused_rank"] == hit["rank"]
        assert trace["fused_score"] == pytest.approx(hit["score"], abs=1e-5)


@pytest.mark.parametrize("blend", [0.0, 0.4])
def test_what_the_reranker_changed(start: Callable[..., Any], blend: float) -> None:
    here = start(rerank={**RERANK, "blend": blend})
    answer = asked(here.url, {"index": here.index, "query": "red fox", "size": 5})
    check_sums(answer)
    assert answer["trace"]["reranked"] == 10, "whole pages of the window"
    moved = []
    for hit in answer["hits"]:
        trace = hit["trace"]
        told = trace["rerank"]
        assert trace["decided_by"] == "reranked"
        assert told["rank_before"] == trace["fused_rank"]
        assert told["rank_after"] == hit["rank"]
        mixed = (1 - blend) * told["model_share"] + blend * told["order_share"]
        assert told["final"] == pytest.approx(mixed)
        moved.append(told["rank_before"] - told["rank_after"])
    assert blend or any(moved)
    finals = [hit["trace"]["rerank"]["final"] for hit in answer["hits"]]
    assert finals == sorted(finals, reverse=True)


def test_a_cascade_says_what_both_of_its_models_said(start: Callable[..., Any]) -> None:
    here = start(rerank={**RERANK, "first_model": "short-first", "keep": 3})
    answer = asked(here.url, {"index": here.index, "query": "red fox", "size": 6})
    check_sums(answer)
    told = [hit["trace"]["rerank"] for hit in answer["hits"]]
    assert [one["score"] is not None for one in told] == [True] * 3 + [False] * 3
    assert all(one["first_score"] is not None for one in told)


@pytest.mark.parametrize("enabled", [True, False])
def test_later_pages_and_filters(start: Callable[..., Any], *, enabled: bool) -> None:
    here = start(shards=2, rerank={"enabled": enabled, "depth": 8}, depth=20)
    body = {"index": here.index, "query": "red fox", "size": 4, "filter": {"year": {"gte": 1990}}}
    seen: list[str] = []
    for page in range(3):
        answer = asked(here.url, {**body, "from": page * 4, "source": ["year"]})
        check_sums(answer)
        assert all(hit["source"]["year"] >= 1990 for hit in answer["hits"])
        assert [hit["rank"] for hit in answer["hits"]] == [page * 4 + n for n in (1, 2, 3, 4)]
        seen += [hit["id"] for hit in answer["hits"]]
    assert len(set(seen)) == 12


def test_a_document_that_one_leg_did_not_find_gets_nothing_from_it(
    start: Callable[..., Any],
) -> None:
    here = start(rerank=OFF, depth=12)
    answer = asked(here.url, {"index": here.index, "query": "copper", "size": 10})
    check_sums(answer)
    absent = [
        leg
        for hit in answer["hits"]
        for leg in hit["trace"]["legs"].values()
        if leg["rank"] is None
    ]
    assert absent
    assert all(leg["contribution"] == 0 and leg["score"] is None for leg in absent)


def test_an_alias_over_two_indices_with_the_same_ids(
    client: OpenSearch, index_name: str, scorer: Scorer
) -> None:
    """One of them was never encoded: it is found by its words alone."""
    encoded, plain = f"{index_name}-encoded", f"{index_name}-plain"
    fill(client, encoded, shards=2)
    client.indices.create(index=plain, body=index_body())
    for doc_id, text in (("d0", "a red fox"), ("d1", "red red"), ("d2", "no such words")):
        client.index(index=plain, id=doc_id, body={"title": "", "text": text})
    client.indices.refresh(index=plain)
    actions = [{"add": {"index": index, "alias": index_name}} for index in (encoded, plain)]
    client.indices.update_aliases(body={"actions": actions})
    # By the engine: hits that the service names by their id stand together where they share one.
    static = {"technique": "min_max"}
    with playground(client, index_name, scorer=scorer, rerank=OFF, fusion=static) as here:
        answer = asked(here.url, {"index": index_name, "query": "red fox", "size": 100})
    check_sums(answer)
    ids = [hit["id"] for hit in answer["hits"]]
    assert len(ids) > len(set(ids)), "an id of both indices is shown for both"
    by_words_alone = [
        hit
        for hit in answer["hits"]
        if [leg for leg, told in hit["trace"]["legs"].items() if told["rank"]] == ["bm25"]
    ]
    assert {hit["source"]["text"] for hit in by_words_alone} >= {"a red fox", "red red"}


def test_the_plain_order_is_explained_by_its_terms(start: Callable[..., Any]) -> None:
    here = start()
    body = {
        "index": here.index,
        "query": "red fox",
        "system": "bm25",
        "fields": ["title^2", "text"],
    }
    answer = asked(here.url, body)
    assert answer["plan"] is None
    for hit in answer["hits"]:
        trace = hit["trace"]
        assert trace["decided_by"] == "plain"
        assert trace["consistent"], trace["differences"]
        terms = trace["legs"]["bm25"]["terms"]
        assert sum(term["contribution"] for term in terms) == pytest.approx(hit["score"], rel=1e-4)
        assert {term["term"] for term in terms} <= {"red", "fox"}
        assert len({term["field"] for term in terms}) == 1, "the best field wins"


def test_a_trace_that_does_not_agree_says_so(start: Callable[..., Any]) -> None:
    here = start(rerank=RERANK)
    body = {"index": here.index, "query": "red fox", "size": 5}
    check_sums(asked(here.url, body))
    # From now on the reranker says something else each time it is asked.
    score, asked_before = here.scorer.score, len(here.scorer.asked)

    def moody(query: str, texts: Any) -> list[float]:
        scores: list[float] = score(query, texts)
        return scores if len(here.scorer.asked) % 2 else scores[::-1]

    here.scorer.score = moody
    answer = asked(here.url, body)
    assert len(here.scorer.asked) == asked_before + 2, "once for the answer, once for the trace"
    assert not answer["trace"]["consistent"]
    problems = [line for hit in answer["hits"] for line in hit["trace"]["differences"]]
    assert any("the reranker puts it on place" in line for line in problems)


@pytest.mark.parametrize("first_model", ["", "short-first"])
def test_a_degraded_answer_is_explained_as_what_it_is(
    start: Callable[..., Any], first_model: str
) -> None:
    here = start(rerank={**RERANK, "first_model": first_model})
    here.scorer.broken = True
    answer = asked(here.url, {"index": here.index, "query": "red fox"})
    assert answer["degraded"]
    decided = {hit["trace"]["decided_by"] for hit in answer["hits"]}
    # Some hits may stand where they stood; with one model all of them do.
    assert decided == {"fused"} if not first_model else "first_model" in decided
    assert decided <= {"fused", "first_model"}
    for hit in answer["hits"]:
        assert hit["trace"]["consistent"], hit["trace"]["differences"]


def test_a_trace_that_fails_takes_nothing_from_the_answer(start: Callable[..., Any]) -> None:
    here = start(rerank=RERANK)
    score, calls = here.scorer.score, iter((False, True))

    def second_call_fails(query: str, texts: Any) -> list[float]:
        here.scorer.broken = next(calls)
        found: list[float] = score(query, texts)
        return found

    here.scorer.score = second_call_fails
    answer = asked(here.url, {"index": here.index, "query": "red fox"})
    assert not answer["degraded"]
    assert len(answer["hits"]) == 10
    assert "the model is gone" in answer["trace_failed"]
