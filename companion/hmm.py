"""Hidden Markov models (chapter *Why model sequences*; Rabiner 1989).

A hidden state q^t in 0 ... S-1 depends on the one before it, and each state emits an observation x^t:

    p(q, x) = pi(q^1) E(q^1, x^1) prod_t A(q^(t-1), q^t) E(q^t, x^t)         pi start, A transition, E emission

Forward and backward recursion (Baum et al. 1970; Rabiner 1989) stand in `companion.forward_backward`; its c^t, alpha^t and
beta^t, scaled so that alpha^t sums to one, tell the rest:

    log p(x) = sum_t log c^t                                                 p(q^t | x) = alpha^t(q) beta^t(q)

The best path (Viterbi 1967; Rabiner 1989, eqs. 32-35); only the maxima are kept, and along it the best p is found again:

    delta^t(q) = max_i [delta^(t-1)(i) + log A(i, q)] + log E(q, x^t)

All sequences of a batch take a step together, as one product of matrices. xs are symbols (T, B) or numbers (T, B, D), time
first; `mask` (T, B) is True while a sequence lasts, as `bptt.prefix_mask` makes it, and what xs hold in padding is not read.
What takes a model raises ValueError unless its rows are distributions, and what takes xs unless these and the mask fit.
"""

from typing import Any, NamedTuple

import numpy as np

from companion.bptt import Mask, require_mask
from companion.emissions import (
    Categorical,
    Emission,
    gaussian_from,
    log_emissions,
    random_rows,
    require_axes,
    require_emission,
    require_values,
    sample_emission,
)
from companion.forward_backward import both_passes, forward_pass
from companion.log_space import log, or_zero
from companion.markov import MarkovChain, fit_chain, normalised, read_symbols, sample_chain
from companion.tree import Array, Indices
from companion.validate import (
    PSEUDO_COUNT_LIMIT,
    require_distributions,
    require_dtype,
    require_finite,
    require_float,
    require_kind,
    require_range,
    require_shape,
    require_sizes,
    require_whole,
)

# Numbers in an array (S, S, sequences) of Viterbi's recursion: more would leave the cache, and fewer make short rows.
VITERBI_BLOCK = 2**19

# Steps after which Viterbi's sums of logs start from 0 again, because in float32 large ones have few digits.
RECENTRE = 8


class HMM(NamedTuple):
    """A hidden Markov model."""

    start: Array  # (S,) pi
    transition: Array  # (S, S) A: row = from, column = to; rows sum to one
    emission: Emission  # E


# --- what the recursions tell


def forward(hmm: HMM, xs: Array | Indices, mask: Mask | None = None) -> tuple[Array, Array]:
    """Alphas (T, B, S), p(q^t | x^1 ... x^t), and log_scales (T, B), log p(x^t | x^1 ... x^(t-1)); both 0 in padding.

    Raises ValueError for a sequence that the model cannot produce, and names the step.
    """
    xs, mask = accepted("forward", hmm, xs, mask)
    alphas, log_scales = forward_pass(*hmm, xs, mask)
    require_possible("forward", xs, log_scales)
    return alphas, log_scales


def log_likelihood(hmm: HMM, xs: Array | Indices, mask: Mask | None = None) -> Array:
    """Log p(x) in nats, (B,); -inf for a sequence that the model cannot produce."""
    xs, mask = accepted("log_likelihood", hmm, xs, mask)
    return over_time(forward_pass(*hmm, xs, mask)[1])


def backward(hmm: HMM, xs: Array | Indices, mask: Mask | None = None) -> Array:
    """Betas (T, B, S), scaled so that alphas * betas is the posterior; 0 in padding.

    Where alpha is too small for a float, beta may be too large for one, and is then only very large; `posterior` is right
    also there. Raises ValueError for a sequence that the model cannot produce.
    """
    xs, mask = accepted("backward", hmm, xs, mask)
    betas, _, log_scales = both_passes(*hmm, xs, mask, only_betas=True)
    require_possible("backward", xs, log_scales)
    return betas


def posterior(hmm: HMM, xs: Array | Indices, mask: Mask | None = None) -> Array:
    """Gamma (T, B, S), p(q^t | all of x); 0 in padding. Raises ValueError for a sequence that the model cannot produce."""
    xs, mask = accepted("posterior", hmm, xs, mask)
    gammas, _, log_scales = both_passes(*hmm, xs, mask)
    require_possible("posterior", xs, log_scales)
    return gammas


