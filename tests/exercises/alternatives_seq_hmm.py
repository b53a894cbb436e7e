"""Right answers of other designs to the exercises on hidden Markov models of *Why model sequences*."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from companion import hmm
from companion.baum_welch import expected_counts, maximise
from companion.emissions import Categorical


def model(start: Any, transition: Any, emission: Any) -> hmm.HMM:
    return hmm.HMM(start, transition, Categorical(emission))


# --- states for a delayed sum


def states_by_listing_windows() -> int:
    return len(set(product(range(3), repeat=5)))


# --- forward


def forward_by_companion(xs: Any, start: Any, transition: Any, emission: Any) -> Any:
    alphas, log_scales = hmm.forward(model(start, transition, emission), xs[:, None])
    return alphas[:, 0], log_scales.sum()


def forward_in_logarithms(xs: Any, start: Any, transition: Any, emission: Any) -> Any:
    scores = [np.log(start) + np.log(emission[:, xs[0]])]
    for x in xs[1:]:
        scores.append(np.logaddexp.reduce(scores[-1][:, None] + np.log(transition), axis=0) + np.log(emission[:, x]))
    totals = np.logaddexp.reduce(scores, axis=1)
    return np.exp(scores - totals[:, None]), totals[-1]


def forward_with_predictions_of_all_symbols(xs: Any, start: Any, transition: Any, emission: Any) -> Any:
    alphas, total = np.empty((len(xs), len(start))), 0.0
    expected = start
    for t, x in enumerate(xs):
        joint = expected[:, None] * emission
        total += float(np.log(joint.sum(axis=0)[x]))
        alphas[t] = joint[:, x] / joint.sum(axis=0)[x]
        expected = np.einsum("p,pq->q", alphas[t], transition)
    return [alphas, total]


# --- the log-likelihood alone


def log_likelihood_by_companion(xs: Any, start: Any, transition: Any, emission: Any) -> Any:
    return hmm.log_likelihood(model(start, transition, emission), xs[:, None])[0]


def log_likelihood_scaled_by_the_largest(xs: Any, start: Any, transition: Any, emission: Any) -> Any:
    alpha, total = start * emission[:, xs[0]], 0.0
    for x in xs[1:]:
        largest = alpha.max()
        alpha, total = alpha / largest @ transition * emission[:, x], total + np.log(largest)
    return total + np.log(alpha.sum())


def log_likelihood_scaled_where_needed(xs: Any, start: Any, transition: Any, emission: Any) -> Any:
    alpha, total = start * emission[:, xs[0]], 0.0
    for x in xs[1:]:
        alpha = alpha @ transition * emission[:, x]
        if alpha.sum() < 1e-100:
            alpha, total = alpha * 1e100, total - 100 * np.log(10)
    return total + np.log(alpha.sum())


def log_likelihood_backwards(xs: Any, start: Any, transition: Any, emission: Any) -> Any:
    beta, total = np.ones_like(start), 0.0
    for x in xs[:0:-1]:
        beta = transition @ (emission[:, x] * beta)
        beta, total = beta / beta.sum(), total + np.log(beta.sum())
    return total + np.log(start @ (emission[:, xs[0]] * beta))


# --- Viterbi


def viterbi_by_companion(xs: Any, start: Any, transition: Any, emission: Any) -> Any:
    paths, scores = hmm.viterbi(model(start, transition, emission), xs[:, None])
    return paths[:, 0], scores[0]


def viterbi_with_whole_paths(xs: Any, start: Any, transition: Any, emission: Any) -> Any:
    scores, paths = np.log(start) + np.log(emission[:, xs[0]]), [[q] for q in range(len(start))]
    for x in xs[1:]:
        candidates = scores[:, None] + np.log(transition) + np.log(emission[:, x])
        paths = [[*paths[int(p)], q] for q, p in enumerate(candidates.argmax(axis=0))]
        scores = candidates.max(axis=0)
    best = int(scores.argmax())
    return np.array(paths[best]), scores[best]


def viterbi_from_the_end(xs: Any, start: Any, transition: Any, emission: Any) -> Any:
    A, E = np.log(transition), np.log(emission)
    rest, follows = np.zeros(len(start)), []
    for x in xs[:0:-1]:
        scores = A + E[:, x] + rest
        follows.append(scores.argmax(axis=1))
        rest = scores.max(axis=1)
    first = np.log(start) + E[:, xs[0]] + rest
    path = [first.argmax()]
    for choice in follows[::-1]:
        path.append(choice[path[-1]])
    return np.array(path), first.max()


def path_without_pointers(xs: Any, log_start: Any, log_transition: Any, log_emission: Any) -> Any:
    best = [log_start + log_emission[:, xs[0]]]
    for x in xs[1:]:
        best.append((best[-1][:, None] + log_transition).max(axis=0) + log_emission[:, x])
    path = [best[-1].argmax()]
    for scores in best[-2::-1]:
        path.insert(0, (scores + log_transition[:, path[0]]).argmax())
    return np.array(path), max(best[-1])


def path_with_the_last_row_left_out(xs: Any, log_start: Any, log_transition: Any, log_emission: Any) -> Any:
    best, pointers = log_start + log_emission[:, xs[0]], np.zeros((len(xs) - 1, len(log_start)), dtype=int)
    for t, x in enumerate(xs[1:]):
        scores = best + log_transition.T
        pointers[t], best = scores.argmax(axis=1), scores.max(axis=1) + log_emission[:, x]
    path = np.full(len(xs), best.argmax())
    for t in reversed(range(len(pointers))):
        path[t] = pointers[t, path[t + 1]]
    return path, best.max()


# --- posterior


def posterior_by_smoothing_gammas(xs: Any, alphas: Any, transition: Any, emission: Any) -> Any:
    gammas = [alphas[-1]]
    for alpha in alphas[-2::-1]:
        gammas.insert(0, alpha * (transition @ (gammas[0] / (alpha @ transition))))
    return np.array(gammas)


def posterior_in_logarithms(xs: Any, alphas: Any, transition: Any, emission: Any) -> Any:
    betas = np.zeros_like(alphas)
    for t in range(len(xs) - 1)[::-1]:
        betas[t] = np.logaddexp.reduce(np.log(transition) + np.log(emission[:, xs[t + 1]]) + betas[t + 1], axis=1)
    scores = np.log(alphas) + betas
    return np.exp(scores - np.logaddexp.reduce(scores, axis=1)[:, None])


def posterior_with_betas_that_sum_to_one(xs: Any, alphas: Any, transition: Any, emission: Any) -> Any:
    beta, rows = np.ones(len(transition)), []
    for alpha, x in zip(alphas[::-1], xs[::-1], strict=True):
        rows.append(alpha * beta / (alpha * beta).sum())
        beta = np.einsum("pq,q,q->p", transition, emission[:, x], beta)
        beta /= beta.sum()
    return np.array(rows[::-1])


# --- Baum-Welch


def baum_welch_by_companion(xs: Any, alphas: Any, betas: Any, scales: Any, transition: Any, emission: Any) -> Any:
    start = alphas[0] / emission[:, xs[0]]  # up to a factor, the start that the alphas came from
    old = model(start / start.sum(), transition, emission)
    new = maximise(old, expected_counts(old, xs[:, None]))
    assert isinstance(new.emission, Categorical)
    return new.start, new.transition, new.emission.probabilities


def baum_welch_in_one_product(xs: Any, alphas: Any, betas: Any, scales: Any, transition: Any, emission: Any) -> Any:
    arrives = emission.T[xs] * betas / scales[:, None]
    moved = transition * (alphas[:-1].T @ arrives[1:])
    gammas = alphas * betas
    emitted = np.stack([gammas[xs == v].sum(axis=0) for v in range(emission.shape[1])], axis=1)
    return gammas[0], moved / moved.sum(axis=1)[:, None], emitted / gammas.sum(axis=0)[:, None]


def baum_welch_over_visits(xs: Any, alphas: Any, betas: Any, scales: Any, transition: Any, emission: Any) -> Any:
    T, S = alphas.shape
    gammas, new_A, new_E = alphas * betas, np.zeros_like(transition), np.zeros_like(emission)
    for p, q in np.ndindex(S, S):
        for t in range(T - 1):
            xi = alphas[t, p] * transition[p, q] * emission[q, xs[t + 1]] * betas[t + 1, q] / scales[t + 1]
            new_A[p, q] += xi / gammas[:-1, p].sum()
    for t in range(T):
        new_E[:, xs[t]] += gammas[t] / gammas.sum(axis=0)
    return [gammas[0], new_A, new_E]


ALTERNATIVES: dict[str, tuple[Any, ...]] = {
    "seq.state_count": (states_by_listing_windows, 243, 243.0, np.int64(243)),
    "seq.forward": (forward_by_companion, forward_in_logarithms, forward_with_predictions_of_all_symbols),
    "seq.hunt_underflow": (
        log_likelihood_by_companion,
        log_likelihood_scaled_by_the_largest,
        log_likelihood_scaled_where_needed,
        log_likelihood_backwards,
    ),
    "seq.viterbi": (viterbi_by_companion, viterbi_with_whole_paths, viterbi_from_the_end),
    "seq.hunt_pointers": (path_without_pointers, path_with_the_last_row_left_out),
    "seq.posterior": (
        posterior_by_smoothing_gammas,
        posterior_in_logarithms,
        posterior_with_betas_that_sum_to_one,
    ),
    "seq.baum_welch": (baum_welch_by_companion, baum_welch_in_one_product, baum_welch_over_visits),
}
