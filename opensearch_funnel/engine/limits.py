"""Limits of an index and its cluster that an upgraded search must not run into."""

from __future__ import annotations

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InvalidPlanError

_INDEX_LIMITS = {
    # The fused list is asked for whole, and no leg may be deeper.
    "index.max_result_window": 10_000,
    # The client's own fields and the two that the reranker needs (allow_list).
    "index.max_docvalue_fields_search": 100,
}
_CLUSTER_LIMITS = {
    # What the allow-list leaves room for, and some to spare.
    "indices.query.bool.max_clause_count": 1024,
}
_ALL_FIELDS = frozenset({"*", "['*']", "[*]"})


def refuse_tight_limits(client: OpenSearch, *, index: str) -> None:
    """Refuse an index whose limits are below the engine's defaults, which upgraded searches need.

    The rewritten search would fail with a 400 that the engine's pipeline does not catch.

    Raises:
        InvalidPlanError: names the setting, what it is, and what it has to be.
    """
    found = client.indices.get_settings(
        index=index, params={"flat_settings": "true", "include_defaults": "true"}
    )
    cluster = client.cluster.get_settings(
        params={"flat_settings": "true", "include_defaults": "true"}
    )
    given = {**cluster["defaults"], **cluster["persistent"], **cluster["transient"]}
    for settings in found.values():
        given |= {**settings.get("defaults", {}), **settings["settings"]}
    for name, least in {**_INDEX_LIMITS, **_CLUSTER_LIMITS}.items():
        value = given.get(name)
        if value is not None and int(value) < least:
            raise InvalidPlanError(
                f"{name} of {index} is {value}, and upgraded searches need {least} (the "
                "default): raise it, or they would fail"
            )


def searches_all_fields(client: OpenSearch, *, index: str) -> bool:
    """Say whether a query string without fields looks into every field of an index.

    ``index.query.default_field`` can name others, and a search in those may be a look-up.
    """
    found = client.indices.get_settings(
        index=index,
        name="index.query.default_field",
        params={"flat_settings": "true", "include_defaults": "true"},
    )
    for settings in found.values():
        values = {**settings.get("defaults", {}), **settings["settings"]}
        fields = values.get("index.query.default_field", "*")
        if (fields if isinstance(fields, str) else str(fields)) not in _ALL_FIELDS:
            return False
    return True
