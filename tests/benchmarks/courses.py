"""Recurrent layers as courses teach them: what the fast ones are compared with, beside our own `unroll` and torch.nn.

A function for one step, which keeps what its backward pass needs in a tuple, and a loop over time around it. Weights (in, out)
stand in a dict, so that z = x W_x + h W_h + b, and their gradients are added up step by step. Nothing is slower than this design
has to be: no argument is checked, there is no mask, and one product with x and one with h serve all gates.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def forward(step: Any, params: Any, xs: Any, state: Any) -> tuple[Any, Any]:
    """Outputs (T, B, H) for xs (T, B, D), and the caches of all steps; the output is the first part of the state."""
    ys, caches = [], []
    for x in xs:
        state, cache = step(params, x, *state)
        ys.append(state[0])
        caches.append(cache)
    return np.stack(ys), caches


def backward(step_backward: Any, params: Any, caches: Any, dys: Any, dstate: Any) -> tuple[Any, Any, Any]:
    """Gradients of the weights, of xs and of the first state from those of all outputs and of the last state."""
    grads, dxs = {name: np.zeros_like(W) for name, W in params.items()}, []
    for t in reversed(range(len(dys))):
        step_grads, dx, dstate = step_backward(params, caches[t], dys[t] + dstate[0], *dstate[1:])
        for name in grads:
            grads[name] += step_grads[name]
        dxs.append(dx)
    return grads, np.stack(dxs[::-1]), dstate


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


# --- Elman's network


def elman_step(params: Any, x: Any, h_prev: Any) -> tuple[Any, Any]:
    h = np.tanh(x @ params["W_x"] + h_prev @ params["W_h"] + params["b"])
    return (h,), (x, h_prev, h)


def elman_step_backward(params: Any, cache: Any, dh: Any) -> tuple[Any, Any, Any]:
    x, h_prev, h = cache
    dz = dh * (1 - h * h)
    grads = {"W_x": x.T @ dz, "W_h": h_prev.T @ dz, "b": dz.sum(axis=0)}
    return grads, dz @ params["W_x"].T, (dz @ params["W_h"].T,)


# --- LSTM


def lstm_step(params: Any, x: Any, h_prev: Any, s_prev: Any) -> tuple[Any, Any]:
    H = h_prev.shape[1]
    z = x @ params["W_x"] + h_prev @ params["W_h"] + params["b"]
    i = sigmoid(z[:, :H])
    f = sigmoid(z[:, H : 2 * H])
    g = np.tanh(z[:, 2 * H : 3 * H])
    o = sigmoid(z[:, 3 * H :])
    s = f * s_prev + i * g
    phi_s = np.tanh(s)
    h = o * phi_s
    return (h, s), (x, h_prev, s_prev, i, f, g, o, phi_s)


def lstm_step_backward(params: Any, cache: Any, dh: Any, ds_next: Any) -> tuple[Any, Any, Any]:
    x, h_prev, s_prev, i, f, g, o, phi_s = cache
    ds = ds_next + dh * o * (1 - phi_s * phi_s)
    dz_i = ds * g * i * (1 - i)
    dz_f = ds * s_prev * f * (1 - f)
    dz_g = ds * i * (1 - g * g)
    dz_o = dh * phi_s * o * (1 - o)
    dz = np.concatenate([dz_i, dz_f, dz_g, dz_o], axis=1)
    grads = {"W_x": x.T @ dz, "W_h": h_prev.T @ dz, "b": dz.sum(axis=0)}
    return grads, dz @ params["W_x"].T, (dz @ params["W_h"].T, ds * f)


# --- GRU, with the reset gate behind the product, as in `companion.gru` and torch.nn.GRU


def gru_step(params: Any, x: Any, h_prev: Any) -> tuple[Any, Any]:
    H = h_prev.shape[1]
    z_x = x @ params["W_x"] + params["b"]
    z_h = h_prev @ params["W_h"]
    r = sigmoid(z_x[:, :H] + z_h[:, :H])
    z = sigmoid(z_x[:, H : 2 * H] + z_h[:, H : 2 * H])
    a = z_h[:, 2 * H :] + params["b_n"]
    n = np.tanh(z_x[:, 2 * H :] + r * a)
    h = (1 - z) * n + z * h_prev
    return (h,), (x, h_prev, r, z, a, n)


def gru_step_backward(params: Any, cache: Any, dh: Any) -> tuple[Any, Any, Any]:
    x, h_prev, r, z, a, n = cache
    dz_n = dh * (1 - z) * (1 - n * n)
    dz_z = dh * (h_prev - n) * z * (1 - z)
    dz_r = dz_n * a * r * (1 - r)
    da = dz_n * r
    dz_x = np.concatenate([dz_r, dz_z, dz_n], axis=1)
    dz_h = np.concatenate([dz_r, dz_z, da], axis=1)
    grads = {"W_x": x.T @ dz_x, "W_h": h_prev.T @ dz_h, "b": dz_x.sum(axis=0), "b_n": da.sum(axis=0)}
    return grads, dz_x @ params["W_x"].T, (dz_h @ params["W_h"].T + dh * z,)


STEPS = {
    "RNN": (elman_step, elman_step_backward),
    "LSTM": (lstm_step, lstm_step_backward),
    "GRU": (gru_step, gru_step_backward),
}
