"""Diagrams of recurrent nets, grown in steps: functions (ax, ...) -> ax (chapters *Recurrent networks*, *LSTM*, *Bidirectional*).

Each stage draws all that the stage before drew, at the same place, so that figures side by side show what was added: it is
blue, with a thicker line. Circles hold values, squares are gates and losses, filled circles compute. Wires meet at a dot
and otherwise only cross. The letters are those of the book; for the sizes of figures that suit, see each function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from companion.drawing import Node, Point, circle, colour_of, dot, frame, label, operator, require_count, square, wire
from companion.plot import BLUE, INK, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MEMORY, MIDDLE, GATES, INPUTS = 5.4, 3.7, 2.3, 1.0  # heights in the diagrams of gated cells


def unrolled(ax: Axes, stage: int, steps: int = 4, title: str = "") -> Axes:
    """A recurrent net: 1 as a loop, 2 its first two steps, 3 all of them, 4 with losses and the way of the gradients back.

    For four steps a figure 7 inches wide and 3.9 high suits. Raises ValueError unless stage is 1..4 and steps 2..8.
    """
    require_count("unrolled", "stage", stage, 1, 4)
    require_count("unrolled", "steps", steps, 2, 8)
    _loop(ax, _column(ax, 0, "", colour_of(1, stage))[1], colour_of(1, stage))
    drawn = {1: 0, 2: 2}.get(stage, steps)
    before: Node | Point = (2.2, 2)
    for t in range(1, drawn + 1):
        colour = colour_of(2 if t <= 2 else 3, stage)
        column = _column(ax, 1.4 + 2.4 * t, f"^{{({t})}}", colour)
        wire(ax, before, column[1], colour=colour)
        if t == 1:
            label(ax, 2.1, 2, "$h^{(0)}$", colour, ha="right")
        label(ax, 0.15 + 2.4 * t if t > 1 else 2.72, 2.4, "$W_h$", colour)
        if stage == 4:
            _loss(ax, t, column, before)
        before = column[1]
    if stage == 4:
        wire(ax, (1.1, 5.7), (-1.1, 5.7), colour=ORANGE, dashed=True)
        label(ax, 0, 6.15, "gradients", ORANGE)
    return frame(ax, title, (-2.4, 2.2 + 2.4 * steps), (-0.7, 6.6))


def _column(ax: Axes, x: float, time: str, colour: str) -> tuple[Node, Node, Node]:
    """Input, hidden state and output of one step, from below."""
    nodes = [circle(ax, x, height, f"${name}{time}$", colour) for name, height in (("x", 0), ("h", 2), ("y", 4))]
    for below, above, name in ((nodes[0], nodes[1], "W_x"), (nodes[1], nodes[2], "W_y")):
        wire(ax, below, above, colour=colour)
        label(ax, x - 0.15, (below.y + above.y) / 2, f"${name}$", colour, ha="right")
    return nodes[0], nodes[1], nodes[2]


def _loop(ax: Axes, node: Node, colour: str) -> None:
    turn = np.linspace(0.76, 2 * np.pi - 0.76, 40)
    wire(ax, *zip(node.x - 0.8 + 0.6 * np.cos(turn), node.y + 0.6 * np.sin(turn), strict=True), colour=colour)
    label(ax, node.x - 1.5, node.y, "$W_h$", colour, ha="right")


def _loss(ax: Axes, t: int, column: tuple[Node, Node, Node], before: Node | Point) -> None:
    """The loss of step t, and beside the wires the gradients: from it down to h, and from h to the step before."""
    _, h, y = column
    loss = square(ax, h.x, 5.8, f"$L^{{({t})}}$", BLUE)
    wire(ax, y, loss, colour=BLUE)
    for above, below in ((loss, y), (y, h)):
        right = h.x + 0.3
        wire(ax, (right, above.y - 0.56), (right, below.y + 0.5), colour=ORANGE, dashed=True)
    if isinstance(before, Node):
        wire(ax, (h.x - 0.52, 1.7), (before.x + 0.5, 1.7), colour=ORANGE, dashed=True)


def elman(ax: Axes, title: str = "") -> Axes:
    """Elman's net: the context c is the hidden state of the step before. A figure 3.5 inches wide and 3.4 high suits."""
    return _with_context(ax, title, 2)


