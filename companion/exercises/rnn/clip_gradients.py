"""Implement: clip gradients by their common norm."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.tree import Array


def clip_gradients(dW_x: Array, dW_h: Array, db: Array, limit: float) -> tuple[Array, Array, Array]:
    """Gradients (H, D), (H, H), (H,) -> the same three, clipped together."""
    norm = np.sqrt((dW_x**2).sum() + (dW_h**2).sum() + (db**2).sum())
    scale = limit / norm if norm > limit else 1.0
    return dW_x * scale, dW_h * scale, db * scale


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(D: int, H: int, size: float, limit: float) -> tuple[Any, ...]:
        """Gradients whose common norm is `size`."""
        grads = [rng.normal(size=shape) for shape in ((H, D), (H, H), (H,))]
        norm = np.sqrt(sum(float((g**2).sum()) for g in grads))
        return (*(g * size / norm for g in grads), limit)

    return [case(4, 5, 60.0, 3.0), case(3, 6, 1.5, 4.0), case(5, 2, 2.2, 2.0), case(2, 3, 0.8, 0.5)]


def _with(norm: Any) -> Any:
    """All three scaled by limit / norm, if that is below 1."""

    def answer(dW_x: Array, dW_h: Array, db: Array, limit: float) -> Any:
        grads = (dW_x, dW_h, db)
        return tuple(g * min(1.0, limit / norm(grads, limit)) for g in grads)

    return answer


def _norm(grads: Any) -> Any:
    return np.sqrt(sum((g**2).sum() for g in grads))


def _each(norm: Any) -> Any:
    return lambda *c: tuple(g * min(1.0, c[3] / norm(g)) for g in c[:3])


EXERCISE = Exercise(
    name="rnn.clip_gradients",
    kind="implement",
    title="Clipping gradients",
    statement="""
        One step over the edge of a cliff in the loss can undo hours of training. Clip the gradients of a network: if the
        norm of *all of them together*, taken as one long vector, exceeds `limit`, shrink that vector to the length `limit`
        without turning it. Otherwise leave it as it is.
    """,
    solution=clip_gradients,
    outputs=("the clipped dW_x", "the clipped dW_h", "the clipped db"),
    cases=_cases,
    rtol=1e-5,  # a small constant beside the norm, as many libraries have it, is right too
    hints=(
        "Not to turn the vector means to multiply all its entries, in all three arrays, by one and the same number.",
        "The norm is the root of the sum of the squares of all entries, whichever array they are in.",
        "With that norm, the number is `limit / norm` if `norm > limit`, else 1.",
    ),
    mistakes=(
        Mistake(
            "clipped each array by its own norm",
            "Each array is scaled by another number, so that the direction of the step changes; their common norm may "
            "still exceed the limit.",
            "clip",
            _each(lambda g: np.sqrt((g**2).sum())),
        ),
        Mistake(
            "clipped each entry by itself",
            "Large entries are cut and small ones stay: that turns the vector. It is another method, clipping by value.",
            "clip",
            lambda *c: tuple(np.clip(g, -c[3], c[3]) for g in c[:3]),
        ),
        Mistake(
            "enlarged small gradients as well",
            "Below the limit nothing may change; yours have the length `limit` always, also near a minimum.",
            "clip",
            lambda *c: tuple(g * c[3] / _norm(c[:3]) for g in c[:3]),
        ),
        Mistake(
            "forgot the root",
            "You compared and divided by the *square* of the norm; what is clipped does not get the length `limit`.",
            "clip",
            _with(lambda grads, limit: _norm(grads) ** 2),
        ),
        Mistake(
            "added the norms of the three arrays",
            "Lengths at right angles do not add up, their squares do. Your norm is too large: you clip too much and too often.",
            "clip",
            _with(lambda grads, limit: sum(np.sqrt((g**2).sum()) for g in grads)),
        ),
        Mistake(
            "took the mean of the squares instead of their sum",
            "Your norm is too small by the root of the number of entries: you clip too seldom and too little.",
            "clip",
            _with(lambda grads, limit: _norm(grads) / np.sqrt(sum(g.size for g in grads))),
        ),
        Mistake(
            "took the largest entry for the norm",
            "The largest entry is never above the norm, and mostly far below: many long gradients pass unclipped.",
            "clip",
            _with(lambda grads, limit: max(np.abs(g).max() for g in grads)),
        ),
        Mistake(
            "added absolute values instead of squares",
            "That is another norm, and a larger one: you shrink gradients that are short enough, and others too much.",
            "clip",
            _with(lambda grads, limit: sum(np.abs(g).sum() for g in grads)),
        ),
        Mistake(
            "shrank to the length 1 instead of the limit",
            "A vector that is too long is shrunk to the length `limit`: divide by the norm and multiply by the limit.",
            "clip",
            _with(lambda grads, limit: _norm(grads) * limit if _norm(grads) > limit else limit),
        ),
        Mistake(
            "measured W_x and W_h without the bias",
            "The gradient of the bias is part of the vector too, and its length counts.",
            "clip",
            _with(lambda grads, limit: _norm(grads[:2])),
        ),
        Mistake(
            "left a gradient above the limit as it was",
            "Your result is the argument unchanged; look at the condition, and at which way round limit and norm are.",
            "clip",
            lambda *c: tuple(g.copy() for g in c[:3]),
        ),
        Mistake(
            "threw gradients above the limit away",
            "A long gradient still has the right direction: shrink it, so that a step is made.",
            "clip",
            _with(lambda grads, limit: np.inf if _norm(grads) > limit else limit),
        ),
        Mistake(
            "took the largest singular value for the length of a matrix",
            "`np.linalg.norm(dW, 2)` of a matrix is its spectral norm, never above the root of the sum of its squares: you clip "
            "too seldom and too little.",
            "clip",
            _with(lambda grads, limit: np.sqrt(sum(np.linalg.norm(g, 2) ** 2 for g in grads))),
        ),
    ),
)
