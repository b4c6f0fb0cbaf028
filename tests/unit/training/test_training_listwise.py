"""Drawing lists of one relevant document and several that are not."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.training.bm25 import TextIndex
from opensearch_funnel.training.corpora import Document, Judged
from opensearch_funnel.training.listwise import JudgedLists, Mixture, QueryList, SelfMadeLists

FILMS = [
    Document(
        f"d{number}", f"Film {number}", f"Hero {number} goes home now. Then the fox{number} eats."
    )
    for number in range(40)
]
INDEX = TextIndex([film.indexed for film in FILMS])


def judged_lists() -> JudgedLists:
    query = Judged(
        "q1", "hero fox", relevant=("d1", "d2", "gone"), rejected=("d3", "d4", "d5", "d6", "d7")
    )
    return JudgedLists(FILMS, [query], index=INDEX)


def test_a_judged_list_starts_with_a_relevant_document_and_has_no_other() -> None:
    relevant = {FILMS[1].indexed, FILMS[2].indexed}
    for seed in range(50):
        drawn = judged_lists().draw(np.random.default_rng(seed), size=8)
        assert len(drawn.documents) == len(set(drawn.documents)) == 8
        assert drawn.documents[0] in relevant
        assert not relevant & set(drawn.documents[1:])


def test_a_judged_list_has_four_documents_that_a_person_rejected() -> None:
    rejected = {film.indexed for film in FILMS[3:8]}
    drawn = judged_lists().draw(np.random.default_rng(3), size=8)
    # Three more are hard or random; d3 to d7 may come again only as the one not drawn above.
    assert set(drawn.documents[1:5]) <= rejected


def test_hard_negatives_are_what_bm25_finds() -> None:
    documents = [
        *FILMS,
        *(Document(f"x{n}", "Opera", f"Singing about number {n}") for n in range(40)),
    ]
    index = TextIndex([document.indexed for document in documents])
    lists = JudgedLists(documents, [Judged("q", "opera", ("d1",), ())], index=index)
    drawn = [lists.draw(np.random.default_rng(seed), size=8) for seed in range(20)]
    for one in drawn:
        # Seven negatives: two of them random (7 // 3), five from the BM25 hits, all of them operas.
        assert sum(text.startswith("Opera") for text in one.documents[1:]) >= 5


def test_a_query_without_hits_or_labels_is_filled_at_random() -> None:
    lists = JudgedLists(FILMS, [Judged("q", "zebra", ("d1",), ())], index=INDEX)
    assert len(set(lists.draw(np.random.default_rng(0), size=8).documents)) == 8


def test_a_corpus_smaller_than_a_list_is_refused() -> None:
    few = FILMS[:5]
    index = TextIndex([film.indexed for film in few])
    lists = JudgedLists(few, [Judged("q", "hero", ("d1",), ())], index=index)
    with pytest.raises(InputError, match="smaller than one list"):
        lists.draw(np.random.default_rng(0), size=8)


def test_queries_that_answer_nothing_in_the_corpus_are_refused() -> None:
    with pytest.raises(InputError, match="no query"):
        JudgedLists(FILMS, [Judged("q", "hero", ("gone",), ())], index=INDEX)
    with pytest.raises(InputError, match="no document"):
        SelfMadeLists([Document("d", "", "text")], index=TextIndex(["text"]))


def test_a_self_made_list_asks_for_a_title_or_a_sentence_of_its_first_document() -> None:
    lists = SelfMadeLists(FILMS, index=INDEX)
    kinds: Counter[str] = Counter()
    for seed in range(200):
        drawn = lists.draw(np.random.default_rng(seed), size=8)
        number = next(
            word
            for word in drawn.query.replace("fox", " ").replace(".", "").split()
            if word.isdigit()
        )
        answer = drawn.documents[0]
        assert f"Hero {number} " in answer or f"fox{number} " in answer
        assert len(set(drawn.documents)) == 8
        if drawn.query == f"Film {number}":
            kinds["title"] += 1
        else:
            kinds["left in" if drawn.query in answer else "taken out"] += 1
    assert min(kinds["title"], kinds["left in"], kinds["taken out"]) > 0
    assert kinds["taken out"] > kinds["left in"]


class Named:
    """A source that says its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def draw(self, rng: np.random.Generator, *, size: int) -> QueryList:
        """Put a random number into each document."""
        return QueryList(self.name, tuple(str(rng.random()) for _ in range(size)))


def test_a_step_is_drawn_by_its_number_alone() -> None:
    mixture = Mixture({"a": Named("a"), "b": Named("b")}, {"a": 3.0, "b": 1.0})
    forward = [mixture.step(number, seed=1, queries=4, size=3) for number in range(6)]
    resumed = [mixture.step(number, seed=1, queries=4, size=3) for number in (5, 3, 4)]
    assert resumed == [forward[5], forward[3], forward[4]]
    assert forward[0] != forward[1]
    assert mixture.step(0, seed=2, queries=4, size=3) != forward[0]


def test_sources_are_drawn_by_their_shares() -> None:
    mixture = Mixture({"a": Named("a"), "b": Named("b")}, {"a": 3.0, "b": 1.0})
    names = Counter(
        one.query
        for number in range(500)
        for one in mixture.step(number, seed=1, queries=4, size=1)
    )
    assert 0.71 < names["a"] / names.total() < 0.79


def test_a_mixture_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="give one of a, b a weight above 0"):
        Mixture({"a": Named("a"), "b": Named("b")}, {"a": 0.0, "b": 0.0})
