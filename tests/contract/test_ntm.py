"""The neural Turing machine where its numbers are known: loops over rows, machines set by hand, the state it starts from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from companion.bptt import Cell, state_gradients, truncated_backward, unroll, unroll_backward
from companion.gradcheck import check_gradients
from companion.heads import NTMSizes, head_parameters, head_shapes, head_slices
from companion.ntm import NTM, Feedforward, NoState, NTMParams, ntm
from companion.tree import tree_leaves, tree_map
from tests.contract import ntm_by_loops
from tests.contract.cells import LENGTHS, NTMS, B, D, H, T, compared, dtypes_of, problem, random_like, require_equal
from tests.contract.ntm_by_loops import SIZES
from tests.contract.stages import START

every_ntm = pytest.mark.parametrize("name", NTMS)
SURE = 1e3  # tanh, sigma and softmax of it round to 1; softplus makes a strength or a sharpness as large
ALIKE: dict[str, float] = {"rtol": 1e-12, "atol": 1e-15}


def compare_with_loops(name: str, rng: np.random.Generator, mistake: str = "") -> None:
    p = problem(NTMS[name], rng)
    y, new, _ = NTMS[name].step(p.params, p.xs[0], p.state)
    for b in range(B):
        expected = ntm_by_loops.step(name, p.params, p.xs[0, b], tree_map(lambda a, b=b: a[b], p.state), mistake)
        for received, by_loops in zip((y, new.memory, new.w, new.reads), expected, strict=True):
            np.testing.assert_allclose(received[b], by_loops, rtol=1e-9, atol=1e-10)


@every_ntm
def test_a_step_equals_a_loop_over_rows(name: str, rng: np.random.Generator) -> None:
    compare_with_loops(name, rng)


@pytest.mark.parametrize("mistake", ntm_by_loops.MISTAKES)
@every_ntm
def test_a_loop_with_a_mistake_differs(name: str, mistake: str, rng: np.random.Generator) -> None:
    with pytest.raises(AssertionError):
        compare_with_loops(name, rng, mistake)


# --- machines set by hand


def by_hand(cell: Cell, sizes: NTMSizes, n_in: int, n_hidden: int, dtype: Any = np.float64, **blocks: Any) -> NTMParams:
    """All weights 0, so that only these biases of the heads' parameters say what happens; a key must not be 0."""
    params = tree_map(np.zeros_like, cell.init(np.random.default_rng(0), n_in, n_hidden, dtype))
    values = {"key": SURE, "gate": -SURE, "sharpness": SURE, "erase": SURE} | blocks
    b_z = [np.broadcast_to(values.get(name, 0), shape).ravel() for name, shape in head_shapes(sizes)._asdict().items()]
    return params._replace(b_z=np.concatenate(b_z).astype(dtype))


