"""Every cell against its PyTorch twin: steps, sequences and gradients by autograd; masks, initial parameters and states."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from companion import ops
from companion.bptt import Cell
from companion.gru import GRU, ChoGRU
from companion.lstm import LSTM, LSTM1997, PeepholeLSTM
from companion.pytorch import copy_params, gru, lstm, ntm, rnn
from companion.rnn import LINEAR, Elman, ElmanState, Jordan, elman, gradient_norm_penalty, jordan
from companion.tree import tree_items, tree_leaves, tree_map
from tests.contract.cells import CELLS, random_state
from tests.parity.recurrent import (
    LENGTHS,
    TOLERANCE,
    B,
    D,
    Given,
    H,
    K,
    T,
    arrays,
    given,
    of_twin,
    ours,
    require_equal,
    send_back,
    tensors,
)

Twin = Callable[[int, int], nn.Module]
TWINS: dict[str, tuple[Cell, Twin]] = {
    "Elman": (Elman, rnn.Elman),
    "Elman, sigmoid": (elman(ops.SIGMOID), partial(rnn.Elman, activation=torch.sigmoid)),
    "Elman, ReLU": (elman(ops.RELU), partial(rnn.Elman, activation=torch.relu)),
    "Jordan": (Jordan, rnn.Jordan),
    "Jordan, K outputs": (
        jordan(K, decay=0.3, activation=ops.SIGMOID, output=LINEAR),
        partial(rnn.Jordan, n_out=K, decay=0.3, activation=torch.sigmoid, output=lambda z: z),
    ),
    "LSTM": (LSTM, lstm.LSTM),
    "LSTM1997": (LSTM1997, lstm.LSTM1997),
    "PeepholeLSTM": (PeepholeLSTM, lstm.PeepholeLSTM),
    "GRU": (GRU, gru.GRU),
    "ChoGRU": (ChoGRU, gru.ChoGRU),
    "NTM, LSTM": (CELLS["NTM, LSTM"], partial(ntm.NTM, rows=6, width=4)),
    "NTM, feedforward, several heads": (
        CELLS["NTM, feedforward, several heads"],
        partial(ntm.NTM, controller=ntm.Feedforward, rows=7, width=3, read_heads=2, write_heads=2, shift_range=2),
    ),
}


def test_every_cell_has_a_twin() -> None:
    """A cell added to the contract suite gets a row here."""
    assert set(TWINS) == set(CELLS)


every_twin = pytest.mark.parametrize("name", TWINS)
whole_or_masked = pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "masked"])


def random_params(cell: Cell, rng: np.random.Generator, dtype: Any = np.float64) -> Any:
    return tree_map(lambda a: (a + 0.5 * rng.normal(size=a.shape)).astype(dtype), cell.init(rng, D, H, dtype))


def possible(cell: Cell, g: Given, rng: np.random.Generator) -> Given:
    """From a random state that the cell may be in: a weighting of rows is above 0 and has the sum 1."""
    return g._replace(state=random_state(cell, rng, g.params, B))


@pytest.mark.parametrize("dtype", TOLERANCE)
@whole_or_masked
@every_twin
def test_a_sequence_and_every_gradient_equal_those_of_the_twin(
    name: str, lengths: Any, dtype: Any, rng: np.random.Generator
) -> None:
    cell, twin = TWINS[name]
    g = possible(cell, given(cell, random_params(cell, rng, dtype), rng, lengths, dtype), rng)
    require_equal(ours(cell, g), of_twin(twin(D, H), g), dtype)


@every_twin
def test_a_step_equals_that_of_the_twin(name: str, rng: np.random.Generator) -> None:
    cell, twin = TWINS[name]
    params, module = random_params(cell, rng), twin(D, H)
    copy_params(params, module)
    x, state = rng.normal(size=(B, D)), random_state(cell, rng, params, B)
    y, new, _ = cell.step(params, x, state)
    require_equal((y, new), arrays(module(torch.from_numpy(x), tensors(state))), np.float64)


@every_twin
def test_another_twin_does_not_pass_for_equal(name: str, rng: np.random.Generator) -> None:
    cell, _ = TWINS[name]
    params = random_params(cell, rng)
    g = possible(cell, given(cell, params, rng, LENGTHS), rng)
    expected, others = ours(cell, g), []
    for other, (_, twin) in TWINS.items():
        module = twin(D, H)
        if other != name and {n: a.shape for n, a in tree_items(params)} == {
            n: tuple(p.shape) for n, p in module.named_parameters()
        }:
            others.append(other)
            with pytest.raises((AssertionError, AttributeError, ValueError)):
                require_equal(of_twin(module, g), expected, np.float64)
    assert others or name in ("Jordan", "Jordan, K outputs", "LSTM", "PeepholeLSTM", "GRU") or name.startswith("NTM")


@every_twin
def test_a_twin_begins_as_its_cell_does(name: str, rng: np.random.Generator) -> None:
    """The same names, shapes and biases; weights from one distribution; the same state."""
    cell, twin = TWINS[name]
    params = cell.init(rng, 80, 90)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = twin(80, 90)
    parameters = {n: p.detach().numpy() for n, p in module.named_parameters()}
    assert sorted(parameters) == sorted(n for n, _ in tree_items(params))  # a module names its own before its parts'
    for path, array in tree_items(params):
        if path == "b_z":  # also random, and too few to tell: test_ntm.py has more of them
            assert parameters[path].shape == array.shape
        elif path.split(".")[-1].startswith("W"):
            for quantile in (0.001, 0.1, 0.25, 0.75, 0.9, 0.999):
                theirs = np.quantile(parameters[path], quantile)
                assert np.quantile(array, quantile) == pytest.approx(theirs, abs=0.1 * array.max())
        else:
            np.testing.assert_array_equal(array, parameters[path])
    state = module.initial_state(B)
    assert type(state) is type(cell.initial_state(params, B))
    for start, expected in zip(tree_leaves(state), tree_leaves(cell.initial_state(params, B)), strict=True):
        np.testing.assert_array_equal(start.numpy(), expected, strict=True)
    assert {a.dtype for a in tree_leaves(module.to(torch.float32).initial_state(1))} == {torch.float32}


@pytest.mark.parametrize("twin", [lstm.LSTM, lstm.PeepholeLSTM])
def test_the_forget_bias_of_a_twin_is_an_argument(twin: Any) -> None:
    assert twin(D, H, forget_bias=3.0).b.tolist() == [0.0] * H + [3.0] * H + [0.0] * 2 * H
    assert lstm.LSTM1997(D, H, input_bias=-2.0).b.tolist() == [-2.0] * H + [0.0] * 2 * H


@every_twin
def test_the_state_that_is_assumed_is_the_initial_one(name: str, rng: np.random.Generator) -> None:
    module, xs = TWINS[name][1](D, H), torch.from_numpy(rng.normal(size=(T, B, D)))
    expected = rnn.unroll(module, xs, module.initial_state(B))
    for a, b in zip(tree_leaves(rnn.unroll(module, xs)), tree_leaves(expected), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda mask: mask[:, :2], r"unroll: mask has shape \(7, 2\), expected \(7, 3\) as xs"),
        (lambda mask: mask.to(torch.int64), "unroll: mask has dtype int64, expected bool"),
        (lambda mask: mask.flip(0), r"unroll: mask\[:, 0\] does not begin with True"),
        (lambda mask: torch.zeros_like(mask), r"unroll: mask\[:, 0\] is empty"),
    ],
)
def test_a_mask_that_does_not_fit_is_an_error(change: Any, message: str, rng: np.random.Generator) -> None:
    g = given(LSTM, random_params(LSTM, rng), rng, LENGTHS)
    with pytest.raises(ValueError, match=message):
        rnn.unroll(lstm.LSTM(D, H), torch.from_numpy(g.xs), None, change(torch.from_numpy(g.mask)))


def test_padding_changes_nothing_in_a_twin(rng: np.random.Generator) -> None:
    g = given(GRU, random_params(GRU, rng), rng, LENGTHS)
    far = g._replace(xs=np.where(g.mask[:, :, None], g.xs, np.inf))
    runs = [of_twin(gru.GRU(D, H), case) for case in (g, far._replace(xs=np.where(np.isinf(far.xs), 1e6, far.xs)))]
    require_equal(runs[1], runs[0], np.float64)


# --- the penalty of Pascanu et al. 2013


def test_the_penalty_and_its_immediate_gradient_equal_autograd(rng: np.random.Generator) -> None:
    """Gradients before and behind the activation are those that autograd keeps, of the units' values at every step."""
    params = random_params(Elman, rng)
    g = given(Elman, params, rng)
    module = rnn.Elman(D, H)
    copy_params(params, module)
    zs, hs, h = [], [], torch.from_numpy(g.state.h)
    for x in torch.from_numpy(g.xs):
        zs.append(x @ module.W_x.T + h @ module.W_h.T + module.b)
        h = torch.tanh(zs[-1])
        hs.append(h)
    for value in (*zs, *hs):
        value.retain_grad()
    send_back((torch.stack(hs), ElmanState(h)), (g.dys, g.dstate))
    dzs, dhs = (torch.stack([value.grad for value in values]) for values in (zs, hs))

    W_h = module.W_h.detach().clone().requires_grad_()
    ratio = (dzs @ W_h).norm(dim=2) / dhs.norm(dim=2)
    omega = ((ratio - 1) ** 2).sum() / B
    omega.backward()
    ours_omega, dW_h = gradient_norm_penalty(params, dzs.numpy(), dhs.numpy())
    assert ours_omega == pytest.approx(omega.item(), rel=1e-12)
    require_equal(dW_h, W_h.grad.numpy(), np.float64)
    # One step back is what the penalty measures: dz^t W_h is the part of dh^(t-1) that comes through time.
    through_time = (dhs[:-1] - torch.from_numpy(g.dys[:-1])).numpy()
    np.testing.assert_allclose((dzs[1:] @ module.W_h).detach().numpy(), through_time, rtol=1e-10, atol=1e-12)