def jordan(ax: Axes, title: str = "") -> Axes:
    """Jordan's net: the context c is made of the outputs before. A figure 3.5 inches wide and 3.4 high suits."""
    return _with_context(ax, title, 4)


def _with_context(ax: Axes, title: str, height: float) -> Axes:
    nodes = _column(ax, 0, "", INK)
    context = circle(ax, 2.6, 0, "$c$", BLUE)
    fed = nodes[1] if height == 2 else nodes[2]
    wire(ax, fed, (2.6, height), context, colour=ORANGE, dashed=True)
    label(ax, 2.75, (height + 0.6) / 2, "one step\nlater", ORANGE, ha="left")
    wire(ax, context, nodes[1], colour=BLUE)
    label(ax, 1.0, 0.8, "$W_h$", BLUE, ha="right")
    return frame(ax, title, (-1.3, 4.6), (-0.7, 4.9))


def lstm_cell(ax: Axes, stage: int, title: str = "") -> Axes:
    """The LSTM cell, time from left to right: 1 the internal state s, kept with weight 1, to which g is added; 2 the input
    gate i; 3 the output gate o and tanh; 4 the forget gate f in place of the weight 1; 5 peepholes, dashed.

    A figure 7 inches wide and 3.5 high suits. Raises ValueError unless stage is 1..5.
    """
    require_count("lstm_cell", "stage", stage, 1, 5)
    _carousel(ax, stage)
    if stage >= 2:
        new = colour_of(2, stage)
        wire(ax, _gate(ax, 5.2, "i", new), (5.2, MIDDLE), operator(ax, 7, MIDDLE, "×", new), colour=new)
    if stage >= 3:
        _output(ax, colour_of(3, stage))
    if stage >= 4:
        new = colour_of(4, stage)
        wire(ax, _gate(ax, 3.4, "f", new), operator(ax, 3.4, MEMORY, "×", new), colour=new)
    if stage == 5:
        for path in (
            (dot(ax, 2.3, MEMORY, BLUE), (2.3, GATES), (2.9, GATES)),
            (dot(ax, 2.3, 3.3, BLUE), (5, 3.3), (5, GATES + 0.5)),
            (dot(ax, 8.3, MEMORY, BLUE), (8.3, GATES), (10.5, GATES)),
        ):
            wire(ax, *path, colour=BLUE, dashed=True)
    return frame(ax, title, (-0.1, 14.1), (0.1, 6.6))


def _carousel(ax: Axes, stage: int) -> None:
    """Stage 1: from s to s through the weight 1 and the sum, and the input node g."""
    new = colour_of(1, stage)
    weight = Node(3.4, MEMORY, 0.36) if stage >= 4 else operator(ax, 3.4, MEMORY, "1", new)
    plus = operator(ax, 7, MEMORY, "+", new)
    wire(ax, circle(ax, 0.8, MEMORY, "$s^{(t-1)}$", new, 0.75), weight, colour=new)
    wire(ax, weight, plus, colour=new)
    wire(ax, plus, circle(ax, 13.2, MEMORY, "$s^{(t)}$", new, 0.75), colour=new)
    g = circle(ax, 7, GATES, "$g$", new, 0.5)
    wire(ax, circle(ax, 0.8, INPUTS, "$x^{(t)}$", new, 0.75), (7, INPUTS), g, colour=new)
    before = circle(ax, 0.8, MIDDLE, "$h^{(t-1)}$", new, 0.75)
    wire(ax, before, (1.8, MIDDLE), dot(ax, 1.8, INPUTS, new), colour=new, head=False)
    wire(ax, g, plus, colour=new)


def _gate(ax: Axes, x: float, letter: str, colour: str) -> Node:
    """A gate, fed from the wire of inputs below it."""
    gate = square(ax, x, GATES, f"${letter}$", colour)
    wire(ax, dot(ax, x, INPUTS, colour), gate, colour=colour)
    return gate


