"""opensearch-py's own functions, plain REST calls, and what a Java client sends along."""

from __future__ import annotations

import base64
from typing import Any

from tests.clients.requests import (
    COUNTED,
    SAME_SET,
    UNTOUCHED,
    WIDENED,
    Answer,
    Client,
    ClientRequest,
    Shop,
    Treatment,
)
from tests.clients.sending import msearch, rest, search, template

RED_LAMP: dict[str, Any] = {"query": {"match": {"text": "red lamp"}}, "size": 48}
BY_PRICE: dict[str, Any] = {**RED_LAMP, "sort": ["price"]}
COUNT_ONLY: dict[str, Any] = {
    "size": 0,
    "aggs": {"colours": {"terms": {"field": "colour"}}},
    "query": {"match": {"text": "light"}},
}


def _low(name: str, expected: Treatment, body: dict[str, Any], **params: Any) -> ClientRequest:
    return ClientRequest(
        name=name, client=Client.LOW_LEVEL, expected=expected, send=search(body, **params)
    )


def _rest(
    name: str,
    expected: Treatment | tuple[Treatment, ...],
    send: Any,
    *,
    client: Client = Client.REST,
) -> ClientRequest:
    return ClientRequest(name=name, client=client, expected=expected, send=send)


def _typed_msearch(shop: Shop) -> list[Answer]:
    head = {"index": shop.index}
    answers: list[Answer] = shop.client.msearch(
        body=[head, RED_LAMP, head, COUNT_ONLY], params={"typed_keys": "true"}
    )["responses"]
    return answers


def _count(shop: Shop) -> Answer:
    answer: Answer = shop.client.count(index=shop.index, body={"query": {"match": {"text": "red"}}})
    return answer


def _stored_template(shop: Shop) -> Answer:
    name = f"{shop.base}-by-text"
    source = {"query": {"match": {"text": "{{wanted}}"}}, "size": "{{size}}{{^size}}48{{/size}}"}
    script = {"lang": "mustache", "source": source}
    shop.client.put_script(id=name, body={"script": script})
    try:
        answer: Answer = shop.client.search_template(
            index=shop.index, body={"id": name, "params": {"wanted": "red lamp"}}
        )
    finally:
        shop.client.delete_script(id=name)
    return answer


def _msearch_template(shop: Shop) -> list[Answer]:
    source = {"query": {"match": {"{{field}}": "{{wanted}}"}}, "size": 48}
    head = {"index": shop.index}
    lines: list[dict[str, Any]] = []
    for field in ("text", "category"):
        lines += [head, {"source": source, "params": {"field": field, "wanted": "lamps"}}]
    answers: list[Answer] = shop.client.msearch_template(body=lines)["responses"]
    return answers


PARAMETERS = (
    _low("search with a preference", WIDENED, RED_LAMP, preference="session-17"),
    _low("search with routing", WIDENED, RED_LAMP, routing="north"),
    _low("search with global frequencies", WIDENED, RED_LAMP, search_type="dfs_query_then_fetch"),
    _low("search past the request cache", WIDENED, RED_LAMP, request_cache="false"),
    _low("search through the request cache", WIDENED, RED_LAMP, request_cache="true"),
    _low("counts through the request cache", UNTOUCHED, COUNT_ONLY, request_cache="true"),
    _low("size in the address", WIDENED, {"query": RED_LAMP["query"]}, size="48"),
    _low("sort in the address", UNTOUCHED, RED_LAMP, sort="price:desc"),
    _low("parts of the source in the address", WIDENED, RED_LAMP, _source_includes="title,price"),
    _low("no source, in the address", WIDENED, RED_LAMP, _source="false"),
    _low("doc values in the address", WIDENED, RED_LAMP, docvalue_fields="price"),
    _low("stored fields in the address", UNTOUCHED, RED_LAMP, stored_fields="_none_"),
    _low("exact total in the address", COUNTED, RED_LAMP, track_total_hits="true"),
    _low("total as a number", COUNTED, RED_LAMP, rest_total_hits_as_int="true"),
    _low("a limit of documents in the address", UNTOUCHED, RED_LAMP, terminate_after="500"),
    _low("versions in the address", UNTOUCHED, RED_LAMP, version="true"),
    _low("an explanation in the address", UNTOUCHED, RED_LAMP, explain="true"),
    _low("track_scores in the address", UNTOUCHED, BY_PRICE, track_scores="true"),
    _low(
        "suggestions in the address",
        UNTOUCHED,
        RED_LAMP,
        suggest_field="text",
        suggest_text="lanp",
        suggest_mode="always",
    ),
    _low(
        "leniency about indices",
        WIDENED,
        RED_LAMP,
        ignore_unavailable="true",
        allow_no_indices="true",
        expand_wildcards="open",
        allow_partial_search_results="true",
        batched_reduce_size="64",
        max_concurrent_shard_requests="5",
    ),
    _low("scores of named queries", WIDENED, RED_LAMP, include_named_queries_score="true"),
    _low("a pipeline of its own", UNTOUCHED, RED_LAMP, search_pipeline="_none"),
)

