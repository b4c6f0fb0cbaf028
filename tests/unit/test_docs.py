"""Every command has a help with an example, and is named in the documentation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import rich_click as click

from opensearch_funnel.cli.main import COMMANDS, funnel

ROOT = Path(__file__).resolve().parents[2]


def commands(group: click.Group, prefix: str = "funnel") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        path = f"{prefix} {name}"
        if isinstance(command, click.Group):
            yield from commands(command, path)
        else:
            yield path, command


@pytest.mark.parametrize(("path", "command"), list(commands(funnel)))
def test_a_command_has_help_with_an_example(path: str, command: click.Command) -> None:
    assert command.help
    assert "Example:" in command.help, path
    assert "funnel " in command.help.split("Example:")[1], path
    undescribed = [
        p.name for p in command.params if isinstance(p, click.Option) and not (p.help or "").strip()
    ]
    assert undescribed == [], path


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_is_named_in_the_readme(name: str) -> None:
    assert f"`funnel {name}" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_links_between_pages_lead_somewhere() -> None:
    import re

    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
