"""Derive: the slope of the sigmoid in its output."""

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.gradcheck import numerical_gradient
from companion.ops import sigmoid
from companion.tree import Array


def sigmoid_slope(y: Array) -> Array:
    """Outputs y of the sigmoid (any shape) -> its slopes dy/dz (same shape)."""
    return y * (1 - y)


def _numeric(y: Array) -> dict[str, Array]:
    z = np.log(y / (1 - y))
    return {"the slope": numerical_gradient(lambda z: float(sigmoid(z).sum()), z)}


EXERCISE = Exercise(
    name="nn.sigmoid_slope",
    kind="derive",
    title="The slope of the sigmoid",
    statement="""
        Differentiate $\\sigma(z) = 1 / (1 + e^{-z})$ on paper and write the result *in terms of the output* $y = \\sigma(z)$
        alone. That is why the backward pass of a sigmoid layer need not remember its pre-activation.
    """,
    solution=sigmoid_slope,
    outputs=("the slope",),
    cases=lambda rng: [(sigmoid(rng.normal(size=(3, 5))),), (sigmoid(3 * rng.normal(size=7)),)],
    numeric=_numeric,
    hints=(
        "Write $\\sigma(z) = (1 + e^{-z})^{-1}$ and use the chain rule twice.",
        "You should reach $e^{-z} / (1 + e^{-z})^2$. Which part of it is $\\sigma(z)$, and what is left?",
        "What is left is $e^{-z} / (1 + e^{-z}) = 1 - \\sigma(z)$. The slope is $y (1 - y)$.",
    ),
    mistakes=(
        Mistake(
            "applied the sigmoid to y once more",
            "y has been through the sigmoid already; doing it twice squeezes every slope towards 0.23.",
            "sigmoid-slope",
            lambda y: sigmoid(y) * (1 - sigmoid(y)),
        ),
        Mistake(
            "used the slope of tanh",
            "1 - y^2 is right for tanh, whose outputs lie between -1 and 1; the sigmoid's slope is never above 1/4.",
            "sigmoid-slope",
            lambda y: 1 - y**2,
        ),
        Mistake(
            "lost the factor 1 - y",
            "Without it the slope keeps growing with y, where the sigmoid in truth flattens towards 1.",
            "sigmoid-slope",
            lambda y: np.array(y),
        ),
        Mistake(
            "lost the factor y",
            "Without it the slope is largest where y is near 0, where the sigmoid in truth is flat.",
            "sigmoid-slope",
            lambda y: 1 - y,
        ),
        Mistake(
            "lost a sign in the chain rule",
            "Your slope is negative everywhere, but the sigmoid rises everywhere: the inner derivative of e^(-z) is -e^(-z).",
            "sigmoid-slope",
            lambda y: y * (y - 1),
        ),
    ),
)
