"""Implement: finding rows by what they hold."""

from collections.abc import Callable
from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.ops import softmax
from companion.tree import Array


def content_weighting(key: Array, strength: Array, memory: Array) -> Array:
    """Keys (K, M), strengths (K,), memory (N, M) -> weightings (K, N)."""
    lengths = np.sqrt((key**2).sum(axis=1))[:, None] * np.sqrt((memory**2).sum(axis=1))
    dots = key @ memory.T
    cosine = np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0)
    similarity = strength[:, None] * cosine
    e = np.exp(similarity - similarity.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(K: int, N: int, M: int) -> tuple[Any, ...]:
        return rng.normal(size=(K, M)), rng.uniform(0.5, 6, size=K), rng.normal(size=(N, M))

    key, strength, erased = case(2, 7, 3)
    erased[4] = 0
    unsure, _, memory = case(2, 5, 4)
    memory[3] = 2 * memory[0] + 0.1 * rng.normal(size=4)  # the sure head has two rows to choose from
    sure = np.stack([memory[0] + memory[3], unsure[1]])
    return [case(3, 5, 4), case(1, 6, 2), (key, strength, erased), (sure, np.array([1000.0, 3.0]), memory)]


def _lengths(a: Array) -> Array:
    return np.asarray(np.sqrt((a**2).sum(axis=1, keepdims=True)))


def _quotient(a: Array, b: Array) -> Array:
    """The quotient a / b, 0 where b is."""
    return np.asarray(np.divide(a, b, out=np.zeros_like(a), where=b > 0))


def _cosine(key: Array, memory: Array) -> Array:
    return _quotient(key @ memory.T, _lengths(key) * _lengths(memory).T)


def _with(
    likeness: Callable[[Array, Array], Array] = _cosine,
    sharpened: Callable[[Array, Array], Array] = lambda cosine, strength: strength[:, None] * cosine,
    weights: Callable[[Array], Array] = softmax,
) -> Any:
    """The solution with one part replaced."""

    def answer(key: Array, strength: Array, memory: Array) -> Array:
        return weights(sharpened(likeness(key, memory), strength))

    return answer


def _zero_over_zero(key: Array, strength: Array, memory: Array) -> Array:
    return softmax(strength[:, None] * (key @ memory.T) / (_lengths(key) * _lengths(memory).T))


def _taken_away(key: Array, strength: Array, memory: Array) -> Array:
    """No weight for rows of zeros."""
    return np.asarray(content_weighting(key, strength, memory) * memory.any(axis=1))


def _overflowing(similarity: Array) -> Array:
    e = np.exp(similarity)
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def _strength_after(key: Array, strength: Array, memory: Array) -> Array:
    return np.asarray(strength[:, None] * softmax(_cosine(key, memory)))


def _raised(key: Array, strength: Array, memory: Array) -> Array:
    """Weights of strength 1, raised to the strength, and not brought back to a sum of 1."""
    return np.asarray(softmax(_cosine(key, memory)) ** strength[:, None])


def _distances(key: Array, memory: Array) -> Array:
    return -_lengths((key[:, None] - memory).reshape(-1, key.shape[1])).reshape(len(key), -1)


EXERCISE = Exercise(
    name="ntm.content_address",
    kind="implement",
    title="Find rows by what they hold",
    statement="""
        Each head has a key, and looks for the rows that point in the same direction. Two things happen in a real run of
        which equations (ntm cosine) and (ntm content) do not speak: a row was erased to zeros, and has no direction (let its
        cosine be 0); a head has become so sure that its strength is 1000. Neither may bring forth a NaN.
    """,
    solution=content_weighting,
    outputs=("w",),
    cases=_cases,
    rtol=1e-5,  # a small constant in the denominator is a right answer too, times a strength of 1000
    hints=(
        "Three steps: all scalar products, key @ memory.T; divided by both lengths, those of the keys as a column and those "
        "of the rows as a row; then a softmax over the rows of strength times cosine.",
        "A softmax does not change when a number is subtracted from all of its logits: subtract the largest of each head, "
        "and no exponential exceeds 1.",
        "`dots = key @ memory.T`; `lengths` (K, N) is the product of both lengths; "
        "`np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0)`. Or add 1e-16 to each sum of squares "
        "before the root.",
    ),
    mistakes=(
        Mistake(
            "took the scalar product instead of the cosine",
            "A long row then wins over a row that is like the key. Divide by both lengths.",
            "ntm-cosine",
            _with(likeness=lambda key, memory: key @ memory.T),
        ),
        Mistake(
            "divided by the length of the key only",
            "Rows with large numbers are then found by every key that points their way at all.",
            "ntm-cosine",
            _with(likeness=lambda key, memory: key @ memory.T / _lengths(key)),
        ),
        Mistake(
            "divided by the lengths of the rows only",
            "The length of the key would be a second strength, beside beta.",
            "ntm-cosine",
            _with(likeness=lambda key, memory: _quotient(key @ memory.T, np.tile(_lengths(memory).T, (len(key), 1)))),
        ),
        Mistake(
            "divided by the squares of both lengths",
            "The root is missing: the cosine of a vector with itself has to be 1.",
            "ntm-cosine",
            _with(likeness=lambda key, memory: _quotient(key @ memory.T, (_lengths(key) * _lengths(memory).T) ** 2)),
        ),
        Mistake(
            "divided by the length of the whole memory, one number for all rows",
            "Every row has its own length: sum the squares along the row, not over all entries.",
            "ntm-cosine",
            _with(likeness=lambda key, memory: key @ memory.T / _lengths(key) / np.linalg.norm(memory)),
        ),
        Mistake(
            "compared by distance instead of direction",
            "The closest row need not be the one with the same direction: asked is the cosine.",
            "ntm-cosine",
            _with(likeness=_distances),
        ),
        Mistake(
            "took the softmax over the heads instead of the rows",
            "Each head spreads a weight of 1 over all rows; in yours the heads share each row among them.",
            "ntm-content",
            _with(weights=lambda similarity: softmax(similarity.T).T),
        ),
        Mistake(
            "took one softmax over all heads and rows together",
            "Each head has a weight of 1 of its own to spread over the rows.",
            "ntm-content",
            _with(weights=lambda similarity: softmax(similarity.reshape(1, -1)).reshape(similarity.shape)),
        ),
        Mistake(
            "left out the strength, or added it where it multiplies",
            "A cosine lies in -1 ... 1: without a factor no weight can be more than e^2, about 7, times another. What is "
            "added to all logits changes no softmax.",
            "ntm-content",
            _with(sharpened=lambda cosine, strength: cosine),
        ),
        Mistake(
            "divided by the strength",
            "It is no temperature: a strong head is surer. Multiply the cosine by it.",
            "ntm-content",
            _with(sharpened=lambda cosine, strength: cosine / strength[:, None]),
        ),
        Mistake(
            "used the strength of the first head for all",
            "Each head has a strength of its own: give it a second axis, strength[:, None].",
            "ntm-content",
            _with(sharpened=lambda cosine, strength: strength[0] * cosine),
        ),
        Mistake(
            "multiplied by the strength after the softmax",
            "The weights of a head then sum to its strength instead of 1; it belongs into the exponent.",
            "ntm-content",
            _strength_after,
        ),
        Mistake(
            "raised the weights to the strength and left them so",
            "The powers have to be divided by their sum; then it is the same as multiplying the cosine.",
            "ntm-content",
            _raised,
        ),
        Mistake(
            "left out the softmax",
            "Strength times cosine is a score; the softmax makes of the scores of a head weights that sum to 1.",
            "ntm-content",
            _with(weights=lambda similarity: similarity),
        ),
        Mistake(
            "divided by the sum without taking exponentials",
            "Cosines can be negative, and so are some of your weights. The exponential makes them positive.",
            "ntm-content",
            _with(weights=lambda similarity: similarity / similarity.sum(axis=1, keepdims=True)),
        ),
        Mistake(
            "divided 0 by 0 at the row of zeros",
            "The NaN of one row spreads through the softmax to all rows of every head. A cosine of 0 is meant there.",
            "ntm-cosine",
            _zero_over_zero,
        ),
        Mistake(
            "put 0 for NaN after the softmax",
            "The NaN of the row of zeros has spread to all rows by then, and the head points nowhere. The cosine has to be 0, "
            "before the softmax.",
            "ntm-cosine",
            lambda *case: np.nan_to_num(_zero_over_zero(*case)),
        ),
        Mistake(
            "gave the row of zeros no weight",
            "A cosine of 0 is neither like nor unlike: after the softmax the row has some weight, and rows that point away "
            "from the key have less.",
            "ntm-content",
            lambda *case: (w := _taken_away(*case)) / w.sum(axis=1, keepdims=True),
        ),
        Mistake(
            "took the weight of the row of zeros away after the softmax",
            "A cosine of 0 is neither like nor unlike: that row has some weight, without which yours do not sum to 1.",
            "ntm-content",
            _taken_away,
        ),
        Mistake(
            "kept the lengths from 0 by a constant as large as 1e-6",
            "The strength multiplies the error as it multiplies the cosine. A constant of 1e-8 is small enough.",
            "ntm-cosine",
            _with(likeness=lambda key, memory: key @ memory.T / (_lengths(key) * _lengths(memory).T + 1e-6)),
        ),
        Mistake(
            "took the exponential of a large number",
            "e^1000 is infinite, and infinity divided by infinity NaN. Subtract the largest logit of each head first.",
            "ntm-content",
            _with(weights=_overflowing),
        ),
        Mistake(
            "put 0 for the NaN of an exponential too large",
            "e^1000 is infinite, and the rows that fit best have no weight then. Subtract the largest logit of each head first.",
            "ntm-content",
            _with(weights=lambda similarity: np.nan_to_num(_overflowing(similarity))),
        ),
        Mistake(
            "subtracted one maximum, the largest logit of all heads",
            "Beside a head with a strength of 1000, all exponentials of the others underflow to 0, and 0 / 0 is NaN. Each "
            "head needs its own maximum: axis=1, keepdims=True.",
            "ntm-content",
            _with(weights=lambda similarity: _overflowing(similarity - similarity.max())),
        ),
        Mistake(
            "clipped the large logits",
            "All rows above the limit then get the same weight, so that a sure head cannot tell two good rows apart. Subtract "
            "the largest logit instead.",
            "ntm-content",
            _with(weights=lambda similarity: _overflowing(np.minimum(similarity, 700))),
        ),
    ),
)
