"""The fast NTM against `unroll` of the readable one: outputs, states, every gradient, masks, extremes, what it leaves alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from companion.bidirectional import BidirectionalParams, bidirectional, bidirectional_backward
from companion.bptt import Cell, prefix_mask
from companion.fast import ntm as fast_ntm
from companion.fast.ntm_machine import Loops
from companion.ntm import NTM, Feedforward, ntm
from companion.tree import tree_leaves, tree_map
from tests.contract.cells import Problem, problem, random_like, random_params, run
from tests.parity.test_fast import TOLERANCE, lengths_of, require_equal, run_layer

MACHINES: dict[str, dict[str, Any]] = {
    "LSTM": {"rows": 6, "width": 4},
    "LSTM, three heads read, four shifts each way": {"rows": 19, "width": 3, "read_heads": 3, "shift_range": 4},
    "LSTM, no shift, two heads write": {"rows": 5, "width": 4, "write_heads": 2, "shift_range": 0},
    "LSTM, shifts all round": {"rows": 7, "width": 2, "shift_range": 3},
    "feedforward": {"controller": Feedforward, "rows": 16, "width": 5},
    "feedforward, two heads read, three write": {
        "controller": Feedforward,
        "rows": 9,
        "width": 3,
        "read_heads": 2,
        "write_heads": 3,
        "shift_range": 2,
    },
}
# T, B, D, H. As many sequences as steps, or as steps and the start: lengths of axes must not be taken for each other.
SHAPES = [(7, 3, 4, 5), (1, 1, 4, 5), (6, 1, 3, 2), (4, 4, 2, 3), (3, 4, 2, 3), (5, 20, 2, 3)]
every_machine = pytest.mark.parametrize("name", MACHINES)


def pair(name: str) -> tuple[Cell, Any]:
    return ntm(**MACHINES[name]), fast_ntm.ntm(**MACHINES[name])


@every_machine
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", SHAPES)
def test_outputs_states_and_every_gradient_equal_those_of_unroll(
    name: str, masked: bool, dtype: Any, shape: tuple[int, int, int, int], rng: np.random.Generator
) -> None:
    cell, layer = pair(name)
    p = problem(cell, rng, dtype, lengths_of(rng, shape) if masked else None, shape)
    theirs, ours = run(cell, p), run_layer(layer, p)
    assert [type(a) for a in ours] == [type(a) for a in theirs]
    require_equal(ours, theirs, dtype)


@every_machine
@pytest.mark.parametrize("masked", [False, True])
def test_states_and_their_gradients_may_be_left_out(name: str, masked: bool, rng: np.random.Generator) -> None:
    cell, layer = pair(name)
    p = problem(cell, rng, lengths=[3, 7, 1] if masked else None)
    for change in ({"state": None}, {"dstate": None}, {"state": None, "dstate": None}):
        q = p._replace(**change)
        require_equal(run_layer(layer, q), run(cell, q), np.float64)


def test_it_starts_as_the_readable_machine(rng: np.random.Generator) -> None:
    for one, other in zip(fast_ntm.NTM.init(np.random.default_rng(3), 4, 5), NTM.init(np.random.default_rng(3), 4, 5)):
        assert all(np.array_equal(a, b) for a, b in zip(tree_leaves(one), tree_leaves(other), strict=True))


def test_at_its_full_size_too(rng: np.random.Generator) -> None:
    p = problem(NTM, rng, lengths=[41, 17], shape=(41, 2, 9, 100))._replace(state=None)
    p = p._replace(params=NTM.init(rng, 9, 100))
    require_equal(run_layer(fast_ntm.NTM, p), run(NTM, p), np.float64)


def test_a_state_may_have_more_rows_than_the_machine(rng: np.random.Generator) -> None:
    larger, p = ntm(rows=11, width=4), problem(ntm(rows=11, width=4), rng, lengths=[3, 7, 1])
    require_equal(run_layer(fast_ntm.ntm(rows=6, width=4), p), run(larger, p), np.float64)


@every_machine
def test_bidirectional_layers_take_it(name: str, rng: np.random.Generator) -> None:
    cell, layer = pair(name)
    p = problem(cell, rng, lengths=[3, 7, 1])
    params = BidirectionalParams(p.params, random_params(cell, rng))
    dys = rng.normal(size=(7, 3, 2 * p.dys.shape[2]))
    results = []
    for kind in (cell, layer):
        ys, last, cache = bidirectional(kind, params, p.xs, mask=p.mask)
        results.append((ys, last, *bidirectional_backward(kind, params, cache, dys)))
    require_equal(results[1], results[0], np.float64)


# ---- wrong ones are found


@every_machine
@pytest.mark.parametrize("masked", [False, True])
def test_other_arguments_do_not_pass_for_equal(name: str, masked: bool, rng: np.random.Generator) -> None:
    cell, layer = pair(name)
    p = problem(cell, rng, lengths=[3, 7, 1] if masked else None)
    right = run(cell, p)
    wrong = [
        p._replace(params=tree_map(lambda a: np.roll(a, 1, axis=0), p.params)),
        p._replace(state=None),
        p._replace(state=p.state._replace(w=p.state.w[:, ::-1])),
        p._replace(state=p.state._replace(memory=p.state.memory[:, ::-1])),
        p._replace(dstate=p.dstate._replace(memory=p.dstate.memory[:, :, ::-1])),
        p._replace(dstate=p.dstate._replace(reads=p.dstate.reads * 1.001)),
        p._replace(xs=p.xs[::-1]),
        p._replace(dys=p.dys[::-1]),
        p._replace(mask=prefix_mask(np.array([3, 6, 1]), 7)),
    ]
    for other in wrong:
        with pytest.raises(AssertionError):
            require_equal(run_layer(layer, other), right, np.float64)


def spoilt(part: str, of_gradients: bool) -> Loops:
    """Loops that change one number of what they leave."""

    def forward(sizes: Any, weights: Any, tape: Any) -> None:
        fast_ntm.NUMPY.forward(sizes, weights, tape)
        if not of_gradients:
            getattr(tape, part)[3, 0] *= 1 + 1e-7

    def backward(sizes: Any, weights: Any, tape: Any, grads: Any) -> None:
        fast_ntm.NUMPY.backward(sizes, weights, tape, grads)
        if of_gradients:
            getattr(grads, part)[0] *= 1 + 1e-7

    return Loops(forward, backward)


@pytest.mark.parametrize(
    ("part", "of_gradients"),
    [
        (part, False)
        for part in ("seen", "gates", "phi", "heads", "unit", "content", "gated", "logarithm", "w", "memory")
    ]
    + [(part, True) for part in ("seen", "gates", "heads", "s", "w", "memory")],
)
def test_one_wrong_number_in_a_loop_is_found(part: str, of_gradients: bool, rng: np.random.Generator) -> None:
    cell, layer = ntm(rows=6, width=4), fast_ntm.ntm(rows=6, width=4, loops=spoilt(part, of_gradients))
    p = problem(cell, rng)
    with pytest.raises(AssertionError):
        require_equal(run_layer(layer, p), run(cell, p), np.float64)


# ---- extremes


def hard(dtype: Any, rng: np.random.Generator) -> tuple[Cell, Any, Problem]:
    """Sharpness and strength of about 50 and 1000, gates nearly shut, shares that erase all."""
    cell, layer = ntm(rows=8, width=3), fast_ntm.ntm(rows=8, width=3)
    p = problem(cell, rng, dtype)
    b_z = p.params.b_z.copy()
    b_z[6:8], b_z[8:10], b_z[16:18], b_z[18:21] = 1000, -9, 50, 40  # strength, gate, sharpness, erase
    return cell, layer, p._replace(params=p.params._replace(b_z=b_z))


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_extreme_parameters_of_heads_give_finite_numbers(dtype: Any, rng: np.random.Generator) -> None:
    _, layer, p = hard(dtype, rng)
    assert all(np.isfinite(a).all() for a in tree_leaves(run_layer(layer, p)))


def test_extreme_parameters_of_heads_give_the_numbers_of_unroll(rng: np.random.Generator) -> None:
    cell, layer, p = hard(np.float64, rng)
    for a, b in zip(tree_leaves(run_layer(layer, p)), tree_leaves(run(cell, p)), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-9 * np.abs(b).max())  # sums of terms 1000 times as large


# ---- padding


@every_machine
def test_what_stands_on_padding_has_no_influence(name: str, rng: np.random.Generator) -> None:
    cell, layer = pair(name)
    p = problem(cell, rng, lengths=[3, 7, 1])
    noisy = p._replace(xs=np.where(p.mask[:, :, None], p.xs, 1e300), dys=np.where(p.mask[:, :, None], p.dys, 1e3))
    for a, b in zip(tree_leaves(run_layer(layer, p)), tree_leaves(run_layer(layer, noisy)), strict=True):
        assert np.array_equal(a, b)


@every_machine
def test_outputs_and_gradients_of_padded_steps_are_zero(name: str, rng: np.random.Generator) -> None:
    cell, layer = pair(name)
    p = problem(cell, rng, lengths=[3, 7, 1])
    ys, _, _, dxs, _ = run_layer(layer, p)
    assert not ys[~p.mask].any()
    assert not dxs[~p.mask].any()


# ---- what is left alone


@every_machine
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("masked", [False, True])
def test_arguments_are_not_modified_and_results_share_no_memory(
    name: str, batch: int, masked: bool, rng: np.random.Generator
) -> None:
    cell, layer = pair(name)
    p = problem(cell, rng, lengths=[3, 7, 1][:batch] if masked else None, shape=(7, batch, 4, 5))
    before = tree_map(np.copy, p)
    ys, last, cache = layer.forward(p.params, p.xs, p.state, p.mask)
    results = (ys, last, *layer.backward(p.params, cache, p.dys, p.dstate))
    for old, new in zip(tree_leaves(before), tree_leaves(p), strict=True):
        assert np.array_equal(old, new)
    leaves = tree_leaves(results)
    for k, leaf in enumerate(leaves):
        for other in [*leaves[:k], *tree_leaves(p), *tree_leaves(cache)]:
            assert other is None or not np.shares_memory(leaf, other)
    for leaf in tree_leaves(p):
        assert not any(
            np.shares_memory(leaf, kept) for kept in tree_leaves(cache) if kept is not None and leaf is not None
        )


@every_machine
def test_cache_serves_twice_and_survives_changes_of_the_arguments(name: str, rng: np.random.Generator) -> None:
    cell, layer = pair(name)
    p = problem(cell, rng, lengths=[3, 7, 1])
    ys, last, cache = layer.forward(p.params, p.xs, p.state, p.mask)
    first = tree_map(np.copy, layer.backward(p.params, cache, p.dys, p.dstate))
    layer.forward(p.params, random_like(rng, p.xs), None, None)
    for array in (ys, p.xs, *tree_leaves(last), *tree_leaves(p.state)):
        array[...] = 7
    p.mask[...] = True
    for a, b in zip(tree_leaves(layer.backward(p.params, cache, p.dys, p.dstate)), tree_leaves(first), strict=True):
        assert np.array_equal(a, b)


def test_a_sequence_may_be_read_in_two_parts(rng: np.random.Generator) -> None:
    p = problem(ntm(rows=6, width=4), rng)
    layer = fast_ntm.ntm(rows=6, width=4)
    ys, last, _ = layer.forward(p.params, p.xs)
    first, between, _ = layer.forward(p.params, p.xs[:3])
    second, end, _ = layer.forward(p.params, p.xs[3:], between)
    require_equal((np.concatenate([first, second]), end), (ys, last), np.float64)
