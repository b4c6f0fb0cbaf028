"""The messages that the page explains are those that the program says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.docs.pages import ROOT

_PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
_ROW = re.compile(r"^\| `(?P<message>[^`]+)` \|", re.MULTILINE)


def explained() -> list[str]:
    """The first column of the table of the commands' messages."""
    section = _PAGE.split("## From the commands")[1].split("\n## ")[0]
    return [row["message"] for row in _ROW.finditer(section)]


def said() -> Iterator[str]:
    """Every text of the program, with ``…`` where something is filled in."""
    for module in (ROOT / "opensearch_funnel").rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "…"
                    for part in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_every_message_of_the_page_is_one_of_the_program() -> None:
    program = "\n".join(text.replace("\n", " ") for text in said())
    unknown = [
        message
        for message in explained()
        if not re.search(re.escape(message).replace("…", ".*"), program)
    ]
    assert len(explained()) > 30
    assert unknown == []
