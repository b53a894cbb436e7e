"""Predict: how much of a head's focus is left after many moves that are not quite sure."""

from typing import Any

import numpy as np

from companion.exercises.compare import described
from companion.exercises.exercise import Exercise, Mistake
from companion.exercises.judge import Problem
from companion.tree import Array

NAMES = ("without sharpening", "with sharpening")


def focus_left() -> tuple[float, float]:
    """The weight on row 60 after 20 steps: with gamma = 1, with gamma = 2."""
    left = []
    for gamma in (1, 2):
        w = np.zeros(128)
        w[60] = 1
        for _ in range(20):
            w = 0.05 * np.roll(w, -1) + 0.9 * w + 0.05 * np.roll(w, 1)
            w = w**gamma / (w**gamma).sum()
        left.append(float(w[60]))
    return left[0], left[1]


def _run(answer: Any) -> dict[str, Any]:
    """The two numbers by name; raises Problem for percentages, and for anything but two numbers."""
    told = answer()
    if told is None:
        return {NAMES[0]: None}
    if isinstance(told, np.ndarray):
        told = told.tolist()
    if not isinstance(told, tuple | list) or len(told) != 2:
        raise Problem(f"focus_left is {described(told)}, expected two numbers: write `focus_left = a, b`.")
    for name, value in zip(NAMES, told, strict=True):
        if isinstance(value, int | float) and 2 < value <= 100:
            raise Problem(f"focus_left: {name} is {value:.6g}, expected a share of 1, not percent.")
    return dict(zip(NAMES, told, strict=True))


def _walk(
    gamma: float = 1,
    steps: int = 20,
    s: tuple[float, float, float] = (0.05, 0.9, 0.05),
    at_end: float = 1,
    at_start: float = 1,
    divide: bool = True,
) -> float:
    w: Array = np.zeros(128)
    w[60] = 1
    for _ in range(steps):
        w = w**at_start / (w**at_start).sum() if divide else w
        w = (s[0] * np.roll(w, -1) + s[1] * w + s[2] * np.roll(w, 1)) ** gamma
        w = w / w.sum() if divide else w
    return float(w[60] ** at_end / (w**at_end).sum() if divide else w[60])


RIGHT = focus_left()

EXERCISE = Exercise(
    name="ntm.blur",
    kind="predict",
    title="A head that is nearly sure to stay",
    statement="""
        A head stands wholly at row 60 of 128, its gate is 0, and it means to stay there. But its controller is only nearly sure:
        at every step s = (0.05, 0.9, 0.05) for the moves -1, 0 and 1. How much of its weight is at row 60 after 20 steps, if it
        does not sharpen ($\\gamma = 1$)? And how much if it sharpens with $\\gamma = 2$ at every step? Guess both first;
        then find them in any way you like. Answer with `focus_left = without, with_sharpening`, to four digits.
    """,
    solution=focus_left,
    outputs=NAMES,
    run=_run,
    cases=lambda rng: [()],
    rtol=2e-4,
    hints=(
        "Without sharpening the weighting is the distribution of a walk that steps to each side one time in twenty. It may "
        "have left row 60 and be back. Is 0.9^20 too much or too little?",
        "It is back when it made as many steps up as down: sum over k the ways to make k of each in 20 steps, "
        "times their probability. Or let the machine count: begin with a one-hot w, and add up 0.05, 0.9 and 0.05 times "
        "np.roll of it, 20 times.",
        "With sharpening square the weights and divide by their sum, after every one of the 20 shifts: one shift leaves 0.9 at "
        "row 60 and 0.05 beside it, and squaring makes 0.81 / 0.815 of that. Go on from there; it hardly falls any more.",
    ),
    mistakes=(
        Mistake(
            "left out that the weight comes back",
            "0.9^20 is what has never moved. Even more has moved and come back: a row up and down again, down and up, or twice.",
            "ntm-shift",
            lambda: (0.9**20, RIGHT[1]),
        ),
        Mistake(
            "moved one way only",
            "Then a tenth moves on at every step and never comes back. It goes to both sides, a twentieth to each.",
            "ntm-shift",
            lambda: (_walk(s=(0, 0.9, 0.1)), _walk(2, s=(0, 0.9, 0.1))),
        ),
        Mistake(
            "took one step for twenty",
            "After one step 0.9 is left. The next one starts from there.",
            "ntm-shift",
            lambda: (_walk(steps=1), _walk(2, steps=1)),
        ),
        Mistake(
            "counted 19 steps",
            "There are 20 shifts; row 60 has all the weight before the first.",
            "ntm-shift",
            lambda: (_walk(steps=19), RIGHT[1]),
        ),
        Mistake(
            "counted 21 steps",
            "One too many: after the twentieth shift nothing moves any more.",
            "ntm-shift",
            lambda: (_walk(steps=21), RIGHT[1]),
        ),
        Mistake(
            "moved a tenth to each side",
            "0.05 goes each way, 0.1 together. With 0.1, 0.9 and 0.1 the weights would sum to 1.1.",
            "ntm-shift",
            lambda: (_walk(s=(0.1, 0.9, 0.1), divide=False), _walk(2, s=(0.1, 0.9, 0.1))),
        ),
        Mistake(
            "sharpened once, at the end",
            "Squaring what is blurred already favours row 60 somewhat. Sharpened at every step it never gets blurred.",
            "ntm-sharpen",
            lambda: (RIGHT[0], _walk(at_end=2)),
        ),
        Mistake(
            "sharpened before the shift",
            "Sharpening comes last, because the shift is what blurs: yours ends with a shift that nothing repairs.",
            "ntm-sharpen",
            lambda: (RIGHT[0], _walk(at_start=2)),
        ),
        Mistake(
            "sharpened without dividing by the sum",
            "Squares of numbers below 1 are smaller, and squared twenty times they are gone. Dividing makes a weighting of them.",
            "ntm-sharpen",
            lambda: (RIGHT[0], _walk(2, divide=False)),
        ),
        Mistake(
            "lost the same share at every sharpened step",
            "The first step leaves 0.81 / 0.815. But the second does not take away as much again: what stands beside row 60 "
            "comes back and is squared away, and the weight settles.",
            "ntm-sharpen",
            lambda: (RIGHT[0], (0.81 / 0.815) ** 20),
        ),
        Mistake(
            "stopped after one sharpened step",
            "0.81 / 0.815 is the weight after the first. The others take a little more before it settles.",
            "ntm-sharpen",
            lambda: (RIGHT[0], 0.81 / 0.815),
        ),
        Mistake(
            "took sharpening for a perfect cure",
            "It undoes nearly all of the blur, but a twentieth moves to each side at each step before it is squared.",
            "ntm-sharpen",
            lambda: (RIGHT[0], 1.0),
        ),
        Mistake(
            "squared the weight of row 60 only",
            "The other rows are squared as well, and the weights then divided by the sum of all squares.",
            "ntm-sharpen",
            lambda: (RIGHT[0], RIGHT[0] ** 2),
        ),
        Mistake(
            "exchanged the two",
            "The first is that without sharpening.",
            "ntm-sharpen",
            lambda: (RIGHT[1], RIGHT[0]),
        ),
        Mistake(
            "took the weight that is left to be the share of all rows",
            "In the long run a walk reaches all 128 rows alike, but 20 steps are far too few for that.",
            "ntm-shift",
            lambda: (1 / 128, 1 / 128),
        ),
    ),
)
