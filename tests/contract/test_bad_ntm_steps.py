"""Steps of a neural Turing machine with parameters, states and gradients that do not fit it: what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from companion.bptt import unroll
from companion.heads import head_shapes
from companion.lstm import LSTM
from companion.ntm import Feedforward, NoState, ntm
from companion.rnn import jordan
from tests.contract.cells import NTMS, B, D, H, T
from tests.contract.ntm_by_loops import SIZES
from tests.contract.refusals import FINITE, Cases, float32, given, require_message, with_nan

WITH_LSTM, SEVERAL = NTMS
P, Q = given(NTMS[WITH_LSTM]), given(NTMS[SEVERAL])
PARAMS, STATE, DSTATE, X, DY = P.params, P.state, P.dstate, P.xs[0], P.dys[0]
INNER = Q.params.controller
SEEN = np.ones((B, D + 6))


def step(name: str = WITH_LSTM, **wrong: Any) -> Any:
    p = given(NTMS[name])
    right = {"params": p.params, "x": p.xs[0], "state": p.state}
    return NTMS[name].step(**right | wrong)


def state(**wrong: Any) -> Any:
    return lambda: step(state=STATE._replace(**wrong))


def params(**wrong: Any) -> Any:
    return lambda: step(params=PARAMS._replace(**wrong))


def back(name: str = WITH_LSTM, **wrong: Any) -> Any:
    p = given(NTMS[name])
    cache = NTMS[name].step(p.params, p.xs[0], p.state)[2]
    right = {"params": p.params, "cache": cache, "dy": p.dys[0], "dstate": p.dstate}
    return NTMS[name].step_backward(**right | wrong)


def dstate(**wrong: Any) -> Any:
    return lambda: back(dstate=DSTATE._replace(**wrong))


def biased(block: str, value: float, entry: int = 1) -> Any:
    """A step whose block of z gets a number that no squashing can mend, for all examples."""
    shapes = head_shapes(SIZES[WITH_LSTM][1])
    before = shapes[: shapes._fields.index(block)]
    b_z = PARAMS.b_z.copy()
    b_z[sum(int(np.prod(s)) for s in before) + entry] = value
    return lambda: step(params=PARAMS._replace(b_z=b_z))


LIST, FLOAT64 = "is a list", "expected a NumPy array of float64"
CASES: Cases = {
    # --- states
    "no state": (lambda: step(state=None), ("ntm_step", "state", "NoneType", "expected NTMState")),
    "state of an LSTM": (lambda: step(state=STATE.controller), ("ntm_step", "state", "LSTMState", "expected NTMState")),
    "state of another machine": (
        lambda: step(state=Q.state),
        ("ntm_step", "state.memory", "(3, 7, 3)", "expected (3, N, 4)"),
    ),
    "memory of one example": (state(memory=STATE.memory[0]), ("ntm_step", "state.memory", "(6, 4)", "(3, N, 4)")),
    "memory to be broadcast": (state(memory=STATE.memory[:1]), ("ntm_step", "state.memory", "(1, 6, 4)", "(3, N, 4)")),
    "memory of another width": (
        state(memory=np.ones((B, 6, 5))),
        ("ntm_step", "state.memory", "(3, 6, 5)", "(3, N, 4)"),
    ),
    "memory without rows": (
        state(memory=STATE.memory[:, :0]),
        ("ntm_step", "state.memory", "(3, 0, 4)", "no empty axis"),
    ),
    "memory in a list": (state(memory=STATE.memory.tolist()), ("ntm_step", "state.memory", LIST, FLOAT64)),
    "float32 memory": (
        state(memory=float32(STATE.memory)),
        ("ntm_step", "state.memory", "float32", "expected float64 as params.W_z"),
    ),
    "NaN in the memory": (
        state(memory=with_nan(STATE.memory, (1, 5, 3))),
        ("ntm_step", "state.memory", "the first at [1, 5, 3] (nan)", FINITE),
    ),
    "weights of fewer rows": (
        state(w=STATE.w[:, :, :5]),
        ("ntm_step", "state.w", "(3, 2, 5)", "expected (3, 2, 6) from state.memory"),
    ),
    "weights of one head": (state(w=STATE.w[:, :1]), ("ntm_step", "state.w", "(3, 1, 6)", "expected (3, 2, 6)")),
    "weights in a list": (state(w=STATE.w.tolist()), ("ntm_step", "state.w", LIST, FLOAT64)),
    "float32 weights": (
        state(w=float32(STATE.w)),
        ("ntm_step", "state.w", "float32", "expected float64 as params.W_z"),
    ),
    "NaN in the weights": (
        state(w=with_nan(STATE.w, (0, 1, 2))),
        ("ntm_step", "state.w", "the first at [0, 1, 2] (nan)", FINITE),
    ),
    "negative weights": (
        state(w=-STATE.w),
        ("ntm_step|sharpen", "w[0, 0, 0]", "is -0.", "expected weights of at least 0"),
    ),
    "reads of another width": (
        state(reads=np.ones((B, 1, 5))),
        ("ntm_step", "state.reads", "(3, 1, 5)", "expected (3, 1, 4)"),
    ),
    "reads of two heads": (
        state(reads=np.ones((B, 2, 4))),
        ("ntm_step", "state.reads", "(3, 2, 4)", "expected (3, 1, 4)"),
    ),
    "flat reads": (state(reads=STATE.reads[:, 0]), ("ntm_step", "state.reads", "(3, 4)", "expected (3, 1, 4)")),
    "float32 reads": (state(reads=float32(STATE.reads)), ("ntm_step", "state.reads", "float32", "expected float64")),
    "infinite reads": (
        state(reads=np.full_like(STATE.reads, np.inf)),
        ("ntm_step", "state.reads", "has 12 values", FINITE),
    ),
    "memory of fewer rows than shifts": (
        state(memory=STATE.memory[:, :2], w=STATE.w[:, :, :2]),
        ("ntm_step|shift", "s", "3 shifts", "an odd number of at most the 2 rows"),
    ),
    "no state for an LSTM inside": (
        state(controller=NoState()),
        ("lstm_step", "state", "NoState", "expected LSTMState"),
    ),
    "a state for a controller without one": (
        lambda: step(SEVERAL, state=Q.state._replace(controller=STATE.controller)),
        ("feedforward_step", "state", "LSTMState", "expected NoState"),
    ),
    # --- inputs
    "x of one example": (lambda: step(x=X[0]), ("ntm_step", "x", "(4,)", "expected (B, D)")),
    "x in a list": (lambda: step(x=X.tolist()), ("ntm_step", "x", LIST, FLOAT64)),
    "float32 x": (lambda: step(x=float32(X)), ("ntm_step", "x", "float32", "expected float64 as params.W_z")),
    "x too wide": (lambda: step(x=np.ones((B, 9))), ("ntm_step|lstm_step", "x", "(3, ", "from params.")),
    "x of another batch": (lambda: step(x=X[:2]), ("ntm_step", "state.memory", "(3, 6, 4)", "expected (2, N, 4)")),
    # --- parameters
    "no parameters": (lambda: step(params=None), ("ntm_step", "params", "NoneType", "expected NTMParams")),
    "parameters of an LSTM": (
        lambda: step(params=PARAMS.controller),
        ("ntm_step", "params", "LSTMParams", "expected NTMParams"),
    ),
    "parameters of an LSTM, and no state": (
        lambda: unroll(NTMS[WITH_LSTM], PARAMS.controller, P.xs),
        ("ntm_initial_state", "params", "LSTMParams", "expected NTMParams"),
    ),
    "parameters of another machine": (
        lambda: step(params=Q.params),
        ("ntm_step", "params.W_z", "(56, 5)", "expected (28, H) for these heads"),
    ),
    "another controller's parameters": (
        params(controller=INNER),
        ("lstm_step", "params", "FeedforwardParams", "expected LSTMParams"),
    ),
    "float32 controller": (
        params(controller=float32(PARAMS.controller)),
        ("ntm_step|lstm_step", "", "float", "expected"),
    ),
    "W_z for another controller": (
        params(W_z=np.ones((28, 9))),
        ("ntm_step", "params.W_z", "(28, 9)", "expected (28, 5)"),
    ),
    "W_z in a list": (
        params(W_z=PARAMS.W_z.tolist()),
        ("ntm_step", "params.W_z", LIST, "expected a NumPy array of float"),
    ),
    "b_z of one number": (params(b_z=np.ones(1)), ("ntm_step", "params.b_z", "(1,)", "expected (28,) for these heads")),
    "float32 b_z": (params(b_z=float32(PARAMS.b_z)), ("ntm_step", "params.b_z", "float32", "expected float64")),
    "b_z in a list": (params(b_z=PARAMS.b_z.tolist()), ("ntm_step", "params.b_z", LIST, FLOAT64)),
    "float32 b of a feedforward controller": (
        lambda: Feedforward.step(INNER._replace(b=float32(INNER.b)), SEEN, NoState()),
        ("feedforward_step", "params.b", "float32", "expected float64"),
    ),
    "feedforward W_x of fewer units": (
        lambda: Feedforward.step(INNER._replace(b=INNER.b[:4]), SEEN, NoState()),
        ("feedforward_step", "params.b", "(4,)", "expected (5,)"),
    ),
    "an output layer in the controller": (
        lambda: unroll(*(lambda c: (c, c.init(np.random.default_rng(0), D, H)))(ntm(jordan(6), 6, 4)), P.xs),
        ("ntm_step", "params.W_z", "(28, 5)", "expected (28, 6)"),
    ),
    # --- gradients
    "dy without what was read": (
        lambda: back(dy=DY[:, :H]),
        ("ntm_step_backward", "dy", "(3, 5)", "expected (3, 9) as y"),
    ),
    "float32 dy": (lambda: back(dy=float32(DY)), ("ntm_step_backward", "dy", "float32", "expected float64 as y")),
    "dy in a list": (lambda: back(dy=DY.tolist()), ("ntm_step_backward", "dy", LIST, FLOAT64)),
    "no dstate": (lambda: back(dstate=None), ("ntm_step_backward", "dstate", "NoneType", "expected NTMState")),
    "dstate of the controller's kind": (
        dstate(controller=NoState()),
        ("lstm_step_backward", "dstate", "NoState", "expected LSTMState"),
    ),
    "dstate for a controller without one": (
        lambda: back(SEVERAL, dstate=Q.dstate._replace(controller=None)),
        ("feedforward_step_backward", "dstate", "NoneType", "expected NoState"),
    ),
    "parameters of an LSTM on the way back": (
        lambda: back(params=PARAMS.controller),
        ("ntm_step_backward", "params", "LSTMParams", "expected NTMParams"),
    ),
}
CASES |= {
    f"dstate.{name} {what}": (
        dstate(**{name: value}),
        ("ntm_step_backward", f"dstate.{name}", received, expected),
    )
    for name, like in (("memory", STATE.memory), ("w", STATE.w), ("reads", STATE.reads))
    for what, value, received, expected in (
        ("to be broadcast", np.ones((1, 1, 1)), "(1, 1, 1)", f"expected {like.shape}"),
        ("of fewer examples", like[:2], str(like[:2].shape), f"expected {like.shape}"),
        ("in float32", float32(like), "float32", "expected float64"),
        ("in a list", like.tolist(), LIST, FLOAT64),
    )
}

# --- parameters of heads that are not finite: the stage or the block, the number of them, the first one

SQUASHED = ("key", "gate", "erase", "add")  # tanh and sigma would make an infinity an ordinary number
CASES |= {
    f"{value} for the {block} of a head": (
        biased(block, value),
        ("ntm_step|head_parameters", block, f"the first at {where} ({value})", FINITE),
    )
    for value in (np.nan, np.inf)
    for block, where in (
        ("key", "[0, 0, 1]"),
        ("strength", "[0, 1]"),
        ("gate", "[0, 1]"),
        ("s", "[0, 0, 1]"),
        ("sharpness", "[0, 1]"),
        ("erase", "[0, 0, 1]"),
        ("add", "[0, 0, 1]"),
    )
}
CASES["weights of NaN"] = (
    params(W_z=np.full_like(PARAMS.W_z, np.nan)),
    ("ntm_step|head_parameters", "key", "has 24 values", FINITE),
)
CASES["a machine whose keys are 0"] = (
    params(W_z=0 * PARAMS.W_z, b_z=0 * PARAMS.b_z),
    ("content_address", "key[0, 0]", "is all zeros", "expected a vector with a direction"),
)


@pytest.mark.parametrize("name", CASES)
def test_the_error_names_function_argument_received_and_expected(name: str) -> None:
    require_message(*CASES[name])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [-1e5, 1e5])
@pytest.mark.parametrize("block", ["key", "strength", "gate", "s", "sharpness", "erase", "add"])
def test_a_parameter_of_a_head_may_be_as_large_as_it_likes(block: str, value: float, dtype: Any) -> None:
    """A saturated head is none that should stop a training run: softplus of -200 is still above 0 in float32."""
    p = given(NTMS[WITH_LSTM], dtype)
    b_z = p.params.b_z.copy()
    shapes = head_shapes(SIZES[WITH_LSTM][1])
    ends = np.cumsum([0, *(int(np.prod(s)) for s in shapes)])
    place = shapes._fields.index(block)
    b_z[ends[place] : ends[place + 1]] = value
    y, new, cache = NTMS[WITH_LSTM].step(p.params._replace(b_z=b_z), p.xs[0], p.state)
    dparams, dx, dstate = NTMS[WITH_LSTM].step_backward(p.params, cache, p.dys[0], p.dstate)
    assert np.isfinite(dx).all()
    assert all(np.isfinite(a).all() for a in (y, new.memory, new.w, dparams.W_z, dparams.b_z, dstate.memory, dstate.w))


def test_right_calls_of_the_same_entry_points_pass() -> None:
    """The table above would also be satisfied by functions that refuse everything."""
    for name in NTMS:
        step(name)
        back(name)
        p = given(NTMS[name], np.float32)
        unroll(NTMS[name], p.params, p.xs, p.state, p.mask)
        unroll(NTMS[name], p.params, p.xs)
    Feedforward.step(INNER, SEEN, NoState())
    step(state=STATE._replace(memory=np.zeros_like(STATE.memory), w=np.zeros_like(STATE.w)))
    assert LSTM is SIZES[WITH_LSTM][0]
    assert P.xs.shape == (T, B, D)
