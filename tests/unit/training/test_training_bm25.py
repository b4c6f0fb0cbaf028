"""The in-memory BM25 that finds hard negatives."""

from __future__ import annotations

import math

from opensearch_funnel.training.bm25 import TextIndex, words_of


def test_words_split_at_underscores_dots_and_lose_a_plural_s() -> None:
    assert words_of("os.path_join Lanterns glass is") == [
        "os",
        "path",
        "join",
        "lantern",
        "glass",
        "is",
    ]


def test_a_rare_shared_word_outweighs_a_common_one() -> None:
    index = TextIndex(["red fox", "red hen", "red cow", "blue hen"])
    assert index.search("red fox", k=4)[0] == 0
    assert index.search("blue red", k=1) == [3]


def test_a_shorter_text_wins_with_the_same_words() -> None:
    index = TextIndex(["fox and a long tail of other words here", "fox"])
    assert index.search("fox", k=2) == [1, 0]


def test_a_repeated_word_adds_less_each_time() -> None:
    # One document: IDF = log(1 + 0.5 / 1.5); mean length = own length, so the slowdown is k1.
    once, twice = (TextIndex([text]) for text in ("fox hen", "fox fox"))
    idf = math.log(1 + 0.5 / 1.5)
    assert once._postings["fox"][1][0] == idf * 1 / (1 + 1.2)  # noqa: SLF001
    assert twice._postings["fox"][1][0] == idf * 2 / (2 + 1.2)  # noqa: SLF001


def test_equal_scores_come_in_the_order_of_the_texts_and_k_is_a_limit() -> None:
    index = TextIndex(["fox", "fox", "fox", "hen"])
    assert index.search("fox", k=2) == [0, 1]
    assert index.search("fox", k=10) == [0, 1, 2]


def test_no_texts_and_no_shared_word_find_nothing() -> None:
    assert TextIndex([]).search("fox", k=3) == []
    assert TextIndex(["fox"]).search("", k=3) == []
    assert TextIndex(["fox"]).search("goat", k=3) == []
