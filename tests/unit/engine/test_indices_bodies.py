"""Index bodies: exactly these."""

from __future__ import annotations

from opensearch_funnel.engine.indices import EncodedBy, Slot, funnel_mapping, index_body, with_slot

SLOT = Slot(
    name="b",
    sparse=EncodedBy(model="splade", fingerprint="5a"),
    dense=EncodedBy(model="bge", fingerprint="de"),
    dimension=8,
    space_type="l2",
)
META = {
    "sparse": {"model": "splade", "fingerprint": "5a"},
    "dense": {"model": "bge", "fingerprint": "de"},
}


def test_the_mapping_of_a_slot() -> None:
    fields = funnel_mapping(slot="b", dimension=8, space_type="l2")["properties"]["funnel"]
    assert fields["properties"] == {
        "id": {"type": "keyword"},
        "origin": {"type": "long"},
        "model": {"type": "keyword"},
        "hash": {"type": "keyword"},
        "state": {"type": "keyword"},
        "sparse_b": {"type": "rank_features"},
        "dense_b": {
            "type": "knn_vector",
            "dimension": 8,
            "space_type": "l2",
            "method": {
                "name": "hnsw",
                "engine": "lucene",
                "parameters": {"m": 16, "ef_construction": 100},
            },
        },
    }


def test_a_plain_index_has_no_funnel_fields() -> None:
    body = index_body()
    assert body["settings"]["similarity"]["default"] == {"type": "BM25", "k1": 1.2, "b": 0.75}
    assert body["mappings"]["properties"] == {
        "title": {"type": "text", "analyzer": "english"},
        "text": {"type": "text", "analyzer": "english"},
    }
    assert "knn" not in body["settings"]


def test_a_funnel_index_has_fields_setting_and_meta() -> None:
    body = index_body(slot=SLOT, replicas=2)
    assert body["settings"]["knn"] is True
    assert body["settings"]["number_of_replicas"] == 2
    assert set(body["mappings"]["properties"]) == {"title", "text", "funnel"}
    assert body["mappings"]["_meta"] == {"funnel": {"schema": 1, "slots": {"b": META}}}


def test_bodies_are_made_anew_each_time() -> None:
    index_body(slot=SLOT)["mappings"]["properties"].clear()
    assert index_body(slot=SLOT)["mappings"]["properties"]


def test_writing_a_slot_keeps_the_others() -> None:
    before = {"schema": 1, "plan": "p", "slots": {"a": {"sparse": {}}}}
    assert with_slot(before, slot=SLOT) == {
        "schema": 1,
        "plan": "p",
        "slots": {"a": {"sparse": {}}, "b": META},
    }
    assert before["slots"] == {"a": {"sparse": {}}}


def test_a_slot_says_where_its_texts_were_cut() -> None:
    cut = EncodedBy(model="splade", fingerprint="5a", max_tokens=64)
    assert Slot(sparse=cut, dense=None).meta == {
        "sparse": {"model": "splade", "fingerprint": "5a", "max_tokens": 64}
    }
