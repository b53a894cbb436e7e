"""Find the bug: a Jordan network that is right as long as it starts from zero."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.tree import Array


def buggy_jordan(
    xs: Array, c_0: Array, W_x: Array, W_h: Array, b: Array, W_y: Array, b_y: Array, decay: float
) -> tuple[Array, Array]:
    """Inputs xs (T, B, D), context c_0 (B, K) -> outputs (T, B, K), context (B, K).

    W_x (H, D), W_h (H, K), b (H,); W_y (K, H), b_y (K,); decay of the context.
    """
    c, y, ys = c_0, np.zeros_like(c_0), []
    for x in xs:
        c = decay * c + y
        h = np.tanh(x @ W_x.T + c @ W_h.T + b)
        y = 1 / (1 + np.exp(-(h @ W_y.T + b_y)))
        ys.append(y)
    return np.stack(ys), c


def jordan_forward(
    xs: Array, c_0: Array, W_x: Array, W_h: Array, b: Array, W_y: Array, b_y: Array, decay: float
) -> tuple[Array, Array]:
    """Inputs xs (T, B, D), context c_0 (B, K) -> outputs (T, B, K), context (B, K).

    W_x (H, D), W_h (H, K), b (H,); W_y (K, H), b_y (K,); decay of the context.
    """
    c, ys = c_0, []
    for x in xs:
        h = np.tanh(x @ W_x.T + c @ W_h.T + b)
        y = 1 / (1 + np.exp(-(h @ W_y.T + b_y)))
        c = decay * c + y
        ys.append(y)
    return np.stack(ys), c


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(T: int, B: int, D: int, H: int, K: int, decay: float) -> tuple[Any, ...]:
        shapes = ((T, B, D), (B, K), (H, D), (H, K), (H,), (K, H), (K,))
        return (*(rng.normal(size=shape) for shape in shapes), decay)

    return [case(6, 3, 4, 5, 2, 0.6), case(3, 1, 2, 4, 3, 0.8), case(1, 2, 3, 4, 5, 0.3)]


def _with(
    update: Any = lambda c, y, decay: decay * c + y,
    early: Any = lambda c, y, decay: c,
    returned: Any = lambda c, before, y, decay: c,
    seen: Any = lambda c, c_0: c,
) -> Any:
    """The solution with one part replaced; `early` changes the context at the beginning of a step."""

    def answer(xs: Array, c_0: Array, W_x: Array, W_h: Array, b: Array, W_y: Array, b_y: Array, decay: float) -> Any:
        c, before, y, ys = c_0, c_0, np.zeros_like(c_0), []
        for x in xs:
            before = c = early(c, y, decay)
            h = np.tanh(x @ W_x.T + seen(c, c_0) @ W_h.T + b)
            y = 1 / (1 + np.exp(-(h @ W_y.T + b_y)))
            c = update(c, y, decay)
            ys.append(y)
        return np.stack(ys), returned(c, before, y, decay)

    return answer


def _first_step_only(
    xs: Array, c_0: Array, W_x: Array, W_h: Array, b: Array, W_y: Array, b_y: Array, decay: float
) -> Any:
    """The start repaired, and what is returned left as it was."""
    ys, c = jordan_forward(xs, c_0, W_x, W_h, b, W_y, b_y, decay)
    return ys, (c - ys[-1]) / decay


EXERCISE = Exercise(
    name="rnn.hunt_context",
    kind="find the bug",
    title="Right from zero, wrong in pieces",
    statement="""
        A Jordan network, $h^{(t)} = \\tanh(W_x x^{(t)} + W_h c^{(t-1)} + b)$, $y^{(t)} = \\sigma(W_y h^{(t)} + b_y)$ and
        $c^{(t)} = \\text{decay} \\cdot c^{(t-1)} + y^{(t)}$ for each sequence of the batch. From a zero context,
        its outputs agree with
        these equations to the last digit, for any number of steps, and so every test passed. But a long text that is read in
        pieces, each beginning with the context the last one returned, gives other outputs than the same text in one go. Find
        the bug, and hand in the corrected function.
    """,
    solution=jordan_forward,
    outputs=("ys", "the context"),
    cases=_cases,
    given=(buggy_jordan,),
    hints=(
        "What does the first step do with `c_0`, and what do the equations say? Which value of `c_0` makes no difference?",
        "The first step should see c_0 itself, and the context that is returned should contain the last output. "
        "In which line of the loop is the context renewed, and in which should it be?",
        "Move `c = decay * c + y` below the line that computes y. Then `y` needs no value before the loop.",
    ),
    mistakes=(
        Mistake(
            "handed in the bug unchanged",
            "The first step sees decay * c_0 instead of c_0, and the context that is returned lacks the last output.",
            "jordan",
            buggy_jordan,
        ),
        Mistake(
            "repaired what is returned, but not the first step",
            "The first step still sees decay * c_0: the initial context is a complete one and must not decay before "
            "it is used.",
            "jordan",
            _with(
                update=lambda c, y, decay: c,
                early=lambda c, y, decay: decay * c + y,
                returned=lambda c, before, y, decay: decay * c + y,
            ),
        ),
        Mistake(
            "repaired the first step, but not what is returned",
            "The outputs are right; the context that goes to the next piece is the one before the last output.",
            "jordan",
            _first_step_only,
        ),
        Mistake(
            "let the new output decay with the context",
            "decay * (c + y) weakens the output that has just been added; only what was there before decays.",
            "jordan",
            _with(update=lambda c, y, decay: decay * (c + y)),
        ),
        Mistake(
            "forgot the decay",
            "Your context adds up all outputs for ever; it should forget the older ones.",
            "jordan",
            _with(update=lambda c, y, decay: c + y),
        ),
        Mistake(
            "made the context a moving average",
            "The equations add the whole output; yours adds the fraction 1 - decay of it.",
            "jordan",
            _with(update=lambda c, y, decay: decay * c + (1 - decay) * y),
        ),
        Mistake(
            "let the new output decay instead of the context",
            "c + decay * y keeps all that was there for ever and weakens what is new; it is the other way round.",
            "jordan",
            _with(update=lambda c, y, decay: c + decay * y),
        ),
        Mistake(
            "kept the last output alone as context",
            "The context also keeps a part of itself, decay * c: outputs further back still count.",
            "jordan",
            _with(update=lambda c, y, decay: y),
        ),
        Mistake(
            "let every step see the initial context",
            "The first step is right; the others have to see the context that the step before has left.",
            "jordan",
            _with(seen=lambda c, c_0: c_0),
        ),
        Mistake(
            "renewed the context twice in each step",
            "The line below y is right, but the old one, at the beginning of the loop, is still there.",
            "jordan",
            _with(early=lambda c, y, decay: decay * c + y),
        ),
        Mistake(
            "returned the last output alone as the context",
            "The outputs are right; the context that goes to the next piece also holds decay * c.",
            "jordan",
            _with(returned=lambda c, before, y, decay: y),
        ),
        Mistake(
            "forgot the decay in the context that is returned",
            "The outputs are right; c + y adds the last output to the context before it, which should decay first.",
            "jordan",
            _with(returned=lambda c, before, y, decay: before + y),
        ),
    ),
)
