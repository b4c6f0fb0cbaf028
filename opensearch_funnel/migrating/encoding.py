"""Give documents the fields that the sparse and the dense leg search."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.core.text import encoded_text, text_hash
from opensearch_funnel.documents.document import Document
from opensearch_funnel.encoders.stored_weights import stored_weights
from opensearch_funnel.engine.indices import EncodedBy, Slot

CHUNK = 1024
"""Documents encoded together: enough that texts of like length meet in a batch."""
READY = "ready"
_OURS = "funnel"


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


def slot_of(*, sparse: SparseDocumentEncoder, dense: DenseDocumentEncoder, name: str = "a") -> Slot:
    """Describe the fields that two encoders fill, for the mapping and ``_meta`` of an index."""
    return Slot(
        name=name,
        sparse=EncodedBy(model=sparse.name, fingerprint=sparse.fingerprint),
        dense=EncodedBy(model=dense.name, fingerprint=dense.fingerprint),
        dimension=dense.dimension,
    )


def funnel_fields(  # noqa: PLR0913 - each is a choice of the caller's
    documents: Iterable[Document],
    *,
    fields: Sequence[str],
    sparse: SparseDocumentEncoder,
    dense: DenseDocumentEncoder,
    slot: str = "a",
    chunk: int = CHUNK,
    progress: Progress = SILENT,
    total: int | None = None,
) -> Iterator[Document]:
    """Encode documents, and give each the object ``funnel`` with what was made of it.

    A document without text in ``fields`` gets neither terms nor a vector: no leg but BM25 finds
    it. Sparse weights are rounded to what the index keeps.

    Args:
        documents: read as they are needed.
        fields: the fields whose text is encoded, most telling first.
        sparse: makes ``funnel.sparse_<slot>``.
        dense: makes ``funnel.dense_<slot>``.
        slot: which pair of fields is filled.
        chunk: how many documents are encoded together.
        progress: told of every document.
        total: how many documents there are, if that is known.

    Yields:
        New documents in the order given, whose vectors are float32 arrays; the documents given
        are not changed.

    Raises:
        InputError: a document has a field ``funnel`` of its own.
    """
    models = [sparse.fingerprint, dense.fingerprint]
    waiting = iter(documents)
    with progress.task("encoding", total=total) as advance:
        while some := list(islice(waiting, chunk)):
            texts = [encoded_text(document.source, fields=fields) for document in some]
            full = [text for text in texts if text]
            encoded = iter(
                zip(sparse.encode_documents(full), dense.encode_documents(full), strict=True)
                if full
                else ()
            )
            for document, text in zip(some, texts, strict=True):
                made: dict[str, Any] = {
                    "id": document.doc_id,
                    "model": models,
                    "hash": text_hash(text),
                    "state": READY,
                }
                if text:
                    weights, vector = next(encoded)
                    made[f"sparse_{slot}"] = stored_weights(weights)
                    made[f"dense_{slot}"] = np.ascontiguousarray(vector, dtype=np.float32)
                refuse_own_funnel_field(document)
                yield Document(document.doc_id, {**document.source, _OURS: made})
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
    present = document.source.get(_OURS)
    ours = isinstance(present, Mapping) and "state" in present and "hash" in present
    if present is not None and not ours:
        raise InputError(
            f"document {document.doc_id!r} has a field {_OURS!r}, which the funnel needs for "
            "itself: rename it"
        )
