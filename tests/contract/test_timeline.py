"""A timeline: right HTML, one event chosen, all of them in the list, years at their true places."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from companion.data import history
from companion.timeline import Event, timeline

VOID = {"input", "line", "circle"}
EVENTS = [
    Event(1982, "Hopfield nets", "Hopfield, 1982", "A net settles."),
    Event(1990, "Elman nets", "Elman, 1990", "A state is fed back."),
    Event(1990, "Jordan nets", "Jordan, 1986", "An output is fed back."),
    Event(1997, "LSTM", "Hochreiter and Schmidhuber, 1997", "A cell remembers."),
    Event(2014, "NTM", "Graves and others, 2014", "A net reads and writes."),
]
N = len(EVENTS)


class Parsed(HTMLParser):
    """Elements with their attributes, and all the text in each of them; all are closed in the right order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.open: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, dict(attrs), []))
        if tag not in VOID:
            self.open.append(self.elements[-1])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        for _, _, words in self.open:
            words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes, _ in self.elements if name == tag]

    def text(self, tag: str) -> list[str]:
        return ["".join(words) for name, _, words in self.elements if name == tag]


def parsed(events: list[Event] = EVENTS, title: str = "Who?") -> Parsed:
    return Parsed(timeline(events, title)._repr_html_())


def percent(text: str | None) -> float:
    assert text is not None
    assert text.endswith("%")
    return float(text[:-1])


def places(events: list[Event]) -> list[float]:
    """How far down the axis the circle of every event is, in percent."""
    return [percent(circle["cy"]) for circle in parsed(events).all("circle")]


def ticks(*years: int) -> list[int]:
    """The numbers on the axis; equal steps apart, from its top to its bottom."""
    page = parsed([Event(year, f"event {k}", "s", "s") for k, year in enumerate(years)])
    np.testing.assert_allclose(
        [percent(text["y"]) for text in page.all("text")], np.linspace(0, 100, len(page.all("text"))), atol=0.01
    )
    return [int(text) for text in page.text("text")]


def test_exactly_the_first_event_is_chosen() -> None:
    buttons = parsed().all("input")
    assert [button["type"] for button in buttons] == ["radio"] * N
    assert ["checked" in button for button in buttons] == [True] + [False] * (N - 1)
    assert {button["autocomplete"] for button in buttons} == {"off"}  # or a browser restores the choice of a last visit


def test_buttons_are_one_group_each_with_its_label_and_its_description() -> None:
    page = parsed()
    assert len({button["name"] for button in page.all("input")}) == 1
    assert [(div["role"], div["aria-label"]) for div in page.all("div") if "role" in div] == [("radiogroup", "Who?")]
    assert page.text("label") == [f"{event.year} {event.name}" for event in EVENTS]
    about = {attributes["id"]: "".join(words) for tag, attributes, words in page.elements if "id" in attributes}
    described = [about[button["aria-describedby"]] for button in page.all("input")]
    assert described == [f"{e.year} {e.name} {e.sentence} {e.source}" for e in EVENTS]
    assert all(svg == {"aria-hidden": "true"} for svg in page.all("svg"))
    reached = [*page.all("input"), *page.all("summary")]
    assert {element.get("data-lm-suppress-shortcuts") for element in reached} == {"true"}  # keys reach it in JupyterLab


def test_list_holds_every_event_whole() -> None:
    assert parsed().text("li") == [f"{e.year} {e.name} ({e.source}): {e.sentence}" for e in EVENTS]


def test_events_come_in_the_order_of_their_years_and_otherwise_as_given() -> None:
    events = [EVENTS[k] for k in (4, 3, 1, 2, 0)]
    shown = timeline(events, "Who?")
    assert list(shown.events) == EVENTS
    assert shown._repr_html_() == timeline(EVENTS, "Who?")._repr_html_()
    assert events[0] == EVENTS[4]  # the argument is as it was


def test_years_have_their_true_places_on_the_axis() -> None:
    np.testing.assert_allclose(places(EVENTS), [100 * (e.year - 1980) / 35 for e in EVENTS], atol=0.01)
    assert ticks(*(event.year for event in EVENTS)) == [1980, 1985, 1990, 1995, 2000, 2005, 2010, 2015]


def test_a_line_leads_from_every_circle_to_the_middle_of_its_row() -> None:
    page = parsed()
    lines = [line for line in page.all("line") if line["x2"] == "100%"]
    assert [line["y1"] for line in lines] == [circle["cy"] for circle in page.all("circle")]
    np.testing.assert_allclose([percent(line["y2"]) for line in lines], 100 * (np.arange(N) + 0.5) / N, atol=0.01)
    assert [label["style"] for label in page.all("label")] == [f"grid-area: {row} / 2" for row in range(1, N + 1)]


