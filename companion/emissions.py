"""Emissions of a hidden Markov model: how a hidden state q shows itself as an observation x (chapter *Why model sequences*).

    categorical   p(x | q) = E(q, x)                                          x a symbol 0 ... V-1
    Gaussian      p(x | q) = prod_d N(x_d; mu_qd, v_qd)                       x a vector of D numbers, diagonal covariance

Re-estimated from the posterior gamma^t(q) = p(q^t = q | all of x) (Baum et al. 1970; Rabiner 1989, eq. 40c and section IV.A):

    E(q, k) = sum_t gamma^t(q) [x^t = k] / sum_t gamma^t(q)
    mu_q = sum_t gamma^t(q) x^t / sum_t gamma^t(q)         v_q = sum_t gamma^t(q) (x^t - mu_q)^2 / sum_t gamma^t(q)
"""

from typing import Any, NamedTuple, TypeAlias

import numpy as np

from companion.log_space import log
from companion.tree import Array, Indices
from companion.validate import (
    require_dtype,
    require_finite,
    require_float,
    require_indices,
    require_shape,
)

# Smallest variance after re-estimation, as a part of that of all data: a state that keeps a single point would shrink to it,
# and the likelihood grow without bound.
VARIANCE_FLOOR = 1e-6

# How far the sum of a row may be from one: far enough for a row that was once rounded to float32, or of float32 itself.
ROW_TOLERANCE, ROUNDINGS = 1e-6, 64


class Categorical(NamedTuple):
    """A table of symbols."""

    probabilities: Array  # (S, V) row q: what state q emits; rows sum to one


class Gaussian(NamedTuple):
    """A normal distribution for each state, the D numbers of an observation independent of each other."""

    means: Array  # (S, D)
    variances: Array  # (S, D) all above 0


class GaussianSums(NamedTuple):
    """Sums over t of gamma^t(q) times 1, the deviation from the mean, and the square of that from the new mean.

    From deviations and from the new mean: differences of large numbers would leave few digits of a small variance.
    """

    weights: Array  # (S,)
    deviations: Array  # (S, D) of x - mu; the new mean is mu + deviations / weights
    squares: Array  # (S, D) of (x - new mean)^2


Emission: TypeAlias = Categorical | Gaussian
Sums: TypeAlias = Categorical | GaussianSums  # the sums of a categorical emission are counts (S, V)


# --- what is accepted


def require_rows(function: str, name: str, rows: Array) -> None:
    """Raise ValueError unless every row (..., K) is a probability distribution."""
    require_float(function, name, rows)
    require_finite(function, name, rows)
    if (rows < 0).any():
        where = tuple(int(k) for k in np.argwhere(rows < 0)[0])
        at = ", ".join(map(str, where))
        raise ValueError(f"{function}: {name}[{at}] is {rows[where]}, expected probabilities of at least 0")
    sums = rows.sum(axis=-1, dtype=np.float64)
    wrong = np.abs(sums - 1) > max(ROW_TOLERANCE, ROUNDINGS * np.finfo(rows.dtype).eps)
    if wrong.any():
        where = tuple(int(k) for k in np.argwhere(wrong)[0])
        row = f"{name}[{', '.join(map(str, where))}]" if where else name
        raise ValueError(f"{function}: {row} sums to {sums[where]:.9g}, expected probabilities that sum to 1")


def require_emission(function: str, emission: Emission, n_states: int, dtype: Any) -> None:
    """Raise ValueError unless the emission is one of the two kinds, with n_states rows and legal numbers of this dtype."""
    if not isinstance(emission, Categorical | Gaussian):
        raise ValueError(f"{function}: hmm.emission is a {type(emission).__name__}, expected Categorical or Gaussian")
    for name, array in emission._asdict().items():
        require_dtype(function, f"hmm.emission.{name}", array, dtype, why="as hmm.start")
        axis = "V" if isinstance(emission, Categorical) else "D"
        require_shape(function, f"hmm.emission.{name}", array, n_states, axis, why="one row for each state")
    if isinstance(emission, Categorical):
        require_rows(function, "hmm.emission.probabilities", emission.probabilities)
        return
    means, variances = emission
    require_shape(function, "hmm.emission.variances", variances, *means.shape, why="as the means")
    require_finite(function, "hmm.emission.means", means)
    require_finite(function, "hmm.emission.variances", variances)
    wrong = variances <= 0
    if wrong.any():
        q, d = (int(k) for k in np.argwhere(wrong)[0])
        raise ValueError(
            f"{function}: hmm.emission.variances[{q}, {d}] is {variances[q, d]}, expected variances above 0"
        )


