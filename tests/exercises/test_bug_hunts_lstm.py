"""What the statements of *LSTM and GRU* say of the bugs, and of other numbers, is so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from companion import lstm
from companion.exercises import EXERCISES, judge
from companion.exercises.lstm import full_cell, hunt_bias, hunt_state
from companion.gradcheck import GradientError, check_gradients
from companion.ops import sigmoid

D, H, B = 4, 5, 3
STATEMENTS = {name: " ".join(e.statement.split()) for name, e in EXERCISES.items()}

# --- a forget bias without effect


def step_of(params: lstm.LSTMParams, x: Any, h: Any, s: Any) -> tuple[Any, Any]:
    return tuple(lstm.lstm_step(params, x, lstm.LSTMState(h, s))[1])


def random_start(rng: np.random.Generator, forget_bias: float) -> tuple[Any, ...]:
    params = lstm.lstm_init(rng, D, H, forget_bias=forget_bias)
    return (rng.normal(size=(B, D)), *rng.normal(size=(2, B, H)), *params)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_step_with_the_wrong_bias_is_right_while_all_biases_are_zero(seed: int) -> None:
    x, h, s, *params = random_start(np.random.default_rng(seed), forget_bias=0.0)
    right = step_of(lstm.LSTMParams(*params), x, h, s)
    np.testing.assert_allclose(hunt_bias.buggy_step(x, h, s, *params), right, rtol=1e-13)
    x, h, s, *params = random_start(np.random.default_rng(seed), forget_bias=1.0)
    wrong, right = hunt_bias.buggy_step(x, h, s, *params)[1], step_of(lstm.LSTMParams(*params), x, h, s)[1]
    assert np.abs(wrong - right).max() > 0.1


def test_forget_bias_of_seven_keeps_nothing_where_nine_tenths_were_expected() -> None:
    b = np.zeros(4 * H)
    b[H : 2 * H] = 7.0
    left = {}
    for step in (hunt_bias.buggy_step, hunt_bias.lstm_step_by_slices):
        h, s = np.zeros((1, H)), np.ones((1, H))
        for _ in range(100):
            h, s = step(np.ones((1, D)), h, s, np.zeros((4 * H, D)), np.zeros((4 * H, H)), b)
        left[step] = s.max()
    assert left[hunt_bias.buggy_step] < 1e-29
    assert abs(left[hunt_bias.lstm_step_by_slices] - 0.9) < 0.02
    assert "nine tenths" in STATEMENTS["lstm.hunt_bias"]
    assert "Less than 1e-29" in STATEMENTS["lstm.hunt_bias"]


# --- right from a standing start


def checked(rng: np.random.Generator, state: Any, leave_out: tuple[str, ...] = ()) -> Any:
    """The gradient check of the buggy backward pass as the chapter runs it."""
    arrays = {
        "W_x": rng.normal(size=(4 * H, D)),
        "W_h": rng.normal(size=(4 * H, H)),
        "b": rng.normal(size=4 * H),
        "x": rng.normal(size=(B, D)),
        "h_prev": state(size=(B, H)),
        "s_prev": state(size=(B, H)),
    }
    fixed = {name: arrays.pop(name) for name in leave_out}

    def backward(cache: Any, dy: Any) -> dict[str, Any]:
        named = dict(zip(("W_x", "W_h", "b", "x", "h_prev", "s_prev"), hunt_state.buggy_backward(cache, dy)))
        return {name: named[name] for name in arrays}

    return check_gradients(lambda **inputs: hunt_state.lstm_forward(**inputs, **fixed), backward, arrays, rng)


def zeros(size: tuple[int, int]) -> Any:
    return np.zeros(size)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_exchanged_states_pass_the_check_from_the_zero_state(seed: int) -> None:
    report = checked(np.random.default_rng(seed), zeros)
    assert [c.name for c in report.comparisons] == ["W_x", "W_h", "b", "x", "h_prev", "s_prev"]
    assert report.worst < 1e-7


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_exchanged_states_fail_the_check_from_a_random_state_in_the_forget_gate(seed: int) -> None:
    rng = np.random.default_rng(seed)
    with pytest.raises(GradientError, match=f"gradient of W_x differs(.|\n)*{H * D} of {4 * H * D} entries differ"):
        checked(rng, rng.normal)
    # All but the diagonal of the forget gate's block, where both states of a unit are multiplied with each other.
    with pytest.raises(GradientError, match=f"gradient of W_h differs(.|\n)*{4 * H * H - H} of {4 * H * H} entries"):
        checked(rng, rng.normal, leave_out=("W_x",))


def test_quarter_of_w_x_that_is_wrong_is_the_forget_gate() -> None:
    rng = np.random.default_rng(0)
    shapes = ((B, D), (B, H), (B, H), (4 * H, D), (4 * H, H), (4 * H,))
    _, cache = hunt_state.lstm_forward(*(rng.normal(size=shape) for shape in shapes))
    dy = tuple(rng.normal(size=(2, B, H)))
    wrong, right = hunt_state.buggy_backward(cache, dy)[0], hunt_state.lstm_backward(cache, dy)[0]
    assert np.array_equal((wrong != right).all(axis=1), np.arange(4 * H) // H == 1)
    assert np.array_equal((wrong != right).any(axis=1), np.arange(4 * H) // H == 1)


# --- the numbers in statements and effects


def test_numbers_in_the_statements_are_so() -> None:
    assert f"{sigmoid(np.array(1.0)) ** 100:.0e}" == "2e-14"
    steps = full_cell.steps_until_full()
    assert 1 - np.tanh(0.05 * steps) ** 2 < 0.01 < 1 - np.tanh(0.05 * (steps - 1)) ** 2


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("lstm.parameter_count", ("23808", "23,808")),
        ("lstm.full_cell", ("60",)),
        ("lstm.forget_bias", ("4.97", "4.96")),
    ],
)
def test_wrong_prediction_never_reveals_the_number(name: str, numbers: tuple[str, ...]) -> None:
    e = EXERCISES[name]
    right = float(e.solution())
    for answer in [1.01 * right, 0.99 * right, -right, "1", np.nan, [1.5], *(m.answer for m in e.mistakes)]:
        message = judge(name, answer).message
        shown = f"{answer:.12g}" if isinstance(answer, float) else "no number"
        assert not any(number in message.replace(shown, "") for number in numbers), message
    assert not any(number in STATEMENTS[name] for number in numbers)


# --- three mistakes that have to be recognised by name


@pytest.mark.parametrize(
    ("exercise", "name"),
    [
        ("lstm.step", "took the gates in another order: i, f, o, g"),
        ("lstm.step_backward", "forgot the path through h in ds"),
        ("lstm.gru_step", "took 1 - z for z"),
        ("lstm.gru_backward", "took 1 - z for z"),
    ],
)
def test_mistake_that_everyone_makes_is_recognised_by_name(exercise: str, name: str) -> None:
    (mistake,) = [m for m in EXERCISES[exercise].mistakes if m.name == name]
    assert f"It looks as if you {name}. " in judge(exercise, mistake.answer).message
