"""Hidden Markov models from data and data from them: sampling, restarts, counting when the states are known, dtypes."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from companion.baum_welch import baum_welch, expected_counts, maximise, restarts
from companion.emissions import Categorical, Gaussian
from companion.hmm import (
    HMM,
    backward,
    forward,
    from_labels,
    gaussian_hmm_init,
    hmm_init,
    log_likelihood,
    posterior,
    sample,
    viterbi,
)
from companion.tree import to_vector, tree_map
from tests.contract.cells import bytes_of, dtypes_of
from tests.contract.hmms import (
    KINDS,
    LENGTHS,
    MASK,
    B,
    D,
    S,
    T,
    V,
    equal,
    left_to_right,
    problem,
    random_hmm,
    random_xs,
)

every_kind = pytest.mark.parametrize("kind", KINDS)
every_dtype = pytest.mark.parametrize("dtype", [np.float64, np.float32])


# --- sampling


def require_frequency(successes: Any, trials: Any, expected: Any) -> None:
    """Every count within 5 standard deviations of a binomial variable: by chance 1 of a million tests fails, with any seed."""
    deviation = np.sqrt(trials * expected * (1 - expected))
    assert (np.abs(successes - trials * expected) <= 5 * deviation + 1e-9).all(), (successes, trials * expected)


def tables(states: Any, xs: Any, hmm: HMM) -> list[tuple[Any, Any, Any]]:
    """How often every start, transition and symbol was seen, out of how many, and its probability."""
    S, V = hmm.emission.probabilities.shape
    start = np.bincount(states[0], minlength=S)
    pairs = np.bincount((states[:-1] * S + states[1:]).ravel(), minlength=S * S).reshape(S, S)
    symbols = np.bincount((states * V + xs).ravel(), minlength=S * V).reshape(S, V)
    return [
        (start, start.sum(), hmm.start),
        (pairs, pairs.sum(axis=1, keepdims=True), hmm.transition),
        (symbols, symbols.sum(axis=1, keepdims=True), hmm.emission.probabilities),
    ]


@pytest.mark.parametrize("model", ["all transitions", "left to right"])
def test_samples_are_as_frequent_as_the_model_says(model: str, rng: np.random.Generator) -> None:
    p = problem("categorical")
    hmm = p.hmm if model == "all transitions" else left_to_right(p).hmm
    states, xs = sample(rng, hmm, 9, 4_000)
    assert states.shape == xs.shape == (9, 4_000)
    for table in tables(states, xs, hmm):
        require_frequency(*table)


def test_wrong_frequencies_are_found(rng: np.random.Generator) -> None:
    hmm = problem("categorical").hmm
    states, xs = sample(rng, hmm, 9, 4_000)
    wrong = [(states[::-1], xs[::-1]), (states, np.roll(xs, 1, axis=0)), (states, (xs + 1) % V), ((states + 1) % S, xs)]
    for answer in wrong:
        with pytest.raises(AssertionError):
            [require_frequency(*table) for table in tables(*answer, hmm)]


def test_gaussian_samples_have_the_means_and_variances_of_their_states(rng: np.random.Generator) -> None:
    hmm = problem("Gaussian").hmm
    states, xs = sample(rng, hmm, 9, 4_000)
    assert xs.shape == (9, 4_000, D)
    for q in range(S):
        z = (xs[states == q] - hmm.emission.means[q]) / np.sqrt(hmm.emission.variances[q])
        assert (np.abs(z.mean(axis=0)) < 5 / np.sqrt(len(z))).all()
        assert (np.abs((z**2).mean(axis=0) - 1) < 5 * np.sqrt(2 / len(z))).all()


def test_an_impossible_symbol_is_never_drawn(rng: np.random.Generator) -> None:
    hmm = HMM(
        np.array([0.0, 1.0]), np.array([[0.0, 1.0], [1.0, 0.0]]), Categorical(np.array([[0.0, 1, 0], [0.5, 0, 0.5]]))
    )
    states, xs = sample(rng, hmm, 7, 500)
    assert (states == (np.arange(7) % 2 == 0)[:, None]).all()
    assert (xs[1::2] == 1).all()
    assert set(xs[::2].ravel()) == {0, 2}
    assert np.isfinite(log_likelihood(hmm, xs)).all()


@every_kind
def test_the_same_seed_gives_the_same_numbers(kind: str) -> None:
    hmm = problem(kind).hmm
    first, again, other = (sample(np.random.default_rng(seed), hmm, T, B) for seed in (3, 3, 4))
    assert bytes_of(first) == bytes_of(again) != bytes_of(other)


# --- learning


def test_it_finds_the_model_that_made_the_data(rng: np.random.Generator) -> None:
    true = HMM(
        np.array([0.5, 0.5]),
        np.array([[0.95, 0.05], [0.1, 0.9]]),
        Categorical(np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])),
    )
    _, xs = sample(rng, true, 300, 40)
    best, finals = restarts(rng, lambda rng: hmm_init(rng, 2, 3), xs, n=3, steps=60)
    order = np.argsort(-best.emission.probabilities[:, 0])
    np.testing.assert_allclose(best.transition[np.ix_(order, order)], true.transition, atol=0.03)
    np.testing.assert_allclose(best.emission.probabilities[order], true.emission.probabilities, atol=0.03)
    assert (
        max(finals) >= log_likelihood(true, xs).sum() - 0.5
    )  # the likeliest model is at least as likely as the true one


def test_gaussian_states_find_their_clusters(rng: np.random.Generator) -> None:
    true = HMM(
        np.array([0.5, 0.5]),
        np.array([[0.9, 0.1], [0.3, 0.7]]),
        Gaussian(np.array([[-2.0, 1.0], [1.0, 3.0]]), np.array([[0.5, 0.1], [1.5, 0.3]])),
    )
    _, xs = sample(rng, true, 200, 30)
    best, _ = restarts(rng, lambda rng: gaussian_hmm_init(rng, 2, xs), xs, n=3, steps=60)
    order = np.argsort(best.emission.means[:, 0])
    np.testing.assert_allclose(best.emission.means[order], true.emission.means, atol=0.1)
    np.testing.assert_allclose(best.emission.variances[order], true.emission.variances, rtol=0.1)
    np.testing.assert_allclose(best.transition[np.ix_(order, order)], true.transition, atol=0.03)


def test_restarts_return_the_best_of_their_runs_and_can_be_repeated() -> None:
    p = problem("categorical")
    init = partial(hmm_init, n_states=S, n_symbols=V)
    best, finals = restarts(np.random.default_rng(5), init, p.xs, p.mask, n=4, steps=7, tolerance=0.0)
    again, same = restarts(np.random.default_rng(5), init, p.xs, p.mask, n=4, steps=7, tolerance=0.0)
    assert len(set(finals)) == len(finals) == 4
    assert finals == same
    assert bytes_of(best) == bytes_of(again)
    equal(log_likelihood(best, p.xs, p.mask).sum(), max(finals))
    assert finals.index(max(finals)) != 0, "choose a seed of which the first run is not the best"
    rng = np.random.default_rng(5)
    runs = [baum_welch(init(rng), p.xs, p.mask, steps=7, tolerance=0.0) for _ in range(4)]
    assert [totals[-1] for _, totals in runs] == finals
    equal(to_vector(best), to_vector(runs[int(np.argmax(finals))][0]))


def counted_by_hand(states: Any, xs: Any, pseudo_count: float) -> HMM:
    start, transition, emission = np.zeros(S), np.zeros((S, S)), np.zeros((S, V))
    for b, length in enumerate(LENGTHS):
        start[states[0, b]] += 1
        for t in range(length):
            emission[states[t, b], xs[t, b]] += 1
            if t:
                transition[states[t - 1, b], states[t, b]] += 1
    rows = [(counts + pseudo_count) for counts in (start, transition, emission)]
    start, transition, emission = (
        np.where(r.sum(-1, keepdims=True), r / np.maximum(r.sum(-1, keepdims=True), 1e-9), 1 / r.shape[-1])
        for r in rows
    )
    return HMM(start, transition, Categorical(emission))


@pytest.mark.parametrize("pseudo_count", [0.0, 0.3])
def test_from_labels_equals_counts_by_hand(pseudo_count: float, rng: np.random.Generator) -> None:
    xs, states = rng.integers(0, V, (T, B)), rng.integers(0, S, (T, B))
    received = from_labels(np.where(MASK, states, -1), np.where(MASK, xs, -1), S, V, MASK, pseudo_count)
    tree_map(equal, received, counted_by_hand(states, xs, pseudo_count))
    with pytest.raises(AssertionError):
        tree_map(equal, from_labels(states, xs, S, V, None, pseudo_count), counted_by_hand(states, xs, pseudo_count))
    with pytest.raises(AssertionError):
        tree_map(equal, received, counted_by_hand(states[::-1], xs, pseudo_count))


def test_a_label_nobody_used_gets_uniform_rows(rng: np.random.Generator) -> None:
    hmm = from_labels(np.zeros((T, B), int), rng.integers(0, V, (T, B)), 2, V)
    equal(hmm.start, [1.0, 0.0])
    equal(hmm.transition, [[1.0, 0.0], [0.5, 0.5]])
    equal(hmm.emission.probabilities[1], np.full(V, 1 / V))


def test_pseudo_counts_are_added_to_every_count() -> None:
    p = problem("categorical")
    counts = expected_counts(*p)
    new, k = maximise(p.hmm, counts, 0.7), 0.7
    equal(new.start, (counts.start + k) / (B + S * k))
    rows = counts.transition + k
    equal(new.transition, rows / rows.sum(axis=1, keepdims=True))
    rows = counts.emission.probabilities + k
    equal(new.emission.probabilities, rows / rows.sum(axis=1, keepdims=True))


# --- what every function keeps


@every_dtype
@every_kind
def test_learning_keeps_the_dtype(kind: str, dtype: Any, rng: np.random.Generator) -> None:
    p = problem(kind)
    hmm, xs = random_hmm(kind, rng, dtype), random_xs(kind, rng, dtype=dtype)
    for pseudo_count in (0.0, 0.1):
        learnt, totals = baum_welch(hmm, xs, p.mask, steps=3, pseudo_count=pseudo_count)
        assert dtypes_of(learnt) == {np.dtype(dtype)}
        assert {type(total) for total in totals} == {float}
    assert dtypes_of(expected_counts(hmm, xs, p.mask)) == {np.dtype(dtype)}
    sampled = sample(rng, hmm, T, B)[1]
    assert sampled.dtype == (np.int64 if kind == "categorical" else dtype)
    made = hmm_init(rng, S, V, dtype) if kind == "categorical" else gaussian_hmm_init(rng, S, xs, p.mask)
    assert dtypes_of(made) == {np.dtype(dtype)}
    assert np.isfinite(log_likelihood(made, xs, p.mask)).all()


def test_a_gaussian_model_begins_with_observations_that_are_no_padding(rng: np.random.Generator) -> None:
    p = problem("Gaussian")
    xs = np.where(p.mask[..., None], p.xs, np.nan)
    hmm = gaussian_hmm_init(rng, S, xs, p.mask)
    real = p.xs[p.mask]
    assert all((real == mean).all(axis=1).any() for mean in hmm.emission.means)
    assert len(np.unique(hmm.emission.means, axis=0)) == S
    equal(hmm.emission.variances, np.tile(real.var(axis=0), (S, 1)))


@every_kind
def test_no_argument_is_modified(kind: str) -> None:
    p, rng = tree_map(np.copy, problem(kind)), np.random.default_rng(1)
    before, counts = bytes_of(p), expected_counts(*p)
    counts_before = bytes_of(counts)
    for f in (forward, backward, log_likelihood, posterior, viterbi, expected_counts, baum_welch):
        f(*p)
        assert bytes_of(p) == before, f.__name__
    learnt = maximise(p.hmm, counts, 0.5)
    learnt.transition[...] = learnt.start[...] = 7.0  # what is returned shares nothing with what was given
    sample(rng, p.hmm, T, B)
    restarts(rng, lambda rng: p.hmm, *p[1:], n=2, steps=2)
    if kind == "Gaussian":
        made = gaussian_hmm_init(rng, S, *p[1:])
        made.emission.means[...] = 7.0
    else:
        from_labels(p.xs % S, p.xs, S, V, p.mask)
    assert bytes_of(p) == before
    assert bytes_of(counts) == counts_before
