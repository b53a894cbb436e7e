"""Implement: sharpening that survives a sure head."""

from collections.abc import Callable
from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.ops import softmax
from companion.tree import Array


def sharpened_weightings(w_s: Array, sharpness: Array) -> Array:
    """Weightings w_s (K, N), sharpness (K,) of 1 to 1000 -> weightings (K, N)."""
    ratio = w_s / w_s.max(axis=1, keepdims=True)
    power = ratio ** sharpness[:, None]
    return np.asarray(power / power.sum(axis=1, keepdims=True))


NEW = "a weight where there was none"


def _run(answer: Any, w_s: Array, sharpness: Array) -> dict[str, Any]:
    """What it returns, and whether a weight of exactly 0 has not stayed so: a tolerance would let 1e-12 pass."""
    none = w_s == 0
    w = answer(w_s, sharpness)
    comparable = isinstance(w, np.ndarray) and w.shape == none.shape
    return {"w": w, NEW: float(comparable and bool((w[none] != 0).any()))}


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(K: int, N: int) -> tuple[Any, ...]:
        return softmax(rng.normal(size=(K, N))), rng.uniform(1.2, 4, size=K)

    gaps = softmax(rng.normal(size=(2, 6)))
    gaps[0, 2:5] = gaps[1, 0] = 0
    spread = softmax(0.3 * rng.normal(size=(3, 128)))
    spread[0] = softmax(3 * rng.normal(size=(1, 128)))  # this head has a much larger weight than the others
    close = np.ones((2, 128))  # one head is spread over all rows alike, the other has the largest weights nearly alike
    close[1, :4], close[1, 4:] = 1.01 - np.array([0, 0.001, 0.002, 0.004]), rng.uniform(0, 1, 124)
    return [
        case(3, 5),
        case(1, 4),
        (spread, np.array([1000.0, 1000.0, 300.0])),
        (close / close.sum(axis=1, keepdims=True), np.array([1000.0, 1000.0])),
        (gaps / gaps.sum(axis=1, keepdims=True), np.array([2.5, 1.0])),  # last: small constants are told apart above
    ]


def _with(
    power: Callable[[Array, Array], Array] = lambda ratio, sharpness: ratio**sharpness,
    exponent: Callable[[Array], Array] = lambda sharpness: sharpness[:, None],
    whole: Callable[[Array], Any] = lambda power: power.sum(axis=1, keepdims=True),
    before: Callable[[Array], Array] = lambda w: w / w.max(axis=1, keepdims=True),
) -> Any:
    """The solution with one part replaced."""

    def answer(w_s: Array, sharpness: Array) -> Array:
        raised = power(before(w_s), exponent(sharpness))
        return np.asarray(raised / whole(raised))

    return answer


def _one_hot_without_a_sum(w_s: Array, sharpness: Array) -> Array:
    power = w_s ** sharpness[:, None]
    whole = power.sum(axis=1, keepdims=True)
    return np.asarray(np.where(whole > 0, power / whole, np.eye(w_s.shape[1])[w_s.argmax(axis=1)]))


def _as_it_is(w: Array) -> Array:
    return w


