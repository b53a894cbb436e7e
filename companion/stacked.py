"""Layers of recurrent cells on top of each other, with dropout between them (chapter *LSTM and GRU*; review, section 4).

The outputs of one layer are the inputs of the next. Each layer is plain or bidirectional, by the type of its parameters. Dropout
acts on what goes *up* from layer to layer, never on what goes from step to step (Zaremba et al. 2014), nor on the top outputs.
"""

from typing import Any, NamedTuple

import numpy as np

from companion.bidirectional import (
    BidirectionalParams,
    bidirectional,
    bidirectional_backward,
    bidirectional_init,
)
from companion.bptt import Cell, Layer, Mask, as_layer
from companion.ops import dropout, dropout_backward
from companion.tree import Array
from companion.validate import require_range, require_sizes


class StackedCache(NamedTuple):
    """What all layers keep for the way back."""

    layers: tuple[Any, ...]  # bottom first
    dropped: tuple[Array | None, ...]  # the dropout mask on each layer's input


def stacked_init(
    cell: Cell | Layer,
    rng: np.random.Generator,
    n_in: int,
    n_hidden: int,
    n_layers: int,
    dtype: Any = np.float64,
    both_ways: bool = False,
) -> tuple[Any, ...]:
    """Random parameters of `n_layers` layers, bottom first; each of two directions with n_hidden units if `both_ways`."""
    require_sizes("stacked_init", rng, dtype, n_in=n_in, n_hidden=n_hidden, n_layers=n_layers)
    layers: list[Any] = []
    for _ in range(n_layers):
        layers.append(
            bidirectional_init(cell, rng, n_in, n_hidden, dtype) if both_ways else cell.init(rng, n_in, n_hidden, dtype)
        )
        n_in = 2 * n_hidden if both_ways else n_hidden
    return tuple(layers)


def stacked(
    cell: Cell | Layer,
    params: tuple[Any, ...],
    xs: Array,
    state: tuple[Any, ...] | None = None,
    mask: Mask | None = None,
    dropout_rate: float = 0.0,
    rng: np.random.Generator | None = None,
) -> tuple[Array, tuple[Any, ...], StackedCache]:
    """Run all layers over xs (T, B, D): ys of the top layer, the last states, the cache. `rng` drops out if dropout_rate > 0.

    Raises ValueError as `bptt.unroll` does, for no layers, another number of states, or a dropout_rate without `rng`.
    """
    require_range("stacked", "dropout_rate", dropout_rate, 0, 1)
    if dropout_rate and rng is None:
        raise ValueError(f"stacked: dropout_rate is {dropout_rate} but rng is None, expected a np.random.Generator")
    if type(params) is not tuple or not params:  # one layer's parameters are a named tuple
        received = "0 layers" if type(params) is tuple else f"a {type(params).__name__}"
        raise ValueError(f"stacked: params is {received}, expected a tuple of at least 1 layer")
    state = (None,) * len(params) if state is None else state
    _require_layers("stacked", "state", state, len(params), "as params")
    last, caches, masks = [], [], []
    for index, (layer_params, layer_state) in enumerate(zip(params, state, strict=True)):
        dropped = None
        if index and dropout_rate and rng is not None:
            xs, dropped = dropout(xs, dropout_rate, rng)
        xs, after, cache = _forward(cell, layer_params, xs, layer_state, mask)
        last.append(after)
        caches.append(cache)
        masks.append(dropped)
    return xs, tuple(last), StackedCache(tuple(caches), tuple(masks))


def stacked_backward(
    cell: Cell | Layer,
    params: tuple[Any, ...],
    cache: StackedCache,
    dys: Array,
    dstate: tuple[Any, ...] | None = None,
) -> tuple[tuple[Any, ...], Array, tuple[Any, ...]]:
    """Gradients of all parameters, of xs (T, B, D) and of the initial states, from those of the top outputs and last states."""
    _require_layers("stacked_backward", "params", params, len(cache.layers), "as in the forward pass")
    dstate = (None,) * len(params) if dstate is None else dstate
    _require_layers("stacked_backward", "dstate", dstate, len(params), "as params")
    grads, dfirst = [], []
    for layer_params, kept, dropped, dlast in reversed(list(zip(params, *cache, dstate, strict=True))):
        dparams, dys, dinitial = _backward(cell, layer_params, kept, dys, dlast)
        if dropped is not None:
            dys = dropout_backward(dropped, dys)
        grads.append(dparams)
        dfirst.append(dinitial)
    return tuple(grads[::-1]), dys, tuple(dfirst[::-1])


def _require_layers(function: str, name: str, layers: tuple[Any, ...], n_layers: int, why: str) -> None:
    if type(layers) is not tuple or len(layers) != n_layers:
        received = f"has {len(layers)} layers" if type(layers) is tuple else f"is a {type(layers).__name__}"
        raise ValueError(f"{function}: {name} {received}, expected {n_layers} {why}")


def _forward(cell: Cell | Layer, params: Any, xs: Array, state: Any, mask: Mask | None) -> tuple[Array, Any, Any]:
    if isinstance(params, BidirectionalParams):
        return bidirectional(cell, params, xs, state, mask)
    return as_layer(cell).forward(params, xs, state, mask)


def _backward(cell: Cell | Layer, params: Any, cache: Any, dys: Array, dstate: Any) -> tuple[Any, Array, Any]:
    if isinstance(params, BidirectionalParams):
        return bidirectional_backward(cell, params, cache, dys, dstate)
    return as_layer(cell).backward(params, cache, dys, dstate)
