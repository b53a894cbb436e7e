"""Neural Turing machine over whole sequences: the results of `unroll(ntm.ntm(...), ...)`, many times as fast.

Read `companion.addressing`, `heads` and `ntm` first: they say what is computed. Here is what comes before and after the loops
over time, which stand in `ntm_forward` and `ntm_backward` with the ideas that make them quick. Parameters and states are those of
`companion.ntm`; inside, memory lies the other way round, (B, M, N), and the parameters of the heads stand in another order.

What the stages of addressing would refuse is looked for once, when all steps are done.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from math import prod
from typing import Any, NamedTuple

import numpy as np

from companion.bptt import Cell, Layer, Mask
from companion.fast.ntm_backward import Gradients, backward_loop
from companion.fast.ntm_forward import Tape, Weights, forward_loop, head_blocks, split_seen
from companion.fast.ntm_machine import Loops, Machine, begin, begin_backward, head_order, kind_of, require_heads
from companion.heads import NTMSizes
from companion.ntm import GATE_BIAS, Controller, NTMParams, NTMState
from companion.ntm import ntm as readable_ntm
from companion.tree import Array

NUMPY = Loops(forward_loop, backward_loop)
STATES = ("seen", "s", "w", "memory")  # what a tape has of the time before the first step too


class NTMSequenceCache(NamedTuple):
    """What `ntm_sequence` keeps for the way back."""

    tape: Tape
    mask: Mask | None  # (T, B)


# --- forward


def ntm_sequence(
    machine: Machine, params: NTMParams, xs: Array, state: NTMState | None = None, mask: Mask | None = None
) -> tuple[Array, NTMState, NTMSequenceCache]:
    """Outputs ys (T, B, H + R M) for xs (T, B, D), the last state, the cache; arguments, results and errors as in `bptt.unroll`.

    Raises ValueError for what the stages of addressing would refuse, with its step and sequence.
    """
    state = begin("ntm_sequence", machine, params, xs, state, mask)
    H, sizes = params.W_z.shape[1], machine.sizes
    tape = _new_tape(machine, H, xs, state)
    if mask is not None:  # what stands on padding may be anything; with zeros all that follows from it is finite
        tape.seen[:-1, :, : xs.shape[2]][~mask] = 0
    with np.errstate(all="ignore"):  # `require_heads` finds what is not finite
        machine.loops.forward(sizes, _halved(machine, _reordered(machine, params)), tape)
    require_heads("ntm_sequence", sizes, tape, mask)
    after = split_seen(sizes, tape.seen[1:], H)
    ys = np.concatenate([after.h, after.reads.reshape(*after.h.shape[:2], -1)], axis=2)
    if mask is not None:
        ys[~mask], mask = 0, mask.copy()
    ends = tuple(
        a[_ends(mask, *xs.shape[:2]), np.arange(xs.shape[1])] for a in (tape.seen, tape.s, tape.w, tape.memory)
    )
    return ys, _state(machine, H, *ends), NTMSequenceCache(tape, mask)


def _reordered(machine: Machine, params: NTMParams) -> Weights:
    """Copies of the weights as the loops take them."""
    controller = params.controller
    W_h = controller.W_h if machine.kind.recurrent else np.zeros_like(params.W_z, shape=(params.W_z.shape[1],) * 2)
    gates = np.column_stack([controller.W_x, W_h, controller.b])
    return Weights(_blocks(gates, machine.kind.order), np.column_stack([params.W_z, params.b_z])[machine.order])


def _halved(machine: Machine, weights: Weights) -> Weights:
    """With the 1/2 that a sigma has inside its tanh."""
    sigmas = sum(m * n for m, n in head_blocks(machine.sizes)[:2])
    if machine.kind.recurrent:
        weights.gates[: len(weights.gates) // 4 * 3] *= 0.5
    weights.heads[:sigmas] *= 0.5
    return weights


def _blocks(rows: Array, order: list[int]) -> Array:
    """A copy of rows with their blocks in another order."""
    return rows.reshape(len(order), len(rows) // len(order), -1)[order].reshape(rows.shape)


def _new_tape(machine: Machine, H: int, xs: Array, state: NTMState) -> Tape:
    """A tape with the inputs and the first state, and room for all else."""
    (T, B, D), (_, N, M), (_, K, _), sizes = xs.shape, state.memory.shape, state.w.shape, machine.sizes
    P, S, L = sum(m * n for m, n in head_blocks(sizes)), 2 * sizes.shift_range + 1, H if machine.kind.recurrent else 0
    of_controller = (D + sizes.read_heads * M + H + 1,), (len(machine.kind.order) * H,), (L,), (L,)
    of_heads = (P,), (K, M), (K, 1), (1, N), (K, N), (K, N), (K, N + S - 1), (K, N), (K, N), (K, N), (M, N)
    steps = [T + (name in STATES) for name in Tape._fields]
    tape = Tape(*_in_one([(n, B, *shape) for n, shape in zip(steps, of_controller + of_heads)], xs.dtype))
    x, reads, h, h_one = split_seen(sizes, tape.seen, H)
    x[:-1], reads[0], h[0], h_one[:, :, -1] = xs, state.reads, 0, 1
    if L:
        h[0], tape.s[0] = state.controller
    tape.w[0], tape.memory[0] = state.w, state.memory.transpose(0, 2, 1)
    return tape


def _in_one(shapes: list[tuple[int, ...]], dtype: Any) -> list[Array]:
    """Arrays of these shapes in one piece of memory: when it is free again the next call gets it, and not many fresh pages."""
    counts = [prod(shape) for shape in shapes]
    starts = np.cumsum([0, *(-(-count // 16) * 16 for count in counts)])  # each where a line of the cache begins
    memory = np.empty(starts[-1], dtype)
    return [memory[start : start + count].reshape(shape) for start, count, shape in zip(starts, counts, shapes)]


def _ends(mask: Mask | None, T: int, B: int) -> Any:
    return np.full(B, T) if mask is None else mask.sum(axis=0)


def _state(machine: Machine, H: int, seen: Array, s: Array, w: Array, memory: Array) -> NTMState:
    """The state, or its gradient, of these parts as the loops have them."""
    _, reads, h, _ = split_seen(machine.sizes, seen, H)
    controller = machine.kind.state(*([h.copy(), s] if machine.kind.recurrent else []))
    return NTMState(controller, memory.transpose(0, 2, 1).copy(), w, reads.copy())


# --- backward


def ntm_sequence_backward(
    machine: Machine, params: NTMParams, cache: NTMSequenceCache, dys: Array, dstate: NTMState | None = None
) -> tuple[NTMParams, Array, NTMState]:
    """Gradients of the parameters, of xs and of the initial state; arguments and errors as in `bptt.unroll_backward`."""
    H, tape, mask, sizes = params.W_z.shape[1], cache.tape, cache.mask, machine.sizes
    begin_backward("ntm_sequence_backward", machine, tape, dys, dstate)
    T, B, _ = dys.shape
    weights, grads = _reordered(machine, params), _new_gradients(tape)
    outside = split_seen(sizes, grads.seen[1:], H)
    outside.h[...], outside.reads[...] = dys[:, :, :H], dys[:, :, H:].reshape(outside.reads.shape)
    if mask is not None:
        grads.seen[1:][~mask] = 0
    ends = _ends(mask, T, B)
    for start, end in list(pairwise([0, *np.unique(ends)]))[::-1]:
        if dstate is not None:
            _add_last(machine, H, grads, dstate, ends == end, int(end))
        machine.loops.backward(sizes, weights, *_cut(tape, grads, start, end))
    dxs = split_seen(sizes, grads.seen, H).x[:-1].copy()
    dstart = _state(machine, H, grads.seen[0], grads.s, grads.w, grads.memory)
    return _weight_gradients(machine, H, tape, grads), dxs, dstart


def _new_gradients(tape: Tape) -> Gradients:
    """Zeros; so they stay where all sequences are over."""
    return Gradients(*map(np.zeros_like, (tape.seen, tape.gates, tape.heads, tape.s[0], tape.w[0], tape.memory[0])))


def _add_last(machine: Machine, H: int, grads: Gradients, dstate: NTMState, here: Any, end: int) -> None:
    """Put in the gradient of the last state of the sequences that end here."""
    _, reads, h, _ = split_seen(machine.sizes, grads.seen[end], H)
    reads[here] += dstate.reads[here]
    if machine.kind.recurrent:
        h[here] += dstate.controller.h[here]
        grads.s[here] = dstate.controller.s[here]
    grads.w[here], grads.memory[here] = dstate.w[here], dstate.memory[here].transpose(0, 2, 1)


def _cut(tape: Tape, grads: Gradients, start: int, end: int) -> tuple[Tape, Gradients]:
    """The steps start ... end - 1, with the state before and after each."""
    parts = Tape(*(a[start : end + (name in STATES)] for name, a in tape._asdict().items()))
    steps = slice(start, end)
    return parts, grads._replace(seen=grads.seen[start : end + 1], gates=grads.gates[steps], heads=grads.heads[steps])


def _weight_gradients(machine: Machine, H: int, tape: Tape, grads: Gradients) -> NTMParams:
    """Sums over all steps and sequences, one product each."""
    kind = machine.kind
    gates = _blocks(_product(grads.gates, tape.seen[:-1]), np.argsort(kind.order).tolist())
    W_x, W_h, b = (part.copy() for part in np.split(gates, [-1 - H, -1], axis=1))
    heads = np.empty((len(machine.order), H + 1), gates.dtype)
    heads[machine.order] = _product(grads.heads, split_seen(machine.sizes, tape.seen[1:], H).h_one)
    recurrent = {"W_h": W_h} if kind.recurrent else {}
    return NTMParams(kind.params(W_x=W_x, b=b[:, 0], **recurrent), heads[:, :-1].copy(), heads[:, -1].copy())


def _product(dz: Array, x: Array) -> Array:
    """Sum over steps and batch: (T, B, m), (T, B, n) -> (m, n)."""
    return dz.reshape(-1, dz.shape[2]).T @ x.reshape(-1, x.shape[2])


# --- the layer


def ntm(
    controller: Cell = Controller,
    rows: int = 128,
    width: int = 20,
    read_heads: int = 1,
    write_heads: int = 1,
    shift_range: int = 1,
    gate_bias: float = GATE_BIAS,
    loops: Loops = NUMPY,
) -> Layer:
    """The NTM of `companion.ntm.ntm` with these arguments, as a fast layer; its controller is an `lstm.LSTM` or `Feedforward`.

    Raises ValueError for another controller, and for what `companion.ntm.ntm` refuses.
    """
    cell = readable_ntm(controller, rows, width, read_heads, write_heads, shift_range, gate_bias)
    sizes = NTMSizes(rows, width, read_heads, write_heads, shift_range)
    machine = Machine(cell, kind_of(controller), sizes, head_order(sizes), loops)
    return Layer(cell.init, partial(ntm_sequence, machine), partial(ntm_sequence_backward, machine))


NTM = ntm()
