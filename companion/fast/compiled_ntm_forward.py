"""The way forward of `fast.compiled_ntm`: a step for one sequence after the other. Letters as in `fast.ntm_forward`."""

from __future__ import annotations

import numpy as np

from companion.addressing import SQUARED_NORM_FLOOR, WEIGHT_FLOOR
from companion.fast.compiled_math import add_dots, add_products, add_squares, compiled, dot, log, softmax, tanh
from companion.fast.ntm_forward import Tape
from companion.heads import NTMSizes
from companion.tree import Array


@compiled
def forward(sizes: NTMSizes, gates: Array, heads: Array, tape: Tape) -> None:
    """For gates (D + R M + H + 1, G) and heads (H + 1, P)."""
    (T, B, _), H, M = tape.gates.shape, len(heads) - 1, sizes.width
    h = tape.seen.shape[2] - 1 - H
    reads = h - sizes.read_heads * M
    for t in range(T):
        tape.gates[t] = 0
        add_products(tape.gates[t], 0, tape.seen[t], 0, gates)
        for b in range(B):
            _control(tape.gates[t, b], tape.s[t, b], tape.s[t + 1, b], tape.phi[t, b], tape.seen[t + 1, b, h : h + H])
        tape.heads[t] = 0
        add_products(tape.heads[t], 0, tape.seen[t + 1], h, heads)
        for b in range(B):
            _squash(sizes, tape.heads[t, b])
            _find(sizes, tape, t, b)
            _move(sizes, tape, t, b)
            _read_and_write(sizes, tape, t, b, tape.seen[t + 1, b, reads:h])


@compiled
def _control(gates: Array, s_prev: Array, s: Array, phi: Array, h: Array) -> None:
    H = len(h)
    half = gates.dtype.type(0.5)
    for j in range(len(gates)):
        gates[j] = tanh(gates[j])
    if len(s) == 0:
        h[:] = gates
        return
    for j in range(3 * H):
        gates[j] = half * gates[j] + half
    o, i, f, g = gates[:H], gates[H : 2 * H], gates[2 * H : 3 * H], gates[3 * H :]
    for j in range(H):
        s[j] = g[j] * i[j] + s_prev[j] * f[j]
    for j in range(H):
        phi[j] = tanh(s[j])
    for j in range(H):
        h[j] = phi[j] * o[j]


@compiled
def places(sizes: NTMSizes) -> tuple[int, int, int, int, int, int]:
    """Where the blocks of `Heads` begin, after the first: gate, key, add, s, strength, sharpness."""
    W, K, M = sizes.write_heads, sizes.read_heads + sizes.write_heads, sizes.width
    gate, key = W * M, W * M + K
    add = key + K * M
    s = add + W * M
    strength = s + K * (2 * sizes.shift_range + 1)
    return gate, key, add, s, strength, strength + K


@compiled
def _squash(sizes: NTMSizes, z: Array) -> None:
    _, key, _, s, strength, sharpness = places(sizes)
    S, half, one = 2 * sizes.shift_range + 1, z.dtype.type(0.5), z.dtype.type(1)
    for j in range(s):
        z[j] = tanh(z[j])
    for j in range(key):
        z[j] = half * z[j] + half
    for j in range(s, strength, S):
        softmax(z[j : j + S])
    for j in range(strength, len(z)):
        z[j] = (z[j] if z[j] > 0 else one - one) + np.log1p(np.exp(-abs(z[j])))
    for j in range(sharpness, len(z)):
        z[j] += one


