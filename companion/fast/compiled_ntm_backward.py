"""The way back of `fast.compiled_ntm`: a step for one sequence after the other. Letters as in `fast.ntm_backward`."""

from __future__ import annotations

import numpy as np

from companion.fast.compiled_math import add_dots, add_products, compiled, dot, summing
from companion.fast.compiled_ntm_forward import keep, mix, places, repeat_ends
from companion.fast.ntm_backward import Gradients
from companion.fast.ntm_forward import Tape
from companion.heads import NTMSizes
from companion.tree import Array


@compiled
def backward(sizes: NTMSizes, gates: Array, heads: Array, tape: Tape, grads: Gradients) -> None:
    """For gates (D + R M + H + 1, G) and heads (P, H)."""
    (T, B, _), H, M, (K, N) = tape.gates.shape, heads.shape[1], sizes.width, tape.w[0, 0].shape
    h = tape.seen.shape[2] - 1 - H
    R = sizes.read_heads
    reads = h - R * M
    left, padded, dw_g = (
        np.empty_like(tape.memory[0, 0]),
        np.empty_like(tape.gated[0, 0, 0]),
        np.empty_like(tape.w[0, 0, 0]),
    )
    pairs = (R + K + 3) // 4 * 4  # as `add_products` takes them; those beyond stay 0
    columns, lines = np.zeros((M, pairs), tape.w.dtype), np.zeros((pairs, N), tape.w.dtype)
    for t in range(T - 1, -1, -1):
        for b in range(B):
            _read_and_write_back(sizes, tape, grads, t, b, grads.seen[t + 1, b, reads:h], left, columns, lines)
            for k in range(K):
                _move_back(sizes, tape, grads, t, b, k, padded, dw_g)
                _content_back(sizes, tape, grads, t, b, k, dw_g, lines[R + k])
            _memory_back(sizes, tape, grads, t, b, columns, lines, dw_g)
            _squash_back(sizes, tape.heads[t, b], grads.heads[t, b])
        add_products(grads.seen[t + 1], h, grads.heads[t], 0, heads)
        for b in range(B):
            dh = grads.seen[t + 1, b, h : h + H]
            _control_back(tape.gates[t, b], tape.s[t, b], tape.phi[t, b], dh, grads.s[b], grads.gates[t, b])
        add_dots(grads.seen[t], gates, grads.gates[t])


@compiled
def _read_and_write_back(
    sizes: NTMSizes,
    tape: Tape,
    grads: Gradients,
    t: int,
    b: int,
    dreads: Array,
    left: Array,
    columns: Array,
    lines: Array,
) -> None:
    """All but the new D: what it gets from the reads waits in columns and lines for `_memory_back`."""
    memory, w, z = tape.memory[t, b], tape.w[t + 1, b], tape.heads[t, b]
    D, dw, dz, M = grads.memory[b], grads.w[b], grads.heads[t, b], sizes.width
    R, W, adds = sizes.read_heads, sizes.write_heads, places(sizes)[2]
    dz[:] = 0
    for k in range(W):
        for m in range(M):
            of_left, row, drow = left[m], memory[m], D[m]
            for n in range(len(of_left)):
                of_left[n] = -row[n] * drow[n]
        for j in range(W):
            if j != k:
                keep(left, w[R + j], z[j * M : j * M + M])
        add_products(dw[R + k : R + k + 1], 0, z.reshape(1, -1), k * M, left)
        add_dots(dz[k * M : k * M + M].reshape(1, M), left, w[R + k : R + k + 1])
    add_products(dw[R:], 0, z[adds : adds + W * M].reshape(W, M), 0, D)
    add_dots(dz[adds : adds + W * M].reshape(W, M), D, w[R:])
    add_products(dw[:R], 0, dreads.reshape(R, M), 0, memory)
    lines[:R] = w[:R]
    for r in range(R):
        for m in range(M):
            columns[m, r] = dreads[r * M + m]


