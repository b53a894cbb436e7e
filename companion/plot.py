"""Figures in one style, readable on light and on dark pages: functions (ax, data) -> ax (every chapter).

Matplotlib is imported inside the functions. Nothing global is set: `new_figure` applies the style to one figure only.
The first three colours are those of Okabe and Ito (2008), which colour-blind readers can tell apart, the others are chosen to
differ from them in brightness; every series is also labelled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.tree import Array
from companion.validate import require_finite, require_range, require_shape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#B33C6E", "#8E5EA2", "#3A92C8"
INK, FAINT, GREY = "#333333", "#BBBBBB", "#949494"  # grey is still seen on a dark page
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, RED, SKY)

# A transparent background with dark ink: the book inverts figures on a dark page.
STYLE: Any = {
    "figure.facecolor": "none",
    "figure.dpi": 144,
    "savefig.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "font.size": 10,
    "lines.linewidth": 1.8,
}


def new_figure(
    columns: int = 1, width: float = 7.0, height: float = 3.2, rows: int = 1, **options: Any
) -> tuple[Figure, Any]:
    """A figure in the style of the book and its axes: one, or an array of `rows` by `columns`; sizes in inches."""
    import matplotlib.pyplot as plt
    from cycler import cycler

    style = STYLE | {"axes.prop_cycle": cycler(color=COLOURS)}
    with plt.rc_context(style):
        figure, axes = plt.subplots(rows, columns, figsize=(width, height), layout="constrained", **options)
    return figure, axes


def describe(ax: Axes, title: str, xlabel: str = "", ylabel: str = "", **settings: Any) -> Axes:
    """Title (a question), axis labels with units, a legend where there are labelled lines, and any `ax.set` settings."""
    ax.set_title(title, loc="left", fontsize=11, fontweight="bold")
    ax.set(xlabel=xlabel, ylabel=ylabel, **settings)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False)
    return ax


def curves(ax: Axes, series: Mapping[str, Sequence[float]], x: Sequence[float] | None = None) -> Axes:
    """One labelled line for every series, over x or over 1, 2, ..."""
    for name, values in series.items():
        ax.plot(np.arange(1, len(values) + 1) if x is None else x, values, label=name)
    return ax


def spread(ax: Axes, groups: Mapping[str, Sequence[float]]) -> Axes:
    """One row for every group: each run a dot, the median a bar."""
    for row, values in enumerate(groups.values()):
        colour = COLOURS[row % len(COLOURS)]
        ax.plot(values, np.full(len(values), row), "o", color=colour, alpha=0.7, markersize=6)
        ax.plot([float(np.median(values))] * 2, [row - 0.28, row + 0.28], color=colour, linewidth=2.5)
    ax.set_yticks(range(len(groups)), list(groups))
    ax.set_ylim(len(groups) - 0.5, -0.5)
    ax.grid(axis="x", color=FAINT, linewidth=0.5)
    return ax


def network(ax: Axes, sizes: Sequence[int], names: Sequence[str], title: str) -> Axes:
    """Layers of units from left to right, neighbouring layers fully joined; each layer's name below it."""
    heights = [np.arange(size) - (size - 1) / 2 for size in sizes]
    for column, (left, right) in enumerate(pairwise(heights)):
        for a in left:
            for b in right:
                ax.plot([column, column + 1], [a, b], color=FAINT, linewidth=1, zorder=1)
    for column, (height, name) in enumerate(zip(heights, names, strict=True)):
        colour = INK if column == 0 else COLOURS[(column - 1) % len(COLOURS)]
        face = "white" if column == 0 else colour
        ax.scatter(np.full(len(height), column), height, s=220, color=face, edgecolor=colour, zorder=2)
        ax.text(column, -max(sizes) / 2 - 0.35, name, ha="center", va="top")
    ax.set(xlim=(-0.5, len(sizes) - 0.5), ylim=(-max(sizes) / 2 - 1, max(sizes) / 2 + 0.2))
    describe(ax, title)
    ax.set_axis_off()
    return ax


def images(ax: Axes, x: Array, titles: Sequence[str], side: int = 8, columns: int = 10) -> Axes:
    """Square images x (N, side * side) side by side in rows of `columns`, each with its title above."""
    for index, (pixels, title) in enumerate(zip(x, titles, strict=True)):
        row, column = divmod(index, columns)
        left, top = column * 1.2, row * 1.6
        ax.imshow(pixels.reshape(side, side), cmap="Greys", vmin=0, vmax=1, extent=(left, left + 1, top + 1, top))
        ax.text(left + 0.5, top - 0.08, title, ha="center", va="bottom")
    rows = -(-len(x) // columns)
    ax.set_xlim(-0.1, min(columns, len(x)) * 1.2)
    ax.set_ylim(rows * 1.6 - 0.5, -0.4)
    ax.set_axis_off()
    return ax


def heat(
    ax: Axes,
    values: Array,
    rows: Sequence[str],
    columns: Sequence[str],
    label: str = "",
    low: float = 0.0,
    high: float = 1.0,
) -> Axes:
    """Heat map of values (rows, columns), each row and column named, with a colour bar from low to high named `label`.

    Large values are blue, zero (or low, if higher) is white, negative values are orange. Values outside low ... high take the
    colour of that end, and the bar is pointed there. Raises ValueError unless names and values fit, high > low and high > 0.
    """
    from matplotlib.colors import LinearSegmentedColormap

    require_shape("heat", "values", values, len(rows), len(columns), why="from rows and columns")
    require_finite("heat", "values", values)
    require_range("heat", "high", high, max(low, 0.0), np.inf, "()")
    colours = [(0, ORANGE), (-low / (high - low), "white"), (1, BLUE)] if low < 0 else ["white", BLUE]
    outside = {(True, True): "both", (True, False): "min", (False, True): "max", (False, False): "neither"}
    mesh = ax.pcolormesh(
        values,
        cmap=LinearSegmentedColormap.from_list("heat", colours),
        vmin=low,
        vmax=high,
        edgecolor=FAINT,
        linewidth=0.4,
    )
    ax.set_xticks(np.arange(len(columns)) + 0.5, columns)
    ax.set_yticks(np.arange(len(rows)) + 0.5, rows)
    ax.tick_params(length=0)
    ax.invert_yaxis()
    ax.spines[:].set_visible(False)
    bar = ax.figure.colorbar(mesh, ax=ax, extend=outside[bool(np.min(values) < low), bool(np.max(values) > high)])
    bar.set_label(label, color=INK)
    bar.ax.tick_params(color=INK, labelcolor=INK)
    bar.outline.set(edgecolor=FAINT)
    return ax
