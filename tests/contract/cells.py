"""Every cell with random parameters, states and upstream gradients, and the checks that each of them must pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from companion import ops
from companion.bptt import Cell, prefix_mask, unroll, unroll_backward
from companion.gradcheck import GradientReport, check_gradients
from companion.gru import GRU, ChoGRU
from companion.lstm import LSTM, LSTM1997, PeepholeLSTM
from companion.ntm import Feedforward, NTMState, ntm
from companion.rnn import LINEAR, Elman, Jordan, elman, jordan
from companion.tree import tree_items, tree_leaves, tree_map

T, B, D, H, K = 7, 3, 4, 5, 6
LENGTHS = np.array([4, 7, 1])
CELLS: dict[str, Cell] = {
    "Elman": Elman,
    "Elman, sigmoid": elman(ops.SIGMOID),
    "Elman, ReLU": elman(ops.RELU),
    "Jordan": Jordan,
    "Jordan, K outputs": jordan(K, decay=0.3, activation=ops.SIGMOID, output=LINEAR),
    "LSTM": LSTM,
    "LSTM1997": LSTM1997,
    "PeepholeLSTM": PeepholeLSTM,
    "GRU": GRU,
    "ChoGRU": ChoGRU,
    "NTM, LSTM": ntm(rows=6, width=4),
    "NTM, feedforward, several heads": ntm(Feedforward, rows=7, width=3, read_heads=2, write_heads=2, shift_range=2),
}
NTMS = {name: cell for name, cell in CELLS.items() if name.startswith("NTM")}
# y is (B, H), but where an output layer or the vectors that were read make it wider.
OUTPUTS = {"Jordan, K outputs": K, "NTM, LSTM": H + 1 * 4, "NTM, feedforward, several heads": H + 2 * 3}


class Problem(NamedTuple):
    """A batch of sequences and what goes into the forward and the backward pass."""

    params: Any
    xs: Any  # (T, B, D)
    state: Any
    mask: Any  # (T, B) or None
    dys: Any  # (T, B, H), or as OUTPUTS says
    dstate: Any


def random_like(rng: np.random.Generator, tree: Any) -> Any:
    return tree_map(lambda a: rng.normal(size=a.shape).astype(a.dtype), tree)


def random_params(
    cell: Any, rng: np.random.Generator, dtype: Any = np.float64, n_in: int = D, n_hidden: int = H
) -> Any:
    """Random biases and peepholes too: zeros would hide one that is lost or taken twice."""
    params = cell.init(rng, n_in, n_hidden, dtype)
    return tree_map(lambda p: (p + 0.5 * rng.normal(size=p.shape)).astype(dtype), params)


def random_state(cell: Cell, rng: np.random.Generator, params: Any, batch: int) -> Any:
    """Random numbers in every entry; only a weighting of rows has to be one, above 0 and with the sum 1."""
    state = random_like(rng, cell.initial_state(params, batch))
    return state._replace(w=ops.softmax(state.w)) if isinstance(state, NTMState) else state


def problem(
    cell: Cell,
    rng: np.random.Generator,
    dtype: Any = np.float64,
    lengths: Any = None,
    shape: tuple[int, int, int, int] = (T, B, D, H),
) -> Problem:
    """Upstream gradients go into every output and into the last state; no state is zero."""
    steps, batch, n_in, n_hidden = shape
    params = random_params(cell, rng, dtype, n_in, n_hidden)
    xs = rng.normal(size=(steps, batch, n_in)).astype(dtype)
    state = random_state(cell, rng, params, batch)
    mask = None if lengths is None else prefix_mask(lengths, steps)
    ys, last, _ = unroll(cell, params, xs, state, mask)
    return Problem(params, xs, state, mask, random_like(rng, ys), random_like(rng, last))


def run(cell: Cell, p: Problem) -> tuple[Any, Any, Any, Any, Any]:
    """Both ways: ys, last state, dparams, dxs, dstate."""
    ys, last, caches = unroll(cell, p.params, p.xs, p.state, p.mask)
    return (ys, last, *unroll_backward(cell, p.params, caches, p.dys, p.dstate))


def require_equal(a: Any, b: Any, rtol: float = 1e-11, atol: float = 1e-12, least: float = 1e-6) -> None:
    """Trees of one type with equal numbers, of which not all of an array are nearly zero."""
    assert type(a) is type(b)
    for (name, x), (other, y) in zip(tree_items(a), tree_items(b), strict=True):
        assert name == other
        assert x.dtype == y.dtype, name
        np.testing.assert_allclose(x, y, rtol=rtol, atol=atol, err_msg=name, strict=True)
        assert np.abs(y).max() > least, f"{name} is nearly zero, so that nothing was compared"


def compared(report: GradientReport) -> GradientReport:
    assert all(abs(c.numeric) > 1e-7 for c in report.comparisons), f"nothing was compared:\n{report}"
    return report


# --- the checks; each finds the wrong backward passes of test_wrong_backward.py


def check_step(cell: Cell, p: Problem, rng: np.random.Generator) -> GradientReport:
    """Central differences of one step, for parameters, input and state."""

    def forward(params: Any, x: Any, state: Any) -> Any:
        y, new, cache = cell.step(params, x, state)
        return (y, new), (params, cache)

    def backward(cache: Any, upstream: Any) -> Any:
        return dict(zip(("params", "x", "state"), cell.step_backward(*cache, *upstream), strict=True))

    inputs = {"params": p.params, "x": p.xs[0], "state": p.state}
    return compared(check_gradients(forward, backward, inputs, rng))


def check_sequence(
    cell: Cell, p: Problem, rng: np.random.Generator, backward: Callable[..., Any] = unroll_backward
) -> GradientReport:
    """Central differences of a whole sequence, for parameters, inputs and initial state."""

    def forward(params: Any, xs: Any, state: Any) -> Any:
        ys, last, caches = unroll(cell, params, xs, state, p.mask)
        return (ys, last), (params, caches)

    def gradients(cache: Any, upstream: Any) -> Any:
        return dict(zip(("params", "xs", "state"), backward(cell, *cache, *upstream), strict=True))

    inputs = {"params": p.params, "xs": p.xs, "state": p.state}
    return compared(check_gradients(forward, gradients, inputs, rng))


def check_batch_against_single_sequences(
    cell: Cell, p: Problem, backward: Callable[..., Any] = unroll_backward, forward: Callable[..., Any] = unroll
) -> None:
    """A masked batch gives the numbers of its sequences alone, each without its padding."""
    ys, last, caches = forward(cell, p.params, p.xs, p.state, p.mask)
    dparams, dxs, dfirst = backward(cell, p.params, caches, p.dys, p.dstate)
    total = tree_map(np.zeros_like, p.params)
    for b, length in enumerate(p.mask.sum(axis=0)):
        row = slice(b, b + 1)
        alone = Problem(
            p.params,
            p.xs[:length, row],
            tree_map(lambda a, row=row: a[row], p.state),
            None,
            p.dys[:length, row],
            tree_map(lambda a, row=row: a[row], p.dstate),
        )
        y, end, dparams_b, dx, dstart = run(cell, alone)
        # One short sequence may leave every ReLU at rest; the sum below may not.
        require_equal((ys[:length, row], dxs[:length, row]), (y, dx), least=-1)
        require_equal(tree_map(lambda a, row=row: a[row], (last, dfirst)), (end, dstart), least=-1)
        assert not ys[length:, b].any()
        assert not dxs[length:, b].any()
        total = tree_map(np.add, total, dparams_b)
    require_equal(dparams, total)


def bytes_of(tree: Any) -> list[tuple[str, bytes]]:
    """What is compared to find out whether an argument was modified."""
    return [(name, b"" if leaf is None else leaf.tobytes()) for name, leaf in tree_items(tree)]


def dtypes_of(tree: Any) -> set[Any]:
    return {leaf.dtype for leaf in tree_leaves(tree) if leaf is not None}
