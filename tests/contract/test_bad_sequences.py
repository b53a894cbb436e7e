"""Sequences, states, masks and parameters that do not fit: what `unroll` and the cells refuse, and what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from companion.bptt import prefix_mask, unroll
from companion.gru import GRU, ChoGRU, GRUState
from companion.lstm import LSTM, LSTM1997, LSTMState, PeepholeLSTM
from companion.rnn import Elman, Jordan
from tests.contract.cells import LENGTHS, B, D, H, T
from tests.contract.refusals import FINITE, FLOATS, NAN, Cases, float32, given, require_message, rows, with_nan

THREE = "expected (3, ...) for a batch of 3"
X, STATE, MASK = given().xs, given().state, given().mask
WHOLE = "expected a whole number in 1..7"


def forward(cell: Any = LSTM, **changed: Any) -> Any:
    p = given(cell)._replace(**changed)
    return unroll(cell, p.params, p.xs, p.state, p.mask)


CASES: Cases = {
    "xs of one example": (lambda: forward(xs=X[:, 0]), ("unroll", "xs", "(7, 4)", "expected (T, B, D)")),
    "xs without steps": (
        lambda: forward(xs=X[:0]),
        ("unroll", "xs", "(0, 3, 4)", "expected (T, B, D) and no empty axis"),
    ),
    "xs without examples": (lambda: forward(xs=X[:, :0]), ("unroll", "xs", "(7, 0, 4)", "and no empty axis")),
    "xs too wide": (
        lambda: forward(xs=np.ones((T, B, 9))),
        ("lstm_step", "x has", "(3, 9)", "expected (B, 4) from params.W_x"),
    ),
    "xs in a list": (lambda: forward(xs=X.tolist()), ("unroll", "xs", "is a list", FLOATS)),
    "integer xs": (lambda: forward(xs=np.ones((T, B, D), int)), ("unroll", "xs", "dtype int64", FLOATS)),
    "float32 xs": (
        lambda: forward(xs=float32(X)),
        ("lstm_step", "x", "dtype float32", "expected float64 as params.W_x"),
    ),
    "NaN in xs": (lambda: forward(xs=with_nan(X, (4, 0, 2))), ("unroll", "xs", NAN, FINITE)),
    "infinite xs": (lambda: forward(xs=np.where(X > 0, np.inf, X)), ("unroll", "xs", "(inf)", FINITE)),
    "state of another batch": (lambda: forward(state=rows(2)), ("unroll", "state.h", "(2, 5)", THREE)),
    "state of one example": (lambda: forward(state=rows(1)), ("unroll", "state.h", "(1, 5)", THREE)),
    "state too wide": (
        lambda: forward(state=LSTMState(np.ones((B, H)), np.ones((B, 9)))),
        ("lstm_step", "state.s", "(3, 9)", "expected (3, 5) from x and params.W_h"),
    ),
    "float32 state": (
        lambda: forward(state=float32(STATE)),
        ("lstm_step", "state.h", "dtype float32", "expected float64 as params.W_x"),
    ),
    "NaN in the state": (
        lambda: forward(state=STATE._replace(s=with_nan(STATE.s))),
        ("unroll", "state.s", "the first at [0, 2] (nan)", FINITE),
    ),
    "lists in the state": (
        lambda: forward(state=LSTMState(STATE.h.tolist(), STATE.s)),
        ("unroll", "state.h", "", "expected"),
    ),
    "array for a state": (
        lambda: forward(state=STATE.h),
        ("unroll|lstm_step", "state", "ndarray", "expected LSTMState"),
    ),
    "tuple for a state": (
        lambda: forward(state=tuple(STATE)),
        ("unroll|lstm_step", "state", "tuple", "expected LSTMState"),
    ),
    "state of another cell": (
        lambda: forward(state=GRUState(STATE.h)),
        ("unroll|lstm_step", "state", "GRUState", "expected LSTMState"),
    ),
    "state with more in it": (
        lambda: forward(GRU, state=STATE),
        ("unroll|gru_step", "state", "LSTMState", "expected GRUState"),
    ),
    "mask of fewer examples": (
        lambda: forward(mask=MASK[:, :2]),
        ("unroll", "mask", "(7, 2)", "expected (7, 3) as xs"),
    ),
    "mask of fewer steps": (lambda: forward(mask=MASK[:4]), ("unroll", "mask", "(4, 3)", "expected (7, 3) as xs")),
    "transposed mask": (lambda: forward(mask=MASK.T), ("unroll", "mask", "(3, 7)", "expected (7, 3) as xs")),
    "lengths for a mask": (lambda: forward(mask=LENGTHS), ("unroll", "mask", "(3,)", "expected (7, 3) as xs")),
    "mask of integers": (
        lambda: forward(mask=MASK.astype(int)),
        ("unroll", "mask", "dtype int64", "expected bool; convert it with mask.astype(bool)"),
    ),
    "mask in a list": (lambda: forward(mask=MASK.tolist()), ("unroll", "mask", "list", "expected")),
    "mask with an empty sequence": (
        lambda: forward(mask=MASK & [True, True, False]),
        ("unroll", "mask[:, 2]", "is empty", "expected True for the first step"),
    ),
    "padding in front": (
        lambda: forward(mask=MASK[::-1]),
        ("unroll", "mask[:, 0]", "does not begin with True", "expected True for the first step"),
    ),
    "mask with a gap": (
        lambda: forward(mask=np.arange(T)[:, None] != np.array([9, 3, 9])),
        ("unroll", "mask[4, 1]", "is True after False", "expected a prefix"),
    ),
    "length 0": (lambda: prefix_mask(np.array([3, 0]), T), ("prefix_mask", "lengths[1]", "is 0", WHOLE)),
    "length above the number of steps": (
        lambda: prefix_mask(np.array([8]), T),
        ("prefix_mask", "lengths[0]", "is 8", WHOLE),
    ),
    "negative length": (lambda: prefix_mask(np.array([-1]), T), ("prefix_mask", "lengths[0]", "is -1", WHOLE)),
    "no lengths": (
        lambda: prefix_mask(np.array([], int), T),
        ("prefix_mask", "lengths", "(0,)", "expected (B,) and no empty axis"),
    ),
    "one length": (lambda: prefix_mask(3, T), ("prefix_mask", "lengths", "()", "expected (B,)")),
    "fractional length": (lambda: prefix_mask(np.array([3.0, 2.5]), T), ("prefix_mask", "lengths", "", "expected")),
    "lengths of truth values": (
        lambda: prefix_mask(np.array([True, True]), T),
        ("prefix_mask", "lengths", "", "expected"),
    ),
    "fractional number of steps": (
        lambda: prefix_mask(LENGTHS, 7.5),
        ("prefix_mask", "steps", "7.5", "expected a whole number"),
    ),
}

# Another cell's parameters: their shapes often tell, but not always.
CASES |= {
    f"{name} parameters": (
        lambda cell=cell, of=of: forward(cell, params=given(of).params),
        (function, "params", received, "expected"),
    )
    for name, cell, of, function, received in (
        ("LSTM with GRU", LSTM, GRU, "lstm_step", ""),
        ("LSTM with Elman", LSTM, Elman, "lstm_step", ""),
        ("LSTM with LSTM1997", LSTM, LSTM1997, "lstm_step", "(15, 4)"),
        ("LSTM1997 with LSTM", LSTM1997, LSTM, "lstm1997_step", "(20, 4)"),
        ("Elman with LSTM", Elman, LSTM, "elman_step", ""),
        ("GRU with LSTM", GRU, LSTM, "gru_step", ""),
        ("LSTM with PeepholeLSTM", LSTM, PeepholeLSTM, "lstm_step", "PeepholeParams"),
        ("PeepholeLSTM with LSTM", PeepholeLSTM, LSTM, "peephole_step", "LSTMParams"),
        ("LSTM1997 with ChoGRU", LSTM1997, ChoGRU, "lstm1997_step", "ChoGRUParams"),
        ("ChoGRU with LSTM1997", ChoGRU, LSTM1997, "cho_gru_step", "LSTMParams"),
        ("ChoGRU with GRU", ChoGRU, GRU, "cho_gru_step", "GRUParams"),
        ("GRU with ChoGRU", GRU, ChoGRU, "gru_step", "ChoGRUParams"),
        ("Elman with Jordan", Elman, Jordan, "elman_step", "JordanParams"),
        ("Jordan with Elman", Jordan, Elman, "jordan_step", "ElmanParams"),
    )
}


@pytest.mark.parametrize("name", CASES)
def test_the_error_names_function_argument_received_and_expected(name: str) -> None:
    require_message(*CASES[name])


def test_right_calls_of_the_same_entry_points_pass() -> None:
    """The table above would also be satisfied by functions that refuse everything."""
    for cell in (Elman, Jordan, LSTM, LSTM1997, PeepholeLSTM, GRU, ChoGRU):
        forward(cell)
    prefix_mask([1, 7], 7)
    prefix_mask(np.array([1, 7], np.uint8), np.int64(7))
