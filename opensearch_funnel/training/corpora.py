"""Read what a reranker is trained on: judged corpora in the BEIR layout, and Python's own docs.

Only the train split is read for training; ``is_held_out`` names the fifth of a train split that is
kept out of it where a corpus has no dev split, so that a blend or a switch can be learnt on queries
that the model has not seen.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from opensearch_funnel.core.errors import InputError

_QRELS_COLUMNS = 3
_FEWEST_WORDS = 12
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True, slots=True)
class Document:
    """One document: what it is called and what it says."""

    doc_id: str
    title: str
    text: str

    @property
    def indexed(self) -> str:
        """The text that a reranker reads, as an index of the funnel has it.

        Example:
            >>> Document("d1", "Big Fish", "A tall tale.").indexed
            'Big Fish. A tall tale.'
        """
        return f"{self.title}. {self.text}" if self.title and self.text else self.title or self.text


@dataclass(frozen=True, slots=True)
class Judged:
    """A query and what people said about documents.

    Attributes:
        query_id: its id in the data set.
        text: what was asked.
        relevant: ids of documents with a grade above 0.
        rejected: ids of documents that a person looked at and graded 0.
    """

    query_id: str
    text: str
    relevant: tuple[str, ...]
    rejected: tuple[str, ...]


def read_documents(folder: Path) -> list[Document]:
    """Read ``corpus.jsonl`` of a data set in the BEIR layout.

    Raises:
        InputError: the file is missing, or a line is not a document.
    """
    return [
        Document(
            str(line["_id"]), str(line.get("title", "")).strip(), str(line.get("text", "")).strip()
        )
        for line in _lines_of(folder / "corpus.jsonl")
    ]


def read_judged(folder: Path, *, split: str) -> list[Judged]:
    """Read the judged queries of one split, ordered by id.

    Args:
        folder: a data set in the BEIR layout.
        split: the name of a file in ``qrels``, without ``.tsv``.

    Returns:
        Queries that have at least one relevant document.

    Raises:
        InputError: a file is missing or a line cannot be read.
    """
    texts = {str(line["_id"]): str(line["text"]) for line in _lines_of(folder / "queries.jsonl")}
    path = folder / "qrels" / f"{split}.tsv"
    if not path.is_file():
        raise InputError(f"{path} is missing: name a data set folder in the BEIR layout")
    relevant: dict[str, list[str]] = {}
    rejected: dict[str, list[str]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()[1:], start=2):
        columns = line.split("\t")
        if len(columns) != _QRELS_COLUMNS or columns[0] not in texts:
            raise InputError(f"{path} line {number}: expected query id, document id and grade")
        query_id, doc_id, grade = columns
        (relevant if float(grade) > 0 else rejected).setdefault(query_id, []).append(doc_id)
    return [
        Judged(
            query_id, texts[query_id], tuple(relevant[query_id]), tuple(rejected.get(query_id, ()))
        )
        for query_id in sorted(relevant)
    ]


def _lines_of(path: Path) -> Iterator[Mapping[str, object]]:
    if not path.is_file():
        raise InputError(f"{path} is missing: name a data set folder in the BEIR layout")
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                value = json.loads(line)
            except json.JSONDecodeError as error:
                raise InputError(f"{path} line {number} is not JSON: {error.msg}") from error
            if not isinstance(value, dict) or "_id" not in value:
                raise InputError(f"{path} line {number} has no _id")
            yield value


def python_documents(library: Path) -> list[Document]:
    """Read the docstrings of a Python source tree as documents, without importing anything.

    Args:
        library: the folder of the standard library, ``sysconfig.get_path("stdlib")``.

    Returns:
        One document per public module, class or function with a docstring of twelve words or more:
        the qualified name as the title; the signature and the docstring as the text. Ordered by
        title, each title once.
    """
    found: dict[str, Document] = {}
    for path in sorted(library.rglob("*.py")):
        parts = path.relative_to(library).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        hidden = any(part.startswith("_") for part in parts)
        if not parts or hidden or {"test", "tests", "idlelib", "site-packages"} & set(parts):
            continue
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (
            SyntaxError,
            UnicodeDecodeError,
        ):  # samples for lib2to3 and others are broken Python
            continue
        for document in _documented(tree, name=".".join(parts)):
            found.setdefault(document.title, document)
    return [found[title] for title in sorted(found)]


def _documented(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, *, name: str
) -> Iterator[Document]:
    docstring = " ".join((ast.get_docstring(node) or "").split())
    if len(docstring.split()) >= _FEWEST_WORDS:
        text = docstring
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            text = f"{node.name}({ast.unparse(node.args)}) {docstring}"
        yield Document(name, name, text)
    if isinstance(node, ast.Module | ast.ClassDef):
        for child in node.body:
            if isinstance(child, _DEFINITIONS) and not child.name.startswith("_"):
                yield from _documented(child, name=f"{name}.{child.name}")
