"""The strokes of the book's diagrams: circles, squares, operators and the wires between them, in one style (every chapter).

What is new in a stage of a growing diagram is blue, with a thicker line. Sizes are in the units of the axes, which `frame`
makes equally long across and up. Whatever has a border at which wires can end is returned as a `Node`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from companion.plot import BLUE, GREY, INK, describe
from companion.tree import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LETTERS = 15  # points; on a phone a figure seven inches wide is half as large


Point = tuple[float, float]


class Node(NamedTuple):
    """Something with a border at which wires end."""

    x: float
    y: float
    reach: float  # from the centre to the border
    square: bool = False


def circle(ax: Axes, x: float, y: float, text: str, colour: str = INK, reach: float = 0.55) -> Node:
    """A circle, which holds a value, with its text inside."""
    from matplotlib.patches import Circle

    ax.add_patch(Circle((x, y), reach, facecolor="none", edgecolor=colour, linewidth=_width(colour)))
    ax.text(x, y, text, color=colour, fontsize=LETTERS, ha="center", va="center")
    return Node(x, y, reach)


def square(ax: Axes, x: float, y: float, text: str, colour: str = INK, reach: float = 0.5) -> Node:
    """A square, which is a gate or a loss, with its text inside."""
    from matplotlib.patches import Rectangle

    corner, side = (x - reach, y - reach), 2 * reach
    ax.add_patch(Rectangle(corner, side, side, facecolor="none", edgecolor=colour, linewidth=_width(colour)))
    ax.text(x, y, text, color=colour, fontsize=LETTERS, ha="center", va="center_baseline")
    return Node(x, y, reach, square=True)


def operator(ax: Axes, x: float, y: float, text: str, colour: str = INK) -> Node:
    """A filled circle, which hides the wire that it is put on."""
    from matplotlib.patches import Circle

    reach, size = (0.36, LETTERS) if len(text) == 1 else (0.5, LETTERS - 4)
    ax.add_patch(Circle((x, y), reach, facecolor=colour, edgecolor=colour, zorder=3))
    ax.text(x, y, text, color="white", fontsize=size, ha="center", va="center_baseline", zorder=4)
    return Node(x, y, reach)


def wire(ax: Axes, *points: Node | Point, colour: str = INK, dashed: bool = False, head: bool = True) -> None:
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


def dot(ax: Axes, x: float, y: float, colour: str = INK) -> Point:
    """Where wires meet."""
    ax.plot([x], [y], "o", color=colour, markersize=6, zorder=3)
    return x, y


def label(ax: Axes, x: float, y: float, text: str, colour: str, ha: str = "center") -> None:
    """Words beside a part, in its colour and a little smaller than letters inside nodes."""
    ax.text(x, y, text, color=colour, fontsize=LETTERS - 2, ha=ha, va="center")


def _width(colour: str) -> float:
    return 1.5 if colour in (INK, GREY) else 2.4


def colour_of(born: int, stage: int) -> str:
    """The colour of a part that first appears at stage `born`."""
    return BLUE if born == stage else INK


def require_count(function: str, name: str, value: int, low: int, high: int) -> None:
    """Raise ValueError unless value is an integer, and no bool, in low ... high."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise ValueError(f"{function}: {name} is {value!r}, expected an integer in {low}..{high}")


def frame(ax: Axes, title: str, x: Point, y: Point) -> Axes:
    """Title and limits of a finished diagram; its axes are hidden."""
    describe(ax, title, xlim=x, ylim=y, aspect="equal")
    ax.set_axis_off()
    return ax
