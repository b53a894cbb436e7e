"""What the fast layers share: a sequence cut into blocks of steps, and arrays with the batch as their last axis.

Why these layers are faster than `unroll`, with what each idea saves:

stacked rows     One array holds x, 1 and h of the step before below each other, so that one product with [W_x b W_h] gives all
                 gates with their biases. The gradient of all weights is one product too, for many steps at once.
feature-major    Arrays are (steps, units, B), not (steps, B, units): the rows of one gate lie in one piece of memory, whatever
                 the batch, and no operation has to skip from row to row.
one tanh         sigma(z) = (1 + tanh(z / 2)) / 2. With the 1/2 inside put into the weights, one call squashes all gates.
slopes first     Only the recurrence itself must go step by step. On the way back everything but the arriving gradients is known:
                 all products of gates and derivatives are formed for a block at once, and the loop only multiplies by dh.
blocks           A block is small enough to stay in the processor's cache between these passes, and the memory it took
                 is used again for the next one. Asking the system for fresh memory can cost more than filling it.
out=             NumPy writes into arrays that exist; views of them are made by `zip`, which is cheaper than indexing.

A mask of prefixes costs nothing in the loop: padding comes after all that counts, so the steps there may compute anything as
long as the state is taken from the last real step, and the error of the last state is put in there.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from companion.bptt import Mask, require_mask, require_sequence, require_state
from companion.tree import Array
from companion.validate import (
    require_dtype,
    require_finite,
    require_float,
    require_kind,
    require_rows,
    require_shape,
    require_step,
)

# Steps times batch in a block: with fewer it takes longer to add up the weights' gradients of all blocks, with more a block
# leaves the cache. Measured; between 256 and 1024 there is little difference.
COLUMNS = 512


def spans(steps: int, batch: int) -> list[slice]:
    """The blocks of a sequence, in order."""
    size = max(1, COLUMNS // batch)
    return [slice(start, min(start + size, steps)) for start in range(0, steps, size)]


# --- forward


class Kind(NamedTuple):
    """What a layer's arguments are made of."""

    params: type
    state: type
    initial_state: Callable[..., Any]  # (params, batch) -> state
    gates: int  # blocks of H rows in the weights


def begin(function: str, kind: Kind, params: Any, xs: Array, state: Any, mask: Mask | None) -> Any:
    """The state to begin with, once all is checked; errors as those of `unroll` and of the cell's step."""
    require_sequence(function, xs)
    require_kind(function, "params", params, kind.params)
    state = kind.initial_state(params, xs.shape[1]) if state is None else state
    require_kind(function, "state", state, kind.state)
    require_state(function, "state", state, xs.shape[1])
    if mask is not None:
        require_mask(function, mask, *xs.shape[:2])
    require_step(function, params, xs[0], **state._asdict())
    require_rows(function, kind.gates * params.W_h.shape[1], W_x=params.W_x, W_h=params.W_h, b=params.b)
    return state


def for_steps(W: Array, batch: int) -> Array:
    """The weights of the loop's product; those of a matrix and one vector are quicker column after column."""
    return np.asfortranarray(W) if batch == 1 else np.ascontiguousarray(W)


def stacked(xs: Array, h: Array) -> Array:
    """Rows x, 1, h for the steps of a block, and one more for its last h: xs (n, B, D), h (B, H) -> (n + 1, D + 1 + H, B).

    The rows h are empty but for the first step: the loop fills them.
    """
    (n, B, D), H = xs.shape, h.shape[1]
    rows = np.empty((n + 1, D + 1 + H, B), xs.dtype)
    rows[:n, :D] = xs.transpose(0, 2, 1)
    rows[:, D] = 1
    rows[0, D + 1 :] = h.T
    return rows


def last(states: Array, mask: Mask | None) -> Array:
    """The state (B, H) after the last real step of a block, of states (n + 1, H, B) that begin before its first step."""
    n, _, B = states.shape
    ends = np.full(B, n - 1) if mask is None else mask.sum(axis=0)
    state: Array = states[ends, :, np.arange(B)]
    return state


# --- backward


def begin_backward(
    function: str, kind: Kind, params: Any, shape: tuple[int, int, int], mask: Mask | None, dys: Array, dstate: Any
) -> tuple[Array, Any]:
    """The errors of all outputs (T, B, H) and of the last state, once all is checked; errors as those of `unroll_backward`.

    With a mask, those of padded steps become 0, and that of the last h moves to the last real step of its sequence.
    """
    _, B, H = shape
    dtype, why = params.W_x.dtype, "as params.W_x"
    require_float(function, "dys", dys)
    require_shape(function, "dys", dys, *shape, why="as ys")
    require_dtype(function, "dys", dys, dtype, why)
    require_finite(function, "dys", dys)
    dstate = kind.initial_state(params, B) if dstate is None else dstate
    require_kind(function, "dstate", dstate, kind.state)
    require_state(function, "dstate", dstate, B)
    for name, array in dstate._asdict().items():
        require_shape(function, f"dstate.{name}", array, B, H, why=f"as state.{name}")
        require_dtype(function, f"dstate.{name}", array, dtype, why)
    if mask is not None:
        dys = np.where(mask[:, :, None], dys, np.zeros_like(dys))
        dys[mask.sum(axis=0) - 1, np.arange(B)] += dstate.h
        dstate = dstate._replace(h=np.zeros_like(dstate.h))
    return dys, dstate


def columns(rows: Array) -> Array:
    """(n, rows, B) -> (rows, n B), so that one product sums over steps and batch."""
    return rows.transpose(1, 0, 2).reshape(rows.shape[1], -1)
