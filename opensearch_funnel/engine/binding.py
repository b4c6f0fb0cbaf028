"""Which index a plan is for, and what that index says of the models that encoded it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InvalidPlanError
from opensearch_funnel.core.plan import FunnelPlan, LegName
from opensearch_funnel.engine.limits import (
    limits_of,
    refuse_tight_limits,
    searches_all_fields,
)


def bound_plan(client: OpenSearch, plan: FunnelPlan, *, with_others: bool = False) -> FunnelPlan:
    """Write the fingerprints of the models that encoded an index into a plan.

    Args:
        client: the cluster.
        plan: the plan as the user wrote it.
        with_others: whether the plan's alias may stand for indices without funnel fields, too.
            Their documents are found by their words alone, and pages with them not reranked.

    Returns:
        The same plan, bound to what the index holds.

    Raises:
        IndexMissingError: the plan's alias does not exist.
        InvalidPlanError: the index has no funnel fields, or those of other models, or limits
            that an upgraded search would break, or the alias stands for several indices.
    """
    mappings = _mappings(client, plan)
    index = encoded_index(mappings, plan, with_others=with_others)
    limits = limits_of(client, index=plan.alias)
    refuse_tight_limits(limits, index=plan.alias)
    values = plan.to_dict()
    values["searched_fields"] = _searched_fields(mappings, index=index)
    counts = [len(_types(mapping.get("properties", {}))) for mapping in mappings.values()]
    values["mapped_fields"] = max(counts) if searches_all_fields(limits) else 0
    slot = slot_of(mappings[index], plan.slot)
    for leg in ("sparse", "dense"):
        if leg not in plan.active_legs:
            continue
        encoded = slot.get(leg)
        if encoded is None:
            raise InvalidPlanError(
                f"index {index} has no {leg} field in slot {plan.slot!r}: load it with "
                f"funnel load --funnel, take what the slot has (--slot {plan.slot}), or set "
                f"weight = 0 in [{leg}]"
            )
        wanted = values[leg]["fingerprint"] or encoded["fingerprint"]
        if encoded["model"] != values[leg]["model"] or encoded["fingerprint"] != wanted:
            raise InvalidPlanError(
                f"index {index} was encoded by {encoded['model']} "
                f"({encoded['fingerprint']}), the plan wants {values[leg]['model']} "
                f"({wanted}): change the plan's model, or encode the index again"
            )
        values[leg]["fingerprint"] = encoded["fingerprint"]
        values[leg]["max_tokens"] = encoded.get("max_tokens", 0)
    return FunnelPlan.from_dict(values)


def in_slot(client: OpenSearch, plan: FunnelPlan, *, slot: str) -> FunnelPlan:
    """Return a plan that searches another slot of its index; not bound yet.

    The models are those that the index says filled the slot; a leg that the slot does not have
    is left out, what was measured of the present slot's legs goes, the rest of the plan stays.

    Raises:
        IndexMissingError: the plan's alias does not exist.
        InvalidPlanError: the index has no such slot.
    """
    filled: Mapping[str, Any] = {}
    known: set[str] = set()
    for mapping in _mappings(client, plan).values():
        filled = filled or slot_of(mapping, slot)
        known.update(mapping.get("_meta", {}).get("funnel", {}).get("slots", {}))
    if not filled:
        raise InvalidPlanError(
            f"{plan.alias} has no slot {slot!r}; it has: {', '.join(sorted(known)) or 'none'}"
        )
    legs: list[LegName] = [leg for leg in plan.active_legs if leg == "bm25" or leg in filled]
    plan = plan.unmeasured() if plan.trust.index else plan
    values = replace(plan, slot=slot).with_legs(*legs).to_dict()
    for leg, by in filled.items():
        values[leg].update(model=by["model"], fingerprint="")
    return FunnelPlan.from_dict(values)


def planned_index(client: OpenSearch, plan: FunnelPlan) -> str:
    """Return the concrete index that a bound plan is for.

    Raises:
        IndexMissingError: the plan's alias does not exist.
        InvalidPlanError: it stands for several indices now, of which not exactly one is encoded.
    """
    return encoded_index(_mappings(client, plan), plan, with_others=True)


def encoded_index(
    mappings: Mapping[str, Mapping[str, Any]], plan: FunnelPlan, *, with_others: bool
) -> str:
    """Choose the index of a plan among those that its alias stands for.

    Args:
        mappings: of each of them.
        plan: the plan.
        with_others: whether there may be others that are not encoded.

    Raises:
        InvalidPlanError: says which indices are too many, and what to do.

    Example:
        >>> films = {"_meta": {"funnel": {"slots": {"a": {"dense": {}}}}}}
        >>> encoded_index({"films": films, "news": {}}, FunnelPlan(alias="all"), with_others=True)
        'films'
    """
    if len(mappings) == 1:
        return next(iter(mappings))
    encoded = [index for index, mapping in mappings.items() if slot_of(mapping, plan.slot)]
    if len(encoded) != 1:
        raise InvalidPlanError(
            f"{plan.alias} stands for {len(mappings)} indices, {len(encoded)} of them encoded, "
            "and a plan is for one: name one, or an alias of one"
        )
    if not with_others:
        others = ", ".join(sorted(index for index in mappings if index not in encoded))
        raise InvalidPlanError(
            f"{plan.alias} stands for {encoded[0]} and for {others}, which the funnel does not "
            f"know: name {encoded[0]} (--index), or let the others be searched by their words "
            "alone, and never reranked (--with-others)"
        )
    return encoded[0]


def slot_of(mapping: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return what a mapping's ``_meta`` says filled a slot; empty where nothing did."""
    found: Mapping[str, Any] = (
        mapping.get("_meta", {}).get("funnel", {}).get("slots", {}).get(name) or {}
    )
    return found