def moves(*by: int, reach: int) -> Any:
    """Biases of s for heads that surely move by so many rows."""
    return SURE * np.eye(2 * reach + 1)[[reach + move for move in by]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_machine_that_only_moves_on_writes_its_inputs_down_the_rows_and_reads_them_a_round_later(
    dtype: Any, rng: np.random.Generator
) -> None:
    """Both heads go one row on at every step. In the second round the read head finds what stood there before this write."""
    N, M, steps = 5, 3, 12
    cell = ntm(Feedforward, N, M)
    params = by_hand(cell, NTMSizes(N, M), M, M, dtype, s=moves(1, 1, reach=1))
    params.controller.W_x[:, :M] = params.W_z[-M:] = SURE * np.eye(M)  # h = sign of x, and what is added = h
    xs = rng.choice([-1, 1], (steps, B, M)).astype(dtype)
    state, memory = cell.initial_state(params, B), np.full((B, N, M), START, dtype)
    for t in range(steps):
        y, state, _ = cell.step(params, xs[t], state)
        row = (t + 1) % N
        np.testing.assert_array_equal(state.w, np.broadcast_to(np.arange(N) == row, (B, 2, N)))
        np.testing.assert_array_equal(y, np.concatenate([xs[t], xs[t - N] if t >= N else memory[:, row]], axis=1))
        np.testing.assert_array_equal(state.reads[:, 0], memory[:, row])
        memory[:, row] = xs[t]
        np.testing.assert_array_equal(state.memory, memory)
    assert dtypes_of((y, state)) == {np.dtype(dtype)}


def test_every_head_goes_its_own_way() -> None:
    """Reading at t and -t, overwriting at 2 t with ones, taking 1 from row 0 without erasing: 7 rows, 3 steps."""
    name = "NTM, feedforward, several heads"
    cell, sizes, signs = NTMS[name], SIZES[name][1], SURE * np.array([[1], [-1]])
    params = by_hand(cell, sizes, D, H, s=moves(1, -1, 2, 0, reach=2), erase=signs, add=signs)
    ys, last, _ = unroll(cell, params, np.ones((3, 1, D)))
    assert np.argmax(last.w[0], axis=1).tolist() == [3, 4, 6, 0]
    assert last.w.max(axis=2).tolist() == [[1, 1, 1, 1]]
    expected = np.array([START - 3, START, 1, START, 1, START, 1])
    np.testing.assert_allclose(last.memory[0], np.repeat(expected[:, None], 3, axis=1), **ALIKE)
    # Row 4 was written at step 2 and is read at step 3; row 2 is read at step 2, but was written at step 1.
    of_steps = [[START, START], [1, START], [START, 1]]
    np.testing.assert_allclose(ys[:, 0, H:], np.repeat(of_steps, 3, axis=1), **ALIKE)


@pytest.mark.parametrize("move", [-1, 0, 1])
def test_a_machine_that_looks_up_a_key_reads_the_row_beside_it(move: int) -> None:
    """The paper's associative recall: the content brings the head to a row, the shift to the next one."""
    rows = np.array([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])
    cell, sizes = ntm(Feedforward, 4, 4), NTMSizes(4, 4)
    params = by_hand(
        cell, sizes, D, H, key=SURE * rows[2], strength=SURE, gate=SURE, s=moves(move, move, reach=1), erase=-SURE
    )
    state = cell.initial_state(params, 1)._replace(memory=0.3 * rows[None])
    y, new, _ = cell.step(params, np.ones((1, D)), state)
    np.testing.assert_allclose(y[0, H:], 0.3 * rows[(2 + move) % 4], **ALIKE)
    np.testing.assert_array_equal(new.memory, state.memory)


# --- the blocks of z


@pytest.mark.parametrize("block", head_shapes(NTMSizes())._fields)
@every_ntm
def test_a_slice_of_z_is_all_of_its_block_and_nothing_else(name: str, block: str, rng: np.random.Generator) -> None:
    sizes = SIZES[name][1]
    slices = head_slices(sizes)
    assert (slices.key.start, slices.add.stop) == (0, NTMS[name].init(rng, D, H).b_z.size)
    z = rng.normal(size=(B, slices.add.stop))
    before = head_parameters(sizes, z)
    place = getattr(slices, block)
    z[:, place] = rng.normal(size=z[:, place].shape)
    for other, a, b in zip(before._fields, before, head_parameters(sizes, z), strict=True):
        assert (a != b).all() if other == block else (a == b).all(), other


# --- rows that no head comes near


def rows_dropped(a: Any, axis: int) -> Any:
    """Rows 6 and 7 of 12 away: 0 ... 5 and 8 ... 11 remain."""
    return np.delete(a, [6, 7], axis=axis)


@pytest.mark.parametrize("gate_bias", [-SURE, 0.0])
def test_rows_that_no_head_reaches_change_nothing_both_ways(gate_bias: float, rng: np.random.Generator) -> None:
    """With closed gates, heads from row 0 reach rows -4 ... 4 in four steps of one row; an open gate sees all rows."""
    small, large = (ntm(Feedforward, rows, 3, read_heads=2) for rows in (10, 12))
    p = problem(large, rng, shape=(4, B, D, H))
    b_z = p.params.b_z.copy()
    b_z[12:15] = gate_bias
    p = p._replace(params=p.params._replace(b_z=b_z), state=p.state._replace(w=large.initial_state(p.params, B).w))

    def dropped(state: Any) -> Any:
        return state._replace(memory=rows_dropped(state.memory, 1), w=rows_dropped(state.w, 2))

    def compare() -> None:
        ys, last, caches = unroll(large, p.params, p.xs, p.state)
        dparams, dxs, dfirst = unroll_backward(large, p.params, caches, p.dys, p.dstate)
        ys_small, last_small, caches_small = unroll(small, p.params, p.xs, dropped(p.state))
        back = unroll_backward(small, p.params, caches_small, p.dys, dropped(p.dstate))
        # The floor below the logarithm leaves unreached rows 1e-12 of the focus, to a power above 1.
        require_equal((ys_small, last_small), (ys, dropped(last)), rtol=1e-7, atol=1e-9)
        require_equal(back[:2], (dparams, dxs), rtol=1e-7, atol=1e-8)
        require_equal(back[2].memory, rows_dropped(dfirst.memory, 1), rtol=1e-7, atol=1e-8)
        np.testing.assert_allclose(last.memory[:, 6:8], p.state.memory[:, 6:8], rtol=1e-9)
        np.testing.assert_allclose(dfirst.memory[:, 6:8], p.dstate.memory[:, 6:8], rtol=1e-7)

    if gate_bias == -SURE:
        compare()
    else:
        with pytest.raises(AssertionError):
            compare()


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "masked"])
@every_ntm
def test_a_machine_can_be_given_a_larger_memory(name: str, lengths: Any, rng: np.random.Generator) -> None:
    controller, sizes = SIZES[name]
    larger = ntm(controller, *sizes._replace(rows=sizes.rows + 5))
    p = problem(larger, rng, lengths=lengths)
    results = []
    for cell in (NTMS[name], larger):
        ys, last, caches = unroll(cell, p.params, p.xs, p.state, p.mask)
        gradients = [unroll_backward(cell, p.params, caches, p.dys, dstate) for dstate in (p.dstate, None)]
        others = (
            truncated_backward(cell, p.params, caches, p.dys, 2, 3),
            state_gradients(cell, p.params, caches, p.dys),
        )
        results.append((ys, last, *gradients, *others))
    require_equal(*results, rtol=0, atol=0)


