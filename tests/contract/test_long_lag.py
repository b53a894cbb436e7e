"""The long-lag tasks: targets recomputed from the sequences, places and distributions as documented, seeds that repeat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from companion.data.long_lag import TRIVIAL_ADDING_ERROR, adding, delayed_echo, recall, temporal_order

B, T = 300, 30  # enough sequences to see every place

# function: a call with these sizes, and the shapes of xs and targets
TASKS: dict[str, tuple[Callable[..., Any], tuple[int, ...], tuple[int, ...]]] = {
    "adding": (lambda rng, **k: adding(rng, 3, 11, **k), (11, 3, 2), (3, 1)),
    "temporal_order": (lambda rng, **k: temporal_order(rng, 3, 11, **k), (11, 3, 6), (3,)),
    "recall": (lambda rng, **k: recall(rng, 3, 11, **k), (12, 3, 3), (3,)),
    "delayed_echo": (lambda rng, **k: delayed_echo(rng, 3, 11, 4, **k), (11, 3, 1), (11, 3)),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", TASKS)
def test_shapes_and_dtypes_are_as_documented(name: str, dtype: Any, rng: np.random.Generator) -> None:
    draw, xs_shape, targets_shape = TASKS[name]
    xs, targets = draw(rng, dtype=dtype)
    assert xs.shape == xs_shape
    assert targets.shape == targets_shape
    assert xs.dtype == dtype
    assert targets.dtype == (dtype if name == "adding" else np.int64)


@pytest.mark.parametrize("name", TASKS)
def test_one_seed_gives_one_batch_and_the_next_draw_another(name: str) -> None:
    draw, generator = TASKS[name][0], np.random.default_rng(5)
    first, again, other = draw(generator), draw(np.random.default_rng(5)), draw(generator)
    np.testing.assert_array_equal(first.xs, again.xs)
    np.testing.assert_array_equal(first.targets, again.targets)
    assert not np.array_equal(first.xs, other.xs)
    single = draw(np.random.default_rng(5), dtype=np.float32)
    np.testing.assert_array_equal(single.xs, first.xs.astype(np.float32))


@pytest.mark.parametrize("steps", [2, 3, 30])
def test_the_sum_is_of_two_marked_values_one_in_each_half(steps: int, rng: np.random.Generator) -> None:
    xs, targets = adding(rng, B, steps)
    seen: list[set[int]] = [set(), set()]
    for b in range(B):
        first, second = [t for t in range(steps) if xs[t, b, 1] == 1]
        assert first < steps // 2 <= second
        assert sorted({*xs[:, b, 1]} - {1.0}) in ([0.0], [])
        assert targets[b, 0] == xs[first, b, 0] + xs[second, b, 0]
        seen[0].add(first)
        seen[1].add(second)
    assert seen == [set(range(steps // 2)), set(range(steps // 2, steps))], "every place of each half occurs"


def test_values_to_add_are_uniform_and_say_nothing_of_their_mark(rng: np.random.Generator) -> None:
    values, marks = np.moveaxis(adding(rng, 2000, T).xs, -1, 0)
    assert values.min() >= 0
    assert values.max() < 1
    np.testing.assert_allclose(np.histogram(values, 10, (0, 1))[0] / values.size, 0.1, atol=0.01)
    assert abs(np.corrcoef(values.ravel(), marks.ravel())[0, 1]) < 0.02


def test_answering_one_has_an_error_of_a_sixth_and_any_other_constant_a_larger_one(rng: np.random.Generator) -> None:
    targets = adding(rng, 100_000, 2).targets
    errors = {answer: np.mean((targets - answer) ** 2) for answer in (0.9, 1.0, 1.1)}
    variance_of_one = 1 / 3 - 1 / 4  # of a uniform number: mean of the square less square of the mean
    assert abs(TRIVIAL_ADDING_ERROR - 2 * variance_of_one) < 1e-12
    assert abs(errors[1.0] - TRIVIAL_ADDING_ERROR) < 0.003
    assert min(errors[0.9], errors[1.1]) > TRIVIAL_ADDING_ERROR + 0.005


@pytest.mark.parametrize("steps", [10, 11, 19, 30, 100])
def test_the_class_is_read_from_x_and_y_in_their_windows(steps: int, rng: np.random.Generator) -> None:
    xs, targets = temporal_order(rng, B, steps)
    np.testing.assert_array_equal(xs.sum(axis=-1), 1)
    np.testing.assert_array_equal(np.unique(xs), [0, 1])
    words = ["".join("XYabcd"[k] for k in column) for column in xs.argmax(axis=-1).T]
    order = {"XX": 0, "XY": 1, "YX": 2, "YY": 3}
    seen: list[set[int]] = [set(), set()]
    for word, target in zip(words, targets, strict=True):
        places = [t for t, symbol in enumerate(word) if symbol in "XY"]
        assert order[word[places[0]] + word[places[1]]] == target
        for window, place in zip(seen, places, strict=True):
            window.add(place)
    assert seen == [set(range(steps // 10, steps // 5)), set(range(steps // 2, steps * 6 // 10))]


def test_classes_and_distractors_are_equally_likely(rng: np.random.Generator) -> None:
    xs, targets = temporal_order(rng, 4000, T)
    np.testing.assert_allclose(np.bincount(targets) / 4000, 0.25, atol=0.03)
    counts = xs.sum(axis=(0, 1))
    np.testing.assert_allclose(counts[2:] / counts[2:].sum(), 0.25, atol=0.01)
    assert counts[:2].sum() == 2 * 4000


@pytest.mark.parametrize("lag", [1, 5, 30])
def test_the_symbol_to_recall_is_shown_at_the_first_step_only(lag: int, rng: np.random.Generator) -> None:
    xs, targets = recall(rng, B, lag)
    assert xs.shape == (lag + 1, B, 3)
    np.testing.assert_array_equal(xs[0, :, 0], targets == 0)
    np.testing.assert_array_equal(xs[0, :, 1], targets == 1)
    assert not xs[1:, :, :2].any()
    assert not xs[0, :, 2].any()
    assert 0.4 < targets.mean() < 0.6


def test_the_noise_of_recall_is_standard_normal_and_says_nothing_of_the_symbol(rng: np.random.Generator) -> None:
    xs, targets = recall(rng, 5000, 8)
    noise = xs[1:, :, 2]
    assert abs(noise.mean()) < 0.03
    assert abs(noise.std() - 1) < 0.03
    assert abs(noise[:, targets == 0].mean() - noise[:, targets == 1].mean()) < 0.05


@pytest.mark.parametrize("delay", [0, 1, 4, 40])
def test_the_echo_is_the_bit_of_so_many_steps_before(delay: int, rng: np.random.Generator) -> None:
    xs, targets = delayed_echo(rng, B, T, delay)
    np.testing.assert_array_equal(np.unique(xs), [-1, 1])
    np.testing.assert_array_equal(np.unique(targets), [0, 1])
    bits = (xs[:, :, 0] == 1).astype(int)
    for t in range(delay, T):
        np.testing.assert_array_equal(targets[t], bits[t - delay])
    for wrong in {delay - 1, delay + 1} & set(range(T - 1)):
        assert (targets[wrong:] == bits[: T - wrong]).mean() < 0.6


def test_what_came_before_the_stream_is_not_foretold(rng: np.random.Generator) -> None:
    xs, targets = delayed_echo(rng, 5000, 6, 3)
    for t in range(3):
        agreement = (targets[t] == (xs[:, :, 0] == 1)).mean(axis=1)
        np.testing.assert_allclose(agreement, 0.5, atol=0.04)


LEAST = "expected a whole number of at least {}"
WRONG: dict[str, tuple[Callable[[np.random.Generator], Any], tuple[str, str, str, str]]] = {
    "no batch": (lambda r: adding(r, 0, 9), ("adding", "batch", "is 0", LEAST.format(1))),
    "one step to add": (lambda r: adding(r, 3, 1), ("adding", "steps", "is 1", LEAST.format(2))),
    "steps of float": (lambda r: adding(r, 3, 9.0), ("adding", "steps", "is 9.0", LEAST.format(2))),
    "bool batch": (lambda r: adding(r, True, 9), ("adding", "batch", "is True", LEAST.format(1))),
    "int dtype": (lambda r: adding(r, 3, 9, int), ("adding", "dtype", "is int64", "expected a floating-point type")),
    "a seed for rng": (lambda r: adding(0, 3, 9), ("adding", "rng", "is 0", "expected Generator")),
    "too short": (lambda r: temporal_order(r, 3, 9), ("temporal_order", "steps", "is 9", LEAST.format(10))),
    "no order": (lambda r: temporal_order(r, -1, 10), ("temporal_order", "batch", "is -1", LEAST.format(1))),
    "no lag": (lambda r: recall(r, 3, 0), ("recall", "lag", "is 0", LEAST.format(1))),
    "no recall": (lambda r: recall(r, 0, 4), ("recall", "batch", "is 0", LEAST.format(1))),
    "negative delay": (lambda r: delayed_echo(r, 3, 9, -1), ("delayed_echo", "delay", "is -1", LEAST.format(0))),
    "no echo": (lambda r: delayed_echo(r, 3, 0, 4), ("delayed_echo", "steps", "is 0", LEAST.format(1))),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_error_names_function_argument_received_and_expected(name: str, rng: np.random.Generator) -> None:
    call, (function, argument, received, expected) = WRONG[name]
    with pytest.raises(ValueError, match=f"^{function}: {argument} {received}, {expected}"):
        call(rng)
