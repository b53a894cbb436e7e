"""The way back of `fast.compiled_ntm`: a step for one sequence of the batch after the other.

Equations and letters are those of `fast.ntm_backward`, but that the slopes are formed where they are used, and that D, the
gradient of the memory, stays as it is until the end of a step: D prod_k (1 - w_k e_k) - m sum_k dp p / |m_n|^2 in one go, then
+ dr w_read + u dp. The other order of these terms matters only for rounding.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from companion.fast.compiled_math import add_dots, add_products, compiled, dot, summing
from companion.fast.compiled_ntm_forward import add_moved, keep, repeat_ends, views
from companion.fast.ntm_backward import Gradients
from companion.fast.ntm_forward import Heads, Tape
from companion.heads import NTMSizes
from companion.tree import Array


class Room(NamedTuple):
    """Arrays that are used anew at every step."""

    rows: Array  # (M, N)
    padded: Array  # (N + S - 1,) of dw_s, S = 2J + 1
    dw_g: Array  # (K, N)
    along: Array  # (N,) sum_k dp p / |m_n|^2
    left: Array  # (M, 4 q) dr and u; 4 q is R + K or a little more, as `add_products` likes it, and what is beyond stays 0
    right: Array  # (4 q, N) w_read and dp


@compiled
def backward(sizes: NTMSizes, gates_T: Array, W_z: Array, tape: Tape, grads: Gradients) -> None:
    """Fill the gradients, for weights gates_T (D + R M + H + 1, G) and W_z (P, H)."""
    (T, B, _), H, R, M, dtype = tape.gates.shape, W_z.shape[1], sizes.read_heads, sizes.width, tape.w.dtype
    K, N = tape.w[0, 0].shape
    h, pairs = tape.seen.shape[2] - 1 - H, (R + K + 3) // 4 * 4
    rows, padded, dw_g = np.empty((M, N), dtype), np.empty(N + 2 * sizes.shift_range, dtype), np.empty((K, N), dtype)
    room = Room(rows, padded, dw_g, np.empty(N, dtype), np.zeros((M, pairs), dtype), np.zeros((pairs, N), dtype))
    for t in range(T - 1, -1, -1):
        for b in range(B):
            now, dnow = views(sizes, tape.heads[t, b]), views(sizes, grads.heads[t, b])
            grads.heads[t, b] = 0
            _read_and_write_back(tape, grads, t, b, now, dnow, grads.seen[t + 1, b, h - R * M : h].reshape(R, M), room)
            _move_back(tape, grads, t, b, now, dnow, room)
            _find_back(tape, grads, t, b, now, dnow, room)
            _squash_back(tape.heads[t, b], grads.heads[t, b], now, dnow)
        add_products(grads.seen[t + 1], h, grads.heads[t], 0, W_z)
        for b in range(B):
            dh = grads.seen[t + 1, b, h : h + H]
            _control_back(tape.gates[t, b], tape.s[t, b], tape.phi[t, b], dh, grads.s[b], grads.gates[t, b])
        add_dots(grads.seen[t], gates_T, grads.gates[t])


@compiled
def _read_and_write_back(
    tape: Tape, grads: Gradients, t: int, b: int, now: Heads, dnow: Heads, dreads: Array, room: Room
) -> None:
    """All but the new D: what it gets from the reads waits in room for `_find_back`."""
    memory, D, rows, (R, M) = tape.memory[t, b], grads.memory[b], room.rows, dreads.shape
    w, dw, W = tape.w[t + 1, b, R:], grads.w[b, R:], len(now.erase)
    add_products(grads.w[b, :R], 0, dreads, 0, memory)
    add_products(dw, 0, now.add, 0, D)
    add_dots(dnow.add, D, w)
    for k in range(W):
        for m in range(M):
            share, row, drow = rows[m], memory[m], D[m]
            for n in range(len(row)):
                share[n] = -drow[n] * row[n]
        for j in range(W):
            if j != k:
                keep(rows, w[j], now.erase[j])
        add_products(dw[k : k + 1], 0, now.erase[k : k + 1], 0, rows)
        add_dots(dnow.erase[k : k + 1], rows, w[k : k + 1])
    room.right[:R] = tape.w[t + 1, b, :R]
    for r in range(R):
        for m in range(M):
            room.left[m, r] = dreads[r, m]


@summing
def _move_back(tape: Tape, grads: Gradients, t: int, b: int, now: Heads, dnow: Heads, room: Room) -> None:
    """Through sharpen, shift and interpolate: room.dw_g, and from the gradient of w that of w'."""
    padded, (K, S), N = room.padded, now.s.shape, tape.w.shape[3]
    J = S // 2
    dw_s = padded[J : J + N]
    for k in range(K):
        w, prev, dw, content = tape.w[t + 1, b, k], tape.w[t, b, k], grads.w[b, k], tape.content[t, b, k]
        gated, floored, dw_g = tape.gated[t, b, k], tape.floored[t, b, k], room.dw_g[k]
        sharpness, stay = now.sharpness[k], w.dtype.type(1) - now.gate[k]
        total, dgate = dot(dw, w), w.dtype.type(0)
        for n in range(N):
            dw[n] = w[n] * (dw[n] - total)  # now du
        dnow.sharpness[k] = dot(dw, tape.logarithm[t, b, k])
        for n in range(N):
            dw_s[n] = sharpness * dw[n] / floored[n]
        repeat_ends(padded, J)
        for i in range(S):
            dnow.s[k, i] = dot(dw_s, gated[S - 1 - i : S - 1 - i + N])
        dw_g[:] = 0
        add_moved(dw_g, now.s[k], padded)
        for n in range(N):
            dgate += dw_g[n] * (content[n] - prev[n])
        dnow.gate[k] = dgate
        for n in range(N):
            dw[n] = stay * dw_g[n]


