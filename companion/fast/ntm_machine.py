"""What a machine of `fast.ntm` is made of, and what it asks of its arguments: errors as those of `unroll` and of a step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from companion.addressing import SQUARED_NORM_FLOOR
from companion.bptt import Cell, Mask, require_mask, require_sequence, require_state
from companion.fast.ntm_forward import Heads, Tape, head_blocks, split_heads
from companion.heads import NTMSizes, head_slices
from companion.lstm import LSTM, LSTMParams, LSTMState
from companion.ntm import Feedforward, FeedforwardParams, NoState, NTMParams, NTMState
from companion.tree import Array, Indices, tree_items
from companion.validate import require_dtype, require_finite, require_float, require_kind, require_shape


class Kind(NamedTuple):
    """What differs between controllers."""

    params: type
    state: type
    order: list[int]  # in which the blocks of gates stand here: o, i, f, g of i, f, g, o
    recurrent: bool  # whether it sees its last h


def kind_of(controller: Cell) -> Kind:
    """The `Kind` of a controller, however that is initialised. Raises ValueError for one whose steps are not written here."""
    kinds = (
        (LSTM, Kind(LSTMParams, LSTMState, [3, 0, 1, 2], True)),
        (Feedforward, Kind(FeedforwardParams, NoState, [0], False)),
    )
    for cell, kind in kinds:
        if controller[1:] == cell[1:]:
            return kind
    raise ValueError(f"ntm: controller is {controller!r:.60}, expected lstm.LSTM or ntm.Feedforward")


class Loops(NamedTuple):
    """The two loops over time; they write into the arrays they are given."""

    forward: Callable[..., None]  # (sizes, weights, tape)
    backward: Callable[..., None]  # (sizes, weights, tape, gradients)


class Machine(NamedTuple):
    """What an NTM is made of."""

    cell: Cell
    kind: Kind
    sizes: NTMSizes
    order: Indices  # (P,) where the parameters of the heads, in the order of `Heads`, stand in z
    loops: Loops


def head_order(sizes: NTMSizes) -> Indices:
    """Places (P,) in z, whose blocks stand as in `HeadParameters`, that bring its numbers into the order of `Heads`."""
    slices = head_slices(sizes)
    places: Indices = np.r_[tuple(getattr(slices, name) for name in Heads._fields)]
    return places


# --- forward


def begin(
    function: str, machine: Machine, params: NTMParams, xs: Array, state: NTMState | None, mask: Mask | None
) -> NTMState:
    """The state to begin with, once all is checked."""
    require_sequence(function, xs)
    H = _require_params(function, machine, params)
    (T, B, _), sizes = xs.shape, machine.sizes
    D = params.controller.W_x.shape[1] - sizes.read_heads * sizes.width
    require_shape(function, "xs", xs, T, B, D, why="from params.controller.W_x")
    require_dtype(function, "xs", xs, params.W_z.dtype, why="as params.W_z")
    state = machine.cell.initial_state(params, B) if state is None else state
    _require_state(function, "state", state, machine, (B, H, "N"), params.W_z.dtype)
    if 2 * sizes.shift_range + 1 > state.memory.shape[1]:
        raise ValueError(
            f"{function}: state.memory has {state.memory.shape[1]} rows, expected at least {2 * sizes.shift_range + 1} "
            f"for a shift range of {sizes.shift_range}"
        )
    if mask is not None:
        require_mask(function, mask, T, B)
    return state


def _require_params(function: str, machine: Machine, params: NTMParams) -> int:
    """The number H of units, once all weights fit it."""
    require_kind(function, "params", params, NTMParams)
    require_kind(function, "params.controller", params.controller, machine.kind.params)
    P = sum(m * n for m, n in head_blocks(machine.sizes))
    require_shape(function, "params.W_z", params.W_z, P, "H", why="for these heads")
    require_shape(function, "params.b_z", params.b_z, P, why="for these heads")
    H: int = params.W_z.shape[1]
    G = len(machine.kind.order) * H
    axes: dict[str, tuple[Any, ...]] = {"W_x": (G, "D"), "W_h": (G, H), "b": (G,)}
    for name, array in params.controller._asdict().items():
        require_shape(function, f"params.controller.{name}", array, *axes[name], why="from params.W_z")
    for name, array in tree_items(params, "params"):
        require_dtype(function, name, array, params.W_z.dtype, why="as params.W_z")
    return H


def _require_state(
    function: str, name: str, state: NTMState, machine: Machine, axes: tuple[int, int, int | str], dtype: Any
) -> None:
    """Raise ValueError unless a state, or its gradient, fits the axes (B, H, N)."""
    (B, H, N), (_, M, R, W, _) = axes, machine.sizes
    require_kind(function, name, state, NTMState)
    require_kind(function, f"{name}.controller", state.controller, machine.kind.state)
    require_state(function, name, state, B)
    require_shape(function, f"{name}.memory", state.memory, B, N, M)
    shapes = [*[(B, H) for _ in state.controller], (B, N, M), (B, R + W, state.memory.shape[1]), (B, R, M)]
    for (path, array), shape in zip(tree_items(state, name), shapes, strict=True):
        require_shape(function, path, array, *shape)
        require_dtype(function, path, array, dtype, why="as params.W_z")


def require_heads(function: str, sizes: NTMSizes, tape: Tape, mask: Mask | None) -> None:
    """Raise ValueError where parameters of heads are what the stages of addressing refuse; steps on padding do not count."""
    heads, real = split_heads(sizes, tape.heads), np.ones((), bool) if mask is None else mask[:, :, None]
    if not (np.isfinite(tape.heads).all() and np.isfinite(tape.w).all()):
        w = tape.w[1:].max(axis=3)  # NaN if there is one
        names = np.repeat(Heads._fields, [m * n for m, n in head_blocks(sizes)]).tolist() + ["w"] * w.shape[2]
        values = np.concatenate([tape.heads, w], axis=2)
        _refuse(function, names, values, ~np.isfinite(values) & real, "finite numbers")
    # A norm of a key so small that it may be that of zeros.
    if (tape.key_norm < 2 * np.sqrt(SQUARED_NORM_FLOOR)).any():
        lengths = np.abs(heads.key).max(axis=3)
        zeros = (lengths == 0) & real
        _refuse(function, ["key"] * zeros.shape[2], lengths, zeros, "a vector with a direction: zeros have no cosine")


def _refuse(function: str, names: Sequence[str], values: Array, wrong: NDArray[np.bool_], expected: str) -> None:
    """Raise ValueError for the first wrong one of values (T, B, n) with these names."""
    if wrong.any():
        t, b, k = (int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"{function}: {names[k]} of a head is {values[t, b, k]} at step {t}, batch {b}, expected {expected}"
        )


# --- backward


def begin_backward(function: str, machine: Machine, tape: Tape, dys: Array, dstate: NTMState | None) -> None:
    """Errors as those of `unroll_backward`."""
    (T, B, G), (M, N), dtype = tape.gates.shape, tape.memory.shape[2:], tape.w.dtype
    H = G // len(machine.kind.order)
    require_float(function, "dys", dys)
    require_shape(function, "dys", dys, T, B, H + machine.sizes.read_heads * M, why="as ys")
    require_dtype(function, "dys", dys, dtype, why="as params")
    require_finite(function, "dys", dys)
    if dstate is not None:
        _require_state(function, "dstate", dstate, machine, (B, H, N), dtype)
