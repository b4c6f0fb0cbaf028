"""What the command line returns, and what it prints when it fails."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import unquote

import pytest
from pydantic import ValidationError

from opensearch_funnel.cli.main import main
from opensearch_funnel.settings import Settings, load_settings

NOBODY = "http://127.0.0.1:9"


def test_help_works() -> None:
    assert main(["--help"]) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["evaluate"],
        ["pipeline", "remove"],
        ["load", "x.ndjson"],
        ["search", "fox", "--index", "i", "--systems", "magic"],
        ["search", " ", "--index", "i"],
        ["serve", "--port", "many"],
    ],
)
def test_what_is_not_understood_exits_with_2(arguments: list[str]) -> None:
    assert main(arguments) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["pipeline", "show", "--url", NOBODY],
        ["pipeline", "apply", "--index", "films", "--url", NOBODY],
        ["search", "fox", "--index", "films", "--url", NOBODY],
        ["serve", "--host", "0.0.0.0", "--port", "0"],  # noqa: S104 - refused
        ["pipeline", "show", "--url", "http://"],
        ["pipeline", "show", "--url", "127.0.0.1:9200"],
        ["pipeline", "show", "--url", "http://127.0.0.1:99999"],
        ["pipeline", "show", "--url", "http://[::1"],
        ["pipeline", "show", "--url", "http://a b:9200"],
        ["pipeline", "show", "--url", "ftp://127.0.0.1"],
    ],
)
def test_what_fails_exits_with_1_and_one_line(
    arguments: list[str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert len(printed.err.strip().splitlines()) == 1


def test_a_broken_setting_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUNNEL_TIMEOUT", "soon")
    assert main(["config", "show"]) == 1
    assert "FUNNEL_TIMEOUT" in capsys.readouterr().err


def test_a_service_url_that_is_no_address_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for url in ("http://[::1", "localhost:8750", "http://user:canary@127.0.0.1:8750"):
        monkeypatch.setenv("FUNNEL_SERVICE_URL", url)
        assert main(["config", "show"]) == 1
        printed = capsys.readouterr().err
        assert "FUNNEL_SERVICE_URL" in printed
        assert "canary" not in printed


def test_a_broken_plan_file_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("funnel.toml").write_text("[plan\n", encoding="utf-8")
    assert main(["pipeline", "apply", "--index", "films", "--url", NOBODY]) == 1
    assert "funnel.toml is not valid TOML" in capsys.readouterr().err


def test_secrets_are_hidden(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUNNEL_PASSWORD", "canary-7")
    assert main(["config", "show", "--output", "json"]) == 0
    assert "canary" not in capsys.readouterr().out


@pytest.mark.parametrize("password", ["canary-8", "canary%2F8", "canary@8", "canary:8"])
def test_a_password_in_the_address_is_used_and_never_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    monkeypatch.setenv("FUNNEL_URL", f"http://s%C3%BC:{password}@127.0.0.1:9/")
    settings = load_settings()
    assert settings.url == NOBODY
    assert settings.username == "s\u00fc"
    assert settings.password is not None
    assert settings.password.get_secret_value() == unquote(password)
    assert settings.environment()["FUNNEL_URL"] == NOBODY
    for arguments in (["config", "show", "--output", "json"], ["pipeline", "show"]):
        main(arguments)
        printed = capsys.readouterr()
        assert "canary" not in printed.out + printed.err
        assert NOBODY in printed.out + printed.err


def test_a_password_that_was_given_apart_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUNNEL_USERNAME", "apart")
    monkeypatch.setenv("FUNNEL_PASSWORD", "apart-too")
    settings = load_settings(url="http://in:url@127.0.0.1:9")
    assert (settings.username, settings.url) == ("apart", NOBODY)
    assert settings.password is not None
    assert settings.password.get_secret_value() == "apart-too"


def test_a_broken_address_with_a_password_does_not_show_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for url in ("http://me:canary-9@[::1", "http://me:canary-9@:99999", "me:canary-9@host"):
        assert main(["pipeline", "show", "--url", url]) == 1
        assert "canary" not in capsys.readouterr().err
        with pytest.raises(ValidationError) as caught:
            Settings(url=url)
        assert "canary" not in str(caught.value)


WAITS = """
import sys, time, types
import rich_click as click
from opensearch_funnel.cli import main as cli

@click.command()
def waits():
    try:
        print("begun", flush=True)
        time.sleep(60)
    finally:
        time.sleep(0.3)
        print("cleaned up", flush=True)

module = types.ModuleType("opensearch_funnel.cli.waits")
module.waits = waits
sys.modules[module.__name__] = module
cli.COMMANDS["waits"] = "waits"
sys.exit(cli.main(["waits"]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_after_its_clean_up(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WAITS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "begun\n"
        command.send_signal(number)
        if number != signal.SIGINT:
            time.sleep(0.1)
            command.send_signal(number)  # a terminal that closes tells twice
        printed, said = command.communicate(timeout=30)
    assert printed == "cleaned up\n"
    assert said.strip() == "stopped"
    assert command.returncode == 128 + number


def test_a_command_leaves_the_signals_of_its_caller_alone() -> None:
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP)]
    assert main(["--help"]) == 0
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP)] == before
