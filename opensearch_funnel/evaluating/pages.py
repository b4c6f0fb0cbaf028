"""A report as blocks, written as Markdown or as one HTML file that needs nothing beside it."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

# Whatever could begin a mark, a link, a tag or a table's next column.
_MARKS = re.compile(r"([\\`*_\[\]<>|#~&$])")
_BREAKS = re.compile(r"\s+")

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem;
  padding: 0 1rem; color: #1a1a1a; background: #fff }
h1 { font-size: 1.5rem } h2 { font-size: 1.2rem; margin-top: 2rem }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto }
th, td { padding: .3rem .7rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid #ddd; overflow-wrap: anywhere }
td { min-width: 5rem } td.number { min-width: 0 } td.wide { min-width: 11rem }
th { white-space: nowrap } td.number, th.number { text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums }
img { max-width: 100%; height: auto }
"""


@dataclass(frozen=True, slots=True)
class Heading:
    """What the blocks below it are about."""

    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Sentences."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows below a header.

    Attributes:
        header: the columns' names.
        rows: as many cells each.
        texts: columns that hold texts; all others are numbers, and set to the right.
        wide: columns of texts that want more room than others.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: frozenset[int] = frozenset({0})
    wide: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing.

    Attributes:
        svg: the drawing.
        alt: what is to be seen, for who cannot see it.
    """

    svg: bytes
    alt: str


Block = Heading | Paragraph | Table | Picture


def as_markdown(title: str, blocks: Sequence[Block], *, pictures: Mapping[bytes, str]) -> str:
    r"""Write a report as Markdown.

    Args:
        title: the first line.
        blocks: the report.
        pictures: the file of each drawing, beside the report; one without a file is left out.

    Example:
        >>> table = Table(("query", "gain"), [("a|b", "+0.5")])
        >>> print(as_markdown("Films", [table], pictures={}), end="")
        # Films
        <BLANKLINE>
        | query | gain |
        |---|--:|
        | a\|b | +0.5 |
    """
    parts = [f"# {_plain(title)}"]
    for block in blocks:
        match block:
            case Heading(text):
                parts.append(f"## {_plain(text)}")
            case Paragraph(text):
                parts.append(_plain(text))
            case Table(header, rows, texts):
                sides = ["---" if column in texts else "--:" for column, _ in enumerate(header)]
                lines = [_row(header), f"|{'|'.join(sides)}|", *map(_row, rows)]
                parts.append("\n".join(lines))
            case Picture(svg, alt):
                if svg in pictures:
                    parts.append(f"![{_plain(alt)}](<{pictures[svg]}>)")
    return "\n\n".join(parts) + "\n"


def as_html(title: str, blocks: Sequence[Block]) -> str:
    """Write a report as one HTML file; its drawings are in it.

    Args:
        title: of the page.
        blocks: the report.
    """
    body = "\n".join(map(_html, blocks))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<h1>{escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )


def _html(block: Block) -> str:
    match block:
        case Heading(text):
            return f"<h2>{escape(text)}</h2>"
        case Paragraph(text):
            return f"<p>{escape(text)}</p>"
        case Picture(svg, alt):
            source = f"data:image/svg+xml;base64,{b64encode(svg).decode()}"
            return f'<p><img src="{source}" alt="{escape(alt)}"></p>'
        case Table(header, rows):
            head = _cells("th", header, table=block)
            lines = "\n".join(_cells("td", row, table=block) for row in rows)
            return f"<table>\n<thead>\n{head}\n</thead>\n<tbody>\n{lines}\n</tbody>\n</table>"


def _cells(tag: str, cells: Sequence[str], *, table: Table) -> str:
    written = []
    for column, cell in enumerate(cells):
        kind = "" if column in table.texts else ' class="number"'
        kind = ' class="wide"' if column in table.wide else kind
        written.append(f"<{tag}{kind}>{escape(cell)}</{tag}>")
    return f"<tr>{''.join(written)}</tr>"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_plain, cells))} |"


def _plain(text: str) -> str:
    """Write a text so that Markdown shows it as it is, on one line."""
    return _MARKS.sub(r"\\\1", _BREAKS.sub(" ", text))
