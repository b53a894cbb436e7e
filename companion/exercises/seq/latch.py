"""Derive: the weights of a unit that remembers until it is told to forget."""

from typing import Any

import numpy as np

from companion.exercises.compare import described
from companion.exercises.exercise import Exercise, Mistake
from companion.exercises.judge import Problem
from companion.tree import Indices


def latch() -> tuple[float, float, float, float]:
    """The four numbers w, u, v, b."""
    return 1.0, 1.0, -2.0, -0.5


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    """One demand after the other: each case adds one to those before it, so that the first that fails says what is wrong."""
    silence = [0, 0, 0], [0, 0, 0]
    on = [0, 1], [0, 0]
    stays_on = [1, 0, 0, 0], [0, 0, 0, 0]
    off_while_off = [0, 0], [1, 0]
    off = [0, 1, 0, 0], [0, 0, 1, 0]
    both_while_off = [1, 0], [1, 0]
    both_while_on = [1, 1, 0], [0, 1, 0]
    cases = (silence, on, stays_on, off_while_off, off, both_while_off, both_while_on)
    both = rng.random(size=(2, 40)) < 0.3
    return [*((np.array(xs), np.array(rs)) for xs, rs in cases), tuple(both.astype(int))]


def _run(answer: Any, xs: Indices, rs: Indices) -> dict[str, Any]:
    """The outputs of the unit with the weights that were handed in."""
    weights = answer()
    if weights is None or weights is ...:
        return {"h": weights}
    try:
        w, u, v, b = (float(weight) for weight in weights)
    except (TypeError, ValueError):
        raise Problem(f"latch is {described(weights)}, expected four numbers: w, u, v, b.") from None
    if not np.isfinite((w, u, v, b)).all():
        raise Problem("latch holds a number that is not finite.")
    h, hs = 0, []
    for x, r in zip(xs, rs, strict=True):
        h = int(w * h + u * x + v * r + b > 0)
        hs.append(h)
    return {"h": np.array(hs)}


EXERCISE = Exercise(
    name="seq.latch",
    kind="derive",
    title="On until told otherwise",
    statement="""
        A unit with two inputs feeds its own output back: $h^{(t)} = 1$ if $w h^{(t-1)} + u x^{(t)} + v r^{(t)} + b > 0$, and
        0 otherwise. It starts from $h^{(0)} = 0$. Choose the four numbers so that $x^{(t)} = 1$ turns it on, $r^{(t)} = 1$
        turns it off, and it stays as it is while both are 0, for ever. If both are 1, it is to be off. Answer with
        `latch = w, u, v, b`; whatever does this is right.
    """,
    solution=latch,
    outputs=("h",),
    run=_run,
    cases=_cases,
    arguments=("xs", "rs"),
    hints=(
        "There are eight combinations of h, x and r. Write down, for each, whether the sum has to be above 0 or not.",
        "Off and silent: $b \\le 0$. On and silent: $w + b > 0$. Turned on: $u + b > 0$. Turned off: $w + v + b \\le 0$. "
        "Which is the hardest for $v$?",
        "The unit is on, and both inputs are 1: $w + u + v + b \\le 0$. Take $w = u = 1$, a negative b above -1, and v "
        "negative enough.",
    ),
    mistakes=(
        Mistake(
            "have a unit that is on before anything turned it on",
            "While h, x and r are 0 the sum is b, which has to be 0 or below.",
            "latch",
            lambda: (1.0, 1.0, -3.0, 0.5),
        ),
        Mistake(
            "have a unit that blinks by itself",
            "b is above 0, so that the unit turns itself on, and w + b is not, so that it turns itself off again.",
            "latch",
            lambda: (-1.0, 1.0, -2.0, 0.5),
        ),
        Mistake(
            "have a unit that x cannot turn on",
            "With h and r at 0 and x at 1 the sum is u + b, which has to be above 0.",
            "latch",
            lambda: (1.0, 0.5, -2.0, -0.5),
        ),
        Mistake(
            "have a unit that forgets: it is on only while x is 1",
            "When the inputs are 0 again, its own output must hold it: w + b has to be above 0.",
            "latch",
            lambda: (0.5, 1.0, -2.0, -0.5),
        ),
        Mistake(
            "have a unit that r turns on",
            "With h and x at 0 and r at 1 the sum is v + b, which has to be 0 or below: r pulls down.",
            "latch",
            lambda: (1.0, 1.0, 1.0, -0.5),
        ),
        Mistake(
            "have a unit that r cannot turn off",
            "With the unit on and r at 1 the sum is w + v + b, which has to be 0 or below: r has to overcome what holds it.",
            "latch",
            lambda: (1.0, 1.0, 0.0, -0.5),
        ),
        Mistake(
            "let x win over r",
            "If both are 1 and the unit is off, the sum is u + v + b, which has to be 0 or below.",
            "latch",
            lambda: (1.0, 2.0, -1.0, -0.5),
        ),
        Mistake(
            "let the unit and x together win over r",
            "Against each alone r wins. If the unit is on and both inputs are 1, the sum is w + u + v + b, "
            "which has to be 0 or below.",
            "latch",
            lambda: (1.0, 1.0, -1.0, -0.5),
        ),
    ),
)
