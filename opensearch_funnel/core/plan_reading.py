"""Read the tables of a plan, each into its own class: names, types and choices are checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar, get_args

from opensearch_funnel.core.errors import InvalidPlanError
from opensearch_funnel.core.plan_parts import (
    Bm25Leg,
    Combination,
    Deadlines,
    DenseLeg,
    Fusion,
    Matching,
    PerQuery,
    Reranking,
    SparseLeg,
    Technique,
    Trace,
    Trust,
)
from opensearch_funnel.core.query_kinds import Feature

PARTS: dict[str, type[Any]] = {
    "bm25": Bm25Leg,
    "sparse": SparseLeg,
    "dense": DenseLeg,
    "fusion": Fusion,
    "trust": Trust,
    "per_query": PerQuery,
    "rerank": Reranking,
    "deadlines": Deadlines,
}
"""The class of each table of a plan, by the table's name."""
_ANNOTATIONS: dict[str, tuple[Any, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "tuple[str, ...]": (tuple,),
    **{name: (kind,) for name, kind in ((k.__name__, k) for k in PARTS.values())},
}
_CHOICES: dict[str, Any] = {
    "Technique": Technique,
    "Combination": Combination,
    "Trace": Trace,
    "Matching": Matching,
    "Feature": Feature,
}

Table = TypeVar("Table")


def read_table(kind: type[Table], values: Any, *, where: str) -> Table:
    """Build one dataclass from a mapping.

    Args:
        kind: the class.
        values: by the names of its fields.
        where: they stand, for the error.

    Raises:
        InvalidPlanError: a key is unknown, or a value is of the wrong type or none of
            its choices; or the class refuses them.

    Example:
        >>> read_table(SparseLeg, {"query_terms": 8}, where="[sparse]").query_terms
        8
    """
    if not isinstance(values, Mapping):
        raise InvalidPlanError(f"{where} must be a table, not {values!r}")
    told = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    for name, value in values.items():
        if name not in told:
            raise InvalidPlanError(f"unknown key {name!r} in {where}")
        _check(name, value, str(told[name].type), where=where)
    return kind(**values)


def _check(name: str, value: Any, annotation: str, *, where: str) -> None:
    if annotation in _CHOICES:
        choices = get_args(_CHOICES[annotation])
        if value not in choices:
            raise InvalidPlanError(
                f"{name} in {where} must be one of {', '.join(choices)}, not {value!r}"
            )
        return
    expected = _ANNOTATIONS[annotation]
    wrong_bool = isinstance(value, bool) and bool not in expected
    if wrong_bool or not isinstance(value, expected):
        raise InvalidPlanError(f"{name} in {where} must be {annotation}, not {value!r}")
