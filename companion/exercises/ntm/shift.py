"""Extend: moving round the memory, once and twice."""

from collections.abc import Callable
from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.ops import softmax
from companion.tree import Array


def moved_round(w: Array, s: Array) -> tuple[Array, Array]:
    """Weightings w (K, N), moves s (K, 2J + 1) -> once (K, N), twice (K, 4J + 1).

    s[k] holds the shares of -J, ..., J rows on, in this order.
    once: the weightings after the move.
    twice: the shares of -2J, ..., 2J rows on that do the same as two moves with s.
    """
    K, S = s.shape
    once, twice = np.zeros_like(w), np.zeros((K, 2 * S - 1))
    for i in range(S):
        once += s[:, i, None] * np.roll(w, i - S // 2, axis=1)
        twice[:, i : i + S] += s[:, i, None] * s
    return once, twice


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(K: int, N: int, S: int) -> tuple[Any, ...]:
        return softmax(rng.normal(size=(K, N))), softmax(rng.normal(size=(K, S)))

    return [case(3, 7, 5), case(1, 3, 3), case(2, 6, 1), case(2, 5, 5)]


def _places(w: Array, move: int) -> Array:
    return np.roll(w, move, axis=1)


def _lost(w: Array, move: int) -> Array:
    """What moves past an end is gone."""
    N = w.shape[1]
    return np.pad(w, ((0, 0), (N, N)))[:, N - move : 2 * N - move]


def _piled(w: Array, move: int) -> Array:
    """What would move past an end stays there."""
    moved = np.zeros_like(w)
    for n in range(w.shape[1]):
        moved[:, min(max(n + move, 0), w.shape[1] - 1)] += w[:, n]
    return moved


def _convolved(s: Array) -> Array:
    return np.stack([np.convolve(row, row) for row in s])


def _with(
    moves: Callable[[int], Any] = lambda S: range(-(S // 2), S // 2 + 1),
    place: Callable[[Array, int], Array] = _places,
    share: Callable[[Array], Array] = lambda s: s,
    twice: Callable[[Array], Array] = _convolved,
) -> Any:
    """The solution with one part replaced."""

    def answer(w: Array, s: Array) -> tuple[Array, Array]:
        parts = [share(s)[:, i, None] * place(w, move) for i, move in enumerate(moves(s.shape[1]))]
        return np.sum(parts, axis=0), twice(s)

    return answer


def _stay_first(S: int) -> list[int]:
    return [*range(S // 2 + 1), *range(-(S // 2), 0)]


def _doubled(s: Array) -> Array:
    both = np.zeros((len(s), 2 * s.shape[1] - 1))
    both[:, ::2] = s
    return both


def _of_squares(s: Array) -> Array:
    both = _doubled(s**2)
    return np.asarray(both / both.sum(axis=1, keepdims=True))


def _there_and_back(s: Array) -> Array:
    return np.stack([np.convolve(row, row[::-1]) for row in s])


def _unchanged(s: Array) -> Array:
    return np.pad(s, ((0, 0), (s.shape[1] // 2, s.shape[1] // 2)))


EXERCISE = Exercise(
    name="ntm.shift",
    kind="extend",
    title="Move round the memory, once and twice",
    statement="""
        Each head moves by up to J rows, and spreads its weighting over the places where it may arrive: a share s of it moves
        by -J, another by -J + 1, and so on to J; behind the last row comes the first. Return the weightings after one move.
        A second move with the same s blurs them further. Which shares, of moves by -2J to 2J, would do both at once?
    """,
    solution=moved_round,
    outputs=("once", "twice"),
    cases=_cases,
    hints=(
        "`np.roll(w, 1, axis=1)` moves every weight one row on, and the last to the first row. The sum over all moves has "
        "one such term for each entry of s.",
        "Entry i of s belongs to a move by i - J rows, with J = S // 2. For both moves at once: each pair of moves i and j "
        "adds its product to the place of their sum.",
        "In a loop over i: `once += s[:, i, None] * np.roll(w, i - S // 2, axis=1)` and "
        "`twice[:, i : i + S] += s[:, i, None] * s`. The second is s convolved with itself.",
    ),
    mistakes=(
        Mistake(
            "moved the wrong way",
            "The last entry of s moves the focus forward, from row n to n + J. Yours takes w at n + j where n - j belongs.",
            "ntm-shift",
            _with(moves=lambda S: range(S // 2, -(S // 2) - 1, -1)),
        ),
        Mistake(
            "lost what moves past the ends",
            "Behind the last row comes the first, and your weightings no longer sum to 1.",
            "ntm-shift",
            _with(place=_lost),
        ),
        Mistake(
            "let what moves past the ends pile up there",
            "Behind the last row comes the first: the memory is a ring.",
            "ntm-shift",
            _with(place=_piled),
        ),
        Mistake(
            "took the entries of s for moves by 0, 1, 2 and so on",
            "They begin with -J: entry i moves by i - J rows. Yours ends J rows too far on.",
            "ntm-shift",
            _with(moves=range),
        ),
        Mistake(
            "took the entries of s for moves by 0, 1, ..., -1",
            "That order, with no move first, is another convention. Here s begins with -J, and no move is in its middle.",
            "ntm-shift",
            _with(moves=_stay_first),
        ),
        Mistake(
            "rolled by i - 1, which is right for three moves only",
            "With S = 2 J + 1 moves the one in the middle stays: roll by i - J.",
            "ntm-shift",
            _with(moves=lambda S: range(-1, S - 1)),
        ),
        Mistake(
            "rolled all heads together, without an axis",
            "Without axis=1, np.roll moves the last weight of one head to the first row of the next head.",
            "ntm-shift",
            _with(place=lambda w, move: np.roll(w, move)),
        ),
        Mistake(
            "rolled over the heads instead of the rows",
            "Axis 0 holds the heads: yours exchanges their weightings. The rows of the memory are axis 1.",
            "ntm-shift",
            _with(place=lambda w, move: np.roll(w, move, axis=0)),
        ),
        Mistake(
            "moved all heads with the first head's s",
            "Each head has moves of its own: s[k] belongs to w[k].",
            "ntm-shift",
            _with(share=lambda s: np.repeat(s[:1], len(s), axis=0)),
        ),
        Mistake(
            "moved only by the most likely move",
            "All moves take place, each with its share; a choice of one would have no slope to learn from.",
            "ntm-shift",
            _with(share=lambda s: (s == s.max(axis=1, keepdims=True)) * 1.0),
        ),
        Mistake(
            "averaged over the moves",
            "The entries of s sum to 1 already. Your weightings sum to 1 / S.",
            "ntm-shift",
            _with(share=lambda s: s / s.shape[1]),
        ),
        Mistake(
            "moved twice as far instead of twice",
            "Your twice says that the second move is always the same as the first. Each of S moves can follow each of S.",
            "ntm-shift",
            _with(twice=_doubled),
        ),
        Mistake(
            "squared the shares",
            "That counts only equal moves, one after the other. A move by 1 and then one by -1 leads back to the same row, and "
            "counts as well.",
            "ntm-shift",
            _with(twice=_of_squares),
        ),
        Mistake(
            "put a move forward and a move back together",
            "Your twice is symmetric: one of both factors is turned round. Both moves go the same way.",
            "ntm-shift",
            _with(twice=_there_and_back),
        ),
        Mistake(
            "left s as it is, with zeros at both ends",
            "That is a single move. Two moves spread the weights wider.",
            "ntm-shift",
            _with(twice=_unchanged),
        ),
        Mistake(
            "turned the order of twice round",
            "It begins with the share of -2J rows, as s does with that of -J.",
            "ntm-shift",
            _with(twice=lambda s: _convolved(s)[:, ::-1]),
        ),
    ),
)
