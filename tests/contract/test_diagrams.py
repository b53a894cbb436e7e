"""Diagrams grow without moving, say what they should, fit their figure and set nothing globally; heat maps name their cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, pairwise
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from companion import diagrams, drawing, plot

Draw = Callable[..., Any]

# width and height of the figure that each docstring advises
FIGURES = {
    "unrolled": (lambda ax: diagrams.unrolled(ax, 4, title="Q?"), 7, 3.9),
    "elman": (lambda ax: diagrams.elman(ax, "Q?"), 3.5, 3.4),
    "jordan": (lambda ax: diagrams.jordan(ax, "Q?"), 3.5, 3.4),
    "lstm_cell": (lambda ax: diagrams.lstm_cell(ax, 5, "Q?"), 7, 3.5),
    "gru_cell": (lambda ax: diagrams.gru_cell(ax, "Q?"), 7, 4.2),
    "bidirectional": (lambda ax: diagrams.bidirectional(ax, title="Q?"), 7, 4.4),
}
GROWING = [(diagrams.unrolled, 4), (diagrams.lstm_cell, 5)]


@pytest.fixture(autouse=True)
def _figures_are_closed() -> Iterator[None]:
    yield
    plt.close("all")


def drawn(draw: Draw, *arguments: Any, width: float = 7, height: float = 4) -> Any:
    ax = plot.new_figure(width=width, height=height)[1]
    assert draw(ax, *arguments) is ax
    return ax


def texts(ax: Any) -> set[str]:
    return {text.get_text() for text in ax.texts}


def parts(ax: Any) -> set[Any]:
    """Every artist by its kind and place, whatever its colour."""
    lines = {("line", *np.round(line.get_xydata(), 6).ravel()) for line in ax.lines}
    words = {("text", text.get_text(), *np.round(text.get_position(), 6)) for text in ax.texts}
    patches = {(type(patch).__name__, *np.round(shape(patch), 6).ravel()) for patch in ax.patches}
    return lines | words | patches


def shape(patch: Any) -> Any:
    if hasattr(patch, "_path_original"):  # a wire: its path() would be in pixels
        return patch._path_original.vertices
    return patch.get_patch_transform().transform(patch.get_path().vertices)


@pytest.mark.parametrize(("draw", "last"), GROWING)
def test_every_stage_adds_parts_and_keeps_the_others_where_they_were(draw: Draw, last: int) -> None:
    stages = [parts(drawn(draw, stage)) for stage in range(1, last + 1)]
    for before, after in pairwise(stages):
        gone = {part[:2] for part in before - after}
        assert gone <= {("text", "1")}, "only the carousel's weight 1 is replaced, by the forget gate's product"
        assert len(after) > len(before)


@pytest.mark.parametrize(("draw", "last"), GROWING)
def test_only_the_new_parts_are_blue(draw: Draw, last: int) -> None:
    for stage in range(2, last + 1):
        before, now = parts(drawn(draw, stage - 1)), drawn(draw, stage)
        places = {part[1:] for part in before if part[0] == "text"}
        for text in now.texts:
            place = (text.get_text(), *np.round(text.get_position(), 6))
            assert (text.get_color() == plot.INK) == (place in places) or text.get_color() == "white", place


@pytest.mark.parametrize(("draw", "last"), GROWING)
def test_stages_share_their_limits(draw: Draw, last: int) -> None:
    assert len({drawn(draw, stage).axis() for stage in range(1, last + 1)}) == 1


def test_the_forget_gate_replaces_the_weight_1() -> None:
    assert "1" in texts(drawn(diagrams.lstm_cell, 3))
    assert "1" not in texts(drawn(diagrams.lstm_cell, 4))


@pytest.mark.parametrize(
    ("stage", "letters"), [(1, "g"), (2, "gi"), (3, "gio"), (4, "giof"), (5, "giof")], ids=lambda value: str(value)
)
def test_lstm_names_the_gates_that_it_has_so_far(stage: int, letters: str) -> None:
    shown = texts(drawn(diagrams.lstm_cell, stage))
    assert {letter for letter in "gifo" if f"${letter}$" in shown} == set(letters)
    assert {"$s^{(t-1)}$", "$s^{(t)}$", "$x^{(t)}$", "$h^{(t-1)}$", "+"} <= shown
    assert ("$h^{(t)}$" in shown) == ("tanh" in shown) == (stage >= 3)


def test_peepholes_are_dashed() -> None:
    dashed = [sum(p.get_linestyle() != "-" for p in drawn(diagrams.lstm_cell, stage).patches) for stage in (4, 5)]
    assert dashed == [dashed[0], dashed[0] + 3]


@pytest.mark.parametrize("steps", [2, 3, 6])
def test_unrolled_has_every_step_and_its_weights(steps: int) -> None:
    ax = drawn(diagrams.unrolled, 4, steps)
    for t in range(1, steps + 1):
        assert {f"${letter}^{{({t})}}$" for letter in "xhyL"} <= texts(ax)
    assert "$x^{(" + str(steps + 1) not in " ".join(texts(ax))
    for weights in ("$W_x$", "$W_h$", "$W_y$"):  # those of every step, and of the loop
        assert sum(text.get_text() == weights for text in ax.texts) == steps + 1


def test_gradients_go_from_every_loss_to_every_earlier_state() -> None:
    wires = [
        shape(p) for p in drawn(diagrams.unrolled, 4, 4).patches if p.get_edgecolor() == mpl.colors.to_rgba(plot.ORANGE)
    ]
    ways = [np.sign(np.round(wire[-1] - wire[0], 6)).tolist() for wire in wires]
    assert ways.count([0, -1]) == 2 * 4
    assert ways.count([-1, 0]) == 3 + 1  # between four steps, and the key


@pytest.mark.parametrize("steps", [2, 5])
def test_bidirectional_has_two_opposite_rows(steps: int) -> None:
    ax = drawn(diagrams.bidirectional, steps)
    ways = {
        colour: sum(
            1
            for p in ax.patches
            if hasattr(p, "_path_original")
            and p.get_edgecolor() == mpl.colors.to_rgba(colour)
            and abs(np.diff(shape(p)[[0, -1], 1])[0]) < 1e-9
            and np.sign(np.diff(shape(p)[[0, -1], 0])[0]) == way
        )
        for colour, way in ((plot.BLUE, 1), (plot.ORANGE, -1))
    }
    assert ways == {plot.BLUE: steps - 1, plot.ORANGE: steps - 1}


def test_gru_and_context_units_are_named() -> None:
    assert {"$z$", "$r$", "$n$", "1 −", "$h^{(t-1)}$", "$h^{(t)}$"} <= texts(drawn(diagrams.gru_cell))
    for draw in (diagrams.elman, diagrams.jordan):
        assert {"$c$", "one step\nlater", "$W_h$"} <= texts(drawn(draw))


@pytest.mark.parametrize("name", FIGURES)
def test_no_letter_hides_another_or_leaves_its_figure(name: str) -> None:
    draw, width, height = FIGURES[name]
    ax = drawn(draw, width=width, height=height)
    ax.figure.canvas.draw()
    boxes = {(t.get_text(), k): t.get_window_extent() for k, t in enumerate([*ax.texts, ax._left_title])}
    for box in boxes.values():
        assert ax.figure.bbox.x0 <= box.x0 < box.x1 <= ax.figure.bbox.x1
        assert ax.figure.bbox.y0 <= box.y0 < box.y1 <= ax.figure.bbox.y1
    assert [pair for pair in combinations(boxes, 2) if boxes[pair[0]].overlaps(boxes[pair[1]])] == []


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_set_globally(name: str) -> None:
    before = dict(mpl.rcParams)
    drawn(FIGURES[name][0])
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda ax: diagrams.unrolled(ax, 5), r"unrolled: stage is 5, expected an integer in 1\.\.4"),
        (lambda ax: diagrams.unrolled(ax, 0), r"unrolled: stage is 0"),
        (lambda ax: diagrams.unrolled(ax, 4, 1), r"unrolled: steps is 1, expected an integer in 2\.\.8"),
        (lambda ax: diagrams.lstm_cell(ax, 6), r"lstm_cell: stage is 6, expected an integer in 1\.\.5"),
        (lambda ax: diagrams.lstm_cell(ax, 2.0), r"lstm_cell: stage is 2\.0"),
        (lambda ax: diagrams.bidirectional(ax, True), r"bidirectional: steps is True"),
    ],
)
def test_stages_and_steps_that_there_are_not_are_refused(draw: Draw, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        drawn(draw)


# ---- the strokes that all diagrams share


@pytest.mark.parametrize(
    ("stroke", "end"), [(drawing.circle, (4 - 0.5 * 0.6, 3 - 0.5 * 0.8)), (drawing.square, (4 - 0.375, 2.5))]
)
def test_a_wire_ends_at_the_border_of_a_node(stroke: Draw, end: tuple[float, float]) -> None:
    ax = plot.new_figure()[1]
    node = stroke(ax, 4, 3, "$a$", reach=0.5)
    drawing.wire(ax, (1, -1), node)
    drawing.wire(ax, node, (1, 3), (1, -1), colour=plot.BLUE, dashed=True)
    arrival, departure = ax.patches[1:]
    np.testing.assert_allclose(shape(arrival), [(1, -1), end], atol=1e-12)
    np.testing.assert_allclose(shape(departure), [(3.5, 3), (1, 3), (1, -1)], atol=1e-12)
    assert arrival.get_linestyle() == "-" != departure.get_linestyle()
    assert arrival.get_linewidth() < departure.get_linewidth()


@pytest.mark.parametrize(("born", "colour"), [(1, plot.INK), (2, plot.BLUE)])
def test_what_is_born_now_is_blue(born: int, colour: str) -> None:
    assert drawing.colour_of(born, 2) == colour


# ---- heat maps


def test_heat_names_rows_and_columns_in_reading_order(rng: np.random.Generator) -> None:
    values = rng.random((3, 4))
    before = values.copy()
    ax = drawn(plot.heat, values, ["i", "f", "o"], list("BTXE"), "activation")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["i", "f", "o"]
    assert [label.get_text() for label in ax.get_xticklabels()] == list("BTXE")
    assert ax.yaxis_inverted()
    np.testing.assert_array_equal(ax.collections[0].get_array(), values)
    np.testing.assert_array_equal(values, before)
    assert ax.figure.axes[1].get_ylabel() == "activation"


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0), (-3.0, 1.0), (0.0, 5.0)])
def test_zero_is_white_and_signs_differ_in_colour(low: float, high: float) -> None:
    mesh = drawn(plot.heat, np.array([[low, 0.0, high]]), ["s"], list("abc"), "", low, high).collections[0]
    colours = mesh.to_rgba([low, 0.0, high])
    np.testing.assert_allclose(colours[1], 1, atol=0.02)
    np.testing.assert_allclose(colours[2], mpl.colors.to_rgba(plot.BLUE), atol=0.01)
    if low < 0:
        np.testing.assert_allclose(colours[0], mpl.colors.to_rgba(plot.ORANGE), atol=0.01)


@pytest.mark.parametrize(("worst", "ends"), [(0.5, "neither"), (1.5, "max"), (-0.5, "min")])
def test_the_bar_says_when_values_lie_outside(worst: float, ends: str) -> None:
    mesh = drawn(plot.heat, np.array([[0.2, worst]]), ["s"], ["a", "b"]).collections[0]
    assert mesh.colorbar.extend == ends


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": ["i"]}, r"heat: values has shape \(2, 3\), expected \(1, 3\)"),
        ({"columns": list("ab")}, r"heat: values has shape \(2, 3\), expected \(2, 2\)"),
        ({"values": np.full((2, 3), np.nan)}, "heat: values has 6 values that are not finite"),
        ({"low": 1.0, "high": 0.5}, "heat: high is 0.5"),
        ({"low": -2.0, "high": -1.0}, "heat: high is -1.0"),
    ],
)
def test_heat_refuses_what_does_not_fit(change: dict[str, Any], message: str) -> None:
    given = {"values": np.full((2, 3), 0.5), "rows": ["i", "f"], "columns": list("abc")} | change
    with pytest.raises(ValueError, match=message):
        plot.heat(plot.new_figure()[1], **given)
