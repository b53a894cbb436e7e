"""The neural Turing machine: a controller with a memory beside it (chapter *Neural Turing machines*; Graves et al. 2014).

    h = controller(x, r')                       r' what was read one step before; the controller is a cell, such as an LSTM
    z = h W_z^T + b_z                           one linear map for the parameters of all heads, blocks as in `companion.heads`
    w = address(key, strength, gate, s, sharpness; memory, w')          every head, in the four stages of `companion.addressing`
    r = read(memory, w_read)                    memory before this step's write, as for the addressing
    memory <- erase_add(memory, w_write, erase, add)
    y = [h, r]                                  a linear layer on top makes of it what the task asks for

The paper leaves open in which order a step reads and writes, and what a machine starts from. Here the controller's state and the
reads start at 0, every number of the memory at 1e-6 (Collier and Beel 2018), all heads at row 0, and none of this is learned. No
weight depends on the number of rows: a trained machine can be given a larger memory.
"""

from __future__ import annotations

from functools import partial
from math import prod
from typing import Any, NamedTuple

import numpy as np

from companion.addressing import EraseAddCache, ReadCache, erase_add, erase_add_backward, read, read_backward
from companion.bptt import Cell
from companion.heads import (
    AddressCache,
    HeadParameters,
    NTMSizes,
    address,
    address_backward,
    head_parameters,
    head_parameters_backward,
    head_shapes,
    head_slices,
    require_ntm_sizes,
)
from companion.lstm import LSTM, lstm_init
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
    require_whole,
)

MEMORY_START = 1e-6  # small, but not 0: a row of zeros has no direction that the gradient could turn
HEAD_RANGE = 2.0  # of W_z at first, in units of 1 / sqrt(n_hidden): heads that say little learn late
GATE_BIAS = -2.0  # of the interpolation gates at first: sigma of it is 0.12

# An LSTM whose forget gates start half closed. With the usual bias of 1 it remembers well enough to count the steps of a list,
# and then relies on counting where it should rely on its memory.
Controller = LSTM._replace(init=partial(lstm_init, forget_bias=0.0))

# --- a controller without a memory of its own


class FeedforwardParams(NamedTuple):
    """Parameters of `Feedforward`."""

    W_x: Array  # (H, D)
    b: Array  # (H,)


class NoState(NamedTuple):
    """The state of a controller that has none."""


class FeedforwardCache(NamedTuple):
    """What one step keeps for the way back."""

    x: Array  # (B, D)
    h: Array  # (B, H)


def feedforward_init(rng: np.random.Generator, n_in: int, n_hidden: int, dtype: Any = np.float64) -> FeedforwardParams:
    """Weights uniform in +-1 / sqrt(n_hidden), as those of the recurrent cells, and zero biases."""
    require_sizes("feedforward_init", rng, dtype, n_in=n_in, n_hidden=n_hidden)
    limit = 1 / np.sqrt(n_hidden)
    return FeedforwardParams(rng.uniform(-limit, limit, (n_hidden, n_in)).astype(dtype), np.zeros(n_hidden, dtype))


def feedforward_initial_state(params: FeedforwardParams, batch: int) -> NoState:
    """Nothing."""
    return NoState()


def feedforward_step(params: FeedforwardParams, x: Array, state: NoState) -> tuple[Array, NoState, FeedforwardCache]:
    """One step: x (B, D) -> y = tanh(x W_x^T + b) (B, H). Raises ValueError for shapes or dtypes that do not fit."""
    require_kind("feedforward_step", "params", params, FeedforwardParams)
    require_kind("feedforward_step", "state", state, NoState)
    require_shape("feedforward_step", "x", x, "B", params.W_x.shape[1], why="from params.W_x")
    require_dtype("feedforward_step", "x", x, params.W_x.dtype, why="as params.W_x")
    require_rows("feedforward_step", len(params.W_x), W_x=params.W_x, b=params.b)
    require_dtype("feedforward_step", "params.b", params.b, params.W_x.dtype, why="as params.W_x")
    h = np.tanh(x @ params.W_x.T + params.b)
    return h, state, FeedforwardCache(x, h)


def feedforward_step_backward(
    params: FeedforwardParams, cache: FeedforwardCache, dy: Array, dstate: NoState
) -> tuple[FeedforwardParams, Array, NoState]:
    """Gradients of the parameters and of x from that of y (B, H)."""
    require_kind("feedforward_step_backward", "dstate", dstate, NoState)
    require_gradient("feedforward_step_backward", "dy", dy, cache.h, why="as y")
    dz = dy * (1 - cache.h**2)
    return FeedforwardParams(dz.T @ cache.x, dz.sum(axis=0)), dz @ params.W_x, dstate


