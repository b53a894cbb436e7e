"""Gated recurrent unit, in both of its forms (chapter *LSTM and GRU*; review, section 4).

    r = sigma(z_r)   reset gate                       z_. = x W_x^T + h' W_h^T + b, blocks in the order r, z, n
    z = sigma(z_z)   update gate                      h' is h one step before
    n = tanh(x W_xn^T + b_n' + r (h' W_hn^T + b_n))   candidate: reset after the product, as libraries have it (b_n' in b)
    n = tanh(x W_xn^T + (r h') W_hn^T + b_n')         candidate of Cho et al. 2014: reset before the product
    h = (1 - z) n + z h'

Cho et al. 2014, eqs. 5-8 for `ChoGRU`; `GRU` is the variant that cuDNN made common, with a second bias b_n. Note that z near 1
*keeps* the state; some texts, among them Chung et al. 2014, write z and 1 - z the other way round.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from companion.bptt import Cell
from companion.ops import sigmoid
from companion.tree import Array
from companion.validate import require_gradient, require_kind, require_rows, require_sizes, require_step


class GRUParams(NamedTuple):
    """Parameters of `GRU`."""

    W_x: Array  # (3H, D) input weights; blocks in the order r, z, n, as in torch.nn.GRU
    W_h: Array  # (3H, H) recurrent weights
    b: Array  # (3H,)
    b_n: Array  # (H,) bias inside the bracket that the reset gate multiplies


class GRUState(NamedTuple):
    """State of both cells."""

    h: Array  # (B, H)


class GRUCache(NamedTuple):
    """What one step keeps for the way back."""

    x: Array  # (B, D)
    h_prev: Array  # (B, H)
    r: Array  # (B, H)
    z: Array  # (B, H)
    n: Array  # (B, H)
    a: Array  # (B, H) what the reset gate multiplies: h' W_hn^T + b_n, or h' in Cho's form


# --- reset after the product


def gru_init(rng: np.random.Generator, n_in: int, n_hidden: int, dtype: Any = np.float64) -> GRUParams:
    """Weights uniform in +-1 / sqrt(n_hidden), as `torch.nn.GRU` has them, and zero biases."""
    require_sizes("gru_init", rng, dtype, n_in=n_in, n_hidden=n_hidden)
    limit = 1 / np.sqrt(n_hidden)
    W_x = rng.uniform(-limit, limit, (3 * n_hidden, n_in)).astype(dtype)
    W_h = rng.uniform(-limit, limit, (3 * n_hidden, n_hidden)).astype(dtype)
    return GRUParams(W_x, W_h, np.zeros(3 * n_hidden, dtype), np.zeros(n_hidden, dtype))


def gru_initial_state(params: Any, batch: int) -> GRUState:
    """Zeros (B, H)."""
    return GRUState(np.zeros((batch, params.W_h.shape[1]), params.W_h.dtype))


def gru_step(params: GRUParams, x: Array, state: GRUState) -> tuple[Array, GRUState, GRUCache]:
    """One step: x (B, D) -> y = h (B, H), the next state, the cache. Raises ValueError for shapes or dtypes that do not fit."""
    _require("gru_step", params, x, state, GRUParams)
    require_rows("gru_step", params.W_h.shape[1], b_n=params.b_n)
    x_r, x_z, x_n = np.split(x @ params.W_x.T + params.b, 3, axis=1)
    h_r, h_z, h_n = np.split(state.h @ params.W_h.T, 3, axis=1)
    r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
    a = h_n + params.b_n
    n = np.tanh(x_n + r * a)
    h = (1 - z) * n + z * state.h
    return h, GRUState(h), GRUCache(x, state.h, r, z, n, a)


def gru_step_backward(
    params: GRUParams, cache: GRUCache, dy: Array, dstate: GRUState
) -> tuple[GRUParams, Array, GRUState]:
    """Gradients of the parameters, of x and of the state before, from those of y (B, H) and of the state after."""
    _require_gradients("gru_step_backward", cache, dy, dstate)
    x, h_prev, r, z, n, a = cache
    dh = dy + dstate.h  # h is both the output and the state
    dz_n = dh * (1 - z) * (1 - n**2)
    dz_z = dh * (h_prev - n) * z * (1 - z)
    da = dz_n * r
    dz_r = dz_n * a * r * (1 - r)
    dz_x = np.concatenate([dz_r, dz_z, dz_n], axis=1)
    dz_h = np.concatenate([dz_r, dz_z, da], axis=1)
    dparams = GRUParams(W_x=dz_x.T @ x, W_h=dz_h.T @ h_prev, b=dz_x.sum(axis=0), b_n=da.sum(axis=0))
    return dparams, dz_x @ params.W_x, GRUState(dz_h @ params.W_h + dh * z)


GRU = Cell(gru_init, gru_initial_state, gru_step, gru_step_backward)

# --- reset before the product


class ChoGRUParams(NamedTuple):
    """Parameters of `ChoGRU`."""

    W_x: Array  # (3H, D) input weights, blocks r, z, n
    W_h: Array  # (3H, H) recurrent weights
    b: Array  # (3H,)


def cho_gru_init(rng: np.random.Generator, n_in: int, n_hidden: int, dtype: Any = np.float64) -> ChoGRUParams:
    """As `gru_init`, without b_n."""
    return ChoGRUParams(*gru_init(rng, n_in, n_hidden, dtype)[:3])


def cho_gru_step(params: ChoGRUParams, x: Array, state: GRUState) -> tuple[Array, GRUState, GRUCache]:
    """One step in Cho's form: x (B, D) -> y = h (B, H), the next state, the cache."""
    _require("cho_gru_step", params, x, state, ChoGRUParams)
    H = params.W_h.shape[1]
    x_r, x_z, x_n = np.split(x @ params.W_x.T + params.b, 3, axis=1)
    h_r, h_z = np.split(state.h @ params.W_h[: 2 * H].T, 2, axis=1)
    r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
    n = np.tanh(x_n + (r * state.h) @ params.W_h[2 * H :].T)
    h = (1 - z) * n + z * state.h
    return h, GRUState(h), GRUCache(x, state.h, r, z, n, state.h)


