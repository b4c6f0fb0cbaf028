"""Gather the facts: every call that the doctor makes starts here, and none of them writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.build.doctor.cluster import Cluster, read_cluster
from opensearch_funnel.build.doctor.facts import Facts, Unrecorded
from opensearch_funnel.build.doctor.indices import Index, concrete_indices, read_index
from opensearch_funnel.build.doctor.installation import read_installation
from opensearch_funnel.build.doctor.pipelines import Pipeline, read_pipeline
from opensearch_funnel.build.doctor.probing import probe_search
from opensearch_funnel.build.doctor.reading import Reader, Unread
from opensearch_funnel.build.doctor.records import Records, read_records
from opensearch_funnel.build.doctor.runtimes import RuntimeProbe
from opensearch_funnel.build.doctor.services import Service, is_loopback, read_service
from opensearch_funnel.build.service import service_token
from opensearch_funnel.core.errors import FunnelError, IndexMissingError
from opensearch_funnel.core.progress import Progress
from opensearch_funnel.engine.applying import pipeline_name
from opensearch_funnel.engine.default_pipelines import is_ours, pipeline_body
from opensearch_funnel.engine.records import STATE_INDEX
from opensearch_funnel.engine.remote_models import ML
from opensearch_funnel.engine.state import AppliedPipeline
from opensearch_funnel.settings import Settings

_STEPS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be looked at.

    Attributes:
        index: an index or alias that alone is looked at; ``None`` for every pipeline.
        service_url: where this machine reaches the service, if not where the cluster does.
        plan_file: the ``funnel.toml`` that an apply here would read.
    """

    index: str | None
    service_url: str | None
    plan_file: Path


def gather(
    client: OpenSearch,
    settings: Settings,
    *,
    asked: Asked,
    probe: RuntimeProbe,
    progress: Progress,
) -> Facts:
    """Gather the facts.

    Args:
        client: the cluster, with a deadline for every call.
        settings: of the cluster and the service.
        asked: what is to be looked at.
        probe: tries the model runtime meanwhile.
        progress: hears of every part that is done.
    """
    reader, token = Reader(client), service_token(settings)
    with progress.task("looking", total=_STEPS, unit="parts") as advance:
        cluster = read_cluster(reader, url=settings.url)
        advance(1)
        if not cluster.answers:
            return _facts_of_this_machine(cluster, asked=asked, probe=probe, token=token)
        records = read_records(reader, index=asked.index)
        applied = () if isinstance(records.pipelines, Unread) else records.pipelines
        services = _services(applied, settings=settings, asked=asked, token=token)
        spare = _spare(services, settings=settings, asked=asked)
        advance(1)
        pipelines = tuple(read_pipeline(reader, one, plan_file=asked.plan_file) for one in applied)
        advance(1)
        named = _named(reader, asked.index)
        indices = _indices(reader, pipelines, named=named, asked=asked.index)
        found = {one.name: one for one in indices}
        advance(1)
        probes = {
            one.name: probe_search(
                reader,
                one,
                index=found.get(str(one.index)),
                used=_is_used(cluster, one),
            )
            for one in pipelines
        }
        plans = [one.plan for one in pipelines if not isinstance(one.plan, Unread)]
        installation = read_installation(probe, plans=plans)
        unrecorded = None
        if asked.index is not None and not applied and not isinstance(records.pipelines, Unread):
            unrecorded = _unrecorded(reader, asked.index, indices=indices)
        advance(1)
    return Facts(
        asked=asked.index,
        named=named,
        cluster=cluster,
        records=records,
        pipelines=pipelines,
        unrecorded=unrecorded,
        indices=indices,
        services=services,
        spare_service=spare,
        installation=installation,
        probes=probes,
        token=token,
    )


def _facts_of_this_machine(
    cluster: Cluster, *, asked: Asked, probe: RuntimeProbe, token: str | None
) -> Facts:
    """Return what there is to know where no cluster answers."""
    unknown = cluster.info if isinstance(cluster.info, Unread) else Unread(why="not asked")
    records = Records(pipelines=unknown, unfinished=unknown, migrations=unknown)
    return Facts(
        asked=asked.index,
        named=unknown,
        cluster=cluster,
        records=records,
        pipelines=(),
        unrecorded=None,
        indices=(),
        services={},
        spare_service=None,
        installation=read_installation(probe, plans=[]),
        probes={},
        token=token,
    )


