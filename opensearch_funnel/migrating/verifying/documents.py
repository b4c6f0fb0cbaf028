"""Every document of the source against its copy: id, routing, ``_source``, version and origin.

Source and target are walked side by side in slices of operations, each source shard on its own:
the source by ``_seq_no``, the target by ``funnel.origin``. A slice whose two hashes are equal is
done with. Of any other, the documents that differ are read once more, by id, as they are then: one
that was written or deleted behind the bounds in the meantime is in motion, and not judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.progress import SILENT, Advance, Progress
from opensearch_funnel.engine.scanning import StoredDocument, read_page, shard_states
from opensearch_funnel.engine.scanning.asking import check_answered, search_params
from opensearch_funnel.engine.source_bytes import funnel_of, source_hash, without_funnel
from opensearch_funnel.migrating.differences import ORIGIN
from opensearch_funnel.migrating.migration import Migration, origin_of
from opensearch_funnel.migrating.present import Key, Present, present_documents
from opensearch_funnel.migrating.verifying.report import NAMED, Named

SLICE_OPERATIONS = 10_000
_PAGE = 500
Inspect = Callable[[StoredDocument], None]


@dataclass(slots=True)
class Comparison:
    """What the walk found.

    Attributes:
        documents: of the source, up to the bounds.
        copies: of them in the target.
        slices: ranges of operations whose hashes were compared.
        alike: of those, how many were equal.
        in_motion: documents that were written or deleted behind the bounds meanwhile.
        missing: without a copy.
        extra: copies of nothing that the source has, and documents that are no copies.
        different: whose copy says something else.
        misplaced: whose copy has another version or origin than it would have if the migration
            alone had written it.
    """

    documents: int = 0
    copies: int = 0
    slices: int = 0
    alike: int = 0
    in_motion: int = 0
    missing: Named = field(default_factory=Named)
    extra: Named = field(default_factory=Named)
    different: Named = field(default_factory=Named)
    misplaced: Named = field(default_factory=Named)

    @property
    def faults(self) -> dict[str, Named]:
        """What is wrong, by kind."""
        return {
            "missing in the target": self.missing,
            "extra in the target": self.extra,
            "different _source": self.different,
            "wrong version or origin": self.misplaced,
        }

    @property
    def equal(self) -> bool:
        """Whether every document that could be compared has its copy, and nothing else is there."""
        return not any(fault.count for fault in self.faults.values())


@dataclass(frozen=True, slots=True)
class _Entry:
    at: int
    key: Key
    digest: bytes
    untouched: bool = field(compare=False)


def compare_documents(  # noqa: PLR0913 - what is compared, and from where to where
    client: OpenSearch,
    migration: Migration,
    *,
    after: Mapping[int, int],
    upto: Mapping[int, int],
    inspect: Inspect | None = None,
    progress: Progress = SILENT,
    total: int | None = None,
) -> Comparison:
    """Compare what the source wrote between two bounds with what the target has of it.

    Source and target have to be refreshed since the copies were made. Changes nothing.

    Args:
        client: made by ``connect``.
        migration: says which indices.
        after: by source shard, the operation behind which to begin; -1 where it is not named.
        upto: by source shard, the last operation; all up to it was copied.
        inspect: is shown each document of the target on the way.
        progress: told of every document of the source.
        total: how many there are, if that is known.

    Raises:
        EngineError: a shard did not answer.
        InputError: a document is not JSON.
    """
    walk = _Walk(client, migration, upto=upto, inspect=inspect)
    with progress.task("comparing documents", total=total) as advance:
        for shard, bound in sorted(upto.items()):
            for begin in range(after.get(shard, -1), bound, SLICE_OPERATIONS):
                end = min(begin + SLICE_OPERATIONS, bound)
                walk.compare_slice(shard, after=begin, upto=end, advance=advance)
    walk.look_ahead()
    walk.settle_deleted()
    return walk.found


class _Walk:
    def __init__(
        self,
        client: OpenSearch,
        migration: Migration,
        *,
        upto: Mapping[int, int],
        inspect: Inspect | None,
    ) -> None:
        self._client = client
        self._source, self._target = migration.source, migration.target
        self._upto = dict(upto)
        self._inspect = inspect
        self._gone: dict[int, list[str]] = {}
        self._faulty: set[Key] = set()
        self.found = Comparison()

    def compare_slice(self, shard: int, *, after: int, upto: int, advance: Advance) -> None:
        """Compare one range of operations; documents that differ are looked at one by one."""
        ours = self._originals(shard, after=after, upto=upto, advance=advance)
        copies = self._copies(shard, after=after, upto=upto)
        self.found.documents += len(ours)
        self.found.copies += len(copies)
        self.found.slices += 1
        if _hash(ours) == _hash(copies) and all(copy.untouched for copy in copies):
            self.found.alike += 1
            return
        by_key = {entry.key: entry for entry in ours}
        suspects = dict.fromkeys(
            copy.key for copy in copies if by_key.get(copy.key) != copy or not copy.untouched
        )
        copied = {copy.key for copy in copies}
        suspects |= dict.fromkeys(key for key in by_key if key not in copied)
        self._judge(shard, suspects)

    def look_ahead(self) -> None:
        """Look at copies of operations behind the bounds, and at documents that are no copies.

        A worker may be ahead of the journal; nobody can be ahead of the source.
        """
        states = shard_states(self._client, self._source)
        highest = {state.shard: state.highest for state in states}
        for shard, bound in sorted(self._upto.items()):
            last = max(bound, highest[shard])
            copies = self._copies(shard, after=bound, upto=last, with_source=False)
            self._judge(shard, [copy.key for copy in copies])
        ranges = [
            {"gte": _origin(shard, 0), "lte": _origin(shard, max(0, last))}
            for shard, last in highest.items()
        ]
        answer = self._client.search(
            index=self._target,
            body={
                "size": NAMED,
                "query": {"bool": {"must_not": [{"range": {ORIGIN: one}} for one in ranges]}},
                "sort": ["_doc"],
                "_source": False,
                "track_total_hits": True,
            },
            params=search_params(shard=None),
        )
        check_answered(answer["_shards"], answer["timed_out"], index=self._target, shard=None)
        ids = sorted(hit["_id"] for hit in answer["hits"]["hits"])
        for doc_id in ids:
            self.found.extra.add(doc_id)
        self.found.extra.count += answer["hits"]["total"]["value"] - len(ids)

    def settle_deleted(self) -> None:
        """Tell documents that were deleted meanwhile from copies of nothing.

        A delete leaves nothing that could be read, but it is an operation. So no more documents
        can have been deleted behind the bound than there are operations behind it that no
        document is left of.
        """
        if not any(self._gone.values()):
            return
        self._client.indices.refresh(index=self._source)
        highest = {s.shard: s.highest for s in shard_states(self._client, self._source)}
        for shard, ids in sorted(self._gone.items()):
            bound = self._upto[shard]
            answer = self._client.count(
                index=self._source,
                body={"query": {"range": {"_seq_no": {"gt": bound}}}},
                params={"preference": f"_shards:{shard}|_primary"},
            )
            if len(ids) <= highest[shard] - bound - answer["count"]:
                self.found.in_motion += len(ids)
                continue
            for doc_id in sorted(ids):
                self.found.extra.add(doc_id)

    def _judge(self, shard: int, keys: Iterable[Key]) -> None:
        """Say of each document what is wrong with it, if anything still is."""
        wanted = list(keys)
        if not wanted:
            return
        # The target first: what it has then was made of the source of before.
        copies = present_documents(self._client, index=self._target, keys=wanted, with_source=True)
        originals = present_documents(
            self._client, index=self._source, keys=wanted, with_source=True
        )
        for key in wanted:
            # One that says that it is of another shard is met there, too.
            if key not in self._faulty:
                self._judge_one(shard, key, original=originals.get(key), copy=copies.get(key))

    def _judge_one(
        self, shard: int, key: Key, *, original: Present | None, copy: Present | None
    ) -> None:
        if original is None and copy is not None:
            self._gone.setdefault(shard, []).append(key[0])
        elif original is None or original.seq_no > self._upto[shard]:
            self.found.in_motion += 1
            return
        elif copy is None:
            self.found.missing.add(key[0])
        else:
            misplaced = (
                _origin_in(copy.source) != _origin(shard, original.seq_no)
                or copy.version != original.seq_no + 1
            )
            different = _says(copy) != _says(original)
            if misplaced:
                self.found.misplaced.add(key[0])
            if different:
                self.found.different.add(key[0])
            if not (misplaced or different):
                return
        self._faulty.add(key)

    def _originals(self, shard: int, *, after: int, upto: int, advance: Advance) -> list[_Entry]:
        entries = []
        for document in self._pages(
            self._source, field="_seq_no", shard=shard, after=after, upto=upto
        ):
            entries.append(_entry(document, at=document.seq_no))
            advance(1)
        return entries

    def _copies(
        self, shard: int, *, after: int, upto: int, with_source: bool = True
    ) -> list[_Entry]:
        base = _origin(shard, 0)
        entries = []
        for document in self._pages(
            self._target,
            field=ORIGIN,
            shard=None,
            after=base + after,
            upto=base + upto,
            with_source=with_source,
        ):
            if with_source and self._inspect is not None:
                self._inspect(document)
            entries.append(_entry(document, at=document.place - base))
        return entries

    def _pages(  # noqa: PLR0913 - an index, a field, a shard and a range
        self,
        index: str,
        *,
        field: str,
        shard: int | None,
        after: int,
        upto: int,
        with_source: bool = True,
    ) -> Iterator[StoredDocument]:
        while page := read_page(
            self._client,
            index,
            field=field,
            shard=shard,
            after=after,
            upto=upto,
            size=_PAGE,
            include_source=with_source,
        ):
            yield from page
            after = page[-1].place


def _entry(document: StoredDocument, *, at: int) -> _Entry:
    bare = without_funnel(document.source) if document.source else b""
    return _Entry(
        at=at,
        key=(document.doc_id, document.routing),
        digest=sha256(bare).digest(),
        untouched=document.version == at + 1,
    )


def _hash(entries: Iterable[_Entry]) -> str:
    """Hash a slice: which documents, under which operations, with which text."""
    whole = sha256()
    for entry in sorted(entries, key=lambda e: (e.at, e.key[0], e.key[1] or "")):
        whole.update(repr((entry.at, entry.key)).encode())
        whole.update(entry.digest)
    return whole.hexdigest()


def _says(document: Present) -> str:
    """Hash what a document says; one that no parser here reads equals no other."""
    try:
        return source_hash(document.source)
    except InputError:
        return f"unread: {document.seq_no}"


def _origin_in(source: bytes) -> Any:
    return (funnel_of(source) or {}).get("origin")


def _origin(shard: int, seq_no: int) -> int:
    return origin_of(shard=shard, seq_no=seq_no)
