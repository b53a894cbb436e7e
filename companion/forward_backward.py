"""Forward and backward recursion of hidden Markov models, on arrays; `companion.hmm` has the functions to call.

Baum et al. 1970; Rabiner 1989, eqs. 18-27 and 37, scaled as in section V.A (our c is 1 / c there), so that alpha^t sums to one:

    c^t alpha^t(q) = E(q, x^t) sum_i alpha^(t-1)(i) A(i, q)                  alpha^t(q) = p(q^t = q | x^1 ... x^t)
    beta^t(i) = sum_q A(i, q) E(q, x^(t+1)) beta^(t+1)(q) / c^(t+1)          c^t = p(x^t | x^1 ... x^(t-1))
    xi^t(i, q) = alpha^t(i) A(i, q) E(q, x^(t+1)) beta^(t+1)(q) / c^(t+1)    gamma^t(q) = alpha^t(q) beta^t(q)

A step is one product of matrices for all sequences, and reads E (N, S) at the rows x^t (B,): one for each symbol or, where
observations are no symbols, for each observation. Sequences whose numbers leave the range of floats go to `log_space`.
"""

from typing import NamedTuple

import numpy as np

from companion.bptt import Mask
from companion.emissions import Emission, log_emissions, scaled_emissions
from companion.log_space import log_backward, log_forward
from companion.tree import Array, Indices

# --- the recursions


def forward_loop(pi: Array, A: Array, E: Array, x: Indices, least: float = 0.0) -> tuple[Array, Array]:
    """Alpha (T, B, S) and c (T, B, 1); no number is smaller than `least` before it is divided by c."""
    alphas, scales = np.empty((*x.shape, len(A)), A.dtype), np.empty((*x.shape, 1), A.dtype)
    for t, (alpha, c) in enumerate(zip(alphas, scales)):
        if t == 0:
            alpha[...] = pi
        else:
            np.dot(alphas[t - 1], A, out=alpha)
        alpha *= E[x[t]]
        if least:
            np.maximum(alpha, least, out=alpha)
        alpha.sum(axis=1, keepdims=True, out=c)
        alpha /= c
    return alphas, scales


def backward_loop(A: Array, E: Array, x: Indices, scales: Array, lengths: Indices, alphas: Array, out: Array) -> Array:
    """Multiply `out` (T, B, S) by beta and return xi (S, S), summed over time and sequences; `out` may be `alphas`."""
    beta, onward = np.zeros_like(alphas[0]), np.zeros_like(alphas[0])
    A_T, xi = np.ascontiguousarray(A.T), np.zeros_like(A)
    for t in range(len(x) - 1, -1, -1):
        if t + 1 < len(x):
            np.dot(onward, A_T, out=beta)
            xi += alphas[t].T @ onward  # here, while both are in the cache
        beta[lengths == t + 1] = 1
        onward = E[x[t]]
        onward *= beta
        onward /= scales[t]
        out[t] *= beta
    return xi * A


# --- with padding, and beyond the range of floats


class Forward(NamedTuple):
    """What `forward_loop` has found, and what it started from."""

    alphas: Array  # (T, B, S) 0 in padding
    scales: Array  # (T, B, 1)
    log_scales: Array  # (T, B) 0 in padding
    E: Array  # (N + 2, S) likelihoods, and for padding a row of 1 and one of 0
    x: Indices  # (T, B) rows of E
    out_of_range: Mask  # (B,) sequences that left the range of floats, so that nothing of them is right


def forward_pass(pi: Array, A: Array, emission: Emission, xs: Array | Indices, mask: Mask) -> tuple[Array, Array]:
    """Alpha (T, B, S) and log c (T, B), which is -inf from the step on at which a sequence is impossible."""
    found = _forward(pi, A, emission, xs, mask)
    if found.out_of_range.any():
        _redo_in_log_space(pi, A, emission, xs, mask, found)
    return found.alphas, found.log_scales


