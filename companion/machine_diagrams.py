"""Diagrams of the neural Turing machine, grown in steps: functions (ax, ...) -> ax (chapter *Neural Turing machines*).

As in `companion/diagrams.py`, what is new in a stage is blue, with a thicker line. Everything has its shape: a memory of N rows
of M numbers, a weighting with a bar for each row, and rows of M numbers, which are read from the memory or written into it. The
letters are those of the chapter; the machine is that of Graves, Wayne and Danihelka (2014, figures 1 and 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from companion.addressing import interpolate, sharpen, shift
from companion.drawing import Node, circle, colour_of, dot, frame, label, require_count, wire
from companion.ops import softmax
from companion.plot import BLUE, INK
from companion.tree import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEARD = r"$k,\ \beta,\ g,\ s,\ \gamma$"  # what the controller says to a head, whether it reads or writes

# One step of the machine: a memory of six by six cells, and how much of its two heads is on each row.
CELL, LEFT, BOTTOM = 0.6, 8.2, 2.9
RIGHT, TOP = LEFT + 6 * CELL, BOTTOM + 6 * CELL
CENTRE, MIDDLE, READ_AT = (LEFT + RIGHT) / 2, (BOTTOM + TOP) / 2, TOP + 1.3
READ, WRITE = (0.06, 0.14, 0.52, 0.18, 0.06, 0.04), (0.03, 0.04, 0.06, 0.13, 0.66, 0.08)
HEAD = 1.0  # how wide

STEP = 4.2  # from one step of the unrolled machine to the next
MEMORY, HEADS, READS, CONTROLLER = 7.0, 4.8, 3.2, 2.0  # heights in it

COLUMN = 2.8  # from one stage of addressing to the next
SAID, PIPE, CHART = 6.5, 4.4, 1.9  # heights: what the controller says, the stages, what each makes of the example
STAGES = (
    ("content", r"$k,\ \beta$", "w_c"),
    ("gate", "$g$", "w_g"),
    ("shift", "$s$", "w_s"),
    ("sharpen", r"$\gamma$", "w"),
)


def machine(ax: Axes, stage: int, title: str = "") -> Axes:
    """The machine: 1 its controller, a recurrent net; 2 a memory and a head that reads it; 3 a head that writes, all at one
    step, where what is dashed arrives one step later; 4 unrolled over three steps, where blue is what one hands to the next.

    Stages 1 to 3 stay in place, stage 4 is drawn anew. A figure 7 inches wide and 4.7 high suits. Raises ValueError unless
    stage is 1..4.
    """
    require_count("machine", "stage", stage, 1, 4)
    if stage == 4:
        _three_steps(ax)
    else:
        _controller(ax, colour_of(1, stage))
    if stage in (2, 3):
        _reading(ax, colour_of(2, stage))
    if stage == 3:
        _writing(ax, BLUE)
    return frame(ax, title, (0, 14.3), (-0.6, 8.5))


def _controller(ax: Axes, colour: str) -> None:
    """Stage 1: from input to output through a net that hears itself one step later."""
    x, right, left = 2.5, 1.2, 0.4
    _box(ax, x, MIDDLE, "controller", colour, 2.6, 1.4)
    wire(ax, circle(ax, x, 0.6, "$x$", colour), (x, MIDDLE - 0.7), colour=colour)
    wire(ax, (x, MIDDLE + 0.7), circle(ax, x, READ_AT, "$y$", colour), colour=colour)
    label(ax, x - 0.2, (MIDDLE + READ_AT) / 2, "$h$", colour, ha="right")
    above, below = MIDDLE + 0.4, MIDDLE - 0.4
    wire(ax, (right, above), (left, above), (left, below), (right, below), colour=colour, dashed=True)
    label(ax, 1.1, MIDDLE - 1.5, "one step\nlater", colour)


def _reading(ax: Axes, colour: str) -> None:
    """Stage 2: the memory, a head, and what it reads, for the output and for the controller's next step."""
    _grid(ax, LEFT, BOTTOM, 6, 6, CELL, colour)
    label(ax, LEFT, TOP + 0.35, "memory", colour, ha="left")
    label(ax, RIGHT, TOP + 0.35, r"$N \times M$", colour, ha="right")
    _head(ax, LEFT - 0.25, -1, READ, "read head", colour)
    wire(ax, (3.8, MIDDLE), (LEFT - 0.25 - HEAD, MIDDLE), colour=colour)
    label(ax, 5.3, MIDDLE + 0.35, HEARD, colour)
    _numbers(ax, READ_AT, "read $r$", colour)
    wire(ax, (CENTRE, TOP), (CENTRE, READ_AT - CELL / 2), colour=colour)
    wire(ax, (LEFT, READ_AT), (3.05, READ_AT), colour=colour)
    wire(ax, dot(ax, 3.5, READ_AT, colour), (3.5, MIDDLE + 0.7), colour=colour, dashed=True)
    label(ax, 3.7, (MIDDLE + READ_AT) / 2, "$r'$", colour, ha="left")


