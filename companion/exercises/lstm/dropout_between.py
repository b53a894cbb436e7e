"""Extend: dropout between recurrent layers, and only there."""

from collections.abc import Callable
from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.lstm import LSTMParams, LSTMState, lstm_step
from companion.tree import Array

State = tuple[Array, Array]
Step = Callable[[Array, State], State]


def dropout_between(
    xs: Array, first: Step, second: Step, state_1: State, state_2: State, keep: Array, rate: float
) -> Array:
    """Inputs xs (T, B, D), two layers -> outputs ys (T, B, H) of the second layer.

    first(x, (h, s)) and second(x, (h, s)) take a step and return the new (h, s);
    state_1, state_2: the initial (h, s); Booleans keep (T, B, H), rate of dropout.
    """
    ys = []
    for x, kept in zip(xs, keep):
        state_1 = first(x, state_1)
        state_2 = second(np.where(kept, state_1[0] / (1 - rate), 0.0), state_2)
        ys.append(state_2[0])
    return np.stack(ys)


def _layer(rng: np.random.Generator, n_in: int, H: int) -> Step:
    params = LSTMParams(*(rng.normal(size=shape) for shape in ((4 * H, n_in), (4 * H, H), (4 * H,))))

    def step(x: Array, state: State) -> State:
        h, s = lstm_step(params, x, LSTMState(*state))[1]
        return h, s

    return step


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(T: int, B: int, D: int, H: int, rate: float) -> tuple[Any, ...]:
        layers = (_layer(rng, D, H), _layer(rng, H, H))
        states = tuple((rng.normal(size=(B, H)), rng.normal(size=(B, H))) for _ in layers)
        return (rng.normal(size=(T, B, D)), *layers, *states, rng.uniform(size=(T, B, H)) >= rate, rate)

    return [case(7, 3, 4, 5, 0.4), case(1, 4, 3, 6, 0.5), case(4, 2, 5, 3, 0.25)]


def _with(
    between: Callable[..., Array] = lambda h, kept, rate: h * kept / (1 - rate),
    mask: Callable[..., Array] = lambda keep, t: keep[t],
    carried: Callable[..., State] = lambda state, kept, rate: state,  # of the first layer
    above: Callable[..., State] = lambda state, kept, rate: state,  # of the second
    top: Callable[..., Array] = lambda h, kept, rate: h,
    up: Callable[[State], Array] = lambda state: state[0],
    out: Callable[[State], Array] = lambda state: state[0],
    restart: tuple[bool, bool] = (False, False),
) -> Any:
    """The solution with one part replaced."""

    def answer(xs: Array, first: Step, second: Step, state_1: State, state_2: State, keep: Array, rate: float) -> Array:
        now_1, now_2, ys = state_1, state_2, []
        for t, x in enumerate(xs):
            kept = mask(keep, t)
            now_1 = first(x, state_1 if restart[0] else now_1)
            now_2 = second(between(up(now_1), kept, rate), state_2 if restart[1] else now_2)
            ys.append(top(out(now_2), kept, rate))
            now_1, now_2 = carried(now_1, kept, rate), above(now_2, kept, rate)
        return np.stack(ys)

    return answer


def _outputs_of_the_first(
    xs: Array, first: Step, second: Step, state_1: State, state_2: State, keep: Array, rate: float
) -> Array:
    ys = []
    for x in xs:
        state_1 = first(x, state_1)
        ys.append(state_1[0])
    return np.stack(ys)


def _one_step_late(
    xs: Array, first: Step, second: Step, state_1: State, state_2: State, keep: Array, rate: float
) -> Array:
    ys = []
    for x, kept in zip(xs, keep):
        state_2 = second(_drop(state_1[0], kept, rate), state_2)
        state_1 = first(x, state_1)
        ys.append(state_2[0])
    return np.stack(ys)


def _drop(h: Array, kept: Array, rate: float) -> Array:
    return np.where(kept, h / (1 - rate), 0.0)


