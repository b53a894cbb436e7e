"""Predict: when a cell without a forget gate is full."""

import numpy as np

from companion.exercises.exercise import Exercise, Mistake


def steps_until_full() -> int:
    """The number of steps."""
    return int(np.ceil(np.arctanh(np.sqrt(0.99)) / (0.25 * 0.2)))


EXERCISE = Exercise(
    name="lstm.full_cell",
    kind="predict",
    title="A cell that only fills up",
    statement="""
        The cell of 1997 has no forget gate. Suppose that on a long stream its input gate is always $i = 0.25$ and its input
        node $g = 0.2$; the internal state begins at 0. After how many steps is the slope of $\\tanh$ at the internal state,
        which every gradient from $h$ back into the cell must pass, below 0.01 for the first time?
    """,
    solution=steps_until_full,
    outputs=("the number of steps",),
    cases=lambda rng: [()],
    rtol=1e-9,
    hints=(
        "What is the internal state after $t$ steps? And what is the slope of $\\tanh$, written in $\\tanh$ itself?",
        "The state is $0.05\\,t$. The slope is $1 - \\tanh^2 s$: find the $s$ at which it is 0.01.",
        "$s = \\operatorname{artanh} \\sqrt{0.99}$, which `np.arctanh` computes. Divide by 0.05 and round up.",
    ),
    mistakes=(
        Mistake(
            "rounded down",
            "After this number of steps the slope is still a little above 0.01.",
            "lstm-back-state",
            lambda: 59,
        ),
        Mistake(
            "counted the initial state as a step",
            "The slope is below 0.01 one step earlier already.",
            "lstm-back-state",
            lambda: 61,
        ),
        Mistake(
            "forgot the square in the slope of tanh",
            "You asked when tanh(s) has come within 0.01 of 1. The slope there is 1 - 0.99^2, which is nearly twice 0.01.",
            "lstm-back-state",
            lambda: 53,
        ),
        Mistake(
            "took the slope of the logistic function",
            "sigma (1 - sigma) falls more slowly; what the cell applies to its internal state is tanh.",
            "lstm-back-state",
            lambda: 92,
        ),
        Mistake(
            "took 1 - s^2 for the slope",
            "The slope of tanh is 1 minus the square of its *output* tanh(s), not of s.",
            "lstm-back-state",
            lambda: 20,
        ),
        Mistake(
            "forgot the input gate",
            "The state grows by g i in each step, not by g: the gate lets in a quarter of it.",
            "lstm-1997",
            lambda: 15,
        ),
        Mistake(
            "forgot the input node",
            "The state grows by g i in each step, not by i: the gate only weights what the input node offers.",
            "lstm-1997",
            lambda: 12,
        ),
        Mistake(
            "added gate and input node",
            "The state grows by the *product* g i in each step.",
            "lstm-1997",
            lambda: 7,
        ),
        Mistake(
            "let the state grow by 1 in each step",
            "s = 2.99 is the right place; but a step adds only g i to the state.",
            "lstm-1997",
            lambda: 3,
        ),
        Mistake(
            "gave the state instead of the number of steps",
            "That is the internal state at which the slope is 0.01; the question is how many steps lead there.",
            "lstm-1997",
            lambda: np.arctanh(np.sqrt(0.99)),
        ),
        Mistake(
            "did not round to whole steps",
            "A step is a whole number: of those, the first at which the slope is *below* 0.01.",
            "lstm-1997",
            lambda: np.arctanh(np.sqrt(0.99)) / 0.05,
        ),
    ),
)
