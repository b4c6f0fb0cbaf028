"""The routes of ``/search``: one plain search, with the funnel or without, and why."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field

from opensearch_funnel.core.errors import (
    EngineError,
    EngineUnreachableError,
    FunnelError,
    IndexMissingError,
    InputError,
)
from opensearch_funnel.service.answers import Refused
from opensearch_funnel.service.exchange import without_query
from opensearch_funnel.service.pipeline_shapes import PipelineError
from opensearch_funnel.service.search_api_answers import Answer, Hit
from opensearch_funnel.service.search_api_applied import Found, Searches, UnknownIndexError
from opensearch_funnel.service.search_api_request import SystemName
from opensearch_funnel.service.tracing import AnswerTrace, HitTrace

_BAD_REQUEST = 400
_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": PipelineError, "description": "The request cannot be run."},
    404: {"model": PipelineError, "description": "No plan is applied to the index."},
    502: {"model": PipelineError, "description": "The cluster refused."},
    503: {"model": PipelineError, "description": "The cluster does not answer."},
}
_Scalar = str | int | float | bool


class SearchBody(BaseModel):
    """A search."""

    model_config = ConfigDict(extra="forbid")

    index: str = Field(description="An index or alias with an applied plan.")
    query: str = Field(description="What is searched, as a person types it.")
    size: int = Field(default=10, description="How many hits, from 1 to 200.")
    start: int = Field(default=0, alias="from", description="How many hits to leave out before.")
    fields: list[str] | None = Field(
        default=None, description="Text fields to search, with boosts (title^2); else the plan's."
    )
    source: list[str] | None = Field(
        default=None, description="Fields to return; else those that are searched."
    )
    filter: dict[str, _Scalar | list[_Scalar] | dict[str, _Scalar]] = Field(
        default={}, description="Field to the value, the values, or the range (gt, gte, lt, lte)."
    )
    system: SystemName = Field(default="funnel", description="bm25 goes without the pipeline.")
    highlight: bool = Field(default=False, description="Mark the words that matched.")


class SearchHit(BaseModel):
    """One hit."""

    id: str
    rank: int
    score: float
    source: dict[str, Any]
    highlight: dict[str, list[str]] | None = None
    trace: HitTrace | None = None


class SearchAnswer(BaseModel):
    """What was found."""

    index: str
    query: str
    system: SystemName
    plan: str | None
    degraded: bool
    took_ms: int
    total: dict[str, Any]
    hits: list[SearchHit]
    trace: AnswerTrace | None = None
    trace_failed: str | None = None


class IndexAnswer(BaseModel):
    """An index that may be searched."""

    index: str
    pipeline: str
    plan: str
    fields: list[str]
    searched_fields: list[str]
    default: bool


class IndicesAnswer(BaseModel):
    """The indices that may be searched."""

    indices: list[IndexAnswer]


class _OneLineErrors(APIRoute):
    """A route whose bad requests get one line, as every other error of the service."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def told(request: Request) -> Response:
            try:
                return await answer(request)
            except RequestValidationError as error:
                raise Refused(_BAD_REQUEST, _first(error), expected=True) from error

        return told


def search_routes(searches: Searches) -> APIRouter:
    """Make the routes.

    Args:
        searches: what may be searched, and how.
    """
    router = APIRouter(tags=["search"], route_class=_OneLineErrors, responses=_ERRORS)

    @router.get("/search/indices", response_model=IndicesAnswer)
    async def indices() -> IndicesAnswer:
        """List the indices that have an applied plan: no other can be searched here."""
        found = await _told(searches.indices)
        return IndicesAnswer(indices=[IndexAnswer(**asdict(one)) for one in found])

    @router.post("/search", response_model=SearchAnswer, response_model_exclude_unset=True)
    async def search(body: SearchBody, *, trace: bool = False) -> SearchAnswer:
        """Search an index through its own pipeline, as one of its clients would.

        With ``?trace=true`` every hit says why it is where it is.
        """
        return await _search(searches, body, trace=trace)

    @router.get("/search", response_model=SearchAnswer, response_model_exclude_unset=True)
    async def search_by_address(  # noqa: PLR0913 - parameters of an address
        *,
        index: str,
        query: str,
        size: int = 10,
        start: Annotated[int, Query(alias="from")] = 0,
        fields: Annotated[str, Query(description="With commas between.")] = "",
        source: Annotated[str, Query(description="With commas between.")] = "",
        system: SystemName = "funnel",
        highlight: bool = False,
        trace: bool = False,
    ) -> SearchAnswer:
        """Search as ``POST /search`` does, for a browser or a shell; without filters."""
        given = {
            "index": index,
            "query": query,
            "size": size,
            "from": start,
            "fields": _names(fields),
            "source": _names(source),
            "system": system,
            "highlight": highlight,
        }
        body = SearchBody.model_validate(given)
        return await _search(searches, body, trace=trace)

    return router


