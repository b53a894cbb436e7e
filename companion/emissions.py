"""Emissions of a hidden Markov model: how a hidden state q shows itself as an observation x (chapter *Why model sequences*).

    categorical   p(x | q) = E(q, x)                                          x a symbol 0 ... V-1
    Gaussian      p(x | q) = prod_d N(x_d; mu_qd, v_qd)                       x a vector of D numbers, diagonal covariance

Re-estimated from the posterior gamma^t(q) = p(q^t = q | all of x) (Baum et al. 1970; Rabiner 1989, eq. 40c and section IV.A):

    E(q, k) = sum_t gamma^t(q) [x^t = k] / sum_t gamma^t(q)
    mu_q = sum_t gamma^t(q) x^t / sum_t gamma^t(q)         v_q = sum_t gamma^t(q) (x^t - mu_q)^2 / sum_t gamma^t(q)
"""

from typing import Any, NamedTuple, TypeAlias, assert_never

import numpy as np

from companion.log_space import log, or_zero
from companion.markov import draw, normalised, quotient
from companion.tree import Array, Indices
from companion.validate import (
    require_counts,
    require_distributions,
    require_dtype,
    require_finite,
    require_gradient,
    require_indices,
    require_kind,
    require_shape,
)

# Smallest variance after re-estimation, as a part of that of all data: a state that keeps a single point would shrink to it,
# and the likelihood grow without bound.
VARIANCE_FLOOR = 1e-6


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


def require_emission(function: str, emission: Emission, n_states: int, dtype: Any) -> None:
    """Raise ValueError unless the emission is one of the two kinds, with n_states rows and legal numbers of this dtype."""
    if not isinstance(emission, Categorical | Gaussian):
        raise ValueError(f"{function}: hmm.emission is a {type(emission).__name__}, expected Categorical or Gaussian")
    for name, array in emission._asdict().items():
        require_dtype(function, f"hmm.emission.{name}", array, dtype, why="as hmm.start")
        axis = "V" if isinstance(emission, Categorical) else "D"
        require_shape(function, f"hmm.emission.{name}", array, n_states, axis, why="one row for each state")
    match emission:
        case Categorical(probabilities):
            require_distributions(function, "hmm.emission.probabilities", probabilities)
        case Gaussian(means, variances):
            require_shape(function, "hmm.emission.variances", variances, *means.shape, why="as the means")
            require_finite(function, "hmm.emission.means", means)
            require_finite(function, "hmm.emission.variances", variances)
            wrong = variances <= 0
            if wrong.any():
                q, d = (int(k) for k in np.argwhere(wrong)[0])
                raise ValueError(
                    f"{function}: hmm.emission.variances[{q}, {d}] is {variances[q, d]}, expected variances above 0"
                )
        case _:
            assert_never(emission)


def require_axes(function: str, emission: Emission, xs: Any) -> None:
    """Raise ValueError unless xs is an array (T, B) for symbols or (T, B, D) of floats for Gaussians."""
    if not isinstance(xs, np.ndarray):
        raise ValueError(f"{function}: xs is a {type(xs).__name__}, expected a NumPy array")
    match emission:
        case Categorical():
            require_shape(function, "xs", xs, "T", "B", why="of symbols")
        case Gaussian(means):
            require_dtype(function, "xs", xs, means.dtype, why="as hmm.emission.means")
            require_shape(function, "xs", xs, "T", "B", means.shape[1], why="from hmm.emission.means")
        case _:
            assert_never(emission)


def require_values(function: str, emission: Emission, xs: Any) -> None:
    """Raise ValueError unless xs are symbols that the emission knows, or finite numbers."""
    match emission:
        case Categorical(probabilities):
            require_indices(function, "xs", xs, probabilities.shape[1])
        case Gaussian():
            require_finite(function, "xs", xs)
        case _:
            assert_never(emission)


def require_sums(function: str, emission: Emission, sums: Sums) -> None:
    """Raise ValueError unless sums are what `emission_sums` may have returned for this emission."""
    match emission:
        case Categorical(probabilities):
            require_kind(function, "counts.emission", sums, Categorical)
            shapes = {"probabilities": probabilities}
        case Gaussian(means):
            require_kind(function, "counts.emission", sums, GaussianSums)
            shapes = {"weights": means[:, 0], "deviations": means, "squares": means}
        case _:
            assert_never(emission)
    for name, like in shapes.items():
        label, array = f"counts.emission.{name}", getattr(sums, name)
        require_gradient(function, label, array, like, why="from hmm.emission")
        require = require_finite if name == "deviations" else require_counts
        require(function, label, array)


# --- likelihoods


def log_emissions(emission: Emission, xs: Any) -> tuple[Array, Indices]:
    """Rows E (N, S) of log p(x | q), one for each symbol or each observation, and which of them (T, B) is that of x^t."""
    match emission:
        case Categorical(probabilities):
            return log(np.ascontiguousarray(probabilities.T)), xs
        case Gaussian(means, variances):
            points = xs.reshape(-1, xs.shape[2])
            constants = (float(np.log(2 * np.pi)) + np.log(variances)).sum(axis=1) / 2
            total: Array = np.zeros((len(points), 1), means.dtype) - constants
            farthest = np.finfo(means.dtype).max ** 0.375  # in standard deviations: a square beyond would overflow
            with np.errstate(over="ignore"):
                for x, mean, variance in zip(points.T, means.T, variances.T):
                    z = (x[:, None] - mean) / np.sqrt(variance)
                    total -= np.clip(z, -farthest, farthest) ** 2 / 2
            return total, np.arange(len(points)).reshape(xs.shape[:2])
        case _:
            assert_never(emission)


