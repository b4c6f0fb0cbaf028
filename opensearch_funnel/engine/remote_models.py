"""Connectors and remote models of ml-commons: how the engine calls the service.

See https://docs.opensearch.org/latest/ml-commons-plugin/remote-models/connectors/.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.engine.search_pipelines import trusted_pattern

ML = "/_plugins/_ml"
TRUSTED = "plugins.ml_commons.trusted_connector_endpoints_regex"
PRIVATE_IP = "plugins.ml_commons.connector.private_ip_enabled"

_DEPLOY_TIMEOUT_S = 60.0
_POLL_S = 0.1
_NOT_FOUND = 404


def create_model(client: OpenSearch, connector: dict[str, Any]) -> tuple[str, str]:
    """Create a connector and a deployed remote model of the same name.

    Args:
        client: the cluster.
        connector: the connector's body.

    Returns:
        The ids of the connector and of the model.

    Raises:
        EngineError: the cluster refused, or did not deploy the model in time.
    """
    connector_id = str(
        client.transport.perform_request("POST", f"{ML}/connectors/_create", body=connector)[
            "connector_id"
        ]
    )
    body = {
        "name": connector["name"],
        "function_name": "remote",
        "description": connector["description"],
        "connector_id": connector_id,
    }
    try:
        answer = client.transport.perform_request(
            "POST", f"{ML}/models/_register", params={"deploy": "true"}, body=body
        )
        return connector_id, _deployed(client, answer, name=connector["name"])
    except EngineError:
        delete_connector(client, connector_id)
        raise


def _deployed(client: OpenSearch, answer: dict[str, Any], *, name: str) -> str:
    """Wait until the model that a registration answered with can be called."""
    deadline = time.monotonic() + _DEPLOY_TIMEOUT_S
    model_id = answer.get("model_id")
    while time.monotonic() < deadline:
        if model_id is None:
            task = client.transport.perform_request("GET", f"{ML}/tasks/{answer['task_id']}")
            if task.get("state") == "FAILED":
                raise EngineError(f"the cluster did not register {name}: {task.get('error')}")
            model_id = task.get("model_id")
        else:
            model = client.transport.perform_request("GET", f"{ML}/models/{model_id}")
            if model.get("model_state") == "DEPLOYED":
                return str(model_id)
            if model.get("model_state") == "DEPLOY_FAILED":
                raise EngineError(f"the cluster could not deploy {name}: see its log")
        time.sleep(_POLL_S)
    raise EngineError(f"{name} was not deployed within {_DEPLOY_TIMEOUT_S:.0f} s: see the log")


def delete_model(client: OpenSearch, model_id: str) -> None:
    """Undeploy and delete a model; one that is gone already is no error."""
    for method, path in (
        ("POST", f"{ML}/models/{model_id}/_undeploy"),
        ("DELETE", f"{ML}/models/{model_id}"),
    ):
        _unless_missing(client, method, path)


def delete_connector(client: OpenSearch, connector_id: str) -> None:
    """Delete a connector; one that is gone already is no error."""
    _unless_missing(client, "DELETE", f"{ML}/connectors/{connector_id}")


def _unless_missing(client: OpenSearch, method: str, path: str) -> None:
    try:
        client.transport.perform_request(method, path)
    except EngineError as error:
        if error.status != _NOT_FOUND:
            raise


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsChange:
    """What was changed in the cluster's settings so that it may call a service.

    Attributes:
        pattern: the address pattern that was added to the trusted ones; empty for none.
        trusted: the patterns that held before it was added.
        trusted_was_set: whether those were set by somebody, or the engine's defaults.
        private_ip_enabled: whether private addresses were switched on.
    """

    pattern: str = ""
    trusted: tuple[str, ...] = ()
    trusted_was_set: bool = False
    private_ip_enabled: bool = False

    @property
    def persistent(self) -> dict[str, Any]:
        """The settings to put; empty when the cluster may call the service already."""
        settings: dict[str, Any] = {}
        if self.pattern:
            settings[TRUSTED] = [*self.trusted, self.pattern]
        if self.private_ip_enabled:
            settings[PRIVATE_IP] = True
        return settings


def needed_settings(client: OpenSearch, *, service_url: str) -> SettingsChange:
    """Find which cluster settings have to change before it may call the service.

    Only what is needed: one anchored pattern is added to the patterns that are trusted already,
    and private addresses are switched on only for a service on one.
    """
    trusted, was_set = _setting(client, TRUSTED)
    private, _ = _setting(client, PRIVATE_IP)
    pattern = trusted_pattern(service_url)
    return SettingsChange(
        pattern="" if pattern in (trusted or []) else pattern,
        trusted=tuple(trusted or ()),
        trusted_was_set=was_set,
        private_ip_enabled=_is_private(service_url) and str(private).lower() != "true",
    )


def put_settings(client: OpenSearch, persistent: dict[str, Any]) -> None:
    """Change cluster settings; ``None`` as a value gives a setting its default back."""
    if persistent:
        client.cluster.put_settings(body={"persistent": persistent})


def undo_settings(client: OpenSearch, change: SettingsChange) -> None:
    """Take a change back; what somebody else changed in the meantime stays."""
    undo: dict[str, Any] = {}
    if change.pattern:
        now, _ = _setting(client, TRUSTED)
        rest = [known for known in now or [] if known != change.pattern]
        back_to_default = rest == list(change.trusted) and not change.trusted_was_set
        undo[TRUSTED] = None if back_to_default else rest
    if change.private_ip_enabled:
        undo[PRIVATE_IP] = None
    put_settings(client, undo)


def _setting(client: OpenSearch, name: str) -> tuple[Any, bool]:
    """Return a setting's value, and whether somebody set it."""
    found = client.cluster.get_settings(
        params={"include_defaults": "true", "flat_settings": "true"}
    )
    for scope in ("transient", "persistent"):
        if name in found.get(scope, {}):
            return found[scope][name], True
    return found["defaults"].get(name), False


def _is_private(service_url: str) -> bool:
    host = urlsplit(service_url).hostname or ""
    try:
        return ip_address(host).is_private
    except ValueError:
        # The engine judges what a name resolves to; a name without dots is never public.
        return "." not in host
