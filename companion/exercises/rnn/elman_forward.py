"""Implement: an Elman network reads a sequence."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.tree import Array


def elman_forward(xs: Array, h_0: Array, W_x: Array, W_h: Array, b: Array) -> Array:
    """Inputs xs (T, B, D), initial values h_0 (B, H) -> hidden values (T, B, H).

    W_x (H, D), W_h (H, H), b (H,); the units are tanh.
    """
    h, hs = h_0, []
    for x in xs:
        h = np.tanh(x @ W_x.T + h @ W_h.T + b)
        hs.append(h)
    return np.stack(hs)


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(T: int, B: int, D: int, H: int) -> tuple[Any, ...]:
        shapes = ((T, B, D), (B, H), (H, D), (H, H), (H,))
        return tuple(0.7 * rng.normal(size=shape) for shape in shapes)

    return [case(7, 3, 4, 5), case(5, 1, 3, 2), case(1, 4, 2, 6)]


def _with(step: Any = None, first: Any = lambda h_0: h_0, keep: Any = lambda h, z: h) -> Any:
    """The solution with the pre-activation, the initial state or what is fed back replaced."""

    def answer(xs: Array, h_0: Array, W_x: Array, W_h: Array, b: Array) -> Array:
        state, hs = first(h_0), []
        for x in xs:
            z = step(x, state, W_x, W_h, b) if step else x @ W_x.T + state @ W_h.T + b
            hs.append(np.tanh(z))
            state = keep(hs[-1], z)
        return np.stack(hs)

    return answer


def _not_carried(xs: Array, h_0: Array, W_x: Array, W_h: Array, b: Array) -> Array:
    return np.tanh(xs @ W_x.T + h_0 @ W_h.T + b)


def _linear(xs: Array, h_0: Array, W_x: Array, W_h: Array, b: Array) -> Array:
    h, hs = h_0, []
    for x in xs:
        h = x @ W_x.T + h @ W_h.T + b
        hs.append(h)
    return np.stack(hs)


def _sigmoid(xs: Array, h_0: Array, W_x: Array, W_h: Array, b: Array) -> Array:
    h, hs = h_0, []
    for x in xs:
        h = 1 / (1 + np.exp(-(x @ W_x.T + h @ W_h.T + b)))
        hs.append(h)
    return np.stack(hs)


def _without_first_input(xs: Array, h_0: Array, W_x: Array, W_h: Array, b: Array) -> Array:
    hs = [h_0]
    for x in xs[1:]:
        hs.append(np.tanh(x @ W_x.T + hs[-1] @ W_h.T + b))
    return np.stack(hs)


def _behind_tanh(xs: Array, h_0: Array, W_x: Array, W_h: Array, b: Array) -> Array:
    h, hs = h_0, []
    for x in xs:
        h = np.tanh(x @ W_x.T + b) + h @ W_h.T
        hs.append(h)
    return np.stack(hs)


def _one_too_early(xs: Array, h_0: Array, W_x: Array, W_h: Array, b: Array) -> Array:
    return np.concatenate([h_0[None], elman_forward(xs, h_0, W_x, W_h, b)[:-1]])


EXERCISE = Exercise(
    name="rnn.elman_forward",
    kind="implement",
    title="Reading a sequence",
    statement="""
        Run an Elman network over a batch of sequences. Every step sees its own input and the hidden values of the step
        before; the first step sees the initial ones. Return the hidden values of all $T$ steps, without the initial ones.
    """,
    solution=elman_forward,
    outputs=("hs",),
    cases=_cases,
    hints=(
        "Time is the first axis, so `for x in xs` goes through the steps: x is (B, D). What has to survive from one turn "
        "of the loop to the next?",
        "Let a variable `h` begin as `h_0`; every turn computes a new one from x and the old one, and appends it to a list.",
        "`h = np.tanh(x @ W_x.T + h @ W_h.T + b)` in the loop, and `np.stack` of the list after it.",
    ),
    mistakes=(
        Mistake(
            "left out the hidden values of the step before",
            "Every step sees its own input only, as in a network without memory.",
            "elman",
            _with(lambda x, h, W_x, W_h, b: x @ W_x.T + b),
        ),
        Mistake(
            "began from zero instead of the initial values",
            "The first step is wrong and, through the memory, all that follow. With zeros for h_0 you would never notice.",
            "elman",
            _with(first=np.zeros_like),
        ),
        Mistake(
            "used the initial values in every step",
            "The first step is right, but no step hands its own hidden values on to the next.",
            "elman",
            _not_carried,
        ),
        Mistake(
            "fed back the pre-activation instead of the hidden values",
            "The first step is right; from the second on the memory is what went *into* tanh, not what came out.",
            "elman",
            _with(keep=lambda h, z: z),
        ),
        Mistake(
            "read the sequence from its end",
            "Your network sees the last input first: the hidden values of a step know its future instead of its past.",
            "elman",
            lambda xs, *rest: elman_forward(xs[::-1], *rest)[::-1],
        ),
        Mistake(
            "read the sequence from its end and stored its steps in that order",
            "Your first row belongs to the last input.",
            "elman",
            lambda xs, *rest: elman_forward(xs[::-1], *rest),
        ),
        Mistake(
            "transposed W_h the other way",
            "W_h is square, which hides it: h @ W_h sums over the units that receive, h @ W_h.T over those that send.",
            "elman",
            _with(lambda x, h, W_x, W_h, b: x @ W_x.T + h @ W_h + b),
        ),
        Mistake(
            "forgot the bias",
            "Every step lacks b. With zero biases, as before training, you would never notice.",
            "elman",
            _with(lambda x, h, W_x, W_h, b: x @ W_x.T + h @ W_h.T),
        ),
        Mistake(
            "forgot the activation",
            "Without tanh the network is linear, and its values are not held between -1 and 1.",
            "elman",
            _linear,
        ),
        Mistake(
            "added the recurrent sum behind tanh",
            "The whole sum, with the recurrent part, goes through tanh; yours can leave the interval from -1 to 1.",
            "elman",
            _behind_tanh,
        ),
        Mistake(
            "used the sigmoid",
            "The units are tanh: their values lie between -1 and 1, and yours are never negative.",
            "elman",
            _sigmoid,
        ),
        Mistake(
            "skipped the first input",
            "Your first row is h_0, and the first step reads the second input: the list begins empty, the loop with xs[0].",
            "elman",
            _without_first_input,
        ),
        Mistake(
            "returned the last hidden values only",
            "They are right, but those of all T steps are asked for: append each to a list, and stack it.",
            "elman",
            lambda *case: elman_forward(*case)[-1],
        ),
        Mistake(
            "stored the hidden values that a step starts from",
            "Your first row is h_0, and the last hidden values are missing: store what the step computed.",
            "elman",
            _one_too_early,
        ),
        Mistake(
            "returned the initial values as well",
            "Yours are T + 1 rows: the first, h_0, was given and is not asked for.",
            "elman",
            lambda xs, h_0, *rest: np.concatenate([h_0[None], elman_forward(xs, h_0, *rest)]),
        ),
    ),
)
