"""The way forward of `fast.compiled_ntm`: a step for one sequence of the batch after the other.

Equations, letters and order are those of `fast.ntm_forward`. Constants are made in the dtype of what they meet, because in
compiled code a plain 1 would turn float32 into float64.
"""

from __future__ import annotations

import numpy as np

from companion.addressing import SQUARED_NORM_FLOOR, WEIGHT_FLOOR
from companion.fast.compiled_math import add_dots, add_products, add_squares, compiled, dot, log, softmax, tanh
from companion.fast.ntm_forward import Heads, Tape
from companion.heads import NTMSizes
from companion.tree import Array


@compiled
def forward(sizes: NTMSizes, gates_T: Array, heads_T: Array, tape: Tape) -> None:
    """Fill the tape, for weights gates_T (D + R M + H + 1, G) and heads_T (H + 1, P)."""
    (T, B, _), H, R, M = tape.gates.shape, len(heads_T) - 1, sizes.read_heads, sizes.width
    h = tape.seen.shape[2] - 1 - H
    for t in range(T):
        tape.gates[t] = 0
        add_products(tape.gates[t], 0, tape.seen[t], 0, gates_T)
        for b in range(B):
            _control(tape.gates[t, b], tape.s[t, b], tape.s[t + 1, b], tape.phi[t, b], tape.seen[t + 1, b, h : h + H])
        tape.heads[t] = 0
        add_products(tape.heads[t], 0, tape.seen[t + 1], h, heads_T)
        for b in range(B):
            now, reads = views(sizes, tape.heads[t, b]), tape.seen[t + 1, b, h - R * M : h].reshape(R, M)
            _squash(tape.heads[t, b], now)
            _find(tape, t, b, now)
            _move(tape, t, b, now)
            _read(tape, t, b, reads)
            _write(tape, t, b, now)


@compiled
def views(sizes: NTMSizes, z: Array) -> Heads:
    """The blocks of z (P,); gate, strength and sharpness (K,)."""
    W, K, M, S = sizes.write_heads, sizes.read_heads + sizes.write_heads, sizes.width, 2 * sizes.shift_range + 1
    gate, key = W * M, W * M + K
    add = key + K * M
    s = add + W * M
    strength = s + K * S
    erase, keys, adds = z[:gate].reshape(W, M), z[key:add].reshape(K, M), z[add:s].reshape(W, M)
    shares = z[s:strength].reshape(K, S)
    return Heads(erase, z[gate:key], keys, adds, shares, z[strength : strength + K], z[strength + K :])


@compiled
def _control(gates: Array, s_prev: Array, s: Array, phi: Array, h: Array) -> None:
    H, half = len(h), gates.dtype.type(0.5)
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
def _squash(z: Array, now: Heads) -> None:
    """In place."""
    zero, half, one, least = z.dtype.type(0), z.dtype.type(0.5), z.dtype.type(1), np.finfo(z.dtype).tiny
    sigmas = now.erase.size + now.gate.size
    for j in range(sigmas + now.key.size + now.add.size):
        z[j] = tanh(z[j])
    for j in range(sigmas):
        z[j] = half * z[j] + half
    for k in range(len(now.gate)):
        softmax(now.s[k])
    for j in range(len(z) - 2 * now.gate.size, len(z)):
        z[j] = (z[j] if z[j] > zero else zero) + np.log1p(np.exp(-abs(z[j])))
    for k in range(len(now.gate)):
        if now.strength[k] < least:  # it rounds to 0, and a strength is above 0; NaN stays, to be found
            now.strength[k] = least
        now.sharpness[k] += one


@compiled
def _find(tape: Tape, t: int, b: int, now: Heads) -> None:
    """The weighting by content."""
    memory, row_norm, unit, product = tape.memory[t, b], tape.row_norm[t, b, 0], tape.unit[t, b], tape.product[t, b]
    floor = memory.dtype.type(SQUARED_NORM_FLOOR)
    row_norm[:] = floor
    add_squares(row_norm, memory)
    for n in range(len(row_norm)):
        row_norm[n] = np.sqrt(row_norm[n])
    for k in range(len(unit)):
        norm = np.sqrt(dot(now.key[k], now.key[k]) + floor)
        tape.key_norm[t, b, k, 0] = norm
        for m in range(unit.shape[1]):
            unit[k, m] = now.key[k, m] / norm
    product[:] = 0
    add_products(product, 0, unit, 0, memory)
    for k in range(len(unit)):
        content, of_rows, strength = tape.content[t, b, k], product[k], now.strength[k]
        for n in range(len(content)):
            content[n] = strength * (of_rows[n] / row_norm[n])
        softmax(content)


@compiled
def _move(tape: Tape, t: int, b: int, now: Heads) -> None:
    """The weighting from there: interpolate, shift, sharpen."""
    floor, one, J = tape.w.dtype.type(WEIGHT_FLOOR), tape.w.dtype.type(1), now.s.shape[1] // 2
    for k in range(len(now.gate)):
        content, prev, w = tape.content[t, b, k], tape.w[t, b, k], tape.w[t + 1, b, k]
        padded, floored, logarithm = tape.gated[t, b, k], tape.floored[t, b, k], tape.logarithm[t, b, k]
        gate, stay, sharpness, gated = now.gate[k], one - now.gate[k], now.sharpness[k], padded[J : J + len(w)]
        for n in range(len(w)):
            gated[n] = gate * content[n] + stay * prev[n]
        repeat_ends(padded, J)
        floored[:] = 0
        add_moved(floored, now.s[k, ::-1], padded)  # s(j) moves by j rows: the last stretch stands J rows back
        for n in range(len(w)):
            floored[n] += floor
        for n in range(len(w)):
            logarithm[n] = log(floored[n])
        for n in range(len(w)):
            w[n] = sharpness * logarithm[n]
        softmax(w)


@compiled
def repeat_ends(padded: Array, J: int) -> None:
    """As `ntm_forward.repeat_ends`."""
    N = len(padded) - 2 * J
    for j in range(J):
        padded[j], padded[N + J + j] = padded[N + j], padded[J + j]


@compiled
def add_moved(out: Array, shares: Array, padded: Array) -> None:
    """Add to out the stretches of padded, first to last, with these shares."""
    for i in range(len(shares)):
        share, stretch = shares[i], padded[i : i + len(out)]
        for n in range(len(out)):
            out[n] += share * stretch[n]


@compiled
def _read(tape: Tape, t: int, b: int, reads: Array) -> None:
    reads[:] = 0
    add_dots(reads, tape.memory[t, b], tape.w[t + 1, b, : len(reads)])


@compiled
def _write(tape: Tape, t: int, b: int, now: Heads) -> None:
    """All erase, then all add."""
    W, one = len(now.erase), tape.w.dtype.type(1)
    memory, after, w = tape.memory[t, b], tape.memory[t + 1, b], tape.w[t + 1, b, -W:]
    for m in range(len(memory)):
        row, new, weight, erase = memory[m], after[m], w[0], now.erase[0, m]
        for n in range(len(row)):
            new[n] = row[n] * (one - weight[n] * erase)
    for k in range(1, W):
        keep(after, w[k], now.erase[k])
    for k in range(W):
        for m in range(len(memory)):
            new, weight, add = after[m], w[k], now.add[k, m]
            for n in range(len(new)):
                new[n] += weight[n] * add


@compiled
def keep(rows: Array, w: Array, erase: Array) -> None:
    """Leave in rows (M, N) what a head does not erase."""
    one = w.dtype.type(1)
    for m in range(len(rows)):
        row, share = rows[m], erase[m]
        for n in range(len(w)):
            row[n] *= one - w[n] * share
