"""Elman's network over whole sequences: the results of `unroll(rnn.Elman, ...)`, several times as fast (ideas in `fast.blocks`).

h = phi([W_x b W_h] [x; 1; h'])          dz = (dy + W_h^T dz of the step after) phi'(z), with phi' for a block at once
"""

from functools import partial
from typing import NamedTuple

import numpy as np

from companion.bptt import Layer, Mask
from companion.fast.blocks import Kind, begin, begin_backward, columns, for_steps, last, spans, stacked
from companion.ops import TANH, Activation
from companion.rnn import ElmanParams, ElmanState, elman_init, elman_initial_state
from companion.tree import Array

KIND = Kind(ElmanParams, ElmanState, elman_initial_state, gates=1)


class ElmanSequenceCache(NamedTuple):
    """What `elman_sequence` keeps for the way back."""

    blocks: tuple[Array, ...]  # of n steps each: (n + 1, D + 1 + H, B) rows x, 1, h before the step
    mask: Mask | None  # (T, B)


def elman_sequence(
    params: ElmanParams,
    xs: Array,
    state: ElmanState | None = None,
    mask: Mask | None = None,
    activation: Activation = TANH,
) -> tuple[Array, ElmanState, ElmanSequenceCache]:
    """Outputs ys (T, B, H) for xs (T, B, D), the last state, the cache; arguments, results and errors as in `bptt.unroll`."""
    (h,) = begin("elman_sequence", KIND, params, xs, state, mask)
    (T, B, _), H = xs.shape, h.shape[1]
    W = for_steps(np.column_stack([params.W_x, params.b, params.W_h]), B)
    ys, blocks = np.empty((T, B, H), xs.dtype), []
    for span in spans(T, B):
        xh, real = stacked(xs[span], h), None if mask is None else mask[span]
        _forward(W, xh, xh[1:, -H:], activation, real)
        blocks.append(xh)
        ys[span] = xh[1:, -H:].transpose(0, 2, 1)
        h = last(xh[:, -H:], real)
    if mask is not None:
        ys[~mask], mask = 0, mask.copy()
    return ys, ElmanState(h), ElmanSequenceCache(tuple(blocks), mask)


def _forward(W: Array, xh: Array, hs: Array, activation: Activation, real: Mask | None) -> None:
    """Fill the hidden values of a block whose inputs and first state are there."""
    if activation is TANH:  # np.tanh can write in place
        for x, h in zip(xh, hs):
            W.dot(x, out=h)
            np.tanh(h, out=h)
        return
    for t, (x, h) in enumerate(zip(xh, hs)):
        h[...] = activation.forward(W.dot(x))
        if real is not None:  # values that may grow without limit must not do so on padding
            np.copyto(h, 0, where=~real[t])


def elman_sequence_backward(
    params: ElmanParams,
    cache: ElmanSequenceCache,
    dys: Array,
    dstate: ElmanState | None = None,
    activation: Activation = TANH,
) -> tuple[ElmanParams, Array, ElmanState]:
    """Gradients of the parameters, of xs and of the initial state; arguments and errors as in `bptt.unroll_backward`."""
    (H, D), B, dtype = params.W_x.shape, cache.blocks[0].shape[2], params.W_x.dtype
    name, shape = "elman_sequence_backward", (sum(len(xh) - 1 for xh in cache.blocks), B, H)
    dys, (dh,) = begin_backward(name, KIND, params, shape, cache.mask, dys, dstate)
    dh, W_hT = dh.T.copy(), np.ascontiguousarray(params.W_h.T)
    dW, dxs = np.zeros((H, D + 1 + H), dtype), np.empty((*shape[:2], D), dtype)
    for span, xh in zip(spans(*shape[:2])[::-1], cache.blocks[::-1]):
        hs = xh[1:, -H:]
        slopes = activation.backward(hs, np.ones_like(hs))
        for dy, dz in zip(dys[span].transpose(0, 2, 1)[::-1], slopes[::-1]):
            np.add(dy, dh, out=dh)
            np.multiply(dz, dh, out=dz)  # a slope becomes dz
            W_hT.dot(dz, out=dh)
        dzs = columns(slopes)
        dW += dzs @ columns(xh[:-1]).T
        np.dot(dzs.T, params.W_x, out=dxs[span].reshape(-1, D))
    return ElmanParams(dW[:, :D].copy(), dW[:, D + 1 :].copy(), dW[:, D].copy()), dxs, ElmanState(dh.T.copy())


def elman(activation: Activation = TANH) -> Layer:
    """The layer whose units have this activation, such as `ops.SIGMOID` or `ops.RELU`."""
    backward = partial(elman_sequence_backward, activation=activation)
    return Layer(elman_init, partial(elman_sequence, activation=activation), backward)


Elman = Layer(elman_init, elman_sequence, elman_sequence_backward)
