"""How far legs are trusted, on a real node: healthy legs, broken ones, too few documents."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.build.evaluation import Bench
from opensearch_funnel.build.trusting import Trusting, is_unmeasured
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import DenseLeg, FunnelPlan, Fusion, SparseLeg, Trust
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.core.text import encoded_text
from opensearch_funnel.engine import state
from opensearch_funnel.engine.applying import bound_plan
from opensearch_funnel.engine.indices import (
    EncodedBy,
    Slot,
    index_body,
    index_uuid,
    read_funnel_meta,
)
from opensearch_funnel.engine.leg_hits import EngineLegs, plain_query, shards_of
from opensearch_funnel.engine.queries import multi_match
from opensearch_funnel.engine.searching import search
from opensearch_funnel.engine.vector_scores import space_type_of, vector_score
from opensearch_funnel.evaluating.trust.cut import CutScores
from opensearch_funnel.evaluating.trust.cut_lexical import lexical_scores
from opensearch_funnel.evaluating.trust.measuring import measured, measured_plan
from opensearch_funnel.evaluating.trust.probes import Cut, Sample, samples
from opensearch_funnel.settings import Settings
from opensearch_funnel.testing import WordVector, WordWeights
from tests.engine.shelf import encoded

pytestmark = pytest.mark.engine

DENSE = WordVector(dimension=256)
MODELS = PlanModels(sparse=WordWeights(), dense=DENSE)
NOBODYS = "a-model-that-is-nowhere"
SLOT = Slot(
    sparse=EncodedBy(model=NOBODYS, fingerprint=WordWeights().fingerprint),
    dense=EncodedBy(model=NOBODYS, fingerprint=DENSE.fingerprint),
    dimension=DENSE.dimension,
)
DOCUMENTS = 120
AUTO = Fusion(technique="auto")

Change = Callable[[list[dict[str, Any]]], None]


def sources(count: int) -> list[dict[str, Any]]:
    """Return documents of words of their own, whose title stands in the text in another order."""
    draw = random.Random(3)  # noqa: S311 - the same documents every time
    letters = "bcdfghklmnprstvw"
    made = []
    for _ in range(count):
        own = ["".join(draw.choices(letters, k=6)) for _ in range(8)]
        sentence = f"the {own[2]} of {own[0]} has {own[1]} and {' '.join(own[3:])}."
        made.append({"title": " ".join(own[:3]), "text": f"{sentence} it is so."})
    return made


@contextmanager
def filled(  # noqa: PLR0913 - what an index is made of
    client: OpenSearch,
    name: str,
    *,
    count: int = DOCUMENTS,
    change: Change | None = None,
    body: Mapping[str, Any] | None = None,
    shards: int = 1,
) -> Iterator[FunnelPlan]:
    """Make an index of such documents, and give its plan."""
    made = dict(body or index_body(slot=SLOT, replicas=0))
    made["settings"]["number_of_shards"] = shards
    documents = [
        encoded(source, doc_id=f"d{number}", dense=DENSE)
        for number, source in enumerate(sources(count))
    ]
    if change is not None:
        change(documents)
    client.indices.create(index=name, body=made)
    try:
        lines: list[Any] = []
        for number, document in enumerate(documents):
            lines += [{"index": {"_id": f"d{number}"}}, document]
        assert not client.bulk(index=name, body=lines, refresh=True)["errors"]
        asked = FunnelPlan(
            alias=name,
            depth=50,
            fusion=AUTO,
            sparse=SparseLeg(model=NOBODYS),
            dense=DenseLeg(model=NOBODYS),
        )
        yield bound_plan(client, asked)
    finally:
        client.indices.delete(index=name)


def permuted(field: str) -> Change:
    """Give each document another one's field."""

    def change(documents: list[dict[str, Any]]) -> None:
        values = [document["funnel"][field] for document in documents]
        for place, document in enumerate(documents):
            document["funnel"][field] = values[(place + 17) % len(values)]

    return change


def misread() -> dict[str, Any]:
    """Return an index whose words are read otherwise when they are searched than when written."""
    body = index_body(slot=SLOT, replicas=0)
    body["settings"]["analysis"] = {
        "analyzer": {
            "plain": {"tokenizer": "standard"},
            "backwards": {"tokenizer": "standard", "filter": ["reverse"]},
        }
    }
    field = {"type": "text", "analyzer": "plain", "search_analyzer": "backwards"}
    body["mappings"]["properties"].update(title=field, text=field)
    return body


