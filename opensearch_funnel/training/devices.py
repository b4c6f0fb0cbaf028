"""Where a run computes: on a GPU where torch has one, else on the CPU; and how exactly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opensearch_funnel.core.errors import InputError

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "fp32", "bf16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """What multiplies a run's matrices. It is no part of the recipe: a run may move.

    Attributes:
        device: torch's name of it, ``cpu`` or ``cuda``.
        bf16: multiply in bf16 and keep the weights in float32.
    """

    device: str
    bf16: bool

    @property
    def precision(self) -> str:
        """The word of ``--precision`` for it."""
        return "bf16" if self.bf16 else "fp32"

    def autocast(self) -> Any:
        """Return torch's context in which products have that precision."""
        import torch

        return torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.bf16)


def choose_compute(device: str, *, precision: str, torch: Any) -> Compute:
    """Decide where and how exactly to compute.

    Args:
        device: one of ``DEVICES``; ``auto`` takes a GPU where torch can use one.
        precision: one of ``PRECISIONS``; ``auto`` takes bf16 where the device multiplies it itself.
        torch: the package.

    Raises:
        InputError: ``cuda`` was asked for, and torch cannot use a GPU here.
    """
    has_gpu = bool(torch.cuda.is_available())
    if device == "cuda" and not has_gpu:
        raise InputError(
            "--device cuda: torch sees no GPU here; check the driver and that torch was built "
            "for CUDA, or train with --device cpu"
        )
    chosen = "cuda" if has_gpu and device != "cpu" else "cpu"
    if precision != "auto":
        return Compute(device=chosen, bf16=precision == "bf16")
    if chosen == "cuda":
        return Compute(
            device=chosen, bf16=bool(torch.cuda.is_bf16_supported(including_emulation=False))
        )
    return Compute(device=chosen, bf16=multiplies_bf16())


def multiplies_bf16() -> bool:
    """Say whether the CPU multiplies bf16 itself; where it does not, emulation is slower."""
    cpu = Path("/proc/cpuinfo")
    flags = cpu.read_text(encoding="utf-8") if cpu.is_file() else ""
    return "avx512_bf16" in flags or "amx_bf16" in flags
