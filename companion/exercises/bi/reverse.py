"""Implement: reverse a padded batch, each sequence within its own length."""

from typing import Any

import numpy as np

from companion.bptt import Mask, prefix_mask
from companion.exercises.exercise import Exercise, Mistake
from companion.tree import Array


def reverse_within_length(xs: Array, mask: Mask) -> Array:
    """Sequences xs (T, B, D), Booleans mask (T, B) -> reversed sequences (T, B, D).

    The mask is True on the first steps of a sequence, the real ones. The padding
    behind them stays where it is, and as it is.
    """
    steps, lengths = np.arange(len(xs))[:, None], mask.sum(axis=0)
    order = np.where(mask, lengths - 1 - steps, steps)
    return xs[order, np.arange(xs.shape[1])]


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    """The padding holds random numbers, so that it shows when it is moved."""

    def case(D: int, T: int, *lengths: int) -> tuple[Any, ...]:
        return rng.normal(size=(T, len(lengths), D)), prefix_mask(np.array(lengths), T)

    return [case(4, 7, 5, 6, 2), case(3, 4, 4, 1), case(2, 5, 3), case(5, 1, 1, 1, 1)]


def _with(index: Any) -> Any:
    """An answer that takes step index(t, lengths, T) on the real steps."""

    def answer(xs: Array, mask: Mask) -> Any:
        steps, lengths = np.arange(len(xs))[:, None], mask.sum(axis=0)
        order = np.where(mask, index(steps, lengths, len(xs)), steps)
        return xs[order, np.arange(xs.shape[1])]

    return answer


def _index_below_zero(xs: Array, mask: Mask) -> Any:
    order = mask.sum(axis=0) - 1 - np.arange(len(xs))[:, None]
    return xs[order, np.arange(xs.shape[1])]


def _padding_first(xs: Array, mask: Mask) -> Any:
    order = np.arange(len(xs))[:, None] - (len(xs) - mask.sum(axis=0))
    return xs[order, np.arange(xs.shape[1])]


def _within(length: Any) -> Any:
    """An answer that reverses all sequences within one length."""

    def answer(xs: Array, mask: Mask) -> Any:
        n = length(mask.sum(axis=0))
        return np.concatenate([xs[:n][::-1], xs[n:]])

    return answer


EXERCISE = Exercise(
    name="bi.reverse",
    kind="implement",
    title="Turn every sequence round, not the array",
    statement="""
        The backward layer reads a sequence from its end, and the sequences of a batch end at different steps. Reverse each
        within its own length. The padding does not move, so that the mask fits the result as well, and doing it twice gives
        xs back.
    """,
    solution=reverse_within_length,
    outputs=("the reversed batch",),
    cases=_cases,
    hints=(
        "The mask knows the lengths: how many True does a column have? A loop over the sequences is as right as an index.",
        "A sequence of length $n$ gets at step $t$ what stood at step $n - 1 - t$, both counted from 0. What does a padded "
        "step get?",
        "With `order = np.where(mask, lengths - 1 - steps, steps)` of shape (T, B), `xs[order, np.arange(B)]` is the answer; "
        "or, for each b, `out[:n, b] = xs[:n, b][::-1]` in a copy of xs.",
    ),
    mistakes=(
        Mistake(
            "reversed the padding too",
            "Turning the whole array round puts the padding of a short sequence first: a backward layer would read it before "
            "the sequence, and only the longest, if it fills the array, would come out right.",
            "reverse",
            lambda xs, mask: xs[::-1].copy(),
        ),
        Mistake(
            "reversed the padding too, and then put the mask over it",
            "After xs[::-1] the first steps of a short sequence hold its padding; masking does not bring its own steps back.",
            "reverse",
            lambda xs, mask: np.where(mask[:, :, None], xs[::-1], xs),
        ),
        Mistake(
            "reversed the padding too, and then cleared what the mask leaves out",
            "After xs[::-1] the first steps of a short sequence hold its padding; you cleared some of its real steps instead.",
            "reverse",
            lambda xs, mask: np.where(mask[:, :, None], xs[::-1], 0),
        ),
        Mistake(
            "turned every axis round",
            "np.flip without an axis reverses the batch and the features too; the reversal is one in time.",
            "reverse",
            lambda xs, mask: np.flip(xs).copy(),
        ),
        Mistake(
            "reversed the batch instead of the time",
            "The first axis is time, the second the batch. Yours gives every sequence the place of another.",
            "reverse",
            lambda xs, mask: xs[:, ::-1].copy(),
        ),
        Mistake(
            "reversed the features instead of the steps",
            "The last axis holds the D numbers of one step, which belong together in their order.",
            "reverse",
            lambda xs, mask: xs[:, :, ::-1].copy(),
        ),
        Mistake(
            "let the index run below 0 on the padding",
            "There n - 1 - t is negative, and NumPy counts negative indices from the end: the padding comes out reversed. "
            "It should stay as it is.",
            "reverse",
            _index_below_zero,
        ),
        Mistake(
            "are off by one step",
            "Step 0 of a sequence of length n gets step n, which is already padding, and its own first step is lost.",
            "reverse",
            _with(lambda t, n, T: np.minimum(n - t, T - 1)),
        ),
        Mistake(
            "are off by one step at the end",
            "Step 0 gets step n - 2, and the last real step of the sequence is lost.",
            "reverse",
            _with(lambda t, n, T: n - 2 - t),
        ),
        Mistake(
            "reversed all sequences within the length of the longest",
            "The shorter ones still have padding in front, as many steps as they are shorter.",
            "reverse",
            _within(max),
        ),
        Mistake(
            "took the length of the first sequence for all",
            "Every sequence has its own: column b of the mask says how long sequence b is.",
            "reverse",
            _within(lambda lengths: lengths[0]),
        ),
        Mistake(
            "moved the sequences to the end of the array without reversing them",
            "They still run from their first step to their last, only behind the padding.",
            "reverse",
            _padding_first,
        ),
        Mistake(
            "cleared the padding",
            "The sequences are right. The padding should stay as it is, so that doing it twice gives xs back.",
            "reverse",
            lambda xs, mask: reverse_within_length(xs, mask) * mask[:, :, None],
        ),
    ),
)
