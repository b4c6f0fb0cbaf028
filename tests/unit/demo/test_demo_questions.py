import importlib
import re
from collections.abc import Iterator

import pytest

from opensearch_funnel.demo.corpus import judgments, questions, stdlib_documents

DOTTED = re.compile(r"\b[a-z_]\w*(?:\.\w+)+")


@pytest.fixture(scope="module")
def ids() -> set[str]:
    return {document["_id"] for document in stdlib_documents()}


def test_there_are_enough_questions_with_unique_ids_and_texts() -> None:
    asked = questions()
    assert len(asked) >= 80
    assert len({question["_id"] for question in asked}) == len(asked)
    assert len({question["text"].casefold() for question in asked}) == len(asked)
    assert all(set(question) == {"_id", "text", "kind"} for question in asked)
    assert all(question["text"] == question["text"].strip() != "" for question in asked)


def test_a_third_are_lexical_and_the_rest_are_not() -> None:
    kinds = [question["kind"] for question in questions()]
    assert set(kinds) == {"lexical", "meaning"}
    assert len(kinds) / 3 <= kinds.count("lexical") <= len(kinds) / 2


def test_no_question_about_meaning_gives_the_name_away() -> None:
    for question in questions():
        if question["kind"] == "meaning":
            assert not DOTTED.search(question["text"]), question["text"]
            assert "_" not in question["text"]


def names_in(text: str) -> Iterator[str]:
    for name in DOTTED.findall(text):
        # Values in pasted errors look alike: 0.3 does not start with a letter, loop is a variable.
        if not name.startswith("loop."):
            yield name


def test_every_name_that_is_asked_for_exists() -> None:
    asked = [name for q in questions() if q["kind"] == "lexical" for name in names_in(q["text"])]
    assert len(asked) >= 20
    assert [name for name in asked if not resolves(name)] == []


def resolves(name: str) -> bool:
    for modules in range(name.count(".") + 1, -1, -1):
        parts = name.split(".")
        try:
            found: object = importlib.import_module(".".join(parts[:modules]) or "builtins")
        except ImportError:
            continue
        try:
            for attribute in parts[modules:]:
                found = getattr(found, attribute)
        except AttributeError:
            continue
        return True
    return False


def test_resolving_tells_names_from_inventions() -> None:
    assert resolves("str.removeprefix")
    assert resolves("xml.etree.ElementTree.iterparse")
    assert not resolves("itertools.group_them")


def test_every_question_has_an_answer_in_the_corpus(ids: set[str]) -> None:
    graded = judgments()
    unanswered = [
        question["text"]
        for question in questions()
        if not any(grade > 0 and doc in ids for doc, grade in graded[question["_id"]].items())
    ]
    assert unanswered == []


def test_judgments_belong_to_questions_and_nearly_all_documents_are_here(ids: set[str]) -> None:
    graded = judgments()
    assert set(graded) <= {question["_id"] for question in questions()}
    judged = {doc_id for grades in graded.values() for doc_id in grades}
    # Judged on one Python: another release may lack a few of what was pooled.
    assert len(judged & ids) >= 0.95 * len(judged)
