"""Find the bug: a layer with a skip connection that a loss curve does not show."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.gradcheck import numerical_gradient
from companion.tree import Array


def skip_layer(x: Array, W: Array, b: Array) -> tuple[Array, tuple[Array, Array, Array]]:
    """Inputs x (B, D), weights W (D, D), biases b (D,) -> y = x + h (B, D).

    h = tanh(x W^T + b); the cache is (x, W, h).
    """
    h = np.tanh(x @ W.T + b)
    return x + h, (x, W, h)


def buggy_backward(cache: tuple[Array, Array, Array], dy: Array) -> tuple[Array, Array, Array]:
    """Cache of skip_layer, gradient dy (B, D) -> dx (B, D), dW (D, D), db (D,)."""
    x, W, h = cache
    dz = dy * (1 - h**2)
    return dz @ W, dz.T @ x, dz.sum(axis=0)


def skip_layer_backward(cache: tuple[Array, Array, Array], dy: Array) -> tuple[Array, Array, Array]:
    """Cache of skip_layer, gradient dy (B, D) -> dx (B, D), dW (D, D), db (D,)."""
    x, W, h = cache
    dz = dy * (1 - h**2)
    return dz @ W + dy, dz.T @ x, dz.sum(axis=0)


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(B: int, D: int) -> tuple[Any, ...]:
        _, cache = skip_layer(rng.normal(size=(B, D)), rng.normal(size=(D, D)), rng.normal(size=D))
        return cache, rng.normal(size=(B, D))

    return [case(3, 4), case(5, 2), case(2, 6)]


def _numeric(cache: tuple[Array, Array, Array], dy: Array) -> dict[str, Array]:
    x, W, h = cache
    b = (np.arctanh(h) - x @ W.T)[0]  # the same in every row
    return {
        "dx": numerical_gradient(lambda x: float((dy * skip_layer(x, W, b)[0]).sum()), x),
        "dW": numerical_gradient(lambda W: float((dy * skip_layer(x, W, b)[0]).sum()), W),
        "db": numerical_gradient(lambda b: float((dy * skip_layer(x, W, b)[0]).sum()), b),
    }


def _with(dx: Any) -> Any:
    def answer(cache: tuple[Array, Array, Array], dy: Array) -> Any:
        x, W, h = cache
        dz = dy * (1 - h**2)
        return dx(dy, dz, W, x), dz.T @ x, dz.sum(axis=0)

    return answer


def _everywhere(cache: tuple[Array, Array, Array], dy: Array) -> Any:
    x, W, h = cache
    dz = dy * (1 - h**2) + dy
    return dz @ W, dz.T @ x, dz.sum(axis=0)


EXERCISE = Exercise(
    name="nn.hunt_skip",
    kind="find the bug",
    title="Right in one layer, wrong in three",
    statement="""
        A network with one such layer learns the digits exactly as it should. With three of them it learns too, only a
        little worse than it could, which no loss curve shows. The forward pass is right; the backward pass has one
        bug. `check_gradients` takes W, b and x in this order and stops at the first whose gradient is wrong. Which
        one does it name, and what does that say of the others?
    """,
    solution=skip_layer_backward,
    outputs=("dx", "dW", "db"),
    cases=_cases,
    numeric=_numeric,
    given=(skip_layer, buggy_backward),
    hints=(
        "A layer alone needs only dW and db to learn. On what does the layer stacked *below* it live?",
        "On how many paths does x reach y? Draw them.",
        "Two: through tanh, and directly. What is used twice receives the sum of both gradients: `dz @ W + dy`.",
    ),
    mistakes=(
        Mistake(
            "handed in the bug unchanged",
            "dx lacks the direct path from x to y, so the layer below learns only through tanh.",
            "sum-of-paths",
            buggy_backward,
        ),
        Mistake(
            "overwrote one path with the other",
            "dx is now only the direct path; the one through tanh is lost. What is used twice receives the *sum*.",
            "sum-of-paths",
            _with(lambda dy, dz, W, x: dy * 1),
        ),
        Mistake(
            "sent the error behind tanh along the direct path",
            "The direct path does not pass tanh: it carries dy itself, not dy (1 - h^2).",
            "sum-of-paths",
            _with(lambda dy, dz, W, x: dz @ W + dz),
        ),
        Mistake(
            "transposed W on the way down",
            "dx = dz W, as for every layer z = x W^T + b; here W is square, so that the shape does not tell.",
            "hidden-delta",
            _with(lambda dy, dz, W, x: dz @ W.T + dy),
        ),
        Mistake(
            "added x instead of its gradient",
            "The forward pass adds x to the output; the backward pass adds the gradient of the output, dy.",
            "sum-of-paths",
            _with(lambda dy, dz, W, x: dz @ W + x),
        ),
        Mistake(
            "sent the direct path through the weights",
            "(dz + dy) W treats the skip connection as if it came after the weights; x goes round them.",
            "sum-of-paths",
            _with(lambda dy, dz, W, x: (dz + dy) @ W),
        ),
        Mistake(
            "added the direct path to the error dz itself",
            "Now dW and db, which were right, are wrong too: the direct path goes neither through W nor through b.",
            "sum-of-paths",
            _everywhere,
        ),
    ),
)
