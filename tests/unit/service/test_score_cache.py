"""A score that is known is not made again, and is nobody else's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch_funnel.core.errors import StageUnavailableError
from opensearch_funnel.service.score_cache import ScoreCache
from opensearch_funnel.testing import DownScorer, OverlapScorer


class Counted(OverlapScorer):
    """Remembers what it was asked for."""

    asked: list[tuple[str, list[str]]] = []  # noqa: RUF012 - reset by every test that reads it

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        self.asked.append((query, list(texts)))
        return super().score(query, texts)


class Lookups:
    def __init__(self) -> None:
        self.hits = self.misses = 0

    def looked_up(self, *, hits: int, misses: int) -> None:
        self.hits += hits
        self.misses += misses


@pytest.fixture
def asked() -> list[tuple[str, list[str]]]:
    Counted.asked = []
    return Counted.asked


WORDS = st.sampled_from(["a", "b", "a b", "", "\ud800", "b a c"])


@given(st.lists(st.tuples(WORDS, st.lists(WORDS, max_size=5)), max_size=8), st.integers(1, 6))
def test_scores_are_the_scorers_own_whatever_was_asked_before(
    requests: list[tuple[str, list[str]]], capacity: int
) -> None:
    scorer = ScoreCache(capacity=capacity).around(OverlapScorer(), fingerprint="f")
    for query, texts in requests:
        assert scorer.score(query, texts) == OverlapScorer().score(query, texts)


def test_only_what_is_not_known_is_asked_for_and_each_text_once(
    asked: list[tuple[str, list[str]]],
) -> None:
    lookups = Lookups()
    scorer = ScoreCache(capacity=100, lookups=lookups).around(Counted(), fingerprint="f")
    assert scorer.score("a b", ["a", "b", "a"]) == [1.0, 1.0, 1.0]
    assert scorer.score("a b", ["c", "b", "a b"]) == [0.0, 1.0, 2.0]
    assert asked == [("a b", ["a", "b"]), ("a b", ["c", "a b"])]
    assert (lookups.hits, lookups.misses) == (1, 5)


def test_another_query_or_another_model_shares_nothing(asked: list[tuple[str, list[str]]]) -> None:
    cache = ScoreCache(capacity=100)
    for fingerprint, query in (("f", "ab"), ("g", "ab"), ("f", "a"), ("fa", "b")):
        cache.around(Counted(), fingerprint=fingerprint).score(query, ["bc"])
    assert len(asked) == 4


def test_what_is_kept_names_neither_query_nor_text() -> None:
    cache = ScoreCache(capacity=100)
    cache.around(OverlapScorer(), fingerprint="f").score("secret", ["hidden"])
    kept = cache._kept  # noqa: SLF001 - what a look at the memory would find
    assert [len(key) for key in kept] == [16]
    assert ScoreCache(capacity=100)._keys("f", "secret", ["hidden"]) != list(kept)  # noqa: SLF001 - as above


def test_failures_and_what_is_no_number_are_not_kept() -> None:
    class Odd:
        answers = [[math.nan, 1.0], [2.0]]  # noqa: RUF012 - used up by this test alone

        def score(self, query: str, texts: Sequence[str]) -> list[float]:
            del query, texts
            return self.answers.pop(0)

    cache = ScoreCache(capacity=100)
    with pytest.raises(StageUnavailableError):
        cache.around(DownScorer(), fingerprint="f").score("q", ["a"])
    scorer = cache.around(Odd(), fingerprint="f")
    assert math.isnan(scorer.score("q", ["a", "b"])[0])
    assert scorer.score("q", ["a", "b"]) == [2.0, 1.0]


def test_a_scorer_with_too_few_scores_fails_the_stage() -> None:
    class Short:
        def score(self, query: str, texts: Sequence[str]) -> list[float]:
            del query
            return [1.0] * (len(texts) - 1)

    with pytest.raises(StageUnavailableError, match="1 scores for 2 texts"):
        ScoreCache(capacity=100).around(Short(), fingerprint="f").score("q", ["a", "b"])


def test_threads_get_right_scores_from_a_cache_that_is_too_small() -> None:
    scorer = ScoreCache(capacity=7).around(OverlapScorer(), fingerprint="f")
    texts = [f"w{i} w{i + 1}" for i in range(20)]

    def ask(i: int) -> bool:
        query = f"w{i % 20}"
        return scorer.score(query, texts) == OverlapScorer().score(query, texts)

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(200)))
