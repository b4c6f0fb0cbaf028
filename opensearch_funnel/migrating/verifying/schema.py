"""Whether the target's mapping and settings are those that were planned, and nobody else's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.engine.flat_settings import flat_settings
from opensearch_funnel.migrating.migration import Migration, Snapshot
from opensearch_funnel.migrating.snapshots import leaves
from opensearch_funnel.migrating.target_body import (
    left_out,
    loading_settings,
    target_mappings,
    target_settings,
)
from opensearch_funnel.migrating.verifying.report import Check

_LISTED = 20
_LIMIT = "index.mapping.total_fields.limit"
_BLOCKS = "index.blocks."
_BY_PLUGINS = frozenset(
    {"index.merge.policy.floor_segment", "index.merge.policy.max_merge_at_once"}
)
"""What the k-NN plugin sets on every index with vectors (executed on 3.6.0)."""
_SPACE = ".method.space_type"
Flat = dict[str, Any]


def check_mapping(migration: Migration, *, source: Mapping[str, Any], target: Any) -> Check:
    """Compare the target's mapping with the source's of now and the fields of the slot.

    A field that the source got since it was planned is in the target as soon as a document with
    it was copied; where no such document is left, it may be missing there.

    Args:
        migration: as planned.
        source: the source's mapping as it is now.
        target: the target's.
    """
    planned = _leaves(target_mappings(migration))
    now = _leaves(target_mappings(_with(migration, mappings=dict(source))))
    faults, notes = [], []
    for name, wanted, present in _unequal(now, _leaves(target)):
        if present is None and name not in planned:
            notes.append(f"{name}: new in the source, and no copied document has it")
        else:
            faults.append(f"{name}: {_shown(present)} in the target, {_shown(wanted)} planned")
    return Check(
        name="mapping",
        passed=not faults,
        summary=_summary(
            faults, right="the target's mapping is the source's and the slot's fields"
        ),
        details={"differences": faults[:_LISTED], "notes": notes[:_LISTED]},
    )


def check_settings(migration: Migration, *, source: Mapping[str, Any], target: Any) -> Check:
    """Compare the target's settings with what is planned for it, at the end or while it is loaded.

    Args:
        migration: as planned.
        source: the source's settings as they are now.
        target: the target's.
    """
    current = _with(migration, settings=dict(source))
    planned, now = target_settings(migration), target_settings(current)
    loading = loading_settings(current)
    present = {
        name: value
        for name, value in flat_settings(target).items()
        if not left_out(name) or name.startswith(_BLOCKS)
    }
    faults = []
    for name, wanted, found in _unequal(now, present):
        as_loading = name in loading and found is not None and str(found) == str(loading[name])
        # The limit follows the number of fields.
        grown = name == _LIMIT and found == planned.get(name)
        if as_loading or grown or (wanted is None and name in _BY_PLUGINS):
            continue
        changed = ""
        if wanted != planned.get(name):
            changed = ", which the source got since: set it on the target, too"
        faults.append(f"{name}: {_shown(found)} in the target, {_shown(wanted)} planned{changed}")
    return Check(
        name="settings",
        passed=not faults,
        summary=_summary(faults, right="the target's settings are those that were planned"),
        details={"differences": faults[:_LISTED]},
    )


def check_schema(client: OpenSearch, migration: Migration) -> list[Check]:
    """Read both indices' mappings and settings, and compare them.

    Raises:
        IndexMissingError: one of them is gone.
    """
    source, target = migration.source, migration.target
    names = f"{source},{target}"
    mappings = client.indices.get_mapping(index=names)
    settings = client.indices.get_settings(index=names)
    return [
        check_mapping(
            migration, source=mappings[source]["mappings"], target=mappings[target]["mappings"]
        ),
        check_settings(
            migration, source=settings[source]["settings"], target=settings[target]["settings"]
        ),
    ]


def _with(migration: Migration, **changes: Any) -> Migration:
    snapshot: Snapshot = replace(migration.snapshot, **changes)
    return replace(migration, snapshot=snapshot)


def _unequal(wanted: Flat, present: Flat) -> Iterator[tuple[str, Any, Any]]:
    for name in sorted(wanted.keys() | present.keys()):
        if _text(wanted.get(name)) != _text(present.get(name)):
            yield name, wanted.get(name), present.get(name)


def _text(value: Any) -> Any:
    """Compare as the engine writes: it gives back ``"true"`` for true and ``"3"`` for 3."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def _leaves(mappings: Mapping[str, Any]) -> Flat:
    """Return a mapping's leaves by their paths, less what the engine says twice."""
    flat = leaves(mappings)
    return {
        name: value
        for name, value in flat.items()
        # A vector's space type that is given beside its method comes back inside of it, too.
        if not (name.endswith(_SPACE) and flat.get(name.replace(_SPACE, ".space_type")) == value)
    }


def _shown(value: Any) -> str:
    return "nothing" if value is None else repr(value)


def _summary(faults: list[str], *, right: str) -> str:
    if not faults:
        return right
    more = f" and {len(faults) - 1:,} more" if len(faults) > 1 else ""
    return f"{faults[0]}{more}"
