"""From a name to an encoder that is ready to run."""

from __future__ import annotations

from pathlib import Path

from opensearch_funnel.core.errors import ModelError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.encoders.cross_encoder import CrossEncoder
from opensearch_funnel.encoders.dense import DenseEncoder
from opensearch_funnel.encoders.fetch import pull
from opensearch_funnel.encoders.graph.building import cached_graph
from opensearch_funnel.encoders.manifests import Kind, Manifest, Precision, load_manifest
from opensearch_funnel.encoders.session import Session, open_session
from opensearch_funnel.encoders.splade import TOP_K, SpladeEncoder
from opensearch_funnel.encoders.tokens import open_tokenizer

Encoder = SpladeEncoder | DenseEncoder | CrossEncoder


def open_encoder(
    model: str | Manifest,
    *,
    precision: str | None = None,
    threads: int | None = None,
    progress: Progress = SILENT,
) -> Encoder:
    """Open a model: fetch what is missing, verify it, build its graph once, load it.

    Args:
        model: a name of ``models list``, or a manifest.
        precision: ``fp32`` or ``int8``; the manifest's default if not given.
        threads: cores of one run; the setting ``threads`` or all of them if not given.
        progress: hears of what is fetched.

    Raises:
        InputError: there is no such model, or it cannot run in that precision.
        ModelError: its files cannot be fetched, verified or loaded.
        MissingExtraError: a package that models need is not installed.
    """
    manifest = load_manifest(model) if isinstance(model, str) else model
    chosen = manifest.precision(precision)
    folder = pull(manifest, progress=progress)
    session = _open_graph(manifest, folder, precision=chosen, threads=threads)
    tokenizer = open_tokenizer(folder / "tokenizer.json", max_tokens=manifest.max_tokens)
    fingerprint = manifest.fingerprint(chosen)
    if manifest.kind == "splade":
        return SpladeEncoder(
            name=manifest.name,
            fingerprint=fingerprint,
            max_tokens=manifest.max_tokens,
            top_k=TOP_K,
            session=session,
            tokenizer=tokenizer,
            vocabulary=tuple(tokenizer.vocabulary()),
            query_prefix=manifest.query_prefix,
            document_prefix=manifest.document_prefix,
        )
    if manifest.kind == "dense":
        return DenseEncoder(
            name=manifest.name,
            fingerprint=fingerprint,
            max_tokens=manifest.max_tokens,
            dimension=manifest.dimension,
            pooling=manifest.pooling,
            session=session,
            tokenizer=tokenizer,
            query_prefix=manifest.query_prefix,
            document_prefix=manifest.document_prefix,
        )
    return CrossEncoder(
        name=manifest.name,
        fingerprint=fingerprint,
        max_tokens=manifest.max_tokens,
        session=session,
        tokenizer=tokenizer,
        layout=tokenizer.pair_layout(),
        query_prefix=manifest.query_prefix,
        document_prefix=manifest.document_prefix,
    )


def _open_graph(
    manifest: Manifest, folder: Path, *, precision: Precision, threads: int | None
) -> Session:
    graph = cached_graph(manifest, folder, precision=precision)
    try:
        return open_session(graph, threads=threads)
    except ModelError:
        if graph.parent == folder:
            raise
        # Ours, and broken on the disk since it was built: build it once more.
        graph.unlink(missing_ok=True)
        rebuilt = cached_graph(manifest, folder, precision=precision)
        return open_session(rebuilt, threads=threads)


def open_splade(
    model: str | Manifest,
    *,
    precision: str | None = None,
    threads: int | None = None,
    progress: Progress = SILENT,
) -> SpladeEncoder:
    """Open a SPLADE model; as ``open_encoder``.

    Raises:
        ModelError: the model is of another kind.
    """
    encoder = open_encoder(model, precision=precision, threads=threads, progress=progress)
    if not isinstance(encoder, SpladeEncoder):
        raise ModelError(_not_a(encoder, "splade"))
    return encoder


def open_dense(
    model: str | Manifest,
    *,
    precision: str | None = None,
    threads: int | None = None,
    progress: Progress = SILENT,
) -> DenseEncoder:
    """Open a dense model; as ``open_encoder``.

    Raises:
        ModelError: the model is of another kind.
    """
    encoder = open_encoder(model, precision=precision, threads=threads, progress=progress)
    if not isinstance(encoder, DenseEncoder):
        raise ModelError(_not_a(encoder, "dense"))
    return encoder


def open_cross_encoder(
    model: str | Manifest,
    *,
    precision: str | None = None,
    threads: int | None = None,
    progress: Progress = SILENT,
) -> CrossEncoder:
    """Open a cross-encoder; as ``open_encoder``.

    Raises:
        ModelError: the model is of another kind.
    """
    encoder = open_encoder(model, precision=precision, threads=threads, progress=progress)
    if not isinstance(encoder, CrossEncoder):
        raise ModelError(_not_a(encoder, "cross_encoder"))
    return encoder


def _not_a(encoder: Encoder, kind: Kind) -> str:
    return f"model {encoder.name} is no {kind} model: see funnel models list"
