"""GRU over whole sequences: the results of `unroll(gru.GRU, ...)`, several times as fast (ideas in `fast.blocks`).

The equations are those of `companion.gru`. The reset gate stands between the two halves of the candidate, so there are three
products: of both gates with [x; 1; h'], of the candidate's input with [x; 1] for a block at once, and of what the reset gate
multiplies with [1; h'].

    a = W_hn h' + b_n          n = tanh(W_xn x + b_n' + r a)          h = n + z (h' - n)

Back, every error of a step is dh = dy + (what came from the step after) times something known before the loop:

    dz_n = dh ((1 - z) (1 - n^2))     da = dz_n r     dz_r = da a (1 - r)     dz_z = dh (h' - n) z (1 - z)     dh' = dh z + ...
"""

from typing import NamedTuple

import numpy as np

from companion.bptt import Layer, Mask
from companion.fast.blocks import Kind, begin, begin_backward, columns, for_steps, last, spans, stacked
from companion.gru import GRUParams, GRUState, gru_init, gru_initial_state
from companion.tree import Array
from companion.validate import require_rows

KIND = Kind(GRUParams, GRUState, gru_initial_state, gates=3)


class GRUBlock(NamedTuple):
    """What a block of n steps keeps for the way back."""

    xh: Array  # (n + 1, D + 1 + H, B) rows x, 1, h before the step
    gates: Array  # (n, 4H, B) rows r, z, a, n


class GRUSequenceCache(NamedTuple):
    """What `gru_sequence` keeps for the way back."""

    blocks: tuple[GRUBlock, ...]
    mask: Mask | None  # (T, B)


def gru_sequence(
    params: GRUParams, xs: Array, state: GRUState | None = None, mask: Mask | None = None
) -> tuple[Array, GRUState, GRUSequenceCache]:
    """Outputs ys (T, B, H) for xs (T, B, D), the last state, the cache; arguments, results and errors as in `bptt.unroll`."""
    (h,) = begin("gru_sequence", KIND, params, xs, state, mask)
    (T, B, D), H = xs.shape, h.shape[1]
    require_rows("gru_sequence", H, b_n=params.b_n)
    W = np.column_stack([params.W_x, params.b, params.W_h])
    W_rz, W_n = for_steps(W[: 2 * H] * 0.5, B), W[2 * H :, : D + 1].copy()
    W_a = for_steps(np.column_stack([params.b_n, params.W_h[2 * H :]]), B)
    ys, blocks = np.empty((T, B, H), xs.dtype), []
    for span in spans(T, B):
        xh, gates = stacked(xs[span], h), np.empty((len(xs[span]), 4 * H, B), xs.dtype)
        np.matmul(W_n, xh[:-1, : D + 1], out=gates[:, 3 * H :])
        _forward(W_rz, W_a, xh, gates)
        blocks.append(GRUBlock(xh, gates))
        ys[span] = xh[1:, -H:].transpose(0, 2, 1)
        real = None if mask is None else mask[span]
        h = last(xh[:, -H:], real)
        if real is not None:
            np.copyto(gates[:, H : 2 * H], 1, where=~real[:, None])  # z = 1 on padding: no slope is left but that of h'
    if mask is not None:
        ys[~mask], mask = 0, mask.copy()
    return ys, GRUState(h), GRUSequenceCache(tuple(blocks), mask)


def _forward(W_rz: Array, W_a: Array, xh: Array, gates: Array) -> None:
    """Fill a block whose inputs, first state and W_xn x + b_n' (in the rows of n) are there."""
    H = len(W_a)
    half, change = np.asarray(0.5, gates.dtype), np.empty_like(gates[0, :H])
    for x, one_h, h, rz, r, z, a, n, h_new in zip(
        xh,
        xh[:, -H - 1 :],
        xh[:, -H:],
        gates[:, : 2 * H],
        gates[:, :H],
        gates[:, H : 2 * H],
        gates[:, 2 * H : 3 * H],
        gates[:, 3 * H :],
        xh[1:, -H:],
    ):
        W_rz.dot(x, out=rz)
        np.tanh(rz, out=rz)
        np.multiply(rz, half, out=rz)
        np.add(rz, half, out=rz)
        W_a.dot(one_h, out=a)
        np.multiply(r, a, out=change)
        np.add(n, change, out=n)
        np.tanh(n, out=n)
        np.subtract(h, n, out=change)
        np.multiply(z, change, out=change)
        np.add(n, change, out=h_new)


