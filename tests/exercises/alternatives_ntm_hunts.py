"""Right answers to the bug hunts and thinking exercises of *Neural Turing machines*, of other designs than the solution's."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import numpy as np

from companion import addressing, heads
from companion.data.algorithmic import optimal_ngrams
from companion.lstm import LSTM
from companion.ntm import ntm
from companion.tree import tree_leaves

# --- predictions


def count_of_the_package() -> int:
    cell = ntm(LSTM, rows=100, width=10, read_heads=2, write_heads=1, shift_range=2)
    return sum(array.size for array in tree_leaves(cell.init(np.random.default_rng(0), 7, 64)))


def count_block_by_block() -> int:
    shapes = heads.head_shapes(heads.NTMSizes(rows=100, width=10, read_heads=2, write_heads=1, shift_range=2))
    told = sum(math.prod(shape) for shape in shapes)
    return 4 * (27 * 64 + 64 * 64 + 64) + told * 64 + told


def focus_by_a_matrix() -> tuple[float, float]:
    once = 0.9 * np.eye(128) + 0.05 * (np.roll(np.eye(128), 1, axis=0) + np.roll(np.eye(128), -1, axis=0))
    w = np.eye(128)[60]
    for _ in range(20):
        w = (once @ w) ** 2 / ((once @ w) ** 2).sum()
    return float(np.linalg.matrix_power(once, 20)[60, 60]), w[60]


def focus_by_counting_and_stages() -> Any:
    back = sum(math.comb(20, k) * math.comb(20 - k, k) * 0.05 ** (2 * k) * 0.9 ** (20 - 2 * k) for k in range(11))
    w, s = np.eye(128)[None, 60:61], np.array([[[0.05, 0.9, 0.05]]])
    for _ in range(20):
        w = addressing.sharpen(addressing.shift(w, s)[0], np.array([[2.0]]))[0]
    return [back, round(w[0, 0, 60], 5)]


# --- the four stages


def followed_by_the_package(
    keys: Any, strengths: Any, gates: Any, s: Any, sharpness: Any, memory: Any, w_0: Any
) -> Any:
    w, ws = w_0[None, None], []
    for told in zip(keys, strengths, gates, s, sharpness):
        key, strength, gate, moves, gamma = (np.array(value)[None, None] for value in told)
        w_c, _ = addressing.content_address(key, strength, memory[None])
        w, _ = addressing.shift(addressing.interpolate(w_c, gate, w)[0], moves)
        w, _ = addressing.sharpen(w, gamma)
        ws.append(w[0, 0])
    ws = np.stack(ws)
    return ws, addressing.read(memory[None], ws[None])[0][0]


def followed_row_by_row(keys: Any, strengths: Any, gates: Any, s: Any, sharpness: Any, memory: Any, w_0: Any) -> Any:
    (T, M), (N, S) = keys.shape, (len(memory), s.shape[1])
    ws, reads, w = np.empty((T, N)), np.zeros((T, M)), list(w_0)
    for t in range(T):
        alike = [
            sum(keys[t] * row) / math.sqrt(sum(keys[t] ** 2)) / math.sqrt(sum(row**2)) * strengths[t] for row in memory
        ]
        total = sum(math.exp(a) for a in alike)
        w = [gates[t] * math.exp(a) / total + (1 - gates[t]) * v for a, v in zip(alike, w)]
        w = [sum(s[t, i] * w[(n - i + S // 2) % N] for i in range(S)) ** sharpness[t] for n in range(N)]
        w = [v / sum(w) for v in w]
        ws[t] = w
        for n in range(N):
            reads[t] += w[n] * memory[n]
    return ws, reads


# --- the bug hunts


def shift_by_two_loops(w: Any, s: Any) -> Any:
    (K, N), R = w.shape, s.shape[1] // 2
    shifted = np.zeros((K, N))
    for n in range(N):
        for j in range(-R, R + 1):
            shifted[:, n] += s[:, j + R] * w[:, (n - j) % N]
    return shifted


def shift_by_correlation_of_turned_moves(w: Any, s: Any) -> Any:
    R = s.shape[1] // 2
    return np.stack([np.correlate(np.pad(a, R, mode="wrap"), b[::-1], mode="valid") for a, b in zip(w, s)])


def shift_by_fourier(w: Any, s: Any) -> Any:
    kernel = np.zeros_like(w)
    for i in range(s.shape[1]):
        kernel[:, (i - s.shape[1] // 2) % w.shape[1]] += s[:, i]
    return np.fft.irfft(np.fft.rfft(w) * np.fft.rfft(kernel), n=w.shape[1])


def content_by_the_package(key: Any, strength: Any, memory: Any) -> Any:
    return addressing.content_address(key[None], strength[None], memory[None])[0][0]


def content_head_by_head(key: Any, strength: Any, memory: Any) -> Any:
    w = []
    for k, beta in zip(key, strength):
        similarity = [beta * (k @ m) / math.sqrt((k @ k) * (m @ m)) for m in memory]
        w.append([1 / sum(math.exp(min(b - a, 700)) for b in similarity) for a in similarity])
    return np.array(w)


def found_by_the_package(key: Any, z: Any, memory: Any) -> Any:
    strength = np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))) + 1e-300
    return addressing.content_address(key[None], strength[None], memory[None])[0][0]


def found_where_small_and_large(key: Any, z: Any, memory: Any) -> Any:
    beta = np.where(z > 30, z, np.log(1 + np.exp(np.minimum(z, 30))))
    unit = key / np.linalg.norm(key, axis=1, keepdims=True)
    rows = memory / np.linalg.norm(memory, axis=1, keepdims=True)
    return np.exp(a := beta[:, None] * (unit @ rows.T - 1)) / np.exp(a).sum(axis=1, keepdims=True)


def walked_by_the_package(w: Any, s: Any, sharpness: Any) -> Any:
    ws = [w[None]]
    for moves, gamma in zip(s, sharpness):
        ws.append(addressing.sharpen(addressing.shift(ws[-1], moves[None])[0], gamma[None])[0])
    return np.concatenate(ws[1:])


def walked_with_a_floor(w: Any, s: Any, sharpness: Any) -> Any:
    ws = np.empty((len(s), *w.shape))
    for t in range(len(s)):
        before = w if t == 0 else ws[t - 1]
        moved = np.einsum("ik,ikn->kn", s[t].T, np.stack([np.roll(before, j, axis=1) for j in (-1, 0, 1)]))
        power = np.exp(sharpness[t, :, None] * np.log(moved))
        ws[t] = power / (power.sum(axis=1) + 1e-16)[:, None]
    return ws


def head_backward_by_the_package(cache: Any, dws: Any) -> Any:
    steps, content, gate, s, sharpness = cache
    found, dw = [], np.zeros((1, 1, dws.shape[1]))
    for t in range(len(dws))[::-1]:
        _, w_1 = addressing.interpolate(content[None, t : t + 1], gate[None, t : t + 1], steps[t][0][None, None])
        _, w_2 = addressing.shift(steps[t][1][None, None], s[None, t : t + 1])
        w_3 = addressing.SharpenCache(steps[t][2][None, None], sharpness[None, t : t + 1], steps[t][3][None, None])
        dw_s, dgamma = addressing.sharpen_backward(w_3, dw + dws[t])
        dw_g, ds = addressing.shift_backward(w_2, dw_s)
        dcontent, dgate, dw = addressing.interpolate_backward(w_1, dw_g)
        found.append((dcontent[0, 0], dgate[0, 0], ds[0, 0], dgamma[0, 0]))
    return [*(np.array(column)[::-1] for column in zip(*found)), dw[0, 0]]


def head_backward_by_jacobians(cache: Any, dws: Any) -> Any:
    """Each step as a matrix; gradients of the weighting that a step began with, summed over all later steps."""
    steps, content, gate, s, sharpness = cache
    T, N = dws.shape
    eye, total, found = np.eye(N), np.zeros(N), []
    for t in reversed(range(T)):
        prev, w_g, w_s, w = steps[t]
        total = total + dws[t]
        at_shifted = total @ ((np.diag(w) - np.outer(w, w)) * (sharpness[t] / w_s))
        moves = [np.roll(eye, j, axis=0) for j in (-1, 0, 1)]  # moves[i] @ w rolls w
        at_gated = at_shifted @ sum(share * move for share, move in zip(s[t], moves))
        dgamma = total @ (w * (np.log(w_s) - w @ np.log(w_s)))
        found.append(
            (gate[t] * at_gated, at_gated @ (content[t] - prev), [at_shifted @ (m @ w_g) for m in moves], dgamma)
        )
        total = (1 - gate[t]) * at_gated
    dcontent, dgate, ds, dgamma = (np.array(column[::-1]) for column in zip(*found))
    return dcontent, dgate, ds, dgamma, total


# --- the best predictor


def ngram_with_a_dictionary(bits: Any, context: int, a: float, b: float) -> Any:
    ones: Any = defaultdict(lambda: a)
    both: Any = defaultdict(lambda: a + b)
    p = []
    for t, bit in enumerate(bits):
        past = bytes(bits[max(t - context, 0) : t].astype(np.uint8))
        p.append(ones[past] / both[past] if t >= context else 0.5)
        if t >= context:
            ones[past] += bit
            both[past] += 1
    return np.array(p)


def ngram_by_looking_back(bits: Any, context: int, a: float, b: float) -> Any:
    p = np.full(bits.shape, 0.5)
    for t in range(context, len(bits)):
        same = [i for i in range(context, t) if (bits[i - context : i] == bits[t - context : t]).all()]
        p[t] = (bits[same].sum() + a) / (len(same) + a + b) if same else a / (a + b)
    return p


def ngram_by_the_package(bits: Any, context: int, a: float, b: float) -> Any:
    """The package's predictor has a = b = 1/2: what it says of the counts is put to the other prior."""
    T = len(bits)
    half = np.append(0.5, optimal_ngrams(bits[:, None, None].astype(float), context)[:-1, 0, 0])
    p = np.full(T, 0.5)
    for t in range(context, T):
        seen = [i for i in range(context, t) if (bits[i - context : i] == bits[t - context : t]).all()]
        ones = half[t] * (len(seen) + 1) - 0.5
        p[t] = (ones + a) / (len(seen) + a + b)
    return p


