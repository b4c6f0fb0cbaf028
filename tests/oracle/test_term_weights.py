"""The SPLADE head that training uses, against the formula written out with all its gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from opensearch_funnel.training.term_weights import flops, weigh_terms

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
