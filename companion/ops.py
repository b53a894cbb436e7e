"""The operations that networks are made of, each with its backward pass (chapter *Neural networks*; review, section 2).

A backward pass takes what the forward pass kept and `dy`, the gradient of the loss with respect to the output, and
returns gradients with respect to the inputs. Letters: B batch, D inputs, H units, K classes, V vocabulary. Elementwise
functions keep their *output* y, because their slopes are simplest in it:

    sigmoid   y = 1 / (1 + e^-z)        dz = dy y (1 - y)
    tanh      y = tanh(z)               dz = dy (1 - y^2)
    ReLU      y = max(z, 0)             dz = dy [y > 0]
    softmax   y_k = e^(z_k) / sum e^z   dz = y (dy - sum_k dy_k y_k)
    linear    y = x W^T + b             dW = dy^T x,  db = sum_B dy,  dx = dy W

A loss is a mean, over the batch or over all entries. Sources: Goodfellow et al. 2016, chapter 6; dropout from Srivastava
et al. 2014.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from companion.tree import Array, Indices
from companion.validate import (
    require_dtype,
    require_float,
    require_indices,
    require_instance,
    require_range,
    require_shape,
)

# --- activations


def sigmoid(z: Array) -> Array:
    """Logistic function, any shape. Written with tanh, which does not overflow for any z."""
    require_float("sigmoid", "z", z)
    y: Array = 0.5 * (1 + np.tanh(0.5 * z))
    return y


def sigmoid_backward(y: Array, dy: Array) -> Array:
    """Gradient dz from the output y = sigmoid(z)."""
    require_shape("sigmoid_backward", "dy", dy, *y.shape, why="as y")
    return dy * y * (1 - y)


def tanh(z: Array) -> Array:
    """Hyperbolic tangent, any shape."""
    require_float("tanh", "z", z)
    return np.tanh(z)


def tanh_backward(y: Array, dy: Array) -> Array:
    """Gradient dz from the output y = tanh(z)."""
    require_shape("tanh_backward", "dy", dy, *y.shape, why="as y")
    return dy * (1 - y**2)


def relu(z: Array) -> Array:
    """Rectified linear unit max(z, 0), any shape."""
    require_float("relu", "z", z)
    return np.maximum(z, 0)


def relu_backward(y: Array, dy: Array) -> Array:
    """Gradient dz from the output y = relu(z); the slope at z = 0 is taken as 0, as PyTorch does."""
    require_shape("relu_backward", "dy", dy, *y.shape, why="as y")
    return dy * (y > 0)


def _require_classes(function: str, name: str, z: Array) -> None:
    if z.ndim == 0 or z.shape[-1] == 0:
        raise ValueError(f"{function}: {name} has shape {z.shape}, expected (..., K) with K at least 1")


class Activation(NamedTuple):
    """An elementwise function and its backward pass."""

    forward: Callable[[Array], Array]  # z -> y
    backward: Callable[[Array, Array], Array]  # (y, dy) -> dz


SIGMOID = Activation(sigmoid, sigmoid_backward)
TANH = Activation(tanh, tanh_backward)
RELU = Activation(relu, relu_backward)


def softmax(z: Array) -> Array:
    """Probabilities along the last axis: z (..., K) -> y (..., K). Subtracting the largest z keeps e^z <= 1."""
    require_float("softmax", "z", z)
    _require_classes("softmax", "z", z)
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    y: Array = e / e.sum(axis=-1, keepdims=True)
    return y


def softmax_backward(y: Array, dy: Array) -> Array:
    """Gradient dz (..., K) from the output y = softmax(z): every dy_k reaches every z through the common sum."""
    require_shape("softmax_backward", "dy", dy, *y.shape, why="as y")
    through_sum: Array = (dy * y).sum(axis=-1, keepdims=True)
    return y * (dy - through_sum)


def log_softmax(z: Array) -> Array:
    """Logarithm of softmax along the last axis, without the detour over probabilities that round to 0."""
    require_float("log_softmax", "z", z)
    _require_classes("log_softmax", "z", z)
    shifted = z - z.max(axis=-1, keepdims=True)
    log_y: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return log_y


def log_softmax_backward(log_y: Array, dy: Array) -> Array:
    """Gradient dz (..., K) from the output log_y = log_softmax(z)."""
    require_shape("log_softmax_backward", "dy", dy, *log_y.shape, why="as log_y")
    dz: Array = dy - np.exp(log_y) * dy.sum(axis=-1, keepdims=True)
    return dz


# --- layers


class LinearParams(NamedTuple):
    """Parameters of `linear`."""

    W: Array  # (H, D) weights, rows are output units
    b: Array  # (H,) biases


def linear_init(rng: np.random.Generator, n_in: int, n_out: int, dtype: Any = np.float64) -> LinearParams:
    """Uniform weights in +-sqrt(6 / (n_in + n_out)) and zero biases (Glorot and Bengio 2010, eq. 16).

    Raises ValueError unless both sizes are whole numbers of at least 1 and dtype is floating-point.
    """
    require_instance("linear_init", "rng", rng, np.random.Generator, "such as np.random.default_rng(0)")
    if not np.issubdtype(dtype, np.floating):
        raise ValueError(f"linear_init: dtype is {np.dtype(dtype)}, expected a floating-point type")
    if not all(isinstance(n, int | np.integer) and n >= 1 for n in (n_in, n_out)):
        raise ValueError(f"linear_init: n_in, n_out are {n_in}, {n_out}, expected whole numbers of at least 1")
    limit = np.sqrt(6 / (n_in + n_out))
    return LinearParams(rng.uniform(-limit, limit, (n_out, n_in)).astype(dtype), np.zeros(n_out, dtype))


def linear(params: LinearParams, x: Array) -> tuple[Array, Array]:
    """Affine map y = x W^T + b: x (B, D) -> y (B, H), and x again as the cache.

    Raises ValueError when x is not (B, D) with B >= 1, or its dtype is not that of the parameters.
    """
    require_shape("linear", "x", x, "B", params.W.shape[1], why="from params.W")
    require_shape("linear", "params.b", params.b, params.W.shape[0], why="from params.W")
    require_dtype("linear", "params.b", params.b, params.W.dtype, why="as params.W")
    require_dtype("linear", "x", x, params.W.dtype, why="as params.W")
    return x @ params.W.T + params.b, x


def linear_backward(params: LinearParams, cache: Array, dy: Array) -> tuple[LinearParams, Array]:
    """Gradients of the parameters and of x (B, D) from dy (B, H); raises ValueError when dy has another shape."""
    require_shape("linear_backward", "dy", dy, len(cache), params.W.shape[0], why="as y")
    return LinearParams(W=dy.T @ cache, b=dy.sum(axis=0)), dy @ params.W


def embedding(table: Array, ids: Indices) -> tuple[Array, Indices]:
    """Look up rows: table (V, D) and integers ids (...) -> y (..., D), and ids again as the cache.

    Raises ValueError when ids are not integers in 0 ... V-1.
    """
    require_indices("embedding", "ids", ids, len(table))
    return table[ids], ids


def embedding_backward(table: Array, cache: Indices, dy: Array) -> Array:
    """Gradient of the table (V, D): a row that was looked up twice receives the sum of both gradients."""
    require_shape("embedding_backward", "dy", dy, *cache.shape, table.shape[1], why="as y")
    dtable = np.zeros_like(table)
    np.add.at(dtable, cache, dy)  # `dtable[ids] += dy` would keep only the last of repeated ids
    return dtable


def dropout(x: Array, rate: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Inverted dropout (Srivastava et al. 2014): set entries to 0 with probability `rate`, divide the rest by 1 - rate.

    Returns y, with the expectation of x, and the mask of 0 and 1 / (1 - rate). For evaluation, do not call it. Raises
    ValueError for a rate outside [0, 1) or an x that is not floating-point.
    """
    require_float("dropout", "x", x)
    require_range("dropout", "rate", rate, 0, 1)
    require_instance("dropout", "rng", rng, np.random.Generator, "such as np.random.default_rng(0)")
    mask = (rng.random(x.shape) >= rate).astype(x.dtype) / np.asarray(1 - rate, x.dtype)
    return x * mask, mask


