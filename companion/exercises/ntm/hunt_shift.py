"""Find the bug: a shift that goes the other way, and a machine whose outputs are the same."""

from collections.abc import Callable
from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.ops import softmax
from companion.tree import Array


def buggy_shift(w: Array, s: Array) -> Array:
    """Weightings w (K, N), moves s (K, S) in the order -R, ..., R -> (K, N)."""
    R = s.shape[1] // 2
    shifted = np.empty_like(w)
    for k in range(len(w)):
        ring = np.pad(w[k], R, mode="wrap")  # R rows of the other end on each side
        shifted[k] = np.correlate(ring, s[k], mode="valid")
    return shifted


def shift_by_convolution(w: Array, s: Array) -> Array:
    """Weightings w (K, N), moves s (K, S) in the order -R, ..., R -> (K, N)."""
    R = s.shape[1] // 2
    shifted = np.empty_like(w)
    for k in range(len(w)):
        ring = np.pad(w[k], R, mode="wrap")  # R rows of the other end on each side
        shifted[k] = np.convolve(ring, s[k], mode="valid")
    return shifted


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(K: int, N: int, S: int) -> tuple[Any, ...]:
        return softmax(2 * rng.normal(size=(K, N))), softmax(rng.normal(size=(K, S)))

    return [case(2, 7, 3), case(1, 6, 5), case(3, 5, 3), case(2, 4, 1)]


def _moved(w: Array, s: Array, by: Callable[[int, int], int]) -> Array:
    """Each w rolled by `by(i, R)` rows, weighted with s[:, i]."""
    R = s.shape[1] // 2
    moved: Array = np.sum([s[:, i, None] * np.roll(w, by(i, R), axis=1) for i in range(s.shape[1])], axis=0)
    return moved


def _each(f: Callable[[Array, Array, int], Array]) -> Any:
    """An answer that treats one head after the other; f gets w (N,), s (S,) and R."""
    return lambda w, s: np.stack([f(a, b, s.shape[1] // 2) for a, b in zip(w, s, strict=True)])


def _ends_exchanged(w: Array, s: Array) -> Array:
    s = s.copy()
    s[:, [0, -1]] = s[:, [-1, 0]]
    return buggy_shift(w, s)


EXERCISE = Exercise(
    name="ntm.hunt_shift",
    kind="find the bug",
    title="A head that walks backwards",
    statement="""
        Libraries for deep learning have a layer called convolution, and more than one neural Turing machine shifts its
        weightings with it. `np.correlate` does in NumPy what that layer does. In the machine of this chapter it changes
        nothing: with the same weights, new or trained, outputs and gradients are the same to rounding. And yet a head that is
        told to move on by one row, $s = (0, 0, 1)$, goes back by one, a picture of the focus shows all heads walk the wrong
        way, and from a memory that is filled already the machine gives other outputs. Hand in the corrected function. And
        explain to yourself why no loss shows the bug as long as all heads start at row 0 of an empty memory.
    """,
    solution=shift_by_convolution,
    outputs=("the shifted weightings",),
    cases=_cases,
    given=(buggy_shift,),
    hints=(
        "Take one head at row 2 of 5, and s = (0, 0, 1). Which entry of `ring` does row n of the result look at?",
        "`np.correlate` has sum over j of s(j) w(n + j). The equation has w(n - j): what arrives at row n by a move of j rows "
        "has stood j rows before it.",
        "A convolution turns one of the two round, a correlation does not: `np.convolve(ring, s[k], mode='valid')`, or "
        "`np.correlate(ring, s[k][::-1], mode='valid')`. In an empty memory the rows n and N - n are alike to a head at row 0: "
        "the machine does the same in a mirror.",
    ),
    mistakes=(
        Mistake(
            "still do what the buggy function does",
            "It has w(n + j): s(1) moves a head back.",
            "ntm-shift",
            buggy_shift,
        ),
        Mistake(
            "turned round the weighting instead of the moves",
            "The moves then go the right way on a memory that is upside down: the result has to be turned back too.",
            "ntm-shift",
            lambda w, s: buggy_shift(w[:, ::-1], s),
        ),
        Mistake(
            "turned round the result, or gave `np.correlate` its arguments in the other order",
            "That puts row 0 at the other end. Only the direction of the moves is wrong, not the order of the rows.",
            "ntm-shift",
            lambda w, s: buggy_shift(w, s)[:, ::-1],
        ),
        Mistake(
            "exchanged only the two ends of s",
            "That is right for three moves. With five, the moves by one row still go the wrong way.",
            "ntm-shift",
            _ends_exchanged,
        ),
        Mistake(
            "lost the ring",
            "With `mode='same'` on w itself, what leaves one end is lost, and the weights sum to less than 1.",
            "ntm-shift",
            _each(lambda w, s, R: np.convolve(w, s)[R : R + len(w)]),
        ),
        Mistake(
            "padded with zeros",
            "The direction is right. But the memory is a ring, and what leaves one end has to arrive at the other.",
            "ntm-shift",
            _each(lambda w, s, R: np.convolve(np.pad(w, (0, 2 * R)), s, mode="full")[2 * R : 2 * R + len(w)]),
        ),
        Mistake(
            "padded with the last row instead of the other end",
            "The memory is a ring: beside row 0 is row N - 1, not row 0 again.",
            "ntm-shift",
            _each(lambda w, s, R: np.convolve(np.pad(w, R, mode="edge"), s, mode="valid")),
        ),
        Mistake(
            "counted the moves from 0",
            "s[:, 0] is the move by -R rows, so that the middle one stays; yours moves on by R rows too many.",
            "ntm-shift",
            lambda w, s: _moved(w, s, lambda i, R: i),
        ),
        Mistake(
            "counted the moves from 0, and the other way",
            "s[:, 0] is the move by -R rows, s[:, -1] that by R rows. Yours begin with 0 and go back.",
            "ntm-shift",
            lambda w, s: _moved(w, s, lambda i, R: -i),
        ),
        Mistake(
            "rolled by i - 1, which is right for three moves only",
            "With S = 2 R + 1 moves the one in the middle stays: roll by i - R.",
            "ntm-shift",
            lambda w, s: _moved(w, s, lambda i, R: i - 1),
        ),
        Mistake(
            "gave every head the moves of the first",
            "Each head is told moves of its own: s[k] for w[k].",
            "ntm-shift",
            lambda w, s: shift_by_convolution(w, np.repeat(s[:1], len(s), axis=0)),
        ),
        Mistake(
            "left out the shift",
            "Then a head can only stay or look for a key, but not walk.",
            "ntm-shift",
            lambda w, s: w * s.sum(axis=1, keepdims=True),
        ),
        Mistake(
            "took the most likely move alone",
            "Each move counts with its share, also the less likely ones; a maximum would have no gradient.",
            "ntm-shift",
            lambda w, s: np.stack([np.roll(a, b.argmax() - len(b) // 2) for a, b in zip(w, s, strict=True)]),
        ),
    ),
)
