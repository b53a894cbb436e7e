"""Implement: cross-entropy and its gradient."""

from typing import Any

import numpy as np

from companion import ops
from companion.exercises.exercise import Exercise, Mistake
from companion.gradcheck import numerical_gradient
from companion.tree import Array, Indices


def cross_entropy(logits: Array, labels: Indices) -> tuple[float, Array]:
    """Logits (B, K), integer labels (B,) -> the loss in nats, dlogits (B, K).

    The loss is the mean cross-entropy, dlogits its gradient.
    Right also for logits of +-10,000.
    """
    rows = np.arange(len(labels))
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_y = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    dlogits = np.exp(log_y)
    dlogits[rows, labels] -= 1
    return -log_y[rows, labels].mean(), dlogits / len(labels)


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    usual = [(2 * rng.normal(size=(B, K)), rng.integers(K, size=B)) for B, K in ((3, 5), (6, 4), (1, 3))]
    return [*usual, (np.array([[1e4, 0.0, -1e4], [0.0, -1e4, 1e4]]), np.array([1, 2]))]


def _numeric(logits: Array, labels: Indices) -> dict[str, Array]:
    if np.abs(logits).max() > 100:  # too large to leave room for a central difference
        return {}
    return {"dlogits": numerical_gradient(lambda z: ops.cross_entropy(z, labels)[0], logits)}


def _parts(logits: Array, labels: Indices) -> tuple[Array, Array, Array]:
    """Log-probabilities of the labels, probabilities, one-hot labels."""
    log_y = ops.log_softmax(logits)
    return log_y[np.arange(len(labels)), labels], np.exp(log_y), np.eye(logits.shape[1])[labels]


def _sum_for_mean(logits: Array, labels: Indices) -> Any:
    log_label, y, hot = _parts(logits, labels)
    return -log_label.sum(), y - hot


def _gradient_of_sum(logits: Array, labels: Indices) -> Any:
    log_label, y, hot = _parts(logits, labels)
    return -log_label.mean(), y - hot


def _sign(logits: Array, labels: Indices) -> Any:
    log_label, y, hot = _parts(logits, labels)
    return -log_label.mean(), (hot - y) / len(labels)


def _no_one_hot(logits: Array, labels: Indices) -> Any:
    log_label, y, _ = _parts(logits, labels)
    return -log_label.mean(), y / len(labels)


def _mean_over_entries(logits: Array, labels: Indices) -> Any:
    log_label, y, hot = _parts(logits, labels)
    return -log_label.sum() / logits.size, (y - hot) / logits.size


def _positive(logits: Array, labels: Indices) -> Any:
    log_label, y, hot = _parts(logits, labels)
    return log_label.mean(), (hot - y) / len(labels)


def _base_two(logits: Array, labels: Indices) -> Any:
    log_label, y, hot = _parts(logits, labels)
    return -log_label.mean() / np.log(2), (y - hot) / len(labels)


def _naive(logits: Array, labels: Indices) -> Any:
    y = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    hot = np.eye(logits.shape[1])[labels]
    return -np.log(y[np.arange(len(labels)), labels]).mean(), (y - hot) / len(labels)


def _log_of_rounded(logits: Array, labels: Indices) -> Any:
    y = ops.softmax(logits)
    hot = np.eye(logits.shape[1])[labels]
    return -np.log(y[np.arange(len(labels)), labels]).mean(), (y - hot) / len(labels)


def _sum_of_losses(logits: Array, labels: Indices) -> Any:
    log_label, y, hot = _parts(logits, labels)
    return -log_label.sum(), (y - hot) / len(labels)


def _gradient_of_probabilities(logits: Array, labels: Indices) -> Any:
    log_label, y, hot = _parts(logits, labels)
    return -log_label.mean(), -hot / y / len(labels)


