"""What a plan says of sizes, times, settings and risks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from opensearch_funnel.core.errors import EngineDeniedError, InputError
from opensearch_funnel.migrating.encoding import SlotEncoder
from opensearch_funnel.migrating.planning.changes import mapping_diff, settings_changes
from opensearch_funnel.migrating.planning.measuring import Measured, measure
from opensearch_funnel.migrating.planning.reporting import sizes_of, texts_of, times_of
from opensearch_funnel.migrating.planning.risks import risks_of
from opensearch_funnel.migrating.planning.room import Room, refuse_no_room
from opensearch_funnel.migrating.planning.text_fields import FieldChoice
from opensearch_funnel.migrating.planning.token_counts import WordCounter
from opensearch_funnel.migrating.rights import needing
from tests.unit.migrating.planning.sources import BY, migration_of, source_of


@dataclass(frozen=True)
class OneTerm:
    name: str = "m"
    fingerprint: str = "f"

    def encode_documents(self, texts: Sequence[str]) -> list[Mapping[str, float]]:
        return [{"word": 1.0} for _ in texts]


@dataclass(frozen=True)
class Zeros:
    name: str = "m"
    fingerprint: str = "f"
    dimension: int = 3

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.zeros((len(texts), 3), dtype=np.float32)


def test_what_a_sample_takes_is_measured() -> None:
    encoder = SlotEncoder(fields=("title",), sparse=OneTerm(), dense=Zeros())
    made = measure(encoder, [{"title": f"film {n}"} for n in range(50)] + [{}])
    assert made is not None
    assert (made.documents, made.dimension) == (50, 3)
    assert made.sparse == len('{"word":1.0}')
    assert made.dense == len("[0.0,0.0,0.0]")
    assert made.rate > 0
    assert measure(encoder, [{}]) is None


MEASURED = Measured(documents=100, seconds=2.0, sparse=1000, dense=2000, others=100, dimension=100)


def test_bytes_on_disk_follow_codec_and_what_is_kept_of_vectors() -> None:
    plain = 0.75 * 1000 + 0.9 * 100 + 4.1 * 100
    tight = 0.55 * 1000 + 0.85 * 100 + 4.1 * 100
    derived = {"index.knn.derived_source.enabled": "true"}
    assert MEASURED.stored(derived) == plain
    assert MEASURED.stored({}) == plain + 0.72 * 2000
    best = {"index.codec": "best_compression"}
    assert MEASURED.stored(best) == tight + 0.45 * 2000


def test_deleted_documents_take_no_room_in_the_target() -> None:
    source = source_of(documents=10, lucene_documents=10, deleted=10, bytes=1000)
    room = Room(free={"n": 70}, watermark="85%")
    sizes = sizes_of(source, migration_of(source), measured=MEASURED, room=room)
    assert sizes.a_document == round(MEASURED.stored({}))
    assert sizes.primaries_after == 500 + 10 * sizes.a_document
    assert (sizes.primaries_now, sizes.replicas, sizes.free) == (1000, 1, 70)
    unknown = sizes_of(source, migration_of(source), measured=None, room=None)
    assert (unknown.a_document, unknown.primaries_after, unknown.free) == (None, None, None)


def test_hours_are_documents_by_the_measured_rate() -> None:
    times = times_of(source_of(documents=180_000), MEASURED)
    assert times is not None
    assert (times.rate, times.hours, times.documents) == (50.0, 1.0, 100)
    assert times_of(source_of(), None) is None


def test_replicas_without_a_node_take_no_room_and_each_shard_needs_one_node() -> None:
    two = Room(free={"a": 100, "b": 100}, watermark="")
    refuse_no_room(two, primaries=100, replicas=1, shards=1)
    refuse_no_room(two, primaries=100, replicas=9, shards=1)
    with pytest.raises(InputError, match=r"about 240 bytes.*200 bytes left on disk.*--force"):
        refuse_no_room(two, primaries=120, replicas=1, shards=2)
    with pytest.raises(InputError, match="one shard of it 120 bytes"):
        refuse_no_room(two, primaries=120, replicas=0, shards=1)
    refuse_no_room(two, primaries=120, replicas=0, shards=2)


def test_the_diff_of_the_mapping_only_adds() -> None:
    lines = mapping_diff(migration_of(source_of())).splitlines()
    assert lines[:2] == ["--- films-1", "+++ films-funnel-1"]
    assert '+    "funnel": {' in lines
    assert [line for line in lines[2:] if line.startswith("-")] == []


def test_every_setting_of_the_source_is_accounted_for() -> None:
    given = {
        "codec": "best_compression",
        "refresh_interval": "5s",
        "number_of_routing_shards": "8",
        "resize": {"source": {"name": "x"}},
    }
    source = source_of(settings=given)
    changes = settings_changes(migration_of(source, shards=3))
    assert changes.taken_over == (
        "index.codec",
        "index.number_of_replicas",
        "index.refresh_interval",
    )
    assert changes.changed == {
        "index.knn": (None, "true"),
        "index.knn.derived_source.enabled": (None, "false"),
        "index.number_of_shards": ("2", "3"),
    }
    assert changes.held_back == {
        "index.number_of_replicas": "0",
        "index.refresh_interval": "-1",
        "index.default_pipeline": "_none",
        "index.final_pipeline": "_none",
    }
    assert changes.left_out == {
        "index.number_of_routing_shards": "it does not fit the number of shards",
        "index.resize.source.name": "left behind when the source was made of another index",
    }


CHOICE = FieldChoice(path="title", taken=True, why="named", share=0.5)


def test_texts_that_are_cut_or_missing_are_counted() -> None:
    samples = [{"title": "one two three four"}, {"title": "one"}, {}, {"other": "x"}]
    left = FieldChoice(path="other", taken=False, why="")
    texts = texts_of([CHOICE, left], samples, counter=WordCounter(), limit=5)
    assert (texts.samples, texts.cut, texts.empty, texts.tokens) == (4, 0.25, 0.5, 3.0)
    assert texts.counted_by == "estimated from words"


def _risks(mappings: dict[str, Any] | None = None, **settings: Any) -> str:
    source = source_of(mappings=mappings, settings=settings)
    texts = texts_of([CHOICE], [{"title": "a b c"}, {}], counter=WordCounter(), limit=3)
    migration = migration_of(source, slots={"a": {"sparse": BY}}, dimension=0)
    return "\n".join(risks_of(source, migration, texts=texts))


def test_risks_name_what_the_source_has() -> None:
    nested = {"properties": {"cast": {"type": "nested"}, "rel": {"type": "join"}}}
    assert "texts inside of nested fields are not encoded" in _risks(nested)
    assert "documents keep their routing" in _risks(nested)
    assert "documents keep their routing" in _risks({"_routing": {"required": True}})
    assert "index.final_pipeline (last) does not run over what is copied" in _risks(
        final_pipeline="last"
    )
    managed = _risks(plugins={"index_state_management": {"rollover_alias": "films"}})
    assert "index.plugins.index_state_management.rollover_alias is not taken over" in managed
    assert "(--shards 2)" in _risks(number_of_shards="1")
    assert "(--shards 2)" not in _risks()


def test_a_rollover_in_the_middle_is_a_risk() -> None:
    writing = {"films": {"is_write_index": True}}
    texts = texts_of([CHOICE], [{"title": "a"}], counter=WordCounter(), limit=9)
    for name, risky in (("films-000001", True), ("films-new", False)):
        source = source_of(name=name, aliases=writing)
        found = "\n".join(risks_of(source, migration_of(source), texts=texts))
        assert ("a rollover of films" in found) == risky


def test_risks_name_what_the_samples_show() -> None:
    found = _risks()
    assert "50% of the samples have more text than the 3 tokens" in found
    assert "50% of the samples have no text in title" in found


def test_a_refusal_that_names_no_right_is_handed_on() -> None:
    with (
        pytest.raises(EngineDeniedError, match="reading films was refused: go away"),
        needing("reading films"),
    ):
        raise EngineDeniedError("go away", status=401)