def _output(ax: Axes, colour: str) -> None:
    """Stage 3: h is tanh of the new s, times the output gate."""
    bend, times = operator(ax, 9.2, MIDDLE, "tanh", colour), operator(ax, 11, MIDDLE, "×", colour)
    gate = square(ax, 11, GATES, "$o$", colour)
    wire(ax, dot(ax, 9.2, MEMORY, colour), bend, colour=colour)
    wire(ax, bend, times, colour=colour)
    wire(ax, dot(ax, 7, INPUTS, colour), (11, INPUTS), gate, colour=colour)
    wire(ax, gate, times, colour=colour)
    wire(ax, times, circle(ax, 13.2, MIDDLE, "$h^{(t)}$", colour, 0.75), colour=colour)


def gru_cell(ax: Axes, title: str = "") -> Axes:
    """The GRU: what is kept in blue, what the gates r and z control in orange, inputs in ink.

    A figure 7 inches wide and 4.2 high suits.
    """
    before, after = (circle(ax, x, MEMORY, f"$h^{{({t})}}$", BLUE, 0.75) for x, t in ((0.8, "t-1"), (12.4, "t")))
    keep, plus, take = operator(ax, 3.4, MEMORY, "×"), operator(ax, 9.4, MEMORY, "+"), operator(ax, 9.4, MIDDLE, "×")
    reset, rest = operator(ax, 7.8, INPUTS, "×"), operator(ax, 6.2, MIDDLE, "1 −")
    z, r = square(ax, 3.4, GATES, "$z$", ORANGE), square(ax, 6.2, GATES, "$r$", ORANGE)
    n, x = circle(ax, 9.4, GATES, "$n$", reach=0.5), circle(ax, 0.8, -0.1, "$x^{(t)}$", reach=0.75)
    for left, right in ((before, keep), (keep, plus), (plus, after)):
        wire(ax, left, right, colour=BLUE)
    for path in ((z, keep), (dot(ax, 3.4, MIDDLE, ORANGE), rest), (rest, take), (r, (7.8, GATES), reset)):
        wire(ax, *path, colour=ORANGE)
    wire(ax, n, take)
    wire(ax, take, plus)
    wire(ax, x, (9.6, x.y), (9.6, GATES - 0.46))
    wire(ax, dot(ax, 1.8, MEMORY), (1.8, INPUTS), reset)
    wire(ax, reset, (9.2, INPUTS), (9.2, GATES - 0.46))
    for gate in (z, r):
        wire(ax, dot(ax, gate.x - 0.2, INPUTS), (gate.x - 0.2, GATES - 0.5))
        wire(ax, dot(ax, gate.x + 0.2, x.y), (gate.x + 0.2, GATES - 0.5))
    return frame(ax, title, (-0.1, 13.3), (-1, 6.6))


def bidirectional(ax: Axes, steps: int = 4, title: str = "") -> Axes:
    """Two recurrent nets over one sequence: forwards in blue, backwards in orange; every output sees both.

    For four steps a figure 7 inches wide and 4.4 high suits. Raises ValueError unless steps is 2..8.
    """
    require_count("bidirectional", "steps", steps, 2, 8)
    ahead, back = [], []
    for t in range(1, steps + 1):
        x, time = 3.0 * t, f"^{{({t})}}"
        below, above = circle(ax, x, 0, f"$x{time}$"), circle(ax, x, 5.4, f"$y{time}$")
        ahead.append(circle(ax, x - 0.6, 1.8, rf"$\overrightarrow{{h}}{{}}^{{\;({t})}}$", BLUE, 0.65))
        back.append(circle(ax, x + 0.6, 3.6, rf"$\overleftarrow{{h}}{{}}^{{\;({t})}}$", ORANGE, 0.65))
        for node, colour in ((ahead[-1], BLUE), (back[-1], ORANGE)):
            wire(ax, below, node, colour=colour)
            wire(ax, node, above, colour=colour)
    for k in range(steps - 1):
        wire(ax, ahead[k], ahead[k + 1], colour=BLUE)
        wire(ax, back[k + 1], back[k], colour=ORANGE)
    return frame(ax, title, (1.5, 3.0 * steps + 1.4), (-0.7, 6.4))
