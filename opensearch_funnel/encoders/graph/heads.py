"""What comes after the body: terms and weights, a unit vector, or a score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from opensearch_funnel.encoders.graph.architecture import Floats, PairHead, VocabularyHead
from opensearch_funnel.encoders.graph.body import Sketch, draw_activation, draw_norm
from opensearch_funnel.encoders.graph.draft import integers
from opensearch_funnel.encoders.manifest import Kind, Pooling


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What comes after the body.

    Attributes:
        kind: what the model gives.
        pooling: for dense models ``cls`` or ``mean``.
        special: ids that never become terms.
        unit_length: whether the vectors of a dense model are made of length 1.
    """

    kind: Kind
    pooling: Pooling
    special: Sequence[int] = ()
    unit_length: bool = True


_CHUNK = 1024
_NEVER = -1e4
_FLOAT, _BOOL = 1, 9  # of onnx.TensorProto


def draw_terms(
    sketch: Sketch, hidden: str, head: VocabularyHead, *, special: Sequence[int]
) -> tuple[str, str]:
    """Draw the SPLADE head: ``max over tokens of log(1 + relu(logit))``, best terms first.

    The maximum is taken before bias, relu and logarithm: all three grow with the logit, and the
    bias is the same for all tokens, so the result is equal and ``tokens`` times fewer logarithms
    are computed. Padding takes the state of the first token, which leaves a maximum as it is, so
    no mask as large as the logits is needed. Terms in ``special`` never get a weight.

    Returns:
        Ids ``[texts, k]`` and weights ``[texts, k]``, where ``k`` is the graph's input ``k``.

    Source:
        Formal et al., SPLADE v2 (arXiv 2109.10086), equation 2.
    """
    draft = sketch.draft
    # Small and just before the logits: rounding this product would cost most and gain least.
    x = draft.node("MatMul", hidden, draft.constant(head.transform.weight))
    x = draw_norm(sketch, draw_activation(sketch, x, head.transform.bias), head.norm)
    first = draft.node("Slice", x, *(draft.constant(integers(i)) for i in (0, 1, 1)))
    is_token = draft.node(
        "Unsqueeze", draft.node("Cast", sketch.mask, to=_BOOL), draft.constant(integers(2))
    )
    x = draft.node("Where", is_token, x, first)
    best = sketch.arithmetic.best_logits(x, head.decoder.weight, chunk=_CHUNK)
    bias = head.decoder.bias.copy()
    bias[list(special)] = _NEVER
    logits = draft.node("Add", best, draft.constant(bias))
    # Logarithms of the k best only: the order of the logits is the order of the weights.
    values, ids = draft.nodes("TopK", logits, "k", results=2, axis=1, largest=1, sorted=1)
    one = draft.constant(np.float32(1))
    return ids, draft.node("Log", draft.node("Add", draft.node("Relu", values), one))


def draw_vector(sketch: Sketch, hidden: str, *, pooling: str, unit_length: bool = True) -> str:
    """Draw the dense head: the first token's state (``cls``) or the mean.

    Returns:
        Vectors, ``[texts, hidden]``, of length 1 unless that is not wanted.
    """
    draft = sketch.draft
    if pooling == "cls":
        pooled = draft.node("Gather", hidden, draft.constant(np.int64(0)), axis=1)
        return draft.node("LpNormalization", pooled, axis=-1, p=2) if unit_length else pooled
    is_token = draft.node(
        "Unsqueeze", draft.node("Cast", sketch.mask, to=_BOOL), draft.constant(integers(2))
    )
    kept = draft.node("Where", is_token, hidden, draft.constant(np.float32(0)))
    pooled = draft.node("ReduceSum", kept, draft.constant(integers(1)), keepdims=0)
    if unit_length:
        # The sum points where the mean does, and only the direction is left in the end.
        return draft.node("LpNormalization", pooled, axis=-1, p=2)
    count = draft.node(
        "ReduceSum",
        draft.node("Cast", sketch.mask, to=_FLOAT),
        draft.constant(integers(1)),
        keepdims=1,
    )
    return draft.node("Div", pooled, count)


def draw_token_vectors(sketch: Sketch, hidden: str, projection: Floats) -> str:
    """Draw the late-interaction head: each token's state, projected and made of length 1.

    Returns:
        ``[texts, tokens, dimension]``; which tokens count is for the caller to say.
    """
    draft = sketch.draft
    projected = draft.node("MatMul", hidden, draft.constant(projection))
    return draft.node("LpNormalization", projected, axis=-1, p=2)


def draw_score(sketch: Sketch, hidden: str, head: PairHead) -> str:
    """Draw the cross-encoder's head: the first token through pooler and classifier.

    Returns:
        Logits, ``[texts]``.
    """
    draft = sketch.draft
    first = draft.node("Gather", hidden, draft.constant(np.int64(0)), axis=1)
    pooler, classifier = head.pooler, head.classifier
    pooled = draft.node("Gemm", first, draft.constant(pooler.weight), draft.constant(pooler.bias))
    active = draft.node("Tanh" if head.activation == "tanh" else "Relu", pooled)
    logits = draft.node(
        "Gemm", active, draft.constant(classifier.weight), draft.constant(classifier.bias)
    )
    return draft.node("Squeeze", logits, draft.constant(integers(1)))
