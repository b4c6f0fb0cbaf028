"""Whether an answer with the funnel is what its request should get; pure, so it is tested too.

Every function returns complaints, one a line and none where all is well: a test that fails then
says everything that is wrong with an answer, not only the first thing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from opensearch_funnel.engine.allow_list import MARK
from opensearch_funnel.engine.hits import degraded
from tests.clients.catalogue import ARCHIVE, PRODUCTS, Product
from tests.clients.requests import Answer, Rule, Treatment

CHANGES_EACH_TIME = frozenset({"took", "_scroll_id", "pit_id"})
"""All that may differ between two answers to an untouched request."""
TIMINGS = frozenset({"breakdown", "network", "rewrite_time"})
"""Left out of a ``profile`` before it is compared, and so is every time; the shape stays."""
_HIDDEN = frozenset({"funnel.id", "funnel.hash"})
"""Fields that no answer through the pipeline shows, also where they are asked for."""
_MOVES = frozenset({"_score", "matched_queries", "sort"})
_SHOWN = 400


def find_mark(answer: Answer) -> dict[str, Any] | None:
    """Return the funnel's mark of an answer, also one with ``typed_keys``."""
    for name, aggregation in (answer.get("aggregations") or {}).items():
        meta: dict[str, Any] = aggregation.get("meta") or {}
        # An aggregation of the client's own may be called the same.
        if name.rpartition("#")[2] == MARK and "plan" in meta:
            return meta
    return None


def hit_ids(answer: Answer) -> list[str]:
    """Return the ids of an answer's hits, in order."""
    return [hit["_id"] for hit in answer.get("hits", {}).get("hits", [])]


def total(answer: Answer) -> tuple[int, str] | None:
    """Return an answer's total and what it says of it; ``None`` where it was not counted."""
    counted = answer.get("hits", {}).get("total")
    if counted is None:
        return None
    if isinstance(counted, int):
        return counted, "eq"
    return counted["value"], counted["relation"]


def is_complete(answer: Answer) -> bool:
    """Say whether an answer's page holds every hit there is."""
    counted = total(answer)
    return counted is not None and counted == (len(hit_ids(answer)), "eq")


def untouched(plain: Answer, funnel: Answer) -> list[str]:
    """Say how the answer of an untouched request differs from the plain one."""
    if find_mark(funnel) is not None:
        return ["it was upgraded: the answer has the mark"]
    return list(_differences(_comparable(plain), _comparable(funnel), at="answer"))


def upgraded(  # noqa: PLR0913 - what is known of one request
    plain: Answer,
    funnel: Answer,
    *,
    treatment: Treatment,
    keeps: Rule,
    within: Iterable[str] = (),
    reranked: bool,
) -> list[str]:
    """Say what is wrong with the answer of an upgraded request.

    Args:
        plain: the answer without the funnel.
        funnel: the answer with it.
        treatment: ``SAME_SET`` or ``WIDENED``.
        keeps: what every document keeps to.
        within: the ids that can be reached; all products if empty.
        reranked: whether every stage of the plan should have run.
    """
    if find_mark(funnel) is None:
        return ["it was not upgraded: the answer has no mark"]
    allowed = {doc_id for doc_id in within or PRODUCTS if keeps(_product(doc_id))}
    wrong = list(_wrong_with_page(funnel, allowed=allowed, reranked=reranked))
    wrong += _changed_hits(plain, funnel)
    wrong += _changed_surroundings(plain, funnel, counts=treatment is Treatment.SAME_SET)
    if treatment is Treatment.SAME_SET:
        wrong += _not_the_same_set(plain, funnel)
    else:
        wrong += _not_widened(plain, funnel, allowed=allowed)
    return wrong


def pages_together(plain: list[Answer], funnel: list[Answer], *, treatment: Treatment) -> list[str]:
    """Say what is wrong with the pages of one list, taken together."""
    before = [doc_id for page in plain for doc_id in hit_ids(page)]
    after = [doc_id for page in funnel for doc_id in hit_ids(page)]
    twice = sorted({doc_id for doc_id in after if after.count(doc_id) > 1})
    if twice:
        return [f"on more than one page: {twice}"]
    counted = total(funnel[0])
    if treatment is Treatment.SAME_SET:
        return _compare_sets(before, after)
    if counted is not None and len(after) != counted[0]:
        return [f"{counted[0]} hits were promised and {len(after)} came over all pages"]
    return [] if set(before) <= set(after) else [f"lost: {sorted(set(before) - set(after))}"]


def _product(doc_id: str) -> Product:
    return PRODUCTS[doc_id] if doc_id in PRODUCTS else ARCHIVE[doc_id]


def _wrong_with_page(funnel: Answer, *, allowed: set[str], reranked: bool) -> Iterable[str]:
    """What every upgraded page keeps to, wide or not."""
    ids = hit_ids(funnel)
    if len(ids) != len(set(ids)):
        yield f"a hit is there twice: {ids}"
    strangers = sorted(set(ids) - allowed)
    if strangers:
        yield f"these break the request's filters: {strangers}"
    scores = [hit["_score"] for hit in funnel["hits"]["hits"]]
    if scores != sorted(scores, reverse=True):
        yield f"the scores rise: {scores}"
    shards = funnel["_shards"]
    if shards["failed"]:
        yield f"shards failed: {shards}"
    if reranked and degraded({**funnel, "aggregations": {MARK: {"meta": find_mark(funnel)}}}):
        yield f"degraded: {find_mark(funnel)}, max_score {funnel['hits']['max_score']}"


