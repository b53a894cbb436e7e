"""Right answers to the exercises of *LSTM and GRU* of other designs than the solution's."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from companion import gru, lstm, ops


def sigma(a: float) -> float:
    return 1 / (1 + math.exp(-a))


# --- predictions


def steps_counted() -> int:
    s, t = 0.0, 0
    while 1 - math.tanh(s) ** 2 >= 0.01:
        s, t = s + 0.05, t + 1
    return t


def bias_by_bisection() -> float:
    low, high = 0.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if sigma(middle) ** 100 < 0.5 else (low, middle)
    return low


# --- the step


def step_of_the_package(x: Any, h: Any, s: Any, W_x: Any, W_h: Any, b: Any) -> Any:
    return lstm.lstm_step(lstm.LSTMParams(W_x, W_h, b), x, lstm.LSTMState(h, s))[1]


def step_unit_by_unit(x: Any, h: Any, s: Any, W_x: Any, W_h: Any, b: Any) -> Any:
    B, H = h.shape
    new_h, new_s = np.empty((B, H)), np.empty((B, H))
    for n in range(B):
        for j in range(H):
            z = [sum(W_x[k] * x[n]) + sum(W_h[k] * h[n]) + b[k] for k in range(j, 4 * H, H)]
            new_s[n, j] = math.tanh(z[2]) * sigma(z[0]) + s[n, j] * sigma(z[1])
            new_h[n, j] = math.tanh(new_s[n, j]) * sigma(z[3])
    return new_h, new_s


def step_by_one_matrix(x: Any, h: Any, s: Any, W_x: Any, W_h: Any, b: Any) -> Any:
    W = np.concatenate([W_x, W_h, b[:, None]], axis=1).reshape(4, h.shape[1], -1)
    z = np.einsum("khm,bm->kbh", W, np.concatenate([x, h, np.ones((len(x), 1))], axis=1))
    i, f, o = (1 + np.tanh(z[[0, 1, 3]] / 2)) / 2
    s = i * np.tanh(z[2]) + f * s
    return [o * np.tanh(s), s]


def carousel_by_cumprod(f: Any) -> Any:
    backwards = np.cumprod(np.concatenate([np.ones_like(f[:1]), f[::-1]]), axis=0)
    return backwards[::-1]


def carousel_by_separate_products(f: Any) -> Any:
    return np.stack([np.prod(f[t:], axis=0) for t in range(len(f) + 1)])


def carousel_by_logarithms(f: Any) -> Any:
    with np.errstate(divide="ignore"):
        return np.exp([np.log(f[t:]).sum(axis=0) for t in range(len(f) + 1)])


# --- back through the gates


def gates_backward_by_ops(dh: Any, ds_next: Any, i: Any, f: Any, g: Any, o: Any, s_prev: Any, s: Any) -> Any:
    phi_s = ops.tanh(s)
    ds = ds_next + ops.tanh_backward(phi_s, dh * o)
    pairs = ((i, ds * g), (f, ds * s_prev))
    dz_i, dz_f = (ops.sigmoid_backward(y, dy) for y, dy in pairs)
    return [dz_i, dz_f, ops.tanh_backward(g, ds * i), ops.sigmoid_backward(o, dh * phi_s), ds * f]


def gates_backward_by_the_package(dh: Any, ds_next: Any, i: Any, f: Any, g: Any, o: Any, s_prev: Any, s: Any) -> Any:
    """One example at a time, whose bias gradients are the gradients of its pre-activations."""
    H = s.shape[1]
    params = lstm.LSTMParams(np.zeros((4 * H, 1)), np.zeros((4 * H, H)), np.zeros(4 * H))
    rows = []
    for n in range(len(s)):
        a = [v[n : n + 1] for v in (dh, ds_next, i, f, g, o, s_prev, s)]
        prev = lstm.LSTMState(np.zeros((1, H)), a[6])
        cache = lstm.LSTMCache(np.zeros((1, 1)), prev, tuple(a[2:6]), a[7], np.tanh(a[7]))
        dparams, _, before = lstm.lstm_step_backward(params, cache, 0 * a[0], lstm.LSTMState(a[0], a[1]))
        rows.append([*np.split(dparams.b, 4), before.s[0]])
    return [np.stack(column) for column in zip(*rows)]


def state_backward_by_einsum(cache: Any, dy: Any) -> Any:
    x, h_prev, s_prev, i, f, g, o, s, W_x, W_h = cache
    dh, ds_next = dy
    ds = ds_next + dh * o / np.cosh(s) ** 2
    dz = np.stack([ds * g * (i - i**2), ds * s_prev * (f - f**2), ds * i * (1 - g * g), dh * np.tanh(s) * (o - o**2)])
    W_x, W_h = (W.reshape(4, s.shape[1], -1) for W in (W_x, W_h))
    dW_x, dW_h = (np.einsum("kbh,bm->khm", dz, below).reshape(-1, below.shape[1]) for below in (x, h_prev))
    dx, dh_prev = (np.einsum("kbh,khm->bm", dz, W) for W in (W_x, W_h))
    return dW_x, dW_h, dz.sum(axis=1).ravel(), dx, dh_prev, f * ds


class Gradients(NamedTuple):
    W_x: Any
    W_h: Any
    b: Any
    x: Any
    h: Any
    s: Any


def state_backward_by_the_package(cache: Any, dy: Any) -> Any:
    x, h_prev, s_prev, i, f, g, o, s, W_x, W_h = cache
    kept = lstm.LSTMCache(x, lstm.LSTMState(h_prev, s_prev), (i, f, g, o), s, np.tanh(s))
    params = lstm.LSTMParams(W_x, W_h, np.zeros(len(W_x)))
    dparams, dx, before = lstm.lstm_step_backward(params, kept, np.zeros_like(s), lstm.LSTMState(*dy))
    return Gradients(*dparams, dx, *before)


# --- peepholes


def peepholes_by_the_package(z: Any, s_prev: Any, p: Any, dh: Any, ds_next: Any) -> Any:
    """Each number of z is an input of its own, through weights of 1: its gradient is the input's."""
    H = s_prev.shape[1]
    params = lstm.PeepholeParams(np.eye(4 * H), np.zeros((4 * H, H)), np.zeros(4 * H), p)
    h, state, cache = lstm.peephole_step(params, z, lstm.LSTMState(np.zeros_like(s_prev), s_prev))
    dparams, dz, before = lstm.peephole_step_backward(params, cache, dh, lstm.LSTMState(0 * dh, ds_next))
    return h, state.s, dz, before.s, dparams.p


