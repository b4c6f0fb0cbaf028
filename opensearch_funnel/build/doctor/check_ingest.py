"""Are documents encoded while they are written, where that was wanted, and can they be written?"""

from __future__ import annotations

from collections.abc import Iterator

from opensearch_funnel.build.doctor.applying_again import apply_again
from opensearch_funnel.build.doctor.facts import Case
from opensearch_funnel.build.doctor.findings import Finding
from opensearch_funnel.build.doctor.indices import Index
from opensearch_funnel.build.doctor.pipelines import Pipeline
from opensearch_funnel.build.doctor.reading import Unread
from opensearch_funnel.build.doctor.skipping import after, not_read
from opensearch_funnel.engine.default_pipelines import INGEST


def check_ingest(case: Case) -> Iterator[Finding]:
    """Look at the ingest pipelines of indices, ours and others."""
    for index in case.facts.indices:
        if not isinstance(index.settings, Unread):
            yield from _exists(case, index)
    for pipeline in case.facts.pipelines:
        yield from _ours(case, pipeline)


def _is_lost(case: Case, index: Index) -> bool:
    """Say whether an index names an ingest pipeline that is not there, and is none of ours."""
    ours = {one.name for one in case.facts.pipelines if one.applied.ingest_of}
    return index.ingest_found is False and index.ingest_default not in ours


def _exists(case: Case, index: Index) -> Iterator[Finding]:
    name = "index.ingest_default"
    if isinstance(index.ingest_found, Unread):
        yield not_read(name, index.ingest_found, fixes=case.fixes, subject=index.name)
        return
    if not _is_lost(case, index):
        told = f"{index.ingest_default} by default" if index.ingest_default else "none by default"
        yield Finding(check=name, level="ok", finding=told, subject=index.name)
        return
    ours = case.facts.pipeline_of(index)
    meant = ours.name if ours is not None and index.name in ours.applied.ingest_of else None
    yield Finding(
        check=name,
        level="error",
        subject=index.name,
        finding=f"the default ingest pipeline of {index.name} is {index.ingest_default}, which "
        "does not exist: every write answers 400",
        fix=case.fixes.index_settings(index.name, {INGEST.setting: meant}),
    )


def _ours(case: Case, pipeline: Pipeline) -> Iterator[Finding]:
    name = "documents.ingest"
    applied, body = pipeline.applied, pipeline.ingest_body
    index = case.facts.index_of(pipeline)
    if not applied.ingest_of and index is not None and index.ingest_default == pipeline.name:
        yield Finding(
            check=name,
            level="warning",
            subject=pipeline.name,
            finding=f"{index.name} runs ingest pipeline {pipeline.name} by default, which is "
            "not on record: nobody keeps it in step with the plan",
            fix=apply_again(case.fixes, pipeline, index=index),
        )
    elif not applied.ingest_of:
        told = "documents are not encoded while they are written (funnel pipeline apply --ingest)"
        yield Finding(check=name, level="ok", finding=told, subject=pipeline.name)
    elif isinstance(body, Unread):
        yield not_read(name, body, fixes=case.fixes, subject=pipeline.name)
    elif index is not None and _is_lost(case, index):
        yield after(name, "index.ingest_default", subject=pipeline.name)
    elif body is None or (
        not isinstance(pipeline.wanted, Unread) and body != pipeline.wanted.get(INGEST)
    ):
        what = "is gone: writes fail" if body is None else "is not as it was applied"
        yield Finding(
            check=name,
            level="error",
            subject=pipeline.name,
            finding=f"ingest pipeline {pipeline.name} {what}",
            fix=apply_again(case.fixes, pipeline, index=index),
        )
    elif index is None or isinstance(index.settings, Unread):
        told = "its ingest pipeline is as it was applied; whether it is attached is not known"
        yield Finding(check=name, level="ok", finding=told, subject=pipeline.name)
    elif index.ingest_default != pipeline.name:
        has = index.ingest_default or "none"
        yield Finding(
            check=name,
            level="warning",
            subject=pipeline.name,
            finding=f"{pipeline.name} was made the default ingest pipeline of "
            f"{', '.join(applied.ingest_of)}, and {index.name} has {has} now: what is written is "
            "found by its words alone",
            fix=case.fixes.index_settings(index.name, {INGEST.setting: pipeline.name}),
            advice=f"what was written meanwhile: funnel migrate repair {pipeline.alias}",
        )
    else:
        told = "documents are encoded while they are written"
        yield Finding(check=name, level="ok", finding=told, subject=pipeline.name)
