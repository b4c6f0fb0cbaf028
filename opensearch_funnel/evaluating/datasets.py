"""Judged queries over a corpus: folders in the BEIR layout."""

from __future__ import annotations

import random
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.documents.document import Document
from opensearch_funnel.documents.readers import corpus_file, read_documents
from opensearch_funnel.evaluating.formats.against import qrels_against_corpus
from opensearch_funnel.evaluating.formats.beir import (
    judged_elsewhere,
    qrels_file,
    qrels_rows,
    query_rows,
)
from opensearch_funnel.evaluating.formats.findings import Finding, Findings, Kind
from opensearch_funnel.evaluating.formats.grades import grade_of, is_decimal, is_whole

Qrels = Mapping[str, Mapping[str, int]]
"""Query id → document id → grade; a grade above 0 is relevant."""


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
        findings: what is odd about judgments and queries, and what was left out.
    """

    name: str
    split: str
    corpus: Path
    queries: tuple[Query, ...]
    qrels: Qrels
    skipped_queries: int
    findings: tuple[Finding, ...] = ()

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

    def oddities(self, doc_ids: Container[str]) -> tuple[Finding, ...]:
        """Return the findings, with judgments of documents that the corpus lacks.

        Args:
            doc_ids: of the corpus (``doc_ids``), which takes a while to read.
        """
        return (*self.findings, *qrels_against_corpus(self.qrels, doc_ids))

    def doc_ids(self) -> frozenset[str]:
        """Read the ids of the corpus."""
        return frozenset(document.doc_id for document in self.documents())


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
    findings = Findings()
    judged = read_qrels(qrels_file(folder, split=split), findings=findings)
    useful = {query_id: g for query_id, g in judged.items() if max(g.values()) > 0}
    if not useful:
        raise InputError(f"no query of split {split!r} in {folder} has a relevant document")
    texts = _texts(folder)
    for query_id in useful:
        if query_id not in texts:
            raise InputError(
                f"query {query_id!r} of qrels/{split}.tsv is not in {folder / 'queries.jsonl'}: "
                "add it there or remove its judgments"
            )
    for query_id in sorted(judged.keys() - useful.keys()):
        findings.add(Kind.NOTHING_RELEVANT, f"query {query_id!r}")
    elsewhere = judged_elsewhere(folder, split=split)
    for query_id in sorted(texts.keys() - judged.keys()):
        kind = Kind.OTHER_SPLIT if query_id in elsewhere else Kind.UNJUDGED
        findings.add(kind, f"query {query_id!r}")
    return Dataset(
        name=folder.resolve().name,
        split=split,
        corpus=corpus,
        queries=tuple(Query(text=texts[i], query_id=i) for i in sorted(useful)),
        qrels=useful,
        skipped_queries=len(judged) - len(useful),
        findings=findings.all(),
    )


def read_qrels(path: Path, *, findings: Findings | None = None) -> dict[str, dict[str, int]]:
    """Read judgments: a header line, then query id, document id and grade, separated by tabs.

    Args:
        path: the file.
        findings: is told of what is odd and no error.

    Raises:
        InputError: the header is missing, a line has another shape, a grade is not a whole
            number, or a document is judged twice with different grades.
    """
    told = Findings() if findings is None else findings
    qrels: dict[str, dict[str, int]] = {}
    for number, query_id, doc_id, given in qrels_rows(path):
        where = f"document {doc_id!r} of query {query_id!r}"
        grade = grade_of(given)
        if grade is None or not is_whole(grade):
            raise InputError(f"{path}:{number}: grade {given!r} is not a whole number")
        if is_decimal(given):
            told.add(Kind.DECIMAL_GRADE, f"{given!r} for {where}", line=number)
        known = qrels.setdefault(query_id, {})
        if doc_id not in known:
            known[doc_id] = int(grade)
            if grade < 0:
                told.add(Kind.NEGATIVE_GRADE, f"{grade} for {where}", line=number)
        elif known[doc_id] == grade:
            told.add(Kind.REPEATED, where, line=number)
        else:
            raise InputError(
                f"{path}:{number}: document {doc_id!r} has another grade for query "
                f"{query_id!r} further up: remove one of the two"
            )
    if not qrels:
        raise InputError(f"{path} has no judgments: check that it is the right file")
    return qrels


def _texts(folder: Path) -> dict[str, str]:
    texts: dict[str, str] = {}
    for number, query_id, text, _ in query_rows(folder):
        if texts.setdefault(query_id, text) != text:
            path = folder / "queries.jsonl"
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
