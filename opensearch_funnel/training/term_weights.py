"""The SPLADE head for training: exact gradients at a fraction of the head's usual cost.

``w = log(1 + relu(max over tokens of logit))`` has a gradient only where the largest logit of a
term is above zero, a few hundred of 30,522 terms. So the logits of all terms are computed once
without gradients, to find those; only theirs are computed again, one dot product each. The head is
four fifths of a small model's time, and its backward pass was two thirds of that. ``step_terms``
saves most of what is left.

Source: Formal et al., SPLADE v2 (arXiv 2109.10086), equation 2; the FLOPS regulariser is equation 6
of Paria et al. (arXiv 2004.05665).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_TOKENS_A_CHUNK = 2048


def weigh_terms(  # noqa: PLR0913 - a head, and what of it is wanted
    states: Any,
    mask: Any,
    *,
    decoder: Any,
    special: Sequence[int],
    bf16: bool,
    terms: Any = None,
) -> Any:
    """Weigh terms of each text: all of the vocabulary, or some of it.

    Args:
        states: what the head's transform made of each token, ``[texts, tokens, hidden]``.
        mask: 1 for tokens, 0 for padding, ``[texts, tokens]``.
        decoder: the layer from states to logits: ``weight`` ``[vocabulary, hidden]`` and
            ``bias`` ``[vocabulary]``.
        special: terms that never get a weight.
        bf16: look for the largest logits in bf16; the weights themselves are always float32.
        terms: ids of the only terms that are wanted, none of them special; without it, all.

    Returns:
        ``[texts, vocabulary]`` weights (or ``[texts, terms]``), 0 or above, with gradients to
        states and decoder.
    """
    import torch

    rows, bias = decoder.weight, decoder.bias
    if terms is not None:
        rows, bias, special = rows[terms], bias[terms], ()
    texts, tokens, _ = states.shape
    kind = torch.bfloat16 if bf16 else torch.float32
    step = max(1, _TOKENS_A_CHUNK // tokens)
    best, where = [], []
    with torch.no_grad():
        table = rows.detach().to(kind).T
        for first in range(0, texts, step):
            logits = states[first : first + step].detach().to(kind) @ table
            logits.masked_fill_(mask[first : first + step, :, None] == 0, float("-inf"))
            top = logits.max(dim=1)
            best.append(top.values.float())
            where.append(top.indices)
        reached = torch.cat(best) + bias.detach()
        reached[:, list(special)] = -1.0
        text, term = (reached > 0).nonzero(as_tuple=True)
        token = torch.cat(where)[text, term]
    logits = (states[text, token] * rows[term]).sum(dim=-1) + bias[term]
    weights = torch.log1p(torch.relu(logits))
    made = torch.zeros(texts, rows.shape[0], device=weights.device)
    return made.index_put((text, term), weights)


def flops(weights: Any) -> Any:
    """Return how many products a random text costs against these: the sum of squared means."""
    return (weights.mean(dim=0) ** 2).sum()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTerms:
    """The terms that a step's documents are weighed for.

    A score is made of its query's terms alone, so those are all needed. The FLOPS of the rest are
    estimated from some of them, which spares nine tenths of the head's work.

    Attributes:
        met: ids of the queries' terms.
        drawn: ids of terms drawn from the rest.
        rest: how many terms the rest has.
    """

    met: Any
    drawn: Any
    rest: int

    @property
    def ids(self) -> Any:
        """Ids of all of them: first those of the queries."""
        import torch

        return torch.cat([self.met, self.drawn])

    def split(self, weights: Any) -> tuple[Any, Any]:
        """Split ``[texts, ids]`` into the weights of ``met`` and of ``drawn``."""
        return weights[:, : len(self.met)], weights[:, len(self.met) :]

    def whole(self, of_met: Any, of_drawn: Any) -> Any:
        """Return what a sum over the vocabulary comes to, from its two parts."""
        return of_met + self.rest / max(len(self.drawn), 1) * of_drawn


def step_terms(
    queries: Any, *, special: Sequence[int], others: int, seed: Sequence[int]
) -> StepTerms:
    """Choose the terms of a step; the same seed always draws the same.

    Args:
        queries: weights of the step's queries, ``[queries, vocabulary]``.
        special: terms that never get a weight.
        others: how many of the rest are drawn at most.
        seed: which draw.
    """
    import torch

    met = (queries > 0).any(dim=0)
    free = ~met
    free[list(special)] = False
    rest = free.nonzero().squeeze(1).cpu().numpy()
    picked = np.random.default_rng(seed).choice(rest, size=min(others, len(rest)), replace=False)
    drawn = torch.from_numpy(np.sort(picked)).to(queries.device)
    return StepTerms(met=met.nonzero().squeeze(1), drawn=drawn, rest=len(rest))
