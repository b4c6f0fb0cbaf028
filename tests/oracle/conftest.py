"""Checkpoints of the BERT family, made and saved by transformers itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Saved = Callable[..., tuple[Path, Any]]

SIZES = {"vocab_size": 60, "max_position_embeddings": 70, "pad_token_id": 1}
BERT_SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}
DISTILBERT_SIZES = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}


@pytest.fixture
def random_checkpoint(tmp_path: Path) -> Saved:
    """Save a random model of a family and head; returns its folder and the torch model."""
    import torch
    from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForSequenceClassification

    def save(family: str, *, head: str, **changes: Any) -> tuple[Path, Any]:
        torch.manual_seed(3)
        sizes = DISTILBERT_SIZES if family == "distilbert" else BERT_SIZES
        config = AutoConfig.for_model(family, **{**SIZES, **sizes, "num_labels": 1, **changes})
        kinds = {"mlm": AutoModelForMaskedLM, "pair": AutoModelForSequenceClassification}
        model = kinds[head].from_config(config).eval()
        with torch.no_grad():
            # Fresh models have tiny weights, zero biases and plain norms: nothing to get wrong.
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.2)
        folder = tmp_path / f"{family}-{head}"
        model.save_pretrained(folder)
        return folder, model

    return save
