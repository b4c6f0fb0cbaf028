"""Give documents the fields that the sparse and the dense leg search."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.funnel_object import FUNNEL, is_funnel_object, renewed
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.core.text import encoded_text, text_hash
from opensearch_funnel.documents.document import Document
from opensearch_funnel.encoders.stored_weights import stored_weights
from opensearch_funnel.engine.indices import EncodedBy, Slot

CHUNK = 1024
"""Documents encoded together: enough that texts of like length meet in a batch."""


class SparseDocumentEncoder(Protocol):
    """Weighs the terms of documents."""

    @property
    def name(self) -> str:
        """What the model is called."""
        ...

    @property
    def fingerprint(self) -> str:
        """What tells its output from that of any other model."""
        ...

    def encode_documents(self, texts: Sequence[str]) -> Sequence[Mapping[str, float]]:
        """Return token → weight for each text, in the order given."""
        ...


class DenseDocumentEncoder(Protocol):
    """Places documents in a space of vectors."""

    @property
    def name(self) -> str:
        """What the model is called."""
        ...

    @property
    def fingerprint(self) -> str:
        """What tells its output from that of any other model."""
        ...

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""
        ...

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector of length 1 for each text, ``(texts, dimension)``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotEncoder:
    """Fills the fields of one slot of ``funnel`` from a document's text.

    Attributes:
        fields: the fields whose text is encoded, most telling first.
        sparse: makes ``funnel.sparse_<name>``; ``None`` leaves it out.
        dense: makes ``funnel.dense_<name>``; ``None`` leaves it out.
        name: which slot is filled.
        max_tokens: where the models cut texts; 0 for each one's own limit.
    """

    fields: tuple[str, ...]
    sparse: SparseDocumentEncoder | None = None
    dense: DenseDocumentEncoder | None = None
    name: str = "a"
    max_tokens: int = 0

    def __post_init__(self) -> None:
        """Refuse a slot with nothing in it."""
        if self.sparse is None and self.dense is None:
            raise InputError("a slot needs a sparse or a dense model, or both")

    @property
    def slot(self) -> Slot:
        """What the mapping and ``_meta`` of an index say of the slot."""
        sparse, dense = self.sparse, self.dense
        return Slot(
            name=self.name,
            sparse=self._by(sparse) if sparse else None,
            dense=self._by(dense) if dense else None,
            dimension=dense.dimension if dense else 0,
        )

    def _by(self, model: SparseDocumentEncoder | DenseDocumentEncoder) -> EncodedBy:
        return EncodedBy(
            model=model.name, fingerprint=model.fingerprint, max_tokens=self.max_tokens
        )

    @property
    def models(self) -> list[str]:
        """Fingerprints of the models, for ``funnel.model``."""
        return [model.fingerprint for model in (self.sparse, self.dense) if model is not None]

    def text(self, source: Mapping[str, Any]) -> str:
        """Return the text of a document that is encoded; its hash goes to ``funnel.hash``."""
        return encoded_text(source, fields=self.fields)

    def encode(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """Return what the slot's fields hold for each text, in the order given.

        Sparse weights are rounded to what the index keeps; a vector is a float32 array. An empty
        text gets no fields: no leg but BM25 finds it.
        """
        made: list[dict[str, Any]] = [{} for _ in texts]
        full = [(text, fields) for text, fields in zip(texts, made, strict=True) if text]
        asked = [text for text, _ in full]
        if self.sparse is not None and asked:
            for (_, fields), weights in zip(full, self.sparse.encode_documents(asked), strict=True):
                fields[f"sparse_{self.name}"] = stored_weights(weights)
        if self.dense is not None and asked:
            for (_, fields), vector in zip(full, self.dense.encode_documents(asked), strict=True):
                fields[f"dense_{self.name}"] = np.ascontiguousarray(vector, dtype=np.float32)
        return made


def funnel_fields(
    documents: Iterable[Document],
    *,
    encoder: SlotEncoder,
    chunk: int = CHUNK,
    progress: Progress = SILENT,
    total: int | None = None,
) -> Iterator[Document]:
    """Encode documents, and give each the object ``funnel`` with what was made of it.

    Args:
        documents: read as they are needed.
        encoder: fills the fields.
        chunk: how many documents are encoded together.
        progress: told of every document.
        total: how many documents there are, if that is known.

    Yields:
        New documents in the order given, whose vectors are float32 arrays; the documents given
        are not changed.

    Raises:
        InputError: a document has a field ``funnel`` of its own.
    """
    waiting = iter(documents)
    with progress.task("encoding", total=total) as advance:
        while some := list(islice(waiting, chunk)):
            texts = [encoder.text(document.source) for document in some]
            encoded = encoder.encode(texts)
            for document, text, fields in zip(some, texts, encoded, strict=True):
                refuse_own_funnel_field(document)
                made = renewed(
                    None,
                    key=document.doc_id,
                    text_hash=text_hash(text),
                    models=encoder.models,
                    slot=encoder.name,
                    made=fields,
                )
                yield replace(document, source={**document.source, FUNNEL: made})
            advance(len(some))


def refuse_own_funnel_field(document: Document) -> None:
    """Refuse a document whose field ``funnel`` is the user's; one that we made is made anew.

    Raises:
        InputError: as said.

    Example:
        >>> refuse_own_funnel_field(Document("1", {"title": "Heat"}))
        >>> refuse_own_funnel_field(Document("1", {"funnel": "red"}))
        Traceback (most recent call last):
        ...
        opensearch_funnel.core.errors.InputError: document '1' has a field 'funnel', which the \
funnel needs for itself: rename it
    """
    present = document.source.get(FUNNEL)
    if present is not None and not is_funnel_object(present):
        raise InputError(
            f"document {document.doc_id!r} has a field {FUNNEL!r}, which the funnel needs for "
            "itself: rename it"
        )
