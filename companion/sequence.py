"""A recurrent layer with a linear layer on top: labels for every step of a sequence, or one answer at its end.

Chapters *Recurrent networks* to *Bidirectional networks*; review, section 3. With ys from a recurrent layer,

    logits^t = y^t W_y^T + b_y                    at every step (T, B, K), or only at the last real step of each sequence (B, K)
    L = mean over the real steps of all sequences of -log softmax(logits^t)[label^t]

A padded step has no label and no share in the mean. `cell` is a cell or a layer; for both directions, `both_ways(cell)`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from companion.bptt import Cell, Layer, Mask, as_layer, require_mask
from companion.ops import LinearParams, cross_entropy, cross_entropy_backward, linear, linear_backward
from companion.tree import Array, Indices
from companion.validate import (
    require_dtype,
    require_finite,
    require_float,
    require_indices,
    require_kind,
    require_shape,
)


class SequenceParams(NamedTuple):
    """Parameters of `predict`."""

    recurrent: Any  # of the cell or layer
    output: LinearParams  # W (K, H) and b (K,)


class SequenceCache(NamedTuple):
    """What `predict` keeps for the way back."""

    recurrent: Any
    output: Array  # (T * B, H)
    steps: int  # T


def predict(
    cell: Cell | Layer, params: SequenceParams, xs: Array, state: Any = None, mask: Mask | None = None
) -> tuple[Array, Any, SequenceCache]:
    """Logits (T, B, K) of every step of xs (T, B, D), the last state, the cache.

    Raises ValueError as `bptt.unroll` does, and for output weights that do not fit the width of the layer below.
    """
    require_kind("predict", "params", params, SequenceParams)
    ys, last, recurrent = as_layer(cell).forward(params.recurrent, xs, state, mask)
    steps, batch, width = ys.shape
    require_shape("predict", "params.output.W", params.output.W, "K", width, why="from the outputs of the layer below")
    logits, output = linear(params.output, ys.reshape(steps * batch, width))
    return logits.reshape(steps, batch, -1), last, SequenceCache(recurrent, output, steps)


def predict_backward(
    cell: Cell | Layer, params: SequenceParams, cache: SequenceCache, dlogits: Array, dstate: Any = None
) -> tuple[SequenceParams, Array, Any]:
    """Gradients of the parameters, of xs (T, B, D) and of the initial state, from dlogits (T, B, K) and the last state's.

    Raises ValueError when dlogits have another shape or dtype than the logits, or are not finite.
    """
    batch = len(cache.output) // cache.steps
    require_shape("predict_backward", "dlogits", dlogits, cache.steps, batch, len(params.output.b), why="as logits")
    require_dtype("predict_backward", "dlogits", dlogits, params.output.W.dtype, why="as logits")
    require_finite("predict_backward", "dlogits", dlogits)
    doutput, dys = linear_backward(params.output, cache.output, dlogits.reshape(len(cache.output), -1))
    drecurrent, dxs, dfirst = as_layer(cell).backward(
        params.recurrent, cache.recurrent, dys.reshape(cache.steps, batch, -1), dstate
    )
    return SequenceParams(drecurrent, doutput), dxs, dfirst


def labelling_loss(
    cell: Cell | Layer, params: SequenceParams, xs: Array, labels: Indices, mask: Mask | None = None, state: Any = None
) -> tuple[float, SequenceParams, Any]:
    """Mean cross-entropy of all real steps in nats, the gradient of the parameters, and the last state.

    labels (T, B) are integers in 0 ... K-1 wherever the mask is True; elsewhere they do not count. Raises ValueError for
    labels of another shape or out of range, and as `predict` does. The last state lets a longer sequence go on.
    """
    logits, last, cache = predict(cell, params, xs, state, mask)
    real = _real_steps("labelling_loss", logits, labels, mask)
    loss, loss_cache = cross_entropy(logits[real], labels[real])
    dlogits = np.zeros_like(logits)
    dlogits[real] = cross_entropy_backward(loss_cache)
    grads, _, _ = predict_backward(cell, params, cache, dlogits)
    return loss, grads, last


def final_loss(
    cell: Cell | Layer,
    params: SequenceParams,
    xs: Array,
    targets: Any,
    mask: Mask | None = None,
    loss: Callable[..., tuple[float, Any]] = cross_entropy,
    loss_backward: Callable[..., Array] = cross_entropy_backward,
) -> tuple[float, SequenceParams]:
    """Loss of one answer a sequence, at its last real step, and the gradient of the parameters.

    `targets` are what `loss` compares logits (B, K) with: labels (B,) for the cross-entropy, numbers (B, K) for
    `mean_squared_error` with `mean_squared_error_backward`. With `both_ways`, the backward half has read no more than that one
    step. Raises ValueError as `predict` and `loss` do.
    """
    logits, _, cache = predict(cell, params, xs, None, mask)
    at = last_steps(mask, *xs.shape[:2])
    value, loss_cache = loss(logits[at], targets)
    dlogits = np.zeros_like(logits)
    dlogits[at] = loss_backward(loss_cache)
    return value, predict_backward(cell, params, cache, dlogits)[0]


def last_steps(mask: Mask | None, steps: int, batch: int) -> tuple[Indices, Indices]:
    """Indices (t, b) of the last real step of every sequence, to pick it out of an array (T, B, ...)."""
    if mask is None:
        return np.full(batch, steps - 1), np.arange(batch)
    require_mask("last_steps", mask, steps, batch)
    return mask.sum(axis=0) - 1, np.arange(batch)


def labelling_accuracy(logits: Array, labels: Indices, mask: Mask | None = None) -> float:
    """Fraction of the real steps of logits (T, B, K) whose largest logit is at the label (T, B).

    Raises ValueError as `labelling_loss` does.
    """
    require_float("labelling_accuracy", "logits", logits)
    require_shape("labelling_accuracy", "logits", logits, "T", "B", "K")
    require_finite("labelling_accuracy", "logits", logits)
    real = _real_steps("labelling_accuracy", logits, labels, mask)
    return float((logits.argmax(axis=2) == labels)[real].mean())


def _real_steps(function: str, logits: Array, labels: Indices, mask: Mask | None) -> Mask:
    """The mask, or True everywhere without one; raises ValueError unless every real step has a label in 0 ... K-1."""
    steps, batch, classes = logits.shape
    require_shape(function, "labels", labels, steps, batch, why="one label for each step and sequence")
    real = np.ones((steps, batch), bool) if mask is None else mask
    require_mask(function, real, steps, batch)
    counted = np.where(real, labels, np.zeros_like(labels)) if isinstance(labels, np.ndarray) else labels
    require_indices(function, "labels", counted, classes)
    return real
