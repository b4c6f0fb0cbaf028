"""A link into a page leads to a heading that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

_LINK = re.compile(r"\]\((?P<page>[^)#:]*)#(?P<anchor>[^)]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors(text: str) -> set[str]:
    """The names that a forge gives to the headings of a page."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in _HEADING.findall(text)
    }


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/*.md")), ids=lambda page: page.name)
def test_links_into_pages_lead_to_headings(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in _LINK.finditer(text):
        other = (page.parent / link["page"]) if link["page"] else page
        there = anchors(other.read_text(encoding="utf-8"))
        assert link["anchor"] in there, f"{page.name} links to {link[0]}"
