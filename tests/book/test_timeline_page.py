"""The timeline of the built chapter, used from the keyboard in a real browser; and timelines with faults, which must be found."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page

from companion.timeline import Event, timeline
from tests.book.checks import accessibility_faults, figure_faults, overflow_faults, place

ROOT = Path(__file__).parents[2] / "_build" / "html"
CHAPTER, FIGURE = "book/why-sequences.html", ".timeline-figure"

EVENTS = [
    Event(
        year, f"A name of several words {k}", "Two authors, and others", f"Sentence {k}, which takes some words to say."
    )
    for k, year in enumerate([1982, 1986, 1986, 1989, 1990, 1997, 1997, 2014, 2014, 2014])
]

# What the page shows at this moment: which sentences are visible, which marks stand out, and whether lines meet their labels.
SHOWN = """figure => {
    const events = [...figure.querySelectorAll(".event")], box = element => element.getBoundingClientRect();
    const where = test => events.flatMap((event, k) => test(event) ? [k] : []);
    const colour = event => getComputedStyle(event.querySelector("circle")).fill, colours = events.map(colour);
    return {
        sentences: where(event => getComputedStyle(event.querySelector(".about")).visibility === "visible"),
        marks: where(event => colours.filter(other => other === colour(event)).length === 1),
        apart: where(event => {
            const line = event.querySelector("line"), button = box(event.querySelector("input"));
            const end = box(line.ownerSVGElement).top + line.y2.baseVal.value;
            return Math.abs(end - (button.top + button.bottom) / 2) > 2;
        }),
        overlapping: where(event => {
            const [label, next] = [event, event.nextElementSibling].map(row => row?.querySelector("label"));
            return next && box(label).bottom > box(next).top + 0.5;
        }),
    };
}"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


def faults_at(figure: Locator, position: int) -> list[str]:
    """What is wrong while an event is chosen."""
    shown = figure.evaluate(SHOWN)
    faults = [f"{name} {shown[name]} are shown" for name in ("sentences", "marks") if shown[name] != [position]]
    faults += [f"events {shown[name]} are {name}" for name in ("apart", "overlapping") if shown[name]]
    return [f"at event {position}: {fault}" for fault in faults]


def timeline_faults(figure: Locator) -> list[str]:
    """Choose every event with the arrow keys, and the second with a click; the first is chosen before."""
    buttons, n = figure.locator("input"), figure.locator(".event").count()
    faults = faults_at(figure, 0)
    buttons.first.focus()
    for position in [*range(1, n), 0]:
        figure.page.keyboard.press("ArrowDown")
        faults += faults_at(figure, position)
    figure.locator("label").nth(1).click()
    return faults + faults_at(figure, 1)


def description(page: Page, position: int) -> tuple[str, str]:
    """Name and description of a radio button, as the browser tells them to a screen reader."""
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    button = [node for node in nodes if node.get("role", {}).get("value") == "radio"][position]
    return button["name"]["value"], button["description"]["value"]


def test_timeline_of_the_chapter_answers_to_the_keyboard(browser: Browser) -> None:
    assert figure_faults(browser, ROOT / CHAPTER, FIGURE, timeline_faults) == []


def figure_in(page: Page, *changes: tuple[str, str]) -> Locator:
    """A timeline, with changes as `place` takes them."""
    return place(page, timeline(EVENTS, "Who came when?")._repr_html_(), FIGURE, *changes)


@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_timeline_works_and_is_accessible_at_every_width(browser: Browser, width: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    figure = figure_in(page, ("<style>", "<style>:root { color-scheme: light dark; }"))
    faults = timeline_faults(figure)
    figure.locator("summary").click()
    assert figure.locator("li").all_inner_texts() == [f"{e.year} {e.name} ({e.source}): {e.sentence}" for e in EVENTS]
    faults += overflow_faults(page) + accessibility_faults(page)
    context.close()
    assert faults == []


def test_a_screen_reader_hears_the_sentence_of_every_event(page: Page) -> None:
    figure_in(page)
    for position in (0, 4):
        event = EVENTS[position]
        name = f"{event.year} {event.name}"
        assert description(page, position) == (name, f"{name} {event.sentence} {event.source}")


def test_timeline_works_where_scripts_are_off(browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    faults = timeline_faults(figure_in(context.new_page()))
    context.close()
    assert faults == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ((".event:has(:checked) .about", ".event .about"), "sentences"),
        ((".about { visibility: visible", ".about { visibility: hidden"), "sentences"),
        (('type="radio"', 'type="checkbox"'), "sentences"),
        ((" circle { fill: var(--chosen)", " circle { opacity: 1"), "marks"),
        (('y2="15.00%"', 'y2="20.00%"'), "apart"),
        (("grid-area: 9 / 2", "grid-area: 8 / 2"), "overlapping"),
    ],
)
def test_a_timeline_with_a_fault_is_found(page: Page, change: tuple[str, str], fault: str) -> None:
    faults = timeline_faults(figure_in(page, change))
    assert any(fault in text for text in faults), faults
