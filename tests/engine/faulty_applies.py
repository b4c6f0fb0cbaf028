"""Applies that fail, or are interrupted, at one of their writes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine import state
from opensearch_funnel.engine.client import connect
from opensearch_funnel.settings import Settings
from tests.engine.left_behind import left

ways_to_go_wrong = pytest.mark.parametrize(
    ("fault", "replaces"),
    [
        ("refused", False),
        ("interrupted", True),
        pytest.param("refused", True, marks=pytest.mark.exhaustive),
        pytest.param("interrupted", False, marks=pytest.mark.exhaustive),
    ],
)


class FaultyTransport:
    """The client's transport; one of its writes goes wrong.

    Ctrl-C comes after the cluster has done what was asked, a refusal before. Only the request
    that makes a connector is interrupted before, too: its answer alone says what was made.
    """

    def __init__(self, transport: Any, *, at: int, fault: str) -> None:
        self.inner = transport
        self.left = at
        self.fault = fault

    def perform_request(self, method: str, path: str, **kwargs: Any) -> Any:
        write = method in {"PUT", "POST", "DELETE"} and not path.endswith(("_search", "_predict"))
        self.left -= write
        wrong = write and self.left == 0
        if wrong and self.fault == "refused":
            raise EngineError("refused on purpose", status=403)
        if wrong and path.endswith("connectors/_create"):
            raise KeyboardInterrupt
        answer = self.inner.perform_request(method, path, **kwargs)
        if wrong:
            raise KeyboardInterrupt
        return answer


def faulty(settings: Settings, *, at: int, fault: str) -> OpenSearch:
    client = connect(settings)
    transport: Any = FaultyTransport(client.transport, at=at, fault=fault)
    client.transport = transport
    return client


def apply_until_kept(
    client: OpenSearch,
    faulty_client: Callable[..., OpenSearch],
    plan: FunnelPlan,
    *,
    apply: Callable[[OpenSearch], object],
) -> int:
    """Apply a plan again and again, another write going wrong each time, until it is kept.

    Each time before that the cluster is as it was.

    Args:
        client: of a cluster where all is well.
        faulty_client: gives a client whose write number ``at`` goes wrong.
        plan: what is applied.
        apply: applies it with a client.

    Returns:
        The first write that may go wrong with the plan kept: what is left to do then is to delete
        what the old one needed.
    """
    before = left(client)
    for at in count(1):
        with suppress(EngineError, KeyboardInterrupt):
            apply(faulty_client(at=at))
        stored = state.load_pipeline(client, f"funnel-{plan.alias}")
        if stored is not None and stored.plan_id == plan.plan_id:
            return at
        assert left(client) == before, f"after write {at} of an apply"
    raise AssertionError("count does not end")
