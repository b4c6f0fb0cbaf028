"""Measure a plan on a data set: its legs, their fusion, and the whole funnel natively."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256
from typing import Any, Literal

from opensearchpy import OpenSearch

from opensearch_funnel.build.plans import open_encoders
from opensearch_funnel.build.service import applied_plan, reachable_service
from opensearch_funnel.core.errors import InputError, MissingExtraError, ModelError
from opensearch_funnel.core.held_out import is_held_out
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import Deadlines, FunnelPlan, Reranking
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.core.stage import PairScorer
from opensearch_funnel.encoders.dense import DenseEncoder
from opensearch_funnel.encoders.splade import SpladeEncoder
from opensearch_funnel.engine import state
from opensearch_funnel.engine.applying import bound_plan, pipeline_name
from opensearch_funnel.engine.indices import read_funnel_meta, write_funnel_meta
from opensearch_funnel.evaluating.datasets import Dataset, read_dataset
from opensearch_funnel.evaluating.funnel_systems import (
    fused_system,
    leg_system,
    native_system,
    reranked_system,
)
from opensearch_funnel.evaluating.indexing import Encoding, EvaluationIndex, ensure_evaluation_index
from opensearch_funnel.evaluating.measures import DEFAULT_MEASURES, Measure
from opensearch_funnel.evaluating.reports import EvaluationReport, evaluate_systems
from opensearch_funnel.evaluating.switch import decide
from opensearch_funnel.evaluating.systems import System, bm25_system
from opensearch_funnel.evaluating.trials import KnownQuery, probes, sampled, trials
from opensearch_funnel.migrating.encoding import funnel_fields, slot_of
from opensearch_funnel.settings import Settings

SystemName = Literal["bm25", "sparse", "dense", "hybrid", "funnel"]
SYSTEMS: tuple[SystemName, ...] = ("bm25", "sparse", "dense", "hybrid", "funnel")
Execution = Literal["native", "client"]
Switch = Literal["auto", "on", "off"]

WITHOUT = "hybrid without "
_LIFTED = Deadlines(rewrite_ms=60_000, rank_ms=60_000)
# Where a set has several splits, the first of these that is not the one reported decides.
_DECIDING_SPLITS = ("dev", "train")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to measure, and how.

    Attributes:
        systems: names of ``SYSTEMS``.
        measures: what to compute.
        execution: ``native`` sends a client's plain query through the search pipeline;
            ``client`` runs the same stages here.
        leave_one_out: measure the hybrid without each of its legs, too.
        keep_deadlines: measure with the plan's deadlines; by default they are lifted, and hold
            only while latency is taken.
        rerank: ``auto`` decides on queries that are not reported; ``on`` and ``off`` don't ask.
    """

    systems: Sequence[SystemName] = SYSTEMS
    measures: Sequence[Measure] = DEFAULT_MEASURES
    execution: Execution = "native"
    leave_one_out: bool = True
    keep_deadlines: bool = False
    rerank: Switch = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelReport:
    """What was measured, on which index, by which plan."""

    report: EvaluationReport
    plan: FunnelPlan | None
    index: EvaluationIndex

    @property
    def degraded(self) -> int:
        """How many answers lacked a stage; the figures count only where it is 0."""
        return sum(system.degraded for system in self.report.systems)

    def to_json(self) -> dict[str, Any]:
        """Return what ``funnel evaluate --output json`` prints."""
        plain = self.report.to_json()
        systems = plain["systems"]
        plain["systems"] = {n: s for n, s in systems.items() if not n.startswith(WITHOUT)}
        without = {n.removeprefix(WITHOUT): s for n, s in systems.items() if n.startswith(WITHOUT)}
        if without:
            plain["leave_one_out"] = {leg: self._worth(leg) for leg in without}
        if self.plan is not None:
            plain["plan"] = self.plan.to_dict()
        return plain

    def _worth(self, leg: str) -> dict[str, Any]:
        """Say what the hybrid reaches without a leg, and how much that is less."""
        systems = {system.name: system for system in self.report.systems}
        whole, rest = systems["hybrid"], systems[WITHOUT + leg]
        return {
            "without": {str(m): round(rest.mean(m), 6) for m in rest.values},
            "worth": {str(m): round(whole.mean(m) - rest.mean(m), 6) for m in rest.values},
        }


