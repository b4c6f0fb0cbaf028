"""What the command line returns, and what it prints when it fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from opensearch_funnel.cli.main import main

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
