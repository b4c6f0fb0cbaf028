"""A page of a slice: from documents of the source to lines for the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.funnel_object import (
    FUNNEL,
    PENDING,
    READY,
    is_funnel_object,
    renewed,
    slot_fields,
    still_holds,
)
from opensearch_funnel.core.text import text_hash
from opensearch_funnel.engine.scanning import StoredDocument
from opensearch_funnel.engine.source_bytes import decoded_source, with_funnel
from opensearch_funnel.migrating.encoding import SlotEncoder
from opensearch_funnel.migrating.migration import Migration, origin_of
from opensearch_funnel.migrating.present import Key, present_documents
from opensearch_funnel.migrating.present_funnels import present_funnels


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A document as the target gets it.

    Attributes:
        document: as it is in the source.
        source: its text, with the object ``funnel`` in it.
    """

    document: StoredDocument
    source: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """A document that cannot be copied, and why."""

    document: StoredDocument
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Documents of a slice, ready to be written.

    Attributes:
        done: the slice's last operation that the page covers.
        copies: what is written.
        unusable: what is not.
        kept: documents that the target has at this version, or a later one.
        reused: of the copies, those whose fields were in the target's older version.
        bytes: that the page's documents have in the source.
    """

    done: int
    copies: tuple[Copy, ...] = ()
    unusable: tuple[Unusable, ...] = ()
    kept: int = 0
    reused: int = 0
    bytes: int = 0

    @property
    def documents(self) -> int:
        """How many there are in all."""
        return len(self.copies) + len(self.unusable) + self.kept


@dataclass(frozen=True, slots=True, kw_only=True)
class _Readable:
    """A document whose text was read."""

    document: StoredDocument
    fields: Mapping[str, Any]
    text: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PageMaker:
    """Turns documents of one shard of the source into pages for the target.

    Attributes:
        client: the cluster.
        migration: says what is copied where.
        encoder: fills the slot.
        shard: number of the source's shard.
    """

    client: OpenSearch
    migration: Migration
    encoder: SlotEncoder
    shard: int

    def make(self, documents: Sequence[StoredDocument], *, done: int) -> Page:
        """Encode what the target does not have yet.

        A document whose text is as it was when its older version was encoded keeps those
        fields: a change of a price costs no encoding.

        Args:
            documents: in the order of their operations.
            done: the last operation that these documents cover.

        Raises:
            EngineError: the target cannot be asked for what it has.
        """
        target = self.migration.writing_alias
        keys = [key_of(document) for document in documents]
        present = present_documents(self.client, index=target, keys=keys)
        readable: list[_Readable] = []
        older: list[_Readable] = []
        unusable: list[Unusable] = []
        kept = 0
        for document, key in zip(documents, keys, strict=True):
            if key in present and present[key].version >= external_version(document):
                kept += 1
                continue
            try:
                one = _read(document, encoder=self.encoder)
            except InputError as error:
                unusable.append(Unusable(document=document, reason=str(error)))
                continue
            readable.append(one)
            if key in present:
                older.append(one)
        made = self._reusable(older)
        reused = len(made)
        todo = [one for one in readable if one.document.seq_no not in made]
        encoded = self.encoder.encode([one.text for one in todo])
        made |= {one.document.seq_no: new for one, new in zip(todo, encoded, strict=True)}
        return Page(
            done=done,
            copies=tuple(self._copy(one, made=made[one.document.seq_no]) for one in readable),
            unusable=tuple(unusable),
            kept=kept,
            reused=reused,
            bytes=sum(len(document.source) for document in documents),
        )

    def _reusable(self, older: Sequence[_Readable]) -> dict[int, dict[str, Any]]:
        """Return, by operation, the fields of older copies that are right for the new text."""
        found: dict[int, dict[str, Any]] = {}
        keys = [key_of(one.document) for one in older]
        funnels = present_funnels(self.client, index=self.migration.writing_alias, keys=keys)
        for one, present in zip(older, funnels, strict=True):
            names = _filled_by(self.encoder) if one.text else ()
            models = self.encoder.models
            if still_holds(present, text_hash=one.hash, models=models, fields=names):
                found[one.document.seq_no] = {name: present[name] for name in names}
        return found

    def _copy(self, one: _Readable, *, made: Mapping[str, Any]) -> Copy:
        slots = _KeptSlots.of(self.migration)
        present = one.fields.get(FUNNEL)
        names = slots.fields if one.text else ()
        holds = still_holds(present, text_hash=one.hash, models=slots.models, fields=names)
        kept = {name: present[name] for name in names} if holds and present is not None else {}
        funnel = renewed(
            {"state": READY, "hash": one.hash, "model": list(slots.models), **kept},
            key=one.document.doc_id,
            text_hash=one.hash,
            models=self.encoder.models,
            slot=self.encoder.name,
            made=made,
        )
        funnel["origin"] = origin_of(shard=self.shard, seq_no=one.document.seq_no)
        if slots.fields and not holds:
            # Its text was changed past the pipeline that fills the slot: repair fills it.
            funnel["state"] = PENDING
        return Copy(document=one.document, source=with_funnel(one.document.source, funnel))


def key_of(document: StoredDocument) -> Key:
    """Return what tells a document from all others: with routing, an id may be there twice."""
    return document.doc_id, document.routing


def external_version(document: StoredDocument) -> int:
    """Return the version that a document is written with: later operations have higher ones.

    A document's number only grows, also when it is deleted and written anew.
    """
    return document.seq_no + 1


def _read(document: StoredDocument, *, encoder: SlotEncoder) -> _Readable:
    fields = decoded_source(document.source)
    dotted = next((name for name in fields if name.startswith(f"{FUNNEL}.")), None)
    own = fields.get(FUNNEL)
    if dotted is not None or (own is not None and not is_funnel_object(own)):
        raise InputError(
            f"the document has a field {dotted or FUNNEL!r}, which the funnel needs for itself: "
            "rename it"
        )
    text = encoder.text(fields)
    return _Readable(document=document, fields=fields, text=text, hash=text_hash(text))


def _filled_by(encoder: SlotEncoder) -> list[str]:
    sparse, dense = slot_fields(encoder.name)
    legs = ((sparse, encoder.sparse), (dense, encoder.dense))
    return [field for field, model in legs if model is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _KeptSlots:
    """The slots that the source has and the target takes over."""

    fields: tuple[str, ...]
    models: tuple[str, ...]

    @classmethod
    def of(cls, migration: Migration) -> _KeptSlots:
        fields: list[str] = []
        models: list[str] = []
        for name in migration.kept_slots:
            legs = migration.slots[name]
            both = zip(("sparse", "dense"), slot_fields(name), strict=True)
            fields += [field for leg, field in both if leg in legs]
            models += [by["fingerprint"] for by in legs.values()]
        return cls(fields=tuple(fields), models=tuple(models))