def trust_of(plan: FunnelPlan) -> dict[str, float]:
    return {leg: getattr(plan.trust, leg) for leg in plan.active_legs}


@pytest.mark.parametrize("shards", [1, 3])
def test_healthy_legs_are_all_trusted(client: OpenSearch, index_name: str, shards: int) -> None:
    with filled(client, index_name, shards=shards) as plan:
        found = measured_plan(client, plan, models=MODELS)
        assert min(trust_of(found).values()) > 0.9
        assert found.trust.decided
        assert found.trust.index == index_uuid(client, index=index_name)
        assert "(120 probes)" in found.trust.reason
        # A query's weights add up to 1, and words of one document are all in it, once or twice.
        assert 0.9 <= found.fusion.full_match <= 2.0
        assert measured_plan(client, plan, models=MODELS) == found


@pytest.mark.parametrize("leg", ["sparse", "dense"])
def test_a_leg_with_other_documents_fields_is_hardly_trusted(
    client: OpenSearch, index_name: str, leg: str
) -> None:
    with filled(client, index_name, change=permuted(f"{leg}_a")) as plan:
        found = trust_of(measured_plan(client, plan, models=MODELS))
        assert found.pop(leg) < 0.15
        assert min(found.values()) > 0.9


def test_healthy_legs_stay_trusted_beside_a_broken_one_where_titles_are_hard(
    client: OpenSearch, index_name: str
) -> None:
    """Texts that are encoded anew stand out in a leg whose stored vectors say nothing."""

    def hard(documents: list[dict[str, Any]]) -> None:
        # The words of each title are twice in the next text, and once in the document's own.
        titles = [document["title"] for document in documents]
        for number, document in enumerate(documents):
            text = f"{document['text']} {titles[number - 1]} or {titles[number - 1]}"
            made = {"title": titles[number], "text": text}
            document.update(encoded(made, doc_id=f"d{number}", dense=DENSE))
            nothing = DENSE.encode_query(f"nothing {number} of it")
            document["funnel"]["dense_a"] = nothing.tolist()

    with filled(client, index_name, change=hard) as plan:
        found = measured(client, plan, index=index_name, models=MODELS)
        reached = [
            sum(values) / len(found.cut)
            for values in zip(*(probe.ndcgs for probe in found.cut), strict=True)
        ]
        assert reached[2] > max(reached[:2]) + 0.1, "the broken leg seems to be the best"
        trust = trust_of(measured_plan(client, plan, models=MODELS))
        assert trust.pop("dense") < 0.15
        assert min(trust.values()) > 0.7


def test_a_lexical_leg_that_reads_words_otherwise_is_hardly_trusted(
    client: OpenSearch, index_name: str
) -> None:
    with filled(client, index_name, body=misread()) as plan:
        found = trust_of(measured_plan(client, plan, models=MODELS))
        assert found.pop("bm25") <= 0.03
        assert min(found.values()) > 0.9


def test_too_few_documents_are_fused_by_ranks(client: OpenSearch, index_name: str) -> None:
    with filled(client, index_name, count=12) as plan:
        found = measured_plan(client, plan, models=MODELS)
        assert found.fusion == Fusion(technique="rrf", rank_constant=60)
        assert found.trust.thin
        assert found.trust.reason == "reciprocal ranks: 12 probes, at least 20 are needed"
        assert found.undecided() == plan.undecided()


def test_documents_that_wait_for_their_fields_are_no_probes(
    client: OpenSearch, index_name: str
) -> None:
    def half_waits(documents: list[dict[str, Any]]) -> None:
        for document in documents[::2]:
            document["funnel"].update(state="pending")
        del documents[1]["funnel"]["dense_a"]

    with filled(client, index_name, count=60, change=half_waits) as plan:
        found = measured(client, plan, index=index_name, models=MODELS)
        assert len(found.own) == 29
        targets = {int(probe.target.removeprefix("d")) for probe in found.own}
        assert targets == set(range(3, 60, 2))


def test_one_leg_alone_is_not_measured(client: OpenSearch, index_name: str) -> None:
    with filled(client, index_name, count=3) as plan:
        alone = plan.with_legs("bm25")
        found = measured_plan(client, alone, models=PlanModels())
        assert found.trust.reason == "bm25 is the only leg"
        assert found.fusion == alone.fusion


