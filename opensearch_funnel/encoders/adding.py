"""Add a published model: fetch it, read what it says of itself, prove that it runs, keep it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from opensearch_funnel.core.errors import InputError, ModelError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.encoders.cross_encoder import CrossEncoder
from opensearch_funnel.encoders.dense import DenseEncoder
from opensearch_funnel.encoders.describing import Description, describe
from opensearch_funnel.encoders.fetch import sha256_of
from opensearch_funnel.encoders.graph.building import read_checkpoint
from opensearch_funnel.encoders.graph.exported import read_exported
from opensearch_funnel.encoders.graph.foreign import load_self_contained
from opensearch_funnel.encoders.layout import find_layout
from opensearch_funnel.encoders.manifest import (
    Kind,
    Manifest,
    ModelFile,
    Pooling,
    Precision,
    Source,
)
from opensearch_funnel.encoders.manifest_files import new_manifest, write_manifest
from opensearch_funnel.encoders.opening import LocalEncoder, open_files
from opensearch_funnel.encoders.session import open_session
from opensearch_funnel.encoders.sources import SourceMissError, open_source, pinned
from opensearch_funnel.encoders.splade import SpladeEncoder
from opensearch_funnel.encoders.tokens import open_tokenizer
from opensearch_funnel.settings import load_settings

_BLOCK = 1 << 20
_SAMPLE = ("a red fox runs home", "the sea")
_ROWS_MORE_THAN_TOKENS = 1.1
"""A word table may be padded to a round number, but not by a tenth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A model to add, and what the user says of it; what is empty is left to the model's files."""

    source: Source
    name: str
    kind: Kind | None = None
    pooling: Pooling | None = None
    query_prefix: str | None = None
    document_prefix: str | None = None
    max_tokens: int | None = None
    dimension: int | None = None
    licence: str = ""
    weights: str = ""
    tokenizer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """A model that was added, or would be.

    Attributes:
        manifest: all that was found out.
        evidence: what told its kind.
        path: the manifest's file.
    """

    manifest: Manifest
    evidence: str
    path: Path


def add_model(
    wanted: Wanted, *, overwrite: bool = False, write: bool = True, progress: Progress = SILENT
) -> Added:
    """Add a model to those of this machine.

    Nothing is kept unless everything is right: the files are fetched into a folder of their own,
    described, hashed, and run once; then they are moved, the manifest last.

    Args:
        wanted: which model.
        overwrite: whether one of the same name may be replaced.
        write: False to find everything out and keep nothing.
        progress: hears of the bytes that are fetched.

    Raises:
        InputError: the name is taken or no name.
        ModelError: a file is missing, empty, unsafe, broken, or another model's.
        MissingExtraError: a client that the source needs is not installed.
    """
    path = new_manifest(wanted.name, overwrite=overwrite)
    home = load_settings().home
    try:
        (home / "models").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home / "models", prefix=".adding-") as made:
            folder = Path(made)
            source, kept = _fetch(wanted, folder, progress=progress)
            description = describe(folder, kind=wanted.kind)
            manifest = _manifest(wanted, description, source=source, kept=kept, folder=folder)
            _prove(manifest, folder)
            if write:
                _keep(manifest, folder, path=path)
    except OSError as error:
        raise ModelError(f"cannot write to {home}: {error.strerror or error}") from error
    return Added(manifest=manifest, evidence=description.evidence, path=path)


def _fetch(wanted: Wanted, folder: Path, *, progress: Progress) -> tuple[Source, Mapping[str, str]]:
    """Bring the files here; return the source as it was, and the names of those to keep."""
    try:
        source, hashes = pinned(wanted.source)
        with open_source(source, folder=Path.cwd()) as opened:
            layout = find_layout(opened.names(), weights=wanted.weights, tokenizer=wanted.tokenizer)
            files = {**layout.read, **layout.kept}
            with progress.task(f"model {wanted.name}", total=None, unit="bytes") as advance:
                for own, there in files.items():
                    path = folder / own
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with opened.open(there) as entry, path.open("wb") as stream:
                        while block := entry.read(_BLOCK):
                            stream.write(block)
                            advance(len(block))
                    if not path.stat().st_size:
                        raise ModelError(f"{there} is empty")
                    if there in hashes and sha256_of(path) != hashes[there]:
                        raise ModelError(f"{there} is not what {source} promises: fetch it again")
    except SourceMissError as error:
        raise ModelError(f"{wanted.source}: {error}") from error
    return source, layout.kept