ADDRESSES = (
    _rest("?q= in every field", WIDENED, rest("GET", "/{index}/_search", q="red lamp", size="48")),
    _rest(
        "?q= in one field",
        WIDENED,
        rest("GET", "/{index}/_search", q="red lamp", df="text", size="48"),
    ),
    _rest(
        "?q= with every word",
        SAME_SET,
        rest("GET", "/{index}/_search", q="red lamp", df="text", default_operator="AND", size="48"),
    ),
    _rest(
        "?q= with a field in it",
        UNTOUCHED,
        rest("GET", "/{index}/_search", q="title:lamp", size="48"),
    ),
    _rest(
        "?q= with a sort",
        UNTOUCHED,
        rest("GET", "/{index}/_search", q="red lamp", df="text", sort="price:asc", size="5"),
    ),
    _rest(
        "?q= with a wildcard",
        UNTOUCHED,
        rest("GET", "/{index}/_search", q="la*", df="text", analyze_wildcard="true", size="48"),
    ),
    _rest(
        "?q= second page",
        WIDENED,
        rest("GET", "/{index}/_search?q=red%20lamp&df=text&from=10&size=10"),
    ),
    _rest("search with no body", UNTOUCHED, rest("GET", "/{index}/_search")),
    # The client library takes a parameter "timeout" for its own.
    _rest(
        "a time limit in the address",
        WIDENED,
        rest("POST", "/{index}/_search?timeout=3s", RED_LAMP),
    ),
    _rest("search by POST", WIDENED, rest("POST", "/{index}/_search", RED_LAMP)),
    _rest("search by GET", WIDENED, rest("GET", "/{index}/_search", RED_LAMP)),
    _rest("a body the engine refuses", UNTOUCHED, rest("POST", "/{index}/_search", {"qery": {}})),
    _rest(
        "a query the engine does not know",
        UNTOUCHED,
        rest("POST", "/{index}/_search", {"query": {"matsch": {"text": "red"}}}),
    ),
    _rest(
        "an index that is not there",
        UNTOUCHED,
        rest("POST", "/{index}-nowhere/_search", RED_LAMP),
    ),
    _rest(
        "a query wrapped in base64",
        UNTOUCHED,
        rest(
            "POST",
            "/{index}/_search",
            {
                "query": {
                    "wrapper": {"query": base64.b64encode(b'{"match":{"text":"red"}}').decode()}
                }
            },
        ),
    ),
    _rest(
        "_validate",
        UNTOUCHED,
        rest("POST", "/{index}/_validate/query", {"query": RED_LAMP["query"]}),
    ),
    _rest(
        "_explain", UNTOUCHED, rest("POST", "/{index}/_explain/p01", {"query": RED_LAMP["query"]})
    ),
    _rest(
        "_count with a text",
        UNTOUCHED,
        rest("POST", "/{index}/_count", {"query": RED_LAMP["query"]}),
    ),
    _rest("_count by ?q=", UNTOUCHED, rest("GET", "/{index}/_count", q="lamp", df="text")),
    _rest("_mget", UNTOUCHED, rest("POST", "/{index}/_mget", {"ids": ["p01", "p47"]})),
    _rest(
        "total as a number, by GET",
        COUNTED,
        rest("GET", "/{index}/_search", RED_LAMP, rest_total_hits_as_int="true"),
    ),
    # The Java client asks for typed names of aggregations and suggestions with every search.
    _rest(
        "typed keys",
        WIDENED,
        rest("POST", "/{index}/_search", RED_LAMP, typed_keys="true"),
        client=Client.JAVA,
    ),
    _rest(
        "typed keys with facets",
        COUNTED,
        rest(
            "POST",
            "/{index}/_search",
            {**RED_LAMP, "aggs": {"brands": {"terms": {"field": "brand"}}}},
            typed_keys="true",
        ),
        client=Client.JAVA,
    ),
    _rest(
        "typed keys in an msearch",
        (WIDENED, UNTOUCHED),
        _typed_msearch,
        client=Client.JAVA,
    ),
)


