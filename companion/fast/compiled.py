"""LSTM for one sequence at a time, its loop compiled by numba: the numbers of `fast.lstm`, for a batch of one still faster.

There a step is so little work that NumPy spends most of its time between the operations. Here the loop is one compiled
function. In larger batches the products take nearly all the time, nothing is gained, and the loop of `fast.lstm` runs instead.
The first call compiles, which takes some seconds; the result is kept in a file for the next run.

`tanh` is written out, because a compiler makes vector instructions only of arithmetic it sees: sinh and cosh of u = x / 32 from
their power series, then the argument doubled five times,

    sinh(2u) = 2 sinh(u) cosh(u)          cosh(2u) = cosh(u)^2 + sinh(u)^2          tanh(x) = sinh(x) / cosh(x)
"""

from __future__ import annotations

from functools import partial
from math import factorial
from typing import Any

import numpy as np

from companion.bptt import Layer
from companion.fast.lstm import LSTMBlock, backward_loop, forward_loop, lstm_sequence, lstm_sequence_backward
from companion.lstm import lstm_init
from companion.tree import Array

try:
    from numba import njit
except ImportError as error:
    raise ImportError(
        "companion.fast.compiled needs numba, which is not installed; install it with: "
        "python -m pip install 'rnn-review-companion[fast]'"
    ) from error

# The argument beyond which tanh is 1, then 1/32, 2, and the coefficients of both series from power 15 down to 0: |u| is below
# 0.63, where the next term is below 1e-16.
NUMBERS = np.array([20, 1 / 32, 2, *(1 / factorial(power) for power in range(15, -1, -1))])

compiled: Any = njit(cache=True, error_model="numpy", fastmath={"nnan", "contract"})


def tanh_of(x: Any, numbers: Array) -> Any:
    """Hyperbolic tangent of one number; `numbers` is NUMBERS in its dtype, so that float32 stays float32."""
    u = min(max(x, -numbers[0]), numbers[0]) * numbers[1]
    square, sinh, cosh = u * u, numbers[3], numbers[4]
    for k in range(5, 19, 2):
        sinh, cosh = sinh * square + numbers[k], cosh * square + numbers[k + 1]
    sinh = sinh * u
    for _ in range(5):
        sinh, cosh = numbers[2] * sinh * cosh, cosh * cosh + sinh * sinh
    return sinh / cosh


_tanh = compiled(tanh_of)


def _add_product(out: Array, W: Array, x: Array) -> None:
    """Add x W to out; four rows of W at a time, so that out is read and written a quarter as often."""
    q = len(x) // 4
    for k in range(q):
        x_0, x_1, x_2, x_3 = x[k], x[q + k], x[2 * q + k], x[3 * q + k]
        for j in range(len(out)):
            out[j] += x_0 * W[k, j] + x_1 * W[q + k, j] + x_2 * W[2 * q + k, j] + x_3 * W[3 * q + k, j]
    for k in range(4 * q, len(x)):
        for j in range(len(out)):
            out[j] += x[k] * W[k, j]


_add = compiled(_add_product)


def _forward_steps(W_hT: Array, xh: Array, z: Array, phi_s: Array, numbers: Array) -> None:
    """Fill z (n + 1, 5H), where the gates hold the inputs' part, xh (n + 1, D + 1 + H) and phi_s (n, H); W_hT is (H, 4H)."""
    n, H = phi_s.shape
    half = numbers[1] * numbers[1] * 512
    for t in range(n):
        gates, s_prev, s, phi, h = z[t, : 4 * H], z[t, 4 * H :], z[t + 1, 4 * H :], phi_s[t], xh[t + 1, -H:]
        _add(gates, W_hT, xh[t, -H:])
        for j in range(3 * H):
            gates[j] = half * _tanh(gates[j], numbers) + half
        for j in range(3 * H, 4 * H):
            gates[j] = _tanh(gates[j], numbers)
        for j in range(H):
            s[j] = gates[H + j] * gates[3 * H + j] + gates[2 * H + j] * s_prev[j]
        for j in range(H):
            phi[j] = _tanh(s[j], numbers)
        for j in range(H):
            h[j] = gates[j] * phi[j]


def _backward_steps(W_h: Array, z: Array, phi_s: Array, dys: Array, dzs: Array, dh: Array, ds: Array) -> None:
    """Fill dzs (n, 4H); dh and ds (H,) become the errors of the state before; W_h is (4H, H)."""
    n, H = dys.shape
    for t in range(n - 1, -1, -1):
        o, i, f, g = z[t, :H], z[t, H : 2 * H], z[t, 2 * H : 3 * H], z[t, 3 * H : 4 * H]
        s_prev, phi = z[t, 4 * H :], phi_s[t]
        dz_o, dz_i, dz_f, dz_g = dzs[t, :H], dzs[t, H : 2 * H], dzs[t, 2 * H : 3 * H], dzs[t, 3 * H :]
        for j in range(H):
            dh[j] += dys[t, j]
        for j in range(H):
            dz_o[j] = dh[j] * phi[j] * (o[j] - o[j] * o[j])
        for j in range(H):
            ds[j] += dh[j] * (o[j] - o[j] * phi[j] * phi[j])
        for j in range(H):
            dz_i[j] = ds[j] * g[j] * (i[j] - i[j] * i[j])
        for j in range(H):
            dz_f[j] = ds[j] * s_prev[j] * (f[j] - f[j] * f[j])
        for j in range(H):
            dz_g[j] = ds[j] * (i[j] - i[j] * g[j] * g[j])
        for j in range(H):
            ds[j] *= f[j]
        dh[:] = 0
        _add(dh, W_h, dzs[t])


_forward, _backward = compiled(_forward_steps), compiled(_backward_steps)


def compiled_forward_loop(W: Array, xh: Array, z: Array, phi_s: Array) -> None:
    """As `fast.lstm.forward_loop`; the part of the gates that comes from x and the biases is one product."""
    if z.shape[2] > 1:
        forward_loop(W, xh, z, phi_s)
        return
    xh, z, phi_s = (array.reshape(len(array), -1) for array in (xh, z, phi_s))
    H = phi_s.shape[1]
    np.matmul(xh[:-1, :-H], W[:, :-H].T, out=z[:-1, : 4 * H])
    _forward(np.ascontiguousarray(W[:, -H:].T), xh, z, phi_s, NUMBERS.astype(z.dtype))


def compiled_backward_loop(
    W_hT: Array, block: LSTMBlock, dys: Array, dh: Array, ds: Array
) -> tuple[Array, Array, Array]:
    """As `fast.lstm.backward_loop`."""
    (n, H, B), dtype = block.phi_s.shape, dys.dtype
    if B > 1:
        return backward_loop(W_hT, block, dys, dh, ds)
    dh, ds, dzs = dh.copy(), ds.copy(), np.empty((n, 4 * H, 1), dtype)
    z, phi_s, flat_dys, flat_dzs = (array.reshape(len(array), -1) for array in (block.z, block.phi_s, dys, dzs))
    _backward(np.ascontiguousarray(W_hT.T), z, phi_s, flat_dys, flat_dzs, dh.ravel(), ds.ravel())
    return dzs, dh, ds


LSTM = Layer(
    lstm_init,
    partial(lstm_sequence, loop=compiled_forward_loop),
    partial(lstm_sequence_backward, loop=compiled_backward_loop),
)
