"""Ways to send a request, each as a function that makes a ``Send`` out of plain JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from opensearchpy import MultiSearch, Search

from tests.clients.requests import Answer, Send, Shop

Body = dict[str, Any]
KEEP = "1m"


def search(body: Body, *, index: str = "{index}", **params: str) -> Send:
    """Send a body to ``_search`` by the low-level client."""

    def send(shop: Shop) -> Answer:
        named = {name: shop.fill(value) for name, value in params.items()}
        answer: Answer = shop.client.search(
            index=shop.fill(index), body=_filled(shop, body), params=named
        )
        return answer

    return send


def rest(method: str, path: str, body: Body | None = None, **params: Any) -> Send:
    """Send a request as the REST interface takes it."""

    def send(shop: Shop) -> Answer:
        answer: Answer = shop.client.transport.perform_request(
            method, shop.fill(path), params=params or None, body=_filled(shop, body)
        )
        return answer

    return send


def msearch(*bodies: Body, index: str = "{index}", header: Body | None = None) -> Send:
    """Send several bodies in one ``_msearch``."""

    def send(shop: Shop) -> list[Answer]:
        lines: list[Body] = []
        for body in bodies:
            lines += [{"index": shop.fill(index), **(header or {})}, body]
        answers: list[Answer] = shop.client.msearch(body=lines)["responses"]
        return answers

    return send


def template(source: Body | str, params: Body, *, index: str = "{index}") -> Send:
    """Render and run a mustache template."""

    def send(shop: Shop) -> Answer:
        answer: Answer = shop.client.search_template(
            index=shop.fill(index), body={"source": source, "params": params}
        )
        return answer

    return send


def dsl(build: Callable[[Any], Any], *, index: str = "{index}", **params: Any) -> Send:
    """Build a search with the DSL, run it and read its answer as its users do."""

    def send(shop: Shop) -> Answer:
        made = build(Search(using=shop.client, index=shop.fill(index)))
        response = made.params(**params).execute()
        # What a page does with it: an answer the library cannot read is no answer.
        for hit in response:
            assert hit.meta.id
        if "aggs" in made.to_dict():
            for aggregation in response.aggregations:
                assert aggregation is not None
        answer: Answer = response.to_dict()
        return answer

    return send


def multi_dsl(*builds: Callable[[Any], Any]) -> Send:
    """Run several DSL searches at once."""

    def send(shop: Shop) -> list[Answer]:
        several: Any = MultiSearch(using=shop.client, index=shop.index)
        for build in builds:
            several = several.add(build(Search(index=shop.index)))
        return [response.to_dict() for response in several.execute()]

    return send


def listed(hits: Callable[[Shop], Iterator[Any]]) -> Send:
    """Collect what a generator of hits gives, as one answer."""

    def send(shop: Shop) -> Answer:
        return {"listed": [_plain(hit) for hit in hits(shop)]}

    return send


def pages(body: Body, *, size: int, upto: int, index: str = "{index}", **params: Any) -> Send:
    """Turn pages with ``from`` until a given number of hits was asked for."""

    def send(shop: Shop) -> list[Answer]:
        return [
            shop.client.search(
                index=shop.fill(index),
                body={**body, "from": start, "size": size},
                params=dict(params),
            )
            for start in range(0, upto, size)
        ]

    return send


def scroll(body: Body, *, size: int = 20, **params: Any) -> Send:
    """Scroll to the end, and clear the scroll."""

    def send(shop: Shop) -> list[Answer]:
        answer = shop.client.search(
            index=shop.index, body={"size": size, **body}, params={"scroll": KEEP, **params}
        )
        answers: list[Answer] = []
        try:
            while answer["hits"]["hits"]:
                answers.append(answer)
                answer = shop.client.scroll(
                    body={"scroll_id": answer["_scroll_id"], "scroll": KEEP}
                )
        finally:
            shop.client.clear_scroll(body={"scroll_id": [answer["_scroll_id"]]})
        return answers

    return send


def point_in_time(body: Body, *, rounds: int = 2, slices: Sequence[Body | None] = (None,)) -> Send:
    """Page over a point in time with ``search_after``; with slices, each slice on its own."""

    def send(shop: Shop) -> list[Answer]:
        pit_id = shop.client.create_pit(index=shop.index, params={"keep_alive": KEEP})["pit_id"]
        answers: list[Answer] = []
        try:
            for part in slices:
                asked: Body = {**body, "pit": {"id": pit_id, "keep_alive": KEEP}}
                if part is not None:
                    asked["slice"] = part
                for _ in range(rounds):
                    answer = shop.client.search(body=asked)
                    answers.append(answer)
                    if not answer["hits"]["hits"] or "sort" not in answer["hits"]["hits"][-1]:
                        break
                    asked = {**asked, "search_after": answer["hits"]["hits"][-1]["sort"]}
        finally:
            shop.client.delete_pit(body={"pit_id": [pit_id]})
        return answers

    return send


def _filled(shop: Shop, body: Body | None) -> Any:
    """Fill names into a body that has any (a terms lookup, a pipeline's name)."""
    if body is None:
        return None
    text = json.dumps(body)
    return json.loads(shop.fill(text)) if "{" + "index}" in text or "{theirs}" in text else body


def _plain(hit: Any) -> Any:
    """Return a hit of the DSL as the JSON it came from; any other as it is."""
    if isinstance(hit, dict):
        return hit
    return {"_id": hit.meta.id, "_source": hit.to_dict()}
