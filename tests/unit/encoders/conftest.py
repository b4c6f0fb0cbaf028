"""Tiny random models that the tests make themselves, and a plain numpy BERT to compare with."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from opensearch_funnel.encoders.manifest import Manifest
from opensearch_funnel.encoders.manifest_files import load_manifest

Tensors = dict[str, NDArray[Any]]

WORDS = ("hotel", "paris", "fish", "sea", "##s", "a", "the", "b", "c", "d", "e", "1", "2", ".", "?")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
HIDDEN, HEADS, LAYERS, INNER, POSITIONS = 16, 2, 2, 32, 48


def write_safetensors(path: Path, tensors: Mapping[str, NDArray[Any]]) -> None:
    names = {"float32": "F32", "float16": "F16", "int64": "I64"}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name, tensor in tensors.items():
        content = tensor.tobytes()
        header[name] = {
            "dtype": names[tensor.dtype.name],
            "shape": list(tensor.shape),
            "data_offsets": [len(body), len(body) + len(content)],
        }
        body += content
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


def tiny_tensors() -> Tensors:
    """A BERT with every head there is, LayerNorms under the names of the first BERT."""
    random = np.random.default_rng(7)
    vocabulary = len(SPECIAL) + len(WORDS)

    def normal(*shape: int) -> NDArray[np.float32]:
        return random.normal(0, 0.4, shape).astype(np.float32)

    tensors: Tensors = {
        "bert.embeddings.word_embeddings.weight": normal(vocabulary, HIDDEN),
        "bert.embeddings.position_embeddings.weight": normal(POSITIONS, HIDDEN),
        "bert.embeddings.token_type_embeddings.weight": normal(2, HIDDEN),
        "cls.predictions.bias": normal(vocabulary),
        "classifier.weight": normal(1, HIDDEN),
        "classifier.bias": normal(1),
    }
    sizes = {
        "bert.pooler.dense": (HIDDEN, HIDDEN),
        "cls.predictions.transform.dense": (HIDDEN,) * 2,
    }
    norms = ["bert.embeddings.LayerNorm", "cls.predictions.transform.LayerNorm"]
    for i in range(LAYERS):
        layer = f"bert.encoder.layer.{i}"
        for part in ("query", "key", "value"):
            sizes[f"{layer}.attention.self.{part}"] = (HIDDEN, HIDDEN)
        sizes[f"{layer}.attention.output.dense"] = (HIDDEN, HIDDEN)
        sizes[f"{layer}.intermediate.dense"] = (INNER, HIDDEN)
        sizes[f"{layer}.output.dense"] = (HIDDEN, INNER)
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    for name, (outputs, inputs) in sizes.items():
        tensors[f"{name}.weight"] = normal(outputs, inputs)
        tensors[f"{name}.bias"] = normal(outputs)
    for name in norms:
        tensors[f"{name}.gamma"] = 1 + normal(HIDDEN)
        tensors[f"{name}.beta"] = normal(HIDDEN)
    return tensors


CONFIG = {
    "model_type": "bert",
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "vocab_size": len(SPECIAL) + len(WORDS),
    "max_position_embeddings": POSITIONS,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
}


def tiny_tokenizer() -> Any:
    from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
    from tokenizers.models import WordPiece

    tokens = {token: i for i, token in enumerate((*SPECIAL, *WORDS))}
    tokenizer = Tokenizer(WordPiece(tokens, unk_token="[UNK]"))  # noqa: S106 - no password
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", tokens["[CLS]"]), ("[SEP]", tokens["[SEP]"])],
    )
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with config.json, model.safetensors and tokenizer.json."""
    folder = tmp_path_factory.mktemp("tiny-bert")
    write_safetensors(folder / "model.safetensors", tiny_tensors())
    (folder / "config.json").write_text(json.dumps(CONFIG))
    tiny_tokenizer().save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ``FUNNEL_HOME`` of the test's own."""
    folder = tmp_path / "home"
    monkeypatch.setenv("FUNNEL_HOME", str(folder))
    (folder / "manifests").mkdir(parents=True)
    return folder


ManifestMaker = Callable[..., Manifest]


