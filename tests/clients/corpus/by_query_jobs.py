"""Requests that delete, change or copy what a query finds: here a wrong rewrite destroys data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opensearchpy import OpenSearch, Search, UpdateByQuery
from opensearchpy.helpers import bulk, reindex, scan

from tests.clients.requests import Client, Job

TEXT: dict[str, Any] = {"query": {"match": {"text": "red lamp"}}}
ONE_WORD: dict[str, Any] = {"query": {"match": {"text": "waterproof"}}}
PHRASE: dict[str, Any] = {"query": {"match_phrase": {"text": "late reading"}}}
BOTH_FIELDS: dict[str, Any] = {
    "query": {"multi_match": {"query": "garden chair", "fields": ["title", "text"]}}
}
FILTERED: dict[str, Any] = {
    "query": {
        "bool": {"must": [{"match": {"text": "light"}}], "filter": [{"term": {"on_sale": True}}]}
    }
}
STRING: dict[str, Any] = {"query": {"query_string": {"query": "+light -tent", "fields": ["text"]}}}
BY_FILTER: dict[str, Any] = {
    "query": {"bool": {"filter": {"bool": {"must": {"term": {"category": "lamps"}}}}}}
}
CHANGE = {"script": {"source": "ctx._source.price = 1.5", "lang": "painless"}}
NOW = {"refresh": "true", "conflicts": "proceed"}

Run = Callable[[OpenSearch, str, str], Any]


def _delete(body: dict[str, Any], **params: Any) -> Run:
    return lambda client, index, _: client.delete_by_query(
        index=index, body=body, params={**NOW, **params}
    )


def _update(body: dict[str, Any], **params: Any) -> Run:
    return lambda client, index, _: client.update_by_query(
        index=index, body=body, params={**NOW, **params}
    )


def _copy(source: dict[str, Any], *, rest: dict[str, Any] | None = None, **params: Any) -> Run:
    return lambda client, index, into: client.reindex(
        body={"source": {"index": index, **source}, "dest": {"index": into}, **(rest or {})},
        params={"refresh": "true", **params},
    )


def _delete_in_background(client: OpenSearch, index: str, _: str) -> Any:
    started = client.delete_by_query(
        index=index, body=TEXT, params={**NOW, "wait_for_completion": "false"}
    )
    done = client.tasks.get(task_id=started["task"], params={"wait_for_completion": "true"})
    return {"deleted": done["response"]["deleted"], "total": done["response"]["total"]}


def _delete_by_address(client: OpenSearch, index: str, _: str) -> Any:
    return client.transport.perform_request(
        "POST", f"/{index}/_delete_by_query", params={**NOW, "q": "lamp", "df": "text"}
    )


def _dsl_delete(client: OpenSearch, index: str, _: str) -> Any:
    found = Search(using=client, index=index).query("match", text="red lamp")
    return found.params(refresh=True).delete().to_dict()


def _dsl_update(client: OpenSearch, index: str, _: str) -> Any:
    update = UpdateByQuery(using=client, index=index).query("match", text="red lamp")
    response = update.script(source="ctx._source.stock = 99").params(refresh=True).execute()
    return response.to_dict()


def _dsl_update_filtered(client: OpenSearch, index: str, _: str) -> Any:
    update = UpdateByQuery(using=client, index=index).query("match", text="light")
    update = update.filter("term", on_sale=True).script(source="ctx._source.stock = 0")
    return update.params(refresh=True).execute().to_dict()


def _helper_reindex(client: OpenSearch, index: str, into: str) -> Any:
    done = reindex(client, index, into, query=TEXT, chunk_size=10)
    client.indices.refresh(index=into)
    return list(done)


def _helper_reindex_all(client: OpenSearch, index: str, into: str) -> Any:
    done = reindex(client, index, into)
    client.indices.refresh(index=into)
    return list(done)


def _helper_reindex_by_score(client: OpenSearch, index: str, into: str, **more: Any) -> Any:
    kwargs = {"preserve_order": True, **more}
    done = reindex(client, index, into, query=TEXT, scan_kwargs=kwargs)
    client.indices.refresh(index=into)
    return list(done)


def _scan_and_delete(client: OpenSearch, index: str, _: str) -> Any:
    hits = scan(client, query={**TEXT, "_source": False}, index=index, size=5)
    actions = [{"_op_type": "delete", "_index": index, "_id": hit["_id"]} for hit in hits]
    done, errors = bulk(client, actions, refresh=True)
    return {"deleted": done, "errors": errors}


def _dsl_scan_and_update(client: OpenSearch, index: str, _: str) -> Any:
    hits = list(Search(using=client, index=index).query("match", text="red lamp").scan())
    actions = [
        {"_op_type": "update", "_index": index, "_id": hit.meta.id, "doc": {"stock": 5}}
        for hit in hits
    ]
    done, _errors = bulk(client, actions, refresh=True)
    return {"updated": done}


def _scroll_and_copy(client: OpenSearch, index: str, into: str) -> Any:
    """What a script without the helpers does: scroll by a field, index page by page."""
    answer = client.search(
        index=index, body={**TEXT, "sort": ["price"], "size": 6}, params={"scroll": "1m"}
    )
    copied = 0
    while hits := answer["hits"]["hits"]:
        for hit in hits:
            client.index(index=into, id=hit["_id"], body=hit["_source"])
            copied += 1
        answer = client.scroll(body={"scroll_id": answer["_scroll_id"], "scroll": "1m"})
    client.clear_scroll(body={"scroll_id": [answer["_scroll_id"]]})
    client.indices.refresh(index=into)
    return {"copied": copied}


def _job(name: str, client: Client, run: Run) -> Job:
    return Job(name=name, client=client, run=run)


def _copying(name: str, client: Client, run: Run, *, refused: bool = False) -> Job:
    return Job(name=name, client=client, run=run, copies=True, refused=refused)


LOW = Client.LOW_LEVEL
DELETES = (
    _job("delete_by_query, a text", LOW, _delete(TEXT)),
    _job("delete_by_query, one word", LOW, _delete(ONE_WORD)),
    _job("delete_by_query, a phrase", LOW, _delete(PHRASE)),
    _job("delete_by_query, two fields", LOW, _delete(BOTH_FIELDS)),
    _job("delete_by_query, a text and a filter", LOW, _delete(FILTERED)),
    _job("delete_by_query, query_string", LOW, _delete(STRING)),
    _job("delete_by_query, in small steps", LOW, _delete(TEXT, scroll_size=3)),
    _job("delete_by_query, at most five", LOW, _delete({**TEXT, "max_docs": 5})),
    _job("delete_by_query, in two slices", LOW, _delete(TEXT, slices=2)),
    _job("delete_by_query, a slice of two", LOW, _delete({**TEXT, "slice": {"id": 1, "max": 2}})),
    _job("delete_by_query, cheapest three", LOW, _delete(TEXT, sort="price:asc", max_docs=3)),
    _job("delete_by_query, best three", LOW, _delete(TEXT, sort="_score:desc", max_docs=3)),
    _job("delete_by_query, in the background", LOW, _delete_in_background),
    _job("delete_by_query by ?q=", Client.REST, _delete_by_address),
    _job("Search.delete", Client.DSL, _dsl_delete),
    _job("Haystack, delete_all_documents", Client.HAYSTACK, _delete({"query": {"match_all": {}}})),
    _job("Haystack, delete_by_filter", Client.HAYSTACK, _delete(BY_FILTER)),
    _job("scan, then bulk deletes", Client.LOW_LEVEL, _scan_and_delete),
)
UPDATES = (
    _job("update_by_query, a script", LOW, _update({**TEXT, **CHANGE})),
    _job("update_by_query, nothing to change", LOW, _update(ONE_WORD)),
    _job("update_by_query, a phrase", LOW, _update({**PHRASE, **CHANGE})),
    _job("update_by_query, at most four", LOW, _update({**TEXT, **CHANGE, "max_docs": 4})),
    _job("update_by_query, in two slices", LOW, _update({**FILTERED, **CHANGE}, slices=2)),
    _job("UpdateByQuery", Client.DSL, _dsl_update),
    _job("UpdateByQuery with a filter", Client.DSL, _dsl_update_filtered),
    _job("Haystack, update_by_filter", Client.HAYSTACK, _update({**BY_FILTER, **CHANGE})),
    _job("Search.scan, then bulk updates", Client.DSL, _dsl_scan_and_update),
)
COPIES = (
    _copying("reindex, a text", LOW, _copy(TEXT)),
    _copying("reindex, a phrase", LOW, _copy(PHRASE)),
    _copying("reindex, everything", LOW, _copy({})),
    _copying("reindex, in small steps", LOW, _copy({**TEXT, "size": 4})),
    _copying("reindex, at most six", LOW, _copy(TEXT, rest={"max_docs": 6})),
    _copying(
        "reindex, dearest five",
        LOW,
        _copy({**TEXT, "sort": {"price": "desc"}}, rest={"max_docs": 5}),
    ),
    _copying(
        "reindex, best five", LOW, _copy({**TEXT, "sort": {"_score": "desc"}}, rest={"max_docs": 5})
    ),
    _copying("reindex, in two slices", LOW, _copy(TEXT, slices=2)),
    _copying("reindex, parts of the source", LOW, _copy({**TEXT, "_source": ["title", "price"]})),
    _copying("reindex, changed on the way", LOW, _copy(FILTERED, rest=CHANGE)),
    _copying("helpers.reindex", LOW, _helper_reindex),
    _copying("helpers.reindex of everything", LOW, _helper_reindex_all),
    _copying("helpers.reindex in score order", LOW, _helper_reindex_by_score),
    _copying(
        "helpers.reindex in score order, short pages",
        LOW,
        lambda client, index, into: _helper_reindex_by_score(client, index, into, size=20),
        refused=True,
    ),
    _copying("scroll, then index", LOW, _scroll_and_copy),
)

JOBS = (*DELETES, *UPDATES, *COPIES)