@compiled
def _find_back(tape: Tape, grads: Gradients, t: int, b: int, now: Heads, dnow: Heads, room: Room) -> None:
    """Through the content to the keys; and all that D gets in this step."""
    memory, D, unit = tape.memory[t, b], grads.memory[b], tape.unit[t, b]
    row_norm, along = tape.row_norm[t, b, 0], room.along
    (K, M), W, one = unit.shape, len(now.erase), memory.dtype.type(1)
    R = K - W
    dp, w = room.right[R : R + K], tape.w[t + 1, b, R:]
    along[:] = 0
    for k in range(K):
        _content_back(now.gate[k] * now.strength[k], tape.content[t, b, k], row_norm, room.dw_g[k], dp[k])
        total = _along(dp[k], tape.product[t, b, k], row_norm, along)
        dnow.strength[k] = total / now.strength[k]
        for m in range(M):
            room.left[m, R + k] = unit[k, m]
            dnow.key[k, m] = -unit[k, m] * total
    add_dots(dnow.key, memory, dp)
    for k in range(K):
        for m in range(M):
            dnow.key[k, m] /= tape.key_norm[t, b, k, 0]
    for k in range(1, W):
        keep(D, w[k], now.erase[k])
    for m in range(M):
        row, drow, weight, erase = memory[m], D[m], w[0], now.erase[0, m]
        for n in range(len(row)):
            drow[n] = drow[n] * (one - weight[n] * erase) - row[n] * along[n]
    add_products(D, 0, room.left, 0, room.right)


@compiled
def _content_back(factor: Any, content: Array, row_norm: Array, dw_g: Array, dp: Array) -> None:
    """Fill dp, for the factor g beta."""
    total = dot(dw_g, content)
    for n in range(len(dp)):
        dp[n] = factor * content[n] * (dw_g[n] - total) / row_norm[n]


@summing
def _along(dp: Array, product: Array, row_norm: Array, along: Array) -> Any:
    """The sum of dp p; and dp p / |m_n|^2 added to along."""
    total = dp.dtype.type(0)
    for n in range(len(dp)):
        share = dp[n] * product[n]
        total += share
        along[n] += share / (row_norm[n] * row_norm[n])
    return total


@compiled
def _squash_back(y: Array, dz: Array, now: Heads, dnow: Heads) -> None:
    """What stands in dz are the gradients of the squashed parameters y."""
    one, sigmas = y.dtype.type(1), now.erase.size + now.gate.size
    for j in range(sigmas):
        dz[j] *= y[j] * (one - y[j])
    for j in range(sigmas, sigmas + now.key.size + now.add.size):
        dz[j] *= one - y[j] * y[j]
    for k in range(len(now.gate)):
        total = dot(now.s[k], dnow.s[k])
        for i in range(now.s.shape[1]):
            dnow.s[k, i] = now.s[k, i] * (dnow.s[k, i] - total)
        dnow.strength[k] *= -np.expm1(-now.strength[k])
        dnow.sharpness[k] *= -np.expm1(one - now.sharpness[k])


@compiled
def _control_back(gates: Array, s_prev: Array, phi: Array, dh: Array, ds: Array, dgates: Array) -> None:
    H, one = len(dh), gates.dtype.type(1)
    if len(ds) == 0:
        for j in range(H):
            dgates[j] = dh[j] * (one - gates[j] * gates[j])
        return
    o, i, f, g = gates[:H], gates[H : 2 * H], gates[2 * H : 3 * H], gates[3 * H :]
    dz_o, dz_i, dz_f, dz_g = dgates[:H], dgates[H : 2 * H], dgates[2 * H : 3 * H], dgates[3 * H :]
    for j in range(H):
        dz_o[j] = dh[j] * phi[j] * o[j] * (one - o[j])
    for j in range(H):
        ds[j] += dh[j] * o[j] * (one - phi[j] * phi[j])
    for j in range(H):
        dz_i[j] = ds[j] * g[j] * i[j] * (one - i[j])
    for j in range(H):
        dz_f[j] = ds[j] * s_prev[j] * f[j] * (one - f[j])
    for j in range(H):
        dz_g[j] = ds[j] * i[j] * (one - g[j] * g[j])
    for j in range(H):
        ds[j] *= f[j]
