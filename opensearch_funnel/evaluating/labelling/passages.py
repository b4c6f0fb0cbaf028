"""What a judge reads of a document."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.text import encoded_text
from opensearch_funnel.documents.readers import read_documents

FIELDS = ("title", "text")


@dataclass(frozen=True, slots=True)
class Passage:
    """A document's title, empty where it has none, and its text."""

    title: str
    text: str


def read_passages(
    corpus: Path, doc_ids: Collection[str], *, fields: Sequence[str] = FIELDS
) -> dict[str, Passage]:
    """Read the texts of some documents of a corpus.

    Args:
        corpus: a file that ``funnel load`` takes, or a BEIR folder.
        doc_ids: which documents; those that the corpus lacks are not in the answer.
        fields: the field that is the title, then those that are the text.

    Raises:
        InputError: the corpus is missing or broken, or none of the documents has one of the
            fields.
    """
    found: dict[str, Passage] = {}
    for document in read_documents(corpus):
        if document.doc_id in doc_ids:
            title = encoded_text(document.source, fields=fields[:1])
            text = encoded_text(document.source, fields=fields[1:])
            # Many texts begin with their title: once is enough.
            found[document.doc_id] = Passage(title, text.removeprefix(title).strip())
    if found and not any(passage.title or passage.text for passage in found.values()):
        raise InputError(
            f"{corpus}: no document has the fields {', '.join(fields)}: name others by --fields"
        )
    return found