def test_without_its_title_a_document_scores_as_if_it_were_written_so(
    client: OpenSearch, index_name: str
) -> None:
    def with_twins(documents: list[dict[str, Any]]) -> None:
        for number, source in enumerate(sources(5)):
            alone = {"title": "", "text": source["text"]}
            documents.append(encoded(alone, doc_id=f"d{DOCUMENTS + number}", dense=DENSE))

    with filled(client, index_name, change=with_twins) as plan:
        shards = shards_of(client, index_name)
        mapping = client.indices.get_mapping(index=index_name)[index_name]["mappings"]
        cut = CutScores(
            client=client,
            plan=plan,
            models=MODELS,
            space_type=space_type_of(mapping, field=plan.dense_field),
        )
        made = [s for s in samples(client, plan, shards=shards, count=200) if s.title]
        assert len(made) == DOCUMENTS
        asked = [(s, s.title) for s in made if s.title and int(s.doc_id[1:]) < 5]
        legs = EngineLegs(
            client=client, plan=plan, models=MODELS, shards=shards, lexical=plain_query(plan)
        )
        for (sample, part), scores in zip(asked, cut.scores(asked), strict=True):
            twin = f"d{DOCUMENTS + int(sample.doc_id[1:])}"
            found = legs.find(Query(text=part.query))
            for leg in ("sparse", "dense"):
                [real] = [hit.score for hit in found[leg] if hit.doc_id == twin]
                assert scores[leg] == pytest.approx(real, rel=1e-5)
            words = multi_match(part.query, fields=["text"])
            answer = search(client, index_name, query=words, size=10)
            lexical = {hit["_id"]: hit["_score"] for hit in answer["hits"]["hits"]}
            assert scores["bm25"] == pytest.approx(lexical[sample.doc_id], rel=1e-6)


def test_bm25_of_a_text_that_no_index_has_is_the_engine_s_of_one_that_has_it(
    client: OpenSearch, index_name: str
) -> None:
    """To what Lucene rounds of lengths: documents of up to 40 terms have them exactly."""
    with filled(client, index_name):
        asked = f"{sources(1)[0]['title']} has so, so"
        answer = search(client, index_name, query=multi_match(asked), size=20)
        found = {hit["_id"]: hit["_score"] for hit in answer["hits"]["hits"]}
        assert len(found) == 20
        texts = {f"d{number}": source for number, source in enumerate(sources(DOCUMENTS))}
        cuts = [
            (sample_of(index_name, doc_id), Cut(query=asked, fields=texts[doc_id], indexed=False))
            for doc_id in found
        ]
        scores = lexical_scores(client, cuts)
        assert scores == pytest.approx(list(found.values()), rel=1e-4)


def sample_of(index: str, doc_id: str) -> Sample:
    return Sample(
        index=index, doc_id=doc_id, target=doc_id, own="", title=None, lead=None, words=""
    )


def test_where_documents_have_no_titles_first_sentences_tell(
    client: OpenSearch, index_name: str
) -> None:
    def one_text(documents: list[dict[str, Any]]) -> None:
        for number, document in enumerate(documents):
            made = {"title": "", "text": f"{document['title']}. {document['text']}"}
            document.update(encoded(made, doc_id=f"d{number}", dense=DENSE))

    with filled(client, index_name, change=one_text) as plan:
        found = measured(client, plan, index=index_name, models=MODELS)
        assert found.cut_by == "first sentences"
        assert len(found.cut) == DOCUMENTS
        assert "first sentences" in measured_plan(client, plan, models=MODELS).trust.reason


def test_titles_are_measured_as_by_hand(client: OpenSearch, index_name: str) -> None:
    with filled(client, index_name) as plan:
        found = measured(client, plan, index=index_name, models=MODELS)
        assert len(found.cut) == DOCUMENTS
        texts = {f"d{n}": source for n, source in enumerate(sources(DOCUMENTS))}
        weigh = WordWeights().encode_query
        for probe in found.cut[:20]:
            query = weigh(texts[probe.target]["title"])
            whole = {
                name: weigh(encoded_text(source, fields=["title", "text"]))
                for name, source in texts.items()
            }
            whole[probe.target] = weigh(texts[probe.target]["text"])
            scores = {
                name: sum(query[word] * weights.get(word, 0) for word in query)
                for name, weights in whole.items()
            }
            better = sum(score > scores[probe.target] for score in scores.values())
            assert better == 0
            assert probe.ndcgs[1] == 1.0
            [own] = [hit.score for hit in probe.found["sparse"] if hit.doc_id == probe.target]
            assert own == pytest.approx(scores[probe.target] / 3)


