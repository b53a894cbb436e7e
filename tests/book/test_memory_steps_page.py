"""The machine step by step in a real browser: its keys, its buttons, its play; and figures with faults, which must be found."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page

from companion.memory_steps import memory_steps
from companion.memory_trace import sentence
from tests.book.checks import accessibility_faults, figure_faults, overflow_faults, place
from tests.contract.copying import copied

ROOT = Path(__file__).parents[2] / "_build" / "html"
CHAPTER, FIGURE = "book/neural-turing-machine.html", ".memory-steps"
LENGTH, T = 4, 9

# What the page shows at this moment: the steps that are visible, what is said about them, and whether it plays.
SHOWN = """figure => {
    const steps = [...figure.querySelectorAll("g[data-sentence]")];
    return {
        visible: steps.flatMap((step, k) => getComputedStyle(step).display === "none" ? [] : [k + 1]),
        sentences: steps.map(step => step.dataset.sentence),
        spoken: figure.querySelector("input").getAttribute("aria-valuetext"),
        label: figure.querySelector("label b").textContent,
        said: figure.querySelector("output").textContent,
        live: figure.querySelector("output").getAttribute("aria-live"),
        play: figure.querySelector(".play").textContent,
    };
}"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


def faults_at(figure: Locator, step: int, playing: bool = False) -> list[str]:
    """What is wrong while a step, counted from 1, is chosen."""
    shown = figure.evaluate(SHOWN)
    place = f"{step} of {len(shown['sentences'])}"
    expected = {"visible": [step], "said": shown["sentences"][step - 1], "spoken": place, "label": place}
    expected |= {"live": "off", "play": "Pause"} if playing else {"live": "polite", "play": "Play"}
    return [f"at step {step}: {name} is {shown[name]!r}" for name in expected if shown[name] != expected[name]]


def walk_faults(figure: Locator) -> list[str]:
    """Go forward with the slider's keys, back with the keys of a button, and once with each button; begins at step 1."""
    slider, n = figure.locator("input"), figure.locator("g[data-sentence]").count()
    press, faults = figure.page.keyboard.press, faults_at(figure, 1)
    slider.focus()
    for step in range(2, n + 1):
        press("ArrowRight")
        faults += faults_at(figure, step)
    figure.get_by_role("button", name="Forward").click()
    faults += faults_at(figure, n)
    for step in range(n - 1, 0, -1):
        press("ArrowLeft")
        faults += faults_at(figure, step)
    press("ArrowRight")
    faults += faults_at(figure, 2)
    figure.get_by_role("button", name="Back").click()
    return faults + faults_at(figure, 1)


def play_faults(figure: Locator) -> list[str]:
    """Let it play from the last step but two, stop it with the same button, and let it play to the end; the clock is ours."""
    page, n = figure.page, figure.locator("g[data-sentence]").count()
    page.clock.run_for(5000)
    faults = faults_at(figure, 1)  # it does not begin by itself
    figure.locator("input").press("End")
    for _ in range(2):
        figure.locator("input").press("ArrowLeft")
    play = figure.locator(".play")
    play.press("Enter")
    page.clock.run_for(1100)
    faults += faults_at(figure, n - 1, playing=True)
    play.press("Enter")
    page.clock.run_for(5000)
    faults += faults_at(figure, n - 1)
    play.press("Enter")
    page.clock.run_for(5000)
    faults += faults_at(figure, n)
    play.press("Enter")  # and again from the start, until the reader moves
    faults += faults_at(figure, 1, playing=True)
    page.clock.run_for(1100)
    faults += faults_at(figure, 2, playing=True)
    figure.locator("input").press("ArrowRight")
    page.clock.run_for(5000)
    return faults + faults_at(figure, 3)


def test_steps_of_the_chapter_answer_to_the_keyboard(browser: Browser) -> None:
    assert figure_faults(browser, ROOT / CHAPTER, FIGURE, walk_faults) == []


def figure_in(page: Page, *changes: tuple[str, str]) -> Locator:
    """A figure, with changes as `place` takes them."""
    names = [f"vector {k + 1}" for k in range(LENGTH)] + ["delimiter"] + [f"answer {k + 1}" for k in range(LENGTH)]
    html = memory_steps(copied(LENGTH)[0], "How does a machine copy four vectors?", names)._repr_html_()
    return place(page, html, FIGURE, *changes)


