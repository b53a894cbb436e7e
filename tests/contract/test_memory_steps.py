"""A machine step by step: right HTML, one step shown, every step in the table, strokes where the numbers say."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from companion.memory_steps import ACROSS, HEAD, HIGH, LEFT, MEMORY, MOST_ROWS, READ, TOP, memory_steps
from companion.memory_trace import Trace, facts, sentence
from companion.ops import softmax
from tests.contract.copying import copied

VOID = {"input", "path"}
LENGTH, T, N = 4, 9, 5
Stroke = tuple[float, float, float]  # left, middle, length


class Parsed(HTMLParser):
    """Elements with their attributes, and all the text in each of them; all are closed in the right order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str], list[str], list[int]]] = []
        self.open: list[int] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, {name: value or "" for name, value in attrs}, [], list(self.open)))
        if tag not in VOID:
            self.open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.elements[self.open.pop()][0] == tag

    def handle_data(self, data: str) -> None:
        for k in self.open:
            self.elements[k][2].append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes, _, _ in self.elements if name == tag]

    def text(self, tag: str) -> list[str]:
        return ["".join(words) for name, _, words, _ in self.elements if name == tag]

    def steps(self) -> list[int]:
        """Where the group of each step stands among the elements."""
        return [
            k for k, (tag, attributes, _, _) in enumerate(self.elements) if tag == "g" and "data-sentence" in attributes
        ]

    def within(self, t: int, tag: str) -> list[tuple[dict[str, str], str]]:
        """Attributes and texts of the elements in the group of step t, counted from 0."""
        group = self.steps()[t]
        found = [
            (attributes, "".join(words))
            for name, attributes, words, inside in self.elements
            if group in inside and name == tag
        ]
        assert found or tag == "text"
        return found

    def strokes(self, t: int) -> dict[Stroke, float]:
        """How strong each stroke of step t is, below 0 if it is drawn as that."""
        found = {}
        for path, _ in self.within(t, "path"):
            if path["class"] in ("above", "below"):
                sign = 1 if path["class"] == "above" else -1
                for x, y, n in re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)", path["d"]):
                    found[float(x), float(y), float(n)] = sign * float(path["stroke-opacity"])
        return found


def parsed(trace: Trace | None = None, title: str = "How?", **names: Any) -> Parsed:
    return Parsed(memory_steps(trace or copied(LENGTH)[0], title, **names)._repr_html_())


def memory_at(page: Parsed, t: int, rows: int, M: int = 8) -> np.ndarray:
    """The memory that is drawn at step t."""
    drawn = np.zeros((rows, M))
    for (x, y, n), strength in page.strokes(t).items():
        row, first = (y - TOP) / HIGH - 0.5, (x - MEMORY) / (ACROSS / M)
        if x >= MEMORY and first < M and 0 <= row < rows:
            assert row == int(row)
            drawn[int(row), round(first) : round(first + n / (ACROSS / M))] = strength
    return drawn


def random_trace(rng: np.random.Generator, n: int) -> Trace:
    """Of n rows, in nothing like a machine's."""
    trace, _ = copied(LENGTH)
    w = softmax(rng.normal(size=(2, T, n)))
    return trace._replace(write=w[0], read=w[1], memory=rng.uniform(-1.5, 1.5, (T + 1, n, 8)))


def test_exactly_the_first_step_is_shown() -> None:
    page, trace = parsed(), copied(LENGTH)[0]
    groups = [page.elements[k][1] for k in page.steps()]
    assert [group["display"] for group in groups] == ["inline"] + ["none"] * (T - 1)
    assert [group["data-sentence"] for group in groups] == [sentence(trace, t) for t in range(T)]
    assert page.text("output") == [sentence(trace, 0)]
    assert page.text("b") == [f"1 of {T}"]
    slider = page.all("input")[0]
    assert (slider["min"], slider["max"], slider["step"], slider["value"]) == ("1", str(T), "1", "1")
    assert slider["aria-valuetext"] == f"1 of {T}"
    assert slider["autocomplete"] == "off"  # or a browser restores the place of a last visit


def test_controls_have_names_and_speak() -> None:
    page = parsed()
    assert page.text("button") == ["Back", "Play", "Forward"]
    assert {button["type"] for button in page.all("button")} == {"button"}
    assert page.text("label")[0].startswith("step")
    assert page.all("output") == [{"aria-live": "polite"}]
    assert page.all("svg")[0]["role"] == "img"
    assert page.all("svg")[0]["aria-label"].startswith("How?")
    regions = [div for div in page.all("div") if "tabindex" in div]
    assert [region["aria-label"] for region in regions] == ["How? Table"]
    reached = [*page.all("button"), *page.all("input"), *page.all("summary"), *regions]
    assert [element.get("data-lm-suppress-shortcuts") for element in reached] == [
        "true"
    ] * 6  # keys reach it in JupyterLab


