"""The slider of the built chapter, moved from the keyboard in a real browser; and sliders with faults, which must be found."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page

from companion.slider import Slider
from tests.book.checks import figure_faults, place

ROOT = Path(__file__).parents[2] / "_build" / "html"
CHAPTER, FIGURE = "book/recurrent-networks.html", ".slider-figure"

# What the page shows at this moment: the positions whose curves are visible, and what is said about them.
SHOWN = """figure => {
    const charts = [...figure.querySelectorAll("g[data-value]")];
    return {
        visible: charts.flatMap((chart, k) => getComputedStyle(chart).display === "none" ? [] : [k]),
        values: charts.map(chart => chart.dataset.value),
        sentences: charts.map(chart => chart.dataset.sentence),
        spoken: figure.querySelector("input").getAttribute("aria-valuetext"),
        said: figure.querySelector("output").textContent,
        label: figure.querySelector(".control b").textContent,
    };
}"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


def faults_at(figure: Locator, position: int) -> list[str]:
    """What is wrong while the slider stands at a position."""
    shown = figure.evaluate(SHOWN)
    value, sentence = shown["values"][position], shown["sentences"][position]
    found = {"aria-valuetext": shown["spoken"], "output": shown["said"], "label": shown["label"]}
    expected = {"aria-valuetext": value, "output": sentence, "label": value}
    faults = [f"{name} is {text!r}, not {expected[name]!r}" for name, text in found.items() if text != expected[name]]
    if shown["visible"] != [position]:
        faults.append(f"charts {shown['visible']} are visible")
    return [f"at position {position}: {fault}" for fault in faults]


def slider_faults(figure: Locator) -> list[str]:
    """Move a slider with the keys from its default one to the right, and then from its first position to its last."""
    shown, slider = figure.evaluate(SHOWN), figure.locator("input")
    default, n = int(slider.input_value()), len(shown["values"])
    faults = faults_at(figure, default)
    for field in ("values", "sentences"):
        faults += [] if len(set(shown[field])) == n else [f"two {field} are equal"]
    slider.focus()
    slider.press("ArrowRight")
    faults += faults_at(figure, min(default + 1, n - 1))
    slider.press("Home")
    for position in range(n):
        faults += faults_at(figure, position)
        slider.press("ArrowRight")
    return faults + faults_at(figure, n - 1)


def test_slider_of_the_chapter_answers_to_the_keyboard(browser: Browser) -> None:
    assert figure_faults(browser, ROOT / CHAPTER, FIGURE, slider_faults) == []


# ---- each check finds the fault it is there for


def figure_in(page: Page, *changes: tuple[str, str]) -> Locator:
    """A small slider, with changes as `place` takes them."""
    y = np.arange(1.0, 9.0).reshape(4, 2)
    texts = {"title": "Title", "xlabel": "x", "ylabel": "y"}
    sentences = [f"Sentence {k}." for k in range(4)]
    html = Slider("small", "size", [1, 2, 3, 4], [0, 1], {"curve": y}, sentences, default=1, **texts)._repr_html_()
    return place(page, html, FIGURE, *changes)


def test_a_slider_that_works_has_no_faults(page: Page) -> None:
    assert slider_faults(figure_in(page)) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("oninput=", "data-script="), "charts"),
        (("k == this.value", "k &lt;= this.value"), "charts"),
        (("this.setAttribute(", "void ("), "aria-valuetext"),
        (("querySelector(&#x27;output&#x27;).value", "querySelector(&#x27;output&#x27;).title"), "output"),
        (('<g display="none"', "<g"), "charts"),
        (('step="1"', 'step="2"'), "position"),
        (("Sentence 2.", "Sentence 3."), "two sentences are equal"),
    ],
)
def test_a_slider_with_a_fault_is_found(page: Page, change: tuple[str, str], fault: str) -> None:
    faults = slider_faults(figure_in(page, change))
    assert any(fault in text for text in faults), faults


def test_a_chapter_without_figures_or_with_a_fault_in_one_is_found(
    browser: Browser, page: Page, tmp_path: Path
) -> None:
    file = tmp_path / "book" / "chapter.html"
    file.parent.mkdir()
    for changes, found in (([], False), ([("Sentence 2.", "Sentence 3.")], True)):
        figure_in(page, *changes)
        file.write_text(page.content().replace("<title>", '<link rel="icon" href="data:,"><title>'), encoding="utf-8")
        assert bool(figure_faults(browser, file, FIGURE, slider_faults)) == found
    with pytest.raises(AssertionError, match=r"chapter\.html shows no \.timeline-figure"):
        figure_faults(browser, file, ".timeline-figure", slider_faults)
    with pytest.raises(AssertionError, match="run `make book`"):
        figure_faults(browser, tmp_path / "book" / "other.html", FIGURE, slider_faults)
