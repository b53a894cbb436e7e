"""LSTM over whole sequences: the results of `unroll(lstm.LSTM, ...)`, several times as fast (ideas in `fast.blocks`).

The equations are those of `companion.lstm`. Gates stand in the order o, i, f, g, followed by the internal state s' before the
step, because then two of the products are one each:

    [o i f] = (1 + tanh([z_o z_i z_f] / 2)) / 2                  [i f] * [g s'] = the two terms of s

Back, the slopes of a block (in brackets) are known before its loop. Per step, with dh = dy + W_h^T dz of the step after:

    dz_o = dh [phi o (1 - o)]        ds = dh [o (1 - phi^2)] + what came from the step after          phi = tanh(s)
    dz_i = ds [g i (1 - i)]          dz_f = ds [s' f (1 - f)]          dz_g = ds [i (1 - g^2)]          ds' = ds [f]
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from companion.bptt import Layer, Mask
from companion.fast.blocks import Kind, begin, begin_backward, columns, for_steps, last, spans, stacked
from companion.lstm import LSTMParams, LSTMState, lstm_init, lstm_initial_state
from companion.tree import Array

KIND = Kind(LSTMParams, LSTMState, lstm_initial_state, gates=4)
ORDER, BACK = [3, 0, 1, 2], [1, 2, 3, 0]  # from i, f, g, o to o, i, f, g, and back


class LSTMBlock(NamedTuple):
    """What a block of n steps keeps for the way back."""

    xh: Array  # (n + 1, D + 1 + H, B) rows x, 1, h before the step
    z: Array  # (n + 1, 5H, B) rows o, i, f, g, s before the step
    phi_s: Array  # (n, H, B) tanh(s)


class LSTMSequenceCache(NamedTuple):
    """What `lstm_sequence` keeps for the way back."""

    blocks: tuple[LSTMBlock, ...]
    mask: Mask | None  # (T, B)


# --- forward


def forward_loop(W: Array, xh: Array, z: Array, phi_s: Array) -> None:
    """Fill the block (xh, z, phi_s), whose inputs and first state are there; W (4H, D + 1 + H) has the 1/2 of the sigmoids."""
    H = phi_s.shape[1]
    half, terms = np.asarray(0.5, z.dtype), np.empty_like(z[0, : 2 * H])
    g_i, s_f = terms[:H], terms[H:]
    for x, oifg, oif, i_f, g_s, o, s, phi, h in zip(
        xh, z[:-1, : 4 * H], z[:, : 3 * H], z[:, H : 3 * H], z[:, 3 * H :], z[:, :H], z[1:, 4 * H :], phi_s, xh[1:, -H:]
    ):
        W.dot(x, out=oifg)
        np.tanh(oifg, out=oifg)
        np.multiply(oif, half, out=oif)
        np.add(oif, half, out=oif)
        np.multiply(i_f, g_s, out=terms)
        np.add(g_i, s_f, out=s)
        np.tanh(s, out=phi)
        np.multiply(o, phi, out=h)


def lstm_sequence(
    params: LSTMParams,
    xs: Array,
    state: LSTMState | None = None,
    mask: Mask | None = None,
    loop: Callable[..., None] = forward_loop,
) -> tuple[Array, LSTMState, LSTMSequenceCache]:
    """Outputs ys (T, B, H) for xs (T, B, D), the last state, the cache; arguments, results and errors as in `bptt.unroll`."""
    h, s = begin("lstm_sequence", KIND, params, xs, state, mask)
    (T, B, _), H = xs.shape, h.shape[1]
    W = _ordered(np.column_stack([params.W_x, params.b, params.W_h]), ORDER)
    W[: 3 * H] *= 0.5
    W = for_steps(W, B)
    ys, blocks = np.empty((T, B, H), xs.dtype), []
    for span in spans(T, B):
        xh = stacked(xs[span], h)
        block = LSTMBlock(xh, np.empty((len(xh), 5 * H, B), xs.dtype), np.empty((len(xh) - 1, H, B), xs.dtype))
        block.z[0, 4 * H :] = s.T
        loop(W, *block)
        blocks.append(block)
        ys[span] = xh[1:, -H:].transpose(0, 2, 1)
        real = None if mask is None else mask[span]
        h, s = last(xh[:, -H:], real), last(block.z[:, 4 * H :], real)
        if real is not None:
            _shut(block.z[:-1].reshape(-1, 5, H, B), ~real[:, None, None])
    if mask is not None:
        ys[~mask], mask = 0, mask.copy()
    return ys, LSTMState(h, s), LSTMSequenceCache(tuple(blocks), mask)


def _ordered(rows: Array, order: list[int]) -> Array:
    """A copy of rows (4H, K) with their four blocks in another order."""
    return rows.reshape(4, len(rows) // 4, -1)[order].reshape(rows.shape)


def _shut(z: Array, padding: Mask) -> None:
    """Close the gates (n, 5, H, B) of padded steps: f = 1 hands ds through, and no other slope is left."""
    np.copyto(z[:, :2], 0, where=padding)
    np.copyto(z[:, 2:3], 1, where=padding)


# --- backward


def backward_loop(W_hT: Array, block: LSTMBlock, dys: Array, dh: Array, ds: Array) -> tuple[Array, Array, Array]:
    """Gradients dz (n, 4H, B) of a block, and dh, ds (H, B) of the state before it, from dys (n, H, B) and those after it."""
    slopes, H = _slopes(block), len(dh)
    arriving = np.empty((5, *dh.shape), dh.dtype)  # at o, i, f, g and s': dh once and ds four times
    dh, carried, total, at_s, at_others = dh.copy(), ds, arriving[0], arriving[1], arriving[2:]
    arriving, reverse = arriving.reshape(5 * H, -1), slopes[::-1]
    for dy, to_s, others, dz, ds_prev in zip(
        dys[::-1], reverse[:, :H], reverse[:, H:], reverse[:, H : 5 * H], reverse[:, 5 * H :]
    ):
        np.add(dy, dh, out=total)
        np.multiply(to_s, total, out=to_s)
        np.add(to_s, carried, out=at_s)
        at_others[...] = at_s  # one copy for each: a product that broadcasts takes longer
        np.multiply(others, arriving, out=others)
        carried = ds_prev
        W_hT.dot(dz, out=dh)
    return slopes[:, H : 5 * H], dh, carried.copy()


def _slopes(block: LSTMBlock) -> Array:
    """Rows (n, 6H, B): what dh is multiplied by for ds and dz of o, then ds for dz of i, f, g and for ds'."""
    H, z, phi = block.phi_s.shape[1], block.z[:-1], block.phi_s
    oif, g, g_s = z[:, : 3 * H], z[:, 3 * H : 4 * H], z[:, 3 * H :]
    slopes = np.empty((len(phi), 6 * H, z.shape[2]), z.dtype)
    to_s, to_oif, to_g = slopes[:, :H], slopes[:, H : 4 * H], slopes[:, 4 * H : 5 * H]
    np.multiply(phi, phi, out=to_s)
    np.subtract(1, to_s, out=to_s)
    to_s *= z[:, :H]
    np.subtract(1, oif, out=to_oif)
    to_oif *= oif
    to_oif[:, :H] *= phi
    to_oif[:, H:] *= g_s
    np.multiply(g, g, out=to_g)
    np.subtract(1, to_g, out=to_g)
    to_g *= z[:, H : 2 * H]
    slopes[:, 5 * H :] = z[:, 2 * H : 3 * H]
    return slopes