def scaled_emissions(emission: Emission, xs: Any) -> tuple[Array, Array, Indices]:
    """Rows E (N, S) of p(x | q), each over its largest number, the logs (N,) of those, and the row (T, B) of each x^t.

    So an outlier does not underflow in all states. Of a symbol that no state emits, the row is 0 and the log too.
    """
    if isinstance(emission, Categorical):  # no logarithms needed, and so no digit lost in them
        largest = emission.probabilities.max(axis=0)
        largest = np.where(largest, largest, np.ones_like(largest))
        return np.ascontiguousarray((emission.probabilities / largest).T), np.log(largest), xs
    E, x = log_emissions(emission, xs)
    shift = or_zero(E.max(axis=1))
    return np.exp(E - shift[:, None]), shift, x


# --- draws


def random_rows(rng: np.random.Generator, n: int, size: int, dtype: Any) -> Array:
    """Distributions (n, size), all equally likely."""
    return rng.dirichlet(np.ones(size), n).astype(dtype)


def gaussian_from(rng: np.random.Generator, n_states: int, points: Array) -> Gaussian:
    """Means that are n_states of the points (N, D), and the variances of all points."""
    with np.errstate(over="ignore", invalid="ignore"):  # the caller refuses what is not finite
        variances = np.maximum(points.var(axis=0), smallest_variance(points.dtype))
    means = points[rng.choice(len(points), n_states, replace=False)]
    return Gaussian(means, np.tile(variances, (n_states, 1)))


def sample_emission(rng: np.random.Generator, emission: Emission, states: Indices) -> Any:
    """An observation for each of states (T, B): symbols (T, B) or numbers (T, B, D)."""
    match emission:
        case Categorical(probabilities):
            return draw(rng, probabilities[states])
        case Gaussian(means, variances):
            z = rng.standard_normal((*states.shape, means.shape[1])).astype(means.dtype)
            return means[states] + np.sqrt(variances[states]) * z
        case _:
            assert_never(emission)


# --- re-estimation


def emission_sums(emission: Emission, xs: Array | Indices, posterior: Array) -> Sums:
    """The sums over all steps and sequences that `maximise_emission` needs; posterior (T, B, S) is 0 in padding."""
    gamma = posterior.reshape(-1, posterior.shape[2])
    match emission:
        case Categorical(probabilities):
            (S, V), symbols = probabilities.shape, xs.reshape(-1, 1)
            counts = np.bincount((symbols * S + np.arange(S)).ravel(), weights=gamma.ravel(), minlength=V * S)
            return Categorical(np.ascontiguousarray(counts.reshape(V, S).T, gamma.dtype))
        case Gaussian(means):
            weights, deviations, squares = gamma.sum(axis=0), np.empty_like(means), np.empty_like(means)
            with np.errstate(over="ignore", invalid="ignore"):  # `require_sums` refuses what is not finite
                for d, mean in enumerate(means.T):
                    x = xs[:, :, d].reshape(-1, 1)
                    deviations[:, d] = (gamma * (x - mean)).sum(axis=0)
                    new = mean + quotient(deviations[:, d], weights, np.zeros_like(mean))
                    squares[:, d] = (gamma * (x - new) ** 2).sum(axis=0)
            return GaussianSums(weights, deviations, squares)
        case _:
            assert_never(emission)


def maximise_emission(emission: Emission, sums: Sums, pseudo_count: float) -> Emission:
    """The emission that makes the sums likeliest; a state that was never visited keeps what it had.

    `pseudo_count` is added to the counts of symbols. A variance stays at or above VARIANCE_FLOOR times that of all data, and
    above what rounding leaves of equal numbers; one that was lower before may stay, so that no round lowers the likelihood.
    """
    match emission, sums:
        case Categorical(probabilities), Categorical(counts):
            return Categorical(normalised(counts + pseudo_count, probabilities))
        case Gaussian(), GaussianSums():
            return _maximise_gaussian(emission, sums)
        case _:
            raise TypeError(f"sums of {type(emission).__name__} are a {type(sums).__name__}")


def _maximise_gaussian(emission: Gaussian, sums: GaussianSums) -> Gaussian:
    weights = sums.weights[:, None]
    means = emission.means + quotient(sums.deviations, weights, np.zeros_like(sums.deviations))
    variances = quotient(sums.squares, weights, emission.variances)
    part = normalised(sums.weights, np.zeros_like(sums.weights))
    of_all_data = part @ (variances + (means - part @ means) ** 2)
    rounding = (8 * np.finfo(means.dtype).eps * np.abs(means)) ** 2
    floor = np.minimum(emission.variances, np.maximum(VARIANCE_FLOOR * of_all_data, rounding))
    return Gaussian(means, np.maximum(variances, np.maximum(floor, smallest_variance(means.dtype))))


def smallest_variance(dtype: Any) -> float:
    """Far above 0, so that squares of distances in standard deviations stay finite, and far below any of real data."""
    return float(np.finfo(dtype).tiny ** 0.5)