def peepholes_path_by_path(z: Any, s_prev: Any, p: Any, dh: Any, ds_next: Any) -> Any:
    H = s_prev.shape[1]
    i, f = ops.sigmoid(z[:, : 2 * H].reshape(-1, 2, H) + p[:2] * s_prev[:, None]).transpose(1, 0, 2)
    g = np.tanh(z[:, 2 * H : 3 * H])
    s = i * g + f * s_prev
    o = ops.sigmoid(z[:, 3 * H :] + p[2] * s)
    dz = np.zeros_like(z)
    dz[:, 3 * H :] = ops.sigmoid_backward(o, dh * np.tanh(s))
    ds = ds_next.copy()
    ds += ops.tanh_backward(np.tanh(s), dh * o)
    ds += dz[:, 3 * H :] * p[2]
    dz[:, :H] = ops.sigmoid_backward(i, ds * g)
    dz[:, H : 2 * H] = ops.sigmoid_backward(f, ds * s_prev)
    dz[:, 2 * H : 3 * H] = ops.tanh_backward(g, ds * i)
    dp = [np.einsum("bh,bh->h", dz[:, k * H : (k + 1) * H], seen) for k, seen in ((0, s_prev), (1, s_prev), (3, s))]
    ds_prev = ds * f + (dz[:, : 2 * H].reshape(-1, 2, H) * p[:2]).sum(axis=1)
    return o * np.tanh(s), s, dz, ds_prev, np.array(dp)


# --- GRU


def gru_of_the_package(x: Any, h: Any, W_x: Any, W_h: Any, b: Any, b_n: Any) -> Any:
    return gru.gru_step(gru.GRUParams(W_x, W_h, b, b_n), x, gru.GRUState(h))[0]


