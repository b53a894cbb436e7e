"""What `fast.compiled_ntm` computes with, compiled by numba: exp, log and tanh, softmax, and sums of products.

In float32 the three are written out, because a compiler makes vector instructions only of arithmetic it sees:

    exp(x) = 2^n exp(r)                      n the whole number nearest to x / log 2, r = x - n log 2; exp(r) by its power series
    log(x) = n log 2 + 2 artanh(q)           x = 2^n m, q = (m - 1) / (m + 1); artanh(q) by its power series
    tanh(x) = e / (e + 2)                    e = exp(2 x) - 1, for x of at least 0

2^n is made, and n and m are taken out of x, by way of the bits of a float32: its exponent n + 127 stands above 23 bits of m. The
result is within a share of 2.5e-7 of the true one. In float64 they are the library's.

All give NaN for NaN, so that numbers that are not finite get as far as the checks after a loop; and no function may assume that
there are none, except for `largest`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial
from typing import Any, TypeVar

import numpy as np

from companion.tree import Array

try:
    from numba import njit, types
    from numba.extending import overload
except ImportError as error:
    raise ImportError(
        "companion.fast.compiled_ntm needs numba, which is not installed; install it with: "
        "python -m pip install 'rnn-review-companion[fast]'"
    ) from error

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compiled so that a product and a sum may become one instruction."""
    result: Any = njit(cache=True, error_model="numpy", fastmath={"contract"})(function)
    typed: Function = result
    return typed


def summing(function: Function) -> Function:
    """Compiled so that, beside that, sums may be taken in another order: eight of them run side by side."""
    result: Any = njit(cache=True, error_model="numpy", fastmath={"contract", "reassoc"})(function)
    typed: Function = result
    return typed


F, I = np.float32, np.int32
HIGHEST = F(40)  # tanh(20) is 1
LOWEST = F(-87)  # e^-87 is close to the least number of full precision
PER_LOG_2 = F(1 / np.log(2))
LOG_2_HEAD = F(0.693359375)  # few bits, so that its products with n are exact
LOG_2_REST = F(np.log(2) - 0.693359375)
# The last bit of numbers as large as this counts ones: x + ROUND is x, rounded, and its bits count from here.
ROUND = F(1.5 * 2**23)
ROUND_BITS = ROUND.view(I)
SQRT_HALF_BITS = F(np.sqrt(0.5)).view(I)
E_7, E_6, E_5, E_4, E_3 = (F(1 / factorial(k)) for k in (7, 6, 5, 4, 3))


# Inside of compiled functions these three stand for what `overload` gives them below; numba switched off, they are as here.
def exp(x: Any) -> Any:
    """e^x for x of at most 0."""
    return np.exp(x)


def log(x: Any) -> Any:
    """Natural logarithm; NaN for what has none."""
    return np.log(x)


def tanh(x: Any) -> Any:
    """Hyperbolic tangent."""
    return np.tanh(x)


@compiled
def _parts(x: Any) -> tuple[Any, Any]:
    """e^r - 1 and 2^n, whose product and sum make e^x: without the 1, small numbers keep all their digits."""
    shifted = x * PER_LOG_2 + ROUND
    n = shifted - ROUND
    r = x - n * LOG_2_HEAD - n * LOG_2_REST
    series = (((E_7 * r + E_6) * r + E_5) * r + E_4) * r + E_3
    power = I(I(F(shifted).view(I) - ROUND_BITS + I(127)) << I(23)).view(F)
    return (series * r + F(0.5)) * (r * r) + r, power


def exp_32(x: Any) -> Any:
    """In float32; below -87 it stays at e^-87."""
    less, power = _parts(LOWEST if x < LOWEST else x)
    return less * power + power


def log_32(x: Any) -> Any:
    """In float32, for x of at least 1e-37."""
    bits = F(x).view(I)
    n = I(I(bits - SQRT_HALF_BITS) >> I(23))
    m = I(bits - I(n << I(23))).view(F)
    q = (m - F(1)) / (m + F(1))
    square = q * q
    series = ((F(2 / 9) * square + F(2 / 7)) * square + F(2 / 5)) * square + F(2 / 3)
    y = F(n) * LOG_2_HEAD + (F(n) * LOG_2_REST + (series * square + F(2)) * q)
    return y if x > F(0) else F(np.nan)


def tanh_32(x: Any) -> Any:
    """In float32: with e = exp(2 |x|) - 1, it is e / (e + 2)."""
    double = F(2) * abs(x)
    less, power = _parts(HIGHEST if double > HIGHEST else double)
    e = less * power + (power - F(1))
    y = e / (e + F(2))
    return y if x > F(0) else -y


