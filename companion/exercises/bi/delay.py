"""Implement: inputs and targets of a network that answers later."""

from typing import Any

import numpy as np

from companion.bptt import Mask, prefix_mask
from companion.exercises.exercise import Exercise, Mistake
from companion.tree import Array, Indices


def delayed(xs: Array, labels: Indices, mask: Mask, d: int) -> tuple[Array, Indices, Array]:
    """Inputs xs (T, B, D), labels and mask (T, B), delay d -> three arrays.

    inputs (T + d, B, D)  0 where a sequence has no step
    targets (T + d, B)    what the output of each step is compared with, else 0
    counts (T + d, B)     1.0 where a step counts in the loss, else 0.0
    """
    T, B, D = xs.shape
    inputs = np.zeros((T + d, B, D))
    targets = np.zeros((T + d, B), dtype=labels.dtype)
    counts = np.zeros((T + d, B))
    inputs[:T] = np.where(mask[:, :, None], xs, 0)
    targets[d:] = np.where(mask, labels, 0)
    counts[d:] = mask
    return inputs, targets, counts


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    """The padding holds random numbers and labels, so that it shows when it is kept."""

    def case(d: int, D: int, T: int, *lengths: int) -> tuple[Any, ...]:
        B = len(lengths)
        return rng.normal(size=(T, B, D)), rng.integers(1, 9, size=(T, B)), prefix_mask(np.array(lengths), T), d

    return [case(2, 4, 7, 5, 6, 2), case(1, 3, 4, 4, 1), case(3, 2, 5, 3), case(2, 4, 1, 1, 1)]


def _placed(inputs_at: Any, targets_at: Any, counts_at: Any = None, kept: Any = lambda mask: mask) -> Any:
    """An answer that puts inputs, targets and counts at other steps, given d."""

    def answer(xs: Array, labels: Indices, mask: Mask, d: int) -> Any:
        T, real = len(xs), kept(mask)
        inputs = np.zeros((T + d, *xs.shape[1:]))
        targets, counts = np.zeros((T + d, xs.shape[1]), dtype=labels.dtype), np.zeros((T + d, xs.shape[1]))
        begins = [at(d) for at in (inputs_at, targets_at, counts_at or targets_at)]
        inputs[begins[0] : begins[0] + T] = np.where(real[:, :, None], xs, 0)
        targets[begins[1] : begins[1] + T] = np.where(mask, labels, 0)
        counts[begins[2] : begins[2] + T] = mask
        return inputs, targets, counts

    return answer


def _now(d: int) -> int:
    return 0


def _later(d: int) -> int:
    return d


def _cut_off(xs: Array, labels: Indices, mask: Mask, d: int) -> Any:
    return tuple(array[: len(xs)] for array in delayed(xs, labels, mask, d))


def _rolled(xs: Array, labels: Indices, mask: Mask, d: int) -> Any:
    inputs = np.where(mask[:, :, None], xs, 0)
    return inputs, np.roll(np.where(mask, labels, 0), d, axis=0), np.roll(mask, d, axis=0) * 1.0


def _counting(count: Any) -> Any:
    """An answer with right inputs and targets, and its own counts."""

    def answer(xs: Array, labels: Indices, mask: Mask, d: int) -> Any:
        inputs, targets, counts = delayed(xs, labels, mask, d)
        return inputs, targets, count(counts, d)

    return answer


def _too_early(xs: Array, labels: Indices, mask: Mask, d: int) -> Any:
    inputs, targets, counts = delayed(xs, labels, mask, d)
    return inputs, *(np.concatenate([array[2 * d :], 0 * array[: 2 * d]]) for array in (targets, counts))


def _padding_kept(xs: Array, labels: Indices, mask: Mask, d: int) -> Any:
    inputs, targets, counts = delayed(xs, labels, mask, d)
    inputs[: len(xs)], targets[d:] = xs, labels
    return inputs, targets, counts


def _labels_of_padding(xs: Array, labels: Indices, mask: Mask, d: int) -> Any:
    inputs, targets, counts = delayed(xs, labels, mask, d)
    targets[d:] = labels
    return inputs, targets, counts


