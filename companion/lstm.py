"""Long short-term memory: the memory cell and its three forms (chapter *LSTM and GRU*; review, section 4.1).

    g = tanh(z_g)    input node                          z_. = x W_x^T + h' W_h^T + b, four blocks in the order i, f, g, o
    i = sigma(z_i)   input gate                          h', s' are h, s one step before
    f = sigma(z_f)   forget gate
    o = sigma(z_o)   output gate
    s = g i + s' f   internal state
    h = tanh(s) o    hidden state, and the output y

Backward, line by line in reverse:

    do = dh tanh(s)                  ds = ds_next + dh o (1 - tanh(s)^2)
    dg = ds i   di = ds g   df = ds s'                   ds' = ds f
    dz_g = dg (1 - g^2), dz_i = di i (1 - i), ...        dx = dz W_x, dh' = dz W_h

`LSTM` is the cell of Gers, Schmidhuber and Cummins 2000, which is what the field means by the word. `LSTM1997` is the cell of
Hochreiter and Schmidhuber 1997 without a forget gate: s = g i + s', blocks i, g, o. `PeepholeLSTM` (Gers and Schmidhuber 2000)
lets the gates see the internal state: i and f see s', o sees the new s, each unit its own. Unlike the 1997 cell, g and h are
squashed by tanh, and the gradient is exact, not cut off at the gates.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from companion.bptt import Cell
from companion.ops import sigmoid
from companion.tree import Array
from companion.validate import (
    require_gradient,
    require_instance,
    require_kind,
    require_range,
    require_rows,
    require_shape,
    require_sizes,
    require_step,
)


class LSTMParams(NamedTuple):
    """Parameters of `LSTM`, and of `LSTM1997` with three blocks i, g, o in place of four."""

    W_x: Array  # (4H, D) input weights; gate blocks in the order i, f, g, o, as in torch.nn.LSTM
    W_h: Array  # (4H, H) recurrent weights
    b: Array  # (4H,)


class LSTMState(NamedTuple):
    """State of all cells in this file."""

    h: Array  # (B, H) hidden state, which other layers see
    s: Array  # (B, H) internal state


class LSTMCache(NamedTuple):
    """What one step keeps for the way back."""

    x: Array  # (B, D)
    prev: LSTMState
    gates: tuple[Array, ...]  # i, f, g, o (without a forget gate: i, g, o), each (B, H)
    s: Array  # (B, H)
    phi_s: Array  # (B, H) tanh(s)


# --- LSTM


def lstm_init(
    rng: np.random.Generator, n_in: int, n_hidden: int, dtype: Any = np.float64, forget_bias: float = 1.0
) -> LSTMParams:
    """Weights uniform in +-1 / sqrt(n_hidden), zero biases but for the forget gate's: 1 lets a new cell remember.

    `torch.nn.LSTM` starts with biases near 0, that is with gates half closed. Gers et al. 2000 had the positive bias first.
    """
    require_sizes("lstm_init", rng, dtype, n_in=n_in, n_hidden=n_hidden)
    require_range("lstm_init", "forget_bias", forget_bias, -np.inf, np.inf, "()")
    params = _init(rng, n_in, n_hidden, dtype, blocks=4)
    params.b[n_hidden : 2 * n_hidden] = forget_bias
    return params


def _init(rng: np.random.Generator, n_in: int, n_hidden: int, dtype: Any, blocks: int) -> LSTMParams:
    limit, rows = 1 / np.sqrt(n_hidden), blocks * n_hidden
    W_x = rng.uniform(-limit, limit, (rows, n_in)).astype(dtype)
    W_h = rng.uniform(-limit, limit, (rows, n_hidden)).astype(dtype)
    return LSTMParams(W_x, W_h, np.zeros(rows, dtype))


def chrono_bias(rng: np.random.Generator, params: LSTMParams, longest: int) -> LSTMParams:
    """The same weights with biases for memories of up to `longest` steps: b_f = log U(1, longest - 1) and b_i = -b_f.

    A unit with forget bias log(n) keeps about 1 / e of its state for n steps (Tallec and Ollivier 2018, eq. 16).
    """
    require_instance("chrono_bias", "rng", rng, np.random.Generator, "such as np.random.default_rng(0)")
    n_hidden = params.W_h.shape[1]
    require_rows("chrono_bias", 4 * n_hidden, b=params.b)
    require_range("chrono_bias", "longest", longest, 3, np.inf)
    b_f = np.log(rng.uniform(1, longest - 1, n_hidden))
    b = np.concatenate([-b_f, b_f, np.zeros(2 * n_hidden)]).astype(params.b.dtype)
    return params._replace(b=b)


def lstm_initial_state(params: Any, batch: int) -> LSTMState:
    """Zeros (B, H), twice."""
    shape, dtype = (batch, params.W_h.shape[1]), params.W_h.dtype
    return LSTMState(np.zeros(shape, dtype), np.zeros(shape, dtype))


def lstm_step(params: LSTMParams, x: Array, state: LSTMState) -> tuple[Array, LSTMState, LSTMCache]:
    """One step: x (B, D) -> y = h (B, H), the next state, the cache. Raises ValueError for shapes or dtypes that do not fit."""
    _require("lstm_step", params, x, state, LSTMParams, blocks=4)
    z = x @ params.W_x.T + state.h @ params.W_h.T + params.b
    z_i, z_f, z_g, z_o = np.split(z, 4, axis=1)
    i, f, g, o = sigmoid(z_i), sigmoid(z_f), np.tanh(z_g), sigmoid(z_o)
    s = g * i + state.s * f
    phi_s = np.tanh(s)
    h = phi_s * o
    return h, LSTMState(h, s), LSTMCache(x, state, (i, f, g, o), s, phi_s)


def lstm_step_backward(
    params: LSTMParams, cache: LSTMCache, dy: Array, dstate: LSTMState
) -> tuple[LSTMParams, Array, LSTMState]:
    """Gradients of the parameters, of x and of the state before, from those of y (B, H) and of the state after."""
    _require_gradients("lstm_step_backward", cache, dy, dstate)
    i, f, g, o = cache.gates
    dh = dy + dstate.h  # h is both the output and a part of the state
    ds = dstate.s + dh * o * (1 - cache.phi_s**2)
    dz_o = dh * cache.phi_s * o * (1 - o)
    dz_g = ds * i * (1 - g**2)
    dz_f = ds * cache.prev.s * f * (1 - f)
    dz_i = ds * g * i * (1 - i)
    dz = np.concatenate([dz_i, dz_f, dz_g, dz_o], axis=1)
    dparams = LSTMParams(W_x=dz.T @ cache.x, W_h=dz.T @ cache.prev.h, b=dz.sum(axis=0))
    return dparams, dz @ params.W_x, LSTMState(h=dz @ params.W_h, s=ds * f)


LSTM = Cell(lstm_init, lstm_initial_state, lstm_step, lstm_step_backward)

# --- without a forget gate


def lstm1997_init(
    rng: np.random.Generator, n_in: int, n_hidden: int, dtype: Any = np.float64, input_bias: float = 0.0
) -> LSTMParams:
    """Weights (3H, ..) uniform in +-1 / sqrt(n_hidden), zero biases but for the input gate's.

    A negative input bias keeps the state, which nothing else empties, from filling up at once (Hochreiter and Schmidhuber 1997).
    """
    require_sizes("lstm1997_init", rng, dtype, n_in=n_in, n_hidden=n_hidden)
    require_range("lstm1997_init", "input_bias", input_bias, -np.inf, np.inf, "()")
    params = _init(rng, n_in, n_hidden, dtype, blocks=3)
    params.b[:n_hidden] = input_bias
    return params


def lstm1997_step(params: LSTMParams, x: Array, state: LSTMState) -> tuple[Array, LSTMState, LSTMCache]:
    """One step without forget gate: x (B, D) -> y = h (B, H), the next state, the cache."""
    _require("lstm1997_step", params, x, state, LSTMParams, blocks=3)
    z = x @ params.W_x.T + state.h @ params.W_h.T + params.b
    z_i, z_g, z_o = np.split(z, 3, axis=1)
    i, g, o = sigmoid(z_i), np.tanh(z_g), sigmoid(z_o)
    s = g * i + state.s
    phi_s = np.tanh(s)
    h = phi_s * o
    return h, LSTMState(h, s), LSTMCache(x, state, (i, g, o), s, phi_s)


def lstm1997_step_backward(
    params: LSTMParams, cache: LSTMCache, dy: Array, dstate: LSTMState
) -> tuple[LSTMParams, Array, LSTMState]:
    """Gradients as in `lstm_step_backward`; ds goes to the state before unchanged, the constant error carousel."""
    _require_gradients("lstm1997_step_backward", cache, dy, dstate)
    i, g, o = cache.gates
    dh = dy + dstate.h
    ds = dstate.s + dh * o * (1 - cache.phi_s**2)
    dz_o = dh * cache.phi_s * o * (1 - o)
    dz_g = ds * i * (1 - g**2)
    dz_i = ds * g * i * (1 - i)
    dz = np.concatenate([dz_i, dz_g, dz_o], axis=1)
    dparams = LSTMParams(W_x=dz.T @ cache.x, W_h=dz.T @ cache.prev.h, b=dz.sum(axis=0))
    return dparams, dz @ params.W_x, LSTMState(h=dz @ params.W_h, s=ds)


LSTM1997 = Cell(lstm1997_init, lstm_initial_state, lstm1997_step, lstm1997_step_backward)

# --- with peepholes


class PeepholeParams(NamedTuple):
    """Parameters of `PeepholeLSTM`."""

    W_x: Array  # (4H, D) input weights, blocks i, f, g, o
    W_h: Array  # (4H, H) recurrent weights
    b: Array  # (4H,)
    p: Array  # (3, H) peephole weights of i, f, o: one for each unit, from its own internal state


def peephole_init(
    rng: np.random.Generator, n_in: int, n_hidden: int, dtype: Any = np.float64, forget_bias: float = 1.0
) -> PeepholeParams:
    """As `lstm_init`, with peephole weights of zero: the cell begins as an LSTM."""
    return PeepholeParams(*lstm_init(rng, n_in, n_hidden, dtype, forget_bias), np.zeros((3, n_hidden), dtype))


def peephole_step(params: PeepholeParams, x: Array, state: LSTMState) -> tuple[Array, LSTMState, LSTMCache]:
    """One step with peepholes: x (B, D) -> y = h (B, H), the next state, the cache."""
    _require("peephole_step", params, x, state, PeepholeParams, blocks=4)
    require_shape("peephole_step", "params.p", params.p, 3, params.W_h.shape[1], why="from params.W_h")
    p_i, p_f, p_o = params.p
    z = x @ params.W_x.T + state.h @ params.W_h.T + params.b
    z_i, z_f, z_g, z_o = np.split(z, 4, axis=1)
    i, f, g = sigmoid(z_i + state.s * p_i), sigmoid(z_f + state.s * p_f), np.tanh(z_g)
    s = g * i + state.s * f
    o = sigmoid(z_o + s * p_o)
    phi_s = np.tanh(s)
    h = phi_s * o
    return h, LSTMState(h, s), LSTMCache(x, state, (i, f, g, o), s, phi_s)


def peephole_step_backward(
    params: PeepholeParams, cache: LSTMCache, dy: Array, dstate: LSTMState
) -> tuple[PeepholeParams, Array, LSTMState]:
    """Gradients as in `lstm_step_backward`, with three more paths to the internal state."""
    _require_gradients("peephole_step_backward", cache, dy, dstate)
    i, f, g, o = cache.gates
    p_i, p_f, p_o = params.p
    dh = dy + dstate.h
    dz_o = dh * cache.phi_s * o * (1 - o)
    ds = dstate.s + dh * o * (1 - cache.phi_s**2) + dz_o * p_o
    dz_g = ds * i * (1 - g**2)
    dz_f = ds * cache.prev.s * f * (1 - f)
    dz_i = ds * g * i * (1 - i)
    dz = np.concatenate([dz_i, dz_f, dz_g, dz_o], axis=1)
    dp = np.stack([(dz_i * cache.prev.s).sum(axis=0), (dz_f * cache.prev.s).sum(axis=0), (dz_o * cache.s).sum(axis=0)])
    dparams = PeepholeParams(W_x=dz.T @ cache.x, W_h=dz.T @ cache.prev.h, b=dz.sum(axis=0), p=dp)
    return dparams, dz @ params.W_x, LSTMState(h=dz @ params.W_h, s=ds * f + dz_i * p_i + dz_f * p_f)


PeepholeLSTM = Cell(peephole_init, lstm_initial_state, peephole_step, peephole_step_backward)

# --- what all three ask of their arguments


def _require(function: str, params: Any, x: Array, state: LSTMState, kind: type, blocks: int) -> None:
    require_kind(function, "params", params, kind)
    require_kind(function, "state", state, LSTMState)
    require_step(function, params, x, h=state.h, s=state.s)
    require_rows(function, blocks * params.W_h.shape[1], W_x=params.W_x, W_h=params.W_h, b=params.b)


def _require_gradients(function: str, cache: LSTMCache, dy: Array, dstate: LSTMState) -> None:
    require_kind(function, "dstate", dstate, LSTMState)
    require_gradient(function, "dy", dy, cache.s, why="as y")
    require_gradient(function, "dstate.h", dstate.h, cache.s, why="as state.h")
    require_gradient(function, "dstate.s", dstate.s, cache.s, why="as state.s")
