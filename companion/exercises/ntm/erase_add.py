"""Implement: several heads write at once."""

from collections.abc import Callable
from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.ops import sigmoid, softmax
from companion.tree import Array


def written_by_all(memory: Array, w: Array, erase: Array, add: Array) -> Array:
    """Memory (N, M), weightings w (K, N), erase and add (K, M) -> memory after.

    The erase vectors are shares in 0 ... 1. All heads erase before any adds.
    """
    after = memory.copy()
    for k in range(len(w)):
        after *= 1 - np.outer(w[k], erase[k])
    for k in range(len(w)):
        after += np.outer(w[k], add[k])
    return after


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(K: int, N: int, M: int) -> tuple[Any, ...]:
        w = softmax(rng.normal(size=(K, N)))
        return rng.normal(size=(N, M)), w, sigmoid(rng.normal(size=(K, M))), rng.normal(size=(K, M))

    memory, _, _, add = case(2, 5, 3)
    same_row = np.tile(np.eye(5)[2], (2, 1))  # both heads at one row, which both erase to nothing
    return [case(3, 5, 4), case(1, 6, 3), (memory, same_row, np.ones((2, 3)), add)]


def _with(
    kept: Callable[..., Array] = lambda w, erase: 1 - w[:, :, None] * erase[:, None],  # (K, N, M)
    together: Callable[[Array], Array] = lambda kept: kept.prod(axis=0),
    put: Callable[..., Array] = lambda w, erase, add, kept: w.T @ add,
) -> Any:
    """The solution with one part replaced."""

    def answer(memory: Array, w: Array, erase: Array, add: Array) -> Array:
        left = kept(w, erase)
        return np.asarray(memory * together(left) + put(w, erase, add, left))

    return answer


def _one_after_another(memory: Array, w: Array, erase: Array, add: Array) -> Array:
    for k in range(len(w)):
        memory = memory * (1 - np.outer(w[k], erase[k])) + np.outer(w[k], add[k])
    return memory


def _backwards(memory: Array, w: Array, erase: Array, add: Array) -> Array:
    return _one_after_another(memory, w[::-1], erase[::-1], add[::-1])


def _added_first(memory: Array, w: Array, erase: Array, add: Array) -> Array:
    return np.asarray((memory + w.T @ add) * (1 - w[:, :, None] * erase[:, None]).prod(axis=0))


