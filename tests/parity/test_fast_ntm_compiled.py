"""The compiled NTM against `unroll` and against NumPy's loops; its exp, log and tanh."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from companion.fast import ntm as fast_ntm
from companion.ntm import NTM, ntm
from companion.tree import tree_leaves, tree_map
from tests.contract.cells import problem, run
from tests.parity.test_bad_fast_ntm import with_bias
from tests.parity.test_fast import MACHINE_SHAPES, MACHINES, TOLERANCE, lengths_of, require_equal, run_layer
from tests.parity.test_fast_ntm import STRENGTH, hard, without_strength

compiled_ntm = pytest.importorskip("companion.fast.compiled_ntm", exc_type=ImportError)
compiled_math = pytest.importorskip("companion.fast.compiled_math", exc_type=ImportError)


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", MACHINE_SHAPES)
def test_outputs_states_and_every_gradient_equal_those_of_unroll(
    name: str, masked: bool, dtype: Any, shape: tuple[int, int, int, int], rng: np.random.Generator
) -> None:
    cell, layer = ntm(**MACHINES[name]), compiled_ntm.ntm(**MACHINES[name])
    p = problem(cell, rng, dtype, lengths_of(rng, shape) if masked else None, shape)
    require_equal(run_layer(layer, p), run(cell, p), dtype)


def test_other_arguments_do_not_pass_for_equal(rng: np.random.Generator) -> None:
    cell, layer = ntm(rows=6, width=4), compiled_ntm.ntm(rows=6, width=4)
    p = problem(cell, rng, lengths=[3, 7, 1])
    right = run(cell, p)
    wrong = [
        p._replace(params=tree_map(lambda a: np.roll(a, 1, axis=0), p.params)),
        p._replace(state=p.state._replace(w=p.state.w[:, ::-1])),
        p._replace(dstate=p.dstate._replace(memory=p.dstate.memory[:, :, ::-1])),
        p._replace(dys=p.dys[::-1]),
    ]
    for other in wrong:
        with pytest.raises(AssertionError):
            require_equal(run_layer(layer, other), right, np.float64)


@pytest.mark.parametrize("batch", [1, 16])
def test_at_full_size_it_is_as_close_to_the_truth_as_numpy(batch: int, rng: np.random.Generator) -> None:
    """How far float32 arrays are from those of float64, as a share of their length: about a millionth for both."""
    p = problem(NTM, rng, shape=(41, batch, 9, 100))
    p = p._replace(params=NTM.init(rng, 9, 100), state=None)
    truth = run_layer(fast_ntm.NTM, p)
    require_equal(run_layer(compiled_ntm.NTM, p), truth, np.float64)
    rounded = tree_map(lambda a: a if a is None else a.astype(np.float32), p)
    p = tree_map(lambda a: a if a is None else a.astype(np.float64), rounded)
    ours, theirs = (run_layer(layer, rounded) for layer in (compiled_ntm.NTM, fast_ntm.NTM))
    for a, b, true in zip(*map(tree_leaves, (ours, theirs, run_layer(fast_ntm.NTM, p))), strict=True):
        far, numpy_far = (np.linalg.norm(x - true) / np.linalg.norm(true) for x in (a, b))
        assert far < max(2e-6, 2 * numpy_far) < 1e-4


# ---- extremes and what is refused


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_extreme_parameters_of_heads_give_the_numbers_of_numpy(dtype: Any, rng: np.random.Generator) -> None:
    _, layer, p = hard(dtype, rng)
    ours = run_layer(compiled_ntm.ntm(rows=8, width=3), p)
    for a, b in zip(tree_leaves(ours), tree_leaves(run_layer(layer, p)), strict=True):
        assert np.isfinite(a).all()
        if dtype is np.float64:
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-9 * np.abs(b).max())


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_a_strength_that_rounds_to_zero_gives_the_numbers_of_unroll(dtype: Any, rng: np.random.Generator) -> None:
    cell, _, p = without_strength(dtype, rng)
    ours = run_layer(compiled_ntm.ntm(rows=6, width=4), p)
    require_equal(ours, run(cell, p), dtype)
    assert np.abs(ours[2].b_z[STRENGTH]).max() < 1e-30


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    ("places", "value"),
    [
        (slice(2, 3), np.nan),
        (slice(9, 10), np.inf),
        (slice(10, 11), np.nan),
        (slice(13, 14), np.nan),
        (slice(18, 19), np.nan),
        (slice(21, 22), np.nan),
        (slice(27, 28), np.nan),
        (slice(4, 8), 0.0),
    ],
)
def test_parameters_of_heads_are_refused_as_by_numpy(
    places: slice, value: float, dtype: Any, rng: np.random.Generator
) -> None:
    p = tree_map(lambda a: a if a is None else a.astype(dtype), with_bias(rng, places, value))
    messages = []
    for layers in (fast_ntm, compiled_ntm):
        with pytest.raises(
            ValueError, match=r"^ntm_sequence: .* of a head is .* at step 0, batch 0, expected"
        ) as raised:
            layers.ntm(rows=6, width=4).forward(p.params, p.xs, p.state)
        messages.append(str(raised.value))
    assert messages[0] == messages[1]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("field", ["W_x", "W_h", "b"])
def test_a_controller_that_is_not_finite_is_refused(field: str, dtype: Any, rng: np.random.Generator) -> None:
    p = problem(ntm(rows=6, width=4), rng, dtype)
    getattr(p.params.controller, field)[2] = np.nan
    with pytest.raises(ValueError, match=r"of a head is nan at step 0, batch 0, expected finite numbers"):
        compiled_ntm.ntm(rows=6, width=4).forward(p.params, p.xs, p.state)


def test_dtypes_that_numba_has_not_take_the_loops_of_numpy(rng: np.random.Generator) -> None:
    p = problem(ntm(rows=6, width=4), rng)
    p = tree_map(lambda a: a if a is None else a.astype(np.longdouble), p)
    ours, theirs = (run_layer(layers.ntm(rows=6, width=4), p) for layers in (compiled_ntm, fast_ntm))
    assert all(np.array_equal(a, b) for a, b in zip(tree_leaves(ours), tree_leaves(theirs), strict=True))


# ---- its functions

POINTS = np.concatenate([[0.0], 10.0 ** np.linspace(-30, 1.9, 2000), np.linspace(0, 87, 2000)])
FUNCTIONS: dict[str, tuple[Any, Any]] = {
    "exp": (np.exp, -POINTS),
    "log": (np.log, np.exp(-POINTS[POINTS < 60])),
    "tanh": (np.tanh, np.append(POINTS, -POINTS)),
}


def applied(function: str, x: Any) -> Any:
    """The function of x (n,), as compiled code calls it."""
    numba = pytest.importorskip("numba")
    of_one = getattr(compiled_math, function)

    def fill(x: Any, y: Any) -> None:
        for n in range(len(x)):
            y[n] = of_one(x[n])

    y = np.empty_like(x)
    numba.njit(fill)(x, y)
    return y


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float32, 2e-7), (np.float64, 1e-15)])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_its_functions_are_right(function: str, dtype: Any, rtol: float) -> None:
    oracle, x = FUNCTIONS[function]
    x = x.astype(dtype)
    np.testing.assert_allclose(applied(function, x), oracle(x.astype(np.float64)), rtol=rtol, atol=0)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_its_functions_keep_nan_and_know_their_limits(dtype: Any) -> None:
    x = np.array([np.nan, -np.inf, np.inf, -1, 0], dtype)
    assert np.isnan([applied(function, x)[0] for function in FUNCTIONS]).all()
    assert applied("exp", x)[1] < 2e-38
    assert applied("tanh", x)[1:3].tolist() == [-1, 1]
    assert not np.isfinite(applied("log", x)[3:]).any()


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_softmax_loses_no_nan_and_no_large_number(dtype: Any) -> None:
    z = np.linspace(-1e4, 1e4, 37).astype(dtype)
    z[5] = z[-1]
    y = z.copy()
    compiled_math.softmax(y)
    np.testing.assert_allclose(y[[5, -1]], 0.5, rtol=1e-6)
    assert abs(y.sum() - 1) < 1e-6
    for place in (0, 17, 36):
        y = z.copy()
        y[place] = np.nan
        compiled_math.softmax(y)
        assert np.isnan(y).all()
