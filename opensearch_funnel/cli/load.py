"""``funnel load``: files into an index."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from opensearch_funnel.cli.choices import listed
from opensearch_funnel.cli.connection import engine_options
from opensearch_funnel.cli.output import emit, output_option
from opensearch_funnel.cli.progress import terminal_progress
from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.progress import Progress
from opensearch_funnel.core.text import encoded_text
from opensearch_funnel.settings import Settings

if TYPE_CHECKING:
    from opensearch_funnel.documents.document import Document
    from opensearch_funnel.migrating.encoding import SlotEncoder

_FORMATS = ("beir", "ndjson", "csv", "tsv", "dead-letters")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    """What is loaded."""

    paths: tuple[Path, ...]
    format: str | None
    id_field: str | None

    def documents(self) -> Iterator[Document]:
        from opensearch_funnel.documents.readers import read_files

        return read_files(self.paths, format=self.format, id_field=self.id_field)


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--index", required=True, help="Where to; made if it does not exist.")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(_FORMATS),
    default=None,
    help="What the files are  [default: told from their names]",
)
@click.option(
    "--id-field",
    default=None,
    help="The field with the id  [default: _id, else id, else made of the content]",
)
@click.option("--funnel", is_flag=True, help="Add the fields of the sparse and the dense leg.")
@click.option(
    "--fields",
    default="title,text",
    show_default=True,
    help="The text that is encoded, most telling first.",
)
@click.option(
    "--sparse-model", default="splade-tiny", show_default=True, help="Makes the sparse field."
)
@click.option(
    "--dense-model", default="bge-small-en-v1.5", show_default=True, help="Makes the dense field."
)
@click.option(
    "--dead-letters",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Where refused documents go  [default: INDEX-dead-TIME.ndjson.gz]",
)
@click.option(
    "--batch",
    type=click.IntRange(1, 10_000),
    default=1000,
    show_default=True,
    help="Most documents in one request.",
)
@click.option("--dry-run", is_flag=True, help="Read and check the files, and write nothing.")
@output_option
@engine_options
def load(
    settings: Settings,
    *,
    files: tuple[Path, ...],
    index: str,
    file_format: str | None,
    id_field: str | None,
    funnel: bool,
    fields: str,
    sparse_model: str,
    dense_model: str,
    dead_letters: Path | None,
    batch: int,
    dry_run: bool,
    output: str,
) -> int:
    """Load documents from ndjson, CSV, TSV or a BEIR folder, plain or .gz.

    All files are checked before anything is written: one broken line, and nothing is. Loading
    the same files again doubles nothing. Documents that OpenSearch refuses end in a file of
    their own, with the reason; load them again with --format dead-letters.

    Example: funnel load films.ndjson --index films --funnel
    """
    from opensearch_funnel.engine.bulk import BulkLimits, bulk_index
    from opensearch_funnel.engine.client import connect
    from opensearch_funnel.engine.indices import (
        add_slot,
        create_index,
        index_body,
        index_exists,
        interrupted_load,
        load_settings_of,
        refresh_index,
    )
    from opensearch_funnel.migrating.encoding import funnel_fields

    names = listed(fields)
    source = _Files(paths=files, format=file_format, id_field=id_field)
    with terminal_progress() as progress:
        total = _checked(source, text_fields=names if funnel else (), progress=progress)
        if dry_run:
            emit({"index": index, "documents": total, "written": False}, output=output)
            return 0
        client = connect(settings)
        # Asked before models are fetched: a cluster that is down is the quicker thing to hear of.
        exists = index_exists(client, index=index)
        encoder = (
            _opened(sparse_model, dense_model, names, settings=settings, progress=progress)
            if funnel
            else None
        )
        if exists and encoder is not None:
            add_slot(client, index=index, slot=encoder.slot)
        if not exists:
            body = index_body(slot=encoder.slot if encoder else None)
            create_index(client, index=index, body=body)
        letters = dead_letters or Path(f"{index}-dead-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.ndjson.gz")
        documents = source.documents()
        if encoder is not None:
            documents = funnel_fields(documents, encoder=encoder, progress=progress, total=total)
        # Only an index that nobody searches yet goes without refreshes and replicas meanwhile.
        fresh = not exists or interrupted_load(client, index=index)
        with load_settings_of(client, index=index) if fresh else nullcontext():
            report = bulk_index(
                client,
                documents,
                index=index,
                dead_letters=letters,
                limits=replace(BulkLimits(), max_documents=batch),
                progress=progress,
                total=total,
            )
        refresh_index(client, index=index)
        if report.dead:
            again = shlex.join(
                ["funnel", "load", str(letters), "--format", "dead-letters", "--index", index]
            )
            progress.say(
                f"refused: {report.dead:,} of {total:,} documents; they and the reasons are in "
                f"{letters}; when the cause is gone: {again}"
            )
    result = {
        "index": index,
        "created": not exists,
        "documents": total,
        "indexed": report.indexed,
        "dead": report.dead,
        "dead_letters": str(letters) if report.dead else None,
        "retried": report.retried,
        "bytes": report.bytes,
        "seconds": round(report.seconds, 3),
    }
    emit(result, output=output)
    return 1 if report.dead else 0


def _checked(source: _Files, *, text_fields: tuple[str, ...], progress: Progress) -> int:
    """Read everything once, so that what is wrong is found before the first write."""
    from opensearch_funnel.migrating.encoding import refuse_own_funnel_field

    total = with_text = 0
    with progress.task("checking") as advance:
        for document in source.documents():
            total += 1
            if text_fields:
                refuse_own_funnel_field(document)
                with_text += bool(encoded_text(document.source, fields=text_fields))
            advance(1)
    if text_fields and not with_text:
        raise InputError(
            f"no document has text in {' or '.join(text_fields)}: name its fields with --fields"
        )
    return total


def _opened(
    sparse: str, dense: str, fields: tuple[str, ...], *, settings: Settings, progress: Progress
) -> SlotEncoder:
    from opensearch_funnel.encoders.opening import open_dense, open_splade
    from opensearch_funnel.migrating.encoding import SlotEncoder

    return SlotEncoder(
        fields=fields,
        sparse=open_splade(sparse, threads=settings.threads, progress=progress),
        dense=open_dense(dense, threads=settings.threads, progress=progress),
    )
