"""Initial parameters, single steps and the penalty: what they refuse, and what they say."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from companion.bptt import unroll
from companion.gru import cho_gru_init, gru_init
from companion.lstm import chrono_bias, lstm1997_init, lstm_init, lstm_step, lstm_step_backward, peephole_init
from companion.rnn import Elman, ElmanParams, Jordan, elman, elman_init, gradient_norm_penalty, jordan, jordan_init
from tests.contract.cells import B, D, H, T
from tests.contract.refusals import FINITE, FLOATS, NAN, Cases, float32, given, require_message, with_nan

PARAMS, STATE, X, DYS = given().params, given().state, given().xs, given().dys
RNG = np.random.default_rng(6)
SIZE = "expected a whole number of at least 1"
FINITE_NUMBER = "expected a number in (-inf, inf)"


@cache
def penalised() -> tuple[Any, Any]:
    return RNG.normal(size=(T, B, H)), RNG.normal(size=(T, B, H))


def penalty(params: Any = None, dzs: Any = None, dhs: Any = None) -> Any:
    first, second = penalised()
    params = given(Elman).params if params is None else params
    return gradient_norm_penalty(params, first if dzs is None else dzs, second if dhs is None else dhs)


def step(params: Any = PARAMS, x: Any = X[0], state: Any = STATE) -> Any:
    return lstm_step(params, x, state)


def step_backward(dy: Any = DYS[0], dstate: Any = STATE) -> Any:
    return lstm_step_backward(PARAMS, step()[2], dy, dstate)


CASES: Cases = {
    # --- biases and activations
    "forget bias of NaN": (
        lambda: lstm_init(RNG, D, H, forget_bias=np.nan),
        ("lstm_init", "forget_bias", "is nan", FINITE_NUMBER),
    ),
    "forget bias in a string": (
        lambda: lstm_init(RNG, D, H, forget_bias="1"),
        ("lstm_init", "forget_bias", "is '1'", "expected a number"),
    ),
    "infinite forget bias": (
        lambda: peephole_init(RNG, D, H, forget_bias=np.inf),
        ("lstm_init|peephole_init", "forget_bias", "is inf", FINITE_NUMBER),
    ),
    "input bias of NaN": (
        lambda: lstm1997_init(RNG, D, H, input_bias=np.nan),
        ("lstm1997_init", "input_bias", "is nan", FINITE_NUMBER),
    ),
    "chrono bias for memories of two steps": (
        lambda: chrono_bias(RNG, PARAMS, 2),
        ("chrono_bias", "longest", "is 2", "expected a number in [3, inf)"),
    ),
    "chrono bias for NaN steps": (
        lambda: chrono_bias(RNG, PARAMS, np.nan),
        ("chrono_bias", "longest", "is nan", "expected a number in [3, inf)"),
    ),
    "chrono bias without forget gate": (
        lambda: chrono_bias(RNG, lstm1997_init(RNG, D, H), 9),
        ("chrono_bias", "params", "(15,)", "expected (20,)"),
    ),
    "chrono bias with a seed": (
        lambda: chrono_bias(0, PARAMS, 9),
        ("chrono_bias", "rng", "is 0", "expected Generator"),
    ),
    "no outputs": (lambda: jordan(0).init(RNG, D, H), ("jordan_init", "n_out", "is 0", SIZE)),
    "decay of NaN": (lambda: jordan(decay=np.nan), ("jordan", "decay", "is nan", "expected a number in")),
    "function for an activation": (lambda: elman(np.tanh), ("elman", "activation", "'tanh'", "expected Activation")),
    "function for an output activation": (
        lambda: jordan(output=np.tanh),
        ("jordan", "output", "'tanh'", "expected Activation"),
    ),
    # --- single steps
    "one example": (lambda: step(x=X[0, 0]), ("lstm_step", "x", "(4,)", "expected (B, 4) from params.W_x")),
    "no state": (lambda: step(state=None), ("lstm_step", "state", "None", "expected LSTMState")),
    "no parameters": (lambda: step(None), ("lstm_step", "params", "None", "expected LSTMParams")),
    "bias of one number": (
        lambda: step(PARAMS._replace(b=np.ones(1))),
        ("lstm_step", "params.b", "(1,)", "expected (20,)"),
    ),
    "float32 bias": (
        lambda: step(PARAMS._replace(b=float32(PARAMS.b))),
        ("lstm_step", "params.b", "float32", "expected float64"),
    ),
    "float32 recurrent weights": (
        lambda: step(PARAMS._replace(W_h=float32(PARAMS.W_h))),
        ("lstm_step", "params.W_h", "float32", "expected float64"),
    ),
    "dy of one example": (
        lambda: step_backward(DYS[0, :1]),
        ("lstm_step_backward", "dy", "(1, 5)", "expected (3, 5) as y"),
    ),
    "no dstate": (lambda: step_backward(dstate=None), ("lstm_step_backward", "dstate", "None", "expected LSTMState")),
    # --- the penalty
    "dhs of fewer steps": (
        lambda: penalty(dhs=np.ones((5, B, H))),
        ("gradient_norm_penalty", "dhs", "(5, 3, 5)", "expected (7, 3, 5) as dzs"),
    ),
    "dzs of fewer units": (
        lambda: penalty(dzs=np.ones((T, B, 2))),
        ("gradient_norm_penalty", "dzs", "(7, 3, 2)", "expected (T, B, 5) from params.W_h"),
    ),
    "no dzs": (
        lambda: penalty(dzs=np.ones((0, B, H))),
        ("gradient_norm_penalty", "dzs", "(0, 3, 5)", "and no empty axis"),
    ),
    "dzs in a list": (lambda: penalty(dzs=penalised()[0].tolist()), ("gradient_norm_penalty", "dzs", "list", FLOATS)),
    "dhs of zero": (
        lambda: penalty(dhs=np.zeros((T, B, H))),
        ("gradient_norm_penalty", "dhs", "length 0", "expected lengths above 0"),
    ),
    "NaN in dhs": (
        lambda: penalty(dhs=with_nan(penalised()[1], (4, 0, 2))),
        ("gradient_norm_penalty", "dhs", NAN, FINITE),
    ),
    "NaN in dzs": (
        lambda: penalty(dzs=with_nan(penalised()[0], (4, 0, 2))),
        ("gradient_norm_penalty", "dzs", NAN, FINITE),
    ),
    "float64 gradients with float32 weights": (
        lambda: penalty(float32(given(Elman).params)),
        ("gradient_norm_penalty", "dzs", "float64", "expected float32"),
    ),
    "penalty of a Jordan net": (
        lambda: penalty(given(Jordan).params),
        ("gradient_norm_penalty", "params", "JordanParams", "expected ElmanParams"),
    ),
}
CASES |= {
    f"{init.__name__} with {name} {value!r}": (
        lambda init=init, name=name, value=value: init(**{"rng": RNG, "n_in": D, "n_hidden": H, name: value}),
        (function, name, received, expected),
    )
    for init, function in (
        (elman_init, "elman_init"),
        (jordan_init, "jordan_init"),
        (lstm_init, "lstm_init"),
        (lstm1997_init, "lstm1997_init"),
        (peephole_init, "lstm_init|peephole_init"),
        (gru_init, "gru_init"),
        (cho_gru_init, "gru_init|cho_gru_init"),
    )
    for name, value, received, expected in (
        ("n_in", 0, "is 0", SIZE),
        ("n_in", True, "is True", SIZE),
        ("n_hidden", -5, "is -5", SIZE),
        ("n_hidden", 5.0, "is 5.0", SIZE),
        ("rng", 0, "is 0", "expected Generator, such as np.random.default_rng(0)"),
        ("dtype", int, "is int64", "expected a floating-point type"),
    )
}


@pytest.mark.parametrize("name", CASES)
def test_the_error_names_function_argument_received_and_expected(name: str) -> None:
    require_message(*CASES[name])


def test_right_calls_of_the_same_entry_points_pass() -> None:
    """The table above would also be satisfied by functions that refuse everything."""
    chrono_bias(RNG, PARAMS, 3)
    chrono_bias(RNG, PARAMS, np.int64(30))
    penalty()
    penalty(ElmanParams(*float32(tuple(given(Elman).params))), *float32(penalised()))
    step_backward()
    unroll(jordan(2, decay=0), jordan(2).init(RNG, D, H), X)
    lstm_init(RNG, np.int64(D), H, np.float32, forget_bias=np.float64(2))
