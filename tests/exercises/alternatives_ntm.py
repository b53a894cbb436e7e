"""Right answers of other designs to the exercises of the stages of addressing of the chapter *Neural Turing machines*."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from companion import addressing, ops

# The functions of the package have a batch axis in front: these answers give them a batch of one.


# --- reading and writing


def read_of_the_package(memory: Any, w: Any, dr: Any) -> Any:
    r, cache = addressing.read(memory[None], w[None])
    dmemory, dw = addressing.read_backward(cache, dr[None])
    return r[0], dmemory[0], dw[0]


def read_row_by_row(memory: Any, w: Any, dr: Any) -> Any:
    r, dmemory, dw = np.zeros_like(dr), np.zeros_like(memory), np.zeros_like(w)
    for k in range(len(w)):
        for n in range(len(memory)):
            r[k] += w[k, n] * memory[n]
            dmemory[n] += w[k, n] * dr[k]
            dw[k, n] = sum(dr[k] * memory[n])
    return r, dmemory, dw


def written_by_the_package(memory: Any, w: Any, erase: Any, add: Any) -> Any:
    return addressing.erase_add(memory[None], w[None], erase[None], add[None])[0][0]


def written_number_by_number(memory: Any, w: Any, erase: Any, add: Any) -> Any:
    after = np.empty_like(memory)
    for n, m in np.ndindex(memory.shape):
        kept = math.prod(1 - w[k, n] * erase[k, m] for k in range(len(w)))
        after[n, m] = memory[n, m] * kept + sum(w[k, n] * add[k, m] for k in range(len(w)))
    return after


def written_from_the_last_head(memory: Any, w: Any, erase: Any, add: Any) -> Any:
    kept = np.prod(1 - np.einsum("kn,km->knm", w, erase)[::-1], axis=0)
    return np.einsum("kn,km->nm", w, add) + kept * memory


def write_backward_of_the_package(memory: Any, w: Any, erase: Any, add: Any, dafter: Any) -> Any:
    _, cache = addressing.erase_add(memory[None], w[None], erase[None], add[None])
    return [gradient[0] for gradient in addressing.erase_add_backward(cache, dafter[None])]


def write_backward_head_by_head(memory: Any, w: Any, erase: Any, add: Any, dafter: Any) -> Any:
    """The heads erase one after another, and the way back undoes them in the reverse order."""
    K = len(w)
    before = [memory]
    for k in range(K):
        before.append(before[-1] * (1 - np.outer(w[k], erase[k])))
    dw, derase, dadd = np.einsum("nm,km->kn", dafter, add), np.zeros_like(erase), np.einsum("nm,kn->km", dafter, w)
    dmemory = dafter
    for k in reversed(range(K)):
        dshare = -dmemory * before[k]
        dw[k] += np.einsum("nm,m->n", dshare, erase[k])
        derase[k] = np.einsum("nm,n->m", dshare, w[k])
        dmemory = dmemory * (1 - np.outer(w[k], erase[k]))
    return dmemory, dw, derase, dadd


# --- content


def content_of_the_package(key: Any, strength: Any, memory: Any) -> Any:
    return addressing.content_address(key[None], strength[None], memory[None])[0][0]


def content_head_by_head(key: Any, strength: Any, memory: Any) -> Any:
    rows = []
    for k, beta in zip(key, strength, strict=True):
        scores = []
        for m in memory:
            product = math.hypot(*k) * math.hypot(*m)
            scores.append(beta * float(k @ m) / product if product else 0.0)
        e = [math.exp(score - max(scores)) for score in scores]
        rows.append(np.array(e) / sum(e))
    return np.stack(rows)


def content_with_a_constant(key: Any, strength: Any, memory: Any) -> Any:
    """The constant that PyTorch's cosine has by default."""
    lengths = np.linalg.norm(key, axis=1, keepdims=True) * np.linalg.norm(memory, axis=1)
    return np.exp(ops.log_softmax(strength[:, None] * (key @ memory.T) / np.maximum(lengths, 1e-8)))


def content_with_a_constant_added(key: Any, strength: Any, memory: Any) -> Any:
    lengths = np.outer(np.linalg.norm(key, axis=1), np.linalg.norm(memory, axis=1))
    return ops.softmax(strength[:, None] * (key @ memory.T) / (lengths + 1e-8))


def content_backward_of_the_package(key: Any, strength: Any, memory: Any, dw: Any) -> Any:
    _, cache = addressing.content_address(key[None], strength[None], memory[None])
    return [gradient[0] for gradient in addressing.content_address_backward(cache, dw[None])]


