"""The checks find the mistakes that people make on the way back through a neural Turing machine and its stages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from companion import addressing, heads, ntm
from companion.bptt import Cell
from companion.gradcheck import GradientError
from companion.heads import HeadParameters
from companion.tree import tree_map
from tests.contract.cells import NTMS, check_sequence, check_step, problem
from tests.contract.stages import STAGES, check_stage

SMALL = (2, 2, 2, 2)  # T, B, D, H: a wrong gradient is described entry by entry
SEVERAL = "NTM, feedforward, several heads"
every_ntm = pytest.mark.parametrize("machine", NTMS)
Gradients = tuple[Any, ...]


def nothing(a: Any) -> Any:
    return np.zeros_like(a)


# --- a stage whose gradients are changed: (cache, dy, right gradients in the order of the arguments) -> wrong ones


def norm_of_the_key_dropped(c: Any, dw: Any, right: Gradients) -> Gradients:
    """The key's length taken for a constant."""
    dcosine = c.strength[:, :, None] * addressing.softmax_backward(c.w, dw)
    return (dcosine / (c.key_norm * c.row_norm)) @ c.memory, *right[1:]


def norms_of_the_rows_dropped(c: Any, dw: Any, right: Gradients) -> Gradients:
    dcosine = c.strength[:, :, None] * addressing.softmax_backward(c.w, dw)
    return *right[:2], (dcosine / (c.key_norm * c.row_norm)).transpose(0, 2, 1) @ c.key


def softmax_without_its_sum(c: Any, dw: Any, right: Gradients) -> Gradients:
    return right[0], (c.w * dw * c.cosine).sum(axis=2), right[2]


def shift_not_turned_round(c: Any, dy: Any, right: Gradients) -> Gradients:
    return addressing.shift(dy, c.s)[0], right[1]


def shifts_in_reversed_order(c: Any, dy: Any, right: Gradients) -> Gradients:
    return right[0], right[1][:, :, ::-1].copy()


def shift_that_ends_at_the_last_row(c: Any, dy: Any, right: Gradients) -> Gradients:
    """Nothing comes round the end."""
    reach = c.s.shape[2] // 2
    padded = np.pad(dy, ((0, 0), (0, 0), (reach, reach)))
    N = dy.shape[2]
    return sum(c.s[:, :, i, None] * padded[:, :, i : i + N] for i in range(2 * reach + 1)), right[1]


def powers_without_their_sum(c: Any, dy: Any, right: Gradients) -> Gradients:
    return c.sharpness[:, :, None] * c.w * dy / c.floored, right[1]


def logarithm_of_the_result(c: Any, dy: Any, right: Gradients) -> Gradients:
    return right[0], (addressing.softmax_backward(c.w, dy) * np.log(c.w)).sum(axis=2)


def only_what_was_added(c: Any, dmemory: Any, right: Gradients) -> Gradients:
    return right[0], c.add @ dmemory.transpose(0, 2, 1), *right[2:]


def only_what_was_erased(c: Any, dmemory: Any, right: Gradients) -> Gradients:
    return right[0], right[1] - c.add @ dmemory.transpose(0, 2, 1), *right[2:]


def other_heads_forgotten(c: Any, dmemory: Any, right: Gradients) -> Gradients:
    """Each head's share as if it erased alone."""
    return *right[:2], -np.einsum("bkn,bnm->bkm", c.w, dmemory * c.memory), right[3]


