"""Predict: how far back a gradient reaches."""

import numpy as np

from companion.exercises.exercise import Exercise, Mistake


def vanishing_lag() -> int:
    """The smallest lag k, a whole number of steps."""
    return int(np.ceil(np.log(1e-6) / np.log(0.9)))


EXERCISE = Exercise(
    name="rnn.vanishing_lag",
    kind="predict",
    title="How far back a gradient reaches",
    statement="""
        A linear unit that feeds itself keeps nine tenths of its value: $h^{(t)} = 0.9\\, h^{(t-1)} + x^{(t)}$.
        What is the smallest
        lag $k$ at which $\\partial h^{(T)} / \\partial x^{(T-k)}$ is below one millionth? Of an input that old, next to nothing
        can be learned.
    """,
    solution=vanishing_lag,
    outputs=("the lag",),
    cases=lambda rng: [()],
    rtol=5e-4,
    hints=(
        "Put $x^{(T-k)} = 1$ and all other inputs to 0. What is $h^{(T-k)}$, what is $h^{(T-k+1)}$, and what is $h^{(T)}$?",
        "The gradient is $0.9^k$. The condition $0.9^k < 10^{-6}$ can be solved for $k$ with logarithms.",
        "$k > \\log 10^{-6} / \\log 0.9$, with both logarithms to the same base; take the next whole number above.",
    ),
    mistakes=(
        Mistake(
            "rounded down",
            "0.9^131 is still a little above one millionth.",
            "spectral-decay",
            lambda: 131,
        ),
        Mistake(
            "solved the equation, but did not go on to a whole number of steps",
            "At 131.13 the gradient would be one millionth exactly. Lags are whole numbers, and it has to be below.",
            "spectral-decay",
            lambda: np.log(1e-6) / np.log(0.9),
        ),
        Mistake(
            "counted k - 1 factors for a lag of k",
            "x^(T-k) enters h^(T-k) with the factor 1, and then k steps follow: at lag k the gradient is 0.9^k, not 0.9^(k-1).",
            "spectral-decay",
            lambda: 133,
        ),
        Mistake(
            "took a tenth of the first value away in every step",
            "Then nothing would be left after 10 steps. Each step takes a tenth of what is *left*: the decay is geometric.",
            "spectral-decay",
            lambda: 10,
        ),
        Mistake(
            "divided logarithms to different bases",
            "-6 is the logarithm of a millionth to base 10 and -0.105 that of 0.9 to base e: take both to the same base.",
            "spectral-decay",
            lambda: 57,
        ),
        Mistake(
            "left out the logarithm of 0.9",
            "log(10^6) = 13.8 is how many steps it takes when each divides by e = 2.72; here a step takes away only a tenth.",
            "spectral-decay",
            lambda: 14,
        ),
        Mistake(
            "squared the factor",
            "0.81 for each step is how the square of the gradient decays, as in a variance; the gradient takes twice as long.",
            "spectral-decay",
            lambda: 66,
        ),
        Mistake(
            "lost the sign",
            "Both logarithms are negative, so that their quotient is positive.",
            "spectral-decay",
            lambda: -132,
        ),
    ),
)
