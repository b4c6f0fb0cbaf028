"""The playground page in a real browser, over the real node."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opensearchpy import OpenSearch
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from .conftest import RERANK, XSS, Playground, Scorer, documents, fill, playground

pytestmark = pytest.mark.engine

TOKEN = "only-for-this-test"  # noqa: S105 - opens nothing else
QUERY = "red fox"


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # As root, as in a container, it has no sandbox to go into.
        launched = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page whose every complaint fails the test: scripts, styles, the content policy."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(20_000)
    said: list[str] = []
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("console", lambda one: said.append(one.text) if one.type == "error" else None)
    yield opened
    context.close()
    # What the browser itself says of an answer that a test asked for.
    unexpected = [line for line in said if "Failed to load resource" not in line]
    assert unexpected == []


def search(page: Page, query: str) -> None:
    """Search as somebody who has no mouse."""
    in_the_box = page.locator("#query:focus").count() > 0
    page.keyboard.press("ControlOrMeta+a" if in_the_box else "/")
    page.keyboard.type(query)
    page.keyboard.press("Enter")
    expect(page.locator("#hits-funnel .hit").first).to_be_visible()


def visit(page: Page, here: Playground) -> None:
    """Open the page; the node may have other indices that can be searched."""
    page.goto(f"{here.url}/?index={here.index}")
    expect(page.locator("#start h2")).to_be_visible()


def opened_trace(page: Page) -> Any:
    return page.locator('.open[aria-expanded="true"]')


def numbers(texts: list[str]) -> list[float]:
    return [float(text) for text in texts]


def test_a_search_shows_both_orders_and_how_they_differ(page: Page, shared: Playground) -> None:
    visit(page, shared)
    expect(page.locator("#index")).to_have_value(shared.index)
    search(page, QUERY)
    expect(page.locator("#hits-bm25 .hit")).to_have_count(10)
    expect(page.locator("#hits-funnel .hit")).to_have_count(10)
    expect(page.locator("#hits-bm25 .legs")).to_have_count(0)
    expect(page.locator("#note-funnel")).to_contain_text(shared.plan.plan_id)
    expect(page.locator("#degraded")).to_be_hidden()
    assert page.locator("#hits-funnel mark").count() > 0
    bm25 = page.locator("#hits-bm25 .hit")
    order = [bm25.nth(i).get_attribute("data-id") for i in range(10)]
    for hit in page.locator("#hits-funnel .hit").all():
        rank = int(hit.locator(".rank").inner_text())
        moved = hit.locator(".move span").first.inner_text()
        doc_id = hit.get_attribute("data-id")
        if doc_id in order:
            by = order.index(doc_id) + 1 - rank
            assert moved == ("=" if by == 0 else f"{'↑' if by > 0 else '↓'}{abs(by)}")


def test_the_trace_of_a_hit_adds_up_on_the_page(page: Page, shared: Playground) -> None:
    visit(page, shared)
    search(page, QUERY)
    hit = page.locator("#hits-funnel .hit").nth(1)
    hit.locator(".open").click()
    trace = hit.locator(".trace")
    expect(trace).to_be_visible()
    parts = numbers(trace.locator("tbody td.sum").all_inner_texts())
    assert sum(parts) == pytest.approx(
        float(trace.locator("tfoot td.sum").inner_text()), abs=2e-4
    ), "as far as four decimals go"
    expect(trace.locator(".verdict")).to_have_text("✓ Everything adds up")
    expect(trace).to_contain_text("What the reranker changed")
    assert trace.locator(".stack .fill").count() == len(parts)
    plain = page.locator("#hits-bm25 .hit").first
    plain.locator(".open").click()
    terms = numbers(plain.locator(".terms strong").all_inner_texts())
    score = plain.locator(".trace p strong").first.inner_text()
    assert sum(terms) == pytest.approx(float(score), abs=2e-3)


def test_everything_by_keyboard(page: Page, shared: Playground) -> None:
    visit(page, shared)
    search(page, QUERY)
    focused = page.locator(".open:focus")
    page.keyboard.press("ArrowDown")  # from the box into the hits of the funnel
    expect(focused).to_have_attribute("aria-controls", "trace-funnel-1")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(focused).to_have_attribute("aria-controls", "trace-funnel-2")
    page.keyboard.press("Enter")
    expect(page.locator("#trace-funnel-2")).to_be_visible()
    expect(opened_trace(page)).to_have_count(1)
    page.keyboard.press("ArrowLeft")
    expect(focused).to_have_attribute("aria-controls", "trace-bm25-2")
    page.keyboard.press("Space")
    expect(page.locator("#trace-bm25-2")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#trace-bm25-2")).to_be_hidden()
    expect(focused).to_have_attribute("aria-controls", "trace-bm25-2")
    page.keyboard.press("Escape")  # what is still open elsewhere
    expect(opened_trace(page)).to_have_count(0)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")  # above the first hit is the box
    expect(page.locator("#query")).to_be_focused()
    page.keyboard.press("/")  # a slash in the box is a slash
    assert page.locator("#query").input_value().endswith("/")


def test_the_focus_can_be_seen(page: Page, shared: Playground) -> None:
    visit(page, shared)
    search(page, QUERY)
    page.keyboard.press("ArrowDown")
    outline = page.locator(".open:focus").evaluate("e => getComputedStyle(e).outlineWidth")
    assert outline == "3px"
    page.keyboard.press("/")
    box = page.locator(".box").evaluate("e => getComputedStyle(e).outlineWidth")
    assert box == "3px"


def test_an_address_can_be_shared_and_goes_back(page: Page, shared: Playground) -> None:
    page.goto(f"{shared.url}/?q=red+fox&index={shared.index}")
    expect(page.locator("#hits-funnel .hit")).to_have_count(10)
    expect(page.locator("#query")).to_have_value("red fox")
    search(page, "silver storm")
    expect(page).to_have_url(re.compile(r"q=silver\+storm"))
    page.go_back()
    expect(page.locator("#query")).to_have_value("red fox")
    expect(page.locator("#hits-funnel .hit")).to_have_count(10)


def test_markup_in_documents_queries_and_addresses_stays_text(
    page: Page, shared: Playground
) -> None:
    page.goto(f"{shared.url}/?q=red+fox+%3Cimg+src%3Dx+onerror%3Dalert(1)%3E&index={shared.index}")
    hit = page.locator('#hits-bm25 .hit[data-id="markup"]')
    expect(hit.locator(".title")).to_have_text(documents()["markup"]["title"])
    assert XSS in hit.locator(".title").inner_text()
    hit.locator(".open").click()
    expect(hit.locator(".trace")).to_be_visible()
    assert page.locator("main img").count() == 0
    assert "owned" not in page.title()


def test_errors_are_shown_and_go_away(page: Page, start: Callable[..., Any]) -> None:
    here = start(rerank=RERANK)
    page.goto(f"{here.url}/?q=red&index=nothing")
    expect(page.locator("#error")).to_have_text("No plan is applied to nothing.")
    page.locator("#index").select_option(here.index)
    search(page, QUERY)
    expect(page.locator("#error")).to_be_hidden()
    here.client.indices.delete(index=here.index)
    page.keyboard.press("Enter")
    expect(page.locator("#error")).to_contain_text("no such index")
    expect(page.locator("#results")).to_be_hidden()


def test_a_service_that_is_gone_is_named(page: Page, shared: Playground) -> None:
    visit(page, shared)
    search(page, QUERY)
    page.context.set_offline(True)
    page.keyboard.press("Enter")
    expect(page.locator("#error")).to_contain_text("The service does not answer")


def test_a_degraded_answer_says_what_stands(page: Page, start: Callable[..., Any]) -> None:
    here = start(rerank=RERANK)
    here.scorer.broken = True
    visit(page, here)
    search(page, QUERY)
    expect(page.locator("#degraded")).to_contain_text("the fused order stands")
    here.scorer.broken = False
    search(page, "silver")
    expect(page.locator("#degraded")).to_be_hidden()


def test_nothing_found_is_said(page: Page, shared: Playground) -> None:
    visit(page, shared)
    search(page, "zzzzzz")
    expect(page.locator("#hits-bm25 .none")).to_have_text("No document found.")


def test_the_token_is_asked_for_and_kept_for_the_tab(
    page: Page, client: OpenSearch, index_name: str, scorer: Scorer
) -> None:
    fill(client, index_name, shards=1)
    with playground(client, index_name, scorer=scorer, token=TOKEN) as here:
        page.goto(f"{here.url}/?index={index_name}")
        expect(page.locator("#token")).to_be_focused()
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#token")).to_be_focused()
        expect(page.locator("#token")).to_have_value("")
        page.keyboard.type(TOKEN)
        page.keyboard.press("Enter")
        expect(page.locator("#index")).to_have_value(index_name)
        expect(page.locator("#ask-token")).to_be_hidden()
        page.reload()
        expect(page.locator("#index")).to_have_value(index_name)
        assert TOKEN not in page.url


def test_a_late_refusal_of_a_wrong_token_takes_nothing_from_the_right_one(
    page: Page, client: OpenSearch, index_name: str, scorer: Scorer
) -> None:
    fill(client, index_name, shards=1)
    late: list[Route] = []

    def hold_wrong(route: Route) -> None:
        if route.request.headers.get("authorization") == "Bearer wrong":
            late.append(route)
        else:
            route.continue_()

    with playground(client, index_name, scorer=scorer, token=TOKEN) as here:
        page.route("**/search/indices", hold_wrong)
        page.goto(f"{here.url}/?index={index_name}")
        expect(page.locator("#token")).to_be_focused()
        for token in ("wrong", TOKEN):
            page.keyboard.type(token)
            page.keyboard.press("Enter")
        expect(page.locator("#index")).to_have_value(index_name)
        with page.expect_response(lambda response: response.status == 401):
            late[0].continue_()
        page.reload()
        expect(page.locator("#index")).to_have_value(index_name)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_text_can_be_read_and_nothing_runs_over_the_edge(
    browser: Browser, shared: Playground, scheme: Any, width: int
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 844}, color_scheme=scheme, reduced_motion="reduce"
    )
    try:
        page = context.new_page()
        page.goto(f"{shared.url}/?q=red+fox&index={shared.index}")
        page.locator("#hits-funnel .open").first.click()
        expect(page.locator("#trace-funnel-1")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        faint = page.evaluate(LOW_CONTRAST)
        assert faint == []
    finally:
        context.close()


LOW_CONTRAST = """() => {
  const channel = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.closest(".sr, .skip")) continue;
    const pair = [light(parse(getComputedStyle(e).color)), light(behind(e))].sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (ratio < 4.5) found.push(`${e.className} ${ratio.toFixed(2)} ${e.textContent.slice(0, 30)}`);
  }
  return [...new Set(found)];
}"""
"""Every visible text whose contrast is below what WCAG 2 asks for (AA, 4.5 to 1)."""
