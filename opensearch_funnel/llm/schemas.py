"""The JSON schema of an answer, from the type that it is read into."""

from __future__ import annotations

import re
from typing import Any

import msgspec


def answer_schema(answer: type[Any]) -> dict[str, Any]:
    """Return the schema of a struct, with the object itself at the root, as endpoints want it.

    Example:
        >>> class Grade(msgspec.Struct, forbid_unknown_fields=True):
        ...     grade: int
        >>> answer_schema(Grade)["properties"]
        {'grade': {'type': 'integer'}}
    """
    schema = msgspec.json.schema(answer)
    definitions = dict(schema.get("$defs", {}))
    name = schema.get("$ref", "").rpartition("/")[2]
    if name not in definitions:
        return schema
    refers_to_itself = f'"#/$defs/{name}"' in msgspec.json.encode(definitions).decode()
    root = definitions[name] if refers_to_itself else definitions.pop(name)
    return {**root, "$defs": definitions} if definitions else dict(root)


def response_format(answer: type[Any]) -> dict[str, Any]:
    """Return the parameter that asks for answers of a type.

    It is strict where the schema is one that strict endpoints take: every object names all its
    fields, requires them and forbids others.
    """
    schema = answer_schema(answer)
    name = re.sub(r"\W", "_", answer.__name__)[:64]
    described = {"name": name, "schema": schema, "strict": _closed(schema)}
    return {"type": "json_schema", "json_schema": described}


def _closed(schema: Any) -> bool:
    if isinstance(schema, list):
        return all(_closed(part) for part in schema)
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" and (
        schema.get("additionalProperties") is not False
        or set(schema.get("required", ())) != set(schema.get("properties", ()))
    ):
        return False
    return all(_closed(part) for part in schema.values())
