"""Bidirectional and stacked layers: what they refuse, and what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from companion.bidirectional import (
    BidirectionalParams,
    BidirectionalState,
    bidirectional,
    bidirectional_backward,
    bidirectional_init,
    reverse,
)
from companion.lstm import LSTM
from companion.stacked import stacked, stacked_backward, stacked_init
from companion.tree import tree_map
from tests.contract.cells import B, D, H, T
from tests.contract.refusals import FINITE, FLOATS, NAN, Cases, given, require_message, with_nan

X, DYS, MASK, PARAMS, STATE = given().xs, given().dys, given().mask, given().params, given().state
RNG = np.random.default_rng(6)
PAIR = BidirectionalParams(PARAMS, PARAMS)
DYS_2 = np.concatenate([DYS, DYS], axis=2)
STACK = (PARAMS, LSTM.init(RNG, H, H))
SIZE = "expected a whole number of at least 1"


def both(params: Any = PAIR, xs: Any = X, state: Any = None, mask: Any = None) -> Any:
    return bidirectional(LSTM, params, xs, state, mask)


def both_backward(dys: Any = DYS_2, dstate: Any = None, masked: bool = False) -> Any:
    _, _, cache = both(mask=MASK if masked else None)
    return bidirectional_backward(LSTM, PAIR, cache, dys, dstate)


def layers(params: Any = STACK, xs: Any = X, state: Any = None, **more: Any) -> Any:
    return stacked(LSTM, params, xs, state, **more)


def layers_backward(dys: Any = DYS, dstate: Any = None, params: Any = STACK) -> Any:
    return stacked_backward(LSTM, params, layers()[2], dys, dstate)


CASES: Cases = {
    # --- both directions
    "no steps both ways": (lambda: both(xs=X[:0]), ("bidirectional", "xs", "(0, 3, 4)", "expected (T, B, D)")),
    "NaN in xs both ways": (lambda: both(xs=with_nan(X, (4, 0, 2))), ("bidirectional", "xs", NAN, FINITE)),
    "xs in a list both ways": (lambda: both(xs=X.tolist()), ("bidirectional", "xs", "is a list", FLOATS)),
    "mask of integers both ways": (
        lambda: both(mask=MASK.astype(int)),
        ("unroll|bidirectional", "mask", "int64", "bool"),
    ),
    "mask in a list both ways": (
        lambda: both(mask=MASK.tolist()),
        ("unroll|bidirectional|reverse", "mask", "list", "bool"),
    ),
    "mask of fewer examples for reverse": (
        lambda: reverse(X, MASK[:, :2]),
        ("reverse", "mask", "(7, 2)", "expected (7, 3) as xs"),
    ),
    "padding in front for reverse": (
        lambda: reverse(X, MASK[::-1]),
        ("reverse", "mask[:, 0]", "does not begin", "expected True"),
    ),
    "parameters of one direction": (
        lambda: both(PARAMS),
        ("bidirectional", "params", "LSTMParams", "expected BidirectionalParams"),
    ),
    "tuple of two parameters": (
        lambda: both(tuple(PAIR)),
        ("bidirectional", "params", "", "expected BidirectionalParams"),
    ),
    "state of one direction": (
        lambda: both(state=STATE),
        ("bidirectional", "state", "LSTMState", "expected BidirectionalState"),
    ),
    "tuple of two states": (
        lambda: both(state=(STATE, STATE)),
        ("bidirectional", "state", "", "expected BidirectionalState"),
    ),
    "states of another batch": (
        lambda: both(state=BidirectionalState(None, tree_map(lambda a: a[:2], STATE))),
        ("unroll", "state.h", "(2, 5)", "expected (3, ...)"),
    ),
    "dys of one direction": (
        lambda: both_backward(DYS),
        ("bidirectional_backward", "dys", "(7, 3, 5)", "expected (7, 3, 10)"),
    ),
    "dys of another batch both ways": (
        lambda: both_backward(DYS_2[:, :1], masked=True),
        ("bidirectional_backward", "dys", "(7, 1, 10)", "expected (7, 3, 10)"),
    ),
    "dys too short both ways": (
        lambda: both_backward(DYS_2[:5]),
        ("bidirectional_backward|unroll_backward", "dys", "5", "expected"),
    ),
    "dys in a list both ways": (
        lambda: both_backward(DYS_2.tolist()),
        ("bidirectional_backward", "dys", "list", FLOATS),
    ),
    "NaN in dys of the second direction": (
        lambda: both_backward(with_nan(DYS_2, (1, 0, 7))),
        ("bidirectional_backward", "dys", "the first at [1, 0, 7] (nan)", FINITE),
    ),
    "dstate of one direction": (
        lambda: both_backward(dstate=STATE),
        ("bidirectional_backward", "dstate", "LSTMState", "expected BidirectionalState"),
    ),
    # --- layers
    "no layers": (lambda: layers(()), ("stacked", "params", "()|0 layers", "at least")),
    "parameters of one layer": (lambda: layers(PARAMS), ("stacked", "params", "LSTMParams", "expected")),
    "parameters of two directions for two layers": (
        lambda: layers(BidirectionalParams(LSTM.init(RNG, H, H), LSTM.init(RNG, H, H)), np.ones((T, B, H))),
        ("stacked", "params", "BidirectionalParams", "expected"),
    ),
    "layers that do not fit": (lambda: layers((PARAMS, PARAMS)), ("lstm_step", "x has", "(3, 5)", "expected (B, 4)")),
    "states of one layer": (lambda: layers(state=(STATE,)), ("stacked", "state", "1 layers", "expected 2 as params")),
    "gradients of states of one layer": (
        lambda: layers_backward(dstate=(STATE,)),
        ("stacked_backward", "dstate", "1 layers", "expected 2"),
    ),
    "other parameters on the way back": (
        lambda: layers_backward(params=STACK[:1]),
        ("stacked_backward", "params", "1 layers", "expected 2"),
    ),
    "NaN in dys of layers": (
        lambda: layers_backward(with_nan(DYS, (4, 0, 2))),
        ("unroll_backward|stacked_backward", "dys", NAN, FINITE),
    ),
    "dropout without rng": (
        lambda: layers(dropout_rate=0.5),
        ("stacked", "dropout_rate is 0.5", "rng is None", "expected a np.random.Generator"),
    ),
    "dropout with a seed": (lambda: layers(dropout_rate=0.5, rng=3), ("stacked|dropout", "rng", "is 3", "expected")),
    "dropout of everything": (
        lambda: layers(dropout_rate=1.0, rng=RNG),
        ("stacked", "dropout_rate", "is 1.0", "expected a number in [0, 1)"),
    ),
    "dropout of NaN": (
        lambda: layers(dropout_rate=np.nan, rng=RNG),
        ("stacked", "dropout_rate", "is nan", "expected a number in [0, 1)"),
    ),
    "layers from no layers": (lambda: stacked_init(LSTM, RNG, D, H, 0), ("stacked_init", "n_layers", "is 0", SIZE)),
    "layers with a seed": (
        lambda: stacked_init(LSTM, 3, D, H, 2),
        ("stacked_init", "rng", "is 3", "expected Generator"),
    ),
    "directions without inputs": (lambda: bidirectional_init(LSTM, RNG, 0, H), ("lstm_init", "n_in", "is 0", SIZE)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_error_names_function_argument_received_and_expected(name: str) -> None:
    require_message(*CASES[name])


def test_right_calls_of_the_same_entry_points_pass() -> None:
    """The table above would also be satisfied by functions that refuse everything."""
    both(state=BidirectionalState(STATE, None), mask=MASK)
    both_backward(dstate=BidirectionalState(STATE, None), masked=True)
    layers(state=(STATE, None), dropout_rate=0.999, rng=RNG)
    layers_backward(dstate=(None, STATE))
