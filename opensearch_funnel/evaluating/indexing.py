"""The index that a data set is evaluated on: loaded once, and used again while nothing changes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import orjson
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError, IndexMissingError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.documents.document import Document
from opensearch_funnel.engine.bulk import BulkLimits, bulk_index
from opensearch_funnel.engine.indices import (
    Slot,
    count_documents,
    create_index,
    delete_index,
    index_body,
    index_exists,
    index_uuid,
    load_settings_of,
    read_funnel_meta,
    ready_ids,
    refresh_index,
    write_funnel_meta,
)
from opensearch_funnel.evaluating.datasets import Dataset

_PREFIX = "funnel-eval"
_MARK = "evaluation"
_FINGERPRINT_DIGITS = 12
_LONGEST_NAME = 100
_MERGE_SECONDS = 600
# One sender: documents are written in the order of the corpus, so that ties fall as last time.
_LIMITS = BulkLimits(senders=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How documents get their funnel fields.

    Attributes:
        slot: what fills them; part of the index's fingerprint.
        fields: the fields that are encoded; part of it too.
        encode: documents → documents with funnel fields.
    """

    slot: Slot
    fields: Sequence[str]
    encode: Callable[[Iterable[Document]], Iterable[Document]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationIndex:
    """An index that holds all of a data set.

    Attributes:
        name: ``funnel-eval-<set>-<fingerprint>``.
        documents: how many it holds.
        loaded: whether it was loaded now; otherwise it was there.
    """

    name: str
    documents: int
    loaded: bool


def evaluation_index_name(dataset: Dataset, *, encoding: Encoding | None = None) -> str:
    """Name the index of a data set: another corpus, mapping or model gives another name."""
    parts = {
        "corpus": _file_hash(dataset.corpus),
        "body": _body(encoding),
        "fields": list(encoding.fields) if encoding else [],
    }
    digest = sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()
    safe = re.sub(r"[^a-z0-9_.]+", "-", dataset.name.lower()).strip("-")[:_LONGEST_NAME]
    return f"{_PREFIX}-{safe or 'set'}-{digest[:_FINGERPRINT_DIGITS]}"


def ensure_evaluation_index(
    client: OpenSearch,
    dataset: Dataset,
    *,
    encoding: Encoding | None = None,
    progress: Progress = SILENT,
) -> EvaluationIndex:
    """Load a data set into its index, unless a finished one is there.

    An index that a killed load left behind lacks the mark of a finished one. Where documents
    are encoded, which takes minutes, those that are in it are kept and the others added; one
    without funnel fields is dropped and loaded anew.

    Args:
        client: the cluster.
        dataset: what to load.
        encoding: how documents get funnel fields; BM25 alone needs none.
        progress: told of every document.

    Raises:
        InputError: the corpus is broken; nothing is written then.
        EngineError: the load failed, a document was refused, or the index was changed by
            someone else meanwhile.
    """
    name = evaluation_index_name(dataset, encoding=encoding)
    present = _finished(client, index=name)
    if present is not None:
        return EvaluationIndex(name=name, documents=present, loaded=False)
    total = _count(dataset, progress=progress)
    kept = _encoded_before(client, index=name, encoding=encoding)
    if not kept:
        delete_index(client, index=name)
        create_index(client, index=name, body=_body(encoding))
    uuid = index_uuid(client, index=name)
    missing = (document for document in dataset.documents() if document.doc_id not in kept)
    documents = encoding.encode(missing) if encoding else missing
    with load_settings_of(client, index=name):
        bulk_index(
            client,
            documents,
            index=name,
            limits=_LIMITS,
            progress=progress,
            total=total - len(kept),
        )
    # One segment: the same corpus gives the same graph and the same latency whenever it is loaded.
    merge: dict[str, Any] = {"max_num_segments": 1, "request_timeout": _MERGE_SECONDS}
    client.indices.forcemerge(index=name, params=merge)
    found = count_documents(client, index=name)
    if found != total or index_uuid(client, index=name) != uuid:
        raise EngineError(
            f"{name} holds {found} documents instead of {total}: someone else wrote to it; "
            "run this again alone"
        )
    meta = read_funnel_meta(client, index=name)
    mark = {"dataset": dataset.name, "documents": total}
    write_funnel_meta(client, index=name, meta={**meta, _MARK: mark})
    return EvaluationIndex(name=name, documents=total, loaded=True)


def _finished(client: OpenSearch, *, index: str) -> int | None:
    try:
        mark = read_funnel_meta(client, index=index).get(_MARK)
        if mark is None or count_documents(client, index=index) != mark["documents"]:
            return None
    except IndexMissingError:
        return None
    return int(mark["documents"])


def _encoded_before(
    client: OpenSearch, *, index: str, encoding: Encoding | None
) -> AbstractSet[str]:
    """Name the documents that a killed load had encoded; none if the index is not one we made."""
    if encoding is None or not index_exists(client, index=index):
        return frozenset()
    slots = read_funnel_meta(client, index=index).get("slots")
    if slots != {encoding.slot.name: encoding.slot.meta}:
        return frozenset()
    refresh_index(client, index=index)
    return ready_ids(client, index=index)


def _count(dataset: Dataset, *, progress: Progress) -> int:
    total = 0
    with progress.task("checking") as advance:
        for _ in dataset.documents():
            total += 1
            advance(1)
    return total


def _body(encoding: Encoding | None) -> dict[str, Any]:
    return index_body(slot=encoding.slot if encoding else None, replicas=0)


def _file_hash(path: Path) -> str:
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()
