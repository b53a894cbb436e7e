"""Diagrams of recurrent nets, grown in steps: functions (ax, ...) -> ax (chapters *Recurrent networks*, *LSTM*, *Bidirectional*).

Each stage draws all that the stage before drew, at the same place, so that figures side by side show what was added: it is
blue, with a thicker line. Circles hold values, squares are gates and losses, filled circles compute. Wires meet at a dot
and otherwise only cross. The letters are those of the book; for the sizes of figures that suit, see each function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from companion.plot import BLUE, INK, ORANGE, describe
from companion.tree import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LETTERS = 15  # points; on a phone a figure seven inches wide is half as large
MEMORY, MIDDLE, GATES, INPUTS = 5.4, 3.7, 2.3, 1.0  # heights in the diagrams of gated cells


class Node(NamedTuple):
    """Something with a border at which wires end."""

    x: float
    y: float
    reach: float  # from the centre to the border
    square: bool = False


Point = tuple[float, float]


def _circle(ax: Axes, x: float, y: float, text: str, colour: str = INK, reach: float = 0.55) -> Node:
    from matplotlib.patches import Circle

    ax.add_patch(Circle((x, y), reach, facecolor="none", edgecolor=colour, linewidth=_width(colour)))
    ax.text(x, y, text, color=colour, fontsize=LETTERS, ha="center", va="center")
    return Node(x, y, reach)


def _square(ax: Axes, x: float, y: float, text: str, colour: str = INK, reach: float = 0.5) -> Node:
    from matplotlib.patches import Rectangle

    corner, side = (x - reach, y - reach), 2 * reach
    ax.add_patch(Rectangle(corner, side, side, facecolor="none", edgecolor=colour, linewidth=_width(colour)))
    ax.text(x, y, text, color=colour, fontsize=LETTERS, ha="center", va="center_baseline")
    return Node(x, y, reach, square=True)


def _operator(ax: Axes, x: float, y: float, text: str, colour: str = INK) -> Node:
    """A filled circle, which hides the wire that it is put on."""
    from matplotlib.patches import Circle

    reach, size = (0.36, LETTERS) if len(text) == 1 else (0.5, LETTERS - 4)
    ax.add_patch(Circle((x, y), reach, facecolor=colour, edgecolor=colour, zorder=3))
    ax.text(x, y, text, color="white", fontsize=size, ha="center", va="center_baseline", zorder=4)
    return Node(x, y, reach)


def _wire(ax: Axes, *points: Node | Point, colour: str = INK, dashed: bool = False, head: bool = True) -> None:
    """A line along the points; it ends at the borders of nodes, and in an arrow if `head`."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    path = np.array([point[:2] for point in points], dtype=float)
    path[[0, -1]] = _border(points[0], path[1]), _border(points[-1], path[-2])
    arrow = FancyArrowPatch(path=Path(path), arrowstyle="-|>" if head else "-", mutation_scale=13, color=colour)
    arrow.set(linewidth=_width(colour), linestyle=(0, (2.5, 1.5)) if dashed else "-", zorder=2)
    ax.add_patch(arrow)


def _border(point: Node | Point, towards: Array) -> Array:
    """Where the line from this point towards another leaves the border of a node."""
    centre = np.array(point[:2])
    if not isinstance(point, Node):
        return centre
    way = towards - centre
    length = np.abs(way).max() if point.square else np.hypot(*way)
    edge: Array = centre + way * (point.reach / length)
    return edge


def _dot(ax: Axes, x: float, y: float, colour: str = INK) -> Point:
    ax.plot([x], [y], "o", color=colour, markersize=6, zorder=3)
    return x, y


def _label(ax: Axes, x: float, y: float, text: str, colour: str, ha: str = "center") -> None:
    ax.text(x, y, text, color=colour, fontsize=LETTERS - 2, ha=ha, va="center")


def _width(colour: str) -> float:
    return 1.5 if colour == INK else 2.4


def _new(born: int, stage: int) -> str:
    """The colour of a part that first appears at stage `born`."""
    return BLUE if born == stage else INK


