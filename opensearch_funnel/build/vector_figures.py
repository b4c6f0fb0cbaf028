"""What the engine makes of a model's vectors, against exact search."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

import numpy as np
from opensearchpy import OpenSearch

from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.engine.vector_forms import (
    FormName,
    VectorIndex,
    Vectors,
    index_vectors,
    search_vectors,
    vector_form,
)
from opensearch_funnel.evaluating.datasets import Dataset
from opensearch_funnel.evaluating.measures import mean, measure_run
from opensearch_funnel.evaluating.model_figures import MEASURES, FormFigures
from opensearch_funnel.evaluating.model_runs import DEPTH, ModelRun, best

NEAREST = 10
"""How many of the exact nearest vectors have to be found again."""


def measure_forms(
    client: OpenSearch,
    run: ModelRun,
    dataset: Dataset,
    *,
    forms: Sequence[FormName],
    progress: Progress = SILENT,
) -> list[FormFigures]:
    """Index a model's vectors in each form and compare what is found with the exact answer."""
    if run.vectors is None or run.query_vectors is None:
        return []
    exact = [set(best(run.vectors @ query, k=NEAREST)) for query in run.query_vectors]
    asked = _Asked(run=run, dataset=dataset, queries=run.query_vectors, exact=exact)
    made = []
    for name in forms:
        form = vector_form(name, dimension=run.vectors.shape[1])
        index_name = f"funnel-vectors-{uuid4().hex[:12]}"
        try:
            with progress.task(f"indexing {name} vectors", total=None):
                index = index_vectors(client, index_name, vectors=run.vectors, form=form)
            made.append(asked.of(client, index))
        finally:
            client.indices.delete(index=index_name, params={"ignore_unavailable": "true"})
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The queries of a data set, as vectors, and their exact answers."""

    run: ModelRun
    dataset: Dataset
    queries: Vectors
    exact: Sequence[set[int]]

    def of(self, client: OpenSearch, index: VectorIndex) -> FormFigures:
        """Ask an index every query."""
        rankings: dict[str, tuple[str, ...]] = {}
        took, recalls = [], []
        for query, vector, nearest in zip(
            self.dataset.queries, self.queries, self.exact, strict=True
        ):
            began = time.perf_counter()
            places = search_vectors(client, index, vector=vector, k=DEPTH)
            took.append((time.perf_counter() - began) * 1000)
            rankings[query.query_id] = tuple(self.run.doc_ids[place] for place in places)
            recalls.append(len(nearest & set(places[:NEAREST])) / max(len(nearest), 1))
        values = measure_run(rankings, qrels=self.dataset.qrels, measures=MEASURES)
        count = max(len(self.run.doc_ids), 1)
        return FormFigures(
            form=index.form.name,
            dimension=index.form.dimension,
            recall=float(np.mean(recalls)),
            measures={str(m): round(mean(values[m]), 6) for m in MEASURES},
            bytes_per_document=index.size / count,
            searched_bytes_per_document=index.searched / count,
            build_s=index.build_s,
            query_ms=statistics.median(took),
        )
