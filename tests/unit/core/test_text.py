from opensearch_funnel.core.text import HASH_LENGTH, encoded_text, text_hash


def test_missing_and_empty_fields_are_left_out() -> None:
    assert encoded_text({"text": "A thief.", "title": " "}, fields=["title", "text"]) == "A thief."


def test_a_title_that_ends_a_sentence_gets_no_second_full_stop() -> None:
    assert encoded_text({"title": "Why?", "text": "So."}, fields=["title", "text"]) == "Why? So."


def test_lists_numbers_and_nested_fields_are_read() -> None:
    source = {"tags": ["red", "fast"], "car": {"doors": 5}}
    assert encoded_text(source, fields=["tags", "car.doors"]) == "red fast. 5"


def test_the_hash_has_one_length_whatever_the_text() -> None:
    assert {len(text_hash(t)) for t in ("", "a", "\ud800", "é" * 10_000)} == {HASH_LENGTH}