def cho_gru_step_backward(
    params: ChoGRUParams, cache: GRUCache, dy: Array, dstate: GRUState
) -> tuple[ChoGRUParams, Array, GRUState]:
    """Gradients as in `gru_step_backward`; the reset gate now stands before the product with W_hn."""
    _require_gradients("cho_gru_step_backward", cache, dy, dstate)
    x, h_prev, r, z, n, _ = cache
    H = params.W_h.shape[1]
    dh = dy + dstate.h
    dz_n = dh * (1 - z) * (1 - n**2)
    dz_z = dh * (h_prev - n) * z * (1 - z)
    dreset = dz_n @ params.W_h[2 * H :]  # gradient of r h'
    dz_r = dreset * h_prev * r * (1 - r)
    dz = np.concatenate([dz_r, dz_z, dz_n], axis=1)
    dW_h = np.concatenate([dz[:, : 2 * H].T @ h_prev, dz_n.T @ (r * h_prev)])
    dh_prev = dz[:, : 2 * H] @ params.W_h[: 2 * H] + dreset * r + dh * z
    return ChoGRUParams(dz.T @ x, dW_h, dz.sum(axis=0)), dz @ params.W_x, GRUState(dh_prev)


ChoGRU = Cell(cho_gru_init, gru_initial_state, cho_gru_step, cho_gru_step_backward)

# --- what both ask of their arguments


def _require(function: str, params: Any, x: Array, state: GRUState, kind: type) -> None:
    require_kind(function, "params", params, kind)
    require_kind(function, "state", state, GRUState)
    require_step(function, params, x, h=state.h)
    require_rows(function, 3 * params.W_h.shape[1], W_x=params.W_x, W_h=params.W_h, b=params.b)


def _require_gradients(function: str, cache: GRUCache, dy: Array, dstate: GRUState) -> None:
    require_kind(function, "dstate", dstate, GRUState)
    require_gradient(function, "dy", dy, cache.n, why="as y")
    require_gradient(function, "dstate.h", dstate.h, cache.n, why="as state.h")
