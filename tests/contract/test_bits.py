"""Tasks of bits and strings: answers recomputed from the inputs, fair coins, labels that never err, seeds that repeat."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from companion.data.bits import balanced_strings, delayed_xor, running_parity

T, B, K = 30, 300, 4  # enough streams to see every combination

TASKS: dict[str, Callable[[np.random.Generator], Any]] = {
    "delayed_xor": lambda rng: delayed_xor(rng, T, B, K),
    "running_parity": lambda rng: running_parity(rng, T, B),
}


@pytest.mark.parametrize("name", TASKS)
def test_shapes_and_dtypes_are_as_documented(name: str, rng: np.random.Generator) -> None:
    for bits in TASKS[name](rng):
        assert bits.shape == (T, B)
        assert bits.dtype == np.int64
        assert set(np.unique(bits)) == {0, 1}


@pytest.mark.parametrize("name", TASKS)
def test_one_seed_gives_one_batch_and_the_next_draw_another(name: str) -> None:
    draw, generator = TASKS[name], np.random.default_rng(5)
    first, again, other = draw(generator), draw(np.random.default_rng(5)), draw(generator)
    np.testing.assert_array_equal(first.xs, again.xs)
    np.testing.assert_array_equal(first.ys, again.ys)
    assert not np.array_equal(first.xs, other.xs)


@pytest.mark.parametrize("lag", [1, 2, 5, 29])
def test_the_answer_is_one_where_a_bit_differs_from_the_one_so_many_steps_before(
    lag: int, rng: np.random.Generator
) -> None:
    xs, ys = delayed_xor(rng, T, B, lag)
    for t in range(lag, T):
        np.testing.assert_array_equal(ys[t], xs[t] != xs[t - lag])
    for wrong in {lag - 1, lag + 1} & set(range(1, T - 1)):
        assert abs((ys[wrong:] == (xs[wrong:] != xs[:-wrong])).mean() - 0.5) < 0.05


@pytest.mark.parametrize("lag", [3, 40])
def test_the_first_answers_are_not_foretold_by_any_bit_or_any_pair_of_bits(lag: int, rng: np.random.Generator) -> None:
    xs, ys = delayed_xor(rng, 5, 4000, lag)
    unknown = ys[: min(lag, 5)]
    for answer in unknown:
        for first in xs:
            for second in (*xs, np.zeros_like(first)):
                assert abs((answer == (first ^ second)).mean() - 0.5) < 0.04


def test_parity_counts_the_ones_so_far(rng: np.random.Generator) -> None:
    xs, ys = running_parity(rng, T, B)
    for b in range(B):
        ones = 0
        for t in range(T):
            ones += int(xs[t, b])
            assert ys[t, b] == ones % 2
    np.testing.assert_array_equal(ys[0], xs[0])
    np.testing.assert_array_equal(ys[1:], xs[1:] ^ ys[:-1])


@pytest.mark.parametrize("name", TASKS)
def test_bits_and_answers_are_fair_and_the_last_inputs_say_nothing_of_the_answer(
    name: str, rng: np.random.Generator
) -> None:
    xs, ys = TASKS[name](rng)
    for bits in (xs, ys):
        np.testing.assert_allclose(bits[K:].mean(), 0.5, atol=0.02)
    window = sum(xs[K - j : T - j] << j for j in range(K))  # the K latest bits as one number
    ones, seen = (np.bincount(window.ravel(), weights, 2**K) for weights in (ys[K:].ravel(), None))
    np.testing.assert_allclose(ones / seen, 0.5, atol=0.1)


def test_inputs_of_delayed_xor_are_an_array_of_their_own(rng: np.random.Generator) -> None:
    xs, ys = delayed_xor(rng, T, B, K)
    assert xs.base is None
    assert not np.shares_memory(xs, ys)


# ---- strings


def is_balanced(string: str) -> bool:
    """By a pattern and a count, which the generator uses neither of."""
    return re.fullmatch("a+b+", string) is not None and string.count("a") == string.count("b")


def kind(string: str) -> str:
    """What is wrong with a string."""
    difference, ordered = string.count("b") - string.count("a"), re.fullmatch("a*b*", string) is not None
    if not string:
        return "empty"
    if difference:
        return "a b too many" if difference > 0 else "an a too many"
    if ordered:
        return "nothing"
    return "reversed" if re.fullmatch("b+a+", string) else "an a after a b"


@pytest.mark.parametrize("most", [1, 2, 3, 12])
@pytest.mark.parametrize("seed", range(5))
def test_no_string_is_mislabelled(most: int, seed: int) -> None:
    for string, label in balanced_strings(np.random.default_rng(seed), 400, most):
        assert set(string) <= {"a", "b"}
        assert label is is_balanced(string), string


@pytest.mark.parametrize(("n_strings", "n_right"), [(2, 1), (3, 1), (400, 200), (401, 200)])
def test_half_of_the_strings_are_right(n_strings: int, n_right: int, rng: np.random.Generator) -> None:
    strings = balanced_strings(rng, n_strings, 6)
    assert len(strings) == n_strings
    assert sum(label for _, label in strings) == n_right


def test_right_strings_have_every_size_and_wrong_ones_every_fault(rng: np.random.Generator) -> None:
    strings = balanced_strings(rng, 2000, 7)
    sizes = Counter(string.count("a") for string, label in strings if label)
    assert set(sizes) == set(range(1, 8))
    assert min(sizes.values()) > 90
    faults = Counter(kind(string) for string, label in strings if not label)
    assert set(faults) == {"empty", "a b too many", "an a too many", "an a after a b", "reversed"}
    assert min(faults.values()) > 30
    assert faults["empty"] < 110, "an easy string is rare"
    assert ("bbbbaaaa", False) in strings
    assert max(len(string) for string, _ in strings) == 15


def test_exchanged_letters_are_a_swap_of_one_a_and_one_b(rng: np.random.Generator) -> None:
    swapped = {string for string, _ in balanced_strings(rng, 4000, 5) if kind(string) == "an a after a b"}
    assert len(swapped) > 30
    for string in swapped:
        right = "a" * (len(string) // 2) + "b" * (len(string) // 2)
        assert sum(x != y for x, y in zip(string, right, strict=True)) == 2, string


def test_right_and_wrong_strings_come_in_random_order_and_repeat_with_the_seed() -> None:
    first, again, other = (balanced_strings(np.random.default_rng(seed), 400, 6) for seed in (4, 4, 5))
    assert first == again
    assert first != other
    labels = np.array([label for _, label in first])
    assert 150 < (labels[1:] != labels[:-1]).sum() < 250
    assert type(first[0][1]) is bool


# ---- bad input

LEAST = "expected a whole number of at least {}"
WRONG: dict[str, tuple[Callable[[np.random.Generator], Any], tuple[str, str, str, str]]] = {
    "no steps": (lambda r: delayed_xor(r, 0, 3, 2), ("delayed_xor", "steps", "is 0", LEAST.format(1))),
    "no batch": (lambda r: delayed_xor(r, 9, 0, 2), ("delayed_xor", "batch", "is 0", LEAST.format(1))),
    "no lag": (lambda r: delayed_xor(r, 9, 3, 0), ("delayed_xor", "lag", "is 0", LEAST.format(1))),
    "lag of float": (lambda r: delayed_xor(r, 9, 3, 2.0), ("delayed_xor", "lag", "is 2.0", LEAST.format(1))),
    "a seed for rng": (lambda r: delayed_xor(0, 9, 3, 2), ("delayed_xor", "rng", "is 0", "expected Generator")),
    "no parity": (lambda r: running_parity(r, 0, 3), ("running_parity", "steps", "is 0", LEAST.format(1))),
    "bool batch": (lambda r: running_parity(r, 9, True), ("running_parity", "batch", "is True", LEAST.format(1))),
    "seed of parity": (lambda r: running_parity(1, 9, 3), ("running_parity", "rng", "is 1", "expected Generator")),
    "one string": (lambda r: balanced_strings(r, 1, 4), ("balanced_strings", "n_strings", "is 1", LEAST.format(2))),
    "no letters": (lambda r: balanced_strings(r, 9, 0), ("balanced_strings", "most", "is 0", LEAST.format(1))),
    "most of text": (lambda r: balanced_strings(r, 9, "4"), ("balanced_strings", "most", "is '4'", LEAST.format(1))),
    "no generator": (lambda r: balanced_strings(None, 9, 4), ("balanced_strings", "rng", "is None", "expected Gen")),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_error_names_function_argument_received_and_expected(name: str, rng: np.random.Generator) -> None:
    call, (function, argument, received, expected) = WRONG[name]
    with pytest.raises(ValueError, match=f"^{function}: {argument} {received}, {expected}"):
        call(rng)
