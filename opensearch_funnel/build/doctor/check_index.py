"""Can an index be searched and written as it should: shards, blocks, settings, limits?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from opensearch_funnel.build.doctor.facts import Case
from opensearch_funnel.build.doctor.findings import Finding
from opensearch_funnel.build.doctor.fixes import Fixes, both
from opensearch_funnel.build.doctor.indices import Index
from opensearch_funnel.build.doctor.reading import Unread
from opensearch_funnel.build.doctor.skipping import not_read
from opensearch_funnel.core.errors import IndexMissingError, InvalidPlanError
from opensearch_funnel.engine.limits import refuse_tight_limits

_FLOODED = "index.blocks.read_only_allow_delete"
_BLOCKS = (_FLOODED, "index.blocks.read_only", "index.blocks.write")
_READ_BLOCKS = ("index.blocks.read",)
_REFRESH = "index.refresh_interval"
_SHARDS = "index.number_of_shards"
_NEVER = "-1"
_SLOW_FROM = 1000
"""Documents from which one shard is felt: with few, there are few candidates to fetch."""


def check_found(case: Case) -> Iterator[Finding]:
    """Look whether the index that was asked for exists, is encoded, and has a pipeline."""
    asked, named = case.facts.asked, case.facts.named
    if asked is None:
        return
    name = "index.found"
    if isinstance(named, Unread):
        if isinstance(named.error, IndexMissingError):
            yield Finding(
                check=name,
                level="error",
                subject=asked,
                finding=f"there is no index or alias {asked}",
                fix=case.fixes.curl("GET", "/_cat/indices?v"),
                advice="the command lists the indices there are",
            )
        else:
            yield not_read(name, named, fixes=case.fixes, subject=asked, index=asked)
        return
    encoded = [one.name for one in case.facts.indices if one.is_encoded]
    unread = [one.mapping for one in case.facts.indices if isinstance(one.mapping, Unread)]
    if unread:
        yield not_read(name, unread[0], fixes=case.fixes, subject=asked, index=asked)
    elif not encoded:
        yield Finding(
            check=name,
            level="warning",
            subject=asked,
            finding=f"{asked} has no funnel fields: its searches are plain",
            fix=case.fixes.funnel("migrate", "plan", asked),
            advice="the plan says what a migration would do; it changes nothing that clients see",
        )
    elif not case.facts.pipelines and not case.facts.unrecorded:
        yield from _unapplied(case, asked)
    else:
        told = asked if [asked] == list(named) else f"{asked} stands for {', '.join(named)}"
        yield Finding(check=name, level="ok", finding=told, subject=asked)


def _unapplied(case: Case, asked: str) -> Iterator[Finding]:
    known = case.facts.records.pipelines
    if isinstance(known, Unread):
        told = f"{asked} has funnel fields; which pipeline searches them is not known here"
        yield Finding(check="index.found", level="ok", finding=told, subject=asked)
        return
    yield Finding(
        check="index.found",
        level="warning",
        subject=asked,
        finding=f"{asked} has funnel fields, and no pipeline is applied that searches them",
        fix=case.fixes.funnel("pipeline", "apply", "--index", asked, "--default"),
    )


def check_indices(case: Case) -> Iterator[Finding]:
    """Look at the state and the settings of every index."""
    for index in case.facts.indices:
        yield from _health(case.fixes, index)
        if isinstance(index.settings, Unread):
            yield not_read(
                "index.settings",
                index.settings,
                fixes=case.fixes,
                subject=index.name,
                index=index.name,
            )
            continue
        yield from _blocks(case.fixes, index)
        yield from _loading(case.fixes, index)
        yield from _limits(case, index)
        yield from _one_shard(case, index)


def _health(fixes: Fixes, index: Index) -> Iterator[Finding]:
    name, health = "index.health", index.health
    if isinstance(health, Unread):
        yield not_read(name, health, fixes=fixes, subject=index.name, index=index.name)
        return
    status, missing = health["status"], health["unassigned_shards"]
    if status == "green":
        yield Finding(check=name, level="ok", finding="green", subject=index.name)
        return
    alone = health["number_of_data_nodes"] == 1
    retry = fixes.curl("POST", "/_cluster/reroute?retry_failed=true&metric=none")
    none = fixes.index_settings(index.name, {"index.number_of_replicas": 0})
    yield Finding(
        check=name,
        level="error" if status == "red" else "warning",
        subject=index.name,
        finding=f"{status}: {missing} of its shards are on no node"
        + (", and replicas never are on the only one" if alone and status == "yellow" else ""),
        fix=none if alone and status == "yellow" else retry,
        advice="" if alone else "GET _cluster/allocation/explain says why a shard has no place",
    )


def _blocks(fixes: Fixes, index: Index) -> Iterator[Finding]:
    name = "index.blocks"
    set_ = [block for block in (*_BLOCKS, *_READ_BLOCKS) if _is_set(index, block)]
    if not set_:
        yield Finding(check=name, level="ok", finding="no block is set", subject=index.name)
        return
    flooded = _FLOODED in set_
    what = "searched" if set(set_) & set(_READ_BLOCKS) else "written"
    yield Finding(
        check=name,
        level="error",
        subject=index.name,
        finding=f"{index.name} cannot be {what}: {', '.join(set_)} is set"
        + (", as when a disk is full" if flooded else ""),
        fix=fixes.index_settings(index.name, dict.fromkeys(set_)),
        advice="make room on the disk first, or the block comes back" if flooded else "",
    )


def _is_set(index: Index, name: str) -> bool:
    settings = index.settings
    return not isinstance(settings, Unread) and str(settings.get(name)).lower() == "true"


def _loading(fixes: Fixes, index: Index) -> Iterator[Finding]:
    """Find an index that a load left without refreshes: what is written is not found."""
    name = "index.load_settings"
    settings, before = index.settings, index.funnel_meta.get("loading")
    refresh = "" if isinstance(settings, Unread) else str(settings.get(_REFRESH, ""))
    if before is None and refresh != _NEVER:
        told = "refreshes are on"
        yield Finding(check=name, level="ok", finding=told, subject=index.name)
        return
    if before is None:
        yield Finding(
            check=name,
            level="warning",
            subject=index.name,
            finding=f"{_REFRESH} of {index.name} is -1: what is written is not found",
            fix=fixes.index_settings(index.name, {_REFRESH: None}),
        )
        return
    yield Finding(
        check=name,
        level="warning",
        subject=index.name,
        finding=f"{index.name} is set up for a load, without refreshes and replicas: one is at "
        "work, or was killed",
        fix=both(
            fixes.index_settings(index.name, {f"index.{k}": v for k, v in before.items()}),
            fixes.curl("PUT", f"/{index.name}/_mapping", {"_meta": _meta_without_mark(index)}),
        ),
        advice="not while a load or a migration is at work",
    )


def _meta_without_mark(index: Index) -> dict[str, Any]:
    mapping = {} if isinstance(index.mapping, Unread) else index.mapping
    meta = dict(mapping.get("_meta", {}))
    ours = {name: value for name, value in index.funnel_meta.items() if name != "loading"}
    return {**meta, "funnel": ours}


def _limits(case: Case, index: Index) -> Iterator[Finding]:
    """Find limits below the engine's defaults, which an upgraded search runs into."""
    name = "index.limits"
    cluster = case.facts.cluster.settings
    own = {} if isinstance(index.settings, Unread) else index.settings
    held: dict[str, Any] = {**index.defaults, **own}
    if not isinstance(cluster, Unread):
        held |= {**cluster.defaults, **cluster.persistent, **cluster.transient}
    tight = {}
    for setting, value in held.items():
        try:
            refuse_tight_limits([{setting: value}], index=index.name)
        except InvalidPlanError as error:
            tight[setting] = str(error)
    if not tight:
        told = "no limit is below the engine's default"
        yield Finding(check=name, level="ok", finding=told, subject=index.name)
        return
    of_index = [setting for setting in tight if setting.startswith("index.")]
    others = [setting for setting in tight if setting not in of_index]
    fixes = []
    if of_index:
        fixes.append(case.fixes.index_settings(index.name, dict.fromkeys(of_index)))
    if others:
        unset = dict.fromkeys(others)
        body = {"persistent": unset, "transient": unset}
        fixes.append(case.fixes.curl("PUT", "/_cluster/settings", body))
    yield Finding(
        check=name,
        level="error",
        subject=index.name,
        finding="; ".join(tight.values()),
        fix=both(*fixes),
    )


