"""Scores that a cross-encoder gave before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import blake2b
from secrets import token_bytes
from threading import Lock
from typing import Protocol

from cachetools import LRUCache

from opensearch_funnel.core.errors import StageUnavailableError
from opensearch_funnel.core.stage import PairScorer

_DIGEST_BYTES = 16
_SECRET_BYTES = 32


class Lookups(Protocol):
    """Where it is counted how often the cache helped."""

    def looked_up(self, *, hits: int, misses: int) -> None:
        """Count the scores of a request that were known, and those that were not."""
        ...


class ScoreCache:
    """Scores by model, query and text; safe to use from several threads.

    The key is a digest of the three under a secret of this process: who reads the memory finds
    neither what was searched nor what was found. A score follows from them alone, never from
    who asked or what else was found, so it holds for every request, and nothing ever expires.
    """

    def __init__(self, *, capacity: int, lookups: Lookups | None = None) -> None:
        """Make an empty cache.

        Args:
            capacity: how many scores are kept, those that were asked for last; 200,000 take
                about 50 MB.
            lookups: hears how many scores each request found.
        """
        self._kept: LRUCache[bytes, float] = LRUCache(capacity)
        self._lookups = lookups
        self._lock = Lock()
        self._secret = token_bytes(_SECRET_BYTES)

    def around(self, scorer: PairScorer, *, fingerprint: str) -> PairScorer:
        """Return a scorer that gives the same scores and asks only for those that are not known.

        Args:
            scorer: whom to ask.
            fingerprint: of the scorer's model: another model has other scores.
        """
        return _CachedScorer(self, scorer, fingerprint)

    def score(
        self, scorer: PairScorer, *, fingerprint: str, query: str, texts: Sequence[str]
    ) -> list[float]:
        """Return one score a text, in the order given; each text is scored once.

        Raises:
            StageUnavailableError: the scorer did not answer, or not with one score a text.
        """
        keys = self._keys(fingerprint, query, texts)
        with self._lock:
            found = {key: self._kept.get(key) for key in keys}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if found[key] is None}
        misses = sum(found[key] is None for key in keys)
        if self._lookups is not None:
            self._lookups.looked_up(hits=len(keys) - misses, misses=misses)
        if missing:
            made = scorer.score(query, list(missing.values()))
            if len(made) != len(missing):
                raise StageUnavailableError(f"{len(made)} scores for {len(missing)} texts")
            scores = dict(zip(missing, made, strict=True))
            found.update(scores)
            with self._lock:
                # A model that fails in this way may do better the next time.
                self._kept.update({k: s for k, s in scores.items() if math.isfinite(s)})
        return [score for key in keys if (score := found[key]) is not None]

    def _keys(self, fingerprint: str, query: str, texts: Sequence[str]) -> list[bytes]:
        asked = blake2b(key=self._secret, digest_size=_DIGEST_BYTES)
        for part in (fingerprint, query):
            content = part.encode("utf-8", "surrogatepass")
            # The length before the content: no two pairs run together to the same bytes.
            asked.update(len(content).to_bytes(8))
            asked.update(content)
        keys = []
        for text in texts:
            one = asked.copy()
            one.update(text.encode("utf-8", "surrogatepass"))
            keys.append(one.digest())
        return keys


class _CachedScorer:
    def __init__(self, cache: ScoreCache, scorer: PairScorer, fingerprint: str) -> None:
        self._cache = cache
        self._scorer = scorer
        self.fingerprint = fingerprint

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        return self._cache.score(
            self._scorer, fingerprint=self.fingerprint, query=query, texts=texts
        )
