"""Measure a plan on a data set: its legs, their fusion, and the whole funnel natively."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.build.decisions import NOTHING_KNOWN, Known, decision_key
from opensearch_funnel.build.evaluation_systems import (
    SYSTEMS,
    WITHOUT,
    EvaluatedSystems,
    Execution,
    Request,
    Switch,
    SystemName,
)
from opensearch_funnel.build.plans import open_encoders
from opensearch_funnel.build.trusting import Trusting, is_unmeasured, with_trust_of
from opensearch_funnel.core.errors import InputError, MissingExtraError, ModelError
from opensearch_funnel.core.held_out import is_held_out
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan, Reranking
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.encoders.dense import DenseEncoder
from opensearch_funnel.encoders.splade import SpladeEncoder
from opensearch_funnel.engine import state
from opensearch_funnel.engine.applying import bound_plan
from opensearch_funnel.engine.indices import read_funnel_meta, write_funnel_meta
from opensearch_funnel.evaluating.datasets import Dataset, read_dataset
from opensearch_funnel.evaluating.document_traces import Tracer
from opensearch_funnel.evaluating.indexing import Encoding, EvaluationIndex, ensure_evaluation_index
from opensearch_funnel.evaluating.reports import EvaluationReport, evaluate_systems
from opensearch_funnel.evaluating.switch import decide
from opensearch_funnel.evaluating.systems import System, bm25_system
from opensearch_funnel.evaluating.trials import KnownQuery, probes, sampled, trials
from opensearch_funnel.migrating.encoding import SlotEncoder, funnel_fields
from opensearch_funnel.settings import Settings

__all__ = [
    "SYSTEMS",
    "Bench",
    "Execution",
    "FunnelReport",
    "Request",
    "Switch",
    "SystemName",
]

# Where a set has several splits, the first of these that is not the one reported decides.
_DECIDING_SPLITS = ("dev", "train")


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelReport:
    """What was measured, on which index, by which plan.

    Attributes:
        report: the figures.
        plan: the plan as it was measured; ``None`` where BM25 alone was.
        index: where.
        execution: how hybrid and funnel were run.
        tracers: the systems that say how documents came to their places, by name; only while the
            systems are open.
    """

    report: EvaluationReport
    plan: FunnelPlan | None
    index: EvaluationIndex
    execution: Execution = "native"
    tracers: Mapping[str, Tracer] = field(default_factory=dict)

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
            plain["execution"] = self.execution
        return plain

    def _worth(self, leg: str) -> dict[str, Any]:
        """Say what the hybrid reaches without a leg, and how much that is less."""
        systems = {system.name: system for system in self.report.systems}
        whole, rest = systems["hybrid"], systems[WITHOUT + leg]
        return {
            "without": {str(m): round(rest.mean(m), 6) for m in rest.values},
            "worth": {str(m): round(whole.mean(m) - rest.mean(m), 6) for m in rest.values},
        }


def as_measured(plan: FunnelPlan, *, index: str) -> FunnelPlan:
    """Return a plan as an evaluation runs it, on an index of its own.

    With the mark, by which a degraded answer is told from a whole one, and for every query: a
    sample would mix two systems into one figure.

    Example:
        >>> asked = FunnelPlan(alias="films", sample=0.05, trace="off")
        >>> as_measured(asked, index="e") == FunnelPlan(alias="e")
        True
    """
    return replace(plan, alias=index, trace="mark", sample=1.0)


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

        As ``measured``, which leaves the systems open.
        """
        with self.measured(dataset, plan, request) as found:
            return replace(found, tracers={})

    @contextmanager
    def measured(
        self, dataset: Dataset, plan: FunnelPlan, request: Request
    ) -> Iterator[FunnelReport]:
        """Measure every system; in the context they can still be asked.

        Args:
            dataset: corpus, queries and judgments.
            plan: the plan to measure; its alias is replaced by the evaluation index.
            request: what to measure.

        Yields:
            The report; its figures count only where nothing was degraded.

        Raises:
            InputError: what was asked for is nothing that the plan has.
        """
        names = request.systems_of(plan)
        if set(names) <= {"bm25"}:
            index = ensure_evaluation_index(self.client, dataset, progress=self.progress)
            bm25 = bm25_system(self.client, index=index.name)
            yield self._report([bm25], dataset, index=index, request=request, plan=None)
            return
        models = self.open_encoders(plan.with_every_leg())
        index = self.encoded_index(dataset, plan, models=models)
        bound = bound_plan(self.client, as_measured(plan, index=index.name))
        if {"hybrid", "funnel"} & set(names):
            bound = self.trusted(bound, index=index.name, models=models)
        if "funnel" in names and request.rerank == "auto":
            if not bound.rerank.decided:
                bound = self.remembered(bound, index=index.name, models=models, dataset=dataset)
        elif "funnel" in names:
            bound = self.decided(bound, models=models, known=NOTHING_KNOWN, rerank=request.rerank)
        with self._systems.opened(bound, models=models, request=request) as systems:
            yield self._report(systems, dataset, index=index, request=request, plan=bound)

    @property
    def _systems(self) -> EvaluatedSystems:
        return EvaluatedSystems(client=self.client, settings=self.settings, progress=self.progress)

    def _report(
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
            timed=request.timed,
            progress=self.progress,
        )
        return FunnelReport(
            report=report,
            plan=plan,
            index=index,
            execution=request.execution,
            tracers={one.name: one.tracer for one in systems if one.tracer is not None},
        )

    def open_encoders(self, plan: FunnelPlan) -> PlanModels:
        """Open the models of a plan's legs, and not its reranker."""
        return open_encoders(plan, settings=self.settings, progress=self.progress)

    def encoded_index(
        self, dataset: Dataset, plan: FunnelPlan, *, models: PlanModels
    ) -> EvaluationIndex:
        """Load a data set with the fields of every leg, unless that was done before.

        Args:
            dataset: what to load.
            plan: names the models; whether it searches a leg does not matter.
            models: the encoders of both legs that have one.

        Raises:
            InputError: one of them is not open.
        """
        sparse, dense = models.sparse, models.dense
        if not isinstance(sparse, SpladeEncoder) or not isinstance(dense, DenseEncoder):
            raise InputError("an index is encoded for all legs: open both models")
        encoder = SlotEncoder(fields=plan.text_fields, sparse=sparse, dense=dense, name=plan.slot)
        encoding = Encoding(
            slot=encoder.slot,
            fields=plan.text_fields,
            encode=partial(funnel_fields, encoder=encoder, progress=self.progress),
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
            models = self._systems.with_rerankers(plan, models)
        except (ModelError, MissingExtraError, InputError) as error:
            reason = f"off: the reranker cannot be opened ({error})"
            return replace(plan, rerank=replace(plan.rerank, enabled=False, reason=reason))
        found = trials(self.client, plan, known.queries, models=models, progress=self.progress)
        return decide(plan, found, models=models, evidence=known.evidence, progress=self.progress)

    def trusted(self, plan: FunnelPlan, *, index: str, models: PlanModels) -> FunnelPlan:
        """Return a plan with its legs trusted as far as an evaluation index shows, measured once.

        One that is not fused by ``auto``, or comes measured, is left as it is.

        Args:
            plan: a plan that is bound to the index, or to an alias of it.
            index: the evaluation index; the trust is kept in its ``_meta``.
            models: the encoders of the plan's legs.
        """
        return self._trusting.remembered(plan, index=index, models=models)

    @property
    def _trusting(self) -> Trusting:
        return Trusting(client=self.client, progress=self.progress)

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
        key = decision_key(replace(plan, alias=index), known=known)
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

        Neither are legs measured again, where they are fused by ``auto``, while the plan searches
        the same index in the same way. Where no model can be had they stay unmeasured.

        Args:
            plan: a plan that is bound to its index; one that comes decided is left as it is.
            pipeline: the applied pipeline whose plan is looked at.
            rerank: ``auto``, or what the user wants.
        """
        before = self._applied_before(pipeline)
        plan = self._trusted_once(plan, before=before)
        if rerank != "auto":
            return self.decided(plan, models=PlanModels(), known=NOTHING_KNOWN, rerank=rerank)
        if plan.rerank.decided:
            return plan
        if before is not None and before.rerank.decided:
            # What is in the sample has nothing to do with how well a search is reranked.
            alike = replace(before.undecided(), sample=plan.sample) == plan.undecided()
            if alike and before.trust == plan.trust:
                return replace(plan, rerank=before.rerank)
        return self.decided(plan, models=self.open_encoders(plan), known=self.known_queries(plan))

    def _applied_before(self, pipeline: str) -> FunnelPlan | None:
        applied = state.load_pipeline(self.client, pipeline)
        return None if applied is None else state.load_plan(self.client, applied.plan_id)

    def _trusted_once(self, plan: FunnelPlan, *, before: FunnelPlan | None) -> FunnelPlan:
        """Return a plan with its legs measured; what an applied one holds stands."""
        if not is_unmeasured(plan):
            return plan
        trusting = self._trusting
        if before is not None and trusting.still_holds(before, plan):
            return with_trust_of(plan, before)
        try:
            models = self.open_encoders(plan)
        except (ModelError, MissingExtraError, InputError) as error:
            reason = f"not measured: a model cannot be opened ({error})"
            return replace(plan, trust=replace(plan.trust, reason=reason))
        return trusting.measured(plan, models=models)
