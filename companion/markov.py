"""Markov chains: the next symbol depends on the last one alone (chapter *Why model sequences*; review, section 1).

    p(x^1 ... x^T) = pi[x^1] A[x^1, x^2] ... A[x^(T-1), x^T]           pi = start, A = transition

Each row of A is a distribution over what comes next. Maximum likelihood counts: A[q, w] is the share of w in what followed q.
The stationary distribution p = p A is what a long sequence shows. A chain is the n-gram model of order 2; one whose states
are hidden is in `hmm.py`.

Sources: Norris 1997, chapter 1; Grassmann, Taksar and Heyman 1985 (elimination without a difference, for `stationary`).
"""

from typing import NamedTuple

import numpy as np

from companion.bptt import Mask, require_mask
from companion.tree import Array, Indices
from companion.validate import (
    PSEUDO_COUNT_LIMIT,
    require_distributions,
    require_dtype,
    require_float,
    require_indices,
    require_instance,
    require_kind,
    require_range,
    require_shape,
    require_whole,
)


class MarkovChain(NamedTuple):
    """Parameters of a chain."""

    start: Array  # (V,) sums to one
    transition: Array  # (V, V) row = from, column = to; rows sum to one


def fit_chain(xs: Indices, n_symbols: int, mask: Mask | None = None, pseudo_count: float = 0.0) -> MarkovChain:
    """Count starts and transitions in sequences xs (T, B), with pseudo_count added to every count.

    A symbol that nothing ever followed has a uniform row. What xs hold where the mask (T, B) is False does not count.
    Raises ValueError unless real symbols are integers in 0 ... n_symbols-1, and pseudo_count lies in [0, 1e30).
    """
    require_whole("fit_chain", "n_symbols", n_symbols, 1)
    require_range("fit_chain", "pseudo_count", pseudo_count, 0, PSEUDO_COUNT_LIMIT)
    xs, real = read_symbols("fit_chain", "xs", xs, n_symbols, mask)
    start, transition = (np.full(shape, float(pseudo_count)) for shape in (n_symbols, (n_symbols, n_symbols)))
    np.add.at(start, xs[0], 1)
    np.add.at(transition, (xs[:-1][real[1:]], xs[1:][real[1:]]), 1)
    return MarkovChain(normalised(start), normalised(transition))


def chain_log_likelihood(chain: MarkovChain, xs: Indices, mask: Mask | None = None) -> Array:
    """(B,) log p(x^1 ... x^T) of sequences xs (T, B), in nats; -inf for one that the chain cannot produce.

    Raises ValueError unless real symbols are integers in 0 ... V-1 and the rows of the chain sum to one.
    """
    _require_chain("chain_log_likelihood", chain)
    xs, real = read_symbols("chain_log_likelihood", "xs", xs, len(chain.start), mask)
    steps = np.where(real[1:], chain.transition[xs[:-1], xs[1:]], 1)
    with np.errstate(divide="ignore"):
        logs: Array = np.log(chain.start[xs[0]]) + np.log(steps).sum(axis=0)
    return logs


def sample_chain(rng: np.random.Generator, chain: MarkovChain, steps: int, batch: int) -> Indices:
    """Draw sequences (T, B). Raises ValueError unless both sizes are at least 1 and the rows of the chain sum to one."""
    require_instance("sample_chain", "rng", rng, np.random.Generator, "such as np.random.default_rng(0)")
    require_whole("sample_chain", "steps", steps, 1)
    require_whole("sample_chain", "batch", batch, 1)
    _require_chain("sample_chain", chain)
    xs = np.empty((steps, batch), np.int64)
    xs[0] = draw(rng, np.tile(chain.start, (batch, 1)))
    for t in range(1, steps):
        xs[t] = draw(rng, chain.transition[xs[t - 1]])
    return xs


def stationary(chain: MarkovChain) -> Array:
    """(V,) the distribution p with p = p A.

    Raises ValueError unless the rows of the chain sum to one and p is the only such distribution, which needs one symbol
    that all others can lead to.
    """
    _require_chain("stationary", chain)
    A = chain.transition.astype(np.float64)
    V = len(A)
    reachable = (A > 0) | np.eye(V, dtype=bool)
    for _ in range(V.bit_length()):  # each round doubles the number of steps
        reachable = reachable.astype(np.float64) @ reachable > 0
    if not reachable.all(axis=0).any():
        raise ValueError(
            "stationary: chain.transition has parts that never lead to each other, expected a symbol that every symbol "
            "can lead to: else there are many stationary distributions"
        )
    # The first symbol is one that all lead to: then the others can be left out, one after the other, from the last on.
    order = np.argsort(~reachable.all(axis=0), kind="stable")
    A, leaving, p = A[np.ix_(order, order)], np.zeros(V), np.ones(1)
    for n in range(V - 1, 0, -1):  # the chain as seen only while it is in 0 ... n-1
        leaving[n] = max(A[n, :n].sum(), np.finfo(np.float64).smallest_subnormal)
        A[:n, :n] += np.outer(A[:n, n], A[n, :n] / leaving[n])
    for n in range(1, V):  # as often as n is left, it is entered
        p = np.append(p * leaving[n], p @ A[:n, n])
        p /= p.sum()
    return p[np.argsort(order)].astype(chain.transition.dtype)


# --- shared with other models that count, and that draw


def read_symbols(
    function: str,
    name: str,
    xs: Indices,
    n_symbols: int,
    mask: Mask | None,
    axes: tuple[int | str, ...] = ("T", "B"),
    why: str = "",
) -> tuple[Indices, Mask]:
    """Symbols (T, B), with 0 for padding, and the mask, True everywhere without one; ValueError for what does not fit."""
    require_kind(function, name, xs, np.ndarray)
    require_shape(function, name, xs, *axes, why=why)
    real = np.ones(xs.shape, bool) if mask is None else mask
    require_mask(function, real, *xs.shape)
    xs = np.where(real, xs, np.zeros_like(xs))
    require_indices(function, name, xs, n_symbols)
    return xs.astype(np.int64), real


def normalised(counts: Array, old: Array | None = None) -> Array:
    """Rows (..., K) of counts divided by their sums; a row without counts keeps the old probabilities, or is uniform."""
    if old is None:
        old = np.full_like(counts, 1 / counts.shape[-1])
    return quotient(counts, counts.sum(axis=-1, keepdims=True), old)


def quotient(sums: Array, weights: Array, old: Array) -> Array:
    """The quotient, or the old value where there is no weight, or one too small for a quotient with any digits."""
    visited = weights > np.finfo(weights.dtype).tiny
    return np.where(visited, sums / np.where(visited, weights, np.ones_like(weights)), old)


def draw(rng: np.random.Generator, probabilities: Array) -> Indices:
    """One index from every row (..., K) of probabilities, never one of probability 0."""
    levels = np.cumsum(probabilities, axis=-1, dtype=np.float64)
    levels /= levels[..., -1:]  # exactly 1 from the last possible index on, and random() is below 1
    drawn: Indices = (levels <= rng.random((*levels.shape[:-1], 1))).sum(axis=-1)
    return drawn


def _require_chain(function: str, chain: MarkovChain) -> None:
    require_kind(function, "chain", chain, MarkovChain)
    require_float(function, "chain.start", chain.start)
    require_shape(function, "chain.start", chain.start, "V")
    require_shape(function, "chain.transition", chain.transition, len(chain.start), len(chain.start))
    require_dtype(function, "chain.transition", chain.transition, chain.start.dtype, why="as chain.start")
    require_distributions(function, "chain.start", chain.start)
    require_distributions(function, "chain.transition", chain.transition)