def test_without_the_last_state_a_larger_memory_has_no_gradient_of_its_shape(rng: np.random.Generator) -> None:
    cell, p = ntm(rows=6, width=4), problem(ntm(rows=9, width=4), rng)
    _, _, caches = unroll(cell, p.params, p.xs, p.state)
    with pytest.raises(ValueError, match=r"dstate.memory has shape \(3, 6, 4\), expected \(3, 9, 4\)"):
        unroll_backward(cell, p.params, caches._replace(last=None), p.dys)


# --- the beginning


@every_ntm
def test_a_machine_starts_with_a_small_memory_and_all_heads_at_its_first_row(
    name: str, rng: np.random.Generator
) -> None:
    controller, sizes = SIZES[name]
    params = NTMS[name].init(rng, D, H, np.float32)
    state = NTMS[name].initial_state(params, B)
    heads = sizes.read_heads + sizes.write_heads
    np.testing.assert_array_equal(state.memory, np.full((B, sizes.rows, sizes.width), np.float32(START)))
    np.testing.assert_array_equal(state.w, np.broadcast_to(np.arange(sizes.rows) == 0, (B, heads, sizes.rows)))
    np.testing.assert_array_equal(state.reads, np.zeros((B, sizes.read_heads, sizes.width)))
    assert type(state.controller) is type(controller.initial_state(params.controller, B))
    assert not any(a.any() for a in tree_leaves(state.controller))
    assert Feedforward.initial_state(params.controller, B) == NoState()


@pytest.mark.parametrize("steps", [1, 3])
@every_ntm
def test_gradients_at_the_beginning_agree_with_central_differences(
    name: str, steps: int, rng: np.random.Generator
) -> None:
    """Where the memory is 1e-6 and every head surely at row 0, differences of the usual size would leave the formula.

    A number of the memory is changed by some 1e-6 of itself, or its row would turn right round. The weights of 0 may fall a
    little below it, as long as the gate lets enough of the content in for all of them to be positive before they are sharpened.
    """
    cell = NTMS[name]
    p = problem(cell, rng, shape=(steps, B, D, H))
    start = cell.initial_state(p.params, B)
    if steps == 1:  # the recurrent weights of a controller at rest have no gradient yet
        start = start._replace(controller=random_like(rng, start.controller))

    def forward(params: Any, xs: Any, state: Any) -> Any:
        ys, last, caches = unroll(cell, params, xs, state._replace(memory=START * state.memory))
        return (ys, last), (params, caches)

    def backward(cache: Any, upstream: Any) -> Any:
        dparams, dxs, dstate = unroll_backward(cell, *cache, *upstream)
        return {"params": dparams, "xs": dxs, "state": dstate._replace(memory=START * dstate.memory)}

    _, _, cache = cell.step(p.params, p.xs[0], start)
    assert cache.heads.gate.min() / start.memory.shape[1] > 1e-4
    units = start._replace(memory=start.memory / START)
    inputs = {"params": p.params, "xs": p.xs, "state": units}
    compared(check_gradients(forward, backward, inputs, rng, rtol=1e-6, eps=1e-6))


@every_ntm
def test_a_new_machine_has_its_gates_nearly_closed_and_all_other_biases_small(name: str) -> None:
    controller, sizes = SIZES[name]
    K, M, W = sizes.read_heads + sizes.write_heads, sizes.width, sizes.write_heads
    cells = {-2.0: NTMS[name], 1.5: ntm(controller, *sizes, gate_bias=1.5)}
    for gate_bias, cell in cells.items():
        params = cell.init(np.random.default_rng(0), D, H)
        assert params.W_z.shape == (K * M + 3 * K + K * (2 * sizes.shift_range + 1) + 2 * W * M, H)
        gates = params.b_z[K * M + K : K * M + 2 * K]
        assert gates.tolist() == [gate_bias] * K
        others = np.delete(params.b_z, np.arange(K * M + K, K * M + 2 * K))
        assert 0.7 * H**-0.5 < np.abs(others).max() <= H**-0.5
        assert len(set(others)) == len(others)


def test_the_default_is_the_memory_of_the_paper_around_an_lstm(rng: np.random.Generator) -> None:
    params = NTM.init(rng, 9, 100)
    assert params.controller.W_x.shape == (400, 9 + 20)
    assert NTM.initial_state(params, 1).memory.shape == (1, 128, 20)
    assert sum(a.size for a in tree_leaves(params)) == 400 * (29 + 100 + 1) + (40 + 2 + 2 + 6 + 2 + 20 + 20) * 101
    ys, last, _ = unroll(NTM, params, rng.normal(size=(T, B, 9)))
    assert ys.shape == (T, B, 120)
    np.testing.assert_array_equal(ys[-1, :, 100:], last.reads[:, 0])