def _writing(ax: Axes, colour: str) -> None:
    """Stage 3: a second head, and what it erases and adds."""
    trunk, right, erase, add = 4.4, 14.0, BOTTOM - 1.2, BOTTOM - 2.1
    _head(ax, RIGHT + 0.25, 1, WRITE, "write head", colour)
    bends = (trunk, MIDDLE - 0.4), (trunk, -0.2), (right, -0.2), (right, MIDDLE)
    wire(ax, (3.8, MIDDLE - 0.4), *bends, (RIGHT + 0.25 + HEAD, MIDDLE), colour=colour)
    label(ax, 6.0, 0.15, HEARD, colour)
    for y, name in ((erase, "erase $e$"), (add, "add $a$")):
        _numbers(ax, y, name, colour)
        wire(ax, dot(ax, trunk, y, colour), (LEFT, y), colour=colour)
    wire(ax, (CENTRE, add + CELL / 2), (CENTRE, erase - CELL / 2), colour=colour, head=False)
    wire(ax, (CENTRE, erase + CELL / 2), (CENTRE, BOTTOM), colour=colour)


def _head(ax: Axes, x: float, way: int, weights: Sequence[float], name: str, colour: str) -> None:
    """A weighting beside the memory, a bar for each row; they grow away from it, to the left (-1) or to the right (1)."""
    rows = TOP - CELL * (np.arange(len(weights)) + 0.5)
    ax.barh(rows, way * np.array(weights), height=0.65 * CELL, left=x, color=colour)
    _box(ax, x + way * HEAD / 2, MIDDLE, "", colour, HEAD, TOP - BOTTOM)
    label(ax, x + way * HEAD / 2, TOP + 0.35, "$w$", colour)
    label(ax, x + way * HEAD / 2, BOTTOM - 0.4, name, colour)


def _numbers(ax: Axes, y: float, name: str, colour: str) -> None:
    """A row of M numbers in line with the columns of the memory, with its name to the right."""
    _grid(ax, LEFT, y - CELL / 2, 6, 1, CELL, colour)
    label(ax, RIGHT + 0.25, y, name, colour, ha="left")


def _three_steps(ax: Axes) -> None:
    """Stage 4, from below: input and output, controller, reads, heads, and the memory before and after each step."""
    for t in range(4):
        _grid(ax, STEP * t + 0.4, MEMORY - 0.6, 4, 4, 0.3, INK)
    label(ax, 0.4, MEMORY + 1, "memory", INK, ha="left")
    for name, height in (("w", HEADS), ("r", READS), ("h", CONTROLLER)):
        label(ax, 0.9, height, f"${name}^{{(0)}}$", BLUE, ha="right")
    w, r, h = Node(1, HEADS, 0), Node(1, READS, 0), Node(1, CONTROLLER, 0)
    for t in (1, 2, 3):
        x = STEP * t - 1.1
        new_r, new_h = _one_step(ax, t, x)
        wire(ax, (STEP * t - 2.6, MEMORY), (STEP * t + 0.4, MEMORY), colour=BLUE)
        wire(ax, w, (x - 1.25, HEADS), colour=BLUE)
        wire(ax, r, new_h, colour=BLUE)
        wire(ax, h, new_h, colour=BLUE)
        w, r, h = Node(x + 1.25, HEADS, 0), new_r, new_h
    for last in (w, r, h):
        wire(ax, last, (13.6, last.y), colour=BLUE)


def _one_step(ax: Axes, t: int, x: float) -> tuple[Node, Node]:
    """One step about x, between the memory before and the memory after it; the nodes of what was read and of the controller."""
    time, left, right = f"^{{({t})}}", x - 0.75, x + 0.75
    _box(ax, x, HEADS, f"heads $w{time}$", INK, 2.5, 1.0)
    h, r = circle(ax, left, CONTROLLER, f"$h{time}$"), circle(ax, right, READS, f"$r{time}$", reach=0.5)
    y = circle(ax, right, 0, f"$y{time}$")
    wire(ax, circle(ax, left, 0, f"$x{time}$"), h)
    wire(ax, h, (left, HEADS - 0.5))
    wire(ax, (right, HEADS - 0.5), r)
    wire(ax, r, y)
    wire(ax, h, y)
    wire(ax, (x - STEP / 2 + 0.6, MEMORY - 0.6), (x - 0.6, HEADS + 0.5))
    wire(ax, (x + 0.6, HEADS + 0.5), (x + STEP / 2 - 0.6, MEMORY - 0.6))
    label(ax, x - 0.6, 6.1, "read", INK)
    label(ax, x + 0.55, 6.1, "write", INK)
    return r, h