def forward_backward(hmm: HMM, xs: Array | Indices, mask: Mask | None = None) -> tuple[Array, Array]:
    """`posterior` (T, B, S) and `log_likelihood` (B,) for the price of one of them."""
    xs, mask = accepted("forward_backward", hmm, xs, mask)
    gammas, _, log_scales = both_passes(*hmm, xs, mask)
    require_possible("forward_backward", xs, log_scales)
    return gammas, over_time(log_scales)


def over_time(log_scales: Array) -> Array:
    """The sum over time, in float64: a float32 has too few digits for 10,000 terms."""
    total: Array = log_scales.sum(axis=0, dtype=np.float64).astype(log_scales.dtype)
    return total


# --- the best path


def viterbi_loop(pi: Array, A: Array, E: Array, x: Indices) -> Array:
    """Delta (T, S, B), up to a number for each step and sequence, from the logs pi (S,), A (S, S) and E (N, S).

    x (T, B) are the rows of E; time comes first and the batch last, unlike elsewhere, since rows of the batch are longest.
    """
    (T, B), S = x.shape, len(A)
    deltas, sums = np.empty((T, S, B), A.dtype), np.empty((S, S, B), A.dtype)
    # Whole rows of numbers: adding one number to each row would take twice as long.
    E_T, A_T = np.ascontiguousarray(E.T), np.repeat(A.T[:, :, None], B, axis=2)
    for t, delta in enumerate(deltas):
        if t == 0:
            delta[...] = pi[:, None]
        else:
            np.add(deltas[t - 1], A_T, out=sums)
            np.maximum.reduce(sums, axis=1, out=delta)
        delta += E_T.take(x[t], axis=1)
        if t % RECENTRE == 0:
            delta -= or_zero(delta.max(axis=0))
    return deltas


