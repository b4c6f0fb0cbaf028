"""What the client says of an answer that refuses."""

from __future__ import annotations

from typing import Any

import pytest
from opensearchpy import exceptions as foreign

from opensearch_funnel.core.errors import EngineDeniedError
from opensearch_funnel.engine.client import engine_error


def refusal(status: int, kind: str, reason: str) -> foreign.TransportError:
    error = {"type": kind, "reason": reason}
    body: dict[str, Any] = {"error": {"root_cause": [error], **error}, "status": status}
    return foreign.TransportError(status, kind, body)


def test_a_write_block_is_not_about_credentials() -> None:
    blocked = "index [films] blocked by: [FORBIDDEN/8/index write (api)];"
    error = engine_error(refusal(403, "cluster_block_exception", blocked))
    assert not isinstance(error, EngineDeniedError)
    assert str(error) == f"OpenSearch refused (403): {blocked}"
    assert (error.status, error.kind) == (403, "cluster_block_exception")


@pytest.mark.parametrize("status", [401, 403])
def test_what_a_user_may_not_do_is_named(status: int) -> None:
    reason = "no permissions for [indices:data/write/index] and User [name=reader]"
    error = engine_error(refusal(status, "security_exception", reason))
    assert isinstance(error, EngineDeniedError)
    assert "refused the credentials" in str(error)
    assert reason in str(error)


def test_credentials_that_are_missing_are_asked_for() -> None:
    error = engine_error(foreign.AuthenticationException(401, "Unauthorized", "Unauthorized"))
    assert isinstance(error, EngineDeniedError)
    assert "Unauthorized" in str(error)
    assert "FUNNEL_PASSWORD" in str(error)
