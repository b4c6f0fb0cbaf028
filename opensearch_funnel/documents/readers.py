"""Any file that ``funnel load`` takes, read as documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.documents.delimited import read_csv, read_tsv
from opensearch_funnel.documents.document import Document
from opensearch_funnel.documents.objects import read_beir, read_dead_letters, read_ndjson

Format = Literal["beir", "ndjson", "csv", "tsv", "dead-letters"]
FORMATS: tuple[Format, ...] = get_args(Format)

CORPUS_FILES = ("corpus.jsonl", "corpus.jsonl.gz")
"""What a BEIR folder calls its documents."""

_BY_SUFFIX: dict[str, Format] = {
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "ndjson",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
}


@dataclass(frozen=True, slots=True)
class _Place:
    path: Path
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


def read_documents(
    path: Path,
    *,
    format: str | None = None,  # noqa: A002 - the option's name
    id_field: str | None = None,
) -> Iterator[Document]:
    """Read the documents of one file or BEIR folder, one at a time.

    Args:
        path: a file, plain or ``.gz``, or a folder with ``corpus.jsonl``.
        format: one of ``FORMATS``; told from the name if not given.
        id_field: the field or column with the id; see ``read_ndjson`` and ``read_csv``.

    Yields:
        Each document of the file, in its order.

    Raises:
        InputError: the file is missing, empty or broken, or two documents have one id. The
            message begins with file and line.
    """
    return read_files([path], format=format, id_field=id_field)


def read_files(
    paths: Sequence[Path],
    *,
    format: str | None = None,  # noqa: A002 - the option's name
    id_field: str | None = None,
) -> Iterator[Document]:
    """Read the documents of several files as one collection: an id may occur once in all.

    Args, documents and errors are those of ``read_documents``.
    """
    seen: dict[str, _Place] = {}
    for path in paths:
        found = False
        for line, document in _numbered(path, format=format, id_field=id_field):
            found = True
            place = _Place(path, line)
            first = seen.setdefault(document.doc_id, place)
            if first is not place:
                raise InputError(
                    f"{place}: id {document.doc_id!r} was given to {first} before: remove one of "
                    "the two, or name the field that tells them apart with --id-field"
                )
            yield document
        if not found:
            raise InputError(f"{path} has no documents: check that it is the right file")


def _numbered(
    path: Path,
    *,
    format: str | None,  # noqa: A002 - the option's name
    id_field: str | None,
) -> Iterator[tuple[int, Document]]:
    if not path.exists():
        raise InputError(f"{path} does not exist: check the name")
    if path.is_dir():
        path = corpus_file(path)
    match format or format_of(path):
        case "beir":
            return read_beir(path)
        case "csv":
            return read_csv(path, id_field=id_field)
        case "tsv":
            return read_tsv(path, id_field=id_field)
        case "dead-letters":
            return read_dead_letters(path)
        case "ndjson":
            return read_ndjson(path, id_field=id_field)
        case unknown:
            raise InputError(f"unknown format {unknown!r}; there are: {', '.join(FORMATS)}")


def corpus_file(folder: Path) -> Path:
    """Return the file with the documents of a BEIR folder.

    Raises:
        InputError: there is none.
    """
    for name in CORPUS_FILES:
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"{folder} has no corpus.jsonl: name a file, or a folder in the BEIR layout")


def format_of(path: Path) -> Format:
    """Tell a file's format from its name.

    Raises:
        InputError: the name says nothing.

    Example:
        >>> format_of(Path("films.csv.gz")), format_of(Path("scifact/corpus.jsonl"))
        ('csv', 'beir')
    """
    if path.name in CORPUS_FILES:
        return "beir"
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    found = _BY_SUFFIX.get(plain.suffix.lower())
    if found is None:
        raise InputError(
            f"{path}: the name does not tell the format: give --format {'|'.join(FORMATS)}"
        )
    return found