def _changed_hits(plain: Answer, funnel: Answer) -> Iterable[str]:
    """Hits that both answers have look the same in both, but for score and place."""
    before = {hit["_id"]: hit for hit in plain["hits"]["hits"]}
    wants_funnel = any("funnel" in hit.get("_source", {}) for hit in before.values())
    asked = {name for hit in before.values() for name in _names_of_the_funnel(hit)}
    for hit in funnel["hits"]["hits"]:
        if "funnel" in hit.get("_source", {}) and before and not wants_funnel:
            yield f"{hit['_id']} shows the field funnel"
        shown = _names_of_the_funnel(hit) - asked
        if before and shown:
            yield f"{hit['_id']} shows {sorted(shown)}"
        if hit["_id"] in before:
            one, other = _without_trace(before[hit["_id"]]), _without_trace(hit)
            yield from _differences(one, other, at=f"hit {hit['_id']}")


def _names_of_the_funnel(hit: Mapping[str, Any]) -> set[str]:
    around = {**hit.get("highlight", {}), **hit.get("fields", {})}
    return {name for name in around if name.startswith("funnel")}


def _without_trace(hit: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in hit.items() if name not in _MOVES}
    kept = _without_hidden(kept)
    if isinstance(kept.get("_source"), Mapping):
        kept["_source"] = {k: v for k, v in kept["_source"].items() if k != "funnel"}
    return kept


def _without_hidden(hit: Mapping[str, Any]) -> dict[str, Any]:
    fields = {k: v for k, v in hit.get("fields", {}).items() if k not in _HIDDEN}
    kept = {name: value for name, value in hit.items() if name != "fields"}
    return {**kept, "fields": fields} if fields else kept


def _changed_surroundings(plain: Answer, funnel: Answer, *, counts: bool) -> Iterable[str]:
    """What stands around the hits: the same keys, and the same aggregations where they count."""
    keys = set(plain) ^ set(funnel)
    for name in sorted(keys - CHANGES_EACH_TIME - {"aggregations", "profile"}):
        yield f"only one of the answers has {name!r}"
    before, after = _aggregations(plain), _aggregations(funnel)
    if set(before) != set(after):
        yield f"aggregations {sorted(before)} became {sorted(after)}"
    elif counts:
        yield from _differences(before, after, at="aggregations")


def _aggregations(answer: Answer) -> dict[str, Any]:
    named = (answer.get("aggregations") or {}).items()
    return {name: value for name, value in named if name.rpartition("#")[2] != MARK}


def _not_the_same_set(plain: Answer, funnel: Answer) -> list[str]:
    if total(plain) is not None and total(plain) != total(funnel):
        return [f"the total was {total(plain)} and is {total(funnel)}"]
    if len(hit_ids(plain)) != len(hit_ids(funnel)):
        return [f"{len(hit_ids(plain))} hits became {len(hit_ids(funnel))}"]
    if is_complete(plain):
        return _compare_sets(hit_ids(plain), hit_ids(funnel))
    return []


def _not_widened(plain: Answer, funnel: Answer, *, allowed: set[str]) -> list[str]:
    wrong = []
    if len(hit_ids(funnel)) < len(hit_ids(plain)):
        wrong.append(f"{len(hit_ids(plain))} hits became {len(hit_ids(funnel))}")
    counted = total(funnel)
    # The dense leg of every plan here reaches as far as the shop has documents.
    if counted is not None and counted[1] == "eq" and counted[0] != len(allowed):
        wrong.append(f"{counted[0]} hits, and {len(allowed)} documents keep to the filters")
    if is_complete(funnel):
        lost = sorted(set(hit_ids(plain)) - set(hit_ids(funnel)))
        wrong += [f"plain hits that are lost: {lost}"] if lost else []
    return wrong


def _compare_sets(before: Iterable[str], after: Iterable[str]) -> list[str]:
    lost, new = sorted(set(before) - set(after)), sorted(set(after) - set(before))
    return [f"lost {lost}, new {new}"] if lost or new else []


def _comparable(answer: Answer) -> Any:
    kept = {name: value for name, value in answer.items() if name not in CHANGES_EACH_TIME}
    hits = kept.get("hits", {}).get("hits", [])
    if any(_HIDDEN & hit.get("fields", {}).keys() for hit in hits):
        kept["hits"] = {**kept["hits"], "hits": [_without_hidden(hit) for hit in hits]}
    if "profile" in kept:
        kept["profile"] = _without_timings(kept["profile"])
    return kept


def _without_timings(part: Any) -> Any:
    if isinstance(part, list):
        return [_without_timings(one) for one in part]
    if isinstance(part, dict):
        kept = {k: v for k, v in part.items() if k not in TIMINGS and "time_in_nanos" not in k}
        return {name: _without_timings(value) for name, value in kept.items()}
    return part


def _differences(before: Any, after: Any, *, at: str) -> Iterable[str]:
    """Name the places where two pieces of JSON differ; numbers to the last digit."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted(set(before) | set(after), key=str):
            where = f"{at}.{name}"
            if name not in before or name not in after:
                yield f"{where} is in only one of them"
            else:
                yield from _differences(before[name], after[name], at=where)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for place, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _differences(one, other, at=f"{at}[{place}]")
    elif before != after or type(before) is not type(after):
        yield f"{at} was {str(before)[:_SHOWN]} and is {str(after)[:_SHOWN]}"