def gru_sequence_backward(
    params: GRUParams, cache: GRUSequenceCache, dys: Array, dstate: GRUState | None = None
) -> tuple[GRUParams, Array, GRUState]:
    """Gradients of the parameters, of xs and of the initial state; arguments and errors as in `bptt.unroll_backward`."""
    D, H, B, dtype = params.W_x.shape[1], params.W_h.shape[1], cache.blocks[0].xh.shape[2], params.W_x.dtype
    name, shape = "gru_sequence_backward", (sum(len(block.gates) for block in cache.blocks), B, H)
    dys, (dh,) = begin_backward(name, KIND, params, shape, cache.mask, dys, dstate)
    dh, W_hT, W_nrz = dh.T.copy(), np.ascontiguousarray(params.W_h.T), np.roll(params.W_x, H, axis=0)
    dW_x, dW_h = np.zeros((3 * H, D + 1), dtype), np.zeros((3 * H, 1 + H), dtype)
    dxs = np.empty((*shape[:2], D), dtype)
    for span, block in zip(spans(*shape[:2])[::-1], cache.blocks[::-1]):
        slopes = _slopes(block)
        dh = _backward(W_hT, slopes, dys[span].transpose(0, 2, 1), dh)
        dz, x1h = columns(slopes[:, : 4 * H]), columns(block.xh[:-1])
        dW_x += dz[: 3 * H] @ x1h[: D + 1].T
        dW_h += dz[H:] @ x1h[D:].T
        np.dot(dz[: 3 * H].T, W_nrz, out=dxs[span].reshape(-1, D))
    dW_x = np.roll(dW_x, -H, axis=0)  # from n, r, z to r, z, n
    dparams = GRUParams(dW_x[:, :D].copy(), dW_h[:, 1:].copy(), dW_x[:, D].copy(), dW_h[2 * H :, 0].copy())
    return dparams, dxs, GRUState(dh.T.copy())


def _slopes(block: GRUBlock) -> Array:
    """What dh is multiplied by (n, 5H, B): for dz of n, r and z, for da, and for the part of dh' that z hands on."""
    n_steps, rows, B = block.gates.shape
    H = rows // 4
    r, z, a, n = block.gates.reshape(n_steps, 4, H, B).transpose(1, 0, 2, 3)
    slopes = np.empty((n_steps, 5 * H, B), n.dtype)
    to_n, to_r, to_z, to_a, to_h = slopes.reshape(n_steps, 5, H, B).transpose(1, 0, 2, 3)
    not_z = 1 - z
    np.multiply(n, n, out=to_n)
    np.subtract(1, to_n, out=to_n)
    to_n *= not_z
    np.multiply(to_n, r, out=to_a)
    np.subtract(1, r, out=to_r)
    to_r *= a
    to_r *= to_a
    np.subtract(block.xh[:-1, -H:], n, out=to_z)
    to_z *= z
    to_z *= not_z
    to_h[...] = z
    return slopes


def _backward(W_hT: Array, slopes: Array, dys: Array, dh: Array) -> Array:
    """Multiply the slopes of a block by the errors, which makes them dz; return the error of the state before it."""
    H, reverse, dh = len(dh), slopes[::-1], dh.copy()
    arriving = np.empty((5, *dh.shape), dh.dtype)
    flat = arriving.reshape(5 * H, -1)
    for dy, errors, dz_rza, kept in zip(dys[::-1], reverse, reverse[:, H : 4 * H], reverse[:, 4 * H :]):
        np.add(dy, dh, out=dh)
        arriving[...] = dh  # a copy for each, because one product without broadcasting is quicker
        np.multiply(errors, flat, out=errors)
        W_hT.dot(dz_rza, out=dh)
        np.add(dh, kept, out=dh)
    return dh


GRU = Layer(gru_init, gru_sequence, gru_sequence_backward)
