"""Where training computes. torch is an outside thing: here it only says what it has."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.training.devices import Compute, choose_compute, multiplies_bf16


def torch_with(*, gpu: bool, bf16: bool = False) -> Any:
    def is_bf16_supported(*, including_emulation: bool) -> bool:
        return bf16 or including_emulation  # an older card emulates it, slower than float32

    cuda = SimpleNamespace(is_available=lambda: gpu, is_bf16_supported=is_bf16_supported)
    return SimpleNamespace(cuda=cuda)


@pytest.mark.parametrize(
    ("asked", "gpu", "device"),
    [
        ("auto", True, "cuda"),
        ("auto", False, "cpu"),
        ("cpu", True, "cpu"),
        ("cpu", False, "cpu"),
        ("cuda", True, "cuda"),
    ],
)
def test_a_gpu_is_taken_where_there_is_one_unless_the_cpu_is_asked_for(
    asked: str, gpu: bool, device: str
) -> None:
    made = choose_compute(asked, precision="fp32", torch=torch_with(gpu=gpu))
    assert made == Compute(device=device, bf16=False)


def test_a_gpu_that_is_not_there_is_said() -> None:
    with pytest.raises(InputError, match=r"--device cuda: torch sees no GPU .*--device cpu"):
        choose_compute("cuda", precision="auto", torch=torch_with(gpu=False))


@pytest.mark.parametrize("supported", [True, False])
def test_bf16_is_automatic_where_the_device_multiplies_it_itself(supported: bool) -> None:
    torch = torch_with(gpu=True, bf16=supported)
    assert choose_compute("auto", precision="auto", torch=torch).bf16 is supported
    assert choose_compute("cpu", precision="auto", torch=torch).bf16 is multiplies_bf16()


@pytest.mark.parametrize(("precision", "bf16"), [("bf16", True), ("fp32", False)])
@pytest.mark.parametrize("gpu", [True, False])
def test_a_precision_that_is_asked_for_is_taken(precision: str, bf16: bool, gpu: bool) -> None:
    made = choose_compute("auto", precision=precision, torch=torch_with(gpu=gpu))
    assert (made.bf16, made.precision) == (bf16, precision)
