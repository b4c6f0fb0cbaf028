"""What a user chooses a model by: how good, how fast, how large."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.encoders.manifest import Manifest
from opensearch_funnel.encoders.opening import open_encoder
from opensearch_funnel.evaluating.datasets import Dataset
from opensearch_funnel.evaluating.measures import (
    Measure,
    bootstrap_interval,
    mean,
    measure_run,
)
from opensearch_funnel.evaluating.memory import peak_memory
from opensearch_funnel.evaluating.model_runs import ModelRun, run_model

MEASURES = (Measure("nDCG", 10), Measure("MRR", 10), Measure("R", 100))
_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class FormFigures:
    """One form in which the engine keeps a model's vectors.

    Attributes:
        form: what it is called, for example ``1-bit``.
        dimension: numbers of a vector that are kept.
        recall: share of the exact 10 nearest vectors that are among the 10 found.
        measures: as of the model, over what the engine finds.
        bytes_per_document: of the whole index on the disk, graph included.
        searched_bytes_per_document: of the files that a search goes through before it rescores:
            what should fit into memory.
        build_s: to index and merge all vectors.
        query_ms: a search at the median, without encoding.
    """

    form: str
    dimension: int
    recall: float
    measures: Mapping[str, float]
    bytes_per_document: float
    searched_bytes_per_document: float
    build_s: float
    query_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFigures:
    """One model in one precision on one data set.

    Attributes:
        measures: mean over queries, by name.
        intervals: 95 % bootstrap intervals of the means.
        documents_s: documents encoded a second; for cross-encoders pairs scored.
        query_ms: 50th and 95th percentile of encoding a query.
        queries_s: queries encoded a second, one after the other.
        memory: bytes by which the process grew at its height, or None where unknown.
        bytes_per_document: of vectors or weights alone, exact.
        forms: what the engine makes of the vectors; empty unless asked for, and for other kinds.
    """

    name: str
    kind: str
    precision: str
    fingerprint: str
    dimension: int
    max_tokens: int
    size: int
    """Bytes of the model's files."""
    measures: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    documents_s: float
    query_ms: tuple[float, float]
    queries_s: float
    memory: int | None
    bytes_per_document: float
    terms: float | None = None
    forms: Sequence[FormFigures] = field(default_factory=tuple)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        return asdict(self)


def measure_model(
    manifest: Manifest,
    dataset: Dataset,
    *,
    precision: str | None = None,
    threads: int | None = None,
    progress: Progress = SILENT,
) -> tuple[ModelFigures, ModelRun]:
    """Search a data set with one model alone and measure what it finds and takes.

    Args:
        manifest: which model.
        dataset: where to search.
        precision: the model's default if not given.
        threads: cores of one run.
        progress: hears of documents and queries.

    Returns:
        The figures, and what they were worked out from.
    """
    chosen = manifest.precision(precision)
    with peak_memory() as peak:
        encoder = open_encoder(manifest, precision=chosen, threads=threads, progress=progress)
        found = run_model(encoder, dataset, progress=progress)
        memory = peak()
    values = measure_run(found.run, qrels=dataset.qrels, measures=MEASURES)
    p50, p95 = (float(p) for p in np.percentile(found.query_ms, [50, 95]))
    figures = ModelFigures(
        name=manifest.name,
        kind=manifest.kind,
        precision=chosen,
        fingerprint=manifest.fingerprint(chosen),
        dimension=manifest.dimension,
        max_tokens=manifest.max_tokens,
        size=manifest.size,
        measures={str(m): round(mean(values[m]), _DIGITS) for m in MEASURES},
        intervals={str(m): bootstrap_interval(values[m]) for m in MEASURES},
        documents_s=found.documents_s,
        query_ms=(p50, p95),
        queries_s=_a_second(found),
        memory=memory,
        bytes_per_document=found.bytes_per_document,
        terms=found.terms,
    )
    return figures, found


def _a_second(found: ModelRun) -> float:
    total = sum(found.query_ms) / 1000
    return len(found.query_ms) / total if total else 0.0
