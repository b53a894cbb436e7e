"""Diagrams of sequence tasks and of hidden Markov models: functions (ax, ...) -> ax (chapter *Why model sequences*).

Time runs from left to right, as in `companion/diagrams.py`; nets compute upwards, hidden states emit downwards.
The tasks are those of Lipton, Berkowitz and Elkan (2015, section 1); the trellis is that of Rabiner (1989).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise, product
from typing import TYPE_CHECKING

import numpy as np

from companion.drawing import LETTERS, Node, circle, frame, require_count, wire
from companion.plot import BLUE, GREY, INK
from companion.tree import Indices
from companion.validate import require_indices, require_shape

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STEP = 1.6  # from one step of a task to the next, and from one layer to the next
WAY, ROW = 3.2, 1.5  # between the steps and between the states of a trellis

Place = tuple[int, int]  # step and state
Way = tuple[Place, Place]


def sequence_tasks(ax: Axes, title: str = "") -> Axes:
    """Five tasks by which ends are sequences, each with its name above and an example below.

    Inputs x, hidden states h, outputs y; blue is what a net carries from step to step. A figure 7 inches wide and 6.3 high
    suits.
    """
    _task(ax, 0.7, 7, 1, [1], [1], "one to one", "picture → digit")
    _task(ax, 4.2, 7, 3, [1], [1, 2, 3], "one to many", "picture → caption")
    _task(ax, 9.5, 7, 3, [1, 2, 3], [3], "many to one", "sentence → sentiment")
    _task(ax, 0.2, 0, 3, [1, 2, 3], [1, 2, 3], "many to many, aligned", "letters → phonemes")
    _task(ax, 6.5, 0, 5, [1, 2, 3], [4, 5], "many to many, not aligned", "sentence → translation")
    return frame(ax, title, (-1.0, 13.7), (-1.7, 11.9))


def _task(
    ax: Axes, x: float, y: float, steps: int, read: Collection[int], write: Collection[int], name: str, example: str
) -> None:
    """One net over its steps, with an input at those it reads at and an output at those it writes at."""
    states = []
    for t in range(1, steps + 1):
        column = x + STEP * (t - 1)
        states.append(circle(ax, column, y + STEP, "$h$"))
        if t in read:
            wire(ax, circle(ax, column, y, "$x$"), states[-1])
        if t in write:
            wire(ax, states[-1], circle(ax, column, y + 2 * STEP, "$y$"))
    for before, after in pairwise(states):
        wire(ax, before, after, colour=BLUE)
    middle = (states[0].x + states[-1].x) / 2
    _words(ax, middle, y + 2 * STEP + 1.2, name, fontweight="bold")
    _words(ax, middle, y - 1.2, example)


def _words(ax: Axes, x: float, y: float, text: str, fontweight: str = "normal") -> None:
    ax.text(x, y, text, color=INK, fontsize=LETTERS, ha="center", va="center", fontweight=fontweight)


def markov_and_hidden(ax: Axes, title: str = "") -> Axes:
    """A Markov chain, in which observations x follow from each other, beside a hidden one, whose states q emit them.

    Blue is what nobody sees. A figure 7 inches wide and 2.6 high suits.
    """
    for left, name, hidden in ((0.0, "Markov chain", False), (7.6, "hidden Markov model", True)):
        seen = [circle(ax, left + 2.4 * t, 0, f"$x^{{({t + 1})}}$") for t in range(3)]
        chain, colour = seen, INK
        if hidden:
            colour = BLUE
            chain = [circle(ax, x.x, 2.1, f"$q^{{({t})}}$", colour) for t, x in enumerate(seen, 1)]
            for q, x in zip(chain, seen):
                wire(ax, q, x, colour=colour)
        for before, after in pairwise(chain):
            wire(ax, before, after, colour=colour)
        _words(ax, left + 2.4, 3.4, name, fontweight="bold")
    return frame(ax, title, (-0.8, 13.2), (-0.8, 3.9))


def trellis(
    ax: Axes, stage: int, steps: int = 4, states: int = 3, title: str = "", path: Sequence[int] | Indices | None = None
) -> Axes:
    """An HMM in time, a row for each state: 1 states and observations, 2 all transitions, 3 what the forward recursion sums
    into one node, with the observation at that step, 4 the best path of the Viterbi algorithm.

    path: (steps,) the states of the best path, in 0 ... states-1; by default an example

    Blue is what the stage is about. For four steps and three states a figure 7 inches wide and 4.2 high suits. Raises
    ValueError unless stage is 1..4, steps 2..6, states 2..5 and the path fits them.
    """
    require_count("trellis", "stage", stage, 1, 4)
    require_count("trellis", "steps", steps, 2, 6)
    require_count("trellis", "states", states, 2, 5)
    best = list(enumerate(_checked_path(path, steps, states)))
    places = list(product(range(steps), range(states)))
    ways = [(a, b) for a, b in product(places, places) if b[0] == a[0] + 1]
    blue, followed = _blue(stage, steps, states, ways, best)
    nodes = {place: _state(ax, *place, BLUE if place in blue else INK) for place in places}
    for t in range(steps):
        _observation(ax, t, states, BLUE if (t, states) in blue else INK)
    for a, b in sorted(ways if stage > 1 else [], key=followed.__contains__):  # what is blue lies on top
        wire(ax, nodes[a], nodes[b], colour=BLUE if (a, b) in followed else GREY)
    return frame(ax, title, (-1.2, WAY * (steps - 1) + 1.2), (-ROW * (states - 1) - 3.2, 1.8))


def _blue(stage: int, steps: int, states: int, ways: list[Way], best: list[Place]) -> tuple[list[Place], list[Way]]:
    """What a stage is about: (step, state) of nodes, where one row more stands for the observation, and transitions."""
    summed = (min(2, steps - 1), states // 2)
    return {
        1: (list(product(range(steps), range(states + 1))), []),
        2: ([], ways),
        3: ([summed, (summed[0], states)], [way for way in ways if way[1] == summed]),
        4: (best, list(pairwise(best))),
    }[stage]


def _checked_path(path: Sequence[int] | Indices | None, steps: int, states: int) -> list[int]:
    if path is None:
        return [(t + 1) // 2 % states for t in range(steps)]
    checked = np.array(path)
    require_shape("trellis", "path", checked, steps, why="from steps")
    require_indices("trellis", "path", checked, states)
    best: list[int] = checked.tolist()
    return best


def _state(ax: Axes, t: int, state: int, colour: str) -> Node:
    return circle(ax, WAY * t, -ROW * state, str(state), colour)


def _observation(ax: Axes, t: int, states: int, colour: str) -> None:
    """A frame around the states of one step, whichever of them it is in, and below it what this one emits."""
    from matplotlib.patches import FancyBboxPatch

    x, bottom = WAY * t, -ROW * (states - 1)
    box = FancyBboxPatch((x - 0.55, bottom - 0.55), 1.1, 1.1 - bottom, boxstyle="round,pad=0.3,rounding_size=0.5")
    ax.add_patch(box)
    box.set(facecolor="none", edgecolor=GREY, linewidth=1.5)
    _words(ax, x, 1.35, f"$q^{{({t + 1})}}$")
    seen = circle(ax, x, bottom - 2.4, f"$x^{{({t + 1})}}$", colour)
    wire(ax, (x, bottom - 0.85), seen, colour=colour)
