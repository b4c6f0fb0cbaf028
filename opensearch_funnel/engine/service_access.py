"""The cluster settings that let it call the services of its pipelines, and no other address.

See https://docs.opensearch.org/latest/ml-commons-plugin/remote-models/connectors/.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InvalidPlanError
from opensearch_funnel.engine import state
from opensearch_funnel.engine.search_pipelines import trusted_pattern
from opensearch_funnel.engine.state import ServiceAccess

TRUSTED = "plugins.ml_commons.trusted_connector_endpoints_regex"
PRIVATE_IP = "plugins.ml_commons.connector.private_ip_enabled"


def refuse_overridden(client: OpenSearch, *, service_url: str) -> None:
    """Refuse a cluster whose transient settings hide the persistent ones that are needed.

    Raises:
        InvalidPlanError: names the setting and what to do.
    """
    transient = _settings(client)["transient"]
    wanted = trusted_pattern(service_url)
    hidden = [TRUSTED] if wanted not in transient.get(TRUSTED, [wanted]) else []
    if is_private(service_url) and not _is_true(transient.get(PRIVATE_IP, "true")):
        hidden.append(PRIVATE_IP)
    if hidden:
        raise InvalidPlanError(
            f"the transient cluster setting {hidden[0]} overrides the one that lets the cluster "
            f"call {service_url}: set it to null in PUT _cluster/settings, and apply again"
        )


def fit_settings(client: OpenSearch) -> None:
    """Make the cluster's settings fit the services that its pipelines call now.

    Only what is needed: one anchored pattern for each service is added to those that are trusted
    already, and private addresses are on as long as a service has one. What held before is kept
    in the state until the last pipeline has gone; what somebody else changes meanwhile stays.
    """
    urls = state.service_urls(client)
    found = _settings(client)
    persistent, defaults = found["persistent"], found["defaults"]
    trusted = list(persistent.get(TRUSTED, defaults.get(TRUSTED)) or [])
    access = state.load_access(client)
    if access is None:
        if not urls:
            return
        access = ServiceAccess(
            trusted=tuple(trusted),
            trusted_was_set=TRUSTED in persistent,
            private_ip=persistent.get(PRIVATE_IP),
        )
    theirs = [pattern for pattern in trusted if pattern not in access.patterns]
    added = sorted({trusted_pattern(url) for url in urls} - set(theirs))
    wanted = [*theirs, *added]
    changes: dict[str, Any] = {}
    if wanted != trusted:
        were_defaults = wanted == list(access.trusted) and not access.trusted_was_set
        changes[TRUSTED] = None if were_defaults else wanted
    private = _is_true(persistent.get(PRIVATE_IP, defaults.get(PRIVATE_IP)))
    needed = any(is_private(url) for url in urls)
    if needed and not private:
        changes[PRIVATE_IP] = True
        access = replace(access, private_ip_enabled=True)
    elif private and not needed and access.private_ip_enabled:
        changes[PRIVATE_IP] = access.private_ip
        access = replace(access, private_ip_enabled=False)
    # Stored first: a crash between the two leaves a record that knows what to take back.
    if urls:
        state.save_access(client, replace(access, patterns=tuple(added)))
    if changes:
        client.cluster.put_settings(body={"persistent": changes})
    if not urls:
        state.forget_access(client)


def is_private(service_url: str) -> bool:
    """Say whether the engine takes an address for a private one.

    Example:
        >>> is_private("http://10.0.0.7:8750"), is_private("https://funnel.example.org")
        (True, False)
    """
    host = urlsplit(service_url).hostname or ""
    try:
        return ip_address(host).is_private
    except ValueError:
        # The engine judges what a name resolves to; a name without dots is never public.
        return "." not in host


def _settings(client: OpenSearch) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = client.cluster.get_settings(
        params={"include_defaults": "true", "flat_settings": "true"}
    )
    return found


def _is_true(value: Any) -> bool:
    return str(value).lower() == "true"