def require_axes(function: str, emission: Emission, xs: Any) -> None:
    """Raise ValueError unless xs is an array (T, B) for symbols or (T, B, D) of floats for Gaussians."""
    if not isinstance(xs, np.ndarray):
        raise ValueError(f"{function}: xs is a {type(xs).__name__}, expected a NumPy array")
    if isinstance(emission, Categorical):
        require_shape(function, "xs", xs, "T", "B", why="of symbols")
    else:
        require_dtype(function, "xs", xs, emission.means.dtype, why="as hmm.emission.means")
        require_shape(function, "xs", xs, "T", "B", emission.means.shape[1], why="from hmm.emission.means")


def require_values(function: str, emission: Emission, xs: Any) -> None:
    """Raise ValueError unless xs are symbols that the emission knows, or finite numbers."""
    if isinstance(emission, Categorical):
        require_indices(function, "xs", xs, emission.probabilities.shape[1])
    else:
        require_finite(function, "xs", xs)


# --- likelihoods


def log_emissions(emission: Emission, xs: Any) -> tuple[Array, Indices]:
    """Rows E (N, S) of log p(x | q), one for each symbol or each observation, and which of them (T, B) is that of x^t."""
    if isinstance(emission, Categorical):
        return log(np.ascontiguousarray(emission.probabilities.T)), xs
    means, variances = emission
    points = xs.reshape(-1, xs.shape[2])
    total: Array = np.zeros((len(points), 1), means.dtype) - np.log(2 * np.pi * variances).sum(axis=1) / 2
    farthest = np.finfo(means.dtype).max ** 0.375  # in standard deviations: a square beyond would overflow
    with np.errstate(over="ignore"):
        for x, mean, variance in zip(points.T, means.T, variances.T):
            z = (x[:, None] - mean) / np.sqrt(variance)
            total -= np.clip(z, -farthest, farthest) ** 2 / 2
    return total, np.arange(len(points)).reshape(xs.shape[:2])


def scaled_emissions(emission: Emission, xs: Any) -> tuple[Array, Array, Indices]:
    """Rows E (N, S) of p(x | q), each over its largest number, the logs (N,) of those, and the row (T, B) of each x^t.

    So an outlier does not underflow in all states. Of a symbol that no state emits, the row is 0 and the log too.
    """
    if isinstance(emission, Categorical):
        largest = emission.probabilities.max(axis=0)
        largest = np.where(largest, largest, np.ones_like(largest))
        return np.ascontiguousarray((emission.probabilities / largest).T), np.log(largest), xs
    E, x = log_emissions(emission, xs)
    shift = E.max(axis=1)
    return np.exp(E - shift[:, None]), shift, x


# --- draws


def random_rows(rng: np.random.Generator, n: int, size: int, dtype: Any) -> Array:
    """Distributions (n, size), all equally likely."""
    return rng.dirichlet(np.ones(size), n).astype(dtype)


def gaussian_from(rng: np.random.Generator, n_states: int, points: Array) -> Gaussian:
    """Means that are n_states of the points (N, D), and the variances of all points."""
    variances = np.maximum(points.var(axis=0), smallest_variance(points.dtype))
    means = points[rng.choice(len(points), n_states, replace=False)]
    return Gaussian(means, np.tile(variances, (n_states, 1)))


