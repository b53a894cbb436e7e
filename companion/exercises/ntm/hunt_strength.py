"""Find the bug: a key strength that may be negative."""

from collections.abc import Callable
from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.ops import softmax
from companion.tree import Array


def buggy_find(key: Array, z: Array, memory: Array) -> Array:
    """Keys (K, M), z (K,), memory (N, M) -> content weightings (K, N)."""
    norms = np.linalg.norm(key, axis=1)[:, None] * np.linalg.norm(memory, axis=1)
    similarity = z[:, None] * (key @ memory.T) / norms
    e = np.exp(similarity - similarity.max(axis=1, keepdims=True))
    w: Array = e / e.sum(axis=1, keepdims=True)
    return w


def find_alike(key: Array, z: Array, memory: Array) -> Array:
    """Keys (K, M), z (K,), memory (N, M) -> content weightings (K, N)."""
    norms = np.linalg.norm(key, axis=1)[:, None] * np.linalg.norm(memory, axis=1)
    strength = np.logaddexp(z, 0)  # log(1 + e^z), without overflow
    similarity = strength[:, None] * (key @ memory.T) / norms
    e = np.exp(similarity - similarity.max(axis=1, keepdims=True))
    w: Array = e / e.sum(axis=1, keepdims=True)
    return w


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    """Numbers of both signs; in the last so large that their exponential overflows, over rows like one of the keys."""

    def case(z: list[float], N: int, M: int) -> tuple[Any, ...]:
        return rng.normal(size=(len(z), M)), np.array(z), rng.normal(size=(N, M))

    key, z, memory = case([800.0, -800.0, 60.0], 6, 4)
    memory[0] = key[0]  # with a cosine of 1
    memory[1:4] = 2 * key[0] + 0.1 * rng.normal(size=(3, 4)) * np.linalg.norm(
        key[0]
    )  # and three that are nearly parallel
    return [case([1.5, -0.7], 5, 4), case([-2.0, 0.4, 3.0], 6, 3), case([-0.3], 4, 2), (key, z, memory)]


def _cosine(key: Array, memory: Array) -> Array:
    cosine: Array = key @ memory.T / (np.linalg.norm(key, axis=1)[:, None] * np.linalg.norm(memory, axis=1))
    return cosine


def _strength(of: Callable[[Array], Array]) -> Any:
    """The solution with another strength."""
    return lambda key, z, memory: softmax(of(z)[:, None] * _cosine(key, memory))


def _overflowing(key: Array, z: Array, memory: Array, largest: float = np.inf) -> Array:
    """Without the maximum taken off, and with no similarity above `largest`."""
    e = np.exp(np.minimum(np.logaddexp(z, 0)[:, None] * _cosine(key, memory), largest))
    w: Array = e / e.sum(axis=1, keepdims=True)
    return w


def _clipped(c: int) -> Mistake:
    """Unlike that of a similarity, each limit of z gives other numbers."""
    return Mistake(
        f"cut z off at {c} before the exponential",
        f"Nothing overflows now, but no strength is above {c} any more, so that a sure head cannot tell two good rows apart. "
        "np.logaddexp(z, 0) needs no limit.",
        "ntm-heads",
        _strength(lambda z: np.log(1 + np.exp(np.minimum(z, c)))),
    )


