"""Measure for a gate: systems on a cluster, or rankings that somebody else made."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from opensearch_funnel.build.evaluation import Bench, FunnelReport, Request
from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.encoders.manifest_files import load_manifest
from opensearch_funnel.evaluating.datasets import Dataset
from opensearch_funnel.evaluating.formats.trec_run import read_measurable_run
from opensearch_funnel.evaluating.gating.quality import Again
from opensearch_funnel.evaluating.gating.snapshot import Circumstances, Timing, snapshot_of
from opensearch_funnel.evaluating.measures import Measure, measure_run

_ENDING = ".run"


def measured_systems(bench: Bench, dataset: Dataset, plan: FunnelPlan, request: Request) -> Again:
    """Measure systems of a plan, as ``funnel evaluate`` does.

    Args:
        bench: the cluster.
        dataset: corpus, queries and judgments.
        plan: the plan to measure.
        request: which systems, by which measures, how many timed.

    Raises:
        InputError: what was asked for is nothing that the plan has.
    """
    found = bench.evaluate(dataset, plan, request)
    systems = found.report.systems
    timed = min(request.timed, len(dataset.queries))
    latency = {
        one.name: Timing(
            p50=round(one.latency.p50, 3),
            p95=round(one.latency.p95, 3),
            timed=timed,
            degraded=one.latency.degraded,
        )
        for one in systems
        if timed
    }
    return Again(
        snapshot=snapshot_of(
            dataset,
            {one.name: one.values for one in systems},
            latency=latency,
            by=_circumstances(bench, found, execution=request.execution),
        ),
        degraded={one.name: one.degraded for one in systems},
        notes=[
            f"{name}: {one.degraded:,} of {one.timed:,} timed answers lacked a stage"
            for name, one in latency.items()
            if one.degraded
        ],
    )


def _circumstances(bench: Bench, found: FunnelReport, *, execution: str) -> Circumstances:
    plan = found.plan
    return Circumstances(
        plan=plan.to_dict() if plan else {},
        plan_id=plan.plan_id if plan else "",
        models=_fingerprints(plan) if plan else {},
        execution=execution if plan else "",
        opensearch=str(bench.client.info()["version"]["number"]),
        cpus=os.cpu_count() or 0,
    )


def _fingerprints(plan: FunnelPlan) -> dict[str, str]:
    """Name the models that a plan asks, each with its fingerprint."""
    models: dict[str, str] = {}
    if "sparse" in plan.active_legs:
        models[plan.sparse.model] = plan.sparse.fingerprint
    if "dense" in plan.active_legs:
        models[plan.dense.model] = plan.dense.fingerprint
    rerankers = plan.rerank.models if plan.rerank.enabled else ()
    return {**models, **{name: load_manifest(name).fingerprint() for name in rerankers}}


def measured_runs(
    folder: Path, dataset: Dataset, *, measures: Sequence[Measure], systems: Sequence[str] = ()
) -> Again:
    """Measure the rankings that ``funnel evaluate --runs`` or another engine wrote.

    Args:
        folder: with a TREC run file for each system, ``<system>.run``.
        dataset: queries and judgments.
        measures: what to compute.
        systems: only these; all files if empty.

    Raises:
        InputError: there is no run file, or none of a name; one cannot be read, or ranks no query
            of the data set.
    """
    files = {path.stem: path for path in sorted(folder.glob(f"*{_ENDING}"))}
    if not files:
        raise InputError(
            f"{folder} has no *{_ENDING} files: write them with funnel evaluate --runs"
        )
    if missing := [name for name in systems if name not in files]:
        raise InputError(
            f"{folder} has no run of {', '.join(missing)}; it has: {', '.join(files)} (--systems)"
        )
    chosen = {name: path for name, path in files.items() if name in systems or not systems}
    read = {name: read_measurable_run(path) for name, path in chosen.items()}
    runs = {name: one.run.doc_ids for name, one in read.items()}
    for name, run in runs.items():
        if not {query_id for query_id, ranking in run.items() if ranking} & dataset.qrels.keys():
            raise InputError(
                f"{files[name]} ranks no query of split {dataset.split!r} of {dataset.name}: it "
                "is a run of other queries, or of another --split"
            )
    values = {
        name: measure_run(run, qrels=dataset.qrels, measures=measures) for name, run in runs.items()
    }
    told = [f"{name}: {finding}" for name, one in read.items() for finding in one.findings]
    notes = [*told, *_run_notes(runs, dataset)]
    return Again(snapshot=snapshot_of(dataset, values), notes=notes)


def _run_notes(runs: Mapping[str, Mapping[str, Sequence[str]]], dataset: Dataset) -> list[str]:
    notes: list[str] = []
    for name, run in runs.items():
        unanswered = sum(not run.get(query_id) for query_id in dataset.qrels)
        foreign = len(run.keys() - dataset.qrels.keys())
        if unanswered:
            notes.append(f"{name}: {unanswered:,} queries have no results and count as 0")
        if foreign:
            notes.append(f"{name}: {foreign:,} queries of the run are not judged in this split")
    return notes