def draw(rng: np.random.Generator, probabilities: Array) -> Indices:
    """One index from every row (..., K) of probabilities, never one of probability 0."""
    levels = np.cumsum(probabilities, axis=-1, dtype=np.float64)
    levels /= levels[..., -1:]  # exactly 1 from the last possible index on, and random() is below 1
    drawn: Indices = (levels <= rng.random((*levels.shape[:-1], 1))).sum(axis=-1)
    return drawn


def sample_emission(rng: np.random.Generator, emission: Emission, states: Indices) -> Any:
    """An observation for each of states (T, B): symbols (T, B) or numbers (T, B, D)."""
    if isinstance(emission, Categorical):
        return draw(rng, emission.probabilities[states])
    means, variances = emission.means[states], emission.variances[states]
    return means + np.sqrt(variances) * rng.standard_normal(means.shape).astype(means.dtype)


# --- re-estimation


def emission_sums(emission: Emission, xs: Array | Indices, posterior: Array) -> Sums:
    """The sums over all steps and sequences that `maximise_emission` needs; posterior (T, B, S) is 0 in padding."""
    gamma = posterior.reshape(-1, posterior.shape[2])
    if isinstance(emission, Categorical):
        (S, V), symbols = emission.probabilities.shape, xs.reshape(-1, 1)
        counts = np.bincount((symbols * S + np.arange(S)).ravel(), weights=gamma.ravel(), minlength=V * S)
        return Categorical(np.ascontiguousarray(counts.reshape(V, S).T, gamma.dtype))
    weights = gamma.sum(axis=0)
    deviations, squares = np.empty_like(emission.means), np.empty_like(emission.means)
    with np.errstate(over="ignore", invalid="ignore"):  # a variance that is not finite is refused by the next E step
        for d, mean in enumerate(emission.means.T):
            x = xs[:, :, d].reshape(-1, 1)
            deviations[:, d] = (gamma * (x - mean)).sum(axis=0)
            new = mean + _over(deviations[:, d], weights, np.zeros_like(mean))
            squares[:, d] = (gamma * (x - new) ** 2).sum(axis=0)
    return GaussianSums(weights, deviations, squares)


def maximise_emission(emission: Emission, sums: Sums, pseudo_count: float) -> Emission:
    """The emission that makes the sums likeliest; a state that was never visited keeps what it had.

    `pseudo_count` is added to the counts of symbols. A variance stays at or above VARIANCE_FLOOR times that of all data, and
    above what rounding leaves of equal numbers; one that was lower before may stay, so that no round lowers the likelihood.
    """
    if isinstance(emission, Categorical) and isinstance(sums, Categorical):
        return Categorical(normalised(sums.probabilities + pseudo_count, emission.probabilities))
    assert isinstance(emission, Gaussian) and isinstance(sums, GaussianSums)
    weights = sums.weights[:, None]
    means = emission.means + _over(sums.deviations, weights, np.zeros_like(sums.deviations))
    variances = _over(sums.squares, weights, emission.variances)
    part = normalised(sums.weights, np.zeros_like(sums.weights))
    of_all_data = part @ (variances + (means - part @ means) ** 2)
    rounding = (8 * np.finfo(means.dtype).eps * np.abs(means)) ** 2
    floor = np.minimum(emission.variances, np.maximum(VARIANCE_FLOOR * of_all_data, rounding))
    return Gaussian(means, np.maximum(variances, np.maximum(floor, smallest_variance(means.dtype))))


def normalised(counts: Array, old: Array) -> Array:
    """Rows (..., K) of counts divided by their sums; a row without counts keeps the old probabilities."""
    return _over(counts, counts.sum(axis=-1, keepdims=True), old)


def _over(sums: Array, weights: Array, old: Array) -> Array:
    """The quotient, or the old value where there is no weight, or one too small for a quotient with any digits."""
    visited = weights > np.finfo(weights.dtype).tiny
    return np.where(visited, sums / np.where(visited, weights, np.ones_like(weights)), old)


def smallest_variance(dtype: Any) -> float:
    """Far above 0, so that squares of distances in standard deviations stay finite, and far below any of real data."""
    return float(np.finfo(dtype).tiny ** 0.5)