EXERCISE = Exercise(
    name="lstm.dropout_between",
    kind="extend",
    title="Dropout upwards, not onwards",
    statement="""
        Run two recurrent layers on top of each other over a sequence, with dropout between them: on what goes up from the
        first layer to the second, never on what goes on from step to step, nor on the outputs at the top. `keep[t]` says
        which entries are kept in step t; kept entries are scaled up, as in any dropout. Each layer comes as a function that
        takes one step.
    """,
    solution=dropout_between,
    outputs=("ys",),
    cases=_cases,
    hints=(
        "Without dropout first: in each step, `state_1 = first(x, state_1)`, and what goes up is `state_1[0]`.",
        "Two things leave the first layer in each step: its state, to its own next step, and its h, to the second layer. "
        "Only one of them is dropped.",
        "`state_2 = second(np.where(keep[t], state_1[0] / (1 - rate), 0), state_2)`, while `state_1` goes on as it is. "
        "Collect `state_2[0]`.",
    ),
    mistakes=(
        Mistake(
            "dropped the recurrent connections of the first layer too",
            "Its next step should see its hidden state whole: what is dropped there, step after step, is forgotten.",
            "dropout-between",
            _with(carried=lambda state, kept, rate: (_drop(state[0], kept, rate), state[1])),
        ),
        Mistake(
            "dropped the recurrent connections of both layers too",
            "What goes on from step to step should stay whole in both layers; dropout acts on what goes up.",
            "dropout-between",
            _with(
                carried=lambda state, kept, rate: (_drop(state[0], kept, rate), state[1]),
                above=lambda state, kept, rate: (_drop(state[0], kept, rate), state[1]),
            ),
        ),
        Mistake(
            "dropped the recurrent connections instead of the ones between the layers",
            "The second layer sees all of h, and the first layer forgets at random: the other way round is wanted.",
            "dropout-between",
            _with(
                between=lambda h, kept, rate: h,
                carried=lambda state, kept, rate: (_drop(state[0], kept, rate), state[1]),
            ),
        ),
        Mistake(
            "dropped the internal state of the first layer too",
            "The memory itself loses entries at random in every step.",
            "dropout-between",
            _with(carried=lambda state, kept, rate: (state[0], _drop(state[1], kept, rate))),
        ),
        Mistake(
            "dropped both parts of the first layer's state too",
            "Dropout belongs on a copy of h that goes up; the state goes on to the next step as it is.",
            "dropout-between",
            _with(carried=lambda state, kept, rate: (_drop(state[0], kept, rate), _drop(state[1], kept, rate))),
        ),
        Mistake(
            "dropped the top outputs too",
            "Dropout stands between the layers only; whoever uses the top outputs decides about those.",
            "dropout-between",
            _with(top=_drop),
        ),
        Mistake(
            "dropped the top outputs instead of what goes up between the layers",
            "The second layer saw all of h. Dropout belongs on its inputs, not on its outputs.",
            "dropout-between",
            _with(between=lambda h, kept, rate: h, top=_drop),
        ),
        Mistake(
            "used the mask of the first step in every step",
            "One mask for a whole sequence is another method; here every step has a mask of its own, keep[t].",
            "dropout-between",
            _with(mask=lambda keep, t: keep[0]),
        ),
        Mistake(
            "left out the factor 1 / (1 - rate)",
            "The second layer's inputs become smaller than they are without dropout; the kept ones make up for it.",
            "dropout-between",
            _with(between=lambda h, kept, rate: h * kept),
        ),
        Mistake(
            "multiplied by 1 - rate instead of dividing by it",
            "The kept entries are to become larger, to make up for those that are dropped.",
            "dropout-between",
            _with(between=lambda h, kept, rate: h * kept * (1 - rate)),
        ),
        Mistake(
            "divided by rate instead of 1 - rate",
            "1 - rate is the share that is kept, and the scale is one over that.",
            "dropout-between",
            _with(between=lambda h, kept, rate: h * kept / rate),
        ),
        Mistake(
            "dropped the entries that are to be kept",
            "keep is True where an entry goes up, and False where a 0 takes its place.",
            "dropout-between",
            _with(between=lambda h, kept, rate: h * ~kept / (1 - rate)),
        ),
        Mistake(
            "dropped nothing",
            "That is the pass at test time. In training, what goes up from layer to layer is multiplied by the mask.",
            "dropout-between",
            _with(between=lambda h, kept, rate: h),
        ),
        Mistake(
            "started every step from the initial states",
            "Both layers have to carry their new state to the next step; yours never gets beyond one step.",
            "lstm-state",
            _with(restart=(True, True)),
        ),
        Mistake(
            "started every step of the second layer from its initial state",
            "The first layer remembers; the second has to carry its new state on, too.",
            "lstm-state",
            _with(restart=(False, True)),
        ),
        Mistake(
            "started every step of the first layer from its initial state",
            "The second layer remembers; the first forgets everything after each step.",
            "lstm-state",
            _with(restart=(True, False)),
        ),
        Mistake(
            "sent the internal state up instead of the hidden state",
            "What a layer shows to others is h, the first of its pair; s stays inside.",
            "lstm-output",
            _with(up=lambda state: state[1]),
        ),
        Mistake(
            "collected the internal state instead of the hidden state",
            "The output of a layer is h, the first of its pair; s stays inside.",
            "lstm-output",
            _with(out=lambda state: state[1]),
        ),
        Mistake(
            "collected the outputs of the first layer",
            "The outputs of the stack are those of its second layer.",
            "dropout-between",
            _outputs_of_the_first,
        ),
        Mistake(
            "let the second layer see the first before its step",
            "In step t the second layer takes what the first has just made of x^(t), not its hidden state of the step before.",
            "dropout-between",
            _one_step_late,
        ),
    ),
)