def dropout_backward(mask: Array, dy: Array) -> Array:
    """Gradient dx from the mask that the forward pass drew."""
    require_shape("dropout_backward", "dy", dy, *mask.shape, why="as the mask")
    return dy * mask


# --- losses


class LossCache(NamedTuple):
    """What the losses keep: their gradient for a unit dloss is `difference / n`."""

    difference: Array  # the slope of the sum: prediction minus target, twice that for squared errors
    n: int  # what the mean was taken over


def cross_entropy(logits: Array, labels: Indices) -> tuple[float, LossCache]:
    """Mean of -log softmax(logits)[label], in nats: logits (B, K), integer labels (B,) in 0 ... K-1.

    Raises ValueError for an empty batch, labels of another length, or labels out of range.
    """
    require_float("cross_entropy", "logits", logits)
    require_shape("cross_entropy", "logits", logits, "B", "K")
    require_shape("cross_entropy", "labels", labels, len(logits), why="one label for each row of logits")
    require_indices("cross_entropy", "labels", labels, logits.shape[1])
    rows = np.arange(len(labels))
    loss = -log_softmax(logits)[rows, labels].mean()
    difference = softmax(logits)
    difference[rows, labels] -= 1
    return float(loss), LossCache(difference, len(labels))


def cross_entropy_backward(cache: LossCache, dloss: float = 1.0) -> Array:
    """Gradient of the logits (B, K): predicted probability minus 1 at the label, over B."""
    return cache.difference * (float(dloss) / cache.n)


