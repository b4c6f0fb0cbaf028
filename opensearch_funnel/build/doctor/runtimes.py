"""The model runtime of this installation, tried in a process of its own.

Two runtimes in one environment share the folder ``onnxruntime/``, so that each may have the other
one's libraries: what that does to a process must not happen to this one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from subprocess import Popen

_LONGEST_S = 60.0
_RUNTIME = "onnxruntime"
CUDA = "CUDAExecutionProvider"

# A graph with one node, Y = Identity(X), as onnx writes it: opening it tries a provider out.
_PROBE = """
import base64, json, sys
import onnxruntime
graph = base64.b64decode(
    "CAgSADo3ChAKAVgSAVkiCElkZW50aXR5EgFnWg8KAVgSCgoICAESBAoCCAFiDwoBWRIKCggIARIECgIIAUIECgAQEQ=="
)
options = onnxruntime.SessionOptions()
options.log_severity_level = 4
wanted = [p for p in onnxruntime.get_available_providers() if p in sys.argv[1:]]
session = onnxruntime.InferenceSession(graph, options, providers=wanted)
found = {
    "version": onnxruntime.__version__,
    "listed": onnxruntime.get_available_providers(),
    "used": session.get_providers(),
}
print(json.dumps(found))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What runs the models here.

    Attributes:
        installed: version by distribution: ``onnxruntime``, ``onnxruntime-gpu`` and their kind.
        listed: the providers that it says it has.
        used: those that a graph could be opened with.
        broken: why it cannot be used; empty where it can, or where there is none.
    """

    installed: Mapping[str, str]
    listed: Sequence[str] = ()
    used: Sequence[str] = ()
    broken: str = ""


def installed_runtimes() -> dict[str, str]:
    """Return the versions of all distributions that bring the module ``onnxruntime``."""
    found: dict[str, str] = {}
    for one in distributions():
        name = (one.name or "").lower().replace("_", "-")
        if name == _RUNTIME or name.startswith(f"{_RUNTIME}-"):
            found.setdefault(name, one.version)
    # Extensions and training tools are called alike, and bring modules of their own.
    others = (f"{_RUNTIME}-extensions", f"{_RUNTIME}-genai", f"{_RUNTIME}-tools")
    return {name: found[name] for name in sorted(found) if not name.startswith(others)}


class RuntimeProbe:
    """Tries the runtime while other things are looked at."""

    def __init__(self) -> None:
        """Start the trial, if there is something to try."""
        self._installed = installed_runtimes()
        self._child: Popen[str] | None = None
        if self._installed:
            self._child = Popen(  # noqa: S603 - our own interpreter and text
                [sys.executable, "-c", _PROBE, CUDA, "CPUExecutionProvider"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )

    def result(self) -> Runtime:
        """Wait for the trial's end, and return what it found; to be asked once."""
        tried, self._child = self._child, None
        if tried is None:
            return Runtime(installed=self._installed)
        with tried as child:
            try:
                printed, said = child.communicate(timeout=_LONGEST_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.communicate()
                return self._broken(f"it did not open a graph within {_LONGEST_S:.0f} s")
        if child.returncode < 0:
            return self._broken(
                f"opening a graph ended the process with signal {-child.returncode}"
            )
        if child.returncode != 0:
            last = said.strip().splitlines()[-1:] or ["no reason"]
            return self._broken(last[0])
        found = json.loads(printed.strip().splitlines()[-1])
        return Runtime(installed=self._installed, listed=found["listed"], used=found["used"])

    def stop(self) -> None:
        """End the trial, where nobody waits for it any more."""
        if self._child is not None:
            self._child.kill()
            self._child.communicate()

    def _broken(self, reason: str) -> Runtime:
        return Runtime(installed=self._installed, broken=reason)