EXERCISE = Exercise(
    name="ntm.hunt_strength",
    kind="find the bug",
    title="What is least alike",
    statement="""
        z is what the controller says, one number for each head before it is squashed, and in a new machine as often negative as
        positive. Put a key into the memory as one of its rows and look for it: half of the heads give that row the largest
        weight of all, as they should, and half of them the smallest. Train the machine and the fault is gone, or so it seems:
        with $-z$ and the key $-k$ a head finds the very same rows as with $z$ and $k$, so that the controller can always say
        what it has to. But weights that were trained elsewhere do not work here. Hand in the function with the strength
        $\\beta$ of the chapter. z may be as large as 800.
    """,
    solution=find_alike,
    outputs=("the weightings",),
    cases=_cases,
    given=(buggy_find,),
    hints=(
        "Which rows weigh most when the factor before the cosine is negative? Which values may the strength have?",
        "The strength has to be positive, whatever z is. Each block of what the controller says is squashed by a function of its "
        "own; which one belongs to the strength?",
        "The softplus, $\\beta = \\log(1 + e^z)$. e^800 is infinite, so write it as `np.logaddexp(z, 0)`, or as "
        "`np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))`.",
    ),
    mistakes=(
        Mistake(
            "handed in the bug unchanged",
            "A negative number before the cosine finds what is least like the key.",
            "ntm-heads",
            buggy_find,
        ),
        Mistake(
            "took the absolute value",
            "It is positive, but -2 and 2 mean the same then, and at 0 its slope jumps. The strength is a softplus of z.",
            "ntm-heads",
            _strength(np.abs),
        ),
        Mistake(
            "cut negative numbers off at 0",
            "A strength of 0 finds all rows alike, and where z is negative no gradient comes back that could change it.",
            "ntm-heads",
            _strength(lambda z: np.maximum(z, 0)),
        ),
        Mistake(
            "took the exponential",
            "It is positive, but from e^800 comes no strength: a softplus grows no faster than z itself.",
            "ntm-heads",
            _strength(np.exp),
        ),
        Mistake(
            "let e^z overflow in the softplus",
            "log(1 + e^z) is right until e^z is infinite, and infinity times a cosine of either sign is not a weighting.",
            "ntm-heads",
            _strength(lambda z: np.log(1 + np.exp(z))),
        ),
        *(_clipped(c) for c in (20, 30, 50, 100, 300, 500, 700)),
        Mistake(
            "left out the maximum",
            "e^800 is infinite, and infinity by infinity is not a number. Take the largest similarity off first, as the "
            "buggy function does.",
            "ntm-content",
            _overflowing,
        ),
        Mistake(
            "cut the similarities off instead of taking the maximum off",
            "All rows above the limit then get the same weight, so that a sure head cannot tell two good rows apart.",
            "ntm-content",
            lambda key, z, memory: _overflowing(key, z, memory, 700),
        ),
        Mistake(
            "added 1 to the softplus",
            "That is the squashing of the sharpness, which is at least 1. A strength may come near to 0.",
            "ntm-heads",
            _strength(lambda z: 1 + np.logaddexp(z, 0)),
        ),
        Mistake(
            "took the squashing of the gate",
            "sigma(z) is positive, but below 1, so that no row would ever weigh e^2 times as much as another or more.",
            "ntm-heads",
            _strength(lambda z: 1 / (1 + np.exp(-z))),
        ),
        Mistake(
            "squared z",
            "It is never negative, but -2 and 2 mean the same then. The strength is a softplus of z.",
            "ntm-heads",
            _strength(lambda z: z**2),
        ),
        Mistake(
            "took the softplus of -z",
            "It is positive, but it falls as z grows: log(1 + e^z), not log(1 + e^-z).",
            "ntm-heads",
            _strength(lambda z: np.logaddexp(-z, 0)),
        ),
        Mistake(
            "took the logarithm to base 2 in the softplus",
            "The softplus has the natural logarithm; yours is 1.44 times as large.",
            "ntm-heads",
            _strength(lambda z: np.logaddexp(z, 0) / np.log(2)),
        ),
        Mistake(
            "took the softplus of strength times cosine",
            "The strength alone is squashed. The cosine is to keep its sign: rows unlike the key go down.",
            "ntm-content",
            lambda key, z, memory: softmax(np.logaddexp(z[:, None] * _cosine(key, memory), 0)),
        ),
        Mistake(
            "took the absolute value of the cosine",
            "Then a row opposite to the key looks like it. It is the strength that has to be positive.",
            "ntm-content",
            lambda key, z, memory: softmax(np.logaddexp(z, 0)[:, None] * np.abs(_cosine(key, memory))),
        ),
        Mistake(
            "divided by the largest strength",
            "The strengths of the other heads are nothing to a head.",
            "ntm-heads",
            _strength(lambda z: np.logaddexp(z, 0) / np.logaddexp(z, 0).max()),
        ),
    ),
)
