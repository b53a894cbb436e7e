"""Diagrams of tasks and of hidden Markov models join what they should, fit their figure and set nothing globally."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import combinations, pairwise, product
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import Circle, FancyArrowPatch

from companion import plot, sequence_diagrams
from companion.drawing import LETTERS

Draw = Callable[..., Any]
Place = tuple[float, float]

# width and height of the figure that each docstring advises
FIGURES = {
    "sequence_tasks": (lambda ax: sequence_diagrams.sequence_tasks(ax, "Q?"), 7, 6.3),
    "markov_and_hidden": (lambda ax: sequence_diagrams.markov_and_hidden(ax, "Q?"), 7, 2.6),
    "trellis": (lambda ax: sequence_diagrams.trellis(ax, 3, title="Q?"), 7, 4.2),
}

# the steps at which each task reads and at which it writes
TASKS = {
    "one to one": ([1], [1]),
    "one to many": ([1], [1, 2, 3]),
    "many to one": ([1, 2, 3], [3]),
    "many to many, aligned": ([1, 2, 3], [1, 2, 3]),
    "many to many, not aligned": ([1, 2, 3], [4, 5]),
}


@pytest.fixture(autouse=True)
def _figures_are_closed() -> Iterator[None]:
    yield
    plt.close("all")


def drawn(draw: Draw, *arguments: Any, width: float = 7, height: float = 4, **options: Any) -> Any:
    ax = plot.new_figure(width=width, height=height)[1]
    assert draw(ax, *arguments, **options) is ax
    return ax


def circles(ax: Any) -> dict[Place, str]:
    """The text of every circle by its place."""
    words = {tuple(np.round(text.get_position(), 6)): text.get_text() for text in ax.texts}
    places = [tuple(np.round(patch.center, 6)) for patch in ax.patches if isinstance(patch, Circle)]
    assert len(set(places)) == len(places)
    return {place: words[place] for place in places}


def wires(ax: Any, colour: str | None = None) -> set[tuple[Place, Place]]:
    """From where to where the wires lead: places of circles, or points where there is none."""
    known = list(circles(ax))

    def end(point: Any) -> Place:
        near = [place for place in known if np.hypot(*np.subtract(place, point)) < 0.56]
        return near[0] if near else (float(point[0]), float(point[1]))

    paths = [
        patch._path_original.vertices
        for patch in ax.patches
        if isinstance(patch, FancyArrowPatch) and (colour is None or is_coloured(patch, colour))
    ]
    found = {(end(path[0]), end(path[-1])) for path in paths}
    assert len(found) == len(paths)
    return found


def is_coloured(patch: Any, colour: str) -> bool:
    return bool(patch.get_edgecolor() == mpl.colors.to_rgba(colour))


# ---- sequence tasks


def task(ax: Any) -> tuple[list[int], list[int]]:
    """The steps at which the only task on these axes reads and writes, from its wires."""
    nodes, found = circles(ax), wires(ax)
    columns = sorted({x for x, _ in nodes})
    kinds = {(nodes[a], nodes[b]) for a, b in found}
    assert kinds <= {("$x$", "$h$"), ("$h$", "$h$"), ("$h$", "$y$")}
    states = [place for place in sorted(nodes) if nodes[place] == "$h$"]
    assert [place[0] for place in states] == columns
    assert wires(ax, plot.BLUE) == set(pairwise(states))
    read, write = (
        sorted(columns.index(a[0]) + 1 for a, b in found if (nodes[a], nodes[b]) == kind and a[0] == b[0])
        for kind in (("$x$", "$h$"), ("$h$", "$y$"))
    )
    assert len(nodes) == len(states) + len(read) + len(write)
    return read, write


@pytest.mark.parametrize("name", TASKS)
def test_every_task_reads_and_writes_when_its_name_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = sequence_diagrams._task

    def only(ax: Any, *arguments: Any) -> None:
        if name in arguments:
            draw(ax, *arguments)

    monkeypatch.setattr(sequence_diagrams, "_task", only)
    assert task(drawn(sequence_diagrams.sequence_tasks)) == TASKS[name]


def test_all_five_tasks_are_in_one_picture() -> None:
    ax = drawn(sequence_diagrams.sequence_tasks)
    texts = {text.get_text() for text in ax.texts}
    assert texts >= set(TASKS)
    assert sum("→" in text for text in texts) == len(TASKS)
    assert Counter(circles(ax).values()) == {
        "$x$": 1 + 1 + 3 + 3 + 3,
        "$h$": 1 + 3 + 3 + 3 + 5,
        "$y$": 1 + 3 + 1 + 3 + 2,
    }


def test_a_task_that_reads_at_another_step_is_told_apart() -> None:
    ax = plot.new_figure()[1]
    sequence_diagrams._task(ax, 0, 0, 3, [1, 3], [2], "many to one", "")
    assert task(ax) == ([1, 3], [2])


# ---- Markov chains


def test_a_chain_joins_observations_and_a_hidden_one_its_states() -> None:
    ax = drawn(sequence_diagrams.markov_and_hidden)
    nodes = circles(ax)
    named = Counter((nodes[a], nodes[b]) for a, b in wires(ax))
    x, q = ([f"${letter}^{{({t})}}$" for t in (1, 2, 3)] for letter in "xq")
    assert named == Counter([*pairwise(x), *pairwise(q), *zip(q, x, strict=True)])
    hidden = {(nodes[a], nodes[b]) for a, b in wires(ax, plot.BLUE)}
    assert hidden == {*pairwise(q), *zip(q, x, strict=True)}


# ---- the trellis


def ways(ax: Any, colour: str | None = None) -> set[tuple[tuple[int, int], tuple[int, int]]]:
    """The transitions drawn: from (step, state) to (step, state), both counted from 0."""
    nodes = circles(ax)
    columns = sorted({x for x, _ in nodes})
    joined = [(a, b) for a, b in wires(ax, colour) if a in nodes and nodes[b].isdigit()]
    return {((columns.index(a[0]), int(nodes[a])), (columns.index(b[0]), int(nodes[b]))) for a, b in joined}


def blue_circles(ax: Any) -> set[str]:
    blue = [p for p in ax.patches if isinstance(p, Circle) and is_coloured(p, plot.BLUE)]
    return {circles(ax)[tuple(np.round(patch.center, 6))] for patch in blue}


@pytest.mark.parametrize(("steps", "states"), [(4, 3), (2, 2), (6, 5)])
def test_every_state_leads_to_every_state_of_the_next_step(steps: int, states: int) -> None:
    assert ways(drawn(sequence_diagrams.trellis, 1, steps, states)) == set()
    every = {((t, i), (t + 1, j)) for t, i, j in product(range(steps - 1), range(states), range(states))}
    for stage in (2, 3, 4):
        assert ways(drawn(sequence_diagrams.trellis, stage, steps, states)) == every
    assert ways(drawn(sequence_diagrams.trellis, 2, steps, states), plot.BLUE) == every


@pytest.mark.parametrize(("steps", "states"), [(4, 3), (2, 2), (6, 5)])
def test_the_forward_recursion_sums_all_ways_into_one_node_and_sees_its_observation(steps: int, states: int) -> None:
    ax = drawn(sequence_diagrams.trellis, 3, steps, states)
    blue = ways(ax, plot.BLUE)
    ((t, state),) = {end for _, end in blue}
    assert {start for start, _ in blue} == {(t - 1, i) for i in range(states)}
    assert blue_circles(ax) == {str(state), f"$x^{{({t + 1})}}$"}


@pytest.mark.parametrize("path", [[0, 1, 1, 2], [2, 2, 0, 1], [1, 1, 1, 1]])
def test_the_best_path_is_the_one_given(path: list[int]) -> None:
    given = np.array(path)
    ax = drawn(sequence_diagrams.trellis, 4, path=given)
    assert ways(ax, plot.BLUE) == set(pairwise(enumerate(path)))
    assert blue_circles(ax) == set(map(str, path))
    assert given.tolist() == path


def test_sizes_may_be_integers_of_numpy() -> None:
    received, expected = (drawn(sequence_diagrams.trellis, *map(kind, (3, 5, 2))) for kind in (np.int64, int))
    assert circles(received) == circles(expected)
    assert wires(received, plot.BLUE) == wires(expected, plot.BLUE)


def test_without_a_path_an_example_is_drawn() -> None:
    assert ways(drawn(sequence_diagrams.trellis, 4), plot.BLUE) == set(pairwise(enumerate([0, 1, 1, 2])))


def test_stages_stay_in_place() -> None:
    stages = [drawn(sequence_diagrams.trellis, stage) for stage in (1, 2, 3, 4)]
    assert len({ax.axis() for ax in stages}) == 1
    assert all(circles(ax) == circles(stages[0]) for ax in stages)
    assert all(wires(stages[0]) < wires(ax) == wires(stages[1]) for ax in stages[1:])


def test_every_step_has_its_state_and_its_observation_below() -> None:
    ax = drawn(sequence_diagrams.trellis, 1, 5, 2)
    places = {text.get_text(): text.get_position() for text in ax.texts}
    for t in range(1, 6):
        hidden, seen = (places[f"${letter}^{{({t})}}$"] for letter in "qx")
        assert hidden[0] == seen[0]
        assert seen[1] < min(y for (x, y), word in circles(ax).items() if word.isdigit() and x == round(seen[0], 6))


# ---- all of them


@pytest.mark.parametrize("name", FIGURES)
def test_all_is_large_and_inside_and_no_letter_hides_another(name: str) -> None:
    draw, width, height = FIGURES[name]
    ax = drawn(draw, width=width, height=height)
    ax.figure.canvas.draw()
    assert {text.get_fontsize() for text in ax.texts} == {LETTERS}
    assert {text.get_color() for text in ax.texts} <= {plot.INK, plot.BLUE}
    boxes = {(t.get_text(), k): t.get_window_extent() for k, t in enumerate([*ax.texts, ax._left_title])}
    for box in [*boxes.values(), *(patch.get_window_extent() for patch in ax.patches)]:
        assert ax.figure.bbox.x0 <= box.x0 <= box.x1 <= ax.figure.bbox.x1
        assert ax.figure.bbox.y0 <= box.y0 <= box.y1 <= ax.figure.bbox.y1
    assert [pair for pair in combinations(boxes, 2) if boxes[pair[0]].overlaps(boxes[pair[1]])] == []


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_set_globally(name: str) -> None:
    before = dict(mpl.rcParams)
    drawn(FIGURES[name][0])
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stage": 0}, r"stage is 0, expected an integer in 1\.\.4"),
        ({"stage": 5}, "stage is 5"),
        ({"stage": 2.0}, r"stage is 2\.0"),
        ({"steps": 1}, r"steps is 1, expected an integer in 2\.\.6"),
        ({"states": 6}, r"states is 6, expected an integer in 2\.\.5"),
        ({"states": True}, "states is True"),
        ({"path": [0, 1, 2]}, r"path has shape \(3,\), expected \(4,\) from steps"),
        ({"path": [0, 1, 2, 3]}, r"path\[3\] is 3, expected integers in 0\.\.2"),
        ({"path": [0, -1, 2, 1]}, r"path\[1\] is -1"),
        ({"path": [0.0, 1.0, 2.0, 1.0]}, "path has dtype float64"),
    ],
    ids=str,
)
def test_a_trellis_that_there_is_not_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="trellis: " + message):
        drawn(sequence_diagrams.trellis, **{"stage": 1} | arguments)
