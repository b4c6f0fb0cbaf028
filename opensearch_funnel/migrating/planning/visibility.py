"""Whether the user who plans sees every document that the index has."""

from __future__ import annotations

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError, InputError
from opensearch_funnel.engine.indices import refresh_index
from opensearch_funnel.migrating.planning.source import Source, count_in_lucene, count_seen

_ATTEMPTS = 5
_NO_SUCH_ROUTE = 400


def refuse_hidden_documents(client: OpenSearch, source: Source) -> list[str]:
    """Refuse to plan for a user from whom a part of the index is hidden: he would copy a part.

    Document-level security filters what a search counts, but not what an index says of its own
    size, which is the higher number then. With nested fields the two count different things.

    Returns:
        Risks, where it cannot be told.

    Raises:
        InputError: the user sees fewer documents than there are.
    """
    secured = has_security_plugin(client)
    if any(field.nested for field in source.fields.values()):
        return [_unknown("nested documents are counted along")] if secured else []
    for _ in range(_ATTEMPTS):
        before = count_in_lucene(client, source.name)
        refresh_index(client, index=source.name)
        seen = count_seen(client, source.name)
        there = min(before, count_in_lucene(client, source.name))
        # Writers may be at work: what was deleted between the counts is in one of them only.
        if seen >= there:
            return [_MASKED] if secured else []
    raise InputError(
        f"this user sees {seen:,} of the {there:,} documents of {source.name}, and would copy "
        "those alone: plan and run as a user whose roles have no document-level security"
    )


def has_security_plugin(client: OpenSearch) -> bool:
    """Say whether the cluster tells its users apart."""
    try:
        client.transport.perform_request("GET", "/_plugins/_security/authinfo")
    except EngineError as error:
        return error.status != _NO_SUCH_ROUTE
    return True


def _unknown(why: str) -> str:
    return (
        f"whether this user sees every document cannot be told ({why}): run as one whose roles "
        "have no document-level security, or a part is copied"
    )


_MASKED = (
    "fields that this user may not see (field-level security, masked fields) are missing or masked "
    "in what is copied: run as a user whose roles have neither"
)
