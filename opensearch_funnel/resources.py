"""Find the folders ``mappings/`` and ``models/``: in a checkout, or inside an installed wheel."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from opensearch_funnel.core.errors import InputError

_PLACEHOLDER = re.compile(r"@([A-Z_]+)@")
_PACKAGE = Path(__file__).resolve().parent


def _folder(name: str) -> Path:
    # A wheel carries the folders inside the package, a checkout beside it (pyproject.toml).
    for candidate in (_PACKAGE / "_resources" / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise InputError(f"the folder {name}/ is missing from this installation: reinstall it")


def mappings_dir() -> Path:
    """Return the folder with index mappings and search pipeline bodies."""
    return _folder("mappings")


def models_dir() -> Path:
    """Return the folder with model manifests and the project's own weights."""
    return _folder("models")


def mapping(name: str) -> dict[str, Any]:
    """Read one JSON body of ``mappings/``.

    Args:
        name: the file's name without ``.json``, for example ``documents.v1``.

    Raises:
        InputError: there is no such file.

    Example:
        >>> sorted(mapping("documents.v1"))
        ['mappings', 'settings']
    """
    path = mappings_dir() / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in mappings_dir().glob("*.json")))
        raise InputError(f"no mapping {name!r}; there are: {known}")
    body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return body


def filled(name: str, **values: str) -> dict[str, Any]:
    """Read one JSON body of ``mappings/`` with values in the place of its placeholders.

    Args:
        name: the file's name without ``.json``.
        values: by the placeholder's name: ``ALIAS`` for ``@ALIAS@``. Others stay as they are.

    Raises:
        InputError: there is no such file.

    Example:
        >>> filled("model.v1", PLAN_ID="films.1", ACTION="rank", CONNECTOR_ID="c")["name"]
        'funnel films.1 rank'
    """

    def put(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: put(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [put(inner) for inner in value]
        if isinstance(value, str):
            # In one pass: what is put in is never read as a placeholder itself.
            return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), value)
        return value

    body: dict[str, Any] = put(mapping(name))
    return body
