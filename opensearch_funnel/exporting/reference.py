"""A checkpoint as transformers and torch run it, with one head for each kind of model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opensearch_funnel.core.errors import MissingExtraError, ModelError
from opensearch_funnel.encoders.graph.heads import Head
from opensearch_funnel.encoders.manifest import Kind
from opensearch_funnel.encoders.splade import TOP_K

_LAST_LAYERS = frozenset({"classifier.weight", "classifier.out_proj.weight", "score.weight"})
_NEVER = -1e4


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A torch module whose results are named as those of our graphs.

    Attributes:
        module: takes ``inputs`` in their order, gives ``outputs`` in theirs.
        inputs: ``input_ids``, ``attention_mask`` and, where the model has them, token types.
        outputs: ``vectors``; ``ids`` and ``weights``; or ``scores``.
        against: what it runs on, for the manifest.
        dimension: length of a vector, terms of the vocabulary, or 1 for a score.
    """

    module: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    against: str
    dimension: int


def open_reference(folder: Path, head: Head) -> Reference:
    """Load a checkpoint; only safetensors, and never code that comes with it.

    Args:
        folder: as transformers saves it.
        head: what is made of its states.

    Raises:
        MissingExtraError: torch or transformers is not installed.
        ModelError: transformers does not know the architecture, or it has no such head.
    """
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", extra="export") from error
    kind = head.kind
    loaders = {
        "splade": transformers.AutoModelForMaskedLM,
        "dense": transformers.AutoModel,
        "cross_encoder": transformers.AutoModelForSequenceClassification,
    }
    if kind not in loaders:
        raise ModelError(f"a model of the kind {kind} of this architecture cannot be exported")
    logits = _logits(folder) if kind == "cross_encoder" else 0
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        model, report = loaders[kind].from_pretrained(
            folder,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
            **({"num_labels": logits} if logits else {}),
        )
    except Exception as error:  # transformers raises whatever its parts raise
        reason = str(error).strip().splitlines()
        raise ModelError(f"transformers cannot load {folder.name}: {reason[0]}") from error
    # The pooler is not ours to use: vectors are pooled below.
    if missing := sorted(k for k in report["missing_keys"] if kind != "dense" or "pooler" not in k):
        raise ModelError(f"the checkpoint has no {missing[0]}: it is no {kind} model")
    typed = kind == "cross_encoder" and int(getattr(model.config, "type_vocab_size", 0) or 0) > 1
    names = ("input_ids", "attention_mask", *(("token_type_ids",) if typed else ()))

    # mypy does not see torch.
    class Headed(torch.nn.Module):  # type: ignore[misc]
        """A model and what we make of its states."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *given: Any) -> Any:
            made = self.model(**dict(zip(names, given, strict=True)))
            if kind == "dense":
                return _pooled(made.last_hidden_state, given[1], head)
            if kind == "cross_encoder":
                logits = made.logits
                return logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]
            return _terms(made.logits, given[1], head.special)

    outputs = {"dense": ("vectors",), "cross_encoder": ("scores",), "splade": ("ids", "weights")}
    return Reference(
        module=Headed().eval(),
        inputs=names,
        outputs=outputs[kind],
        dimension=_dimension(model.config, kind),
        against=f"torch {torch.__version__.split('+')[0]}, transformers {transformers.__version__}",
    )


def _dimension(config: Any, kind: Kind) -> int:
    sizes = {"dense": "hidden_size", "splade": "vocab_size"}
    return int(getattr(config, sizes[kind])) if kind in sizes else 1


def _pooled(states: Any, mask: Any, head: Head) -> Any:
    import torch

    if head.pooling == "cls":
        pooled = states[:, 0]
    else:
        kept = mask.unsqueeze(-1).to(states.dtype)
        pooled = (states * kept).sum(dim=1) / kept.sum(dim=1)
    return torch.nn.functional.normalize(pooled, dim=-1) if head.unit_length else pooled


def _terms(logits: Any, mask: Any, special: Sequence[int]) -> Any:
    import torch

    best = (logits + (mask.unsqueeze(-1).to(logits.dtype) - 1) * -_NEVER).amax(dim=1)
    if special:
        never = torch.zeros(logits.shape[-1])
        never[list(special)] = _NEVER
        best = best + never
    values, ids = torch.topk(best, min(TOP_K, logits.shape[-1]), dim=1)
    return ids, torch.log1p(torch.relu(values))


def family_of(folder: Path) -> str:
    """Return the ``model_type`` of a checkpoint; empty if it does not say.

    Raises:
        ModelError: there is no ``config.json``, or it is broken.
    """
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read config.json of the model: {error}") from error
    return str(config.get("model_type", ""))


def _logits(folder: Path) -> int:
    """Return how many scores a checkpoint's head gives; 0 where no file of its own says it.

    The weights say it, and not every ``config.json`` does: transformers then takes two.
    """
    from safetensors import safe_open

    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="numpy") as weights:
            for name in _LAST_LAYERS.intersection(weights.keys()):
                return int(weights.get_slice(name).get_shape()[0])
    return 0
