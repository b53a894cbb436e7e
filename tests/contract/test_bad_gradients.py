"""Gradients that do not fit: what the ways back through time refuse, and what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from companion.bptt import jacobian_products, rtrl, state_gradients, truncated_backward, unroll, unroll_backward
from companion.gru import GRUState
from companion.lstm import LSTM
from companion.tree import tree_map
from tests.contract.cells import B, H
from tests.contract.refusals import FINITE, FLOATS, NAN, Cases, given, require_message, rows, with_nan

X, DYS, STATE = given().xs, given().dys, given().state
BACK = "unroll_backward|lstm_step_backward"
SEVEN = "expected 7|expected (7, 3, "
THREE = "expected (3, ...) for a batch of 3"


def backward(masked: bool = False, dtype: Any = np.float64, **changed: Any) -> Any:
    p = given(LSTM, dtype)
    _, _, caches = unroll(LSTM, p.params, p.xs, p.state, p.mask if masked else None)
    p = p._replace(**changed)
    return unroll_backward(LSTM, p.params, caches, p.dys, p.dstate)


def states(dys: Any) -> Any:
    p = given()
    return state_gradients(LSTM, p.params, unroll(LSTM, p.params, p.xs)[2], dys)


def truncate(k1: Any, k2: Any, dys: Any = None) -> Any:
    p = given()
    _, _, caches = unroll(LSTM, p.params, p.xs, p.state)
    return truncated_backward(LSTM, p.params, caches, p.dys if dys is None else dys, k1, k2)


def real_time(dtype: Any = np.float64, **changed: Any) -> Any:
    p = given(LSTM, dtype)._replace(**changed)
    return rtrl(LSTM, p.params, p.xs, p.dys, p.state)


def products(**changed: Any) -> Any:
    p = given()._replace(**{"xs": X[:, :1], "state": None, **changed})
    return jacobian_products(LSTM, p.params, p.xs, p.state)


CASES: Cases = {
    "dys too short": (lambda: backward(dys=DYS[:5]), ("unroll_backward", "dys", "5", SEVEN)),
    "dys too long": (lambda: backward(dys=np.ones((9, B, H))), ("unroll_backward", "dys", "9", SEVEN)),
    "dys of two axes": (lambda: backward(dys=DYS[:, 0]), (BACK, "dy", "5)", "expected")),
    "dys of one axis": (lambda: backward(dys=DYS[:, 0, 0]), ("unroll_backward", "dys", "(7,)", "expected")),
    "dys of another batch": (lambda: backward(dys=DYS[:, :2]), (BACK, "dy", "2, 5)", "3, ")),
    "dys of another batch, masked": (lambda: backward(True, dys=DYS[:, :2]), (BACK, "dy", "2, 5)", "3, ")),
    "dys of one example, masked": (lambda: backward(True, dys=DYS[:, :1]), (BACK, "dy", "1, 5)", "3, ")),
    "dys of one output": (lambda: backward(True, dys=DYS[:, :, :1]), (BACK, "dy", "3, 1)", "3, ")),
    "dys in a list": (lambda: backward(dys=DYS.tolist()), ("unroll_backward", "dys", "is a list", FLOATS)),
    "float64 dys with float32 parameters": (
        lambda: backward(dtype=np.float32, dys=DYS),
        (BACK, "dy", "float64", "expected float32"),
    ),
    "NaN in dys": (lambda: backward(dys=with_nan(DYS, (4, 0, 2))), ("unroll_backward", "dys", NAN, FINITE)),
    "NaN in dstate": (
        lambda: backward(dstate=tree_map(with_nan, STATE)),
        ("unroll_backward", "dstate.h", "the first at [0, 2] (nan)", FINITE),
    ),
    "dstate of another batch": (lambda: backward(dstate=rows(1)), ("unroll_backward", "dstate.h", "(1, 5)", THREE)),
    "dstate too narrow": (
        lambda: backward(dstate=tree_map(lambda a: a[:, :1], STATE)),
        ("lstm_step_backward", "dstate.h", "(3, 1)", "expected (3, 5) as state.h"),
    ),
    "float64 dstate with float32 parameters": (
        lambda: backward(dtype=np.float32, dstate=STATE),
        (BACK, "dstate", "float64", "expected float32"),
    ),
    "array for dstate": (lambda: backward(dstate=STATE.h), (BACK, "dstate", "ndarray", "expected LSTMState")),
    "dstate of another cell": (
        lambda: backward(dstate=GRUState(STATE.h)),
        (BACK, "dstate", "GRUState", "expected LSTMState"),
    ),
    "dys too short for gradients of states": (
        lambda: states(DYS[:5]),
        ("unroll_backward|state_gradients", "dys", "5", SEVEN),
    ),
    # --- truncated
    "k1 above k2": (lambda: truncate(3, 2), ("truncated_backward", "k1, k2", "3, 2", "1 <= k1 <= k2")),
    "k1 of 0": (lambda: truncate(0, 2), ("truncated_backward", "k1", "0, 2", "1 <= k1 <= k2")),
    "negative k2": (lambda: truncate(1, -2), ("truncated_backward", "k2", "1, -2", "1 <= k1 <= k2")),
    "half a step": (lambda: truncate(1.5, 2), ("truncated_backward", "k1", "1.5", "expected")),
    "two and a half steps back": (lambda: truncate(1, 2.5), ("truncated_backward", "k2", "2.5", "expected")),
    "dys too short for truncation": (
        lambda: truncate(1, 2, DYS[:5]),
        ("truncated_backward|unroll_backward", "dys", "5", SEVEN),
    ),
    "dys too long for truncation": (
        lambda: truncate(2, 3, np.ones((9, B, H))),
        ("truncated_backward|unroll_backward", "dys", "9", SEVEN),
    ),
    "no dys for truncation": (
        lambda: truncate(1, 2, DYS[:0]),
        ("truncated_backward|unroll_backward", "dys", "0", "expected"),
    ),
    "NaN in dys for truncation": (
        lambda: truncate(1, 2, with_nan(DYS, (4, 0, 2))),
        ("truncated_backward|unroll_backward", "dys", NAN, FINITE),
    ),
    # --- real-time recurrent learning
    "xs without steps for rtrl": (lambda: real_time(xs=X[:0]), ("rtrl", "xs", "(0, 3, 4)", "expected (T, B, D)")),
    "dys too short for rtrl": (
        lambda: real_time(dys=DYS[:5]),
        ("rtrl", "dys", "(5, 3, 5)", "expected (7, 3, H)"),
    ),
    "dys in a list for rtrl": (lambda: real_time(dys=DYS.tolist()), ("rtrl", "dys", "list", FLOATS)),
    "NaN in dys for rtrl": (lambda: real_time(dys=with_nan(DYS, (4, 0, 2))), ("rtrl", "dys", NAN, FINITE)),
    "NaN in xs for rtrl": (lambda: real_time(xs=with_nan(X, (4, 0, 2))), ("rtrl", "xs", NAN, FINITE)),
    "NaN in the state for rtrl": (
        lambda: real_time(state=tree_map(with_nan, STATE)),
        ("rtrl", "state.h", "(nan)", FINITE),
    ),
    "state of fewer examples for rtrl": (
        lambda: real_time(state=rows(2)),
        ("rtrl", "state.h", "(2, 5)", "expected (3, ...)"),
    ),
    "state of more examples for rtrl": (
        lambda: real_time(xs=X[:, :2], dys=DYS[:, :2]),
        ("rtrl", "state.h", "(3, 5)", "expected (2, ...)"),
    ),
    "float64 dys with float32 parameters for rtrl": (
        lambda: real_time(np.float32, dys=DYS),
        ("rtrl|lstm_step_backward", "dy", "float64", "expected float32"),
    ),
    # --- Jacobians
    "several sequences for Jacobians": (
        lambda: products(xs=X),
        ("jacobian_products", "xs", "(7, 3, 4)", "expected (T, 1, D)"),
    ),
    "no steps for Jacobians": (
        lambda: products(xs=X[:0, :1]),
        ("jacobian_products", "xs", "(0, 1, 4)", "expected (T, 1, D)"),
    ),
    "xs in a list for Jacobians": (lambda: products(xs=X[:, :1].tolist()), ("jacobian_products", "xs", "list", FLOATS)),
    "state of three for Jacobians": (
        lambda: products(state=STATE),
        ("jacobian_products", "state.h", "(3, 5)", "expected (1, ...)"),
    ),
    "NaN in xs for Jacobians": (
        lambda: products(xs=with_nan(X[:, :1], (4, 0, 2))),
        ("jacobian_products", "xs", "1 values that are not finite, the first at [4, 0, 2]", FINITE),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_error_names_function_argument_received_and_expected(name: str) -> None:
    require_message(*CASES[name])


def test_right_calls_of_the_same_entry_points_pass() -> None:
    """The table above would also be satisfied by functions that refuse everything."""
    for dtype in (np.float32, np.float64):
        backward(dtype=dtype)
        backward(True, dtype)
        real_time(dtype)
    states(DYS)
    truncate(np.int64(1), np.int64(2))
    products(state=rows(1))