def _bounded(smallest: float, combined: Any = np.add) -> Mistake:
    """The logarithm of a probability that a small constant keeps from 0."""

    def answer(logits: Array, labels: Indices) -> Any:
        _, y, hot = _parts(logits, labels)
        return -np.log(combined((y * hot).sum(axis=1), smallest)).mean(), (y - hot) / len(labels)

    return Mistake(
        f"kept the probability from 0 with a constant of {smallest:g}",
        f"The loss of an example then never exceeds -log {smallest:g} = {-np.log(smallest):.1f}, where 10,000 or so is right: "
        "compute log-probabilities without going through softmax.",
        "softmax-shift",
        answer,
    )


EXERCISE = Exercise(
    name="nn.cross_entropy",
    kind="implement",
    title="Cross-entropy and its gradient",
    statement="""
        Return the mean cross-entropy of a batch of logits and its gradient with respect to the logits, both without
        overflow.
    """,
    solution=cross_entropy,
    outputs=("the loss", "dlogits"),
    cases=_cases,
    numeric=_numeric,
    rtol=2e-7,
    hints=(
        "Pick the log-probability of the right class in every row: `log_y[np.arange(B), labels]`.",
        "Do not take the logarithm of softmax: a probability may round to 0. "
        "$\\log y_k = z_k - \\max z - \\log \\sum_j e^{z_j - \\max z}$ never does.",
        "The gradient is simple: the probabilities, minus 1 at the right class, divided by B.",
    ),
    mistakes=(
        Mistake(
            "took the sum over the batch instead of the mean",
            "Loss and gradient are B times too large, so a learning rate tuned for one batch size fails for another.",
            "cross-entropy",
            _sum_for_mean,
        ),
        Mistake(
            "forgot to divide the gradient by the batch size",
            "The loss is the mean, but the gradient is that of the sum: B times too large.",
            "cross-entropy-gradient",
            _gradient_of_sum,
        ),
        Mistake(
            "have the sign of the gradient the wrong way round",
            "label minus probability points downhill; the gradient points uphill, and the optimiser subtracts it.",
            "cross-entropy-gradient",
            _sign,
        ),
        Mistake(
            "forgot to subtract 1 at the right class",
            "All entries of your gradient are positive, so every logit would be lowered, the right one too.",
            "cross-entropy-gradient",
            _no_one_hot,
        ),
        Mistake(
            "divided by the number of entries B K instead of B",
            "One example contributes one number to the mean, however many classes there are.",
            "cross-entropy",
            _mean_over_entries,
        ),
        Mistake(
            "forgot the minus sign of the loss",
            "Your loss is negative and falls as the predictions get worse.",
            "cross-entropy",
            _positive,
        ),
        Mistake(
            "took the logarithm to base 2",
            "The loss is in bits; in nats it is smaller by the factor log 2 = 0.693. Your gradient is that of the loss in nats.",
            "cross-entropy",
            _base_two,
        ),
        Mistake(
            "exponentiated the logits without subtracting the maximum",
            "With logits near 10,000 the exponentials are infinite, and loss and gradient become NaN.",
            "softmax-shift",
            _naive,
        ),
        Mistake(
            "took the logarithm of a probability that had rounded to 0",
            "The loss is infinite where it should be 10,000 or so: compute log-probabilities without going through softmax.",
            "softmax-shift",
            _log_of_rounded,
        ),
        Mistake(
            "summed the loss over the batch instead of averaging it",
            "Your loss is B times too large; the gradient, that of the mean, is right.",
            "cross-entropy",
            _sum_of_losses,
        ),
        Mistake(
            "returned the gradient with respect to the probabilities instead of the logits",
            "-1 / y at the right class is only the beginning; softmax lies between the logits and y. "
            "Both together give y minus the one-hot label.",
            "cross-entropy-gradient",
            _gradient_of_probabilities,
        ),
        *map(_bounded, (1e-8, 1e-9, 1e-10, 1e-12, 1e-15)),
        _bounded(1e-7, np.maximum),  # usual as a clip; added, it would show in small losses too
    ),
)