def _one_shard(case: Case, index: Index) -> Iterator[Finding]:
    name = "index.shards"
    settings, coverage = index.settings, index.coverage
    shards = "" if isinstance(settings, Unread) else str(settings.get(_SHARDS, ""))
    documents = 0 if isinstance(coverage, Unread) else coverage.documents
    pipeline = case.facts.pipeline_of(index)
    plan = None if pipeline is None or isinstance(pipeline.plan, Unread) else pipeline.plan
    by_service = plan is not None and plan.fusion.by_service
    if shards != "1" or documents < _SLOW_FROM or pipeline is None or by_service:
        told = f"{shards} shards"
        if shards == "1":
            why = "and the service fuses" if by_service else "and few documents"
            told = f"one shard, {why}"
        yield Finding(check=name, level="ok", finding=told, subject=index.name)
        return
    split = f"{index.name}-split"
    yield Finding(
        check=name,
        level="warning",
        subject=index.name,
        finding=f"{index.name} has one shard, where the engine fetches every candidate before it "
        "fuses them: two are several times faster",
        fix=both(
            case.fixes.curl("PUT", f"/{index.name}/_block/write"),
            case.fixes.curl(
                "POST",
                f"/{index.name}/_split/{split}?wait_for_active_shards=1",
                {"settings": {_SHARDS: 2, "index.blocks.write": None}},
            ),
        ),
        advice=f"{index.name} stays blocked for writes: then move the alias to {split}, and apply "
        "the pipeline again",
    )
