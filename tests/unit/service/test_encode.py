"""The object ``funnel`` of a document that is being written, with stand-ins for the encoders."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextvars import copy_context
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest

from opensearch_funnel.core.errors import InputError, StageUnavailableError
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import Deadlines, FunnelPlan
from opensearch_funnel.core.text import text_hash
from opensearch_funnel.service.encode import as_pipeline_text, encode, encode_in_time
from opensearch_funnel.service.plans import ReadyPlan
from opensearch_funnel.service.pools import StageBusyError
from opensearch_funnel.service.waiting import Asker, set_asker
from opensearch_funnel.testing import WordVector, WordWeights

PLAN = FunnelPlan(alias="films")
SPARSE, DENSE = WordWeights(), WordVector(dimension=4)
READY = ReadyPlan(PLAN, PlanModels(sparse=SPARSE, dense=DENSE))
MODELS = [SPARSE.fingerprint, DENSE.fingerprint]
FOX = "a red red fox"
CREATED, ANYTHING = -4, -3


class NoQueries:
    """An encoder that must not be asked."""

    fingerprint = SPARSE.fingerprint

    def encode_query(self, text: str) -> dict[str, float]:
        raise AssertionError(text)

    def encode_documents(self, texts: Sequence[str]) -> list[dict[str, float]]:
        raise AssertionError(texts)


class Heavy(WordWeights):
    """Weights of more digits than the index keeps."""

    def encode_query(self, text: str) -> dict[str, float]:
        return {word: n + 0.7 for word, n in super().encode_query(text).items()}


def document(**fields: Any) -> dict[str, Any]:
    """Return what the engine sends for a document with an id."""
    return {"_index": "films", "_id": "1", "_version": ANYTHING} | fields


def without_id(*, version: int, **fields: Any) -> dict[str, Any]:
    return {**document(**fields), "_id": None, "_version": version}


def made_for(content: dict[str, Any], *, ready: ReadyPlan = READY) -> dict[str, Any]:
    """Return the object that a document gets, as JSON types."""
    (made,) = encode(content, ready=ready).values()
    return {n: v.tolist() if isinstance(v, np.ndarray) else v for n, v in made.items()}


def made_of(text: str, *, key: str = "1") -> dict[str, Any]:
    return {
        "id": key,
        "model": MODELS,
        "hash": text_hash(text),
        "state": "ready",
        "sparse_a": SPARSE.encode_query(text),
        "dense_a": DENSE.encode_query(text).tolist(),
    }


def test_a_new_document_gets_all_fields_of_the_plans_slot() -> None:
    assert made_for(document(text=FOX)) == made_of(FOX)
    of_b = ReadyPlan(replace(PLAN, slot="b"), READY.models)
    assert {"sparse_b", "dense_b"} < made_for(document(text=FOX), ready=of_b).keys()


def test_the_plans_text_fields_are_read() -> None:
    made = made_for(document(title="Heat", text=["A thief.", None, "A cop."], x="y"))
    assert made["hash"] == text_hash("Heat. A thief. A cop.")


def test_weights_are_stored_as_the_index_keeps_them() -> None:
    made = made_for(document(text="fox"), ready=ReadyPlan(PLAN, PlanModels(sparse=Heavy())))
    assert made["sparse_a"] == {"fox": 1.69921875}
    assert made["model"] == [SPARSE.fingerprint]
    assert "dense_a" not in made


@pytest.mark.parametrize("text", [None, "", "  ", [], [None]])
def test_a_document_without_text_is_ready_and_has_no_vectors(text: Any) -> None:
    made = made_for(document(text=text, funnel=made_of(FOX)))
    assert made == {
        "id": "1",
        "model": MODELS,
        "hash": text_hash(""),
        "state": "ready",
    }


def test_a_document_whose_text_stayed_is_not_encoded_again() -> None:
    present = {**made_of(FOX), "origin": 2**41, "sparse_b": {"fox": 1.0}, "id": "old"}
    idle = ReadyPlan(PLAN, PlanModels(sparse=NoQueries(), dense=DENSE))
    made = made_for(document(text=FOX, funnel=present), ready=idle)
    # It is no copy of another index's document any more.
    assert made == {**made_of(FOX), "sparse_b": {"fox": 1.0}}


@pytest.mark.parametrize(
    "stale",
    [
        {"hash": "0" * 16},
        {"model": ["ffffffffffff"]},
        {"state": "pending"},
        {"sparse_a": None},
    ],
)
def test_a_document_whose_fields_are_of_something_else_is(stale: dict[str, Any]) -> None:
    present = {**made_of("old words"), "hash": text_hash(FOX), **stale}
    assert made_for(document(text=FOX, funnel=present)) == made_of(FOX)


def test_other_slots_go_with_the_text_that_they_were_made_of() -> None:
    present = {**made_of("old words"), "sparse_b": {"old": 1.0}, "dense_b": [1.0]}
    made = made_for(document(text=FOX, funnel=present))
    assert not {"sparse_b", "dense_b"} & made.keys()


@pytest.mark.parametrize("own", ["red", ["x"], {"steps": 3}])
def test_a_field_of_the_users_own_is_refused(own: Any) -> None:
    with pytest.raises(InputError, match="'funnel'"):
        encode(document(text=FOX, funnel=own), ready=READY)


def test_a_part_of_the_field_under_its_full_name_is_the_users_own_too() -> None:
    with pytest.raises(InputError, match="'funnel'"):
        encode(document(**{"text": FOX, "funnel.steps": 3}), ready=READY)


def test_nothing_in_the_place_of_the_object_is_nobodys() -> None:
    assert made_for(document(text=FOX, funnel=None)) == made_of(FOX)


def test_documents_that_get_their_ids_later_get_keys_of_their_own() -> None:
    present = made_of(FOX, key="of another document")
    documents = [without_id(version=CREATED, text=FOX, funnel=given) for given in (None, present)]
    made = [made_for(one) for one in documents for _ in range(2)]
    keys = {one["id"] for one in made}
    assert len(keys) == 4
    assert all(len(key) == 32 for key in keys)
    assert [one["sparse_a"] for one in made] == [SPARSE.encode_query(FOX)] * 4


def test_what_may_be_merged_replaces_the_terms_that_were_there() -> None:
    for given in (None, made_of(FOX)):
        made = made_for(without_id(version=ANYTHING, text=FOX, funnel=given))
        assert made["sparse_a"] == [SPARSE.encode_query(FOX)]
        assert made["dense_a"] == DENSE.encode_query(FOX).tolist()


def test_what_may_be_merged_and_has_no_text_changes_nothing() -> None:
    assert encode(without_id(version=ANYTHING, price=2), ready=READY) == {}
    assert made_for(without_id(version=CREATED, price=2))["state"] == "ready"


def test_a_vector_that_the_index_would_refuse_is_no_answer() -> None:
    class Broken(WordVector):
        def encode_documents(self, texts: Sequence[str]) -> Any:
            return np.full((len(texts), self.dimension), np.nan, dtype=np.float32)

    with pytest.raises(StageUnavailableError, match="no vector"):
        encode(document(text=FOX), ready=ReadyPlan(PLAN, PlanModels(dense=Broken())))


def test_a_model_that_only_knows_queries_is_no_answer() -> None:
    class QueriesOnly:
        fingerprint = "0"

        def encode_query(self, text: str) -> dict[str, float]:
            return {text: 1.0}

    with pytest.raises(StageUnavailableError, match="queries only"):
        encode(document(text=FOX), ready=ReadyPlan(PLAN, PlanModels(sparse=QueriesOnly())))


@pytest.mark.parametrize("text", ["{{_id}}", "{{{", "{{{{{{", "{ {", "}}", "\\{{", '"{{"', "é {{"])
def test_no_two_braces_are_left_in_what_the_engine_reads(text: str) -> None:
    fields = encode(document(_id=text, text=text), ready=READY)
    written = as_pipeline_text(fields)
    assert "{{" not in written
    assert orjson.loads(written) == orjson.loads(
        orjson.dumps(fields, option=orjson.OPT_SERIALIZE_NUMPY)
    )


def test_a_document_that_has_waited_half_of_its_time_is_turned_away() -> None:
    patient = ReadyPlan(replace(PLAN, deadlines=Deadlines(encode_ms=1000_000)), READY.models)

    def after_waiting(seconds: float) -> dict[str, Any]:
        set_asker(Asker(deadline=time.monotonic() + 1000 - seconds))
        return encode_in_time(document(text=FOX), ready=patient)

    assert copy_context().run(after_waiting, 400).keys() == {"funnel"}
    with pytest.raises(StageBusyError, match="more documents"):
        copy_context().run(after_waiting, 600)
    assert encode_in_time(document(text=FOX), ready=patient)
