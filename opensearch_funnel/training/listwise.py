"""Lists to train on: a query, one relevant document and several that are not.

A list is drawn by its number alone (seed and step), never by what was drawn before: a run that was
killed goes on with exactly the lists that it would have seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.training.bm25 import TextIndex
from opensearch_funnel.training.corpora import Document, Judged

_HARD_DEPTH = 50
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_QUERY_WORDS = (4, 40)
_KEEP_SENTENCE = 0.3


@dataclass(frozen=True, slots=True)
class QueryList:
    """A query and the documents to order; the first one is the relevant one."""

    query: str
    documents: tuple[str, ...]


class Source(Protocol):
    """Somewhere that lists come from."""

    def draw(self, rng: np.random.Generator, *, size: int) -> QueryList:
        """Draw one list of so many documents, its relevant one first."""
        ...


class JudgedLists:
    """Lists from human labels.

    Of the documents that are not relevant, at most four were rejected by a person, a third of the
    rest is drawn at random, and the others are what BM25 finds for the query.

    Args:
        documents: the corpus.
        queries: judged queries; ids that the corpus lacks are passed over.
        index: BM25 over ``Document.indexed``, in the order of ``documents``.
        most_rejected: how many human-labelled negatives a list has at most.

    Raises:
        InputError: no query has a relevant document in the corpus.
    """

    def __init__(
        self,
        documents: Sequence[Document],
        queries: Sequence[Judged],
        *,
        index: TextIndex,
        most_rejected: int = 4,
    ) -> None:
        self._texts = [document.indexed for document in documents]
        self._index = index
        self._most_rejected = most_rejected
        position_of = {document.doc_id: place for place, document in enumerate(documents)}
        self._queries: list[tuple[str, list[int], list[int]]] = []
        for query in queries:
            relevant = [position_of[i] for i in query.relevant if i in position_of]
            rejected = [position_of[i] for i in query.rejected if i in position_of]
            if relevant:
                self._queries.append((query.text, relevant, rejected))
        if not self._queries:
            raise InputError("no query has a relevant document in the corpus: check the ids")

    def draw(self, rng: np.random.Generator, *, size: int) -> QueryList:
        """Draw a query, one of its relevant documents and ``size - 1`` that are not."""
        text, relevant, rejected = self._queries[int(rng.integers(len(self._queries)))]
        chosen = [relevant[int(rng.integers(len(relevant)))]]
        chosen += _sample(rng, rejected, min(self._most_rejected, size - 1))
        chosen += _negatives(
            rng,
            hard=self._index.search(text, k=_HARD_DEPTH),
            total=len(self._texts),
            wanted=size - len(chosen),
            excluded={*relevant, *chosen},
        )
        return QueryList(text, tuple(self._texts[position] for position in chosen))


class SelfMadeLists:
    """Lists that a corpus gives without labels: a piece of a document finds the document.

    The piece is the title (the rest of the document answers) or a sentence, which is left in the
    document three times in ten, so that word-for-word matches keep their worth, and taken out
    otherwise (the inverse cloze task of Lee, Chang and Toutanova, ACL 2019).

    Args:
        documents: the corpus.
        index: BM25 over ``Document.indexed``, in the order of ``documents``.
        title_share: how often the title is the query.

    Raises:
        InputError: the corpus has no document with a title or two sentences.
    """

    def __init__(
        self, documents: Sequence[Document], *, index: TextIndex, title_share: float = 0.4
    ) -> None:
        self._documents = documents
        self._index = index
        self._title_share = title_share
        self._texts = [document.indexed for document in documents]
        self._usable = [
            place
            for place, document in enumerate(documents)
            if document.title and len(document.text.split()) >= 2 * _QUERY_WORDS[0]
        ]
        if not self._usable:
            raise InputError("the corpus has no document with a title and a text")

    def draw(self, rng: np.random.Generator, *, size: int) -> QueryList:
        """Draw a document, a piece of it as the query, and ``size - 1`` other documents."""
        place = self._usable[int(rng.integers(len(self._usable)))]
        query, answer = self._piece(rng, self._documents[place])
        others = _negatives(
            rng,
            hard=self._index.search(query, k=_HARD_DEPTH),
            total=len(self._texts),
            wanted=size - 1,
            excluded={place},
        )
        return QueryList(query, (answer, *(self._texts[other] for other in others)))

    def _piece(self, rng: np.random.Generator, document: Document) -> tuple[str, str]:
        sentences = [
            sentence
            for sentence in _SENTENCE_END.split(document.text)
            if _QUERY_WORDS[0] <= len(sentence.split()) <= _QUERY_WORDS[1]
        ]
        if len(sentences) <= 1 or rng.random() < self._title_share:
            spoken = " ".join(re.split(r"[._\s]+", document.title)).strip()
            query = document.title if rng.random() < 0.5 else spoken  # noqa: PLR2004
            return query, document.text if rng.random() < 0.5 else document.indexed  # noqa: PLR2004
        sentence = sentences[int(rng.integers(len(sentences)))]
        if rng.random() < _KEEP_SENTENCE:
            return sentence, document.indexed
        rest = " ".join(document.text.replace(sentence, " ", 1).split())
        return sentence, f"{document.title}. {rest}"


def _negatives(
    rng: np.random.Generator, *, hard: Sequence[int], total: int, wanted: int, excluded: set[int]
) -> list[int]:
    allowed = [position for position in hard if position not in excluded]
    chosen = _sample(rng, allowed, wanted - wanted // 3)
    taken = excluded | set(chosen)
    if total - len(taken) < wanted - len(chosen):
        raise InputError("the corpus is smaller than one list: use a larger one")
    while len(chosen) < wanted:
        position = int(rng.integers(total))
        if position not in taken:
            taken.add(position)
            chosen.append(position)
    return chosen


def _sample(rng: np.random.Generator, values: Sequence[int], most: int) -> list[int]:
    picked = rng.permutation(len(values))[:most]
    return [values[int(place)] for place in picked]


@dataclass(frozen=True, slots=True)
class Mixture:
    """Several sources, each drawn from by its share.

    Attributes:
        sources: name → where lists come from.
        shares: name → weight; they need not add up to one.

    Raises:
        InputError: no source has a weight above 0.
    """

    sources: Mapping[str, Source]
    shares: Mapping[str, float]

    def __post_init__(self) -> None:
        """Refuse what gives no list at all."""
        if not any(self.shares[name] > 0 for name in self.sources):
            raise InputError(f"give one of {', '.join(self.sources)} a weight above 0")

    def step(self, number: int, *, seed: int, queries: int, size: int) -> list[QueryList]:
        """Draw the lists of one training step; the same numbers always give the same lists.

        Args:
            number: which step, from 0.
            seed: which run.
            queries: how many lists.
            size: documents a list.

        Returns:
            The lists of that step.
        """
        rng = np.random.default_rng([seed, number])
        names = sorted(self.sources)
        weights = np.asarray([self.shares[name] for name in names], dtype=np.float64)
        picks = rng.choice(len(names), size=queries, p=weights / weights.sum())
        return [self.sources[names[int(pick)]].draw(rng, size=size) for pick in picks]
