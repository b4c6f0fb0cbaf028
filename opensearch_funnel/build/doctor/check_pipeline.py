"""Is an applied pipeline there as it was applied, with its models, and in use?"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from opensearch_funnel.build.doctor.applying_again import apply_again
from opensearch_funnel.build.doctor.check_defaults import is_lost
from opensearch_funnel.build.doctor.check_settings import AUTO_DEPLOY
from opensearch_funnel.build.doctor.facts import Case
from opensearch_funnel.build.doctor.findings import Finding
from opensearch_funnel.build.doctor.fixes import both
from opensearch_funnel.build.doctor.pipelines import Pipeline, Template
from opensearch_funnel.build.doctor.reading import Unread
from opensearch_funnel.build.doctor.skipping import after, not_read
from opensearch_funnel.engine.default_pipelines import SEARCH
from opensearch_funnel.engine.remote_models import ML

_USABLE = frozenset({"DEPLOYED", "PARTIALLY_DEPLOYED"})
_WAKES = frozenset({"UNDEPLOYED", "REGISTERED"})
"""States out of which the next call opens a model."""
_LONGEST_FIX = 8_000


def check_pipelines(case: Case) -> Iterator[Finding]:
    """Look at every applied pipeline."""
    for pipeline in case.facts.pipelines:
        yield from _body(case, pipeline)
        yield from _models(case, pipeline)
        yield from _default(case, pipeline)
        yield from _templates(case, pipeline)


def _again(case: Case, pipeline: Pipeline) -> str:
    return apply_again(case.fixes, pipeline, index=case.facts.index_of(pipeline))


def _body(case: Case, pipeline: Pipeline) -> Iterator[Finding]:
    name, body = "pipeline.body", pipeline.body
    if isinstance(body, Unread):
        yield not_read(name, body, fixes=case.fixes, subject=pipeline.name)
        return
    index = case.facts.index_of(pipeline)
    if body is None:
        searched = index is not None and index.default == pipeline.name
        lost = f", and {index.name} has it by default" if searched and index else ""
        finding = f"search pipeline {pipeline.name} is gone{lost}: searches through it answer 400"
    elif isinstance(pipeline.wanted, Unread) or body == pipeline.wanted.get(SEARCH):
        told = f"runs plan {pipeline.applied.plan_id}"
        yield Finding(check=name, level="ok", finding=told, subject=pipeline.name)
        return
    else:
        runs = str(body.get("description", "")).removeprefix("opensearch-funnel ")
        other = f": it runs {runs}" if runs != pipeline.applied.plan_id else ""
        finding = f"search pipeline {pipeline.name} is not as it was applied{other}"
    yield Finding(
        check=name,
        level="error",
        subject=pipeline.name,
        finding=finding,
        fix=_again(case, pipeline),
    )


def _models(case: Case, pipeline: Pipeline) -> Iterator[Finding]:
    name = "pipeline.models"
    unread = [one for one in pipeline.models.values() if isinstance(one, Unread)]
    unread += [one for one in pipeline.connectors.values() if isinstance(one, Unread)]
    gone = [model for model, state in pipeline.models.items() if state is None]
    gone += [one for one, there in pipeline.connectors.items() if there is False]
    states = {model: state for model, state in pipeline.models.items() if isinstance(state, str)}
    fine = _USABLE | (_WAKES if _wakes(case) else set())
    unusable = {model: state for model, state in states.items() if state not in fine}
    if gone:
        yield Finding(
            check=name,
            level="error",
            subject=pipeline.name,
            finding=f"of the models and connectors of {pipeline.name}, {', '.join(gone)} is gone: "
            "its searches stay plain",
            fix=_again(case, pipeline),
        )
    elif unusable:
        model, state = next(iter(unusable.items()))
        yield Finding(
            check=name,
            level="error",
            subject=pipeline.name,
            finding=f"model {model} of {pipeline.name} is {state}: its searches stay plain",
            fix=both(*(case.fixes.curl("POST", f"{ML}/models/{one}/_deploy") for one in unusable)),
        )
    elif unread:
        yield not_read(name, unread[0], fixes=case.fixes, subject=pipeline.name)
    else:
        asleep = sum(state in _WAKES for state in states.values())
        told = f"{len(pipeline.models)} models" + (
            f", {asleep} of them opened by the next call" if asleep else ", deployed"
        )
        yield Finding(check=name, level="ok", finding=told, subject=pipeline.name)


def _wakes(case: Case) -> bool:
    """Say whether the engine opens a model when it is called; it does by default."""
    settings = case.facts.cluster.settings
    set_to = None if isinstance(settings, Unread) else settings.value(AUTO_DEPLOY)
    return str(set_to).lower() != "false"


def _default(case: Case, pipeline: Pipeline) -> Iterator[Finding]:
    """Find a pipeline that clients do not get, though that was wanted, or that none asks for."""
    name = "pipeline.default"
    index = case.facts.index_of(pipeline)
    if index is None or isinstance(index.settings, Unread):
        return
    if is_lost(case, index):
        yield after(name, "index.default_pipeline", subject=pipeline.name)
        return
    attach = case.fixes.index_settings(index.name, {SEARCH.setting: pipeline.name})
    if index.default == pipeline.name:
        told = f"the default of {index.name}"
        yield Finding(check=name, level="ok", finding=told, subject=pipeline.name)
    elif pipeline.applied.default_of:
        has = index.default or "none"
        yield Finding(
            check=name,
            level="warning",
            subject=pipeline.name,
            finding=f"{pipeline.name} was made the default of "
            f"{', '.join(pipeline.applied.default_of)}, and {index.name} has {has} now: its "
            "clients get plain answers",
            fix=attach,
            advice="if that is meant: funnel pipeline remove",
        )
    elif uses(case, pipeline) == 0:
        yield Finding(
            check=name,
            level="warning",
            subject=pipeline.name,
            finding=f"no index has {pipeline.name} by default, and no search has asked for it "
            "since the nodes started: clients get plain answers, and hybrid queries unfused ones",
            fix=attach,
            advice=f"or clients ask for it: search_pipeline={pipeline.name}",
        )
    else:
        told = f"clients ask for it: search_pipeline={pipeline.name}"
        yield Finding(check=name, level="ok", finding=told, subject=pipeline.name)


def uses(case: Case, pipeline: Pipeline) -> int | None:
    """Return how many searches went through a pipeline since the nodes started, if known."""
    stats = case.facts.cluster.stats
    if isinstance(stats, Unread):
        return None
    return sum(node.searches.get(pipeline.name, 0) for node in stats)


def _templates(case: Case, pipeline: Pipeline) -> Iterator[Finding]:
    """Find templates by which a new index gets the pipeline, whatever is in it."""
    name, templates = "pipeline.templates", pipeline.templates
    if isinstance(templates, Unread):
        yield not_read(name, templates, fixes=case.fixes, subject=pipeline.name)
        return
    for template in templates:
        fix = case.fixes.curl("PUT", template.path, _without_default(template))
        yield Finding(
            check=name,
            level="warning",
            subject=pipeline.name,
            finding=f"{template.label} names {pipeline.name} ({template.setting}): an index "
            "made from it runs the pipeline, encoded or not, and it cannot be removed",
            fix=fix if len(fix) < _LONGEST_FIX else "",
            advice="it puts the template back without that setting",
        )
    if not templates:
        told = "no template names it"
        yield Finding(check=name, level="ok", finding=told, subject=pipeline.name)


def _without_default(template: Template) -> Mapping[str, Any]:
    """Return a template's body without the default pipeline."""
    body: dict[str, Any] = copy.deepcopy(orjson.loads(orjson.dumps(template.body)))
    holder = body if template.path.startswith("/_template/") else body["template"]
    holder["settings"] = pruned(holder["settings"], path=tuple(template.setting.split(".")))
    return body


def pruned(settings: Mapping[str, Any], *, path: tuple[str, ...]) -> dict[str, Any]:
    """Return settings without one of them, however they are nested.

    Example:
        >>> pruned({"index": {"search.default_pipeline": "p", "knn": True}},
        ...        path=("index", "search", "default_pipeline"))
        {'index': {'knn': True}}
    """
    kept: dict[str, Any] = {}
    for name, value in settings.items():
        parts = tuple(name.split("."))
        if parts == path:
            continue
        if parts == path[: len(parts)] and isinstance(value, Mapping):
            if rest := pruned(value, path=path[len(parts) :]):
                kept[name] = rest
            continue
        kept[name] = value
    return kept
