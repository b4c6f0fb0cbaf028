"""Every text goes through exactly once, with little padding."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from opensearch_funnel.encoders.batching import length_batches

LENGTHS = st.lists(st.integers(min_value=0, max_value=300), max_size=60)


@given(LENGTHS, st.integers(min_value=1, max_value=1024))
def test_each_text_is_in_exactly_one_batch(lengths: list[int], budget: int) -> None:
    batches = length_batches(lengths, token_budget=budget)
    assert sorted(i for batch in batches for i in batch.tolist()) == list(range(len(lengths)))


@given(LENGTHS, st.integers(min_value=1, max_value=1024))
def test_a_batch_keeps_to_the_budget_unless_it_is_one_text(lengths: list[int], budget: int) -> None:
    for batch in length_batches(lengths, token_budget=budget):
        padded = len(batch) * max(lengths[i] for i in batch)
        assert padded <= budget or len(batch) == 1


@given(LENGTHS)
def test_longest_come_first(lengths: list[int]) -> None:
    order = [lengths[i] for batch in length_batches(lengths) for i in batch.tolist()]
    assert order == sorted(lengths, reverse=True)
