"""A chart with a slider: right HTML, one chart shown, every number in the table, points where the numbers say."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from companion.slider import PLOT_HEIGHT, PLOT_WIDTH, Axis, Slider

VOID = {"input", "br", "img", "hr", "meta", "link"}
N, M = 3, 5


class Parsed(HTMLParser):
    """Elements with their attributes and texts, all closed in the right order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1], data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]

    def charts(self) -> list[dict[str, str | None]]:
        return [attributes for attributes in self.all("g") if "data-value" in attributes]


def given(rng: np.random.Generator, **changes: Any) -> dict[str, Any]:
    return {
        "name": "decay",
        "label": "spectral radius",
        "values": [0.5, 1.0, 2.0],
        "x": [0, 1, 2, 5, 9],
        "series": {"tanh": rng.uniform(0.1, 2, (N, M)), "ReLU": list(rng.uniform(0.1, 2, (N, M)))},
        "sentences": ["It decays.", "It stays.", "It grows."],
        "title": "How much is left?",
        "xlabel": "lag (steps)",
        "ylabel": "norm",
    } | changes


def parsed(rng: np.random.Generator, **changes: Any) -> Parsed:
    return Parsed(Slider(**given(rng, **changes))._repr_html_())


def coordinates(rng: np.random.Generator, curve: list[float], **changes: Any) -> list[list[float]]:
    """What is drawn of one curve at the first position."""
    page = parsed(rng, series={"curve": [curve] * N}, **changes)
    drawn = [attributes["points"] for attributes in page.all("polyline")][1]  # the first is the legend's
    return [[float(number) for number in point.split(",")] for point in str(drawn).split()]


@pytest.mark.parametrize("default", [0, 2])
def test_exactly_the_default_is_shown(rng: np.random.Generator, default: int) -> None:
    page = parsed(rng, default=default)
    assert [chart["display"] == "inline" for chart in page.charts()] == [k == default for k in range(N)]
    assert {chart["display"] for chart in page.charts()} == {"inline", "none"}
    slider = page.all("input")[0]
    assert (slider["min"], slider["max"], slider["step"], slider["value"]) == ("0", str(N - 1), "1", str(default))
    value, sentence = (("0.5", "It decays."), (), ("2", "It grows."))[default]
    assert slider["aria-valuetext"] == value == page.charts()[default]["data-value"]
    assert page.text("output") == [sentence]
    assert page.text("b") == [value]


def test_slider_is_labelled_and_speaks(rng: np.random.Generator) -> None:
    page = parsed(rng)
    identity = page.all("input")[0]["id"]
    assert identity == "slider-decay"
    assert page.all("label") == [{"for": identity}]
    reached = [page.all("input")[0], page.all("summary")[0], *(div for div in page.all("div") if "tabindex" in div)]
    assert [element.get("data-lm-suppress-shortcuts") for element in reached] == [
        "true"
    ] * 3  # keys reach it in JupyterLab
    assert page.text("label") == ["spectral radius"]
    assert page.all("output") == [{"for": identity, "aria-live": "polite"}]
    assert [chart["data-sentence"] for chart in page.charts()] == ["It decays.", "It stays.", "It grows."]
    drawing = page.all("svg")[0]
    assert drawing["role"] == "img"
    assert "norm against lag (steps)" in str(drawing["aria-label"])


def test_two_sliders_share_no_id(rng: np.random.Generator) -> None:
    ids = [
        attributes["id"]
        for name in ("one", "two")
        for _, attributes in parsed(rng, name=name).elements
        if "id" in attributes
    ]
    assert len(set(ids)) == len(ids)


def test_table_holds_every_number_with_its_headings(rng: np.random.Generator) -> None:
    series = {"tanh": rng.uniform(0.1, 2, (N, M)), "ReLU": rng.uniform(1e-12, 1e-9, (N, M))}
    page = parsed(rng, series=series)
    expected = [f"{number:.3g}" for row in range(N) for curves in series.values() for number in curves[row]]
    assert page.text("td") == expected
    heads = page.text("th")
    assert heads[: M + 2] == ["spectral radius", "curve", "0", "1", "2", "5", "9"]
    assert heads[M + 2 :] == ["0.5", "tanh", "ReLU", "1", "tanh", "ReLU", "2", "tanh", "ReLU"]
    assert all("scope" in head for head in page.all("th"))


