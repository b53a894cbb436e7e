"""Implement: one step of momentum."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.tree import Array


def momentum_step(p: Array, g: Array, v: Array, learning_rate: float, mu: float) -> tuple[Array, Array]:
    """Parameters p, gradient g, velocity v (all of one shape) -> new p, new v."""
    v = mu * v + g
    return p - learning_rate * v, v


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(shape: tuple[int, ...], learning_rate: float, mu: float) -> tuple[Any, ...]:
        return (*(rng.normal(size=shape) for _ in range(3)), learning_rate, mu)

    return [case((3, 4), 0.1, 0.9), case((5,), 0.03, 0.5), case((2, 2), 1.5, 0.99)]


EXERCISE = Exercise(
    name="nn.momentum_step",
    kind="implement",
    title="Momentum",
    statement="""
        Take one step of gradient descent with momentum: the velocity collects gradients and slowly forgets them, and the
        parameters follow the velocity.
    """,
    solution=momentum_step,
    outputs=("p", "v"),
    cases=_cases,
    hints=(
        "Two lines: first the new velocity, then the new parameters.",
        "The velocity forgets by the factor mu and adds the whole gradient: `mu * v + g`.",
        "Then `p - learning_rate * v` with the *new* velocity; return both, and leave the arguments as they were.",
    ),
    mistakes=(
        Mistake(
            "damped the gradient by 1 - mu",
            "Your velocity is a moving average; here it is a sum. With mu = 0.9 your steps are ten times shorter.",
            "momentum",
            lambda p, g, v, lr, mu: (p - lr * (mu * v + (1 - mu) * g), mu * v + (1 - mu) * g),
        ),
        Mistake(
            "stepped with the old velocity",
            "The newest gradient has no effect until the next step: p must use the velocity just computed.",
            "momentum",
            lambda p, g, v, lr, mu: (p - lr * v, mu * v + g),
        ),
        Mistake(
            "stepped along the gradient alone",
            "The velocity is updated but never used: this is plain gradient descent.",
            "momentum",
            lambda p, g, v, lr, mu: (p - lr * g, mu * v + g),
        ),
        Mistake(
            "put the learning rate into the velocity",
            "With a constant rate the path is the same, but your velocity has the unit of a step, and a change of the rate "
            "would act only slowly. Here the velocity is a sum of gradients.",
            "momentum",
            lambda p, g, v, lr, mu: (p - (mu * v + lr * g), mu * v + lr * g),
        ),
        Mistake(
            "took the step of Nesterov's method",
            "You look ahead along the velocity once more, g + mu v. That is a good method, but another one.",
            "momentum",
            lambda p, g, v, lr, mu: (p - lr * (g + mu * (mu * v + g)), mu * v + g),
        ),
        Mistake(
            "walked uphill",
            "The gradient points to larger loss: subtract the velocity, do not add it.",
            "sgd",
            lambda p, g, v, lr, mu: (p + lr * (mu * v + g), mu * v + g),
        ),
        Mistake(
            "returned the old velocity",
            "The parameters are right this once, but the next step starts from a velocity that never grows.",
            "momentum",
            lambda p, g, v, lr, mu: (p - lr * (mu * v + g), v),
        ),
        Mistake(
            "put the learning rate and the minus sign into the velocity",
            "Some textbooks write it so, and at a constant rate the path from v = 0 is the same. "
            "Here the velocity is a sum of gradients; yours is a step downhill.",
            "momentum",
            lambda p, g, v, lr, mu: (p + mu * v - lr * g, mu * v - lr * g),
        ),
    ),
)
