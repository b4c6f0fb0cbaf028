"""What the cluster remembers of the funnel: is it there, and does all of it belong to something?"""

from __future__ import annotations

import time
from collections.abc import Iterator

from opensearch_funnel.build.doctor.applying_again import apply_again
from opensearch_funnel.build.doctor.facts import Case, Unrecorded
from opensearch_funnel.build.doctor.findings import Finding
from opensearch_funnel.build.doctor.reading import Unread
from opensearch_funnel.build.doctor.skipping import not_read
from opensearch_funnel.engine.records import STATE_INDEX
from opensearch_funnel.migrating.migration import Migration


def check_records(case: Case) -> Iterator[Finding]:
    """Look for pipelines that run and are not remembered."""
    name = "state.record"
    records, lost = case.facts.records, case.facts.unrecorded
    if isinstance(records.pipelines, Unread):
        yield not_read(name, records.pipelines, fixes=case.fixes, index=STATE_INDEX)
        return
    if lost is not None:
        gone = f"the index {STATE_INDEX} is gone" if lost.all_gone else "no record of it"
        yield Finding(
            check=name,
            level="error",
            subject=lost.name,
            finding=f"search pipeline {lost.name} runs a plan of this project, but {gone}: a "
            "service that starts anew cannot read the plan",
            fix=_apply_lost(case, lost),
            advice="it takes the plan of funnel.toml here; the old connectors stay, unused, and "
            "what the cluster's settings were before the first apply is forgotten",
        )
        return
    many = len(records.pipelines)
    told = f"{many} applied pipeline{'' if many == 1 else 's'} on record"
    yield Finding(check=name, level="ok", finding=told)


def _apply_lost(case: Case, lost: Unrecorded) -> str:
    index = str(case.facts.asked)
    processors = lost.body.get("response_processors", ())
    reranks = any("rerank" in processor for processor in processors)
    arguments = ["pipeline", "apply", "--index", index]
    if any(one.default == lost.name for one in case.facts.indices):
        arguments.append("--default")
    if any(one.ingest_default == lost.name for one in case.facts.indices):
        arguments.append("--ingest")
    arguments += ["--rerank", "on" if reranks else "off"]
    if lost.service_url:
        arguments += ["--service-url", lost.service_url]
    return case.fixes.funnel(*arguments)


def check_unfinished(case: Case) -> Iterator[Finding]:
    """Look for what an apply or a removal left that did not come to its end."""
    name = "state.unfinished"
    left = case.facts.records.unfinished
    if isinstance(left, Unread):
        yield not_read(name, left, fixes=case.fixes, index=STATE_INDEX)
        return
    for pipeline in left:
        applied = next((one for one in case.facts.pipelines if one.name == pipeline), None)
        if applied is not None:
            fix = apply_again(case.fixes, applied, index=case.facts.index_of(applied))
        else:
            fix = case.fixes.funnel("pipeline", "remove", "--name", pipeline)
        yield Finding(
            check=name,
            level="warning",
            subject=pipeline,
            finding=f"an apply or a removal of {pipeline} did not come to its end, or is at work "
            "right now",
            fix=fix,
            advice="" if applied else "it deletes what is left, and says that nothing is applied",
        )
    if not left:
        yield Finding(check=name, level="ok", finding="nothing was left half done")


def check_migrations(case: Case) -> Iterator[Finding]:
    """Look for migrations that stopped at a step that has to come to its end."""
    name = "state.migration"
    migrations = case.facts.records.migrations
    if isinstance(migrations, Unread):
        yield not_read(name, migrations, fixes=case.fixes, index=STATE_INDEX)
        return
    stuck = False
    for one in migrations:
        step = _INTERRUPTED.get(one.phase)
        if step is None or one.operator_until > time.time():
            continue
        stuck = True
        yield Finding(
            check=name,
            level="error",
            subject=one.alias,
            finding=f"the {step} of {one.alias} stopped midway, and {_blocked(one)} may be blocked "
            "for writes",
            fix=case.fixes.funnel("migrate", step, one.alias),
        )
    if not stuck:
        told = ", ".join(f"{one.alias} is {one.phase}" for one in migrations) or "none is under way"
        yield Finding(check=name, level="ok", finding=told)


_INTERRUPTED = {"cutting_over": "cutover", "rolling_back": "rollback"}


def _blocked(migration: Migration) -> str:
    return migration.source if migration.phase == "cutting_over" else migration.target
