"""Does a plan fit the index that it searches, as both are now?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from opensearch_funnel.build.doctor.applying_again import apply_again
from opensearch_funnel.build.doctor.facts import Case
from opensearch_funnel.build.doctor.findings import Finding
from opensearch_funnel.build.doctor.indices import Index
from opensearch_funnel.build.doctor.legs import model_legs
from opensearch_funnel.build.doctor.pipelines import Pipeline
from opensearch_funnel.build.doctor.reading import Unread
from opensearch_funnel.build.doctor.skipping import after, not_read
from opensearch_funnel.core.errors import IndexMissingError, InvalidPlanError
from opensearch_funnel.core.plan import FunnelPlan, LegName
from opensearch_funnel.engine.binding import slot_of, text_fields
from opensearch_funnel.engine.indices import EncodedBy
from opensearch_funnel.engine.records import STATE_INDEX


def check_plans(case: Case) -> Iterator[Finding]:
    """Look at the plan of every applied pipeline."""
    for pipeline in case.facts.pipelines:
        yield from _stored(case, pipeline)
        plan, index = pipeline.plan, case.facts.index_of(pipeline)
        if isinstance(plan, Unread) or index is None or isinstance(index.mapping, Unread):
            continue
        yield from _fingerprints(case, pipeline, plan=plan, index=index)
        yield from _current(case, pipeline, plan=plan, index=index)
        yield from _measured(case, pipeline, plan=plan, index=index)


def _stored(case: Case, pipeline: Pipeline) -> Iterator[Finding]:
    """Find plans that cannot be read, and plans whose index has gone."""
    name, plan = "plan.stored", pipeline.plan
    if isinstance(plan, Unread):
        if not isinstance(plan.error, InvalidPlanError):
            yield not_read(name, plan, fixes=case.fixes, subject=pipeline.name, index=STATE_INDEX)
            return
        yield Finding(
            check=name,
            level="error",
            subject=pipeline.name,
            finding=f"plan {pipeline.applied.plan_id} cannot be read: {plan.why}",
            fix=apply_again(case.fixes, pipeline),
            advice="of another version of this program, or deleted; it takes the plan of "
            "funnel.toml here",
        )
        return
    if isinstance(pipeline.index, Unread):
        error = pipeline.index.error
        if not isinstance(error, IndexMissingError | InvalidPlanError):
            yield not_read(
                name, pipeline.index, fixes=case.fixes, subject=pipeline.name, index=plan.alias
            )
            return
        gone = isinstance(error, IndexMissingError)
        yield Finding(
            check=name,
            level="error",
            subject=pipeline.name,
            finding=f"{plan.alias}, which plan {plan.plan_id} is for, is gone"
            if gone
            else pipeline.index.why,
            fix=case.fixes.funnel("pipeline", "remove", "--name", pipeline.name) if gone else "",
            advice="" if gone else "let the alias stand for one encoded index",
        )
        return
    yield Finding(check=name, level="ok", finding=plan.plan_id, subject=pipeline.name)


def _fingerprints(
    case: Case, pipeline: Pipeline, *, plan: FunnelPlan, index: Index
) -> Iterator[Finding]:
    """Compare the models that a plan asks with those that are said to have encoded its index."""
    name = "plan.fingerprints"
    mapping = {} if isinstance(index.mapping, Unread) else index.mapping
    encoded = slot_of(mapping, plan.slot)
    said: dict[LegName, str] = {
        leg: str((encoded.get(leg) or {}).get("fingerprint", "nothing")) for leg in model_legs(plan)
    }
    wanted = {leg: found.fingerprint for leg, found in model_legs(plan).items()}
    unlike = [leg for leg in wanted if said[leg] != wanted[leg]]
    if not unlike:
        told = "the plan asks the models that encoded the index"
        yield Finding(check=name, level="ok", finding=told, subject=pipeline.name)
        return
    told = ", ".join(f"{leg}: {said[leg]}, the plan has {wanted[leg]}" for leg in unlike)
    coverage = index.coverage
    recoded = not isinstance(coverage, Unread) and coverage.foreign > 0
    meta = _meta_of(mapping, plan=plan, legs=unlike)
    yield Finding(
        check=name,
        level="error",
        subject=pipeline.name,
        finding=f"_meta of {index.name} names other models for slot {plan.slot!r} ({told})",
        fix=apply_again(case.fixes, pipeline, index=index)
        if recoded
        else case.fixes.curl("PUT", f"/{index.name}/_mapping", {"_meta": meta}),
        advice="the documents say so, too: the index was encoded again"
        if recoded
        else "no document says that another model encoded it: _meta is put right; if the index was "
        "encoded again, apply the pipeline again instead",
    )


def _meta_of(
    mapping: Mapping[str, Any], *, plan: FunnelPlan, legs: Iterable[LegName]
) -> dict[str, Any]:
    """Return an index's ``_meta`` with the plan's models for some legs of its slot."""
    meta = dict(mapping.get("_meta", {}))
    funnel = dict(meta.get("funnel", {}))
    slots = dict(funnel.get("slots", {}))
    wanted = model_legs(plan)
    right = {
        leg: EncodedBy(
            model=wanted[leg].model,
            fingerprint=wanted[leg].fingerprint,
            max_tokens=wanted[leg].max_tokens,
        ).meta
        for leg in legs
    }
    slots[plan.slot] = {**slots.get(plan.slot, {}), **right}
    return {**meta, "funnel": {**funnel, "slots": slots}}


def _current(
    case: Case, pipeline: Pipeline, *, plan: FunnelPlan, index: Index
) -> Iterator[Finding]:
    """Find text fields that came to the index after the plan was bound to it."""
    name = "plan.current"
    mapping = {} if isinstance(index.mapping, Unread) else index.mapping
    shared = not isinstance(index.aliases, Unread) and any(one.others for one in index.aliases)
    now = set(text_fields(mapping.get("properties", {})))
    fresh = sorted(now - set(plan.searched_fields))
    gone = sorted(set(plan.searched_fields) - now)
    if shared or not (fresh or gone):
        told = "it knows the text fields of its index"
        yield Finding(check=name, level="ok", finding=told, subject=pipeline.name)
        return
    if any(one.startswith("funnel.") for one in fresh):
        yield after(name, "index.found", subject=pipeline.name)
        return
    what = f"{', '.join(fresh)} came" if fresh else f"{', '.join(gone)} went"
    yield Finding(
        check=name,
        level="warning",
        subject=pipeline.name,
        finding=f"{what} after plan {plan.plan_id} was applied: searches in such fields stay plain",
        fix=apply_again(case.fixes, pipeline, index=index),
    )


def _measured(
    case: Case, pipeline: Pipeline, *, plan: FunnelPlan, index: Index
) -> Iterator[Finding]:
    """Find plans that weigh legs for each query, of which nobody knows how far to trust them."""
    name, trust = "plan.measured", plan.trust
    needless = ""
    if len(plan.active_legs) == 1:
        needless = f"it has the {plan.active_legs[0]} leg alone, and nothing to weigh"
    elif plan.fusion.technique != "auto" and not trust.thin:
        needless = f"its legs are fused by {plan.fusion.technique}, which needs no measure of them"
    if needless:
        yield Finding(check=name, level="ok", finding=needless, subject=pipeline.name)
        return
    now = "" if isinstance(index.settings, Unread) else str(index.settings.get("index.uuid", ""))
    if not trust.decided:
        told = f"its legs are all trusted alike: {trust.reason}"
    elif trust.index and now and trust.index != now:
        told = f"its legs were measured on another index than {index.name}"
    else:
        yield Finding(check=name, level="ok", finding=trust.reason, subject=pipeline.name)
        return
    yield Finding(
        check=name,
        level="warning",
        subject=pipeline.name,
        finding=told,
        fix=apply_again(case.fixes, pipeline, index=index),
        advice="probes of the index's own documents are sent through each leg, which takes less "
        "than a minute and needs the models here",
    )
