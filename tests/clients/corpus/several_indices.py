"""Aliases, filtered aliases, lists and patterns of indices.

The engine runs a default pipeline on a search over several indices where they agree on one: one
that has none follows the one that has, and two different ones cancel each other out.
"""

from __future__ import annotations

from typing import Any

from tests.clients.catalogue import ARCHIVE, PRODUCTS
from tests.clients.requests import (
    COUNTED,
    SAME_SET,
    UNTOUCHED,
    WIDENED,
    Client,
    ClientRequest,
    Rule,
    Treatment,
)
from tests.clients.sending import msearch, pages, search

RED_LAMP: dict[str, Any] = {"query": {"match": {"text": "red lamp"}}, "size": 60}
FACETS: dict[str, Any] = {**RED_LAMP, "aggs": {"brands": {"terms": {"field": "brand"}}}}
BOTH = (*PRODUCTS, *ARCHIVE)


def _everything(_: Any) -> bool:
    return True


def _over(  # noqa: PLR0913 - one line of a table
    name: str,
    expected: Treatment,
    index: str,
    body: dict[str, Any],
    *,
    keeps: Rule = _everything,
    within: tuple[str, ...] = (),
    **params: str,
) -> ClientRequest:
    return ClientRequest(
        name=name,
        client=Client.LOW_LEVEL,
        expected=expected,
        send=search(body, index=index, **params),
        keeps=keeps,
        within=within,
        # The archive's texts are in no index that the plan names: its hits cannot be reranked.
        reranked=not within,
    )


OVER_SEVERAL = (
    _over("an alias", WIDENED, "{alias}", RED_LAMP),
    _over("an alias, with facets", COUNTED, "{alias}", FACETS),
    _over("an alias, by price", UNTOUCHED, "{alias}", {**RED_LAMP, "sort": ["price"]}),
    _over("a filtered alias", WIDENED, "{shoes}", RED_LAMP, keeps=lambda p: p.category == "shoes"),
    _over(
        "a filtered alias, with an exact total",
        COUNTED,
        "{shoes}",
        {**RED_LAMP, "track_total_hits": True},
        keeps=lambda p: p.category == "shoes",
    ),
    _over(
        "a filtered alias, a phrase",
        SAME_SET,
        "{shoes}",
        {"query": {"match_phrase": {"text": "soft sole"}}, "size": 60},
        keeps=lambda p: p.category == "shoes",
    ),
    _over("a pattern of one index", WIDENED, "{base}-sh*", RED_LAMP),
    _over("two indices with the pipeline", WIDENED, "{index},{archive}", RED_LAMP, within=BOTH),
    _over("two indices, with facets", COUNTED, "{index},{archive}", FACETS, within=BOTH),
    _over("two indices, sorted", UNTOUCHED, "{index},{archive}", {**RED_LAMP, "sort": ["price"]}),
    _over(
        "two indices, one boosted",
        UNTOUCHED,
        "{index},{archive}",
        {**RED_LAMP, "indices_boost": [{"{index}": 2.0}]},
    ),
    _over(
        "one that is missing", WIDENED, "{index},{base}-gone", RED_LAMP, ignore_unavailable="true"
    ),
    _over("an index that is not migrated", UNTOUCHED, "{plain}", RED_LAMP),
    _over("one with another default", UNTOUCHED, "{foreign}", RED_LAMP),
    _over("two defaults that differ", UNTOUCHED, "{index},{foreign}", RED_LAMP),
    ClientRequest(
        name="pages of a filtered alias",
        client=Client.LOW_LEVEL,
        expected=WIDENED,
        send=pages({"query": {"match": {"text": "soft shoes"}}}, size=3, upto=6, index="{shoes}"),
        keeps=lambda p: p.category == "shoes",
        # Not one list, and not to the end: the service counts over the whole index, and behind
        # the alias's last hit a page may show one again (docs/pipeline.md).
        reranked=False,
    ),
    ClientRequest(
        name="pages over two indices",
        client=Client.LOW_LEVEL,
        expected=WIDENED,
        send=pages({"query": RED_LAMP["query"]}, size=9, upto=54, index="{index},{archive}"),
        within=BOTH,
        # Not one list: the fused list of later pages is the plan's index alone.
        reranked=False,
    ),
    ClientRequest(
        name="an msearch over an alias and two indices",
        client=Client.LOW_LEVEL,
        expected=(WIDENED, WIDENED),
        send=msearch(RED_LAMP, {**RED_LAMP, "from": 0}, index="{alias}"),
    ),
)
LEXICAL = (*PRODUCTS, *(doc_id for doc_id, p in ARCHIVE.items() if p.words & {"red", "lamp"}))
MIXED = (
    # One migrated index and one that was never touched: the pipeline of the one runs on both.
    # The other has no vectors: it can only bring in what shares a word with the query.
    _over(
        "one index with the pipeline, one never migrated",
        WIDENED,
        "{index},{plain}",
        RED_LAMP,
        within=LEXICAL,
    ),
    _over("the same, with facets", COUNTED, "{index},{plain}", FACETS, within=LEXICAL),
    _over("the same, by price", UNTOUCHED, "{index},{plain}", {**RED_LAMP, "sort": ["price"]}),
    _over("the same, counted only", UNTOUCHED, "{index},{plain}", {**FACETS, "size": 0}),
)

REQUESTS = (*OVER_SEVERAL, *MIXED)