def lstm_sequence_backward(
    params: LSTMParams,
    cache: LSTMSequenceCache,
    dys: Array,
    dstate: LSTMState | None = None,
    loop: Callable[..., tuple[Array, Array, Array]] = backward_loop,
) -> tuple[LSTMParams, Array, LSTMState]:
    """Gradients of the parameters, of xs and of the initial state; arguments and errors as in `bptt.unroll_backward`."""
    D, H, B = params.W_x.shape[1], params.W_h.shape[1], cache.blocks[0].z.shape[2]
    name, shape = "lstm_sequence_backward", (sum(len(block.phi_s) for block in cache.blocks), B, H)
    dys, dstate = begin_backward(name, KIND, params, shape, cache.mask, dys, dstate)
    dh, ds = dstate.h.T, dstate.s.T
    W_x, W_hT = _ordered(params.W_x, ORDER), np.ascontiguousarray(_ordered(params.W_h, ORDER).T)
    dW, dxs = np.zeros((4 * H, D + 1 + H), dys.dtype), np.empty((*shape[:2], D), dys.dtype)
    of_block = np.empty_like(dW)
    for span, block in zip(spans(*shape[:2])[::-1], cache.blocks[::-1]):
        dz, dh, ds = loop(W_hT, block, dys[span].transpose(0, 2, 1), dh, ds)
        dz = columns(dz)
        np.dot(dz, columns(block.xh[:-1]).T, out=of_block)
        dW += of_block
        np.dot(dz.T, W_x, out=dxs[span].reshape(-1, D))
    dW = _ordered(dW, BACK)
    dparams = LSTMParams(dW[:, :D].copy(), dW[:, D + 1 :].copy(), dW[:, D].copy())
    return dparams, dxs, LSTMState(dh.T.copy(), ds.T.copy())


LSTM = Layer(lstm_init, lstm_sequence, lstm_sequence_backward)
