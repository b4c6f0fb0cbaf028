"""Probes, signals and a teacher: what they say of the legs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.fusion_study.features import FEATURES
from benchmarks.fusion_study.found import LEGS, Asked, Hits
from benchmarks.fusion_study.probing import PROBES, probes_of
from benchmarks.fusion_study.teacher import taught
from benchmarks.fusion_study.telling import correlations, dense_shares, order_by_probes
from opensearch_funnel.documents.document import Document
from tests.unit.fusion_study.small import asked, case_of

TEXT = "A thief robs one last bank in town. A tired detective follows him through the whole city."
FILM = Document("a", {"title": "Heat and dust", "text": TEXT})


class Letters:
    """Scores a text by how often it has the query's letter."""

    def __init__(self) -> None:
        self.asked = 0

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        self.asked += 1
        return [float(text.count(query)) for text in texts]


def test_a_title_asks_for_the_text_without_it() -> None:
    repeated = Document("b", {"title": "Heat and dust", "text": f"Heat and dust {TEXT}"})
    for document in (FILM, repeated):
        [probe] = probes_of([document], kind="title")
        assert (probe.text, probe.rest) == ("Heat and dust", {"text": TEXT})


def test_a_sentence_asks_for_the_rest() -> None:
    [probe] = probes_of([FILM], kind="sentence")
    assert probe.text in TEXT
    assert probe.rest["title"] == "Heat and dust"
    assert probe.text not in probe.rest["text"]


def test_own_words_are_four_of_the_longer_ones() -> None:
    [probe] = probes_of([FILM], kind="words")
    words = probe.text.split()
    assert len(set(words)) == 4
    assert all(
        len(word) >= 4 and word in f"{FILM.source['title']} {TEXT}".lower() for word in words
    )


def test_what_is_too_short_makes_no_probe() -> None:
    assert probes_of([Document("a", {"title": "Heat", "text": "A thief."})], kind="title") == []


def test_so_many_probes_and_the_same_each_time() -> None:
    many = [Document(f"d{n}", {**FILM.source, "title": f"Heat number {n}"}) for n in range(400)]
    first = probes_of(many, kind="title")
    assert len(first) == PROBES
    assert first == probes_of(many, kind="title")


def test_the_rest_of_a_document_takes_the_place_of_its_score() -> None:
    found = Hits(ids=["own", "b", "c"], scores=[3.0, 2.0, 1.0], numbers=[0, 1, 2])
    columns = dict.fromkeys(LEGS, found)
    cut = {"bm25": 1.5, "sparse": 2.5, "dense": 0.0}
    one = Asked(query_id="p", text="p", grades={"own": 1}, columns=columns, cut=cut)
    told = order_by_probes([one])
    assert told.whole == dict.fromkeys(LEGS, 1.0)
    assert told.rest == {"bm25": 0.631, "sparse": 1.0, "dense": 0.0}


def test_a_signal_that_follows_quality_shows() -> None:
    told = correlations(case_of(asked(1, queries=60)))
    assert set(told) == set(FEATURES)
    # The leg that knows the answer is the one whose best hit stands out.
    assert all(told["gap"][leg] > 0.3 for leg in LEGS)
    assert told["match"]["dense"] == pytest.approx(told["match"]["dense"])


def test_shares_are_drawn_with_their_evidence() -> None:
    case = case_of(asked(1, queries=4))
    told = dense_shares(case.signal("agreement"), case)
    assert {len(values) for values in told.values()} == {4}


def test_a_teacher_prefers_the_leg_whose_hits_it_likes(tmp_path: Path) -> None:
    none = Hits(ids=[], scores=[], numbers=[])
    good = Hits(ids=["a", "own"], scores=[2.0, 1.0], numbers=[0, 1])
    bad = Hits(ids=["b", "c", "a"], scores=[3.0, 2.0, 1.0], numbers=[0, 1, 2])
    columns = {"bm25": bad, "sparse": none, "dense": good}
    query = Asked(query_id="q", text="x", grades={"own": 1}, columns=columns)
    teacher = Letters()
    texts = {"a": "xxx", "b": "x", "c": "", "own": "xxxxxx"}
    path = tmp_path / "taught" / "one.json"
    told = taught([query], teacher=teacher, texts=texts, own_left_out=True, kept_at=path)
    assert told.values == {"bm25": 0.5, "sparse": 0.0, "dense": 1.0}
    again = taught([query], teacher=teacher, texts=texts, own_left_out=True, kept_at=path)
    assert (again, teacher.asked) == (told, 1)


def test_what_tells_legs_apart_is_told_beside_what_tells_queries_apart() -> None:
    told = correlations(case_of(asked(1, queries=60)))
    assert told["gap"]["between"] > 0.3
    # One number for all three legs, of which one is left out: no leg is told from the other two.
    assert abs(told["words"]["between"]) < 0.2
