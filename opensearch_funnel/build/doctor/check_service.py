"""Does the service answer, here and to the cluster, as what it should be?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from opensearch_funnel.build.doctor.applying_again import apply_again
from opensearch_funnel.build.doctor.check_settings import CLOSED, reopening
from opensearch_funnel.build.doctor.facts import Case
from opensearch_funnel.build.doctor.findings import Finding, is_bad
from opensearch_funnel.build.doctor.fixes import both
from opensearch_funnel.build.doctor.pipelines import Pipeline
from opensearch_funnel.build.doctor.reading import Unread
from opensearch_funnel.build.doctor.services import Service, is_loopback
from opensearch_funnel.build.doctor.skipping import after
from opensearch_funnel.core.errors import EngineDeniedError

_PREDICT = "cluster:admin/opensearch/ml/predict"


def check_services(case: Case) -> Iterator[Finding]:
    """Look at every service, as it is seen from here."""
    for service in case.facts.services.values():
        yield from _reachable(case, service)
        if service.identity is None or service.down:
            continue
        yield from _version(case, service)
        yield from _plans(case, service)
    if not case.facts.services:
        told = "no pipeline calls a service"
        yield Finding(check="service.reachable", level="skipped", finding=f"not looked at: {told}")


def _reachable(case: Case, service: Service) -> Iterator[Finding]:
    name, url = "service.reachable", service.url
    if service.elsewhere:
        yield Finding(
            check=name,
            level="skipped",
            subject=url,
            finding=f"not looked at: {url} is the cluster's own machine, and this is another one",
        )
    elif service.unreachable:
        yield Finding(
            check=name,
            level="error",
            subject=url,
            finding=f"no service answers at {url} ({service.unreachable}): searches stay plain",
            fix=_starting(case, service),
            advice="keep it running there: systemd or a container that starts it again",
        )
    elif service.identity is None:
        yield Finding(
            check=name,
            level="error",
            subject=url,
            finding=f"what answers at {url} is not funnel serve",
            fix=_starting(case, service),
            advice="stop what has that port, or serve at another one and apply with --service-url",
        )
    elif service.down:
        yield Finding(
            check=name,
            level="error",
            subject=url,
            finding=f"funnel serve at {url} has no worker that answers: {service.down}",
            fix=f"curl -fsS --retry 30 --retry-delay 2 {url}/health",
            advice="it starts its worker again by itself, which the command waits for; its log "
            "says why",
        )
    else:
        version = service.identity.get("version", "?")
        told = f"funnel serve {version} answers"
        yield Finding(check=name, level="ok", finding=told, subject=url)


def _starting(case: Case, service: Service) -> str:
    """Return how a service comes to answer: the one that answers elsewhere, or a new one."""
    spare = case.facts.spare_service
    called = [one for one in case.facts.pipelines if one.applied.service_url == service.url]
    if spare is not None and spare.identity is not None and called:
        return both(
            *(
                apply_again(case.fixes, one, index=case.facts.index_of(one), service_url=spare.url)
                for one in called
            )
        )
    parts = urlsplit(service.url)
    host = parts.hostname or "127.0.0.1"
    port = parts.port or (443 if parts.scheme == "https" else 80)
    arguments = ["serve", "--port", str(port)]
    if not is_loopback(service.url):
        arguments += ["--host", host]
    return case.fixes.funnel(*arguments)


def _version(case: Case, service: Service) -> Iterator[Finding]:
    name = "service.version"
    theirs = str((service.identity or {}).get("version", "?"))
    ours = case.facts.installation.version
    if theirs == ours:
        yield Finding(check=name, level="ok", finding=ours, subject=service.url)
        return
    yield Finding(
        check=name,
        level="warning",
        subject=service.url,
        finding=f"the service is of version {theirs}, this program of {ours}",
        fix=case.fixes.pip("install", f"opensearch-funnel=={theirs}"),
        advice="that brings this one to the service's version; to go the other way, install "
        f"{ours} where the service runs and start it anew",
    )


def _plans(case: Case, service: Service) -> Iterator[Finding]:
    name = "service.plan"
    if service.refused:
        given = "another token" if service.shown else "a token"
        unshown = case.facts.token is not None and not service.shown
        yield Finding(
            check=name,
            level="skipped",
            subject=service.url,
            finding=f"not looked at: the service wants {given} (FUNNEL_SERVICE_TOKEN)",
            advice=f"it is shown to {service.url} with --service-url" if unshown else "",
        )
        return
    for plan_id, state in (service.plans or {}).items():
        if state == "ready":
            told = f"plan {plan_id} is loaded"
            yield Finding(check=name, level="ok", finding=told, subject=service.url)
            continue
        engine = str((service.identity or {}).get("engine", ""))
        other = f" (it belongs to the cluster at {engine})" if engine != case.fixes.url else ""
        yield Finding(
            check=name,
            level="warning" if state == "loading" else "error",
            subject=service.url,
            finding=f"the service has not loaded plan {plan_id}: {state}{other}",
            fix=_loading(case, service, state=state),
            advice="run it where the service is" if not is_loopback(service.url) else "",
        )


def _loading(case: Case, service: Service, *, state: str) -> str:
    """Return what lets a service load a plan, by what it says."""
    models = [one.name for one in case.facts.installation.models]
    if "is not installed" in state:
        return case.fixes.pip("install", "opensearch-funnel[cpu,service]")
    if "no plan" in state:
        called = [one for one in case.facts.pipelines if one.applied.service_url == service.url]
        return both(
            *(apply_again(case.fixes, one, index=case.facts.index_of(one)) for one in called)
        )
    return " ".join(["funnel models pull", *models]) if models else ""


def check_tokens(case: Case) -> Iterator[Finding]:
    """Look whether services take the token that connectors carry, and the one that is set here."""
    name = "service.token"
    for pipeline in case.facts.pipelines:
        service = case.facts.service_of(pipeline)
        refused_here = service is not None and service.refused
        shown = service is not None and service.shown
        again = apply_again(case.fixes, pipeline, index=case.facts.index_of(pipeline))
        if _refuses_connectors(pipeline):
            yield Finding(
                check=name,
                level="error",
                subject=pipeline.name,
                finding=f"the service refuses the token that the connectors of {pipeline.name} "
                "carry: searches stay plain",
                fix=again,
                advice="set FUNNEL_SERVICE_TOKEN here to the service's before"
                if refused_here or not case.facts.token
                else "",
            )
        elif refused_here and shown and not case.facts.shows_same_token(pipeline):
            yield Finding(
                check=name,
                level="warning",
                subject=pipeline.name,
                finding="FUNNEL_SERVICE_TOKEN here is not the one that the service wants: an apply "
                "would give it to the connectors",
                fix="unset FUNNEL_SERVICE_TOKEN",
                advice="and set it to the service's",
            )
        elif pipeline.called is None:
            told = "the service takes what the connectors carry"
            yield Finding(check=name, level="ok", finding=told, subject=pipeline.name)


def _refuses_connectors(pipeline: Pipeline) -> bool:
    """Say whether it was the service that refused, and not the cluster."""
    called = pipeline.called
    if called is None or called.rights:
        return False
    return isinstance(called.error, EngineDeniedError) and "remote service" in called.why


def check_calls(case: Case, *, found: Sequence[Finding]) -> Iterator[Finding]:
    """Look whether the cluster gets answers from the services.

    Args:
        case: what was gathered.
        found: what was found before: where that explains a silence, it is not said twice.
    """
    name = "service.from_node"
    for pipeline in case.facts.pipelines:
        called, url = pipeline.called, pipeline.applied.service_url
        subjects = (pipeline.name, url)
        if called is None:
            told = f"the cluster gets rewrites from {url}"
            yield Finding(check=name, level="ok", finding=told, subject=pipeline.name)
        elif _PREDICT in called.rights:
            yield from _no_right(case, pipeline, called)
        elif first := is_bad(found, *_EXPLAINING, subjects=subjects):
            yield after(name, first, subject=pipeline.name)
        elif CLOSED in called.why:
            yield Finding(
                check=name,
                level="error",
                subject=pipeline.name,
                finding=f"the models of {pipeline.name} were opened while private addresses were "
                "off, and stay so: searches stay plain",
                fix=both(*reopening(case.fixes, pipeline)),
            )
        else:
            spare = case.facts.spare_service
            there = spare.url if spare is not None and spare.identity is not None else ""
            index = case.facts.index_of(pipeline)
            yield Finding(
                check=name,
                level="error",
                subject=pipeline.name,
                finding=f"the cluster gets no rewrite from {url} ({called.why})",
                fix=apply_again(case.fixes, pipeline, index=index, service_url=there)
                if there
                else "",
                advice="serve where the nodes can reach it, and apply with that address: "
                "--service-url",
            )


_EXPLAINING = (
    "settings",
    "pipeline.models",
    "service.reachable",
    "service.plan",
    "service.token",
)


def _no_right(case: Case, pipeline: Pipeline, called: Unread) -> Iterator[Finding]:
    """Say that this user's searches are not upgraded, which nothing else tells."""
    yield Finding(
        check="rights.predict",
        level="error",
        subject=pipeline.name,
        finding=f"{called.why}: searches of {called.user or 'this user'} go through the pipeline "
        "and stay plain, without an error",
        fix=case.fixes.granting([_PREDICT], role="funnel_search"),
        advice="an administrator grants it, to a role of every user who searches (docs/roles.yml)",
    )
