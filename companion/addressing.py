"""How the heads of a neural Turing machine find rows of its memory, read and write (chapter *Neural Turing machines*).

A memory has N rows of M numbers. A head holds a weighting w over the rows, and moves it at every step in four stages:

    content      w_c(n) = softmax_n(beta cos(k, m_n))           rows that look like the key k; the strength beta > 0 sharpens
    interpolate  w_g = g w_c + (1 - g) w'                       g = 0 stays with w', the weighting one step before
    shift        w_s(n) = sum_j s(j) w_g(n - j)                 j = -1, 0, 1 rows on, round the end; the s(j) sum to 1
    sharpen      w(n) = w_s(n)^gamma / sum_i w_s(i)^gamma       undoes the blur of a shift that is not quite sure; gamma >= 1

Then a read head returns r = sum_n w(n) m_n, and a write head erases and adds: m_n <- m_n (1 - w(n) e) + w(n) a.

Backward, with norm(v) the length of a vector, and v^ = v / norm(v):

    dw_s = gamma du / w_s, dgamma = sum du log w_s, du = w (dw - sum_i dw_i w_i)        a softmax of gamma log w_s
    dw_g(n) = sum_j s(j) dw_s(n + j)          ds(j) = sum_n dw_s(n) w_g(n - j)          the shift the other way round
    dw_c = g dw_g      dw' = (1 - g) dw_g      dg = sum_n dw_g (w_c - w')
    dc(n) = beta w_c (dw_c - sum_i dw_c(i) w_c(i))         what arrives at cos(k, m_n): beta times the softmax's own gradient
    dk = sum_n dc(n) (m_n^ - cos(k, m_n) k^) / norm(k), and likewise dm_n                a part along itself changes no angle
    dbeta = sum_n dc(n) cos(k, m_n) / beta

Every function takes K heads at once: w is (B, K, N), the memory (B, N, M). Source: Graves, Wayne and Danihelka 2014, section 3,
eqs. 2-9. Several write heads all erase before any adds, so that their order does not matter.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from companion.ops import softmax, softmax_backward
from companion.tree import Array
from companion.validate import require_dtype, require_finite, require_float, require_shape

# Added to the square of a norm: a row that was erased to zeros then has the cosine 0 with every key. Rows start at 1e-6 a
# number, far above it.
SQUARED_NORM_FLOOR = 1e-16
# Added to a weight before its logarithm, which 0 does not have.
WEIGHT_FLOOR = 1e-12

# --- content


class ContentCache(NamedTuple):
    """What `content_address` keeps for the way back."""

    key: Array  # (B, K, M)
    strength: Array  # (B, K)
    memory: Array  # (B, N, M)
    key_norm: Array  # (B, K, 1)
    row_norm: Array  # (B, 1, N)
    cosine: Array  # (B, K, N)
    w: Array  # (B, K, N)


def content_address(key: Array, strength: Array, memory: Array) -> tuple[Array, ContentCache]:
    """Weighting (B, K, N) of the rows of memory (B, N, M) by their cosine with key (B, K, M), times strength (B, K).

    Graves et al. 2014, eqs. 5-6. Raises ValueError for shapes that do not fit, numbers that are not finite, a strength that is
    not positive, and a key of zeros, which has no direction. A row of zeros is unlike every key: its cosine is 0.
    """
    _require_memory("content_address", memory)
    B, _, M = memory.shape
    _require("content_address", "key", key, memory, B, "K", M)
    _require("content_address", "strength", strength, memory, B, key.shape[1])
    _require_interval("content_address", "strength", strength, "numbers above 0", strength <= 0)
    if not key.any(axis=2).all():
        b, k = (int(i) for i in np.argwhere(~key.any(axis=2))[0])
        raise ValueError(
            f"content_address: key[{b}, {k}] is all zeros, expected a vector with a direction: 0 has no cosine"
        )
    key_norm = np.sqrt((key**2).sum(axis=2, keepdims=True) + SQUARED_NORM_FLOOR)
    row_norm = np.sqrt((memory**2).sum(axis=2)[:, None] + SQUARED_NORM_FLOOR)
    cosine = key @ memory.transpose(0, 2, 1) / (key_norm * row_norm)
    w = softmax(strength[:, :, None] * cosine)
    return w, ContentCache(key, strength, memory, key_norm, row_norm, cosine, w)


def content_address_backward(cache: ContentCache, dw: Array) -> tuple[Array, Array, Array]:
    """Gradients of key (B, K, M), strength (B, K) and memory (B, N, M) from that of the weighting (B, K, N)."""
    _require_gradient("content_address_backward", "dw", dw, cache.w)
    key, strength, memory, key_norm, row_norm, cosine, w = cache
    dsimilarity = softmax_backward(w, dw)
    dstrength = (dsimilarity * cosine).sum(axis=2)
    dcosine = dsimilarity * strength[:, :, None]
    ddot = dcosine / (key_norm * row_norm)
    dkey = ddot @ memory - (dcosine * cosine).sum(axis=2, keepdims=True) * key / key_norm**2
    along = ((dcosine * cosine).sum(axis=1, keepdims=True) / row_norm**2).transpose(0, 2, 1)  # (B, N, 1)
    dmemory = ddot.transpose(0, 2, 1) @ key - along * memory
    return dkey, dstrength, dmemory


# --- location


class InterpolateCache(NamedTuple):
    """What `interpolate` keeps for the way back."""

    content: Array  # (B, K, N)
    gate: Array  # (B, K)
    prev: Array  # (B, K, N)


def interpolate(content: Array, gate: Array, prev: Array) -> tuple[Array, InterpolateCache]:
    """Weighting g w_c + (1 - g) w' of content (B, K, N) and prev (B, K, N) with gate (B, K) in 0 ... 1.

    Graves et al. 2014, eq. 7. Raises ValueError for shapes that do not fit, numbers that are not finite, and other gates.
    """
    _require_weighting("interpolate", "content", content)
    _require("interpolate", "prev", prev, content, *content.shape)
    _require("interpolate", "gate", gate, content, *content.shape[:2])
    _require_interval("interpolate", "gate", gate, "numbers in 0 ... 1", (gate < 0) | (gate > 1))
    g = gate[:, :, None]
    return g * content + (1 - g) * prev, InterpolateCache(content, gate, prev)


def interpolate_backward(cache: InterpolateCache, dw: Array) -> tuple[Array, Array, Array]:
    """Gradients of content (B, K, N), gate (B, K) and prev (B, K, N) from that of the result (B, K, N)."""
    _require_gradient("interpolate_backward", "dw", dw, cache.content)
    g = cache.gate[:, :, None]
    return g * dw, (dw * (cache.content - cache.prev)).sum(axis=2), (1 - g) * dw


class ShiftCache(NamedTuple):
    """What `shift` keeps for the way back."""

    w: Array  # (B, K, N)
    s: Array  # (B, K, S)


def shift(w: Array, s: Array) -> tuple[Array, ShiftCache]:
    """Weighting (B, K, N) moved round by -J ... J rows; s (B, K, 2J + 1) says how likely each move is, in this order.

    Graves et al. 2014, eq. 8: a circular convolution. s(J), the last entry, moves the focus from row n to row n + J. Raises
    ValueError for shapes that do not fit, an even number of shifts, more of them than rows, and numbers that are not finite.
    """
    _require_weighting("shift", "w", w)
    B, K, N = w.shape
    _require("shift", "s", s, w, B, K, "2J + 1")
    count = s.shape[2]
    if count % 2 == 0 or count > N:
        raise ValueError(f"shift: s has {count} shifts, expected an odd number of at most the {N} rows of w")
    moved = [s[:, :, i, None] * np.roll(w, j, axis=2) for i, j in _moves(count)]
    return np.sum(moved, axis=0), ShiftCache(w, s)


def shift_backward(cache: ShiftCache, dy: Array) -> tuple[Array, Array]:
    """Gradients of w (B, K, N) and s (B, K, S) from that of the result (B, K, N)."""
    _require_gradient("shift_backward", "dy", dy, cache.w)
    moves = _moves(cache.s.shape[2])
    dw = np.sum([cache.s[:, :, i, None] * np.roll(dy, -j, axis=2) for i, j in moves], axis=0)
    ds = np.stack([(dy * np.roll(cache.w, j, axis=2)).sum(axis=2) for _, j in moves], axis=2)
    return dw, ds


def _moves(count: int) -> list[tuple[int, int]]:
    """Places in s with the rows they move by: (0, -J) ... (2J, J)."""
    return [(i, i - count // 2) for i in range(count)]


class SharpenCache(NamedTuple):
    """What `sharpen` keeps for the way back."""

    floored: Array  # (B, K, N) the weighting before, with the floor added
    sharpness: Array  # (B, K)
    w: Array  # (B, K, N)


def sharpen(w: Array, sharpness: Array) -> tuple[Array, SharpenCache]:
    """Weighting w^gamma / sum w^gamma of w (B, K, N) with sharpness gamma (B, K) of at least 1.

    Graves et al. 2014, eq. 9, as softmax(gamma log w): the power of a small weight underflows, and with every power 0 the
    quotient would be 0 / 0. Raises ValueError for shapes that do not fit, numbers that are not finite, negative weights, and
    a smaller gamma.
    """
    _require_weighting("sharpen", "w", w)
    _require("sharpen", "sharpness", sharpness, w, *w.shape[:2])
    _require_interval("sharpen", "sharpness", sharpness, "numbers of at least 1", sharpness < 1)
    floored = w + np.asarray(WEIGHT_FLOOR, w.dtype)
    _require_interval("sharpen", "w", w, "weights of at least 0", floored <= 0)
    sharp = softmax(sharpness[:, :, None] * np.log(floored))
    return sharp, SharpenCache(floored, sharpness, sharp)


def sharpen_backward(cache: SharpenCache, dy: Array) -> tuple[Array, Array]:
    """Gradients of w (B, K, N) and sharpness (B, K) from that of the result (B, K, N)."""
    _require_gradient("sharpen_backward", "dy", dy, cache.w)
    du = softmax_backward(cache.w, dy)
    return cache.sharpness[:, :, None] * du / cache.floored, (du * np.log(cache.floored)).sum(axis=2)


# --- reading and writing


class ReadCache(NamedTuple):
    """What `read` keeps for the way back."""

    memory: Array  # (B, N, M)
    w: Array  # (B, K, N)


def read(memory: Array, w: Array) -> tuple[Array, ReadCache]:
    """What the heads see: (B, K, M), rows of memory (B, N, M) averaged with w (B, K, N). Graves et al. 2014, eq. 2."""
    _require_memory("read", memory)
    _require("read", "w", w, memory, memory.shape[0], "K", memory.shape[1])
    return w @ memory, ReadCache(memory, w)


def read_backward(cache: ReadCache, dr: Array) -> tuple[Array, Array]:
    """Gradients of memory (B, N, M) and w (B, K, N) from that of what was read (B, K, M)."""
    memory, w = cache
    require_shape("read_backward", "dr", dr, *w.shape[:2], memory.shape[2], why="as the result")
    require_dtype("read_backward", "dr", dr, memory.dtype, why="as memory")
    return w.transpose(0, 2, 1) @ dr, dr @ memory.transpose(0, 2, 1)


class EraseAddCache(NamedTuple):
    """What `erase_add` keeps for the way back."""

    memory: Array  # (B, N, M) before
    w: Array  # (B, K, N)
    erase: Array  # (B, K, M)
    add: Array  # (B, K, M)
    kept: Array  # (B, K, N, M) the share that each head leaves of each number


def erase_add(memory: Array, w: Array, erase: Array, add: Array) -> tuple[Array, EraseAddCache]:
    """Memory (B, N, M) after K heads with weightings w (B, K, N) erased a share (B, K, M) in 0 ... 1, and added (B, K, M).

    Graves et al. 2014, eqs. 3-4. Raises ValueError for shapes that do not fit, numbers that are not finite, and other shares.
    """
    _require_memory("erase_add", memory)
    B, N, M = memory.shape
    _require("erase_add", "w", w, memory, B, "K", N)
    for name, array in (("erase", erase), ("add", add)):
        _require("erase_add", name, array, memory, B, w.shape[1], M)
    _require_interval("erase_add", "erase", erase, "shares in 0 ... 1", (erase < 0) | (erase > 1))
    kept = 1 - w[:, :, :, None] * erase[:, :, None, :]
    after = memory * kept.prod(axis=1) + w.transpose(0, 2, 1) @ add
    return after, EraseAddCache(memory, w, erase, add, kept)


def erase_add_backward(cache: EraseAddCache, dmemory: Array) -> tuple[Array, Array, Array, Array]:
    """Gradients of memory before (B, N, M), w (B, K, N), erase and add (B, K, M) from that of the memory after."""
    _require_gradient("erase_add_backward", "dmemory", dmemory, cache.memory)
    memory, w, erase, add, kept = cache
    dw = add @ dmemory.transpose(0, 2, 1)
    dadd = w @ dmemory
    derase = np.empty_like(erase)
    for k in range(w.shape[1]):
        others = np.delete(kept, k, axis=1).prod(axis=1)  # not kept / kept[:, k]: a head may leave nothing
        dshare = -dmemory * memory * others  # of w(n) e, the share that head k erases
        dw[:, k] += (dshare @ erase[:, k, :, None])[:, :, 0]
        derase[:, k] = (w[:, k, None] @ dshare)[:, 0]
    return dmemory * kept.prod(axis=1), dw, derase, dadd


# --- what they ask of their arguments


def _require_memory(function: str, memory: Array) -> None:
    require_float(function, "memory", memory)
    require_shape(function, "memory", memory, "B", "N", "M")
    require_finite(function, "memory", memory)


def _require_weighting(function: str, name: str, w: Array) -> None:
    require_float(function, name, w)
    require_shape(function, name, w, "B", "K", "N")
    require_finite(function, name, w)


def _require(function: str, name: str, array: Array, like: Array, *axes: int | str) -> None:
    require_float(function, name, array)
    require_shape(function, name, array, *axes)
    require_dtype(function, name, array, like.dtype)
    require_finite(function, name, array)


def _require_interval(function: str, name: str, array: Array, expected: str, wrong: NDArray[np.bool_]) -> None:
    if wrong.any():
        where = tuple(int(k) for k in np.argwhere(wrong)[0])
        at = ", ".join(map(str, where))
        raise ValueError(f"{function}: {name}[{at}] is {array[where]}, expected {expected}")


def _require_gradient(function: str, name: str, gradient: Array, like: Array) -> None:
    require_shape(function, name, gradient, *like.shape, why="as the result")
    require_dtype(function, name, gradient, like.dtype, why="as the result")