@pytest.mark.parametrize("space_type", ["innerproduct", "cosinesimil", "l2"])
def test_a_vector_scores_as_in_the_engine(
    client: OpenSearch, index_name: str, space_type: str
) -> None:
    method = {"name": "hnsw", "engine": "lucene", "space_type": space_type}
    field = {"type": "knn_vector", "dimension": 256, "method": method}
    mapping = {"properties": {"v": field}}
    client.indices.create(
        index=index_name, body={"settings": {"index.knn": True}, "mappings": mapping}
    )
    texts = ["red fox", "blue whale", "a fox and a whale", "snow"]
    vectors = {f"d{n}": DENSE.encode_query(text) * (n + 1) for n, text in enumerate(texts)}
    vectors["d3"] = -vectors["d0"]
    for name, vector in vectors.items():
        client.index(index=index_name, id=name, body={"v": vector.tolist()}, refresh=True)
    query = DENSE.encode_query("fox")
    asked = {"knn": {"v": {"vector": query.tolist(), "k": 4}}}
    answer = search(client, index_name, query=asked, size=4)
    assert len(answer["hits"]["hits"]) == 4
    read = client.indices.get_mapping(index=index_name)[index_name]["mappings"]
    assert space_type_of(read, field="v") == space_type
    for hit in answer["hits"]["hits"]:
        own = vector_score(query, vectors[hit["_id"]], space_type=space_type)
        assert own == pytest.approx(hit["_score"], rel=1e-5)


def test_an_evaluation_index_remembers_what_was_measured(
    client: OpenSearch, index_name: str
) -> None:
    with filled(client, index_name, count=40) as plan:
        trusting = Trusting(client=client)
        before = read_funnel_meta(client, index=index_name)
        found = trusting.remembered(plan, index=index_name, models=MODELS)
        assert found.trust.decided
        # Without models nothing could be measured again.
        again = replace(plan, sample=0.5)
        known = trusting.remembered(again, index=index_name, models=PlanModels())
        assert known == replace(found, sample=0.5)
        shallow = replace(plan, depth=60)
        assert trusting.remembered(shallow, index=index_name, models=MODELS).trust.decided
        meta = read_funnel_meta(client, index=index_name)
        assert len(meta.pop("trust")) == 2
        assert meta == before
        for other in (replace(plan, fusion=Fusion(technique="rrf")), found):
            assert trusting.remembered(other, index=index_name, models=PlanModels()) == other


def test_an_applied_plan_is_not_measured_again_while_its_index_is_the_same(
    client: OpenSearch, index_name: str
) -> None:
    # Nobody has the models: whoever measures says that it could not.
    bench = Bench(client=client, settings=Settings(home=Path("/nowhere")))
    pipeline = f"funnel-{index_name}"
    made: list[str] = []
    kept = state.AppliedPipeline(name=pipeline, plan_id="", service_url="http://127.0.0.1:1")

    def decided(plan: FunnelPlan) -> FunnelPlan:
        return bench.decided_once(plan, pipeline=pipeline, rerank="off")

    try:
        with filled(client, index_name, count=40) as plan:
            unmeasured = decided(plan)
            assert is_unmeasured(unmeasured)
            assert unmeasured.trust.reason.startswith("not measured: a model cannot be opened")
            found = measured_plan(client, plan, models=MODELS)
            state.save_plan(client, found)
            made.append(found.plan_id)
            state.save_pipeline(client, replace(kept, plan_id=found.plan_id))
            for same in (plan, replace(plan, sample=0.5)):
                again = decided(same)
                assert (again.trust, again.fusion) == (found.trust, found.fusion)
            assert is_unmeasured(decided(replace(plan, depth=60)))
            chosen = replace(plan, trust=Trust(dense=2.0, decided=True, reason="ours"))
            assert decided(chosen).trust == chosen.trust
            ranks = replace(plan, fusion=Fusion(technique="rrf"))
            assert decided(ranks).trust == Trust()
        with filled(client, index_name, count=40) as plan:
            assert is_unmeasured(decided(plan)), "it is another index of the same name"
    finally:
        state.forget_pipeline(client, pipeline)
        for plan_id in made:
            state.forget_plan(client, plan_id)
