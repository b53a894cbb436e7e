"""Markov chains: the next symbol depends on the last one alone (chapter *Why model sequences*; review, section 1).

    p(x^1 ... x^T) = pi[x^1] A[x^1, x^2] ... A[x^(T-1), x^T]           pi = start, A = transition

Each row of A is a distribution over what comes next. Maximum likelihood counts: A[q, w] is the share of w in what followed q.
The stationary distribution p = p A is what a long sequence shows. A chain is the n-gram model of order 2; one whose states
are hidden is in `hmm.py`.

Source: Norris 1997, chapter 1.
"""

from typing import NamedTuple

import numpy as np

from companion.bptt import Mask, require_mask
from companion.tree import Array, Indices
from companion.validate import (
    require_dtype,
    require_float,
    require_indices,
    require_instance,
    require_kind,
    require_range,
    require_shape,
    require_whole,
)

ROUNDING = 1e-5  # what a sum of float32, or of numbers typed with six digits, may miss


class MarkovChain(NamedTuple):
    """Parameters of a chain."""

    start: Array  # (V,) sums to one
    transition: Array  # (V, V) row = from, column = to; rows sum to one


def fit_chain(xs: Indices, n_symbols: int, mask: Mask | None = None, pseudo_count: float = 0.0) -> MarkovChain:
    """Count starts and transitions in sequences xs (T, B), with pseudo_count added to every count.

    A symbol that nothing ever followed has a uniform row. What xs hold where the mask (T, B) is False does not count.
    Raises ValueError unless real symbols are integers in 0 ... n_symbols-1, and pseudo_count is finite and not negative.
    """
    require_whole("fit_chain", "n_symbols", n_symbols, 1)
    require_range("fit_chain", "pseudo_count", pseudo_count, 0, np.inf)
    xs, real = _read("fit_chain", xs, n_symbols, mask)
    counts = np.full((n_symbols, n_symbols), float(pseudo_count))
    np.add.at(counts, (xs[:-1][real[1:]], xs[1:][real[1:]]), 1)
    totals = counts.sum(axis=1, keepdims=True)
    transition = np.where(totals > 0, counts / np.where(totals > 0, totals, 1), 1 / n_symbols)
    start = np.bincount(xs[0], minlength=n_symbols) + pseudo_count
    return MarkovChain(start / start.sum(), transition)


def chain_log_likelihood(chain: MarkovChain, xs: Indices, mask: Mask | None = None) -> Array:
    """(B,) log p(x^1 ... x^T) of sequences xs (T, B), in nats; -inf for one that the chain cannot produce.

    Raises ValueError unless real symbols are integers in 0 ... V-1 and the rows of the chain sum to one.
    """
    _require_chain("chain_log_likelihood", chain)
    xs, real = _read("chain_log_likelihood", xs, len(chain.start), mask)
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
    xs = np.zeros((steps, batch), np.int64)
    rows = np.broadcast_to(chain.start, (batch, len(chain.start)))
    for t in range(steps):
        below = rows.cumsum(axis=1)
        # Divided by their end, which may be one only nearly, they leave no room behind the last symbol that is possible.
        xs[t] = (rng.random((batch, 1)) >= below / below[:, -1:]).sum(axis=1)
        rows = chain.transition[xs[t]]
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
    equations = A.T - np.eye(V)
    equations[-1] = 1  # one of the V follows from the others; the sum of p takes its place
    p: Array = np.linalg.solve(equations, np.eye(V)[-1])
    return np.maximum(p, 0).astype(chain.transition.dtype)  # rounding may leave -1e-17 for a symbol that dies out


def _read(function: str, xs: Indices, n_symbols: int, mask: Mask | None) -> tuple[Indices, Mask]:
    """The symbols, with 0 for padding, and the mask, or True everywhere without one."""
    require_shape(function, "xs", xs, "T", "B")
    real = np.ones(np.shape(xs), bool) if mask is None else mask
    require_mask(function, real, *np.shape(xs))
    xs = np.where(real, xs, np.zeros_like(xs)) if isinstance(xs, np.ndarray) else xs
    require_indices(function, "xs", xs, n_symbols)
    return xs.astype(np.int64), real


def _require_chain(function: str, chain: MarkovChain) -> None:
    require_kind(function, "chain", chain, MarkovChain)
    require_float(function, "chain.start", chain.start)
    require_shape(function, "chain.start", chain.start, "V")
    require_shape(function, "chain.transition", chain.transition, len(chain.start), len(chain.start))
    require_dtype(function, "chain.transition", chain.transition, chain.start.dtype, why="as chain.start")
    require_distributions(function, "chain.start", chain.start)
    require_distributions(function, "chain.transition", chain.transition)


def require_distributions(function: str, name: str, array: Array) -> None:
    """Raise ValueError unless the last axis of an array holds distributions: nothing negative, and a sum of one."""
    if not (array >= 0).all():
        where = tuple(int(k) for k in np.argwhere(~(array >= 0))[0])
        raise ValueError(f"{function}: {name}{list(where)} is {array[where]}, expected a probability")
    sums = array.sum(axis=-1)
    wrong = np.abs(sums - 1) > ROUNDING
    if wrong.any():
        row = [int(k) for k in np.argwhere(wrong)[0]]
        raise ValueError(f"{function}: {name}{row or ''} sums to {sums[tuple(row)]:.6g}, expected 1")
