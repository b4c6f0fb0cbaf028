"""Two model runtimes in one environment: the doctor finds them, and pip does what it says.

The environment is the test's own, the runtimes are small packages that the test makes, and pip
looks for packages in a folder, so that nothing of this machine is touched and nothing fetched.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shlex
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
_NOT_TAKEN = ("onnxruntime", "__pycache__")
_MODULE = """
__version__ = "{version}"
class SessionOptions:
    log_severity_level = 0
class InferenceSession:
    def __init__(self, graph, options, providers):
        assert len(graph) == 67
        self.providers = [p for p in providers if p in {usable}]
    def get_providers(self):
        return self.providers
def get_available_providers():
    return {listed}
"""
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


def wheel(folder: Path, name: str, *, version: str, listed: list[str]) -> None:
    """Write a package that takes the place of a runtime: it names providers, and runs nothing."""
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    module = _MODULE.format(version=version, listed=listed, usable=[CPU])
    files = {
        "onnxruntime/__init__.py": module,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
    }
    record = [f"{path},{digest(text)},{len(text)}" for path, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,"]) + "\n"
    archive = folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(archive, "w") as packed:
        for path, text in files.items():
            packed.writestr(path, text)


def digest(text: str) -> str:
    raw = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(raw).decode().rstrip("=")


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    folder = tmp_path / "packages"
    folder.mkdir()
    wheel(folder, "onnxruntime", version="1.2.3", listed=[CPU])
    wheel(folder, "onnxruntime-gpu", version="1.2.4", listed=[CUDA, CPU])
    return folder


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """An interpreter that has this program, what it needs, and pip, but no runtime."""
    environment = tmp_path / "environment"
    make = [sys.executable, "-m", "venv", "--without-pip", str(environment)]
    subprocess.run(make, check=True, timeout=300)
    borrowed = tmp_path / "borrowed"
    borrowed.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(_NOT_TAKEN) and entry.suffix != ".pth":
            (borrowed / entry.name).symlink_to(entry)
    (own,) = environment.glob("lib/python*/site-packages")
    (own / "borrowed.pth").write_text(f"{borrowed}\n{ROOT}\n", encoding="utf-8")
    return environment / "bin" / "python"


def shell(command: str, *, packages: Path) -> None:
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(packages)}
    done = subprocess.run(
        ["bash", "-c", command],  # noqa: S607 - what a fix is written for
        capture_output=True,
        check=False,
        env={**os.environ, **offline, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def doctor(python: Path, *, cwd: Path) -> dict[str, dict[str, Any]]:
    command = "-m opensearch_funnel doctor --url http://127.0.0.1:9 --output json"
    done = subprocess.run(
        [str(python), *command.split()],
        capture_output=True,
        check=False,
        cwd=cwd,
        # Whether this machine has a GPU is no matter of the test's: nothing is on the path.
        env={"PATH": "", "FUNNEL_HOME": str(cwd / "home")},
        text=True,
        timeout=300,
    )
    assert done.returncode == 1, done.stderr  # no cluster answers
    return {one["check"]: one for one in json.loads(done.stdout)["findings"]}


def test_both_runtimes_are_found_and_one_is_left(
    python: Path, packages: Path, tmp_path: Path
) -> None:
    pip = f"{shlex.quote(str(python))} -m pip install --no-deps"
    assert doctor(python, cwd=tmp_path)["install.runtime"]["level"] == "warning", "none is there"
    shell(f"{pip} onnxruntime && {pip} onnxruntime-gpu", packages=packages)
    found = doctor(python, cwd=tmp_path)["install.runtime"]
    assert found["level"] == "error"
    assert "onnxruntime and onnxruntime-gpu are installed" in found["finding"]
    shell(found["fix"], packages=packages)
    well = doctor(python, cwd=tmp_path)
    assert (well["install.runtime"]["level"], well["install.gpu"]["level"]) == ("ok", "ok")
    assert well["install.runtime"]["finding"] == "onnxruntime 1.2.3"


def test_a_gpu_provider_that_cannot_be_used_is_found(
    python: Path, packages: Path, tmp_path: Path
) -> None:
    pip = f"{shlex.quote(str(python))} -m pip install --no-deps"
    shell(f"{pip} onnxruntime-gpu", packages=packages)
    found = doctor(python, cwd=tmp_path)
    assert found["install.runtime"]["level"] == "ok"
    assert found["install.gpu"]["level"] == "warning"
    shell(found["install.gpu"]["fix"], packages=packages)
    assert doctor(python, cwd=tmp_path)["install.gpu"]["level"] == "ok"
