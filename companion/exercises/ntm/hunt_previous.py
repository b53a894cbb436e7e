"""Find the bug: a gradient that goes back one step and no further."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.gradcheck import numerical_gradient
from companion.ops import softmax
from companion.tree import Array


def head_forward(content: Array, gate: Array, s: Array, sharpness: Array, w_0: Array) -> tuple[Array, tuple[Any, ...]]:
    """Content (T, N), gate, sharpness (T,), s (T, 3), w_0 (N,) -> ws, cache."""
    w, steps = w_0, []
    for t in range(len(content)):
        prev = w
        w_g = gate[t] * content[t] + (1 - gate[t]) * prev
        w_s = sum(s[t, i] * np.roll(w_g, i - 1) for i in range(3))
        w = w_s ** sharpness[t] / (w_s ** sharpness[t]).sum()
        steps.append((prev, w_g, w_s, w))
    after = np.array(steps)  # (T, 4, N)
    return after[:, 3], (after, content, gate, s, sharpness)


def buggy_backward(cache: tuple[Any, ...], dws: Array) -> tuple[Array, ...]:
    """Cache, dws (T, N) -> dcontent, dgate, ds, dsharpness, dw_0."""
    steps, content, gate, s, sharpness = cache
    dcontent, dgate, ds, dsharpness = (np.zeros_like(told) for told in cache[1:])
    for t in reversed(range(len(content))):
        prev, w_g, w_s, w = steps[t]
        dw = dws[t]
        du = w * (dw - dw @ w)
        dsharpness[t] = du @ np.log(w_s)
        dw_s = sharpness[t] * du / w_s
        ds[t] = [dw_s @ np.roll(w_g, i - 1) for i in range(3)]
        dw_g = sum(s[t, i] * np.roll(dw_s, 1 - i) for i in range(3))
        dcontent[t] = gate[t] * dw_g
        dgate[t] = dw_g @ (content[t] - prev)
        dprev = (1 - gate[t]) * dw_g
    return dcontent, dgate, ds, dsharpness, dprev


def head_backward(cache: tuple[Any, ...], dws: Array) -> tuple[Array, ...]:
    """Cache, dws (T, N) -> dcontent, dgate, ds, dsharpness, dw_0."""
    steps, content, gate, s, sharpness = cache
    dcontent, dgate, ds, dsharpness = (np.zeros_like(told) for told in cache[1:])
    dprev = np.zeros(content.shape[1])
    for t in reversed(range(len(content))):
        prev, w_g, w_s, w = steps[t]
        dw = dws[t] + dprev
        du = w * (dw - dw @ w)
        dsharpness[t] = du @ np.log(w_s)
        dw_s = sharpness[t] * du / w_s
        ds[t] = [dw_s @ np.roll(w_g, i - 1) for i in range(3)]
        dw_g = sum(s[t, i] * np.roll(dw_s, 1 - i) for i in range(3))
        dcontent[t] = gate[t] * dw_g
        dgate[t] = dw_g @ (content[t] - prev)
        dprev = (1 - gate[t]) * dw_g
    return dcontent, dgate, ds, dsharpness, dprev


# What head_forward takes, in its order; a backward pass returns the gradients in the same order.
NAMES = ("content", "gate", "s", "sharpness", "w_0")


def random_inputs(rng: np.random.Generator, T: int, N: int) -> dict[str, Array]:
    """A head that says something at random at each of T steps over N rows: the arguments of head_forward, by name."""
    content, w_0 = softmax(rng.normal(size=(T, N))), softmax(rng.normal(size=N))
    gate, sharpness = rng.uniform(0.2, 0.8, T), rng.uniform(1, 3, T)
    return dict(zip(NAMES, (content, gate, softmax(rng.normal(size=(T, 3))), sharpness, w_0), strict=True))


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(T: int, N: int) -> tuple[Any, ...]:
        return head_forward(**random_inputs(rng, T, N))[1], rng.normal(size=(T, N))

    return [case(4, 5), case(2, 6), case(6, 4), case(1, 5)]


def _numeric(cache: tuple[Any, ...], dws: Array) -> dict[str, Array]:
    steps, *told = cache
    point = dict(zip(NAMES, (*told, steps[0][0]), strict=True))

    def gradient(name: str) -> Array:
        return numerical_gradient(lambda a: float((dws * head_forward(**point | {name: a})[0]).sum()), point[name])

    return {f"d{name}": gradient(name) for name in NAMES}


def _with(
    carried: Any = lambda dprev, dws, t: dprev,
    back: Any = lambda dw_g, dw_s, dw, gate, w: (1 - gate) * dw_g,
    total: Any = lambda own, later: own + later,
    first: Any = lambda dprev, dws: dprev,
) -> Any:
    """The solution with something else carried from step to step, or returned for w_0."""

    def answer(cache: tuple[Any, ...], dws: Array) -> Any:
        steps, content, gate, s, sharpness = cache
        rows: list[Any] = []
        dprev = np.zeros(content.shape[1])
        for t in reversed(range(len(content))):
            prev, w_g, w_s, w = steps[t]
            dw = total(dws[t], carried(dprev, dws, t))
            du = w * (dw - dw @ w)
            dw_s = sharpness[t] * du / w_s
            dw_g = np.sum([s[t, i] * np.roll(dw_s, 1 - i) for i in range(3)], axis=0)
            ds = np.array([dw_s @ np.roll(w_g, i - 1) for i in range(3)])
            rows.insert(0, (gate[t] * dw_g, dw_g @ (content[t] - prev), ds, du @ np.log(w_s)))
            dprev = back(dw_g, dw_s, dw, gate[t], w)
        return *(np.array(column) for column in zip(*rows, strict=True)), first(dprev, dws)

    return answer


EXERCISE = Exercise(
    name="ntm.hunt_previous",
    kind="find the bug",
    title="One step back and no further",
    statement="""
        One head, with its content weightings given, and the way back through its steps. For a sequence of one step
        `check_gradients` is content with all five gradients, and for any number of steps it is content if every gate is 1. For
        the head in the cell below, with four steps and gates below 1, it stops at `content`, the first that it takes, and
        yet the gradients of the last step are right to the last digit. A machine with this backward pass does learn to copy
        short sequences. But let one head, with its gate at 0, go from row 0 to row 5 in five moves, and tell it only at the end
        how much of it has arrived: it learns the last move and none of the others. The forward pass is right; the backward pass
        has one bug. Hand in the corrected function.
    """,
    solution=head_backward,
    outputs=tuple(f"d{name}" for name in NAMES),
    cases=_cases,
    numeric=_numeric,
    given=(head_forward, buggy_backward),
    hints=(
        "The last step is right and those before it are not. What does the last step have no part in? On how many paths does "
        "the weighting of an earlier step reach the loss?",
        "A weighting is handed out, and the next step begins with it. What arrives on the second path is computed, in the last "
        "line of the loop. Who uses it?",
        "`dw = dws[t] + dprev`, with dprev zero before the loop, for nothing comes after the last step.",
    ),
    mistakes=(
        Mistake(
            "handed in the bug unchanged",
            "dprev is computed at every step, and lost at every step but the first. A head then learns where to go from where it "
            "is, but never where to be for the sake of a later step.",
            "ntm-back-interpolate",
            buggy_backward,
        ),
        Mistake(
            "sent dprev back instead of adding it",
            "The weighting of a step is used twice, outside and by the next step: both gradients count.",
            "ntm-back-interpolate",
            _with(total=lambda own, later: later if later.any() else own),
        ),
        Mistake(
            "sent back g instead of 1 - g",
            "g is the share of the content; what was there before has the share 1 - g.",
            "ntm-back-interpolate",
            _with(back=lambda dw_g, dw_s, dw, gate, w: gate * dw_g),
        ),
        Mistake(
            "left out the share 1 - g",
            "What the gate did not let through in the forward pass it does not let back.",
            "ntm-back-interpolate",
            _with(back=lambda dw_g, dw_s, dw, gate, w: dw_g),
        ),
        Mistake(
            "sent the gradient back before the shift was undone",
            "The old weighting stood before the shift: its gradient comes from dw_g, not from dw_s.",
            "ntm-back-shift",
            _with(back=lambda dw_g, dw_s, dw, gate, w: (1 - gate) * dw_s),
        ),
        Mistake(
            "sent dw itself back",
            "The gradient has to go back through sharpening, shift and gate before it is that of the old weighting.",
            "ntm-back-interpolate",
            _with(back=lambda dw_g, dw_s, dw, gate, w: (1 - gate) * dw),
        ),
        Mistake(
            "added the gradient of the step after as it came in",
            "dws[t + 1] is the gradient of another weighting. What comes from the next step went back through its stages.",
            "ntm-back-interpolate",
            _with(carried=lambda dprev, dws, t: dws[t + 1] if t + 1 < len(dws) else 0 * dprev),
        ),
        Mistake(
            "took the slope of a softmax for the old weighting",
            "w is a weighting already, not what a softmax makes one of. Sharpening has been undone in du.",
            "ntm-back-interpolate",
            _with(back=lambda dw_g, dw_s, dw, gate, w: (1 - gate) * w * (dw_g - dw_g @ w)),
        ),
        Mistake(
            "sent the gradient forward in time",
            "Only dw_0 differs: it is what the first step sends back, without anything added.",
            "ntm-back-interpolate",
            _with(first=lambda dprev, dws: dprev + dws[0]),
        ),
        Mistake(
            "counted what comes from the next step half",
            "The two paths are added, not averaged: each has its full gradient.",
            "ntm-back-interpolate",
            _with(total=lambda own, later: own + later / 2),
        ),
        Mistake(
            "averaged the two gradients",
            "A number that is used twice receives the sum of both gradients.",
            "ntm-back-interpolate",
            _with(total=lambda own, later: (own + later) / 2),
        ),
        Mistake(
            "returned no gradient of w_0",
            "The rest is right. What the first step sends back is the gradient of the weighting it began with.",
            "ntm-back-interpolate",
            _with(first=lambda dprev, dws: 0 * dprev),
        ),
    ),
)