@pytest.fixture
def make_manifest(home: Path) -> ManifestMaker:
    """Write a manifest for the files of a folder into ``FUNNEL_HOME/manifests``."""

    def make(
        folder: Path,
        *,
        kind: str = "splade",
        pooling: str = "max",
        sources: str | None = None,
        more: str = "",
    ) -> Manifest:
        if sources is None:
            sources = f'[[sources]]\nkind = "folder"\naddress = "{folder.as_posix()}"\n'
        files = "".join(
            f'[[files]]\nname = "{path.name}"\nsize = {path.stat().st_size}\n'
            f'sha256 = "{hashlib.sha256(path.read_bytes()).hexdigest()}"\n'
            for path in sorted(folder.iterdir())
        )
        (home / "manifests" / "tiny.toml").write_text(
            f'kind = "{kind}"\npooling = "{pooling}"\nmax_tokens = 32\ndimension = {HIDDEN}\n'
            f'licence = "none"\nprecisions = ["fp32", "int8"]\n{more}\n{files}{sources}'
        )
        return load_manifest("tiny")

    return make


@dataclass(frozen=True)
class NumpyBert:
    """The model of the paper, one text at a time, in float64 and without any trick."""

    tensors: Mapping[str, NDArray[Any]]

    def hidden(self, ids: Sequence[int], types: Sequence[int]) -> NDArray[np.float64]:
        t = self.tensors
        x = (
            t["bert.embeddings.word_embeddings.weight"][list(ids)].astype(np.float64)
            + t["bert.embeddings.position_embeddings.weight"][: len(ids)]
            + t["bert.embeddings.token_type_embeddings.weight"][list(types)]
        )
        x = self.norm(x, "bert.embeddings.LayerNorm")
        for i in range(LAYERS):
            layer = f"bert.encoder.layer.{i}"
            q, k, v = (
                self.linear(x, f"{layer}.attention.self.{part}")
                for part in ("query", "key", "value")
            )
            size = HIDDEN // HEADS
            parts = []
            for head in range(HEADS):
                cut = slice(head * size, (head + 1) * size)
                scores = q[:, cut] @ k[:, cut].T / math.sqrt(size)
                shares = np.exp(scores - scores.max(axis=1, keepdims=True))
                parts.append(shares / shares.sum(axis=1, keepdims=True) @ v[:, cut])
            mixed = self.linear(np.concatenate(parts, axis=1), f"{layer}.attention.output.dense")
            x = self.norm(x + mixed, f"{layer}.attention.output.LayerNorm")
            wide = gelu(self.linear(x, f"{layer}.intermediate.dense"))
            x = self.norm(
                x + self.linear(wide, f"{layer}.output.dense"), f"{layer}.output.LayerNorm"
            )
        return x

    def splade(self, ids: Sequence[int]) -> NDArray[np.float64]:
        x = gelu(self.linear(self.hidden(ids, [0] * len(ids)), "cls.predictions.transform.dense"))
        x = self.norm(x, "cls.predictions.transform.LayerNorm")
        words = self.tensors["bert.embeddings.word_embeddings.weight"].astype(np.float64)
        logits = x @ words.T + self.tensors["cls.predictions.bias"]
        weights: NDArray[np.float64] = np.log1p(np.maximum(logits, 0)).max(axis=0)
        return weights

    def vector(self, ids: Sequence[int], *, pooling: str) -> NDArray[np.float64]:
        x = self.hidden(ids, [0] * len(ids))
        pooled = x[0] if pooling == "cls" else x.mean(axis=0)
        unit: NDArray[np.float64] = pooled / np.linalg.norm(pooled)
        return unit

    def score(self, ids: Sequence[int], types: Sequence[int]) -> float:
        pooled = np.tanh(self.linear(self.hidden(ids, types)[:1], "bert.pooler.dense"))
        return float(self.linear(pooled, "classifier").item())

    def linear(self, x: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        weight = self.tensors[f"{name}.weight"].astype(np.float64)
        made: NDArray[np.float64] = x @ weight.T + self.tensors[f"{name}.bias"]
        return made

    def norm(self, x: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12)
        made: NDArray[np.float64] = (
            scaled * self.tensors[f"{name}.gamma"] + self.tensors[f"{name}.beta"]
        )
        return made


def gelu(x: NDArray[np.float64]) -> NDArray[np.float64]:
    erf = np.array([math.erf(value / math.sqrt(2)) for value in x.ravel()]).reshape(x.shape)
    made: NDArray[np.float64] = x * (1 + erf) / 2
    return made


@pytest.fixture(scope="session")
def numpy_bert() -> NumpyBert:
    return NumpyBert(tiny_tensors())
