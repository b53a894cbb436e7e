"""Implement: a bigram table with add-k smoothing."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.tree import Array, Indices


def add_k_bigrams(ids: Indices, V: int, k: float) -> Array:
    """Text ids (N,) of symbols 0 ... V-1, number k -> p (V, V).

    Row v holds the probabilities of the symbol after v; there is no start mark.
    """
    counts = np.zeros((V, V))
    np.add.at(counts, (ids[:-1], ids[1:]), 1)
    return np.asarray((counts + k) / (counts.sum(axis=1, keepdims=True) + k * V))


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    """A text of all symbols, one that leaves some out, one with a single pair over and over, and one without a pair."""
    return [
        (rng.integers(4, size=14), 4, 0.5),
        (rng.choice([0, 2, 3], size=9), 6, 0.1),
        (np.array([1, 1, 1, 1]), 3, 2.0),
        (np.array([2]), 5, 1.5),
    ]


def _counts(ids: Indices, V: int) -> Array:
    counts = np.zeros((V, V))
    np.add.at(counts, (ids[:-1], ids[1:]), 1)
    return counts


def _with(
    counted: Any = _counts,
    above: Any = lambda counts, k: counts + k,
    below: Any = lambda counts, ids, V, k: counts.sum(axis=1, keepdims=True) + k * V,
) -> Any:
    """The solution with another count, numerator or denominator."""

    def answer(ids: Indices, V: int, k: float) -> Any:
        counts = counted(ids, V)
        return above(counts, k) / below(counts, ids, V, k)

    return answer


def _once(ids: Indices, V: int) -> Array:
    counts = np.zeros((V, V))
    counts[ids[:-1], ids[1:]] += 1
    return counts


EXERCISE = Exercise(
    name="seq.add_k",
    kind="implement",
    title="A little of everything",
    statement="""
        Count which symbol follows which in a text, and turn the counts into probabilities as if every pair had been seen `k`
        times more. Mind the symbols that the text never uses: their row and their column are part of the table.
    """,
    solution=add_k_bigrams,
    outputs=("p",),
    cases=_cases,
    hints=(
        "The pairs are `ids[:-1]` and `ids[1:]`. Count them into a table of shape (V, V), row by what came first.",
        "`counts[a, b] += 1` with arrays a and b adds 1 only once to an entry that they name twice: use `np.add.at`, or a loop.",
        "`(counts + k) / (counts.sum(axis=1, keepdims=True) + k * V)`: every row has been given V times k.",
    ),
    mistakes=(
        Mistake(
            "added k once below the line instead of V times",
            "Every one of the V entries of a row got k more; your rows sum to more than one.",
            "add-k",
            _with(below=lambda counts, ids, V, k: counts.sum(axis=1, keepdims=True) + k),
        ),
        Mistake(
            "added k above the line only",
            "A row got V k more altogether. Yours sums to more than one, and is infinite where nothing was counted.",
            "add-k",
            _with(below=lambda counts, ids, V, k: counts.sum(axis=1, keepdims=True)),
        ),
        Mistake(
            "added k below the line only",
            "A pair that was never seen still has probability 0, and the rows sum to less than one.",
            "add-k",
            _with(above=lambda counts, k: counts),
        ),
        Mistake(
            "put what follows in the rows and what comes before in the columns",
            "Row v should say what comes *after* v. Yours is the table of what comes before it.",
            "n-gram",
            _with(counted=lambda ids, V: _counts(ids, V).T),
        ),
        Mistake(
            "divided by the sums of the columns",
            "Every row is a distribution of what comes next, so the rows have to sum to one. Your columns do.",
            "add-k",
            _with(below=lambda counts, ids, V, k: counts.sum(axis=0) + k * V),
        ),
        Mistake(
            "divided every column by the sum of a row",
            "Without keepdims=True the V sums lie in a row, and broadcasting divides column by column.",
            "add-k",
            _with(below=lambda counts, ids, V, k: counts.sum(axis=1) + k * V),
        ),
        Mistake(
            "did not divide",
            "Yours are counts with k added. Divide each by the sum of its row.",
            "add-k",
            _with(below=lambda counts, ids, V, k: 1.0),
        ),
        Mistake(
            "divided by the count of all pairs",
            "Yours are probabilities of pairs, which sum to one over the whole table. Every row should.",
            "add-k",
            _with(below=lambda counts, ids, V, k: counts.sum() + k * V * V),
        ),
        Mistake(
            "counted each different pair only once",
            "counts[a, b] += 1 with arrays adds 1 to an entry however often they name it. np.add.at adds every time.",
            "n-gram",
            _with(counted=_once),
        ),
        Mistake(
            "took the last symbol of the text for a context",
            "Nothing follows it. Divide by how often v was *followed*, the sum of its row, not by how often v occurs.",
            "add-k",
            _with(below=lambda counts, ids, V, k: np.bincount(ids, minlength=V)[:, None] + k * V),
        ),
        Mistake(
            "let the first symbol follow the last one",
            "A text is not a ring: np.roll makes up a pair that is not there. N symbols have N - 1 pairs.",
            "n-gram",
            _with(counted=lambda ids, V: _counts(np.append(ids, ids[0]), V)),
        ),
        Mistake(
            "added 1 whatever k is",
            "Adding one is the case k = 1 of this formula; mostly a smaller k is better.",
            "add-k",
            lambda ids, V, k: add_k_bigrams(ids, V, 1.0),
        ),
        Mistake(
            "gave k only to the pairs that were never seen",
            "Every pair gets k more, the seen ones too; otherwise your rows sum to less than one.",
            "add-k",
            _with(above=lambda counts, k: np.where(counts == 0, k, counts)),
        ),
        Mistake(
            "took as V the number of symbols that the text uses",
            "The symbols that it never uses have a column too, with k in it. Your rows sum to more than one.",
            "add-k",
            _with(below=lambda counts, ids, V, k: counts.sum(axis=1, keepdims=True) + k * len(np.unique(ids))),
        ),
        Mistake(
            "made the table only as large as the largest symbol of the text asks for",
            "V is an argument: the symbols above it, which the text never uses, have a row and a column too.",
            "add-k",
            lambda ids, V, k: add_k_bigrams(ids, int(ids.max()) + 1, k),
        ),
        Mistake(
            "left the pairs that were never seen at 0",
            "They are the ones that k is for: every pair gets k more, also where the count is 0.",
            "add-k",
            _with(above=lambda counts, k: np.where(counts == 0, 0, counts + k)),
        ),
        Mistake(
            "gave the table a row for a start mark",
            "This table has none: it has the V rows of the symbols, and the first symbol of the text follows nothing.",
            "add-k",
            _with(counted=lambda ids, V: np.vstack([_counts(ids, V), np.eye(V)[ids[:1]]])),
        ),
    ),
)
