"""Feedforward network: layers of units, each a nonlinear function of a weighted sum.

Chapter *Neural networks*; review, section 2.

For layers l = 1 ... n with W^l (H_l, H_{l-1}) and b^l (H_l,):

    z^l = h^{l-1} W^l^T + b^l                h^0 = x (B, D)
    h^l = phi(z^l)                           for l < n; the last layer stays linear and gives the logits z^n

    dz^l = dh^l phi'(z^l)                    the error signal of a layer, the review's delta
    dW^l = dz^l^T h^{l-1},  db^l = sum_B dz^l
    dh^{l-1} = dz^l W^l

The backward pass is that of Rumelhart, Hinton and Williams 1986, for softmax and other activations than theirs.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from companion.ops import (
    TANH,
    Activation,
    LinearParams,
    cross_entropy,
    cross_entropy_backward,
    dropout,
    dropout_backward,
    linear,
    linear_backward,
    linear_init,
)
from companion.tree import Array, Indices
from companion.validate import require_indices, require_instance, require_range, require_shape


class FeedforwardParams(NamedTuple):
    """Parameters of `feedforward`."""

    layers: tuple[LinearParams, ...]  # W (H_l, H_{l-1}) and b (H_l,) from the input to the logits


class HiddenCache(NamedTuple):
    """What one hidden layer keeps for the backward pass."""

    x: Array  # (B, H_{l-1}) its input
    h: Array  # (B, H_l) its output before dropout
    mask: Array | None  # (B, H_l) dropout mask, or None


class FeedforwardCache(NamedTuple):
    """What `feedforward` keeps for the backward pass."""

    hidden: tuple[HiddenCache, ...]
    last: Array  # (B, H_{n-1}) input of the last layer
    activation: Activation


def feedforward_init(rng: np.random.Generator, sizes: tuple[int, ...], dtype: Any = np.float64) -> FeedforwardParams:
    """Random weights for a network of these layer sizes, from input to output: (64, 32, 10) has one hidden layer.

    Raises ValueError for fewer than two sizes, or a size below 1.
    """
    require_instance("feedforward_init", "rng", rng, np.random.Generator, "such as np.random.default_rng(0)")
    if len(sizes) < 2 or not all(isinstance(n, int | np.integer) and n >= 1 for n in sizes):
        raise ValueError(f"feedforward_init: sizes is {sizes}, expected two or more sizes of at least 1")
    layers = tuple(linear_init(rng, n_in, n_out, dtype) for n_in, n_out in pairwise(sizes))
    return FeedforwardParams(layers)


def feedforward(
    params: FeedforwardParams,
    x: Array,
    activation: Activation = TANH,
    dropout_rate: float = 0.0,
    rng: np.random.Generator | None = None,
) -> tuple[Array, FeedforwardCache]:
    """Logits (B, K) of inputs x (B, D), and the cache. With dropout_rate > 0, `rng` drops out every hidden layer.

    Raises ValueError when x does not fit the first layer, or for a dropout_rate outside [0, 1) or without `rng`.
    """
    require_instance("feedforward", "activation", activation, Activation, "such as ops.RELU")
    require_range("feedforward", "dropout_rate", dropout_rate, 0, 1)
    if dropout_rate and rng is None:
        raise ValueError(f"feedforward: dropout_rate is {dropout_rate} but rng is None, expected a np.random.Generator")
    caches = []
    for layer in params.layers[:-1]:
        z, cache = linear(layer, x)
        h = activation.forward(z)
        x, mask = dropout(h, dropout_rate, rng) if rng is not None and dropout_rate else (h, None)
        caches.append(HiddenCache(cache, h, mask))
    logits, last = linear(params.layers[-1], x)
    return logits, FeedforwardCache(tuple(caches), last, activation)


def feedforward_backward(
    params: FeedforwardParams, cache: FeedforwardCache, dy: Array
) -> tuple[FeedforwardParams, Array]:
    """Backpropagation: gradients of the parameters and of x (B, D) from the gradient dy (B, K) of the logits.

    Raises ValueError when the cache or dy belongs to another network.
    """
    if len(cache.hidden) != len(params.layers) - 1:
        raise ValueError(
            f"feedforward_backward: cache holds {len(cache.hidden)} hidden layers, "
            f"expected {len(params.layers) - 1} from params"
        )
    dlast, dx = linear_backward(params.layers[-1], cache.last, dy)
    grads = [dlast]
    for layer, kept in zip(reversed(params.layers[:-1]), reversed(cache.hidden), strict=True):
        dh = dx if kept.mask is None else dropout_backward(kept.mask, dx)
        dz = cache.activation.backward(kept.h, dh)
        dlayer, dx = linear_backward(layer, kept.x, dz)
        grads.append(dlayer)
    return FeedforwardParams(tuple(reversed(grads))), dx


def classification_loss(
    params: FeedforwardParams,
    x: Array,
    labels: Indices,
    activation: Activation = TANH,
    dropout_rate: float = 0.0,
    rng: np.random.Generator | None = None,
) -> tuple[float, FeedforwardParams]:
    """Mean cross-entropy in nats of x (B, D) with labels (B,), and its gradient with respect to the parameters."""
    logits, cache = feedforward(params, x, activation, dropout_rate, rng)
    loss, loss_cache = cross_entropy(logits, labels)
    grads, _ = feedforward_backward(params, cache, cross_entropy_backward(loss_cache))
    return loss, grads


def accuracy(params: FeedforwardParams, x: Array, labels: Indices, activation: Activation = TANH) -> float:
    """Fraction of inputs x (B, D) whose largest logit is at the label (B,).

    Raises ValueError as `cross_entropy` does.
    """
    logits, _ = feedforward(params, x, activation)
    require_shape("accuracy", "labels", labels, len(x), why="one label for each row of x")
    require_indices("accuracy", "labels", labels, logits.shape[1])
    return float((logits.argmax(axis=1) == labels).mean())
