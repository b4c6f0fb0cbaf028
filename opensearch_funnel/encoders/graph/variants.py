"""A graph that is there already, made over to another precision by ONNX Runtime's own tools."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

from opensearch_funnel.core.errors import MissingExtraError, ModelError


def halved(model: Any) -> Any:
    """Return a graph whose weights and arithmetic are float16; inputs and results stay float32.

    Half of the memory. On a GPU it is the fast precision; most CPUs have few operators for it.

    Args:
        model: the ``onnx.ModelProto`` in float32; it is changed, too.

    Raises:
        MissingExtraError: ``onnxruntime`` is not installed.
        ModelError: the graph has an operator that cannot be converted.
    """
    try:
        from onnxruntime.transformers.float16 import convert_float_to_float16
    except ImportError as error:
        raise MissingExtraError("onnxruntime", extra="cpu") from error
    try:
        return convert_float_to_float16(model, keep_io_types=True)
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"the graph cannot be made float16: {error}") from error


def dynamic_int8(path: Path) -> Any:
    """Return a graph with 8-bit weights, a scale a column, and activations scaled as they come.

    For graphs that were exported elsewhere. Activations have one scale for a whole batch, so the
    numbers of a text depend a little on its neighbours; graphs that are drawn here do not have
    that (``graph.int8``).

    Args:
        path: the graph in float32.

    Raises:
        MissingExtraError: ``onnxruntime`` is not installed.
        ModelError: the graph cannot be quantised.
    """
    try:
        from onnx import TensorProto
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise MissingExtraError("onnxruntime", extra="cpu") from error
    from opensearch_funnel.encoders.graph.foreign import load_self_contained

    with tempfile.TemporaryDirectory(prefix="funnel-int8-") as folder:
        made = Path(folder) / "model.onnx"
        # It advises on the root logger to prepare the graph by another tool of its own.
        logging.disable(logging.WARNING)
        try:
            quantize_dynamic(
                path,
                made,
                per_channel=True,
                weight_type=QuantType.QInt8,
                # What cannot be told of a weight behind a fused operator: it is one of float32.
                extra_options={"DefaultTensorType": TensorProto.FLOAT},
            )
        except Exception as error:  # its tools raise whatever they meet
            raise ModelError(f"{path.name} cannot be quantised: {error}") from error
        finally:
            logging.disable(logging.NOTSET)
        return load_self_contained(made)
