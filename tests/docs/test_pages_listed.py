"""No page with commands is left out; what is not run says so on the page."""

from __future__ import annotations

import re

import pytest

from tests.docs import (
    test_changing_pages,
    test_encoded_pages,
    test_plain_pages,
    test_upgraded_pages,
)
from tests.docs.pages import REASONS, ROOT, read_page, script_of

RUN = (
    *test_changing_pages.PAGES,
    *test_encoded_pages.PAGES,
    *test_plain_pages.PAGES,
    *test_upgraded_pages.PAGES,
    "docs/turn-it-off.md",
)
PAGES = sorted(
    str(page.relative_to(ROOT)) for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
)
TRANSCRIPTS = {"docs/evaluation.md", "docs/loading.md", "docs/node.md"}
"""Pages from before the commands were run: they show sessions, prompts and all."""


def test_every_page_with_commands_is_run_once() -> None:
    assert sorted(RUN) == [page for page in PAGES if script_of(read_page(page)).strip()]


@pytest.mark.parametrize("page", PAGES)
def test_what_is_not_run_has_a_reason_that_holds(page: str) -> None:
    for block in read_page(page):
        if block.reason:
            where = f"{page}:{block.line}"
            assert block.reason in REASONS, where
            assert re.search(REASONS[block.reason], block.text), where


@pytest.mark.parametrize("page", PAGES)
def test_commands_stand_where_they_are_run(page: str) -> None:
    shown = [block.line for block in read_page(page) if block.language in {"console", "bash"}]
    assert page in TRANSCRIPTS or shown == []
