"""What the controller of a neural Turing machine says to its heads (chapter *Neural Turing machines*; Graves et al. 2014).

One linear map of the controller's output gives z (B, P), the parameters of all heads. Each block of it is squashed into the range
that its stage of addressing asks for; the paper names the ranges, and leaves the functions open but for later practice:

    key, add          tanh            -1 ... 1             strength beta    softplus         > 0
    gate, erase       sigma           0 ... 1              sharpness gamma  1 + softplus     > 1
    s                 softmax over the 2 J + 1 moves of a head, J = `shift_range`
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from companion.addressing import (
    ContentCache,
    InterpolateCache,
    SharpenCache,
    ShiftCache,
    content_address,
    content_address_backward,
    interpolate,
    interpolate_backward,
    sharpen,
    sharpen_backward,
    shift,
    shift_backward,
)
from companion.ops import sigmoid, softmax, softmax_backward
from companion.tree import Array
from companion.validate import require_finite, require_float, require_shape, require_whole


class NTMSizes(NamedTuple):
    """What an NTM has beside its controller."""

    rows: int = 128  # N
    width: int = 20  # M numbers a row
    read_heads: int = 1  # R
    write_heads: int = 1  # W; K = R + W heads, those that read first
    shift_range: int = 1  # a head moves by at most so many rows a step


def require_ntm_sizes(function: str, sizes: NTMSizes) -> None:
    """Raise ValueError unless all are whole numbers of at least 1, the shift range of at least 0, and no two shifts meet."""
    for name, size in sizes._asdict().items():
        require_whole(function, name, size, 0 if name == "shift_range" else 1)
    if 2 * sizes.shift_range + 1 > sizes.rows:
        raise ValueError(
            f"{function}: shift_range is {sizes.shift_range}, expected at most {(sizes.rows - 1) // 2} with {sizes.rows} rows: "
            f"{2 * sizes.shift_range + 1} shifts would reach the same row twice, round the end"
        )


class HeadParameters(NamedTuple):
    """The parameters of all heads at one step; before they are squashed, the blocks of z in this order."""

    key: Array  # (B, K, M) tanh
    strength: Array  # (B, K) softplus
    gate: Array  # (B, K) sigma
    s: Array  # (B, K, S) softmax over the S = 2 shift_range + 1 moves
    sharpness: Array  # (B, K) 1 + softplus
    erase: Array  # (B, W, M) sigma
    add: Array  # (B, W, M) tanh


def head_shapes(sizes: NTMSizes) -> HeadParameters:
    """The shape of each block, without the batch."""
    K, M, S = sizes.read_heads + sizes.write_heads, sizes.width, 2 * sizes.shift_range + 1
    shapes: Any = (K, M), (K,), (K,), (K, S), (K,), (sizes.write_heads, M), (sizes.write_heads, M)
    return HeadParameters(*shapes)


def head_slices(sizes: NTMSizes) -> HeadParameters:
    """Where each block stands along the axis P of z, and of the weights and biases that make it: slices."""
    ends = np.cumsum([0, *(prod(shape) for shape in head_shapes(sizes))]).tolist()
    slices: Any = map(slice, ends, ends[1:])
    return HeadParameters(*slices)


def head_parameters(sizes: NTMSizes, z: Array) -> HeadParameters:
    """What a linear map z (B, P) says to the heads, each number squashed into its range.

    Raises ValueError for another shape, and for numbers that are not finite, where it names the block: tanh and sigma would hide
    an infinity.
    """
    shapes = head_shapes(sizes)
    require_float("head_parameters", "z", z)
    require_shape("head_parameters", "z", z, "B", sum(map(prod, shapes)), why="for these heads")
    parts = (z[:, block] for block in head_slices(sizes))
    raw = HeadParameters(*(part.reshape(len(z), *shape) for part, shape in zip(parts, shapes, strict=True)))
    for name, block in raw._asdict().items():
        require_finite("head_parameters", name, block)
    return HeadParameters(
        np.tanh(raw.key),
        # Softplus rounds to 0 below -104 in float32, and a strength is above 0.
        np.maximum(np.logaddexp(raw.strength, np.zeros_like(raw.strength)), np.finfo(z.dtype).tiny),
        sigmoid(raw.gate),
        softmax(raw.s),
        1 + np.logaddexp(raw.sharpness, np.zeros_like(raw.sharpness)),
        sigmoid(raw.erase),
        np.tanh(raw.add),
    )


def head_parameters_backward(heads: HeadParameters, dheads: HeadParameters) -> Array:
    """Gradient of z (B, P) from those of the parameters; the slope of a softplus y is 1 - e^-y."""
    dz = HeadParameters(
        dheads.key * (1 - heads.key**2),
        dheads.strength * -np.expm1(-heads.strength),
        dheads.gate * heads.gate * (1 - heads.gate),
        softmax_backward(heads.s, dheads.s),
        dheads.sharpness * -np.expm1(1 - heads.sharpness),
        dheads.erase * heads.erase * (1 - heads.erase),
        dheads.add * (1 - heads.add**2),
    )
    return np.concatenate([block.reshape(len(heads.key), -1) for block in dz], axis=1)


# --- addressing, all four stages


class AddressCache(NamedTuple):
    """What `address` keeps for the way back; the weighting after each stage stands in the next one."""

    content: ContentCache
    interpolate: InterpolateCache
    shift: ShiftCache
    sharpen: SharpenCache


def address(heads: HeadParameters, memory: Array, prev: Array) -> tuple[Array, AddressCache]:
    """The next weighting (B, K, N) of every head, from memory (B, N, M) and the weighting before (B, K, N)."""
    w_c, content = content_address(heads.key, heads.strength, memory)
    w_g, interpolated = interpolate(w_c, heads.gate, prev)
    w_s, shifted = shift(w_g, heads.s)
    w, sharpened = sharpen(w_s, heads.sharpness)
    return w, AddressCache(content, interpolated, shifted, sharpened)


def address_backward(cache: AddressCache, dw: Array) -> tuple[tuple[Array, Array, Array, Array, Array], Array, Array]:
    """Gradients of key, strength, gate, s and sharpness, of memory (B, N, M), and of the weighting before (B, K, N)."""
    dw_s, dsharpness = sharpen_backward(cache.sharpen, dw)
    dw_g, ds = shift_backward(cache.shift, dw_s)
    dw_c, dgate, dprev = interpolate_backward(cache.interpolate, dw_g)
    dkey, dstrength, dmemory = content_address_backward(cache.content, dw_c)
    return (dkey, dstrength, dgate, ds, dsharpness), dmemory, dprev
