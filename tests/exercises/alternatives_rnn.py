"""Right answers to the exercises of *Recurrent networks* of other designs than the solution's."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np

from companion import bptt, ops, optim, rnn
from companion.ops import SIGMOID, TANH
from companion.sequence import SequenceParams, predict

# --- predictions


def lag_by_counting() -> int:
    gradient, lag = 1.0, 0
    while gradient >= 1e-6:
        gradient, lag = 0.9 * gradient, lag + 1
    return lag


def factor_by_newton() -> Any:
    h = 1.0
    for _ in range(20):
        h -= (np.tanh(2 * h) - h) / (2 / np.cosh(2 * h) ** 2 - 1)
    return 2 / np.cosh(2 * h) ** 2


# --- forward


def forward_by_unroll(xs: Any, h_0: Any, W_x: Any, W_h: Any, b: Any) -> Any:
    return bptt.unroll(rnn.Elman, rnn.ElmanParams(W_x, W_h, b), xs, rnn.ElmanState(h_0))[0]


def forward_into_a_buffer(xs: Any, h_0: Any, W_x: Any, W_h: Any, b: Any) -> Any:
    hs = np.empty((len(xs) + 1, *h_0.shape))
    hs[0] = h_0
    zs = xs @ W_x.T + b
    for t, z in enumerate(zs):
        hs[t + 1] = np.tanh(z + np.einsum("bj,ij->bi", hs[t], W_h))
    return hs[1:]


def forward_unit_by_unit(xs: Any, h_0: Any, W_x: Any, W_h: Any, b: Any) -> Any:
    T, B, _ = xs.shape
    hs = np.zeros((T, B, len(b)))
    for n in range(B):
        h = h_0[n]
        for t in range(T):
            h = np.array([np.tanh(W_x[i] @ xs[t, n] + W_h[i] @ h + b[i]) for i in range(len(b))])
            hs[t, n] = h
    return hs


def masked_by_unroll(xs: Any, mask: Any, h_0: Any, W_x: Any, W_h: Any, b: Any) -> Any:
    ys, state, _ = bptt.unroll(rnn.Elman, rnn.ElmanParams(W_x, W_h, b), xs, rnn.ElmanState(h_0), mask)
    return ys, state.h


def masked_one_sequence_at_a_time(xs: Any, mask: Any, h_0: Any, W_x: Any, W_h: Any, b: Any) -> Any:
    ys, last = np.zeros((*mask.shape, len(b))), np.empty_like(h_0)
    for n, length in enumerate(mask.sum(axis=0)):
        own = forward_by_unroll(xs[:length, n : n + 1], h_0[n : n + 1], W_x, W_h, b)[:, 0]
        ys[:length, n], last[n] = own, own[-1]
    return [ys, last]


def masked_by_arithmetic(xs: Any, mask: Any, h_0: Any, W_x: Any, W_h: Any, b: Any) -> Any:
    h, ys = h_0, []
    for x, m in zip(xs, mask.astype(float)):
        new = np.tanh(x @ W_x.T + h @ W_h.T + b)
        h = m[:, None] * new + (1 - m)[:, None] * h
        ys.append(m[:, None] * new)
    return np.array(ys), h


def jordan_by_unroll(xs: Any, c_0: Any, W_x: Any, W_h: Any, b: Any, W_y: Any, b_y: Any, decay: float) -> Any:
    cell = rnn.jordan(b_y.size, decay, TANH, SIGMOID)
    ys, state, _ = bptt.unroll(cell, rnn.JordanParams(W_x, W_h, b, W_y, b_y), xs, rnn.JordanState(c_0))
    return ys, state.c


def jordan_with_sums_of_all_outputs(
    xs: Any, c_0: Any, W_x: Any, W_h: Any, b: Any, W_y: Any, b_y: Any, decay: float
) -> Any:
    ys: list[Any] = []

    def context() -> Any:
        age = len(ys)
        return decay**age * c_0 + sum(decay ** (age - 1 - k) * y for k, y in enumerate(ys))

    for x in xs:
        h = np.tanh(x @ W_x.T + context() @ W_h.T + b)
        ys.append(0.5 * (1 + np.tanh((h @ W_y.T + b_y) / 2)))
    return np.array(ys), context()


# --- gradients of one weight


def unit_gradient_forward_in_time(w: float, h_0: float, xs: Any, ys: Any) -> Any:
    h, s, dw = h_0, 0.0, 0.0
    for x, y in zip(xs, ys):
        before, h = h, np.tanh(w * h + x)
        s = (1 - h**2) * (before + w * s)
        dw += (h - y) * s
    return float(dw) / len(xs)


def unit_gradient_by_all_paths(w: float, h_0: float, xs: Any, ys: Any) -> Any:
    hs = [h_0]
    for x in xs:
        hs.append(np.tanh(w * hs[-1] + x))
    h, slope, T = np.array(hs), 1 - np.array(hs) ** 2, len(xs)
    terms = [
        (h[t] - ys[t - 1]) * np.prod(w * slope[k + 1 : t + 1]) * slope[k] * h[k - 1]
        for t in range(1, T + 1)
        for k in range(1, t + 1)
    ]
    return np.sum(terms) / T


# --- backpropagation through time


def bptt_by_unroll(xs: Any, hs: Any, dhs: Any, W_x: Any, W_h: Any) -> Any:
    params = rnn.ElmanParams(W_x, W_h, np.zeros(len(W_h)))
    caches = bptt.Caches(tuple(rnn.ElmanCache(*step) for step in zip(xs, hs[:-1], hs[1:])), None)
    grads, _, state = bptt.unroll_backward(rnn.Elman, params, caches, dhs)
    return (*grads, state.h)


def bptt_with_products_after_the_loop(xs: Any, hs: Any, dhs: Any, W_x: Any, W_h: Any) -> Any:
    dzs = np.zeros_like(dhs)
    for t in range(len(xs) - 1, -1, -1):
        later = dzs[t + 1] @ W_h if t + 1 < len(xs) else 0
        dzs[t] = (dhs[t] + later) * (1 - hs[t + 1]) * (1 + hs[t + 1])
    return (
        np.einsum("tbi,tbj->ij", dzs, xs),
        np.einsum("tbi,tbj->ij", dzs, hs[:-1]),
        dzs.sum(axis=(0, 1)),
        dzs[0] @ W_h,
    )


def bptt_by_recursion(xs: Any, hs: Any, dhs: Any, W_x: Any, W_h: Any) -> Any:
    if len(xs) == 0:
        return 0 * W_x, 0 * W_h, 0 * W_h[0], 0 * hs[0]
    *grads, dh = bptt_by_recursion(xs[1:], hs[1:], dhs[1:], W_x, W_h)
    dz = (dhs[0] + dh) * (1 - hs[1] ** 2)
    terms = dz.T @ xs[0], dz.T @ hs[0], dz.sum(axis=0)
    return [*(a + b for a, b in zip(grads, terms)), dz @ W_h]


def net_backward_with_zeros_in_front(cache: Any, dhs: Any) -> Any:
    xs, hs, W_x, W_h = cache
    dzs = np.zeros_like(hs)
    dh = 0.0
    for t in range(len(xs))[::-1]:
        dzs[t] = (dhs[t] + dh) * (1 - hs[t] ** 2)
        dh = dzs[t] @ W_h
    before = np.concatenate([np.zeros_like(hs[:1]), hs[:-1]])
    flat = dzs.reshape(-1, len(W_h))
    dW_x, dW_h = flat.T @ xs.reshape(len(flat), -1), flat.T @ before.reshape(len(flat), -1)
    return dzs @ W_x, dW_x, dW_h, flat.sum(axis=0)


def net_backward_by_unroll(cache: Any, dhs: Any) -> Any:
    xs, hs, W_x, W_h = cache
    steps = zip(xs, [np.zeros_like(hs[0]), *hs[:-1]], hs)
    caches = bptt.Caches(tuple(rnn.ElmanCache(*step) for step in steps), None)
    params = rnn.ElmanParams(W_x, W_h, np.zeros(len(W_h)))
    grads, dxs, _ = bptt.unroll_backward(rnn.Elman, params, caches, dhs)
    return dxs, *grads


def truncated_by_companion(hs: Any, dhs: Any, W_h: Any, k1: int, k2: int) -> Any:
    params = rnn.ElmanParams(np.zeros((len(W_h), 1)), W_h, np.zeros(len(W_h)))
    steps = tuple(rnn.ElmanCache(np.zeros((len(h), 1)), h, new) for h, new in pairwise(hs))
    return bptt.truncated_backward(rnn.Elman, params, bptt.Caches(steps, None), dhs, k1, k2).W_h


def truncated_error_by_error(hs: Any, dhs: Any, W_h: Any, k1: int, k2: int) -> Any:
    T, total = len(dhs), np.zeros_like(W_h)
    for s in range(T):
        end = min((s // k1 + 1) * k1, T)
        dh = dhs[s]
        for t in range(s, max(-1, end - k2 - 1), -1):
            dz = dh * (1 - hs[t + 1] ** 2)
            total = total + np.einsum("bi,bj->ij", dz, hs[t])
            dh = dz @ W_h
    return total


# --- Jacobians and sensitivities


def jacobian_by_reduce(hs: Any, W_h: Any) -> Any:
    return reduce(np.matmul, [np.diag(1 - h**2) @ W_h for h in hs[::-1]])


def jacobian_row_by_row(hs: Any, W_h: Any) -> Any:
    rows = np.eye(len(W_h))
    for h in reversed(hs):
        rows = rows * (1 - h**2) @ W_h
    return rows


def rtrl_in_four_loops(h_prev: Any, h: Any, W_h: Any, S_prev: Any) -> Any:
    S = np.zeros_like(S_prev)
    for k, i, j in np.ndindex(S.shape):
        S[k, i, j] = sum(W_h[k, m] * S_prev[m, i, j] for m in range(len(h))) + (h_prev[j] if k == i else 0)
        S[k, i, j] *= 1 - h[k] ** 2
    return S


def rtrl_with_one_flat_product(h_prev: Any, h: Any, W_h: Any, S_prev: Any) -> Any:
    H = len(h)
    J = np.diag(1 - h**2) @ W_h
    direct = np.kron(np.diag(1 - h**2), h_prev)
    return (J @ S_prev.reshape(H, -1) + direct).reshape(H, H, H)


def rtrl_with_tensordot(h_prev: Any, h: Any, W_h: Any, S_prev: Any) -> Any:
    S = np.tensordot(W_h, S_prev, axes=1)
    S[np.arange(len(h)), np.arange(len(h))] += h_prev
    return S * (1 - h**2).reshape(-1, 1, 1)


# --- clipping


def clip_by_companion(dW_x: Any, dW_h: Any, db: Any, limit: float) -> Any:
    return optim.clip_by_norm((dW_x, dW_h, db), limit)[0]


def clip_one_long_vector(dW_x: Any, dW_h: Any, db: Any, limit: float) -> Any:
    vector = np.concatenate([dW_x.ravel(), dW_h.ravel(), db])
    vector = vector / max(1.0, float(np.linalg.norm(vector)) / limit)
    parts = np.split(vector, np.cumsum([dW_x.size, dW_h.size]))
    return [part.reshape(g.shape) for part, g in zip(parts, (dW_x, dW_h, db))]


def clip_with_a_constant_beside_the_norm(dW_x: Any, dW_h: Any, db: Any, limit: float) -> Any:
    norm = np.linalg.norm([np.linalg.norm(g) for g in (dW_x, dW_h, db)])
    return tuple(g * min(1.0, limit / (norm + 1e-6)) for g in (dW_x, dW_h, db))


# --- an evaluation


def evaluated_by_predict(xs: Any, W_x: Any, W_h: Any, b: Any, W_y: Any, b_y: Any, rng: Any) -> Any:
    params = SequenceParams(rnn.ElmanParams(W_x, W_h, b), ops.LinearParams(W_y, b_y))
    return predict(rnn.Elman, params, xs)[0][-1]


def evaluated_sequence_by_sequence(xs: Any, W_x: Any, W_h: Any, b: Any, W_y: Any, b_y: Any, rng: Any) -> Any:
    logits = []
    for sequence in xs.swapaxes(0, 1):
        h = np.tanh(W_x @ sequence[0] + b)
        for x in sequence[1:]:
            h = np.tanh(W_x @ x + W_h @ h + b)
        logits.append(W_y @ h + b_y)
    return np.array(logits)


ALTERNATIVES: dict[str, tuple[Any, ...]] = {
    "rnn.vanishing_lag": (lag_by_counting, 132, 132.0, np.int64(132)),
    "rnn.saturated_unit": (factor_by_newton, 0.166, np.float64(0.1664)),
    "rnn.elman_forward": (forward_by_unroll, forward_into_a_buffer, forward_unit_by_unit),
    "rnn.unit_gradient": (unit_gradient_forward_in_time, unit_gradient_by_all_paths),
    "rnn.elman_backward": (bptt_by_unroll, bptt_with_products_after_the_loop, bptt_by_recursion),
    "rnn.hunt_minus_one": (net_backward_with_zeros_in_front, net_backward_by_unroll),
    "rnn.truncated_gradient": (truncated_by_companion, truncated_error_by_error),
    "rnn.state_jacobian": (jacobian_by_reduce, jacobian_row_by_row),
    "rnn.clip_gradients": (clip_by_companion, clip_one_long_vector, clip_with_a_constant_beside_the_norm),
    "rnn.masked_elman": (masked_by_unroll, masked_one_sequence_at_a_time, masked_by_arithmetic),
    "rnn.hunt_evaluation": (evaluated_by_predict, evaluated_sequence_by_sequence),
    "rnn.hunt_context": (jordan_by_unroll, jordan_with_sums_of_all_outputs),
    "rnn.rtrl_step": (rtrl_in_four_loops, rtrl_with_one_flat_product, rtrl_with_tensordot),
}
