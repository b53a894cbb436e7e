"""Log-linear language model: the next symbol from the symbols before it, each with a vote of its own.

Chapter *Why model sequences*. The model of Neubig (2017), arXiv 1703.01619, section 4: features of the context give scores,
the softmax makes them probabilities, gradient descent on the negative log-likelihood learns the weights. The features here
are which symbol stands at each of the n-1 places before. A start mark, numbered V, stands before the first symbol.

    logits^t = b + sum_j W_j[x^(t-j)]                   j = 1 ... n-1: row x^(t-j) of the matrix of place j
    p(x^t | x^(t-1) ... x^(t-n+1)) = softmax(logits^t)

    dW_j[q] = sum of dlogits^t over the steps with x^(t-j) = q
    db = sum_t dlogits^t

Letters: N symbols to predict, n the order (as of an n-gram, the predicted symbol counts), V vocabulary. Votes are added, so
what the model cannot do is let one place change the meaning of another; an n-gram can.
"""

from typing import Any, NamedTuple

import numpy as np

from companion.ops import embedding_backward
from companion.tree import Array, Indices
from companion.validate import (
    require_dtype,
    require_float,
    require_indices,
    require_kind,
    require_shape,
    require_sizes,
    require_whole,
)


class LogLinearParams(NamedTuple):
    """Parameters of `log_linear`."""

    W: Array  # (n-1, V+1, V) W[j-1, q, v]: how much symbol q, j places back, speaks for v; row V is the start mark
    b: Array  # (V,)


def log_linear_init(rng: np.random.Generator, order: int, n_symbols: int, dtype: Any = np.float64) -> LogLinearParams:
    """Normal weights of standard deviation 0.01 and zero biases.

    The loss is convex, so that the start does not decide where training ends; but what is never met in training keeps its
    weights, and so they are small. Raises ValueError unless both sizes are whole numbers of at least 1.
    """
    require_sizes("log_linear_init", rng, dtype, order=order, n_symbols=n_symbols)
    W = rng.normal(0, 0.01, (order - 1, n_symbols + 1, n_symbols)).astype(dtype)
    return LogLinearParams(W, np.zeros(n_symbols, dtype))


def contexts(ids: Indices, order: int, n_symbols: int) -> Indices:
    """(N, n-1) what stands before each of the symbols ids (N,): in column j-1 the one j places back, V before the start.

    Raises ValueError unless ids are integers (N,) in 0 ... V-1, at least one, and order >= 1.
    """
    require_whole("contexts", "order", order, 1)
    require_whole("contexts", "n_symbols", n_symbols, 1)
    require_shape("contexts", "ids", ids, "N")
    require_indices("contexts", "ids", ids, n_symbols)
    padded = np.concatenate([np.full(order - 1, n_symbols), ids.astype(np.int64)])
    before: Indices = np.lib.stride_tricks.sliding_window_view(padded, order)[:, -2::-1]
    return before.copy()


def log_linear(params: LogLinearParams, contexts: Indices) -> tuple[Array, Indices]:
    """Logits (N, V) of the symbol after each context (N, n-1), and the contexts again as the cache.

    Raises ValueError for parameters that do not fit each other, or contexts that are not integers (N, n-1) in 0 ... V.
    """
    places, V = _require("log_linear", params)
    require_contexts("log_linear", "contexts", contexts, places, V)
    logits = np.tile(params.b, (len(contexts), 1))
    for W_j, before in zip(params.W, contexts.T):
        logits += W_j[before]
    return logits, contexts


def log_linear_backward(params: LogLinearParams, cache: Indices, dlogits: Array) -> LogLinearParams:
    """Gradients of the parameters from those of the logits (N, V).

    Raises ValueError when these have another shape or dtype, or the cache holds no contexts that fit the parameters.
    """
    places, V = _require("log_linear_backward", params)
    require_contexts("log_linear_backward", "cache", cache, places, V)
    require_shape("log_linear_backward", "dlogits", dlogits, len(cache), V, why="as logits")
    require_dtype("log_linear_backward", "dlogits", dlogits, params.b.dtype, why="as params.b")
    dW = np.empty_like(params.W)
    for dW_j, W_j, before in zip(dW, params.W, cache.T):
        dW_j[...] = embedding_backward(W_j, before, dlogits)
    return LogLinearParams(W=dW, b=dlogits.sum(axis=0))


def require_contexts(function: str, name: str, contexts: Indices, places: int, n_symbols: int) -> None:
    """Raise ValueError unless contexts are integers (N, places) in 0 ... V, at least one row."""
    require_kind(function, name, contexts, np.ndarray)
    if contexts.ndim != 2 or contexts.shape[1] != places or not len(contexts):
        raise ValueError(
            f"{function}: {name} has shape {contexts.shape}, expected (N, {places}) from params.W, N at least 1"
        )
    if contexts.size or not np.issubdtype(contexts.dtype, np.integer):  # without places there is nothing but a dtype
        require_indices(function, name, contexts, n_symbols + 1)


def _require(function: str, params: LogLinearParams) -> tuple[int, int]:
    """The number n-1 of places and the number V of symbols; raises ValueError unless W is (n-1, V+1, V) and b is (V,)."""
    require_kind(function, "params", params, LogLinearParams)
    require_float(function, "params.b", params.b)
    require_shape(function, "params.b", params.b, "V")
    (V,) = params.b.shape
    require_dtype(function, "params.W", params.W, params.b.dtype, why="as params.b")
    if params.W.ndim != 3 or params.W.shape[1:] != (V + 1, V):
        raise ValueError(f"{function}: params.W has shape {params.W.shape}, expected (n-1, {V + 1}, {V}) from params.b")
    return len(params.W), V
