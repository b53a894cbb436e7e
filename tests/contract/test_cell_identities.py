"""What a cell must give where the answer is known without it: loops over units, special weights, one cell inside another."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from companion import ops
from companion.bptt import Cell, unroll, unroll_backward
from companion.gru import GRU, ChoGRU, ChoGRUParams, GRUParams
from companion.lstm import LSTM, LSTM1997, LSTMParams, LSTMState, PeepholeLSTM, PeepholeParams
from companion.rnn import LINEAR, TANH, Elman, ElmanParams, ElmanState, JordanParams, JordanState, elman, jordan
from companion.tree import tree_map
from tests.contract.cells import CELLS, LENGTHS, NTMS, B, D, H, K, Problem, T, problem, random_like, require_equal, run

I, F, G, O = (slice(k * H, (k + 1) * H) for k in range(4))  # gate blocks of an LSTM
R, Z, N = I, F, G  # of a GRU
ALWAYS = 1e3  # a gate with this bias is exactly open, with the negative one exactly closed


def saturated(params: Any, **gates: tuple[slice, float]) -> Any:
    """The same weights but for gates that no input can move."""
    W_x, W_h, b = params.W_x.copy(), params.W_h.copy(), params.b.copy()
    for block, bias in gates.values():
        W_x[block], W_h[block], b[block] = 0, 0, bias
    return params._replace(W_x=W_x, W_h=W_h, b=b)


def rows(params: Any, *blocks: slice) -> Any:
    """The blocks of W_x, W_h and b, one below the other."""
    return (np.concatenate([a[block] for block in blocks]) for a in (params.W_x, params.W_h, params.b))


# --- one unit at a time, in the notation of the papers


def sigma(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def naive(name: str, p: Any, x: Any, state: Any) -> tuple[list[float], list[list[float]]]:
    """y and the next state of one example."""

    def net(row: int, h: Any) -> float:
        return sum(p.W_x[row, d] * x[d] for d in range(D)) + sum(p.W_h[row, j] * h[j] for j in range(len(h))) + p.b[row]

    if name.startswith("Elman"):
        phi = {"": math.tanh, ", sigmoid": sigma, ", ReLU": lambda z: max(z, 0.0)}[name.removeprefix("Elman")]
        h = [phi(net(j, state.h)) for j in range(H)]
        return h, [h]
    if name.startswith("Jordan"):
        phi, phi_y, decay = (sigma, lambda z: z, 0.3) if "K" in name else (math.tanh, sigma, 0.5)
        h = [phi(net(j, state.c)) for j in range(H)]
        y = [phi_y(sum(p.W_y[k, j] * h[j] for j in range(H)) + p.b_y[k]) for k in range(len(p.b_y))]
        return y, [[decay * state.c[k] + y[k] for k in range(len(y))]]
    if "GRU" in name:
        h = []
        r = [sigma(net(j, state.h)) for j in range(H)]
        for j in range(H):
            z = sigma(net(H + j, state.h))
            if name == "ChoGRU":
                n = math.tanh(net(2 * H + j, [r[k] * state.h[k] for k in range(H)]))
            else:
                below = net(2 * H + j, [])
                n = math.tanh(below + r[j] * (sum(p.W_h[2 * H + j, k] * state.h[k] for k in range(H)) + p.b_n[j]))
            h.append((1 - z) * n + z * state.h[j])
        return h, [h]
    h, s = [], []
    for j in range(H):
        p_i, p_f, p_o = p.p[:, j] if name == "PeepholeLSTM" else (0.0, 0.0, 0.0)
        i = sigma(net(j, state.h) + p_i * state.s[j])
        f = 1.0 if name == "LSTM1997" else sigma(net(H + j, state.h) + p_f * state.s[j])
        g, z_o = net(p.b.size - 2 * H + j, state.h), net(p.b.size - H + j, state.h)
        s.append(f * state.s[j] + i * math.tanh(g))
        h.append(sigma(z_o + p_o * s[j]) * math.tanh(s[j]))
    return h, [h, s]


@pytest.mark.parametrize("name", [name for name in CELLS if name not in NTMS])  # for those, test_ntm.py has the loop
def test_a_step_equals_a_loop_over_units(name: str, rng: np.random.Generator) -> None:
    p = problem(CELLS[name], rng)
    y, new, _ = CELLS[name].step(p.params, p.xs[0], p.state)
    for b in range(B):
        expected, states = naive(name, p.params, p.xs[0, b], tree_map(lambda a, b=b: a[b], p.state))
        np.testing.assert_allclose(y[b], expected, rtol=1e-12)
        np.testing.assert_allclose([a[b] for a in new], states, rtol=1e-12)


# --- simple recurrent networks


def test_a_single_linear_unit_multiplies_by_its_weight_at_every_step(rng: np.random.Generator) -> None:
    """h^T = w^T h^0 + sum_t w^(T-t) u x^t: every gradient has a closed form."""
    w, u, h0, xs = 0.9, -1.3, 0.7, rng.normal(size=T)
    params = ElmanParams(np.array([[u]]), np.array([[w]]), np.zeros(1))
    cell, state = elman(LINEAR), ElmanState(np.array([[h0]]))
    ys, _, caches = unroll(cell, params, xs[:, None, None], state)
    powers = w ** np.arange(T - 1, -1, -1)
    assert ys[-1, 0, 0] == pytest.approx(w**T * h0 + u * powers @ xs, rel=1e-13)
    dys = np.zeros((T, 1, 1))
    dys[-1] = 1
    dparams, dxs, dstate = unroll_backward(cell, params, caches, dys)
    assert dstate.h[0, 0] == pytest.approx(w**T, rel=1e-13)
    np.testing.assert_allclose(dxs[:, 0, 0], u * powers, rtol=1e-13)
    assert dparams.W_x[0, 0] == pytest.approx(powers @ xs, rel=1e-12)
    slopes = np.arange(T - 1, -1, -1) * w ** np.maximum(np.arange(T - 2, -2, -1), 0)
    assert dparams.W_h[0, 0] == pytest.approx(T * w ** (T - 1) * h0 + u * slopes @ xs, rel=1e-12)
    assert dparams.b[0] == pytest.approx(powers.sum(), rel=1e-12)


def test_a_jordan_net_that_shows_its_hidden_units_is_an_elman_net(rng: np.random.Generator) -> None:
    p = problem(Elman, rng, lengths=LENGTHS)
    params = JordanParams(*p.params, W_y=np.eye(H), b_y=np.zeros(H))
    q = p._replace(params=params, state=JordanState(*p.state), dstate=JordanState(*p.dstate))
    ys, (c,), (dW_x, dW_h, db, _, _), dxs, (dc,) = run(jordan(decay=0, output=LINEAR), q)
    require_equal((ys, ElmanState(c), ElmanParams(dW_x, dW_h, db), dxs, ElmanState(dc)), run(Elman, p))


def test_the_context_of_a_jordan_net_is_a_fading_sum_of_its_outputs(rng: np.random.Generator) -> None:
    p = problem(CELLS["Jordan, K outputs"], rng)
    ys, last, *_ = run(CELLS["Jordan, K outputs"], p)
    expected = 0.3**T * p.state.c + sum(0.3 ** (T - 1 - t) * ys[t] for t in range(T))
    np.testing.assert_allclose(last.c, expected, rtol=1e-12)


def test_odd_units_turn_sign_with_their_inputs(rng: np.random.Generator) -> None:
    p = problem(Elman, rng)
    p = p._replace(params=p.params._replace(b=np.zeros(H)))
    opposite = p._replace(xs=-p.xs, state=ElmanState(-p.state.h))
    ys, last, dparams, dxs, dstate = run(Elman, p)
    minus = tree_map(lambda a: -a, (ys, last))
    turned = run(Elman, opposite)
    require_equal(turned[:2], minus)
    require_equal(turned[3:], (dxs, dstate))
    require_equal(turned[2], ElmanParams(-dparams.W_x, -dparams.W_h, dparams.b))


# --- LSTM


@pytest.mark.parametrize("cell", [LSTM, PeepholeLSTM], ids=["LSTM", "PeepholeLSTM"])
def test_forget_gate_of_one_and_input_gate_of_zero_keep_the_state_and_its_gradient(
    cell: Cell, rng: np.random.Generator
) -> None:
    p = problem(cell, rng)
    p = p._replace(params=saturated(p.params, f=(F, ALWAYS), i=(I, -ALWAYS)), dys=np.zeros_like(p.dys))
    p = p._replace(dstate=p.dstate._replace(h=np.zeros((B, H))))
    _, last, _, _, dstate = run(cell, p)
    np.testing.assert_array_equal(last.s, p.state.s)
    np.testing.assert_array_equal(dstate.s, p.dstate.s)


def test_forget_gate_of_zero_forgets_and_lets_no_gradient_of_the_state_through(rng: np.random.Generator) -> None:
    p = problem(LSTM, rng)
    p = p._replace(params=saturated(p.params, f=(F, -ALWAYS)))
    _, new, cache = LSTM.step(p.params, p.xs[0], p.state)
    _, other, _ = LSTM.step(p.params, p.xs[0], p.state._replace(s=p.state.s + 5))
    require_equal(new, other, rtol=0, atol=0)
    assert not LSTM.step_backward(p.params, cache, p.dys[0], p.dstate)[2].s.any()


def test_without_forget_gate_is_an_lstm_whose_forget_gate_stays_at_one(rng: np.random.Generator) -> None:
    p = problem(LSTM, rng, lengths=LENGTHS)
    p = p._replace(params=saturated(p.params, f=(F, ALWAYS)))
    ys, last, dparams, dxs, dstate = run(LSTM, p)
    old = run(LSTM1997, p._replace(params=LSTMParams(*rows(p.params, I, G, O))))
    require_equal(old, (ys, last, LSTMParams(*rows(dparams, I, G, O)), dxs, dstate))


def test_an_lstm_with_peepholes_of_zero_is_an_lstm(rng: np.random.Generator) -> None:
    p = problem(LSTM, rng, lengths=LENGTHS)
    q = p._replace(params=PeepholeParams(*p.params, p=np.zeros((3, H))))
    ys, last, dparams, dxs, dstate = run(PeepholeLSTM, q)
    require_equal((ys, last, LSTMParams(*dparams[:3]), dxs, dstate), run(LSTM, p))
    assert (np.abs(dparams.p) > 1e-6).all()  # it is about to use them


def test_peepholes_of_i_and_f_see_the_state_before_and_that_of_o_the_new_one(rng: np.random.Generator) -> None:
    """With its state known, each peephole is a shift of its gate's bias; one unit, one example."""
    p = problem(PeepholeLSTM, rng, shape=(1, 1, D, 1))
    _, new, _ = PeepholeLSTM.step(p.params, p.xs[0], p.state)
    seen = np.concatenate([p.params.p[:2, 0] * p.state.s[0], [0], p.params.p[2] * new.s[0]])
    plain = LSTMParams(p.params.W_x, p.params.W_h, p.params.b + seen)
    require_equal(LSTM.step(plain, p.xs[0], p.state)[1], new)


