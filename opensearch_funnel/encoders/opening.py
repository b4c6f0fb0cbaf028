"""From a name to an encoder that is ready to run."""

from __future__ import annotations

from pathlib import Path

from opensearch_funnel.core.errors import ModelError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.encoders.cross_encoder import CrossEncoder
from opensearch_funnel.encoders.dense import DenseEncoder
from opensearch_funnel.encoders.fetch import pull
from opensearch_funnel.encoders.graph.building import cached_graph
from opensearch_funnel.encoders.hosted import HostedEncoder, open_hosted
from opensearch_funnel.encoders.manifest import Kind, Manifest, Precision
from opensearch_funnel.encoders.manifest_files import load_manifest
from opensearch_funnel.encoders.query_table import read_query_table
from opensearch_funnel.encoders.session import Session, open_session
from opensearch_funnel.encoders.splade import TOP_K, SpladeEncoder
from opensearch_funnel.encoders.token_vectors import TokenEncoder
from opensearch_funnel.encoders.tokens import TextTokenizer, open_tokenizer

LocalEncoder = SpladeEncoder | DenseEncoder | CrossEncoder | TokenEncoder
Encoder = LocalEncoder | HostedEncoder


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
    if manifest.endpoint is not None:
        return open_hosted(manifest)
    folder = pull(manifest, progress=progress)
    return open_files(manifest, folder, precision=precision, threads=threads)


def open_files(
    manifest: Manifest, folder: Path, *, precision: str | None = None, threads: int | None = None
) -> LocalEncoder:
    """Open a model whose files are in a folder already; as ``open_encoder``."""
    chosen = manifest.precision(precision)
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
            query_table=(
                read_query_table(folder / "idf.json", tokenizer=tokenizer)
                if manifest.query_weights == "idf"
                else None
            ),
        )
    if manifest.kind == "dense":
        return DenseEncoder(
            name=manifest.name,
            fingerprint=fingerprint,
            max_tokens=manifest.max_tokens,
            dimension=manifest.dimension,
            pooling=manifest.pooling,
            unit_length=manifest.unit_length,
            session=session,
            tokenizer=tokenizer,
            query_prefix=manifest.query_prefix,
            document_prefix=manifest.document_prefix,
        )
    if manifest.kind == "token_vectors":
        return _token_encoder(manifest, session=session, tokenizer=tokenizer, precision=chosen)
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


def _token_encoder(
    manifest: Manifest, *, session: Session, tokenizer: TextTokenizer, precision: Precision
) -> TokenEncoder:
    how = manifest.token_vectors
    if how is None:
        raise ModelError(f"manifest {manifest.name}: token_vectors is missing")

    def id_of(token: str) -> int | None:
        if not token:
            return None
        found = tokenizer.id_of(token)
        if found is None:
            raise ModelError(f"model {manifest.name}: its tokenizer has no token {token!r}")
        return found

    return TokenEncoder(
        name=manifest.name,
        fingerprint=manifest.fingerprint(precision),
        max_tokens=manifest.max_tokens,
        dimension=manifest.dimension,
        session=session,
        tokenizer=tokenizer,
        layout=tokenizer.pair_layout(),
        query_marker=id_of(how.query_marker),
        document_marker=id_of(how.document_marker),
        filler=id_of("[MASK]") if how.query_tokens else None,
        query_tokens=how.query_tokens,
        skipped=frozenset(i for token in how.skipped if (i := tokenizer.id_of(token)) is not None),
        query_prefix=manifest.query_prefix,
        document_prefix=manifest.document_prefix,
    )


def _open_graph(
    manifest: Manifest, folder: Path, *, precision: Precision, threads: int | None
) -> Session:
    graph = cached_graph(manifest, folder, precision=precision)
    try:
        return open_session(graph, threads=threads, precision=precision)
    except ModelError:
        if graph.parent == folder:
            raise
        # Ours, and broken on the disk since it was built: build it once more.
        graph.unlink(missing_ok=True)
        rebuilt = cached_graph(manifest, folder, precision=precision)
        return open_session(rebuilt, threads=threads, precision=precision)


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
) -> DenseEncoder | HostedEncoder:
    """Open a dense model; as ``open_encoder``.

    Raises:
        ModelError: the model is of another kind.
    """
    encoder = open_encoder(model, precision=precision, threads=threads, progress=progress)
    if not isinstance(encoder, DenseEncoder | HostedEncoder):
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
