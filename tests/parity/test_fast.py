"""The fast layers against `unroll` of their cells: outputs, states, every gradient, masks, errors, and what they leave alone."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from companion import gru, lstm, ops, rnn
from companion.bidirectional import BidirectionalParams, bidirectional, bidirectional_backward
from companion.bptt import Cell, Layer, prefix_mask
from companion.fast import gru as fast_gru
from companion.fast import lstm as fast_lstm
from companion.fast import ntm as fast_ntm
from companion.fast import rnn as fast_rnn
from companion.ntm import Feedforward, NTMState, ntm
from companion.tree import tree_items, tree_leaves, tree_map
from tests.contract.cells import Problem, problem, random_like, random_params, run
from tests.contract.refusals import with_nan

RECURRENT: dict[str, tuple[Cell, Layer]] = {
    "Elman": (rnn.Elman, fast_rnn.Elman),
    "Elman, sigmoid": (rnn.elman(ops.SIGMOID), fast_rnn.elman(ops.SIGMOID)),
    "Elman, ReLU": (rnn.elman(ops.RELU), fast_rnn.elman(ops.RELU)),
    "LSTM": (lstm.LSTM, fast_lstm.LSTM),
    "GRU": (gru.GRU, fast_gru.GRU),
}
MACHINES: dict[str, dict[str, Any]] = {
    "NTM, LSTM": {"rows": 6, "width": 4},
    "NTM, LSTM, three heads read, four shifts each way": {"rows": 19, "width": 3, "read_heads": 3, "shift_range": 4},
    "NTM, LSTM, no shift, two heads write": {"rows": 5, "width": 4, "write_heads": 2, "shift_range": 0},
    "NTM, LSTM, shifts all round": {"rows": 7, "width": 2, "shift_range": 3},
    "NTM, feedforward": {"controller": Feedforward, "rows": 16, "width": 5},
    "NTM, feedforward, two heads read, three write": {
        "controller": Feedforward,
        "rows": 9,
        "width": 3,
        "read_heads": 2,
        "write_heads": 3,
        "shift_range": 2,
    },
}
PAIRS = RECURRENT | {name: (ntm(**sizes), fast_ntm.ntm(**sizes)) for name, sizes in MACHINES.items()}
# T, B, D, H: small; one step and example; several blocks of steps, the last one shorter; blocks of two steps; of one step.
SHAPES = [(7, 3, 4, 5), (1, 1, 4, 5), (530, 1, 3, 6), (9, 200, 2, 3), (3, 600, 2, 3)]
# As many sequences as steps, or as steps and the start: lengths of axes must not be taken for each other.
MACHINE_SHAPES = [(7, 3, 4, 5), (1, 1, 4, 5), (6, 1, 3, 2), (4, 4, 2, 3), (3, 4, 2, 3), (5, 20, 2, 3)]
TOLERANCE = {np.float64: 1e-12, np.float32: 2e-5}
every_pair = pytest.mark.parametrize("name", PAIRS)


def scaled(p: Problem) -> Problem:
    """Smaller weights, so that sums over hundreds of ReLU steps stay finite."""
    return p._replace(params=tree_map(lambda a: a / 4, p.params))


def run_layer(layer: Layer, p: Problem) -> tuple[Any, ...]:
    ys, last, cache = layer.forward(p.params, p.xs, p.state, p.mask)
    return (ys, last, *layer.backward(p.params, cache, p.dys, p.dstate))


def require_equal(a: Any, b: Any, dtype: Any) -> None:
    """Equal to a share of the largest entry of each array."""
    for (name, x), (other, y) in zip(tree_items(a), tree_items(b), strict=True):
        assert (name, x.dtype, x.shape) == (other, y.dtype, y.shape)
        assert x.dtype == dtype, name
        largest = np.abs(y).max()
        np.testing.assert_allclose(x, y, rtol=0, atol=TOLERANCE[dtype] * largest, err_msg=name)
        assert largest > 1e-6, f"{name} is nearly zero, so that nothing was compared"


def lengths_of(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    lengths = rng.integers(1, shape[0] + 1, shape[1])
    lengths[0] = shape[0] if shape[1] > 1 else (shape[0] + 1) // 2  # a batch has one sequence without padding
    return lengths


@pytest.mark.parametrize(
    ("name", "shape"),
    [(name, shape) for name in PAIRS for shape in (SHAPES if name in RECURRENT else MACHINE_SHAPES)],
)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_outputs_states_and_every_gradient_equal_those_of_unroll(
    name: str, masked: bool, dtype: Any, shape: tuple[int, int, int, int], rng: np.random.Generator
) -> None:
    cell, layer = PAIRS[name]
    p = problem(cell, rng, dtype, lengths_of(rng, shape) if masked else None, shape)
    p = scaled(p) if name in RECURRENT else p
    theirs, ours = run(cell, p), run_layer(layer, p)
    assert [type(a) for a in ours] == [type(a) for a in theirs]
    require_equal(ours, theirs, dtype)


@every_pair
@pytest.mark.parametrize("masked", [False, True])
def test_states_and_their_gradients_may_be_left_out(name: str, masked: bool, rng: np.random.Generator) -> None:
    cell, layer = PAIRS[name]
    p = problem(cell, rng, lengths=[3, 7, 1] if masked else None)
    for change in ({"state": None}, {"dstate": None}, {"state": None, "dstate": None}):
        q = p._replace(**change)
        require_equal(run_layer(layer, q), run(cell, q), np.float64)


@every_pair
@pytest.mark.parametrize("masked", [False, True])
def test_other_arguments_do_not_pass_for_equal(name: str, masked: bool, rng: np.random.Generator) -> None:
    cell, layer = PAIRS[name]
    p = problem(cell, rng, lengths=[3, 7, 1] if masked else None)
    right = run(cell, p)
    wrong = [
        p._replace(params=tree_map(lambda a: np.roll(a, 1, axis=0), p.params)),
        p._replace(state=None),
        p._replace(dstate=None),
        p._replace(xs=p.xs[::-1]),
        p._replace(dys=p.dys[::-1]),
        p._replace(mask=prefix_mask(np.array([3, 6, 1]), 7)),
    ]
    for other in wrong + other_memory(p):
        with pytest.raises(AssertionError):
            require_equal(run_layer(layer, other), right, np.float64)


def other_memory(p: Problem) -> list[Problem]:
    """Other states of a machine, and other gradients of them; none for other cells."""
    if not isinstance(p.state, NTMState):
        return []
    return [
        p._replace(state=p.state._replace(w=p.state.w[:, ::-1])),
        p._replace(state=p.state._replace(memory=p.state.memory[:, ::-1])),
        p._replace(dstate=p.dstate._replace(memory=p.dstate.memory[:, :, ::-1])),
        p._replace(dstate=p.dstate._replace(reads=p.dstate.reads * 1.001)),
    ]


@every_pair
def test_bidirectional_layers_take_the_fast_one(name: str, rng: np.random.Generator) -> None:
    cell, layer = PAIRS[name]
    p = problem(cell, rng, lengths=[3, 7, 1])
    params = BidirectionalParams(p.params, random_params(cell, rng))
    dys = rng.normal(size=(7, 3, 2 * p.dys.shape[2]))
    results = []
    for kind in (cell, layer):
        ys, last, cache = bidirectional(kind, params, p.xs, mask=p.mask)
        results.append((ys, last, *bidirectional_backward(kind, params, cache, dys)))
    require_equal(results[1], results[0], np.float64)


# ---- padding


@every_pair
def test_what_stands_on_padding_has_no_influence(name: str, rng: np.random.Generator) -> None:
    cell, layer = PAIRS[name]
    noise, tolerance = (1e3, 1e-12) if name in RECURRENT else (1e300, 0)
    p = problem(cell, rng, lengths=[3, 7, 1])
    noisy = p._replace(xs=np.where(p.mask[:, :, None], p.xs, noise), dys=np.where(p.mask[:, :, None], p.dys, 1e3))
    for a, b in zip(tree_leaves(run_layer(layer, p)), tree_leaves(run_layer(layer, noisy)), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=False)


@every_pair
def test_outputs_and_gradients_of_padded_steps_are_zero(name: str, rng: np.random.Generator) -> None:
    p = problem(PAIRS[name][0], rng, lengths=[3, 7, 1])
    ys, _, _, dxs, _ = run_layer(PAIRS[name][1], p)
    assert not ys[~p.mask].any()
    assert not dxs[~p.mask].any()


def test_values_that_grow_do_not_overflow_on_padding() -> None:
    layer = fast_rnn.elman(ops.RELU)
    params = rnn.ElmanParams(np.ones((1, 1), np.float32), np.full((1, 1), 10, np.float32), np.ones(1, np.float32))
    xs, mask = np.ones((100, 2, 1), np.float32), prefix_mask(np.array([5, 3]), 100)
    ys, last, cache = layer.forward(params, xs, None, mask)
    assert last.h[:, 0].tolist() == [22222, 222]
    assert all(np.isfinite(a).all() for a in tree_leaves(layer.backward(params, cache, np.ones_like(ys))))


# ---- what is left alone


@every_pair
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("masked", [False, True])
def test_arguments_are_not_modified_and_results_share_no_memory(
    name: str, batch: int, masked: bool, rng: np.random.Generator
) -> None:
    cell, layer = PAIRS[name]
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
    for leaf, kept in itertools.product(tree_leaves(p), tree_leaves(cache)):
        assert leaf is None or kept is None or not np.shares_memory(leaf, kept)


@every_pair
def test_cache_serves_twice_and_survives_changes_of_the_arguments(name: str, rng: np.random.Generator) -> None:
    cell, layer = PAIRS[name]
    p = problem(cell, rng, lengths=[3, 7, 1])
    ys, last, cache = layer.forward(p.params, p.xs, p.state, p.mask)
    first = tree_map(np.copy, layer.backward(p.params, cache, p.dys, p.dstate))
    layer.forward(p.params, random_like(rng, p.xs), None, None)
    for array in (ys, p.xs, *tree_leaves(last), *tree_leaves(p.state)):
        array[...] = 7
    p.mask[...] = True
    for a, b in zip(tree_leaves(layer.backward(p.params, cache, p.dys, p.dstate)), tree_leaves(first), strict=True):
        assert np.array_equal(a, b)


# ---- bad input

BAD: dict[str, dict[str, Any]] = {
    "xs without a batch": {"xs": lambda a: a[:, 0]},
    "no steps": {"xs": lambda a: a[:0]},
    "xs too wide": {"xs": lambda a: np.repeat(a, 2, axis=2)},
    "NaN in xs": {"xs": lambda a: with_nan(a, (4, 0, 2))},
    "float32 xs": {"xs": lambda a: a.astype(np.float32)},
    "state of another batch": {"state": lambda s: tree_map(lambda a: a[:2], s)},
    "array for a state": {"state": lambda s: s.h},
    "state too wide": {"state": lambda s: tree_map(lambda a: np.ones((3, 9)), s)},
    "float32 state": {"state": lambda s: tree_map(lambda a: a.astype(np.float32), s)},
    "parameters in a tuple": {"params": tuple},
    "biases too short": {"params": lambda p: p._replace(b=p.b[1:])},
    "mask of integers": {"mask": lambda m: m.astype(int)},
    "mask that resumes": {"mask": lambda m: m[::-1] | (np.arange(7) == 0)[:, None]},
    "dys too short": {"dys": lambda a: a[:5]},
    "dys of another batch": {"dys": lambda a: a[:, :2]},
    "float32 dys": {"dys": lambda a: a.astype(np.float32)},
    "NaN in dys": {"dys": lambda a: with_nan(a, (6, 0, 2))},
    "dstate too narrow": {"dstate": lambda s: tree_map(lambda a: a[:, :1], s)},
    "array for dstate": {"dstate": lambda s: s.h},
    "float32 dstate": {"dstate": lambda s: tree_map(lambda a: a.astype(np.float32), s)},
    "NaN in dstate": {"dstate": lambda s: tree_map(with_nan, s)},
}


def message(call: Any, *args: Any) -> list[str]:
    """The argument's name and what was received and expected, without the function's name."""
    with pytest.raises(ValueError) as raised:  # noqa: PT011 compared by the caller
        call(*args)
    function, rest = str(raised.value).split(": ", 1)
    assert function
    return rest.replace("dy ", "dys ").split()


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("name", ["Elman", "LSTM", "GRU"])
def test_bad_input_is_refused_as_by_unroll(name: str, bad: str, rng: np.random.Generator) -> None:
    cell, layer = PAIRS[name]
    p = problem(cell, rng, lengths=[3, 7, 1])
    (field, change) = next(iter(BAD[bad].items()))
    wrong = p._replace(**{field: change(getattr(p, field))})
    theirs, ours = message(run, cell, wrong), message(run_layer, layer, wrong)
    assert ours[0] == theirs[0], f"{' '.join(ours)} / {' '.join(theirs)}"  # the argument
    assert ours[1] == theirs[1], f"{' '.join(ours)} / {' '.join(theirs)}"  # has, is


def test_gru_refuses_a_second_bias_that_is_too_long(rng: np.random.Generator) -> None:
    p = problem(gru.GRU, rng)
    with pytest.raises(ValueError, match=r"gru_sequence: params\.b_n has shape \(10,\), expected \(5,\)"):
        fast_gru.gru_sequence(p.params._replace(b_n=np.ones(10)), p.xs)
