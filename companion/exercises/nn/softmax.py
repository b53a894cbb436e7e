"""Implement: softmax that does not overflow."""

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.tree import Array


def softmax(z: Array) -> Array:
    """Logits z (B, K) -> probabilities (B, K); every row sums to one.

    Right also for logits of +-10,000.
    """
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def _cases(rng: np.random.Generator) -> list[tuple[Array]]:
    huge = np.array([[1e4, 0.0, -1e4, 9999.0], [-1e4, -1e4, -1e4, -1e4]])
    return [(rng.normal(size=(3, 5)),), (3 * rng.normal(size=(4, 6)),), (huge,)]


def _exp(z: Array) -> Array:
    return np.asarray(np.exp(z - z.max(axis=1, keepdims=True)))


def _rows_to_one(e: Array) -> Array:
    return np.asarray(e / e.sum(axis=1, keepdims=True))


EXERCISE = Exercise(
    name="nn.softmax",
    kind="implement",
    title="Softmax",
    statement="""
        Turn every row of logits into probabilities, without overflow however large the logits are.
    """,
    solution=softmax,
    outputs=("the result",),
    cases=_cases,
    hints=(
        "First write the definition: exponentiate, then divide each row by its sum. `keepdims=True` keeps the shapes compatible.",
        "$e^{1000}$ overflows. What happens to the probabilities when you subtract the same number from all logits of a row?",
        "Nothing happens to them, so subtract the row's maximum: `np.exp(z - z.max(axis=1, keepdims=True))` is at most 1.",
    ),
    mistakes=(
        Mistake(
            "normalised over the batch",
            "Each column of your result sums to one, so the probabilities of one example depend on the other examples.",
            "softmax",
            lambda z: np.exp(z - z.max(axis=0)) / np.exp(z - z.max(axis=0)).sum(axis=0),
        ),
        Mistake(
            "normalised over the whole array",
            "All B K numbers together sum to one; every row by itself has to.",
            "softmax",
            lambda z: np.exp(z - z.max()) / np.exp(z - z.max()).sum(),
        ),
        Mistake(
            "did not subtract the maximum",
            "With logits near 10,000, e^z is infinite and infinity / infinity is NaN; with -10,000 it is 0 / 0.",
            "softmax-shift",
            lambda z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True),
        ),
        Mistake(
            "subtracted the mean of the row instead of its maximum",
            "What lies far above the mean still overflows: e^5000 is infinite. Only the maximum leaves none above 0.",
            "softmax-shift",
            lambda z: _rows_to_one(np.exp(z - z.mean(axis=1, keepdims=True))),
        ),
        Mistake(
            "subtracted one maximum from all rows",
            "A row far below the largest logit of the batch becomes e^(-20,000) = 0 throughout, and 0 / 0 is NaN.",
            "softmax-shift",
            lambda z: np.exp(z - z.max()) / np.exp(z - z.max()).sum(axis=1, keepdims=True),
        ),
        Mistake(
            "returned the exponentials without dividing by their sum",
            "The largest entry of each row is 1 and the rows sum to more than one.",
            "softmax",
            _exp,
        ),
        Mistake(
            "returned the logarithm of the probabilities",
            "All entries are negative. Log-probabilities are useful, but they are another function.",
            "softmax",
            lambda z: z - z.max(axis=1, keepdims=True) - np.log(_exp(z).sum(axis=1, keepdims=True)),
        ),
        Mistake(
            "used the sigmoid, one logit at a time",
            "Every entry lies between 0 and 1, but a row does not sum to one: the classes do not compete.",
            "softmax",
            lambda z: 1 / (1 + np.exp(-z)),
        ),
        Mistake(
            "divided by the sum of the whole array instead of each row's",
            "You rightly subtract each row's own maximum, but all B K numbers together sum to one; every row by itself has to.",
            "softmax",
            lambda z: _exp(z) / _exp(z).sum(),
        ),
        Mistake(
            "divided by the sums of the columns",
            "You rightly subtract each row's own maximum, but each column sums to one where each row has to.",
            "softmax",
            lambda z: _exp(z) / _exp(z).sum(axis=0),
        ),
        Mistake(
            "divided the logits by their sum, without the exponential",
            "Your rows sum to one, but a negative logit is no probability; e^z is positive whatever z is.",
            "softmax",
            lambda z: z / z.sum(axis=1, keepdims=True),
        ),
    ),
)
