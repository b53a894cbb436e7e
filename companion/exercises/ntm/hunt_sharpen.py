"""Find the bug: a power after which the weights no longer sum to one."""

from collections.abc import Callable
from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.ops import softmax
from companion.tree import Array


def buggy_walk(w: Array, s: Array, sharpness: Array) -> Array:
    """First w (K, N), moves s (T, K, 3), sharpness (T, K) -> ws (T, K, N)."""
    ws = []
    for s_t, gamma in zip(s, sharpness):
        w = sum(s_t[:, i, None] * np.roll(w, i - 1, axis=1) for i in range(3))
        w = w ** gamma[:, None]
        ws.append(w)
    return np.stack(ws)


def sharp_walk(w: Array, s: Array, sharpness: Array) -> Array:
    """First w (K, N), moves s (T, K, 3), sharpness (T, K) -> ws (T, K, N)."""
    ws = []
    for s_t, gamma in zip(s, sharpness):
        w = sum(s_t[:, i, None] * np.roll(w, i - 1, axis=1) for i in range(3))
        w = w ** gamma[:, None]
        w = w / w.sum(axis=1, keepdims=True)
        ws.append(w)
    return np.stack(ws)


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    """In the last the weights that are never divided underflow to 0."""

    def case(T: int, K: int, N: int) -> tuple[Any, ...]:
        return softmax(2 * rng.normal(size=(K, N))), softmax(rng.normal(size=(T, K, 3))), rng.uniform(1, 3, (T, K))

    return [case(3, 2, 5), case(1, 3, 4), case(4, 1, 6), case(40, 2, 7)]


def _same(w: Array) -> Array:
    return w


def _by_sum(w: Array) -> Array:
    shares: Array = w / w.sum(axis=1, keepdims=True)
    return shares


def _moved(w: Array, s_t: Array) -> Array:
    moved: Array = np.sum([s_t[:, i, None] * np.roll(w, i - 1, axis=1) for i in range(3)], axis=0)
    return moved


def _with(
    power: Callable[[Array, Array], Array] = lambda w, gamma: _by_sum(w**gamma),
    shown: Callable[[Array], Array] = _same,
    goes_on: Callable[[Array, Array], Array] = lambda moved, w: w,
) -> Any:
    """The solution with another fourth stage, something done to what is returned only, or another start of the next step."""

    def answer(w: Array, s: Array, sharpness: Array) -> Any:
        ws = []
        for s_t, gamma in zip(s, sharpness, strict=True):
            moved = _moved(w, s_t)
            w = power(moved, gamma[:, None])
            ws.append(shown(w))
            w = goes_on(moved, w)
        return np.stack(ws)

    return answer


def _sharpened_first(w: Array, s: Array, sharpness: Array) -> Array:
    ws = []
    for s_t, gamma in zip(s, sharpness, strict=True):
        w = _moved(_by_sum(w ** gamma[:, None]), s_t)
        ws.append(w)
    return np.stack(ws)


def _softened(w: Array, gamma: Array) -> Array:
    return _by_sum(w ** (1 / gamma))