def gru_example_by_example(x: Any, h: Any, W_x: Any, W_h: Any, b: Any, b_n: Any) -> Any:
    H, rows = h.shape[1], []
    for below, old in zip(x, h):
        a, c = W_x @ below + b, W_h @ old
        r, z = ops.sigmoid((a + c)[: 2 * H]).reshape(2, H)
        rows.append(np.tanh(a[2 * H :] + r * (c[2 * H :] + b_n)))
        rows[-1] += z * (old - rows[-1])
    return np.array(rows)


def gru_backward_by_the_package(dh: Any, r: Any, z: Any, n: Any, a: Any, h_prev: Any, W_h: Any) -> Any:
    B, H = r.shape
    params = gru.GRUParams(np.eye(3 * H), W_h, np.zeros(3 * H), np.zeros(H))
    cache = gru.GRUCache(np.zeros((B, 3 * H)), h_prev, r, z, n, a)
    _, dx, before = gru.gru_step_backward(params, cache, dh, gru.GRUState(0 * dh))
    return (*np.split(dx, 3, axis=1), before.h)


def gru_backward_path_by_path(dh: Any, r: Any, z: Any, n: Any, a: Any, h_prev: Any, W_h: Any) -> Any:
    W_r, W_z, W_n = W_h.reshape(3, r.shape[1], -1)
    dn = dh - dh * z
    dz_n = ops.tanh_backward(n, dn)
    dz_r = ops.sigmoid_backward(r, a * dz_n)
    dz_z = ops.sigmoid_backward(z, dh * h_prev - dh * n)
    paths = (dh * z, dz_r @ W_r, dz_z @ W_z, (r * dz_n) @ W_n)
    return [dz_r, dz_z, dz_n, sum(paths)]


# --- initialisation and dropout


def chrono_unit_by_unit(u: Any, longest: Any) -> Any:
    H = len(u)
    b = np.zeros(4 * H)
    for j in range(H):
        tau = (longest - 1) * u[j] + 1 - u[j]
        b[j], b[H + j] = math.log(1 / tau), math.log(tau)
    return b


def layer_after_layer(xs: Any, first: Any, second: Any, state_1: Any, state_2: Any, keep: Any, rate: Any) -> Any:
    def unrolled(step: Any, xs: Any, state: Any) -> Any:
        hs = []
        for x in xs:
            h, s = step(x, state)
            state = (h, s)
            hs.append(h)
        return np.array(hs)

    return unrolled(second, unrolled(first, xs, state_1) * (keep / (1 - rate)), state_2)


def in_a_filled_array(xs: Any, first: Any, second: Any, state_1: Any, state_2: Any, keep: Any, rate: Any) -> Any:
    ys = np.zeros(keep.shape)
    for t in range(len(xs)):
        state_1 = first(xs[t], state_1)
        up = state_1[0].copy()
        up[~keep[t]] = 0
        state_2 = second(up / (1 - rate), state_2)
        ys[t] = state_2[0]
    return ys


ALTERNATIVES: dict[str, tuple[Any, ...]] = {
    "lstm.parameter_count": (
        23808,
        23808.0,
        np.int64(23808),
        lambda: sum(a.size for a in lstm.lstm_init(np.random.default_rng(0), 28, 64)),
    ),
    "lstm.full_cell": (60, 60.0, np.array(60), steps_counted),
    "lstm.forget_bias": (4.97, 4.968, np.float32(4.97), bias_by_bisection, lambda: -np.log(2**0.01 - 1)),
    "lstm.step": (step_of_the_package, step_unit_by_unit, step_by_one_matrix),
    "lstm.hunt_bias": (step_of_the_package, step_unit_by_unit, step_by_one_matrix),
    "lstm.carousel": (carousel_by_cumprod, carousel_by_separate_products, carousel_by_logarithms),
    "lstm.step_backward": (gates_backward_by_ops, gates_backward_by_the_package),
    "lstm.hunt_state": (state_backward_by_einsum, state_backward_by_the_package),
    "lstm.peepholes": (peepholes_by_the_package, peepholes_path_by_path),
    "lstm.gru_step": (gru_of_the_package, gru_example_by_example),
    "lstm.gru_backward": (gru_backward_by_the_package, gru_backward_path_by_path),
    "lstm.chrono": (
        chrono_unit_by_unit,
        lambda u, longest: np.kron([-1, 1, 0, 0], np.log((1 - u) + u * (longest - 1))),
    ),
    "lstm.dropout_between": (layer_after_layer, in_a_filled_array),
}
