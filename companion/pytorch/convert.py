"""Weights of `torch.nn.RNN`, `torch.nn.LSTM` and `torch.nn.GRU` to the parameters of this package, and back.

The blocks of gates stand in the same order. `torch.nn` adds two biases where one is enough: `from_torch` folds them into their
sum, `to_torch` writes ours into `bias_ih` and zeros into `bias_hh`. Only the candidate of the GRU needs both: its b_n, which the
reset gate multiplies, is the last block of `bias_hh`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn

from companion.bidirectional import BidirectionalParams
from companion.gru import GRUParams
from companion.lstm import LSTMParams
from companion.rnn import ElmanParams
from companion.tree import Array, tree_items
from companion.validate import require_dtype, require_float, require_shape

Layers: TypeAlias = "nn.RNN | nn.LSTM | nn.GRU"  # in quotes: the API page is built without torch
KINDS: dict[type, tuple[Any, int]] = {
    ElmanParams: (nn.RNN, 1),
    LSTMParams: (nn.LSTM, 4),
    GRUParams: (nn.GRU, 3),
}
KNOWN = "ElmanParams, LSTMParams or GRUParams, a BidirectionalParams of two, or a tuple of layers that are all alike"


def to_torch(params: Any, nonlinearity: str = "tanh") -> Layers:
    """A `torch.nn.RNN`, `LSTM` or `GRU` with these weights, in their dtype; a tuple of parameters is one of several layers.

    ElmanParams do not tell the activation of their units: `nonlinearity` is "tanh" or "relu". Raises ValueError for parameters
    that torch.nn has no module for (without a forget gate, with peepholes, Jordan's, Cho's), and for shapes that do not fit.
    """
    layers = params if type(params) is tuple else (params,)
    directions = [tuple(layer) if isinstance(layer, BidirectionalParams) else (layer,) for layer in layers]
    kinds = {type(direction) for layer in directions for direction in layer}
    if len(kinds) != 1 or not kinds <= set(KINDS) or len({len(layer) for layer in directions}) != 1:
        received = ", ".join(sorted(kind.__name__ for kind in kinds)) or "no layers"
        raise ValueError(f"to_torch: params has {received}, expected {KNOWN}")
    kind = kinds.pop()
    if nonlinearity not in ("tanh", "relu") or (nonlinearity == "relu" and kind is not ElmanParams):
        raise ValueError(f"to_torch: nonlinearity is {nonlinearity!r}, expected 'tanh', or 'relu' for ElmanParams")
    build, blocks = KINDS[kind]
    first = directions[0][0]
    _require(params, first, blocks, len(directions[0]))
    settings: dict[str, Any] = {"nonlinearity": nonlinearity} if kind is ElmanParams else {}
    empty: Layers = build(
        first.W_x.shape[1],
        first.W_h.shape[1],
        num_layers=len(layers),
        bidirectional=len(directions[0]) == 2,
        dtype=torch.from_numpy(first.W_x).dtype,
        device="meta",  # draws no random numbers, only to overwrite them
        **settings,
    )
    module = empty.to_empty(device="cpu")
    with torch.no_grad():
        for name, weights in zip(_names(module), (w for layer in directions for w in layer), strict=True):
            for ours, array in _to_torch(weights):
                getattr(module, f"{ours}_{name}").copy_(torch.from_numpy(array))
    return module


def from_torch(module: Layers) -> Any:
    """The parameters in a `torch.nn.RNN`, `LSTM` or `GRU`, in its dtype: of one layer, or a tuple of several, bottom first.

    Its nonlinearity, dropout and batch_first are not weights: say them where you call the cell, whose axes are (T, B, D).
    Raises ValueError for another module, one without biases, or one with projections (`proj_size`).
    """
    build = {torch_type: kind for kind, (torch_type, _) in KINDS.items()}
    if type(module) not in build:
        raise ValueError(f"from_torch: module is a {type(module).__name__}, expected torch.nn.RNN, LSTM or GRU")
    if not module.bias:
        raise ValueError("from_torch: module has bias=False, expected bias=True; zero biases do the same")
    if module.proj_size:
        raise ValueError(
            f"from_torch: module has proj_size={module.proj_size}, expected 0: no cell here has a projection"
        )
    weights = [_from_torch(build[type(module)], module, name) for name in _names(module)]
    if module.bidirectional:
        weights = [BidirectionalParams(*pair) for pair in zip(weights[::2], weights[1::2], strict=True)]
    return tuple(weights) if module.num_layers > 1 else weights[0]


def _names(module: Layers) -> Iterator[str]:
    """The endings of the names of weights: l0, l0_reverse, l1, ..."""
    for index in range(module.num_layers):
        yield from (f"l{index}", f"l{index}_reverse") if module.bidirectional else (f"l{index}",)


def _to_torch(params: Any) -> Iterator[tuple[str, Array]]:
    bias_hh = np.zeros_like(params.b)
    if isinstance(params, GRUParams):
        bias_hh[-len(params.b_n) :] = params.b_n
    yield from (("weight_ih", params.W_x), ("weight_hh", params.W_h), ("bias_ih", params.b), ("bias_hh", bias_hh))


def _from_torch(kind: Any, module: Layers, name: str) -> Any:
    W_x, W_h, bias_ih, bias_hh = (
        getattr(module, f"{theirs}_{name}").detach().cpu().numpy().copy()
        for theirs in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    if kind is not GRUParams:
        return kind(W_x, W_h, bias_ih + bias_hh)
    bias_ih[: -module.hidden_size] += bias_hh[: -module.hidden_size]
    return GRUParams(W_x, W_h, bias_ih, bias_hh[-module.hidden_size :].copy())


def _require(params: Any, first: Any, blocks: int, n_directions: int) -> None:
    """Raise ValueError unless all arrays have the dtype of the first W_x, and shapes that follow from it and the first W_h."""
    require_float("to_torch", "params.W_x", first.W_x)
    require_shape("to_torch", "params.W_x", first.W_x, "rows", "D")
    require_shape("to_torch", "params.W_h", first.W_h, "rows", "H")
    H, n_in = first.W_h.shape[1], first.W_x.shape[1]
    why = f"for {blocks} blocks of H={H} rows" + (" (i, f, g, o)" if blocks == 4 else "")
    for path, array in tree_items(params):
        layer, name = path.split(".")[0], path.split(".")[-1]
        n_below = n_directions * H if layer.isdigit() and layer != "0" else n_in
        shapes = {"W_x": (blocks * H, n_below), "W_h": (blocks * H, H), "b": (blocks * H,), "b_n": (H,)}
        require_dtype("to_torch", f"params.{path}", array, first.W_x.dtype, why="as the first W_x")
        require_shape("to_torch", f"params.{path}", array, *shapes[name], why=why)
