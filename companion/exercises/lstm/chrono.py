"""Implement: biases for memories of a given length."""

from collections.abc import Callable
from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.tree import Array


def chrono_bias(u: Array, longest: float) -> Array:
    """Random numbers u (H,), uniform in [0, 1), number of steps -> biases b (4H,).

    The blocks are in the order i, f, g, o.
    """
    b_f = np.log(1 + u * (longest - 2))
    zero = np.zeros_like(u)
    return np.concatenate([-b_f, b_f, zero, zero])


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    return [(rng.uniform(size=5), 100.0), (rng.uniform(size=8), 20.0), (rng.uniform(size=1), 784.0)]


def _with(
    forget: Callable[..., Array] = lambda u, longest: np.log(1 + u * (longest - 2)),
    place: Callable[..., list[Array]] = lambda b_f, zero: [-b_f, b_f, zero, zero],
) -> Any:
    """The solution with one part replaced."""
    return lambda u, longest: np.concatenate(place(forget(u, longest), np.zeros_like(u)))


EXERCISE = Exercise(
    name="lstm.chrono",
    kind="implement",
    title="A spread of memories",
    statement="""
        If the dependencies of a task reach over up to `longest` steps, give the units memories of all lengths up to that. The
        chrono initialisation draws for each unit a time $\\tau$ uniformly from 1 to `longest` - 1, sets the forget bias to
        $\\log \\tau$ and the input bias to the opposite, so that what is kept long is written rarely. All other biases are 0.
        Make the whole bias vector from random numbers u that are uniform between 0 and 1.
    """,
    solution=chrono_bias,
    outputs=("b",),
    cases=_cases,
    hints=(
        "First the times: which line through u = 0 and u = 1 goes from 1 to `longest` - 1?",
        "`tau = 1 + u * (longest - 2)`. The forget bias is its logarithm. In which of the four blocks does it belong?",
        "`np.concatenate([-b_f, b_f, zero, zero])` with `b_f = np.log(tau)` and H zeros for g and for o.",
    ),
    mistakes=(
        Mistake(
            "gave the input gate the same bias as the forget gate",
            "A unit that keeps for tau steps should take in little per step: b_i = -b_f closes its input gate.",
            "chrono",
            _with(place=lambda b_f, zero: [b_f, b_f, zero, zero]),
        ),
        Mistake(
            "left the input bias at 0",
            "The forget gates are right; but input gates that are half open fill a long memory within a few steps.",
            "chrono",
            _with(place=lambda b_f, zero: [zero, b_f, zero, zero]),
        ),
        Mistake(
            "exchanged the input gate and the forget gate",
            "Your forget gates are closed and the input gates open: the cell forgets at once. The first block is i.",
            "lstm-gates",
            _with(place=lambda b_f, zero: [b_f, -b_f, zero, zero]),
        ),
        Mistake(
            "put the forget bias into the block of the input node",
            "The third block is g; f is the second, in the order i, f, g, o.",
            "lstm-gates",
            _with(place=lambda b_f, zero: [-b_f, zero, b_f, zero]),
        ),
        Mistake(
            "put the forget bias into the block of the output gate",
            "The fourth block is o; f is the second, in the order i, f, g, o.",
            "lstm-gates",
            _with(place=lambda b_f, zero: [-b_f, zero, zero, b_f]),
        ),
        Mistake(
            "put the input bias into the block of the output gate",
            "The fourth block is o; i is the first, in the order i, f, g, o.",
            "lstm-gates",
            _with(place=lambda b_f, zero: [zero, b_f, zero, -b_f]),
        ),
        Mistake(
            "put the four biases of each unit next to each other",
            "The numbers are right, but b has first all input gates, then all forget gates, and so on.",
            "lstm-gates",
            _with(place=lambda b_f, zero: [np.stack([-b_f, b_f, zero, zero], axis=1).ravel()]),
        ),
        Mistake(
            "forgot the logarithm",
            "tau is the time, log(tau) the bias: with a bias of 50 the gate would be 1 to the last digit, and would not learn.",
            "chrono",
            _with(forget=lambda u, longest: 1 + u * (longest - 2)),
        ),
        Mistake(
            "spread the biases evenly instead of the times",
            "It is tau that is uniform between 1 and longest - 1; its logarithm is not.",
            "chrono",
            _with(forget=lambda u, longest: u * np.log(longest - 1)),
        ),
        Mistake(
            "let the times begin at 0",
            "u * (longest - 1) may be near 0, and its logarithm far below 0: the unit would forget at once.",
            "chrono",
            _with(forget=lambda u, longest: np.log(u * (longest - 1))),
        ),
        Mistake(
            "let the times begin at 0 and end at longest - 2",
            "u * (longest - 2) is short of one step: a time near 0 has a logarithm far below 0, and that unit forgets at once.",
            "chrono",
            _with(forget=lambda u, longest: np.log(u * (longest - 2))),
        ),
        Mistake(
            "multiplied u by longest",
            "The times lie between 1 and longest - 1: 1 + u * (longest - 2). Near u = 0 yours have a negative logarithm.",
            "chrono",
            _with(forget=lambda u, longest: np.log(u * longest)),
        ),
        Mistake(
            "let the times end at longest",
            "1 + u * (longest - 1) goes up to longest; the longest time is longest - 1, so the factor is longest - 2.",
            "chrono",
            _with(forget=lambda u, longest: np.log(1 + u * (longest - 1))),
        ),
        Mistake(
            "let the times end at longest + 1",
            "1 + u * longest goes up to longest + 1; the longest time is longest - 1, so the factor is longest - 2.",
            "chrono",
            _with(forget=lambda u, longest: np.log(1 + u * longest)),
        ),
        Mistake(
            "took the logarithm to base 10",
            "The logistic function has e to the power -b in it: np.log is the logarithm that undoes it.",
            "chrono",
            _with(forget=lambda u, longest: np.log10(1 + u * (longest - 2))),
        ),
        Mistake(
            "gave all units the same time",
            "log(longest - 1) keeps everything for long. The chrono initialisation gives each unit a time of its own.",
            "chrono",
            _with(forget=lambda u, longest: np.log(longest - 1) + 0 * u),
        ),
        Mistake(
            "added the usual forget bias of 1",
            "log(tau) is the whole forget bias; 1 more makes all memories almost e times as long.",
            "chrono",
            _with(place=lambda b_f, zero: [-b_f, b_f + 1, zero, zero]),
        ),
        Mistake(
            "gave the output gate the forget bias as well",
            "The first three blocks are right. What a unit shows says nothing of how long it keeps: the bias of o is 0.",
            "chrono",
            _with(place=lambda b_f, zero: [-b_f, b_f, zero, b_f]),
        ),
    ),
)
