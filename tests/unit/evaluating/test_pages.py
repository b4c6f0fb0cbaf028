"""Blocks as Markdown and as one HTML file."""

from __future__ import annotations

from html.parser import HTMLParser

from opensearch_funnel.evaluating.pages import (
    Block,
    Heading,
    Paragraph,
    Picture,
    Table,
    as_html,
    as_markdown,
)

NASTY = "<script>alert('a|b')</script>\n# [x](y) *b* `c` & \"d\" \\ 🐟"


class Reader(HTMLParser):
    """Collects the tags and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


def test_a_page_shows_texts_as_they_are_and_loads_nothing() -> None:
    blocks: list[Block] = [
        Heading(NASTY),
        Paragraph(NASTY),
        Table((NASTY, "n"), [(NASTY, NASTY)]),
        Picture(b"<svg/>", NASTY),
    ]
    page = read(as_html(NASTY, blocks))
    assert "script" not in page.tags
    # Title, first heading, heading, paragraph, one name of the table and two cells.
    assert page.texts.count(NASTY) == 7
    assert page.links == ["data:image/svg+xml;base64,PHN2Zy8+"]
    assert [tag for tag in page.tags if tag in ("link", "iframe", "script", "object")] == []


def test_numbers_are_set_to_the_right_and_texts_are_not() -> None:
    html = as_html("t", [Table(("name", "value", "why"), [("a", "1", "b")], frozenset({0, 2}))])
    assert '<tr><td>a</td><td class="number">1</td><td>b</td></tr>' in html


def test_markdown_keeps_a_text_in_its_cell() -> None:
    text = as_markdown("t", [Table(("query",), [(NASTY,), ("a\r\n\tb",)])], pictures={})
    shown = (
        r"\<script\>alert('a\|b')\</script\> \# \[x\](y) \*b\* \`c\` \& "
        r'"d" \\ 🐟'
    )
    assert text.splitlines()[2:] == ["| query |", "|---|", f"| {shown} |", "| a b |"]


def test_markdown_names_the_files_of_drawings_and_leaves_out_those_without() -> None:
    blocks = [Picture(b"one", "first"), Picture(b"two", "second")]
    assert as_markdown("t", blocks, pictures={b"two": "my report-2.svg"}) == (
        "# t\n\n![second](<my report-2.svg>)\n"
    )
