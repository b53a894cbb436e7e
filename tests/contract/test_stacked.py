"""Stacked layers: plain, bidirectional and mixed, with dropout between them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from companion.bidirectional import BidirectionalParams, BidirectionalState, bidirectional, bidirectional_init
from companion.bptt import Cell, as_layer, unroll, unroll_backward
from companion.gradcheck import GradientError, GradientReport, check_gradients
from companion.gru import GRU
from companion.lstm import LSTM
from companion.rnn import LINEAR, Elman, elman
from companion.stacked import stacked, stacked_backward, stacked_init
from companion.tree import tree_items, tree_map
from tests.contract.cells import (
    CELLS,
    LENGTHS,
    OUTPUTS,
    B,
    D,
    H,
    Problem,
    T,
    bytes_of,
    compared,
    dtypes_of,
    problem,
    random_like,
    require_equal,
)

# Outputs of another width than n_hidden are not what stacked_init reckons with.
STACKABLE = {name: cell for name, cell in CELLS.items() if name not in OUTPUTS}
every_cell = pytest.mark.parametrize("cell", STACKABLE.values(), ids=STACKABLE)
both_directions = pytest.mark.parametrize("both_ways", [False, True], ids=["plain", "bidirectional"])
SEED = 8


def layers(
    cell: Any,
    rng: np.random.Generator,
    both_ways: bool = False,
    dtype: Any = np.float64,
    lengths: Any = None,
    n_layers: int = 3,
) -> Problem:
    p = problem(cell, rng, dtype, lengths)
    params = stacked_init(cell, rng, D, H, n_layers, dtype, both_ways)
    params = tree_map(lambda a: (a + 0.3 * rng.normal(size=a.shape)).astype(dtype), params)
    _, last, _ = stacked(cell, params, p.xs, mask=p.mask)
    width = 2 * H if both_ways else H
    dys = rng.normal(size=(T, B, width)).astype(dtype)
    return Problem(params, p.xs, random_like(rng, last), p.mask, dys, random_like(rng, last))


def run(cell: Any, p: Problem, rate: float = 0.0) -> Any:
    rng = np.random.default_rng(SEED) if rate else None
    ys, last, cache = stacked(cell, p.params, p.xs, p.state, p.mask, rate, rng)
    return (ys, last, *stacked_backward(cell, p.params, cache, p.dys, p.dstate))


def check(
    cell: Cell, p: Problem, rng: np.random.Generator, rate: float, backward: Any = stacked_backward
) -> GradientReport:
    """Central differences, with the same dropout in every evaluation."""

    def forward(params: Any, xs: Any, state: Any) -> Any:
        stream = np.random.default_rng(SEED) if rate else None
        ys, last, cache = stacked(cell, params, xs, state, p.mask, rate, stream)
        return (ys, last), (params, cache)

    def gradients(cache: Any, upstream: Any) -> Any:
        return dict(zip(("params", "xs", "state"), backward(cell, *cache, *upstream), strict=True))

    inputs = {"params": p.params, "xs": p.xs, "state": p.state}
    return compared(check_gradients(forward, gradients, inputs, rng))


@both_directions
@every_cell
def test_gradients_agree_with_central_differences(cell: Cell, both_ways: bool, rng: np.random.Generator) -> None:
    p = layers(cell, rng, both_ways, lengths=LENGTHS, n_layers=2)
    report = check(cell, p, rng, rate=0.0)
    names = {c.name for c in report.comparisons}
    assert ("params.1.backward.W_h" if both_ways else "params.1.W_h") in names


@both_directions
@pytest.mark.parametrize("cell", [Elman, LSTM, GRU], ids=["Elman", "LSTM", "GRU"])
def test_gradients_through_dropout_agree_with_central_differences(
    cell: Cell, both_ways: bool, rng: np.random.Generator
) -> None:
    check(cell, layers(cell, rng, both_ways, lengths=LENGTHS, n_layers=2), rng, rate=0.4)


@every_cell
def test_layers_are_cells_one_after_the_other(cell: Cell, rng: np.random.Generator) -> None:
    p = layers(cell, rng, lengths=LENGTHS, n_layers=2)
    below, middle, caches = unroll(cell, p.params[0], p.xs, p.state[0], p.mask)
    ys, last, upper = unroll(cell, p.params[1], below, p.state[1], p.mask)
    dupper, dbelow, dlast = unroll_backward(cell, p.params[1], upper, p.dys, p.dstate[1])
    dlower, dxs, dfirst = unroll_backward(cell, p.params[0], caches, dbelow, p.dstate[0])
    expected = (ys, (middle, last), (dlower, dupper), dxs, (dfirst, dlast))
    require_equal(run(cell, p), expected, rtol=0, atol=0)


@every_cell
def test_one_layer_is_the_cell(cell: Cell, rng: np.random.Generator) -> None:
    p = layers(cell, rng, n_layers=1)
    ys, (last,), (dparams,), dxs, (dstate,) = run(cell, p, rate=0.5)  # dropout has nowhere to act
    ys_1, last_1, caches = unroll(cell, p.params[0], p.xs, p.state[0])
    expected = (ys_1, last_1, *unroll_backward(cell, p.params[0], caches, p.dys, p.dstate[0]))
    require_equal((ys, last, dparams, dxs, dstate), expected, rtol=0, atol=0)


def test_a_plain_layer_may_follow_a_bidirectional_one(rng: np.random.Generator) -> None:
    p = problem(LSTM, rng, lengths=LENGTHS)
    below = bidirectional_init(LSTM, rng, D, H)
    params = (below, LSTM.init(rng, 2 * H, H))
    _, last, _ = stacked(LSTM, params, p.xs, mask=p.mask)
    mixed = Problem(params, p.xs, random_like(rng, last), p.mask, p.dys, random_like(rng, last))
    ys, last, *_ = run(LSTM, mixed)
    hs, _, _ = bidirectional(LSTM, below, p.xs, mixed.state[0], p.mask)
    np.testing.assert_array_equal(ys, unroll(LSTM, params[1], hs, mixed.state[1], p.mask)[0])
    assert [type(state) for state in last] == [BidirectionalState, type(p.state)]
    check(LSTM, mixed, rng, rate=0.3)


@both_directions
def test_a_masked_batch_equals_its_sequences_one_by_one(both_ways: bool, rng: np.random.Generator) -> None:
    p = layers(LSTM, rng, both_ways, lengths=LENGTHS)
    ys, last, dparams, dxs, dstate = run(LSTM, p)
    total = tree_map(np.zeros_like, p.params)
    for b, length in enumerate(LENGTHS):
        row = slice(b, b + 1)
        state, up = (tree_map(lambda a, row=row: a[row], tree) for tree in (p.state, p.dstate))
        received = run(LSTM, Problem(p.params, p.xs[:length, row], state, None, p.dys[:length, row], up))
        of_batch = tree_map(lambda a, row=row: a[row], (last, dstate))
        require_equal((ys[:length, row], of_batch[0], dxs[:length, row], of_batch[1]), (*received[:2], *received[3:]))
        total = tree_map(np.add, total, received[2])
    require_equal(dparams, total)


@both_directions
def test_dropout_acts_between_layers_only_and_anew_at_every_step(both_ways: bool, rng: np.random.Generator) -> None:
    p = layers(GRU, rng, both_ways)
    ys, _, cache = stacked(GRU, p.params, p.xs, p.state, None, 0.5, np.random.default_rng(SEED))
    assert cache.dropped[0] is None
    assert (ys != 0).all()
    for mask in cache.dropped[1:]:
        assert set(np.unique(mask)) == {0.0, 2.0}
        assert mask.shape == (T, B, 2 * H if both_ways else H)
        assert not (mask == mask[0]).all()
    assert not np.array_equal(*cache.dropped[1:])
    forward = bidirectional if both_ways else unroll
    hs, _, _ = forward(GRU, p.params[0], p.xs, p.state[0])
    hs, _, _ = forward(GRU, p.params[1], hs * cache.dropped[1], p.state[1])
    expected, _, _ = forward(GRU, p.params[2], hs * cache.dropped[2], p.state[2])
    np.testing.assert_array_equal(ys, expected)


def test_without_dropout_the_random_stream_is_not_used(rng: np.random.Generator) -> None:
    p = layers(LSTM, rng)
    before = rng.bit_generator.state
    ys, _, _ = stacked(LSTM, p.params, p.xs, p.state, rng=rng)
    assert rng.bit_generator.state == before
    np.testing.assert_array_equal(ys, stacked(LSTM, p.params, p.xs, p.state)[0])


def test_states_are_zero_unless_given(rng: np.random.Generator) -> None:
    p = layers(LSTM, rng, both_ways=True, lengths=LENGTHS)
    zeros = tree_map(np.zeros_like, p.state)
    expected = run(LSTM, p._replace(state=zeros, dstate=zeros))
    require_equal(run(LSTM, p._replace(state=None, dstate=None)), expected, rtol=0, atol=0)
    require_equal(run(as_layer(LSTM), p), run(LSTM, p), rtol=0, atol=0)


@both_directions
@pytest.mark.parametrize("rate", [0.0, 0.4])
@every_cell
def test_the_dtype_is_kept_and_no_argument_modified(
    cell: Cell, rate: float, both_ways: bool, rng: np.random.Generator
) -> None:
    p = layers(cell, rng, both_ways, np.float32, LENGTHS, n_layers=2)
    before = bytes_of(p)
    assert dtypes_of((run(cell, p, rate), p.params)) == {np.dtype(np.float32)}
    assert bytes_of(p) == before


@both_directions
def test_initial_parameters_fit_on_top_of_each_other(both_ways: bool, rng: np.random.Generator) -> None:
    params = stacked_init(LSTM, rng, D, H, 3, np.float32, both_ways)
    width = 2 * H if both_ways else H
    shapes = {name: array.shape for name, array in tree_items(params) if name.endswith("W_x")}
    assert set(shapes.values()) == {(4 * H, D), (4 * H, width)}
    assert all((shape == (4 * H, D)) == name.startswith("0") for name, shape in shapes.items())
    assert len(shapes) == (6 if both_ways else 3)
    assert all(isinstance(layer, BidirectionalParams) == both_ways for layer in params)


# --- the checks find what is wrong


def without_dropout(cell: Cell, params: Any, cache: Any, dys: Any, dstate: Any) -> Any:
    return stacked_backward(cell, params, cache._replace(dropped=(None,) * len(params)), dys, dstate)


def dropout_on_the_wrong_side(cell: Cell, params: Any, cache: Any, dys: Any, dstate: Any) -> Any:
    return stacked_backward(cell, params, cache._replace(dropped=(*cache.dropped[1:], None)), dys, dstate)


def states_in_reverse(cell: Cell, params: Any, cache: Any, dys: Any, dstate: Any) -> Any:
    return stacked_backward(cell, params, cache, dys, dstate[::-1])


@pytest.mark.parametrize("wrong", [without_dropout, dropout_on_the_wrong_side, states_in_reverse])
def test_a_wrong_backward_pass_is_found(wrong: Any, rng: np.random.Generator) -> None:
    p = layers(GRU, rng, n_layers=2)
    with pytest.raises((GradientError, ValueError)):
        check(GRU, p, rng, 0.4, wrong)


def test_dropout_keeps_the_mean(rng: np.random.Generator) -> None:
    """One linear layer on dropped values: its mean over many masks is its output without dropout."""
    cell = elman(LINEAR)
    params = stacked_init(cell, rng, D, H, 2)
    xs = np.repeat(rng.normal(size=(1, 1, D)), 4000, axis=1)
    samples = stacked(cell, params, xs, dropout_rate=0.3, rng=rng)[0][0]
    expected = stacked(cell, params, xs)[0][0]
    standard_error = samples.std(axis=0) / np.sqrt(len(samples))
    assert (np.abs(samples.mean(axis=0) - expected[0]) < 5 * standard_error).all()
    assert (standard_error > 1e-4).all()
