"""Whether a smaller precision of a model finds as much as the one that it was made of."""

from __future__ import annotations

from dataclasses import replace

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.encoders.opening import open_encoder
from opensearch_funnel.evaluating.datasets import Dataset
from opensearch_funnel.evaluating.differences import paired
from opensearch_funnel.evaluating.gating.checks import Check, Gate
from opensearch_funnel.evaluating.gating.named_models import NamedModel
from opensearch_funnel.evaluating.judging import MOST_LOSS, mean_tau
from opensearch_funnel.evaluating.measures import Measure, bootstrap_interval, mean, measure_run
from opensearch_funnel.evaluating.model_runs import run_model
from opensearch_funnel.evaluating.significance import randomisation_p

COLUMNS = ("queries", "full", "quantized", "loss", "95 % interval", "p")
_NDCG = Measure("nDCG", 10)
_DIGITS = 6


def judge_quantized(  # noqa: PLR0913 - two models, where they search, and what may be lost
    quantized: NamedModel,
    full: NamedModel,
    dataset: Dataset,
    *,
    tolerance: float = MOST_LOSS,
    alpha: float = 0.05,
    threads: int | None = None,
    progress: Progress = SILENT,
) -> Gate:
    """Let both search a data set exactly, and compare nDCG@10 query by query.

    Args:
        quantized: the model in the smaller precision.
        full: what it is held against.
        dataset: what is searched; never one whose figures are reported.
        tolerance: the share of the full one's mean that may be lost.
        alpha: a loss whose p is below this is no chance.
        threads: cores of one run.
        progress: hears of documents and queries.

    Raises:
        InputError: the two are the same model in the same precision, or of different kinds.
        MissingExtraError: scipy is not installed.
    """
    if quantized.fingerprint == full.fingerprint:
        raise InputError(
            f"{quantized.name} and {full.name} give the same numbers: name two precisions, for "
            f"example {quantized.manifest.name}:int8 --against {quantized.manifest.name}:fp32"
        )
    if quantized.manifest.kind != full.manifest.kind:
        raise InputError(
            f"{quantized.name} is a {quantized.manifest.kind} model and {full.name} a "
            f"{full.manifest.kind} one: compare models of one kind"
        )
    runs = []
    for one in (full, quantized):
        encoder = open_encoder(
            one.manifest, precision=one.precision, threads=threads, progress=progress
        )
        runs.append(run_model(encoder, dataset, progress=progress).run)
    before, now = (measure_run(run, qrels=dataset.qrels, measures=[_NDCG])[_NDCG] for run in runs)
    changes = paired(now, before)
    low, high = bootstrap_interval(changes)
    p = randomisation_p(changes)
    # From 0: no loss at all is not shown as -0.
    loss = 0.0 - mean(changes) / mean(before) if mean(before) else 0.0
    tau = mean_tau(*runs)
    lost = loss > tolerance
    allowed = f"where {tolerance:.2%} may be lost"
    check = Check(
        name=f"{quantized.name} {_NDCG}",
        outcome="failed" if lost and p < alpha else "passed",
        finding=(
            f"loses {loss:.2%} of {full.name} ({mean(before):.4f} to {mean(now):.4f}, p {p:.4f}) "
            f"{allowed}"
            if lost
            else f"changes by {0.0 - loss:+.2%} against {full.name}, {allowed}"
        ),
        cells=(
            f"{len(changes):,}",
            f"{mean(before):.4f}",
            f"{mean(now):.4f}",
            f"{loss:+.2%}",
            f"{low:+.4f} to {high:+.4f}",
            f"{p:.4f}",
        ),
        figures={
            "queries": len(changes),
            "full": round(mean(before), _DIGITS),
            "quantized": round(mean(now), _DIGITS),
            "loss": round(loss, _DIGITS),
            "interval": [round(low, _DIGITS), round(high, _DIGITS)],
            "p": p,
            "kendall_tau": round(tau, _DIGITS),
        },
    )
    if check.outcome == "failed":
        check = replace(
            check, advice=f"run {full.name}, or judge other precisions: funnel models quantize"
        )
    warnings = []
    if lost and check.outcome == "passed":
        warnings.append(
            f"{quantized.name} loses more than is allowed, which {len(changes):,} queries do not "
            "show to be more than chance: judge it on more"
        )
    return Gate(
        title=f"{quantized.name} against {full.name} on {dataset.name}/{dataset.split}",
        columns=COLUMNS,
        checks=[check],
        warnings=warnings,
        notes=[f"Kendall's tau of the rankings {tau:.3f}"],
        figures={
            "dataset": dataset.name,
            "split": dataset.split,
            "models": {one.name: one.fingerprint for one in (full, quantized)},
        },
    )