def text_fields(properties: Mapping[str, Any], *, prefix: str = "") -> list[str]:
    """Return the names of all fields of type ``text``, those inside objects included.

    Example:
        >>> text_fields({"title": {"type": "text", "fields": {"raw": {"type": "keyword"},
        ...                                                   "en": {"type": "text"}}},
        ...              "year": {"type": "integer"},
        ...              "cast": {"properties": {"name": {"type": "text"}}}})
        ['cast.name', 'title', 'title.en']
    """
    found: list[str] = []
    for name, field in properties.items():
        path = f"{prefix}{name}"
        if field.get("type") == "text":
            found.append(path)
        # Documents inside a nested field are searched by a nested query only.
        if field.get("type", "object") != "nested":
            found += text_fields(field.get("properties", {}), prefix=f"{path}.")
        found += text_fields(field.get("fields", {}), prefix=f"{path}.")
    return sorted(found)


def _mappings(client: OpenSearch, plan: FunnelPlan) -> dict[str, dict[str, Any]]:
    found = client.indices.get_mapping(index=plan.alias)
    return {index: one["mappings"] for index, one in found.items()}


def _searched_fields(mappings: Mapping[str, Mapping[str, Any]], *, index: str) -> list[str]:
    """Return the text fields of an index that are nothing else in the indices beside it.

    What is a text here and a keyword there is searched by some client as a look-up.
    """
    found = text_fields(mappings[index].get("properties", {}))
    for other, mapping in mappings.items():
        if other != index:
            known = _types(mapping.get("properties", {}))
            found = [name for name in found if known.get(name, "text") == "text"]
    return found


def _types(properties: Mapping[str, Any], *, prefix: str = "") -> dict[str, str]:
    """Return the type of every field, by its full name."""
    found: dict[str, str] = {}
    for name, field in properties.items():
        path = f"{prefix}{name}"
        found[path] = field.get("type", "object")
        found |= _types(field.get("properties", {}), prefix=f"{path}.")
        found |= _types(field.get("fields", {}), prefix=f"{path}.")
    return found
