"""The checks of cells.py find the mistakes that people make in backward passes; without this, they might find nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from companion import ops
from companion.bptt import Cell, backward_steps, unroll, unroll_backward
from companion.gradcheck import GradientError
from companion.gru import GRU, ChoGRU
from companion.lstm import LSTM, LSTM1997, LSTMState, PeepholeLSTM
from companion.rnn import Elman, Jordan, elman
from companion.tree import tree_map
from tests.contract.cells import (
    CELLS,
    LENGTHS,
    check_batch_against_single_sequences,
    check_sequence,
    check_step,
    problem,
)

Backward = Callable[..., Any]
TANH_OF_OUTPUT = ops.Activation(np.tanh, lambda y, dy: dy * (1 - np.tanh(y) ** 2))


def with_cache(cell: Cell, change: Callable[[Any], Any]) -> Cell:
    """The cell whose backward pass reads another cache."""
    return cell._replace(step_backward=lambda params, cache, *up: cell.step_backward(params, change(cache), *up))


def with_gradient(cell: Cell, change: Callable[..., Any]) -> Cell:
    """The cell whose backward pass returns something else: change(params, dparams, dx, dstate before)."""
    return cell._replace(
        step_backward=lambda params, cache, *up: change(params, *cell.step_backward(params, cache, *up))
    )


def with_upstream(cell: Cell, change: Callable[[Any, Any], tuple[Any, Any]]) -> Cell:
    """The cell whose backward pass receives another dy and dstate."""
    return cell._replace(
        step_backward=lambda params, cache, dy, dstate: cell.step_backward(params, cache, *change(dy, dstate))
    )


def swapped(c: Any, first: int, second: int) -> Any:
    gates = list(c.gates)
    gates[first], gates[second] = gates[second], gates[first]
    return c._replace(gates=tuple(gates))


def without_h(dy: Any, dstate: Any) -> tuple[Any, Any]:
    return dy, dstate._replace(h=np.zeros_like(dstate.h))


def without_recurrent_h(params: Any, dparams: Any, dx: Any, dstate: Any) -> Any:
    return dparams, dx, dstate._replace(h=np.zeros_like(dstate.h))


def mean_over_the_batch(params: Any, dparams: Any, dx: Any, dstate: Any) -> Any:
    return tree_map(lambda a: a / len(dx), dparams), dx, dstate


def transposed(params: Any, dparams: Any, dx: Any, dstate: Any) -> Any:
    return dparams._replace(W_h=dparams.W_h.T.copy()), dx, dstate


WRONG_STEPS: dict[str, Cell] = {
    "Elman: h for h'": with_cache(Elman, lambda c: c._replace(h_prev=c.h)),
    "Elman: slope of tanh taken at its output": elman(TANH_OF_OUTPUT),
    "Elman: path through the state forgotten": with_upstream(Elman, without_h),
    "Elman: dW_h transposed": with_gradient(Elman, transposed),
    "Elman: mean for sum": with_gradient(Elman, mean_over_the_batch),
    "Jordan: context's own value forgotten": with_gradient(
        Jordan, lambda params, dparams, dx, dstate: (dparams, dx, tree_map(lambda a: a * 0.9, dstate))
    ),
    "Jordan: only the output counts": with_upstream(Jordan, lambda dy, dstate: (dy, tree_map(np.zeros_like, dstate))),
    "LSTM: i and f in each other's place": with_cache(LSTM, lambda c: swapped(c, 0, 1)),
    "LSTM: blocks in the order i, f, o, g": with_cache(LSTM, lambda c: swapped(c, 2, 3)),
    "LSTM: h for h'": with_cache(LSTM, lambda c: c._replace(prev=LSTMState(c.phi_s * c.gates[3], c.prev.s))),
    "LSTM: s for s'": with_cache(LSTM, lambda c: c._replace(prev=LSTMState(c.prev.h, c.s))),
    "LSTM: tanh(s) without its slope": with_cache(LSTM, lambda c: c._replace(phi_s=np.zeros_like(c.phi_s))),
    "LSTM: path through h forgotten in ds": with_upstream(LSTM, without_h),
    "LSTM: no gradient to h'": with_gradient(LSTM, without_recurrent_h),
    "LSTM1997: no gradient to h'": with_gradient(LSTM1997, without_recurrent_h),
    "LSTM1997: a forget gate where there is none": with_gradient(
        LSTM1997, lambda params, dparams, dx, dstate: (dparams, dx, dstate._replace(s=dstate.s * 0.5))
    ),
    "PeepholeLSTM: backward pass of an LSTM": PeepholeLSTM._replace(
        step_backward=lambda params, c, dy, dstate: PeepholeLSTM.step_backward(
            params._replace(p=np.zeros_like(params.p)), c, dy, dstate
        )
    ),
    "PeepholeLSTM: o sees s'": with_cache(PeepholeLSTM, lambda c: c._replace(s=c.prev.s)),
    "GRU: 1 - z for z": with_cache(GRU, lambda c: c._replace(z=1 - c.z)),
    "GRU: r and z in each other's place": with_cache(GRU, lambda c: c._replace(r=c.z, z=c.r)),
    "GRU: bias of the candidate outside the bracket": with_gradient(
        GRU, lambda params, dparams, dx, dstate: (dparams._replace(b_n=dparams.b[-dparams.b_n.size :]), dx, dstate)
    ),
    "GRU: reset before the product": GRU._replace(
        step_backward=lambda params, c, dy, dstate: (
            GRU.step_backward(params, c, dy, dstate)[0],
            *ChoGRU.step_backward(params, c, dy, dstate)[1:],
        )
    ),
    "ChoGRU: reset forgotten": with_cache(ChoGRU, lambda c: c._replace(r=np.ones_like(c.r))),
}


@pytest.mark.parametrize("name", WRONG_STEPS)
def test_a_wrong_step_is_found_in_one_step_and_in_a_sequence(name: str, rng: np.random.Generator) -> None:
    cell = WRONG_STEPS[name]
    for check in (check_step, check_sequence):
        with pytest.raises(GradientError):
            check(cell, problem(cell, rng), rng)


def overwritten(cell: Cell, params: Any, caches: Any, dys: Any, dstate: Any = None) -> Any:
    """The gradient of a shared weight is that of one step."""
    dparams = None
    for term, _, _ in backward_steps(cell, params, caches, dys, dstate):
        dparams = term
    return dparams, *unroll_backward(cell, params, caches, dys, dstate)[1:]


def without_the_first_term(cell: Cell, params: Any, caches: Any, dys: Any, dstate: Any = None) -> Any:
    """A loop that ends before the first step."""
    right, dxs, before = unroll_backward(cell, params, caches, dys, dstate)
    *_, (term, _, _) = backward_steps(cell, params, caches, dys, dstate)
    return tree_map(np.subtract, right, term), dxs, before


def mean_over_time(cell: Cell, params: Any, caches: Any, dys: Any, dstate: Any = None) -> Any:
    dparams, dxs, before = unroll_backward(cell, params, caches, dys, dstate)
    return tree_map(lambda a: a / len(dys), dparams), dxs, before


def without_mask(cell: Cell, params: Any, caches: Any, dys: Any, dstate: Any = None) -> Any:
    return unroll_backward(cell, params, caches._replace(mask=None), dys, dstate)


def without_the_last_state(cell: Cell, params: Any, caches: Any, dys: Any, dstate: Any = None) -> Any:
    return unroll_backward(cell, params, caches, dys)


def truncated(cell: Cell, params: Any, caches: Any, dys: Any, dstate: Any = None) -> Any:
    """No gradient from one step to the step before."""
    zero = tree_map(np.zeros_like, dstate)
    cut = cell._replace(step_backward=lambda *args: (*cell.step_backward(*args)[:2], zero))
    return unroll_backward(cut, params, caches, dys, dstate)


def forward_in_time(cell: Cell, params: Any, caches: Any, dys: Any, dstate: Any = None) -> Any:
    """dxs left in the order in which they were found."""
    dparams, dxs, before = unroll_backward(cell, params, caches, dys, dstate)
    return dparams, dxs[::-1], before


WRONG_SEQUENCES: list[Backward] = [
    overwritten,
    without_the_first_term,
    mean_over_time,
    without_mask,
    without_the_last_state,
    truncated,
    forward_in_time,
]


@pytest.mark.parametrize("wrong", WRONG_SEQUENCES)
@pytest.mark.parametrize("cell", [Elman, LSTM, GRU], ids=["Elman", "LSTM", "GRU"])
def test_a_wrong_way_back_through_time_is_found(cell: Cell, wrong: Backward, rng: np.random.Generator) -> None:
    p = problem(cell, rng, lengths=LENGTHS)
    with pytest.raises(GradientError):
        check_sequence(cell, p, rng, wrong)


@pytest.mark.parametrize("wrong", [without_mask, overwritten, without_the_last_state])
def test_a_batch_that_differs_from_its_sequences_is_found(wrong: Backward, rng: np.random.Generator) -> None:
    with pytest.raises(AssertionError):
        check_batch_against_single_sequences(LSTM, problem(LSTM, rng, lengths=LENGTHS), wrong)


def state_goes_on(cell: Cell, params: Any, xs: Any, state: Any, mask: Any) -> Any:
    """The padding changes the state, and only the outputs are cut off."""
    ys, last, caches = unroll(cell, params, xs, state)
    return ys * mask[:, :, None], last, caches._replace(mask=mask)


def outputs_go_on(cell: Cell, params: Any, xs: Any, state: Any, mask: Any) -> Any:
    """The padding leaves the state alone, but has outputs."""
    _, last, caches = unroll(cell, params, xs, state, mask)
    return unroll(cell, params, xs, state)[0], last, caches


@pytest.mark.parametrize("wrong", [state_goes_on, outputs_go_on])
def test_a_forward_pass_that_goes_on_in_the_padding_is_found(wrong: Backward, rng: np.random.Generator) -> None:
    with pytest.raises(AssertionError):
        check_batch_against_single_sequences(LSTM, problem(LSTM, rng, lengths=LENGTHS), forward=wrong)


def test_right_backward_passes_pass(rng: np.random.Generator) -> None:
    """The tests above would also be satisfied by checks that refuse everything."""
    for cell in CELLS.values():
        p = problem(cell, rng, lengths=LENGTHS)
        check_step(cell, p, rng)
        check_sequence(cell, p, rng)
        check_batch_against_single_sequences(cell, p)
