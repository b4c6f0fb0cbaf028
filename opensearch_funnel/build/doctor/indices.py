"""What is read of one index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.build.doctor.legs import model_legs
from opensearch_funnel.build.doctor.reading import Reader, Unread
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine.covering import Alias, aliases_of
from opensearch_funnel.engine.default_pipelines import (
    INGEST,
    NO_PIPELINE,
    SEARCH,
    Kind,
    pipeline_body,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How many of an index's documents have funnel fields, as searches see them.

    Attributes:
        documents: all of them.
        ready: those whose fields are filled.
        pending: those that wait for it.
        without_id: those without a key, which the reranker cannot find.
        foreign: those that say that other models than the plan's filled them.
    """

    documents: int
    ready: int
    pending: int
    without_id: int
    foreign: int

    @property
    def unmarked(self) -> int:
        """How many say nothing of themselves: they were never encoded."""
        return self.documents - self.ready - self.pending


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """A concrete index, as far as it could be read.

    Attributes:
        name: of the concrete index.
        alias: the name by which a plan or a person calls it.
        mapping: the body of its mapping.
        settings: what was set, by full names.
        defaults: what holds where nothing was set.
        health: of its shards.
        default_body: of its default search pipeline; ``None`` where there is none of that name.
        ingest_found: whether its default ingest pipeline exists.
        aliases: through which it is searched.
        coverage: of its documents.
    """

    name: str
    alias: str
    mapping: Mapping[str, Any] | Unread
    settings: Mapping[str, Any] | Unread
    defaults: Mapping[str, Any]
    health: Mapping[str, Any] | Unread
    default_body: Mapping[str, Any] | Unread | None
    ingest_found: bool | Unread
    aliases: tuple[Alias, ...] | Unread
    coverage: Coverage | Unread

    @property
    def default(self) -> str:
        """The search pipeline that the index names as the default; empty for none."""
        return self._named(SEARCH)

    @property
    def ingest_default(self) -> str:
        """The ingest pipeline that the index names as the default; empty for none."""
        return self._named(INGEST)

    def _named(self, kind: Kind) -> str:
        if isinstance(self.settings, Unread):
            return ""
        named = str(self.settings.get(kind.setting, ""))
        return "" if named == NO_PIPELINE else named

    @property
    def funnel_meta(self) -> Mapping[str, Any]:
        """What ``_meta.funnel`` says; empty where it says nothing, or was not read."""
        if isinstance(self.mapping, Unread):
            return {}
        found: Mapping[str, Any] = self.mapping.get("_meta", {}).get("funnel", {})
        return found

    @property
    def is_encoded(self) -> bool:
        """Whether the mapping has the funnel's key."""
        if isinstance(self.mapping, Unread):
            return False
        fields = self.mapping.get("properties", {}).get("funnel", {}).get("properties", {})
        return "id" in fields


def concrete_indices(client: OpenSearch, name: str) -> tuple[str, ...]:
    """Return the indices that a name stands for."""
    return tuple(sorted(client.indices.get_mapping(index=name)))


def read_index(reader: Reader, name: str, *, alias: str, plan: FunnelPlan | None) -> Index:
    """Read an index.

    Args:
        reader: asks the cluster.
        name: a concrete index.
        alias: the name by which it was called.
        plan: what searches it; ``None`` where nothing is applied.
    """
    found = reader.read(lambda client: _settings(client, name))
    settings, defaults = (found, {}) if isinstance(found, Unread) else found
    asked = plan or FunnelPlan(alias=alias)
    index = Index(
        name=name,
        alias=alias,
        mapping=reader.read(lambda client: _mapping(client, name)),
        settings=settings,
        defaults=defaults,
        health=reader.read(lambda client: _health(client, name)),
        default_body=None,
        ingest_found=True,
        aliases=reader.read(lambda client: tuple(aliases_of(client, asked, index=name))),
        coverage=reader.read(lambda client: _coverage(client, name, plan=plan)),
    )
    if index.default:
        named = index.default
        body = reader.read(lambda client: pipeline_body(client, named))
        index = replace(index, default_body=body)
    if index.ingest_default:
        wanted = index.ingest_default
        there = reader.read(lambda client: pipeline_body(client, wanted, kind=INGEST) is not None)
        index = replace(index, ingest_found=there)
    return index


def _mapping(client: OpenSearch, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = client.indices.get_mapping(index=name)[name]["mappings"]
    return found


def _settings(client: OpenSearch, name: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    flat = {"flat_settings": "true", "include_defaults": "true"}
    found = client.indices.get_settings(index=name, params=flat)[name]
    return found["settings"], found.get("defaults", {})


def _health(client: OpenSearch, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = client.cluster.health(index=name)
    return found


def coverage_body(plan: FunnelPlan | None) -> dict[str, Any]:
    """Return the search that counts an index's documents by what their funnel fields say.

    Example:
        >>> sorted(coverage_body(None)["aggs"])
        ['foreign', 'pending', 'ready', 'without_id']
    """
    said = {"exists": {"field": "funnel.model"}}
    legs = {} if plan is None else model_legs(plan)
    ours = [{"term": {"funnel.model": leg.fingerprint}} for leg in legs.values()]
    unlike = [{"bool": {"must_not": one}} for one in ours]
    foreign = {"bool": {"filter": [said], "should": unlike, "minimum_should_match": 1}}
    nothing: dict[str, Any] = {"match_none": {}}
    return {
        "size": 0,
        "track_total_hits": True,
        "aggs": {
            "ready": {"filter": {"term": {"funnel.state": "ready"}}},
            "pending": {"filter": {"term": {"funnel.state": "pending"}}},
            "without_id": {"filter": {"bool": {"must_not": {"exists": {"field": "funnel.id"}}}}},
            "foreign": {"filter": foreign if unlike else nothing},
        },
    }


def _coverage(client: OpenSearch, name: str, *, plan: FunnelPlan | None) -> Coverage:
    answer = client.search(
        index=name, body=coverage_body(plan), params={"search_pipeline": NO_PIPELINE}
    )
    counts = {key: found["doc_count"] for key, found in answer["aggregations"].items()}
    return Coverage(documents=answer["hits"]["total"]["value"], **counts)
