"""The built book in a real browser: every page, light and dark, wide and narrow; and the links of all its files."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ViewportSize

from tests.book.checks import (
    COLOUR_RULES,
    accessibility_faults,
    copy_faults,
    html_pages,
    link_faults,
    mathematics_faults,
    open_page,
    overflow_faults,
    serve,
    settle,
)

ROOT = Path(__file__).parents[2] / "_build" / "html"
WIDE: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
WITHOUT_COLOURS = {rule: {"enabled": False} for rule in COLOUR_RULES}


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport=WIDE, permissions=["clipboard-read", "clipboard-write"])
    yield context
    context.close()


@pytest.fixture(scope="session")
def book() -> Iterator[str]:
    test_the_book_is_built()
    with serve(ROOT) as address:
        yield address


def test_the_book_is_built() -> None:
    assert html_pages(ROOT), f"no pages in {ROOT}: run `make book`"


@pytest.mark.parametrize("name", html_pages(ROOT))
def test_page_loads_reads_and_fits(context: BrowserContext, book: str, name: str) -> None:
    page, faults = open_page(context, book + name)
    faults += [f"maths: {fault}" for fault in mathematics_faults(page)]
    faults += [f"light: {fault}" for fault in accessibility_faults(page)]
    # What depends on neither colours nor width has been judged and is not judged again.
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    settle(page)
    faults += [f"dark: {fault}" for fault in accessibility_faults(page, runOnly=COLOUR_RULES)]
    page.set_viewport_size(PHONE)
    settle(page)
    faults += [f"phone: {fault}" for fault in overflow_faults(page)]
    faults += [f"phone: {fault}" for fault in accessibility_faults(page, rules=WITHOUT_COLOURS)]
    assert faults == []


def test_index_leads_to_the_first_page(context: BrowserContext, book: str) -> None:
    page = context.new_page()
    page.goto(book)
    page.wait_for_url(book + "book/intro.html")


def test_copy_button_copies_the_code(context: BrowserContext, book: str) -> None:
    page, faults = open_page(context, book + "book/neural-networks.html")
    assert faults + copy_faults(page) == []


def test_search_finds_a_word(context: BrowserContext, book: str) -> None:
    page, faults = open_page(context, book + "search.html?q=softmax")
    page.locator("#search-results li a").first.wait_for(timeout=10_000)
    assert faults == []


def test_every_link_leads_somewhere() -> None:
    test_the_book_is_built()
    assert link_faults(ROOT) == []
