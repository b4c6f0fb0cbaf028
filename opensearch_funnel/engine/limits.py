"""Limits of an index and its cluster that an upgraded search must not run into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InvalidPlanError

_LEAST = {
    # The fused list is asked for whole, and no leg may be deeper.
    "index.max_result_window": 10_000,
    # The client's own fields and the two that the reranker needs (allow_list).
    "index.max_docvalue_fields_search": 100,
    # What the allow-list leaves room for, and some to spare.
    "indices.query.bool.max_clause_count": 1024,
}


def limits_of(client: OpenSearch, *, index: str) -> list[dict[str, Any]]:
    """Read the settings of every index behind a name, with the cluster's and what is default."""
    flat = {"flat_settings": "true", "include_defaults": "true"}
    cluster = client.cluster.get_settings(params=flat)
    of_cluster = {**cluster["defaults"], **cluster["persistent"], **cluster["transient"]}
    return [
        {**of_cluster, **found.get("defaults", {}), **found["settings"]}
        for found in client.indices.get_settings(index=index, params=flat).values()
    ]


def refuse_tight_limits(limits: Sequence[Mapping[str, Any]], *, index: str) -> None:
    """Refuse an index whose limits are below the engine's defaults, which upgraded searches need.

    The rewritten search would fail with a 400 that the engine's pipeline does not catch.

    Args:
        limits: as ``limits_of`` reads them.
        index: names them in the error.

    Raises:
        InvalidPlanError: names the setting, what it is, and what it has to be.

    Example:
        >>> refuse_tight_limits([{"index.max_result_window": "10000"}], index="films")
    """
    for given in limits:
        for name, least in _LEAST.items():
            value = given.get(name)
            if value is not None and int(value) < least:
                raise InvalidPlanError(
                    f"{name} of {index} is {value}, and upgraded searches need {least} (the "
                    "default): raise it, or they would fail"
                )


def searches_all_fields(limits: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether a query string without fields looks into every field of an index.

    ``index.query.default_field`` can name others, and a search in those may be a look-up.

    Example:
        >>> searches_all_fields([{"index.query.default_field": ["title"]}])
        False
    """
    fields = [given.get("index.query.default_field", "*") for given in limits]
    return all(named in ("*", ["*"]) for named in fields)
