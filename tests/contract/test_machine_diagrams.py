"""Diagrams of the neural Turing machine grow without moving, join what the equations join, and fit their figure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import combinations, pairwise
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import Circle, FancyArrowPatch
from matplotlib.path import Path

from companion import drawing, machine_diagrams, plot
from companion.machine_diagrams import addressing, machine

Draw = Callable[..., Any]
Joined = Counter[tuple[str, str]]

FIGURES = {machine: (7, 4.7), addressing: (7, 3.7)}  # width and height that each docstring advises
growing = pytest.mark.parametrize(("draw", "last"), [(machine, 3), (addressing, 4)])


@pytest.fixture(autouse=True)
def _figures_are_closed() -> Iterator[None]:
    yield
    plt.close("all")


def drawn(draw: Draw, stage: int) -> Any:
    width, height = FIGURES[draw]
    ax = plot.new_figure(width=width, height=height)[1]
    assert draw(ax, stage, title="What is read, and what is written?") is ax
    return ax


def wires(ax: Any, colour: str = "") -> list[Any]:
    found = [patch for patch in ax.patches if isinstance(patch, FancyArrowPatch)]
    return [wire for wire in found if not colour or wire.get_edgecolor() == mpl.colors.to_rgba(colour)]


def is_bar(patch: Any) -> bool:
    return not isinstance(patch, FancyArrowPatch) and patch.get_facecolor()[3] > 0


def shape(patch: Any) -> Any:
    """Points along a patch, in the units of the axes."""
    if isinstance(patch, FancyArrowPatch):  # its path() would be in pixels
        return patch._path_original.vertices
    return patch.get_patch_transform().transform(patch.get_path().vertices)


# ---- stages


def parts(ax: Any) -> dict[Any, str]:
    """The colour of every artist, by its kind and place."""
    found: dict[Any, Any] = {("dot", *np.round(line.get_xydata(), 6).ravel()): line.get_color() for line in ax.lines}
    found |= {("text", text.get_text(), *np.round(text.get_position(), 6)): text.get_color() for text in ax.texts}
    for patch in ax.patches:
        colour = patch.get_facecolor() if is_bar(patch) else patch.get_edgecolor()
        found[(type(patch).__name__, *np.round(shape(patch), 6).ravel())] = colour
    for lines in ax.collections:
        if lines.get_segments():
            found[("cells", *np.round(np.concatenate(lines.get_segments()), 6).ravel())] = lines.get_edgecolor()[0]
    return {part: mpl.colors.to_hex(colour).upper() for part, colour in found.items()}


def require_growth(before: dict[Any, str], after: dict[Any, str]) -> None:
    """All that was there is there, in ink, and all that is new is blue."""
    assert before.keys() < after.keys()
    for part, colour in after.items():
        assert colour == (plot.INK if part in before else plot.BLUE), part


@growing
def test_every_stage_adds_blue_parts_to_those_before_which_stay_where_they_were(draw: Draw, last: int) -> None:
    stages = [parts(drawn(draw, stage)) for stage in range(1, last + 1)]
    require_growth({}, stages[0])
    for before, after in pairwise(stages):
        require_growth(before, after)


@growing
def test_a_stage_that_moves_a_part_adds_nothing_or_colours_it_wrong_is_found(draw: Draw, last: int) -> None:
    before, after = (parts(drawn(draw, stage)) for stage in (last - 1, last))
    old, new = next(iter(before)), next(iter(after.keys() - before.keys()))
    moved = {part: colour for part, colour in after.items() if part != old}
    for wrong in (moved, before, after | {new: plot.INK}, after | {new: plot.ORANGE}, after | {old: plot.BLUE}):
        with pytest.raises(AssertionError):
            require_growth(before, wrong)


@pytest.mark.parametrize("draw", FIGURES)
def test_stages_share_their_limits(draw: Draw) -> None:
    assert len({drawn(draw, stage).axis() for stage in (1, 2, 3, 4)}) == 1


# ---- what is joined to what


def distance(patch: Any, point: Any) -> float:
    """From a point to a circle or a rectangle; 0 inside."""
    if isinstance(patch, Circle):
        return max(0.0, float(np.hypot(*np.subtract(point, patch.center))) - patch.radius)
    corners = shape(patch)
    return float(np.hypot(*(point - np.clip(point, corners.min(axis=0), corners.max(axis=0)))))


def named(ax: Any) -> dict[str, Any]:
    """The circle or rectangle that is next to each text; the memories of the unrolled machine are counted from 0."""
    patches = [patch for patch in ax.patches if not isinstance(patch, FancyArrowPatch) and not is_bar(patch)]
    found = {t.get_text(): min(patches, key=lambda p, t=t: distance(p, t.get_position())) for t in ax.texts}
    cells = [patch for patch in patches if np.ptp(shape(patch), axis=0).round(6).tolist() == [1.2, 1.2]]
    if len(cells) > 1:
        del found["memory"]
        found |= {f"memory {n}": patch for n, patch in enumerate(cells)}
    return found


def joined(ax: Any, names: set[str], colour: str = "") -> Joined:
    """From where to where the wires lead, by these names, "dot" where wires meet, and "" in the open."""
    places = {name: patch for name, patch in named(ax).items() if name in names}
    dots = [line.get_xydata()[0] for line in ax.lines]

    def end(point: Any) -> str:
        if any(np.allclose(point, dot) for dot in dots):
            return "dot"
        return next((name for name, patch in places.items() if distance(patch, point) < 0.06), "")

    return Counter((end(shape(wire)[0]), end(shape(wire)[-1])) for wire in wires(ax, colour))


MACHINE = [
    {("$x$", "controller"), ("controller", "$y$"), ("controller", "controller")},
    {("controller", "read head"), ("memory", "read $r$"), ("read $r$", "$y$"), ("dot", "controller")},
    {("controller", "write head"), ("dot", "erase $e$"), ("dot", "add $a$")}
    | {("add $a$", "erase $e$"), ("erase $e$", "memory")},
]
STAGES = {"content": r"$k,\ \beta$", "gate": "$g$", "shift": "$s$", "sharpen": r"$\gamma$"}  # and what each is told
ADDRESSING = [
    {("controller", "content"), ("memory", "content")},
    {("content", "gate"), ("dot", "gate"), ("before: $w'$", "gate")},
    {("gate", "shift"), ("dot", "shift")},
    {("shift", "sharpen"), ("dot", "sharpen")},
]


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_the_machine_joins_what_its_equations_join(stage: int) -> None:
    ax, expected = drawn(machine, stage), set().union(*MACHINE[:stage])
    assert joined(ax, {end for pair in expected for end in pair}) == Counter(expected)
    assert sum(text.get_text() == r"$k,\ \beta,\ g,\ s,\ \gamma$" for text in ax.texts) == stage - 1  # for each head


@pytest.mark.parametrize("stage", [1, 2, 3, 4])
def test_every_stage_of_addressing_gets_what_its_equation_asks_for(stage: int) -> None:
    ax, expected = drawn(addressing, stage), set().union(*ADDRESSING[:stage])
    last = list(STAGES)[stage - 1]
    assert joined(ax, {end for pair in expected for end in pair}) == Counter(expected | {(last, "")})
    places = {text.get_text(): text.get_position()[0] for text in ax.texts}
    assert 0 < places[STAGES[last]] - places[last] < 0.5
    assert len(places.keys() & STAGES.values()) == stage


@pytest.mark.parametrize(
    ("draw", "stage", "n"), [(machine, 1, 1), (machine, 3, 2), (machine, 4, 0), (addressing, 4, 0)]
)
def test_only_what_arrives_one_step_later_is_dashed(draw: Draw, stage: int, n: int) -> None:
    assert sum(wire.get_linestyle() != "-" for wire in wires(drawn(draw, stage))) == n


def unrolled() -> tuple[Joined, Joined]:
    """What the wires of the unrolled machine should join: within a step, and from step to step."""
    within: Joined = Counter()
    across: Joined = Counter({("heads $w^{(3)}$", ""): 1, ("$r^{(3)}$", ""): 1, ("$h^{(3)}$", ""): 1})
    for t in (1, 2, 3):
        x, h, r, y = (f"${letter}^{{({t})}}$" for letter in "xhry")
        heads, before, after = f"heads $w^{{({t})}}$", f"memory {t - 1}", f"memory {t}"
        within.update([(x, h), (h, heads), (heads, r), (r, y), (h, y), (before, heads), (heads, after)])
        old = [f"heads $w^{{({t - 1})}}$", f"$r^{{({t - 1})}}$", f"$h^{{({t - 1})}}$"] if t > 1 else ["", "", ""]
        across.update([(before, after), *zip(old, (heads, h, h), strict=True)])
    return within, across


def test_a_step_reads_the_memory_before_and_writes_the_one_after_and_hands_its_state_on_in_blue() -> None:
    ax, (within, across) = drawn(machine, 4), unrolled()
    names = {end for pair in within for end in pair}
    assert joined(ax, names, plot.INK) == within
    assert joined(ax, names, plot.BLUE) == across
    assert {"$w^{(0)}$", "$r^{(0)}$", "$h^{(0)}$"} <= {text.get_text() for text in ax.texts}


def test_wires_turned_round_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_diagrams, "wire", lambda ax, *points, **look: drawing.wire(ax, *points[::-1], **look))
    within = unrolled()[0]
    assert joined(drawn(machine, 4), {end for pair in within for end in pair}, plot.INK) != within


# ---- weightings


def bars(ax: Any) -> Any:
    """Left, bottom, width and height of every bar."""
    return np.array([[*p.get_xy(), p.get_width(), p.get_height()] for p in ax.patches if is_bar(p)])


def test_a_head_has_a_share_in_every_row_of_the_memory_and_1_in_all() -> None:
    ax = drawn(machine, 3)
    found, corners = bars(ax).reshape(2, -1, 4), shape(named(ax)["memory"])
    rows = np.linspace(corners[:, 1].max(), corners[:, 1].min(), 13)[1::2]
    np.testing.assert_allclose(found[..., 1] + found[..., 3] / 2, [rows, rows])
    np.testing.assert_allclose(found[..., 2].sum(axis=1), [-1, 1])
    assert np.abs(found[..., 2]).min() > 0


def by_equations(charts: Any, move: int = 1, gate: float = 0.75, sharpness: float = 2.0) -> list[Any]:
    """Each weighting from the drawn one before it, by the equations of the chapter."""
    w_prev, w_c, w_g, w_s, _ = charts
    shifted = sum(s * np.roll(w_g, j * move) for j, s in ((-1, 0.05), (0, 0.15), (1, 0.8)))
    return [gate * w_c + (1 - gate) * w_prev, shifted, w_s**sharpness / (w_s**sharpness).sum()]


def test_the_charts_follow_from_each_other_by_the_equations() -> None:
    charts = bars(drawn(addressing, 4))[:, 3].reshape(5, 8) / 1.7
    np.testing.assert_allclose(charts.sum(axis=1), 1)
    assert charts.argmax(axis=1).tolist() == [1, 4, 4, 5, 5]
    np.testing.assert_allclose(by_equations(charts), charts[2:], rtol=1e-9)
    for n, wrong in enumerate(({"gate": 0.25}, {"move": -1}, {"sharpness": 1.0})):
        assert not np.allclose(by_equations(charts, **wrong)[n], charts[2 + n])


def test_charts_stand_below_their_stage_and_no_bar_leaves_them() -> None:
    ax = drawn(addressing, 4)
    boxes, charts = named(ax), ["before: $w'$", "$w_c$", "$w_g$", "$w_s$", "$w$"]
    for name, chart in zip(["memory", *STAGES], charts, strict=True):
        np.testing.assert_allclose(middle(boxes[name]), middle(boxes[chart]))
    for chart, (left, bottom, width, height) in zip(np.repeat(charts, 8), bars(ax), strict=True):
        (x0, y0), (x1, y1) = shape(boxes[chart]).min(axis=0), shape(boxes[chart]).max(axis=0)
        assert x0 < left < left + width < x1
        assert np.isclose(bottom, y0)
        assert bottom + height < y1


def middle(patch: Any) -> float:
    return float(np.mean([shape(patch)[:, 0].min(), shape(patch)[:, 0].max()]))


# ---- all of them


def crossed(ax: Any) -> list[str]:
    """Letters that lie on each other or on a line, or leave the diagram."""
    ax.figure.canvas.draw()
    boxes = [(text.get_text(), text.get_window_extent()) for text in ax.texts]
    found = [a for (a, first), (_, second) in combinations(boxes, 2) if first.overlaps(second)]
    found += [name for name, box in boxes if not (ax.bbox.contains(*box.min) and ax.bbox.contains(*box.max))]
    codes = [patch.get_path().codes if isinstance(patch, Circle) else None for patch in ax.patches]
    lines = [Path(ax.transData.transform(shape(p)), code) for p, code in zip(ax.patches, codes, strict=True)]
    return found + [name for name, box in boxes for line in lines if line.intersects_bbox(box, filled=False)]


@pytest.mark.parametrize(("draw", "stage"), [(draw, stage) for draw in FIGURES for stage in (1, 2, 3, 4)])
def test_letters_are_large_and_free_all_is_inside_and_nothing_is_set_globally(draw: Draw, stage: int) -> None:
    before = dict(mpl.rcParams)
    ax = drawn(draw, stage)
    assert dict(mpl.rcParams) == before
    assert min(text.get_fontsize() for text in ax.texts) >= drawing.LETTERS - 2
    assert crossed(ax) == []
    for corner in np.concatenate([patch.get_window_extent().corners() for patch in ax.patches]):
        assert ax.bbox.contains(*corner)
    title = ax._left_title.get_window_extent()
    assert ax.bbox.y1 < title.y0 < title.y1 < ax.figure.bbox.y1
    assert title.x1 < ax.figure.bbox.x1


@pytest.mark.parametrize(("x", "y"), [(2.5, 2.5), (2.5, 5.4), (14, 6), (10, 6.9)], ids=["wire", "box", "edge", "text"])
def test_letters_that_are_not_free_are_found(x: float, y: float) -> None:
    ax = drawn(machine, 3)
    drawing.label(ax, x, y, "mmm", plot.INK)
    assert crossed(ax) != []


@pytest.mark.parametrize("draw", FIGURES)
@pytest.mark.parametrize("stage", [0, 5, 2.0, True, "1"])
def test_stages_that_there_are_not_are_refused(draw: Any, stage: Any) -> None:
    with pytest.raises(ValueError, match=rf"{draw.__name__}: stage is {stage!r}, expected an integer in 1\.\.4"):
        drawn(draw, stage)


def test_addressing_is_drawn_whole_unless_a_stage_is_asked_for() -> None:
    whole = addressing(plot.new_figure()[1])
    assert parts(whole) == parts(drawn(addressing, 4))
