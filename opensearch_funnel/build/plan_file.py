"""Write a plan into a ``funnel.toml``: what changed, and nothing else of the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opensearch_funnel.core.errors import InputError, MissingExtraError
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.evaluating.whole_files import write_whole

_TABLE = "plan"

Change = tuple[str, Any, Any]
"""The name of a key under ``[plan]``, its value before, and now."""


def changes(before: FunnelPlan, after: FunnelPlan) -> list[Change]:
    """Return what one plan says otherwise than another.

    Example:
        >>> before = FunnelPlan(alias="films")
        >>> changes(before, FunnelPlan.from_dict({"alias": "films", "dense": {"weight": 2.0}}))
        [('dense.weight', 1.0, 2.0)]
    """
    old, new = before.to_dict(), after.to_dict()
    found: list[Change] = []
    for name, value in new.items():
        if isinstance(value, Mapping):
            found += [(f"{name}.{k}", old[name][k], v) for k, v in value.items()]
        else:
            found.append((name, old[name], value))
    return [change for change in found if change[1] != change[2]]


def require_tomlkit() -> None:
    """Say that no plan can be written before long work, not after it.

    Raises:
        MissingExtraError: tomlkit is not installed.
    """
    try:
        import tomlkit as _  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise MissingExtraError("tomlkit", extra="evaluation") from error


def write_plan(path: Path, changed: list[Change], *, to: Path | None = None) -> None:
    """Write changes under ``[plan]``; comments, order and all other keys stay as they are.

    The file is replaced whole or not at all. One that is not there is made.

    Args:
        path: of the file that has the plan as it was.
        changed: what to write (``changes``).
        to: write the changed plan there, and nothing else that is in the file; it stays as it is.

    Raises:
        InputError: the file cannot be read as TOML, or not be written.
        MissingExtraError: tomlkit is not installed.
    """
    require_tomlkit()
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        document: Any = tomlkit.parse(text)
    except (OSError, UnicodeDecodeError, TOMLKitError) as error:
        raise InputError(f"{path} cannot be changed: {error}") from error
    plan = document.setdefault(_TABLE, tomlkit.table())
    for name, _, value in changed:
        table = plan
        *outer, key = name.split(".")
        for part in outer:
            table = table.setdefault(part, tomlkit.table())
        table[key] = value
    if to is not None:
        # Settings may hold what nobody else is to read.
        document = tomlkit.document().append(_TABLE, plan)
    write_whole({to or path: tomlkit.dumps(document).encode()})
