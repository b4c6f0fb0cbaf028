"""The SPLADE head that training uses, against the formula written out with all its gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from opensearch_funnel.training.term_weights import flops, step_terms, weigh_terms

pytestmark = pytest.mark.oracle

TEXTS, TOKENS, HIDDEN, TERMS, SPECIAL = 3, 7, 5, 40, (0, 3)


@pytest.fixture
def parts() -> tuple[Any, Any, Any]:
    """Random states, a mask, and a decoder."""
    import torch

    torch.manual_seed(4)
    states = torch.randn(TEXTS, TOKENS, HIDDEN, requires_grad=True)
    mask = torch.ones(TEXTS, TOKENS, dtype=torch.long)
    mask[1, 4:] = 0
    mask[2, 1:] = 0
    return states, mask, torch.nn.Linear(HIDDEN, TERMS)


def written_out(states: Any, mask: Any, decoder: Any) -> Any:
    import torch

    weights = torch.log1p(torch.relu(decoder(states))) * mask[..., None]
    kept = torch.ones(TERMS)
    kept[list(SPECIAL)] = 0
    return weights.max(dim=1).values * kept


def test_weights_and_gradients_are_those_of_the_formula(parts: tuple[Any, Any, Any]) -> None:
    import torch

    states, mask, decoder = parts
    made = []
    ways: list[Callable[[], Any]] = [
        lambda: weigh_terms(states, mask, decoder=decoder, special=SPECIAL, bf16=False),
        lambda: written_out(states, mask, decoder),
    ]
    for weigh in ways:
        states.grad = decoder.weight.grad = decoder.bias.grad = None
        weights = weigh()
        (flops(weights) + weights[:, ::2].sum()).backward()
        made.append([weights, states.grad, decoder.weight.grad, decoder.bias.grad])
    for ours, theirs in zip(*made, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_flops_are_the_sum_of_squared_means() -> None:
    import torch

    weights = torch.tensor([[1.0, 0.0], [3.0, 1.0]])
    assert float(flops(weights)) == 2.0**2 + 0.5**2
    assert np.isfinite(float(flops(weights * 0)))


def test_some_terms_weigh_what_they_weigh_among_all(parts: tuple[Any, Any, Any]) -> None:
    import torch

    states, mask, decoder = parts
    everything = weigh_terms(states, mask, decoder=decoder, special=SPECIAL, bf16=False)
    some = torch.tensor([1, 7, 39, 12])
    found = weigh_terms(states, mask, decoder=decoder, special=SPECIAL, bf16=False, terms=some)
    torch.testing.assert_close(found, everything[:, some])


def test_the_terms_of_a_step_are_those_of_its_queries_and_some_others() -> None:
    import torch

    queries = torch.zeros(2, TERMS)
    queries[0, 5] = queries[1, 9] = 1.0
    terms = step_terms(queries, special=SPECIAL, others=10, seed=(1, 2))
    assert terms.met.tolist() == [5, 9]
    assert len(set(terms.drawn.tolist())) == 10
    assert not {5, 9, *SPECIAL} & set(terms.drawn.tolist())
    assert terms.rest == TERMS - 2 - len(SPECIAL)
    assert torch.equal(
        terms.drawn, step_terms(queries, special=SPECIAL, others=10, seed=(1, 2)).drawn
    )
    # With all of the rest drawn the estimate is exact; over many draws it is right in the mean.
    weights = torch.rand(4, TERMS)
    weights[:, list(SPECIAL)] = 0
    sums = []
    for seed in range(400):
        drawn = step_terms(queries, special=SPECIAL, others=10, seed=(seed,))
        met, others = drawn.split(weights[:, drawn.ids])
        sums.append(float(drawn.whole(flops(met), flops(others))))
    exact = float(flops(weights))
    assert abs(np.mean(sums) / exact - 1) < 0.02
    whole = step_terms(queries, special=SPECIAL, others=TERMS, seed=(3,))
    met, others = whole.split(weights[:, whole.ids])
    assert abs(float(whole.whole(flops(met), flops(others))) / exact - 1) < 1e-5