EXERCISE = Exercise(
    name="bi.delay",
    kind="implement",
    title="Let a forward network answer later",
    statement="""
        The cheapest way to let a forward network see d steps of the future is to ask it for the answer to letter t only
        after letter t + d. Prepare a padded batch for that: d steps longer, so that the last letters can still be answered
        for. What stands on the padding of xs and labels is arbitrary, and must appear nowhere: after the end of its word the
        network reads zeros.
    """,
    solution=delayed,
    outputs=("inputs", "targets", "counts"),
    cases=_cases,
    hints=(
        "The inputs do not wait, the targets do. Draw a word of three letters and a delay of one: four steps.",
        "Where does the label of step t go? And does the network answer for anything in its first d steps?",
        "Make three arrays of zeros with T + d steps. Inputs go to `[:T]`, labels and mask to `[d:]`; clear the padding of "
        "both with `np.where(mask, labels, 0)`.",
    ),
    mistakes=(
        Mistake(
            "shifted the wrong way",
            "The inputs wait and the targets do not: the network would have to answer for a letter d steps before it reads it.",
            "delay",
            _placed(_later, _now),
        ),
        Mistake(
            "made room for the delay but did not shift the targets",
            "The answer for letter t is still asked for at step t; the d steps at the end count for nothing.",
            "delay",
            _placed(_now, _now),
        ),
        Mistake(
            "shifted inputs and targets alike",
            "The word begins d steps later, and its answers too: between a letter and its answer there is no delay.",
            "delay",
            _placed(_later, _later),
        ),
        Mistake(
            "delayed the targets by one step too few",
            "The label of step t belongs to step t + d, so that the first d steps of the targets are empty, not d - 1.",
            "delay",
            _placed(_now, lambda d: d - 1),
        ),
        Mistake(
            "cut the delayed answers off after T steps",
            "A word that fills all T steps is never asked for its last d letters, and never graded on them.",
            "delay",
            _cut_off,
        ),
        Mistake(
            "rolled the targets round",
            "np.roll puts what falls off the end in front: the last labels of long words are asked for in the first steps.",
            "delay",
            _rolled,
        ),
        Mistake(
            "left the padding in the inputs",
            "While it still answers for the last d letters, the network reads what stands behind the word: it should be zeros.",
            "delay",
            _placed(_now, _later, kept=np.ones_like),
        ),
        Mistake(
            "did not shift the counts with the targets",
            "Your first d steps count, though they have no target, and the answers for the last d letters do not.",
            "masked-loss",
            _placed(_now, _later, _now),
        ),
        Mistake(
            "let the first d steps count",
            "In the first d steps the network has no letter to answer for, so they may not count in the loss.",
            "masked-loss",
            _counting(lambda counts, d: np.where(np.arange(len(counts))[:, None] < d, 1.0, counts)),
        ),
        Mistake(
            "let every step count",
            "Only steps with an answer count: neither the first d, nor those behind a word's last answer.",
            "masked-loss",
            _counting(lambda counts, d: np.ones_like(counts)),
        ),
        Mistake(
            "let the padding count",
            "Behind the last answer of a short word there is nothing to answer for, so nothing may count.",
            "masked-loss",
            _counting(lambda counts, d: np.where(np.arange(len(counts))[:, None] >= d, 1.0, 0.0) + 0 * counts),
        ),
        Mistake(
            "asked for the answers d steps too early",
            "The label of step t + d stands at step t, when the network has not read that letter yet: later, not earlier.",
            "delay",
            _too_early,
        ),
        Mistake(
            "left the padding in both inputs and targets",
            "The counts are right, so the targets do no harm. But the network reads what stands behind a word while it still "
            "answers for its last d letters.",
            "delay",
            _padding_kept,
        ),
        Mistake(
            "left the labels of the padding in the targets",
            "Where nothing counts the target should be 0; what stood on the padding is arbitrary.",
            "masked-loss",
            _labels_of_padding,
        ),
    ),
)