Feedforward = Cell(feedforward_init, feedforward_initial_state, feedforward_step, feedforward_step_backward)

# --- the machine


class NTMParams(NamedTuple):
    """Parameters of an NTM."""

    controller: Any  # of a cell with R M more inputs than the machine
    W_z: Array  # (P, H) from the controller to the parameters of all heads
    b_z: Array  # (P,)


class NTMState(NamedTuple):
    """State of an NTM: the memory is a part of it, and of nothing else."""

    controller: Any
    memory: Array  # (B, N, M)
    w: Array  # (B, K, N)
    reads: Array  # (B, R, M)


class NTMCache(NamedTuple):
    """What one step keeps for the way back."""

    h: Array  # (B, H)
    controller: Any
    heads: HeadParameters
    address: AddressCache
    read: ReadCache
    written: EraseAddCache


def ntm_init(
    controller: Cell,
    sizes: NTMSizes,
    gate_bias: float,
    rng: np.random.Generator,
    n_in: int,
    n_hidden: int,
    dtype: Any = np.float64,
) -> NTMParams:
    """The controller's own weights, W_z uniform in +-2 / sqrt(n_hidden), b_z in half of that, but for the gates' biases.

    A negative `gate_bias` lets a new machine stay where it is rather than look for a key.
    """
    require_sizes("ntm_init", rng, dtype, n_in=n_in, n_hidden=n_hidden)
    inner = controller.init(rng, n_in + sizes.read_heads * sizes.width, n_hidden, dtype)
    P, limit = sum(map(prod, head_shapes(sizes))), 1 / np.sqrt(n_hidden)
    W_z = (HEAD_RANGE * rng.uniform(-limit, limit, (P, n_hidden))).astype(dtype)
    b_z = rng.uniform(-limit, limit, P).astype(dtype)
    b_z[head_slices(sizes).gate] = gate_bias
    return NTMParams(inner, W_z, b_z)


def ntm_initial_state(
    controller: Cell, sizes: NTMSizes, params: NTMParams, batch: int, rows: int | None = None
) -> NTMState:
    """Controller and reads at 0, memory at 1e-6, every head wholly at row 0: memory (B, N, M), w (B, K, N), reads (B, R, M).

    `rows` gives it another N than its own. Raises ValueError for parameters of another kind, a batch or rows that are not whole
    numbers of at least 1, and fewer rows than shifts.
    """
    require_kind("ntm_initial_state", "params", params, NTMParams)
    require_whole("ntm_initial_state", "batch", batch, 1)
    dtype, heads = params.W_z.dtype, sizes.read_heads + sizes.write_heads
    rows = sizes.rows if rows is None else rows
    require_ntm_sizes("ntm_initial_state", sizes._replace(rows=rows))
    w = np.zeros((batch, heads, rows), dtype)
    w[:, :, 0] = 1
    return NTMState(
        controller.initial_state(params.controller, batch),
        np.full((batch, rows, sizes.width), MEMORY_START, dtype),
        w,
        np.zeros((batch, sizes.read_heads, sizes.width), dtype),
    )


def ntm_step(
    controller: Cell, sizes: NTMSizes, params: NTMParams, x: Array, state: NTMState
) -> tuple[Array, NTMState, NTMCache]:
    """One step: x (B, D) -> y = [h, reads] (B, H + R M), the next state, the cache.

    The state may have another number of rows than `sizes`. Raises ValueError for shapes or dtypes that do not fit, and for what
    the stages of addressing refuse, such as parameters of heads that are not finite.
    """
    _require("ntm_step", sizes, params, x, state)
    seen = np.concatenate([x, state.reads.reshape(len(x), -1)], axis=1)
    h, inner, controller_cache = controller.step(params.controller, seen, state.controller)
    require_shape("ntm_step", "params.W_z", params.W_z, len(params.b_z), h.shape[1], why="from the controller's output")
    heads = head_parameters(sizes, h @ params.W_z.T + params.b_z)
    w, addressed = address(heads, state.memory, state.w)
    reads, read_cache = read(state.memory, w[:, : sizes.read_heads])
    memory, written = erase_add(state.memory, w[:, sizes.read_heads :], heads.erase, heads.add)
    y = np.concatenate([h, reads.reshape(len(x), -1)], axis=1)
    cache = NTMCache(h, controller_cache, heads, addressed, read_cache, written)
    return y, NTMState(inner, memory, w, reads), cache