def _require_count(function: str, name: str, value: int, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{function}: {name} is {value!r}, expected an integer in {low}..{high}")


def _frame(ax: Axes, title: str, x: Point, y: Point) -> Axes:
    describe(ax, title, xlim=x, ylim=y, aspect="equal")
    ax.set_axis_off()
    return ax


def unrolled(ax: Axes, stage: int, steps: int = 4, title: str = "") -> Axes:
    """A recurrent net: 1 as a loop, 2 its first two steps, 3 all of them, 4 with losses and the way of the gradients back.

    For four steps a figure 7 inches wide and 3.9 high suits. Raises ValueError unless stage is 1..4 and steps 2..8.
    """
    _require_count("unrolled", "stage", stage, 1, 4)
    _require_count("unrolled", "steps", steps, 2, 8)
    _loop(ax, _column(ax, 0, "", _new(1, stage))[1], _new(1, stage))
    drawn = {1: 0, 2: 2}.get(stage, steps)
    before: Node | Point = (2.2, 2)
    for t in range(1, drawn + 1):
        colour = _new(2 if t <= 2 else 3, stage)
        column = _column(ax, 1.4 + 2.4 * t, f"^{{({t})}}", colour)
        _wire(ax, before, column[1], colour=colour)
        if t == 1:
            _label(ax, 2.1, 2, "$h^{(0)}$", colour, ha="right")
        _label(ax, 0.15 + 2.4 * t if t > 1 else 2.72, 2.4, "$W_h$", colour)
        if stage == 4:
            _loss(ax, t, column, before)
        before = column[1]
    if stage == 4:
        _wire(ax, (1.1, 5.7), (-1.1, 5.7), colour=ORANGE, dashed=True)
        _label(ax, 0, 6.15, "gradients", ORANGE)
    return _frame(ax, title, (-2.4, 2.2 + 2.4 * steps), (-0.7, 6.6))


def _column(ax: Axes, x: float, time: str, colour: str) -> tuple[Node, Node, Node]:
    """Input, hidden state and output of one step, from below."""
    nodes = [_circle(ax, x, height, f"${name}{time}$", colour) for name, height in (("x", 0), ("h", 2), ("y", 4))]
    for below, above, name in ((nodes[0], nodes[1], "W_x"), (nodes[1], nodes[2], "W_y")):
        _wire(ax, below, above, colour=colour)
        _label(ax, x - 0.15, (below.y + above.y) / 2, f"${name}$", colour, ha="right")
    return nodes[0], nodes[1], nodes[2]


def _loop(ax: Axes, node: Node, colour: str) -> None:
    turn = np.linspace(0.76, 2 * np.pi - 0.76, 40)
    _wire(ax, *zip(node.x - 0.8 + 0.6 * np.cos(turn), node.y + 0.6 * np.sin(turn), strict=True), colour=colour)
    _label(ax, node.x - 1.5, node.y, "$W_h$", colour, ha="right")


def _loss(ax: Axes, t: int, column: tuple[Node, Node, Node], before: Node | Point) -> None:
    """The loss of step t, and beside the wires the gradients: from it down to h, and from h to the step before."""
    _, h, y = column
    loss = _square(ax, h.x, 5.8, f"$L^{{({t})}}$", BLUE)
    _wire(ax, y, loss, colour=BLUE)
    for above, below in ((loss, y), (y, h)):
        right = h.x + 0.3
        _wire(ax, (right, above.y - 0.56), (right, below.y + 0.5), colour=ORANGE, dashed=True)
    if isinstance(before, Node):
        _wire(ax, (h.x - 0.52, 1.7), (before.x + 0.5, 1.7), colour=ORANGE, dashed=True)


def elman(ax: Axes, title: str = "") -> Axes:
    """Elman's net: the context c is the hidden state of the step before. A figure 3.5 inches wide and 3.4 high suits."""
    return _with_context(ax, title, 2)


def jordan(ax: Axes, title: str = "") -> Axes:
    """Jordan's net: the context c is made of the outputs before. A figure 3.5 inches wide and 3.4 high suits."""
    return _with_context(ax, title, 4)


def _with_context(ax: Axes, title: str, height: float) -> Axes:
    nodes = _column(ax, 0, "", INK)
    context = _circle(ax, 2.6, 0, "$c$", BLUE)
    fed = nodes[1] if height == 2 else nodes[2]
    _wire(ax, fed, (2.6, height), context, colour=ORANGE, dashed=True)
    _label(ax, 2.75, (height + 0.6) / 2, "one step\nlater", ORANGE, ha="left")
    _wire(ax, context, nodes[1], colour=BLUE)
    _label(ax, 1.0, 0.8, "$W_h$", BLUE, ha="right")
    return _frame(ax, title, (-1.3, 4.6), (-0.7, 4.9))


def lstm_cell(ax: Axes, stage: int, title: str = "") -> Axes:
    """The LSTM cell, time from left to right: 1 the internal state s, kept with weight 1, to which g is added; 2 the input
    gate i; 3 the output gate o and tanh; 4 the forget gate f in place of the weight 1; 5 peepholes, dashed.

    A figure 7 inches wide and 3.5 high suits. Raises ValueError unless stage is 1..5.
    """
    _require_count("lstm_cell", "stage", stage, 1, 5)
    _carousel(ax, stage)
    if stage >= 2:
        new = _new(2, stage)
        _wire(ax, _gate(ax, 5.2, "i", new), (5.2, MIDDLE), _operator(ax, 7, MIDDLE, "×", new), colour=new)
    if stage >= 3:
        _output(ax, _new(3, stage))
    if stage >= 4:
        new = _new(4, stage)
        _wire(ax, _gate(ax, 3.4, "f", new), _operator(ax, 3.4, MEMORY, "×", new), colour=new)
    if stage == 5:
        for path in (
            (_dot(ax, 2.3, MEMORY, BLUE), (2.3, GATES), (2.9, GATES)),
            (_dot(ax, 2.3, 3.3, BLUE), (5, 3.3), (5, GATES + 0.5)),
            (_dot(ax, 8.3, MEMORY, BLUE), (8.3, GATES), (10.5, GATES)),
        ):
            _wire(ax, *path, colour=BLUE, dashed=True)
    return _frame(ax, title, (-0.1, 14.1), (0.1, 6.6))


def _carousel(ax: Axes, stage: int) -> None:
    """Stage 1: from s to s through the weight 1 and the sum, and the input node g."""
    new = _new(1, stage)
    weight = Node(3.4, MEMORY, 0.36) if stage >= 4 else _operator(ax, 3.4, MEMORY, "1", new)
    plus = _operator(ax, 7, MEMORY, "+", new)
    _wire(ax, _circle(ax, 0.8, MEMORY, "$s^{(t-1)}$", new, 0.75), weight, colour=new)
    _wire(ax, weight, plus, colour=new)
    _wire(ax, plus, _circle(ax, 13.2, MEMORY, "$s^{(t)}$", new, 0.75), colour=new)
    g = _circle(ax, 7, GATES, "$g$", new, 0.5)
    _wire(ax, _circle(ax, 0.8, INPUTS, "$x^{(t)}$", new, 0.75), (7, INPUTS), g, colour=new)
    before = _circle(ax, 0.8, MIDDLE, "$h^{(t-1)}$", new, 0.75)
    _wire(ax, before, (1.8, MIDDLE), _dot(ax, 1.8, INPUTS, new), colour=new, head=False)
    _wire(ax, g, plus, colour=new)


def _gate(ax: Axes, x: float, letter: str, colour: str) -> Node:
    """A gate, fed from the wire of inputs below it."""
    gate = _square(ax, x, GATES, f"${letter}$", colour)
    _wire(ax, _dot(ax, x, INPUTS, colour), gate, colour=colour)
    return gate


def _output(ax: Axes, colour: str) -> None:
    """Stage 3: h is tanh of the new s, times the output gate."""
    bend, times = _operator(ax, 9.2, MIDDLE, "tanh", colour), _operator(ax, 11, MIDDLE, "×", colour)
    gate = _square(ax, 11, GATES, "$o$", colour)
    _wire(ax, _dot(ax, 9.2, MEMORY, colour), bend, colour=colour)
    _wire(ax, bend, times, colour=colour)
    _wire(ax, _dot(ax, 7, INPUTS, colour), (11, INPUTS), gate, colour=colour)
    _wire(ax, gate, times, colour=colour)
    _wire(ax, times, _circle(ax, 13.2, MIDDLE, "$h^{(t)}$", colour, 0.75), colour=colour)


def gru_cell(ax: Axes, title: str = "") -> Axes:
    """The GRU: what is kept in blue, what the gates r and z control in orange, inputs in ink.

    A figure 7 inches wide and 4.2 high suits.
    """
    before, after = (_circle(ax, x, MEMORY, f"$h^{{({t})}}$", BLUE, 0.75) for x, t in ((0.8, "t-1"), (12.4, "t")))
    keep, plus, take = _operator(ax, 3.4, MEMORY, "×"), _operator(ax, 9.4, MEMORY, "+"), _operator(ax, 9.4, MIDDLE, "×")
    reset, rest = _operator(ax, 7.8, INPUTS, "×"), _operator(ax, 6.2, MIDDLE, "1 −")
    z, r = _square(ax, 3.4, GATES, "$z$", ORANGE), _square(ax, 6.2, GATES, "$r$", ORANGE)
    n, x = _circle(ax, 9.4, GATES, "$n$", reach=0.5), _circle(ax, 0.8, -0.1, "$x^{(t)}$", reach=0.75)
    for left, right in ((before, keep), (keep, plus), (plus, after)):
        _wire(ax, left, right, colour=BLUE)
    for path in ((z, keep), (_dot(ax, 3.4, MIDDLE, ORANGE), rest), (rest, take), (r, (7.8, GATES), reset)):
        _wire(ax, *path, colour=ORANGE)
    _wire(ax, n, take)
    _wire(ax, take, plus)
    _wire(ax, x, (9.6, x.y), (9.6, GATES - 0.46))
    _wire(ax, _dot(ax, 1.8, MEMORY), (1.8, INPUTS), reset)
    _wire(ax, reset, (9.2, INPUTS), (9.2, GATES - 0.46))
    for gate in (z, r):
        _wire(ax, _dot(ax, gate.x - 0.2, INPUTS), (gate.x - 0.2, GATES - 0.5))
        _wire(ax, _dot(ax, gate.x + 0.2, x.y), (gate.x + 0.2, GATES - 0.5))
    return _frame(ax, title, (-0.1, 13.3), (-1, 6.6))


def bidirectional(ax: Axes, steps: int = 4, title: str = "") -> Axes:
    """Two recurrent nets over one sequence: forwards in blue, backwards in orange; every output sees both.

    For four steps a figure 7 inches wide and 4.4 high suits. Raises ValueError unless steps is 2..8.
    """
    _require_count("bidirectional", "steps", steps, 2, 8)
    ahead, back = [], []
    for t in range(1, steps + 1):
        x, time = 3.0 * t, f"^{{({t})}}"
        below, above = _circle(ax, x, 0, f"$x{time}$"), _circle(ax, x, 5.4, f"$y{time}$")
        ahead.append(_circle(ax, x - 0.6, 1.8, rf"$\overrightarrow{{h}}{{}}^{{\;({t})}}$", BLUE, 0.65))
        back.append(_circle(ax, x + 0.6, 3.6, rf"$\overleftarrow{{h}}{{}}^{{\;({t})}}$", ORANGE, 0.65))
        for node, colour in ((ahead[-1], BLUE), (back[-1], ORANGE)):
            _wire(ax, below, node, colour=colour)
            _wire(ax, node, above, colour=colour)
    for k in range(steps - 1):
        _wire(ax, ahead[k], ahead[k + 1], colour=BLUE)
        _wire(ax, back[k + 1], back[k], colour=ORANGE)
    return _frame(ax, title, (1.5, 3.0 * steps + 1.4), (-0.7, 6.4))