def _fingerprint(model: str) -> str:
    """Return what tells a reranker from others; empty for one that is not there."""
    from opensearch_funnel.encoders.manifests import load_manifest

    try:
        return load_manifest(model).fingerprint()
    except InputError:
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Queries with known answers to decide on, and what they are."""

    queries: Sequence[KnownQuery]
    evidence: str


NOTHING_KNOWN = Known(queries=(), evidence="nothing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where plans are measured: a cluster, with what is needed to search it.

    Attributes:
        client: the cluster.
        settings: where service and models are.
        progress: hears of everything that takes time.
    """

    client: OpenSearch
    settings: Settings
    progress: Progress = SILENT

    def evaluate(self, dataset: Dataset, plan: FunnelPlan, request: Request) -> FunnelReport:
        """Load and encode what is missing, apply the plan, and measure every system.

        Args:
            dataset: corpus, queries and judgments.
            plan: the plan to measure; its alias is replaced by the evaluation index.
            request: what to measure.

        Returns:
            The report; its figures count only where nothing was degraded.
        """
        if set(request.systems) <= {"bm25"}:
            index = ensure_evaluation_index(self.client, dataset, progress=self.progress)
            bm25 = bm25_system(self.client, index=index.name)
            return self._measured([bm25], dataset, index=index, request=request, plan=None)
        models = self.open_encoders(plan)
        index = self.encoded_index(dataset, plan, models=models)
        # The mark is how a degraded answer is told from a whole one.
        bound = bound_plan(self.client, replace(plan, alias=index.name, trace="mark"))
        if "funnel" in request.systems and request.rerank == "auto":
            bound = self.remembered(bound, index=index.name, models=models, dataset=dataset)
        elif "funnel" in request.systems:
            bound = self.decided(bound, models=models, known=NOTHING_KNOWN, rerank=request.rerank)
        with self._systems(bound, models=models, request=request) as systems:
            return self._measured(systems, dataset, index=index, request=request, plan=bound)

    def _measured(
        self,
        systems: Sequence[System],
        dataset: Dataset,
        *,
        index: EvaluationIndex,
        request: Request,
        plan: FunnelPlan | None,
    ) -> FunnelReport:
        report = evaluate_systems(
            systems,
            dataset,
            index=index.name,
            documents=index.documents,
            measures=request.measures,
            progress=self.progress,
        )
        return FunnelReport(report=report, plan=plan, index=index)

    def open_encoders(self, plan: FunnelPlan) -> PlanModels:
        """Open the models of a plan's legs, and not its reranker."""
        return open_encoders(plan, settings=self.settings, progress=self.progress)

    def encoded_index(
        self, dataset: Dataset, plan: FunnelPlan, *, models: PlanModels
    ) -> EvaluationIndex:
        """Load a data set with the fields that a plan searches, unless that was done before.

        Raises:
            InputError: the plan leaves a leg out whose field an index needs.
        """
        sparse, dense = models.sparse, models.dense
        if not isinstance(sparse, SpladeEncoder) or not isinstance(dense, DenseEncoder):
            raise InputError("an index is encoded for all legs: give [sparse], [dense] a weight")
        encoding = Encoding(
            slot=slot_of(sparse=sparse, dense=dense, name=plan.slot),
            fields=plan.text_fields,
            encode=partial(
                funnel_fields,
                fields=plan.text_fields,
                sparse=sparse,
                dense=dense,
                slot=plan.slot,
                progress=self.progress,
            ),
        )
        return ensure_evaluation_index(
            self.client, dataset, encoding=encoding, progress=self.progress
        )

    def known_queries(self, plan: FunnelPlan, *, dataset: Dataset | None = None) -> Known:
        """Find queries with known answers that are not the ones reported.

        Args:
            plan: names the index.
            dataset: the set whose other splits are looked at; without one, or where it has no
                other split, probes are made of the index's own documents.
        """
        for split in _DECIDING_SPLITS:
            if dataset is None or split == dataset.split or not dataset.has_split(split):
                continue
            other = read_dataset(dataset.folder, split=split)
            # A reranker may have seen a train split: only what training leaves alone decides.
            unseen = [q for q in other.queries if split != "train" or is_held_out(q.query_id)]
            known = [KnownQuery(text=q.text, grades=other.qrels[q.query_id]) for q in unseen]
            if known:
                part = "held-out train" if split == "train" else split
                return Known(queries=sampled(known), evidence=f"{part} queries")
        made = probes(self.client, plan)
        return Known(queries=made, evidence="probes made of the index's own documents")

    def decided(
        self,
        plan: FunnelPlan,
        *,
        models: PlanModels,
        known: Known,
        rerank: Switch = "auto",
    ) -> FunnelPlan:
        """Return a plan with its reranking switched on or off, and why.

        Args:
            plan: a plan that is bound to its index.
            models: the encoders of its legs.
            known: queries with known answers, for ``auto``.
            rerank: ``auto``, or what the user wants.
        """
        if rerank != "auto":
            asked = replace(
                plan.rerank, enabled=rerank == "on", decided=False, reason=f"{rerank}: as asked for"
            )
            return replace(plan, rerank=asked)
        try:
            reranker = self._open_reranker(plan)
        except (ModelError, MissingExtraError, InputError) as error:
            reason = f"off: {plan.rerank.model} cannot be opened ({error})"
            return replace(plan, rerank=replace(plan.rerank, enabled=False, reason=reason))
        found = trials(self.client, plan, known.queries, models=models, progress=self.progress)
        return decide(
            plan, found, reranker=reranker, evidence=known.evidence, progress=self.progress
        )

    def remembered(
        self,
        plan: FunnelPlan,
        *,
        index: str,
        models: PlanModels,
        dataset: Dataset | None = None,
    ) -> FunnelPlan:
        """Decide about reranking on an evaluation index; the same decision is not made twice.

        Such an index never changes, so the decision is kept in its ``_meta``.

        Args:
            plan: a plan that is bound to the index, or to an alias of it.
            index: the evaluation index.
            models: the encoders of the plan's legs.
            dataset: the set whose other splits decide.
        """
        known = self.known_queries(plan, dataset=dataset)
        asked = {
            "plan": replace(plan.undecided(), alias=index).to_dict(),
            "reranker": _fingerprint(plan.rerank.model),
            "queries": sorted(query.text for query in known.queries),
        }
        key = sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]
        meta = read_funnel_meta(self.client, index=index)
        decisions = meta.get("decisions", {})
        if key in decisions:
            return replace(plan, rerank=Reranking(**decisions[key]))
        decided = self.decided(plan, models=models, known=known)
        kept = {**decisions, key: asdict(decided.rerank)}
        write_funnel_meta(self.client, index=index, meta={**meta, "decisions": kept})
        return decided

    def decided_once(
        self, plan: FunnelPlan, *, pipeline: str, rerank: Switch = "auto"
    ) -> FunnelPlan:
        """Return a decided plan; a decision that an applied pipeline holds is not made again.

        Args:
            plan: a plan that is bound to its index.
            pipeline: the applied pipeline whose plan is looked at.
            rerank: ``auto``, or what the user wants.
        """
        if rerank != "auto":
            return self.decided(plan, models=PlanModels(), known=NOTHING_KNOWN, rerank=rerank)
        applied = state.load_pipeline(self.client, pipeline)
        if applied is not None:
            before = state.load_plan(self.client, applied.plan_id)
            if before.rerank.decided and before.undecided() == plan.undecided():
                return before
        return self.decided(plan, models=self.open_encoders(plan), known=self.known_queries(plan))

    def _open_reranker(self, plan: FunnelPlan) -> PairScorer:
        from opensearch_funnel.encoders.opening import open_cross_encoder

        return open_cross_encoder(
            plan.rerank.model, threads=self.settings.threads, progress=self.progress
        )

    @contextmanager
    def _systems(
        self, plan: FunnelPlan, *, models: PlanModels, request: Request
    ) -> Iterator[list[System]]:
        """Open the systems that were asked for, in the order of the funnel."""
        hybrid = replace(plan, rerank=replace(plan.rerank, enabled=False))
        with ExitStack() as stack:
            url = ""
            if request.execution == "native" and {"hybrid", "funnel"} & set(request.systems):
                url = stack.enter_context(reachable_service(self.settings))
            systems: list[System] = []
            for name in request.systems:
                chosen = plan if name == "funnel" else hybrid
                if name == "bm25":
                    systems.append(bm25_system(self.client, index=plan.alias))
                elif name in ("sparse", "dense"):
                    systems.append(leg_system(self.client, plan, leg=name, models=models))
                elif request.execution == "client":
                    systems.append(self._client_system(chosen, name=name, models=models))
                else:
                    lifted = not request.keep_deadlines
                    native = self._native(chosen, name=name, service_url=url, lifted=lifted)
                    systems.append(stack.enter_context(native))
            if request.leave_one_out and "hybrid" in request.systems:
                systems.extend(self._without_each_leg(hybrid, models=models))
            yield systems

    def _client_system(self, plan: FunnelPlan, *, name: str, models: PlanModels) -> System:
        if not plan.rerank.enabled:
            return fused_system(self.client, plan, name=name, models=models)
        every = replace(models, reranker=self._open_reranker(plan))
        return reranked_system(self.client, plan, name=name, models=every)

    def _without_each_leg(self, plan: FunnelPlan, *, models: PlanModels) -> Iterator[System]:
        legs = plan.active_legs
        for leg in legs if len(legs) > 1 else ():
            rest = plan.with_legs(*(other for other in legs if other != leg))
            yield fused_system(self.client, rest, name=WITHOUT + leg, models=models)

    @contextmanager
    def _native(
        self, plan: FunnelPlan, *, name: str, service_url: str, lifted: bool
    ) -> Iterator[System]:
        """Apply a plan under a name of its own, twice where deadlines are lifted."""
        base = f"{pipeline_name(plan.alias)}-{name}"
        patient = replace(plan, deadlines=_LIFTED) if lifted else plan
        with ExitStack() as stack:
            pipelines = {
                chosen.plan_id: stack.enter_context(
                    applied_plan(
                        self.client, chosen, service_url=service_url, name=f"{base}-{number}"
                    )
                )
                for number, chosen in enumerate({p.plan_id: p for p in (patient, plan)}.values())
            }
            yield native_system(
                self.client,
                plan,
                name=name,
                pipeline=pipelines[patient.plan_id],
                timed_pipeline=pipelines[plan.plan_id],
            )