def test_open_gates_make_an_lstm_count(rng: np.random.Generator) -> None:
    p = problem(LSTM1997, rng, shape=(T, B, D, H))
    p = p._replace(params=saturated(p.params, i=(I, ALWAYS), g=(slice(H, 2 * H), ALWAYS)))
    _, last, *_ = run(LSTM1997, p)
    np.testing.assert_array_equal(last.s, ((p.state.s + 1) + 1) + 1 + 1 + 1 + 1 + 1)


# --- GRU


@pytest.mark.parametrize("cell", [GRU, ChoGRU], ids=["GRU", "ChoGRU"])
def test_update_gate_of_one_copies_the_state_and_its_gradient(cell: Cell, rng: np.random.Generator) -> None:
    p = problem(cell, rng)
    p = p._replace(params=saturated(p.params, z=(Z, ALWAYS)))
    ys, last, dparams, dxs, dstate = run(cell, p)
    np.testing.assert_array_equal(ys, np.repeat(p.state.h[None], T, axis=0))
    np.testing.assert_array_equal(last.h, p.state.h)
    np.testing.assert_allclose(dstate.h, p.dys.sum(axis=0) + p.dstate.h, rtol=1e-12)
    assert not dxs.any()
    assert not any(a.any() for a in dparams)


def test_both_forms_agree_when_nothing_is_reset(rng: np.random.Generator) -> None:
    """With r = 1 the bias inside the bracket joins the one outside."""
    p = problem(GRU, rng, lengths=LENGTHS)
    p = p._replace(params=saturated(p.params, r=(R, ALWAYS)))
    b = p.params.b.copy()
    b[N] += p.params.b_n
    cho = run(ChoGRU, p._replace(params=ChoGRUParams(p.params.W_x, p.params.W_h, b)))
    ys, last, dparams, dxs, dstate = run(GRU, p)
    require_equal(cho, (ys, last, ChoGRUParams(*dparams[:3]), dxs, dstate))
    np.testing.assert_allclose(dparams.b_n, dparams.b[N], rtol=1e-12)