SEVERAL = (
    _rest("count", UNTOUCHED, _count, client=Client.LOW_LEVEL),
    _rest(
        "msearch of a text, a list and facets",
        (WIDENED, UNTOUCHED, UNTOUCHED, COUNTED),
        msearch(
            RED_LAMP,
            {"query": {"match_all": {}}, "size": 5, "sort": ["price"]},
            COUNT_ONLY,
            {**RED_LAMP, "aggs": {"colours": {"terms": {"field": "colour"}}}},
        ),
        client=Client.LOW_LEVEL,
    ),
    _rest(
        "msearch with an error in it",
        (WIDENED, UNTOUCHED),
        msearch(RED_LAMP, {**RED_LAMP, "sort": ["nowhere"]}),
        client=Client.LOW_LEVEL,
    ),
    _rest(
        "msearch with parameters in its heads",
        (WIDENED, SAME_SET),
        msearch(
            RED_LAMP,
            {"query": {"match_phrase": {"text": "late reading"}}, "size": 48},
            header={"preference": "_local", "search_type": "query_then_fetch"},
        ),
        client=Client.LOW_LEVEL,
    ),
    _rest(
        "a template of a text search",
        WIDENED,
        template(
            {"query": {"match": {"text": "{{wanted}}"}}, "size": "{{size}}"},
            {"wanted": "red lamp", "size": 48},
        ),
        client=Client.LOW_LEVEL,
    ),
    _rest(
        "a template with a condition",
        WIDENED,
        template(
            '{"size": 48, "query": {"bool": {"must": [{"match": {"text": "{{wanted}}"}}]'
            '{{#cheap}}, "filter": [{"range": {"price": {"lte": {{cheap}} }}}]{{/cheap}}}}}',
            {"wanted": "red lamp"},
        ),
        client=Client.LOW_LEVEL,
    ),
    ClientRequest(
        name="a template with a filter",
        client=Client.LOW_LEVEL,
        expected=WIDENED,
        send=template(
            '{"size": 48, "query": {"bool": {"must": [{"match": {"text": "{{wanted}}"}}]'
            '{{#cheap}}, "filter": [{"range": {"price": {"lte": {{cheap}} }}}]{{/cheap}}}}}',
            {"wanted": "red lamp", "cheap": 60},
        ),
        keeps=lambda p: p.price <= 60,
    ),
    _rest(
        "a template of a list",
        UNTOUCHED,
        template(
            '{"query": {"terms": {"category": {{#toJson}}of{{/toJson}} }}, "size": 48}',
            {"of": ["lamps", "tents"]},
        ),
        client=Client.LOW_LEVEL,
    ),
    _rest("a stored template", WIDENED, _stored_template, client=Client.LOW_LEVEL),
    _rest(
        "an msearch of templates",
        (WIDENED, UNTOUCHED),
        _msearch_template,
        client=Client.LOW_LEVEL,
    ),
)

REQUESTS = (*PARAMETERS, *ADDRESSES, *SEVERAL)
