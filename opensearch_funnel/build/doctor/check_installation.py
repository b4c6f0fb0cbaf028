"""Is this installation whole: one runtime, the packages, and the models' files?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from opensearch_funnel.build.doctor.facts import Case
from opensearch_funnel.build.doctor.findings import Finding
from opensearch_funnel.build.doctor.fixes import both
from opensearch_funnel.build.doctor.installation import Installation, LocalModel
from opensearch_funnel.build.doctor.runtimes import CUDA

_GPU, _CPU = "onnxruntime-gpu", "onnxruntime"


def check_installation(case: Case) -> Iterator[Finding]:
    """Look at packages and the model runtime."""
    installation = case.facts.installation
    yield from _runtime(case, installation)
    yield from _gpu(case, installation)
    name = "install.packages"
    for extra, modules in installation.missing.items():
        yield Finding(
            check=name,
            level="ok" if _served(case) else "warning",
            finding=f"{', '.join(modules)} not installed, which funnel serve needs here",
            fix=case.fixes.pip("install", f"opensearch-funnel[{extra}]"),
        )
    if not installation.missing:
        told = f"opensearch-funnel {installation.version} with what serving needs"
        yield Finding(check=name, level="ok", finding=told)


def _served(case: Case) -> bool:
    """Say whether every pipeline is answered by some service: then nothing is needed here."""
    pipelines = case.facts.pipelines
    return bool(pipelines) and all(one.called is None for one in pipelines)


def _runtime(case: Case, installation: Installation) -> Iterator[Finding]:
    name, runtime = "install.runtime", installation.runtime
    several = list(runtime.installed)
    if len(several) > 1:
        kept = _GPU if installation.has_gpu and _GPU in several else several[0]
        yield Finding(
            check=name,
            level="error",
            finding=f"{' and '.join(several)} are installed, and share one folder: which of them "
            "runs is chance",
            fix=both(
                case.fixes.pip("uninstall", "-y", *several),
                case.fixes.pip("install", "--no-deps", f"{kept}=={runtime.installed[kept]}"),
            ),
            advice=f"it keeps {kept}",
        )
    elif not several:
        wanted = "gpu" if installation.has_gpu else "cpu"
        yield Finding(
            check=name,
            level="ok" if _served(case) else "warning",
            finding="no model runtime is installed: this machine can neither serve nor encode",
            fix=case.fixes.pip("install", f"opensearch-funnel[{wanted}]"),
        )
    elif runtime.broken:
        package = several[0]
        yield Finding(
            check=name,
            level="error",
            finding=f"{package} {runtime.installed[package]} cannot be used: {runtime.broken}",
            fix=case.fixes.pip(
                "install", "--force-reinstall", f"{package}=={runtime.installed[package]}"
            ),
        )
    else:
        told = f"{several[0]} {runtime.installed[several[0]]}"
        yield Finding(check=name, level="ok", finding=told)


def _gpu(case: Case, installation: Installation) -> Iterator[Finding]:
    name, runtime = "install.gpu", installation.runtime
    if runtime.broken or not runtime.installed:
        return
    if CUDA in runtime.listed and CUDA not in runtime.used:
        installed = list(runtime.installed)
        yield Finding(
            check=name,
            level="warning",
            finding=f"{' and '.join(installed)} has a GPU provider, and it cannot be used here: "
            "models run on the CPU",
            fix="nvidia-smi"
            if installation.has_gpu
            else both(
                case.fixes.pip("uninstall", "-y", *installed),
                case.fixes.pip("install", _CPU),
            ),
            advice="it shows driver and CUDA version, which have to fit onnxruntime-gpu's; with "
            "CUDA and cuDNN from pip: onnxruntime-gpu[cuda,cudnn]"
            if installation.has_gpu
            else "no GPU was found on this machine",
        )
    elif installation.has_gpu and CUDA not in runtime.listed:
        installed = list(runtime.installed)
        yield Finding(
            check=name,
            level="warning",
            finding="this machine has a GPU, and the runtime is one for CPUs",
            fix=both(
                case.fixes.pip("uninstall", "-y", *installed),
                case.fixes.pip("install", _GPU),
            ),
        )
    else:
        told = "models run on the GPU" if CUDA in runtime.used else "models run on the CPU"
        yield Finding(check=name, level="ok", finding=told)


def check_models(case: Case) -> Iterator[Finding]:
    """Look at the models that the plans name, as they are on this machine."""
    for model in case.facts.installation.models:
        yield from _files(case, model)
        yield from _fingerprint(case, model)


def _files(case: Case, model: LocalModel) -> Iterator[Finding]:
    name = "models.files"
    pull = f"funnel models pull {shlex.quote(model.name)}"
    if model.problem:
        yield Finding(
            check=name,
            level="ok" if _served(case) else "error",
            subject=model.name,
            finding=model.problem,
            fix="funnel models list",
            advice="put its manifest into FUNNEL_HOME/manifests, as where the index was encoded",
        )
    elif model.broken:
        yield Finding(
            check=name,
            level="error",
            subject=model.name,
            finding=f"the files of {model.name} are not right: {'; '.join(model.broken)}",
            fix=pull,
        )
    elif not model.here:
        told = f"{model.name} is not on this machine: it is fetched at the first use here"
        yield Finding(check=name, level="ok", finding=told, subject=model.name, fix=pull)
    else:
        told = f"{model.name} is here, and its files are right"
        yield Finding(check=name, level="ok", finding=told, subject=model.name)


def _fingerprint(case: Case, model: LocalModel) -> Iterator[Finding]:
    """Find a model that is another one here than where the index was encoded."""
    name = "models.fingerprints"
    if not model.wanted or model.problem:
        return
    if model.wanted == model.fingerprint:
        told = f"{model.name} is the model that encoded the index"
        yield Finding(check=name, level="ok", finding=told, subject=model.name)
        return
    yield Finding(
        check=name,
        level="warning" if _served(case) else "error",
        subject=model.name,
        finding=f"{model.name} is {model.fingerprint} here, and {model.wanted} encoded the index: "
        "what this machine encodes or asks does not fit",
        fix="funnel models list --output json",
        advice=f"{model.manifest} describes it: take the one of the machine that encoded the index",
    )
