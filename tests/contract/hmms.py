"""Random hidden Markov models, sums over all their paths, and checks of what an engine answers for a batch."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from companion.baum_welch import expected_counts
from companion.bptt import prefix_mask
from companion.emissions import Categorical, Gaussian
from companion.hmm import HMM, forward, log_likelihood, posterior, viterbi

T, B, S, V, D = 5, 4, 3, 6, 2
LENGTHS = np.array([5, 3, 1, 4])
MASK = prefix_mask(LENGTHS, T)
KINDS = ("categorical", "Gaussian")


class Problem(NamedTuple):
    hmm: HMM
    xs: Any
    mask: Any

    def sequences(self) -> list[Any]:
        """Every sequence alone, as long as it is."""
        lengths = [len(self.xs)] * self.xs.shape[1] if self.mask is None else self.mask.sum(axis=0)
        return [self.xs[:length, b] for b, length in enumerate(lengths)]

    def padding(self) -> Any:
        return np.zeros(self.xs.shape[:2], bool) if self.mask is None else ~self.mask


class Exact(NamedTuple):
    """One sequence: everything as a sum, or a maximum, over S^T paths."""

    log_likelihood: float
    alphas: Any  # (T, S)
    posterior: Any  # (T, S)
    transitions: Any  # (S, S)
    path: Any  # (T,) the most probable; of equals the one with the smallest last state, then the one before, ...
    log_probability: float


def random_hmm(kind: str, rng: np.random.Generator, dtype: Any = np.float64, n_states: int = S) -> HMM:
    start, transition = rng.dirichlet(np.ones(n_states)), rng.dirichlet(np.ones(n_states), n_states)
    if kind == "categorical":
        emission: Any = Categorical(rng.dirichlet(np.ones(V), n_states).astype(dtype))
    else:
        means, variances = rng.normal(size=(n_states, D)), rng.uniform(0.3, 2, (n_states, D))
        emission = Gaussian(means.astype(dtype), variances.astype(dtype))
    return HMM(start.astype(dtype), transition.astype(dtype), emission)


def random_xs(kind: str, rng: np.random.Generator, steps: int = T, batch: int = B, dtype: Any = np.float64) -> Any:
    if kind == "categorical":
        return rng.integers(0, V, (steps, batch))
    return rng.normal(size=(steps, batch, D)).astype(dtype)


@cache
def problem(kind: str, masked: bool = True, seed: int = 2) -> Problem:
    rng = np.random.default_rng(seed)
    return Problem(random_hmm(kind, rng), random_xs(kind, rng), MASK if masked else None)


def left_to_right(p: Problem) -> Problem:
    """The same emissions in a model that starts in state 0, and goes on or stays."""
    transition = np.array([[0.3, 0.7, 0.0], [0.0, 0.6, 0.4], [0.0, 0.0, 1.0]])
    return p._replace(hmm=HMM(np.array([1.0, 0.0, 0.0]), transition, p.hmm.emission))


def put(array: Any, index: Any, value: Any) -> Any:
    array = array.copy()
    array[index] = value
    return array


def log(p: Any) -> Any:
    with np.errstate(divide="ignore"):
        return np.log(p)


def log_densities(emission: Any, xs: Any) -> Any:
    """log p(x^t | q), (T, S)."""
    if isinstance(emission, Categorical):
        return log(emission.probabilities).T[xs]
    means, variances = emission
    return -(np.log(2 * np.pi * variances) + (xs[:, None] - means) ** 2 / variances).sum(axis=2) / 2


def log_probabilities(hmm: HMM, paths: Any, densities: Any) -> Any:
    """Of every path (N, T) together with the sequence that has these log-densities (T, S)."""
    moves = log(hmm.transition)[paths[:, :-1], paths[:, 1:]].sum(axis=1)
    return log(hmm.start)[paths[:, 0]] + moves + densities[np.arange(len(densities)), paths].sum(axis=1)


def weigh(hmm: HMM, xs: Any) -> tuple[Any, Any, float]:
    """All paths (S^T, T), the probability of each given the sequence, and the log-likelihood.

    Logarithms are never too small; what the best path has at each step is taken from all and added last, so that no outlier
    hides the rest.
    """
    paths = np.array(list(product(range(len(hmm.start)), repeat=len(xs))))
    densities = log_densities(hmm.emission, xs)
    best = paths[log_probabilities(hmm, paths, densities).argmax()]
    shifts = densities[np.arange(len(xs)), best]
    logs = log_probabilities(hmm, paths, densities - shifts[:, None])
    total = logs.max() + np.log(np.exp(logs - logs.max()).sum())
    return paths, np.exp(logs - total), total + shifts.sum()


def exact_posterior(hmm: HMM, xs: Any) -> Any:
    paths, weights, _ = weigh(hmm, xs)
    return np.stack([weights @ (paths == q) for q in range(len(hmm.start))], axis=1)


def exact(hmm: HMM, xs: Any) -> Exact:
    paths, weights, total = weigh(hmm, xs)
    transitions = np.zeros_like(hmm.transition, dtype=float)
    for t in range(1, len(xs)):
        np.add.at(transitions, (paths[:, t - 1], paths[:, t]), weights)
    alphas = np.stack([exact_posterior(hmm, xs[: t + 1])[-1] for t in range(len(xs))])
    best = paths[min(np.flatnonzero(weights == weights.max()), key=lambda n: tuple(paths[n, ::-1]))]
    return Exact(
        total,
        alphas,
        exact_posterior(hmm, xs),
        transitions,
        best,
        float(log_probabilities(hmm, best[None], log_densities(hmm.emission, xs))[0]),
    )


# --- the checks; each finds the wrong answers of test_hmm.py


def equal(received: Any, expected: Any, rtol: float = 1e-11, atol: float = 1e-13) -> None:
    np.testing.assert_allclose(received, expected, rtol=rtol, atol=atol)


def check_forward(p: Problem, alphas: Any, log_scales: Any, rtol: float = 1e-11) -> None:
    assert alphas.shape == (*p.xs.shape[:2], len(p.hmm.start))
    for b, xs in enumerate(p.sequences()):
        equal(alphas[: len(xs), b], exact(p.hmm, xs).alphas, rtol)
        ends = [weigh(p.hmm, xs[: t + 1])[2] for t in range(len(xs))]
        equal(log_scales[: len(xs), b], np.diff(ends, prepend=0.0), rtol, 1e-12 + 4e-15 * np.abs(ends).max())
    assert log_scales.shape == p.xs.shape[:2]
    assert not log_scales[p.padding()].any()


def check_log_likelihood(p: Problem, received: Any, rtol: float = 1e-11) -> None:
    assert received.shape == p.xs.shape[1:2]
    equal(received, [exact(p.hmm, xs).log_likelihood for xs in p.sequences()], rtol)


def check_posterior(p: Problem, posterior: Any, rtol: float = 1e-11) -> None:
    assert posterior.shape == (*p.xs.shape[:2], len(p.hmm.start))
    for b, xs in enumerate(p.sequences()):
        equal(posterior[: len(xs), b], exact_posterior(p.hmm, xs), rtol)
    assert not posterior[p.padding()].any()


def check_viterbi(p: Problem, paths: Any, log_probabilities: Any, rtol: float = 1e-11) -> None:
    assert paths.dtype == np.int64
    assert paths.shape == p.xs.shape[:2]
    for b, xs in enumerate(p.sequences()):
        assert (paths[: len(xs), b] == exact(p.hmm, xs).path).all()
    assert (paths[p.padding()] == -1).all()
    assert log_probabilities.shape == p.xs.shape[1:2]
    equal(log_probabilities, [exact(p.hmm, xs).log_probability for xs in p.sequences()], rtol)


def check_counts(p: Problem, counts: Any, rtol: float = 1e-11) -> None:
    """Expected counts of starts, transitions and, of symbols, emissions: sums over the batch."""
    found = [exact(p.hmm, xs) for xs in p.sequences()]
    equal(counts.start, sum(e.posterior[0] for e in found), rtol)
    equal(counts.transition, sum(e.transitions for e in found), rtol)
    equal(counts.log_likelihood, [e.log_likelihood for e in found], rtol)
    if isinstance(p.hmm.emission, Categorical):
        expected = np.zeros((len(p.hmm.start), p.hmm.emission.probabilities.shape[1]))
        for xs, e in zip(p.sequences(), found, strict=True):
            for x, gamma in zip(xs, e.posterior, strict=True):
                expected[:, x] += gamma
        equal(counts.emission.probabilities, expected, rtol)


def check_maximised(p: Problem, new: HMM) -> None:
    """One step of EM: every parameter is a ratio of expected counts."""
    found = [exact(p.hmm, xs) for xs in p.sequences()]
    gammas, xs = np.concatenate([e.posterior for e in found]), np.concatenate(p.sequences())
    transitions = sum(e.transitions for e in found)
    equal(new.start, sum(e.posterior[0] for e in found) / len(found))
    equal(new.transition, transitions / transitions.sum(axis=1, keepdims=True))
    if isinstance(new.emission, Categorical):
        expected = np.stack([gammas[xs == v].sum(axis=0) for v in range(V)], axis=1)
        equal(new.emission.probabilities, expected / expected.sum(axis=1, keepdims=True))
        return
    for q, weight in enumerate(gammas.T):
        equal(new.emission.means[q], np.average(xs, axis=0, weights=weight))
        variance = np.average((xs - new.emission.means[q]) ** 2, axis=0, weights=weight)
        equal(new.emission.variances[q], variance, rtol=1e-10)


def check_everything(p: Problem, rtol: float = 1e-11) -> None:
    """What the engine says about a batch, held against sums over all paths of every sequence alone."""
    check_forward(p, *forward(*p), rtol)
    check_log_likelihood(p, log_likelihood(*p), rtol)
    check_posterior(p, posterior(*p), rtol)
    check_viterbi(p, *viterbi(*p), rtol)
    check_counts(p, expected_counts(*p), rtol)


def log_space(hmm: HMM, xs: Any) -> tuple[Any, Any, Any]:
    """One long categorical sequence, slowly and only with logarithms: log-likelihood, posterior, best log-probability."""
    start, A, E = log(hmm.start), log(hmm.transition), log(hmm.emission.probabilities).T[xs]
    alphas, deltas, betas = [start + E[0]], start + E[0], [np.zeros(len(start))]
    for e in E[1:]:
        alphas.append(np.logaddexp.reduce(alphas[-1][:, None] + A, axis=0) + e)
        deltas = (deltas[:, None] + A).max(axis=0) + e
    for e in E[:0:-1]:
        betas.append(np.logaddexp.reduce(A + e + betas[-1], axis=1))
    total = np.logaddexp.reduce(alphas[-1])
    return total, np.exp(np.array(alphas) + betas[::-1] - total), deltas.max()