@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_steps_work_and_are_accessible_at_every_width(browser: Browser, width: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    figure = figure_in(page, ("<style>", "<style>:root { color-scheme: light dark; }"))
    faults = walk_faults(figure)
    figure.locator("summary").click()
    assert figure.locator("tbody tr").count() == T
    faults += overflow_faults(page) + accessibility_faults(page)
    context.close()
    assert faults == []


def test_it_plays_only_when_asked_and_says_nothing_meanwhile(page: Page) -> None:
    page.clock.install()
    assert play_faults(figure_in(page)) == []


def test_it_does_not_play_where_the_reader_wants_less_motion(browser: Browser) -> None:
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    figure = figure_in(page)
    assert figure.locator(".play").is_hidden()
    assert walk_faults(figure) == []
    context.close()


def test_play_stops_where_the_figure_is_removed_or_the_wish_comes_later(page: Page) -> None:
    page.clock.install()
    figure = figure_in(page)
    figure.locator(".play").click()
    page.emulate_media(reduced_motion="reduce")
    page.clock.run_for(5000)
    assert faults_at(figure, 2) == []
    page.emulate_media(reduced_motion="no-preference")
    figure.locator(".play").click()
    assert page.evaluate("(window.kept = document.querySelector('.memory-steps')).remove()") is None
    page.clock.run_for(5000)
    assert page.evaluate("kept.querySelector('.play').timer") is False


def test_a_notebook_may_put_it_into_its_page_later_and_more_than_once(page: Page) -> None:
    figure_in(page)
    page.evaluate("const main = document.querySelector('main'); main.innerHTML = main.innerHTML + main.innerHTML")
    for figure in page.locator(FIGURE).all():
        assert walk_faults(figure) == []


def test_keys_of_the_browser_remain_its_own(page: Page) -> None:
    figure = figure_in(page)
    figure.locator(".forward").focus()
    for keys in ("Control+ArrowRight", "ArrowDown", "Tab"):
        page.keyboard.press(keys)
    assert faults_at(figure, 1) == []
    assert figure.locator("input").evaluate("slider => slider === document.activeElement")


def test_first_step_its_sentence_and_the_table_remain_where_scripts_are_off(browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    figure = figure_in(context.new_page())
    groups = figure.locator("g[data-sentence]").all()
    assert [group.is_visible() for group in groups] == [True] + [False] * (T - 1)
    assert figure.locator("output").inner_text() == sentence(copied(LENGTH)[0], 0, "vector 1")
    assert figure.locator(".controls").is_hidden()
    figure.locator("summary").click()
    assert [row.is_visible() for row in figure.locator("tr").all()] == [True] * (T + 1)
    context.close()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("oninput=", "data-script="), "visible"),
        (("k + 1 == this.value", "k == this.value"), "visible"),
        (("this.setAttribute(", "void ("), "spoken"),
        (("querySelector(&#x27;output&#x27;).value", "querySelector(&#x27;output&#x27;).title"), "said"),
        (("querySelector(&#x27;label b&#x27;).textContent", "title"), "label"),
        (("onkeydown=", "data-script="), "visible"),
        (("range.stepDown()", "range.stepUp()"), "visible"),
        (('<g display="none"', "<g"), "visible"),
        (('step="1"', 'step="2"'), "visible"),
    ],
)
def test_a_figure_with_a_fault_is_found(page: Page, change: tuple[str, str], fault: str) -> None:
    faults = walk_faults(figure_in(page, change))
    assert any(f"{fault} is" in text for text in faults), faults


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("starts ? &#x27;off&#x27;", "starts ? &#x27;polite&#x27;"), "live"),
        (("clearInterval(this.timer)", "0"), "visible"),
        (("if (event &amp;&amp; play.timer)", "if (false)"), "play"),
        (("if (range.value == range.max ||", "if ("), "play"),
        (("starts &amp;&amp; range.value", "false &amp;&amp; range.value"), "visible"),
    ],
)
def test_a_play_with_a_fault_is_found(page: Page, change: tuple[str, str], fault: str) -> None:
    page.clock.install()
    faults = play_faults(figure_in(page, change))
    assert any(f"{fault} is" in text for text in faults), faults