def test_table_holds_every_step_with_its_headings() -> None:
    trace, names = copied(LENGTH)[0], [f"part {t}" for t in range(T)]
    page = parsed(names=names)
    told = [facts(trace, t) for t in range(T)]
    assert page.text("td") == [text for fact in told for text in fact.values()]
    assert page.text("th") == ["step", *told[0], *(f"{t + 1} part {t}" for t in range(T))]
    assert {head["scope"] for head in page.all("th")} == {"row", "col"}
    assert page.text("th")[: len(told[0]) + 1][-2:] == ["output", "target"]


def test_memory_is_drawn_as_it_is_after_each_step(rng: np.random.Generator) -> None:
    trace = random_trace(rng, N)
    page = parsed(trace)
    for t in range(T):
        np.testing.assert_allclose(memory_at(page, t, N), np.clip(trace.memory[t + 1], -1, 1), atol=0.062)


def test_equal_neighbours_are_one_stroke() -> None:
    trace, _ = copied(LENGTH)
    page = parsed(trace._replace(memory=np.ones((T + 1, N, 8))))
    rows = [stroke for stroke in page.strokes(3) if stroke[0] == MEMORY and TOP < stroke[1] < TOP + N * HIGH]
    assert sorted(rows) == [(MEMORY, TOP + HIGH * (k + 0.5), ACROSS) for k in range(N)]


def test_strips_show_what_goes_in_and_comes_out() -> None:
    trace, _ = copied(LENGTH)
    page, t = parsed(), 6
    texts = [(float(text["y"]) - 4, word) for text, word in zip(page.all("text"), page.text("text"))]
    heights = {word: y for y, word in texts if word in ("input", "erase", "add", "read", "output", "target")}
    read = trace.read[t] @ trace.memory[t]
    targets = np.array(trace.targets)
    expected = {"input": trace.xs[t], "erase": trace.erase[t], "add": trace.add[t], "read": read}
    for name, values in (expected | {"output": trace.outputs[t], "target": targets[t]}).items():
        drawn, cell = np.zeros(len(values)), ACROSS / max(len(values), 8)
        for (x, y, n), strength in page.strokes(t).items():
            if y == heights[name]:
                drawn[round((x - MEMORY) / cell) : round((x + n - MEMORY) / cell)] = strength
        np.testing.assert_allclose(drawn, values, atol=0.062, err_msg=name)
    assert list(heights) == ["input", "erase", "add", "read", "output", "target"]


def test_heads_point_at_their_rows(rng: np.random.Generator) -> None:
    trace = random_trace(rng, N)
    page = parsed(trace)
    for t in range(T):
        paths = [path for path, _ in page.within(t, "path")]
        frames = {
            path["class"]: float(path["d"].split()[1].split("h")[0]) for path in paths if "frame" in path["class"]
        }
        tops = {name: TOP + HIGH * int(w[t].argmax()) for name, w in (("write", trace.write), ("read", trace.read))}
        assert frames == {"frame write": tops["write"], "frame read": tops["read"] + 3}
        triangles = [float(path["d"].split()[1].split("l")[0]) for path in paths if path["class"] == "head"]
        assert triangles == [tops["write"] + 2, tops["read"] + 2]


def test_focus_is_drawn_beside_its_row(rng: np.random.Generator) -> None:
    trace = random_trace(rng, N)
    strokes = parsed(trace).strokes(3)
    for left, weights in ((LEFT, trace.write[3]), (READ, trace.read[3])):
        drawn = [strokes.get((left, TOP + HIGH * (k + 0.5), HEAD), 0) for k in range(N)]
        np.testing.assert_allclose(drawn, weights, atol=0.062)


def test_what_is_wider_than_the_memory_has_narrower_cells() -> None:
    trace, _ = copied(LENGTH)
    page = parsed(trace._replace(xs=np.tile([1.0, 0.0, 1.0], (T, 7))))  # 21 numbers, the memory has 8 a row
    lefts = [round((x - MEMORY) / ACROSS * 21, 2) for x, y, _ in page.strokes(0) if y == HIGH / 2]
    np.testing.assert_allclose(lefts, [0, *range(2, 21, 3)], atol=0.01)


