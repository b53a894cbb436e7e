"""Implement: the backward pass of softmax."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.gradcheck import numerical_gradient
from companion.ops import log_softmax, softmax
from companion.tree import Array


def softmax_backward(y: Array, dy: Array) -> Array:
    """Probabilities y (B, K), gradient dy (B, K) -> dz (B, K) of the logits."""
    shared = (dy * y).sum(axis=1, keepdims=True)
    return np.asarray(y * (dy - shared))


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    return [(softmax(rng.normal(size=shape)), rng.normal(size=shape)) for shape in ((3, 5), (4, 2), (1, 6))]


def _numeric(y: Array, dy: Array) -> dict[str, Array]:
    z = np.log(y)  # softmax does not change when a constant is added to its logits, so any logits of y will do
    return {"dz": numerical_gradient(lambda z: float((dy * np.exp(log_softmax(z))).sum()), z)}


EXERCISE = Exercise(
    name="nn.softmax_backward",
    kind="implement",
    title="Back through softmax",
    statement="""
        Every probability of a row depends on every logit of that row. Given the probabilities and the gradient of some loss
        with respect to them, return the gradient with respect to the logits.
    """,
    solution=softmax_backward,
    outputs=("dz",),
    cases=_cases,
    numeric=_numeric,
    hints=(
        "For one row, find $\\partial y_j / \\partial z_k$ first for $j = k$, then for $j \\ne k$.",
        "They are $y_k (1 - y_k)$ and $-y_j y_k$. The chain rule sums over all outputs: "
        "$dz_k = \\sum_j dy_j \\, \\partial y_j / \\partial z_k$.",
        "Take $y_k$ out of the sum: $dz_k = y_k (dy_k - \\sum_j dy_j y_j)$. The sum is one number for each row.",
    ),
    mistakes=(
        Mistake(
            "used only the derivative of each probability with respect to its own logit",
            "y (1 - y) dy forgets that a logit also lowers the *other* probabilities, through their common denominator.",
            "softmax-backward",
            lambda y, dy: y * (1 - y) * dy,
        ),
        Mistake(
            "summed over the batch instead of over the classes",
            "The sum in the bracket runs over one row; yours mixes gradients of different examples.",
            "softmax-backward",
            lambda y, dy: y * (dy - (dy * y).sum(axis=0, keepdims=True)),
        ),
        Mistake(
            "left out the weights y in the sum",
            "The bracket subtracts the mean of dy *weighted by the probabilities*; yours subtracts the plain sum.",
            "softmax-backward",
            lambda y, dy: y * (dy - dy.sum(axis=1, keepdims=True)),
        ),
        Mistake(
            "left out the factor y in front",
            "An unlikely class, with y near 0, hardly moves with its logit; without the factor it gets a full share.",
            "softmax-backward",
            lambda y, dy: dy - (dy * y).sum(axis=1, keepdims=True),
        ),
        Mistake(
            "left out the path through the common denominator",
            "y dy is what the numerator contributes. The rows of a right answer sum to zero, those of yours do not.",
            "softmax-backward",
            lambda y, dy: y * dy,
        ),
        Mistake(
            "took the mean of the products instead of their sum",
            "The weights y sum to one already; dividing by K again makes the correction K times too small.",
            "softmax-backward",
            lambda y, dy: y * (dy - (dy * y).mean(axis=1, keepdims=True)),
        ),
        Mistake(
            "have the sign the wrong way round",
            "Every entry is the opposite of the right one: a descent step would go uphill.",
            "softmax-backward",
            lambda y, dy: -y * (dy - (dy * y).sum(axis=1, keepdims=True)),
        ),
        Mistake(
            "added the sum in the bracket instead of subtracting it",
            "A logit that rises lowers the other probabilities, hence the minus. The rows of a right answer sum to zero.",
            "softmax-backward",
            lambda y, dy: y * (dy + (dy * y).sum(axis=1, keepdims=True)),
        ),
    ),
)
