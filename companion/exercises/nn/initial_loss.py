"""Predict: the loss of a network that knows nothing yet."""

import numpy as np

from companion.exercises.exercise import Exercise, Mistake


def initial_loss() -> float:
    """The mean cross-entropy in nats, to two decimals."""
    return float(-np.log(1 / 10))


EXERCISE = Exercise(
    name="nn.initial_loss",
    kind="predict",
    title="The loss before training",
    statement="""
        A network for the ten digits has just been given very small random weights, so that its ten logits are almost equal,
        whatever the image. What is its mean cross-entropy, in nats? A number you can work out is the cheapest test there
        is: a first loss that differs from it means a bug before the first step.
    """,
    solution=initial_loss,
    outputs=("the loss",),
    cases=lambda rng: [()],
    rtol=2.2e-3,
    hints=(
        "Equal logits become equal probabilities. How large is each, when there are ten?",
        "The cross-entropy of one image is $-\\log \\hat y_k$, with $k$ the right digit. Does it matter which digit it is?",
        "It is $-\\log \\tfrac{1}{10} = \\log 10$, with the natural logarithm.",
    ),
    mistakes=(
        Mistake(
            "gave the probability itself",
            "Each digit gets 1/10, and the loss is minus the logarithm of that.",
            "cross-entropy",
            lambda: 0.1,
        ),
        Mistake(
            "took the logarithm to base 2",
            "log2(10) = 3.32 is the loss in bits; a nat, the unit of np.log, is more than a bit, so fewer are needed.",
            "cross-entropy",
            lambda: np.log2(10),
        ),
        Mistake(
            "took the logarithm to base 10",
            "log10(10) = 1; the natural logarithm, which np.log computes, is larger.",
            "cross-entropy",
            lambda: 1.0,
        ),
        Mistake(
            "forgot the minus sign",
            "The logarithm of a probability is negative; the loss is its opposite, so that worse is larger.",
            "cross-entropy",
            lambda: np.log(0.1),
        ),
        Mistake(
            "added the loss of all ten digits",
            "Only the probability of the right digit enters; the other nine do not, so the loss is much smaller.",
            "cross-entropy",
            lambda: 10 * np.log(10),
        ),
    ),
)
