"""Sequences of any shape, down to one step, one example, one input and one unit, with any lengths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.bidirectional import bidirectional, bidirectional_backward, bidirectional_init, reverse
from companion.bptt import prefix_mask, rtrl, truncated_backward, unroll, unroll_backward
from companion.stacked import stacked, stacked_backward, stacked_init
from companion.tree import tree_items, tree_map
from tests.contract.cells import (
    CELLS,
    OUTPUTS,
    check_batch_against_single_sequences,
    problem,
    random_like,
    require_equal,
    run,
)

# The same examples in every run, and none kept on disk.
few = settings(derandomize=True, database=None, deadline=None, max_examples=40)
sizes = st.tuples(*[st.integers(1, 6)] * 3, st.integers(1, 5))  # T, B, D, H
cells = st.sampled_from(list(CELLS.values()))
seeds = st.integers(0, 2**32 - 1)


@st.composite
def shapes_and_lengths(draw: Any) -> Any:
    shape = draw(sizes)
    return shape, np.array(draw(st.lists(st.integers(1, shape[0]), min_size=shape[1], max_size=shape[1])))


def made(cell: Any, seed: int, shape: Any, lengths: Any = None) -> Any:
    return problem(cell, np.random.default_rng(seed), lengths=lengths, shape=shape)


def equal(a: Any, b: Any) -> None:
    """One unit alone may be at rest, so that a gradient is 0."""
    require_equal(a, b, rtol=1e-9, atol=1e-11, least=-1)


@few
@given(cells, seeds, shapes_and_lengths())
def test_a_masked_batch_equals_its_sequences(cell: Any, seed: int, drawn: Any) -> None:
    p = made(cell, seed, *drawn)
    ys, last, dparams, dxs, dfirst = run(cell, p)
    for received, like in ((last, p.state), (dparams, p.params), (dxs, p.xs), (dfirst, p.state), (ys, p.dys)):
        assert [(n, a.shape, a.dtype) for n, a in tree_items(received)] == [
            (n, a.shape, a.dtype) for n, a in tree_items(like)
        ]
    try:
        check_batch_against_single_sequences(cell, p)
    except AssertionError as error:
        if "nothing was compared" not in str(error):
            raise


@few
@given(cells, seeds, sizes)
def test_real_time_recurrent_learning_equals_backpropagation(cell: Any, seed: int, shape: Any) -> None:
    p = made(cell, seed, shape)
    _, _, caches = unroll(cell, p.params, p.xs, p.state)
    equal(rtrl(cell, p.params, p.xs, p.dys, p.state), unroll_backward(cell, p.params, caches, p.dys)[0])


@few
@given(cells, seeds, shapes_and_lengths(), st.integers(1, 8), st.integers(0, 8))
def test_windows_as_long_as_the_sequence_give_the_whole_gradient(
    cell: Any, seed: int, drawn: Any, k1: int, more: int
) -> None:
    p = made(cell, seed, *drawn)
    _, _, caches = unroll(cell, p.params, p.xs, p.state, p.mask)
    expected, _, _ = unroll_backward(cell, p.params, caches, p.dys)
    k2 = max(k1, len(p.xs)) + more
    equal(truncated_backward(cell, p.params, caches, p.dys, k1, k2), expected)


@few
@given(cells, seeds, sizes, st.data())
def test_a_sequence_may_be_cut_anywhere(cell: Any, seed: int, shape: Any, data: Any) -> None:
    p = made(cell, seed, (shape[0] + 1, *shape[1:]))
    cut = data.draw(st.integers(1, shape[0]))
    ys, last, dparams, dxs, dfirst = run(cell, p)
    ys_1, middle, first = unroll(cell, p.params, p.xs[:cut], p.state)
    ys_2, end, second = unroll(cell, p.params, p.xs[cut:], middle)
    dparams_2, dxs_2, dmiddle = unroll_backward(cell, p.params, second, p.dys[cut:], p.dstate)
    dparams_1, dxs_1, dstart = unroll_backward(cell, p.params, first, p.dys[:cut], dmiddle)
    joined = (np.concatenate([ys_1, ys_2]), end, tree_map(np.add, dparams_1, dparams_2))
    equal((*joined, np.concatenate([dxs_1, dxs_2]), dstart), (ys, last, dparams, dxs, dfirst))


@few
@given(seeds, shapes_and_lengths())
def test_reversal_is_a_permutation_of_each_sequence_and_its_own_inverse(seed: int, drawn: Any) -> None:
    (T, B, D, _), lengths = drawn
    xs, mask = np.random.default_rng(seed).normal(size=(T, B, D)), prefix_mask(lengths, T)
    received = reverse(xs, mask)
    np.testing.assert_array_equal(reverse(received, mask), xs)
    for b, length in enumerate(lengths):
        np.testing.assert_array_equal(received[:length, b], xs[:length, b][::-1])
        np.testing.assert_array_equal(received[length:, b], xs[length:, b])


@few
@given(cells, seeds, shapes_and_lengths(), st.booleans())
def test_layers_of_any_shape_treat_a_masked_batch_as_its_sequences(
    cell: Any, seed: int, drawn: Any, both_ways: bool
) -> None:
    if not both_ways and any(cell is CELLS[name] for name in OUTPUTS):
        cell = CELLS["Jordan"]  # stacked_init reckons with outputs of width n_hidden
    (T, B, D, H), lengths = drawn
    rng = np.random.default_rng(seed)
    xs, mask = rng.normal(size=(T, B, D)), prefix_mask(lengths, T)
    if both_ways:
        params, forward, backward = bidirectional_init(cell, rng, D, H), bidirectional, bidirectional_backward
    else:
        params, forward, backward = stacked_init(cell, rng, D, H, 2), stacked, stacked_backward
    ys, last, cache = forward(cell, params, xs, mask=mask)
    dys, dstate = random_like(rng, ys), random_like(rng, last)
    dparams, dxs, dfirst = backward(cell, params, cache, dys, dstate)
    total = tree_map(np.zeros_like, params)
    for b, length in enumerate(lengths):
        rows, steps = slice(b, b + 1), slice(0, length)
        ys_b, last_b, cache_b = forward(cell, params, xs[steps, rows])
        up = tree_map(lambda a, rows=rows: a[rows], dstate)
        dparams_b, dxs_b, dfirst_b = backward(cell, params, cache_b, dys[steps, rows], up)
        picked = tree_map(lambda a, rows=rows: a[rows], (last, dfirst))
        equal((ys[steps, rows], dxs[steps, rows], *picked), (ys_b, dxs_b, last_b, dfirst_b))
        total = tree_map(np.add, total, dparams_b)
    equal(dparams, total)


@few
@given(shapes_and_lengths(), st.data())
def test_an_empty_sequence_or_one_with_a_gap_is_refused_and_named(drawn: Any, data: Any) -> None:
    (T, B, D, H), lengths = drawn
    p = made(CELLS["LSTM"], 1, (T, B, D, H), lengths)
    b = data.draw(st.integers(0, B - 1))
    empty = p.mask.copy()
    empty[:, b] = False
    with pytest.raises(ValueError, match=rf"^unroll: mask\[:, {b}\] is empty, expected True for the first step"):
        unroll(CELLS["LSTM"], p.params, p.xs, p.state, empty)
    with pytest.raises(ValueError, match=rf"^prefix_mask: lengths\[{b}\] is 0, expected a whole number in 1\.\.{T}"):
        prefix_mask(np.where(np.arange(B) == b, 0, lengths), T)
    if T < 3:
        return
    gap = data.draw(st.integers(1, T - 2))
    holed = np.ones((T, B), bool)
    holed[gap, b] = False
    with pytest.raises(ValueError, match=rf"^unroll: mask\[{gap + 1}, {b}\] is True after False"):
        unroll(CELLS["LSTM"], p.params, p.xs, p.state, holed)
