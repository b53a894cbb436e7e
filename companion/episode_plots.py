"""Episodes of the algorithmic tasks, the answers to them, and where a head looks: (ax, data) -> ax.

The panels are those of Graves, Wayne and Danihelka (2014, figures 4 to 17): steps go from left to right, channels and rows of
the memory from top to bottom, both counted from 0. 1 is blue, 0 white, -1 orange; the book turns white to black on a dark page.
A panel 7 inches wide shows up to about 250 steps. Chapter *Neural Turing machines*.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.data.algorithmic import Episodes, one_episode
from companion.plot import BLUE, FAINT, INK, ORANGE, describe
from companion.tree import Array
from companion.validate import require_counts, require_finite, require_float, require_shape, require_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NOT_ASKED = "#D0D0D0"  # neither 0 nor 1, on a light page and on a dark one


def draw_episode(axes: Sequence[Axes], episodes: Episodes, b: int = 0, title: str = "") -> Sequence[Axes]:
    """Input and target of sequence b on two axes, one below the other; grey where no answer is asked.

    Numbers are blue above 0 and orange below, fully so from 1 and -1 on. Raises ValueError unless there are two axes, the
    episodes are well formed, and b is in 0 ... B-1.
    """
    _require_axes("draw_episode", axes, 2)
    xs, targets, mask = one_episode("draw_episode", episodes, b)
    _panel(axes[0], xs, title, "", "input\nchannel")
    _panel(axes[1], np.where(mask[:, None], targets, np.nan), "", "step", "target\nchannel")
    return axes


def draw_heads(ax: Axes, weightings: Array, rows: tuple[int, int] | None = None, title: str = "") -> Axes:
    """Weightings (T, N) of one head: at each step, how much of its focus is on each row of the memory, from 0 to 1.

    rows: (first, end) to show rows first ... end - 1 only. Raises ValueError unless weightings is a floating-point (T, N) of
    finite numbers of at least 0, and 0 <= first < end <= N.
    """
    require_float("draw_heads", "weightings", weightings)
    require_shape("draw_heads", "weightings", weightings, "T", "N")
    require_counts("draw_heads", "weightings", weightings, "weights")
    first, end = _checked_rows(rows, weightings.shape[1])
    image = _panel(ax, weightings[:, first:end], title, "step", "row of the memory", first)
    bar = ax.figure.colorbar(image, ax=ax, boundaries=np.linspace(0, 1, 101), ticks=[0, 0.5, 1])
    bar.set_label("weight", color=INK)
    bar.ax.tick_params(color=INK, labelcolor=INK)
    bar.outline.set(edgecolor=FAINT)
    return ax


def draw_answers(axes: Sequence[Axes], targets: Array, probabilities: Array, title: str = "") -> Sequence[Axes]:
    """Target, output and error of one sequence on three axes: bits targets (T, C), and a net's probabilities (T, C) of 1.

    The error is output less target: blue where the net says too much, orange where too little. For the steps with an answer
    only, pass `targets[mask]` and `probabilities[mask]` of that sequence. Raises ValueError unless there are three axes, and
    both arrays are floating-point, finite and of one shape (T, C).
    """
    _require_axes("draw_answers", axes, 3)
    require_shape("draw_answers", "targets", targets, "T", "C")
    require_shape("draw_answers", "probabilities", probabilities, *targets.shape, why="as targets")
    for name, array in (("targets", targets), ("probabilities", probabilities)):
        require_float("draw_answers", name, array)
        require_finite("draw_answers", name, array)
    _panel(axes[0], targets, title, "", "target\nchannel")
    _panel(axes[1], probabilities, "", "", "output\nchannel")
    _panel(axes[2], probabilities - targets, "", "step", "error\nchannel")
    return axes


def _panel(ax: Axes, values: Array, title: str, xlabel: str, ylabel: str, first: int = 0) -> Any:
    """Values (T, C) in -1 ... 1 as an image with a column for each step, whose rows are counted from `first`."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.ticker import MaxNLocator

    steps, channels = values.shape
    colours = LinearSegmentedColormap.from_list("signed", [ORANGE, "white", BLUE]).with_extremes(bad=NOT_ASKED)
    corners = (-0.5, steps - 0.5, first + channels - 0.5, first - 0.5)
    look: dict[str, Any] = {"cmap": colours, "vmin": -1, "vmax": 1, "aspect": "auto", "interpolation": "nearest"}
    image = ax.imshow(np.ma.masked_invalid(values.T), extent=corners, **look)
    for axis, most in ((ax.xaxis, 6), (ax.yaxis, 5)):  # every channel named would be small print
        axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    ax.spines[:].set(visible=True, color=FAINT)
    describe(ax, title, xlabel, ylabel)
    return image


def _checked_rows(rows: tuple[int, int] | None, n: int) -> tuple[int, int]:
    """The first row to show and the end."""
    if rows is None:
        return 0, n
    if not isinstance(rows, tuple) or len(rows) != 2:
        raise ValueError(f"draw_heads: rows is {rows!r:.60}, expected (first, end)")
    first, end = rows
    require_whole("draw_heads", "rows[0]", first, 0)
    require_whole("draw_heads", "rows[1]", end, first + 1)
    if end > n:
        raise ValueError(f"draw_heads: rows[1] is {end}, expected at most {n} from weightings")
    return first, end


def _require_axes(function: str, axes: Any, n: int) -> None:
    if np.shape(axes) != (n,):
        raise ValueError(f"{function}: axes has shape {np.shape(axes)}, expected {n} axes in a row")
