"""Initial biases that let a cell remember, and the penalty of Pascanu et al. 2013 that keeps gradients from vanishing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from companion.bptt import unroll
from companion.gradcheck import numerical_gradient
from companion.gru import GRU, ChoGRU
from companion.lstm import (
    LSTM,
    LSTM1997,
    PeepholeLSTM,
    chrono_bias,
    lstm1997_init,
    lstm_init,
    peephole_init,
)
from companion.rnn import LINEAR, Elman, ElmanParams, ElmanState, elman, gradient_norm_penalty
from tests.contract.cells import B, D, H, T, bytes_of, dtypes_of, problem, random_params, require_equal

GATES = np.split(np.arange(4 * H), 4)  # rows of i, f, g, o


# --- biases


@pytest.mark.parametrize("init", [lstm_init, peephole_init])
@pytest.mark.parametrize("forget_bias", [-2.5, 0, 1.0, 3])
def test_forget_bias_is_that_of_the_second_block_only(init: Any, forget_bias: float) -> None:
    params = init(np.random.default_rng(3), D, H, np.float32, forget_bias=forget_bias)
    assert params.b.tolist() == [forget_bias if row in GATES[1] else 0 for row in range(4 * H)]
    other = init(np.random.default_rng(3), D, H, np.float32, forget_bias=forget_bias + 1)
    require_equal((params.W_x, params.W_h), (other.W_x, other.W_h), rtol=0, atol=0)
    assert dtypes_of(params) == {np.dtype(np.float32)}


def test_the_forget_bias_is_one_and_all_others_zero_unless_given(rng: np.random.Generator) -> None:
    for cell in (LSTM, PeepholeLSTM):
        assert cell.init(rng, D, H).b.tolist() == [1.0 if row in GATES[1] else 0.0 for row in range(4 * H)]
    for cell in (Elman, LSTM1997, GRU, ChoGRU):
        params = cell.init(rng, D, H)
        assert not any(getattr(params, name).any() for name in params._fields if name.startswith("b"))
    assert not PeepholeLSTM.init(rng, D, H).p.any()


def test_the_forget_bias_opens_the_gate_that_it_names(rng: np.random.Generator) -> None:
    """With no input and no weights, what remains of the state after a step is sigma(forget_bias)."""
    params = lstm_init(rng, D, H, forget_bias=2.0)
    params = params._replace(W_x=0 * params.W_x, W_h=0 * params.W_h)
    p = problem(LSTM, rng)
    _, new, _ = LSTM.step(params, p.xs[0], p.state)
    np.testing.assert_allclose(new.s, p.state.s / (1 + np.exp(-2.0)), rtol=1e-12)


def test_the_input_bias_of_the_old_cell_is_that_of_the_first_block_only(rng: np.random.Generator) -> None:
    params = lstm1997_init(rng, D, H, input_bias=-3.0)
    assert params.b.tolist() == [-3.0] * H + [0.0] * 2 * H


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cell", [LSTM, PeepholeLSTM], ids=["LSTM", "PeepholeLSTM"])
def test_chrono_biases_are_those_of_memories_between_one_step_and_the_longest(
    cell: Any, dtype: Any, rng: np.random.Generator
) -> None:
    n_hidden, longest = 400, 50
    params = random_params(cell, rng, dtype, n_hidden=n_hidden)
    before = bytes_of(params)
    chrono = chrono_bias(rng, params, longest)
    assert bytes_of(params) == before
    assert type(chrono) is type(params)
    require_equal(chrono._replace(b=params.b), params, rtol=0, atol=0)
    b_i, b_f, b_g, b_o = np.split(chrono.b, 4)
    assert chrono.b.dtype == dtype
    np.testing.assert_array_equal(b_i, -b_f)
    assert not (b_g.any() or b_o.any())
    memory = np.sort(np.exp(b_f.astype(np.float64)))  # uniform in 1 ... longest - 1
    expected = 1 + (longest - 2) * (np.arange(n_hidden) + 0.5) / n_hidden
    assert np.abs(memory - expected).max() < 0.1 * longest  # Kolmogorov's distance; 0.07 has probability 0.04
    assert memory.min() >= 1 - 1e-6
    assert memory.max() <= longest - 1 + 1e-4


def test_a_unit_with_chrono_bias_keeps_about_a_third_over_its_memory(rng: np.random.Generator) -> None:
    """sigma(log n)^n = (1 - 1 / (n + 1))^n is near 1 / e."""
    params = chrono_bias(rng, LSTM.init(rng, D, H), 1000)
    b_f = params.b[GATES[1]]
    kept = (1 / (1 + np.exp(-b_f))) ** np.exp(b_f)
    np.testing.assert_allclose(kept[np.exp(b_f) > 20], np.exp(-1), rtol=0.03)
    assert (np.exp(b_f) > 20).any()


# --- the penalty


def gradients_behind_and_before(rng: np.random.Generator, dtype: Any = np.float64) -> tuple[Any, Any, Any]:
    """params, dzs and dhs of a real backward pass, with an error at every step."""
    p = problem(Elman, rng, dtype)
    _, _, caches = unroll(Elman, p.params, p.xs, p.state)
    dzs, dhs, dh = [], [], p.dstate.h
    for cache, dy in reversed(list(zip(caches.steps, p.dys, strict=True))):
        dhs.append(dy + dh)
        dzs.append(dhs[-1] * (1 - cache.h**2))
        dh = Elman.step_backward(p.params, cache, dy, ElmanState(dh))[2].h
    return p.params, np.stack(dzs[::-1]), np.stack(dhs[::-1])


def test_the_penalty_equals_a_loop_over_steps_and_examples(rng: np.random.Generator) -> None:
    params, dzs, dhs = gradients_behind_and_before(rng)
    omega = 0.0
    for t in range(T):
        for b in range(B):
            back = sum(dzs[t, b, i] * params.W_h[i] for i in range(H))
            omega += (np.linalg.norm(back) / np.linalg.norm(dhs[t, b]) - 1) ** 2 / B
    assert gradient_norm_penalty(params, dzs, dhs)[0] == pytest.approx(omega, rel=1e-12)
    assert omega > 0.1


def test_its_gradient_is_the_immediate_one_with_the_gradients_of_the_loss_held(rng: np.random.Generator) -> None:
    params, dzs, dhs = gradients_behind_and_before(rng)
    omega, dW_h = gradient_norm_penalty(params, dzs, dhs)
    numeric = numerical_gradient(lambda W_h: gradient_norm_penalty(params._replace(W_h=W_h), dzs, dhs)[0], params.W_h)
    np.testing.assert_allclose(dW_h, numeric, rtol=1e-6, atol=1e-8)
    lower, _ = gradient_norm_penalty(params._replace(W_h=params.W_h - 1e-5 * dW_h), dzs, dhs)
    assert omega - lower == pytest.approx(1e-5 * (dW_h**2).sum(), rel=1e-2)


def test_a_rotation_between_linear_units_costs_nothing(rng: np.random.Generator) -> None:
    rotation, _ = np.linalg.qr(rng.normal(size=(H, H)))
    p = problem(elman(LINEAR), rng)
    dhs = rng.normal(size=(T, B, H))
    for factor, expected in ((1, 0), (1.5, 0.25 * T), (0.5, 0.25 * T)):
        omega, dW_h = gradient_norm_penalty(p.params._replace(W_h=factor * rotation), dhs, dhs)
        assert omega == pytest.approx(expected, abs=1e-12)
        assert np.sign(np.round((dW_h * rotation).sum(), 9)) == np.sign(factor - 1)


def test_scaling_the_loss_leaves_the_penalty(rng: np.random.Generator) -> None:
    params, dzs, dhs = gradients_behind_and_before(rng)
    first, second = (gradient_norm_penalty(params, c * dzs, c * dhs) for c in (1, 1e-6))
    assert first[0] == pytest.approx(second[0], rel=1e-12)
    np.testing.assert_allclose(first[1], second[1], rtol=1e-11)


def test_it_is_summed_over_steps_and_averaged_over_the_batch(rng: np.random.Generator) -> None:
    params, dzs, dhs = gradients_behind_and_before(rng)
    single = [gradient_norm_penalty(params, dzs[:, b : b + 1], dhs[:, b : b + 1]) for b in range(B)]
    steps = [gradient_norm_penalty(params, dzs[t : t + 1], dhs[t : t + 1]) for t in range(T)]
    omega, dW_h = gradient_norm_penalty(params, dzs, dhs)
    for parts, share in ((single, 1 / B), (steps, 1)):
        assert omega == pytest.approx(share * sum(part[0] for part in parts), rel=1e-12)
        np.testing.assert_allclose(dW_h, share * sum(part[1] for part in parts), rtol=1e-11, atol=1e-14)


def test_units_at_rest_give_a_penalty_but_no_slope_that_is_not_a_number(rng: np.random.Generator) -> None:
    params, dzs, dhs = gradients_behind_and_before(rng)
    omega, dW_h = gradient_norm_penalty(params, np.zeros_like(dzs), dhs)
    assert omega == pytest.approx(T, rel=1e-12)
    assert not dW_h.any()


def test_the_penalty_keeps_the_dtype_and_its_arguments(rng: np.random.Generator) -> None:
    args = gradients_behind_and_before(rng, np.float32)
    before = bytes_of(args)
    omega, dW_h = gradient_norm_penalty(*args)
    assert bytes_of(args) == before
    assert type(omega) is float
    assert dW_h.dtype == np.float32
    exact = gradient_norm_penalty(
        ElmanParams(*(a.astype(float) for a in args[0])), *(a.astype(float) for a in args[1:])
    )
    assert omega == pytest.approx(exact[0], rel=1e-5)
    np.testing.assert_allclose(dW_h, exact[1], rtol=1e-3, atol=1e-5)
