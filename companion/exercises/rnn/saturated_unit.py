"""Predict: whether a weight above 1 makes gradients explode."""

import numpy as np

from companion.exercises.exercise import Exercise, Mistake


def saturated_unit() -> float:
    """The factor of the gradient for each step, to three decimals."""
    h = 0.5
    for _ in range(100):
        h = np.tanh(2 * h)
    return float(2 * (1 - h**2))


def _state(steps: int) -> float:
    h = 0.5
    for _ in range(steps):
        h = float(np.tanh(2 * h))
    return h


_LAST = _state(100)

EXERCISE = Exercise(
    name="rnn.saturated_unit",
    kind="predict",
    title="A weight of 2, and what becomes of the gradient",
    statement="""
        A tanh unit feeds itself with the weight 2: $h^{(t)} = \\tanh(2 h^{(t-1)})$, from $h^{(0)} = 0.5$. Once
        many steps have passed
        and its value hardly changes any more, by what factor does each further step multiply a gradient on its way back?
        Say first whether you expect the gradient to vanish or to explode. (Let the computer find the value that the unit
        settles at.)
    """,
    solution=saturated_unit,
    outputs=("the factor",),
    cases=lambda rng: [()],
    rtol=5e-3,
    hints=(
        "The factor is $\\partial h^{(t)} / \\partial h^{(t-1)}$: what does the chain rule give for $\\tanh(2 h^{(t-1)})$?",
        "It is $2\\,(1 - (h^{(t)})^2)$. So which $h^{(t)}$ does the unit settle at? Apply `h = np.tanh(2 * h)` "
        "again and again.",
        "It settles near $h = 0.9575$, where tanh is almost flat. Put that into $2\\,(1 - h^2)$.",
    ),
    mistakes=(
        Mistake(
            "left out the slope of tanh",
            "2 is the factor of a linear unit, or of tanh near 0. Far from 0 tanh is flat and lets much less through.",
            "jacobian",
            lambda: 2.0,
        ),
        Mistake(
            "left out the weight",
            "1 - h^2 is the slope of tanh alone; on its way back the gradient also passes the weight.",
            "jacobian",
            lambda: 1 - _LAST**2,
        ),
        Mistake(
            "took the slope at the initial value",
            "2 (1 - 0.5^2) would explode, but the unit does not stay at 0.5: with every step it moves to where tanh "
            "is flatter.",
            "jacobian",
            lambda: 1.5,
        ),
        Mistake(
            "took the slope after the first step",
            "One step leads to h = 0.762; many steps lead further up, to where tanh is much flatter.",
            "jacobian",
            lambda: 2 * (1 - _state(1) ** 2),
        ),
        Mistake(
            "took the slope at the pre-activation",
            "1 - z^2 with z = 2 h is no slope, it is even negative: tanh rises everywhere. The formula wants the output h.",
            "jacobian",
            lambda: 2 * (1 - (2 * _LAST) ** 2),
        ),
        Mistake(
            "gave two decimals only",
            "The factor is asked for to three decimals.",
            "jacobian",
            lambda: 0.17,
        ),
        Mistake(
            "gave the value that the unit settles at",
            "0.958 is h; the question is how much h^(t) changes with h^(t-1) there.",
            "jacobian",
            lambda: _LAST,
        ),
        Mistake(
            "used the slope of the sigmoid, h (1 - h)",
            "The unit is tanh, whose slope is 1 - h^2.",
            "jacobian",
            lambda: 2 * _LAST * (1 - _LAST),
        ),
        Mistake(
            "multiplied the weight by the value instead of by the slope",
            "2 h is the pre-activation of the next step; the gradient is multiplied by 2 (1 - h^2).",
            "jacobian",
            lambda: 2 * _LAST,
        ),
        Mistake(
            "took the slope where h goes into tanh, instead of 2 h",
            "1 - tanh(h)^2 is the slope at h. Into tanh goes 2 h, and h itself is what comes out again: the slope there "
            "is 1 - h^2.",
            "jacobian",
            lambda: 2 * (1 - np.tanh(_LAST) ** 2),
        ),
        Mistake(
            "multiplied by the weight twice",
            "In each step the gradient passes the slope once and the weight once.",
            "jacobian",
            lambda: 4 * (1 - _LAST**2),
        ),
    ),
)
