"""What funnel fields cost: bytes a document, and documents encoded a second.

A corpus in the BEIR layout is encoded once, each model by itself, and written to indices of one
shard: without funnel fields, with the sparse one, with the dense one, and with both; those with
vectors as ``funnel load`` makes them, which leaves it to the engine to take vectors out of
``_source``, and as a migration makes them, which keeps ``_source`` byte for byte. Each is merged
into one segment before it is weighed. Rates are those of this machine at its present load, which
is reported with them.

Run it from the root, with your own corpus for figures of your own:
``python -m benchmarks.sizing path/to/scifact --url http://127.0.0.1:9250``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import FunnelError
from opensearch_funnel.core.funnel_object import READY
from opensearch_funnel.core.text import text_hash
from opensearch_funnel.documents.document import Document
from opensearch_funnel.documents.readers import corpus_file, read_documents
from opensearch_funnel.encoders.manifest import Manifest
from opensearch_funnel.encoders.manifest_files import load_manifest
from opensearch_funnel.encoders.opening import open_dense, open_splade
from opensearch_funnel.engine.bulk import bulk_index
from opensearch_funnel.engine.client import connect
from opensearch_funnel.engine.indices import delete_index, index_body, refresh_index
from opensearch_funnel.migrating.encoding import SlotEncoder
from opensearch_funnel.settings import Settings

INDEX = "funnel-bench-sizing"
FIELDS = ("title", "text")
_KEPT = {"index.knn.derived_source.enabled": False}
VARIANTS: dict[str, tuple[tuple[str, ...], dict[str, bool]]] = {
    "plain": ((), {}),
    "sparse": (("sparse_a",), {}),
    "dense, loaded": (("dense_a",), {}),
    "dense, migrated": (("dense_a",), _KEPT),
    "both, loaded": (("sparse_a", "dense_a"), {}),
    "both, migrated": (("sparse_a", "dense_a"), _KEPT),
}
_WARM = 64


def encoders(*, sparse: str, dense: str, max_tokens: int) -> dict[str, SlotEncoder]:
    """Open the two models, each as a slot of its own."""
    return {
        "sparse": SlotEncoder(fields=FIELDS, sparse=open_splade(_cut(sparse, max_tokens))),
        "dense": SlotEncoder(fields=FIELDS, dense=open_dense(_cut(dense, max_tokens))),
    }


def _cut(model: str, max_tokens: int) -> Manifest:
    manifest = load_manifest(model)
    return replace(manifest, max_tokens=max_tokens) if max_tokens else manifest


def timed(encoder: SlotEncoder, texts: Sequence[str]) -> tuple[list[dict[str, Any]], float]:
    """Encode all texts; return the fields of each, and how many texts a second."""
    encoder.encode(texts[:_WARM])
    start = time.perf_counter()
    made = encoder.encode(texts)
    return made, len(texts) / (time.perf_counter() - start)


@contextmanager
def written(
    client: OpenSearch,
    documents: Sequence[Document],
    *,
    encoder: SlotEncoder,
    variant: str,
) -> Iterator[float]:
    """Write documents to an index of their own, dropped afterwards; give documents a second."""
    delete_index(client, index=INDEX)
    fields, settings = VARIANTS[variant]
    body = index_body(slot=encoder.slot if fields else None, replicas=0)
    body["settings"] |= settings
    client.indices.create(index=INDEX, body=body)
    try:
        start = time.perf_counter()
        bulk_index(client, documents, index=INDEX)
        yield len(documents) / (time.perf_counter() - start)
    finally:
        delete_index(client, index=INDEX)


def merged_bytes(client: OpenSearch) -> int:
    """Merge the index into one segment and return what it takes on the disk."""
    refresh_index(client, index=INDEX)
    client.indices.forcemerge(index=INDEX, params={"max_num_segments": 1, "flush": "true"})
    refresh_index(client, index=INDEX)
    stats = client.indices.stats(index=INDEX, metric="store,segments")
    return int(stats["indices"][INDEX]["primaries"]["store"]["size_in_bytes"])


def run(  # noqa: PLR0913 - independent options, all with defaults
    client: OpenSearch,
    corpus: Path,
    *,
    documents: int = 5000,
    sparse: str = "splade-tiny",
    dense: str = "bge-small-en-v1.5",
    max_tokens: int = 0,
) -> dict[str, Any]:
    """Measure.

    Args:
        client: a cluster; its index of the benchmark's name is replaced.
        corpus: a folder in the BEIR layout, or its file.
        documents: how many, from the beginning.
        sparse: the model of the sparse field.
        dense: the model of the dense field.
        max_tokens: where texts are cut; 0 for each model's own limit.

    Returns:
        Bytes a document of each variant and documents a second.

    Raises:
        FunnelError: no cluster answers, or a model cannot be had.
    """
    read = list(islice(read_documents(corpus_file(corpus), format="beir"), documents))
    opened = encoders(sparse=sparse, dense=dense, max_tokens=max_tokens)
    texts = [opened["sparse"].text(document.source) for document in read]
    made: list[dict[str, Any]] = [{} for _ in read]
    rates = {}
    for leg, encoder in opened.items():
        fields, rates[leg] = timed(encoder, texts)
        for own, more in zip(made, fields, strict=True):
            own.update(more)
    both = replace(opened["dense"], sparse=opened["sparse"].sparse)
    sizes, writing = {}, {}
    for variant, (names, _) in VARIANTS.items():
        given = with_fields(read, texts, made, both, names) if names else read
        with written(client, given, encoder=both, variant=variant) as rate:
            sizes[variant], writing[variant] = merged_bytes(client), rate
    terms = [len(fields.get("sparse_a", {})) for fields in made]
    return {
        "corpus": corpus.name,
        "documents": len(read),
        "text_bytes": round(statistics.mean(len(text.encode()) for text in texts)),
        "terms": round(statistics.mean(terms)),
        "dimension": both.slot.dimension,
        "max_tokens": max_tokens or {leg: m.max_tokens for leg, m in _models(sparse, dense)},
        "bytes_a_document": {name: round(size / len(read)) for name, size in sizes.items()},
        "encoded_a_second": {leg: round(rate, 1) for leg, rate in rates.items()},
        "encoded_a_second_both": round(1 / sum(1 / rate for rate in rates.values()), 1),
        "written_a_second": {name: round(rate) for name, rate in writing.items()},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load": [round(one, 1) for one in os.getloadavg()],
    }


def _models(sparse: str, dense: str) -> list[tuple[str, Manifest]]:
    return [("sparse", load_manifest(sparse)), ("dense", load_manifest(dense))]


def with_fields(
    documents: Sequence[Document],
    texts: Sequence[str],
    made: Sequence[dict[str, Any]],
    encoder: SlotEncoder,
    fields: tuple[str, ...],
) -> list[Document]:
    """Give documents the object ``funnel`` with some of the fields that were made for them."""
    return [
        Document(
            document.doc_id,
            {
                **document.source,
                "funnel": {
                    "id": document.doc_id,
                    "origin": number,
                    "model": encoder.models[: len(fields)],
                    "hash": text_hash(text),
                    "state": READY,
                    **{name: own[name] for name in fields if name in own},
                },
            },
        )
        for number, (document, text, own) in enumerate(zip(documents, texts, made, strict=True))
    ]


def table(found: dict[str, Any]) -> str:
    """Lay the figures out for a person."""
    plain = found["bytes_a_document"]["plain"]
    lines = [f"{'':16}{'bytes a document':>18}{'funnel':>8}{'written /s':>12}"]
    lines += [
        f"{name:16}{size:>18}{size - plain:>8}{found['written_a_second'][name]:>12}"
        for name, size in found["bytes_a_document"].items()
    ]
    rates = found["encoded_a_second"]
    lines.append(
        f"encoded a second: sparse {rates['sparse']}, dense {rates['dense']}, both "
        f"{found['encoded_a_second_both']}; text {found['text_bytes']} bytes, {found['terms']} "
        f"terms, {found['dimension']} numbers; load {found['load'][0]}"
    )
    return "\n".join(lines)


def main() -> int:
    """Run from the shell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path, help="a folder in the BEIR layout")
    parser.add_argument("--url", help="the cluster; FUNNEL_URL or the embedded node by default")
    parser.add_argument("--documents", type=int, default=5000)
    parser.add_argument("--sparse-model", default="splade-tiny")
    parser.add_argument("--dense-model", default="bge-small-en-v1.5")
    parser.add_argument("--max-tokens", type=int, default=0)
    parser.add_argument("--output", choices=["table", "json"], default="table")
    arguments = parser.parse_args()
    settings = Settings(**({"url": arguments.url} if arguments.url else {}))
    try:
        found = run(
            connect(settings),
            arguments.corpus,
            documents=arguments.documents,
            sparse=arguments.sparse_model,
            dense=arguments.dense_model,
            max_tokens=arguments.max_tokens,
        )
    except FunnelError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    text = json.dumps(found, indent=1) if arguments.output == "json" else table(found)
    sys.stdout.write(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