def both_passes(
    pi: Array, A: Array, emission: Emission, xs: Array | Indices, mask: Mask, only_betas: bool = False
) -> tuple[Array, Array, Array]:
    """Gamma, or beta alone, (T, B, S), xi (S, S) summed over time and sequences, and log c (T, B)."""
    found, out, xi = _both_in_floats(pi, A, emission, xs, mask, only_betas, np.zeros(mask.shape[1], bool))
    while not (np.isfinite(out.max()) and np.isfinite(xi).all()):
        lost = ~np.isfinite(out.max(axis=(0, 2)))
        if not lost.any():  # no single one is too large, but the sum
            lost[:] = True
        found, out, xi = _both_in_floats(pi, A, emission, xs, mask, only_betas, found.out_of_range | lost)
    redo = found.out_of_range
    if redo.any():
        a, E = _redo_in_log_space(pi, A, emission, xs, mask, found)
        b, xi_redone = log_backward(A, E, a, mask[:, redo])
        largest = 0.99 * np.log(np.finfo(out.dtype).max)
        out[:, redo] = np.exp(np.minimum(b, largest) if only_betas else a + b) * mask[:, redo, None]
        xi += xi_redone.astype(xi.dtype)
    return out, xi, found.log_scales


def _forward(pi: Array, A: Array, emission: Emission, xs: Array | Indices, mask: Mask) -> Forward:
    """Forward in floats.

    A product below the smallest float becomes 0, which is no harm unless it would have grown to something later. So the loop
    runs again with no product that small: what was lost is at most what is there now. If no c differs by a bit, it was nothing.
    So this pass only decides which sequences to ask log space about: one is impossible only if log space says so.
    """
    E, shift, x = scaled_emissions(emission, xs)
    x = np.where(mask, x, len(E))
    E = np.concatenate([E, np.ones_like(E[:1]), np.zeros_like(E[:1])])
    tiny = float(np.finfo(E.dtype).tiny)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        alphas, scales = forward_loop(pi, A, E, x)
        out_of_range = np.zeros(x.shape[1], bool)
        if not alphas.min() * scales.min() >= tiny:
            out_of_range = (forward_loop(pi, A, E, x, tiny)[1] != scales).any(axis=(0, 2))
        log_scales = np.log(scales[:, :, 0]) + np.append(shift, np.zeros_like(shift[:1]))[x]
    if not mask.all():
        alphas[~mask], log_scales[~mask] = 0, 0
    return Forward(alphas, scales, log_scales, E, x, out_of_range)


def _both_in_floats(
    pi: Array, A: Array, emission: Emission, xs: Array | Indices, mask: Mask, only_betas: bool, skipped: Mask
) -> tuple[Forward, Array, Array]:
    """Both passes without the sequences `skipped` and those that leave the range of floats on the way forward."""
    found = _forward(pi, A, emission, xs, mask)
    found.out_of_range[skipped] = True
    found.alphas[:, found.out_of_range], found.scales[:, found.out_of_range] = 0, 1  # they add 0 to xi
    out = np.repeat(mask[:, :, None], len(A), axis=2).astype(A.dtype) if only_betas else found.alphas
    x = np.where(mask, found.x, len(found.E) - 1)
    with np.errstate(invalid="ignore", over="ignore"):
        xi = backward_loop(A, found.E, x, found.scales, mask.sum(axis=0), found.alphas, out)
    return found, out, xi


def _redo_in_log_space(
    pi: Array, A: Array, emission: Emission, xs: Array | Indices, mask: Mask, found: Forward
) -> tuple[Array, Array]:
    """Overwrite alpha and log c of what is out of range by what log space says; the logs of alpha and of likelihoods over c."""
    redo = found.out_of_range
    E, x = log_emissions(emission, xs[:, redo])
    a, found.log_scales[:, redo], E = log_forward(pi, A, E[x], mask[:, redo])
    found.alphas[:, redo] = np.exp(a) * mask[:, redo, None]
    return a, E
