"""What the statements of *Neural Turing machines* say of the bugs, and of other numbers, is so."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

from companion import addressing, bptt, heads, ntm, optim
from companion.data.algorithmic import copy, wrong_bits
from companion.exercises import EXERCISES, judge
from companion.exercises.ntm import copy_by_hand, hunt_axis, hunt_previous, hunt_sharpen, hunt_shift, hunt_strength
from companion.exercises.ntm.optimal_ngram import next_bit_probabilities
from companion.gradcheck import GradientError, check_gradients, numerical_gradient
from companion.lstm import LSTM
from companion.ops import sigmoid, softmax
from companion.tree import tree_map

STATEMENTS = {name: " ".join(e.statement.split()) for name, e in EXERCISES.items()}

# --- a head that walks backwards


def test_correlation_has_the_weight_of_the_row_after() -> None:
    """As the convolution layers of libraries for deep learning have: sum over j of s(j) w(n + j)."""
    rng = np.random.default_rng(0)
    w, s = rng.random((1, 7)), rng.random((1, 3))
    after = [sum(s[0, j + 1] * w[0, (n + j) % 7] for j in (-1, 0, 1)) for n in range(7)]
    np.testing.assert_allclose(hunt_shift.buggy_shift(w, s), [after])


def test_correlation_takes_a_head_that_should_move_on_back_by_one_row() -> None:
    w, s = np.eye(6)[[2]], np.array([[0.0, 0.0, 1.0]])
    assert hunt_shift.buggy_shift(w, s).argmax() == 1
    assert hunt_shift.shift_by_convolution(w, s).argmax() == 3


def mirrored(w: Any, s: Any) -> Any:
    """The shift of the hunt, with its right gradient, in the form that the machine calls."""
    shifted = np.stack([hunt_shift.buggy_shift(a, b) for a, b in zip(w, s)])
    return shifted, addressing.ShiftCache(w, s[:, :, ::-1])


def mirrored_backward(cache: Any, dy: Any) -> Any:
    dw, ds = addressing.shift_backward(cache, dy)
    return dw, ds[:, :, ::-1]


def test_machine_with_the_mirrored_shift_is_the_same_until_its_memory_is_filled_before(monkeypatch: Any) -> None:
    rng = np.random.default_rng(0)
    cell = ntm.ntm(LSTM, rows=8, width=4, read_heads=2, write_heads=1, shift_range=2)
    params, xs = tree_map(lambda a: 4 * a, cell.init(rng, 3, 5)), rng.normal(size=(3, 2, 3))
    filled = cell.initial_state(params, 2)._replace(memory=rng.normal(size=(2, 8, 4)))
    (ys, end, caches), other = bptt.unroll(cell, params, xs), bptt.unroll(cell, params, xs, filled)[0]
    dys = rng.normal(size=ys.shape)
    dparams, dxs, _ = bptt.unroll_backward(cell, params, caches, dys)
    monkeypatch.setattr(heads, "shift", mirrored)
    monkeypatch.setattr(heads, "shift_backward", mirrored_backward)
    same, seen, caches = bptt.unroll(cell, params, xs)
    np.testing.assert_allclose(same, ys, atol=1e-13)
    dsame, dxs_same, _ = bptt.unroll_backward(cell, params, caches, dys)
    np.testing.assert_allclose(dxs_same, dxs, atol=1e-12)
    np.testing.assert_allclose(dsame.W_z, dparams.W_z, atol=1e-12)
    np.testing.assert_allclose(np.roll(seen.w[:, :, ::-1], 1, axis=2), end.w, atol=1e-13)  # row n is row N - n
    assert np.abs(seen.w - end.w).max() > 0.01
    assert np.abs(bptt.unroll(cell, params, xs, filled)[0] - other).max() > 0.01


# --- one head finds nothing


def axis_case(rng: np.random.Generator, K: int) -> tuple[Any, Any, Any]:
    return rng.normal(size=(K, 4)), rng.uniform(1, 6, K), rng.normal(size=(6, 4))


def test_softmax_over_heads_gives_weights_of_the_right_shape_between_0_and_1() -> None:
    w = hunt_axis.buggy_content_weights(*axis_case(np.random.default_rng(0), 3))
    assert w.shape == (3, 6)
    assert w.min() > 0
    assert w.max() < 1


def test_softmax_over_heads_lets_a_single_head_find_nothing_and_two_alike_share_each_row() -> None:
    key, strength, memory = axis_case(np.random.default_rng(0), 1)
    assert np.ptp(hunt_axis.buggy_content_weights(key, strength, memory)) == 0
    twins = hunt_axis.buggy_content_weights(np.repeat(key, 2, 0), np.repeat(strength, 2), memory)
    np.testing.assert_allclose(twins, 0.5)


def test_softmax_over_heads_lets_a_head_depend_on_what_another_looks_for() -> None:
    key, strength, memory = axis_case(np.random.default_rng(0), 2)
    other = np.stack([key[0], -key[1]])
    for f, depends in ((hunt_axis.buggy_content_weights, True), (hunt_axis.content_weights, False)):
        change = np.abs(f(key, strength, memory)[0] - f(other, strength, memory)[0]).max()
        assert change > 0.05 if depends else change == 0


def test_four_stages_hide_that_weights_do_not_sum_to_one() -> None:
    rng = np.random.default_rng(0)
    w_c = hunt_axis.buggy_content_weights(*axis_case(rng, 3))[None]
    assert np.abs(w_c.sum(axis=2) - 1).min() > 0.1
    w, _ = addressing.interpolate(w_c, np.full((1, 3), 0.7), softmax(rng.normal(size=(1, 3, 6))))
    w, _ = addressing.shift(w, softmax(rng.normal(size=(1, 3, 3))))
    np.testing.assert_allclose(addressing.sharpen(w, rng.uniform(1, 3, (1, 3)))[0].sum(axis=2), 1)


# --- what is least alike


def test_half_of_the_heads_give_the_row_they_look_for_the_smallest_weight() -> None:
    rng, sizes = np.random.default_rng(0), heads.NTMSizes(rows=9, width=6, read_heads=100, write_heads=100)
    params = ntm.ntm(LSTM, **sizes._asdict()).init(rng, 3, 40)
    start = int(np.prod(heads.head_shapes(sizes).key))
    z = params.b_z[start : start + 200] + params.W_z[start : start + 200] @ np.tanh(rng.normal(size=40))
    assert 0.4 < (z < 0).mean() < 0.6
    memory, stored = rng.normal(size=(9, 6)), rng.integers(0, 9, 200)
    wrong, right = (f(memory[stored], z, memory) for f in (hunt_strength.buggy_find, hunt_strength.find_alike))
    assert (right.argmax(axis=1) == stored).all()
    assert (wrong.argmax(axis=1) == stored).tolist() == (z > 0).tolist()
    assert (wrong.argmin(axis=1) == stored).tolist() == (z < 0).tolist()


def test_negative_strength_and_the_opposite_key_find_the_same_rows() -> None:
    rng = np.random.default_rng(0)
    key, z, memory = rng.normal(size=(5, 4)), rng.normal(size=5), rng.normal(size=(7, 4))
    np.testing.assert_allclose(hunt_strength.buggy_find(-key, -z, memory), hunt_strength.buggy_find(key, z, memory))
    assert (
        np.abs(hunt_strength.find_alike(key, z, memory) - hunt_strength.buggy_find(key, z, memory)).max(1) > 0.01
    ).all()


# --- the focus that fades away


def walk(steps: int, gamma: float, s: Any = (0.05, 0.9, 0.05), function: Any = hunt_sharpen.buggy_walk) -> Any:
    return function(np.eye(128)[[60]], np.tile(s, (steps, 1, 1)), np.full((steps, 1), gamma))


def test_focus_that_is_not_divided_fades_away() -> None:
    sums = walk(10, 2.0).sum(axis=(1, 2))
    assert f"{sums[0]:.3f} {sums[4]:.4f}" == "0.815 0.0015"
    assert sums[9] < 1e-90
    assert all(number in STATEMENTS["ntm.hunt_sharpen"] for number in ("0.815", "0.0015", "1e-90"))
    np.testing.assert_allclose(walk(10, 2.0, function=hunt_sharpen.sharp_walk).sum(axis=2), 1)
    s, gamma = np.tile((0.05, 0.9, 0.05), (10, 1, 1)), np.full((10, 1), 2.0)
    start = np.full((1, 7), 0.01) + 0.93 * np.eye(7)[[3]]
    gradient = numerical_gradient(lambda w: float(hunt_sharpen.buggy_walk(w, s, gamma)[-1].sum()), start)
    assert np.abs(gradient).max() < 1e-80


def test_focus_does_not_fade_without_sharpening_or_without_blur() -> None:
    for gamma, s in ((1.0, (0.05, 0.9, 0.05)), (3.0, (0.0, 0.0, 1.0))):
        right = walk(20, gamma, s, hunt_sharpen.sharp_walk)
        np.testing.assert_allclose(walk(20, gamma, s), right, rtol=1e-13)


# --- one step back and no further


def checked(T: int, gate: float | None = None) -> Any:
    """The gradient check of the buggy backward pass as the chapter runs it."""
    rng = np.random.default_rng(0)
    inputs = hunt_previous.random_inputs(rng, T, 5)
    fixed = {} if gate is None else {"gate": np.full_like(inputs.pop("gate"), gate)}

    def backward(cache: Any, dws: Any) -> dict[str, Any]:
        named = dict(zip(hunt_previous.NAMES, hunt_previous.buggy_backward(cache, dws)))
        return {name: named[name] for name in inputs}

    return check_gradients(lambda **told: hunt_previous.head_forward(**told, **fixed), backward, inputs, rng)


def test_dropped_gradient_passes_the_check_for_one_step_or_with_every_gate_at_one() -> None:
    assert [c.name for c in checked(1).comparisons] == list(hunt_previous.NAMES)
    assert checked(1).worst < 1e-7
    assert checked(6, gate=1.0).worst < 1e-7
    with pytest.raises(GradientError, match="gradient of content differs"):
        checked(4)


def test_dropped_gradient_leaves_the_last_step_right() -> None:
    rng = np.random.default_rng(0)
    _, cache = hunt_previous.head_forward(**hunt_previous.random_inputs(rng, 4, 5))
    dws = rng.normal(size=(4, 5))
    for wrong, right in zip(hunt_previous.buggy_backward(cache, dws)[:4], hunt_previous.head_backward(cache, dws)):
        np.testing.assert_array_equal(wrong[-1], right[-1])
        assert not np.isclose(wrong[:-1], right[:-1]).all()


def learned_moves(backward: Any) -> Any:
    """How likely each of five moves by +1 is, after learning to be at row 5 at the end."""
    z, start = np.zeros((5, 3)), 1e-9 + np.eye(12)[0]
    for _ in range(120):
        s = softmax(z)
        ws, cache = hunt_previous.head_forward(np.full((5, 12), 1 / 12), np.zeros(5), s, np.ones(5), start)
        dws = np.zeros_like(ws)
        dws[-1, 5] = -1 / ws[-1, 5]  # of -log of what has arrived
        ds = backward(cache, dws)[2]
        z = z - s * (ds - (s * ds).sum(axis=1, keepdims=True))
    return s[:, 2]


def test_dropped_gradient_lets_a_head_learn_its_last_move_only() -> None:
    assert learned_moves(hunt_previous.head_backward).min() > 0.98
    moves = learned_moves(hunt_previous.buggy_backward)
    assert moves[4] > 0.98
    np.testing.assert_allclose(moves[:4], 1 / 3)


def test_machine_with_the_dropped_gradient_learns_to_copy_short_sequences(monkeypatch: Any) -> None:
    def dropped(cache: Any, dw: Any) -> Any:
        dcontent, dgate, dprev = addressing.interpolate_backward(cache, dw)
        return dcontent, dgate, np.zeros_like(dprev)

    monkeypatch.setattr(heads, "interpolate_backward", dropped)
    rng = np.random.default_rng(0)
    cell = ntm.ntm(ntm.Feedforward, rows=5, width=4)
    params = {"cell": cell.init(rng, 3, 12), "W": rng.uniform(-0.2, 0.2, (2, 16)), "b": np.zeros(2)}
    optimizer = optim.adam(3e-2)
    state, wrong = optimizer.init(params), []
    for _ in range(180):
        episodes = copy(rng, 8, int(rng.integers(1, 3)), bits=2)
        ys, _, caches = bptt.unroll(cell, params["cell"], episodes.xs)
        logits = ys @ params["W"].T + params["b"]
        wrong.append(wrong_bits(logits, episodes) / (2 * episodes.mask[:, 0].sum()))
        dlogits = (sigmoid(logits) - episodes.targets) * episodes.mask[:, :, None] / episodes.mask.sum()
        dcell, _, _ = bptt.unroll_backward(cell, params["cell"], caches, dlogits @ params["W"])
        grads = {"cell": dcell, "W": np.einsum("tbc,tbh->ch", dlogits, ys), "b": dlogits.sum(axis=(0, 1))}
        params, state = optimizer.update(params, grads, state)
    assert np.mean(wrong[:8]) > 0.35
    assert np.mean(wrong[-40:]) < 0.1


# --- the numbers that are asked for


@pytest.mark.parametrize(
    ("name", "numbers"), [("ntm.parameter_count", ("28362", "28,362", "74")), ("ntm.blur", ("0.300", "0.301", "0.993"))]
)
def test_wrong_prediction_never_reveals_the_number(name: str, numbers: tuple[str, ...]) -> None:
    e = EXERCISES[name]
    right = e.solution()
    two = isinstance(right, tuple)
    others = [(0.5, right[1]), (right[0], 0.5), (2 * right[0], 0.1)] if two else [right + 1, right - 1, -right, "1"]
    for answer in [*others, np.nan, [1.5], *(m.answer for m in e.mistakes)]:
        message = judge(name, answer).message
        given = answer() if callable(answer) else answer
        for own in given if isinstance(given, tuple) else (given,):
            message = message.replace(f"{own:.12g}" if isinstance(own, float) else str(own), "")
        assert not any(number in message for number in numbers), message
    assert not any(number in STATEMENTS[name] for number in numbers)


@pytest.mark.parametrize("seed", [0, 1])
def test_no_sequence_of_bits_is_more_likely_than_the_best_predictor_says(seed: int) -> None:
    """The product of its predictions is the integral over all tables, which is a product of beta functions."""

    def log_beta(a: float, b: float) -> float:
        return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)

    rng = np.random.default_rng(seed)
    bits, a, b = rng.integers(0, 2, 60), 0.7, 1.9
    p = next_bit_probabilities(bits, 2, a, b)
    seen = Counter((*bits[t - 2 : t], bits[t]) for t in range(2, 60))
    contexts = {key[:2] for key in seen}
    exact = sum(log_beta(seen[(*c, 1)] + a, seen[(*c, 0)] + b) - log_beta(a, b) for c in contexts) + 2 * math.log(0.5)
    assert abs(np.log(np.where(bits == 1, p, 1 - p)).sum() - exact) < 1e-10


@pytest.mark.parametrize("L", range(1, 10))
def test_head_told_by_hand_copies_from_every_row_of_the_smallest_memory(L: int) -> None:
    rng = np.random.default_rng(L)
    N, M = L + 3, 5
    for row in range(N):
        xs, memory = np.zeros((2 * L + 1, M)), rng.integers(0, 2, (N, M)) * 1.0
        xs[0, 0], memory[:, 0] = 1, 0
        xs[1 : L + 1, 1:] = rng.integers(0, 2, (L, M - 1))
        reads = copy_by_hand.run_head(xs, memory, row, *copy_by_hand.head_by_hand(L, M))
        np.testing.assert_allclose(reads[L + 1 :], xs[1 : L + 1], atol=0.01)
