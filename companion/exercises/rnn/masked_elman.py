"""Implement: sequences of different length in one batch."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.tree import Array


def masked_elman(xs: Array, mask: Any, h_0: Array, W_x: Array, W_h: Array, b: Array) -> tuple[Array, Array]:
    """Inputs xs (T, B, D), mask (T, B) -> outputs (T, B, H), last state (B, H).

    Initial state h_0 (B, H), W_x (H, D), W_h (H, H), b (H,).
    """
    h, ys = h_0, []
    for x, m in zip(xs, mask[:, :, None]):
        new = np.tanh(x @ W_x.T + h @ W_h.T + b)
        h = np.where(m, new, h)
        ys.append(np.where(m, new, 0))
    return np.stack(ys), h


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(T: int, D: int, H: int, *lengths: int) -> tuple[Any, ...]:
        B = len(lengths)
        xs, h_0, W_x, W_h, b = (rng.normal(size=s) for s in ((T, B, D), (B, H), (H, D), (H, H), (H,)))
        return xs, np.arange(T)[:, None] < np.array(lengths), h_0, W_x, W_h, b

    return [case(7, 4, 5, 7, 2, 4), case(5, 3, 2, 1, 3, 2, 4), case(4, 2, 3, 2), case(1, 4, 3, 1, 1)]


def _with(
    read: Any = lambda x, m: x,
    state: Any = lambda new, h, m, h_0: np.where(m, new, h),
    output: Any = lambda new, h, m: np.where(m, new, 0),
    first: Any = lambda h_0: h_0,
) -> Any:
    """The solution with one part replaced; h is the state after the step where `output` sees it."""

    def answer(xs: Array, mask: Any, h_0: Array, W_x: Array, W_h: Array, b: Array) -> Any:
        h, ys = first(h_0), []
        for x, m in zip(xs, mask[:, :, None]):
            new = np.tanh(read(x, m) @ W_x.T + h @ W_h.T + b)
            h = state(new, h, m, h_0)
            ys.append(output(new, h, m))
        return np.stack(ys), h

    return answer


def _run_on(new: Array, h: Array, m: Any, h_0: Array) -> Array:
    return new


EXERCISE = Exercise(
    name="rnn.masked_elman",
    kind="implement",
    title="Sequences of different length",
    statement="""
        Sequences of different length stand in one batch, padded at the end with inputs that mean nothing; `mask[t, b]` is
        True while sequence b lasts. Run an Elman network (tanh) over them so that nothing depends on the padding: there the
        output is zero, and the last state of each sequence is the one after its own last input.
    """,
    solution=masked_elman,
    outputs=("ys", "the last state"),
    cases=_cases,
    hints=(
        "The whole batch takes every step. What must happen to the state of a sequence that is over, so that at the end it is "
        "still what it was after its last input?",
        "Compute the new state for all, then choose for each sequence: the new one where the mask is True, the old one "
        "elsewhere. `np.where` chooses; the mask needs a last axis, `mask[t][:, None]`.",
        "`h = np.where(m, new, h)` for the state, `np.where(m, new, 0)` for the output.",
    ),
    mistakes=(
        Mistake(
            "ignored the mask",
            "Short sequences run on over their padding: outputs there are not zero, and their last state depends on "
            "the padding.",
            "mask",
            _with(state=_run_on, output=lambda new, h, m: new),
        ),
        Mistake(
            "masked the outputs but let the state run on",
            "The outputs are right; the last state of a short sequence has been through its padding.",
            "mask",
            _with(state=_run_on),
        ),
        Mistake(
            "lost the last state of a short sequence: it is zero",
            "The outputs are right. On padding the state has to stay as it was, and there the last output is not the state.",
            "mask",
            _with(state=lambda new, h, m, h_0: np.where(m, new, 0)),
        ),
        Mistake(
            "put the initial state back on padding",
            "The outputs are right; the last state of a short sequence is h_0, as if it had read nothing.",
            "mask",
            _with(state=lambda new, h, m, h_0: np.where(m, new, h_0)),
        ),
        Mistake(
            "masked the inputs only",
            "An input of zero is an input: the bias and W_h still change the state, and the outputs are not zero.",
            "mask",
            _with(read=lambda x, m: x * m, state=_run_on, output=lambda new, h, m: new),
        ),
        Mistake(
            "masked the inputs instead of the state",
            "The outputs are right; but an input of zero still changes the state, through the bias and W_h.",
            "mask",
            _with(read=lambda x, m: x * m, state=_run_on),
        ),
        Mistake(
            "repeated the last state as output on padding",
            "The last state is right. The outputs on padding are not zero, so that a loss over all steps would count them.",
            "mask",
            _with(output=lambda new, h, m: h),
        ),
        Mistake(
            "kept the state but not its outputs from the padding",
            "The last state is right. On padding your outputs are the new hidden values that the state did not take.",
            "mask",
            _with(output=lambda new, h, m: new),
        ),
        Mistake(
            "took the mask the wrong way round",
            "True marks a real step. Yours stands still while a sequence lasts and reads the padding.",
            "mask",
            _with(
                state=lambda new, h, m, h_0: np.where(m, h, new),
                output=lambda new, h, m: np.where(m, 0, new),
            ),
        ),
        Mistake(
            "began from zero instead of the initial state",
            "The mask is right, but the first step has to see h_0.",
            "elman",
            _with(first=np.zeros_like),
        ),
    ),
)
