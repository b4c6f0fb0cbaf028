"""What a checkpoint of the BERT family holds, under one set of names for all its relatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opensearch_funnel.core.errors import ModelError

Floats = NDArray[np.float32]

ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """The sizes and switches of a model, as its ``config.json`` gives them."""

    family: str
    layers: int
    heads: int
    hidden: int
    epsilon: float
    activation: str
    first_position: int
    """Row of the position table that the first token gets: RoBERTa skips its padding row."""


@dataclass(frozen=True, slots=True)
class Affine:
    """``x * weight + bias`` (a norm) or ``x @ weight + bias`` (a layer, weight ``[in, out]``)."""

    weight: Floats
    bias: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One encoder layer."""

    query: Affine
    key: Affine
    value: Affine
    attention_output: Affine
    attention_norm: Affine
    intermediate: Affine
    output: Affine
    output_norm: Affine


@dataclass(frozen=True, slots=True, kw_only=True)
class VocabularyHead:
    """The masked-language-model head: a logit for every term of the vocabulary."""

    transform: Affine
    norm: Affine
    decoder: Affine
    """Weight ``[hidden, vocabulary]``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairHead:
    """The classification head of a cross-encoder: one logit."""

    pooler: Affine
    activation: str
    """``tanh`` (BERT, RoBERTa) or ``relu`` (DistilBERT)."""
    classifier: Affine


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """All weights of a model, in float32."""

    architecture: Architecture
    word: Floats
    """``[vocabulary, hidden]``."""
    position: Floats
    """``[positions, hidden]``, its first row for the first token."""
    types: Floats
    """``[types, hidden]``; one row of zeros where the family has no token types."""
    norm: Affine
    layers: tuple[Layer, ...]
    vocabulary_head: VocabularyHead | None = None
    pair_head: PairHead | None = None
    projection: Floats | None = None
    """What a late-interaction model makes of each token's state, ``[hidden, dimension]``."""


_BERT = {
    "word": "embeddings.word_embeddings.weight",
    "position": "embeddings.position_embeddings.weight",
    "types": "embeddings.token_type_embeddings.weight",
    "norm": "embeddings.LayerNorm",
    "query": "encoder.layer.{}.attention.self.query",
    "key": "encoder.layer.{}.attention.self.key",
    "value": "encoder.layer.{}.attention.self.value",
    "attention_output": "encoder.layer.{}.attention.output.dense",
    "attention_norm": "encoder.layer.{}.attention.output.LayerNorm",
    "intermediate": "encoder.layer.{}.intermediate.dense",
    "output": "encoder.layer.{}.output.dense",
    "output_norm": "encoder.layer.{}.output.LayerNorm",
    "transform": "cls.predictions.transform.dense",
    "transform_norm": "cls.predictions.transform.LayerNorm",
    "decoder": "cls.predictions.decoder.weight",
    "decoder_bias": "cls.predictions.bias",
    "pooler": "pooler.dense",
    "classifier": "classifier",
}
_ROBERTA = _BERT | {
    "transform": "lm_head.dense",
    "transform_norm": "lm_head.layer_norm",
    "decoder": "lm_head.decoder.weight",
    "decoder_bias": "lm_head.bias",
    "pooler": "classifier.dense",
    "classifier": "classifier.out_proj",
}
_DISTILBERT = {
    "word": "embeddings.word_embeddings.weight",
    "position": "embeddings.position_embeddings.weight",
    "types": "embeddings.token_type_embeddings.weight",
    "norm": "embeddings.LayerNorm",
    "query": "transformer.layer.{}.attention.q_lin",
    "key": "transformer.layer.{}.attention.k_lin",
    "value": "transformer.layer.{}.attention.v_lin",
    "attention_output": "transformer.layer.{}.attention.out_lin",
    "attention_norm": "transformer.layer.{}.sa_layer_norm",
    "intermediate": "transformer.layer.{}.ffn.lin1",
    "output": "transformer.layer.{}.ffn.lin2",
    "output_norm": "transformer.layer.{}.output_layer_norm",
    "transform": "vocab_transform",
    "transform_norm": "vocab_layer_norm",
    "decoder": "vocab_projector.weight",
    "decoder_bias": "vocab_projector.bias",
    "pooler": "pre_classifier",
    "classifier": "classifier",
}
_NAMES = {
    "bert": _BERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "distilbert": _DISTILBERT,
}
_PROJECTION = "linear.weight"
"""As ColBERT calls it, whatever its family; it has no bias."""
_PREFIXES = ("bert.", "roberta.", "distilbert.")


def is_drawable(family: str) -> bool:
    """Say whether graphs of an architecture can be drawn here, by its ``model_type``.

    Example:
        >>> is_drawable("distilbert"), is_drawable("modernbert")
        (True, False)
    """
    return family in _NAMES


