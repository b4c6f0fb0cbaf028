"""Aggregations that only count: whatever order the hits come in, they give the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Left out: what looks at scores or keeps hits (top_hits, sampler, significant_text), what runs a
# script of its own over documents, and whatever else is not surely about the set of hits alone.
_COUNTING = frozenset(
    {
        "terms",
        "multi_terms",
        "rare_terms",
        "significant_terms",
        "histogram",
        "date_histogram",
        "auto_date_histogram",
        "variable_width_histogram",
        "range",
        "date_range",
        "ip_range",
        "geo_distance",
        "geohash_grid",
        "geotile_grid",
        "filter",
        "filters",
        "adjacency_matrix",
        "missing",
        "nested",
        "reverse_nested",
        "global",
        "composite",
        "min",
        "max",
        "avg",
        "sum",
        "stats",
        "extended_stats",
        "value_count",
        "cardinality",
        "percentiles",
        "percentile_ranks",
        "weighted_avg",
        "median_absolute_deviation",
        "geo_bounds",
        "geo_centroid",
        "avg_bucket",
        "sum_bucket",
        "min_bucket",
        "max_bucket",
        "stats_bucket",
        "extended_stats_bucket",
        "percentiles_bucket",
        "derivative",
        "cumulative_sum",
        "serial_diff",
        "moving_avg",
        "moving_fn",
        "bucket_script",
        "bucket_selector",
        "bucket_sort",
    }
)
_INNER = ("aggregations", "aggs")
_SCRIPTED_BUCKETS = frozenset({"bucket_script", "bucket_selector", "moving_fn"})


def only_count(aggregations: Any, *, inside: bool = False) -> bool:
    """Say whether aggregations depend on which hits there are, and on nothing else.

    ``cardinality`` counts only inside of buckets: on its own the engine prunes it by the query,
    which goes wrong under a hybrid one. Executed on 3.6.0: 37 values where there were 23, and now
    and then "Failed when performing dynamic pruning in cardinality aggregation", a 500.

    Args:
        aggregations: by name, as in a request.
        inside: they are in the buckets of another.

    Example:
        >>> only_count({"genres": {"terms": {"field": "genre"}}})
        True
        >>> only_count({"genres": {"terms": {"field": "genre"},
        ...                        "aggregations": {"best": {"top_hits": {}}}}})
        False
    """
    if not isinstance(aggregations, Mapping):
        return False
    return all(_counts(named, inside=inside) for named in aggregations.values())


def has_script(content: Any) -> bool:
    """Say whether a part of a request names a script, at whatever depth.

    Example:
        >>> has_script({"terms": {"field": "description"}})
        False
        >>> has_script({"sources": [{"a": {"terms": {"script": "1"}}}]})
        True
    """
    if isinstance(content, Mapping):
        return any(str(n).endswith("script") or has_script(inner) for n, inner in content.items())
    return isinstance(content, list) and any(has_script(inner) for inner in content)


def _counts(aggregation: Any, *, inside: bool) -> bool:
    if not isinstance(aggregation, Mapping):
        return False
    for kind, content in aggregation.items():
        if kind in _INNER:
            if not only_count(content, inside=True):
                return False
        elif kind != "meta" and (
            kind not in _COUNTING
            or (kind == "cardinality" and not inside)
            or (kind not in _SCRIPTED_BUCKETS and has_script(content))
        ):
            return False
    return True
