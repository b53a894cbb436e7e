"""What is asked of a built page. Every check returns the faults it found, in words; an empty list is a good page."""

import functools
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Response, Route

LINK_ATTRIBUTES = {"href", "src"}
COLOUR_RULES = ["color-contrast", "link-in-text-block"]  # of axe, and most of its time

# --- serving and opening -----------------------------------------------------------------------------------------


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve a folder on a free port of this machine; yields the address with a slash at its end."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def open_page(context: BrowserContext, url: str) -> tuple[Page, list[str]]:
    """Load a page to the end, mathematics included; the list holds what went wrong and grows while the page lives."""
    page, faults = context.new_page(), []

    def refuse(route: Route) -> None:
        faults.append(f"asks another host: {route.request.url}")
        route.abort()

    def note_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            faults.append(f"console {message.type}: {message.text}")

    def note_response(response: Response) -> None:
        if response.status >= 400:
            faults.append(f"status {response.status}: {response.url}")

    page.route(re.compile(f"^https?://(?!{re.escape(urlsplit(url).netloc)}/)"), refuse)
    page.on("console", note_console)
    page.on("pageerror", lambda error: faults.append(f"script error: {error}"))
    page.on("requestfailed", lambda request: faults.append(f"failed: {request.url} {request.failure}"))
    page.on("response", note_response)
    page.goto(url, wait_until="load")
    page.evaluate("window.MathJax?.startup?.promise.then(() => null)")
    settle(page)
    return page, faults


def settle(page: Page) -> None:
    """Wait for what the theme does late: it fades colours over, and looks for blocks that scroll after 0.3 s."""
    page.wait_for_timeout(350)
    page.evaluate("Promise.allSettled(document.getAnimations().map(a => a.finished)).then(() => null)")


# --- figures that answer to the reader ---------------------------------------------------------------------------


def place(page: Page, html: str, selector: str, *changes: tuple[str, str]) -> Locator:
    """What the selector finds in this HTML on a page of its own; each change replaces a part of the HTML."""
    for old, new in changes:
        assert old in html, old
        html = html.replace(old, new)
    page.set_content(f'<html lang="en"><title>Page</title><main><h1>Page</h1>{html}</main></html>')
    return page.locator(selector)


def figure_faults(browser: Browser, file: Path, selector: str, faults_of: Callable[[Locator], list[str]]) -> list[str]:
    """Open a built page and find the faults of each of its figures, and of the page while they are used."""
    assert file.is_file(), f"there is no {file}: run `make book`"
    context = browser.new_context()
    with serve(file.parents[1]) as address:
        page, faults = open_page(context, f"{address}{file.parent.name}/{file.name}")
        figures = page.locator(selector).all()
        assert figures, f"{file.name} shows no {selector}"
        for figure in figures:
            faults += faults_of(figure)
    context.close()
    return faults


# --- one open page -----------------------------------------------------------------------------------------------


def mathematics_faults(page: Page) -> list[str]:
    """Formulas that were not typeset, or that MathJax did not understand."""
    found: list[str] = page.evaluate(
        """() => [
            ...[...document.querySelectorAll(".math")].filter(e => !e.querySelector("mjx-container"))
                .map(e => "not typeset: " + e.textContent.trim()),
            ...[...document.querySelectorAll("mjx-merror, [data-mjx-error]")]
                .map(e => "TeX error: " + (e.dataset.mjxError || e.textContent)),
        ]"""
    )
    return found


def accessibility_faults(page: Page, **options: object) -> list[str]:
    """Serious and critical violations that axe finds, with the first element of each; `options` are axe's own."""
    # Without preloading: axe looks for imported style sheets at the wrong address, which would count as a failed request.
    options |= {"resultTypes": ["violations"], "preload": False}
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{v['id']} ({v['impact']}, {len(v['nodes'])} times): {node['html'][:160]} {node['failureSummary']}"
        for v in found
        if v["impact"] in ("serious", "critical")
        for node in v["nodes"][:1]
    ]


def overflow_faults(page: Page) -> list[str]:
    """What makes the page scroll sideways: the elements that end beyond the window and do not scroll by themselves."""
    found: list[str] = page.evaluate(
        """() => {
            const width = document.documentElement.clientWidth;
            if (document.documentElement.scrollWidth <= width) return [];
            const scrolls = e => e && (getComputedStyle(e).overflowX !== "visible" || scrolls(e.parentElement));
            const right = e => Math.max(e.getBoundingClientRect().right, e.getBoundingClientRect().left + e.scrollWidth);
            const wide = [...document.body.querySelectorAll("*")].filter(e => right(e) > width + 0.5 && !scrolls(e));
            const inmost = wide.filter(e => !wide.some(other => other !== e && e.contains(other)));
            return inmost.length ? inmost.map(e => "too wide: " + e.outerHTML.slice(0, 160)) : ["scrolls sideways"];
        }"""
    )
    return found


def copy_faults(page: Page) -> list[str]:
    """Whether the copy button of the first block of code puts that code into the clipboard."""
    block = page.locator("div.highlight", has=page.locator("button.copybtn")).first
    if not block.count():
        return ["no copy button"]
    shown = block.locator("pre").inner_text()
    block.hover()
    block.locator("button.copybtn").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    return [] if copied.strip() == shown.strip() else [f"copied {copied!r}, the page shows {shown!r}"]


# --- the files ---------------------------------------------------------------------------------------------------


class Anchors(HTMLParser):
    """The ids of a page and everything that it links to or loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            elif name in LINK_ATTRIBUTES and value:
                self.links.append(value)


def html_pages(root: Path) -> list[str]:
    """Pages of the book, as addresses below its root; index.html only leads to the first of them."""
    files = (file.relative_to(root).as_posix() for file in root.rglob("*.html"))
    return sorted(file for file in files if not file.startswith("_") and file != "index.html")


def link_faults(root: Path) -> list[str]:
    """Links of any page to a file or an anchor that is not there. Links to other hosts are not followed."""
    pages = {name: Anchors((root / name).read_text(encoding="utf-8")) for name in html_pages(root)}
    faults = []
    for name, page in pages.items():
        for link in page.links:
            parts = urlsplit(urljoin(f"http://book/{name}", link))
            if parts.netloc != "book" or parts.scheme != "http":
                continue
            target, anchor = unquote(parts.path).lstrip("/"), unquote(parts.fragment)
            if not (root / target).is_file():
                faults.append(f"{name}: {link} leads to no file")
            elif anchor and target in pages and anchor not in pages[target].ids:
                faults.append(f"{name}: {link} leads to no anchor")
    return faults
