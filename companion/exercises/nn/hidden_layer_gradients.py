"""Implement: backpropagation through one hidden layer."""

from typing import Any

import numpy as np

from companion import ops
from companion.exercises.exercise import Exercise, Mistake
from companion.gradcheck import numerical_gradient
from companion.tree import Array, Indices


def hidden_layer_gradients(
    x: Array, labels: Indices, W_1: Array, b_1: Array, W_2: Array, b_2: Array
) -> tuple[Array, Array, Array, Array]:
    """Gradients dW_1, db_1, dW_2, db_2 of the mean cross-entropy of a network.

    x (B, D), integer labels (B,), W_1 (H, D), b_1 (H,), W_2 (K, H), b_2 (K,);
    h = tanh(x W_1^T + b_1) and logits = h W_2^T + b_2.
    """
    h = np.tanh(x @ W_1.T + b_1)
    logits = h @ W_2.T + b_2
    y = np.exp(logits - logits.max(axis=1, keepdims=True))
    y /= y.sum(axis=1, keepdims=True)
    dlogits = y
    dlogits[np.arange(len(labels)), labels] -= 1
    dlogits /= len(labels)
    dW_2, db_2 = dlogits.T @ h, dlogits.sum(axis=0)
    dh = dlogits @ W_2
    dz = dh * (1 - h**2)
    dW_1, db_1 = dz.T @ x, dz.sum(axis=0)
    return dW_1, db_1, dW_2, db_2


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(B: int, D: int, H: int, K: int) -> tuple[Any, ...]:
        weights = (rng.normal(size=shape) for shape in ((H, D), (H,), (K, H), (K,)))
        return (rng.normal(size=(B, D)), rng.integers(K, size=B), *weights)

    return [case(3, 4, 5, 6), case(2, 3, 6, 4), case(7, 2, 3, 2)]


def _loss(x: Array, labels: Indices, *weights: Array) -> float:
    W_1, b_1, W_2, b_2 = weights
    h = np.tanh(x @ W_1.T + b_1)
    return ops.cross_entropy(h @ W_2.T + b_2, labels)[0]


def _numeric(x: Array, labels: Indices, *weights: Array) -> dict[str, Array]:
    def gradient(k: int) -> Array:
        return numerical_gradient(lambda w: _loss(x, labels, *weights[:k], w, *weights[k + 1 :]), weights[k])

    return {f"d{name}": gradient(k) for k, name in enumerate(("W_1", "b_1", "W_2", "b_2"))}


def _with(
    slope: Any = lambda z, h: 1 - h**2,
    output_error: Any = lambda logits, hot: (ops.softmax(logits) - hot) / len(logits),
    bias: Any = lambda dz: dz.sum(axis=0),
    weights: Any = lambda dz, below: dz.T @ below,
) -> Any:
    """The solution with one part replaced."""

    def answer(x: Array, labels: Indices, W_1: Array, b_1: Array, W_2: Array, b_2: Array) -> Any:
        z = x @ W_1.T + b_1
        h = np.tanh(z)
        logits = h @ W_2.T + b_2
        dlogits = output_error(logits, np.eye(len(b_2))[labels])
        dz = dlogits @ W_2 * slope(z, h)
        return weights(dz, x), bias(dz), weights(dlogits, h), bias(dlogits)

    return answer


EXERCISE = Exercise(
    name="nn.hidden_layer_gradients",
    kind="implement",
    title="Backpropagation through one hidden layer",
    statement="""
        Run a network with one hidden layer forward, then carry the error backward, and return the gradients of all four
        parameters. Every line of the backward pass undoes one line of the forward pass, in reverse order.
    """,
    solution=hidden_layer_gradients,
    outputs=("dW_1", "db_1", "dW_2", "db_2"),
    cases=_cases,
    numeric=_numeric,
    hints=(
        "Write the forward pass in four lines and keep `h`. The gradient of the logits is that of the previous exercise.",
        "A layer `z = below @ W.T + b` has `dW = dz.T @ below`, `db = dz.sum(axis=0)` and passes down `dz @ W`. Check shapes.",
        "Between the two layers stands tanh: multiply what comes down by its slope, `dz_1 = (dlogits @ W_2) * (1 - h**2)`.",
    ),
    mistakes=(
        Mistake(
            "took the slope of tanh at the pre-activation",
            "1 - z^2 is not a slope at all (it is negative for |z| > 1); the formula wants the output h = tanh(z).",
            "tanh-slope",
            _with(slope=lambda z, h: 1 - z**2),
        ),
        Mistake(
            "forgot the slope of tanh",
            "The error passes the hidden units as if they were linear, so dW_1 and db_1 are wrong; dW_2 and db_2 are right.",
            "hidden-delta",
            _with(slope=lambda z, h: 1),
        ),
        Mistake(
            "used the slope of the sigmoid, h (1 - h)",
            "The hidden units are tanh; h (1 - h) is even negative wherever h is.",
            "tanh-slope",
            _with(slope=lambda z, h: h * (1 - h)),
        ),
        Mistake(
            "forgot to divide by the batch size",
            "All four gradients are B times too large: they are those of the summed loss.",
            "cross-entropy-gradient",
            _with(output_error=lambda logits, hot: ops.softmax(logits) - hot),
        ),
        Mistake(
            "used the logits where the probabilities belong",
            "The error at the output is probability minus label; logits are not probabilities before softmax.",
            "cross-entropy-gradient",
            _with(output_error=lambda logits, hot: (logits - hot) / len(logits)),
        ),
        Mistake(
            "have the error at the output the wrong way round",
            "label minus probability flips the sign of all four gradients: training would climb.",
            "cross-entropy-gradient",
            _with(output_error=lambda logits, hot: (hot - ops.softmax(logits)) / len(logits)),
        ),
        Mistake(
            "averaged the bias gradients over the batch",
            "The mean is already in the error at the output; a bias reaches every example, so its gradients add up.",
            "bias-gradient",
            _with(bias=lambda dz: dz.mean(axis=0)),
        ),
        Mistake(
            "forgot the bias gradients",
            "db_1 and db_2 are zero, so the biases would never move.",
            "bias-gradient",
            _with(bias=lambda dz: 0 * dz.sum(axis=0)),
        ),
        Mistake(
            "transposed the weight gradients",
            "A gradient has the shape of what it is the gradient of: dW_1 is (H, D), as W_1.",
            "weight-gradient",
            _with(weights=lambda dz, below: below.T @ dz),
        ),
        Mistake(
            "forgot to subtract 1 at the right class",
            "The error at the output is probability minus label; without the label nothing says which class is right.",
            "cross-entropy-gradient",
            _with(output_error=lambda logits, hot: ops.softmax(logits) / len(logits)),
        ),
    ),
)
