"""The neural Turing machine's twin against NumPy: runs and gradients, identities, how it begins, bad arguments."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from companion.bptt import Cell
from companion.gru import GRU
from companion.lstm import LSTM
from companion.ntm import Feedforward, ntm
from companion.pytorch import copy_params, grads_like, gru, lstm, rnn
from companion.pytorch import ntm as twin
from companion.tree import tree_leaves, tree_map
from tests.contract.cells import random_state
from tests.parity.recurrent import (
    TOLERANCE,
    B,
    D,
    Given,
    H,
    Run,
    T,
    arrays,
    given,
    ours,
    require_equal,
    send_back,
    tensors,
)

N, M = 9, 6
every_dtype = pytest.mark.parametrize("dtype", TOLERANCE)

# --- the machine

SIZES = {"rows": N, "width": 3, "read_heads": 2, "write_heads": 3, "shift_range": 2}
Machine = tuple[Cell, Callable[[int, int], twin.NTM]]
MACHINES: dict[str, Machine] = {
    "LSTM": (ntm(LSTM, N, 4), partial(twin.NTM, rows=N, width=4)),
    "LSTM, several heads": (ntm(LSTM, **SIZES), partial(twin.NTM, **SIZES)),
    "feedforward, several heads": (
        ntm(Feedforward, **SIZES),
        partial(twin.NTM, controller=twin.Feedforward, **SIZES),
    ),
    "GRU, no shift": (
        ntm(GRU, N, 4, shift_range=0),
        partial(twin.NTM, controller=gru.GRU, rows=N, width=4, shift_range=0),
    ),
}
every_machine = pytest.mark.parametrize("name", MACHINES)


def problem(cell: Cell, rng: np.random.Generator, dtype: Any = np.float64) -> Given:
    params = tree_map(lambda a: (a + 0.5 * rng.normal(size=a.shape)).astype(dtype), cell.init(rng, D, H, dtype))
    return given(cell, params, rng, dtype=dtype)._replace(state=random_state(cell, rng, params, B))


def by_run(module: twin.NTM, g: Given) -> Run:
    module = module.to(torch.from_numpy(g.xs).dtype)
    copy_params(g.params, module)
    xs, state = tensors(g.xs), tensors(g.state)
    ys, last = module.run(xs, state)
    send_back((ys, last), (g.dys, g.dstate))
    gradients = (xs.grad.numpy(), tree_map(lambda a: a.grad.numpy(), state))
    return Run(*arrays((ys, last)), grads_like(g.params, module), *gradients)


@every_dtype
@every_machine
def test_a_run_and_every_gradient_equal_those_of_numpy(name: str, dtype: Any, rng: np.random.Generator) -> None:
    """From a random state; test_recurrent_twins.py compares single steps and masks."""
    cell, build = MACHINES[name]
    g = problem(cell, rng, dtype)
    require_equal(by_run(build(D, H), g), ours(cell, g), dtype)


@every_machine
def test_a_run_from_the_start_equals_that_of_numpy(name: str, rng: np.random.Generator) -> None:
    """From heads at one row of a memory that is all alike; the gradients of 1e-6 are large."""
    cell, build = MACHINES[name]
    g = problem(cell, rng)
    g, module = g._replace(state=cell.initial_state(g.params, B)), build(D, H)
    for start, expected in zip(tree_leaves(module.initial_state(B)), tree_leaves(g.state), strict=True):
        np.testing.assert_array_equal(start.numpy(), expected, strict=True)
    for x, y in zip(tree_leaves(by_run(module, g)), tree_leaves(ours(cell, g)), strict=True):
        assert np.isfinite(x).all()
        np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-10 * np.abs(y).max())


def test_a_run_is_the_steps_one_by_one(rng: np.random.Generator) -> None:
    module, xs = twin.NTM(D, H, rows=N, width=M), torch.from_numpy(rng.normal(size=(T, B, D)))
    whole, (first, state) = module.run(xs), module.run(xs[:3])
    rest, last = module.run(xs[3:], state)
    for a, b, c in zip(
        tree_leaves(whole),
        tree_leaves(rnn.unroll(module, xs)),
        tree_leaves((torch.cat([first, rest]), last)),
        strict=True,
    ):
        assert torch.equal(a, b)
        assert torch.equal(a, c)


def test_the_memory_is_in_the_state_and_not_in_the_module(rng: np.random.Generator) -> None:
    module, xs = twin.NTM(D, H, rows=N, width=M), torch.from_numpy(rng.normal(size=(T, B, D)))
    state = module.initial_state(B)
    before = [a.clone() for a in (*tree_leaves(state), *module.state_dict().values())]
    ys, _ = module.run(xs, state)
    for a, b in zip((*tree_leaves(state), *module.state_dict().values()), before, strict=True):
        assert torch.equal(a, b)
    assert list(module.state_dict()) == ["W_z", "b_z", "controller.W_x", "controller.W_h", "controller.b"]
    torch.testing.assert_close(module.run(xs[:, 1:2])[0], ys[:, 1:2], rtol=1e-12, atol=1e-12)  # sequences do not mix


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_everything_is_made_on_the_device_of_the_module_and_nothing_waits_for_a_number(dtype: torch.dtype) -> None:
    """A tensor on "meta" has no numbers: asking for one is an error there, and so is a second tensor that lies elsewhere."""
    module = twin.NTM(D, H, rows=N, width=M, write_heads=2).to("meta", dtype)
    xs = torch.zeros(T, B, D, dtype=dtype, device="meta", requires_grad=True)
    ys, state = module.run(xs)
    ys.sum().backward()
    for tensor in (ys, *tree_leaves(state), xs.grad):
        assert tensor.device.type == "meta"
        assert tensor.dtype == dtype


# --- what has to hold


@pytest.mark.parametrize("shift_range", [0, 1])
def test_without_shifts_the_order_of_rows_does_not_matter(shift_range: int, rng: np.random.Generator) -> None:
    cell = ntm(LSTM, N, 4, shift_range=shift_range)
    g, module = problem(cell, rng), twin.NTM(D, H, rows=N, width=4, shift_range=shift_range)
    copy_params(g.params, module)
    order, xs, state = (
        torch.from_numpy(rng.permutation(N)),
        torch.from_numpy(g.xs),
        tensors(g.state, requires_grad=False),
    )
    ys, last = module.run(xs, state)
    mixed = state._replace(memory=state.memory[:, order], w=state.w[:, :, order])
    ys_mixed, last_mixed = module.run(xs, mixed)
    expected = last._replace(memory=last.memory[:, order], w=last.w[:, :, order])
    same = [
        torch.allclose(a, b, rtol=1e-10, atol=1e-12)
        for a, b in zip(tree_leaves((ys_mixed, last_mixed)), tree_leaves((ys, expected)), strict=True)
    ]
    assert all(same) if shift_range == 0 else not any(same)


@pytest.mark.parametrize(("gate_bias", "same"), [(-1e3, True), (0.0, False)])
def test_rows_that_no_head_comes_near_change_nothing(gate_bias: float, same: bool, rng: np.random.Generator) -> None:
    """With the gates shut a head moves by one row a step; a look for a key compares it with every row there is."""
    small, large = (twin.NTM(D, H, rows=rows, width=M, gate_bias=gate_bias) for rows in (2 * T + 1, 2 * T + 9))
    large.load_state_dict(small.state_dict())
    xs = torch.from_numpy(rng.normal(size=(T, B, D)))
    (ys, last), (ys_large, last_large) = small.run(xs), large.run(xs)
    assert torch.allclose(ys_large, ys, rtol=1e-9, atol=1e-9) == same
    reached = torch.cat([last_large.memory[:, : T + 1], last_large.memory[:, -T:]], dim=1)
    assert torch.allclose(reached, last.memory, rtol=1e-9, atol=1e-9) == same
    again, _ = small.run(xs, large.initial_state(B))  # the state says how many rows there are
    assert torch.equal(again, ys_large)


def test_a_new_twin_is_drawn_from_the_distribution_of_numpy(rng: np.random.Generator) -> None:
    sizes = {"rows": 3, "width": 500, "read_heads": 2}
    params = ntm(gate_bias=-3.0, **sizes).init(rng, D, 50)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = twin.NTM(D, 50, gate_bias=-3.0, **sizes)
    theirs = module.b_z.detach().numpy()
    gates = slice(3 * 500 + 3, 3 * 500 + 6)
    assert theirs[gates].tolist() == params.b_z[gates].tolist() == [-3.0] * 3
    ours_free, theirs_free = np.delete(params.b_z, gates), np.delete(theirs, gates)
    assert ours_free.shape == theirs_free.shape
    for quantile in (0.001, 0.1, 0.25, 0.5, 0.75, 0.9, 0.999):
        assert np.quantile(theirs_free, quantile) == pytest.approx(np.quantile(ours_free, quantile), abs=0.1 * 50**-0.5)
    assert np.abs(theirs_free).max() <= 50**-0.5
    assert isinstance(module.b_z, nn.Parameter) and module.b_z.is_leaf


# --- bad arguments


@pytest.mark.parametrize(
    "wrong",
    [
        {"rows": 0},
        {"width": 2.0},
        {"read_heads": 0},
        {"write_heads": True},
        {"shift_range": -1},
        {"rows": 4, "shift_range": 2},
        {"gate_bias": float("nan")},
        {"gate_bias": "-2"},
    ],
)
def test_wrong_sizes_are_the_errors_of_numpy(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^ntm: ") as theirs:
        ntm(**wrong)
    with pytest.raises(ValueError, match=r"^NTM: ") as error:
        twin.NTM(D, H, **wrong)
    assert str(error.value) == str(theirs.value).replace("ntm: ", "NTM: ")


@pytest.mark.parametrize("controller", [LSTM, "LSTM", lstm.LSTM(D, H)], ids=["a NumPy cell", "a name", "a module"])
def test_a_controller_that_cannot_be_made_is_an_error(controller: Any) -> None:
    with pytest.raises(ValueError, match=r"NTM: controller is .*, expected what makes one, such as the class LSTM"):
        twin.NTM(D, H, controller)
    with pytest.raises(ValueError, match=r"NTM: n_in is 0, expected a whole number of at least 1"):
        twin.NTM(0, H)


@pytest.mark.parametrize(
    ("batch", "rows", "message"),
    [
        (0, None, "batch is 0, expected a whole number of at least 1"),
        (2.0, None, "batch is 2.0, expected a whole number of at least 1"),
        (B, 0, "rows is 0, expected a whole number of at least 1"),
        (B, 2, "shift_range is 1, expected at most 0 with 2 rows: 3 shifts would reach"),
    ],
)
def test_a_beginning_without_examples_or_rows_is_the_error_of_numpy(batch: Any, rows: Any, message: str) -> None:
    cell = ntm(rows=N, width=M)
    params = cell.init(np.random.default_rng(0), D, H)
    for function, begin in (
        ("ntm_initial_state", partial(cell.initial_state, params)),
        ("NTM.initial_state", twin.NTM(D, H, rows=N, width=M).initial_state),
    ):
        with pytest.raises(ValueError, match=f"^{function}: {message}"):
            begin(batch, rows)
        begin(1, 3)


def changed(**parts: Any) -> Callable[[Any, Any], Any]:
    return lambda x, state: (
        x,
        state._replace(**{name: change(getattr(state, name)) for name, change in parts.items()}),
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, state: (x[:, 1:], state), r"NTM.forward: x has shape \(3, 3\), expected \(B, 4\)"),
        (lambda x, state: (x[0], state), r"NTM.forward: x has shape \(4,\), expected \(B, 4\)"),
        (lambda x, state: (x[:0], state), r"NTM.forward: x has shape \(0, 4\), expected \(B, 4\)"),
        (lambda x, state: (x.numpy(), state), r"NTM.forward: x is a ndarray, expected a tensor"),
        (lambda x, state: (x, state.controller), r"NTM.forward: state is a LSTMState, expected NTMState"),
        (changed(memory=lambda a: a[1:]), r"state.memory has shape \(2, 9, 6\), expected \(3, N, 6\)"),
        (changed(memory=lambda a: a[:, :, 1:]), r"state.memory has shape \(3, 9, 5\), expected \(3, N, 6\)"),
        (changed(w=lambda a: a[:, :, 1:]), r"state.w has shape \(3, 2, 8\), expected \(3, 2, 9\)"),
        (changed(w=lambda a: a[:, :1]), r"state.w has shape \(3, 1, 9\), expected \(3, 2, 9\)"),
        (changed(reads=lambda a: a[:1]), r"state.reads has shape \(1, 1, 6\), expected \(3, 1, 6\)"),
        (
            changed(memory=lambda a: a[:, :2], w=lambda a: a[:, :, :2]),
            "NTM.forward: shift_range is 1, expected at most 0 with 2 rows: 3 shifts would reach",
        ),
        (changed(controller=lambda a: a.h), "NTM.forward: state.controller is a Tensor, expected LSTMState"),
        (
            changed(controller=lambda a: a._replace(s=a.s[:1])),
            r"NTM.forward: state.controller.s has shape \(1, 5\), expected \(3, 5\)",
        ),
    ],
)
def test_a_state_or_input_that_does_not_fit_is_an_error(change: Any, message: str) -> None:
    module = twin.NTM(D, H, rows=N, width=M)
    x, state = change(torch.ones(B, D), module.initial_state(B))
    with pytest.raises(ValueError, match=message):
        module(x, state)
    if isinstance(x, torch.Tensor) and tuple(x.shape) == (B, D):
        with pytest.raises(ValueError, match=message.replace("NTM.forward", "NTM.run")):
            module.run(x[None], state)


def test_a_sequence_that_does_not_fit_is_an_error() -> None:
    module = twin.NTM(D, H, rows=N, width=M)
    for shape in ((T, B, D + 1), (B, D), (0, B, D)):
        with pytest.raises(ValueError, match=r"NTM.run: xs has shape .*, expected \(T, B, 4\)"):
            module.run(torch.ones(shape))
