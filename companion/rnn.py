"""Simple recurrent networks: Elman's, Jordan's, and a single unit that feeds itself (chapter *Recurrent networks*).

Review, section 3. Elman 1990 feeds the hidden units back, Jordan 1986 the outputs, through context units c that also keep a
part of their own value:

    Elman     h = phi(x W_x^T + h' W_h^T + b)           h' is h one step before; y = h, read out by a layer above
    Jordan    h = phi(x W_x^T + c' W_h^T + b)           y = phi_y(h W_y^T + b_y)           c = decay c' + y

Backward, line by line in reverse: dz = dh phi'(z), dW_x = dz^T x, dW_h = dz^T h', db = sum_B dz, dx = dz W_x, dh' = dz W_h.
A single self-connected unit is `elman(LINEAR)` or `elman(TANH)` with one hidden unit. The penalty that keeps gradients from
vanishing is that of Pascanu et al. 2013, eq. 9.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from companion.bptt import Cell
from companion.ops import SIGMOID, TANH, Activation
from companion.tree import Array
from companion.validate import (
    require_dtype,
    require_finite,
    require_float,
    require_gradient,
    require_instance,
    require_kind,
    require_range,
    require_rows,
    require_shape,
    require_sizes,
    require_step,
)

LINEAR = Activation(lambda z: z, lambda y, dy: dy)

# --- Elman


class ElmanParams(NamedTuple):
    """Parameters of `Elman`."""

    W_x: Array  # (H, D) input weights
    W_h: Array  # (H, H) recurrent weights
    b: Array  # (H,)


class ElmanState(NamedTuple):
    """State of `Elman`."""

    h: Array  # (B, H) hidden values


class ElmanCache(NamedTuple):
    """What one step keeps for the way back."""

    x: Array  # (B, D)
    h_prev: Array  # (B, H)
    h: Array  # (B, H)


def elman_init(rng: np.random.Generator, n_in: int, n_hidden: int, dtype: Any = np.float64) -> ElmanParams:
    """Weights uniform in +-1 / sqrt(n_hidden), as `torch.nn.RNN` has them, and zero biases."""
    require_sizes("elman_init", rng, dtype, n_in=n_in, n_hidden=n_hidden)
    limit = 1 / np.sqrt(n_hidden)
    W_x = rng.uniform(-limit, limit, (n_hidden, n_in)).astype(dtype)
    W_h = rng.uniform(-limit, limit, (n_hidden, n_hidden)).astype(dtype)
    return ElmanParams(W_x, W_h, np.zeros(n_hidden, dtype))


def elman_initial_state(params: ElmanParams, batch: int) -> ElmanState:
    """Zeros (B, H)."""
    return ElmanState(np.zeros((batch, params.W_h.shape[1]), params.W_h.dtype))


def elman_step(
    params: ElmanParams, x: Array, state: ElmanState, activation: Activation = TANH
) -> tuple[Array, ElmanState, ElmanCache]:
    """One step: x (B, D) -> y = h (B, H), the next state, the cache. Raises ValueError for shapes or dtypes that do not fit."""
    require_kind("elman_step", "params", params, ElmanParams)
    require_kind("elman_step", "state", state, ElmanState)
    require_step("elman_step", params, x, h=state.h)
    require_rows("elman_step", params.W_h.shape[1], W_x=params.W_x, W_h=params.W_h, b=params.b)
    z = x @ params.W_x.T + state.h @ params.W_h.T + params.b
    h = activation.forward(z)
    return h, ElmanState(h), ElmanCache(x, state.h, h)


def elman_step_backward(
    params: ElmanParams, cache: ElmanCache, dy: Array, dstate: ElmanState, activation: Activation = TANH
) -> tuple[ElmanParams, Array, ElmanState]:
    """Gradients of the parameters, of x and of the state before, from those of y (B, H) and of the state after."""
    require_kind("elman_step_backward", "dstate", dstate, ElmanState)
    require_gradient("elman_step_backward", "dy", dy, cache.h, why="as y")
    require_gradient("elman_step_backward", "dstate.h", dstate.h, cache.h, why="as state.h")
    dh = dy + dstate.h  # h is both the output and the state
    dz = activation.backward(cache.h, dh)
    dparams = ElmanParams(W_x=dz.T @ cache.x, W_h=dz.T @ cache.h_prev, b=dz.sum(axis=0))
    return dparams, dz @ params.W_x, ElmanState(dz @ params.W_h)


def elman(activation: Activation = TANH) -> Cell:
    """An Elman cell whose units have this activation, such as `ops.SIGMOID` or `ops.RELU`."""
    require_instance("elman", "activation", activation, Activation, "such as ops.RELU")
    step = partial(elman_step, activation=activation)
    return Cell(elman_init, elman_initial_state, step, partial(elman_step_backward, activation=activation))


Elman = Cell(elman_init, elman_initial_state, elman_step, elman_step_backward)

# --- Jordan


class JordanParams(NamedTuple):
    """Parameters of `Jordan`."""

    W_x: Array  # (H, D) input weights
    W_h: Array  # (H, K) weights from the context to the hidden units
    b: Array  # (H,)
    W_y: Array  # (K, H) output weights
    b_y: Array  # (K,)


class JordanState(NamedTuple):
    """State of `Jordan`."""

    c: Array  # (B, K) context units: a fading sum of past outputs


class JordanCache(NamedTuple):
    """What one step keeps for the way back."""

    x: Array  # (B, D)
    c_prev: Array  # (B, K)
    h: Array  # (B, H)
    y: Array  # (B, K)


def jordan_init(
    rng: np.random.Generator, n_in: int, n_hidden: int, dtype: Any = np.float64, n_out: int | None = None
) -> JordanParams:
    """Weights uniform in +-1 / sqrt(n_hidden), zero biases; as many outputs as hidden units unless n_out is given."""
    n_out = n_hidden if n_out is None else n_out
    require_sizes("jordan_init", rng, dtype, n_in=n_in, n_hidden=n_hidden, n_out=n_out)
    limit = 1 / np.sqrt(n_hidden)
    W_x, W_h, W_y = (
        rng.uniform(-limit, limit, shape).astype(dtype)
        for shape in ((n_hidden, n_in), (n_hidden, n_out), (n_out, n_hidden))
    )
    return JordanParams(W_x, W_h, np.zeros(n_hidden, dtype), W_y, np.zeros(n_out, dtype))


def jordan_initial_state(params: JordanParams, batch: int) -> JordanState:
    """Zeros (B, K)."""
    return JordanState(np.zeros((batch, params.W_h.shape[1]), params.W_h.dtype))


def jordan_step(
    params: JordanParams,
    x: Array,
    state: JordanState,
    decay: float = 0.5,
    activation: Activation = TANH,
    output: Activation = SIGMOID,
) -> tuple[Array, JordanState, JordanCache]:
    """One step: x (B, D) -> y (B, K), the next state, the cache. Raises ValueError for shapes or dtypes that do not fit."""
    require_kind("jordan_step", "params", params, JordanParams)
    require_kind("jordan_step", "state", state, JordanState)
    require_step("jordan_step", params, x, c=state.c)
    require_rows("jordan_step", params.W_y.shape[1], W_x=params.W_x, W_h=params.W_h, b=params.b)
    require_rows("jordan_step", params.W_h.shape[1], W_y=params.W_y, b_y=params.b_y)
    h = activation.forward(x @ params.W_x.T + state.c @ params.W_h.T + params.b)
    y = output.forward(h @ params.W_y.T + params.b_y)
    return y, JordanState(decay * state.c + y), JordanCache(x, state.c, h, y)


def jordan_step_backward(
    params: JordanParams,
    cache: JordanCache,
    dy: Array,
    dstate: JordanState,
    decay: float = 0.5,
    activation: Activation = TANH,
    output: Activation = SIGMOID,
) -> tuple[JordanParams, Array, JordanState]:
    """Gradients of the parameters, of x and of the state before, from those of y (B, K) and of the state after."""
    require_kind("jordan_step_backward", "dstate", dstate, JordanState)
    require_gradient("jordan_step_backward", "dy", dy, cache.y, why="as y")
    require_gradient("jordan_step_backward", "dstate.c", dstate.c, cache.y, why="as state.c")
    dz_y = output.backward(cache.y, dy + dstate.c)  # y goes out and into the context
    dz = activation.backward(cache.h, dz_y @ params.W_y)
    dparams = JordanParams(dz.T @ cache.x, dz.T @ cache.c_prev, dz.sum(axis=0), dz_y.T @ cache.h, dz_y.sum(axis=0))
    return dparams, dz @ params.W_x, JordanState(dz @ params.W_h + decay * dstate.c)


def jordan(
    n_out: int | None = None, decay: float = 0.5, activation: Activation = TANH, output: Activation = SIGMOID
) -> Cell:
    """A Jordan cell: how many outputs, how much of itself the context keeps, the activations of hidden units and outputs."""
    require_range("jordan", "decay", decay, 0, 1, "[]")
    for name, phi in (("activation", activation), ("output", output)):
        require_instance("jordan", name, phi, Activation, "such as ops.RELU")
    settings: dict[str, Any] = {"decay": float(decay), "activation": activation, "output": output}
    step, step_backward = partial(jordan_step, **settings), partial(jordan_step_backward, **settings)
    return Cell(partial(jordan_init, n_out=n_out), jordan_initial_state, step, step_backward)


Jordan = jordan()

# --- Pascanu's regulariser


def gradient_norm_penalty(params: ElmanParams, dzs: Array, dhs: Array) -> tuple[float, Array]:
    """Omega, summed over steps and averaged over the batch, and the gradient of W_h (H, H) of the penalty.

    Omega = sum_t (||dz^t W_h|| / ||dh^t|| - 1)^2 is zero when going one step back changes no gradient's length. As in the
    paper its gradient is the immediate one: dzs and dhs (T, B, H), the gradients before and behind the activation, count as
    given. Raises ValueError when their shapes differ or a dh is zero, which has no length to keep.
    """
    require_kind("gradient_norm_penalty", "params", params, ElmanParams)
    for name, array in (("dzs", dzs), ("dhs", dhs)):
        require_float("gradient_norm_penalty", name, array)
        require_dtype("gradient_norm_penalty", name, array, params.W_h.dtype, why="as params.W_h")
        require_finite("gradient_norm_penalty", name, array)
    require_shape("gradient_norm_penalty", "dzs", dzs, "T", "B", len(params.W_h), why="from params.W_h")
    require_shape("gradient_norm_penalty", "dhs", dhs, *dzs.shape, why="as dzs")
    largest = np.abs(dhs).max(axis=2, keepdims=True)
    if not largest.all():
        raise ValueError("gradient_norm_penalty: dhs has a gradient of length 0, expected lengths above 0")
    dzs, dhs = dzs / largest, dhs / largest  # only ratios matter, and squares of vanished gradients would underflow
    before, after = dzs @ params.W_h, np.sqrt((dhs**2).sum(axis=2, keepdims=True))
    length = np.sqrt((before**2).sum(axis=2, keepdims=True))
    ratio = length / after
    slope = 2 * (ratio - 1) / after / np.where(length, length, 1) / dzs.shape[1]
    dW_h = np.einsum("tbi,tbj->ij", slope * dzs, before)
    return float(((ratio - 1) ** 2).sum() / dzs.shape[1]), dW_h
