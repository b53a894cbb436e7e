"""One run, forward and backward, of our layers, of their twins, and of the modules in torch.nn."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from companion import ops
from companion.bidirectional import BidirectionalParams, BidirectionalState, bidirectional, bidirectional_backward
from companion.bptt import Cell, prefix_mask, unroll, unroll_backward
from companion.gru import GRU, GRUParams, GRUState
from companion.lstm import LSTM, LSTMParams, LSTMState
from companion.pytorch import copy_params, grads_like
from companion.pytorch import rnn as twin_rnn
from companion.pytorch.bidirectional import Bidirectional
from companion.pytorch.convert import from_torch
from companion.pytorch.stacked import Stacked
from companion.rnn import Elman, ElmanParams, ElmanState, elman
from companion.stacked import stacked, stacked_backward
from companion.tree import tree_items, tree_leaves, tree_map

T, B, D, H, K = 7, 3, 4, 5, 6
LENGTHS = np.array([4, 7, 1])
TOLERANCE = {np.float64: 1e-10, np.float32: 2e-5}


class Kind(NamedTuple):
    """A cell here and its module in torch.nn."""

    cell: Cell
    build: Callable[..., Any]  # (n_in, n_hidden, **settings) -> module
    params: Any
    state: Any


KINDS = {
    "RNN, tanh": Kind(Elman, nn.RNN, ElmanParams, ElmanState),
    "RNN, ReLU": Kind(elman(ops.RELU), partial(nn.RNN, nonlinearity="relu"), ElmanParams, ElmanState),
    "LSTM": Kind(LSTM, nn.LSTM, LSTMParams, LSTMState),
    "GRU": Kind(GRU, nn.GRU, GRUParams, GRUState),
}


class Run(NamedTuple):
    """What goes in and out of both passes; states in the nesting of the parameters."""

    ys: Any
    last: Any
    dparams: Any
    dxs: Any
    dstate: Any


class Given(NamedTuple):
    """Inputs and upstream gradients."""

    params: Any
    xs: Any
    state: Any
    mask: Any
    dys: Any
    dstate: Any


def require_equal(a: Any, b: Any, dtype: Any) -> None:
    assert type(a) is type(b)
    for (name, x), (other, y) in zip(tree_items(a), tree_items(b), strict=True):
        assert name == other
        assert x.dtype == y.dtype == dtype, name
        np.testing.assert_allclose(x, y, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype], err_msg=name, strict=True)
        assert np.abs(y).max() > 1e-3, f"{name} is nearly zero, so that nothing was compared"


def random_like(rng: np.random.Generator, tree: Any) -> Any:
    return tree_map(lambda a: rng.normal(size=a.shape).astype(a.dtype), tree)


def given(cell: Cell, params: Any, rng: np.random.Generator, lengths: Any = None, dtype: Any = np.float64) -> Given:
    """Random inputs, states and upstream gradients for every output and last state."""
    xs = rng.normal(size=(T, B, D)).astype(dtype)
    mask = None if lengths is None else prefix_mask(lengths, T)
    ys, last, _ = functions(params)[0](cell, params, xs, None, mask)
    state, dstate = random_like(rng, last), random_like(rng, last)
    return Given(params, xs, state, mask, random_like(rng, ys), dstate)


def functions(params: Any) -> tuple[Any, Any]:
    """Both passes, by the nesting of the parameters."""
    if isinstance(params, BidirectionalParams):
        return bidirectional, bidirectional_backward
    return (stacked, stacked_backward) if type(params) is tuple else (unroll, unroll_backward)


def ours(cell: Cell, g: Given) -> Run:
    forward, backward = functions(g.params)
    ys, last, cache = forward(cell, g.params, g.xs, g.state, g.mask)
    return Run(ys, last, *backward(cell, g.params, cache, g.dys, g.dstate))


# --- the twins


def tensors(tree: Any, requires_grad: bool = True) -> Any:
    return tree_map(lambda a: torch.tensor(a, requires_grad=requires_grad), tree)


def arrays(tree: Any) -> Any:
    return tree_map(lambda a: a.detach().numpy(), tree)


def send_back(outputs: Any, upstream: Any) -> None:
    torch.autograd.backward(tree_leaves(outputs), [torch.from_numpy(a) for a in tree_leaves(upstream)])


def of_twin(module: nn.Module, g: Given) -> Run:
    """The same of a twin, whose parameters are copied by name."""
    module = module.to(torch.from_numpy(g.xs).dtype)
    copy_params(g.params, module)
    module.zero_grad()
    xs, state = tensors(g.xs), tensors(g.state)
    mask = None if g.mask is None else torch.from_numpy(g.mask)
    whole = isinstance(module, Bidirectional | Stacked)
    ys, last = module(xs, state, mask) if whole else twin_rnn.unroll(module, xs, state, mask)
    send_back((ys, last), (g.dys, g.dstate))
    gradients = (xs.grad.numpy(), tree_map(lambda a: a.grad.numpy(), state))
    return Run(*arrays((ys, last)), grads_like(g.params, module), *gradients)


# --- torch.nn


def random_module(kind: Kind, rng: np.random.Generator, dtype: Any = np.float64, **settings: Any) -> Any:
    """A module with random weights and, unlike a new one, both biases large."""
    module = kind.build(D, H, **settings).to(torch.from_numpy(np.zeros(0, dtype)).dtype)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.from_numpy(rng.normal(scale=0.5, size=parameter.shape)))
    return module


def like(kind: Kind, module: Any, cells: list[Any], wrap: Any) -> Any:
    """One entry a layer and direction, nested as parameters are: wrap is BidirectionalParams or BidirectionalState."""
    if module.bidirectional:
        cells = [wrap(*pair) for pair in zip(cells[::2], cells[1::2], strict=True)]
    return tuple(cells) if module.num_layers > 1 else cells[0]


def flat(state: Any, kind: Kind) -> list[Any]:
    """The states of all layers and directions in torch's order."""
    return [state] if isinstance(state, kind.state) else [cell for part in state for cell in flat(part, kind)]


