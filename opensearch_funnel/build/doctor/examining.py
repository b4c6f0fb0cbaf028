"""Gather what there is to know, let every check judge it, and report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from opensearchpy import OpenSearch

from opensearch_funnel.build.doctor.check_cluster import (
    check_disk,
    check_health,
    check_plugins,
    check_reachable,
    check_version,
)
from opensearch_funnel.build.doctor.check_defaults import check_defaults
from opensearch_funnel.build.doctor.check_documents import check_documents
from opensearch_funnel.build.doctor.check_index import check_found, check_indices
from opensearch_funnel.build.doctor.check_ingest import check_ingest
from opensearch_funnel.build.doctor.check_installation import check_installation, check_models
from opensearch_funnel.build.doctor.check_pipeline import check_pipelines
from opensearch_funnel.build.doctor.check_plan import check_plans
from opensearch_funnel.build.doctor.check_records import (
    check_migrations,
    check_records,
    check_unfinished,
)
from opensearch_funnel.build.doctor.check_search import check_searches
from opensearch_funnel.build.doctor.check_service import check_calls, check_services, check_tokens
from opensearch_funnel.build.doctor.check_settings import check_settings
from opensearch_funnel.build.doctor.facts import Case, Facts
from opensearch_funnel.build.doctor.findings import Finding, Report
from opensearch_funnel.build.doctor.fixes import Fixes
from opensearch_funnel.build.doctor.gathering import Asked, gather
from opensearch_funnel.build.doctor.reading import CALL_S
from opensearch_funnel.build.doctor.runtimes import RuntimeProbe
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.engine.client import connect
from opensearch_funnel.settings import CONFIG_FILE, Settings

Check = Callable[[Case], Iterable[Finding]]

_OF_CLUSTER: tuple[Check, ...] = (
    check_version,
    check_plugins,
    check_health,
    check_disk,
    check_settings,
    check_records,
    check_unfinished,
    check_migrations,
    check_found,
    check_indices,
    check_defaults,
    check_documents,
    check_ingest,
    check_pipelines,
    check_plans,
    check_services,
    check_tokens,
)


def examine(
    settings: Settings,
    *,
    index: str | None = None,
    service_url: str | None = None,
    plan_file: Path = CONFIG_FILE,
    progress: Progress = SILENT,
) -> Report:
    """Look at a cluster, its pipelines, their services and this installation; change nothing.

    Args:
        settings: address and credentials of the cluster, and the token of the service.
        index: look at this index or alias alone; by default at every applied pipeline.
        service_url: where this machine reaches the service, if not where the cluster does.
        plan_file: the ``funnel.toml`` that an apply here would read.
        progress: hears of what is looked at.

    Returns:
        What every check found. Nothing is raised for what is wrong: that is a finding.
    """
    probe = RuntimeProbe()
    try:
        client = _hurried(settings)
        asked = Asked(index=index, service_url=service_url, plan_file=plan_file)
        facts = gather(client, settings, asked=asked, probe=probe, progress=progress)
    finally:
        probe.stop()
    return Report(tuple(judged(facts, fixes=Fixes(settings))))


def _hurried(settings: Settings) -> OpenSearch:
    """Connect with a deadline of ours for every call, unless the user's is shorter."""
    return connect(settings.model_copy(update={"timeout": min(settings.timeout, CALL_S)}))


def judged(facts: Facts, *, fixes: Fixes) -> Iterator[Finding]:
    """Let every check judge the same facts, in an order in which causes come before effects.

    Args:
        facts: what was gathered.
        fixes: writes the commands.
    """
    case = Case(facts, fixes)
    found = _guarded(check_reachable, case)
    if facts.cluster.answers:
        for check in _OF_CLUSTER:
            found += _guarded(check, case)
        for effect in (check_calls, check_searches):
            found += _guarded(partial(effect, found=tuple(found)), case)
    else:
        told = "not looked at: it takes the cluster"
        found.append(Finding(check="cluster", level="skipped", finding=told))
    yield from found
    for check in (check_installation, check_models):
        yield from _guarded(check, case)


def _guarded(check: Check, case: Case) -> list[Finding]:
    """Run a check; one that fails must not hide what the others found."""
    found: list[Finding] = []
    try:
        for finding in check(case):
            found.append(finding)  # noqa: PERF402 - what came before a failure is kept
    except Exception as error:  # noqa: BLE001 - a bug of ours, whatever it is
        named = getattr(check, "func", check).__name__
        why = f"{type(error).__name__}: {error}"
        told = f"a check did not come to its end ({named}: {why})"
        advice = "a bug of this program: report it with this line"
        found.append(Finding(check="doctor", level="error", finding=told, advice=advice))
    return found
