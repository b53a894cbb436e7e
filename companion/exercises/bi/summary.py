"""Implement: what a bidirectional layer says of a whole sequence."""

from typing import Any

import numpy as np

from companion.bptt import Mask, prefix_mask
from companion.exercises.exercise import Exercise, Mistake
from companion.tree import Array


def whole_sequence_features(ys: Array, mask: Mask) -> Array:
    """Outputs ys (T, B, 2H), Booleans mask (T, B) -> features (B, 2H).

    Of each direction the one output that has seen the whole sequence.
    """
    B, H = ys.shape[1], ys.shape[2] // 2
    last = mask.sum(axis=0) - 1
    return np.concatenate([ys[last, np.arange(B), :H], ys[0, :, H:]], axis=1)


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(H: int, T: int, *lengths: int) -> tuple[Any, ...]:
        mask = prefix_mask(np.array(lengths), T)
        return rng.normal(size=(T, len(lengths), 2 * H)) * mask[:, :, None], mask

    return [case(5, 7, 5, 7, 2), case(3, 4, 4, 1), case(2, 5, 3), case(4, 1, 1, 1)]


def _picked(forward: Any, backward: Any) -> Any:
    """An answer that reads each half at a step of its own, given lengths and T."""

    def answer(ys: Array, mask: Mask) -> Any:
        lengths, columns, H = mask.sum(axis=0), np.arange(mask.shape[1]), ys.shape[2] // 2
        steps = [np.broadcast_to(step(lengths, len(ys)), lengths.shape) for step in (forward, backward)]
        return np.concatenate([ys[steps[0], columns, :H], ys[steps[1], columns, H:]], axis=1)

    return answer


def _first(lengths: Any, T: int) -> Any:
    return 0


def _last(lengths: Any, T: int) -> Any:
    return lengths - 1


def _end(lengths: Any, T: int) -> Any:
    return T - 1


def _swapped(ys: Array, mask: Mask) -> Any:
    h, z = np.split(whole_sequence_features(ys, mask), 2, axis=1)
    return np.concatenate([z, h], axis=1)


EXERCISE = Exercise(
    name="bi.summary",
    kind="implement",
    title="One vector for a whole sequence",
    statement="""
        To say whether a whole sentence is friendly, a classifier needs one vector for the sentence, not one for each step.
        `ys` holds the outputs of a bidirectional layer, forward half first, and 0 on the padding. In which step has each
        half seen the whole sequence? Return these two outputs, forward half first.
    """,
    solution=whole_sequence_features,
    outputs=("the vector",),
    cases=_cases,
    hints=(
        "The forward half has seen steps 1 to t, the backward half steps t to the end. When is that everything?",
        "The forward half ends at the last real step, another one for each sequence; the backward half ends at the first.",
        "`ys[mask.sum(axis=0) - 1, np.arange(B), :H]` picks one step for each sequence; beside it belongs `ys[0, :, H:]`.",
    ),
    mistakes=(
        Mistake(
            "read both halves at the last step of the array",
            "Shorter sequences have padding there, and get 0. And the backward half has seen one step only at its last.",
            "bi-output",
            _picked(_end, _end),
        ),
        Mistake(
            "read both halves at the last real step",
            "There the backward half has only begun: it has seen one step of the whole sequence.",
            "bi-backward",
            _picked(_last, _last),
        ),
        Mistake(
            "read the forward half on the padding",
            "Behind the end of a sequence ys is 0, at the end of the array as well as at step n, counted from 0: its last real "
            "step is n - 1.",
            "masked-step",
            _picked(_end, _first),
        ),
        Mistake(
            "read both halves at the first step",
            "The backward half is complete there; the forward half has seen one step only.",
            "bi-forward",
            _picked(_first, _first),
        ),
        Mistake(
            "read each half where it begins",
            "The forward half has seen one step at step 1, the backward half one at the last: each is complete at "
            "the other end.",
            "online",
            _picked(_first, _last),
        ),
        Mistake(
            "are one step too early in the forward half",
            "The last of n steps, counted from 0, is step n - 1; at step n - 2 the last one is still unread.",
            "masked-step",
            _picked(lambda lengths, T: lengths - 2, _first),
        ),
        Mistake(
            "took the length of the first sequence for all",
            "Every sequence ends at a step of its own: column b of the mask says where.",
            "masked-step",
            _picked(lambda lengths, T: lengths[0] - 1, _first),
        ),
        Mistake(
            "have the halves in the other order",
            "The forward half comes first, as in ys.",
            "bi-output",
            _swapped,
        ),
        Mistake(
            "took the mean over all steps, the padding included",
            "A mean can serve as a summary, if it is one of real steps; asked for are the two outputs that have "
            "seen everything.",
            "masked-loss",
            lambda ys, mask: ys.mean(axis=0),
        ),
        Mistake(
            "took the mean over the real steps",
            "That is a summary too, but another one; asked for are the two outputs that have seen the whole sequence.",
            "bi-output",
            lambda ys, mask: ys.sum(axis=0) / mask.sum(axis=0)[:, None],
        ),
        Mistake(
            "took the largest value over time",
            "Max pooling is a summary too, but another one, and here it would even see the 0 on the padding.",
            "bi-output",
            lambda ys, mask: ys.max(axis=0),
        ),
    ),
)