EXERCISE = Exercise(
    name="ntm.erase_add",
    kind="implement",
    title="Several heads write at once",
    statement="""
        Equation (ntm write) is for one head. Several of them write in the same step, and it must not matter which comes
        first: all erase what the step before left, and only then all add. Two heads may stand at the same row. Return the
        new memory, and leave the old one as it is: the read heads and the backward pass still need it.
    """,
    solution=written_by_all,
    outputs=("memory",),
    cases=_cases,
    hints=(
        "One head keeps the share 1 - w(n) e of row n, a vector of M shares; `np.outer(w[k], erase[k])` are the shares that "
        "head k erases in all rows.",
        "What two heads keep is the *product* of what each keeps: the second erases a share of what the first has left. What "
        "they add is a sum.",
        "Two loops over the heads: the first multiplies a copy of the memory by `1 - np.outer(w[k], erase[k])`, the second "
        "adds `np.outer(w[k], add[k])`.",
    ),
    mistakes=(
        Mistake(
            "let each head erase and add before the next one came",
            "A later head erases what an earlier one has just added, so that their order matters.",
            "ntm-write",
            _one_after_another,
        ),
        Mistake(
            "let each head erase and add before the next one came, from the last head to the first",
            "An earlier head erases what a later one has just added, so that their order matters.",
            "ntm-write",
            _backwards,
        ),
        Mistake(
            "added before you erased",
            "What is new is erased at once: a head that erases all could never write anything.",
            "ntm-write",
            _added_first,
        ),
        Mistake(
            "summed the shares that the heads erase",
            "Two heads that erase three quarters each leave 1 - 1.5 of a row. The second erases a share of what is left: "
            "multiply what they keep.",
            "ntm-write",
            _with(together=lambda kept: 1 - (1 - kept).sum(axis=0)),
        ),
        Mistake(
            "erased with the last head only",
            "All heads erase. Look for an = in a loop where *= belongs.",
            "ntm-write",
            _with(together=lambda kept: kept[-1]),
        ),
        Mistake(
            "erased with the first head only",
            "All heads erase; what they keep of a number multiplies.",
            "ntm-write",
            _with(together=lambda kept: kept[0]),
        ),
        Mistake(
            "wrote with the first head only",
            "All heads erase, and then all add: look for a `return` inside a loop.",
            "ntm-write",
            lambda memory, w, erase, add: _one_after_another(memory, w[:1], erase[:1], add[:1]),
        ),
        Mistake(
            "wrote with the last head only",
            "All heads erase, and then all add. Look for a loop that begins with the old memory each time.",
            "ntm-write",
            lambda memory, w, erase, add: _one_after_another(memory, w[-1:], erase[-1:], add[-1:]),
        ),
        Mistake(
            "averaged what the heads keep",
            "A head that erases a row fully leaves nothing of it, whatever the others keep: multiply.",
            "ntm-write",
            _with(together=lambda kept: kept.mean(axis=0)),
        ),
        Mistake(
            "took the erase vector for what is kept",
            "e = 1 means that the row is erased, and a row without weight stays as it is: what is kept is 1 - w(n) e.",
            "ntm-write",
            _with(kept=lambda w, erase: w[:, :, None] * erase[:, None]),
        ),
        Mistake(
            "let the weight decide on all of what is kept, w(n) (1 - e)",
            "A row with weight 0 then loses everything, though no head stands there: what is kept is 1 - w(n) e.",
            "ntm-write",
            _with(kept=lambda w, erase: w[:, :, None] * (1 - erase[:, None])),
        ),
        Mistake(
            "erased every row alike, without the weights",
            "A head erases the share w(n) e of row n: rows far from it keep what they hold.",
            "ntm-write",
            _with(kept=lambda w, erase: 1 - np.ones_like(w)[:, :, None] * erase[:, None]),
        ),
        Mistake(
            "erased whole rows, with the mean of the erase vector",
            "Each of the M places has a share of its own: a head can erase some places of a row and keep others.",
            "ntm-write",
            _with(kept=lambda w, erase: 1 - w[:, :, None] * erase.mean(axis=1)[:, None, None]),
        ),
        Mistake(
            "erased nothing",
            "What is new then lies on top of what was there before.",
            "ntm-write",
            _with(kept=lambda w, erase: np.ones((*w.shape, erase.shape[1]))),
        ),
        Mistake(
            "added to every row alike, without the weights",
            "A head adds w(n) a to row n: most of it where it stands.",
            "ntm-write",
            _with(put=lambda w, erase, add, kept: np.repeat(add.sum(axis=0, keepdims=True), w.shape[1], axis=0)),
        ),
        Mistake(
            "added only as much as was erased",
            "Erasing and adding are separate: a head with e = 0 adds all of w(n) a to what is there.",
            "ntm-write",
            _with(put=lambda w, erase, add, kept: w.T @ (erase * add)),
        ),
        Mistake(
            "added with the last head only",
            "All heads add, and what they add is summed.",
            "ntm-write",
            _with(put=lambda w, erase, add, kept: np.outer(w[-1], add[-1])),
        ),
        Mistake(
            "averaged what the heads add",
            "Each head adds all of its w(n) a: two heads at one row add both their vectors to it.",
            "ntm-write",
            _with(put=lambda w, erase, add, kept: w.T @ add / len(w)),
        ),
        Mistake(
            "added nothing",
            "The memory can then only fade.",
            "ntm-write",
            _with(put=lambda w, erase, add, kept: np.zeros((w.shape[1], add.shape[1]))),
        ),
    ),
)
