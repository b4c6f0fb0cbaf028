"""The report of a plan, put together from all that was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opensearch_funnel.core.text import encoded_text
from opensearch_funnel.migrating.migration import Migration
from opensearch_funnel.migrating.planning.changes import mapping_diff, settings_changes
from opensearch_funnel.migrating.planning.measuring import Measured
from opensearch_funnel.migrating.planning.report import PlanReport, Sizes, Texts, Times
from opensearch_funnel.migrating.planning.room import Room
from opensearch_funnel.migrating.planning.source import Source
from opensearch_funnel.migrating.planning.text_fields import FieldChoice
from opensearch_funnel.migrating.planning.token_counts import TokenCounter
from opensearch_funnel.migrating.target_body import target_settings

_HOUR_S = 3600


def texts_of(
    choices: Sequence[FieldChoice],
    samples: Sequence[Mapping[str, Any]],
    *,
    counter: TokenCounter,
    limit: int,
) -> Texts:
    """Look at the texts that samples would be encoded from."""
    fields = [one.path for one in choices if one.taken]
    texts = [text for one in samples if (text := encoded_text(one, fields=fields))]
    lengths = counter.count(texts)
    looked_at = max(1, len(samples))
    return Texts(
        fields=tuple(choices),
        samples=len(samples),
        tokens=round(sum(lengths) / max(1, len(lengths)), 1),
        limit=limit,
        cut=sum(length + counter.own > limit for length in lengths) / looked_at,
        empty=(len(samples) - len(texts)) / looked_at,
        counted_by=counter.name,
    )


def sizes_of(
    source: Source, migration: Migration, *, measured: Measured | None, room: Room | None
) -> Sizes:
    """Estimate what the target takes, from what the source does and the samples' fields."""
    free = None if room is None else room.total
    after = a_document = None
    if measured is not None:
        a_document = round(measured.stored(target_settings(migration)))
        # What is deleted is not copied.
        alive = source.lucene_documents / max(1, source.lucene_documents + source.deleted)
        after = round(source.bytes * alive) + source.documents * a_document
    return Sizes(
        primaries_now=source.bytes,
        replicas=source.replicas,
        a_document=a_document,
        primaries_after=after,
        free=free,
    )


def times_of(source: Source, measured: Measured | None) -> Times | None:
    """Return how long all documents take at the rate of the samples."""
    if measured is None:
        return None
    return Times(
        documents=measured.documents,
        rate=round(measured.rate, 2),
        hours=round(source.documents / measured.rate / _HOUR_S, 4),
    )


def report_of(  # noqa: PLR0913 - what was found, each by another part
    source: Source,
    migration: Migration,
    *,
    texts: Texts,
    sizes: Sizes,
    times: Times | None,
    templates: Sequence[str],
    risks: Sequence[str],
) -> PlanReport:
    """Put the report together."""
    return PlanReport(
        documents=source.documents,
        shards=(source.shards, migration.shards),
        texts=texts,
        slots=migration.slots,
        sizes=sizes,
        times=times,
        mapping_diff=mapping_diff(migration),
        settings=settings_changes(migration),
        aliases=source.snapshot.aliases,
        templates=tuple(templates),
        untouched=(
            f"{source.name}, but for the block on its writes that the cutover sets",
            "the documents: the copies have the same bytes, and the object funnel besides",
            "templates, ingest and search pipelines, and all other indices",
        ),
        risks=tuple(dict.fromkeys(risks)),
        next_command=f"funnel migrate run {migration.alias}",
    )
