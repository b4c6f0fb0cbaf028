"""Everything that the checks judge, gathered before the first of them runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opensearch_funnel.build.doctor.cluster import Cluster
from opensearch_funnel.build.doctor.fixes import Fixes
from opensearch_funnel.build.doctor.indices import Index
from opensearch_funnel.build.doctor.installation import Installation
from opensearch_funnel.build.doctor.pipelines import Pipeline
from opensearch_funnel.build.doctor.probing import Probe
from opensearch_funnel.build.doctor.reading import Unread
from opensearch_funnel.build.doctor.records import Records
from opensearch_funnel.build.doctor.services import Service
from opensearch_funnel.engine.search_pipelines import token_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Unrecorded:
    """A search pipeline of this project that the cluster has no record of.

    Attributes:
        name: of the search pipeline.
        body: what it does.
        service_url: where its connector calls the service; empty where that was not found out.
        all_gone: whether there is no record of anything: the index of records is gone.
    """

    name: str
    body: Mapping[str, Any]
    service_url: str = ""
    all_gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was gathered.

    Attributes:
        asked: the index or alias that alone is looked at; ``None`` for all pipelines.
        named: the concrete indices that ``asked`` stands for.
        cluster: as a whole.
        records: what the cluster remembers of the funnel.
        pipelines: those that are applied.
        unrecorded: the pipeline of ``asked`` where there is no record of it.
        indices: those that are searched through the pipelines, and that ``asked`` stands for.
        services: by the address that the pipelines have for them.
        spare_service: the service of the settings, where no pipeline calls that address.
        installation: of this program.
        probes: a search through each pipeline, by its name.
        token: what services want to be shown, as far as it is set here.
    """

    asked: str | None
    named: tuple[str, ...] | Unread
    cluster: Cluster
    records: Records
    pipelines: tuple[Pipeline, ...]
    unrecorded: Unrecorded | None
    indices: tuple[Index, ...]
    services: Mapping[str, Service]
    spare_service: Service | None
    installation: Installation
    probes: Mapping[str, Probe]
    token: str | None

    def index_of(self, pipeline: Pipeline) -> Index | None:
        """Return the index of a pipeline's plan; ``None`` where it was not read."""
        return next((one for one in self.indices if one.name == pipeline.index), None)

    def pipeline_of(self, index: Index) -> Pipeline | None:
        """Return the pipeline that searches an index: its default, if several do."""
        found = [one for one in self.pipelines if one.index == index.name]
        return next((one for one in found if one.name == index.default), next(iter(found), None))

    def service_of(self, pipeline: Pipeline) -> Service | None:
        """Return what answers at the address that a pipeline has for its service."""
        return self.services.get(pipeline.applied.service_url)

    def shows_same_token(self, pipeline: Pipeline) -> bool:
        """Say whether a pipeline's connectors carry the token that is set here."""
        carried = token_hash(self.token, plan_id=pipeline.applied.plan_id)
        return carried == pipeline.applied.token_hash


@dataclass(frozen=True, slots=True)
class Case:
    """What a check gets: the facts, and a way to write its fixes."""

    facts: Facts
    fixes: Fixes
