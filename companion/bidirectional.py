"""Bidirectional networks: two recurrent layers, one of which reads from the end (chapter *Bidirectional networks*).

Review, section 4.2; Schuster and Paliwal 1997. With any cell, here for Elman's:

    h^t = phi(x^t W_hx^T + h^(t-1) W_hh^T + b_h)        forward, from the first step
    z^t = phi(x^t W_zx^T + z^(t+1) W_zz^T + b_z)        backward, from the last step of each sequence
    y^t = [h^t, z^t]                                    side by side, for a layer above

The backward layer is the forward one on reversed input, its outputs reversed again. Sequences of a batch have different lengths:
each is reversed within its own, so that the backward layer begins at its last step and never sees the padding.
"""

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from companion.bptt import Cell, Layer, Mask, as_layer, require_mask, require_sequence
from companion.tree import Array
from companion.validate import require_finite, require_float, require_kind, require_shape


class BidirectionalParams(NamedTuple):
    """Parameters of two layers of one kind."""

    forward: Any
    backward: Any


class BidirectionalState(NamedTuple):
    """Initial states of both directions, or last ones: the backward layer ends at t = 1."""

    forward: Any
    backward: Any


class BidirectionalCache(NamedTuple):
    """What both directions keep for the way back."""

    forward: Any
    backward: Any
    mask: Mask | None  # (T, B)
    shape: tuple[int, ...]  # of ys


def bidirectional_init(
    cell: Cell | Layer, rng: np.random.Generator, n_in: int, n_hidden: int, dtype: Any = np.float64
) -> BidirectionalParams:
    """Two sets of random parameters; n_hidden is that of each direction, so that outputs have 2 n_hidden entries."""
    return BidirectionalParams(cell.init(rng, n_in, n_hidden, dtype), cell.init(rng, n_in, n_hidden, dtype))


def reverse(xs: Array, mask: Mask | None = None) -> Array:
    """Reverse every sequence of xs (T, B, ...) within its own length; padding stays where it is. Twice is the identity."""
    if mask is None:
        return xs[::-1].copy()
    require_mask("reverse", mask, *xs.shape[:2])
    steps, lengths = np.arange(len(xs))[:, None], mask.sum(axis=0)
    from_step = np.where(mask, lengths - 1 - steps, steps)
    reversed_xs: Array = xs[from_step, np.arange(xs.shape[1])]
    return reversed_xs


def bidirectional(
    cell: Cell | Layer,
    params: BidirectionalParams,
    xs: Array,
    state: BidirectionalState | None = None,
    mask: Mask | None = None,
) -> tuple[Array, BidirectionalState, BidirectionalCache]:
    """Run both directions over xs (T, B, D): ys (T, B, 2H), both last states, the cache. `cell` may be a faster layer.

    Raises ValueError as `bptt.unroll` does.
    """
    require_kind("bidirectional", "params", params, BidirectionalParams)
    require_sequence("bidirectional", xs)
    layer = as_layer(cell)
    state = BidirectionalState(None, None) if state is None else state
    require_kind("bidirectional", "state", state, BidirectionalState)
    hs, last_forward, forward = layer.forward(params.forward, xs, state.forward, mask)
    zs, last_backward, backward = layer.forward(params.backward, reverse(xs, mask), state.backward, mask)
    ys = np.concatenate([hs, reverse(zs, mask)], axis=2)
    return ys, BidirectionalState(last_forward, last_backward), BidirectionalCache(forward, backward, mask, ys.shape)


def bidirectional_backward(
    cell: Cell | Layer,
    params: BidirectionalParams,
    cache: BidirectionalCache,
    dys: Array,
    dstate: BidirectionalState | None = None,
) -> tuple[BidirectionalParams, Array, BidirectionalState]:
    """Gradients of both sets of parameters, of xs (T, B, D), which both directions read, and of both initial states."""
    require_float("bidirectional_backward", "dys", dys)
    require_shape("bidirectional_backward", "dys", dys, *cache.shape, why="as ys")
    require_finite("bidirectional_backward", "dys", dys)
    layer = as_layer(cell)
    dhs, dzs = np.split(dys, 2, axis=2)
    dstate = BidirectionalState(None, None) if dstate is None else dstate
    require_kind("bidirectional_backward", "dstate", dstate, BidirectionalState)
    dforward, dxs, dfirst = layer.backward(params.forward, cache.forward, dhs, dstate.forward)
    dbackward, dxs_reversed, dlast = layer.backward(
        params.backward, cache.backward, reverse(dzs, cache.mask), dstate.backward
    )
    dxs = dxs + reverse(dxs_reversed, cache.mask)
    return BidirectionalParams(dforward, dbackward), dxs, BidirectionalState(dfirst, dlast)


def both_ways(cell: Cell | Layer) -> Layer:
    """A cell or layer in both directions, as a layer: its parameters are `BidirectionalParams`."""
    return Layer(partial(bidirectional_init, cell), partial(bidirectional, cell), partial(bidirectional_backward, cell))