def test_the_forms_differ_when_the_reset_gate_is_half_open(rng: np.random.Generator) -> None:
    p = problem(ChoGRU, rng)
    q = p._replace(params=GRUParams(*p.params, b_n=np.zeros(H)))
    assert np.abs(run(ChoGRU, p)[0] - run(GRU, q)[0]).max() > 0.01


@pytest.mark.parametrize("cell", [GRU, ChoGRU], ids=["GRU", "ChoGRU"])
def test_without_gates_a_gru_is_an_elman_net(cell: Cell, rng: np.random.Generator) -> None:
    p = problem(cell, rng, lengths=LENGTHS)
    params = saturated(p.params, z=(Z, -ALWAYS), r=(R, ALWAYS))
    params = params._replace(b_n=np.zeros(H)) if cell is GRU else params
    ys, last, dparams, dxs, dstate = run(cell, p._replace(params=params))
    q = Problem(ElmanParams(*rows(params, N)), p.xs, ElmanState(*p.state), p.mask, p.dys, ElmanState(*p.dstate))
    gru = (ys, ElmanState(*last), ElmanParams(*rows(dparams, N)), dxs, ElmanState(*dstate))
    require_equal(gru, run(Elman, q))


# --- without memory, time has no direction

MEMORYLESS: dict[str, Any] = {
    "Elman": (Elman, {}),
    "Jordan": (jordan(K, decay=0, activation=ops.SIGMOID, output=TANH), {}),
    "LSTM": (LSTM, {"f": (F, -ALWAYS)}),
    "PeepholeLSTM": (PeepholeLSTM, {"f": (F, -ALWAYS), "i": (I, ALWAYS)}),
    "GRU": (GRU, {"z": (Z, -ALWAYS)}),
    "ChoGRU": (ChoGRU, {"z": (Z, -ALWAYS)}),
}


