"""Neural Turing machine whose loops over time are compiled by numba: the numbers of `fast.ntm`, several times as fast again.

What a step does to the memory of one sequence is little work, and NumPy spends half of its time between the operations. Here a
loop is one compiled function, which goes through the batch inside of every step. The first pass forward and the first one back
compile, 15 to 20 seconds each for a dtype; the result is kept in files for the next run.

numba compiles a file anew when that file has changed, not when one that it takes functions or constants from has: who changes
`compiled_math`, `compiled_ntm_forward` or the floors of `companion.addressing` deletes companion/fast/__pycache__ too.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from companion.fast import ntm as fast_ntm
from companion.fast.compiled_ntm_backward import backward
from companion.fast.compiled_ntm_forward import forward
from companion.fast.ntm_backward import Gradients, backward_loop
from companion.fast.ntm_forward import Tape, Weights, forward_loop
from companion.fast.ntm_machine import Loops
from companion.heads import NTMSizes

DTYPES = np.float32, np.float64


def compiled_forward_loop(sizes: NTMSizes, weights: Weights, tape: Tape) -> None:
    """As `fast.ntm_forward.forward_loop`, which has the dtypes that numba has not."""
    if tape.w.dtype not in DTYPES:
        return forward_loop(sizes, weights, tape)
    forward(sizes, np.ascontiguousarray(weights.gates.T), np.ascontiguousarray(weights.heads.T), tape)


def compiled_backward_loop(sizes: NTMSizes, weights: Weights, tape: Tape, grads: Gradients) -> None:
    """As `fast.ntm_backward.backward_loop`."""
    if tape.w.dtype not in DTYPES:
        return backward_loop(sizes, weights, tape, grads)
    gates_T, W_z = weights.gates.T, weights.heads[:, :-1]
    backward(sizes, np.ascontiguousarray(gates_T), np.ascontiguousarray(W_z), tape, grads)


ntm = partial(fast_ntm.ntm, loops=Loops(compiled_forward_loop, compiled_backward_loop))
NTM = ntm()
