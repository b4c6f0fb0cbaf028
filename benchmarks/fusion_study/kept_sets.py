"""Folders in the BEIR layout that the study makes: written once, the same each time."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

QUERIES = 300
DOCUMENTS = 4000
_LEAST_TITLE, _LEAST_TEXT = 4, 20
_BODIES = 3000
_SEED = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A document and a query that it answers, whose words somebody wrote for it.

    Attributes:
        doc_id: of the document.
        query: what is asked.
        title: of the document; it must not hold the query.
        text: of the document.
    """

    doc_id: str
    query: str
    text: str
    title: str = ""


def write_pairs(
    folder: Path, pairs: Sequence[Pair], *, documents: int = DOCUMENTS, queries: int = QUERIES
) -> None:
    """Write some of the pairs as documents, and of these some as queries.

    Nobody said that no other document answers a query: each has one that is known.

    Args:
        folder: made; gets ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/test.tsv``.
        pairs: in any order that is the same each time.
        documents: at most so many.
        queries: at most so many.
    """
    drawn = random.Random(_SEED)  # noqa: S311 - not for secrets
    kept = drawn.sample(list(pairs), k=min(documents, len(pairs)))
    asked = drawn.sample(kept, k=min(queries, len(kept)))
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    _write_lines(
        folder / "queries.jsonl", [{"_id": f"q-{one.doc_id}", "text": one.query} for one in asked]
    )
    rows = ["query-id\tcorpus-id\tscore", *(f"q-{one.doc_id}\t{one.doc_id}\t1" for one in asked)]
    (folder / "qrels" / "test.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    # Last: a folder with a corpus is a whole one.
    _write_lines(
        folder / "corpus.jsonl",
        [{"_id": one.doc_id, "title": one.title, "text": one.text} for one in kept],
    )


def _write_lines(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
    )
    part.replace(path)


def bodies(corpus: Path) -> list[Pair]:
    """Make queries of the titles of a corpus, and documents of what is below them.

    Args:
        corpus: ``corpus.jsonl`` of a set whose documents have titles.
    """
    made = []
    for line in corpus.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        title, text = str(row["title"]).strip(), str(row["text"]).strip()
        below = text.removeprefix(title).strip()
        if len(title.split()) >= _LEAST_TITLE and len(below.split()) > _LEAST_TEXT:
            made.append(Pair(doc_id=str(row["_id"]), query=title, text=below))
    return made[:_BODIES]
