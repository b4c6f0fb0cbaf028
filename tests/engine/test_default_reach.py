"""A default pipeline meets more than its index: wider aliases, filters, templates; on the node."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.cli.main import main
from opensearch_funnel.core.errors import EngineError, InvalidPlanError
from opensearch_funnel.core.plan import Deadlines, FunnelPlan, Fusion, Reranking
from opensearch_funnel.engine import state
from opensearch_funnel.engine.applying import (
    apply_notes,
    apply_pipeline,
    bound_plan,
    remove_pipeline,
)
from opensearch_funnel.engine.hits import degraded
from opensearch_funnel.engine.state import AppliedPipeline
from opensearch_funnel.testing import WordVector, WordWeights
from tests.engine.shelf import fill_index, stand_in_service

pytestmark = pytest.mark.engine

SPARSE, DENSE = WordWeights(), WordVector()
DEFAULT = "index.search.default_pipeline"
PATIENT = Deadlines(rewrite_ms=20_000, rank_ms=20_000)
FOX = {"query": {"match": {"text": "red fox"}}}
FILMS = ["the red fox and the hound", "a fox", "red paint on a wall", "whales sing"]
NEWS = ["a red fox in the garden", "rain tomorrow"]


@pytest.fixture(scope="module")
def url(client: OpenSearch) -> Iterator[str]:
    with stand_in_service(client) as address:
        yield address


def make_films(client: OpenSearch, name: str, *, fingerprint: str = DENSE.fingerprint) -> None:
    """Make an index as ``funnel load --funnel`` does."""
    sources = {f"film-{n}": {"title": "", "text": text} for n, text in enumerate(FILMS)}
    fill_index(client, name, sources, dense=WordVector(fingerprint=fingerprint))


@pytest.fixture
def films(client: OpenSearch, index_name: str) -> str:
    """An encoded index behind an alias that covers a plain one, too, with a strict mapping."""
    make_films(client, index_name)
    client.indices.create(
        index=f"{index_name}-news",
        body={"mappings": {"dynamic": "strict", "properties": {"text": {"type": "text"}}}},
    )
    for number, text in enumerate(NEWS):
        client.index(index=f"{index_name}-news", id=f"news-{number}", body={"text": text})
    client.indices.refresh(index=f"{index_name}-news")
    for name in (index_name, f"{index_name}-news"):
        client.indices.put_alias(index=name, name=wide(index_name))
    return index_name


def wide(index: str) -> str:
    return f"{index}-all"


def plan_for(client: OpenSearch, alias: str, **changes: Any) -> FunnelPlan:
    with_others = changes.pop("with_others", False)
    rerank = changes.pop("rerank", Reranking(enabled=True))
    plan = FunnelPlan(alias=alias, deadlines=PATIENT, rerank=rerank, **changes)
    return bound_plan(client, plan, with_others=with_others)


@contextmanager
def default_of(
    client: OpenSearch, plan: FunnelPlan, *, url: str, with_others: bool = True
) -> Iterator[AppliedPipeline]:
    done = apply_pipeline(client, plan, service_url=url, default=True, with_others=with_others)
    try:
        yield done
    finally:
        remove_pipeline(client, done.name)


def default_pipeline(client: OpenSearch, index: str) -> str | None:
    found = client.indices.get_settings(index=index, params={"flat_settings": "true"})
    value: str | None = found[index]["settings"].get(DEFAULT)
    return value


def ids(response: dict[str, Any]) -> list[str]:
    return [hit["_id"] for hit in response["hits"]["hits"]]


def test_the_default_of_an_index_behind_a_wider_alias_is_refused_with_both_ways_out(
    client: OpenSearch, films: str, url: str
) -> None:
    plan = plan_for(client, films)
    with pytest.raises(InvalidPlanError) as refusal:
        apply_pipeline(client, plan, service_url=url, default=True)
    said = str(refusal.value)
    assert wide(films) in said
    assert f"{films}-news" in said
    assert "--with-others" in said
    assert f"search_pipeline=funnel-{films}" in said
    assert "\n" not in said
    assert default_pipeline(client, films) is None
    assert state.load_pipeline(client, f"funnel-{films}") is None
    done = apply_pipeline(client, plan, service_url=url)
    answer = client.search(index=films, body=FOX, params={"search_pipeline": done.name})
    assert not degraded(answer), "clients can opt in all the same"
    remove_pipeline(client, done.name)


@pytest.mark.parametrize("where", ["alias", "pattern"])
@pytest.mark.parametrize("native_neural", [False, True])
def test_a_wider_search_loses_no_hit_and_fails_no_shard(
    client: OpenSearch, films: str, url: str, where: str, native_neural: bool
) -> None:
    searched = {"alias": wide(films), "pattern": f"{films}*"}[where]
    plain = client.search(index=searched, body=FOX)
    values = plan_for(client, films).to_dict()
    values["dense"]["native_neural"] = native_neural
    with default_of(client, FunnelPlan.from_dict(values), url=url):
        answer = client.search(index=searched, body=FOX)
        alone = client.search(index=f"{films}-news", body=FOX)
        named = client.search(
            index=f"{films}-news", body=FOX, params={"search_pipeline": f"funnel-{films}"}
        )
        pages = [client.search(index=searched, body={**FOX, "from": n, "size": 2}) for n in (0, 2)]
        inside = client.search(index=films, body=FOX)
    assert answer["_shards"]["failed"] == 0
    assert set(ids(answer)) == {*ids(plain), "film-3"}, "and what the words alone do not find"
    assert "news-0" in ids(plain)
    assert degraded(answer), "a hit without funnel.id leaves the fused order, and that is said"
    assert not degraded(inside)
    assert ids(alone) == ["news-0"]
    assert ids(named) == ["news-0"]
    assert named["_shards"]["failed"] == 0
    assert [hit for page in pages for hit in ids(page)] == ids(answer)[:4], "page by page"


def test_a_plan_for_the_wide_alias_itself_is_for_its_encoded_index(
    client: OpenSearch, films: str, url: str
) -> None:
    with pytest.raises(InvalidPlanError, match=rf"{films} and for {films}-news.*--with-others"):
        plan_for(client, wide(films))
    plan = plan_for(client, wide(films), with_others=True)
    with default_of(client, plan, url=url) as done:
        assert set(done.default_of) == {films}
        answer = client.search(index=wide(films), body=FOX)
        inside = client.search(index=films, body=FOX)
    assert "news-0" in ids(answer)
    assert answer["_shards"]["failed"] == 0
    assert not degraded(inside)


def test_a_plan_is_refused_where_none_or_two_of_several_indices_are_encoded(
    client: OpenSearch, films: str
) -> None:
    client.indices.create(index=f"{films}-plain")
    client.indices.put_alias(index=f"{films}-plain,{films}-news", name=f"{films}-none")
    with pytest.raises(InvalidPlanError, match="2 indices, 0 of them encoded"):
        plan_for(client, f"{films}-none", with_others=True)
    make_films(client, f"{films}-more")
    client.indices.put_alias(index=f"{films}-more", name=wide(films))
    with pytest.raises(InvalidPlanError, match="3 indices, 2 of them encoded"):
        plan_for(client, wide(films), with_others=True)


def test_a_field_that_is_a_keyword_beside_it_is_not_upgraded(
    client: OpenSearch, films: str
) -> None:
    client.indices.put_mapping(
        index=f"{films}-news", body={"properties": {"title": {"type": "keyword"}}}
    )
    assert "title" in plan_for(client, films).searched_fields
    assert "title" not in plan_for(client, wide(films), with_others=True).searched_fields


def test_vectors_of_another_model_behind_an_alias_are_refused_without_a_way_out(
    client: OpenSearch, films: str, url: str
) -> None:
    make_films(client, f"{films}-other", fingerprint="ffffffffffff")
    client.indices.put_alias(index=f"{films}-other", name=f"{films}-mixed")
    client.indices.put_alias(index=films, name=f"{films}-mixed")
    with pytest.raises(InvalidPlanError, match=rf"{films}-mixed also covers {films}-other"):
        apply_pipeline(
            client, plan_for(client, films), service_url=url, default=True, with_others=True
        )


def test_different_defaults_behind_an_alias_switch_all_off_and_apply_says_so(
    client: OpenSearch, films: str, url: str
) -> None:
    path = f"/_search/pipeline/{films}-theirs"
    client.transport.perform_request("PUT", path, body={"request_processors": []})
    client.indices.put_settings(index=f"{films}-news", body={DEFAULT: f"{films}-theirs"})
    plan = plan_for(client, films)
    try:
        with default_of(client, plan, url=url, with_others=False) as done:
            answer = client.search(index=wide(films), body=FOX)
            notes = apply_notes(client, plan, applied=done)
    finally:
        client.indices.put_settings(index=f"{films}-news", body={DEFAULT: None})
        client.transport.perform_request("DELETE", path)
    assert "aggregations" not in answer
    (said,) = [note for note in notes if wide(films) in note]
    assert "no search pipeline at all" in said
    assert f"{films}-news ({films}-theirs)" in said


def test_where_one_index_runs_none_on_purpose_the_engine_goes_by_the_order_of_names(
    client: OpenSearch, index_name: str, url: str
) -> None:
    make_films(client, index_name)
    plan = plan_for(client, index_name)
    ran = set()
    with default_of(client, plan, url=url) as done:
        # The order comes of hashes: one index that is first of all is first in each pair.
        for number in range(12):
            for kind, pipeline in (("ours", done.name), ("none", "_none")):
                settings = {"index": {"search": {"default_pipeline": pipeline}}}
                name = f"{index_name}-{kind}-{number}"
                client.indices.create(index=name, body={"settings": settings})
        for ours, none in product(range(12), range(12)):
            pair = f"{index_name}-ours-{ours},{index_name}-none-{none}"
            ran.add("aggregations" in client.search(index=pair, body=FOX))
            if ran == {True, False}:
                break
        client.indices.put_alias(index=f"{index_name},{index_name}-none-*", name=wide(index_name))
        (said,) = [n for n in apply_notes(client, plan, applied=done) if wide(index_name) in n]
    assert ran == {True, False}
    assert "may run the pipeline or none" in said


def test_apply_says_what_clients_of_the_default_may_notice(  # noqa: PLR0913, PLR0917
    client: OpenSearch,
    node_url: str,
    films: str,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    client.indices.put_alias(
        index=films, name=f"{films}-some", body={"filter": {"match": {"text": "fox"}}}
    )
    monkeypatch.setenv("FUNNEL_URL", node_url)
    apply = ["pipeline", "apply", "--index", films, "--rerank", "off", "--service-url", url]
    try:
        assert main([*apply, "--default"]) == 1
        assert "--with-others" in capsys.readouterr().err
        assert main([*apply, "--default", "--with-others", "--output", "json"]) == 0
        out, err = capsys.readouterr()
        notes = json.loads(out)["notes"]
        assert "note:" not in err
        assert main([*apply, "--default", "--with-others"]) == 0
        said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
        assert said == [f"note: {note}" for note in notes]
    finally:
        remove_pipeline(client, f"funnel-{films}")
    scroll, filtered, others = notes[0], notes[2], notes[1]
    assert "scroll in score order" in scroll
    assert "search_pipeline=_none" in scroll
    assert f"{films}-all find documents of {films}-news by their words alone" in others
    assert f"alias {films}-some has a filter" in filtered
    assert f"{films} has one shard" in notes[3]
    assert "up to 600 candidates" in notes[3]
    assert len(notes) == 4


def test_an_index_of_several_shards_is_not_said_to_be_slow(
    client: OpenSearch, index_name: str, url: str
) -> None:
    make_films(client, index_name)
    fused = {name: Fusion(technique=name) for name in ("rrf", "auto")}
    plans = {name: plan_for(client, index_name, fusion=one) for name, one in fused.items()}
    done = apply_pipeline(client, plans["rrf"], service_url=url)
    try:
        (said,) = apply_notes(client, plans["rrf"], applied=done)
        assert "one shard" in said
        assert apply_notes(client, plans["auto"], applied=done) == [], "the service fuses"
    finally:
        remove_pipeline(client, done.name)
    two = f"{index_name}-two"
    client.indices.put_settings(index=index_name, body={"index.blocks.write": True})
    settings = {"index.number_of_shards": 2, "index.blocks.write": None}
    client.indices.split(index=index_name, target=two, body={"settings": settings})
    plan = plan_for(client, two, fusion=fused["rrf"])
    done = apply_pipeline(client, plan, service_url=url)
    try:
        assert apply_notes(client, plan, applied=done) == []
        answer = client.search(index=two, body=FOX, params={"search_pipeline": done.name})
    finally:
        remove_pipeline(client, done.name)
    assert not degraded(answer), "what was split is searched as before"
    assert set(ids(answer)) == {"film-0", "film-1", "film-2", "film-3"}


def test_the_break_that_apply_names_is_real_and_so_is_its_fix(
    client: OpenSearch, films: str, url: str
) -> None:
    with default_of(client, plan_for(client, films), url=url):
        with pytest.raises(EngineError, match="400"):
            client.search(index=films, body=FOX, params={"scroll": "1m"})
        with pytest.raises(EngineError, match="400"):
            client.search(index=wide(films), body=FOX, params={"scroll": "1m"})
        page = client.search(
            index=films, body=FOX, params={"scroll": "1m", "search_pipeline": "_none"}
        )
        client.clear_scroll(scroll_id=page["_scroll_id"])
    assert len(ids(page)) == 3


@pytest.mark.parametrize("kind", ["_index_template", "_component_template", "_template"])
def test_a_pipeline_that_a_template_names_is_not_removed(
    client: OpenSearch, index_name: str, url: str, kind: str
) -> None:
    make_films(client, index_name)
    done = apply_pipeline(client, plan_for(client, index_name), service_url=url, default=True)
    settings = {"index": {"search": {"default_pipeline": done.name}}}
    path = f"/{kind}/{index_name}-template"
    pattern = {"index_patterns": [f"{index_name}-new*"]}
    bodies = {
        "_index_template": {**pattern, "priority": 900, "template": {"settings": settings}},
        "_component_template": {"template": {"settings": settings}},
        "_template": {**pattern, "settings": settings},
    }
    client.transport.perform_request("PUT", path, body=bodies[kind])
    try:
        with pytest.raises(InvalidPlanError, match=f"template {index_name}-template names"):
            remove_pipeline(client, done.name)
        assert default_pipeline(client, index_name) == done.name, "nothing was undone"
        assert not degraded(client.search(index=index_name, body=FOX))
    finally:
        client.transport.perform_request("DELETE", path)
        remove_pipeline(client, done.name)
    assert default_pipeline(client, index_name) is None
