"""Implement: a numerical gradient to check all others with."""

from collections.abc import Callable
from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.tree import Array


def central_difference(f: Callable[[Array], float], x: Array, eps: float) -> Array:
    """Scalar function f, point x (any shape), step eps -> gradient of f at x.

    By central differences. The gradient has the shape of x, which stays as it was.
    """
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = eps
        gradient[index] = (f(x + step) - f(x - step)) / (2 * eps)
    return gradient


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    A = rng.normal(size=(3, 4))
    return [
        (lambda x: float((A * np.sin(x)).sum()), rng.normal(size=(3, 4)), 3e-3),
        (lambda x: float(np.exp(x).prod() + (x**2).sum()), 0.3 * rng.normal(size=5), 1e-3),
        (lambda x: float(np.tanh(x @ A).sum()), rng.normal(size=(2, 3)), 1e-4),
    ]


def _run(answer: Any, f: Callable[[Array], float], x: Array, eps: float) -> dict[str, Any]:
    """The gradient and, as it hardly shows eps, whether f was called eps away from x, or twice or half as far (1 if so)."""
    distances, start = [], x.copy()

    def recorded(point: Array) -> float:
        if np.shape(point) == start.shape:
            distances.append(float(np.abs(point - start).max()))
        return f(point)

    gradient = answer(recorded, x, eps)
    return {
        "the gradient": gradient,
        "the step": float(any(np.isclose(distance / eps, (0.5, 1, 2)).any() for distance in distances)),
    }


def _one_by_one(entry: Callable[..., float]) -> Callable[..., Array]:
    """The solution with another formula for one entry."""

    def answer(f: Callable[[Array], float], x: Array, eps: float) -> Array:
        gradient = np.zeros_like(x)
        for index in np.ndindex(x.shape):
            step = np.zeros_like(x)
            step[index] = eps
            gradient[index] = entry(f, x, step, eps)
        return gradient

    return answer


def _never_restored(f: Callable[[Array], float], x: Array, eps: float) -> Array:
    x, gradient = x.copy(), np.zeros_like(x)
    for index in np.ndindex(x.shape):
        x[index] += eps
        above = f(x)
        x[index] -= 2 * eps
        gradient[index] = (above - f(x)) / (2 * eps)
    return gradient


def _growing_step(f: Callable[[Array], float], x: Array, eps: float) -> Array:
    gradient, step = np.zeros_like(x), np.zeros_like(x)
    for index in np.ndindex(x.shape):
        step[index] = eps
        gradient[index] = (f(x + step) - f(x - step)) / (2 * eps)
    return gradient


def _first_entry_only(f: Callable[[Array], float], x: Array, eps: float) -> Array:
    gradient = np.zeros_like(x)
    gradient.flat[0] = central_difference(f, x, eps).flat[0]
    return gradient


def _all_at_once(f: Callable[[Array], float], x: Array, eps: float) -> Array:
    return np.full_like(x, (f(x + eps) - f(x - eps)) / (2 * eps))


EXERCISE = Exercise(
    name="nn.central_difference",
    kind="implement",
    title="The numerical gradient",
    statement="""
        Approximate a gradient without deriving anything: move one entry of x at a time a little up and a little down, and see
        how the function changes.
    """,
    solution=central_difference,
    outputs=("the gradient", "the step"),
    run=_run,
    cases=_cases,
    rtol=1e-5,
    hints=(
        "Loop over all entries with `for index in np.ndindex(x.shape)`; only that entry moves.",
        "Build a step that is zero except for `step[index] = eps`; `x + step` makes a new array, so x stays as it was.",
        "`gradient[index] = (f(x + step) - f(x - step)) / (2 * eps)`.",
    ),
    mistakes=(
        Mistake(
            "took a one-sided difference",
            "(f(x + eps) - f(x)) / eps errs by about eps f''/2; the central one errs by about eps^2 f'''/6, far less.",
            "central-difference",
            _one_by_one(lambda f, x, step, eps: (f(x + step) - f(x)) / eps),
        ),
        Mistake(
            "took a one-sided difference, backwards",
            "(f(x) - f(x - eps)) / eps errs by about eps f''/2; the central one errs by about eps^2 f'''/6, far less.",
            "central-difference",
            _one_by_one(lambda f, x, step, eps: (f(x) - f(x - step)) / eps),
        ),
        Mistake(
            "divided by eps instead of 2 eps",
            "From x - eps to x + eps the distance is 2 eps; your gradient is twice the right one.",
            "central-difference",
            _one_by_one(lambda f, x, step, eps: (f(x + step) - f(x - step)) / eps),
        ),
        Mistake(
            "forgot to divide by the distance",
            "The difference of two values shrinks with eps; a slope is a difference *per distance*.",
            "central-difference",
            _one_by_one(lambda f, x, step, eps: f(x + step) - f(x - step)),
        ),
        Mistake(
            "moved all entries at once",
            "Every entry of your gradient is the same number: the sum of the whole gradient.",
            "central-difference",
            _all_at_once,
        ),
        Mistake(
            "never put an entry back",
            "After its turn each entry stays moved, so later entries are differentiated at another point.",
            "central-difference",
            _never_restored,
        ),
        Mistake(
            "have the two points the wrong way round",
            "f(x - eps) - f(x + eps) gives the opposite of the gradient.",
            "central-difference",
            _one_by_one(lambda f, x, step, eps: (f(x - step) - f(x + step)) / (2 * eps)),
        ),
        Mistake(
            "divided by 2 and multiplied by eps",
            "Python reads `/ 2 * eps` from the left, as (... / 2) * eps: the distance needs brackets, / (2 * eps).",
            "central-difference",
            _one_by_one(lambda f, x, step, eps: (f(x + step) - f(x - step)) / 2 * eps),
        ),
        Mistake(
            "returned from inside the loop",
            "Only the first entry is filled: the `return` stands behind the loop, with less indentation.",
            "central-difference",
            _first_entry_only,
        ),
        Mistake(
            "never set an entry of the step back to zero",
            "From the second turn on, several entries move at once: make a new step in every turn.",
            "central-difference",
            _growing_step,
        ),
        Mistake(
            "moved x by another distance than eps",
            "The gradient is close enough here, but who calls your function chooses eps, and knows why: use the argument.",
            "central-difference",
            lambda f, x, eps: central_difference(f, x, 1e-6),
        ),
    ),
)