def _manifest(
    wanted: Wanted,
    found: Description,
    *,
    source: Source,
    kept: Mapping[str, str],
    folder: Path,
) -> Manifest:
    licence = wanted.licence or found.licence
    if not licence:
        raise InputError("no file of the model names its licence: say --licence")
    native, precisions, redraw = _weights_of(folder, kind=found.kind)
    dimension = wanted.dimension or native
    if dimension > native or (dimension != native and found.kind != "dense"):
        raise InputError(f"--dimension {dimension}: the model gives {native}")
    max_tokens = wanted.max_tokens or found.max_tokens
    files = tuple(
        ModelFile(name=name, sha256=sha256_of(folder / name), size=(folder / name).stat().st_size)
        for name in sorted(kept)
    )
    entries = {own: there for own, there in kept.items() if own != there}
    return Manifest(
        name=wanted.name,
        kind=found.kind,
        pooling=wanted.pooling or found.pooling,
        query_prefix=_said(wanted.query_prefix, found.query_prefix),
        document_prefix=_said(wanted.document_prefix, found.document_prefix),
        max_tokens=max_tokens,
        dimension=dimension,
        licence=licence,
        languages=found.languages,
        precisions=precisions,
        redraw=redraw,
        query_weights=found.query_weights,
        unit_length=found.unit_length,
        cut_from=native if dimension < native else 0,
        token_vectors=found.token_vectors,
        files=files,
        sources=(
            Source(
                kind=source.kind,
                address=_address(source),
                revision=source.revision,
                entries=entries,
            ),
        ),
        folder=folder,
    )


def _said(own: str | None, found: str) -> str:
    return found if own is None else own


def _address(source: Source) -> str:
    return str(Path(source.address).resolve()) if source.kind == "folder" else source.address


def _weights_of(folder: Path, *, kind: Kind) -> tuple[int, tuple[Precision, ...], bool]:
    """Return the native dimension, the precisions that can be drawn, and whether to redraw."""
    graph = folder / "model.onnx"
    tokens = len(open_tokenizer(folder / "tokenizer.json", max_tokens=1).vocabulary())
    if not graph.is_file():
        checkpoint = read_checkpoint(folder)
        _check_vocabulary(tokens, len(checkpoint.word))
        sizes = {
            "splade": len(checkpoint.word),
            "dense": checkpoint.architecture.hidden,
            "cross_encoder": 1,
            "token_vectors": 0 if checkpoint.projection is None else checkpoint.projection.shape[1],
        }
        return int(sizes[kind]), ("fp32", "int8"), False
    if kind in ("splade", "token_vectors"):
        raise ModelError(f"an .onnx cannot be run as {kind}: use the model's .safetensors")
    load_self_contained(graph)
    if kind == "cross_encoder":
        return 1, ("fp32",), False
    try:
        checkpoint = read_exported(graph)
    except ModelError:
        return _states_of(graph), ("fp32",), False
    _check_vocabulary(tokens, len(checkpoint.word))
    return checkpoint.architecture.hidden, ("fp32", "int8"), True


def _check_vocabulary(tokens: int, rows: int) -> None:
    if tokens > rows or rows > tokens * _ROWS_MORE_THAN_TOKENS:
        raise ModelError(
            f"the tokenizer has {tokens} tokens and the model {rows}: it belongs to another model"
        )


def _states_of(graph: Path) -> int:
    session = open_session(graph)
    shapes = {o.name: o.shape for o in session.runtime.get_outputs()}
    width = shapes.get("last_hidden_state", [None])[-1]
    if not isinstance(width, int):
        raise ModelError(f"the graph gives {', '.join(shapes)}, not last_hidden_state")
    return width


def _prove(manifest: Manifest, folder: Path) -> None:
    """Run the model on two texts and on the last token that its tokenizer can give."""
    encoder = open_files(manifest, folder)
    try:
        numbers = _numbers(encoder)
    except ModelError:
        raise
    except Exception as error:  # onnxruntime has no common class for its errors
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"the model does not run: {reason}") from error
    if not np.isfinite(numbers).all():
        raise ModelError("the model gives numbers that are not finite: its weights are broken")


def _numbers(encoder: LocalEncoder) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    last = encoder.tokenizer.vocabulary()[-1]
    texts = [*_SAMPLE, last]
    if isinstance(encoder, CrossEncoder):
        return np.asarray(encoder.score(_SAMPLE[0], texts), dtype=np.float32)
    if isinstance(encoder, DenseEncoder):
        return encoder.encode_documents(texts)
    if isinstance(encoder, SpladeEncoder):
        found = [weight for row in encoder.encode_documents(texts) for weight in row.values()]
        if not found:
            raise ModelError("the model gives a plain text no terms: its weights are broken")
        return np.asarray([*found, *encoder.encode_query(texts[0]).values()], dtype=np.float32)
    return np.concatenate([*encoder.encode_documents(texts), encoder.encode_query(texts[0])])


def _keep(manifest: Manifest, folder: Path, *, path: Path) -> None:
    """Move the files that the model runs from to their place, and write the manifest last."""
    place = load_settings().home / "models" / manifest.name
    kept, old = folder / ".kept", folder / ".old"
    kept.mkdir()
    for file in manifest.files:
        (folder / file.name).rename(kept / file.name)
    if place.exists():
        place.rename(old)
    kept.chmod(0o755)
    kept.rename(place)
    write_manifest(manifest, path)
