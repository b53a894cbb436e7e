"""The checks of the pages themselves: each is shown a page with the fault it is there to find, and one without."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.book import checks

GOOD = """<!doctype html><html lang="en"><head><title>t</title><link rel="icon" href="data:,"></head>
<body><main><h1 id="top">Title</h1>%s</main></body></html>"""


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(
        viewport={"width": 390, "height": 800}, permissions=["clipboard-read", "clipboard-write"]
    )
    yield context
    context.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    with checks.serve(tmp_path) as address:
        yield address


def write(folder: Path, content: str) -> None:
    (folder / "page.html").write_text(GOOD % content, encoding="utf-8")


def test_a_good_page_has_no_faults(context: BrowserContext, site: str, tmp_path: Path) -> None:
    write(tmp_path, "<p>Text and <a href='#top'>a link</a>.</p>")
    page, faults = checks.open_page(context, site + "page.html")
    faults += checks.mathematics_faults(page) + checks.overflow_faults(page) + checks.accessibility_faults(page)
    assert faults + checks.link_faults(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("<script src='https://cdn.example/x.js'></script>", "asks another host: https://cdn.example/x.js"),
        ("<img alt='x' src='absent.png'>", "status 404"),
        ("<script>console.warn('careful')</script>", "console warning: careful"),
        ("<script>absent()</script>", "script error: absent is not defined"),
    ],
)
def test_a_page_that_loads_badly_is_caught(
    context: BrowserContext, site: str, tmp_path: Path, content: str, fault: str
) -> None:
    write(tmp_path, content)
    _, faults = checks.open_page(context, site + "page.html")
    assert any(fault in found for found in faults)


@pytest.mark.parametrize(
    ("check", "content", "fault"),
    [
        (checks.mathematics_faults, r"<p class='math'>\(x\)</p>", r"not typeset: \(x\)"),
        (checks.mathematics_faults, "<mjx-merror>Undefined</mjx-merror>", "TeX error: Undefined"),
        (checks.accessibility_faults, "<p style='color: #aaa'>faint</p>", "color-contrast"),
        (checks.accessibility_faults, "<img src='data:,'>", "image-alt"),
        (checks.overflow_faults, "<p style='width: 500px'>wide</p>", "too wide: <p"),
        (checks.overflow_faults, "<pre>" + 80 * "long " + "</pre>", "too wide: <pre"),
        (checks.copy_faults, "<div class='highlight'><pre>x</pre></div>", "no copy button"),
        (
            checks.copy_faults,
            "<div class='highlight'><pre>x = 1</pre><button class='copybtn'>copy</button></div>",
            "the page shows 'x = 1'",
        ),
    ],
)
def test_a_planted_fault_is_caught(
    context: BrowserContext, site: str, tmp_path: Path, check: object, content: str, fault: str
) -> None:
    write(tmp_path, content)
    page, _ = checks.open_page(context, site + "page.html")
    assert callable(check)
    assert any(fault in found for found in check(page))


@pytest.mark.parametrize(
    ("link", "fault"),
    [
        ("absent.html", "absent.html leads to no file"),
        ("sub/%C3%A4.html", "leads to no file"),
        ("#absent", "#absent leads to no anchor"),
        ("page.html#absent", "page.html#absent leads to no anchor"),
    ],
)
def test_a_broken_link_is_caught(tmp_path: Path, link: str, fault: str) -> None:
    write(tmp_path, f"<a href='{link}'>link</a>")
    assert [found for found in checks.link_faults(tmp_path) if fault in found]


def test_a_link_that_is_good_or_leads_elsewhere_is_no_fault(tmp_path: Path) -> None:
    write(tmp_path, "<a href='page.html?q=1#top'>a</a> <a href='https://example.org/#x'>b</a> <a href='mailto:x'>c</a>")
    assert checks.link_faults(tmp_path) == []
