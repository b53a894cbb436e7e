"""Implement: the backward pass of dropout."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.gradcheck import numerical_gradient
from companion.tree import Array


def dropout_backward(dy: Array, keep: Array, rate: float) -> Array:
    """Gradient dy (B, H), Booleans keep (B, H), rate -> gradient dx (B, H).

    The forward pass was y = np.where(keep, x / (1 - rate), 0).
    """
    return np.where(keep, dy / (1 - rate), 0.0)


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    settings = (((3, 5), 0.25), ((4, 6), 0.5), ((2, 7), 0.8))
    return [(rng.normal(size=shape), rng.random(shape) >= rate, rate) for shape, rate in settings]


def _numeric(dy: Array, keep: Array, rate: float) -> dict[str, Array]:
    return {"dx": numerical_gradient(lambda x: float((dy * np.where(keep, x / (1 - rate), 0)).sum()), np.ones_like(dy))}


EXERCISE = Exercise(
    name="nn.dropout_backward",
    kind="implement",
    title="Back through dropout",
    statement="""
        The forward pass of inverted dropout kept some entries, scaled up, and set the others to zero. Return the gradient
        with respect to its input, given which entries were kept.
    """,
    solution=dropout_backward,
    outputs=("dx",),
    cases=_cases,
    numeric=_numeric,
    hints=(
        "For fixed `keep` the forward pass multiplies every entry by a constant. What is the derivative of $c\\,x$?",
        "The constant is 0 where an entry was dropped. What is it where an entry was kept?",
        "It is $1 / (1 - p)$ with $p$ the rate: the gradient is scaled exactly as the entry was.",
    ),
    mistakes=(
        Mistake(
            "forgot the factor 1 / (1 - rate)",
            "The forward pass scaled the kept entries up, so their gradients are scaled up too; yours are too small.",
            "dropout-backward",
            lambda dy, keep, rate: dy * keep,
        ),
        Mistake(
            "multiplied by 1 - rate instead of dividing by it",
            "Your gradients shrink where the forward pass enlarged.",
            "dropout-backward",
            lambda dy, keep, rate: dy * keep * (1 - rate),
        ),
        Mistake(
            "divided by rate instead of 1 - rate",
            "`rate` is the fraction dropped; the scale makes up for it by dividing by the fraction *kept*.",
            "dropout-backward",
            lambda dy, keep, rate: dy * keep / rate,
        ),
        Mistake(
            "let through the dropped entries instead of the kept ones",
            "A dropped entry had no influence on the output, so its gradient is 0.",
            "dropout-backward",
            lambda dy, keep, rate: dy * ~keep / (1 - rate),
        ),
        Mistake(
            "scaled every entry and ignored which were kept",
            "Dropped entries receive a gradient although the output did not depend on them.",
            "dropout-backward",
            lambda dy, keep, rate: dy / (1 - rate),
        ),
        Mistake(
            "passed the gradient through unchanged",
            "That is right at test time, when nothing is dropped; in training the mask belongs to the backward pass too.",
            "dropout-backward",
            lambda dy, keep, rate: dy * 1,
        ),
        Mistake(
            "scaled twice",
            "1 / (1 - rate) belongs there once, as in the forward pass.",
            "dropout-backward",
            lambda dy, keep, rate: dy * keep / (1 - rate) ** 2,
        ),
        Mistake(
            "let through the dropped entries, and without the factor 1 / (1 - rate)",
            "`keep` is True where an entry was kept: these receive a gradient, scaled up as they were, the others 0.",
            "dropout-backward",
            lambda dy, keep, rate: dy * ~keep,
        ),
    ),
)
