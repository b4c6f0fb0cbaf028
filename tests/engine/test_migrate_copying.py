"""Pages of a migration on a real node: what is encoded, what is reused, and what stays as it is."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.engine.indices import refresh_index
from opensearch_funnel.engine.json_spans import on_one_line
from opensearch_funnel.engine.scanning import read_page, shard_bounds
from opensearch_funnel.engine.source_bytes import funnel_of, without_funnel
from opensearch_funnel.migrating.copying import Page, PageMaker
from opensearch_funnel.migrating.encoding import SlotEncoder
from opensearch_funnel.migrating.migration import Migration, forget_migration
from opensearch_funnel.migrating.target import make_target
from opensearch_funnel.migrating.writing import Writer, Written
from tests.engine.migrations import (
    FIELDS,
    Words,
    film,
    films,
    make_source,
    planned,
    stand_in,
    texts_read,
    whole,
)

pytestmark = pytest.mark.engine


class Copying:
    """A migration whose pages are copied by hand."""

    def __init__(
        self, client: OpenSearch, migration: Migration, *, encoder: SlotEncoder, folder: Path
    ) -> None:
        self.client = client
        self.migration = make_target(client, migration)
        self.encoder = encoder
        self.letters = folder / "dead.ndjson.gz"
        self.writer = Writer(
            client=client,
            alias=self.migration.writing_alias,
            letters=self.letters,
            patience_s=30.0,
        )

    def page(self, *, shard: int = 0) -> Page:
        """Make a page of all of a shard."""
        bound = shard_bounds(self.client, self.migration.source)[shard]
        documents = read_page(
            self.client, self.migration.source, shard=shard, after=-1, upto=bound, size=1000
        )
        maker = PageMaker(
            client=self.client, migration=self.migration, encoder=self.encoder, shard=shard
        )
        return maker.make(documents, done=bound)

    def copy(self, *, shard: int = 0) -> Written:
        """Copy all of a shard."""
        return self.writer.write(self.page(shard=shard))

    def copies(self) -> dict[str, bytes]:
        """Read the target, by id."""
        refresh_index(self.client, index=self.migration.target)
        found = whole(self.client, self.migration.target)
        return {doc_id: copy.source for (doc_id, _), copy in found.items()}

    def dead(self) -> dict[str, Any]:
        with gzip.open(self.letters, "rb") as stream:
            return {letter["_id"]: letter for letter in map(orjson.loads, stream)}


@pytest.fixture
def source(client: OpenSearch, index_name: str) -> Iterator[str]:
    yield make_source(client, index_name, shards=1)
    forget_migration(client, index_name)


def _copying(
    client: OpenSearch, alias: str, folder: Path, *, encoder: SlotEncoder, **changes: Any
) -> Copying:
    migration = planned(client, alias, encoder=encoder, **changes)
    return Copying(client, migration, encoder=encoder, folder=folder)


def test_what_the_target_has_is_neither_encoded_nor_written(
    client: OpenSearch, index_name: str, source: str, tmp_path: Path
) -> None:
    encoder = stand_in()
    films(client, source, range(30))
    copying = _copying(client, index_name, tmp_path, encoder=encoder)
    assert copying.copy() == Written(written=30, kept=0, dead_at=())
    assert len(texts_read(encoder)) == 30
    again = copying.page()
    assert (again.kept, again.copies, again.documents) == (30, (), 30)
    assert len(texts_read(encoder)) == 30, "seen without a refresh, too"
    assert copying.writer.write(again) == Written(written=0, kept=0, dead_at=())


def test_a_page_that_is_written_twice_or_late_changes_nothing(
    client: OpenSearch, index_name: str, source: str, tmp_path: Path
) -> None:
    films(client, source, range(10))
    copying = _copying(client, index_name, tmp_path, encoder=stand_in())
    old = copying.page()
    films(client, source, range(5), edition=1)
    new = copying.page()
    assert copying.writer.write(new).written == 10
    assert copying.writer.write(old) == Written(written=0, kept=10, dead_at=())
    assert copying.writer.write(new) == Written(written=0, kept=10, dead_at=())
    texts = {doc_id: orjson.loads(copy)["text"] for doc_id, copy in copying.copies().items()}
    assert texts == {f"d{n}": film(n, edition=int(n < 5))["text"] for n in range(10)}


def test_a_new_price_costs_no_encoding_and_a_new_text_does(
    client: OpenSearch, index_name: str, source: str, tmp_path: Path
) -> None:
    encoder = stand_in()
    films(client, source, range(10))
    copying = _copying(client, index_name, tmp_path, encoder=encoder)
    copying.copy()
    before = {doc_id: funnel_of(copy) for doc_id, copy in copying.copies().items()}
    client.update(index=source, id="d3", body={"doc": {"price": 99}})
    client.update(index=source, id="d4", body={"doc": {"text": "another one"}})
    page = copying.page()
    assert (page.kept, page.reused, len(page.copies)) == (8, 1, 2)
    assert texts_read(encoder)[10:] == ["film 4. another one"]
    copying.writer.write(page)
    copies = copying.copies()
    assert orjson.loads(copies["d3"])["price"] == 99
    old, new = before["d3"], funnel_of(copies["d3"])
    assert old is not None
    assert new is not None
    assert new.pop("origin") > old.pop("origin")
    assert new == old
    changed = funnel_of(copies["d4"])
    assert changed is not None
    assert changed["sparse_a"] == {"film": 1.0, "4.": 1.0, "another": 1.0, "one": 1.0}


def test_the_fields_of_another_model_are_not_reused(
    client: OpenSearch, index_name: str, source: str, tmp_path: Path
) -> None:
    films(client, source, range(4))
    copying = _copying(client, index_name, tmp_path, encoder=stand_in())
    copying.copy()
    client.update(index=source, id="d3", body={"doc": {"price": 99}})
    other = SlotEncoder(fields=FIELDS, sparse=Words(fingerprint="f9"), dense=stand_in().dense)
    copying.encoder = other
    page = copying.page()
    assert (page.reused, texts_read(other)) == (0, ["film 3. w3 n3"])


SHAPES: dict[str, str] = {
    "big integers": '{"title":"a","n":123456789012345678901234567890,"m":-9223372036854775808}',
    "odd numbers": '{"title":"a","n":1.50,"m":1e400,"o":0.10000000000000000001,"p":-0.0,"q":1E+2}',
    "space and order": '{ "z" : 1 ,\n\t"title": "a",  "b":[ ] , "a":{ } }',
    "escapes": '{"title":"\\u00e9\\/\\"\\n","e":"\\ud83d\\ude00"}',
    "half a surrogate pair": '{"title":"cut \\ud83d"}',
    "a comment": '{"title":"a" /* why */, "b": 1}',
    "no text": '{"price":3}',
    "empty text": '{"title":"","text":null}',
    "nothing": "{}",
    "lists of texts": '{"title":["a","b"],"text":[]}',
    "deep": '{"title":"a","d":' + '{"d":' * 60 + "1" + "}" * 60 + "}",
}


def test_every_byte_of_a_document_stays(
    client: OpenSearch, index_name: str, tmp_path: Path
) -> None:
    # What is not in the mapping is stored as it came.
    source = f"{index_name}-1"
    client.indices.create(
        index=source,
        body={
            "settings": {"number_of_shards": 1, "number_of_replicas": 0},
            "mappings": {"dynamic": False, "properties": {"title": {"type": "text"}}},
            "aliases": {index_name: {}},
        },
    )
    for name, body in SHAPES.items():
        client.transport.perform_request(
            "PUT",
            f"/{source}/_doc/{name.replace(' ', '%20')}",
            body=body.encode("utf-8", "surrogatepass"),
        )
    copying = _copying(client, index_name, tmp_path, encoder=stand_in())
    written = copying.copy()
    assert written == Written(written=len(SHAPES), kept=0, dead_at=())
    stored = {doc_id: one.source for (doc_id, _), one in whole(client, source).items()}
    copies = copying.copies()
    for name, body in SHAPES.items():
        assert stored[name] == body.encode()
        # A line of a bulk request is a document: only its line breaks go.
        expected = on_one_line(stored[name]) if b"\n" in stored[name] else stored[name]
        assert without_funnel(copies[name]) == expected, name
    for name in ("no text", "empty text", "nothing"):
        made = funnel_of(copies[name])
        assert made is not None
        assert made.keys() == {"id", "model", "hash", "state", "origin"}, name
    forget_migration(client, index_name)


IDS = [
    "a/b",
    "a b",
    "_x",
    "%2F",
    "日本語",
    "x" * 512,
    "é" * 256,
    '"quoted"',
    "back\\slash",
    "😀",
    "1,2",
    "*",
]


def test_any_id_is_copied(client: OpenSearch, index_name: str, source: str, tmp_path: Path) -> None:
    lines: list[Any] = []
    for doc_id in IDS:
        lines += [{"index": {"_id": doc_id}}, {"title": f"film {len(doc_id)}"}]
    answer = client.bulk(index=source, body=b"".join(orjson.dumps(one) + b"\n" for one in lines))
    assert not answer["errors"], answer
    copying = _copying(client, index_name, tmp_path, encoder=stand_in())
    assert copying.copy().written == len(IDS)
    copies = copying.copies()
    assert copies.keys() == set(IDS)
    keys = {doc_id: (funnel_of(copy) or {})["id"] for doc_id, copy in copies.items()}
    assert keys == {doc_id: doc_id for doc_id in IDS}
    assert copying.page().kept == len(IDS)


@pytest.mark.parametrize(
    ("own", "named"),
    [
        ({"funnel": "red"}, "'funnel'"),
        ({"funnel": {"stages": 3}}, "'funnel'"),
        ({"funnel": ["a"]}, "'funnel'"),
        ({"funnel.stages": 3}, "'funnel.stages'"),
    ],
)
def test_a_field_of_the_users_that_is_called_funnel_is_a_dead_letter(
    client: OpenSearch,
    index_name: str,
    tmp_path: Path,
    own: dict[str, Any],
    named: str,
) -> None:
    # Such a field is in no mapping: an index that has one in it is refused by the plan.
    source = f"{index_name}-1"
    client.indices.create(
        index=source,
        body={
            "settings": {"number_of_shards": 1, "number_of_replicas": 0},
            "mappings": {"dynamic": False, "properties": {"title": {"type": "text"}}},
            "aliases": {index_name: {}},
        },
    )
    films(client, source, range(3))
    client.index(index=source, id="mine", body={"title": "x", **own}, params={"routing": "r1"})
    copying = _copying(client, index_name, tmp_path, encoder=stand_in())
    written = copying.copy()
    assert (written.written, written.dead_at) == (3, (3,))
    assert copying.copies().keys() == {"d0", "d1", "d2"}
    letter = copying.dead()["mine"]
    assert letter["body"] == {"title": "x", **own}
    assert letter["routing"] == "r1"
    assert f"a field {named}, which the funnel needs for itself: rename it" in letter["reason"]
    forget_migration(client, index_name)


def test_a_document_that_the_target_refuses_is_a_dead_letter_by_its_operation(
    client: OpenSearch, index_name: str, source: str, tmp_path: Path
) -> None:
    films(client, source, range(4))
    copying = _copying(client, index_name, tmp_path, encoder=stand_in())
    client.indices.put_mapping(
        index=copying.migration.target, body={"properties": {"year": {"type": "integer"}}}
    )
    client.index(index=source, id="d2", body={"title": "x", "year": "soon"})
    written = copying.copy()
    assert written == Written(written=3, kept=0, dead_at=(4,))
    assert copying.dead().keys() == {"d2"}
    assert json.loads(json.dumps(copying.dead()["d2"]["body"]))["year"] == "soon"
    assert "year" in copying.dead()["d2"]["reason"]
    page = copying.page()
    assert (page.kept, len(page.copies)) == (3, 1), "it is tried again when it is met again"


def test_slots_of_the_source_that_are_kept_are_taken_over_as_long_as_they_hold(
    client: OpenSearch, index_name: str, tmp_path: Path
) -> None:
    first, second = stand_in("a"), stand_in("b")
    source = make_source(client, index_name, shards=1)
    films(client, source, range(6))
    before = _copying(client, index_name, tmp_path, encoder=first)
    before.copy()
    forget_migration(client, index_name)
    # The copy takes the alias over, and is the source of the next migration.
    target = before.migration.target
    actions = [
        {"remove": {"index": source, "alias": index_name}},
        {"add": {"index": target, "alias": index_name}},
    ]
    client.indices.update_aliases(body={"actions": actions})
    fresh = funnel_of(before.copies()["d1"])
    assert fresh is not None
    # Written past the pipeline: its fields are those of the old text.
    stale = orjson.loads(before.copies()["d2"])
    client.index(index=target, id="d2", body={**stale, "text": "new words"})
    client.index(index=target, id="d3", body={"title": "plain"})
    slots = {"a": first.slot.meta, "b": second.slot.meta}
    copying = _copying(
        client,
        index_name,
        tmp_path,
        encoder=second,
        slots=slots,
        kept_slots=("a",),
        target=f"{index_name}-funnel-20261121080504",
    )
    assert copying.copy().written == 6
    copies = {doc_id: funnel_of(copy) or {} for doc_id, copy in copying.copies().items()}
    both = copies["d1"]
    assert both["sparse_a"] == fresh["sparse_a"]
    assert both["dense_a"] == fresh["dense_a"]
    assert both["sparse_b"].keys() == fresh["sparse_a"].keys()
    assert sorted(both["model"]) == sorted({*second.models, *first.models})
    assert both["state"] == "ready"
    assert texts_read(second)[:1] == ["film 0. w0 n0"]
    for doc_id in ("d2", "d3"):
        made = copies[doc_id]
        assert {"sparse_b", "dense_b"} <= made.keys()
        assert not {"sparse_a", "dense_a"} & made.keys()
        assert (made["state"], made["model"]) == ("pending", second.models)
    forget_migration(client, index_name)