def content_backward_by_jacobians(key: Any, strength: Any, memory: Any, dw: Any) -> Any:
    """The whole Jacobian of a softmax, and the quotient rule for each pair of a key and a row."""
    dkey, dstrength, dmemory = np.zeros_like(key), np.zeros_like(strength), np.zeros_like(memory)
    for h, (k, beta) in enumerate(zip(key, strength, strict=True)):
        a = math.hypot(*k)
        b = np.array([math.hypot(*m) for m in memory])
        cosine = memory @ k / (a * b)
        w = np.exp(beta * cosine) / np.exp(beta * cosine).sum()
        d = (np.diag(w) - np.outer(w, w)) @ dw[h]
        dstrength[h] = d @ cosine
        for n, m in enumerate(memory):
            dkey[h] += beta * d[n] * (m * a * b[n] - (k @ m) * b[n] * k / a) / (a * b[n]) ** 2
            dmemory[n] += beta * d[n] * (k * a * b[n] - (k @ m) * a * m / b[n]) / (a * b[n]) ** 2
    return dkey, dstrength, dmemory


# --- interpolation


def gated_by_the_package(w_c: Any, g: Any, start: Any) -> Any:
    w, now, identity = [], start[None], np.eye(len(g) + 1)
    shares = np.repeat(identity[:1], g.shape[1], axis=0)  # (K, T + 1): a mixture of sources instead of rows
    for t in range(len(g)):
        now, _ = addressing.interpolate(w_c[t][None], g[t][None], now)
        w.append(now[0])
        shares = g[t][:, None] * identity[t + 1] + (1 - g[t][:, None]) * shares
    return np.stack(w), shares.T


def gated_from_the_shares(w_c: Any, g: Any, start: Any) -> Any:
    """The shares of every step first; the weightings are the mixtures."""
    T = len(g)
    sources, w = np.concatenate([start[None], w_c]), []
    for t in range(1, T + 1):
        own = np.concatenate([np.ones_like(g[:1]), g[:t]])
        shares = np.stack([own[i] * np.prod(1 - g[i:t], axis=0) for i in range(t + 1)])
        w.append(np.einsum("ik,ikn->kn", shares, sources[: t + 1]))
    return [np.stack(w), shares]


def gated_backward_by_the_package(w_c: Any, g: Any, start: Any, dw: Any) -> Any:
    caches, now = [], start[None]
    for t in range(len(g)):
        now, cache = addressing.interpolate(w_c[t][None], g[t][None], now)
        caches.append(cache)
    back, carried = [], np.zeros_like(now)
    for cache, arriving in zip(reversed(caches), dw[::-1], strict=True):
        dcontent, dgate, carried = addressing.interpolate_backward(cache, arriving[None] + carried)
        back.append((dcontent[0], dgate[0]))
    dw_c, dg = (np.stack(column) for column in zip(*reversed(back), strict=True))
    return dw_c, dg, carried[0]


def gated_backward_by_shares(w_c: Any, g: Any, start: Any, dw: Any) -> Any:
    """All paths summed: the share that the source of each step has in every later weighting."""
    T, K = g.shape
    total = np.zeros_like(dw)
    for t in range(T):
        for later in range(t, T):
            total[t] += np.prod(1 - g[t + 1 : later + 1], axis=0)[:, None] * dw[later]
    w = gated_from_the_shares(w_c, g, start)[0]
    prev = np.concatenate([start[None], w[:-1]])
    dstart = (1 - g[0].reshape(K, 1)) * total[0]
    return g[:, :, None] * total, np.einsum("tkn,tkn->tk", total, w_c - prev), dstart


# --- shift


def moved_by_the_package(w: Any, s: Any) -> Any:
    return addressing.shift(w[None], s[None])[0][0], np.stack([np.convolve(row, row) for row in s])