def of_module(kind: Kind, module: Any, g: Given) -> Run:
    """The same of torch.nn, on packed sequences where there is a mask."""
    xs = tensors(g.xs)
    parts = [torch.tensor(np.stack(part), requires_grad=True) for part in zip(*flat(g.state, kind), strict=True)]
    state = tuple(parts) if kind.state is LSTMState else parts[0]
    if g.mask is None:
        ys, last = module(xs, state)
    else:
        packed = pack_padded_sequence(xs, torch.from_numpy(g.mask.sum(axis=0)), enforce_sorted=False)
        packed_ys, last = module(packed, state)
        ys, _ = pad_packed_sequence(packed_ys, total_length=T)
    last = last if kind.state is LSTMState else (last,)
    upstream = [np.stack(part) for part in zip(*flat(g.dstate, kind), strict=True)]
    send_back((ys, *last), (g.dys, *upstream))

    def nested(stacks: Any) -> Any:
        cells = [kind.state(*(np.ascontiguousarray(a[index]) for a in stacks)) for index in range(len(stacks[0]))]
        return like(kind, module, cells, BidirectionalState)

    return Run(
        ys.detach().numpy(),
        nested(arrays(tuple(last))),
        like(kind, module, gradients_of(kind, module), BidirectionalParams),
        xs.grad.numpy(),
        nested([part.grad.numpy() for part in parts]),
    )


def gradients_of(kind: Kind, module: Any) -> list[Any]:
    """The two biases that torch adds have one gradient, but for the candidate of a GRU."""
    found = []
    for index in range(module.num_layers):
        for suffix in ("", "_reverse")[: 1 + module.bidirectional]:
            W_x, W_h, bias_ih, bias_hh = (
                getattr(module, f"{name}_l{index}{suffix}").grad.numpy()
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            if kind.params is GRUParams:
                require_equal(bias_ih[: 2 * H], bias_hh[: 2 * H], bias_ih.dtype.type)
                found.append(GRUParams(W_x, W_h, bias_ih, bias_hh[2 * H :]))
            else:
                require_equal(bias_ih, bias_hh, bias_ih.dtype.type)
                found.append(kind.params(W_x, W_h, bias_ih))
    return found


def check_module(kind: Kind, rng: np.random.Generator, dtype: Any, lengths: Any = None, **settings: Any) -> None:
    """The numbers of torch.nn equal ours, with the weights carried over by `from_torch`."""
    module = random_module(kind, rng, dtype, **settings)
    g = given(kind.cell, from_torch(module), rng, lengths, dtype)
    require_equal(ours(kind.cell, g), of_module(kind, module, g), dtype)