def test_table_may_hold_a_choice_of_x(rng: np.random.Generator) -> None:
    series = {"tanh": rng.uniform(0.1, 2, (N, M))}
    page = parsed(rng, series=series, table_x=[1, 9])
    assert page.text("td") == [f"{number:.3g}" for row in series["tanh"] for number in row[[1, 4]]]


def test_points_lie_where_the_numbers_say(rng: np.random.Generator) -> None:
    points = coordinates(rng, [0.0, 4.0, 1.0, 2.0, 3.0])
    xs = [0, PLOT_WIDTH / 9, PLOT_WIDTH * 2 / 9, PLOT_WIDTH * 5 / 9, PLOT_WIDTH]
    ys = [PLOT_HEIGHT * (1 - y / 4) for y in (0.0, 4.0, 1.0, 2.0, 3.0)]
    np.testing.assert_allclose(points, np.transpose([xs, ys]), atol=0.051)


def test_decades_are_equally_high_and_cut_off_at_the_limits(rng: np.random.Generator) -> None:
    points = coordinates(rng, [1.0, 1e-10, 1e-20, 1e-40, 0.0], log=True, limits=(1e-20, 1e10))
    heights = [PLOT_HEIGHT * part for part in (1 / 3, 2 / 3, 1, 5 / 3)]
    np.testing.assert_allclose([y for _, y in points[:4]], heights, atol=0.051)
    assert points[4][1] == PLOT_HEIGHT * 11  # far below
    window = parsed(rng).all("svg")[1]
    assert (window["width"], window["height"], window["overflow"]) == (str(PLOT_WIDTH), str(PLOT_HEIGHT), "hidden")


def test_limits_of_decades_are_whole_where_none_are_given(rng: np.random.Generator) -> None:
    points = coordinates(rng, [0.02, 300.0, 0.0, 1.0, 10.0], log=True)  # from 10⁻² to 10³
    np.testing.assert_allclose([points[k][1] for k in (3, 4)], [PLOT_HEIGHT * 3 / 5, PLOT_HEIGHT * 2 / 5], atol=0.051)


def test_a_constant_has_an_axis(rng: np.random.Generator) -> None:
    assert {y for _, y in coordinates(rng, [7.0] * M)} == {PLOT_HEIGHT}
    assert {y for _, y in coordinates(rng, [1.0] * M, log=True)} == {PLOT_HEIGHT}


