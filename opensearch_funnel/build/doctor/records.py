"""What the cluster remembers of the funnel, as far as it could be read."""

from __future__ import annotations

from dataclasses import dataclass

from opensearchpy import OpenSearch

from opensearch_funnel.build.doctor.reading import Reader, Unread
from opensearch_funnel.engine import state
from opensearch_funnel.engine.applying import pipeline_name
from opensearch_funnel.engine.records import list_records
from opensearch_funnel.engine.state import AppliedPipeline
from opensearch_funnel.migrating.migration import Migration, list_migrations


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """The records of applied pipelines, of calls that were interrupted, and of migrations.

    Attributes:
        pipelines: those that are applied.
        unfinished: names of pipelines whose apply or removal did not come to its end.
        migrations: those that were planned and not cleaned up.
    """

    pipelines: tuple[AppliedPipeline, ...] | Unread
    unfinished: tuple[str, ...] | Unread
    migrations: tuple[Migration, ...] | Unread


def read_records(reader: Reader, *, index: str | None) -> Records:
    """Read the records.

    Args:
        reader: asks the cluster.
        index: an index or alias: what is recorded of others is left out.
    """

    def unfinished(client: OpenSearch) -> tuple[str, ...]:
        found = list_records(client, kind="unfinished")
        return tuple(sorted(record["unfinished"]["name"] for record, _ in found))

    pipelines = reader.read(lambda client: tuple(state.list_pipelines(client)))
    left = reader.read(unfinished)
    migrations = reader.read(lambda client: tuple(list_migrations(client)))
    if index is not None:
        if not isinstance(pipelines, Unread):
            pipelines = tuple(one for one in pipelines if _is_of(one, index))
        if not isinstance(left, Unread):
            left = tuple(name for name in left if name == pipeline_name(index))
        if not isinstance(migrations, Unread):
            names = (index, *_indices_of(pipelines))
            migrations = tuple(
                one for one in migrations if {one.alias, one.source, one.target} & set(names)
            )
    return Records(
        pipelines=pipelines,
        unfinished=left,
        migrations=migrations,
    )


def _is_of(applied: AppliedPipeline, index: str) -> bool:
    """Say whether a pipeline is one of an index or alias, without reading its plan."""
    alias = applied.plan_id.rpartition(".")[0]
    return index == alias or applied.name == pipeline_name(index) or index in applied.default_of


def _indices_of(pipelines: tuple[AppliedPipeline, ...] | Unread) -> tuple[str, ...]:
    if isinstance(pipelines, Unread):
        return ()
    return tuple(index for one in pipelines for index in one.default_of)
