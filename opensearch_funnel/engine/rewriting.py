"""What an upgraded request looks like, and what travels with it to ``rank``."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine.allow_list import MARK, STATIC, TextSearch
from opensearch_funnel.engine.paging import FusedList, pinned_page, reranked_window
from opensearch_funnel.engine.queries import NAME, Body, alone_in_hybrid, hybrid

KEY_FIELDS = (NAME, "funnel.hash")
"""What ``rank`` gets of each hit, glued together by the engine: the hash has a fixed length."""
# The first leaves the object out, the second says so of each field: the engine stores no vector in
# ``_source`` and puts it back before it filters, unless a pattern names it. Fetching 50 hits takes
# half the time (measured: 4.0 ms, 8.7 without the second).
_FUNNEL_FIELDS = ("funnel", "funnel.*")

LEAST_PINNED = 50

_LEFT_OUT = frozenset({"sort", "search_pipeline", "explain"})
"""What says nothing in an upgraded request: the order by score, and that nothing is explained."""


def upgraded_body(  # noqa: PLR0913 - the parts of one body
    body: Mapping[str, Any],
    search: TextSearch,
    *,
    plan: FunnelPlan,
    legs: Mapping[str, Body],
    fused: FusedList | None = None,
    request_id: str = "",
) -> Body:
    """Return the request that stands in for a text search.

    Everything the client asked to see stays; the funnel's own fields are kept out of what it
    gets back.

    Args:
        body: the client's request.
        search: what was read from it.
        plan: the plan that upgrades it.
        legs: the query of each leg.
        fused: the fused list, whole for a page after the first; where the service fuses, at least
            as many of it as ``wanted_of_list`` says, or ``None`` where it could not: the first
            page is then fused by the engine, with the plan's weights for all queries.
        request_id: under which the service logs what goes wrong with this request.
    """
    size, start = search.size, search.start
    depth = plan.rerank.depth if plan.rerank.enabled else 0
    ranked = depth > 0
    if fused is not None:
        ranked = _is_reranked(fused, search, depth=depth)
    pins = fused if plan.fusion.by_service or not ranked else None
    upgraded: Body = {
        **{name: value for name, value in body.items() if name not in _LEFT_OUT},
        "_source": without_funnel_fields(body.get("_source")),
    }
    if pins is not None:
        upgraded["query"] = pinned_page(
            pins, legs=legs, holds=search.filter, same_set=search.same_set
        )
    else:
        upgraded["query"] = hybrid(legs, depth=plan.depth, holds=search.filter)
    if pins is None or ranked:
        upgraded["from"] = 0
        upgraded["size"] = max(start + size, depth)
    if pins is not None and ranked:
        # What is behind the list is not reranked, but where it fills the page: a search may meet
        # other indices than the plan's, whose hits no list of the service has.
        upgraded["size"] = max(start + size, min(depth, len(pins.ids)))
    if pins is not None and start == 0:
        # Nothing in a request tells a scroll, and a job that scrolls must not touch more than its
        # query finds, nor less: a hybrid query is refused there, and has the order of its one part.
        upgraded["query"] = alone_in_hybrid(
            upgraded["query"], places=len(plan.weights), depth=upgraded.get("size", size)
        )
    if ranked:
        context = RankContext(search.text, start=start, size=size, request_id=request_id)
        asked = list(body.get("docvalue_fields") or [])
        upgraded["docvalue_fields"] = [*asked, *({"field": field} for field in KEY_FIELDS)]
        upgraded["ext"] = {
            "rerank": {"query_context": {"query_text": context.as_text(plan.plan_id)}}
        }
        if body.get("track_total_hits") in {-1, False}:
            # The engine's rerank processor reads the total, and throws where there is none.
            del upgraded["track_total_hits"]
    if body.get("highlight"):
        # Two of the three highlighters cannot look into a hybrid query, and one marks too much.
        upgraded["highlight"] = {"highlight_query": dict(search.query), **body["highlight"]}
    if plan.trace != "off":
        static = plan.fusion.by_service and pins is None
        marked = mark(plan.plan_id, rank=ranked, request_id=request_id, static=static)
        upgraded["aggregations"] = {**(body.get("aggregations") or {}), MARK: marked}
    return upgraded


def fused_by_engine(search: TextSearch, *, plan: FunnelPlan) -> bool:
    """Say whether a page is a hybrid query that the engine fuses, and needs no list made before."""
    return search.start == 0 and not plan.fusion.by_service


def wanted_of_list(search: TextSearch, *, plan: FunnelPlan) -> int:
    """Return how many hits of the fused list a page needs by their names, where not all.

    At least ``LEAST_PINNED``, so that pages agree where a client sees less of the index than the
    service: its pages are then made of the pinned hits that it sees, and of what is behind them.
    """
    depth = plan.rerank.depth if plan.rerank.enabled else 0
    return max(search.start + search.size, depth, LEAST_PINNED)


def _is_reranked(fused: FusedList, search: TextSearch, *, depth: int) -> bool:
    """Say whether a page is cut out of the reranked window."""
    size, start = search.size, search.start
    if start == 0:
        return depth > 0 and len(fused.ids) > 0
    window = reranked_window(fused.hits, size=size, depth=depth)
    # A last page that is short must not be cut from a longer one: nothing can drop a hit.
    return start < window and start + size <= fused.hits


def without_funnel_fields(source: Any) -> Any:
    """Add the funnel's fields to what ``_source`` leaves out, unless the client asked for them.

    Example:
        >>> without_funnel_fields(None)
        {'excludes': ['funnel', 'funnel.*']}
        >>> without_funnel_fields(False)
        False
        >>> without_funnel_fields({"includes": ["funnel.id"], "excludes": []})
        {'includes': ['funnel.id'], 'excludes': []}
    """
    if source is False:
        return False
    if isinstance(source, str):
        source = [source]
    if isinstance(source, Sequence):
        source = {"includes": list(source), "excludes": []}
    if not isinstance(source, Mapping):
        return {"excludes": list(_FUNNEL_FIELDS)}
    includes = list(source.get("includes") or [])
    if any(str(name).split(".", 1)[0] == "funnel" for name in includes):
        return dict(source)
    return {**source, "excludes": [*(source.get("excludes") or []), *_FUNNEL_FIELDS]}


@dataclass(frozen=True, slots=True)
class RankContext:
    """What travels to ``rank`` with the hits.

    Attributes:
        text: what the user typed.
        start: how many hits of the order the page leaves out before it.
        size: of the page; 0 for all hits.
        request_id: of the request that was rewritten.
    """

    text: str
    start: int = 0
    size: int = 0
    request_id: str = ""

    def as_text(self, plan_id: str) -> str:
        """Return the context as one JSON object.

        The query is base64: the engine would fill in anything in it that looks like one of its
        placeholders, and fail where it cannot.

        Example:
            >>> RankContext("${parameters.x}", size=10).as_text("films.0a")
            '{"plan": "films.0a", "q": "JHtwYXJhbWV0ZXJzLnh9", "page": [0, 10], "request": ""}'
        """
        encoded = base64.b64encode(self.text.encode("utf-8", "surrogatepass")).decode()
        page = [self.start, self.size]
        return json.dumps({"plan": plan_id, "q": encoded, "page": page, "request": self.request_id})

    @classmethod
    def read(cls, context: Mapping[str, Any]) -> RankContext:
        """Read a context as it comes to ``rank``.

        Raises:
            KeyError, TypeError, ValueError: it is not one.

        Example:
            >>> RankContext.read({"plan": "films.0a", "q": "Zm94", "page": [10, 5]})
            RankContext(text='fox', start=10, size=5, request_id='')
        """
        text = base64.b64decode(str(context["q"]), validate=True).decode("utf-8", "surrogatepass")
        start, size = context.get("page", (0, 0))
        return cls(text, int(start), int(size), request_id=str(context.get("request", "")))


def mark(plan_id: str, *, rank: bool, request_id: str = "", static: bool = False) -> Body:
    """Return the aggregation that says what an answer should have gone through.

    Its ``meta`` comes back with the answer, at the cost of an empty filter: absent, the
    rewrite did not happen.

    Args:
        plan_id: of the plan.
        rank: whether the hits go to ``rank``.
        request_id: of the request that was rewritten.
        static: whether the legs were to be weighed for this query, and were not.
    """
    meta: Body = {"plan": plan_id, "rank": rank, "request": request_id}
    if static:
        meta["fusion"] = STATIC
    return {"filter": {"match_none": {}}, "meta": meta}
