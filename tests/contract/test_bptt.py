"""Backpropagation through time against its relatives: RTRL, central differences, truncation, Jacobians."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from companion.bptt import (
    Caches,
    Cell,
    Layer,
    as_layer,
    jacobian_products,
    prefix_mask,
    rtrl,
    state_gradients,
    truncated_backward,
    unroll,
    unroll_backward,
    unrolled,
)
from companion.gradcheck import EPS, check_gradients, numerical_gradient
from companion.gru import GRU
from companion.lstm import LSTM
from companion.rnn import Elman
from companion.tree import from_vector, to_vector, tree_dot, tree_map
from tests.contract.cells import CELLS, LENGTHS, B, D, H, Problem, T, compared, problem, require_equal

every_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
SMALL = (4, 2, 3, 2)  # T, B, D, H: few enough for one central difference a parameter


def states_of(cell: Cell, p: Problem) -> list[Any]:
    """The states at t = 0 ... T, of a plain loop."""
    states = [p.state]
    for x in p.xs:
        states.append(cell.step(p.params, x, states[-1])[1])
    return states


# --- BPTT, RTRL and central differences


@every_cell
def test_bptt_equals_rtrl_equals_central_differences_in_every_entry(cell: Cell, rng: np.random.Generator) -> None:
    p = problem(cell, rng, shape=SMALL)
    _, _, caches = unroll(cell, p.params, p.xs, p.state)
    by_bptt, _, _ = unroll_backward(cell, p.params, caches, p.dys)
    require_equal(rtrl(cell, p.params, p.xs, p.dys, p.state), by_bptt, rtol=1e-11)

    def loss(vector: Any) -> float:
        return tree_dot(unroll(cell, from_vector(vector, p.params), p.xs, p.state)[0], p.dys)

    numeric = numerical_gradient(loss, to_vector(p.params))
    np.testing.assert_allclose(to_vector(by_bptt), numeric, rtol=1e-6, atol=1e-8)


@every_cell
def test_rtrl_begins_with_the_initial_state_and_keeps_the_dtype(cell: Cell, rng: np.random.Generator) -> None:
    p = problem(cell, rng, np.float32, shape=SMALL)
    start = cell.initial_state(p.params, p.xs.shape[1])
    received = rtrl(cell, p.params, p.xs, p.dys)
    require_equal(received, rtrl(cell, p.params, p.xs, p.dys, start), rtol=0, atol=0)
    _, _, caches = unroll(cell, p.params, p.xs)
    require_equal(received, unroll_backward(cell, p.params, caches, p.dys)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", [unrolled(LSTM), as_layer(LSTM), as_layer(as_layer(LSTM))])
def test_a_layer_is_the_unrolled_cell(layer: Layer, rng: np.random.Generator) -> None:
    assert isinstance(layer, Layer)
    p = problem(LSTM, rng, lengths=LENGTHS)
    ys, last, caches = unroll(LSTM, p.params, p.xs, p.state, p.mask)
    of_layer = layer.forward(p.params, p.xs, p.state, p.mask)
    require_equal(of_layer[:2], (ys, last), rtol=0, atol=0)
    expected = unroll_backward(LSTM, p.params, caches, p.dys, p.dstate)
    require_equal(layer.backward(p.params, of_layer[2], p.dys, p.dstate), expected, rtol=0, atol=0)
    require_equal(layer.init(np.random.default_rng(1), D, H), LSTM.init(np.random.default_rng(1), D, H), least=-1)


@every_cell
def test_caches_put_together_by_hand_need_no_last_state(cell: Cell, rng: np.random.Generator) -> None:
    p = problem(cell, rng)
    _, _, caches = unroll(cell, p.params, p.xs, p.state)
    by_hand = Caches(caches.steps, None)
    received, expected = (unroll_backward(cell, p.params, c, p.dys) for c in (by_hand, caches))
    require_equal(received, expected, rtol=0, atol=0)


# --- truncated


@every_cell
@pytest.mark.parametrize(("k1", "k2"), [(1, 1), (1, 3), (2, 2), (2, 3), (3, 5), (4, 9), (7, 7), (9, 9)])
def test_truncation_is_the_gradient_of_blocks_that_begin_with_a_fixed_state(
    k1: int, k2: int, cell: Cell, rng: np.random.Generator
) -> None:
    """The definition by forward passes alone: errors of a block of k1 steps, run from the state k2 steps before its end."""
    p = problem(cell, rng)
    states = states_of(cell, p)
    _, _, caches = unroll(cell, p.params, p.xs, p.state)

    def forward(params: Any) -> Any:
        losses = []
        for first in range(0, T, k1):
            end = min(first + k1, T)
            start = max(end - k2, 0)
            ys, _, _ = unroll(cell, params, p.xs[start:end], states[start])
            losses.append(ys[first - start :])
        return np.concatenate(losses), None

    def backward(_: Any, dys: Any) -> Any:
        return {"params": truncated_backward(cell, p.params, caches, dys, k1, k2)}

    compared(check_gradients(forward, backward, {"params": p.params}, rng))


@every_cell
def test_truncation_of_a_masked_batch_is_the_sum_over_its_sequences(cell: Cell, rng: np.random.Generator) -> None:
    p = problem(cell, rng, lengths=LENGTHS)
    _, _, caches = unroll(cell, p.params, p.xs, p.state, p.mask)
    total = tree_map(np.zeros_like, p.params)
    for b in range(B):
        row, steps = slice(b, b + 1), slice(0, LENGTHS[b])
        state = tree_map(lambda a, row=row: a[row], p.state)
        _, _, alone = unroll(cell, p.params, p.xs[steps, row], state)
        # Blocks end where they do in the batch, so that windows are those of the batch; k2 > length needs no cut.
        grads = truncated_backward(cell, p.params, alone, p.dys[steps, row], k1=1, k2=3)
        total = tree_map(np.add, total, grads)
    require_equal(truncated_backward(cell, p.params, caches, p.dys, k1=1, k2=3), total)


@every_cell
@pytest.mark.parametrize("k1", [1, 2, 5, T, T + 3])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "masked"])
def test_truncation_at_the_length_of_the_sequence_is_bptt(
    k1: int, cell: Cell, lengths: Any, rng: np.random.Generator
) -> None:
    p = problem(cell, rng, lengths=lengths)
    _, _, caches = unroll(cell, p.params, p.xs, p.state, p.mask)
    expected, _, _ = unroll_backward(cell, p.params, caches, p.dys)
    for k2 in (max(k1, T), T + 4):
        require_equal(truncated_backward(cell, p.params, caches, p.dys, k1, k2), expected)
    shorter = truncated_backward(cell, p.params, caches, p.dys, 1, 2)
    assert not np.allclose(to_vector(shorter), to_vector(expected))


@every_cell
def test_truncation_to_one_step_gives_the_immediate_terms_only(cell: Cell, rng: np.random.Generator) -> None:
    p = problem(cell, rng)
    _, _, caches = unroll(cell, p.params, p.xs, p.state)
    nothing = tree_map(np.zeros_like, p.dstate)
    terms = [cell.step_backward(p.params, c, dy, nothing)[0] for c, dy in zip(caches.steps, p.dys, strict=True)]
    expected = tree_map(lambda *a: sum(a), *terms)
    require_equal(truncated_backward(cell, p.params, caches, p.dys, 1, 1), expected)


# --- how far gradients reach


@every_cell
def test_gradients_of_states_equal_central_differences_of_what_follows_them(
    cell: Cell, rng: np.random.Generator
) -> None:
    p = problem(cell, rng, shape=SMALL)
    _, _, caches = unroll(cell, p.params, p.xs, p.state)
    received = state_gradients(cell, p.params, caches, p.dys, p.dstate)
    assert len(received) == len(p.xs)
    for t, state in enumerate(states_of(cell, p)[:-1]):

        def loss(vector: Any, t: int = t, state: Any = state) -> float:
            ys, last, _ = unroll(cell, p.params, p.xs[t:], from_vector(vector, state))
            return tree_dot((ys, last), (p.dys[t:], p.dstate))

        assert type(received[t]) is type(state)
        numeric = numerical_gradient(loss, to_vector(state))
        np.testing.assert_allclose(to_vector(received[t]), numeric, rtol=1e-6, atol=1e-8)
        assert np.abs(numeric).max() > 1e-4
    _, _, dfirst = unroll_backward(cell, p.params, caches, p.dys, p.dstate)
    require_equal(received[0], dfirst, rtol=0, atol=0)


@every_cell
def test_jacobian_products_equal_products_of_one_step_jacobians_by_central_differences(
    cell: Cell, rng: np.random.Generator
) -> None:
    p = problem(cell, rng, shape=(4, 1, 3, 2))
    received = jacobian_products(cell, p.params, p.xs, p.state)
    size = to_vector(p.state).size
    assert received.shape == (5, size, size)
    product = np.eye(size)
    np.testing.assert_array_equal(received[-1], product)
    for t in reversed(range(4)):
        state = states_of(cell, p)[t]

        def after(step: Any, t: int = t, state: Any = state) -> Any:
            return to_vector(cell.step(p.params, p.xs[t], from_vector(to_vector(state) + step, state))[1])

        columns = [(after(EPS * unit) - after(-EPS * unit)) / (2 * EPS) for unit in np.eye(size)]
        product = product @ np.stack(columns, axis=1)
        np.testing.assert_allclose(received[t], product, rtol=1e-6, atol=1e-8)


def test_jacobian_products_of_an_elman_net_are_products_of_its_weights_and_slopes(rng: np.random.Generator) -> None:
    p = problem(Elman, rng, shape=(T, 1, D, H))
    received, product = jacobian_products(Elman, p.params, p.xs, p.state), np.eye(H)
    for t in reversed(range(T)):
        h = states_of(Elman, p)[t + 1].h[0]
        product = product @ np.diag(1 - h**2) @ p.params.W_h
        np.testing.assert_allclose(received[t], product, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("cell", [Elman, LSTM, GRU], ids=["Elman", "LSTM", "GRU"])
def test_state_gradients_of_the_last_output_are_rows_of_jacobian_products(cell: Cell, rng: np.random.Generator) -> None:
    p = problem(cell, rng, shape=(T, 1, D, H))
    _, _, caches = unroll(cell, p.params, p.xs, p.state)
    dys = np.zeros_like(p.dys)
    dys[-1] = p.dys[-1]
    upstream = np.zeros(to_vector(p.state).size)
    upstream[:H] = p.dys[-1, 0]  # the output is h, the first part of the state
    for gradient, J in zip(
        state_gradients(cell, p.params, caches, dys), jacobian_products(cell, p.params, p.xs, p.state)[:-1], strict=True
    ):
        np.testing.assert_allclose(to_vector(gradient), upstream @ J, rtol=1e-10, atol=1e-14)


@every_cell
def test_probes_keep_the_dtype(cell: Cell, rng: np.random.Generator) -> None:
    p = problem(cell, rng, np.float32, shape=(T, 1, D, H))
    _, _, caches = unroll(cell, p.params, p.xs, p.state)
    probes = (
        state_gradients(cell, p.params, caches, p.dys),
        truncated_backward(cell, p.params, caches, p.dys, 2, 3),
        jacobian_products(cell, p.params, p.xs),
    )
    assert {a.dtype for a in (to_vector(probe) for probe in probes)} == {np.dtype(np.float32)}


def test_lengths_become_a_prefix_mask() -> None:
    expected = [[True, True, True], [True, False, True], [True, False, False]]
    assert prefix_mask(np.array([3, 1, 2]), 3).tolist() == expected
    assert prefix_mask(np.array([3, 1, 2]), 3).dtype == np.bool_