Change = Callable[[Any, Any, Gradients], Gradients]
WRONG_STAGES: dict[str, tuple[str, Change]] = {
    "key's norm dropped": ("content_address", norm_of_the_key_dropped),
    "rows' norms dropped": ("content_address", norms_of_the_rows_dropped),
    "softmax without its sum": ("content_address", softmax_without_its_sum),
    "strength forgotten": ("content_address", lambda c, dw, g: (g[0] / c.strength[:, :, None], *g[1:])),
    "content's gradient to the memory dropped": ("content_address", lambda c, dw, g: (*g[:2], nothing(g[2]))),
    "g for 1 - g": ("interpolate", lambda c, dw, g: (*g[:2], c.gate[:, :, None] * dw)),
    "gate without w'": ("interpolate", lambda c, dw, g: (g[0], (dw * c.content).sum(axis=2), g[2])),
    "gradient through w' dropped": ("interpolate", lambda c, dw, g: (*g[:2], nothing(g[2]))),
    "shift not turned round": ("shift", shift_not_turned_round),
    "shifts in reversed order": ("shift", shifts_in_reversed_order),
    "shift that ends at the last row": ("shift", shift_that_ends_at_the_last_row),
    "gamma forgotten": ("sharpen", lambda c, dy, g: (g[0] / c.sharpness[:, :, None], g[1])),
    "powers without their sum": ("sharpen", powers_without_their_sum),
    "logarithm of the result": ("sharpen", logarithm_of_the_result),
    "read gradient into the memory dropped": ("read", lambda c, dr, g: (nothing(g[0]), g[1])),
    "read gradient into the weights dropped": ("read", lambda c, dr, g: (g[0], nothing(g[1]))),
    "memory handed on as if nothing were erased": ("erase_add", lambda c, dm, g: (dm, *g[1:])),
    "write gradient into the weights dropped": ("erase_add", lambda c, dm, g: (g[0], nothing(g[1]), *g[2:])),
    "weights without what was erased": ("erase_add", only_what_was_added),
    "weights without what was added": ("erase_add", only_what_was_erased),
    "erasing with the wrong sign": ("erase_add", lambda c, dm, g: (*g[:2], -g[2], g[3])),
    "other heads forgotten": ("erase_add", other_heads_forgotten),
}


def changed(stage: str, change: Change) -> Callable[..., Gradients]:
    right = STAGES[stage].backward
    return lambda cache, dy: change(cache, dy, right(cache, dy))


def require_found(cell: Cell, rng: np.random.Generator) -> None:
    for check in (check_step, check_sequence):
        with pytest.raises(GradientError):
            check(cell, problem(cell, rng, shape=SMALL), rng)


@pytest.mark.parametrize("name", WRONG_STAGES)
def test_a_wrong_stage_is_found_by_itself(name: str, rng: np.random.Generator) -> None:
    stage, change = WRONG_STAGES[name]
    with pytest.raises(GradientError):
        check_stage(STAGES[stage]._replace(backward=changed(stage, change)), rng)


