import re

import pytest

from opensearch_funnel.demo.corpus import Split, judgments, questions, stdlib_documents

WORDS = {"meaning": range(4, 13), "lexical": range(1, 7)}


@pytest.fixture(scope="module")
def ids() -> set[str]:
    return {document["_id"] for document in stdlib_documents()}


def test_there_are_enough_with_unique_ids_and_texts() -> None:
    asked = questions(split="dev")
    assert [q["_id"] for q in asked] == [f"dev-{number:03}" for number in range(1, 275)]
    assert len({normal(q["text"]) for q in asked}) == len(asked)


def test_they_are_short_and_of_both_kinds_as_those_that_are_reported() -> None:
    for question in questions(split="dev"):
        text = question["text"]
        assert set(question) == {"_id", "text", "kind"}
        assert text == text.strip()
        assert len(text.split()) in WORDS[question["kind"]], text
    assert share_of_lookups("dev") == pytest.approx(share_of_lookups("test"), abs=0.02)


def test_every_one_has_an_answer_in_every_python_and_a_pool_that_was_graded(ids: set[str]) -> None:
    graded = judgments(split="dev")
    assert list(graded) == [question["_id"] for question in questions(split="dev")]
    for grades in graded.values():
        assert 2 in {grade for doc, grade in grades.items() if doc in ids}
        assert len(grades) >= 10


def test_none_is_a_question_that_is_reported() -> None:
    reported = {normal(question["text"]) for question in questions()}
    assert not [q for q in questions(split="dev") if normal(q["text"]) in reported]


def test_no_answer_helps_with_a_question_that_is_reported() -> None:
    helpful = {doc for grades in judgments().values() for doc, grade in grades.items() if grade > 0}
    assert answers() & helpful == set()


def test_a_question_in_everyday_words_seldom_has_the_name_of_an_answer() -> None:
    """They were written without the name of a document; another one that answers may have it."""
    graded = judgments(split="dev")
    asked = [question for question in questions(split="dev") if question["kind"] == "meaning"]
    named = [
        question["text"]
        for question in asked
        for doc_id, grade in graded[question["_id"]].items()
        if grade > 1 and contains_name(question["text"], doc_id)
    ]
    assert len(named) < 0.1 * len(asked), named


def test_a_name_is_found_in_a_question() -> None:
    assert contains_name("how do i fmod floats", "math.fmod")
    assert contains_name("turn it with base64.b64decode", "base64.b64decode")
    assert not contains_name("a summary of numbers", "sum")


def answers() -> set[str]:
    graded = judgments(split="dev")
    return {doc for grades in graded.values() for doc, grade in grades.items() if grade > 1}


def share_of_lookups(split: Split) -> float:
    kinds = [question["kind"] for question in questions(split=split)]
    return kinds.count("lexical") / len(kinds)


def contains_name(text: str, doc_id: str) -> bool:
    name = doc_id.rpartition(".")[2].lower()
    return re.search(rf"\b{re.escape(name)}\b", text.lower()) is not None


def normal(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))
