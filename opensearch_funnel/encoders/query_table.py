"""What each token of a query weighs where no model weighs it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from opensearch_funnel.core.errors import ModelError
from opensearch_funnel.encoders.tokens import TextTokenizer


def read_query_table(path: Path, *, tokenizer: TextTokenizer) -> NDArray[np.float32]:
    """Read ``idf.json``: a JSON object from token to weight.

    Args:
        path: the file, as the models of OpenSearch that end in ``-doc-`` ship it.
        tokenizer: gives each token its id.

    Returns:
        A weight for each id, ``(vocabulary,)``; 0 for tokens that the file lacks and for those
        that stand for no text.

    Raises:
        ModelError: it is no such object, or most of the vocabulary is not in it.

    Source: Geng et al., Towards Competitive Search Relevance For Inference-Free Learned Sparse
        Retrievers (arXiv 2411.04403).
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read {path.name}: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path.name} is no object from token to weight")
    vocabulary = tokenizer.vocabulary()
    table = np.zeros(len(vocabulary), dtype=np.float32)
    known = 0
    for i, token in enumerate(vocabulary):
        weight = content.get(token)
        if weight is None:
            continue
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not weight >= 0:
            raise ModelError(f"{path.name} gives {token!r} the weight {weight!r}")
        table[i] = weight
        known += 1
    if 2 * known < len(vocabulary):
        raise ModelError(
            f"{path.name} knows {known} of {len(vocabulary)} tokens: it is another tokenizer's"
        )
    table[tokenizer.special_ids()] = 0
    return table
