"""The cluster settings that pipelines need: which addresses the cluster may call, and its log.

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
LOG_LEVEL = "logger.org.opensearch.search.pipeline.Pipeline"
"""Its logger writes 28 lines of WARN for every untouched request: ``rerank`` finds no query.
Why a stage failed is logged elsewhere, by ml-commons and by the service."""
_QUIET = "ERROR"

Settings = dict[str, dict[str, Any]]
"""The cluster's settings: transient, persistent and defaults, by their full names."""


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
    already, private addresses are on as long as a service has one, and the logger of search
    pipelines is quiet as long as a pipeline wants that and nobody else has set its level. What
    held before is kept in the state until the last pipeline has gone; what somebody else changes
    meanwhile stays.
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
    private = any(is_private(url) for url in urls)
    access = _fit_private(access, needed=private, found=found, changes=changes)
    access = _fit_log(access, quiet=state.wants_quiet_log(client), found=found, changes=changes)
    # Stored first: a crash between the two leaves a record that knows what to take back.
    if urls:
        state.save_access(client, replace(access, patterns=tuple(added)))
    if changes:
        client.cluster.put_settings(body={"persistent": changes})
    if not urls:
        state.forget_access(client)


def _fit_private(
    access: ServiceAccess, *, needed: bool, found: Settings, changes: dict[str, Any]
) -> ServiceAccess:
    """Switch private addresses on, or back to what they were; writes into ``changes``."""
    persistent = found["persistent"]
    private = _is_true(persistent.get(PRIVATE_IP, found["defaults"].get(PRIVATE_IP)))
    if needed and not private:
        changes[PRIVATE_IP] = True
        return replace(access, private_ip_enabled=True)
    if private and not needed and access.private_ip_enabled:
        changes[PRIVATE_IP] = access.private_ip
        return replace(access, private_ip_enabled=False)
    return access


def _fit_log(
    access: ServiceAccess, *, quiet: bool, found: Settings, changes: dict[str, Any]
) -> ServiceAccess:
    """Set the level of the logger, or take it back; writes into ``changes``."""
    if quiet and not _level_is_set(found):
        changes[LOG_LEVEL] = _QUIET
        return replace(access, log_quieted=True)
    if access.log_quieted and not quiet:
        if found["persistent"].get(LOG_LEVEL) == _QUIET:
            changes[LOG_LEVEL] = None
        return replace(access, log_quieted=False)
    return access


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


def _level_is_set(found: Settings) -> bool:
    """Say whether a level of the logger, or of one above it, was set: by us or by anybody."""
    return any(
        f"{LOG_LEVEL}.".startswith(f"{name}.")
        for kind in ("transient", "persistent", "defaults")
        for name in found[kind]
        if name.startswith("logger.org")
    )


def _settings(client: OpenSearch) -> Settings:
    found: Settings = client.cluster.get_settings(
        params={"include_defaults": "true", "flat_settings": "true"}
    )
    return found


def _is_true(value: Any) -> bool:
    return str(value).lower() == "true"
