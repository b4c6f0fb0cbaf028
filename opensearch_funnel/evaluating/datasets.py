"""Judged queries over a corpus: folders in the BEIR layout."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.documents.document import Document
from opensearch_funnel.documents.lines import numbered_lines
from opensearch_funnel.documents.objects import read_objects
from opensearch_funnel.documents.readers import corpus_file, read_documents

Qrels = Mapping[str, Mapping[str, int]]
"""Query id → document id → grade; a grade above 0 is relevant."""

_COLUMNS = 3
_HEADER = "query-id, corpus-id and score"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """The queries of one split, what people judged, and where the documents are.

    Attributes:
        name: the folder's.
        split: which ``qrels/<split>.tsv``.
        corpus: the file with the documents.
        queries: those with a relevant document, in the order of their ids.
        qrels: the judgments of these queries.
        skipped_queries: judged queries without a relevant document; nothing can be measured
            on them.
    """

    name: str
    split: str
    corpus: Path
    queries: tuple[Query, ...]
    qrels: Qrels
    skipped_queries: int

    @property
    def folder(self) -> Path:
        """The folder of the set."""
        return self.corpus.parent

    def has_split(self, split: str) -> bool:
        """Say whether there are judgments of another split."""
        return (self.folder / "qrels" / f"{split}.tsv").is_file()

    def documents(self) -> Iterator[Document]:
        """Read the corpus."""
        return read_documents(self.corpus, format="beir")


def read_dataset(folder: Path, *, split: str = "test") -> Dataset:
    """Read a folder in the BEIR layout.

    Args:
        folder: holds ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/<split>.tsv``.
        split: which judgments.

    Raises:
        InputError: a file is missing or broken (by file and line), or no query of the split has
            a relevant document.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: name a data set in the BEIR layout")
    corpus = corpus_file(folder)
    judged = read_qrels(_qrels_file(folder, split=split))
    useful = {query_id: g for query_id, g in judged.items() if max(g.values()) > 0}
    if not useful:
        raise InputError(f"no query of split {split!r} in {folder} has a relevant document")
    texts = _texts(queries_file(folder))
    for query_id in useful:
        if query_id not in texts:
            raise InputError(
                f"query {query_id!r} of qrels/{split}.tsv is not in {folder / 'queries.jsonl'}: "
                "add it there or remove its judgments"
            )
    return Dataset(
        name=folder.resolve().name,
        split=split,
        corpus=corpus,
        queries=tuple(Query(text=texts[i], query_id=i) for i in sorted(useful)),
        qrels=useful,
        skipped_queries=len(judged) - len(useful),
    )


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Read judgments: a header line, then query id, document id and grade, separated by tabs.

    Raises:
        InputError: the header is missing, a line has another shape, a grade is not a whole
            number, or a document is judged twice with different grades.
    """
    qrels: dict[str, dict[str, int]] = {}
    for number, text in numbered_lines(path):
        columns = text.split("\t")
        if not text.strip():
            continue
        if len(columns) != _COLUMNS:
            raise InputError(
                f"{path}:{number}: {len(columns)} columns; expected {_HEADER}, separated by tabs"
            )
        query_id, doc_id, given = columns
        grade = _grade(given)
        if number == 1:
            if grade is not None:
                raise InputError(f"{path}:1: expected a header line: {_HEADER}")
            continue
        if grade is None:
            raise InputError(f"{path}:{number}: grade {given!r} is not a whole number")
        if qrels.setdefault(query_id, {}).setdefault(doc_id, grade) != grade:
            raise InputError(
                f"{path}:{number}: document {doc_id!r} has another grade for query "
                f"{query_id!r} further up: remove one of the two"
            )
    if not qrels:
        raise InputError(f"{path} has no judgments: check that it is the right file")
    return qrels


def _grade(text: str) -> int | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return int(value) if value.is_integer() else None


def _qrels_file(folder: Path, *, split: str) -> Path:
    path = folder / "qrels" / f"{split}.tsv"
    if not path.is_file():
        there = sorted(found.stem for found in (folder / "qrels").glob("*.tsv"))
        hint = f"there are: {', '.join(there)} (--split)" if there else "it holds the judgments"
        raise InputError(f"{path} is missing; {hint}")
    return path


def queries_file(folder: Path) -> Path:
    """Return the file with the queries of a BEIR folder.

    Raises:
        InputError: there is none.
    """
    for name in ("queries.jsonl", "queries.jsonl.gz"):
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"{folder / 'queries.jsonl'} is missing; it holds _id and text of each query")


def _texts(path: Path) -> dict[str, str]:
    texts: dict[str, str] = {}
    for number, line in read_objects(path):
        query_id, text = line.get("_id"), line.get("text")
        if not isinstance(query_id, str | int) or not isinstance(text, str):
            raise InputError(f"{path}:{number}: expected _id and text")
        if texts.setdefault(str(query_id), text) != text:
            raise InputError(f"{path}:{number}: query {query_id!r} has another text further up")
    return texts


def sampled(dataset: Dataset, queries: int, *, seed: int = 0) -> Dataset:
    """Keep at most so many queries, the same ones every time.

    Args:
        dataset: any.
        queries: how many to keep.
        seed: which ones.
    """
    if len(dataset.queries) <= queries:
        return dataset
    kept = random.Random(seed).sample(dataset.queries, queries)  # noqa: S311 - not for secrets
    kept.sort(key=lambda query: query.query_id)
    ids = {query.query_id for query in kept}
    qrels = {query_id: grades for query_id, grades in dataset.qrels.items() if query_id in ids}
    return replace(dataset, queries=tuple(kept), qrels=qrels)
