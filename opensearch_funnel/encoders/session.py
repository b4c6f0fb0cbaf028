"""A graph that is open and can be run from any thread."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opensearch_funnel.core.errors import MissingExtraError, ModelError
from opensearch_funnel.encoders.batching import GPU_TOKEN_BUDGET, TOKEN_BUDGET
from opensearch_funnel.encoders.manifest import Precision
from opensearch_funnel.settings import load_settings

Array = NDArray[Any]

_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
_OPENVINO = "OpenVINOExecutionProvider"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A graph in memory, its parameters and results by name."""

    runtime: Any
    inputs: frozenset[str]
    outputs: tuple[str, ...]
    provider: str
    """Where it runs: the first provider of ONNX Runtime that took it."""

    @property
    def token_budget(self) -> int:
        """How many padded tokens go through together."""
        return GPU_TOKEN_BUDGET if self.provider == _CUDA else TOKEN_BUDGET

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run the graph once; safe from several threads.

        Args:
            feeds: arrays by name; those that the graph does not take are left out.

        Returns:
            Every result, by name.
        """
        taken = {name: array for name, array in feeds.items() if name in self.inputs}
        return dict(zip(self.outputs, self.runtime.run(None, taken), strict=True))


def open_session(
    path: Path, *, threads: int | None = None, precision: Precision = "fp32"
) -> Session:
    """Open a graph with ONNX Runtime, on the GPU where there is one.

    In ``bf16`` by the OpenVINO provider, which rounds a float32 graph as it multiplies.

    Args:
        path: an ``.onnx`` file without external data.
        threads: cores of one run; the setting ``threads`` or all of them if not given.
        precision: of the graph.

    Raises:
        ModelError: the graph cannot be loaded.
        MissingExtraError: ``onnxruntime`` is not installed, or for ``bf16`` not the one with
            OpenVINO.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("onnxruntime", extra="cpu") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or load_settings().threads or 0
    # Idle threads that spin take the cores from the node and from other sessions.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    providers = choose_providers(onnxruntime.get_available_providers(), precision=precision)
    try:
        runtime = onnxruntime.InferenceSession(
            path.read_bytes(),
            options,
            providers=providers,
            # Fused, these three operators take three times as long on a CPU (ONNX Runtime 1.31).
            disabled_optimizers=None if _CUDA in providers else ["SkipLayerNormFusion"],
        )
    except Exception as error:  # onnxruntime has no common class for its errors
        reason = str(error).strip().splitlines()
        raise ModelError(
            f"cannot load the graph {path.name}: {reason[0] if reason else type(error).__name__}"
        ) from error
    return Session(
        runtime=runtime,
        inputs=frozenset(i.name for i in runtime.get_inputs()),
        outputs=tuple(o.name for o in runtime.get_outputs()),
        provider=runtime.get_providers()[0],
    )


def choose_providers(available: Collection[str], *, precision: Precision) -> list[Any]:
    """Decide what runs a graph: a GPU first where ONNX Runtime offers one, the CPU behind it.

    Args:
        available: names of the providers that ONNX Runtime has.
        precision: of the graph; only OpenVINO multiplies ``bf16``.

    Returns:
        Providers as ``InferenceSession`` takes them, the one to try first at the front.

    Raises:
        MissingExtraError: ``bf16`` without OpenVINO.

    Example:
        >>> choose_providers({"CPUExecutionProvider"}, precision="int8")
        ['CPUExecutionProvider']
    """
    if precision == "bf16":
        if _OPENVINO not in available:
            raise MissingExtraError("onnxruntime-openvino", extra="openvino")
        return [(_OPENVINO, {"device_type": "CPU", "precision": "BF16"}), _CPU]
    return [_CUDA, _CPU] if _CUDA in available else [_CPU]


def padded(
    rows: Sequence[Sequence[int]], *, padding: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Put rows of different lengths into one array.

    Args:
        rows: token ids of each text.
        padding: what fills the right-hand side.

    Returns:
        Ids and mask, both ``[texts, longest]``.

    Example:
        >>> ids, mask = padded([[5, 6], [7]], padding=0)
        >>> ids.tolist(), mask.tolist()
        ([[5, 6], [7, 0]], [[1, 1], [1, 0]])
    """
    longest = max((len(row) for row in rows), default=0)
    ids = np.full((len(rows), longest), padding, dtype=np.int64)
    mask = np.zeros((len(rows), longest), dtype=np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return ids, mask
