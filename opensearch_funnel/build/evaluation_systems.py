"""What can be measured of a plan, and how: legs alone, their fusion, all of it in either form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Literal, get_args

from opensearchpy import OpenSearch

from opensearch_funnel.build.funnel import client_funnel
from opensearch_funnel.build.service import applied_plan, reachable_service, service_token
from opensearch_funnel.build.tracing_systems import tracer
from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import Deadlines, FunnelPlan
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.core.stage import PairScorer
from opensearch_funnel.engine.applying import pipeline_name
from opensearch_funnel.evaluating.funnel_systems import (
    client_system,
    fused_search,
    fused_system,
    leg_system,
    native_search,
    native_system,
    rrf_reference,
)
from opensearch_funnel.evaluating.measures import DEFAULT_MEASURES, Measure
from opensearch_funnel.evaluating.reports import hits_for
from opensearch_funnel.evaluating.systems import LATENCY_QUERIES, System, bm25_system
from opensearch_funnel.settings import Settings

SystemName = Literal["bm25", "sparse", "dense", "rrf", "hybrid", "funnel"]
SYSTEMS: tuple[SystemName, ...] = get_args(SystemName)
Execution = Literal["native", "client"]
Switch = Literal["auto", "on", "off"]

WITHOUT = "hybrid without "
_LIFTED = Deadlines(rewrite_ms=60_000, rank_ms=60_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to measure, and how.

    Attributes:
        systems: names of ``SYSTEMS``; ``None`` for all that the plan has.
        measures: what to compute.
        execution: ``native`` sends a client's plain query through the search pipeline;
            ``client`` runs the same stages here.
        leave_one_out: measure the hybrid without each of its legs, too.
        keep_deadlines: measure with the plan's deadlines; by default they are lifted, and hold
            only while latency is taken.
        rerank: ``auto`` decides on queries that are not reported; ``on`` and ``off`` don't ask.
        timed: how many queries to take times of.

    Raises:
        InputError: what was asked for has no client form.
    """

    systems: Sequence[SystemName] | None = None
    measures: Sequence[Measure] = DEFAULT_MEASURES
    execution: Execution = "native"
    leave_one_out: bool = True
    keep_deadlines: bool = False
    rerank: Switch = "auto"
    timed: int = LATENCY_QUERIES

    def __post_init__(self) -> None:
        if self.execution == "client" and self.keep_deadlines:
            raise InputError(
                "the client form has no deadlines: take --deadline or client, not both"
            )
        asked = SYSTEMS if self.systems is None else self.systems
        if self.execution == "client" and not {"hybrid", "funnel"} & set(asked):
            raise InputError(
                "only hybrid and funnel have a client form: add one of them to --systems, or "
                "leave --execution out"
            )

    def systems_of(self, plan: FunnelPlan) -> tuple[SystemName, ...]:
        """Return the systems to measure of a plan.

        Raises:
            InputError: ``rrf`` was asked for, and the plan has no two legs to fuse.

        Example:
            >>> alone = FunnelPlan(alias="films").with_legs("dense")
            >>> Request().systems_of(alone)
            ('bm25', 'sparse', 'dense', 'hybrid', 'funnel')
        """
        fuses = len(plan.active_legs) > 1
        if self.systems is None:
            return tuple(name for name in SYSTEMS if fuses or name != "rrf")
        if "rrf" in self.systems:
            rrf_reference(plan)
        return tuple(self.systems)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedSystems:
    """Opens the systems of a request.

    Attributes:
        client: the cluster.
        settings: where service and models are.
        progress: hears of what is fetched.
    """

    client: OpenSearch
    settings: Settings
    progress: Progress = SILENT

    @contextmanager
    def opened(
        self, plan: FunnelPlan, *, models: PlanModels, request: Request
    ) -> Iterator[list[System]]:
        """Open the systems that were asked for, in the order of the funnel."""
        names = request.systems_of(plan)
        hybrid = replace(plan, rerank=replace(plan.rerank, enabled=False))
        with ExitStack() as stack:
            url = ""
            if request.execution == "native" and {"hybrid", "funnel"} & set(names):
                url = stack.enter_context(reachable_service(self.settings, timed=True))
            systems: list[System] = []
            for name in names:
                chosen = plan if name == "funnel" else hybrid
                if name == "bm25":
                    systems.append(bm25_system(self.client, index=plan.alias))
                elif name in ("sparse", "dense"):
                    every = plan.with_every_leg()
                    systems.append(leg_system(self.client, every, leg=name, models=models))
                elif name == "rrf":
                    systems.append(self._rrf(rrf_reference(plan), request, models=models))
                elif request.execution == "client":
                    systems.append(self._client_system(chosen, name=name, models=models))
                else:
                    native = self._native(
                        chosen, request, name=name, service_url=url, models=models
                    )
                    systems.append(stack.enter_context(native))
            if request.leave_one_out and "hybrid" in names:
                rest = self._without_each_leg(hybrid, models=models, execution=request.execution)
                systems.extend(rest)
            yield systems

    def _client_system(self, plan: FunnelPlan, *, name: str, models: PlanModels) -> System:
        if plan.rerank.enabled:
            models = self.with_rerankers(plan, models)
        return client_system(client_funnel(self.client, plan, models=models), name=name)

    def _without_each_leg(
        self, plan: FunnelPlan, *, models: PlanModels, execution: Execution
    ) -> Iterator[System]:
        legs = plan.active_legs
        for leg in legs if len(legs) > 1 else ():
            rest = plan.with_legs(*(other for other in legs if other != leg))
            if execution == "client" or rest.fusion.by_service:
                # What the service fuses, the engine alone cannot: the client form gives its order.
                yield self._client_system(rest, name=WITHOUT + leg, models=models)
            else:
                yield fused_system(self.client, rest, name=WITHOUT + leg, models=models)

    def _rrf(self, plan: FunnelPlan, request: Request, *, models: PlanModels) -> System:
        told = tracer(
            self.client,
            plan,
            ask=fused_search(self.client, plan, models=models),
            models=lambda: models,
            size=hits_for(request.measures),
        )
        return replace(fused_system(self.client, plan, name="rrf", models=models), tracer=told)

    @contextmanager
    def _native(
        self,
        plan: FunnelPlan,
        request: Request,
        *,
        name: str,
        service_url: str,
        models: PlanModels,
    ) -> Iterator[System]:
        """Apply a plan under a name of its own, twice where deadlines are lifted."""
        base = f"{pipeline_name(plan.alias)}-{name}"
        patient = plan if request.keep_deadlines else replace(plan, deadlines=_LIFTED)
        with ExitStack() as stack:
            pipelines = {
                chosen.plan_id: stack.enter_context(
                    applied_plan(
                        self.client,
                        chosen,
                        service_url=service_url,
                        name=f"{base}-{number}",
                        token=service_token(self.settings),
                    )
                )
                for number, chosen in enumerate({p.plan_id: p for p in (patient, plan)}.values())
            }
            measured = pipelines[patient.plan_id]
            system = native_system(
                self.client,
                plan,
                name=name,
                pipeline=measured,
                timed_pipeline=pipelines[plan.plan_id],
            )

            rerankers = plan.rerank.enabled
            told = tracer(
                self.client,
                plan,
                ask=native_search(self.client, plan, pipeline=measured),
                models=lambda: self.with_rerankers(plan, models) if rerankers else models,
                size=hits_for(request.measures),
            )
            yield replace(system, tracer=told)

    def with_rerankers(self, plan: FunnelPlan, models: PlanModels) -> PlanModels:
        """Open the plan's cross-encoder, and the first one of a cascade, beside other models.

        Raises:
            InputError: there is no such model.
            ModelError: its files cannot be had or are not what its manifest says.
        """
        from opensearch_funnel.encoders.opening import open_cross_encoder

        def opened(name: str) -> PairScorer:
            return open_cross_encoder(name, threads=self.settings.threads, progress=self.progress)

        *first, last = map(opened, plan.rerank.models)
        return replace(models, reranker=last, first_reranker=first[0] if first else None)