def moved_by_modulo(w: Any, s: Any) -> Any:
    (K, N), S = w.shape, s.shape[1]
    once, twice = np.zeros((K, N)), np.zeros((K, 2 * S - 1))
    for k in range(K):
        for i in range(S):
            for n in range(N):
                once[k, n] += s[k, i] * w[k, (n - (i - S // 2)) % N]
            for j in range(S):
                twice[k, i + j] += s[k, i] * s[k, j]
    return once, twice


def moved_by_fourier(w: Any, s: Any) -> Any:
    (_, N), S = w.shape, s.shape[1]
    kernel = np.zeros_like(w)
    for i in range(S):
        kernel[:, (i - S // 2) % N] += s[:, i]
    both = np.fft.irfft(np.fft.rfft(s, 2 * S - 1) ** 2, 2 * S - 1)
    return np.fft.irfft(np.fft.rfft(w) * np.fft.rfft(kernel), N), both


def moved_backward_by_the_package(w: Any, z: Any, dmoved: Any) -> Any:
    s = ops.softmax(z)
    dw, ds = addressing.shift_backward(addressing.shift(w[None], s[None])[1], dmoved[None])
    return dw[0], ops.softmax_backward(s, ds[0])


def moved_backward_by_a_matrix(w: Any, z: Any, dmoved: Any) -> Any:
    """The move of each head as a matrix (N, N), of which the way back is the transpose."""
    (K, N), S = w.shape, z.shape[1]
    moves = np.stack([np.roll(np.eye(N), i - S // 2, axis=0) for i in range(S)])  # (S, N, N)
    s = np.exp(ops.log_softmax(z))
    matrix = np.einsum("ki,inm->knm", s, moves)
    dw = np.einsum("knm,kn->km", matrix, dmoved)
    ds = np.einsum("kn,inm,km->ki", dmoved, moves, w)
    dz = np.stack([(np.diag(s[k]) - np.outer(s[k], s[k])) @ ds[k] for k in range(K)])
    return dw, dz


# --- sharpening


def sharpened_by_the_package(w_s: Any, sharpness: Any) -> Any:
    """The package has a floor of 1e-12 below the weights."""
    return np.where(w_s > 0, addressing.sharpen(w_s[None], sharpness[None])[0][0], 0.0)


def sharpened_by_logarithms(w_s: Any, sharpness: Any) -> Any:
    with np.errstate(divide="ignore"):
        u = sharpness[:, None] * np.log(w_s)  # -inf where the weight is 0
    e = np.exp(u - u.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def sharpened_by_ratios(w_s: Any, sharpness: Any) -> Any:
    rows = []
    for row, gamma in zip(w_s, sharpness, strict=True):
        powers = [(value / max(row)) ** gamma for value in row]
        rows.append([power / math.fsum(powers) for power in powers])
    return np.array(rows)


def sharpened_backward_by_the_package(w_s: Any, z: Any, dw: Any) -> Any:
    sharpness = 1 + np.logaddexp(0, z)
    dw_s, dsharpness = addressing.sharpen_backward(addressing.sharpen(w_s[None], sharpness[None])[1], dw[None])
    return dw_s[0], dsharpness[0] * ops.sigmoid(z)


def sharpened_backward_by_the_quotient_rule(w_s: Any, z: Any, dw: Any) -> Any:
    gamma = (1 + np.log1p(np.exp(z)))[:, None]
    power = w_s**gamma
    total = power.sum(axis=1, keepdims=True)
    dpower = dw / total - (dw * power).sum(axis=1, keepdims=True) / total**2
    dgamma = np.einsum("kn,kn->k", dpower, power * np.log(w_s))
    return dpower * gamma * w_s ** (gamma - 1), dgamma * np.exp(z) / (1 + np.exp(z))


ALTERNATIVES: dict[str, tuple[Any, ...]] = {
    "ntm.read": (read_of_the_package, read_row_by_row),
    "ntm.erase_add": (written_by_the_package, written_number_by_number, written_from_the_last_head),
    "ntm.erase_add_backward": (write_backward_of_the_package, write_backward_head_by_head),
    "ntm.content_address": (
        content_of_the_package,
        content_head_by_head,
        content_with_a_constant,
        content_with_a_constant_added,
    ),
    "ntm.content_address_backward": (content_backward_of_the_package, content_backward_by_jacobians),
    "ntm.interpolate": (gated_by_the_package, gated_from_the_shares),
    "ntm.interpolate_backward": (gated_backward_by_the_package, gated_backward_by_shares),
    "ntm.shift": (moved_by_the_package, moved_by_modulo, moved_by_fourier),
    "ntm.shift_backward": (moved_backward_by_the_package, moved_backward_by_a_matrix),
    "ntm.sharpen": (sharpened_by_the_package, sharpened_by_logarithms, sharpened_by_ratios),
    "ntm.sharpen_backward": (sharpened_backward_by_the_package, sharpened_backward_by_the_quotient_rule),
}