async def _search(searches: Searches, body: SearchBody, *, trace: bool) -> SearchAnswer:
    asked: dict[str, Any] = {
        "index": body.index,
        "text": body.query,
        "size": body.size,
        "start": body.start,
        "filters": body.filter,
        "highlight": body.highlight,
    }
    for name, given in (("fields", body.fields), ("source", body.source)):
        if given is not None:
            asked[name] = tuple(given)
    work = partial(searches.search, asked, system=body.system, trace=trace)
    return _shown(await _told(work), highlight=body.highlight, trace=trace)


async def _told(work: Callable[[], Any]) -> Any:
    """Run some work in a thread; what it raises becomes an answer with the right status."""
    try:
        return await run_in_threadpool(work)
    except (UnknownIndexError, IndexMissingError) as error:
        logged = without_query(error)
        raise Refused(404, str(error), cause="invalid", expected=True, logged=logged) from error
    except InputError as error:
        raise Refused(_BAD_REQUEST, str(error), expected=True) from error
    except EngineUnreachableError as error:
        raise Refused(503, str(error), cause="engine") from error
    except EngineError as error:
        logged = without_query(error)
        if error.status == _BAD_REQUEST:
            # The only part of a body that is not written here are values: a date that is none.
            raise Refused(_BAD_REQUEST, str(error), expected=True, logged=logged) from error
        raise Refused(502, str(error), cause="engine", logged=logged) from error
    except FunnelError as error:
        raise Refused(500, str(error)) from error
    except Exception as error:
        raise Refused(500, f"{type(error).__name__}: {error}") from error


def _shown(found: Found, *, highlight: bool, trace: bool) -> SearchAnswer:
    answer: Answer = found.answer
    told: dict[str, Any] = {}
    if trace:
        told = {"trace": answer.trace, "trace_failed": answer.trace_failed or None}
    return SearchAnswer(
        index=found.index.index,
        query=found.request.text,
        system=answer.system,
        plan=found.index.plan if answer.system == "funnel" else None,
        degraded=answer.degraded,
        took_ms=answer.took_ms,
        total=dict(answer.total),
        hits=[_hit(hit, highlight=highlight, trace=trace) for hit in answer.hits],
        **told,
    )


def _hit(hit: Hit, *, highlight: bool, trace: bool) -> SearchHit:
    shown: dict[str, Any] = {}
    if highlight:
        shown["highlight"] = {name: list(parts) for name, parts in hit.highlight.items()}
    if trace:
        shown["trace"] = hit.trace
    return SearchHit(
        id=hit.doc_id, rank=hit.rank, score=hit.score, source=dict(hit.source), **shown
    )


def _names(given: str) -> list[str] | None:
    return [name.strip() for name in given.split(",") if name.strip()] or None


def _first(error: RequestValidationError) -> str:
    """Say in one line what is wrong with a request.

    Example:
        >>> _first(RequestValidationError([{"loc": ("body", "size"), "msg": "must be an int"}]))
        'size: must be an int'
    """
    problem: Mapping[str, Any] = error.errors()[0]
    where: Sequence[Any] = problem["loc"][1:]  # the first says body or query
    name = ".".join(str(part) for part in where) or "the body"
    return f"{name}: {problem['msg']}"
