"""Implement: the cross-entropy of the real steps of a padded batch."""

from typing import Any

import numpy as np

from companion import ops
from companion.bptt import Mask, prefix_mask
from companion.exercises.exercise import Exercise, Mistake
from companion.gradcheck import numerical_gradient
from companion.tree import Array, Indices


def masked_cross_entropy(logits: Array, labels: Indices, mask: Mask) -> tuple[float, Array]:
    """Logits (T, B, K), labels (T, B), Booleans mask (T, B) -> loss, dlogits.

    The loss, in nats, is the mean over all real steps of the batch, and dlogits
    (T, B, K) its gradient.
    """
    shifted = logits - logits.max(axis=2, keepdims=True)
    log_y = shifted - np.log(np.exp(shifted).sum(axis=2, keepdims=True))
    hot = labels[:, :, None] == np.arange(logits.shape[2])
    loss = -log_y[hot & mask[:, :, None]].sum() / mask.sum()
    return loss, np.where(mask[:, :, None], np.exp(log_y) - hot, 0) / mask.sum()


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(K: int, T: int, *lengths: int) -> tuple[Any, ...]:
        B = len(lengths)
        return 2 * rng.normal(size=(T, B, K)), rng.integers(K, size=(T, B)), prefix_mask(np.array(lengths), T)

    return [case(4, 7, 5, 6, 2), case(5, 4, 4, 1), case(3, 5, 3), case(6, 1, 1, 1)]


def _numeric(logits: Array, labels: Indices, mask: Mask) -> dict[str, Array]:
    def loss(z: Array) -> float:
        return ops.cross_entropy(z[mask], labels[mask])[0]

    return {"dlogits": numerical_gradient(loss, logits)}


def _parts(logits: Array, labels: Indices) -> tuple[Array, Array]:
    """The loss of every step (T, B), and its gradient (T, B, K)."""
    log_y = ops.log_softmax(logits)
    losses = -np.take_along_axis(log_y, labels[:, :, None], axis=2)[:, :, 0]
    return losses, np.exp(log_y) - np.eye(logits.shape[2])[labels]


def _weighted(weights: Any, classes: bool = False) -> Any:
    """An answer in which a step counts with its weight, given the mask, perhaps divided by the number of classes."""

    def answer(logits: Array, labels: Indices, mask: Mask) -> Any:
        (losses, errors), w = _parts(logits, labels), weights(mask) / (logits.shape[2] if classes else 1)
        return (w * losses).sum(), w[:, :, None] * errors

    return answer


def _with(dlogits: Any) -> Any:
    """An answer with the right loss and another gradient (errors, mask)."""

    def answer(logits: Array, labels: Indices, mask: Mask) -> Any:
        return masked_cross_entropy(logits, labels, mask)[0], dlogits(_parts(logits, labels)[1], mask)

    return answer


def _no_one_hot(logits: Array, labels: Indices, mask: Mask) -> Any:
    loss, _ = masked_cross_entropy(logits, labels, mask)
    return loss, ops.softmax(logits) * mask[:, :, None] / mask.sum()


def _zero_logits(logits: Array, labels: Indices, mask: Mask) -> Any:
    losses, errors = _parts(logits * mask[:, :, None], labels)
    return losses.mean(), errors * mask[:, :, None] / mask.size


EXERCISE = Exercise(
    name="bi.masked_loss",
    kind="implement",
    title="A loss that does not see the padding",
    statement="""
        Return the mean cross-entropy of a padded batch over its real steps, and the gradient with respect to the logits.
        What the labels and logits say on the padding is arbitrary, and must not be felt. Every real step counts the same,
        whether its sequence is long or short.
    """,
    solution=masked_cross_entropy,
    outputs=("the loss", "dlogits"),
    cases=_cases,
    numeric=_numeric,
    hints=(
        "Without padding the loss is the mean over T B steps and the gradient is (probability minus one-hot label) / (T B). "
        "Which steps, and which number, change with a mask?",
        "Take the loss of every step first, an array (T, B). Sum it over the real steps, and divide by how many there are.",
        "The divisor is `mask.sum()`, in the loss and in the gradient; and the gradient is 0 wherever the mask is False.",
    ),
    mistakes=(
        Mistake(
            "ignored the mask",
            "The padding is learned too: its arbitrary labels count in the loss and send gradients down.",
            "masked-loss",
            _weighted(lambda mask: np.full(mask.shape, 1 / mask.size)),
        ),
        Mistake(
            "took the sum over the real steps instead of their mean",
            "Loss and gradient grow with the lengths of the sequences in the batch, and with them the steps of the optimiser.",
            "masked-loss",
            _weighted(lambda mask: mask * 1.0),
        ),
        Mistake(
            "divided by all T B steps, the padding included",
            "Loss and gradient are too small, the more so the more padding the batch has.",
            "masked-loss",
            _weighted(lambda mask: mask / mask.size),
        ),
        Mistake(
            "took the mean of the sequences' means",
            "A step of a short sequence then counts more than one of a long sequence; every real step should count the same.",
            "masked-loss",
            _weighted(lambda mask: mask / mask.sum(axis=0) / mask.shape[1]),
        ),
        Mistake(
            "took the mean of the steps' means",
            "Towards the end few sequences are left, and a step there counts more than one at the beginning.",
            "masked-loss",
            _weighted(lambda mask: mask / np.maximum(mask.sum(axis=1, keepdims=True), 1) / mask.any(axis=1).sum()),
        ),
        Mistake(
            "divided by the number of sequences",
            "That is the loss of a whole sequence, longer ones weighing more; the loss of a step divides by the real steps.",
            "masked-loss",
            _weighted(lambda mask: mask / mask.shape[1]),
        ),
        Mistake(
            "did not mask the gradient",
            "The loss is right, but the padding still sends gradients down, towards labels that mean nothing.",
            "masked-loss",
            _with(lambda errors, mask: errors / mask.sum()),
        ),
        Mistake(
            "forgot to divide the gradient by the number of real steps",
            "The loss is the mean, but the gradient is that of the sum.",
            "masked-loss",
            _with(lambda errors, mask: errors * mask[:, :, None]),
        ),
        Mistake(
            "divided the gradient by all T B steps, the padding included",
            "The loss is right; the gradient is too small, the more so the more padding the batch has.",
            "masked-loss",
            _with(lambda errors, mask: errors * mask[:, :, None] / mask.size),
        ),
        Mistake(
            "divided by the number of real entries instead of real steps",
            "A step contributes one number to the mean, however many classes there are: yours is K times too small.",
            "masked-loss",
            _weighted(lambda mask: mask / mask.sum(), classes=True),
        ),
        Mistake(
            "forgot to subtract 1 at the right class",
            "No entry of your gradient is negative, so every logit would be lowered, the right one too.",
            "masked-loss",
            _no_one_hot,
        ),
        Mistake(
            "set the logits of the padding to 0 instead of its loss",
            "Logits of 0 are the prediction that all classes are equally likely: every padded step adds log K to the sum.",
            "masked-loss",
            _zero_logits,
        ),
        Mistake(
            "have the sign of the gradient the wrong way round",
            "label minus probability points downhill; the gradient points uphill, and the optimiser subtracts it.",
            "masked-loss",
            _with(lambda errors, mask: -errors * mask[:, :, None] / mask.sum()),
        ),
    ),
)
