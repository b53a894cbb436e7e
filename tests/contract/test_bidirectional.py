"""Bidirectional layers: gradients, masks, and how the two directions mirror each other."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from companion.bidirectional import (
    BidirectionalParams,
    BidirectionalState,
    bidirectional,
    bidirectional_backward,
    bidirectional_init,
    reverse,
)
from companion.bptt import Cell, as_layer, prefix_mask, unroll
from companion.gradcheck import GradientError, GradientReport, check_gradients
from companion.lstm import LSTM
from companion.tree import tree_items, tree_map
from tests.contract.cells import (
    CELLS,
    LENGTHS,
    B,
    D,
    H,
    Problem,
    T,
    bytes_of,
    compared,
    dtypes_of,
    problem,
    require_equal,
)

every_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
with_and_without_mask = pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "masked"])


def both_ways(cell: Cell, rng: np.random.Generator, dtype: Any = np.float64, lengths: Any = None) -> Problem:
    """A problem whose parameters, states and outputs are those of two directions."""
    first, last = (problem(cell, rng, dtype, lengths) for _ in range(2))
    return first._replace(
        params=BidirectionalParams(first.params, last.params),
        state=BidirectionalState(first.state, last.state),
        dys=np.concatenate([first.dys, last.dys], axis=2),
        dstate=BidirectionalState(first.dstate, last.dstate),
    )


def run(cell: Cell, p: Problem) -> Any:
    ys, last, cache = bidirectional(cell, p.params, p.xs, p.state, p.mask)
    return (ys, last, *bidirectional_backward(cell, p.params, cache, p.dys, p.dstate))


def check(cell: Cell, p: Problem, rng: np.random.Generator, backward: Any = bidirectional_backward) -> GradientReport:
    def forward(params: Any, xs: Any, state: Any) -> Any:
        ys, last, cache = bidirectional(cell, params, xs, state, p.mask)
        return (ys, last), (params, cache)

    def gradients(cache: Any, upstream: Any) -> Any:
        return dict(zip(("params", "xs", "state"), backward(cell, *cache, *upstream), strict=True))

    inputs = {"params": p.params, "xs": p.xs, "state": p.state}
    return compared(check_gradients(forward, gradients, inputs, rng))


@with_and_without_mask
@every_cell
def test_gradients_agree_with_central_differences(cell: Cell, lengths: Any, rng: np.random.Generator) -> None:
    check(cell, both_ways(cell, rng, lengths=lengths), rng)


@with_and_without_mask
@every_cell
def test_reversed_input_gives_the_reversed_result_with_swapped_directions(
    cell: Cell, lengths: Any, rng: np.random.Generator
) -> None:
    p = both_ways(cell, rng, lengths=lengths)

    def swapped(ys: Any) -> Any:
        forward, backward = np.split(reverse(ys, p.mask), 2, axis=2)
        return np.concatenate([backward, forward], axis=2)

    mirrored = Problem(
        BidirectionalParams(*p.params[::-1]),
        reverse(p.xs, p.mask),
        BidirectionalState(*p.state[::-1]),
        p.mask,
        swapped(p.dys),
        BidirectionalState(*p.dstate[::-1]),
    )
    ys, last, dparams, dxs, dstate = run(cell, p)
    ys_m, last_m, dparams_m, dxs_m, dstate_m = run(cell, mirrored)
    require_equal((swapped(ys_m), reverse(dxs_m, p.mask)), (ys, dxs))
    for mirror, original in ((last_m, last), (dparams_m, dparams), (dstate_m, dstate)):
        require_equal(tuple(mirror[::-1]), tuple(original))


@every_cell
def test_a_masked_batch_equals_its_sequences_one_by_one(cell: Cell, rng: np.random.Generator) -> None:
    p = both_ways(cell, rng, lengths=LENGTHS)
    ys, last, dparams, dxs, dstate = run(cell, p)
    total = tree_map(np.zeros_like, p.params)
    for b, length in enumerate(LENGTHS):
        row = slice(b, b + 1)
        pick = partial(tree_map, lambda a, row=row: a[row])
        alone = Problem(p.params, p.xs[:length, row], pick(p.state), None, p.dys[:length, row], pick(p.dstate))
        ys_b, last_b, dparams_b, dxs_b, dstate_b = run(cell, alone)
        require_equal((ys[:length, row], pick(last), dxs[:length, row]), (ys_b, last_b, dxs_b), least=-1)
        require_equal(pick(dstate), dstate_b, least=-1)
        assert not ys[length:, b].any()
        assert not dxs[length:, b].any()
        total = tree_map(np.add, total, dparams_b)
    require_equal(dparams, total)


@every_cell
def test_the_values_in_the_padding_change_nothing(cell: Cell, rng: np.random.Generator) -> None:
    p = both_ways(cell, rng, lengths=LENGTHS)
    padding = ~p.mask[:, :, None]
    other = p._replace(xs=np.where(padding, 1e3, p.xs), dys=np.where(padding, -1e3, p.dys))
    require_equal(run(cell, other), run(cell, p), rtol=0, atol=0)


@every_cell
def test_each_half_is_the_cell_alone_and_the_second_sees_the_future(cell: Cell, rng: np.random.Generator) -> None:
    p = both_ways(cell, rng)
    ys, last, _ = bidirectional(cell, p.params, p.xs, p.state)
    hs, after, _ = unroll(cell, p.params.forward, p.xs, p.state.forward)
    zs, before, _ = unroll(cell, p.params.backward, p.xs[::-1], p.state.backward)
    require_equal((ys, last), (np.concatenate([hs, zs[::-1]], axis=2), BidirectionalState(after, before)))
    later = p.xs.copy()
    later[4:] += 1
    forward, backward = np.split(bidirectional(cell, p.params, later, p.state)[0] - ys, 2, axis=2)
    assert not forward[:4].any()
    assert not np.allclose(backward[:4], 0)
    assert not np.allclose(forward[4:], 0)


def test_states_are_zero_unless_given_one_way_or_both(rng: np.random.Generator) -> None:
    p = both_ways(LSTM, rng, lengths=LENGTHS)
    zeros = tree_map(np.zeros_like, p.state)
    without = run(LSTM, p._replace(state=None, dstate=None))
    require_equal(without, run(LSTM, p._replace(state=zeros, dstate=zeros)), rtol=0, atol=0)
    half = run(LSTM, p._replace(state=BidirectionalState(None, p.state.backward)))
    given = run(LSTM, p._replace(state=BidirectionalState(zeros.forward, p.state.backward)))
    require_equal(half, given, rtol=0, atol=0)


def test_a_layer_does_what_its_cell_does(rng: np.random.Generator) -> None:
    p = both_ways(LSTM, rng, lengths=LENGTHS)
    require_equal(run(as_layer(LSTM), p), run(LSTM, p), rtol=0, atol=0)
    first, second = (bidirectional_init(cell, np.random.default_rng(3), D, H) for cell in (LSTM, as_layer(LSTM)))
    require_equal(first, second, rtol=0, atol=0, least=-1)


@with_and_without_mask
@every_cell
def test_the_dtype_is_kept_and_no_argument_modified(cell: Cell, lengths: Any, rng: np.random.Generator) -> None:
    p = both_ways(cell, rng, np.float32, lengths)
    before = bytes_of(p)
    assert dtypes_of((run(cell, p), bidirectional_init(cell, rng, D, H, np.float32))) == {np.dtype(np.float32)}
    assert bytes_of(p) == before


def test_initial_parameters_of_the_two_directions_differ(rng: np.random.Generator) -> None:
    params = bidirectional_init(LSTM, rng, D, H)
    assert isinstance(params, BidirectionalParams)
    assert [(n, a.shape) for n, a in tree_items(params.forward)] == [(n, a.shape) for n, a in tree_items(params[1])]
    assert not np.array_equal(params.forward.W_x, params.backward.W_x)


def test_reversal_keeps_to_each_sequence_and_twice_is_the_identity(rng: np.random.Generator) -> None:
    xs, mask = rng.normal(size=(T, B, D)), prefix_mask(LENGTHS, T)
    received = reverse(xs, mask)
    for b, length in enumerate(LENGTHS):
        for t in range(T):
            np.testing.assert_array_equal(received[t, b], xs[length - 1 - t if t < length else t, b])
    np.testing.assert_array_equal(reverse(received, mask), xs)
    np.testing.assert_array_equal(reverse(xs), xs[::-1])
    labels = np.arange(T * B).reshape(T, B)
    assert reverse(labels, mask)[:4, 0].tolist() == labels[3::-1, 0].tolist()


# --- the checks find what is wrong


def reversed_with_padding(cell: Cell, params: Any, cache: Any, dys: Any, dstate: Any) -> Any:
    return bidirectional_backward(cell, params, cache._replace(mask=None), dys, dstate)


def one_direction_reads_xs(cell: Cell, params: Any, cache: Any, dys: Any, dstate: Any) -> Any:
    dforward, dxs, _ = as_layer(cell).backward(params.forward, cache.forward, dys[:, :, :H], dstate.forward)
    dparams, _, dfirst = bidirectional_backward(cell, params, cache, dys, dstate)
    return dparams._replace(forward=dforward), dxs, dfirst


def halves_swapped(cell: Cell, params: Any, cache: Any, dys: Any, dstate: Any) -> Any:
    return bidirectional_backward(cell, params, cache, np.roll(dys, H, axis=2), dstate)


@pytest.mark.parametrize("wrong", [reversed_with_padding, one_direction_reads_xs, halves_swapped])
def test_a_wrong_backward_pass_is_found(wrong: Any, rng: np.random.Generator) -> None:
    with pytest.raises(GradientError):
        check(LSTM, both_ways(LSTM, rng, lengths=LENGTHS), rng, wrong)


def test_reversing_the_padding_with_the_sequence_gives_other_outputs(rng: np.random.Generator) -> None:
    p = both_ways(LSTM, rng, lengths=LENGTHS)
    zs, *_ = unroll(LSTM, p.params.backward, p.xs[::-1], p.state.backward)
    padded = np.where(p.mask[:, :, None], zs[::-1], 0)
    right = bidirectional(LSTM, p.params, p.xs, p.state, p.mask)[0][:, :, H:]
    np.testing.assert_allclose(right[:, 1], padded[:, 1], rtol=1e-12)  # the whole sequence
    assert np.abs(right - padded)[:, [0, 2]].max() > 0.01
