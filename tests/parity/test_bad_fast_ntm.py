"""Bad input to the fast NTM: refused with one line, about the argument that `unroll` of the readable machine names too."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from companion.fast import ntm as fast_ntm
from companion.gru import GRU
from companion.lstm import LSTM, LSTM1997, LSTMState, lstm_init
from companion.ntm import NTM, Feedforward, NTMState, ntm
from companion.tree import tree_map
from tests.contract.cells import Problem, problem, run
from tests.contract.refusals import with_nan
from tests.parity.test_fast import message, run_layer

CELL, LAYER = ntm(rows=6, width=4), fast_ntm.ntm(rows=6, width=4)


def float32(tree: Any) -> Any:
    return tree_map(lambda a: a.astype(np.float32), tree)


def with_controller(change: Any) -> Any:
    return lambda a: a._replace(controller=change(a.controller))


def in_state(name: str, change: Any) -> Any:
    return lambda state: state._replace(**{name: change(getattr(state, name))})


# What is changed, how, and the words that say it: the argument, what was received, what was expected.
BAD: dict[str, tuple[str, Any, str]] = {
    "xs without a batch": ("xs", lambda a: a[:, 0], r"xs has shape \(7, 4\), expected \(T, B, D\)"),
    "no steps": ("xs", lambda a: a[:0], r"xs has shape \(0, 3, 4\), expected"),
    "xs too wide": ("xs", lambda a: np.repeat(a, 2, axis=2), r"xs? has shape \(.*3, (8|12)\), expected"),
    "NaN in xs": (
        "xs",
        lambda a: with_nan(a, (4, 0, 2)),
        r"xs has 1 values that are not finite, the first at \[4, 0, 2\]",
    ),
    "float32 xs": ("xs", float32, r"xs? has dtype float32, expected float64"),
    "parameters in a tuple": ("params", tuple, r"params is a tuple, expected NTMParams"),
    "parameters of another cell": ("params", lambda p: p.controller, r"params is a LSTMParams, expected NTMParams"),
    "W_z too short": (
        "params",
        lambda p: p._replace(W_z=p.W_z[1:]),
        r"params.W_z has shape \(27, 5\), expected \(28, H\)",
    ),
    "b_z too short": ("params", lambda p: p._replace(b_z=p.b_z[1:]), r"params.b_z has shape \(27,\), expected \(28,\)"),
    "array for a state": ("state", lambda s: s.w, r"state is a ndarray, expected NTMState"),
    "state of the controller": ("state", lambda s: s.controller, r"state is a LSTMState, expected NTMState"),
    "state of another batch": (
        "state",
        lambda s: tree_map(lambda a: a[:2], s),
        r"state.controller.h has shape \(2, 5\)",
    ),
    "reads of another batch": (
        "state",
        in_state("reads", lambda a: a[:2]),
        r"state.reads has shape \(2, 1, 4\), expected",
    ),
    "memory too wide": (
        "state",
        in_state("memory", lambda a: np.repeat(a, 2, 2)),
        r"state.memory has shape \(3, 6, 8\)",
    ),
    "weightings of other rows": ("state", in_state("w", lambda a: a[:, :, 1:]), r"state.w has shape \(3, 2, 5\)"),
    "weightings of one head": ("state", in_state("w", lambda a: a[:, :1]), r"state.w has shape \(3, 1, 6\)"),
    "two reads": ("state", in_state("reads", lambda a: np.repeat(a, 2, 1)), r"state.reads has shape \(3, 2, 4\)"),
    "NaN in memory": ("state", in_state("memory", lambda a: with_nan(a, (1, 2, 3))), r"state.memory has 1 values"),
    "float32 memory": ("state", in_state("memory", float32), r"state.memory has dtype float32, expected float64"),
    "mask of integers": ("mask", lambda m: m.astype(int), r"mask has dtype int"),
    "mask that resumes": (
        "mask",
        lambda m: m[::-1] | (np.arange(7) == 0)[:, None],
        r"mask\[\d, 0\] is True after False",
    ),
    "dys too short": ("dys", lambda a: a[:5], r"dys has shape \(5, 3, 9\), expected \(7, 3, "),
    "dys of another batch": ("dys", lambda a: a[:, :2], r"dys has shape \(7, 2, 9\), expected \(7, 3, "),
    "dys without the reads": ("dys", lambda a: a[:, :, :5], r"dys? has shape \(.*3, 5\), expected"),
    "float32 dys": ("dys", float32, r"dys has dtype float32, expected float64"),
    "NaN in dys": ("dys", lambda a: with_nan(a, (6, 0, 2)), r"dys has 1 values that are not finite"),
    "array for dstate": ("dstate", lambda s: s.w, r"dstate is a ndarray, expected NTMState"),
    "dstate of another batch": (
        "dstate",
        lambda s: tree_map(lambda a: a[:2], s),
        r"dstate.controller.h has shape \(2, 5\)",
    ),
    "NaN in dstate": ("dstate", in_state("w", lambda a: with_nan(a, (1, 1, 2))), r"dstate.w has 1 values"),
}
# The readable machine lets these through, to whatever NumPy makes of them, or says it of an array inside the step.
ONLY_HERE: dict[str, tuple[str, Any, str]] = {
    "W_h too narrow": (
        "params",
        with_controller(lambda c: c._replace(W_h=c.W_h[:, 1:])),
        r"params.controller.W_h has shape \(20, 4\), expected \(20, 5\)",
    ),
    "b of one gate": (
        "params",
        with_controller(lambda c: c._replace(b=c.b[:5])),
        r"params.controller.b has shape \(5,\)",
    ),
    "float32 biases": (
        "params",
        lambda p: p._replace(b_z=float32(p.b_z)),
        r"params.b_z has dtype float32, expected float64",
    ),
    "float32 controller": ("params", with_controller(float32), r"params.controller.W_x has dtype float32"),
    "state of another controller": (
        "state",
        with_controller(lambda c: c.h),
        r"state.controller is a ndarray, expected LSTMState",
    ),
    "h too wide": (
        "state",
        with_controller(lambda c: LSTMState(np.ones((3, 9)), c.s)),
        r"state.controller.h has shape \(3, 9\), expected \(3, 5\)",
    ),
    "two rows of memory": (
        "state",
        lambda s: s._replace(memory=s.memory[:, :2], w=s.w[:, :, :2]),
        r"state.memory has 2 rows, expected at least 3 for a shift range of 1",
    ),
    "dstate with other rows": (
        "dstate",
        lambda s: s._replace(memory=s.memory[:, 1:], w=s.w[:, :, 1:]),
        r"dstate.memory has shape \(3, 5, 4\), expected \(3, 6, 4\)",
    ),
    "float32 dstate": ("dstate", float32, r"dstate.controller.h has dtype float32, expected float64"),
}


def changed(rng: np.random.Generator, field: str, change: Any) -> Problem:
    p = problem(CELL, rng, lengths=[3, 7, 1])
    return p._replace(**{field: change(getattr(p, field))})


@pytest.mark.parametrize("bad", BAD)
def test_bad_input_is_refused_as_by_unroll(bad: str, rng: np.random.Generator) -> None:
    field, change, expected = BAD[bad]
    wrong = changed(rng, field, change)
    with pytest.raises(ValueError, match=rf"^ntm_sequence(_backward)?: {expected}"):
        run_layer(LAYER, wrong)
    theirs, ours = message(run, CELL, wrong), message(run_layer, LAYER, wrong)
    assert theirs[0].removesuffix("s") in ours[0]  # x of a step is xs of the sequence
    assert theirs[1] == ours[1], f"{' '.join(ours)} / {' '.join(theirs)}"


@pytest.mark.parametrize("bad", ONLY_HERE)
def test_what_does_not_fit_is_refused(bad: str, rng: np.random.Generator) -> None:
    field, change, expected = ONLY_HERE[bad]
    with pytest.raises(ValueError, match=rf"^ntm_sequence(_backward)?: {expected}") as raised:
        run_layer(LAYER, changed(rng, field, change))
    assert "\n" not in str(raised.value)


# ---- what the stages of addressing refuse


def with_bias(rng: np.random.Generator, places: slice, value: float) -> Problem:
    """Weights of 0, so that the heads get their biases whatever the controller sees: 1, but for these places in b_z."""
    p = problem(CELL, rng)
    params = tree_map(np.zeros_like, p.params)
    params.b_z[...] = 1
    params.b_z[places] = value
    return p._replace(params=params)


@pytest.mark.parametrize(
    ("name", "place"),
    [("key", 2), ("strength", 9), ("gate", 11), ("s", 14), ("sharpness", 19), ("erase", 20), ("add", 27)],
)
def test_parameters_of_heads_that_are_not_finite_are_refused(name: str, place: int, rng: np.random.Generator) -> None:
    p = with_bias(rng, slice(place, place + 1), np.nan)
    with pytest.raises(
        ValueError, match=rf"^ntm_sequence: {name} of a head is nan at step 0, batch 0, expected finite numbers"
    ):
        LAYER.forward(p.params, p.xs, p.state)
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match="not finite"):
        run(CELL, p)


def test_weighting_that_cannot_be_sharpened_is_found_before_what_comes_of_it(rng: np.random.Generator) -> None:
    p = problem(CELL, rng)
    state = p.state._replace(w=-5 * np.ones_like(p.state.w))
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match="ntm_sequence: w of a head is nan at step 0"):
        LAYER.forward(p.params, p.xs, state)


def test_they_are_found_at_the_step_and_in_the_sequence_where_they_first_arise(rng: np.random.Generator) -> None:
    p = problem(CELL, rng, np.float32)
    W_x, xs = np.zeros_like(p.params.controller.W_x), np.zeros_like(p.xs)
    W_x[:, 0], xs[2:, 1, 0] = 3e38, 1e10
    W_z = np.full_like(p.params.W_z, 3e38)  # h is 0 until then, or sums of it would be infinite
    zeros = tree_map(np.zeros_like, p.params)
    params = zeros._replace(controller=zeros.controller._replace(W_x=W_x), W_z=W_z, b_z=p.params.b_z)
    with pytest.raises(ValueError, match=r"^ntm_sequence: s of a head is nan at step 2, batch 1"):
        LAYER.forward(params, xs)


def test_a_key_of_zeros_is_refused(rng: np.random.Generator) -> None:
    p = with_bias(rng, slice(4, 8), 0)
    with pytest.raises(ValueError, match=r"^ntm_sequence: key of a head is 0\.0 at step 0, batch 0, expected a vector"):
        LAYER.forward(p.params, p.xs, p.state)


def test_what_happens_on_padding_is_not_refused(rng: np.random.Generator) -> None:
    p = problem(CELL, rng, lengths=[3, 7, 1])
    LAYER.forward(p.params, np.where(p.mask[:, :, None], p.xs, 1e308), p.state, p.mask)


# ---- machines


@pytest.mark.parametrize("controller", [GRU, LSTM1997, ntm(rows=6, width=4)])
def test_another_controller_is_refused(controller: Any) -> None:
    with pytest.raises(ValueError, match=r"^ntm: controller is Cell.*, expected lstm\.LSTM or ntm\.Feedforward$"):
        fast_ntm.ntm(controller)


def test_arguments_are_those_of_the_readable_machine() -> None:
    for wrong in (
        {"controller": "LSTM"},
        {"rows": 0},
        {"rows": 4, "shift_range": 2},
        {"gate_bias": np.nan},
        {"width": 2.0},
    ):
        received = []
        for build in (ntm, fast_ntm.ntm):
            with pytest.raises(ValueError, match=r"^ntm: ") as raised:
                build(**wrong)
            received.append(str(raised.value))
        assert received[0] == received[1]


def test_states_of_both_controllers_are_told_apart(rng: np.random.Generator) -> None:
    p = problem(CELL, rng)
    layer = fast_ntm.ntm(Feedforward, rows=6, width=4)
    params = layer.init(rng, 4, 5)
    with pytest.raises(
        ValueError, match=r"^ntm_sequence: params\.controller is a LSTMParams, expected FeedforwardParams"
    ):
        layer.forward(p.params, p.xs)
    with pytest.raises(ValueError, match=r"^ntm_sequence: state\.controller is a LSTMState, expected NoState"):
        layer.forward(params, p.xs, NTMState(*p.state))


def test_an_lstm_is_taken_with_any_initialisation(rng: np.random.Generator) -> None:
    controller = LSTM._replace(init=partial(lstm_init, forget_bias=3.0))
    params = fast_ntm.ntm(controller, rows=6, width=4).init(rng, 4, 5)
    assert params.controller.b.tolist() == [0] * 5 + [3] * 5 + [0] * 10
    assert fast_ntm.NTM.init(rng, 4, 5).controller.b.tolist() == NTM.init(rng, 4, 5).controller.b.tolist()
