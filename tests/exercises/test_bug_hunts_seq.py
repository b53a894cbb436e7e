"""What the statements of *Why model sequences* say of the bugs, and of the states of a delayed sum, is so."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest

from companion import hmm
from companion.emissions import Categorical
from companion.exercises import EXERCISES, judge
from companion.exercises.seq.forward import random_model
from companion.exercises.seq.hunt_pointers import best_path, buggy_best_path, circle
from companion.exercises.seq.hunt_underflow import buggy_log_likelihood, scaled_log_likelihood

STATEMENTS = {name: " ".join(e.statement.split()) for name, e in EXERCISES.items()}


# --- every long text is equally likely


def authors(seed: int, steps: int) -> tuple[Any, list[tuple[Any, ...]]]:
    """A text of the second of two authors who use 27 signs, and both models."""
    rng = np.random.default_rng(seed)
    models = [random_model(rng, 1, 4, 27)[1:] for _ in range(2)]
    start, transition, emission = models[1]
    xs = hmm.sample(rng, hmm.HMM(start, transition, Categorical(emission)), steps, 1)[1][:, 0]
    return xs, models


@pytest.mark.parametrize("seed", range(5))
def test_constant_is_harmless_in_a_word_and_all_that_is_left_of_a_long_text(seed: int) -> None:
    word, models = authors(seed, 8)
    for parts in models:
        right = scaled_log_likelihood(word, *parts)
        assert abs(buggy_log_likelihood(word, *parts) - right) < 1e-12 * abs(right)
    text, models = authors(seed, 300)
    assert {buggy_log_likelihood(text, *parts) for parts in models} == {float(np.log(1e-300))}
    first, second = (scaled_log_likelihood(text, *parts) for parts in models)
    assert second > first + 50
    assert second < -700
    assert "27 different signs and 300 or more" in STATEMENTS["seq.hunt_underflow"]
    assert f"return {np.log(1e-300):.1f}" in STATEMENTS["seq.hunt_underflow"]


@pytest.mark.parametrize("seed", range(5))
def test_probability_of_a_text_of_27_signs_is_zero_after_about_230_of_them(seed: int) -> None:
    xs, (_, (start, transition, emission)) = authors(seed, 300)
    alpha, steps = start * emission[:, xs[0]], 1
    while alpha.sum() > 0:
        alpha, steps = (alpha @ transition) * emission[:, xs[steps]], steps + 1
    assert 200 < steps < 300


# --- a path that nobody can walk


def walks(rng: np.random.Generator, n: int) -> Any:
    """True states and symbols (100, n) of the model of the statement, and its logarithms."""
    logs = circle(np.full(4, 0.95), np.where(np.eye(4) > 0, 1 / 2, 1 / 6))
    start, transition, emission = map(np.exp, logs)
    states, xs = hmm.sample(rng, hmm.HMM(start, transition, Categorical(emission)), 100, n)
    return states, xs, logs


def test_path_is_hardly_less_accurate_and_every_other_one_is_impossible() -> None:
    states, xs, logs = walks(np.random.default_rng(0), 1000)
    right, buggy = ([function(x, *logs) for x in xs.T] for function in (best_path, buggy_best_path))
    assert [score for _, score in right] == [score for _, score in buggy]
    good, bad = (np.stack([path for path, _ in found], axis=1) for found in (right, buggy))
    assert 0.03 < (good != bad).mean() < 0.05
    assert abs((good == states).mean() - 0.78) < 0.01
    assert abs((bad == states).mean() - 0.77) < 0.01
    walked = logs[1][bad[:-1], bad[1:]].min(axis=0)
    assert abs(np.isneginf(walked).mean() - 0.5) < 0.05
    assert not np.isneginf(logs[1][good[:-1], good[1:]]).any()
    for words in ("about 4 steps of 100", "77 of 100 instead of 78", "half of its paths of 100 steps"):
        assert words in STATEMENTS["seq.hunt_pointers"]


# --- states for a delayed sum


def pairs_of(digits: Sequence[int], lag: int) -> tuple[tuple[int, int], ...]:
    """The pairs that the task makes of digits, the first `lag` of which nobody sees."""
    return tuple((digits[t], (digits[t] + digits[t - lag]) % 3) for t in range(lag, len(digits)))


@pytest.mark.parametrize("lag", [1, 2])
def test_model_with_a_state_for_every_window_makes_the_sequences_of_the_task_and_no_other(lag: int) -> None:
    windows = list(product(range(3), repeat=lag + 1))
    S, steps = 3 ** (lag + 1), lag + 2
    transition, emission = np.zeros((S, S)), np.zeros((S, 9))
    for (i, a), (j, b) in product(enumerate(windows), repeat=2):
        transition[i, j] = (a[1:] == b[:-1]) / 3
    for i, window in enumerate(windows):
        emission[i, 3 * window[-1] + (window[-1] + window[0]) % 3] = 1
    model = hmm.HMM(np.full(S, 1 / S), transition, Categorical(emission))
    sequences = list(product(range(9), repeat=steps))
    likely = np.isfinite(hmm.log_likelihood(model, np.array(sequences).T))
    found = {tuple(divmod(pair, 3) for pair in sequence) for sequence, yes in zip(sequences, likely) if yes}
    assert found == {pairs_of(digits, lag) for digits in product(range(3), repeat=lag + steps)}


@pytest.mark.parametrize("lag", [1, 2])
def test_two_sequences_can_share_a_state_only_where_their_windows_are_the_same(lag: int) -> None:
    """What comes before a step, at it and after it are independent given its state: a state's sequences can be recombined."""
    possible = {pairs_of(digits, lag) for digits in product(range(3), repeat=3 * lag + 1)}
    drawn = np.random.default_rng(lag).integers(3, size=(80, 3 * lag + 1)).tolist()
    for one, other in product(drawn, repeat=2):
        both = pairs_of(one, lag), pairs_of(other, lag)
        recombined = [(*a[:lag], b[lag], *c[lag + 1 :]) for a, b, c in product(both, repeat=3)]
        same_window = one[lag : 2 * lag + 1] == other[lag : 2 * lag + 1]
        assert all(sequence in possible for sequence in recombined) == same_window


def test_wrong_count_of_states_never_reveals_the_number() -> None:
    e = EXERCISES["seq.state_count"]
    for answer in [242, 244, 243.5, -243, "1", np.nan, [1.5], *(mistake.answer for mistake in e.mistakes)]:
        message = judge(e.name, answer).message
        shown = f"{answer:.12g}" if isinstance(answer, int | float) else "no number"
        assert "243" not in message.replace(shown, ""), message
    assert "243" not in STATEMENTS[e.name] + "".join(e.hints)
