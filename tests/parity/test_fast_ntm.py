"""The fast NTM, which `test_fast` holds equal to `unroll`: other numbers of rows, wrong numbers in its loops, and extremes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from companion.bptt import Cell
from companion.fast import ntm as fast_ntm
from companion.fast.ntm_machine import Loops
from companion.ntm import NTM, ntm
from companion.tree import tree_leaves
from tests.contract.cells import Problem, problem, run
from tests.parity.test_fast import TOLERANCE, require_equal, run_layer

STRENGTH = slice(8, 10)  # in b_z, for two heads and a width of 4


def test_it_starts_as_the_readable_machine(rng: np.random.Generator) -> None:
    for one, other in zip(fast_ntm.NTM.init(np.random.default_rng(3), 4, 5), NTM.init(np.random.default_rng(3), 4, 5)):
        assert all(np.array_equal(a, b) for a, b in zip(tree_leaves(one), tree_leaves(other), strict=True))


def test_at_its_full_size_too(rng: np.random.Generator) -> None:
    p = problem(NTM, rng, lengths=[41, 17], shape=(41, 2, 9, 100))._replace(state=None)
    p = p._replace(params=NTM.init(rng, 9, 100))
    require_equal(run_layer(fast_ntm.NTM, p), run(NTM, p), np.float64)


def test_a_state_may_have_more_rows_than_the_machine(rng: np.random.Generator) -> None:
    larger, p = ntm(rows=11, width=4), problem(ntm(rows=11, width=4), rng, lengths=[3, 7, 1])
    for q in (p, p._replace(mask=None), p._replace(dstate=None), p._replace(dstate=None, mask=None)):
        ours = run_layer(fast_ntm.ntm(rows=6, width=4), q)
        require_equal(ours, run(larger, q), np.float64)
        require_equal(ours, run(ntm(rows=6, width=4), q), np.float64)


def test_a_sequence_may_be_read_in_two_parts(rng: np.random.Generator) -> None:
    p = problem(ntm(rows=6, width=4), rng)
    layer = fast_ntm.ntm(rows=6, width=4)
    ys, last, _ = layer.forward(p.params, p.xs)
    first, between, _ = layer.forward(p.params, p.xs[:3])
    second, end, _ = layer.forward(p.params, p.xs[3:], between)
    require_equal((np.concatenate([first, second]), end), (ys, last), np.float64)


# ---- wrong ones are found


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


def without_strength(dtype: Any, rng: np.random.Generator) -> tuple[Cell, Any, Problem]:
    """A strength of which nothing is left in this dtype but that it is above 0."""
    cell, layer = ntm(rows=6, width=4), fast_ntm.ntm(rows=6, width=4)
    p = problem(cell, rng, dtype)
    b_z = p.params.b_z.copy()
    b_z[STRENGTH] = -2000
    return cell, layer, p._replace(params=p.params._replace(b_z=b_z))


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_a_strength_that_rounds_to_zero_gives_the_numbers_of_unroll(dtype: Any, rng: np.random.Generator) -> None:
    cell, layer, p = without_strength(dtype, rng)
    ours = run_layer(layer, p)
    require_equal(ours, run(cell, p), dtype)
    assert np.abs(ours[2].b_z[STRENGTH]).max() < 1e-30
