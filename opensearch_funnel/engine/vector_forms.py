"""The forms in which the engine keeps vectors: whole, in 7 bits, in 1 bit, cut short.

Lucene's engine only: the embedded node has no faiss, and a field of it would end the node. So would
a search by one bit in a memory-mapped index: from 3.6 on k-NN compares those by a native library,
and a node without it dies (UnsatisfiedLinkError). In an index that is read otherwise Lucene does.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.engine.bulk import BulkLimits, bulk_index

Vectors = NDArray[np.float32]
FormName = Literal["full", "7-bit", "1-bit", "half"]
FORMS: tuple[FormName, ...] = ("full", "7-bit", "1-bit", "half")

_FIELD = "vector"
_LIMITS = BulkLimits(senders=1)
"""One sender: in their order, so that the same vectors give the same graph."""
_OVERSAMPLE = 5.0
"""How many times the wanted number is found by one bit each, and then compared whole."""
_RAW = frozenset({"vec", "vemf"})
"""Ends of the files with the whole vectors, which a search by fewer bits reads for few of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorForm:
    """One form of a vector field.

    Attributes:
        name: what it is called.
        dimension: numbers of a vector that are kept.
        mapping: of the field.
        rescores: whether what was found by fewer bits is compared again by whole vectors.
        settings: of the index, besides the usual ones.
    """

    name: FormName
    dimension: int
    mapping: dict[str, Any]
    rescores: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)

    def cut(self, vectors: Vectors) -> Vectors:
        """Return vectors as this form keeps them: the first numbers, of length 1 again."""
        if vectors.shape[-1] == self.dimension:
            return vectors
        short = vectors[..., : self.dimension]
        length = np.linalg.norm(short, axis=-1, keepdims=True)
        unit: Vectors = short / np.maximum(length, np.finfo(np.float32).tiny)
        return unit

    def query(self, vector: Vectors, *, k: int) -> dict[str, Any]:
        """Return the query for the ``k`` nearest vectors."""
        asked: dict[str, Any] = {"vector": self.cut(vector).tolist(), "k": k}
        if self.rescores:
            asked["rescore"] = {"oversample_factor": _OVERSAMPLE}
        return {"knn": {_FIELD: asked}}


def vector_form(name: FormName, *, dimension: int) -> VectorForm:
    """Return a form for vectors of a dimension.

    Raises:
        InputError: there is no such form.

    Example:
        >>> vector_form("half", dimension=384).dimension
        192
    """
    method: dict[str, Any] = {"name": "hnsw", "engine": "lucene", "space_type": "innerproduct"}
    plain = {"type": "knn_vector", "dimension": dimension}
    match name:
        case "full":
            return VectorForm(name=name, dimension=dimension, mapping={**plain, "method": method})
        case "7-bit":
            encoder = {"name": "sq", "parameters": {"bits": 7}}
            mapping = {**plain, "method": {**method, "parameters": {"encoder": encoder}}}
            return VectorForm(name=name, dimension=dimension, mapping=mapping)
        case "1-bit":
            mapping = {**plain, "mode": "on_disk", "compression_level": "32x", "method": method}
            return VectorForm(
                name=name,
                dimension=dimension,
                mapping=mapping,
                rescores=True,
                settings={"index.store.type": "niofs"},
            )
        case "half":
            half = max(dimension // 2, 1)
            mapping = {**plain, "dimension": half, "method": method}
            return VectorForm(name=name, dimension=half, mapping=mapping)
    raise InputError(f"no form {name!r} of vectors; there are: {', '.join(FORMS)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorIndex:
    """An index that holds nothing but vectors.

    Attributes:
        name: of the index.
        form: how it keeps them.
        build_s: to write, refresh and merge all of them into one segment.
        size: bytes on the disk.
        searched: bytes of the files that a search goes through before it rescores.
    """

    name: str
    form: VectorForm
    build_s: float
    size: int
    searched: int


@dataclass(frozen=True, slots=True)
class _Numbered:
    doc_id: str
    source: dict[str, Any]


def index_vectors(
    client: OpenSearch, name: str, *, vectors: Vectors, form: VectorForm
) -> VectorIndex:
    """Make an index of vectors; a document's id is its position.

    Raises:
        EngineError: the engine refuses the form or a vector.
    """
    body = {
        "settings": {
            "number_of_shards": 1,
            "number_of_replicas": 0,
            "refresh_interval": "-1",
            "index.knn": True,
            **form.settings,
        },
        # Nothing is kept but what is searched, so that sizes are those of the vectors.
        "mappings": {
            "_source": {"enabled": False},
            "dynamic": False,
            "properties": {_FIELD: form.mapping},
        },
    }
    client.indices.create(index=name, body=body)
    began = time.perf_counter()
    numbered = (
        _Numbered(str(place), {_FIELD: vector}) for place, vector in enumerate(form.cut(vectors))
    )
    bulk_index(client, numbered, index=name, limits=_LIMITS)
    client.indices.refresh(index=name)
    client.indices.forcemerge(index=name, params={"max_num_segments": "1", "flush": "true"})
    build_s = time.perf_counter() - began
    found = client.indices.stats(
        index=name, metric="store,segments", params={"include_segment_file_sizes": "true"}
    )
    primaries = found["indices"][name]["primaries"]
    files = primaries["segments"]["file_sizes"]
    return VectorIndex(
        name=name,
        form=form,
        build_s=build_s,
        size=int(primaries["store"]["size_in_bytes"]),
        searched=_searched(files, form=form),
    )


def _searched(files: Any, *, form: VectorForm) -> int:
    sizes = {end: int(one["size_in_bytes"]) for end, one in files.items()}
    kept = [end for end in sizes if end.startswith("ve")]
    fewer_bits = form.rescores or any(end in sizes for end in ("veq", "veb"))
    return sum(sizes[end] for end in kept if not (fewer_bits and end in _RAW))


def search_vectors(
    client: OpenSearch, index: VectorIndex, *, vector: Vectors, k: int
) -> Sequence[int]:
    """Return the positions of the nearest vectors, best first, as the engine finds them."""
    body = {"size": k, "query": index.form.query(vector, k=k), "_source": False}
    params = {"search_pipeline": "_none", "allow_partial_search_results": "false"}
    found = client.search(index=index.name, body=body, params=params)
    return [int(hit["_id"]) for hit in found["hits"]["hits"]]