def exp_64(x: Any) -> Any:
    """The library's."""
    return np.exp(x)


def log_64(x: Any) -> Any:
    """The library's."""
    return np.log(x)


def tanh_64(x: Any) -> Any:
    """The library's."""
    return np.tanh(x)


CONTRACT: Any = {"fastmath": {"contract"}}


@overload(exp, jit_options=CONTRACT)
def _exp(x: Any) -> Any:
    return exp_32 if x is types.float32 else exp_64


@overload(log, jit_options=CONTRACT)
def _log(x: Any) -> Any:
    return log_32 if x is types.float32 else log_64


@overload(tanh, jit_options=CONTRACT)
def _tanh(x: Any) -> Any:
    return tanh_32 if x is types.float32 else tanh_64


def _largest(a: Array) -> Any:
    """The largest number; some number where there is NaN, which then stays in `a` to be found."""
    y = a[0]
    for n in range(len(a)):
        y = max(y, a[n])
    return y


largest: Any = njit(cache=True, fastmath={"nnan", "nsz"})(_largest)


@summing
def dot(a: Array, b: Array) -> Any:
    """Sum of products."""
    total = a[0] * b[0]
    for n in range(1, len(a)):
        total += a[n] * b[n]
    return total


@summing
def softmax(a: Array) -> None:
    """In place."""
    top, total = largest(a), a.dtype.type(0)
    for n in range(len(a)):
        a[n] = exp(a[n] - top)
    for n in range(len(a)):
        total += a[n]
    share = a.dtype.type(1) / total
    for n in range(len(a)):
        a[n] *= share


@compiled
def add_squares(out: Array, rows: Array) -> None:
    """Add the squares in every column of rows (k, n) to out (n,); four rows at a time, so that out is read less often."""
    k = len(rows)
    for m in range(0, k - 3, 4):
        a, b, c, d = rows[m], rows[m + 1], rows[m + 2], rows[m + 3]
        for n in range(len(out)):
            out[n] += a[n] * a[n] + b[n] * b[n] + c[n] * c[n] + d[n] * d[n]
    for m in range(k - k % 4, k):
        a = rows[m]
        for n in range(len(out)):
            out[n] += a[n] * a[n]


@compiled
def add_products(out: Array, o: int, x: Array, i: int, W: Array) -> None:
    """Add x[:, i : i + k] W to out[:, o : o + m], for W (k, m); four rows of W at a time, so that out is read less often."""
    k, m = W.shape
    for j in range(0, k - 3, 4):
        W_0, W_1, W_2, W_3 = W[j], W[j + 1], W[j + 2], W[j + 3]
        for b in range(len(out)):
            y, x_0, x_1, x_2, x_3 = out[b, o : o + m], x[b, i + j], x[b, i + j + 1], x[b, i + j + 2], x[b, i + j + 3]
            for n in range(m):
                y[n] += x_0 * W_0[n] + x_1 * W_1[n] + x_2 * W_2[n] + x_3 * W_3[n]
    for j in range(k - k % 4, k - 1, 2):
        W_0, W_1 = W[j], W[j + 1]
        for b in range(len(out)):
            y, x_0, x_1 = out[b, o : o + m], x[b, i + j], x[b, i + j + 1]
            for n in range(m):
                y[n] += x_0 * W_0[n] + x_1 * W_1[n]
    for j in range(k - k % 2, k):
        W_0 = W[j]
        for b in range(len(out)):
            y, x_0 = out[b, o : o + m], x[b, i + j]
            for n in range(m):
                y[n] += x_0 * W_0[n]


@summing
def add_dots(out: Array, rows: Array, x: Array) -> None:
    """Add x rows^T, for x (B, n) and rows (k, n), to out (B, k); four rows at a time, so that x is read less often."""
    k, N = rows.shape
    for m in range(0, k - 3, 4):
        a, b, c, d = rows[m], rows[m + 1], rows[m + 2], rows[m + 3]
        for i in range(len(x)):
            y = x[i]
            of_a = of_b = of_c = of_d = y.dtype.type(0)
            for n in range(N):
                of_a += a[n] * y[n]
                of_b += b[n] * y[n]
                of_c += c[n] * y[n]
                of_d += d[n] * y[n]
            out[i, m] += of_a
            out[i, m + 1] += of_b
            out[i, m + 2] += of_c
            out[i, m + 3] += of_d
    for m in range(k - k % 4, k):
        for i in range(len(x)):
            out[i, m] += dot(rows[m], x[i])