@every_ntm
@pytest.mark.parametrize("name", WRONG_STAGES)
def test_a_wrong_stage_is_found_inside_a_machine(
    name: str, machine: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "other heads forgotten" and machine != SEVERAL:
        return  # one head has no others
    stage, change = WRONG_STAGES[name]
    user = ntm if stage in ("read", "erase_add") else heads
    monkeypatch.setattr(user, f"{stage}_backward", changed(stage, change))
    require_found(NTMS[machine], rng)


# --- the squashing of the heads' parameters: (parameters, their gradients) with a factor that takes a right slope away


def with_slope(name: str, slope: Callable[[Any], Any]) -> Callable[[HeadParameters, HeadParameters], Any]:
    right = heads.head_parameters_backward

    def wrong(values: HeadParameters, gradients: HeadParameters) -> Any:
        field = getattr(gradients, name)
        return right(values, gradients._replace(**{name: field * slope(getattr(values, name))}))

    return wrong


WRONG_SLOPES: dict[str, Callable[[HeadParameters, HeadParameters], Any]] = {
    "softplus of the strength with slope 1": with_slope("strength", lambda v: 1 / -np.expm1(-v)),
    "softplus of the sharpness with slope 1": with_slope("sharpness", lambda v: 1 / -np.expm1(1 - v)),
    "slope of the sharpness taken at 1 + softplus": with_slope("sharpness", lambda v: np.expm1(-v) / np.expm1(1 - v)),
    "tanh of the key without its slope": with_slope("key", lambda v: 1 / (1 - v**2)),
    "tanh of what is added without its slope": with_slope("add", lambda v: 1 / (1 - v**2)),
    "sigma of the gate without its slope": with_slope("gate", lambda v: 1 / (v * (1 - v))),
    "sigma of the erasing with the slope of tanh": with_slope("erase", lambda v: (1 + v) / v),
    # Not among them, because it makes no difference: the sum in the softmax of the shifts. Sharpening forgets their scale.
    "softmax of the shifts without its slope": with_slope("s", lambda v: 1 / v),
    "two blocks in each other's place": lambda values, gradients: heads.head_parameters_backward(
        values._replace(strength=values.gate, gate=values.strength),
        gradients._replace(strength=gradients.gate, gate=gradients.strength),
    ),
}


@every_ntm
@pytest.mark.parametrize("name", WRONG_SLOPES)
def test_a_wrong_slope_is_found(
    name: str, machine: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ntm, "head_parameters_backward", WRONG_SLOPES[name])
    require_found(NTMS[machine], rng)


# --- the machine: what goes into its backward pass, and what comes out

Back = Callable[..., Any]


def without_gradient_of(*names: str) -> Back:
    """The state after is not used, or the state before gets nothing."""
    return lambda dstate: dstate._replace(**{name: nothing(getattr(dstate, name)) for name in names})


UPSTREAM: dict[str, Back] = {
    "reads of the state after forgotten": lambda dy, dstate: (dy, without_gradient_of("reads")(dstate)),
    "weights of the state after forgotten": lambda dy, dstate: (dy, without_gradient_of("w")(dstate)),
    "memory of the state after forgotten": lambda dy, dstate: (dy, without_gradient_of("memory")(dstate)),
    "only h goes out": lambda dy, dstate: (np.where(np.arange(dy.shape[1]) < SMALL[3], dy, 0), dstate),
    "only the reads go out": lambda dy, dstate: (np.where(np.arange(dy.shape[1]) >= SMALL[3], dy, 0), dstate),
}
RESULTS: dict[str, Back] = {
    "reads' gradient to the controller dropped": without_gradient_of("reads"),
    "weights have no state before": without_gradient_of("w"),
    "memory has no state before": without_gradient_of("memory"),
    "heads in each other's place": lambda dstate: dstate._replace(w=dstate.w[:, ::-1].copy()),
}


def with_upstream(cell: Cell, change: Back) -> Cell:
    return cell._replace(step_backward=lambda params, cache, *up: cell.step_backward(params, cache, *change(*up)))


def with_result(cell: Cell, change: Back) -> Cell:
    def step_backward(*arguments: Any) -> Any:
        dparams, dx, dstate = cell.step_backward(*arguments)
        return dparams, dx, change(dstate)

    return cell._replace(step_backward=step_backward)


def without_the_heads(cell: Cell) -> Cell:
    """The controller learns from its output only: W_z is 0 on the way back to h."""
    return cell._replace(
        step_backward=lambda params, cache, *up: (
            cell.step_backward(params, cache, *up)[0],
            *cell.step_backward(params._replace(W_z=nothing(params.W_z)), cache, *up)[1:],
        )
    )


WRONG_MACHINES: dict[str, Callable[[Cell], Cell]] = {
    **{name: lambda cell, change=change: with_upstream(cell, change) for name, change in UPSTREAM.items()},
    **{name: lambda cell, change=change: with_result(cell, change) for name, change in RESULTS.items()},
    "heads' gradient to the controller dropped": without_the_heads,
    "mean of the weights' gradients": lambda cell: cell._replace(
        step_backward=lambda params, cache, dy, dstate: (
            tree_map(lambda a: a / len(dy), cell.step_backward(params, cache, dy, dstate)[0]),
            *cell.step_backward(params, cache, dy, dstate)[1:],
        )
    ),
}


@every_ntm
@pytest.mark.parametrize("name", WRONG_MACHINES)
def test_a_wrong_machine_is_found(name: str, machine: str, rng: np.random.Generator) -> None:
    require_found(WRONG_MACHINES[name](NTMS[machine]), rng)


@every_ntm
def test_right_stages_and_machines_pass(
    machine: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests above would also be satisfied by checks that refuse everything."""
    for name, stage in STAGES.items():
        unchanged = changed(name, lambda c, dy, right: right)
        check_stage(stage._replace(backward=unchanged), rng)
        monkeypatch.setattr(ntm if name in ("read", "erase_add") else heads, f"{name}_backward", unchanged)
    monkeypatch.setattr(ntm, "head_parameters_backward", with_slope("key", np.ones_like))
    cell = with_result(with_upstream(NTMS[machine], lambda *up: up), lambda dstate: dstate)
    check_step(cell, problem(cell, rng), rng)
    check_sequence(cell, problem(cell, rng), rng)