def ntm_step_backward(
    controller: Cell, sizes: NTMSizes, params: NTMParams, cache: NTMCache, dy: Array, dstate: NTMState
) -> tuple[NTMParams, Array, NTMState]:
    """Gradients of the parameters, of x and of the state before, from those of y (B, H + R M) and of the state after."""
    (B, H), R, M = cache.h.shape, sizes.read_heads, sizes.width
    _require_backward("ntm_step_backward", params, cache, dy, dstate, H + R * M)
    dreads = dstate.reads + dy[:, H:].reshape(B, R, M)  # what was read goes out, and to the controller's next step
    dmemory, dw_write, derase, dadd = erase_add_backward(cache.written, dstate.memory)
    dmemory_read, dw_read = read_backward(cache.read, dreads)
    dw = dstate.w + np.concatenate([dw_read, dw_write], axis=1)
    dheads, dmemory_addressed, dw_prev = address_backward(cache.address, dw)
    dz = head_parameters_backward(cache.heads, HeadParameters(*dheads, derase, dadd))
    dh = dy[:, :H] + dz @ params.W_z
    dcontroller, dseen, dinner = controller.step_backward(params.controller, cache.controller, dh, dstate.controller)
    dx, dreads_prev = dseen[:, : -R * M], dseen[:, -R * M :].reshape(B, R, M)
    # The memory was written to, read and addressed: three shares, whose order in the sum matters only for rounding.
    dstate_prev = NTMState(dinner, dmemory + dmemory_read + dmemory_addressed, dw_prev, dreads_prev)
    return NTMParams(dcontroller, dz.T @ cache.h, dz.sum(axis=0)), dx, dstate_prev


def ntm(
    controller: Cell = Controller,
    rows: int = 128,
    width: int = 20,
    read_heads: int = 1,
    write_heads: int = 1,
    shift_range: int = 1,
    gate_bias: float = GATE_BIAS,
) -> Cell:
    """A neural Turing machine around this controller: `Controller`, `lstm.LSTM`, `Feedforward`, or another cell.

    Raises ValueError for sizes that are not whole numbers of at least 1 (the shift range may be 0), and when two shifts reach
    the same row round the end.
    """
    require_instance("ntm", "controller", controller, Cell, "such as lstm.LSTM")
    sizes = NTMSizes(rows, width, read_heads, write_heads, shift_range)
    require_ntm_sizes("ntm", sizes)
    require_range("ntm", "gate_bias", gate_bias, -np.inf, np.inf, "()")
    return Cell(
        partial(ntm_init, controller, sizes, gate_bias),
        partial(ntm_initial_state, controller, sizes),
        partial(ntm_step, controller, sizes),
        partial(ntm_step_backward, controller, sizes),
    )


NTM = ntm()

# --- what both ask of their arguments


def _require(function: str, sizes: NTMSizes, params: NTMParams, x: Array, state: NTMState) -> None:
    require_kind(function, "params", params, NTMParams)
    require_kind(function, "state", state, NTMState)
    require_float(function, "params.W_z", params.W_z)
    dtype = params.W_z.dtype
    expected, K = sum(map(prod, head_shapes(sizes))), sizes.read_heads + sizes.write_heads
    require_shape(function, "params.W_z", params.W_z, expected, "H", why="for these heads")
    require_shape(function, "params.b_z", params.b_z, expected, why="for these heads")
    require_dtype(function, "params.b_z", params.b_z, dtype, why="as params.W_z")
    require_dtype(function, "x", x, dtype, why="as params.W_z")
    require_shape(function, "x", x, "B", "D")
    for name in ("memory", "w", "reads"):
        require_dtype(function, f"state.{name}", getattr(state, name), dtype, why="as params.W_z")
        require_finite(function, f"state.{name}", getattr(state, name))
    require_shape(function, "state.memory", state.memory, len(x), "N", sizes.width)
    require_shape(function, "state.w", state.w, len(x), K, state.memory.shape[1], why="from state.memory")
    require_shape(function, "state.reads", state.reads, len(x), sizes.read_heads, sizes.width)


def _require_backward(
    function: str, params: NTMParams, cache: NTMCache, dy: Array, dstate: NTMState, n_out: int
) -> None:
    require_kind(function, "params", params, NTMParams)
    require_kind(function, "dstate", dstate, NTMState)
    require_shape(function, "dy", dy, len(cache.h), n_out, why="as y")
    require_dtype(function, "dy", dy, cache.h.dtype, why="as y")
    (B, R, _), M = cache.read.w.shape, cache.read.memory.shape[2]
    shapes = {"memory": cache.read.memory.shape, "w": cache.address.sharpen.w.shape, "reads": (B, R, M)}
    for name, shape in shapes.items():
        require_shape(function, f"dstate.{name}", getattr(dstate, name), *shape, why="as the state")
        require_dtype(function, f"dstate.{name}", getattr(dstate, name), cache.h.dtype, why="as the state")
