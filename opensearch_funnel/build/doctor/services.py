"""What is read of a service, from here: the node's view of it is another matter."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2

CALL_S = 10.0
_LOADING_S = 30.0
_POLL_S = 0.2
_REFUSED = frozenset({401, 403})
_LOADING = "loading"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What answers at the address of a service.

    Attributes:
        url: where it was asked.
        plan_ids: the plans that were asked for.
        elsewhere: whether the address is the node's own machine's, which this one is not.
        unreachable: why nothing answered; empty where something did.
        identity: what it says of itself; empty where it is no funnel service.
        down: what it says of its worker, where that does not answer.
        shown: whether it was shown a token: only what was named here is, and this machine.
        refused: whether it wants another token than the one that was shown, or any.
        plans: the state of each plan: ``ready``, ``loading``, or why it failed.
    """

    url: str
    plan_ids: Sequence[str]
    elsewhere: bool = False
    unreachable: str = ""
    identity: Mapping[str, Any] | None = None
    down: str = ""
    shown: bool = False
    refused: bool = False
    plans: Mapping[str, str] | None = None

    def has_ready(self, plan_id: str) -> bool:
        """Say whether the service is known to have loaded a plan."""
        return (self.plans or {}).get(plan_id) == "ready"


def read_service(
    url: str, *, plan_ids: Sequence[str], token: str | None, cluster_url: str, meant: bool = False
) -> Service:
    """Ask a service who it is, and for the plans that it has to answer for.

    Args:
        url: where the cluster reaches it.
        plan_ids: plans that it should have loaded.
        token: what it wants to be shown.
        cluster_url: where the cluster is.
        meant: the address was given for this machine: it is asked wherever it is.
    """
    if not meant and is_loopback(url) and not is_loopback(cluster_url):
        return Service(url=url, plan_ids=plan_ids, elsewhere=True)
    try:
        answer = httpx2.get(f"{url}/health", timeout=CALL_S)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        reason = str(error) or type(error).__name__
        return Service(url=url, plan_ids=plan_ids, unreachable=reason)
    identity = _identity(answer)
    if identity is None:
        return Service(url=url, plan_ids=plan_ids)
    if "error" in identity:
        down = str(identity["error"])
        return Service(url=url, plan_ids=plan_ids, identity=identity, down=down)
    known = Service(url=url, plan_ids=plan_ids, identity=identity, shown=token is not None)
    plans: dict[str, str] = {}
    for plan_id in plan_ids:
        state = _plan_state(url, plan_id, token=token)
        if state is None:
            return replace(known, refused=True)
        plans[plan_id] = state
    return replace(known, plans=plans)


def _identity(answer: httpx2.Response) -> Mapping[str, Any] | None:
    """Return what a service says of itself; ``None`` where it is none of ours."""
    try:
        found = answer.json()
    except ValueError:
        return None
    return found if isinstance(found, dict) and {"service", "engine"} <= found.keys() else None


def _plan_state(url: str, plan_id: str, *, token: str | None) -> str | None:
    """Return the state of a plan, once it is loaded; ``None`` where the token is refused."""
    shown = {} if token is None else {"authorization": f"Bearer {token}"}
    address = f"{url}/v1/plans/{quote(plan_id, safe='')}"
    deadline = time.monotonic() + _LOADING_S
    while True:
        try:
            answer = httpx2.get(address, headers=shown, timeout=CALL_S)
            if answer.status_code in _REFUSED:
                return None
            found = answer.json()
        except (httpx2.HTTPError, ValueError) as error:
            return f"failed: {error}"
        state = str(found.get("state") or found.get("error"))
        if state != _LOADING or time.monotonic() > deadline:
            return state
        time.sleep(_POLL_S)


def is_loopback(url: str) -> bool:
    """Say whether an address is one of the machine that asks.

    Example:
        >>> is_loopback("http://localhost:8750"), is_loopback("https://search.example")
        (True, False)
    """
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
