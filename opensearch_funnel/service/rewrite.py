"""The request side: a plain text search in, a hybrid search over every leg out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from opensearch_funnel.core.errors import EngineError, FunnelError, InputError
from opensearch_funnel.engine.allow_list import TextSearch, read_text_search
from opensearch_funnel.engine.paging import FusedList
from opensearch_funnel.engine.queries import Body, leg_queries
from opensearch_funnel.engine.rewriting import fused_by_engine, upgraded_body
from opensearch_funnel.service.exchange import Cause, note_degraded, note_unsampled, without_query
from opensearch_funnel.service.plans import ReadyPlan

FUSION = "fusion"
"""What log and metrics call the stage that weighs and fuses the legs of one query."""

# The connector of the search pipeline writes exactly this around the client's body.
_BEFORE = re.compile(r'\s*\{\s*"source"\s*:\s*')
_AFTER = re.compile(r"\s*\}\s*")
_DECODER = json.JSONDecoder()

FetchFused = Callable[[TextSearch, Mapping[str, Body], Mapping[str, Any] | None], FusedList]
"""Return the fused list of a search: from its legs and the client's post_filter."""


@dataclass(frozen=True, slots=True)
class ClientBody:
    """A client's search body.

    Attributes:
        text: the JSON as it came, to the letter.
        content: the same, read; numbers keep all their digits.
    """

    text: str
    content: dict[str, Any]


def read_client_body(request: bytes) -> ClientBody:
    """Read what the search pipeline sends: ``{"source": <the client's body>}``.

    Raises:
        InputError: it is something else.

    Example:
        >>> read_client_body(b'{"source": {"size":  7}}').text
        '{"size":  7}'
    """
    try:
        text = request.decode()
        before = _BEFORE.match(text)
        if before is None:
            json.loads(text)
            raise InputError("source is missing")
        content, end = _DECODER.raw_decode(text, before.end())
    except (ValueError, RecursionError) as error:
        raise InputError(f"the body is not JSON: {error}") from error
    if _AFTER.fullmatch(text, end) is None:
        raise InputError("the body is not JSON, or more than a source")
    if not isinstance(content, dict):
        raise InputError("source is not an object")
    return ClientBody(text=text[before.end() : end], content=content)


def rewrite(
    body: ClientBody, *, ready: ReadyPlan, fetch_fused: FetchFused, request_id: str = ""
) -> str:
    """Return the body to run instead of a client's, as JSON: upgraded, or to the letter the same.

    A search that is not in the plan's sample is counted, and passes like one that is no search of
    a person: nothing is added to it that would show.

    Args:
        body: the client's request, normalised by the engine.
        ready: the plan and its models.
        fetch_fused: asks the cluster for the fused list, which a page after the first needs, and
            every page where the service fuses. Where it fails, the engine fuses the first page
            with the plan's weights for all queries, and a page after it is not upgraded.
        request_id: under which the service logs what goes wrong with this request.
    """
    plan = ready.plan
    search = read_text_search(body.content, plan=plan)
    if search is not None and not plan.samples(search.text):
        note_unsampled()
        search = None
    if search is None:
        restored = unchanged(body.content)
        return body.text if restored is body.content else json.dumps(restored)
    # Where a list is made before, its legs are searched outside the pipeline.
    in_pipeline = fused_by_engine(search, plan=plan)
    legs = leg_queries(
        plan, text=search.text, bm25=search.query, models=ready.models, in_pipeline=in_pipeline
    )
    fused = None
    if not in_pipeline:
        try:
            fused = fetch_fused(search, legs, body.content.get("post_filter"))
        except FunnelError as error:
            if search.start > 0:
                raise
            cause: Cause = "engine" if isinstance(error, EngineError) else "failed"
            note_degraded(cause, detail=without_query(error), stage=FUSION)
    upgraded = upgraded_body(
        body.content, search, plan=plan, legs=legs, fused=fused, request_id=request_id
    )
    return json.dumps(upgraded, allow_nan=False)


def unchanged(body: Body) -> Body:
    """Return a body as the engine reads it back to what the client sent.

    The engine writes a client's ``ext.rerank`` without its wrapper and refuses to read it so.
    Any other body is returned itself, not a copy.

    Example:
        >>> unchanged({"ext": {"query_context": {"query_text": "fox"}}})
        {'ext': {'rerank': {'query_context': {'query_text': 'fox'}}}}
    """
    ext = body.get("ext")
    if not isinstance(ext, Mapping) or "query_context" not in ext:
        return body
    others = {name: value for name, value in ext.items() if name != "query_context"}
    rerank = {"query_context": ext["query_context"]}
    return {**body, "ext": {**others, "rerank": rerank}}


def as_template_value(body: str) -> str:
    r"""Return JSON that the engine's template takes as it is.

    The engine fills its template, and then whatever in the result looks like a placeholder: a
    query of ``${x:-y}`` would silently become ``y``. JSON can spell the dollar another way, and
    a dollar is only ever inside a text.

    Example:
        >>> as_template_value('{"query":"${x:-y}"}')
        '{"query":"\\u0024{x:-y}"}'
    """
    return body.replace("$", r"\u0024")
