"""Find the folders ``mappings/`` and ``models/``: in a checkout, or inside an installed wheel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from opensearch_funnel.core.errors import InputError

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
