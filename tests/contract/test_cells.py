"""What every cell owes its users: exact gradients, masks, dtype, and arguments left as they were."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from companion.bptt import Cell, prefix_mask, unroll, unroll_backward
from companion.ntm import HEAD_RANGE
from companion.tree import to_vector, tree_dot, tree_items, tree_leaves, tree_map
from tests.contract.cells import (
    CELLS,
    LENGTHS,
    NTMS,
    OUTPUTS,
    B,
    D,
    H,
    Problem,
    T,
    bytes_of,
    check_batch_against_single_sequences,
    check_sequence,
    check_step,
    dtypes_of,
    problem,
    random_like,
    require_equal,
    run,
)

every_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
with_and_without_mask = pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "masked"])


@pytest.mark.parametrize("name", CELLS)
def test_outputs_and_gradients_have_the_shapes_and_types_of_what_they_belong_to(
    name: str, rng: np.random.Generator
) -> None:
    cell = CELLS[name]
    p = problem(cell, rng, lengths=LENGTHS)
    ys, last, dparams, dxs, dstate = run(cell, p)
    assert ys.shape == (T, B, OUTPUTS.get(name, H))
    for received, like in ((last, p.state), (dparams, p.params), (dxs, p.xs), (dstate, p.state)):
        assert type(received) is type(like)
        assert [(n, a.shape) for n, a in tree_items(received)] == [(n, a.shape) for n, a in tree_items(like)]


@every_cell
def test_a_step_agrees_with_central_differences(cell: Cell, rng: np.random.Generator) -> None:
    p = problem(cell, rng)
    report = check_step(cell, p, rng)
    assert [c.name for c in report.comparisons] == [
        name for name, _ in tree_items({"params": p.params, "x": p.xs, "state": p.state})
    ]


@with_and_without_mask
@every_cell
def test_a_sequence_agrees_with_central_differences(cell: Cell, lengths: Any, rng: np.random.Generator) -> None:
    check_sequence(cell, problem(cell, rng, lengths=lengths), rng)


@pytest.mark.parametrize("name", CELLS)
def test_the_initial_state_is_assumed_and_zero_where_there_is_no_memory(name: str, rng: np.random.Generator) -> None:
    cell = CELLS[name]
    p = problem(cell, rng)
    start = cell.initial_state(p.params, B)
    if name not in NTMS:  # test_ntm.py says what a memory starts from
        assert not to_vector(start).any()
    ys, last, caches = unroll(cell, p.params, p.xs)
    require_equal((ys, last), unroll(cell, p.params, p.xs, start)[:2], rtol=0, atol=0)
    no_gradient = tree_map(np.zeros_like, p.dstate)
    given = unroll_backward(cell, p.params, caches, p.dys, no_gradient)
    require_equal(unroll_backward(cell, p.params, caches, p.dys), given, rtol=0, atol=0)


@every_cell
def test_a_masked_batch_equals_its_sequences_one_by_one(cell: Cell, rng: np.random.Generator) -> None:
    check_batch_against_single_sequences(cell, problem(cell, rng, lengths=LENGTHS))


@every_cell
def test_a_mask_of_whole_sequences_changes_nothing(cell: Cell, rng: np.random.Generator) -> None:
    p = problem(cell, rng)
    require_equal(run(cell, p._replace(mask=np.ones((T, B), bool))), run(cell, p), rtol=0, atol=0)


@every_cell
def test_the_values_in_the_padding_change_nothing(cell: Cell, rng: np.random.Generator) -> None:
    p = problem(cell, rng, lengths=LENGTHS)
    padding = ~p.mask[:, :, None]
    other = p._replace(xs=np.where(padding, 1e3, p.xs), dys=np.where(padding, -1e3, p.dys))
    assert not np.array_equal(other.xs, p.xs)
    require_equal(run(cell, other), run(cell, p), rtol=0, atol=0)


@every_cell
def test_a_sequence_of_one_step_equals_the_step(cell: Cell, rng: np.random.Generator) -> None:
    p = problem(cell, rng, shape=(1, B, D, H))
    y, new, cache = cell.step(p.params, p.xs[0], p.state)
    dparams, dx, dstate = cell.step_backward(p.params, cache, p.dys[0], p.dstate)
    require_equal(run(cell, p), (y[None], new, dparams, dx[None], dstate), rtol=0, atol=0)


@with_and_without_mask
@every_cell
@pytest.mark.parametrize("cut", [1, 3, T - 1])
def test_two_parts_with_the_state_carried_between_them_equal_the_whole(
    cut: int, cell: Cell, lengths: Any, rng: np.random.Generator
) -> None:
    if lengths is not None:
        lengths = np.maximum(lengths, cut + 1)  # a part without steps is no sequence
    p = problem(cell, rng, lengths=lengths)
    ys, last, dparams, dxs, dfirst = run(cell, p)
    mask, rest = (None, None) if p.mask is None else (p.mask[:cut], p.mask[cut:])
    ys_1, middle, caches_1 = unroll(cell, p.params, p.xs[:cut], p.state, mask)
    ys_2, end, caches_2 = unroll(cell, p.params, p.xs[cut:], middle, rest)
    dparams_2, dxs_2, dmiddle = unroll_backward(cell, p.params, caches_2, p.dys[cut:], p.dstate)
    dparams_1, dxs_1, dstart = unroll_backward(cell, p.params, caches_1, p.dys[:cut], dmiddle)
    require_equal((np.concatenate([ys_1, ys_2]), end), (ys, last), rtol=0, atol=0)
    require_equal((np.concatenate([dxs_1, dxs_2]), dstart), (dxs, dfirst), rtol=0, atol=0)
    require_equal(tree_map(np.add, dparams_1, dparams_2), dparams)


@every_cell
def test_the_order_of_the_batch_is_only_an_order(cell: Cell, rng: np.random.Generator) -> None:
    p, order = problem(cell, rng, lengths=LENGTHS), np.array([2, 0, 1])
    shuffled = Problem(
        p.params,
        p.xs[:, order],
        tree_map(lambda a: a[order], p.state),
        p.mask[:, order],
        p.dys[:, order],
        tree_map(lambda a: a[order], p.dstate),
    )
    ys, last, dparams, dxs, dstate = run(cell, p)
    by_row = tree_map(lambda a: a[order], (last, dstate))
    received = run(cell, shuffled)
    require_equal((received[1], received[4]), by_row)
    require_equal((received[0], received[2], received[3]), (ys[:, order], dparams, dxs[:, order]))


@every_cell
def test_the_backward_pass_is_linear_in_the_upstream_gradients(cell: Cell, rng: np.random.Generator) -> None:
    p = problem(cell, rng, lengths=LENGTHS)
    q = p._replace(dys=random_like(rng, p.dys), dstate=random_like(rng, p.dstate))
    both = p._replace(dys=p.dys - 3 * q.dys, dstate=tree_map(lambda a, b: a - 3 * b, p.dstate, q.dstate))
    expected = tree_map(lambda a, b: a - 3 * b, run(cell, p)[2:], run(cell, q)[2:])
    require_equal(run(cell, both)[2:], expected)


@pytest.mark.parametrize("name", CELLS)
def test_the_gradients_of_inputs_and_input_weights_tell_of_one_product(name: str, rng: np.random.Generator) -> None:
    """W_x and x meet in W_x x alone, so that <dW_x, W_x> = <dx, x>; with z = W_x x + W_h h' + b too.

    In an NTM it is the controller's W_x that meets [x, reads], and nothing else sees the reads.
    """
    cell = CELLS[name]
    p = problem(cell, rng)
    _, _, cache = cell.step(p.params, p.xs[0], p.state)
    dparams, dx, dstate = cell.step_backward(p.params, cache, p.dys[0], p.dstate)
    weights, gradient = p.params, dparams
    of_inputs = tree_dot(dx, p.xs[0])
    if name in NTMS:
        weights, gradient = weights.controller, gradient.controller
        of_inputs += tree_dot(dstate.reads, p.state.reads)
    assert tree_dot(gradient.W_x, weights.W_x) == pytest.approx(of_inputs, rel=1e-11)


@with_and_without_mask
@every_cell
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_of_the_parameters_is_kept(dtype: Any, cell: Cell, lengths: Any, rng: np.random.Generator) -> None:
    p = problem(cell, rng, dtype, lengths)
    y, new, cache = cell.step(p.params, p.xs[0], p.state)
    backward = cell.step_backward(p.params, cache, p.dys[0], p.dstate)
    start = cell.initial_state(p.params, B)
    assert dtypes_of((cell.init(rng, D, H, dtype), start, y, new, backward, run(cell, p))) == {np.dtype(dtype)}


@with_and_without_mask
@every_cell
def test_no_argument_is_modified(cell: Cell, lengths: Any, rng: np.random.Generator) -> None:
    p = problem(cell, rng, lengths=lengths)
    y, new, cache = cell.step(p.params, p.xs[0], p.state)
    ys, last, caches = unroll(cell, p.params, p.xs, p.state, p.mask)
    kept = (p, y, new, cache, ys, last, caches.steps)
    before = bytes_of(kept)
    cell.step(p.params, p.xs[1], new)
    first = cell.step_backward(p.params, cache, p.dys[0], p.dstate)
    again = cell.step_backward(p.params, cache, p.dys[0], p.dstate)
    unroll(cell, p.params, p.xs, p.state, p.mask)
    unroll_backward(cell, p.params, caches, p.dys, p.dstate)
    assert bytes_of(kept) == before
    require_equal(again, first, rtol=0, atol=0)


@every_cell
def test_results_share_no_memory_with_arguments(cell: Cell, rng: np.random.Generator) -> None:
    """Whoever writes into a gradient must not write into a parameter."""
    p = problem(cell, rng, lengths=LENGTHS)
    for result in tree_leaves(run(cell, p)):
        for argument in tree_leaves(p):
            assert not np.shares_memory(result, argument)


@every_cell
def test_initial_parameters_follow_the_stream(cell: Cell) -> None:
    first, again, other = (cell.init(np.random.default_rng(seed), D, H) for seed in (4, 4, 5))
    require_equal(first, again, rtol=0, atol=0, least=-1)
    for (name, a), b in zip(tree_items(first), tree_leaves(other), strict=True):
        if name.split(".")[-1].startswith("W"):
            assert not np.array_equal(a, b)
            limit = (HEAD_RANGE if name == "W_z" else 1) * H**-0.5
            assert 0.8 * limit < np.abs(a).max() <= limit


@every_cell
def test_a_cell_can_learn(cell: Cell, rng: np.random.Generator) -> None:
    """Steps against the gradient lower the loss by its squared norm: no sign is wrong everywhere."""
    p = problem(cell, rng, lengths=LENGTHS)
    ys, last, grads, _, _ = run(cell, p)
    rate = 1e-7
    after = run(cell, p._replace(params=tree_map(lambda w, g: w - rate * g, p.params, grads)))
    loss, lower = (tree_dot((p.dys, p.dstate), outputs) for outputs in ((ys, last), after[:2]))
    assert loss - lower == pytest.approx(rate * tree_dot(grads, grads), rel=1e-3)


def test_the_lengths_of_these_tests_leave_padding_and_one_whole_sequence() -> None:
    mask = prefix_mask(LENGTHS, T)
    assert mask.sum(axis=0).tolist() == LENGTHS.tolist()
    assert mask.all(axis=0).tolist() == [False, True, False]