@pytest.mark.parametrize(
    ("axis", "texts"),
    [
        (Axis(-20, 10, log=True), ["10⁻²⁰", "10⁻¹⁵", "10⁻¹⁰", "10⁻⁵", "10⁰", "10⁵", "10¹⁰"]),
        (Axis(-1, 1, log=True), ["10⁻¹", "10⁰", "10¹"]),
        (Axis(0, 100), ["0", "20", "40", "60", "80", "100"]),
        (Axis(-0.31, 0.3), ["-0.2", "0", "0.2"]),
        (Axis(0, 3), ["0", "0.5", "1", "1.5", "2", "2.5", "3"]),
    ],
    ids=str,
)
def test_ticks_are_round_numbers_at_their_places(axis: Axis, texts: list[str]) -> None:
    assert [text for _, text in axis.ticks()] == texts
    numbers = [number.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")) for number in texts]
    values = [float(number[2:] if axis.log else number) for number in numbers]
    np.testing.assert_allclose(
        [place for place, _ in axis.ticks()], (np.array(values) - axis.low) / (axis.high - axis.low), atol=1e-12
    )


def test_every_curve_has_a_dash_of_its_own(rng: np.random.Generator) -> None:
    names = [f"curve {k}" for k in range(6)]
    page = parsed(rng, series={name: rng.random((N, M)) for name in names})
    lines = [line["class"] for line in page.all("polyline")]
    assert lines == [f"line-{k}" for k in range(6)] * (1 + N)  # legend, then a chart for every position
    dashes = re.findall(r"line-\d .*stroke-dasharray: ([^;]*);", page.text("style")[0])
    assert len(set(dashes)) == len(dashes) == 6
    assert set(names) <= set(page.text("text"))


def test_text_is_escaped(rng: np.random.Generator) -> None:
    evil = '</svg><script>alert("1")</script>&\''
    words = dict.fromkeys(("label", "title", "xlabel", "ylabel"), evil)
    page = parsed(rng, **words, sentences=[evil] * N, series={evil: rng.random((N, M))})
    assert page.all("script") == []
    assert page.text("output") == [evil]
    assert page.text("p") == page.text("label") == [evil]
    assert {chart["data-sentence"] for chart in page.charts()} == {evil}


def test_script_is_short_and_stays_in_its_figure(rng: np.random.Generator) -> None:
    script = str(parsed(rng).all("input")[0]["oninput"])
    assert len(script.strip().splitlines()) <= 10
    assert "document" not in script
    assert "window" not in script
    assert "http" not in Slider(**given(rng))._repr_html_()


def test_same_numbers_give_the_same_bytes_and_none_is_modified(rng: np.random.Generator) -> None:
    arguments = given(rng)
    before = [np.array(curves).copy() for curves in arguments["series"].values()]
    first, second = Slider(**arguments), Slider(**arguments)
    assert first._repr_html_() == first._repr_html_() == second._repr_html_()
    for curves, copy in zip(arguments["series"].values(), before):
        np.testing.assert_array_equal(curves, copy)
    assert "-0," not in first._repr_html_()


def test_plain_text_says_every_sentence(rng: np.random.Generator) -> None:
    assert repr(Slider(**given(rng))) == (
        "How much is left?\n"
        "norm against lag (steps); curves: tanh, ReLU\n"
        "  spectral radius 0.5: It decays.\n"
        "  spectral radius 1: It stays.\n"
        "  spectral radius 2: It grows."
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "Two words"}, "name is 'Two words', expected lower-case letters"),
        ({"values": []}, r"values has shape \(0,\), expected \(N,\) and no empty axis"),
        ({"values": [1.0]}, r"values is \[1\.0\], expected two or more increasing numbers"),
        ({"values": [1.0, 3.0, 2.0]}, "values is .* expected two or more increasing"),
        ({"values": [1.0, 1.0, 2.0]}, "values is .* expected two or more increasing"),
        ({"values": [0.5, 1.0, np.nan]}, "values has 1 values that are not finite"),
        ({"x": [0, 1, 2, 5, 5]}, "x is .* expected two or more increasing"),
        ({"x": [0, 1, 2]}, r"series\['tanh'\] has 3 curves of shapes \[\(5,\)\], expected 3 of shape \(3,\)"),
        ({"series": {}}, "series has 0 curves, expected 1 to 6"),
        ({"series": {str(k): np.ones((N, M)) for k in range(7)}}, "series has 7 curves"),
        ({"series": {"a": np.ones((N + 1, M))}}, r"series\['a'\] has 4 curves .*, expected 3 of"),
        ({"series": {"a": [np.ones(M), np.ones(M), np.ones(M - 1)]}}, r".* of shapes \[\(4,\), \(5,\)\]"),
        ({"series": {"a": np.full((N, M), np.inf)}}, r"series\['a'\] has 15 values that are not finite"),
        ({"series": {"a": np.full((N, M), -1.0)}, "log": True}, r"series\['a'\] has the value -1, expected y >= 0"),
        ({"sentences": ["one"]}, "1 sentences, expected 3, one for every value"),
        ({"default": 3}, "default is 3, expected a number in"),
        ({"default": 1.5}, "default is 1.5, expected int"),
        ({"limits": (0.0, 1.0), "log": True}, "lower limit is 0.0"),
        ({"limits": (2.0, 1.0)}, "upper limit is 1.0"),
        ({"table_x": [1, 3]}, r"table_x is \[1, 3\], expected numbers that x has"),
    ],
)
def test_what_does_not_fit_is_refused(rng: np.random.Generator, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="Slider: " + message):
        Slider(**given(rng, **changes))
