"""What a neural Turing machine did in one sequence: kept, checked, and put into words (chapter *Neural Turing machines*).

`record` runs a machine and keeps inputs, outputs, where its heads stood, and its memory; `companion.memory_steps` draws it.
Steps are counted from 1, rows of the memory from 0.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from companion.bptt import Cell
from companion.ntm import NTMState
from companion.ops import LinearParams, linear, sigmoid
from companion.tree import Array
from companion.validate import (
    require_distributions,
    require_finite,
    require_float,
    require_kind,
    require_shape,
    require_whole,
)

CLEAR = 0.1  # of its focus is on every row that a head is said to stand at


class Trace(NamedTuple):
    """One sequence and a machine with one read head and one write head."""

    xs: Array  # (T, D) inputs
    outputs: Array  # (T, C) probabilities that a bit is 1
    write: Array  # (T, N) weighting of the write head
    read: Array  # (T, N) weighting of the read head
    erase: Array  # (T, M) 0 ... 1
    add: Array  # (T, M)
    memory: Array  # (T + 1, N, M) before the first step, and after each; a step reads what was there before it
    targets: Array | None = None  # (T, C) bits
    mask: NDArray[np.bool_] | None = None  # (T,) True where an answer is asked; None: at every step


def record(
    cell: Cell,
    params: Any,
    readout: LinearParams,
    xs: Array,
    targets: Array | None = None,
    mask: NDArray[np.bool_] | None = None,
) -> Trace:
    """Run a machine made by `ntm.ntm` over one sequence xs (T, 1, D), and keep what its heads did at every step.

    readout: the linear layer that makes of the cell's y the logits (1, C) of the output's bits
    targets (T, 1, C), mask (T, 1): as `companion.data.algorithmic` gives them

    Raises ValueError unless there is one sequence, one read head and one write head, and for what the machine refuses.
    """
    require_shape("record", "xs", xs, "T", 1, "D")
    for name, array, axes in (("targets", targets, (len(xs), 1, "C")), ("mask", mask, (len(xs), 1))):
        if array is not None:
            require_shape("record", name, array, *axes, why="from xs")
    state = cell.initial_state(params, 1)
    require_kind("record", "the state of cell", state, NTMState)
    memory, steps = [state.memory[0]], []
    for x in xs:
        y, state, cache = cell.step(params, x, state)
        if (heads := (state.reads.shape[1], cache.heads.erase.shape[1])) != (1, 1):
            raise ValueError(f"record: cell has {heads[0]} read and {heads[1]} write heads, expected one of each")
        output = sigmoid(linear(readout, y)[0][0])
        steps.append((output, state.w[0, 1], state.w[0, 0], cache.heads.erase[0, 0], cache.heads.add[0, 0]))
        memory.append(state.memory[0])
    outputs, write, read, erase, add = (np.stack(arrays) for arrays in zip(*steps, strict=True))
    trace = Trace(xs[:, 0], outputs, write, read, erase, add, np.stack(memory))
    return trace._replace(targets=None if targets is None else targets[:, 0], mask=None if mask is None else mask[:, 0])


class Sweep(NamedTuple):
    """How nearly two heads copy a list as a program would."""

    moves: float  # share of the steps at which the write head goes on by one row, and always the same way
    returns: float  # share of the vectors that the read head then finds where they were written, in the same order


def sweep(write: Array, read: Array) -> Sweep:
    """From weightings (L, B, N) of the write head while L >= 2 vectors are shown, and (L + 1, B, N) of the read head after them.

    A head is said to stand at the row with the largest weight. The read head may be there when the vector is asked for or one
    step before, if the controller passes on what it has read. Raises ValueError for shapes that do not fit, for fewer than 2
    vectors, and for weights that are negative or do not sum to 1.
    """
    require_shape("sweep", "write", write, "L", "B", "N")
    require_shape("sweep", "read", read, len(write) + 1, *write.shape[1:], why="from write")
    require_whole("sweep", "write.shape[0]", len(write), 2)
    for name, weightings in (("write", write), ("read", read)):
        require_distributions("sweep", name, weightings)
    written, found, rows = write.argmax(axis=2), read.argmax(axis=2), write.shape[2]
    moves = np.diff(written, axis=0) % rows
    return Sweep(
        max(float((moves == way % rows).mean()) for way in (1, -1)),
        max(float((at == written).mean()) for at in (found[:-1], found[1:])),
    )


def require_trace(function: str, trace: Trace) -> None:
    """Raise ValueError unless all arrays fit one another, weightings sum to 1, and erase, outputs and targets are in 0 ... 1."""
    require_kind(function, "trace", trace, Trace)
    for name in Trace._fields[: 7 if trace.targets is None else 8]:
        require_float(function, f"trace.{name}", getattr(trace, name))
    require_shape(function, "trace.xs", trace.xs, "T", "D")
    T = len(trace.xs)
    require_shape(function, "trace.write", trace.write, T, "N")
    require_shape(function, "trace.erase", trace.erase, T, "M")
    require_shape(function, "trace.outputs", trace.outputs, T, "C")
    N, M = trace.write.shape[1], trace.erase.shape[1]
    for name, *axes in (("read", T, N), ("add", T, M), ("memory", T + 1, N, M)):
        require_shape(function, f"trace.{name}", getattr(trace, name), *axes)
    if trace.targets is not None:
        require_shape(function, "trace.targets", trace.targets, *trace.outputs.shape, why="as trace.outputs")
    for name in ("write", "read"):
        require_distributions(function, f"trace.{name}", getattr(trace, name))
    for name in ("xs", "add", "memory"):
        require_finite(function, f"trace.{name}", getattr(trace, name))
    for name in ("outputs", "erase", "targets"):
        _require_unit(function, f"trace.{name}", getattr(trace, name))
    _require_mask(function, trace)


def _require_unit(function: str, name: str, array: Array | None) -> None:
    if array is None:
        return
    require_finite(function, name, array)
    if array.min() < 0 or array.max() > 1:
        raise ValueError(f"{function}: {name} has numbers from {array.min():g} to {array.max():g}, expected 0 to 1")


def _require_mask(function: str, trace: Trace) -> None:
    if trace.mask is None:
        return
    require_shape(function, "trace.mask", trace.mask, len(trace.xs))
    dtype, targets = np.asarray(trace.mask).dtype, "no targets" if trace.targets is None else "targets"
    if trace.targets is None or dtype != np.bool_:
        raise ValueError(f"{function}: trace.mask has dtype {dtype} and {targets}, expected bool and targets")


def asked(trace: Trace, t: int) -> bool:
    """Whether step t, counted from 0, has a target."""
    return trace.targets is not None and (trace.mask is None or bool(trace.mask[t]))


def facts(trace: Trace, t: int) -> dict[str, str]:
    """What happens at step t, counted from 0, as short texts with their headings."""
    bits = {"output": _vector(np.rint(trace.outputs[t]))}
    if trace.targets is not None:
        bits["target"] = _vector(trace.targets[t]) if asked(trace, t) else "none"
    return {
        "input": _vector(trace.xs[t]),
        "write head at": _places(trace.write[t]),
        "erases": _span(trace.erase[t]),
        "adds": _span(trace.add[t]),
        "read head at": _places(trace.read[t]),
        "reads": _span(trace.read[t] @ trace.memory[t]),
    } | bits


def sentence(trace: Trace, t: int, name: str = "") -> str:
    """What happens at step t, counted from 0, in words; name: what the step is, such as "vector 3"."""
    told = facts(trace, t)
    return (
        f"Step {t + 1} of {len(trace.xs)}{name and f', {name}'}: the input is {told['input']}. "
        f"The write head stands at {told['write head at']}, erases {told['erases']} and adds {told['adds']}. "
        f"The read head stands at {told['read head at']} and reads {told['reads']}. "
        f"The output is {told['output']}{_verdict(trace, t, told)}."
    )


def _verdict(trace: Trace, t: int, told: dict[str, str]) -> str:
    if trace.targets is None:
        return ""
    if not asked(trace, t):
        return ", but nothing is asked"
    wrong = int((np.rint(trace.outputs[t]) != trace.targets[t]).sum())
    if not wrong:
        return ", as asked"
    return f"; asked was {told['target']}, so {wrong} of {trace.targets.shape[1]} bits {'is' if wrong == 1 else 'are'} wrong"


def _vector(values: Array) -> str:
    """Bits in groups of four; other numbers with two digits."""
    if not np.isin(values, (0, 1)).all():
        return " ".join(f"{value:.2g}" for value in values)
    bits = "".join(str(int(value)) for value in values)
    return "\N{NO-BREAK SPACE}".join(bits[k : k + 4] for k in range(0, len(bits), 4))


def _span(values: Array) -> str:
    low, high = _two_digits(values.min()), _two_digits(values.max())
    return low if low == high else f"{low} to {high}"


def _places(weights: Array) -> str:
    """The rows that a head stands at, at most three, and how much of its focus is on each."""
    best = np.argsort(-weights, kind="stable")[:3]
    clear = [int(n) for n in best if weights[n] >= CLEAR] or [int(best[0])]
    return f"row{'s' * (len(clear) > 1)} " + ", ".join(f"{n} ({weights[n]:.2f})" for n in clear)


def _two_digits(value: float) -> str:
    return f"{round(float(value), 2) + 0.0:.2f}"  # never -0.00
