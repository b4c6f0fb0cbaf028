"""A small BM25 over texts in memory, to find hard negatives and a first stage to rerank.

It is not the engine's BM25 (no stemmer, one field): good enough to name documents that share words
with a query, which is all that training needs. Figures that are reported to users come from the
engine.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"[^\W_]+")
_SHORTEST_PLURAL = 4


def words_of(text: str) -> list[str]:
    """Split a text into lower-case words, a plural ``s`` taken off.

    Underscores and dots split, so that ``os.path.join`` answers to ``join``.

    Example:
        >>> words_of("Green Lanterns of the os.path_join's")
        ['green', 'lantern', 'of', 'the', 'os', 'path', 'join', 's']
    """
    return [_singular(word) for word in _WORD.findall(text.lower())]


def _singular(word: str) -> str:
    plural = len(word) >= _SHORTEST_PLURAL and word.endswith("s") and not word.endswith("ss")
    return word[:-1] if plural else word


class TextIndex:
    """An inverted index of texts with BM25 weights worked out beforehand.

    The formula is Lucene's (Robertson and Zaragoza 2009, with ``log(1 + …)`` as the IDF, so that a
    weight is never negative).

    Args:
        texts: the documents; a document is named by its position.
        k1: how fast a repeated word stops adding to the score.
        b: how much a long document is held back, 0 (not) to 1.

    Example:
        >>> index = TextIndex(["a red fox", "a red hen", "a cow"])
        >>> index.search("red fox", k=2)
        [0, 1]
        >>> index.search("goat", k=2)
        []
    """

    def __init__(self, texts: Sequence[str], *, k1: float = 1.2, b: float = 0.75) -> None:
        self._size = len(texts)
        postings: dict[str, tuple[list[int], list[int]]] = {}
        lengths = np.zeros(max(self._size, 1), dtype=np.float64)
        for position, text in enumerate(texts):
            words = words_of(text)
            lengths[position] = len(words)
            for word, count in Counter(words).items():
                documents, counts = postings.setdefault(word, ([], []))
                documents.append(position)
                counts.append(count)
        slowdown = k1 * (1 - b + b * lengths / max(float(lengths.mean()), 1.0))
        self._postings: dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]] = {}
        for word, (documents, counts) in postings.items():
            where = np.asarray(documents, dtype=np.int64)
            often = np.asarray(counts, dtype=np.float64)
            idf = np.log(1 + (self._size - len(where) + 0.5) / (len(where) + 0.5))
            self._postings[word] = (where, idf * often / (often + slowdown[where]))

    def search(self, query: str, *, k: int) -> list[int]:
        """Name the documents that match a query best.

        Args:
            query: plain text; every word may match.
            k: at most so many.

        Returns:
            Positions, best first; equal scores by position; documents without a shared word never.
        """
        scores = np.zeros(self._size, dtype=np.float64)
        for word in words_of(query):
            if word in self._postings:
                where, weights = self._postings[word]
                scores[where] += weights
        order = np.lexsort((np.arange(self._size), -scores))[:k]
        return [int(position) for position in order if scores[position] > 0]
