"""Any architecture that transformers knows into one ONNX graph."""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

from opensearch_funnel.core.errors import MissingExtraError, ModelError
from opensearch_funnel.encoders.graph.building import save_graph
from opensearch_funnel.encoders.graph.foreign import load_self_contained
from opensearch_funnel.exporting.reference import Reference

_OPSET = 18
_LONG_ENOUGH = 9


def export_graph(reference: Reference, path: Path) -> None:
    """Trace a model and write its graph, with any number of texts and tokens.

    Args:
        reference: the model.
        path: where to; the file appears only when it is whole.

    Raises:
        MissingExtraError: ``onnxscript`` is not installed.
        ModelError: torch cannot trace the model, or it is larger than one file may be (2 GB).
    """
    import torch

    try:
        import onnxscript  # noqa: F401 - torch's exporter is built on it
    except ImportError as error:
        raise MissingExtraError("onnxscript", extra="export") from error
    ids = torch.randint(5, 9, (2, _LONG_ENOUGH))
    mask = torch.ones_like(ids)
    mask[1, _LONG_ENOUGH // 2 :] = 0
    given = (ids, mask, torch.zeros_like(ids))[: len(reference.inputs)]
    axes = {0: torch.export.Dim("texts", min=1), 1: torch.export.Dim("tokens", min=2)}
    with tempfile.TemporaryDirectory(prefix="funnel-export-") as folder:
        made = Path(folder) / "model.onnx"
        _trace(reference, given, made, axes=axes)
        save_graph(load_self_contained(made), path)


def _trace(reference: Reference, given: tuple[Any, ...], made: Path, *, axes: Any) -> None:
    import torch

    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                reference.module,
                given,
                str(made),
                input_names=list(reference.inputs),
                output_names=list(reference.outputs),
                dynamic_shapes=(tuple(axes for _ in given),),
                opset_version=_OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # the exporter raises whatever it meets
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(f"torch cannot export the model: {reason[0]}") from error
    finally:
        logging.disable(logging.NOTSET)