# --- copy by hand


def backwards_by_hand(L: int, M: int) -> Any:
    """Writes upwards instead of downwards, a little sharper, and erases in all steps, for each row is read once."""
    T = 2 * L + 1
    gate = np.zeros(T)
    gate[L + 1] = 1
    return np.eye(M)[[0] * T], np.full(T, 20.0), gate, np.full(T, -1), np.full(T, 20.0), np.ones(T)


def in_lists_by_hand(L: int, M: int) -> Any:
    """Stays where it is for the mark, and looks for it in a row with another number in its key and the gate not quite open."""
    key = [[0.7] + [-0.05] * (M - 1)] * (2 * L + 1)
    gate = [0.001] + [0.0] * L + [0.99] + [0.0] * (L - 1)
    move = [0] + [1] * (2 * L)
    return key, [100] * (2 * L + 1), gate, move, [8.0] * (2 * L + 1), [1] * (L + 1) + [0.3] * L


ALTERNATIVES: dict[str, tuple[Any, ...]] = {
    "ntm.parameter_count": (count_of_the_package, count_block_by_block, 28362),
    "ntm.blur": (focus_by_a_matrix, focus_by_counting_and_stages, (0.3007, 0.9931)),
    "ntm.address": (followed_by_the_package, followed_row_by_row),
    "ntm.hunt_shift": (shift_by_two_loops, shift_by_correlation_of_turned_moves, shift_by_fourier),
    "ntm.hunt_axis": (content_by_the_package, content_head_by_head),
    "ntm.hunt_strength": (found_by_the_package, found_where_small_and_large),
    "ntm.hunt_sharpen": (walked_by_the_package, walked_with_a_floor),
    "ntm.hunt_previous": (head_backward_by_the_package, head_backward_by_jacobians),
    "ntm.optimal_ngram": (ngram_with_a_dictionary, ngram_by_looking_back, ngram_by_the_package),
    "ntm.copy_by_hand": (backwards_by_hand, in_lists_by_hand),
}
