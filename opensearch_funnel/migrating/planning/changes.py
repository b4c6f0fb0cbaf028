"""What a migration changes in mapping and settings: pure functions of its record."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import unified_diff
from typing import Any

import orjson

from opensearch_funnel.engine.flat_settings import flat_settings
from opensearch_funnel.migrating.migration import Migration
from opensearch_funnel.migrating.planning.report import SettingsChanges
from opensearch_funnel.migrating.target_body import (
    LEFT_OUT,
    left_out,
    loading_settings,
    target_mappings,
    target_settings,
)


def mapping_diff(migration: Migration) -> str:
    """Return what the target's mapping has more than the source's, as a unified diff."""
    before, after = migration.snapshot.mappings, target_mappings(migration)
    return "\n".join(
        unified_diff(
            _lines(before),
            _lines(after),
            fromfile=migration.source,
            tofile=migration.target,
            lineterm="",
        )
    )


def settings_changes(migration: Migration) -> SettingsChanges:
    """Return what becomes of each of the source's settings."""
    before, after = flat_settings(migration.snapshot.settings), target_settings(migration)
    loading = loading_settings(migration)
    return SettingsChanges(
        taken_over=tuple(
            sorted(
                name for name in after if name in before and str(after[name]) == str(before[name])
            )
        ),
        changed={
            name: (before.get(name), value)
            for name, value in sorted(after.items())
            if str(before.get(name)) != str(value)
        },
        held_back={
            name: value
            for name, value in sorted(loading.items())
            if str(after.get(name)) != str(value)
        },
        left_out={
            name: why for name in sorted(before) if name not in after and (why := _why(name))
        },
    )


def _why(name: str) -> str:
    if not left_out(name):
        return "it does not fit the number of shards"
    return next(why for one, why in LEFT_OUT.items() if name == one or name.startswith(f"{one}."))


def _lines(mappings: Mapping[str, Any]) -> list[str]:
    option = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
    return orjson.dumps(mappings, option=option).decode().splitlines()
