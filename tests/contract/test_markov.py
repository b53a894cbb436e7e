"""Markov chains: counting, the probability of a sequence, sampling, the stationary distribution."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest

from companion.bptt import prefix_mask
from companion.markov import MarkovChain, chain_log_likelihood, fit_chain, sample_chain, stationary
from companion.ngram import AddK, fit_ngram, log_probabilities

T, B, V = 7, 3, 5
LENGTHS = np.array([7, 2, 4])
MASK = prefix_mask(LENGTHS, T)


def random_chain(rng: Any, n_symbols: int = V, dtype: Any = np.float64) -> MarkovChain:
    rows = rng.dirichlet(np.ones(n_symbols), n_symbols + 1).astype(dtype)
    return MarkovChain(rows[0], rows[1:])


def test_counts_become_shares() -> None:
    """0 0 1 and 1 0 2: one start each of 0 and 1; what follows 0 is 0, 1, 2, what follows 1 is 0, and nothing follows 2."""
    chain = fit_chain(np.array([[0, 0, 1], [1, 0, 2]]).T, 3)
    np.testing.assert_allclose(chain.start, [1 / 2, 1 / 2, 0], rtol=1e-15)
    np.testing.assert_allclose(chain.transition, [[1 / 3, 1 / 3, 1 / 3], [1, 0, 0], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-15)


def test_a_pseudo_count_is_added_to_every_count() -> None:
    """0 0 0 1: two times 0 after 0 and once 1. With 1/2 more: 2.5, 1.5 and 0.5 of 4.5; a start of 1.5 in 2.5."""
    chain = fit_chain(np.array([[0], [0], [0], [1]]), 3, pseudo_count=0.5)
    np.testing.assert_allclose(chain.start, np.array([1.5, 0.5, 0.5]) / 2.5, rtol=1e-15)
    np.testing.assert_allclose(chain.transition[0], np.array([2.5, 1.5, 0.5]) / 4.5, rtol=1e-15)
    np.testing.assert_allclose(chain.transition[1:], 1 / 3, rtol=1e-15)


@pytest.mark.parametrize("k", [9.9e29, np.float32(9e29), np.int8(100), np.uint8(255)])
def test_no_number_type_of_a_pseudo_count_overflows(k: Any) -> None:
    chain, plain = (fit_chain(np.array([[0], [0], [1]]), 300, pseudo_count=value) for value in (k, float(k)))
    for received, expected in zip(chain, plain):
        np.testing.assert_array_equal(received, expected)
        np.testing.assert_allclose(received.sum(axis=-1), 1, rtol=1e-13)


def test_fit_equals_counting_one_pair_after_the_other(rng: Any) -> None:
    xs = rng.integers(V, size=(T, B))
    pairs = Counter(
        (int(xs[t, b]), int(xs[t + 1, b])) for b, length in enumerate(LENGTHS) for t in range(int(length) - 1)
    )
    froms = Counter(q for q, _ in pairs.elements())
    expected = [[pairs[q, w] / froms[q] if froms[q] else 1 / V for w in range(V)] for q in range(V)]
    np.testing.assert_allclose(fit_chain(xs, V, MASK).transition, expected, rtol=1e-14)
    assert not np.allclose(fit_chain(xs, V).transition, expected)


def test_padding_counts_for_nothing(rng: Any) -> None:
    xs, chain = rng.integers(V, size=(T, B)), random_chain(rng)
    padded = np.where(MASK, xs, -1)
    for a, b in zip(fit_chain(padded, V, MASK), fit_chain(xs, V, MASK)):
        np.testing.assert_array_equal(a, b)
    alone = [chain_log_likelihood(chain, xs[:n, b : b + 1])[0] for b, n in enumerate(LENGTHS)]
    np.testing.assert_allclose(chain_log_likelihood(chain, padded, MASK), alone, rtol=1e-14)
    np.testing.assert_array_equal(padded, np.where(MASK, xs, -1))


def test_log_likelihood_is_the_product_of_start_and_transitions(rng: Any) -> None:
    chain, xs = random_chain(rng), rng.integers(V, size=(T, B))
    expected = [
        math.log(chain.start[x[0]]) + sum(math.log(chain.transition[q, w]) for q, w in pairwise(x)) for x in xs.T
    ]
    np.testing.assert_allclose(chain_log_likelihood(chain, xs), expected, rtol=1e-13)
    turned = chain._replace(transition=chain.transition.T / chain.transition.sum(axis=0)[:, None])
    assert not np.allclose(chain_log_likelihood(turned, xs), expected)


def test_probabilities_of_all_sequences_of_one_length_sum_to_one(rng: Any) -> None:
    xs = np.array(list(product(range(3), repeat=4))).T
    assert np.exp(chain_log_likelihood(random_chain(rng, 3), xs)).sum() == pytest.approx(1, rel=1e-13)


def test_what_cannot_happen_is_minus_infinity_and_never_nan() -> None:
    chain = MarkovChain(np.array([1.0, 0.0]), np.array([[0.0, 1.0], [0.5, 0.5]]))
    xs = np.array([[0, 1, 1], [0, 0, 1], [1, 1, 0], [0, 1, 0]]).T
    np.testing.assert_array_equal(chain_log_likelihood(chain, xs), [np.log(0.5), -np.inf, -np.inf, np.log(0.5)])
    mask = prefix_mask(np.array([3, 1, 3, 1]), 3)
    np.testing.assert_array_equal(chain_log_likelihood(chain, xs, mask), [np.log(0.5), 0, -np.inf, 0])


@pytest.mark.parametrize("k", [0.0, 0.3])
def test_a_chain_is_the_bigram_model(rng: Any, k: float) -> None:
    train, xs = rng.integers(V, size=(30, B)), rng.integers(V, size=(T, B))
    model = fit_ngram(list(train.T), 2, V, AddK(k))
    expected = [log_probabilities(model, x).sum() for x in xs.T]
    np.testing.assert_allclose(chain_log_likelihood(fit_chain(train, V, pseudo_count=k), xs), expected, rtol=1e-13)


def test_samples_follow_start_and_transitions(rng: Any) -> None:
    chain = random_chain(rng, 3)
    xs = sample_chain(rng, chain, 50, 4000)
    assert xs.shape == (50, 4000)
    assert xs.dtype == np.int64
    fitted = fit_chain(xs, 3)
    uses = np.bincount(xs[:-1].ravel())[:, None]
    for found, p, n in ((fitted.start, chain.start, 4000), (fitted.transition, chain.transition, uses)):
        assert np.all(np.abs(found - p) < 4.5 * np.sqrt(p * (1 - p) / n))
    assert np.any(np.abs(fitted.transition - chain.transition.T) > 0.05)


def test_what_is_impossible_is_never_drawn(rng: Any) -> None:
    transition = np.array([[0, 0.3, 0.7, 0], [0, 0, 1, 0], [0, 0.1, 0.9, 0], [0.25, 0.25, 0.25, 0.25]])
    chain = MarkovChain(np.array([0, 0.5, 0.5, 0]), transition)
    xs = sample_chain(rng, chain, 40, 500)
    assert np.isfinite(chain_log_likelihood(chain, xs)).all()
    assert set(np.unique(xs)) == {1, 2}


def test_the_same_seed_draws_the_same_sequences(rng: Any) -> None:
    chain = random_chain(rng)
    first, second, third = (sample_chain(np.random.default_rng(seed), chain, T, B) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert np.any(first != third)


def test_stationary_distribution_of_two_symbols_by_hand() -> None:
    """0 becomes 1 with 1/4, 1 becomes 0 with 1/2: p_0 / 4 = p_1 / 2, so that p = (2/3, 1/3)."""
    chain = MarkovChain(np.array([1.0, 0.0]), np.array([[0.75, 0.25], [0.5, 0.5]]))
    np.testing.assert_allclose(stationary(chain), [2 / 3, 1 / 3], rtol=1e-14)


def test_stationary_distribution_is_where_the_chain_ends_up(rng: Any) -> None:
    chain = random_chain(rng)
    p = stationary(chain)
    np.testing.assert_allclose(p, p @ chain.transition, rtol=1e-13)
    np.testing.assert_allclose(p, chain.start @ np.linalg.matrix_power(chain.transition, 200), rtol=1e-12)
    assert not np.allclose(p, chain.transition @ p)
    long = sample_chain(rng, chain, 2000, 50)
    np.testing.assert_allclose(np.bincount(long.ravel()) / long.size, p, atol=0.02)


def test_stationary_distribution_of_chains_that_never_settle_or_leave_symbols_behind() -> None:
    """Powers of a cycle do not converge; a symbol with no way back has no share, be it in the last place or not."""
    cycle, path = np.roll(np.eye(9), 1, axis=1), np.minimum(np.arange(9) + 1, 8)
    np.testing.assert_allclose(stationary(MarkovChain(np.eye(9)[0], cycle)), 1 / 9, rtol=1e-13)
    np.testing.assert_allclose(stationary(MarkovChain(np.eye(9)[0], np.eye(9)[path])), np.eye(9)[8], atol=1e-15)
    leaves_0 = np.array([[0.5, 0.5, 0], [0, 0, 1], [0, 1, 0]])
    for order in ([0, 1, 2], [1, 0, 2], [1, 2, 0]):
        received = stationary(MarkovChain(np.eye(3)[0], leaves_0[np.ix_(order, order)]))
        np.testing.assert_allclose(received, np.array([0, 0.5, 0.5])[order], atol=1e-15)
        assert np.all(received >= 0)


STICKY: dict[str, tuple[Any, Any]] = {
    "as sticky as floats cannot say": ([[1 - 1e-20, 1e-20], [1e-20, 1 - 1e-20]], [0.5, 0.5]),
    "one symbol far stickier": ([[1, 1e-300], [1e-320, 1]], [1e-20, 1]),
    "below the smallest float of full precision": ([[1, 3e-320], [1e-320, 1]], [0.25, 0.75]),
    "rows that miss one a little": ([[0.9, 0.1 + 9e-6], [0.3, 0.7]], [0.3 / 0.400009, 0.100009 / 0.400009]),
    "three speeds": ([[1, 1e-30, 0], [3e-30, 0.5, 0.5], [0, 0.5, 0.5]], [0.6, 0.2, 0.2]),
    "speeds far from each other": ([[1, 1e-200, 0], [0, 1, 1e-100], [0.5, 0, 0.5]], [1, 1e-100, 2e-200]),
    "a way back too long for a float": ([[0.5, 0.5, 0], [0, 1, 1e-200], [1e-200, 1 - 1e-200, 0]], [0, 1, 1e-200]),
}


@pytest.mark.parametrize("name", STICKY)
@pytest.mark.parametrize("turned", [False, True])
def test_stationary_distribution_of_chains_that_hardly_move(name: str, turned: bool) -> None:
    """Where 1 minus a probability has no digit left; sums of a row are not used, so that they need not be one."""
    transition, expected = map(np.array, STICKY[name])
    if turned:
        transition, expected = transition[::-1, ::-1], expected[::-1]
    received = stationary(MarkovChain(np.eye(len(transition))[0], transition))
    np.testing.assert_allclose(received, expected, rtol=1e-3 if (transition == 1e-320).any() else 1e-14, atol=1e-300)


def test_stationary_distribution_of_a_sticky_chain_in_float32() -> None:
    """1 - 1e-6 is rounded, 1e-6 and 3e-6 are not."""
    transition = np.array([[1 - 1e-6, 1e-6], [3e-6, 1 - 3e-6]], np.float32)
    received = stationary(MarkovChain(np.array([1, 0], np.float32), transition))
    np.testing.assert_allclose(received, [0.75, 0.25], rtol=1e-6)


@pytest.mark.parametrize(
    "transition",
    [np.eye(3), np.array([[1, 0, 0], [0.2, 0.3, 0.5], [0, 0, 1]]), np.kron(np.eye(2), np.full((2, 2), 0.5))],
)
def test_a_stationary_distribution_that_is_not_the_only_one_is_refused(transition: Any) -> None:
    with pytest.raises(ValueError, match=r"^stationary: chain.transition has parts .* many stationary distributions"):
        stationary(MarkovChain(np.full(len(transition), 1 / len(transition)), transition))


def test_float32_stays_float32(rng: Any) -> None:
    chain, xs = random_chain(rng, dtype=np.float32), rng.integers(V, size=(T, B))
    double = MarkovChain(*(a.astype(np.float64) for a in chain))
    for f in (stationary, lambda chain: chain_log_likelihood(chain, xs, MASK)):
        assert f(chain).dtype == np.float32
        np.testing.assert_allclose(f(chain), f(double), rtol=2e-5)
    assert sample_chain(rng, chain, T, B).shape == (T, B)


def test_small_integer_types_count_alike(rng: Any) -> None:
    xs = rng.integers(200, size=(T, B))
    for a, b in zip(fit_chain(xs.astype(np.uint8), 200), fit_chain(xs, 200)):
        np.testing.assert_array_equal(a, b)
