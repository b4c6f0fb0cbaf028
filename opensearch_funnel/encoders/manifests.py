"""What a model is, where its files come from, and what they must hash to."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast, get_args

from opensearch_funnel.core.errors import InputError, ModelError
from opensearch_funnel.resources import models_dir
from opensearch_funnel.settings import load_settings

Kind = Literal["splade", "dense", "cross_encoder"]
Pooling = Literal["max", "cls", "mean", "pair"]
Precision = Literal["fp32", "int8"]
SourceKind = Literal["folder", "hub", "maven", "wheel"]

READABLE = frozenset({".safetensors", ".onnx", ".json"})
"""The only kinds of file a model may have: none of them can carry code."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """One file of a model, as it lies in ``FUNNEL_HOME/models/<name>/``."""

    name: str
    sha256: str
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One place that a model's files can come from.

    ``address`` is a folder (relative to the manifest's own), a repository of the Hugging Face Hub,
    Maven coordinates ``group:artifact:version``, or a requirement ``package==version``.
    ``entries`` says what each file is called there, where that differs.
    """

    kind: SourceKind
    address: str
    revision: str | None = None
    entries: Mapping[str, str]

    def entry(self, file: ModelFile) -> str:
        """Return what the file is called at this source."""
        return self.entries.get(file.name, file.name)

    def __str__(self) -> str:
        return f"{self.kind} {self.address}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A model: what it does, its limits, its files and every source of them, in order."""

    name: str
    kind: Kind
    pooling: Pooling
    query_prefix: str = ""
    document_prefix: str = ""
    max_tokens: int
    dimension: int
    """Length of a vector, terms of the vocabulary, or 1 for a score."""
    licence: str
    description: str = ""
    precisions: tuple[Precision, ...]
    """What the model can run in; the first is the default."""
    redraw: bool = False
    """Whether an ``.onnx`` file is read for its weights only, and its graph drawn anew."""
    files: tuple[ModelFile, ...]
    sources: tuple[Source, ...]
    folder: Path
    """Where the manifest was found: relative folders of sources start here."""

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(f.size for f in self.files)

    @property
    def weights(self) -> ModelFile:
        """The file that holds the weights: ``.safetensors``, or a ready ``.onnx`` graph."""
        return next(f for f in self.files if f.name.endswith((".safetensors", ".onnx")))

    def precision(self, wanted: str | None = None) -> Precision:
        """Return the precision to run in.

        Args:
            wanted: ``fp32`` or ``int8``; the manifest's default if not given.

        Raises:
            InputError: the model cannot run in that precision.
        """
        if wanted is None:
            return self.precisions[0]
        if wanted not in self.precisions:
            raise InputError(
                f"model {self.name} has no precision {wanted!r}: use {' or '.join(self.precisions)}"
            )
        return self.precisions[self.precisions.index(wanted)]

    def fingerprint(self, precision: str | None = None) -> str:
        """Return the name of everything that decides what the model's numbers are.

        The first 12 hex digits of SHA-256 over the hashes of the files, pooling, prefixes, token
        limit and precision. Two encodings with one fingerprint may live in one field.

        Args:
            precision: ``fp32`` or ``int8``; the manifest's default if not given.
        """
        decisive = {
            "files": sorted((f.name, f.sha256) for f in self.files),
            "pooling": self.pooling,
            "prefixes": [self.query_prefix, self.document_prefix],
            "max_tokens": self.max_tokens,
            "precision": self.precision(precision),
        }
        text = json.dumps(decisive, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def manifest_folders() -> tuple[Path, ...]:
    """Return where manifests are looked for: the user's own first, then the project's."""
    return load_settings().home / "manifests", models_dir()


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


def _manifest(table: Mapping[str, Any], *, path: Path) -> Manifest:
    files = tuple(
        ModelFile(
            name=_matching(f["name"], _FILE_NAME, "a plain file name"),
            sha256=_matching(f["sha256"], _SHA256, "64 hex digits"),
            size=_count(f["size"], "size"),
        )
        for f in table["files"]
    )
    weights = [f.name for f in files if f.name.endswith((".safetensors", ".onnx"))]
    if len(weights) != 1:
        raise ValueError("files must hold exactly one .safetensors or .onnx")
    if not any(f.name == "tokenizer.json" for f in files):
        raise ValueError("files must hold tokenizer.json")
    if unreadable := [f.name for f in files if Path(f.name).suffix not in READABLE]:
        raise ValueError(f"{unreadable[0]} is not one of {', '.join(sorted(READABLE))}")
    sources = tuple(
        Source(
            kind=cast("SourceKind", _one_of(s["kind"], SourceKind, "kind of source")),
            address=str(s["address"]),
            revision=s.get("revision"),
            entries=dict(s.get("entries", {})),
        )
        for s in table["sources"]
    )
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
        precisions=tuple(
            cast("Precision", _one_of(p, Precision, "precision")) for p in table["precisions"]
        ),
        redraw=bool(table.get("redraw", False)),
        files=files,
        sources=sources,
        folder=path.parent,
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