@summing
def _move_back(
    sizes: NTMSizes, tape: Tape, grads: Gradients, t: int, b: int, k: int, padded: Array, dw_g: Array
) -> None:
    """Through sharpen, shift and interpolate."""
    z, dz, one = tape.heads[t, b], grads.heads[t, b], tape.w.dtype.type(1)
    w, prev, dw, content, gated = (
        tape.w[t + 1, b, k],
        tape.w[t, b, k],
        grads.w[b, k],
        tape.content[t, b, k],
        tape.gated[t, b, k],
    )
    floored, logarithm = tape.floored[t, b, k], tape.logarithm[t, b, k]
    gates, _, _, shares, _, sharpnesses = places(sizes)
    R, N, sharpness, gate = sizes.shift_range, len(w), z[sharpnesses + k], z[gates + k]
    S, dw_s, total = 2 * R + 1, padded[R : R + N], dot(dw, w)
    for n in range(N):
        dw[n] = w[n] * (dw[n] - total)  # now du
    dz[sharpnesses + k] = dot(dw, logarithm)
    for n in range(N):
        dw_s[n] = sharpness * dw[n] / floored[n]
    repeat_ends(padded, R)
    first = shares + k * S
    for i in range(S):
        dz[first + i] = dot(dw_s, gated[S - 1 - i : S - 1 - i + N])
    dw_g[:] = 0
    mix(z[first : first + S], padded, False, dw_g)
    stay, dgate = one - gate, one - one
    for n in range(N):
        dgate += dw_g[n] * (content[n] - prev[n])
    dz[gates + k] = dgate
    for n in range(N):
        dw[n] = stay * dw_g[n]


@summing
def _content_back(sizes: NTMSizes, tape: Tape, grads: Gradients, t: int, b: int, k: int, dw_g: Array, c: Array) -> None:
    """To the products of unit key and rows, and the strength."""
    z, content, row_norm, product = (
        tape.heads[t, b],
        tape.content[t, b, k],
        tape.row_norm[t, b, 0],
        tape.product[t, b, k],
    )
    gates, _, _, _, strengths, _ = places(sizes)
    strength, total = z[strengths + k], dot(dw_g, content)
    factor = strength * z[gates + k]
    for n in range(len(c)):
        c[n] = factor * content[n] * (dw_g[n] - total) / row_norm[n]
    grads.heads[t, b, strengths + k] = dot(c, product) / strength


@compiled
def _memory_back(
    sizes: NTMSizes, tape: Tape, grads: Gradients, t: int, b: int, columns: Array, lines: Array, along: Array
) -> None:
    """To the keys and the memory."""
    memory, D, unit, row_norm, product = (
        tape.memory[t, b],
        grads.memory[b],
        tape.unit[t, b],
        tape.row_norm[t, b, 0],
        tape.product[t, b],
    )
    z, dz, w, (K, M), R = tape.heads[t, b], grads.heads[t, b], tape.w[t + 1, b], unit.shape, sizes.read_heads
    _, keys, _, _, strengths, _ = places(sizes)
    one = z.dtype.type(1)
    add_dots(dz[keys : keys + K * M].reshape(K, M), memory, lines[R : R + K])
    along[:] = 0
    for k in range(K):
        c, of_product, first = lines[R + k], product[k], keys + k * M
        for n in range(len(along)):
            along[n] += c[n] * of_product[n]
        same = dz[strengths + k] * z[strengths + k]  # sum of c times product
        for m in range(M):
            columns[m, R + k] = unit[k, m]
            dz[first + m] = (dz[first + m] - unit[k, m] * same) / tape.key_norm[t, b, k, 0]
    for n in range(len(along)):
        along[n] /= row_norm[n] * row_norm[n]
    for k in range(1, sizes.write_heads):
        keep(D, w[R + k], z[k * M : k * M + M])
    for m in range(M):
        row, drow, weight, erase = memory[m], D[m], w[R], z[m]
        for n in range(len(row)):
            drow[n] = drow[n] * (one - weight[n] * erase) - along[n] * row[n]
    add_products(D, 0, columns, 0, lines)


@compiled
def _squash_back(sizes: NTMSizes, y: Array, dz: Array) -> None:
    """What stands in dz are the gradients of the squashed parameters y."""
    _, key, _, s, strength, sharpness = places(sizes)
    S, one = 2 * sizes.shift_range + 1, y.dtype.type(1)
    for j in range(key):
        dz[j] *= y[j] * (one - y[j])
    for j in range(key, s):
        dz[j] *= one - y[j] * y[j]
    for first in range(s, strength, S):
        total = dot(y[first : first + S], dz[first : first + S])
        for j in range(first, first + S):
            dz[j] = y[j] * (dz[j] - total)
    for j in range(strength, len(y)):
        dz[j] *= -np.expm1((one if j >= sharpness else one - one) - y[j])


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
