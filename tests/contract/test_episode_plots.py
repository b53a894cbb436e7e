"""Pictures of episodes, answers and heads show the numbers given, the right way round, and set nothing globally."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from companion import plot
from companion.data.algorithmic import (
    Episodes,
    associative_recall,
    copy,
    dynamic_ngrams,
    priority_sort,
    repeat_copy,
)
from companion.episode_plots import NOT_ASKED, draw_answers, draw_episode, draw_heads

TASKS: dict[str, Callable[[np.random.Generator], Episodes]] = {
    "copy": lambda rng: copy(rng, 3, 20),
    "long copy": lambda rng: copy(rng, 3, 120),
    "shortest copy": lambda rng: copy(rng, 3, 1, 1),
    "repeat_copy": lambda rng: repeat_copy(rng, 3, 5, 2),
    "associative_recall": lambda rng: associative_recall(rng, 3, 6),
    "dynamic_ngrams": lambda rng: dynamic_ngrams(rng, 3),
    "priority_sort": lambda rng: priority_sort(rng, 3),
}


@pytest.fixture(autouse=True)
def _figures_are_closed() -> Iterator[None]:
    yield
    plt.close("all")


def panels(rows: int, height: float = 3.4) -> Any:
    return plot.new_figure(rows=rows, height=height, sharex=True)[1]


def colours(values: Any) -> Any:
    """White at 0, blue at 1, orange at -1, and between them in proportion; grey for NaN, which is not asked."""
    strength = np.minimum(np.abs(values), 1)[..., None]
    ends = np.where(np.array(values)[..., None] > 0, mpl.colors.to_rgba(plot.BLUE), mpl.colors.to_rgba(plot.ORANGE))
    mixed = strength * ends + (1 - strength) * np.ones(4)
    return np.where(np.isnan(mixed), mpl.colors.to_rgba(NOT_ASKED), mixed)


def assert_shows(ax: Any, values: Any, first: int = 0) -> None:
    """Each value (T, C) has its colour at its step and its row, the first row is on top, and the axes are filled."""
    (image,) = ax.images
    steps, end = len(values), first + len(values[0])
    assert image.get_extent() == [-0.5, steps - 0.5, end - 0.5, first - 0.5]
    assert (image.origin, image.get_interpolation()) == ("upper", "nearest")
    received = image.to_rgba(image.get_array()).swapaxes(0, 1)
    np.testing.assert_allclose(received, colours(np.array(values, float)), atol=0.02)
    assert ax.get_xlim() == (-0.5, steps - 0.5)
    assert ax.get_ylim() == (end - 0.5, first - 0.5)


@pytest.mark.parametrize("b", [0, 2])
@pytest.mark.parametrize("name", TASKS)
def test_an_episode_shows_its_input_and_where_asked_its_target(name: str, b: int, rng: np.random.Generator) -> None:
    episodes = TASKS[name](rng)
    before = [array.copy() for array in episodes]
    axes = panels(2)
    assert draw_episode(axes, episodes, b, "What is asked?") is axes
    assert_shows(axes[0], episodes.xs[:, b])
    assert_shows(axes[1], [y if ask else y + np.nan for y, ask in zip(episodes.targets[:, b], episodes.mask[:, b])])
    assert [ax.get_ylabel().split("\n") for ax in axes] == [["input", "channel"], ["target", "channel"]]
    assert axes[1].get_xlabel() == "step"
    assert axes[0].get_title(loc="left") == "What is asked?"
    for received, expected in zip(episodes, before, strict=True):
        np.testing.assert_array_equal(received, expected)


def test_a_wrong_picture_is_told_apart(rng: np.random.Generator) -> None:
    episodes = copy(rng, 1, 5, 3)
    axes = panels(2)
    draw_episode(axes, episodes)
    xs = episodes.xs[:, 0]
    for wrong in (xs[::-1], xs[:, ::-1], 1 - xs, -xs, xs[:-1], xs[:, :-1], np.roll(xs, 1, axis=0)):
        with pytest.raises(AssertionError):
            assert_shows(axes[0], wrong)


def test_one_is_blue_and_minus_one_orange_which_colour_blind_readers_tell_apart() -> None:
    episodes = Episodes(np.array([[[-1.0, 0.5]], [[1.0, -3.0]]]), np.ones((2, 1, 1)), np.ones((2, 1), bool))
    axes = panels(2)
    draw_episode(axes, episodes)
    assert_shows(axes[0], [[-1, 0.5], [1, -1]])
    assert_shows(axes[1], [[1], [1]])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_answers_are_shown_with_target_and_signed_error(dtype: Any, rng: np.random.Generator) -> None:
    targets = rng.integers(0, 2, (6, 4)).astype(dtype)
    probabilities = rng.random((6, 4)).astype(dtype)
    axes = panels(3)
    assert draw_answers(axes, targets, probabilities, "Which are wrong?") is axes
    assert_shows(axes[0], targets)
    assert_shows(axes[1], probabilities)
    assert_shows(axes[2], probabilities - targets)
    assert [ax.get_ylabel().split("\n")[0] for ax in axes] == ["target", "output", "error"]


def test_a_head_is_drawn_with_time_along_and_rows_down(rng: np.random.Generator) -> None:
    weightings = rng.dirichlet(np.full(9, 0.2), 7)
    ax = panels(1)
    assert draw_heads(ax, weightings, title="Where?") is ax
    assert_shows(ax, weightings)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step", "row of the memory")
    bar = next(other for other in ax.figure.axes if other is not ax)
    assert bar.get_ylabel() == "weight"
    assert bar.get_ylim() == (0, 1)


@pytest.mark.parametrize("rows", [(0, 9), (2, 6), (8, 9), (np.int64(3), np.int64(5))])
def test_rows_of_the_memory_keep_their_numbers_when_only_some_are_shown(rows: tuple[int, int], rng: Any) -> None:
    weightings = rng.dirichlet(np.full(9, 0.2), 7)
    ax = panels(1)
    draw_heads(ax, weightings, rows)
    assert_shows(ax, weightings[:, rows[0] : rows[1]], int(rows[0]))


def head(ax: Any, rng: np.random.Generator) -> None:
    draw_heads(ax, rng.dirichlet(np.full(128, 0.1), 41), title="Where?")


@pytest.mark.parametrize("name", [*TASKS, "answers", "head"])
def test_marks_are_whole_numbers_few_and_inside_and_hide_no_other(name: str, rng: np.random.Generator) -> None:
    axes = panels({"answers": 3, "head": 1}.get(name, 2))
    if name == "answers":
        draw_answers(axes, np.ones((20, 8)), np.full((20, 8), 0.3), "Which?")
    elif name == "head":
        head(axes, rng)
    else:
        draw_episode(axes, TASKS[name](rng), title="What?")
    figure = np.ravel(axes)[0].figure
    figure.canvas.draw()
    for ax in np.ravel(axes):
        boxes = [
            text.get_window_extent() for text in (ax.xaxis.label, ax.yaxis.label, ax._left_title) if text.get_text()
        ]
        for axis, (low, high) in ((ax.xaxis, sorted(ax.get_xlim())), (ax.yaxis, sorted(ax.get_ylim()))):
            marks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
            assert 1 <= len(marks) <= 11
            assert [tick.label1.get_text() for tick in marks] == [f"{tick.get_loc():.0f}" for tick in marks]
            assert all(tick.get_loc() % 1 == 0 for tick in marks)
            boxes += [tick.label1.get_window_extent() for tick in marks if tick.label1.get_visible()]
        assert not any(one.overlaps(two) for one, two in combinations(boxes, 2))
        for box in boxes:
            assert figure.bbox.x0 <= box.x0 <= box.x1 <= figure.bbox.x1
            assert figure.bbox.y0 <= box.y0 <= box.y1 <= figure.bbox.y1


def test_nothing_is_set_globally_and_the_page_shows_through(rng: np.random.Generator) -> None:
    before = dict(mpl.rcParams)
    axes = panels(2)
    draw_episode(axes, copy(rng, 1, 4))
    head(axes[0], rng)
    assert dict(mpl.rcParams) == before
    assert axes[0].get_facecolor()[3] == axes[0].figure.get_facecolor()[3] == 0


EPISODES = copy(np.random.default_rng(0), 2, 4)
W = np.full((5, 4), 0.25)
WRONG: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "one axes": (lambda one, two: draw_episode(one, EPISODES), r"draw_episode: axes has shape \(\), expected 2 axes"),
    "three axes": (lambda one, two: draw_episode([one] * 3, EPISODES), r"draw_episode: axes has shape \(3,\)"),
    "two for three": (lambda one, two: draw_answers(two, W, W), r"draw_answers: axes has shape \(2,\), expected 3"),
    "b": (lambda one, two: draw_episode(two, EPISODES, 2), "draw_episode: b is 2, expected at most 1"),
    "xs": (lambda one, two: draw_episode(two, EPISODES.xs), "draw_episode: episodes is array"),
    "targets": (
        lambda one, two: draw_episode(two, EPISODES._replace(targets=EPISODES.targets[1:])),
        r"draw_episode: episodes.targets has shape \(8, 2, 8\), expected \(9, 2, C\) from episodes.xs",
    ),
    "batch": (lambda one, two: draw_heads(one, W[:, None]), r"draw_heads: weightings has shape \(5, 1, 4\)"),
    "integers": (lambda one, two: draw_heads(one, np.eye(4, dtype=int)), "draw_heads: weightings has dtype int64"),
    "negative": (lambda one, two: draw_heads(one, -W), r"draw_heads: weightings\[0, 0\] is -0.25, expected weights"),
    "nan": (lambda one, two: draw_heads(one, W * np.nan), "draw_heads: weightings has 20 values that are not finite"),
    "too many rows": (lambda one, two: draw_heads(one, W, (0, 5)), r"draw_heads: rows\[1\] is 5, expected at most 4"),
    "no rows": (lambda one, two: draw_heads(one, W, (2, 2)), r"draw_heads: rows\[1\] is 2, expected a whole number"),
    "before": (lambda one, two: draw_heads(one, W, (-1, 2)), r"draw_heads: rows\[0\] is -1, expected a whole number"),
    "one row": (lambda one, two: draw_heads(one, W, 2), r"draw_heads: rows is 2, expected \(first, end\)"),
    "other": (
        lambda one, two: draw_answers([one] * 3, W, W[1:]),
        r"draw_answers: probabilities has shape \(4, 4\), expected \(5, 4\) as targets",
    ),
    "bools": (lambda one, two: draw_answers([one] * 3, W > 0, W), "draw_answers: targets has dtype bool"),
    "infinite": (lambda one, two: draw_answers([one] * 3, W, W / 0.0), "draw_answers: probabilities has 20 values"),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_error_names_function_argument_received_and_expected(name: str) -> None:
    call, message = WRONG[name]
    axes = panels(2)
    with np.errstate(divide="ignore"), pytest.raises(ValueError, match=f"(?s)^{message}"):
        call(axes[0], axes)
    assert not axes[0].images
