"""Documents into funnel fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.text import text_hash
from opensearch_funnel.documents.document import Document
from opensearch_funnel.engine.bulk.lines import Line, line_of
from opensearch_funnel.migrating.encoding import SlotEncoder, funnel_fields

FIELDS = ("title", "text")


@dataclass(frozen=True)
class CountedWords:
    """Weighs a word by how often it is there, times 1.2: not one of the stored weights."""

    name: str = "words"
    fingerprint: str = "f1"
    calls: list[int] = field(default_factory=list)

    def encode_documents(self, texts: Sequence[str]) -> list[Mapping[str, float]]:
        self.calls.append(len(texts))
        return [{w: 1.2 * text.split().count(w) for w in text.split()} for text in texts]


@dataclass(frozen=True)
class Lengths:
    """Places a text at its length."""

    name: str = "lengths"
    fingerprint: str = "f2"
    dimension: int = 2

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.asarray([[len(text), 1.0] for text in texts], dtype=np.float32)


def _encoder(name: str = "a") -> SlotEncoder:
    return SlotEncoder(fields=FIELDS, sparse=CountedWords(), dense=Lengths(), name=name)


def _encoded(*documents: Document, chunk: int = 2, slot: str = "a") -> list[Document]:
    return list(funnel_fields(documents, encoder=_encoder(slot), chunk=chunk))


def test_a_document_gets_every_field_of_the_contract() -> None:
    source = {"title": "big fish.", "text": "a fish.", "year": 2003}
    (document,) = _encoded(Document("d1", source), slot="b")
    made = document.source["funnel"]
    vector = made.pop("dense_b")
    assert vector.dtype == np.float32
    assert vector.tolist() == [len("big fish. a fish."), 1.0]
    assert made == {
        "id": "d1",
        "sparse_b": {"big": 307 / 256, "fish.": 307 / 128, "a": 307 / 256},
        "model": ["f1", "f2"],
        "hash": text_hash("big fish. a fish."),
        "state": "ready",
    }
    assert {**document.source, "funnel": None} == {**source, "funnel": None}
    assert "funnel" not in source


def test_documents_without_text_get_no_terms_and_no_vector() -> None:
    documents = [
        Document("1", {"title": "a"}),
        Document("2", {"year": 1}),
        Document("3", {"text": " "}),
        Document("4", {"text": "bcd"}),
    ]
    one, two, three, four = [document.source["funnel"] for document in _encoded(*documents)]
    assert one["dense_a"].tolist() == [1.0, 1.0]
    assert four["dense_a"].tolist() == [3.0, 1.0]
    for empty in (two, three):
        assert not {"sparse_a", "dense_a"} & set(empty)
        assert (empty["state"], empty["hash"]) == ("ready", text_hash(""))


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
def test_chunks_change_nothing(chunk: int) -> None:
    documents = [Document(str(n), {"text": "word " * n}) for n in range(7)]
    found = [line_of(document) for document in _encoded(*documents, chunk=chunk)]
    assert found == [line_of(document) for document in _encoded(*documents, chunk=7)]
    assert [line.doc_id for line in found] == [str(n) for n in range(7)]


def test_documents_are_encoded_a_chunk_at_a_time() -> None:
    sparse = CountedWords()
    documents = (Document(str(n), {"text": "x"}) for n in range(5))
    encoder = SlotEncoder(fields=FIELDS, sparse=sparse, dense=Lengths())
    stream = funnel_fields(documents, encoder=encoder, chunk=2)
    next(stream)
    assert sparse.calls == [2]
    assert len(list(stream)) == 4
    assert sparse.calls == [2, 2, 1]


def test_what_was_encoded_before_is_encoded_anew() -> None:
    (once,) = _encoded(Document("1", {"text": "a"}))
    (twice,) = _encoded(once)
    first, second = line_of(once), line_of(twice)
    assert isinstance(first, Line)
    assert first == second


def test_a_field_of_the_users_is_not_written_over() -> None:
    with pytest.raises(InputError, match="document '1' has a field 'funnel'"):
        _encoded(Document("1", {"text": "a", "funnel": {"state": "open"}}))


def test_the_slot_names_the_models() -> None:
    slot = _encoder("b").slot
    assert (slot.name, slot.dimension, slot.space_type) == ("b", 2, "innerproduct")
    assert slot.meta == {
        "sparse": {"model": "words", "fingerprint": "f1"},
        "dense": {"model": "lengths", "fingerprint": "f2"},
    }


def test_a_slot_may_have_one_leg_alone() -> None:
    encoder = SlotEncoder(fields=FIELDS, sparse=CountedWords(), name="c")
    assert encoder.models == ["f1"]
    assert encoder.encode(["a", ""])[0].keys() == {"sparse_c"}
    assert encoder.slot.meta.keys() == {"sparse"}
    fields = encoder.slot.mapping["properties"]["funnel"]["properties"]
    assert fields.keys() == {"id", "origin", "model", "hash", "state", "sparse_c"}


def test_a_slot_without_a_leg_is_refused() -> None:
    with pytest.raises(InputError, match="a sparse or a dense model"):
        SlotEncoder(fields=FIELDS)
