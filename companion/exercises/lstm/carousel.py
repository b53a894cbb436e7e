"""Derive: the gradient along the internal state."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.tree import Array


def carousel(f: Array) -> Array:
    """Forget gates f (T, B, H) -> J (T + 1, B, H).

    J[t] is the derivative of the last internal state s^(T) by s^(t), t = 0, ..., T.
    """
    J = np.ones((len(f) + 1, *f.shape[1:]))
    for t in range(len(f) - 1, -1, -1):
        J[t] = f[t] * J[t + 1]
    return J


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    some_closed = rng.uniform(0.05, 0.95, size=(6, 2, 3))
    some_closed[2, 0, 1] = some_closed[5, 1, 0] = 0.0
    return [(rng.uniform(0.05, 0.95, size=shape),) for shape in ((7, 3, 5), (1, 2, 4), (4, 1, 3))] + [(some_closed,)]


def _with_last(J: Array, last: Array | float) -> Array:
    """J (T, B, H) of the steps before the last, and the last."""
    return np.concatenate([J, np.broadcast_to(last, (1, *J.shape[1:]))])


def _from_the_end(f: Array) -> Array:
    """Products of the gates from each step to the last."""
    return np.cumprod(f[::-1], axis=0)[::-1]


def _steps_left(f: Array) -> Array:
    return np.arange(float(len(f)), -1, -1)[:, None, None]


EXERCISE = Exercise(
    name="lstm.carousel",
    kind="derive",
    title="How much of a gradient comes back",
    statement="""
        Along the internal state alone, which does not pass through any weights, every unit has a gradient of its own. Given
        the forget gates of a whole sequence, return the derivative of the last internal state with respect to each earlier
        one, the initial state included. In NumPy the gate $f^{(t)}$ is `f[t - 1]`, as counting begins at 0. A gate may be 0.
    """,
    solution=carousel,
    outputs=("J",),
    cases=_cases,
    hints=(
        "What are $\\partial s^{(T)} / \\partial s^{(T)}$ and $\\partial s^{(T)} / \\partial s^{(T-1)}$? Go on from there.",
        "$s^{(t)} = g^{(t)} i^{(t)} + s^{(t-1)} f^{(t)}$: from $t$ back to $t - 1$ the gradient is multiplied by "
        "$f^{(t)}$. So $J^{(t)}$ is a product. "
        "Of which gates?",
        "$J^{(t)} = f^{(t+1)} f^{(t+2)} \\cdots f^{(T)}$, without $f^{(t)}$ itself, and $J^{(T)} = 1$. Fill it from the end: "
        "`J[t] = f[t] * J[t + 1]`.",
    ),
    mistakes=(
        Mistake(
            "added the gates instead of multiplying them",
            "Steps one after the other multiply their derivatives. A sum grows with the distance; a product cannot.",
            "carousel-product",
            lambda f: _with_last(np.cumsum(f[::-1], axis=0)[::-1], 1.0),
        ),
        Mistake(
            "multiplied the gates from the beginning instead of from the end",
            "Yours are derivatives by the *initial* state, of s^0, s^1, ...: they start with 1; the right ones end with 1.",
            "carousel-product",
            lambda f: np.concatenate([np.ones((1, *f.shape[1:])), np.cumprod(f, axis=0)]),
        ),
        Mistake(
            "included the gate of step t itself",
            "f^(t) stands between s^(t-1) and s^(t). On the way from T back to t the last gate is f^(t+1): you are "
            "one step late.",
            "carousel-product",
            lambda f: np.concatenate([_from_the_end(f)[:1], _from_the_end(f)]),
        ),
        Mistake(
            "left out the gate of step t + 1",
            "On the way from T back to t the last gate is f^(t+1), which is f[t] in NumPy: you stop one step early.",
            "carousel-product",
            lambda f: np.concatenate([_from_the_end(f)[1:], np.ones((2, *f.shape[1:]))]),
        ),
        Mistake(
            "left out the last gate",
            "f^(T) stands between s^(T-1) and s^(T), so every derivative but that of s^(T) by itself contains it.",
            "carousel-product",
            lambda f: _with_last(_with_last(_from_the_end(f[:-1]), 1.0), 1.0),
        ),
        Mistake(
            "took f[t - 1] for the gate between s^(t) and s^(t+1)",
            "That gate is f^(t+1), which is f[t] in NumPy. For t = 0 yours is f[-1], the last gate, without any error.",
            "carousel-product",
            lambda f: carousel(np.roll(f, 1, axis=0)),
        ),
        Mistake(
            "returned the derivatives in the opposite order",
            "J[0] belongs to the initial state and J[T] = 1 to the last one; yours begin at the end.",
            "carousel-product",
            lambda f: carousel(f)[::-1],
        ),
        Mistake(
            "put the last gate at the last step",
            "J[T] is the derivative of s^(T) by itself, which is 1; the others are right.",
            "carousel-product",
            lambda f: _with_last(_from_the_end(f), f[-1]),
        ),
        Mistake(
            "took the rule of 1997, without forget gate",
            "There every derivative is 1, the constant error carousel. A forget gate lets the gradient through only in part.",
            "carousel",
            lambda f: np.ones((len(f) + 1, *f.shape[1:])),
        ),
        Mistake(
            "gave the derivative of one step",
            "f is the derivative of s^(t+1) by s^(t). From s^(T) back to s^(t) there are T - t such steps.",
            "carousel-product",
            lambda f: _with_last(f, 1.0),
        ),
        Mistake(
            "took a power of the mean gate",
            "The gates differ from step to step; a product is not the power of their mean.",
            "carousel-product",
            lambda f: f.mean(axis=0) ** _steps_left(f),
        ),
        Mistake(
            "took the same gate in every step",
            "You raised the last gate to a power; every step multiplies by the forget gate of that step.",
            "carousel-product",
            lambda f: f[-1] ** _steps_left(f),
        ),
        Mistake(
            "divided by products that may be 0",
            "The product of all gates over that of the first ones is right until a gate closes; then it is 0 / 0.",
            "carousel-product",
            lambda f: np.prod(f, axis=0) / np.concatenate([np.ones((1, *f.shape[1:])), np.cumprod(f, axis=0)]),
        ),
        Mistake(
            "took 1 - f for f",
            "A forget gate of 1 keeps the state, and with it the gradient.",
            "carousel",
            lambda f: carousel(1 - f),
        ),
        Mistake(
            "added the logarithms and did not take the exponential",
            "The sum of log f is the logarithm of the derivative; np.exp brings it back.",
            "carousel-product",
            lambda f: np.log(carousel(f)),
        ),
        Mistake(
            "began with 1 and added the gates to it",
            "J[T] = 1 is right. Going one step back *multiplies* by the gate: no derivative here can be above 1.",
            "carousel-product",
            lambda f: _with_last(np.cumsum(f[::-1], axis=0)[::-1] + 1, 1.0),
        ),
        Mistake(
            "began with 0 and added the gates to it",
            "J[T] is the derivative of s^(T) by itself, which is 1; and from there each gate multiplies.",
            "carousel-product",
            lambda f: _with_last(np.cumsum(f[::-1], axis=0)[::-1], 0.0),
        ),
    ),
)