@compiled
def _find(sizes: NTMSizes, tape: Tape, t: int, b: int) -> None:
    memory, row_norm, unit, product = tape.memory[t, b], tape.row_norm[t, b, 0], tape.unit[t, b], tape.product[t, b]
    z, floor, (M, N) = tape.heads[t, b], memory.dtype.type(SQUARED_NORM_FLOOR), memory.shape
    _, keys, _, _, strengths, _ = places(sizes)
    row_norm[:] = floor
    add_squares(row_norm, memory)
    for n in range(N):
        row_norm[n] = np.sqrt(row_norm[n])
    for k in range(len(unit)):
        key = z[keys + k * M : keys + k * M + M]
        norm = np.sqrt(dot(key, key) + floor)
        tape.key_norm[t, b, k, 0] = norm
        for m in range(M):
            unit[k, m] = key[m] / norm
    product[:] = 0
    add_products(product, 0, unit, 0, memory)
    for k in range(len(unit)):
        content, along, strength = tape.content[t, b, k], product[k], z[strengths + k]
        for n in range(N):
            content[n] = strength * (along[n] / row_norm[n])
        softmax(content)


@compiled
def _move(sizes: NTMSizes, tape: Tape, t: int, b: int) -> None:
    z, floor, one = tape.heads[t, b], tape.w.dtype.type(WEIGHT_FLOOR), tape.w.dtype.type(1)
    gates, _, _, shares, _, sharpnesses = places(sizes)
    R, N = sizes.shift_range, tape.w.shape[3]
    S = 2 * R + 1
    for k in range(tape.w.shape[2]):
        content, prev, w = tape.content[t, b, k], tape.w[t, b, k], tape.w[t + 1, b, k]
        padded, floored, logarithm = tape.gated[t, b, k], tape.floored[t, b, k], tape.logarithm[t, b, k]
        gate, sharpness, gated = z[gates + k], z[sharpnesses + k], padded[R : R + N]
        stay = one - gate
        for n in range(N):
            gated[n] = gate * content[n] + stay * prev[n]
        repeat_ends(padded, R)
        floored[:] = 0
        mix(z[shares + k * S : shares + k * S + S], padded, True, floored)
        for n in range(N):
            floored[n] += floor
        for n in range(N):
            logarithm[n] = log(floored[n])
        for n in range(N):
            w[n] = sharpness * logarithm[n]
        softmax(w)


@compiled
def repeat_ends(padded: Array, R: int) -> None:
    """Repeat the ends of a weighting round the corner: R places before its first row and R behind its last."""
    for j in range(R):
        padded[j], padded[len(padded) - R + j] = padded[len(padded) - 2 * R + j], padded[R + j]


@compiled
def mix(s: Array, padded: Array, turned: bool, out: Array) -> None:
    """Add the shifted copies with the shares s to out; turned, the last one is the first stretch."""
    for i in range(len(s)):
        share, first = s[i], len(s) - 1 - i if turned else i
        copy = padded[first : first + len(out)]
        for n in range(len(out)):
            out[n] += share * copy[n]


@compiled
def _read_and_write(sizes: NTMSizes, tape: Tape, t: int, b: int, reads: Array) -> None:
    memory, after, w, z = tape.memory[t, b], tape.memory[t + 1, b], tape.w[t + 1, b], tape.heads[t, b]
    M, R, adds, one = sizes.width, sizes.read_heads, places(sizes)[2], z.dtype.type(1)
    reads[:] = 0
    add_dots(reads.reshape(R, M), memory, w[:R])
    for m in range(M):
        row, new, weight, erase = memory[m], after[m], w[R], z[m]
        for n in range(len(row)):
            new[n] = row[n] * (one - weight[n] * erase)
    for k in range(1, sizes.write_heads):
        keep(after, w[R + k], z[k * M : k * M + M])
    for k in range(sizes.write_heads):
        for m in range(M):
            new, weight, add = after[m], w[R + k], z[adds + k * M + m]
            for n in range(len(new)):
                new[n] += weight[n] * add


@compiled
def keep(rows: Array, w: Array, erase: Array) -> None:
    """What a head leaves of rows (M, N)."""
    one = w.dtype.type(1)
    for m in range(len(rows)):
        row, share = rows[m], erase[m]
        for n in range(len(w)):
            row[n] *= one - w[n] * share
