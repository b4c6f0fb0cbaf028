"""``funnel models export`` with torch: any architecture, compared where it is made."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from opensearch_funnel.cli.models import models
from opensearch_funnel.core.errors import ModelError
from opensearch_funnel.encoders.manifest_files import read_manifest
from opensearch_funnel.encoders.opening import open_files
from opensearch_funnel.encoders.packing import Packing
from opensearch_funnel.exporting.export import export
from tests.unit.encoders.conftest import SPECIAL, WORDS, tiny_tokenizer

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

MODERN = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 130,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
    "cls_token_id": 2,
    "sep_token_id": 3,
}
HEADS = {"splade": "mlm", "dense": "mlm", "cross_encoder": "pair"}
POOLINGS: dict[str, Any] = {"splade": "max", "dense": "mean", "cross_encoder": "pair"}


@pytest.fixture
def checkpoint(random_checkpoint: Any) -> Any:
    """Save a random model of a family with a tokenizer beside it."""

    def make(family: str, kind: str) -> Path:
        changes = {} if family == "bert" else MODERN
        tokens = {"vocab_size": len(SPECIAL) + len(WORDS)}
        folder, _ = random_checkpoint(family, head=HEADS[kind], **{**changes, **tokens})
        tiny_tokenizer().save(str(folder / "tokenizer.json"))
        return Path(folder)

    return make


def packing(kind: Any, **changes: Any) -> Packing:
    said = {"pooling": POOLINGS[kind], "precision": "fp32", "max_tokens": 64, "licence": "MIT"}
    return Packing(**{"kind": kind, **said, **changes})


@pytest.mark.parametrize("kind", ["splade", "dense", "cross_encoder"])
@pytest.mark.parametrize("family", ["bert", "modernbert", "deberta-v2"])
def test_a_graph_gives_the_numbers_of_its_model(
    checkpoint: Any, tmp_path: Path, family: str, kind: str
) -> None:
    made = export(checkpoint(family, kind), tmp_path / "made", packing(kind))
    assert made.parity is not None
    assert 0 < made.parity.greatest <= 1e-4
    assert "torch" in made.parity.against
    # It runs with what serves, on texts of any number and length.
    encoder: Any = open_files(made, tmp_path / "made")
    if kind == "cross_encoder":
        assert len(encoder.score("hotel", ["paris", "the sea " * 40, ""])) == 3
        return
    many = encoder.encode_documents(["hotel", "the sea " * 40, "paris fish"])
    alone = encoder.encode_documents(["paris fish"])[0]
    if kind == "dense":
        np.testing.assert_allclose(many[2], alone, atol=1e-5)
    else:
        assert many[2] == pytest.approx(alone, abs=1e-5)


def test_the_command_writes_what_it_found(checkpoint: Any, tmp_path: Path) -> None:
    folder = checkpoint("bert", "dense")
    small = tmp_path / "small"
    asked = ["export", str(folder), str(small), "--kind", "dense", "--licence", "MIT"]
    said = json.loads(CliRunner().invoke(models, [*asked, "--output", "json"]).stdout)
    assert said["parity"]["greatest"] <= 1e-4
    manifest = read_manifest(small.with_suffix(".toml"))
    assert manifest.parity is not None
    assert manifest.parity.greatest == said["parity"]["greatest"]


def test_a_model_without_the_head_leaves_nothing(checkpoint: Any, tmp_path: Path) -> None:
    folder = checkpoint("modernbert", "splade")
    with pytest.raises(ModelError, match="it is no cross_encoder model"):
        export(folder, tmp_path / "made", packing("cross_encoder"))
    assert not (tmp_path / "made").exists()


def test_code_that_comes_with_a_model_is_not_run(checkpoint: Any, tmp_path: Path) -> None:
    folder = shutil.copytree(checkpoint("bert", "dense"), tmp_path / "own")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "new", "auto_map": {"AutoModel": "code.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "code.py").write_text("raise SystemExit('ran')")
    with pytest.raises(ModelError, match="transformers cannot load own"):
        export(folder, tmp_path / "made", packing("dense"))
