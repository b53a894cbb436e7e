"""What a machine of `fast.ntm` is made of, and what it asks of its arguments. Errors as those of `unroll` and of the cell's step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from companion.bptt import Cell, Mask, require_mask, require_sequence, require_state
from companion.fast.ntm_forward import Heads, Tape, head_blocks, split_heads
from companion.heads import NTMSizes
from companion.lstm import LSTM, LSTMParams, LSTMState
from companion.ntm import Feedforward, FeedforwardParams, NoState, NTMParams, NTMState
from companion.tree import Array, tree_items
from companion.validate import require_dtype, require_finite, require_float, require_kind, require_shape


class Kind(NamedTuple):
    """What differs between controllers."""

    params: type
    state: type
    order: list[int]  # in which the blocks of gates stand here: o, i, f, g of i, f, g, o
    recurrent: bool  # whether it sees its last h


KINDS = {  # by the step of the controller: how it is initialised makes no difference here
    LSTM.step: Kind(LSTMParams, LSTMState, [3, 0, 1, 2], True),
    Feedforward.step: Kind(FeedforwardParams, NoState, [0], False),
}


class Loops(NamedTuple):
    """The two loops over time; they write into the arrays they are given."""

    forward: Callable[..., None]  # (sizes, weights, tape)
    backward: Callable[..., None]  # (sizes, weights, tape, gradients)


class Machine(NamedTuple):
    """What an NTM is made of."""

    cell: Cell
    kind: Kind
    sizes: NTMSizes
    loops: Loops


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
    H = params.W_z.shape[1]
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
    wrong = ~np.isfinite(tape.heads)
    if mask is not None:
        wrong &= mask[:, :, None]
    if wrong.any():
        t, b, p = (int(k) for k in np.argwhere(wrong)[0])
        name = np.repeat(Heads._fields, [m * n for m, n in head_blocks(sizes)])[p]
        received = tape.heads[t, b, p]
        raise ValueError(f"{function}: {name} of a head is {received} at step {t}, batch {b}, expected finite numbers")
    heads = split_heads(sizes, tape.heads)
    faults = (
        ("key of a head is all zeros", ~heads.key.any(axis=3), "a vector with a direction: 0 has no cosine"),
        ("strength of a head is 0", heads.strength[..., 0] <= 0, "numbers above 0"),
        ("w of a head is not finite", ~np.isfinite(tape.w[1:]).all(axis=3), "numbers in 0 ... 1"),
    )
    for fault, of_head, expected in faults:
        where = of_head.any(axis=2) if mask is None else of_head.any(axis=2) & mask
        if where.any():
            t, b = (int(k) for k in np.argwhere(where)[0])
            raise ValueError(f"{function}: {fault} at step {t}, batch {b}, expected {expected}")


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
