"""What templates would add to an index of a certain name, before there is one.

Executed on 3.6.0: the index template of the highest priority whose pattern matches is merged with
the body of the request, and legacy templates then do nothing; without one, all legacy templates
that match are. What the body says of a field or a setting stands; a template adds what the body
does not have: settings, aliases, members of ``_meta``, whole fields, and, an index template only,
fields inside of objects.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.engine.flat_settings import flat_settings

_EVERY = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateEffect:
    """What templates say of an index that is not there yet.

    Attributes:
        names: the templates that take part, with their kind; empty for none.
        settings: by their full names.
        mappings: the body of a mapping.
        aliases: the aliases that the index would get.
        deep: whether fields inside of objects are merged, too.
        data_stream: whether no index may have that name, only a data stream.
    """

    names: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    mappings: Mapping[str, Any] = field(default_factory=dict)
    aliases: Mapping[str, Any] = field(default_factory=dict)
    deep: bool = False
    data_stream: bool = False


def template_effect(client: OpenSearch, index: str) -> TemplateEffect:
    """Read what templates would add to an index of that name.

    Args:
        client: the cluster.
        index: a name that no index has; not one of a hidden index.

    Raises:
        EngineError: templates cannot be read.
    """
    ask = client.transport.perform_request
    composable = [
        one
        for one in ask("GET", "/_index_template")["index_templates"]
        if name_matches(index, one["index_template"]["index_patterns"])
    ]
    if composable:
        winner = max(composable, key=lambda one: int(one["index_template"].get("priority") or 0))
        made = ask("POST", f"/_index_template/_simulate_index/{index}").get("template", {})
        return TemplateEffect(
            names=(f"index template {winner['name']}",),
            settings=flat_settings(made.get("settings") or {}),
            mappings=made.get("mappings") or {},
            aliases=made.get("aliases") or {},
            deep=True,
            data_stream="data_stream" in winner["index_template"],
        )
    return _legacy_effect(ask("GET", "/_template"), index)


def name_matches(index: str, patterns: list[str]) -> bool:
    """Say whether the name of an index is one that a template is for.

    Example:
        >>> name_matches("films-2", ["news", "film*-?", "f*s-*"]), name_matches("films", ["film"])
        (True, False)
    """
    return any(
        re.fullmatch(".*".join(map(re.escape, pattern.split(_EVERY))), index)
        for pattern in patterns
    )


def additions(effect: TemplateEffect, body: Mapping[str, Any]) -> list[str]:
    """Name what an index made with this body would have that the body does not ask for.

    Args:
        effect: what templates say.
        body: what the index is made with; settings by their full names.

    Returns:
        One phrase each, such as ``field tags``; none where the index is as the body has it.

    Example:
        >>> effect = TemplateEffect(settings={"index.codec": "zlib"}, aliases={"all": {}},
        ...     mappings={"dynamic": "strict", "properties": {"tags": {"type": "keyword"}}})
        >>> additions(effect, {"settings": {}, "mappings": {"dynamic": "true"}, "aliases": {}})
        ['alias all', 'field tags', 'setting index.codec']
    """
    mappings = body["mappings"]
    added = [f"alias {name}" for name in effect.aliases if name not in body["aliases"]]
    added += [f"setting {name}" for name in effect.settings if name not in body["settings"]]
    for name, value in effect.mappings.items():
        if name == "properties":
            added += _fields_added(value, mappings.get(name, {}), deep=effect.deep)
        elif name == "_meta":
            meta = mappings.get(name, {})
            added += [f"_meta.{one}" for one in value if one not in meta]
        elif name == "dynamic_templates":
            added += [
                f"dynamic template {one}"
                for one in _names(value)
                if (effect.deep or name not in mappings)
                and one not in _names(mappings.get(name, []))
            ]
        elif name not in mappings:
            added.append(f"mapping {name}")
    return sorted(added)


def _legacy_effect(templates: Mapping[str, Any], index: str) -> TemplateEffect:
    matching = sorted(
        (
            (name, one)
            for name, one in templates.items()
            if name_matches(index, one["index_patterns"])
        ),
        key=lambda pair: int(pair[1].get("order", 0)),
    )
    settings: dict[str, Any] = {}
    mappings: dict[str, Any] = {}
    aliases: dict[str, Any] = {}
    for _, one in matching:
        settings |= flat_settings(one.get("settings", {}))
        aliases |= one.get("aliases", {})
        found = one.get("mappings", {})
        properties = {**mappings.get("properties", {}), **found.get("properties", {})}
        mappings |= {**found, "properties": properties}
    return TemplateEffect(
        names=tuple(f"template {name}" for name, _ in matching),
        settings=settings,
        mappings=mappings,
        aliases=aliases,
    )


def _fields_added(
    theirs: Mapping[str, Any], ours: Mapping[str, Any], *, deep: bool, prefix: str = ""
) -> list[str]:
    added = []
    for name, one in theirs.items():
        inner = one.get("properties", {})
        if name not in ours:
            added.append(f"field {prefix}{name}")
        elif deep and inner and "properties" in ours[name]:
            own = ours[name]["properties"]
            added += _fields_added(inner, own, deep=True, prefix=f"{prefix}{name}.")
    return added


def _names(templates: list[Mapping[str, Any]]) -> list[str]:
    return [name for one in templates for name in one]
