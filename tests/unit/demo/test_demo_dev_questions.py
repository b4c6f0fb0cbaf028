import re

import pytest

from opensearch_funnel.demo.corpus import judgments, questions, stdlib_documents

WORDS = range(4, 13)


@pytest.fixture(scope="module")
def ids() -> set[str]:
    return {document["_id"] for document in stdlib_documents()}


def test_there_are_enough_with_unique_ids_and_texts() -> None:
    asked = questions(split="dev")
    assert [q["_id"] for q in asked] == [f"dev-{number:03}" for number in range(1, 161)]
    assert len({normal(q["text"]) for q in asked}) == len(asked)


def test_they_are_short_plain_and_about_meaning() -> None:
    for question in questions(split="dev"):
        text = question["text"]
        assert set(question) == {"_id", "text", "kind"}
        assert question["kind"] == "meaning"
        assert text == text.strip().lower()
        assert len(text.split()) in WORDS, text


def test_every_one_has_an_answer_and_nothing_else_is_judged() -> None:
    graded = judgments(split="dev")
    assert list(graded) == [question["_id"] for question in questions(split="dev")]
    assert {grade for grades in graded.values() for grade in grades.values()} == {2}


def test_every_answer_is_in_the_corpus_of_every_python(ids: set[str]) -> None:
    assert answers("dev") - ids == set()


def test_none_is_a_question_that_is_reported() -> None:
    reported = {normal(question["text"]) for question in questions()}
    assert not [q for q in questions(split="dev") if normal(q["text"]) in reported]


def test_no_answer_helps_with_a_question_that_is_reported() -> None:
    assert answers("dev") & answers("test") == set()


def test_none_contains_the_name_of_its_answer() -> None:
    graded = judgments(split="dev")
    named = [
        (question["text"], doc_id)
        for question in questions(split="dev")
        for doc_id in graded[question["_id"]]
        if contains_name(question["text"], doc_id)
    ]
    assert named == []


def test_a_name_is_found_in_a_question() -> None:
    assert contains_name("how do i fmod floats", "math.fmod")
    assert contains_name("turn it with base64.b64decode", "base64.b64decode")
    assert not contains_name("a summary of numbers", "sum")


def answers(split: str) -> set[str]:
    graded = judgments(split="dev") if split == "dev" else judgments()
    return {doc for grades in graded.values() for doc, grade in grades.items() if grade > 0}


def contains_name(text: str, doc_id: str) -> bool:
    name = doc_id.rpartition(".")[2].lower()
    return re.search(rf"\b{re.escape(name)}\b", text.lower()) is not None


def normal(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))
