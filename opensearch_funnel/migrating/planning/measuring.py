"""How fast documents are encoded here, and how much room their fields take."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from opensearch_funnel.core.funnel_object import FUNNEL, READY, slot_fields
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.core.text import text_hash
from opensearch_funnel.migrating.encoding import SlotEncoder
from opensearch_funnel.migrating.target_body import DERIVED

_CHUNK, _WARM_UP = 32, 2
_LONG_ENOUGH_S = 20.0

# Measured on OpenSearch 3.6.0: 1,500 film plots of 64 tokens and 800 abstracts of 256, each kind
# of field alone, merged into one segment. Bytes on disk for a byte of JSON, in an index that is
# compressed as by default, and in one with best_compression; postings are in it.
_SPARSE, _VECTOR_TEXT, _OTHERS = (0.75, 0.55), (0.72, 0.45), (0.9, 0.85)
# Bytes on disk for a number of a vector: the vectors and their graph.
_NUMBER = 4.1
_QUICK = ("default", "lz4")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What encoding a sample took.

    Attributes:
        documents: how many were encoded.
        seconds: how long it took.
        sparse: mean bytes of the sparse field of a document, as JSON.
        dense: mean bytes of its dense field, as JSON.
        others: mean bytes of the rest of the object ``funnel``, as JSON.
        dimension: numbers in a vector.
    """

    documents: int
    seconds: float
    sparse: float
    dense: float
    others: float
    dimension: int

    @property
    def rate(self) -> float:
        """Documents a second."""
        return self.documents / self.seconds

    def stored(self, settings: Mapping[str, Any]) -> float:
        """Estimate what the object takes on the disk of an index, in bytes a document.

        Args:
            settings: of the index, by their full names.

        Example:
            >>> made = Measured(documents=1, seconds=1, sparse=3000, dense=4700, others=100,
            ...                 dimension=384)
            >>> round(made.stored({})), round(made.stored({DERIVED: "true"}))
            (7298, 3914)
        """
        tight = int(settings.get("index.codec", "default") not in _QUICK)
        in_source = str(settings.get(DERIVED)) != "true"
        vectors = self.dimension * _NUMBER if self.dense else 0.0
        return (
            _SPARSE[tight] * self.sparse
            + _OTHERS[tight] * self.others
            + vectors
            + (_VECTOR_TEXT[tight] * self.dense if in_source else 0.0)
        )


def measure(
    encoder: SlotEncoder, samples: Sequence[Mapping[str, Any]], *, progress: Progress = SILENT
) -> Measured | None:
    """Encode samples, for some 20 seconds at most.

    Args:
        encoder: what will encode the documents, on this machine.
        samples: documents of the index.
        progress: told of every document.

    Returns:
        What it took; ``None`` where no sample has text.
    """
    texts = [text for one in samples if (text := encoder.text(one))]
    if not texts:
        return None
    # The first run of a model takes longer than all that follow.
    encoder.encode(texts[:_WARM_UP])
    made: list[dict[str, Any]] = []
    begin = time.perf_counter()
    with progress.task("encoding a sample", total=len(texts)) as advance:
        while len(made) < len(texts) and time.perf_counter() - begin < _LONG_ENOUGH_S:
            some = texts[len(made) : len(made) + _CHUNK]
            made += encoder.encode(some)
            advance(len(some))
    seconds = time.perf_counter() - begin
    sparse, dense = slot_fields(encoder.name)
    others = {"id": "0" * 20, "origin": 2**40, "model": encoder.models, "state": READY}
    return Measured(
        documents=len(made),
        seconds=seconds,
        sparse=_mean_bytes(made, sparse),
        dense=_mean_bytes(made, dense),
        others=float(len(orjson.dumps({FUNNEL: {**others, "hash": text_hash("")}}))),
        dimension=encoder.slot.dimension,
    )


def _mean_bytes(made: Sequence[Mapping[str, Any]], field: str) -> float:
    written = [
        orjson.dumps(one[field], option=orjson.OPT_SERIALIZE_NUMPY) for one in made if field in one
    ]
    return sum(map(len, written)) / len(made)
