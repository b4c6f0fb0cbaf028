"""Whether the engine would make the target, and make it as planned; nothing is made for that."""

from __future__ import annotations

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import (
    EngineDeniedError,
    EngineError,
    InputError,
    InvalidPlanError,
)
from opensearch_funnel.engine.indices import index_exists
from opensearch_funnel.engine.matching_templates import TemplateEffect
from opensearch_funnel.migrating.migration import Migration
from opensearch_funnel.migrating.target_body import target_body
from opensearch_funnel.migrating.target_templates import refuse_additions

_BEFORE_ALL = 2**62
_LONGEST = 255
_BAD_REQUEST = 400


def refuse_infeasible(client: OpenSearch, migration: Migration) -> TemplateEffect:
    """Refuse a target that the engine would not make, or that templates would add to.

    Returns:
        What templates say of the target: nothing that it does not have anyhow.

    Raises:
        InputError: its name is taken or cannot be one.
        InvalidPlanError: templates would add to it, or the engine refuses its settings or mapping.
        EngineDeniedError: this user may not ask.
    """
    target = migration.target
    if len(migration.writing_alias.encode()) > _LONGEST or target != target.lower():
        raise InputError(
            f"{target!r} cannot be the name of an index: name another one, in lower case (--target)"
        )
    if index_exists(client, index=target):
        raise InputError(f"there is an index or alias {target} already: name another (--target)")
    effect = refuse_additions(client, target=target, body=target_body(migration))
    _refuse_invalid(client, migration)
    return effect


def _refuse_invalid(client: OpenSearch, migration: Migration) -> None:
    """Have the engine check the body as one of a template, which it does not keep."""
    body = target_body(migration)
    template = {"settings": body["settings"], "mappings": body["mappings"]}
    asked = {
        "index_patterns": [migration.target],
        "priority": _BEFORE_ALL,
        "template": template,
    }
    path = f"/_index_template/_simulate_index/{migration.target}"
    try:
        client.transport.perform_request("POST", path, body=asked)
    except EngineDeniedError:
        raise
    except EngineError as error:
        if error.status != _BAD_REQUEST:
            raise
        raise InvalidPlanError(
            f"the engine would not make {migration.target} with the settings and the mapping of "
            f"{migration.source}: {error}"
        ) from error
