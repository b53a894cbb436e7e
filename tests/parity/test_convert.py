"""Weights to torch.nn and back: exact round trips, folded biases, what torch.nn has not."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from companion.bidirectional import BidirectionalParams, bidirectional_init
from companion.bptt import Cell
from companion.gru import ChoGRU
from companion.lstm import LSTM, LSTM1997, PeepholeLSTM
from companion.pytorch.convert import from_torch, to_torch
from companion.rnn import Elman, Jordan
from companion.stacked import stacked_init
from companion.tree import tree_items, tree_leaves, tree_map
from tests.parity.recurrent import KINDS, TOLERANCE, D, H, Kind, given, of_module, ours, random_module, require_equal

every_kind = pytest.mark.parametrize("name", KINDS)
NESTINGS = {"one": (1, False), "both ways": (1, True), "two layers": (2, False), "three, both ways": (3, True)}


def nested(cell: Cell, nesting: str, rng: np.random.Generator, dtype: Any = np.float64) -> Any:
    n_layers, both_ways = NESTINGS[nesting]
    params = stacked_init(cell, rng, D, H, n_layers, dtype, both_ways)
    params = tree_map(lambda a: (a + 0.5 * rng.normal(size=a.shape)).astype(dtype), params)
    return params if n_layers > 1 else params[0]


def convert(kind: Kind, params: Any) -> Any:
    return to_torch(params, "relu") if kind is KINDS["RNN, ReLU"] else to_torch(params)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("nesting", NESTINGS)
@every_kind
def test_a_round_trip_is_exact_and_shares_no_memory(
    name: str, nesting: str, dtype: Any, rng: np.random.Generator
) -> None:
    params = nested(KINDS[name].cell, nesting, rng, dtype)
    module = convert(KINDS[name], params)
    back = from_torch(module)
    assert type(back) is type(params)
    for (path, a), (other, b) in zip(tree_items(params), tree_items(back), strict=True):
        assert path == other
        assert a.dtype == b.dtype == dtype
        np.testing.assert_array_equal(a, b)
        for parameter in module.parameters():
            assert not np.shares_memory(a, parameter.detach().numpy())
            assert not np.shares_memory(b, parameter.detach().numpy())


@pytest.mark.parametrize("nesting", NESTINGS)
@every_kind
def test_the_module_computes_what_our_layers_do(name: str, nesting: str, rng: np.random.Generator) -> None:
    kind = KINDS[name]
    params = nested(kind.cell, nesting, rng)
    g = given(kind.cell, params, rng)
    module = convert(kind, params)
    assert type(module) is type(random_module(kind, rng))
    require_equal(ours(kind.cell, g), of_module(kind, module, g), np.float64)


@pytest.mark.parametrize("nesting", NESTINGS)
@every_kind
def test_a_module_and_its_copy_by_way_of_our_parameters_agree(
    name: str, nesting: str, rng: np.random.Generator
) -> None:
    kind, (n_layers, both_ways) = KINDS[name], NESTINGS[nesting]
    module = random_module(kind, rng, num_layers=n_layers, bidirectional=both_ways)
    again = convert(kind, from_torch(module))
    xs = torch.from_numpy(rng.normal(size=(7, 3, D)))
    np.testing.assert_allclose(again(xs)[0].detach().numpy(), module(xs)[0].detach().numpy(), rtol=1e-10, atol=1e-12)


def test_biases_are_folded_and_ours_goes_to_bias_ih(rng: np.random.Generator) -> None:
    module = random_module(KINDS["LSTM"], rng)
    b = from_torch(module).b
    np.testing.assert_array_equal(b, (module.bias_ih_l0 + module.bias_hh_l0).detach().numpy())
    again = to_torch(from_torch(module))
    np.testing.assert_array_equal(again.bias_ih_l0.detach().numpy(), b)
    assert not again.bias_hh_l0.any()


def test_the_candidate_of_a_gru_keeps_its_two_biases_apart(rng: np.random.Generator) -> None:
    module = random_module(KINDS["GRU"], rng)
    bias_ih, bias_hh = (bias.detach().numpy() for bias in (module.bias_ih_l0, module.bias_hh_l0))
    params = from_torch(module)
    np.testing.assert_array_equal(params.b[: 2 * H], bias_ih[: 2 * H] + bias_hh[: 2 * H])
    np.testing.assert_array_equal(params.b[2 * H :], bias_ih[2 * H :])
    np.testing.assert_array_equal(params.b_n, bias_hh[2 * H :])
    again = to_torch(params)
    assert not again.bias_hh_l0[: 2 * H].any()
    np.testing.assert_array_equal(again.bias_hh_l0[2 * H :].detach().numpy(), params.b_n)


def test_batch_first_and_dropout_are_not_weights(rng: np.random.Generator) -> None:
    module = random_module(KINDS["LSTM"], rng, num_layers=2)
    other = nn.LSTM(D, H, num_layers=2, batch_first=True, dropout=0.3)
    other.load_state_dict(module.state_dict())
    for a, b in zip(tree_leaves(from_torch(module)), tree_leaves(from_torch(other)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_conversion_draws_no_random_numbers_and_changes_nothing(rng: np.random.Generator) -> None:
    params = nested(LSTM, "three, both ways", rng)
    before = [a.copy() for a in tree_leaves(params)]
    state = torch.get_rng_state()
    module = to_torch(params)
    assert torch.equal(torch.get_rng_state(), state)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    assert all(np.array_equal(a, b) for a, b in zip(tree_leaves(params), before, strict=True))


def test_a_converted_module_trains(rng: np.random.Generator) -> None:
    """Its parameters are leaves that require gradients, and it moves and saves like any other."""
    module = to_torch(nested(LSTM, "one", rng))
    assert all(p.requires_grad and p.is_leaf for p in module.parameters())
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    module(torch.ones(2, 1, D))[0].sum().backward()
    optimizer.step()
    fresh = nn.LSTM(D, H)
    fresh.load_state_dict(module.state_dict())
    assert module.to(torch.float32)(torch.ones(2, 1, D, dtype=torch.float32))[0].dtype == torch.float32


def float32(params: Any, name: str) -> Any:
    return params._replace(**{name: getattr(params, name).astype(np.float32)})


KNOWN = "expected ElmanParams, LSTMParams or GRUParams"
TO_TORCH: dict[str, tuple[Any, str]] = {
    "no forget gate": (lambda r: LSTM1997.init(r, D, H), "params.W_x has shape (15, 4), expected (20, 4) for 4 blocks"),
    "peepholes": (lambda r: PeepholeLSTM.init(r, D, H), f"params has PeepholeParams, {KNOWN}"),
    "Jordan": (lambda r: Jordan.init(r, D, H), f"params has JordanParams, {KNOWN}"),
    "Cho": (lambda r: ChoGRU.init(r, D, H), f"params has ChoGRUParams, {KNOWN}"),
    "an array": (lambda r: r.normal(size=(H, D)), f"params has ndarray, {KNOWN}"),
    "a list": (lambda r: [LSTM.init(r, D, H)], f"params has list, {KNOWN}"),
    "no layers": (lambda r: (), f"params has no layers, {KNOWN}"),
    "two kinds of cells": (
        lambda r: (Elman.init(r, D, H), LSTM.init(r, H, H)),
        f"params has ElmanParams, LSTMParams, {KNOWN}",
    ),
    "two kinds of layers": (
        lambda r: (bidirectional_init(LSTM, r, D, H), LSTM.init(r, 2 * H, H)),
        f"params has LSTMParams, {KNOWN}",
    ),
    "layers of two widths": (
        lambda r: (LSTM.init(r, D, H), LSTM.init(r, H, 6)),
        "params.1.W_x has shape (24, 5), expected (20, 5) for 4 blocks of H=5 rows",
    ),
    "layers that do not fit": (
        lambda r: (LSTM.init(r, D, H), LSTM.init(r, D, H)),
        "params.1.W_x has shape (20, 4), expected (20, 5)",
    ),
    "directions of two widths": (
        lambda r: BidirectionalParams(LSTM.init(r, D, H), LSTM.init(r, D, 6)),
        "params.backward.W_x has shape (24, 4), expected (20, 4)",
    ),
    "bias of another size": (
        lambda r: LSTM.init(r, D, H)._replace(b=np.zeros(3)),
        "params.b has shape (3,), expected (20,)",
    ),
    "two dtypes": (lambda r: float32(LSTM.init(r, D, H), "b"), "params.b has dtype float32, expected float64"),
    "integers": (lambda r: LSTM.init(r, D, H)._replace(W_x=np.ones((20, 4), int)), "params.W_x has dtype int64"),
}


@pytest.mark.parametrize("case", TO_TORCH)
def test_what_torch_has_no_module_for_is_an_error(case: str, rng: np.random.Generator) -> None:
    make, message = TO_TORCH[case]
    with pytest.raises(ValueError, match="^" + re.escape(f"to_torch: {message}")):
        to_torch(make(rng))


@pytest.mark.parametrize(("cell", "nonlinearity"), [(Elman, "sigmoid"), (LSTM, "relu"), (Elman, None)])
def test_an_activation_that_torch_has_not_is_an_error(cell: Cell, nonlinearity: Any, rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match=r"^to_torch: nonlinearity is .*, expected 'tanh', or 'relu' for ElmanParams"):
        to_torch(cell.init(rng, D, H), nonlinearity)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (lambda: nn.LSTM(D, H, bias=False), "module has bias=False, expected bias=True"),
        (lambda: nn.LSTM(D, H, proj_size=2), "module has proj_size=2, expected 0"),
        (lambda: nn.LSTMCell(D, H), "module is a LSTMCell, expected torch.nn.RNN, LSTM or GRU"),
        (lambda: nn.Linear(D, H), "module is a Linear, expected torch.nn.RNN, LSTM or GRU"),
        (lambda: None, "module is a NoneType, expected torch.nn.RNN, LSTM or GRU"),
    ],
)
def test_a_module_that_has_no_parameters_here_is_an_error(module: Any, message: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(f"from_torch: {message}")):
        from_torch(module())