EXERCISE = Exercise(
    name="ntm.hunt_sharpen",
    kind="find the bug",
    title="The focus that fades away",
    statement="""
        Heads walk over the memory, without looking for keys. As long as every $\\gamma$ is 1, or every shift is sure of its move
        and every head wholly at one row, this function is right, and so were its tests. But a head that starts at one row, with
        s = (0.05, 0.9, 0.05) and $\\gamma = 2$ at each step, has weights that sum to 0.815 after one step, to 0.0015 after five,
        and to less than 1e-90 after ten: it reads nothing but zeros, and next to no gradient comes back. Find the bug,
        and hand in a function that is right after any number of steps.
    """,
    solution=sharp_walk,
    outputs=("ws",),
    cases=_cases,
    given=(buggy_walk,),
    hints=(
        "The shift keeps the sum of the weights, for its moves sum to 1. Does the power?",
        "Powers of 0.9 and 0.05 do not sum to 1. The equation of the fourth stage divides them by something. And which "
        "weighting does the next step begin with?",
        "After the power, and for each head by itself: `w = w / w.sum(axis=1, keepdims=True)`, before w is kept and before it "
        "goes on to the next step.",
    ),
    mistakes=(
        Mistake(
            "handed in the bug unchanged",
            "The powers of weights that sum to 1 sum to less; at each step a head loses some of its focus.",
            "ntm-sharpen",
            buggy_walk,
        ),
        Mistake(
            "divided what is returned, and let the undivided weights walk on",
            "That is right for a few steps, as the loss cancels. After some more all weights are too small for a float: 0 / 0.",
            "ntm-sharpen",
            _with(lambda w, gamma: w**gamma, shown=_by_sum),
        ),
        Mistake(
            "divided before the power, or kept the weights before you divided them",
            "It is the power after which the weights no longer sum to 1: divide after it, and before they are kept.",
            "ntm-sharpen",
            _with(lambda w, gamma: _by_sum(w) ** gamma),
        ),
        Mistake(
            "sharpened before the shift",
            "Sharpening comes last, because the shift is what blurs.",
            "ntm-sharpen",
            _sharpened_first,
        ),
        Mistake(
            "walked on from the weights before they were sharpened",
            "The first step is right. Then the blur of each shift piles up: the next step begins with what is returned.",
            "ntm-sharpen",
            _with(goes_on=lambda moved, w: moved),
        ),
        Mistake(
            "divided the powers by the sum of the weights before the power",
            "That sum is 1, so that nothing changes at the first step. Divide by the sum of the powers.",
            "ntm-sharpen",
            _with(lambda w, gamma: w**gamma / w.sum()),
        ),
        Mistake(
            "divided by the sum over the heads",
            "The wrong axis: each head has a weighting over the rows, which sums to 1 by itself.",
            "ntm-sharpen",
            _with(lambda w, gamma: w**gamma / (w**gamma).sum(axis=0)),
        ),
        Mistake(
            "divided by the sum over heads and rows",
            "All heads together sum to 1 then. Each has to sum to 1 by itself.",
            "ntm-sharpen",
            _with(lambda w, gamma: w**gamma / (w**gamma).sum()),
        ),
        Mistake(
            "divided by the largest weight",
            "The largest weight of a head is 1 then, and the others come on top of it.",
            "ntm-sharpen",
            _with(lambda w, gamma: w**gamma / (w**gamma).max(axis=1, keepdims=True)),
        ),
        Mistake(
            "divided by the length instead of the sum",
            "The squares of your weights sum to 1; the weights have to.",
            "ntm-sharpen",
            _with(lambda w, gamma: w**gamma / np.linalg.norm(w**gamma, axis=1, keepdims=True)),
        ),
        Mistake(
            "took a softmax instead of the division",
            "exp(w^gamma) is between 1 and e for every row: the focus is blurred, not sharpened.",
            "ntm-sharpen",
            _with(lambda w, gamma: softmax(w**gamma)),
        ),
        Mistake(
            "took a softmax of gamma w",
            "A power is a softmax of gamma *log* w. Without the logarithm it blurs.",
            "ntm-sharpen",
            _with(lambda w, gamma: softmax(gamma * w)),
        ),
        Mistake(
            "left out the power",
            "The weights sum to 1, but the blur of each shift stays and piles up.",
            "ntm-sharpen",
            _with(lambda w, gamma: w),
        ),
        Mistake(
            "took the root instead of the power",
            "A gamma above 1 has to make large weights larger against small ones. 1 / gamma does the opposite.",
            "ntm-sharpen",
            _with(_softened),
        ),
        Mistake(
            "added what is missing to all rows alike",
            "The weights sum to 1, but what the power has taken belongs to the rows in proportion to their powers.",
            "ntm-sharpen",
            _with(lambda w, gamma: w**gamma + (1 - (w**gamma).sum(axis=1, keepdims=True)) / w.shape[1]),
        ),
    ),
)
