"""The fields of a mapping as one flat list, however they are nested."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_OBJECT, _NESTED = "object", "nested"
_INNER = ("properties", "fields")


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedField:
    """One field of a mapping.

    Attributes:
        path: its full name.
        kind: its type; ``object`` where the mapping names none.
        body: what the mapping says of it, less the fields inside of it.
        nested: the nested field that it is in, or is; empty for none.
        multi_of: the field that it is another form of; empty for a field with a value of its own.
    """

    path: str
    kind: str
    body: Mapping[str, Any]
    nested: str = ""
    multi_of: str = ""


def mapped_fields(mappings: Mapping[str, Any]) -> dict[str, MappedField]:
    """Return every field of a mapping by its full name: objects and other forms of fields, too.

    Args:
        mappings: the body of a mapping.

    Example:
        >>> found = mapped_fields({"properties": {
        ...     "title": {"type": "text", "fields": {"raw": {"type": "keyword"}}},
        ...     "cast": {"type": "nested", "properties": {"name": {"type": "text"}}}}})
        >>> {path: (field.kind, field.nested, field.multi_of) for path, field in found.items()}
        ... # doctest: +NORMALIZE_WHITESPACE
        {'title': ('text', '', ''), 'title.raw': ('keyword', '', 'title'),
         'cast': ('nested', 'cast', ''), 'cast.name': ('text', 'cast', '')}
    """
    return {field.path: field for field in _walk(mappings.get("properties", {}))}


def _walk(
    properties: Mapping[str, Any], *, prefix: str = "", nested: str = "", multi_of: str = ""
) -> Iterator[MappedField]:
    for name, field in properties.items():
        path = f"{prefix}{name}"
        kind = str(field.get("type", _OBJECT))
        within = nested or (path if kind == _NESTED else "")
        body = {key: value for key, value in field.items() if key not in _INNER}
        yield MappedField(path=path, kind=kind, body=body, nested=within, multi_of=multi_of)
        yield from _walk(
            field.get("properties", {}), prefix=f"{path}.", nested=within, multi_of=multi_of
        )
        yield from _walk(
            field.get("fields", {}), prefix=f"{path}.", nested=within, multi_of=multi_of or path
        )