def addressing(ax: Axes, stage: int = 4, title: str = "") -> Axes:
    """How one head makes its weighting: 1 by content; 2 the gate, between that and the weighting before; 3 the shift; 4 the
    sharpening. Below each stage is what it makes of an example, a bar for each of eight rows from left to right.

    A figure 7 inches wide and 3.7 high suits. Raises ValueError unless stage is 1..4.
    """
    require_count("addressing", "stage", stage, 1, 4)
    new, weightings = colour_of(1, stage), _example()
    _box(ax, 1.4, SAID, "controller", new, 2.6, 1.0)
    _grid(ax, 0.8, PIPE - 0.6, 4, 4, 0.3, new)
    label(ax, 1.4, PIPE + 0.95, "memory", new)
    wire(ax, (2.0, PIPE), (3.2, PIPE), colour=new)
    if stage >= 2:
        new = colour_of(2, stage)
        _chart(ax, 1.4, weightings["w'"], "before: $w'$", new)
        wire(ax, (1.4, CHART + 0.85), (1.4, 3.3), (6.6, 3.3), (6.6, PIPE - 0.55), colour=new)
    for n, (name, said, made) in enumerate(STAGES[:stage], 1):
        new = colour_of(n, stage)
        _stage(ax, n, name, said, f"${made}$", new)
        _chart(ax, 1.4 + COLUMN * n, weightings[made], f"${made}$", new)
    return frame(ax, title, (0, 14.5), (0.1, SAID + 0.6))


def _stage(ax: Axes, n: int, name: str, said: str, made: str, colour: str) -> None:
    """The n-th stage of addressing, what the controller says to it, and what it hands on."""
    x = 1.4 + COLUMN * n
    start = (2.7, SAID) if n == 1 else dot(ax, x - COLUMN, SAID, colour)
    wire(ax, start, (x, SAID), (x, PIPE + 0.55), colour=colour)
    label(ax, x + 0.2, (SAID + PIPE + 0.55) / 2, said, colour, ha="left")
    _box(ax, x, PIPE, name, colour, 2.0, 1.1)
    wire(ax, (x + 1, PIPE), (x + 1.8, PIPE), colour=colour)
    label(ax, x + 1.35, PIPE + 0.4, made, colour)


def _example() -> dict[str, Array]:
    """A head that was on row 1 finds what it looks for in row 4 and goes one row on."""
    similar = np.array([0.1, -0.2, 0.3, 0.0, 0.95, 0.2, 0.5, 0.1])
    before = np.array([0.03, 0.79, 0.03, 0.03, 0.03, 0.03, 0.03, 0.03])
    w_c = softmax(4.5 * similar)[None, None]
    w_g = interpolate(w_c, np.array([[0.75]]), before[None, None])[0]
    w_s = shift(w_g, np.array([[[0.05, 0.15, 0.8]]]))[0]
    w = sharpen(w_s, np.array([[2.0]]))[0]
    return {"w'": before, "w_c": w_c[0, 0], "w_g": w_g[0, 0], "w_s": w_s[0, 0], "w": w[0, 0]}


def _chart(ax: Axes, x: float, weights: Array, name: str, colour: str) -> None:
    """A weighting as bars side by side about x, with its name below."""
    rows = np.arange(len(weights)) - (len(weights) - 1) / 2
    ax.bar(x + 0.27 * rows, 1.7 * weights, width=0.19, bottom=CHART - 0.85, color=colour)
    _box(ax, x, CHART, "", colour, 2.3, 1.7)
    label(ax, x, CHART - 1.3, name, colour)


def _grid(ax: Axes, left: float, bottom: float, columns: int, rows: int, cell: float, colour: str) -> None:
    """Rows of numbers."""
    across, up = columns * cell, rows * cell
    ax.vlines(left + cell * np.arange(1, columns), bottom, bottom + up, color=colour, linewidth=0.8)
    ax.hlines(bottom + cell * np.arange(1, rows), left, left + across, color=colour, linewidth=0.8)
    _box(ax, left + across / 2, bottom + up / 2, "", colour, across, up)


def _box(ax: Axes, x: float, y: float, text: str, colour: str, across: float, up: float) -> None:
    """A part of the machine with its name inside."""
    from matplotlib.patches import Rectangle

    patch = Rectangle((x - across / 2, y - up / 2), across, up, facecolor="none", edgecolor=colour)
    patch.set_linewidth(2.4 if colour == BLUE else 1.5)
    ax.add_patch(patch)
    if text:
        label(ax, x, y, text, colour)
