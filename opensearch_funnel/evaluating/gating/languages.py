"""Which language each judged query is in, so that a fall in one is not hidden in the mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.documents.objects import read_objects
from opensearch_funnel.evaluating.datasets import Dataset
from opensearch_funnel.evaluating.formats.beir import queries_file

QUERY_FIELD = "lang"


def languages_of(dataset: Dataset, *, field: str) -> dict[str, str]:
    """Return the language of each query of a data set that has one.

    It is that of most of the query's relevant documents; where these have none, or are of two
    languages evenly, it is what ``queries.jsonl`` says under ``lang``.

    Args:
        dataset: queries, judgments and documents.
        field: where a document's language stands: beside its text, or in its ``metadata``.

    Raises:
        InputError: no query has a language, or a file is broken.
    """
    spoken = _fields(dataset.corpus, name=field)
    said = _fields(queries_file(dataset.folder), name=QUERY_FIELD)
    found: dict[str, str] = {}
    for query_id, grades in dataset.qrels.items():
        relevant = [doc_id for doc_id, grade in grades.items() if grade > 0]
        language = _majority(spoken, relevant) or said.get(query_id, "")
        if language:
            found[query_id] = language
    if not found:
        raise InputError(
            f"no query of {dataset.name} has a language: relevant documents have no {field!r} in "
            f"{dataset.corpus.name}, nor queries {QUERY_FIELD!r}; name the field with "
            "--language-field"
        )
    return found


def _majority(spoken: Mapping[str, str], doc_ids: list[str]) -> str:
    counts = Counter(spoken[doc_id] for doc_id in doc_ids if doc_id in spoken).most_common(2)
    if not counts or (len(counts) > 1 and counts[0][1] == counts[1][1]):
        return ""
    return counts[0][0]


def _fields(path: Path, *, name: str) -> dict[str, str]:
    """Read one field of each line, by id; lines without it are passed over."""
    values: dict[str, str] = {}
    for _, line in read_objects(path):
        value = _text(line, name) or _text(line.get("metadata"), name)
        if value:
            values[str(line.get("_id"))] = value
    return values


def _text(line: Any, name: str) -> str:
    value = line.get(name) if isinstance(line, Mapping) else None
    return value.strip() if isinstance(value, str) else ""
