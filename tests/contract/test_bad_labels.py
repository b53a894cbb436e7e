"""Losses of sequences: what they refuse, and what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from companion.lstm import LSTM
from companion.ops import LinearParams, linear_init, mean_squared_error, mean_squared_error_backward
from companion.sequence import (
    SequenceParams,
    final_loss,
    labelling_accuracy,
    labelling_loss,
    last_steps,
    predict,
    predict_backward,
)
from tests.contract.cells import B, H, K, T
from tests.contract.refusals import FINITE, FLOATS, NAN, Cases, float32, given, require_message, rows, with_nan

X, MASK = given().xs, given().mask
RNG = np.random.default_rng(4)
PARAMS = SequenceParams(given().params, linear_init(RNG, H, K))
LABELS, TARGETS = np.where(MASK, RNG.integers(0, K, (T, B)), -1), RNG.integers(0, K, B)
LOGITS, _, CACHE = predict(LSTM, PARAMS, X, None, MASK)
INTEGERS = f"expected a NumPy array of integers in 0..{K - 1}"


def changed(array: Any, index: tuple[int, ...], value: Any) -> Any:
    array = array.copy()
    array[index] = value
    return array


def labelling(labels: Any = LABELS, mask: Any = MASK, params: Any = PARAMS, xs: Any = X, state: Any = None) -> Any:
    return labelling_loss(LSTM, params, xs, labels, mask, state)


def final(targets: Any = TARGETS, mask: Any = MASK, params: Any = PARAMS, xs: Any = X) -> Any:
    return final_loss(LSTM, params, xs, targets, mask)


def squares(targets: Any) -> Any:
    return final_loss(LSTM, PARAMS, X, targets, MASK, mean_squared_error, mean_squared_error_backward)


def back(dlogits: Any, dstate: Any = None) -> Any:
    return predict_backward(LSTM, PARAMS, CACHE, dlogits, dstate)


CASES: Cases = {
    # --- labels
    "labels of fewer steps": (lambda: labelling(LABELS[:5]), ("labelling_loss", "labels", "(5, 3)", "expected (7, 3)")),
    "labels batch first": (lambda: labelling(LABELS.T), ("labelling_loss", "labels", "(3, 7)", "expected (7, 3)")),
    "one label a sequence": (lambda: labelling(TARGETS), ("labelling_loss", "labels", "(3,)", "expected (7, 3)")),
    "labels in a list": (lambda: labelling(LABELS.tolist()), ("labelling_loss", "labels", "is a list", INTEGERS)),
    "labels as floats": (lambda: labelling(LABELS * 1.0), ("labelling_loss", "labels", "float64", INTEGERS)),
    "a label that is no class": (
        lambda: labelling(changed(LABELS, (3, 1), K)),
        ("labelling_loss", "labels[3, 1]", "is 6", "expected integers in 0..5"),
    ),
    "no label at a real step": (
        lambda: labelling(changed(LABELS, (6, 1), -1)),
        ("labelling_loss", "labels[6, 1]", "is -1", "expected integers in 0..5"),
    ),
    "padding without a mask": (
        lambda: labelling(mask=None),
        ("labelling_loss", "labels[1, 2]", "is -1", "expected integers in 0..5"),
    ),
    # --- masks
    "mask of fewer steps": (lambda: labelling(mask=MASK[:5]), ("unroll", "mask", "(5, 3)", "expected (7, 3)")),
    "mask of integers": (lambda: labelling(mask=MASK.astype(int)), ("unroll", "mask", "int64", "bool")),
    "mask that resumes": (
        lambda: labelling(mask=changed(MASK, (5, 0), True)),
        ("unroll", "mask[5, 0]", "True after False", "expected a prefix"),
    ),
    "mask with an empty sequence": (
        lambda: final(mask=changed(MASK, (0, 2), False)),
        ("unroll", "mask[:, 2]", "is empty", "expected True"),
    ),
    "mask of another batch for last steps": (
        lambda: last_steps(MASK[:, :2], T, B),
        ("last_steps", "mask", "(7, 2)", "expected (7, 3)"),
    ),
    # --- targets of whole sequences
    "targets of fewer sequences": (lambda: final(TARGETS[:2]), ("cross_entropy", "labels", "(2,)", "expected (3,)")),
    "targets of every step": (lambda: final(LABELS), ("cross_entropy", "labels", "(7, 3)", "expected (3,)")),
    "targets in a list": (lambda: final(TARGETS.tolist()), ("cross_entropy", "labels", "is a list", INTEGERS)),
    "a target that is no class": (
        lambda: final(changed(TARGETS, (1,), K)),
        ("cross_entropy", "labels[1]", "is 6", "expected integers in 0..5"),
    ),
    "numbers in one column": (
        lambda: squares(np.ones((B, 1))),
        ("mean_squared_error", "targets", "(3, 1)", "expected (3, 6)"),
    ),
    "numbers of another dtype": (
        lambda: squares(np.ones((B, K), np.float32)),
        ("mean_squared_error", "targets", "float32", "expected float64"),
    ),
    # --- parameters, inputs, states
    "parameters of the cell alone": (
        lambda: labelling(params=PARAMS.recurrent),
        ("predict", "params", "LSTMParams", "expected SequenceParams"),
    ),
    "parameters in a tuple": (lambda: final(params=tuple(PARAMS)), ("predict", "params", "tuple", "SequenceParams")),
    "output weights for another width": (
        lambda: labelling(params=PARAMS._replace(output=linear_init(RNG, 2 * H, K))),
        ("predict", "params.output.W", "(6, 10)", "expected (K, 5)"),
    ),
    "output biases of another number": (
        lambda: labelling(params=PARAMS._replace(output=LinearParams(PARAMS.output.W, np.zeros(H)))),
        ("linear", "params.b", "(5,)", "expected (6,)"),
    ),
    "output weights of another dtype": (
        lambda: labelling(params=PARAMS._replace(output=float32(PARAMS.output))),
        ("linear", "x", "float64", "expected float32"),
    ),
    "NaN in xs": (lambda: labelling(xs=with_nan(X, (4, 0, 2))), ("unroll", "xs", NAN, FINITE)),
    "no steps": (lambda: final(xs=X[:0]), ("unroll", "xs", "(0, 3, 4)", "expected (T, B, D)")),
    "state of another batch": (lambda: labelling(state=rows(2)), ("unroll", "state.h", "(2, 5)", "expected (3, ...)")),
    # --- the way back
    "dlogits of fewer steps": (
        lambda: back(LOGITS[:5]),
        ("predict_backward", "dlogits", "(5, 3, 6)", "expected (7, 3, 6)"),
    ),
    "dlogits with steps and batch in one axis": (
        lambda: back(LOGITS.reshape(T * B, K)),
        ("predict_backward", "dlogits", "(21, 6)", "expected (7, 3, 6)"),
    ),
    "dlogits batch first": (
        lambda: back(LOGITS.transpose(1, 0, 2)),
        ("predict_backward", "dlogits", "(3, 7, 6)", "expected (7, 3, 6)"),
    ),
    "dlogits of another dtype": (
        lambda: back(LOGITS.astype(np.float32)),
        ("predict_backward", "dlogits", "float32", "expected float64"),
    ),
    "dlogits in a list": (
        lambda: back(LOGITS.tolist()),
        ("predict_backward", "dlogits", "is a list", "expected a NumPy array"),
    ),
    "NaN in dlogits": (lambda: back(with_nan(LOGITS, (4, 0, 2))), ("predict_backward", "dlogits", NAN, FINITE)),
    "gradients of states of another batch": (
        lambda: back(LOGITS, rows(2)),
        ("unroll_backward", "dstate.h", "(2, 5)", "expected (3, ...)"),
    ),
    # --- accuracy
    "logits of one step": (
        lambda: labelling_accuracy(LOGITS[0], LABELS),
        ("labelling_accuracy", "logits", "(3, 6)", "expected (T, B, K)"),
    ),
    "logits in a list": (
        lambda: labelling_accuracy(LOGITS.tolist(), LABELS),
        ("labelling_accuracy", "logits", "is a list", FLOATS),
    ),
    "labels of fewer steps for accuracy": (
        lambda: labelling_accuracy(LOGITS, LABELS[:5], MASK),
        ("labelling_accuracy", "labels", "(5, 3)", "expected (7, 3)"),
    ),
    "padding without a mask for accuracy": (
        lambda: labelling_accuracy(LOGITS, LABELS),
        ("labelling_accuracy", "labels[1, 2]", "is -1", "expected integers in 0..5"),
    ),
    "truth values for labels": (
        lambda: labelling_accuracy(LOGITS, MASK, MASK),
        ("labelling_accuracy", "labels", "bool", INTEGERS),
    ),
    "mask batch first for accuracy": (
        lambda: labelling_accuracy(LOGITS, LABELS, MASK.T),
        ("labelling_accuracy", "mask", "(3, 7)", "expected (7, 3)"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_error_names_function_argument_received_and_expected(name: str) -> None:
    require_message(*CASES[name])


def test_right_calls_of_the_same_entry_points_pass() -> None:
    """The table above would also be satisfied by functions that refuse everything."""
    labelling(state=given().state)
    labelling(LABELS.astype(np.int32))
    labelling(np.abs(LABELS), mask=None)
    final()
    squares(np.ones((B, K)))
    back(LOGITS, given().dstate)
    assert 0 <= labelling_accuracy(LOGITS, LABELS, MASK) <= 1
