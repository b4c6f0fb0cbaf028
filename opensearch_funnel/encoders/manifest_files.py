"""Manifests as files: where they lie, how they are read, and how they are written."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast, get_args

from opensearch_funnel.core.errors import InputError, ModelError
from opensearch_funnel.encoders.fetch import atomic_file
from opensearch_funnel.encoders.manifest import (
    Api,
    Endpoint,
    Kind,
    Manifest,
    ModelFile,
    Output,
    Parity,
    Pooling,
    Precision,
    QueryWeights,
    Source,
    SourceKind,
    TokenVectors,
    Verdict,
    is_weights,
)
from opensearch_funnel.resources import models_dir
from opensearch_funnel.settings import load_settings

READABLE = frozenset({".safetensors", ".onnx", ".json"})
"""The only kinds of file a model may have: none of them can carry code."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def manifest_folders() -> tuple[Path, ...]:
    """Return where manifests are looked for: the user's own first, then the project's."""
    return load_settings().home / "manifests", models_dir()


def valid_name(name: str) -> str:
    """Return a model's name if it can be one.

    Raises:
        InputError: it has other characters than lower-case letters, digits, dots and dashes.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot be a model's name: use lower-case letters, digits, dots and dashes"
        )
    return name


def new_manifest(name: str, *, overwrite: bool) -> Path:
    """Return where the manifest of a model that is added goes.

    Raises:
        InputError: the name cannot be one, or is taken and may not be overwritten.
    """
    path = manifest_folders()[0] / f"{valid_name(name)}.toml"
    if path.exists() and not overwrite:
        raise InputError(f"there is a model {name} already: say --replace, or another --name")
    return path


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write a manifest; the file appears only when it is whole.

    Raises:
        ModelError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as stream:
            stream.write(manifest_text(manifest).encode())
    except OSError as error:
        raise ModelError(f"cannot write {path}: {error.strerror or error}") from error


def list_manifests() -> list[Manifest]:
    """Read every manifest there is, sorted by name; a user's own hides the project's.

    Raises:
        ModelError: a manifest cannot be read.
    """
    paths: dict[str, Path] = {}
    for folder in reversed(manifest_folders()):
        paths |= {path.stem: path for path in folder.glob("*.toml")}
    return [read_manifest(paths[name]) for name in sorted(paths)]


def load_manifest(name: str, *, max_tokens: int = 0) -> Manifest:
    """Read the manifest of one model.

    Args:
        name: as in ``models list``, for example ``splade-tiny``.
        max_tokens: where texts are cut, which gives a model of another fingerprint; 0 for the
            model's own limit.

    Raises:
        InputError: there is no such model, or it does not read so many tokens.
        ModelError: its manifest cannot be read.

    Example:
        >>> load_manifest("splade-tiny").kind
        'splade'
        >>> load_manifest("splade-tiny", max_tokens=64).max_tokens
        64
    """
    if _NAME.fullmatch(name):
        for folder in manifest_folders():
            if (path := folder / f"{name}.toml").is_file():
                return _cut(read_manifest(path), max_tokens=max_tokens)
    known = sorted({p.stem for folder in manifest_folders() for p in folder.glob("*.toml")})
    raise InputError(f"no model {name!r}; there are: {', '.join(known)}")


def _cut(manifest: Manifest, *, max_tokens: int) -> Manifest:
    if not max_tokens:
        return manifest
    if max_tokens > manifest.max_tokens:
        raise InputError(
            f"model {manifest.name} reads {manifest.max_tokens} tokens of a text, not {max_tokens}"
        )
    return replace(manifest, max_tokens=max_tokens)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest from a file.

    Args:
        path: a ``.toml`` file; the model is called like it.

    Raises:
        ModelError: the file is no valid manifest; the message names the field.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelError(f"cannot read the manifest {path}: {error}") from error
    try:
        return _manifest(table, path=path)
    except (KeyError, TypeError, ValueError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ModelError(f"manifest {path.name}: {reason}") from error


def manifest_text(manifest: Manifest) -> str:
    """Write a manifest as TOML; ``read_manifest`` reads it back as it was.

    Fields that hold their default are left out.

    Args:
        manifest: its name and folder are not in the text: the file's own name and place say them.
    """
    return "\n".join(_lines(manifest)) + "\n"


def _lines(manifest: Manifest) -> Iterator[str]:
    tables = {"token_vectors", "endpoint", "parity", "verdicts", "files", "sources"}
    for field in fields(manifest):
        value = getattr(manifest, field.name)
        if field.name in tables | {"name", "folder"} or value == field.default:
            continue
        yield f"{field.name} = {_toml(value)}"
    for name in ("token_vectors", "endpoint", "parity"):
        if (table := getattr(manifest, name)) is not None:
            yield from ("", f"[{name}]", *_table_lines(table))
    for name in ("verdicts", "files", "sources"):
        for table in getattr(manifest, name):
            yield from ("", f"[[{name}]]", *_table_lines(table))


def _table_lines(table: Any) -> Iterator[str]:
    for field in fields(table):
        value = getattr(table, field.name)
        if value is not None and value != {}:
            yield f"{field.name} = {_toml(value)}"


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_quoted(k)} = {_toml(v)}" for k, v in value.items())
        return f"{{ {inside} }}"
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(v) for v in value)}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _quoted(value) if isinstance(value, str) else repr(value)


def _quoted(text: str) -> str:
    # A JSON string is a TOML basic string, but for DEL, which JSON lets through.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _manifest(table: Mapping[str, Any], *, path: Path) -> Manifest:
    if unknown := table.keys() - {field.name for field in fields(Manifest)}:
        raise ValueError(f"{min(unknown)} is not a field of a manifest")
    endpoint = _endpoint(table["endpoint"]) if "endpoint" in table else None
    files = tuple(_file(f) for f in table.get("files", ()))
    if endpoint is None:
        _check_files(files, needs_idf=table.get("query_weights") == "idf")
    return Manifest(
        name=_matching(path.stem, _NAME, "a lower-case name"),
        kind=cast("Kind", _one_of(table["kind"], Kind, "kind")),
        pooling=cast("Pooling", _one_of(table["pooling"], Pooling, "pooling")),
        query_prefix=str(table.get("query_prefix", "")),
        document_prefix=str(table.get("document_prefix", "")),
        max_tokens=_count(table["max_tokens"], "max_tokens"),
        dimension=_count(table["dimension"], "dimension"),
        licence=str(table["licence"]),
        description=str(table.get("description", "")),
        languages=tuple(str(code) for code in table.get("languages", ())),
        precisions=tuple(
            cast("Precision", _one_of(p, Precision, "precision")) for p in table["precisions"]
        ),
        redraw=bool(table.get("redraw", False)),
        query_weights=cast(
            "QueryWeights",
            _one_of(table.get("query_weights", "model"), QueryWeights, "query_weights"),
        ),
        unit_length=bool(table.get("unit_length", True)),
        cut_from=_count(table["cut_from"], "cut_from") if "cut_from" in table else 0,
        token_vectors=(
            _token_vectors(table["token_vectors"]) if "token_vectors" in table else None
        ),
        endpoint=endpoint,
        parity=_parity(table["parity"]) if "parity" in table else None,
        verdicts=tuple(_verdict(v) for v in table.get("verdicts", ())),
        files=files,
        sources=tuple(_source(s) for s in table.get("sources", ())),
        folder=path.parent,
    )


def _check_files(files: Sequence[ModelFile], *, needs_idf: bool) -> None:
    names = [file.name for file in files]
    if sum(map(is_weights, names)) != 1:
        raise ValueError("files must hold exactly one .safetensors or .onnx")
    for needed in ("tokenizer.json", *(["idf.json"] if needs_idf else [])):
        if needed not in names:
            raise ValueError(f"files must hold {needed}")
    if unreadable := [name for name in names if Path(name).suffix not in READABLE]:
        raise ValueError(f"{unreadable[0]} is not one of {', '.join(sorted(READABLE))}")


def _file(table: Mapping[str, Any]) -> ModelFile:
    return ModelFile(
        name=_matching(table["name"], _FILE_NAME, "a plain file name"),
        sha256=_matching(table["sha256"], _SHA256, "64 hex digits"),
        size=_count(table["size"], "size"),
    )


def _source(table: Mapping[str, Any]) -> Source:
    return Source(
        kind=cast("SourceKind", _one_of(table["kind"], SourceKind, "kind of source")),
        address=str(table["address"]),
        revision=table.get("revision"),
        entries=dict(table.get("entries", {})),
    )


def _endpoint(table: Mapping[str, Any]) -> Endpoint:
    return Endpoint(
        api=cast("Api", _one_of(table["api"], Api, "api")),
        url=str(table["url"]),
        model=str(table["model"]),
        key_variable=str(table.get("key_variable", "")),
        output=cast("Output", _one_of(table.get("output", "float"), Output, "output")),
        batch=_count(table.get("batch", 32), "batch"),
        price_per_million=float(table.get("price_per_million", 0.0)),
    )


def _token_vectors(table: Mapping[str, Any]) -> TokenVectors:
    return TokenVectors(
        query_marker=str(table.get("query_marker", "")),
        document_marker=str(table.get("document_marker", "")),
        query_tokens=int(table.get("query_tokens", 0)),
        skipped=tuple(str(token) for token in table.get("skipped", ())),
    )


def _parity(table: Mapping[str, Any]) -> Parity:
    return Parity(against=str(table["against"]), greatest=float(table["greatest"]))


def _verdict(table: Mapping[str, Any]) -> Verdict:
    return Verdict(
        precision=cast("Precision", _one_of(table["precision"], Precision, "precision")),
        dataset=str(table["dataset"]),
        ndcg=float(table["ndcg"]),
        reference=float(table["reference"]),
        kendall_tau=float(table["kendall_tau"]),
        speed=float(table["speed"]),
    )


def _one_of(value: object, choices: object, what: str) -> str:
    allowed = get_args(choices)
    if value not in allowed:
        raise ValueError(f"{what} {value!r} is not one of {', '.join(allowed)}")
    return str(value)


def _matching(value: object, pattern: re.Pattern[str], what: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{value!r} is not {what}")
    return value


def _count(value: object, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{what} {value!r} is not a positive whole number")
    return value
