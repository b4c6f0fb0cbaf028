"""A source, its migration, and the proof that the target is what it has to be: for tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import orjson
from numpy.typing import NDArray
from opensearchpy import OpenSearch

from opensearch_funnel.core.progress import Advance
from opensearch_funnel.core.text import text_hash
from opensearch_funnel.engine.indices import index_uuid, refresh_index
from opensearch_funnel.engine.scanning import StoredDocument, read_page, shard_bounds
from opensearch_funnel.engine.source_bytes import decoded_source, funnel_of, without_funnel
from opensearch_funnel.migrating.encoding import SlotEncoder
from opensearch_funnel.migrating.migration import (
    Migration,
    Snapshot,
    create_migration,
    origin_of,
)
from opensearch_funnel.migrating.passes import WorkOptions
from opensearch_funnel.migrating.running import RunOptions

FIELDS = ("title", "text")
DIMENSION = 4


@dataclass(frozen=True)
class Words:
    """Weighs a word by how often it is there; counts the texts that it read."""

    name: str = "words"
    fingerprint: str = "f1"
    read: list[str] = field(default_factory=list)

    def encode_documents(self, texts: Sequence[str]) -> list[Mapping[str, float]]:
        self.read.extend(texts)
        return [{word: float(n) for word, n in Counter(text.split()).items()} for text in texts]


@dataclass(frozen=True)
class Vectors:
    """Places a text by a hash of it."""

    name: str = "vectors"
    fingerprint: str = "f2"
    dimension: int = DIMENSION

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = [[crc32(f"{n}{text}".encode()) % 97 + 1 for n in range(4)] for text in texts]
        found = np.asarray(rows, dtype=np.float32)
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        return found


def stand_in(name: str = "a", *, fields: tuple[str, ...] = FIELDS) -> SlotEncoder:
    """Return an encoder of a slot that takes no time."""
    return SlotEncoder(fields=fields, sparse=Words(), dense=Vectors(), name=name)


def texts_read(encoder: SlotEncoder) -> list[str]:
    """Return the texts that a stand-in encoded, in order."""
    assert isinstance(encoder.sparse, Words)
    return encoder.sparse.read


def make_source(
    client: OpenSearch,
    alias: str,
    *,
    shards: int = 2,
    properties: Mapping[str, Any] | None = None,
    **settings: Any,
) -> str:
    """Make an index behind an alias, and return its name."""
    source = f"{alias}-1"
    client.indices.create(
        index=source,
        body={
            "settings": {"number_of_shards": shards, "number_of_replicas": 0, **settings},
            "mappings": {
                "properties": {
                    "title": {"type": "text"},
                    "text": {"type": "text"},
                    **(properties or {}),
                }
            },
            "aliases": {alias: {}},
        },
    )
    return source


def film(number: int, *, edition: int = 0) -> dict[str, Any]:
    words = [f"w{number % 7}", f"n{number}", *(f"e{edition}" for _ in range(edition))]
    return {"title": f"film {number}", "text": " ".join(words), "price": number + edition / 8}


def fill(client: OpenSearch, index: str, documents: Iterable[tuple[str, Any]]) -> None:
    """Write documents by id."""
    lines: list[Any] = []
    for doc_id, source in documents:
        lines += [{"index": {"_id": doc_id}}, source]
    body = b"".join(orjson.dumps(line) + b"\n" for line in lines)
    answer = client.bulk(index=index, body=body)
    assert not answer["errors"], answer


def films(client: OpenSearch, index: str, numbers: Iterable[int], *, edition: int = 0) -> None:
    """Write films."""
    fill(client, index, ((f"d{n}", film(n, edition=edition)) for n in numbers))


def planned(client: OpenSearch, alias: str, *, encoder: SlotEncoder, **changes: Any) -> Migration:
    """Store the migration of an alias to a target that is not made yet."""
    (source,) = client.indices.get_alias(name=alias)
    body = client.indices.get(index=source)[source]
    slot = encoder.slot
    values: dict[str, Any] = {
        "alias": alias,
        "source": source,
        "source_uuid": index_uuid(client, index=source),
        "target": f"{alias}-funnel-20261121080503",
        "snapshot": Snapshot(
            mappings=body["mappings"],
            settings=client.indices.get_settings(index=source)[source]["settings"],
            aliases=body["aliases"],
        ),
        "text_fields": encoder.fields,
        "slots": {slot.name: slot.meta},
        "slot": slot.name,
        "sparse_model": "words",
        "dense_model": "vectors",
        "dimension": slot.dimension,
        "shards": int(body["settings"]["index"]["number_of_shards"]),
    }
    return create_migration(client, Migration(**{**values, **changes}))


def whole(client: OpenSearch, index: str) -> dict[tuple[str, str | None], StoredDocument]:
    """Read an index, by id and routing."""
    found: dict[tuple[str, str | None], StoredDocument] = {}
    for shard, bound in shard_bounds(client, index).items():
        after = -1
        while page := read_page(client, index, shard=shard, after=after, upto=bound, size=1000):
            for document in page:
                key = (document.doc_id, document.routing)
                assert key not in found, f"{key} is there twice"
                found[key] = document
            after = page[-1].seq_no
    return found


@dataclass(frozen=True)
class Even:
    """How source and target compare; all zero where the one is the copy of the other."""

    missing: int
    resurrected: int
    stale: int
    wrong: int


def compared(client: OpenSearch, migration: Migration, *, encoder: SlotEncoder) -> Even:
    """Compare every document of the source with its copy, byte for byte."""
    refresh_index(client, index=migration.source)
    refresh_index(client, index=migration.target)
    source, target = whole(client, migration.source), whole(client, migration.target)
    stale = wrong = 0
    for key in source.keys() & target.keys():
        document, copy = source[key], target[key]
        if without_funnel(copy.source) != document.source:
            stale += 1
        elif not right(copy, document, encoder=encoder):
            wrong += 1
    return Even(
        missing=len(source.keys() - target.keys()),
        resurrected=len(target.keys() - source.keys()),
        stale=stale,
        wrong=wrong,
    )


def right(copy: StoredDocument, document: StoredDocument, *, encoder: SlotEncoder) -> bool:
    """Say whether a copy's object ``funnel`` is what its document's text asks for."""
    made = funnel_of(copy.source)
    assert made is not None
    text = encoder.text(decoded_source(document.source))
    (expected,) = encoder.encode([text])
    dense = made.pop(f"dense_{encoder.name}", None)
    wanted = expected.pop(f"dense_{encoder.name}", None)
    same = (dense is None) == (wanted is None)
    if dense is not None and wanted is not None:
        same = bool(np.array_equal(np.asarray(dense, dtype=np.float32), wanted))
    origins = {origin_of(shard=shard, seq_no=document.seq_no) for shard in range(8)}
    return (
        same
        and copy.version == document.seq_no + 1
        and made.pop("origin") in origins
        and made
        == {
            "id": document.doc_id,
            "model": encoder.models,
            "hash": text_hash(text),
            "state": "ready",
            **expected,
        }
    )


EVEN = Even(missing=0, resurrected=0, stale=0, wrong=0)


class Watched:
    """A progress that keeps what is said, and calls back behind every page."""

    def __init__(self, behind_page: Callable[[int], None] = lambda _: None) -> None:
        self.said: list[str] = []
        self.documents = 0
        self._behind_page = behind_page

    @contextmanager
    def task(
        self, label: str, *, total: int | None = None, unit: str = "documents"
    ) -> Iterator[Advance]:
        del label, total, unit

        def advance(units: int) -> None:
            self.documents += units
            self._behind_page(self.documents)

        yield advance

    def say(self, line: str) -> None:
        self.said.append(line)


def options(folder: Path, *, page: int = 50, **work: Any) -> RunOptions:
    """Return how a test runs a migration: as fast as it goes, with small pages."""
    return RunOptions(
        documents_per_second=float("inf"),
        patience_s=60.0,
        work=WorkOptions(page=page, letters=folder, **work),
    )
