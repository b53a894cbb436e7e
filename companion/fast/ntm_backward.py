"""The way back of `fast.ntm`, in NumPy. What makes it quick, beside the ideas of `ntm_forward`:

slopes first     The products of activations and derivatives are formed for all steps at once; the loop multiplies by them.
weights last     The loop only collects the gradients of the gates and of z. Those of the weights are one product each after it.
pairs            Two outer products with columns of length N are one product of matrices: dr w_read + u dp.

With D the gradient of the memory after the step, m the memory before, e_k, a_k of the write heads, u = key / |key|, p = u m:

    dw_read = dr m         dw_k = a_k D - e_k (D m rest_k)         rest_k = prod_(j /= k) (1 - w_j e_j)
    da_k = D w_k           de_k = -(D m rest_k) w_k                D <- D prod_k (1 - w_k e_k)

then sharpen, shift and interpolate as in `companion.addressing`, and content, with dc_n, the gradient of cos(k, m_n), from there:

    dp = dc_n / |m_n|      dbeta = sum_n dp p / beta      dkey = (dp m - u sum_n dp p) / |key|
    D <- D + (dr w_read + u dp), then D <- D - m sum_k dp p / |m_n|^2

in this order. The cell takes these terms of D in another one, which matters only for rounding.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from companion.fast.ntm_forward import (
    Heads,
    Tape,
    Weights,
    each_step,
    mix,
    repeat_ends,
    split_heads,
    split_seen,
    windows,
)
from companion.heads import NTMSizes
from companion.tree import Array


class Gradients(NamedTuple):
    """What the loop back fills and carries."""

    seen: Array  # (T + 1, B, D + R M + H + 1): at first what reads and h get from outside, and 0; the loop adds its own
    gates: Array  # (T, B, G)
    heads: Array  # (T, B, P) of z
    s: Array  # (B, L): this and what follows, of the state after the last step, become those before the first one
    w: Array  # (B, K, N)
    memory: Array  # (B, M, N)


class Slopes(NamedTuple):
    """What the arriving gradients are multiplied by, each named after what it leads to."""

    to_gates: Array  # (T, B, 6H) dh to ds and dz_o, then ds to dz_i, dz_f, dz_g and ds'; feedforward (T, B, H) dh to dz
    to_z: Array  # (T, B, P) of the squashings, with the factors -1 of erase, 1 / |key| and 1 / beta that the loop leaves out
    to_shifted: Array  # (T, B, K, N) du to dw_s: gamma / w_s
    to_g: Array  # (T, B, K, N) dw_g to dg, a sum over n: w_c - w'
    to_prev: Array  # (T, B, K, 1) dw_g to dw': 1 - g
    to_p: Array  # (T, B, K, N) dw_g, less its mean under w_c, to dp: g beta w_c / |m_n|
    to_rows: Array  # (T, B, 1, N) sum_k dp p to the share of D along m_n: 1 / |m_n|^2


class Room(NamedTuple):
    """Arrays that are used anew at every step."""

    rows: Array  # (B, M, N)
    padded: Array  # (B, K, N + S - 1) of dw_s, as `Tape.gated`
    copies: Array  # (S, B, K, N) views of it, the first one J rows further on
    dw_g: Array  # (B, K, N)
    left: Array  # (B, R + K, M) dr and u
    right: Array  # (B, R + K, N) w_read and dp


def backward_loop(sizes: NTMSizes, weights: Weights, tape: Tape, grads: Gradients) -> None:
    """Fill the gradients."""
    (_, M, N), (T, B, K, _), R = tape.memory[0].shape, tape.content.shape, sizes.read_heads
    shapes = (M, N), (K, tape.gated.shape[3]), (K, N), (R + K, M), (R + K, N)
    rows, padded, *others = (np.empty((B, *shape), tape.w.dtype) for shape in shapes)
    room, slopes = Room(rows, padded, windows(padded, N), *others), list(map(Slopes._make, zip(*_slopes(sizes, tape))))
    heads, dheads = (list(each_step(split_heads(sizes, a))) for a in (tape.heads, grads.heads))
    moved, dseen = windows(tape.gated, N)[::-1], split_seen(sizes, grads.seen, weights.heads.shape[1] - 1)
    for t in reversed(range(T)):
        now, dnow, slope = heads[t], dheads[t], slopes[t]
        _read_back(tape, t, dseen.reads[t + 1], room, grads)
        _write_back(tape, t, now, dnow, room.rows, grads)
        _move_back(tape, t, now, dnow, slope, moved[:, t], room, grads)
        _find_back(tape, t, dnow, slope, room, grads)
        dnow.s[...] -= np.vecdot(dnow.s, now.s)[..., None]
        dz, dh = grads.heads[t], dseen.h[t + 1]
        dz *= slope.to_z
        dh += np.dot(dz, weights.heads[:, :-1])
        _control_back(slope.to_gates, dh, grads.s, grads.gates[t])
        grads.seen[t] += np.dot(grads.gates[t], weights.gates)


def _slopes(sizes: NTMSizes, tape: Tape) -> Slopes:
    heads, to_z = split_heads(sizes, tape.heads), np.empty_like(tape.heads)
    slope = split_heads(sizes, to_z)
    slope.erase[...] = -heads.erase * (1 - heads.erase)
    slope.gate[...] = heads.gate * (1 - heads.gate)
    slope.key[...] = (1 - heads.key**2) / tape.key_norm
    slope.add[...] = 1 - heads.add**2
    slope.s[...] = heads.s
    slope.strength[...] = -np.expm1(-heads.strength) / heads.strength
    slope.sharpness[...] = -np.expm1(1 - heads.sharpness)
    to_shifted = heads.sharpness / tape.floored
    to_p = tape.content * (heads.gate * heads.strength)
    to_p /= tape.row_norm
    to_g = tape.content - tape.w[:-1]
    return Slopes(_control_slopes(tape), to_z, to_shifted, to_g, 1 - heads.gate, to_p, 1 / tape.row_norm**2)


def _control_slopes(tape: Tape) -> Array:
    gates, phi, H = tape.gates, tape.phi, tape.s.shape[2]
    if not H:
        return 1 - gates**2
    o, i, f, g = (gates[..., k * H : (k + 1) * H] for k in range(4))
    slopes = np.empty((*gates.shape[:2], 6 * H), gates.dtype)
    to_s, to_o, to_i, to_f, to_g, back = (slopes[..., k * H : (k + 1) * H] for k in range(6))
    np.multiply(o, 1 - phi**2, out=to_s)
    np.subtract(1, gates[..., : 3 * H], out=slopes[..., H : 4 * H])
    slopes[..., H : 4 * H] *= gates[..., : 3 * H]
    to_o *= phi
    to_i *= g
    to_f *= tape.s[:-1]
    np.multiply(i, 1 - g**2, out=to_g)
    back[...] = f
    return slopes


def _read_back(tape: Tape, t: int, dreads: Array, room: Room, grads: Gradients) -> None:
    """The gradient of memory waits for its partner in `_find_back`."""
    R = dreads.shape[1]
    room.left[:, :R], room.right[:, :R] = dreads, tape.w[t + 1, :, :R]
    grads.w[:, :R] += room.left[:, :R] @ tape.memory[t]


def _write_back(tape: Tape, t: int, now: Heads, dnow: Heads, rows: Array, grads: Gradients) -> None:
    D, W = grads.memory, now.erase.shape[1]
    w, erase, add = tape.w[t + 1, :, -W:], now.erase, now.add
    for k in range(W):
        np.multiply(D, tape.memory[t], out=rows)
        for j in range(W):
            if j != k:
                rows *= 1 - w[:, j, None] * erase[:, j, :, None]
        grads.w[:, k - W, None] += add[:, k, None] @ D
        grads.w[:, k - W, None] -= erase[:, k, None] @ rows
        np.matmul(rows, w[:, k, :, None], out=dnow.erase[:, k, :, None])
        np.matmul(D, w[:, k, :, None], out=dnow.add[:, k, :, None])
    for k in range(W):
        np.multiply(D, erase[:, k, :, None], out=rows)
        rows *= w[:, k, None]
        np.subtract(D, rows, out=D)


def _move_back(
    tape: Tape, t: int, now: Heads, dnow: Heads, slope: Slopes, moved: Array, room: Room, grads: Gradients
) -> None:
    """Through sharpen, shift and interpolate: room.dw_g, and from the gradient of w that of w'."""
    w, dw, J = tape.w[t + 1], grads.w, len(moved) // 2
    N = w.shape[2]
    dw_s = room.padded[:, :, J : J + N]
    dw -= np.vecdot(dw, w)[..., None]
    dw *= w  # now du
    np.vecdot(dw, tape.logarithm[t], out=dnow.sharpness[..., 0])
    np.multiply(dw, slope.to_shifted, out=dw_s)
    repeat_ends(room.padded, J)
    np.vecdot(dw_s, moved, out=dnow.s.transpose(2, 0, 1))
    mix(now.s, room.copies, room.dw_g)
    np.vecdot(room.dw_g, slope.to_g, out=dnow.gate[..., 0])
    np.multiply(room.dw_g, slope.to_prev, out=dw)


