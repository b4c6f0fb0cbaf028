"""What is read of this installation: packages, the model runtime, and models on the disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from opensearch_funnel.build.doctor.legs import model_legs
from opensearch_funnel.build.doctor.runtimes import Runtime, RuntimeProbe
from opensearch_funnel.core.errors import FunnelError
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.encoders.fetch import broken_files, is_here, model_folder
from opensearch_funnel.encoders.manifest_files import load_manifest

PACKAGE = "opensearch-funnel"
_MODULES: Mapping[str, Sequence[str]] = {
    "encoders": ("tokenizers", "onnx"),
    "service": ("cachetools", "fastapi", "uvicorn", "httptools", "prometheus_client"),
}
"""What an extra brings that serving cannot do without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalModel:
    """A model that a plan names, as it is on this machine.

    Attributes:
        name: as in ``funnel models list``.
        wanted: the fingerprint that a plan has for it; empty for none.
        fingerprint: what it would be here; empty where there is no such model.
        manifest: the file that describes it.
        folder: where its files are kept.
        here: whether it can be opened without a network.
        broken: what is wrong with the files that are kept.
        problem: why it could not be looked at; empty where it could.
    """

    name: str
    wanted: str = ""
    fingerprint: str = ""
    manifest: Path | None = None
    folder: Path | None = None
    here: bool = False
    broken: Sequence[str] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """This installation.

    Attributes:
        version: of this program.
        runtime: what runs the models.
        missing: modules that are not installed, by the extra that brings them.
        has_gpu: whether the machine has a driver for GPUs.
        models: those that the plans looked at name.
    """

    version: str
    runtime: Runtime
    missing: Mapping[str, Sequence[str]]
    has_gpu: bool
    models: Sequence[LocalModel]


def read_installation(probe: RuntimeProbe, *, plans: Iterable[FunnelPlan]) -> Installation:
    """Read what is installed here.

    Args:
        probe: tries the runtime.
        plans: whose models are looked at.
    """
    missing = {
        extra: [module for module in modules if find_spec(module) is None]
        for extra, modules in _MODULES.items()
    }
    wanted = sorted({pair for plan in plans for pair in _models_of(plan)})
    return Installation(
        version=version(PACKAGE),
        missing={extra: modules for extra, modules in missing.items() if modules},
        has_gpu=shutil.which("nvidia-smi") is not None,
        models=[
            _local_model(name, max_tokens=max_tokens, wanted=fingerprint)
            for name, max_tokens, fingerprint in wanted
        ],
        runtime=probe.result(),
    )


def _models_of(plan: FunnelPlan) -> list[tuple[str, int, str]]:
    """Return the models of a plan, each with where it cuts texts and its fingerprint."""
    found = [(leg.model, leg.max_tokens, leg.fingerprint) for leg in model_legs(plan).values()]
    if plan.rerank.enabled:
        found += [(name, 0, "") for name in plan.rerank.models]
    return found


def _local_model(name: str, *, max_tokens: int, wanted: str) -> LocalModel:
    try:
        manifest = load_manifest(name, max_tokens=max_tokens)
    except FunnelError as error:
        return LocalModel(name=name, wanted=wanted, problem=str(error))
    folder = model_folder(manifest)
    kept = any((folder / file.name).exists() for file in manifest.files)
    return LocalModel(
        name=name,
        wanted=wanted,
        fingerprint=manifest.fingerprint(),
        manifest=manifest.folder / f"{name}.toml",
        folder=folder,
        here=is_here(manifest),
        broken=broken_files(manifest) if kept else (),
    )
