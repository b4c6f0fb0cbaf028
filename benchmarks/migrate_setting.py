"""An index behind an alias, its migration, and the proof of the copy: for benchmarks/migrate_*.py.

Documents are the films of ``msrd_movies`` under new ids, as often as it takes; without that folder
they are made up. Encoders are the real splade-tiny, cut at 64 tokens, or stand-ins that take no
time: what is counted does not depend on the model.
"""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, cycle, islice
from pathlib import Path
from typing import Literal

from opensearchpy import OpenSearch

from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.core.text import text_hash
from opensearch_funnel.documents.document import Document
from opensearch_funnel.documents.readers import corpus_file, read_documents
from opensearch_funnel.engine.bulk import bulk_index
from opensearch_funnel.engine.indices import create_index, index_body, refresh_index
from opensearch_funnel.engine.scanning import StoredDocument, read_page, shard_bounds
from opensearch_funnel.engine.source_bytes import decoded_source, funnel_of, without_funnel
from opensearch_funnel.migrating.encoding import SlotEncoder
from opensearch_funnel.migrating.journal import Journal
from opensearch_funnel.migrating.migration import Migration, find_migration, forget_migration
from opensearch_funnel.migrating.opening import open_slot_encoder
from opensearch_funnel.migrating.planning.planned import plan_migration
from opensearch_funnel.migrating.planning.saving import save_plan

Encoders = Literal["splade-tiny", "words"]
FIELDS = ("title", "text")
MAX_TOKENS = 64
_WORDS = ("red", "fox", "hound", "barn", "river", "stone", "cloud", "winter", "violin", "copper")
_PAGE = 2000


@dataclass(frozen=True, slots=True)
class Words:
    """A sparse encoder that takes no time: counts words."""

    name: str = "words"
    fingerprint: str = "0123456789ab"

    def encode_documents(self, texts: Sequence[str]) -> list[Mapping[str, float]]:
        """Count the words of each text."""
        return [{word: float(n) for word, n in Counter(text.split()).items()} for text in texts]


@dataclass(frozen=True, slots=True)
class Setting:
    """A migration that is planned.

    Attributes:
        client: the cluster.
        alias: of the migration.
        source: the index behind it.
        documents: how many it has.
    """

    client: OpenSearch
    alias: str
    source: str
    documents: int


def opened(migration: Migration, encoders: Encoders) -> SlotEncoder:
    """Open what a migration was planned with."""
    if encoders == "words":
        return SlotEncoder(fields=migration.text_fields, sparse=Words(), name=migration.slot)
    return open_slot_encoder(migration)


@contextmanager
def planned(  # noqa: PLR0913 - the size and kind of what is migrated
    client: OpenSearch,
    *,
    documents: int,
    datasets: Path | None,
    encoders: Encoders,
    seed: int,
    progress: Progress = SILENT,
) -> Iterator[Setting]:
    """Make an index of films and plan its migration; all of it is deleted at the end.

    Args:
        client: the cluster.
        documents: how many.
        datasets: the folder with ``msrd_movies``; ``None`` makes documents up.
        encoders: what is planned with.
        seed: of documents that are made up.
        progress: told of every document.
    """
    alias = f"bench-migrate-{uuid.uuid4().hex[:8]}"
    source = f"{alias}-1"
    body = index_body(replicas=0)
    body["settings"]["number_of_shards"] = 2
    create_index(client, index=source, body={**body, "aliases": {alias: {}}})
    try:
        bulk_index(
            client,
            _films(documents, datasets=datasets, seed=seed),
            index=source,
            progress=progress,
            total=documents,
        )
        refresh_index(client, index=source)
        plan = plan_migration(
            client,
            alias,
            text_fields=FIELDS,
            sparse_model="splade-tiny",
            dense_model="",
            max_tokens=MAX_TOKENS,
            measured=False,
            encoder=SlotEncoder(fields=FIELDS, sparse=Words()) if encoders == "words" else None,
        )
        save_plan(client, plan.migration)
        yield Setting(client, alias, source, documents)
    finally:
        migration = find_migration(client, alias)
        if migration is not None:
            Journal(client, target=migration.target).forget()
            forget_migration(client, alias)
        client.indices.delete(index=f"{alias}*", params={"ignore_unavailable": "true"})


def _films(documents: int, *, datasets: Path | None, seed: int) -> Iterator[Document]:
    if datasets is not None:
        found = list(read_documents(corpus_file(datasets / "msrd_movies"), format="beir"))
        numbered = zip(count(1), cycle(found))
        for number, film in islice(numbered, documents):
            yield Document(f"film-{number:06}", film.source)
        return
    rng = random.Random(seed)  # noqa: S311 - words
    for number in range(documents):
        words = rng.choices(_WORDS, k=rng.randrange(5, 30))
        title, text = f"film {number}", " ".join(words)
        yield Document(f"film-{number:06}", {"title": title, "text": text, "price": number / 8})


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """How source and target compare, document by document; all zero but the first is right.

    Attributes:
        documents: in the source.
        lost: in the source and not in the target.
        doubled: copies beyond the first of one document.
        resurrected: in the target and not in the source.
        unequal: with another ``_source``, the funnel's object left out.
        wrong: whose funnel object is not that of their text, or has nothing in it.
    """

    documents: int
    lost: int
    doubled: int
    resurrected: int
    unequal: int
    wrong: int

    @property
    def right(self) -> bool:
        """Whether the target is the copy of the source."""
        return not (self.lost or self.doubled or self.resurrected or self.unequal or self.wrong)


def proven(client: OpenSearch, migration: Migration) -> Proof:
    """Compare every document with its copy, byte for byte."""
    source, _ = _whole(client, migration.source)
    target, doubled = _whole(client, migration.target)
    both = source.keys() & target.keys()
    unequal = sum(without_funnel(target[key].source) != source[key].source for key in both)
    return Proof(
        documents=len(source),
        lost=len(source.keys() - target.keys()),
        doubled=doubled,
        resurrected=len(target.keys() - source.keys()),
        unequal=unequal,
        wrong=sum(not _right(target[key], source[key], migration=migration) for key in both),
    )


def _whole(client: OpenSearch, index: str) -> tuple[dict[str, StoredDocument], int]:
    found: dict[str, StoredDocument] = {}
    doubled = 0
    for shard, bound in shard_bounds(client, index).items():
        after = -1
        while page := read_page(client, index, shard=shard, after=after, upto=bound, size=_PAGE):
            doubled += sum(document.doc_id in found for document in page)
            found |= {document.doc_id: document for document in page}
            after = page[-1].seq_no
    return found, doubled


def _right(copy: StoredDocument, document: StoredDocument, *, migration: Migration) -> bool:
    made = funnel_of(copy.source) or {}
    encoder = SlotEncoder(fields=migration.text_fields, sparse=Words())
    text = encoder.text(decoded_source(document.source))
    field = f"sparse_{migration.slot}"
    return (
        copy.version == document.seq_no + 1
        and made.get("hash") == text_hash(text)
        and made.get("state") == "ready"
        and bool(made.get(field)) == bool(text)
    )