@pytest.mark.parametrize(
    ("years", "expected"),
    [
        ((1997,), [1997, 1998]),
        ((1990, 1990), [1990, 1991]),
        ((1990, 1998), list(range(1990, 1999))),
        ((1990, 1999), [1990, 1992, 1994, 1996, 1998, 2000]),
        ((1911, 1989), [1910, 1920, 1930, 1940, 1950, 1960, 1970, 1980, 1990]),
        ((1, 9999), [0, 2000, 4000, 6000, 8000, 10000]),
    ],
    ids=str,
)
def test_axis_has_at_most_nine_round_years_around_the_events(years: tuple[int, ...], expected: list[int]) -> None:
    assert ticks(*years) == expected


@pytest.mark.parametrize("n", [1, 2, 6, 7, 8, 30])
def test_every_sentence_has_rows_beside_its_event(n: int) -> None:
    page = parsed([Event(1980 + k, f"event {k}", "s", "s") for k in range(n)])
    spans = [re.findall(r"\d+", str(div["style"])) for div in page.all("div") if div.get("class") == "event"]
    for row, (first, end) in enumerate(spans, 1):
        assert 1 <= int(first) <= row < int(end) <= n + 1
        assert int(end) - int(first) == min(7, n)


def test_text_is_escaped() -> None:
    evil = '</p><script>alert("1")</script>&\''
    page = parsed([Event(1990, evil, evil, evil)], evil)
    assert page.all("script") == []
    assert page.text("label") == [f"1990 {evil}"]
    assert page.text("li") == [f"1990 {evil} ({evil}): {evil}"]
    assert page.text("p") == [evil, f"1990 {evil} {evil} {evil}"]


def test_it_needs_no_script_and_no_other_host() -> None:
    html = timeline(EVENTS, "Who?")._repr_html_()
    assert not re.search(r"<script|\son\w+=|javascript:|https?:|@import|url\(", html)


def test_same_events_give_the_same_bytes_and_others_share_no_id() -> None:
    first, again = timeline(EVENTS, "Who?"), timeline(list(EVENTS), "Who?")
    assert first._repr_html_() == first._repr_html_() == again._repr_html_()
    others = [parsed(EVENTS[1:]), parsed(title="What?"), parsed()]
    names = {button["name"] for page in others for button in page.all("input")}
    ids = [attributes["id"] for page in others for _, attributes, _ in page.elements if "id" in attributes]
    assert len(names) == 3
    assert len(set(ids)) == len(ids) == 3 * N - 1


def test_events_may_come_one_by_one_with_years_of_numpy() -> None:
    received = timeline((event._replace(year=np.int16(event.year)) for event in EVENTS), "Who?")
    assert received._repr_html_() == timeline(EVENTS, "Who?")._repr_html_()


def test_the_history_of_the_book_is_a_timeline_of_sentences() -> None:
    shown = timeline([Event(*row) for row in history.EVENTS], "Who?")
    assert len(shown.events) == len(history.EVENTS)
    assert [event.year for event in shown.events] == [row[0] for row in history.EVENTS]
    assert all(event.sentence.endswith(".") and str(event.year) in event.source for event in shown.events)


def test_plain_text_says_all() -> None:
    assert repr(timeline(EVENTS[:2], "Who?")) == (
        "Who?\n"
        "  1982 Hopfield nets (Hopfield, 1982): A net settles.\n"
        "  1990 Elman nets (Elman, 1990): A state is fed back."
    )


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([], "events is empty, expected one or more"),
        ([(1990, "a", "b", "c")], r"events\[0\] is a tuple, expected Event"),
        ([Event(1990.0, "a", "b", "c")], r"events\[0\]\.year is 1990\.0, expected an integer in 1\.\.9999"),
        ([Event("1990", "a", "b", "c")], r"events\[0\]\.year is '1990'"),
        ([Event(True, "a", "b", "c")], r"events\[0\]\.year is True"),
        ([Event(0, "a", "b", "c")], r"events\[0\]\.year is 0"),
        ([Event(10000, "a", "b", "c")], r"events\[0\]\.year is 10000"),
        ([EVENTS[0], Event(1990, " ", "b", "c")], r"events\[1\]\.name is ' ', expected a text that is not blank"),
        ([Event(1990, "a", "", "c")], r"events\[0\]\.source is ''"),
        ([Event(1990, "a", "b", None)], r"events\[0\]\.sentence is None"),
        ([*EVENTS, EVENTS[3]], "2 events have the name 'LSTM', expected names that differ"),
        ([*EVENTS, EVENTS[3]._replace(year=1998)], "2 events have the name 'LSTM'"),
    ],
    ids=str,
)
def test_what_is_no_timeline_is_refused(events: Any, message: str) -> None:
    with pytest.raises(ValueError, match="timeline: " + message):
        timeline(events, "Who?")


def test_a_blank_title_is_refused() -> None:
    with pytest.raises(ValueError, match="timeline: title is '', expected a text that is not blank"):
        timeline(EVENTS, "")
