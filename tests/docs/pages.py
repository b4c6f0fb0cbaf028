"""A page of the documentation, read as what its reader types: its ``sh`` blocks, in order.

A block that this machine cannot run has a visible line before it: ``*Not run*:`` and the reason,
which is one of ``REASONS``. Each reason has words that such a block holds, so that none is used for
a block that could run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

REASONS = {
    "needs Docker": r"\bdocker\b",
    "needs a GPU": r"gpu",
    "needs the security plugin": r"_plugins/_security|FUNNEL_PASSWORD|opensearch-keystore",
    "needs systemd": r"systemctl|journalctl",
    "needs torch": r"--oracle|quantize|scripts/bench",
    "needs evaluation data": r"evaluate|benchmarks\.|--dataset ",
    "needs a snapshot repository": r"_snapshot/",
    "fetches or installs": r"pip install|scripts/(demo|check|test)|node start|models pull",
    "your own addresses": r"export FUNNEL_\w+=",
}

_MARK = "*Not run*: "
_FENCE = re.compile(r"^(?P<ticks>```+)(?P<language>\w*)\s*$")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block of a page.

    Attributes:
        line: the page's line of its first command, counted from 1.
        language: what the fence says.
        text: what is between the fences.
        reason: why it is not run; empty where it is.
    """

    line: int
    language: str
    text: str
    reason: str = ""


class PageError(Exception):
    """A page cannot be read as commands."""


def blocks_of(text: str, *, name: str = "page") -> list[Block]:
    """Read the fenced blocks of a page.

    Raises:
        PageError: a fence is not closed, or a mark stands before something that is no ``sh`` block.
    """
    found: list[Block] = []
    opened: tuple[int, str, str] | None = None
    inside: list[str] = []
    mark: tuple[int, str] | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        fence = _FENCE.match(line.strip())
        if opened is not None:
            if fence is not None and fence["ticks"] == opened[2] and not fence["language"]:
                reason = mark[1] if mark else ""
                found.append(Block(opened[0], opened[1], "\n".join(inside), reason))
                opened, inside, mark = None, [], None
            else:
                inside.append(line)
        elif fence is not None:
            if mark is not None and fence["language"] != "sh":
                raise PageError(f"{name}:{mark[0]}: the mark stands before no sh block")
            opened = (number + 1, fence["language"], fence["ticks"])
        elif line.startswith(_MARK):
            mark = (number, line.removeprefix(_MARK).strip().rstrip("."))
        elif line.strip() and mark is not None:
            raise PageError(f"{name}:{mark[0]}: the mark stands before no sh block")
    if opened is not None:
        raise PageError(f"{name}:{opened[0] - 1}: the fence is not closed")
    if mark is not None:
        raise PageError(f"{name}:{mark[0]}: the mark stands before no sh block")
    return found


def script_of(blocks: Sequence[Block]) -> str:
    """Return the commands that run, each on the line that it has on the page; others are empty."""
    lines: list[str] = []
    for block in blocks:
        if block.language != "sh" or block.reason:
            continue
        lines += [""] * (block.line - 1 - len(lines))
        lines += block.text.splitlines()
    return "\n".join(lines) + "\n"


def read_page(page: str) -> list[Block]:
    """Read a page by its path from the root of the checkout."""
    return blocks_of((ROOT / page).read_text(encoding="utf-8"), name=page)
