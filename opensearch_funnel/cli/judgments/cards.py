"""One pair of query and document on a terminal, and the key that is pressed."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import rich_click as click
from rich.console import Console
from rich.rule import Rule
from rich.text import Text

if TYPE_CHECKING:
    from opensearch_funnel.evaluating.labelling.passages import Passage
    from opensearch_funnel.evaluating.labelling.pool import Pair
    from opensearch_funnel.evaluating.labelling.sitting import Sitting

TOP = 3
_MEANINGS: Mapping[int, tuple[str, ...]] = {
    1: ("not relevant", "relevant"),
    2: ("not relevant", "partly", "relevant"),
    3: ("not relevant", "same subject", "partly", "just right"),
}
_WIDTH, _LINES = 96, 12

grades_option = click.option(
    "--grades",
    "top",
    type=click.IntRange(1, 9),
    default=TOP,
    show_default=True,
    help="The highest grade; the lowest is 0.",
)
again_option = click.option("--again", is_flag=True, help="Ask again for what was skipped.")


def judge_at_terminal(sitting: Sitting, passages: Mapping[str, Passage], *, top: int) -> None:
    """Show pair after pair and take the grades, until all are done or the judge stops.

    Everything goes to standard error. Keys count at once on a terminal; from anything else, a
    line is a key.

    Args:
        sitting: what is to be judged.
        passages: by document.
        top: the highest grade.
    """
    from opensearch_funnel.evaluating.labelling.sitting import time_left

    console = Console(stderr=True, highlight=False)
    seconds: list[float] = []
    if sitting.left:
        _print_keys(console, top=top)
    while (pair := sitting.current) is not None:
        told = time_left(seconds, left=sitting.left)
        _print_card(console, sitting, passages[pair.doc_id], told=told)
        began = time.monotonic()
        if not _answered(console, sitting, pair=pair, passages=passages, top=top):
            return
        seconds.append(time.monotonic() - began)


def _answered(
    console: Console,
    sitting: Sitting,
    *,
    pair: Pair,
    passages: Mapping[str, Passage],
    top: int,
) -> bool:
    """Take keys until one moves on; say whether to go on at all."""
    while True:
        console.print("> ", end="")
        key = _key(console)
        if key in {"", "q"}:
            console.print()
            return False
        if key == "s":
            sitting.decide(None)
        elif key.isascii() and key.isdigit() and int(key) <= top:
            sitting.decide(int(key))
        elif key == "b":
            if not sitting.back():
                console.print("this is the first one")
                continue
        elif key == "m":
            _print_text(console, passages[pair.doc_id], lines=None)
            continue
        else:
            console.print(f"a grade from 0 to {top}, or s, b, m, q", markup=False)
            continue
        return True


def _key(console: Console) -> str:
    if sys.stdin.isatty():
        try:
            key = click.getchar().lower()
        except EOFError:
            return ""
        console.print(key if key.isprintable() else "", markup=False)
        return key
    line = sys.stdin.readline()
    console.print()
    # An empty line is no end: it is a key that means nothing.
    return line.strip().lower() or ("?" if line else "")


def _print_keys(console: Console, *, top: int) -> None:
    meanings = _MEANINGS.get(top, ("not relevant", *[""] * (top - 1), "just right"))
    grades = "   ".join(f"{grade} {meaning}".strip() for grade, meaning in enumerate(meanings))
    console.print(f"{grades}\ns skip   b back   m more of the text   q quit: go on any time later")


def _print_card(console: Console, sitting: Sitting, passage: Passage, *, told: str) -> None:
    pair = sitting.current
    if pair is None:
        return
    place = f"{sitting.done + 1:,} of {len(sitting.pairs):,}"
    notes = [f"again: {sitting.given}"] if sitting.given else [place, told]
    console.print()
    console.print(Rule(" · ".join(filter(None, notes)), align="left", style="dim"))
    console.print(Text(_plain(pair.query), style="bold"), soft_wrap=True)
    console.print()
    if passage.title:
        console.print(Text(_plain(passage.title), style="underline"), soft_wrap=True)
    _print_text(console, passage, lines=_LINES)


def _print_text(console: Console, passage: Passage, *, lines: int | None) -> None:
    """Print a text, shortened to so many lines."""
    width = min(_WIDTH, console.width)
    wrapped = textwrap.wrap(_plain(passage.text), width) or ["(no text)"]
    if lines is not None and len(wrapped) > lines + 1:
        wrapped = [*wrapped[:lines], f"… {len(wrapped) - lines} more lines: m"]
    for line in wrapped:
        console.print(Text(line), soft_wrap=True)


def _plain(text: str) -> str:
    """Return a text without line ends, and without marks that would steer the terminal."""
    return " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())
