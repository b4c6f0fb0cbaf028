"""Which search pipeline do the clients of an index run, by its own name and through its aliases?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from opensearch_funnel.build.doctor.facts import Case
from opensearch_funnel.build.doctor.findings import Finding
from opensearch_funnel.build.doctor.indices import Index
from opensearch_funnel.build.doctor.pipelines import Pipeline
from opensearch_funnel.build.doctor.reading import Unread
from opensearch_funnel.build.doctor.skipping import after, not_read
from opensearch_funnel.engine.covering import Alias
from opensearch_funnel.engine.default_pipelines import SEARCH

_FUSING = frozenset({"normalization-processor", "score-ranker-processor"})


def check_defaults(case: Case) -> Iterator[Finding]:
    """Look at the default pipeline of every index, and at the aliases that share it."""
    for index in case.facts.indices:
        if isinstance(index.settings, Unread):
            continue
        yield from _exists(case, index)
        yield from _fuses(case, index)
        yield from _aliases(case, index)


def is_lost(case: Case, index: Index) -> bool:
    """Say whether an index names a pipeline that is not there, and is none of the applied."""
    known = {one.name for one in case.facts.pipelines}
    return bool(index.default) and index.default_body is None and index.default not in known


def _exists(case: Case, index: Index) -> Iterator[Finding]:
    name = "index.default_pipeline"
    if not is_lost(case, index):
        told = f"{index.default} by default" if index.default else "no default search pipeline"
        yield Finding(check=name, level="ok", finding=told, subject=index.name)
        return
    ours = case.facts.pipeline_of(index)
    meant = ours.name if ours is not None and index.name in ours.applied.default_of else None
    yield Finding(
        check=name,
        level="error",
        subject=index.name,
        finding=f"the default search pipeline of {index.name} is {index.default}, which does not "
        "exist: every search answers 400",
        fix=case.fixes.index_settings(index.name, {SEARCH.setting: meant}),
    )


def _fuses(case: Case, index: Index) -> Iterator[Finding]:
    """Find an index whose default pipeline leaves hybrid queries unfused, without an error."""
    name = "index.hybrid"
    ours, body = case.facts.pipeline_of(index), index.default_body
    if isinstance(body, Unread):
        yield not_read(name, body, fixes=case.fixes, subject=index.name)
    elif index.default and body is None:
        first = "index.default_pipeline" if is_lost(case, index) else "pipeline.body"
        yield after(name, first, subject=index.name)
    elif body is not None and fuses(body):
        told = f"{index.default} fuses hybrid queries"
        yield Finding(check=name, level="ok", finding=told, subject=index.name)
    elif body is not None:
        yield Finding(
            check=name,
            level="warning",
            subject=index.name,
            finding=f"{index.default}, the default of {index.name}, has no normalization: a hybrid "
            "query that names no pipeline comes back unfused, and without an error",
            fix=case.fixes.index_settings(index.name, {SEARCH.setting: ours.name}) if ours else "",
            advice=f"or clients name one: search_pipeline={ours.name if ours else 'NAME'}",
        )
    else:
        told = "a hybrid query has to name a pipeline here, or comes back unfused"
        named = f": search_pipeline={ours.name}" if ours else ""
        yield Finding(check=name, level="ok", finding=told + named, subject=index.name)


def fuses(body: Mapping[str, Any]) -> bool:
    """Say whether a search pipeline fuses the legs of a hybrid query.

    Example:
        >>> fuses({"phase_results_processors": [{"normalization-processor": {}}]}), fuses({})
        (True, False)
    """
    processors = body.get("phase_results_processors", ())
    return any(_FUSING.intersection(processor) for processor in processors)


def _aliases(case: Case, index: Index) -> Iterator[Finding]:
    """Find aliases that carry the default to indices it is not for, or lose it."""
    name = "index.aliases"
    ours = case.facts.pipeline_of(index)
    if ours is None:
        return
    if isinstance(index.aliases, Unread):
        yield not_read(name, index.aliases, fixes=case.fixes, subject=index.name, index="*")
        return
    if index.default != ours.name:
        told = "the pipeline is no default, so aliases carry it nowhere"
        yield Finding(check=name, level="ok", finding=told, subject=index.name)
        return
    shared = [alias for alias in index.aliases if alias.others]
    for alias in shared:
        yield _shared(case, index, alias, ours=ours)
    if not shared:
        many = len(index.aliases)
        told = f"{many} aliases, of this index alone" if many else "no alias"
        yield Finding(check=name, level="ok", finding=told, subject=index.name)


def _shared(case: Case, index: Index, alias: Alias, *, ours: Pipeline) -> Finding:
    others = ", ".join(alias.others)
    if not alias.may_run(ours.name):
        finding = (
            f"searches through {alias.name} run no search pipeline at all: it also covers {others}"
            ", and where defaults differ the engine takes none"
        )
    elif alias.strangers:
        finding = (
            f"searches through {alias.name} compare vectors of different models: it also covers "
            f"{', '.join(alias.strangers)}"
        )
    else:
        finding = (
            f"searches through {alias.name} find documents of {others} by their words alone, and "
            "pages with such hits are not reranked"
        )
    removed = [{"remove": {"index": other, "alias": alias.name}} for other in alias.others]
    return Finding(
        check="index.aliases",
        level="error" if alias.strangers else "warning",
        subject=index.name,
        finding=finding,
        fix=case.fixes.curl("POST", "/_aliases", {"actions": removed}),
        advice=f"that takes {others} out of {alias.name}; where it has to stay, encode it (funnel "
        "migrate plan), or let such clients say search_pipeline=_none",
    )