def viterbi(hmm: HMM, xs: Array | Indices, mask: Mask | None = None) -> tuple[Indices, Array]:
    """The likeliest paths (T, B), -1 in padding, and their log p(q, x) (B,) in nats; of equally likely states the smallest.

    Raises ValueError for a sequence that the model cannot produce, and names the step.
    """
    xs, mask = accepted("viterbi", hmm, xs, mask)
    pi, A, (E, x), lengths = log(hmm.start), log(hmm.transition), log_emissions(hmm.emission, xs), mask.sum(axis=0)
    (T, B), paths, at_once = x.shape, np.empty(x.shape, np.int64), max(16, VITERBI_BLOCK // A.size)
    for first in range(0, B, at_once):
        block, n = slice(first, first + at_once), lengths[first : first + at_once]
        deltas = viterbi_loop(pi, A, E, x[:, block])
        ends = deltas[n - 1, :, np.arange(len(n))]  # (B, S)
        if np.isneginf(ends.max(axis=1)).any():
            peaks = np.zeros(x.shape)
            peaks[:, block] = np.where(mask[:, block], deltas.max(axis=1), 0)
            require_possible("viterbi", xs, peaks)
        paths[-1, block] = last = ends.argmax(axis=1)
        for t in range(T - 2, -1, -1):
            best = (deltas[t] + A.take(paths[t + 1, block], axis=1)).argmax(axis=0)
            paths[t, block] = np.where(n > t + 1, best, last)
    moves = A[paths[:-1], paths[1:]] + E[x[1:], paths[1:]]
    first_move = pi[paths[0]] + E[x[0], paths[0]]
    return np.where(mask, paths, -1), over_time(np.vstack([first_move, np.where(mask[1:], moves, 0)]))


# --- models and samples


def hmm_init(rng: np.random.Generator, n_states: int, n_symbols: int, dtype: Any = np.float64) -> HMM:
    """Random rows, all distributions equally likely. Raises ValueError unless sizes are at least 1 and dtype a float."""
    require_sizes("hmm_init", rng, dtype, n_states=n_states, n_symbols=n_symbols)
    rows = random_rows(rng, n_states + 1, n_states, dtype)
    return HMM(rows[0], rows[1:], Categorical(random_rows(rng, n_states, n_symbols, dtype)))


def gaussian_hmm_init(rng: np.random.Generator, n_states: int, xs: Array, mask: Mask | None = None) -> HMM:
    """Random rows; the means are n_states of the observations xs (T, B, D), the variances those of all of them.

    Raises ValueError unless xs are finite, also their variances, and at least n_states.
    """
    require_float("gaussian_hmm_init", "xs", xs)
    require_shape("gaussian_hmm_init", "xs", xs, "T", "B", "D")
    require_sizes("gaussian_hmm_init", rng, xs.dtype, n_states=n_states)
    if mask is not None:
        require_mask("gaussian_hmm_init", mask, *xs.shape[:2])
    points = xs.reshape(-1, xs.shape[2]) if mask is None else xs[mask]
    require_finite("gaussian_hmm_init", "xs", points)
    if len(points) < n_states:
        raise ValueError(
            f"gaussian_hmm_init: n_states is {n_states}, expected at most {len(points)}, one per observation"
        )
    rows, emission = random_rows(rng, n_states + 1, n_states, xs.dtype), gaussian_from(rng, n_states, points)
    require_finite("gaussian_hmm_init", "variance of xs", emission.variances[0])
    return HMM(rows[0], rows[1:], emission)


def from_labels(
    states: Indices,
    xs: Indices,
    n_states: int,
    n_symbols: int,
    mask: Mask | None = None,
    pseudo_count: float = 0.0,
) -> HMM:
    """The model by counting, when states (T, B) are known beside the symbols xs (T, B). A row without counts is uniform.

    `pseudo_count`, in [0, 1e30), is added to every count. Raises ValueError for arguments that do not fit.
    """
    require_whole("from_labels", "n_states", n_states, 1)
    require_whole("from_labels", "n_symbols", n_symbols, 1)
    require_range("from_labels", "pseudo_count", pseudo_count, 0, PSEUDO_COUNT_LIMIT)
    states, real = read_symbols("from_labels", "states", states, n_states, mask)
    xs, _ = read_symbols("from_labels", "xs", xs, n_symbols, real, states.shape, why="as states")
    emission = np.full((n_states, n_symbols), float(pseudo_count))
    np.add.at(emission, (states[real], xs[real]), 1)
    return HMM(*fit_chain(states, n_states, real, pseudo_count), Categorical(normalised(emission)))


def sample(rng: np.random.Generator, hmm: HMM, steps: int, batch: int) -> tuple[Indices, Any]:
    """States (T, B), drawn, and the observations that they emit: symbols (T, B) or numbers (T, B, D)."""
    require_sizes("sample", rng, np.float64, steps=steps, batch=batch)
    require_hmm("sample", hmm)
    states = sample_chain(rng, MarkovChain(hmm.start, hmm.transition), steps, batch)
    return states, sample_emission(rng, hmm.emission, states)


# --- what is accepted


def require_hmm(function: str, hmm: HMM) -> None:
    """Raise ValueError unless the arrays of a model fit each other and their rows are distributions."""
    require_kind(function, "hmm", hmm, HMM)
    require_float(function, "hmm.start", hmm.start)
    require_shape(function, "hmm.start", hmm.start, "S")
    require_dtype(function, "hmm.transition", hmm.transition, hmm.start.dtype, why="as hmm.start")
    require_shape(function, "hmm.transition", hmm.transition, len(hmm.start), len(hmm.start), why="from hmm.start")
    require_distributions(function, "hmm.start", hmm.start)
    require_distributions(function, "hmm.transition", hmm.transition)
    require_emission(function, hmm.emission, len(hmm.start), hmm.start.dtype)


def accepted(function: str, hmm: HMM, xs: Any, mask: Mask | None) -> tuple[Any, Mask]:
    """Observations with 0 in the padding, symbols as indices, and the mask (T, B)."""
    require_hmm(function, hmm)
    require_axes(function, hmm.emission, xs)
    if mask is None:
        mask = np.ones(xs.shape[:2], bool)
    else:
        require_mask(function, mask, *xs.shape[:2])
        xs = np.where(mask if xs.ndim == 2 else mask[:, :, None], xs, np.zeros_like(xs))
    require_values(function, hmm.emission, xs)
    return xs.astype(np.intp, copy=False) if isinstance(hmm.emission, Categorical) else xs, mask


def require_possible(function: str, xs: Any, logs: Array) -> None:
    """Raise ValueError for the first sequence that is impossible: logs (T, B) are -inf from the step that makes it so."""
    impossible = np.isneginf(logs)
    if not impossible.any():
        return
    b = int(np.argmax(impossible.any(axis=0)))
    t = int(np.argmax(impossible[:, b]))
    after = " after what came before" if t else " as a first observation"
    raise ValueError(
        f"{function}: xs[{t}, {b}] is {xs[t, b]}, impossible{after}, expected a sequence that the model can produce"
    )
