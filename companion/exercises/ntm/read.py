"""Implement: reading from a memory, and back."""

from collections.abc import Callable
from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.gradcheck import numerical_gradient
from companion.ops import softmax
from companion.tree import Array


def read_and_back(memory: Array, w: Array, dr: Array) -> tuple[Array, Array, Array]:
    """Memory (N, M), weightings w (K, N), gradient dr (K, M) -> r, dmemory, dw.

    r: what each of the K heads reads, (K, M).
    """
    r = w @ memory
    dmemory = w.T @ dr
    dw = dr @ memory.T
    return r, dmemory, dw


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(K: int, N: int, M: int) -> tuple[Any, ...]:
        return rng.normal(size=(N, M)), softmax(rng.normal(size=(K, N))), rng.normal(size=(K, M))

    return [case(3, 5, 4), case(1, 6, 2), case(4, 3, 5)]


def _numeric(memory: Array, w: Array, dr: Array) -> dict[str, Array]:
    return {
        "dmemory": numerical_gradient(lambda memory: float((dr * (w @ memory)).sum()), memory),
        "dw": numerical_gradient(lambda w: float((dr * (w @ memory)).sum()), w),
    }


def _with(
    read: Callable[[Array, Array], Array] = lambda memory, w: w @ memory,
    dmemory: Callable[..., Array] = lambda memory, w, dr: w.T @ dr,
    dw: Callable[..., Array] = lambda memory, w, dr: dr @ memory.T,
) -> Any:
    """The solution with one part replaced."""

    def answer(memory: Array, w: Array, dr: Array) -> tuple[Array, Array, Array]:
        return read(memory, w), dmemory(memory, w, dr), dw(memory, w, dr)

    return answer


def _best_row(memory: Array, w: Array, dr: Array) -> Array:
    return np.asarray(np.equal(np.arange(len(memory))[:, None], w.argmax(axis=1)) @ dr)


EXERCISE = Exercise(
    name="ntm.read",
    kind="implement",
    title="Read, and back",
    statement="""
        K heads read from one memory. Return what each of them reads. Then carry the gradient of what was read back, to the
        memory and to the weightings. How many heads does a row reach, and how many rows does a head reach?
    """,
    solution=read_and_back,
    outputs=("r", "dmemory", "dw"),
    cases=_cases,
    numeric=_numeric,
    hints=(
        "Each head takes a mean of all rows, weighted with its own row of w. All heads at once are one matrix product.",
        "A row reaches every head: its gradient is a sum over heads, each with the weight that the head gave to this row. A "
        "weight reaches one head only, which receives the whole row times the weight.",
        "`r = w @ memory` is a product of two matrices; so are `dmemory = w.T @ dr` and `dw = dr @ memory.T`.",
    ),
    mistakes=(
        Mistake(
            "read only the row with the largest weight",
            "A read mixes all rows by their weights. A choice of one row would have no slope to learn the weights from.",
            "ntm-read",
            _with(read=lambda memory, w: memory[w.argmax(axis=1)]),
        ),
        Mistake(
            "divided what was read by the number of rows",
            "The weights of a head sum to 1 already: the weighted sum is a mean. Yours is N times too small.",
            "ntm-read",
            _with(read=lambda memory, w: w @ memory / len(memory)),
        ),
        Mistake(
            "read with equal weights",
            "That is the mean of all rows, the same for every head: the weighting says how much each row counts.",
            "ntm-read",
            _with(read=lambda memory, w: np.repeat(memory.mean(axis=0, keepdims=True), len(w), axis=0)),
        ),
        Mistake(
            "gave the whole gradient to every row of the memory",
            "A row got into what was read with its weight, and receives the gradient with the same weight.",
            "ntm-back-read",
            _with(dmemory=lambda memory, w, dr: np.repeat(dr.sum(axis=0, keepdims=True), len(memory), axis=0)),
        ),
        Mistake(
            "gave each gradient to the row with the largest weight",
            "Every row with a weight was read, and receives its share of the gradient.",
            "ntm-back-read",
            _with(dmemory=_best_row),
        ),
        Mistake(
            "kept only the last head's share of dmemory",
            "All heads read the same rows, so that their shares add up. Look for an = in a loop where += belongs.",
            "ntm-back-read",
            _with(dmemory=lambda memory, w, dr: np.outer(w[-1], dr[-1])),
        ),
        Mistake(
            "kept only the first head's share of dmemory",
            "All heads read the same rows, so that their shares add up; with one head nothing would be missing.",
            "ntm-back-read",
            _with(dmemory=lambda memory, w, dr: np.outer(w[0], dr[0])),
        ),
        Mistake(
            "averaged dmemory over the heads",
            "What is used K times receives the sum of K gradients, not their mean.",
            "ntm-back-read",
            _with(dmemory=lambda memory, w, dr: w.T @ dr / len(w)),
        ),
        Mistake(
            "multiplied dmemory by the memory",
            "What was read is linear in the memory: its gradient has the weights in it, not the numbers that were read.",
            "ntm-back-read",
            _with(dmemory=lambda memory, w, dr: memory * (w.T @ dr)),
        ),
        Mistake(
            "multiplied dw by the weights",
            "What was read is linear in w: a weight of 0 has a slope too, or a head could never come to a new row.",
            "ntm-back-read",
            _with(dw=lambda memory, w, dr: w * (dr @ memory.T)),
        ),
        Mistake(
            "took the gradient of w through a softmax",
            "Asked is that of the weights themselves; the stages that made them come later on the way back.",
            "ntm-back-read",
            _with(
                dw=lambda memory, w, dr: w * (dr @ memory.T - (w * (dr @ memory.T)).sum(axis=1, keepdims=True)),
            ),
        ),
        Mistake(
            "summed dw over the heads",
            "Each head has a weighting of its own, which only its own read depends on: row k of dw comes from row k of dr.",
            "ntm-back-read",
            _with(
                dw=lambda memory, w, dr: np.repeat((dr @ memory.T).sum(axis=0, keepdims=True), len(w), axis=0),
            ),
        ),
        Mistake(
            "have the sign of dw the wrong way round",
            "Every entry is the opposite of the right one. A head's weight on a row it should read would fall.",
            "ntm-back-read",
            _with(dw=lambda memory, w, dr: -dr @ memory.T),
        ),
    ),
)
