"""What runs a graph: a GPU where ONNX Runtime offers one. Not run on a GPU."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest

from opensearch_funnel.core.errors import MissingExtraError
from opensearch_funnel.encoders.batching import GPU_TOKEN_BUDGET, TOKEN_BUDGET
from opensearch_funnel.encoders.graph.building import build_graph, read_checkpoint, save_graph
from opensearch_funnel.encoders.graph.heads import Head
from opensearch_funnel.encoders.manifest import Precision
from opensearch_funnel.encoders.session import Session, choose_providers, open_session

CUDA, CPU, OPENVINO = (f"{name}ExecutionProvider" for name in ("CUDA", "CPU", "OpenVINO"))
OTHERS = ["TensorrtExecutionProvider", "AzureExecutionProvider"]


@pytest.mark.parametrize("precision", ["fp32", "int8", "fp16"])
def test_a_gpu_comes_first_where_the_runtime_offers_one(precision: Precision) -> None:
    assert choose_providers([*OTHERS, CUDA, CPU], precision=precision) == [CUDA, CPU]
    assert choose_providers([CPU, CUDA], precision=precision) == [CUDA, CPU]


@pytest.mark.parametrize("precision", ["fp32", "int8", "fp16"])
def test_without_one_the_cpu_runs_it_and_no_other_provider_is_tried(precision: Precision) -> None:
    assert choose_providers([*OTHERS, OPENVINO, CPU], precision=precision) == [CPU]


def test_bf16_goes_to_openvino_and_never_to_a_gpu() -> None:
    (first, chosen), behind = choose_providers([CUDA, OPENVINO, CPU], precision="bf16")
    assert (first, chosen["precision"], behind) == (OPENVINO, "BF16", CPU)


def test_a_provider_that_is_asked_for_and_missing_is_an_error_that_says_what_to_install() -> None:
    with pytest.raises(MissingExtraError) as raised:
        choose_providers([CUDA, CPU], precision="bf16")
    assert str(raised.value) == (
        "onnxruntime-openvino is not installed: pip install 'opensearch-funnel[openvino]'"
    )


def test_an_open_graph_says_where_it_runs(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    head = Head(kind="dense", pooling="mean")
    save_graph(build_graph(read_checkpoint(tiny_model), head, precision="fp32"), path)
    opened = open_session(path, threads=1)
    allowed = choose_providers(onnxruntime.get_available_providers(), precision="fp32")
    assert opened.provider in allowed  # the CPU too where a GPU is offered and cannot be used
    assert opened.runtime.get_providers()[-1] == CPU


def test_batches_are_larger_on_a_gpu() -> None:
    sizes = [
        Session(runtime=None, inputs=frozenset(), outputs=(), provider=name).token_budget
        for name in (CUDA, CPU, OPENVINO)
    ]
    assert sizes == [GPU_TOKEN_BUDGET, TOKEN_BUDGET, TOKEN_BUDGET]
    assert GPU_TOKEN_BUDGET > TOKEN_BUDGET
