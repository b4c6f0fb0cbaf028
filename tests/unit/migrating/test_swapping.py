"""Aliases from one index to another, as one request."""

from __future__ import annotations

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.migrating.swapping import Aliases, called_off, fence_name, swap_actions


def test_every_alias_is_taken_away_and_given_with_all_that_it_is() -> None:
    aliases: Aliases = {"films": {"is_write_index": True}, "old": {"filter": {"term": {"a": 1}}}}
    assert swap_actions(aliases, old="a", new="b", gone={"b-fence": "b", "b-writing": "b"}) == [
        {"remove": {"index": "b", "alias": "b-fence", "must_exist": True}},
        {"remove": {"index": "b", "alias": "b-writing", "must_exist": True}},
        {"remove": {"index": "a", "alias": "films", "must_exist": True}},
        {"add": {"index": "b", "alias": "films", "is_write_index": True}},
        {"remove": {"index": "a", "alias": "old", "must_exist": True}},
        {"add": {"index": "b", "alias": "old", "filter": {"term": {"a": 1}}}},
    ]


def test_no_two_attempts_share_a_fence() -> None:
    names = {fence_name("films-2") for _ in range(100)}
    assert len(names) == 100
    assert all(name.startswith("films-2-fence-") for name in names)


def test_a_swap_without_an_answer_is_not_taken_for_one_that_was_called_off() -> None:
    assert called_off(EngineError("gone", status=404, kind="aliases_not_found_exception"))
    assert not called_off(EngineError("no answer"))
