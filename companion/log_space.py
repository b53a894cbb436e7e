"""The recursions of hidden Markov models in log space, for sequences whose numbers leave the range of a float.

With a = log alpha and b = log beta they are those of `companion.forward_backward`, scaled alike:

    a^t(q) = log sum_i exp(a^(t-1)(i) + log A(i, q)) + log E(q, x^t) - log c^t
    b^t(i) = log sum_q exp(log A(i, q) + log E(q, x^(t+1)) - log c^(t+1) + b^(t+1)(q))

A step takes S exponentials for each product of the scaled recursion, but the ratio of two states may be any: nothing becomes 0
that is not 0, so that a sequence is impossible if and only if some c^t is. All is computed in float64.
"""

import numpy as np

from companion.bptt import Mask
from companion.tree import Array


def log(p: Array) -> Array:
    """Logarithm with log 0 = -inf, which is no mistake here."""
    with np.errstate(divide="ignore"):
        logs: Array = np.log(p)
    return logs


def logsumexp(z: Array, axis: int) -> Array:
    """Log of the sum of exponentials; -inf where all are."""
    largest = or_zero(z.max(axis=axis, keepdims=True))
    return log(np.exp(z - largest).sum(axis=axis)) + largest.squeeze(axis)


def log_forward(start: Array, transition: Array, E: Array, mask: Mask) -> tuple[Array, Array, Array]:
    """The logs of alpha (T, B, S), of c (T, B) and of likelihoods over c (T, B, S), from the logs of likelihoods E (T, B, S).

    In padding log c is 0, a stays as it was. From the step on at which a sequence is impossible, log c is -inf.
    """
    E, A = E.astype(np.float64), log(transition.astype(np.float64))
    a, log_c = np.empty_like(E), np.zeros(E.shape[:2])
    for t in range(len(E)):
        before = (
            logsumexp(a[t - 1][:, :, None] + A, axis=1) if t else log(start.astype(np.float64)) + np.zeros_like(a[0])
        )
        # An outlier's likelihoods are so small that digits would be lost: the largest that can be reached goes first.
        shift = np.where(np.isneginf(before), -np.inf, E[t]).max(axis=1)
        E[t] -= or_zero(shift)[:, None]
        rest = logsumexp(before + E[t], axis=1)
        E[t] -= or_zero(rest)[:, None]
        log_c[t] = np.where(mask[t], shift + rest, 0)
        a[t] = np.where(mask[t, :, None], before + E[t], a[t - 1])
    return a, log_c, E


def log_backward(transition: Array, E: Array, a: Array, mask: Mask) -> tuple[Array, Array]:
    """The log of beta (T, B, S) and the expected number of transitions (S, S), from what `log_forward` returned."""
    A = log(transition.astype(np.float64))
    b, transitions = np.zeros_like(E), np.zeros_like(A)
    for t in range(len(E) - 2, -1, -1):
        onward, real = A + (E[t + 1] + b[t + 1])[:, None, :], mask[t + 1, :, None]
        b[t] = np.where(real, logsumexp(onward, axis=2), 0)
        transitions += (np.exp(a[t][:, :, None] + onward) * real[:, :, None]).sum(axis=0)
    return b, transitions


def or_zero(largest: Array) -> Array:
    """The same with 0 for -inf, which cannot be subtracted from itself."""
    return np.where(np.isneginf(largest), np.zeros_like(largest), largest)