def test_of_a_large_memory_the_rows_that_heads_visit_are_shown(rng: np.random.Generator) -> None:
    walk = copied(LENGTH, rows=100)[0]
    page = parsed(walk)
    assert [text for text in page.text("text") if text.isdigit()] == [
        *(str(n) for n in range(1, T + 1)),
        "1",
    ]  # legend's 1
    assert "9 of 100 rows, those that the heads visit most." in page.text("text")
    np.testing.assert_allclose(memory_at(page, T - 1, T), np.rint(walk.memory[-1, 1 : T + 1]), atol=0.01)
    spread = parsed(random_trace(rng, 3 * MOST_ROWS))
    assert f"{MOST_ROWS} of {3 * MOST_ROWS} rows, those that the heads visit most." in spread.text("text")
    numbers = [int(text) for text in spread.text("text") if text.isdigit()][:-1]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == MOST_ROWS
    even = walk._replace(read=np.full((T, 100), 0.01), write=np.full((T, 100), 0.01))
    assert [text for text in parsed(even).text("text") if text.isdigit()] == ["0", "1"]
    assert not any("those that" in text for text in parsed().text("text"))


def test_target_is_drawn_only_where_an_answer_is_asked() -> None:
    page = parsed()
    assert page.strokes(0) == parsed(copied(LENGTH)[0]._replace(targets=np.ones((T, 8)))).strokes(0)
    said = [[word for _, word in page.within(t, "text")] for t in range(T)]
    assert said == [["nothing is asked"]] * (LENGTH + 1) + [[]] * LENGTH
    alone = parsed(copied(LENGTH, targets=None, mask=None)[0])
    assert "target" not in alone.text("text") + alone.text("th")
    assert "nothing is asked" not in alone.text("text")


def test_text_is_escaped() -> None:
    evil = '</svg><script>alert("1")</script>&\''
    page = parsed(title=evil, names=[evil] * T)
    assert page.all("script") == []
    assert page.text("p") == [evil]
    assert page.text("output")[0].startswith(f"Step 1 of 9, {evil}: the input is ")
    assert f"1 {evil}" in page.text("th")
    assert evil in page.elements[page.steps()[0]][1]["data-sentence"]
    assert evil in page.all("svg")[0]["aria-label"]


def test_script_is_short_and_stays_in_its_figure() -> None:
    page = parsed()
    scripts = {
        value for _, attributes, _, _ in page.elements for name, value in attributes.items() if name.startswith("on")
    }
    assert len(scripts) == 4
    assert sum(len(script.strip().splitlines()) for script in scripts) <= 25
    assert not any(word in script for script in scripts for word in ("document", "window", "innerHTML", "fetch"))
    html = memory_steps(copied(LENGTH)[0], "How?")._repr_html_()
    assert not re.search(r"<script|javascript:|https?:|@import|url\(| id=", html)


def test_a_copy_of_eight_vectors_is_small(rng: np.random.Generator) -> None:
    """Even where every number of the memory differs from its neighbours, and 24 rows are shown."""
    assert len(memory_steps(copied(8)[0], "How?")._repr_html_()) < 40_000
    trace, _ = copied(8)
    w = softmax(rng.normal(size=(2, 17, 128)))
    numbers = {
        "erase": rng.random((17, 20)),
        "add": rng.normal(size=(17, 20)),
        "memory": rng.normal(size=(18, 128, 20)),
    }
    full = trace._replace(write=w[0], read=w[1], **numbers)
    assert len(memory_steps(full, "How?")._repr_html_()) < 150_000


def test_same_trace_gives_the_same_bytes_and_is_not_modified() -> None:
    trace, again = copied(LENGTH)[0], copied(LENGTH)[0]
    shown = memory_steps(trace, "How?")
    assert shown._repr_html_() == shown._repr_html_() == memory_steps(again, "How?")._repr_html_()
    for array, copy in zip(trace, again, strict=True):
        np.testing.assert_array_equal(array, copy)
    assert not re.search(r"[ Mh]-0\b|nan|e-\d", shown._repr_html_().split("<svg")[1])


def test_plain_text_says_every_step() -> None:
    trace, _ = copied(LENGTH)
    shown = repr(memory_steps(trace, "How?", [f"part {t}" for t in range(T)]))
    assert shown.splitlines() == ["How?", *(f"  {sentence(trace, t, f'part {t}')}" for t in range(T))]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trace": None}, "trace is a NoneType, expected Trace"),
        ({"title": " "}, "title is ' ', expected a text that is not blank"),
        ({"title": 3}, "title is 3, expected a text"),
        ({"names": ["a"] * 8}, "names has 8 texts, expected 9, one for every step, or none"),
        ({"names": ["a"] * 8 + [""]}, r"names\[8\] is '', expected a text that is not blank"),
        ({"names": "vector"}, "names has 6 texts"),
        ({"trace": copied(LENGTH)[0]._replace(erase=np.full((T, 8), 2.0))}, r"trace\.erase has numbers from 2 to 2"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="^memory_steps: " + message):
        memory_steps(**({"trace": copied(LENGTH)[0], "title": "How?"} | changes))
