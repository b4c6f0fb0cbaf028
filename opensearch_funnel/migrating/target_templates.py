"""Templates whose patterns match the target's name: it has to be as planned all the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InvalidPlanError
from opensearch_funnel.engine.matching_templates import (
    TemplateEffect,
    additions,
    template_effect,
)


def refuse_additions(client: OpenSearch, *, target: str, body: Mapping[str, Any]) -> TemplateEffect:
    """Refuse a name that templates match which would add something to the index.

    Returns:
        What they say of it: nothing that the body has not.

    Raises:
        InvalidPlanError: names the templates and what they would add.
    """
    effect = template_effect(client, target)
    if effect.data_stream:
        raise addition_error(effect, target=target, added=["a data stream in its place"])
    if added := additions(effect, body):
        raise addition_error(effect, target=target, added=added)
    return effect


def addition_error(
    effect: TemplateEffect, *, target: str, added: Sequence[str]
) -> InvalidPlanError:
    """Return the error that says what templates add to the target, and what to do."""
    by = " and ".join(effect.names) or "a plugin, or a template that is gone by now,"
    return InvalidPlanError(
        f"{by} would add to the new index {target}, which is to be the copy of another one: "
        f"{', '.join(added)}; change the template's patterns, or give the index a name that they "
        "do not match (funnel migrate plan --target)"
    )
