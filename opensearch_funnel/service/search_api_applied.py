"""Search the indices that have an applied plan, and no others.

The service holds credentials of the cluster. Whoever may ask the service must not get at
everything that those open: so only an index with a plan is searched, through its own pipeline,
with queries that the service writes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, Protocol

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import (
    FunnelError,
    InputError,
    InvalidPlanError,
    StageUnavailableError,
)
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine import state
from opensearch_funnel.engine.searching import NO_PIPELINE
from opensearch_funnel.service.exchange import one_line, without_query
from opensearch_funnel.service.plans import ReadyPlan
from opensearch_funnel.service.search_api_answers import Answer, ask, read_answer
from opensearch_funnel.service.search_api_request import SearchRequest, SystemName
from opensearch_funnel.service.tracing_answers import explain_funnel, explain_plain

logger = logging.getLogger(__name__)

_KEPT_S = 1.0
"""How long the list of applied plans is kept: one that was just applied is soon found."""


class UnknownIndexError(InputError):
    """The index has no applied plan, or does not exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchableIndex:
    """An index that may be searched through the service.

    Attributes:
        index: the index or alias of the plan.
        pipeline: the search pipeline that runs it.
        plan: the plan's id.
        fields: the fields that are searched and returned unless a request names others.
        searched_fields: the fields of type ``text``, which a request may name.
        default: whether clients get the funnel without asking for it.
    """

    index: str
    pipeline: str
    plan: str
    fields: tuple[str, ...]
    searched_fields: tuple[str, ...]
    default: bool


class Searches(Protocol):
    """What the routes of ``/search`` ask."""

    def indices(self) -> Sequence[SearchableIndex]:
        """Return the indices that may be searched."""
        ...

    def search(self, asked: Mapping[str, Any], *, system: SystemName, trace: bool) -> Found:
        """Search one of them; ``asked`` are arguments of ``SearchRequest``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An answer, and what it was asked of."""

    index: SearchableIndex
    request: SearchRequest
    answer: Answer


class AppliedSearches:
    """Searches of the indices with an applied plan."""

    def __init__(
        self,
        client: OpenSearch,
        *,
        ready_plan: Callable[[str], ReadyPlan | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare the searches; nothing is sent yet.

        Args:
            client: the cluster.
            ready_plan: returns a plan with its models, or ``None`` while they are loaded.
            clock: tells how old the list of applied plans is.
        """
        self._client = client
        self._ready_plan = ready_plan
        self._clock = clock
        self._lock = Lock()
        self._plans: dict[str, FunnelPlan] = {}
        self._kept: tuple[float, list[SearchableIndex]] | None = None

    def indices(self) -> list[SearchableIndex]:
        """Return the indices that may be searched, by name."""
        with self._lock:
            kept = self._kept
        if kept is not None and self._clock() - kept[0] < _KEPT_S:
            return kept[1]
        found: dict[str, SearchableIndex] = {}
        for applied in state.list_pipelines(self._client):
            try:
                plan = self._plan(applied.plan_id)
            except InvalidPlanError as error:
                # Of another version of this program; the others can be searched.
                logger.warning("pipeline %s cannot be searched here: %s", applied.name, error)
                continue
            one = SearchableIndex(
                index=plan.alias,
                pipeline=applied.name,
                plan=applied.plan_id,
                fields=plan.text_fields,
                searched_fields=plan.searched_fields,
                default=bool(applied.default_of),
            )
            # Of several pipelines of one index, the one that its clients get.
            if plan.alias not in found or one.default:
                found[plan.alias] = one
        listed = [found[name] for name in sorted(found)]
        with self._lock:
            self._kept = (self._clock(), listed)
        return listed

    def search(self, asked: Mapping[str, Any], *, system: SystemName, trace: bool) -> Found:
        """Search an index as one of its clients would.

        Args:
            asked: arguments of ``SearchRequest``; without ``fields`` those of the plan.
            system: ``funnel``, or ``bm25`` for the same without the pipeline.
            trace: say why each hit is where it is.

        Raises:
            UnknownIndexError: no plan is applied to the index.
            InputError: the request cannot be run.
            EngineError: the cluster did not answer, or refused.
        """
        index = self._index(str(asked.get("index", "")))
        request = SearchRequest(**{"fields": index.fields, **asked})
        names = {name.partition("^")[0] for name in request.fields}
        if unknown := sorted(names - set(index.searched_fields)):
            raise InputError(
                f"{unknown[0]} is no text field of {index.index}: there are "
                f"{', '.join(index.searched_fields)}"
            )
        pipeline = index.pipeline if system == "funnel" else NO_PIPELINE
        response = ask(self._client, request, pipeline=pipeline)
        answer = read_answer(response, request, system=system, plan=self._plan(index.plan))
        if trace:
            answer = self._traced(answer, request=request, index=index)
        return Found(index=index, request=request, answer=answer)

    def _index(self, name: str) -> SearchableIndex:
        for index in self.indices():
            if index.index == name:
                return index
        raise UnknownIndexError(
            f"no plan is applied to {name!r}: GET /search/indices lists what can be searched"
        )

    def _traced(self, answer: Answer, *, request: SearchRequest, index: SearchableIndex) -> Answer:
        """Add the trace; a trace that fails takes nothing from the answer."""
        try:
            if answer.system == "bm25":
                return explain_plain(self._client, answer, request)
            ready = self._ready(index.plan)
            return explain_funnel(self._client, answer, request, ready=ready)
        except FunnelError as error:
            logger.warning("no trace: %s", one_line(without_query(error)))
            return replace(answer, trace_failed=str(error))
        except Exception as error:  # a model may raise anything
            logger.exception("no trace")
            return replace(answer, trace_failed=f"{type(error).__name__}: {error}")

    def _ready(self, plan_id: str) -> ReadyPlan:
        ready = self._ready_plan(plan_id)
        if ready is None:
            raise StageUnavailableError(f"the models of plan {plan_id} are not loaded yet")
        return ready

    def _plan(self, plan_id: str) -> FunnelPlan:
        """Return a plan; it never changes under its id."""
        with self._lock:
            plan = self._plans.get(plan_id)
        if plan is None:
            plan = state.load_plan(self._client, plan_id)
            with self._lock:
                self._plans[plan_id] = plan
        return plan
