"""Find the bug: a ReLU layer whose backward pass looks right."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.gradcheck import numerical_gradient
from companion.tree import Array


def relu_layer(x: Array, W: Array, b: Array) -> tuple[Array, tuple[Array, Array, Array]]:
    """Inputs x (B, D), weights W (H, D), biases b (H,) -> y (B, H).

    The cache is (x, W, y).
    """
    y = np.maximum(x @ W.T + b, 0)
    return y, (x, W, y)


def buggy_backward(cache: tuple[Array, Array, Array], dy: Array) -> tuple[Array, Array, Array]:
    """Cache of relu_layer, gradient dy (B, H) -> dx (B, D), dW (H, D), db (H,)."""
    x, W, _ = cache
    dz = np.where(dy > 0, dy, 0)
    return dz @ W, dz.T @ x, dz.sum(axis=0)


def relu_layer_backward(cache: tuple[Array, Array, Array], dy: Array) -> tuple[Array, Array, Array]:
    """Cache of relu_layer, gradient dy (B, H) -> dx (B, D), dW (H, D), db (H,)."""
    x, W, y = cache
    dz = np.where(y > 0, dy, 0)
    return dz @ W, dz.T @ x, dz.sum(axis=0)


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(B: int, D: int, H: int) -> tuple[Any, ...]:
        _, cache = relu_layer(rng.normal(size=(B, D)), rng.normal(size=(H, D)), rng.normal(size=H))
        return cache, rng.normal(size=(B, H))

    return [case(3, 4, 5), case(6, 2, 3), case(2, 5, 4)]


def _numeric(cache: tuple[Array, Array, Array], dy: Array) -> dict[str, Array]:
    x, W, y = cache
    kept = (y > 0) * 1.0  # away from a kink, ReLU is multiplication by this constant
    return {
        "dx": numerical_gradient(lambda x: float((dy * kept * (x @ W.T)).sum()), x),
        "dW": numerical_gradient(lambda W: float((dy * kept * (x @ W.T)).sum()), W),
        "db": numerical_gradient(lambda b: float((dy * kept * b).sum()), np.zeros(len(W))),
    }


def _with(error: Any, bias: Any = lambda dz: dz.sum(axis=0)) -> Any:
    def answer(cache: tuple[Array, Array, Array], dy: Array) -> Any:
        x, W, y = cache
        dz = error(y, dy)
        return dz @ W, dz.T @ x, bias(dz)

    return answer


EXERCISE = Exercise(
    name="nn.hunt_relu",
    kind="find the bug",
    title="The network that learns nothing",
    statement="""
        A network of such layers, shown the digits, stays at the loss of guessing. The forward pass is right; its
        backward pass has one bug. Let `check_gradients` point at it, as in the cell below: it takes W, b and x in
        this order and stops at the first whose gradient is wrong. Then hand in the corrected function.
    """,
    solution=relu_layer_backward,
    outputs=("dx", "dW", "db"),
    cases=_cases,
    numeric=_numeric,
    given=(relu_layer, buggy_backward),
    hints=(
        "The gradient check stops at W, its first; b and x would fail as well. What do all three gradients have in common?",
        "All three are built from `dz`. What decides whether the gradient passes a ReLU: what comes down, or what went up?",
        "The slope of ReLU is 1 where its output is positive. The condition must be `y > 0`, not `dy > 0`.",
    ),
    mistakes=(
        Mistake(
            "handed in the bug unchanged",
            "The condition dy > 0 throws away every negative gradient, so no unit ever learns to answer less.",
            "relu-slope",
            buggy_backward,
        ),
        Mistake(
            "let the gradient through everywhere",
            "Units that were off (y = 0) receive gradients too. If you wrote y >= 0: that is no condition, y is never negative.",
            "relu-slope",
            _with(lambda y, dy: dy),
        ),
        Mistake(
            "turned the condition round",
            "The gradient reaches the units that were off and skips those that were on.",
            "relu-slope",
            _with(lambda y, dy: np.where(y > 0, 0, dy)),
        ),
        Mistake(
            "multiplied by the output instead of by its slope",
            "ReLU's slope is 0 or 1; y itself enlarges the gradients of strongly driven units.",
            "relu-slope",
            _with(lambda y, dy: dy * y),
        ),
        Mistake(
            "kept the old condition beside the new one",
            "Negative gradients are still thrown away: of the two conditions only y > 0 belongs there.",
            "relu-slope",
            _with(lambda y, dy: np.where((y > 0) & (dy > 0), dy, 0)),
        ),
    ),
)
