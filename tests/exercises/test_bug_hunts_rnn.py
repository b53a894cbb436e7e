"""What the statements of the bug hunts of *Recurrent networks* say of the bugs is so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from companion.exercises.rnn.hunt_context import buggy_jordan, jordan_forward
from companion.exercises.rnn.hunt_evaluation import buggy_logits, evaluated_logits
from companion.exercises.rnn.hunt_minus_one import buggy_backward, elman_net, elman_net_backward
from companion.gradcheck import GradientError, check_gradients

# --- the Jordan network that is right from zero


def jordan_arguments(steps: int, batch: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(steps)
    weights = tuple(rng.normal(size=shape) for shape in ((5, 4), (5, 3), (5,), (3, 5), (3,)))
    return rng.normal(size=(steps, batch, 4)), (*weights, 0.5)


def in_pieces(net: Any, xs: Any, weights: Any, length: int) -> Any:
    c, ys = np.zeros((xs.shape[1], 3)), []
    for start in range(0, len(xs), length):
        piece, c = net(xs[start : start + length], c, *weights)
        ys.append(piece)
    return np.concatenate(ys)


@pytest.mark.parametrize("steps", [1, 2, 40])
def test_buggy_jordan_network_is_right_to_the_last_digit_from_a_zero_context(steps: int) -> None:
    xs, weights = jordan_arguments(steps, 2)
    zero = np.zeros((2, 3))
    np.testing.assert_array_equal(buggy_jordan(xs, zero, *weights)[0], jordan_forward(xs, zero, *weights)[0])


@pytest.mark.parametrize("length", [1, 8, 20])
def test_buggy_jordan_network_reads_a_text_otherwise_in_pieces(length: int) -> None:
    xs, weights = jordan_arguments(40, 2)
    for net, same in ((jordan_forward, True), (buggy_jordan, False)):
        difference = np.abs(in_pieces(net, xs, weights, length) - in_pieces(net, xs, weights, 40)).max()
        assert difference < 1e-12 if same else difference > 0.1


# --- the index that is right by luck


def recall(backward: Any, seed: int, updates: int) -> float:
    """Loss, after some updates, of recalling the first of five random signs at the end; an answer of 0 has loss 0.5."""
    rng = np.random.default_rng(seed)
    params = [rng.normal(size=(16, 1)) / 2, rng.normal(size=(16, 16)) / 4, np.zeros(16), rng.normal(size=(1, 16)) / 4]
    held_out = rng.choice([-1.0, 1.0], size=(5, 1000, 1))
    for _ in range(updates):
        xs = rng.choice([-1.0, 1.0], size=(5, 32, 1))
        hs, cache = elman_net(xs, *params[:3])
        dhs, error = np.zeros_like(hs), (hs[-1] @ params[3].T - xs[0]) / 32
        dhs[-1] = error @ params[3]
        grads = [*backward(cache, dhs)[1:], error.T @ hs[-1]]
        params = [p - 0.1 * g for p, g in zip(params, grads)]
    last = elman_net(held_out, *params[:3])[0][-1]
    return float(((last @ params[3].T - held_out[0]) ** 2).mean() / 2)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_network_with_the_buggy_backward_pass_learns_to_recall_as_well_as_it_should(seed: int) -> None:
    for backward in (buggy_backward, elman_net_backward):
        assert recall(backward, seed, 0) > 0.5
        assert recall(backward, seed, 50) < 0.02
        assert recall(backward, seed, 300) < 0.002


@pytest.mark.parametrize("seed", range(5))
def test_one_gradient_is_wrong_by_a_tenth_to_a_third_before_the_first_update(seed: int) -> None:
    found: list[Any] = []

    def compared(cache: Any, dhs: Any) -> Any:
        right = elman_net_backward(cache, dhs)
        found.append([np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip(buggy_backward(cache, dhs), right)])
        return right

    recall(compared, seed, 1)
    assert found[0][:2] + found[0][3:] == [0, 0, 0]
    assert 0.08 < found[0][2] < 0.4


def check(backward: Any) -> None:
    rng = np.random.default_rng(0)
    inputs = {name: rng.normal(size=shape) for name, shape in (("W_x", (5, 2)), ("W_h", (5, 5)), ("b", (5,)))}
    inputs["xs"] = rng.normal(size=(4, 3, 2))

    def named(cache: Any, dhs: Any) -> Any:
        grads = dict(zip(("xs", "W_x", "W_h", "b"), backward(cache, dhs)))
        return {name: grads[name] for name in inputs}

    check_gradients(elman_net, named, inputs, rng)


def test_gradient_check_lets_the_input_weights_pass_and_stops_at_the_recurrent_ones() -> None:
    check(elman_net_backward)
    with pytest.raises(GradientError, match="gradient of W_h differs"):
        check(buggy_backward)
    with pytest.raises(GradientError, match="gradient of W_h differs"):  # W_x comes first, and would have been named
        check(lambda cache, dhs: (0 * cache[0], *buggy_backward(cache, dhs)[1:]))


# --- the evaluation that draws its first state


def evaluated_twice(logits: Any, steps: int) -> float:
    """Largest difference of the logits between two evaluations of one network on the same sequences."""
    rng = np.random.default_rng(0)
    W_x, W_h = (rng.uniform(-0.25, 0.25, shape) for shape in ((16, 3), (16, 16)))
    W_y, xs = rng.uniform(-0.25, 0.25, (4, 16)), rng.normal(size=(steps, 8, 3))
    first, second = (logits(xs, W_x, W_h, np.zeros(16), W_y, np.zeros(4), rng) for _ in range(2))
    return float(np.abs(first - second).max())


def test_random_start_shows_after_five_steps_and_is_forgotten_after_two_hundred() -> None:
    assert 0.005 < evaluated_twice(buggy_logits, 5) < 0.1
    assert evaluated_twice(buggy_logits, 200) < 1e-12
    assert evaluated_twice(evaluated_logits, 5) == 0
