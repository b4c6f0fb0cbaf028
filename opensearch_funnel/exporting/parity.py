"""How far a graph is from the model that it was made of."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from opensearch_funnel.encoders.session import Array, Session, padded
from opensearch_funnel.encoders.tokens import TextTokenizer
from opensearch_funnel.exporting.reference import Reference

TOLERANCE = 1e-4
"""In fp32; sums are taken in another order, so a little is always left."""
TEXTS = (
    "what is the best hotel in paris",
    "zero-dimensional biomaterials show inductive properties. " * 20,
    "naïve café, 3.14 < π",
    "wait for several threads to finish",
    "a",
)
_LONGEST = 128


def greatest_difference(
    session: Session, reference: Reference, *, tokenizer: TextTokenizer
) -> float:
    """Run a graph and its model on the same texts, alone and padded, and compare every number.

    Args:
        session: the graph, in fp32.
        reference: the model in torch.
        tokenizer: the model's, with its limit.

    Returns:
        The greatest absolute difference, of unit vectors, of the weights of terms, or of scores.
    """
    rows = [ids[:_LONGEST] for ids in tokenizer.encode(TEXTS)]
    ids, mask = padded(rows, padding=0)
    types = (np.arange(ids.shape[1])[None] >= 4).astype(np.int64) * mask  # noqa: PLR2004 - any
    given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    expected = _by_torch(reference, given)
    # Terms: as many as torch gave, and 0 for those that only one of both has.
    count = expected["ids"].shape[1] if "ids" in expected else 1
    made = session.run({**given, "k": np.array([count], dtype=np.int64)})
    if "ids" not in expected:
        (name,) = expected
        return float(np.abs(made[name] - expected[name]).max())
    width = int(max(expected["ids"].max(), made["ids"].max())) + 1
    return float(np.abs(_by_id(made, width=width) - _by_id(expected, width=width)).max())


def _by_torch(reference: Reference, given: Mapping[str, Array]) -> dict[str, Array]:
    import torch

    tensors = [torch.from_numpy(given[name]) for name in reference.inputs]
    with torch.inference_mode():
        made = reference.module(*tensors)
    parts = made if isinstance(made, tuple) else (made,)
    return {name: part.numpy() for name, part in zip(reference.outputs, parts, strict=True)}


def _by_id(made: Mapping[str, Array], *, width: int) -> Array:
    """Put the weights of terms at their ids: the order of equal ones does not matter then."""
    rows = np.zeros((len(made["ids"]), width), dtype=np.float32)
    np.put_along_axis(rows, made["ids"].astype(np.int64), made["weights"], axis=1)
    return rows