def _find_back(tape: Tape, t: int, dnow: Heads, slope: Slopes, room: Room, grads: Gradients) -> None:
    """Through the content, to the key, its strength and memory."""
    memory, unit, K = tape.memory[t], tape.unit[t], tape.w.shape[2]
    dp = room.right[:, -K:]
    np.subtract(room.dw_g, np.vecdot(room.dw_g, tape.content[t])[..., None], out=dp)
    dp *= slope.to_p
    np.vecdot(dp[:, :, None], memory[:, None], out=dnow.key)
    along = np.multiply(dp, tape.product[t], out=room.dw_g)
    np.add.reduce(along, 2, keepdims=True, out=dnow.strength)
    np.subtract(dnow.key, unit * dnow.strength, out=dnow.key)
    room.left[:, -K:] = unit
    np.matmul(room.left.transpose(0, 2, 1), room.right, out=room.rows)
    np.add(grads.memory, room.rows, out=grads.memory)
    np.multiply(memory, np.add.reduce(along, 1, keepdims=True) * slope.to_rows, out=room.rows)
    np.subtract(grads.memory, room.rows, out=grads.memory)


def _control_back(slope: Array, dh: Array, ds: Array, dgates: Array) -> None:
    H = ds.shape[1]
    if not H:
        np.multiply(dh, slope, out=dgates)
        return
    ds += dh * slope[:, :H]
    np.multiply(dh, slope[:, H : 2 * H], out=dgates[:, :H])
    np.multiply(ds[:, None], slope[:, 2 * H : 5 * H].reshape(-1, 3, H), out=dgates[:, H:].reshape(-1, 3, H))
    ds *= slope[:, 5 * H :]
