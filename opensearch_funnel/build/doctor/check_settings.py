"""Do the cluster's settings let it call the services of its pipelines?

Executed on 3.6.0: the list of trusted addresses is asked when a connector is made, and not again;
whether private addresses may be called is asked when a model is opened, as after a restart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from opensearch_funnel.build.doctor.cluster import ClusterSettings
from opensearch_funnel.build.doctor.facts import Case, Facts
from opensearch_funnel.build.doctor.findings import Finding
from opensearch_funnel.build.doctor.fixes import Fixes, both
from opensearch_funnel.build.doctor.pipelines import Pipeline
from opensearch_funnel.build.doctor.reading import Unread
from opensearch_funnel.build.doctor.skipping import not_read
from opensearch_funnel.engine.remote_models import ML
from opensearch_funnel.engine.search_pipelines import plan_address, trusted_pattern
from opensearch_funnel.engine.service_access import PRIVATE_IP, TRUSTED, is_private

PRIVATE_TRUSTED = "plugins.ml_commons.trusted_connector_private_endpoints_regex"
"""From 3.7 on: where it is not empty, a private address has to match it, too."""
REMOTE = "plugins.ml_commons.remote_inference.enabled"
AUTO_DEPLOY = "plugins.ml_commons.model_auto_deploy.enable"
"""Whether a call of a model that is not open opens it."""
CLOSED = "private ip address"
"""How the engine says that a model was opened while private addresses were off."""


def check_settings(case: Case) -> Iterator[Finding]:
    """Look at every setting that a call of a service depends on."""
    settings = case.facts.cluster.settings
    if isinstance(settings, Unread):
        yield not_read("settings", settings, fixes=case.fixes)
        return
    yield from _transient(case, settings)
    yield from _trusted(case, settings)
    yield from _private(case, settings)
    yield from _remote(case, settings)


def service_urls(facts: Facts) -> list[str]:
    """Return the addresses that the pipelines have for their services."""
    return sorted({one.applied.service_url for one in facts.pipelines})


def _transient(case: Case, settings: ClusterSettings) -> Iterator[Finding]:
    """Find transient settings that hide the persistent ones that are needed."""
    name = "settings.transient"
    urls = service_urls(case.facts)
    hidden = []
    given = settings.transient
    if TRUSTED in given and not all(_admits(given[TRUSTED], url) for url in urls):
        hidden.append(TRUSTED)
    if not _is_on(given.get(PRIVATE_IP, True)) and any(is_private(url) for url in urls):
        hidden.append(PRIVATE_IP)
    if not _is_on(given.get(REMOTE, True)):
        hidden.append(REMOTE)
    if not hidden:
        told = "no transient setting is in the way"
        yield Finding(check=name, level="ok", finding=told)
        return
    yield Finding(
        check=name,
        level="error",
        finding=f"the transient setting {' and '.join(hidden)} overrides what the pipelines need",
        fix=both(
            case.fixes.cluster_settings("transient", dict.fromkeys(hidden)),
            *_reopening(case, settings=hidden),
        ),
    )


def _trusted(case: Case, settings: ClusterSettings) -> Iterator[Finding]:
    name = "settings.trusted_address"
    trusted = _listed(settings.lasting(TRUSTED))
    private = _listed(settings.lasting(PRIVATE_TRUSTED))
    for url in service_urls(case.facts):
        wanted: dict[str, list[str]] = {}
        if not _admits(trusted, url):
            wanted[TRUSTED] = [*trusted, trusted_pattern(url)]
        if private and is_private(url) and not _admits(private, url):
            wanted[PRIVATE_TRUSTED] = [*private, trusted_pattern(url)]
        if not wanted:
            told = "the cluster trusts the service's address"
            yield Finding(check=name, level="ok", finding=told, subject=url)
            continue
        yield Finding(
            check=name,
            level="warning",
            subject=url,
            finding=f"{' and '.join(wanted)} does not admit {url}: the next connector for it would "
            "be refused",
            fix=case.fixes.cluster_settings("persistent", wanted),
        )


def _private(case: Case, settings: ClusterSettings) -> Iterator[Finding]:
    name = "settings.private_ip"
    urls = [url for url in service_urls(case.facts) if is_private(url)]
    if not urls or _is_on(settings.lasting(PRIVATE_IP)):
        told = "private addresses may be called" if urls else "no service has a private address"
        yield Finding(check=name, level="ok", finding=told)
        return
    yield Finding(
        check=name,
        level="error",
        finding=f"{PRIVATE_IP} is off, and {urls[0]} is a private address: a model that is opened "
        "again, as after a restart, may not call it",
        fix=both(
            case.fixes.cluster_settings("persistent", {PRIVATE_IP: True}),
            *_reopening(case, settings=[PRIVATE_IP]),
        ),
    )


def _remote(case: Case, settings: ClusterSettings) -> Iterator[Finding]:
    name = "settings.remote_inference"
    if settings.lasting(REMOTE) is None or _is_on(settings.lasting(REMOTE)):
        yield Finding(check=name, level="ok", finding="models elsewhere may be called")
        return
    yield Finding(
        check=name,
        level="error",
        finding=f"{REMOTE} is off: the cluster calls no service, and every search stays plain",
        fix=case.fixes.cluster_settings("persistent", {REMOTE: None}),
    )


def _reopening(case: Case, *, settings: Sequence[str]) -> list[str]:
    """Return calls that open those models again that were opened while they might not call."""
    if PRIVATE_IP not in settings:
        return []
    closed = [one for one in case.facts.pipelines if one.called and CLOSED in one.called.why]
    return [command for one in closed for command in reopening(case.fixes, one)]


def reopening(fixes: Fixes, pipeline: Pipeline) -> list[str]:
    """Return the calls that have the models of a pipeline opened again, by the next search.

    Not by a deployment right behind: now and then the engine writes both at once into the model's
    record, and the model is left with ``DEPLOY_FAILED`` (version conflict, executed on 3.6.0).
    """
    models = pipeline.applied.models
    return [fixes.curl("POST", f"{ML}/models/{model}/_undeploy") for model in models]


def _admits(patterns: Sequence[str], url: str) -> bool:
    """Say whether some pattern matches the addresses of a service's plans.

    Example:
        >>> _admits([trusted_pattern("http://127.0.0.1:8750")], "http://127.0.0.1:8750")
        True
        >>> _admits(["["], "http://127.0.0.1:8750")
        False
    """
    address = plan_address("plan.0", service_url=url, action="rewrite")
    for pattern in _listed(patterns):
        try:
            if re.fullmatch(pattern, address):
                return True
        except re.error:  # the engine's dialect has more than ours
            continue
    return False


def _listed(value: object) -> list[str]:
    """Return a setting as a list; one that is set to a single text is one, too."""
    if isinstance(value, str):
        return [value]
    return [str(one) for one in value] if isinstance(value, list | tuple) else []


def _is_on(value: object) -> bool:
    return str(value).lower() == "true"
