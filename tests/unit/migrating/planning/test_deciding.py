"""From a source and wishes to a migration."""

from __future__ import annotations

from typing import Any

import pytest

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.text import text_hash
from opensearch_funnel.encoders.manifest_files import load_manifest
from opensearch_funnel.engine.indices import EncodedBy, Slot
from opensearch_funnel.migrating.migration import Migration
from opensearch_funnel.migrating.planning.deciding import Wishes, decide
from opensearch_funnel.migrating.planning.slots import (
    read_models,
    refuse_other_texts,
    refuse_slot_name,
)
from opensearch_funnel.migrating.planning.source import Source
from opensearch_funnel.migrating.planning.token_counts import WordCounter
from tests.unit.migrating.planning.sources import source_of

OLD, NEW = EncodedBy(model="m", fingerprint="f"), EncodedBy(model="n", fingerprint="g")
SAMPLES = [{"title": "Heat", "note": "a long note about it"}]
NOTES = {"title": {"type": "text"}, "note": {"type": "text"}}


def _slot(by: EncodedBy, name: str = "a") -> Slot:
    return Slot(name=name, sparse=by, dense=None)


def _funnel_source(**meta: Any) -> Source:
    found = {"slots": {"a": _slot(OLD).meta}, **meta}
    return source_of(mappings={"_meta": {"funnel": found}, "properties": NOTES})


def _decided(source: Source, slot: Slot, **wishes: Any) -> Migration:
    asked = Wishes(slot=slot, limit=256, **wishes)
    return decide(source, SAMPLES, wishes=asked, counter=WordCounter())[0]


def test_a_plain_index_gets_one_slot() -> None:
    made = _decided(source_of(mappings={"properties": NOTES}), _slot(NEW), max_tokens=64)
    assert (made.alias, made.source, made.source_uuid) == ("films", "films-1", "u")
    assert made.target.startswith("films-funnel-2")
    assert made.text_fields == ("title", "note")
    assert (made.slots, made.kept_slots) == ({"a": _slot(NEW).meta}, ())
    assert (made.sparse_model, made.dense_model, made.max_tokens) == ("n", "", 64)
    assert (made.shards, made.phase, made.target_uuid) == (2, "planned", "")


def test_the_name_of_an_index_is_in_lower_case() -> None:
    made = _decided(source_of(alias="Films"), _slot(NEW))
    assert made.target.startswith("films-funnel-2")
    assert _decided(source_of(), _slot(NEW), target="films-2").target == "films-2"


def test_a_funnel_index_keeps_its_slots_and_their_text() -> None:
    made = _decided(_funnel_source(text_fields=["note"]), _slot(NEW, "b"))
    assert made.kept_slots == ("a",)
    assert made.slots == {"a": _slot(OLD).meta, "b": _slot(NEW, "b").meta}
    assert made.text_fields == ("note",)


def test_a_slot_of_another_model_is_refused_and_a_free_one_named() -> None:
    with pytest.raises(InputError, match=r"filled by m \(f\).*fill another one \(--slot b\)"):
        _decided(_funnel_source(), _slot(NEW))


def test_the_same_models_again_are_nothing_to_do_but_for_shards() -> None:
    with pytest.raises(InputError, match=r"nothing to migrate.*funnel migrate repair films"):
        _decided(_funnel_source(), _slot(OLD))
    made = _decided(_funnel_source(), _slot(OLD), shards=4)
    assert (made.shards, made.kept_slots) == (4, ())


@pytest.mark.parametrize("shards", [-1, 1025])
def test_an_index_cannot_have_any_number_of_shards(shards: int) -> None:
    with pytest.raises(InputError, match="an index has 1 to 1024 shards"):
        _decided(source_of(), _slot(NEW), shards=shards)


def test_a_partition_of_routing_values_needs_more_shards_than_it_has_parts() -> None:
    source = source_of(settings={"routing_partition_size": "2", "number_of_shards": "4"})
    with pytest.raises(InputError, match="--shards 3"):
        _decided(source, _slot(NEW), shards=2)
    assert _decided(source, _slot(NEW), shards=3).shards == 3


def _encoded(title: str, *, of: str) -> dict[str, Any]:
    return {"title": title, "funnel": {"state": "ready", "hash": text_hash(of)}}


def test_other_fields_than_the_slots_were_made_from_are_refused() -> None:
    samples = [_encoded("Heat", of="Heat. a long note"), {"title": "new"}]
    with pytest.raises(InputError, match="encoded from other fields than title"):
        refuse_other_texts(_funnel_source(), samples, text_fields=["title"])


def test_texts_that_have_changed_are_a_risk() -> None:
    samples = [_encoded("Heat", of="Heat"), _encoded("Alien", of="Aliens")]
    (risk,) = refuse_other_texts(_funnel_source(), samples, text_fields=["title"])
    assert risk.startswith("50% of the encoded samples have changed")
    assert refuse_other_texts(_funnel_source(), samples[:1], text_fields=["title"]) == []
    assert refuse_other_texts(source_of(), samples[1:], text_fields=["title"]) == []


def test_models_are_known_by_their_manifests_alone() -> None:
    models = read_models("splade-tiny", "bge-small-en-v1.5", max_tokens=64)
    slot = models.slot("b")
    assert models.limit == 64
    assert slot.dimension == 384
    assert slot.sparse is not None
    assert slot.sparse.fingerprint != load_manifest("splade-tiny").fingerprint()
    assert read_models("splade-tiny", "", max_tokens=0).slot("a").meta.keys() == {"sparse"}


@pytest.mark.parametrize(
    ("sparse", "dense", "max_tokens", "reason"),
    [
        ("", "", 0, "a sparse or a dense model, or both"),
        ("nope", "", 0, "no model 'nope'"),
        ("bge-small-en-v1.5", "", 0, "bge-small-en-v1.5 is no splade model"),
        ("splade-tiny", "", 100_000, "reads 256 tokens of a text, not 100000"),
    ],
)
def test_models_that_cannot_be_are_refused(
    sparse: str, dense: str, max_tokens: int, reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        read_models(sparse, dense, max_tokens=max_tokens)


@pytest.mark.parametrize("name", ["", "A", "a_b", "a.b", "1", "a" * 17])
def test_a_slot_has_a_plain_name(name: str) -> None:
    with pytest.raises(InputError, match="name it by a letter"):
        refuse_slot_name(name)
