"""Find the bug: an evaluation that gives another answer every time."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.tree import Array


def buggy_logits(
    xs: Array, W_x: Array, W_h: Array, b: Array, W_y: Array, b_y: Array, rng: np.random.Generator
) -> Array:
    """Inputs xs (T, B, D) -> logits (B, K) at the last step of each sequence.

    W_x (H, D), W_h (H, H), b (H,), W_y (K, H), b_y (K,).
    """
    h = rng.normal(size=(xs.shape[1], len(W_h)))
    for x in xs:
        h = np.tanh(x @ W_x.T + h @ W_h.T + b)
    return h @ W_y.T + b_y


def evaluated_logits(
    xs: Array, W_x: Array, W_h: Array, b: Array, W_y: Array, b_y: Array, rng: np.random.Generator
) -> Array:
    """Inputs xs (T, B, D) -> logits (B, K) at the last step of each sequence.

    W_x (H, D), W_h (H, H), b (H,), W_y (K, H), b_y (K,).
    """
    h = np.zeros((xs.shape[1], len(W_h)))
    for x in xs:
        h = np.tanh(x @ W_x.T + h @ W_h.T + b)
    return np.asarray(h @ W_y.T + b_y)


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(T: int, B: int, D: int, H: int, K: int) -> tuple[Any, ...]:
        shapes = ((T, B, D), (H, D), (H, H), (H,), (K, H), (K,))
        return (*(rng.normal(size=shape) for shape in shapes), np.random.default_rng(T))

    return [case(3, 4, 2, 5, 3), case(1, 2, 3, 4, 2), case(2, 1, 4, 3, 5)]


def _with(start: Any, read: Any = lambda xs: xs, seen: Any = lambda hs: hs[-1]) -> Any:
    """The solution with another start, another way to go through the inputs, or another state read out."""

    def answer(xs: Array, W_x: Array, W_h: Array, b: Array, W_y: Array, b_y: Array, rng: np.random.Generator) -> Any:
        h, hs = start(rng, (xs.shape[1], len(W_h))), []
        for x in read(xs):
            h = np.tanh(x @ W_x.T + h @ W_h.T + b)
            hs.append(h)
        return seen(hs) @ W_y.T + b_y

    return answer


def _zeros(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    return np.zeros(shape)


def _averaged(xs: Array, W_x: Array, W_h: Array, b: Array, W_y: Array, b_y: Array, rng: np.random.Generator) -> Any:
    return np.mean([buggy_logits(xs, W_x, W_h, b, W_y, b_y, rng) for _ in range(10)], axis=0)


EXERCISE = Exercise(
    name="rnn.hunt_evaluation",
    kind="find the bug",
    title="The network that changes its mind",
    statement="""
        This function evaluates a trained network. Its author trained with sequences of 200 steps, evaluated twice on the same
        ones, and saw no difference. On sequences of five steps, two evaluations of the same network on the same data give
        logits that differ in the second digit. Nothing is dropped out, and the training was right. Hand in a function that
        gives one answer, that of a network which has seen nothing yet; you may leave `rng` unused.
    """,
    solution=evaluated_logits,
    outputs=("logits",),
    cases=_cases,
    given=(buggy_logits,),
    hints=(
        "Between two calls only one argument is in another condition than before. Where is it used?",
        "Why would 200 steps hide it? Think of how much of $h^{(0)}$ is left in $h^{(200)}$, and in $h^{(5)}$.",
        "The initial state is drawn at random, which some use in training. At evaluation it is a fixed one: "
        "`np.zeros((B, H))`.",
    ),
    mistakes=(
        Mistake(
            "handed in the bug unchanged",
            "The first state is still drawn at random, so every call answers for another network.",
            "elman",
            buggy_logits,
        ),
        Mistake(
            "made the random start smaller instead of taking it away",
            "A start of a tenth the size differs from call to call as well, only less.",
            "elman",
            _with(lambda rng, shape: 0.1 * rng.normal(size=shape)),
        ),
        Mistake(
            "averaged over random starts",
            "The mean of ten runs still varies, and it is the answer of no network: tanh does not commute with the mean.",
            "elman",
            _averaged,
        ),
        Mistake(
            "fixed the seed instead of the state",
            "Now two calls agree, but on an arbitrary start that the network has not earned by reading anything.",
            "elman",
            _with(lambda rng, shape: np.random.default_rng(0).normal(size=shape)),
        ),
        Mistake(
            "started from ones",
            "A unit at 1 says that something was seen. Nothing was: the state of a network before its first step is zero.",
            "elman",
            _with(lambda rng, shape: np.ones(shape)),
        ),
        Mistake(
            "drew one start for the whole batch",
            "The sequences of a batch now agree on their start, but two calls still do not.",
            "elman",
            _with(lambda rng, shape: np.repeat(rng.normal(size=(1, shape[1])), shape[0], axis=0)),
        ),
        Mistake(
            "read the mean of all hidden states instead of the last one",
            "The start is right now. But the logits are asked for at the last step, h^(T), not over the sequence.",
            "readout",
            _with(_zeros, seen=lambda hs: np.mean(hs, axis=0)),
        ),
        Mistake(
            "left out the first input",
            "The start is right now, but the loop begins at the second step.",
            "elman",
            _with(_zeros, read=lambda xs: xs[1:], seen=lambda hs: hs[-1]),
        ),
    ),
)
