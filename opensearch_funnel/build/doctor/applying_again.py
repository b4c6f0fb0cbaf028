"""The command that applies a pipeline again as it was applied."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from opensearch_funnel.build.doctor.fixes import Fixes
from opensearch_funnel.build.doctor.indices import Index
from opensearch_funnel.build.doctor.pipelines import Pipeline
from opensearch_funnel.build.doctor.reading import Unread
from opensearch_funnel.core.plan import FunnelPlan, Reranking
from opensearch_funnel.engine.applying import pipeline_name

_BOUND = ("searched_fields", "mapped_fields")


def apply_again(
    fixes: Fixes, pipeline: Pipeline, *, index: Index | None = None, service_url: str = ""
) -> str:
    """Return the command that applies a pipeline again, with the plan that it has.

    Where ``funnel.toml`` here says something else, the plan is written to a file of its own first.

    Args:
        fixes: writes the command.
        pipeline: what is applied.
        index: of its plan; says whether it is the default of an index that aliases share.
        service_url: where the cluster reaches the service, if not where it did.
    """
    applied, plan = pipeline.applied, pipeline.plan
    arguments = ["pipeline", "apply", "--index", pipeline.alias]
    if applied.name != pipeline_name(pipeline.alias):
        arguments += ["--name", applied.name]
    if _is_default(pipeline, index):
        arguments.append("--default")
    if applied.ingest_of or (index is not None and index.ingest_default == applied.name):
        arguments.append("--ingest")
    if index is not None and _shares_its_alias(index, name=applied.name):
        arguments.append("--with-others")
    if not applied.quiet_log:
        arguments.append("--no-quiet-log")
    before = file = ""
    if not isinstance(plan, Unread):
        if not plan.rerank.decided:
            arguments += ["--rerank", "on" if plan.rerank.enabled else "off"]
        if pipeline.local_plan is None or not is_same_plan(pipeline.local_plan, plan):
            file = f'"${{TMPDIR:-/tmp}}/{applied.name}.toml"'
            before = f"printf '%s\\n' {shlex.quote(plan_line(plan))} > {file} && "
    arguments += ["--service-url", service_url or applied.service_url]
    command = fixes.funnel(*arguments)
    return f"{before}{command} --plan {file}" if file else command


def _is_default(pipeline: Pipeline, index: Index | None) -> bool:
    """Say whether an index has a pipeline by default; one that was taken off since stays off."""
    if index is None or isinstance(index.settings, Unread):
        return bool(pipeline.applied.default_of)
    return index.default == pipeline.name


def _shares_its_alias(index: Index, *, name: str) -> bool:
    if isinstance(index.aliases, Unread):
        return False
    return any(alias.others and alias.may_run(name) for alias in index.aliases)


def is_same_plan(local: FunnelPlan, applied: FunnelPlan) -> bool:
    """Say whether applying a local plan would give the applied one again.

    What an apply writes into a plan does not count: fingerprints, the index's fields, and what
    was measured of the legs and decided about reranking while it was applied.

    Example:
        >>> local = FunnelPlan(alias="films")
        >>> is_same_plan(local, replace(local, searched_fields=("text",)))
        True
        >>> is_same_plan(local, replace(local, depth=100))
        False
    """
    for leg in ("sparse", "dense"):
        wanted = getattr(local, leg).fingerprint
        if wanted not in ("", getattr(applied, leg).fingerprint):
            return False
    if local.rerank.decided and local.rerank != applied.rerank:
        return False
    if local.trust.decided and local.trust != applied.trust:
        return False
    return _as_written(local) == _as_written(applied)


def _as_written(plan: FunnelPlan) -> dict[str, Any]:
    """Return what a person can write of a plan."""
    kept = Reranking() if plan.rerank.decided else plan.rerank
    undecided = replace(plan.undecided(), searched_fields=(), mapped_fields=0)
    if plan.trust.decided and not plan.trust.index:
        # Nobody measured that on an index: a person said so.
        undecided = replace(undecided, fusion=plan.fusion, trust=plan.trust)
    written = replace(undecided.rerank, blend=kept.blend, cascade=kept.cascade)
    plain = replace(undecided, rerank=written).to_dict()
    for leg in ("sparse", "dense"):
        for bound in ("fingerprint", "max_tokens"):
            plain[leg].pop(bound)
    for name in _BOUND:
        plain.pop(name)
    for name in ("enabled", "decided", "reason"):
        plain["rerank"].pop(name)
    return plain


def plan_line(plan: FunnelPlan) -> str:
    """Return a plan as one line of TOML: what differs from the defaults.

    Example:
        >>> plan_line(FunnelPlan(alias="films", depth=100, text_fields=("title",)))
        'plan = {alias = "films", text_fields = ["title"], depth = 100}'
    """
    defaults = {**_as_written(FunnelPlan(alias=plan.alias)), "alias": None}
    return f"plan = {_inline(_differing(_as_written(plan), defaults))}"


def _differing(plain: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for name, value in plain.items():
        if isinstance(value, Mapping):
            value = _differing(value, defaults[name])  # noqa: PLW2901 - the same, less
            if value:
                found[name] = value
        elif value != defaults[name]:
            found[name] = value
    return found


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name} = {_inline(one)}" for name, one in value.items()) + "}"
    # Texts, numbers, truth values and lists of texts look alike in JSON and TOML.
    return json.dumps(value, ensure_ascii=False)