@pytest.mark.parametrize("name", MEMORYLESS)
def test_a_cell_without_memory_gives_the_reversed_result_on_reversed_input(name: str, rng: np.random.Generator) -> None:
    cell, gates = MEMORYLESS[name]
    p = problem(cell, rng)
    assert not np.allclose(run(cell, p._replace(xs=p.xs[::-1]))[0][::-1], run(cell, p)[0]), "it never remembered"
    params = saturated(p.params, **gates)
    params = params._replace(W_h=np.zeros_like(params.W_h))
    p = p._replace(params=params, dstate=tree_map(np.zeros_like, p.dstate))
    back = p._replace(xs=p.xs[::-1], dys=p.dys[::-1], state=random_like(rng, p.state))
    ys, _, dparams, dxs, _ = run(cell, p)
    ys_back, _, dparams_back, dxs_back, _ = run(cell, back)
    require_equal((ys_back[::-1], dparams_back.W_x, dxs_back[::-1]), (ys, dparams.W_x, dxs))


def test_lstm_state_holds_output_and_internal_state(rng: np.random.Generator) -> None:
    p = problem(LSTM, rng)
    ys, last, *_ = run(LSTM, p)
    assert isinstance(last, LSTMState)
    np.testing.assert_array_equal(last.h, ys[-1])
    assert (np.abs(last.h) < np.abs(np.tanh(last.s))).all()
