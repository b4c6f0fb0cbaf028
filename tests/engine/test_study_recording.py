"""The study of fusion searches what it says: every leg whole, spoiled, and by probes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from opensearchpy import OpenSearch

from benchmarks.fusion_study.collections_of_study import Part
from benchmarks.fusion_study.found import LEGS, SPOILED, Asked
from benchmarks.fusion_study.kept_sets import Pair, write_pairs
from benchmarks.fusion_study.probing import probed
from benchmarks.fusion_study.recording import Searched, recorded
from benchmarks.fusion_study.weighing import WordMasses
from opensearch_funnel.build.evaluation import Bench
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.demo.corpus import stdlib_documents
from opensearch_funnel.engine.indices import delete_index
from opensearch_funnel.engine.leg_hits import plain_query
from opensearch_funnel.evaluating.datasets import read_dataset
from opensearch_funnel.settings import Settings

pytestmark = [pytest.mark.engine, pytest.mark.model]

Opened = Callable[[Part], Searched]


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Part:
    folder = tmp_path_factory.mktemp("study") / "study-small"
    pairs = [
        Pair(
            doc_id=one["_id"],
            query=one["text"].split(".")[0],
            title=f"the name {one['title']}",
            text=one["text"],
        )
        for one in stdlib_documents()[::45]
    ]
    write_pairs(folder, pairs, documents=80, queries=6)
    return Part(
        collection="study-small",
        family="py",
        dataset=read_dataset(folder),
        fitted=True,
    )


@pytest.fixture(scope="module")
def opened(client: OpenSearch, engine_settings: Settings, part: Part) -> Iterator[Opened]:
    bench = Bench(client=client, settings=engine_settings)
    models = bench.open_encoders(FunnelPlan(alias="any"))
    searched = Searched.opened(bench, part, models=models)
    yield lambda _: searched
    delete_index(client, index=searched.plan.alias)


@pytest.fixture(scope="module")
def asked(part: Part, opened: Opened, tmp_path_factory: pytest.TempPathFactory) -> list[Asked]:
    return recorded(part, folder=tmp_path_factory.mktemp("found"), opened=opened)


def test_every_leg_is_there_whole_and_spoiled(asked: list[Asked], part: Part) -> None:
    assert [one.query_id for one in asked] == [query.query_id for query in part.dataset.queries]
    for one in asked:
        assert set(one.columns) == {*LEGS, *SPOILED.values()}
        for hits in one.columns.values():
            assert list(hits.scores) == sorted(hits.scores, reverse=True)
            assert len(set(hits.ids)) == len(hits.ids)
    for leg, spoiled in SPOILED.items():
        assert any(one.columns[leg].ids[:10] != one.columns[spoiled].ids[:10] for one in asked)


def test_the_first_dimensions_alone_tell_less_and_not_nothing(asked: list[Asked]) -> None:
    for one in asked:
        whole, few = one.columns["dense"].ids[:20], one.columns[SPOILED["dense"]].ids[:20]
        assert len(set(whole) & set(few)) > 5


def test_a_part_is_searched_once(part: Part, opened: Opened, tmp_path: Path) -> None:
    first = recorded(part, folder=tmp_path, opened=opened)

    def closed(_: Part) -> Searched:
        raise AssertionError("nothing is to be searched")

    assert recorded(part, folder=tmp_path, opened=closed) == first


def test_what_the_rest_would_get_is_near_what_the_engine_gives(
    opened: Opened, part: Part, asked: list[Asked]
) -> None:
    searched = opened(part)
    documents = {one.doc_id: one.source for one in part.dataset.documents()}
    query = asked[0]
    masses = WordMasses(client=searched.bench.client, plan=searched.plan)
    best = query.columns["bm25"].ids[:5]
    sources = [{f: str(documents[d][f]) for f in ("title", "text")} for d in best]
    near = masses.scores([query.text] * len(best), sources)
    given = query.columns["bm25"].scores[:5]
    # Lengths are coarse in the engine's norms.
    assert near == pytest.approx(list(given), rel=0.08)
    assert masses.of([query.text, ""])[1] == 0.0
    assert query.mass >= max(given) / 2.2


def test_probes_ask_the_same_legs(opened: Opened, part: Part, tmp_path: Path) -> None:
    titles = probed(part, kind="title", folder=tmp_path, opened=opened)
    assert len(titles) > 30
    for one in titles:
        assert set(one.cut) == set(LEGS)
        [own] = one.grades
        whole = dict(zip(one.columns["dense"].ids, one.columns["dense"].scores, strict=True))
        # Without its title a document is less like it.
        assert one.cut["dense"] < whole[own] + 0.05
    words = probed(part, kind="words", folder=tmp_path, opened=opened)
    assert all(not one.cut and one.mass > 0 for one in words)


def test_the_legs_are_searched_by_plain_queries(opened: Opened, part: Part) -> None:
    searched = opened(part)
    text = part.dataset.queries[0].text
    body = {"query": plain_query(searched.plan)(Query(text=text)), "size": 3}
    answer = searched.bench.client.search(
        index=searched.plan.alias, body=body, params={"search_pipeline": "_none"}
    )
    ids = [hit["_id"] for hit in answer["hits"]["hits"]]
    assert list(searched.columns(text)["bm25"].ids[:3]) == ids, json.dumps(body)
