"""The way forward of `fast.ntm`: the steps of an episode, each for the whole batch and all heads at once.

The equations are those of `companion.ntm`, `heads` and `addressing`. What makes them quick here:

memory (B, M, N)   Its longest axis last, so that all that is done to it or to a weighting runs along the rows.
one tape           What a step keeps is written where it is kept, into one array for all steps.
stacked inputs     x, reads, h and 1 stand side by side: one product gives all gates with their biases, one more z with its own.
blocks by squash   The parameters of the heads stand in another order, so that one tanh squashes four of their seven blocks.
                   sigma(z) = (1 + tanh(z / 2)) / 2, with the 1/2 inside put into the weights.
unit keys          key / |key| is short and its products with the rows are long: divide first.
windows            A weighting is kept with its ends repeated round the corner: all its shifted copies are views of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from companion.addressing import SQUARED_NORM_FLOOR, WEIGHT_FLOOR
from companion.heads import NTMSizes
from companion.tree import Array


class Weights(NamedTuple):
    """The weights of the products inside the loop."""

    gates: Array  # (G, D + R M + H + 1) of `Tape.seen`; feedforward: those of h are 0
    heads: Array  # (P, H + 1)


class Tape(NamedTuple):
    """What the steps of an episode keep; K = R + W heads, S = 2J + 1 shifts. LSTM: G = 4H, L = H; feedforward: G = H, L = 0."""

    seen: Array  # (T + 1, B, D + R M + H + 1) x, then what the step before left: reads, h, and 1
    gates: Array  # (T, B, G) o, i, f, g; feedforward: h
    s: Array  # (T + 1, B, L) internal state, before the first step and after every step
    phi: Array  # (T, B, L) tanh(s)
    heads: Array  # (T, B, P) blocks as in `Heads`
    unit: Array  # (T, B, K, M) key / |key|
    key_norm: Array  # (T, B, K, 1)
    row_norm: Array  # (T, B, 1, N)
    product: Array  # (T, B, K, N) of unit key and row
    content: Array  # (T, B, K, N)
    gated: Array  # (T, B, K, N + S - 1) interpolated, with its ends repeated
    floored: Array  # (T, B, K, N) shifted, with the floor added
    logarithm: Array  # (T, B, K, N) of it
    w: Array  # (T + 1, B, K, N) before the first step, and after every step
    memory: Array  # (T + 1, B, M, N) likewise


class Heads(NamedTuple):
    """The blocks of the parameters of all heads (..., P) as views."""

    erase: Array  # (..., W, M) sigma
    gate: Array  # (..., K, 1) sigma
    key: Array  # (..., K, M) tanh
    add: Array  # (..., W, M) tanh
    s: Array  # (..., K, S) softmax
    strength: Array  # (..., K, 1) softplus
    sharpness: Array  # (..., K, 1) 1 + softplus


def head_blocks(sizes: NTMSizes) -> list[tuple[int, int]]:
    """The shape of each block."""
    W, K, M = sizes.write_heads, sizes.read_heads + sizes.write_heads, sizes.width
    return [(W, M), (K, 1), (K, M), (W, M), (K, 2 * sizes.shift_range + 1), (K, 1), (K, 1)]


def split_heads(sizes: NTMSizes, a: Array) -> Heads:
    """The blocks of a (..., P)."""
    shapes = head_blocks(sizes)
    parts = np.split(a, np.cumsum([m * n for m, n in shapes])[:-1], axis=-1)
    return Heads(*(part.reshape(*a.shape[:-1], *shape) for part, shape in zip(parts, shapes)))


class Seen(NamedTuple):
    """The parts of seen (..., D + R M + H + 1) as views."""

    x: Array  # (..., D)
    reads: Array  # (..., R, M)
    h: Array  # (..., H)
    h_one: Array  # (..., H + 1)


def split_seen(sizes: NTMSizes, a: Array, H: int) -> Seen:
    """These parts of a (..., D + R M + H + 1)."""
    h, shape = a.shape[-1] - 1 - H, (*a.shape[:-1], sizes.read_heads, sizes.width)
    x = h - sizes.read_heads * sizes.width
    return Seen(a[..., :x], a[..., x:h].reshape(shape), a[..., h:-1], a[..., h:])


def each_step(heads: Heads) -> Iterator[Heads]:
    """The blocks of one step after the other."""
    return map(Heads._make, zip(*heads))


def windows(padded: Array, N: int) -> Array:
    """All stretches of N entries in padded (..., N + S - 1): views (S, ..., N), the first entry of each one further on."""
    return np.moveaxis(sliding_window_view(padded, N, axis=-1), -2, 0)


def repeat_ends(padded: Array, J: int) -> None:
    """Fill the J entries on both sides of the middle with those of its other end."""
    if J:
        padded[..., :J], padded[..., -J:] = padded[..., -2 * J : -J], padded[..., J : 2 * J]


def forward_loop(sizes: NTMSizes, weights: Weights, tape: Tape) -> None:
    """Fill the tape, whose inputs and first state are there."""
    heads, rows = split_heads(sizes, tape.heads), np.empty_like(tape.memory[0])
    gates_T, heads_T = (np.ascontiguousarray(a.T) for a in weights)
    after = split_seen(sizes, tape.seen[1:], weights.heads.shape[1] - 1)
    # s(j) moves by j rows: of the stretches, the last one stands J rows back.
    moved = np.moveaxis(windows(tape.gated, tape.w.shape[3])[::-1], 1, 0)
    for t, (now, copies) in enumerate(zip(each_step(heads), moved)):
        np.dot(tape.seen[t], gates_T, out=tape.gates[t])
        _control(tape, t, after.h[t])
        np.dot(after.h_one[t], heads_T, out=tape.heads[t])
        _squash(tape.heads[t], now)
        _find(tape, t, now, rows)
        _move(tape, t, now, copies)
        np.matmul(tape.w[t + 1, :, : sizes.read_heads], tape.memory[t].transpose(0, 2, 1), out=after.reads[t])
        _write(tape, t, now, rows)


def _control(tape: Tape, t: int, h: Array) -> None:
    gates, H, s = tape.gates[t], h.shape[1], tape.s[t + 1]
    np.tanh(gates, out=gates)
    if not s.shape[1]:
        h[...] = gates
        return
    oif, o, i, f, g = gates[:, : 3 * H], gates[:, :H], gates[:, H : 2 * H], gates[:, 2 * H : 3 * H], gates[:, 3 * H :]
    oif *= 0.5
    oif += 0.5
    np.multiply(g, i, out=s)
    s += tape.s[t] * f
    np.tanh(s, out=tape.phi[t])
    np.multiply(tape.phi[t], o, out=h)


def _squash(z: Array, now: Heads) -> None:
    """In place."""
    sigmas = now.erase[0].size + now.gate[0].size
    tanhs, softplus = z[:, : sigmas + now.key[0].size + now.add[0].size], z[:, -2 * now.gate[0].size :]
    np.tanh(tanhs, out=tanhs)
    tanhs[:, :sigmas] *= 0.5
    tanhs[:, :sigmas] += 0.5
    _softmax(now.s)
    np.logaddexp(softplus, 0, out=softplus)
    np.maximum(now.strength, np.finfo(z.dtype).tiny, out=now.strength)  # it rounds to 0, and a strength is above 0
    np.add(now.sharpness, 1, out=now.sharpness)


def _softmax(z: Array) -> None:
    """In place, along the last axis."""
    z -= np.maximum.reduce(z, -1, keepdims=True)
    np.exp(z, out=z)
    z /= np.add.reduce(z, -1, keepdims=True)


def _find(tape: Tape, t: int, now: Heads, rows: Array) -> None:
    """The weighting by content."""
    memory, row_norm, product, content = tape.memory[t], tape.row_norm[t], tape.product[t], tape.content[t]
    np.sqrt(np.vecdot(now.key, now.key)[..., None] + SQUARED_NORM_FLOOR, out=tape.key_norm[t])
    np.divide(now.key, tape.key_norm[t], out=tape.unit[t])
    np.multiply(memory, memory, out=rows)
    np.add.reduce(rows, 1, keepdims=True, initial=SQUARED_NORM_FLOOR, out=row_norm)
    np.sqrt(row_norm, out=row_norm)
    np.matmul(tape.unit[t], memory, out=product)
    np.divide(product, row_norm, out=content)
    content *= now.strength
    _softmax(content)


def _move(tape: Tape, t: int, now: Heads, copies: Array) -> None:
    """The weighting from there: interpolate, shift, sharpen."""
    J, padded, floored, w = len(copies) // 2, tape.gated[t], tape.floored[t], tape.w[t + 1]
    gated = padded[:, :, J : J + w.shape[2]]
    np.multiply(now.gate, tape.content[t], out=gated)
    gated += (1 - now.gate) * tape.w[t]
    repeat_ends(padded, J)
    mix(now.s, copies, floored)
    floored += WEIGHT_FLOOR
    np.log(floored, out=tape.logarithm[t])
    np.multiply(now.sharpness, tape.logarithm[t], out=w)
    _softmax(w)


def mix(s: Array, copies: Array, out: Array) -> None:
    """Sum of the shifted copies (S, B, K, N) with the shares s (B, K, S)."""
    np.multiply(copies[0], s[:, :, :1], out=out)
    for i in range(1, len(copies)):
        out += copies[i] * s[:, :, i : i + 1]


def _write(tape: Tape, t: int, now: Heads, rows: Array) -> None:
    """All erase, then all add; for one head, that is m + w (a - e m)."""
    W, after = now.erase.shape[1], tape.memory[t + 1]
    left = so_far = tape.memory[t]
    for k in range(W):
        w, erase, add = tape.w[t + 1, :, k - W, None], now.erase[:, k, :, None], now.add[:, k, :, None]
        np.multiply(left, erase, out=rows)
        np.subtract(add, rows, out=rows)
        rows *= w
        np.add(so_far, rows, out=after)
        if k + 1 < W:
            left, so_far = left * (1 - w * erase), after
