"""Judge a precision of a model against fp32: what it loses, and what it saves."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence

from opensearch_funnel.core.errors import InputError, MissingExtraError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.core.text import encoded_text
from opensearch_funnel.encoders.cross_encoder import CrossEncoder
from opensearch_funnel.encoders.manifest import Manifest, Precision, Verdict
from opensearch_funnel.encoders.opening import Encoder, open_encoder
from opensearch_funnel.evaluating.datasets import Dataset
from opensearch_funnel.evaluating.measures import Measure, mean, measure_run
from opensearch_funnel.evaluating.model_runs import ModelRun, run_model

REFERENCE: Precision = "fp32"
MOST_LOSS = 0.005
"""Share of fp32's nDCG@10 that a precision may lose and still be the default."""
_NDCG = Measure("nDCG", 10)
_ROUNDS = 5
_TIMED_TEXTS = 64


def judge(
    manifest: Manifest,
    dataset: Dataset,
    *,
    precisions: Sequence[Precision],
    threads: int | None = None,
    progress: Progress = SILENT,
) -> list[Verdict]:
    """Run a model in fp32 and in other precisions over a data set, and compare.

    Args:
        manifest: the model; a cross-encoder reranks a BM25 in memory.
        dataset: what is searched; never one whose figures are reported.
        precisions: what to compare with fp32.
        threads: cores of one run.
        progress: hears of documents and queries.

    Returns:
        One verdict a precision. Speeds are medians of five rounds that take turns.

    Raises:
        InputError: the model cannot run in fp32 or in one of the precisions.
        MissingExtraError: scipy is not installed, or what a precision needs is not.
    """
    if REFERENCE not in manifest.precisions:
        raise InputError(f"model {manifest.name} has no fp32 to compare with")
    texts = _sample(dataset)
    reference = open_encoder(manifest, precision=REFERENCE, threads=threads, progress=progress)
    expected = run_model(reference, dataset, progress=progress)
    before = _quality(expected, dataset)
    verdicts = []
    for precision in precisions:
        encoder = open_encoder(manifest, precision=precision, threads=threads, progress=progress)
        found = run_model(encoder, dataset, progress=progress)
        verdicts.append(
            Verdict(
                precision=precision,
                dataset=f"{dataset.name}/{dataset.split}",
                ndcg=_quality(found, dataset),
                reference=before,
                kendall_tau=mean_tau(expected.run, found.run),
                speed=_speed(reference, encoder, texts),
            )
        )
    return verdicts


def ordered(precisions: Sequence[Precision], verdicts: Sequence[Verdict]) -> tuple[Precision, ...]:
    """Put precisions in order, the default first: the fastest of those that lose little enough.

    One without a verdict is never first.

    Example:
        >>> lossy = Verdict(precision="int8", dataset="d", ndcg=0.69, reference=0.7,
        ...                 kendall_tau=0.9, speed=3.0)
        >>> ordered(["int8", "fp32"], [lossy])
        ('fp32', 'int8')
    """
    speeds = {v.precision: v.speed for v in verdicts if v.loss <= MOST_LOSS} | {REFERENCE: 1.0}
    return tuple(sorted(precisions, key=lambda p: -speeds.get(p, 0.0)))


def mean_tau(expected: Mapping[str, Sequence[str]], found: Mapping[str, Sequence[str]]) -> float:
    """Return the mean of Kendall's tau-b between two orders of each query's documents.

    The documents are those of the expected order; one that the other order lacks stands behind
    all others there.

    Raises:
        MissingExtraError: scipy is not installed.

    Example:
        >>> round(mean_tau({"q": ["a", "b", "c"]}, {"q": ["a", "c", "b"]}), 3)  # one of 3 turned
        0.333
    """
    try:
        from scipy.stats import kendalltau
    except ImportError as error:
        raise MissingExtraError("scipy", extra="evaluation") from error
    taus = []
    for query_id, order in expected.items():
        if len(order) < 2:  # noqa: PLR2004 - one document has no order
            continue
        places = {doc_id: place for place, doc_id in enumerate(found[query_id])}
        others = [places.get(doc_id, len(places)) for doc_id in order]
        tau = float(kendalltau(range(len(order)), others, variant="b").statistic)
        taus.append(tau if tau == tau else 0.0)  # noqa: PLR0124 - all tied: no order at all
    return statistics.fmean(taus) if taus else 1.0


def _quality(found: ModelRun, dataset: Dataset) -> float:
    values = measure_run(found.run, qrels=dataset.qrels, measures=[_NDCG])
    return mean(values[_NDCG])


def _sample(dataset: Dataset) -> list[str]:
    texts = []
    for document in dataset.documents():
        texts.append(encoded_text(document.source, fields=("title", "text")))
        if len(texts) == _TIMED_TEXTS:
            break
    return texts


def _speed(reference: Encoder, encoder: Encoder, texts: Sequence[str]) -> float:
    ratios = []
    for _ in range(_ROUNDS):
        slow = _seconds(reference, texts)
        ratios.append(slow / _seconds(encoder, texts))
    return statistics.median(ratios)


def _seconds(encoder: Encoder, texts: Sequence[str]) -> float:
    began = time.perf_counter()
    if isinstance(encoder, CrossEncoder):
        encoder.score(texts[0][:100], texts)
    else:
        encoder.encode_documents(texts)
    return time.perf_counter() - began