def _services(
    applied: Sequence[AppliedPipeline], *, settings: Settings, asked: Asked, token: str | None
) -> dict[str, Service]:
    """Ask every service that a pipeline calls, by the address that the pipeline has for it."""
    plan_ids: dict[str, list[str]] = {}
    for one in applied:
        plan_ids.setdefault(one.service_url, []).append(one.plan_id)
    services = {}
    for recorded, ids in sorted(plan_ids.items()):
        url = asked.service_url or recorded
        # Who can write records must not be able to have the token sent anywhere.
        known = url in {asked.service_url, settings.service_url} or is_loopback(url)
        services[recorded] = read_service(
            url,
            plan_ids=ids,
            token=token if known else None,
            cluster_url=settings.url,
            meant=asked.service_url is not None,
        )
    return services


def _spare(services: dict[str, Service], *, settings: Settings, asked: Asked) -> Service | None:
    """Ask the service that was named here, where no pipeline calls that address."""
    url = asked.service_url or settings.service_url
    if not services or url in services:
        return None
    return read_service(
        url, plan_ids=(), token=None, cluster_url=settings.url, meant=asked.service_url is not None
    )


def _named(reader: Reader, index: str | None) -> tuple[str, ...] | Unread:
    if index is None:
        return ()
    return reader.read(lambda client: concrete_indices(client, index))


def _indices(
    reader: Reader,
    pipelines: Sequence[Pipeline],
    *,
    named: tuple[str, ...] | Unread,
    asked: str | None,
) -> tuple[Index, ...]:
    """Read the indices of the pipelines, and those that were asked for."""
    searched = {
        one.index: one
        for one in pipelines
        if not isinstance(one.index, Unread) and not isinstance(one.plan, Unread)
    }
    others = () if isinstance(named, Unread) else named
    found = []
    for name in sorted({*searched, *others}):
        pipeline = searched.get(name)
        if pipeline is None:
            found.append(read_index(reader, name, alias=asked or name, plan=None))
        elif not isinstance(pipeline.plan, Unread):
            plan = pipeline.plan
            found.append(read_index(reader, name, alias=plan.alias, plan=plan))
    return tuple(found)


def _is_used(cluster: Cluster, pipeline: Pipeline) -> bool:
    stats = cluster.stats
    if isinstance(stats, Unread):
        return False
    return any(node.searches.get(pipeline.name, 0) for node in stats)


def _unrecorded(reader: Reader, asked: str, *, indices: Sequence[Index]) -> Unrecorded | None:
    """Find the pipeline of an index that no record tells of."""
    names = dict.fromkeys([*(one.default for one in indices if one.default), pipeline_name(asked)])
    for name in names:
        lost = _lost_pipeline(reader, name)
        if lost is not None:
            return lost
    return None


def _lost_pipeline(reader: Reader, name: str) -> Unrecorded | None:
    body = reader.read(lambda client: pipeline_body(client, name))
    if isinstance(body, Unread) or body is None or not is_ours(body):
        return None
    found = body
    url = reader.read(lambda client: _service_of(client, found))
    kept = reader.read(lambda client: client.count(index=STATE_INDEX))
    return Unrecorded(
        name=name,
        body=found,
        service_url="" if isinstance(url, Unread) else url,
        all_gone=isinstance(kept, Unread) and isinstance(kept.error, IndexMissingError),
    )


def _service_of(client: OpenSearch, body: dict[str, Any]) -> str:
    """Follow a pipeline's model to its connector, and return where that calls the service."""
    model_id = next(
        processor["ml_inference"]["model_id"]
        for processor in body["request_processors"]
        if "ml_inference" in processor
    )
    ask = client.transport.perform_request
    connector_id = ask("GET", f"{ML}/models/{model_id}")["connector_id"]
    connector = ask("GET", f"{ML}/connectors/{connector_id}")
    url, found, _ = str(connector["actions"][0]["url"]).partition("/v1/plans/")
    if not found:
        raise FunnelError("a connector of somebody else's")
    return url
