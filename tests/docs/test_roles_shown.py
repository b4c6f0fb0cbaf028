"""The roles that the security page shows are those of the file."""

from __future__ import annotations

import re

from tests.docs.pages import ROOT, read_page

_FILE = (ROOT / "docs" / "roles.yml").read_text(encoding="utf-8")
_PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def test_every_role_on_the_page_is_in_the_file_to_the_letter() -> None:
    shown = [block.text for block in read_page("docs/security.md") if block.language == "yaml"]
    assert len(shown) > 1
    assert [role for role in shown if f"\n{role}\n" not in _FILE] == []


def test_every_role_of_the_file_is_named_on_the_page() -> None:
    roles = re.findall(r"^(funnel_\w+):", _FILE, re.MULTILINE)
    assert roles == re.findall(r"^\| `(funnel_\w+)` \|", _PAGE, re.MULTILINE)
