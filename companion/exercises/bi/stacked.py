"""Extend: from a stacked bidirectional layer to the two directions below it."""

from typing import Any

import numpy as np

from companion.bidirectional import reverse
from companion.bptt import Mask, prefix_mask
from companion.exercises.exercise import Exercise, Mistake
from companion.gradcheck import numerical_gradient
from companion.tree import Array


def to_the_layer_below(dus: Array, dus_reversed: Array, mask: Mask) -> tuple[Array, Array]:
    """Gradients dus and dus_reversed (T, B, 2H) -> dhs and dzs_reversed (T, B, H).

    Booleans mask (T, B).
    """
    steps, lengths = np.arange(len(mask))[:, None], mask.sum(axis=0)
    turn = np.where(mask, lengths - 1 - steps, steps), np.arange(mask.shape[1])
    dys = dus + dus_reversed[turn]
    dhs, dzs = np.split(dys, 2, axis=2)
    return dhs, dzs[turn]


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(H: int, T: int, *lengths: int) -> tuple[Any, ...]:
        mask = prefix_mask(np.array(lengths), T)
        dus, dus_reversed = rng.normal(size=(2, T, len(lengths), 2 * H)) * mask[:, :, None]
        return dus, dus_reversed, mask

    return [case(5, 7, 5, 6, 2), case(3, 4, 4, 1), case(2, 5, 3), case(4, 1, 1, 1)]


def _numeric(dus: Array, dus_reversed: Array, mask: Mask) -> dict[str, Array]:
    half = np.zeros((*mask.shape, dus.shape[2] // 2))

    def loss(hs: Array, zs_reversed: Array) -> float:
        us = np.concatenate([hs, reverse(zs_reversed, mask)], axis=2)
        return float((dus * us).sum() + (dus_reversed * reverse(us, mask)).sum())

    return {
        "dhs": numerical_gradient(lambda hs: loss(hs, half), half),
        "dzs_reversed": numerical_gradient(lambda zs: loss(half, zs), half),
    }


def _halves(dys: Array, H: int) -> Any:
    return dys[:, :, :H], dys[:, :, H:]


def _with(
    turn: Any = reverse,
    merge: Any = lambda a, b: a + b,
    split: Any = _halves,
    turn_below: Any = reverse,
) -> Any:
    """The solution with one part replaced."""

    def answer(dus: Array, dus_reversed: Array, mask: Mask) -> Any:
        dhs, dzs = split(merge(dus, turn(dus_reversed, mask)), dus.shape[2] // 2)
        return dhs, turn_below(dzs, mask)

    return answer


def _whole_array(xs: Array, mask: Mask) -> Any:
    return xs[::-1]


def _not_at_all(xs: Array, mask: Mask) -> Any:
    return xs.copy()


def _own_direction_only(dus: Array, dus_reversed: Array, mask: Mask) -> Any:
    H = dus.shape[2] // 2
    return _halves(dus, H)[0], _halves(dus_reversed, H)[1]


def _both_reversed(dus: Array, dus_reversed: Array, mask: Mask) -> Any:
    return _halves(reverse(dus, mask) + dus_reversed, dus.shape[2] // 2)


EXERCISE = Exercise(
    name="bi.stacked",
    kind="extend",
    title="Down from the second layer",
    statement="""
        A second bidirectional layer reads the outputs of the first, `us` of shape (T, B, 2H): the forward outputs `hs`, and
        beside them the backward outputs. Its own forward direction has read `us`, and its backward pass returned `dus`. Its
        own backward direction has read `us` reversed within each length, and its backward pass returned the gradient with
        respect to *that*, `dus_reversed`. Return what the first layer's backward passes need: `dhs` for its forward direction,
        and `dzs_reversed` for its backward direction, which gave its outputs in the order in which it read, last step first;
        its outputs were reversed before they became a part of `us`. Both gradients are 0 on the padding.
    """,
    solution=to_the_layer_below,
    outputs=("dhs", "dzs_reversed"),
    cases=_cases,
    numeric=_numeric,
    hints=(
        "Draw the way of `us` up: it is used twice, once as it is and once reversed. What is used twice receives a sum.",
        "Reversal only moves numbers, so its backward pass is the reversal itself: bring `dus_reversed` into the order of "
        "`us` before you add. Which entries of the sum belong to `hs`?",
        "`dys = dus + reverse(dus_reversed)`, then `dys[:, :, :H]` and `reverse(dys[:, :, H:])`, each reversal within the "
        "lengths, as in the exercise on reversal.",
    ),
    mistakes=(
        Mistake(
            "took the gradient of the forward direction only",
            "us is read by both directions of the second layer; yours drops what the backward one has to say.",
            "bi-gradients",
            _with(merge=lambda a, b: a),
        ),
        Mistake(
            "took the gradient of the backward direction only",
            "us is read by both directions of the second layer; yours drops what the forward one has to say.",
            "bi-gradients",
            _with(merge=lambda a, b: b),
        ),
        Mistake(
            "did not reverse the gradient of the backward direction before adding",
            "Its first entry is about the last step; you added it to the first.",
            "bi-gradients",
            _with(turn=_not_at_all),
        ),
        Mistake(
            "reversed the padding too",
            "Turning the whole array round puts the padding first, and gradients of short sequences land on their "
            "padding. With "
            "equal lengths nothing shows.",
            "reverse",
            _with(turn=_whole_array, turn_below=_whole_array),
        ),
        Mistake(
            "reversed the padding too on the way to the layer below",
            "dhs is right. In a short sequence the backward direction below gets its gradients where it read the padding.",
            "reverse",
            _with(turn_below=_whole_array),
        ),
        Mistake(
            "took the mean of both directions instead of their sum",
            "What is used twice receives the sum; both gradients are half of what they should be.",
            "bi-gradients",
            _with(merge=lambda a, b: (a + b) / 2),
        ),
        Mistake(
            "gave each direction the gradient of its own direction above",
            "The directions are not two separate stacks: each direction of the second layer reads all 2H numbers, and so has a "
            "gradient for both directions below.",
            "stacked-input",
            _own_direction_only,
        ),
        Mistake(
            "have the halves in the other order",
            "The first H numbers of us are those of the forward direction.",
            "bi-output",
            _with(split=lambda dys, H: (dys[:, :, H:], dys[:, :, :H])),
        ),
        Mistake(
            "took every other entry for one half",
            "The halves stand side by side, H numbers each; they do not alternate.",
            "bi-output",
            _with(split=lambda dys, H: (dys[:, :, ::2], dys[:, :, 1::2])),
        ),
        Mistake(
            "did not reverse the gradient for the backward direction below",
            "That direction gave its outputs in the order in which it read, last step first, and needs its gradient "
            "in that order.",
            "bi-gradients",
            _with(turn_below=_not_at_all),
        ),
        Mistake(
            "reversed the gradient of the forward direction below as well",
            "hs is in the order of time, and so is its gradient; only the backward direction reads from the end.",
            "bi-gradients",
            _both_reversed,
        ),
    ),
)