def binary_cross_entropy(logits: Array, targets: Array) -> tuple[float, LossCache]:
    """Mean over all entries of -t log y - (1 - t) log(1 - y), y = sigmoid(logit), in nats; targets t in [0, 1].

    Raises ValueError when targets have not the shape and dtype of the logits, or are not in [0, 1].
    """
    require_float("binary_cross_entropy", "logits", logits)
    require_shape("binary_cross_entropy", "targets", targets, *logits.shape, why="as logits")
    require_dtype("binary_cross_entropy", "targets", targets, logits.dtype, why="as logits")
    for extreme in (targets.min(), targets.max()):
        require_range("binary_cross_entropy", "an entry of targets", extreme, 0, 1, "[]")
    loss = (np.maximum(logits, 0) - logits * targets + np.log1p(np.exp(-np.abs(logits)))).mean()
    return float(loss), LossCache(sigmoid(logits) - targets, logits.size)


def binary_cross_entropy_backward(cache: LossCache, dloss: float = 1.0) -> Array:
    """Gradient of the logits, in their shape: (sigmoid(logit) - target) over the number of entries, times dloss."""
    return cache.difference * (float(dloss) / cache.n)


def mean_squared_error(y: Array, targets: Array) -> tuple[float, LossCache]:
    """Mean over all entries of (y - target)^2, any shape.

    Raises ValueError when targets have not the shape and dtype of y.
    """
    require_float("mean_squared_error", "y", y)
    require_shape("mean_squared_error", "targets", targets, *y.shape, why="as y")
    require_dtype("mean_squared_error", "targets", targets, y.dtype, why="as y")
    difference = y - targets
    return float((difference**2).mean()), LossCache(2 * difference, y.size)


def mean_squared_error_backward(cache: LossCache, dloss: float = 1.0) -> Array:
    """Gradient of y, in its shape: 2 (y - target) over the number of entries, times dloss."""
    return cache.difference * (float(dloss) / cache.n)
