"""Predict: the forget bias of a cell that is to remember."""

import numpy as np

from companion.exercises.exercise import Exercise, Mistake


def forget_bias() -> float:
    """The bias of the forget gate, to two decimals."""
    f = 0.5 ** (1 / 100)
    return float(np.log(f / (1 - f)))


EXERCISE = Exercise(
    name="lstm.forget_bias",
    kind="predict",
    title="How to remember for a hundred steps",
    statement="""
        All weights of an LSTM are still near zero, so that its biases alone set the gates. With the usual forget bias of 1,
        about 2e-14 of an internal state is left after 100 steps. Which forget bias leaves half of it?
    """,
    solution=forget_bias,
    outputs=("the bias",),
    cases=lambda rng: [()],
    rtol=1.2e-3,
    hints=(
        "Every step multiplies what is left by the same number, the value of the forget gate. What is left after 100 steps?",
        "$f^{100} = 1/2$ gives $f$. Which pre-activation $b$ has $\\sigma(b) = f$?",
        "$f = 2^{-1/100}$, and the inverse of the logistic function is $b = \\log \\frac{f}{1 - f}$.",
    ),
    mistakes=(
        Mistake(
            "gave the value of the gate instead of its bias",
            "f is what comes out of the logistic function; the bias is what goes in.",
            "lstm-gates",
            lambda: 0.5**0.01,
        ),
        Mistake(
            "forgot the logarithm",
            "f / (1 - f) are the odds; the bias is their logarithm.",
            "lstm-gates",
            lambda: 1 / (2**0.01 - 1),
        ),
        Mistake(
            "took the logarithm of the gate",
            "log f is not the inverse of the logistic function: that is log f - log(1 - f).",
            "lstm-gates",
            lambda: np.log(0.5) / 100,
        ),
        Mistake(
            "have the sign the wrong way round",
            "A negative bias closes the gate: after one step less than a hundredth would be left.",
            "lstm-gates",
            lambda: np.log(2**0.01 - 1),
        ),
        Mistake(
            "took the bias log(n) of the chrono initialisation",
            "With b = log(100) the gate is 100 / 101, which leaves about 1 / e of the state after 100 steps, not half of it.",
            "chrono",
            lambda: np.log(100),
        ),
        Mistake(
            "subtracted the same amount in each step",
            "A gate of 1 - 0.5 / 100 takes a share of what is *left*, which shrinks: 0.61 remains after 100 steps.",
            "carousel-product",
            lambda: np.log(199),
        ),
        Mistake(
            "took the logarithm to base 10",
            "The logistic function has e to the power -b in it: take the natural logarithm.",
            "lstm-gates",
            lambda: np.log10(1 / (2**0.01 - 1)),
        ),
        Mistake(
            "took the power 100 of one half instead of its 100th root",
            "f to the power 100 shall be one half; you made f itself one half to the power 100, which forgets at once.",
            "carousel-product",
            lambda: np.log(0.5**100 / (1 - 0.5**100)),
        ),
        Mistake(
            "inverted tanh instead of the logistic function",
            "A gate lies between 0 and 1 and is a logistic function of its pre-activation.",
            "lstm-gates",
            lambda: np.arctanh(0.5**0.01),
        ),
        Mistake(
            "gave the usual forget bias",
            "sigma(1) = 0.73, and of that the power 100 is the 2e-14 of the statement.",
            "carousel-product",
            lambda: 1.0,
        ),
        Mistake(
            "opened the gate half",
            "At bias 0 the gate is one half: half of the state is left after a single step.",
            "carousel-product",
            lambda: 0.0,
        ),
        Mistake(
            "rounded to a whole number",
            "A bias of 5 leaves 0.51 of the state. Two decimals are asked for.",
            "carousel-product",
            lambda: 5.0,
        ),
        Mistake(
            "cut the bias off after one decimal",
            "A bias of 4.9 leaves 0.48 of the state; the answer needs one more decimal.",
            "carousel-product",
            lambda: 4.9,
        ),
    ),
)