def checkpoint_of(config: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> Checkpoint:
    """Name the tensors of a checkpoint.

    Args:
        config: its ``config.json``.
        tensors: its tensors, by the names that ``transformers`` gives them; LayerNorm may carry
            the names of the first BERT (``gamma``, ``beta``).

    Raises:
        ModelError: another architecture, or a tensor is missing or has a wrong shape.
    """
    try:
        architecture = _architecture(config)
        return _Reader(architecture, _plain_names(tensors)).checkpoint()
    except KeyError as error:
        raise ModelError(f"the checkpoint has no {error.args[0]}") from error
    except ValueError as error:
        raise ModelError(f"the checkpoint cannot be used: {error}") from error


def _architecture(config: Mapping[str, Any]) -> Architecture:
    family = str(config.get("model_type"))
    if family not in _NAMES:
        raise ValueError(
            f"architecture {family!r} is not one of {', '.join(_NAMES)}; export it to ONNX"
        )
    distil = family == "distilbert"
    activation = str(config["activation" if distil else "hidden_act"])
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation {activation!r} is not one of {', '.join(ACTIVATIONS)}")
    if config.get("position_embedding_type", "absolute") != "absolute":
        raise ValueError("relative positions are not supported; export it to ONNX")
    return Architecture(
        family=family,
        layers=int(config["n_layers" if distil else "num_hidden_layers"]),
        heads=int(config["n_heads" if distil else "num_attention_heads"]),
        hidden=int(config["dim" if distil else "hidden_size"]),
        # DistilBERT has no setting for it: the value is fixed in its code.
        epsilon=float(config.get("layer_norm_eps", 1e-12)),
        activation=activation,
        first_position=int(config["pad_token_id"]) + 1 if "roberta" in family else 0,
    )


def _plain_names(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    plain = {}
    for full_name, tensor in tensors.items():
        prefix = next((p for p in _PREFIXES if full_name.startswith(p)), "")
        name = full_name.removeprefix(prefix)
        if "LayerNorm" in name:
            name = name.replace(".gamma", ".weight").replace(".beta", ".bias")
        plain[name] = tensor
    return plain


@dataclass(frozen=True, slots=True)
class _Reader:
    """Takes tensors out under the names of one family, checking every shape."""

    architecture: Architecture
    tensors: Mapping[str, NDArray[Any]]

    def checkpoint(self) -> Checkpoint:
        hidden = self.architecture.hidden
        if hidden % self.architecture.heads:
            raise ValueError("the hidden size is no multiple of the number of heads")
        word = self._table("word")
        has_types = self._name("types") in self.tensors
        return Checkpoint(
            architecture=self.architecture,
            word=word,
            position=self._table("position")[self.architecture.first_position :],
            types=self._table("types") if has_types else np.zeros((1, hidden), np.float32),
            norm=self._norm("norm"),
            layers=tuple(self._layer(i) for i in range(self.architecture.layers)),
            vocabulary_head=self._vocabulary_head(word),
            pair_head=self._pair_head(),
            projection=self._projection(),
        )

    def _name(self, key: str, layer: int = 0) -> str:
        return _NAMES[self.architecture.family][key].format(layer)

    def _floats(self, name: str, shape: tuple[int, ...]) -> Floats:
        tensor = self.tensors[name]
        if tensor.shape != shape:
            raise ValueError(f"{name} has the shape {tensor.shape}, not {shape}")
        return np.asarray(tensor, dtype=np.float32)

    def _table(self, key: str) -> Floats:
        name = self._name(key)
        return self._floats(name, (self.tensors[name].shape[0], self.architecture.hidden))

    def _norm(self, key: str, layer: int = 0) -> Affine:
        name, shape = self._name(key, layer), (self.architecture.hidden,)
        return Affine(self._floats(f"{name}.weight", shape), self._floats(f"{name}.bias", shape))

    def _affine(self, key: str, layer: int = 0, *, width: int | None = None) -> Affine:
        name = self._name(key, layer)
        width = self.architecture.hidden if width is None else width
        outputs = self.tensors[f"{name}.weight"].shape[0]
        weight = self._floats(f"{name}.weight", (outputs, width))
        return Affine(np.ascontiguousarray(weight.T), self._floats(f"{name}.bias", (outputs,)))

    def _layer(self, i: int) -> Layer:
        intermediate = self._affine("intermediate", i)
        return Layer(
            query=self._affine("query", i),
            key=self._affine("key", i),
            value=self._affine("value", i),
            attention_output=self._affine("attention_output", i),
            attention_norm=self._norm("attention_norm", i),
            intermediate=intermediate,
            output=self._affine("output", i, width=intermediate.bias.size),
            output_norm=self._norm("output_norm", i),
        )

    def _vocabulary_head(self, word: Floats) -> VocabularyHead | None:
        if f"{self._name('transform')}.weight" not in self.tensors:
            return None
        # The decoder is usually tied to the word table, and then not stored.
        name = self._name("decoder")
        decoder = self._floats(name, word.shape) if name in self.tensors else word
        return VocabularyHead(
            transform=self._affine("transform"),
            norm=self._norm("transform_norm"),
            decoder=Affine(
                np.ascontiguousarray(decoder.T),
                self._floats(self._name("decoder_bias"), (word.shape[0],)),
            ),
        )

    def _projection(self) -> Floats | None:
        if _PROJECTION not in self.tensors:
            return None
        rows = self.tensors[_PROJECTION].shape[0]
        weight = self._floats(_PROJECTION, (rows, self.architecture.hidden))
        return np.ascontiguousarray(weight.T)

    def _pair_head(self) -> PairHead | None:
        if f"{self._name('classifier')}.weight" not in self.tensors:
            return None
        classifier = self._affine("classifier")
        if classifier.bias.size == 2:  # noqa: PLR2004 - no and yes: the difference is the log-odds
            classifier = Affine(
                classifier.weight[:, 1:] - classifier.weight[:, :1],
                classifier.bias[1:] - classifier.bias[:1],
            )
        if classifier.bias.size != 1:
            raise ValueError(f"the classifier gives {classifier.bias.size} scores, not one or two")
        return PairHead(
            pooler=self._affine("pooler"),
            activation="relu" if self.architecture.family == "distilbert" else "tanh",
            classifier=classifier,
        )
