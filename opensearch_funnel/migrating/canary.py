"""A search that is timed again and again, to see what a migration does to everybody's searches."""

from __future__ import annotations

import re
import statistics
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from threading import Event, Thread
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.core.text import encoded_text
from opensearch_funnel.engine.indices import refresh_index

_SAMPLES = 50
_WORDS = 8
_WORD = re.compile(r"\w{3,}")
_BEFORE, _RECENT = 25, 10
_ENOUGH = 3
_EVERY_S, _FIRST_EVERY_S = 1.0, 0.1

TimeSearch = Callable[[], float]
"""Search once; return the milliseconds that it took."""


@dataclass(frozen=True, slots=True)
class Spread:
    """What searches took, in milliseconds: half of them at most this, and nine of ten that."""

    median_ms: float
    tail_ms: float


class Canary:
    """How long a search takes now, and how long it takes while the migration does nothing.

    Args:
        time_search: searches once and returns milliseconds; may raise ``EngineError``, which
            counts as no sample: a cluster that is away is not a slow one.
    """

    def __init__(self, time_search: TimeSearch) -> None:
        self._time_search = time_search
        self._idle: deque[float] = deque(maxlen=_BEFORE)
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._resting = True
        self._wake = Event()

    @property
    def baseline(self) -> Spread | None:
        """What the last searches took while the migration did nothing; ``None`` before any."""
        return _spread(self._idle)

    @property
    def recent(self) -> Spread | None:
        """What the last searches took while it worked; ``None`` before there are enough."""
        return _spread(self._recent) if len(self._recent) >= _ENOUGH else None

    def work(self) -> None:
        """Be told that the migration begins to work: a search is timed at once."""
        self._resting = False
        self._wake.set()

    def rest(self) -> None:
        """Be told that it does nothing for a while."""
        self._resting = True

    def sample(self) -> None:
        """Search once, and keep what it took."""
        rested = self._resting
        try:
            taken = self._time_search()
        except EngineError:
            return
        # Searches get slower and faster through the day: rests tell by how much of themselves.
        if not self._resting and not rested:
            self._recent.append(taken)
        elif self._resting and rested:
            self._idle.append(taken)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Take samples in a thread, one a second, after some before anything is done."""
        stop = Event()
        for _ in range(_BEFORE):
            self.sample()
            stop.wait(_FIRST_EVERY_S)
        thread = Thread(target=self._watch, args=(stop,), name="canary", daemon=True)
        self.work()
        thread.start()
        try:
            yield
        finally:
            stop.set()
            self._wake.set()
            thread.join()

    def _watch(self, stop: Event) -> None:
        while not stop.is_set():
            if self._wake.wait(_EVERY_S):
                self._wake.clear()
                # Not before the page has begun to be read.
                stop.wait(_FIRST_EVERY_S)
            self.sample()


def _spread(taken: Iterable[float]) -> Spread | None:
    found = sorted(taken)
    if not found:
        return None
    return Spread(statistics.median(found), found[(len(found) * 9) // 10])


def canary_search(client: OpenSearch, index: str, *, fields: Sequence[str]) -> TimeSearch | None:
    """Make a search of an index that is like a person's: two words that its documents have.

    Args:
        client: the cluster.
        index: what is searched.
        fields: the fields with text; the words are of all of them, the first is searched.

    Returns:
        A function that searches once and returns milliseconds; ``None`` where no word is found.
        It names no pipeline and asks for two other words each time.

    Raises:
        EngineError: no sample could be read.
    """
    field = fields[0]
    refresh_index(client, index=index)
    body = {"size": _SAMPLES, "_source": list(fields), "query": {"match_all": {}}}
    found = client.search(index=index, body=body, params={"search_pipeline": "_none"})
    texts = [encoded_text(hit.get("_source", {}), fields=fields) for hit in found["hits"]["hits"]]
    words = common_words(texts)
    if not words:
        return None
    pairs = cycle([f"{one} {two}" for one, two in zip(words, words[1:] + words[:1], strict=True)])

    def search() -> float:
        request: dict[str, Any] = {
            "size": 10,
            "_source": False,
            "query": {"match": {field: next(pairs)}},
        }
        answer = client.search(index=index, body=request, params={"search_pipeline": "_none"})
        # The node's own count: ours would have in it what this process, which is at work on the
        # next page, takes to look at the answer.
        return float(answer["took"])

    return search


def common_words(texts: Sequence[str]) -> list[str]:
    """Return the words that are in the most texts, at most eight.

    Example:
        >>> common_words(["the red fox", "a red hound", "the end"])
        ['red', 'the', 'end', 'fox', 'hound']
    """
    counts = Counter(word for text in texts for word in set(_WORD.findall(text.lower())))
    return sorted(counts, key=lambda word: (-counts[word], word))[:_WORDS]
