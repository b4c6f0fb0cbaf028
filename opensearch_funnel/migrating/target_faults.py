"""How an index differs from the body that it was to be made with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opensearch_funnel.core.funnel_object import FUNNEL
from opensearch_funnel.engine.matching_templates import TemplateEffect
from opensearch_funnel.migrating.mapping_tree import mapped_fields


def creation_faults(
    found: Mapping[str, Any], *, body: Mapping[str, Any], effect: TemplateEffect
) -> list[str]:
    """Name what a new index has that its body does not ask for, and the other way round.

    Args:
        found: its aliases, mapping and settings, the latter by their full names.
        body: what it was made with.
        effect: what templates say of an index of that name. Settings that neither it nor the body
            names are the engine's: plugins set some.

    Returns:
        One phrase each; none for an index that is as it has to be.
    """
    aliases, mappings, settings = found["aliases"], found["mappings"], found["settings"]
    faults = [f"alias {name}" for name in sorted(aliases.keys() ^ body["aliases"].keys())]
    faults += [
        f"setting {name}"
        for name, value in sorted(body["settings"].items())
        if str(settings.get(name)) != str(value)
    ]
    faults += [
        f"setting {name}"
        for name in sorted(effect.settings.keys() & settings.keys() - body["settings"].keys())
    ]
    faults += [
        f"mapping {name}"
        for name in sorted({*mappings, *body["mappings"]} - {"properties"})
        if mappings.get(name) != body["mappings"].get(name)
    ]
    here, planned = mapped_fields(mappings), mapped_fields(body["mappings"])
    faults += [f"field {path}" for path in sorted(here.keys() ^ planned.keys())]
    return faults + [
        f"field {path}"
        for path in sorted(here.keys() & planned.keys())
        if here[path].kind != planned[path].kind
        # The engine may write a field down in other words than it was given, and does so with
        # those of the funnel. Where templates match, other words may be theirs.
        or (effect.names and not _ours(path) and here[path].body != planned[path].body)
    ]


def resume_faults(
    found: Mapping[str, Any], *, mappings: Mapping[str, Any], settings: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Name what an index that was in use meanwhile lacks of what it was made with.

    It may have more: fields of documents, blocks that the engine sets, aliases.

    Args:
        found: its aliases, mapping and settings, the latter by their full names.
        mappings: what it was made with.
        settings: what it may have, at one time or the other.
    """
    allowed = {name: {str(one.get(name)) for one in settings} for one in settings for name in one}
    faults = [
        f"setting {name}"
        for name, values in sorted(allowed.items())
        if str(found["settings"].get(name)) not in values
    ]
    here, planned = mapped_fields(found["mappings"]), mapped_fields(mappings)
    faults += [
        f"field {path}"
        for path, field in planned.items()
        if path not in here or here[path].kind != field.kind
    ]
    meta = found["mappings"].get("_meta", {}).get(FUNNEL, {}).get("slots")
    return faults + ([] if meta == mappings["_meta"][FUNNEL]["slots"] else ["_meta.funnel.slots"])


def _ours(path: str) -> bool:
    return path == FUNNEL or path.startswith(f"{FUNNEL}.")