EXERCISE = Exercise(
    name="ntm.sharpen",
    kind="implement",
    title="Sharpen, with any sharpness",
    statement="""
        Raise the weights of each head to its sharpness, and bring their sum back to 1. A trained machine may be very sure:
        with a sharpness of 1000, and a weighting spread over 128 rows, equation (ntm sharpen) as it is printed divides 0 by 0.
        Find a way that gives the right weights there too. Some weights are exactly 0, and stay exactly 0.
    """,
    solution=sharpened_weightings,
    outputs=("w", NEW),
    run=_run,
    cases=_cases,
    rtol=1e-6,  # a small constant in a denominator is a right answer too
    hints=(
        "0.01**1000 is 1e-2000, which is 0 in a computer. The quotient of the equation does not change when all weights of "
        "a head are first multiplied by the same number.",
        "Choose that number so that the largest weight becomes 1: its power is 1 for every sharpness, and the sum below can "
        "no longer be 0.",
        "`ratio = w_s / w_s.max(axis=1, keepdims=True)`, then `power = ratio ** sharpness[:, None]`, divided by its sum over "
        "the rows. A softmax of sharpness times logarithm does the same.",
    ),
    mistakes=(
        Mistake(
            "did not bring the sum back to 1",
            "The powers of weights below 1 sum to less than 1, and more is lost at each step.",
            "ntm-sharpen",
            _with(before=_as_it_is, whole=lambda power: 1.0),
        ),
        Mistake(
            "brought the largest weight to 1 instead of the sum",
            "A weighting sums to 1 over the rows, or a read would be more than a mean of rows.",
            "ntm-sharpen",
            _with(whole=lambda power: power.max(axis=1, keepdims=True)),
        ),
        Mistake(
            "divided by the length instead of the sum",
            "The squares of your weights sum to 1; the weights themselves have to.",
            "ntm-sharpen",
            _with(whole=lambda power: np.sqrt((power**2).sum(axis=1, keepdims=True))),
        ),
        Mistake(
            "summed over the heads",
            "Each head has a weighting of its own, which sums to 1 over the rows: axis 1.",
            "ntm-sharpen",
            _with(before=_as_it_is, whole=lambda power: power.sum(axis=0)),
        ),
        Mistake(
            "summed over the heads, with the largest weight of each brought to 1",
            "Each head has a weighting of its own: the sum below runs over its rows, axis 1.",
            "ntm-sharpen",
            _with(whole=lambda power: power.sum(axis=0)),
        ),
        Mistake(
            "took one sum over all heads and rows",
            "Each head has a weighting of its own, which sums to 1.",
            "ntm-sharpen",
            _with(before=_as_it_is, whole=lambda power: power.sum()),
        ),
        Mistake(
            "multiplied by the sharpness instead of raising to it",
            "A factor cancels in the quotient: yours is w_s again, and the blur stays.",
            "ntm-sharpen",
            _with(power=lambda ratio, sharpness: ratio * sharpness),
        ),
        Mistake(
            "took the softmax of sharpness times weight",
            "It is the softmax of sharpness times the *logarithm* of a weight. Yours gives weight to every row, also to one "
            "with none.",
            "ntm-sharpen",
            _with(before=_as_it_is, power=lambda w, sharpness: softmax(sharpness * w)),
        ),
        Mistake(
            "raised to one over the sharpness",
            "Such a root makes weights more alike, and the focus wider. A power above 1 narrows it.",
            "ntm-sharpen",
            _with(power=lambda ratio, sharpness: ratio ** (1 / sharpness)),
        ),
        Mistake(
            "raised the sharpness to the weights",
            "The weight is the base and the sharpness the exponent. Yours does not even keep a weight of 0.",
            "ntm-sharpen",
            _with(before=_as_it_is, power=lambda w, sharpness: sharpness**w),
        ),
        Mistake(
            "added 1 to the sharpness",
            "The 1 of 1 + softplus is already in it: a sharpness of 1 leaves the weighting as it is.",
            "ntm-sharpen",
            _with(exponent=lambda sharpness: 1 + sharpness[:, None]),
        ),
        Mistake(
            "used the sharpness of the first head for all",
            "Each head has its own: give it a second axis, sharpness[:, None].",
            "ntm-sharpen",
            _with(exponent=lambda sharpness: sharpness[0]),
        ),
        Mistake(
            "squared the weights whatever the sharpness",
            "The exponent is the head's sharpness.",
            "ntm-sharpen",
            _with(exponent=lambda sharpness: np.full((len(sharpness), 1), 2.0)),
        ),
        Mistake(
            "chose the row with the largest weight",
            "That is the limit of an infinite sharpness, and has no slope to learn from.",
            "ntm-sharpen",
            _with(power=lambda ratio, sharpness: (ratio == 1) * 1.0),
        ),
        Mistake(
            "chose the row with the largest weight where all powers underflow",
            "The others have a share there too: 128 rows with equal weights stay equal, whatever the sharpness. Divide by the "
            "largest weight first.",
            "ntm-sharpen",
            _one_hot_without_a_sum,
        ),
        Mistake(
            "cut the sharpness off at 100",
            "No power underflows now, but two weights of which one is a thousandth larger are hardly told apart.",
            "ntm-sharpen",
            _with(exponent=lambda sharpness: np.minimum(sharpness, 100)[:, None]),
        ),
        Mistake(
            "raised the weights as they are",
            "All powers of a spread weighting underflow to 0, and 0 / 0 is NaN. Divide by the largest weight first.",
            "ntm-sharpen",
            _with(before=_as_it_is),
        ),
        Mistake(
            "kept the NaN away, by a small constant or by nan_to_num",
            "There is no NaN now, but all powers still underflow to 0, and so do your weights: the head points nowhere. "
            "Divide by the largest weight first.",
            "ntm-sharpen",
            _with(before=_as_it_is, whole=lambda power: power.sum(axis=1, keepdims=True) + 1e-16),
        ),
        Mistake(
            "added a small constant to every power",
            "There is no NaN now, but all powers still underflow to 0, and the constants are left: the head points everywhere "
            "alike. Divide by the largest weight first.",
            "ntm-sharpen",
            _with(before=_as_it_is, power=lambda w, sharpness: w**sharpness + 1e-16),
        ),
        Mistake(
            "divided by the largest weight of all heads",
            "That saves one head only. The powers of a head whose weights are all smaller still underflow to 0: each head "
            "needs its own largest weight.",
            "ntm-sharpen",
            _with(before=lambda w: w / w.max()),
        ),
        Mistake(
            "kept the logarithm from 0 by a constant as large as 1e-6",
            "The sharpness multiplies the error as it multiplies the logarithm, and weights of 0 do not stay 0.",
            "ntm-sharpen",
            _with(before=lambda w: w + 1e-6, power=lambda w, sharpness: softmax(sharpness * np.log(w))),
        ),
        Mistake(
            "kept the logarithm from 0 by a small constant",
            "With a sharpness of 1 a weight of exactly 0 becomes this constant, and here it is to stay 0. Nearly all else is "
            "right: the package does the same, for a weight of 0 has no slope.",
            "ntm-sharpen",
            _with(before=lambda w: w + 1e-12, power=lambda w, sharpness: softmax(sharpness * np.log(w))),
        ),
    ),
)
