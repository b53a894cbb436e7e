"""Implement: interpolated Kneser-Ney smoothing of bigrams."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.tree import Array, Indices


def kneser_ney_bigrams(ids: Indices, V: int, discount: float) -> Array:
    """Text ids (N,) of symbols 0 ... V-1, discount in (0, 1) -> p (V, V).

    Row v holds the probabilities of the symbol after v.
    """
    counts = np.zeros((V + 1, V))  # the last row is what follows the start mark
    np.add.at(counts, (np.append(V, ids[:-1]), ids), 1)
    p = np.full((1, V), 1 / V)
    for c in ((counts > 0).sum(axis=0)[None], counts[:V]):
        total, kinds = c.sum(axis=1, keepdims=True), (c > 0).sum(axis=1, keepdims=True)
        kept = np.maximum(c - discount, 0) + discount * kinds * p
        p = np.where(total > 0, kept / np.maximum(total, 1), p)
    return p


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    """Texts in which pairs repeat; one has symbols that never occur, one ends in a symbol of its own, one is short."""
    return [
        (np.array([0, 1, 2, 0, 1, 3, 0, 1, 1, 2, 3, 3, 0, 1]), 4, 0.75),
        (rng.choice([0, 2, 3, 5], size=17), 7, 0.5),
        (np.append(rng.integers(4, size=11), 4), 5, 0.3),
        (np.array([1, 1]), 3, 0.6),
    ]


class _KneserNey:
    """The solution in parts; a mistake replaces one of them."""

    def counts(self, ids: Indices, V: int) -> Any:
        """(V+1, V), the last row for the start mark."""
        counts = np.zeros((V + 1, V))
        np.add.at(counts, (np.append(V, ids[:-1]), ids), 1)
        return counts

    def continuation(self, counts: Array) -> Array:
        """(V,) the counts of the lower level."""
        return np.asarray((counts > 0).sum(axis=0))

    def kept(self, c: Array, discount: float) -> Any:
        """What discounting leaves of the counts."""
        return np.maximum(c - discount, 0)

    def mass(self, c: Array, discount: float) -> Any:
        """What is given to the level below."""
        return discount * (c > 0).sum(axis=1, keepdims=True)

    def unseen(self, c: Array, p: Array) -> Any:
        """The row of a context that was never followed by anything."""
        return p

    def level(self, c: Array, p: Array, discount: float) -> Any:
        """One level, given the one below."""
        total = c.sum(axis=1, keepdims=True)
        rows = (self.kept(c, discount) + self.mass(c, discount) * p) / np.maximum(total, 1)
        return np.where(total > 0, rows, self.unseen(c, p))

    def lower(self, counts: Array, discount: float) -> Any:
        """(1, V) the lower level."""
        return self.level(self.continuation(counts)[None], np.full(counts.shape[1], 1 / counts.shape[1]), discount)

    def __call__(self, ids: Indices, V: int, discount: float) -> Any:
        counts = self.counts(ids, V)
        return self.level(counts[:V], self.lower(counts, discount), discount)


def _once(ids: Indices, V: int) -> Array:
    counts = np.zeros((V + 1, V))
    counts[np.append(V, ids[:-1]), ids] += 1
    return counts


def _with(**parts: Any) -> Any:
    methods = {name: (lambda self, *args, part=part: part(*args)) for name, part in parts.items()}
    return type("_Mistaken", (_KneserNey,), methods)()


class _OnlyUnseen(_KneserNey):
    def level(self, c: Array, p: Array, discount: float) -> Any:
        total = c.sum(axis=1, keepdims=True)
        rows = np.where(c > 0, self.kept(c, discount), self.mass(c, discount) * p) / np.maximum(total, 1)
        return np.where(total > 0, rows, p)


class _OnlyUnseenAbove(_OnlyUnseen):
    def lower(self, counts: Array, discount: float) -> Any:
        return _KneserNey().lower(counts, discount)


EXERCISE = Exercise(
    name="seq.kneser_ney",
    kind="implement",
    title="How many doors a word comes through",
    statement="""
        Write Kneser-Ney smoothing of bigrams. The symbol before the text is a start mark, which is never predicted.

        - From every count of a row that is above 0 take `discount`. What was taken from a row is shared out among *all*
          symbols in proportion to $p(w)$ of the lower level. The row of a symbol that nothing follows is $p(w)$ itself.
        - The lower level does the same with a single row of counts: for each symbol, how many *different* symbols were seen
          right before it (the start mark is one). What is taken from these is shared out equally among all V symbols.

        Every row sums to one.
    """,
    solution=kneser_ney_bigrams,
    outputs=("p",),
    cases=_cases,
    hints=(
        "Count the pairs into a table with V+1 rows, the last for the start mark. How many entries of column w are above 0?",
        "What was taken from a row is `discount` times the number of its entries above 0. Dividing by the sum of the row gives "
        "probabilities again.",
        "Both levels are `(max(c - D, 0) + D kinds q) / c.sum()`. The lower one has c = (counts > 0).sum(axis=0) of all V+1 rows "
        "and q = 1/V; the upper one has the counts, row by row, and q = the lower one. Where a row is empty, take q.",
    ),
    mistakes=(
        Mistake(
            "used how often a symbol occurs at the lower level",
            "A symbol that is common but always follows the same one gets too much there: count its different neighbours.",
            "continuation",
            _with(continuation=lambda counts: counts.sum(axis=0)),
        ),
        Mistake(
            "counted the different symbols that *follow*",
            "The lower level asks after how many different symbols w occurs, which is to its left: a sum over rows.",
            "continuation",
            _with(continuation=lambda counts: (counts > 0)[:-1].sum(axis=1)),
        ),
        Mistake(
            "did not count the start mark as a neighbour",
            "The first symbol of the text follows the start mark, which counts as one more symbol seen before it.",
            "continuation",
            _with(continuation=lambda counts: (counts > 0)[:-1].sum(axis=0)),
        ),
        Mistake(
            "never gave back what you took",
            "The rows sum to less than one, and a pair that was never seen has probability 0, as without smoothing.",
            "kneser-ney",
            _with(mass=lambda c, discount: 0.0),
        ),
        Mistake(
            "gave back the discount only once for each row",
            "It was taken from *every* count above 0: multiply by how many of them the row has.",
            "kneser-ney",
            _with(mass=lambda c, discount: discount),
        ),
        Mistake(
            "gave back the discount once for each symbol counted, repeats included",
            "From a pair that was seen five times the discount is taken once. Your rows sum to more than one.",
            "kneser-ney",
            _with(mass=lambda c, discount: discount * c.sum(axis=1, keepdims=True)),
        ),
        Mistake(
            "gave back the discount without having taken it",
            "The counts above 0 have to become smaller by the discount first; your rows sum to more than one.",
            "kneser-ney",
            _with(kept=lambda c, discount: c),
        ),
        Mistake(
            "took the discount also from counts of 0",
            "A pair that was never seen has nothing to take from; yours starts below 0, and the rows sum to less than one.",
            "kneser-ney",
            _with(kept=lambda c, discount: c - discount),
        ),
        Mistake(
            "gave back only to the pairs that were never seen",
            "That is backing off, and rows of yours sum to less than one. Interpolation gives to all symbols, seen or not.",
            "kneser-ney",
            _OnlyUnseenAbove(),
        ),
        Mistake(
            "gave back only where a count is 0, at both levels",
            "That is backing off, twice. Interpolation gives to all symbols, seen or not, in the rows and in the lower level.",
            "kneser-ney",
            _OnlyUnseen(),
        ),
        Mistake(
            "did not divide what you give back by the sum of the row",
            "It was taken from counts, so it is a count, too: divide it like the others. Your rows sum to more than one.",
            "kneser-ney",
            _with(
                mass=lambda c, discount: discount * (c > 0).sum(axis=1, keepdims=True) * c.sum(axis=1, keepdims=True)
            ),
        ),
        Mistake(
            "gave back the discount V times for each row",
            "It was taken from the counts above 0 only: multiply by how many of them the row has, not by V.",
            "kneser-ney",
            _with(mass=lambda c, discount: discount * c.shape[1]),
        ),
        Mistake(
            "counted each different pair only once",
            "counts[a, b] += 1 with arrays adds 1 to an entry however often they name it. np.add.at adds every time.",
            "kneser-ney",
            _with(counts=_once),
        ),
        Mistake(
            "did not discount the lower level",
            "It is smoothed in the same way, and what is taken goes to all V symbols. In yours a symbol that never occurs has "
            "probability 0: either nothing was taken there, or it went back to the symbols that occur.",
            "continuation",
            _with(
                lower=lambda counts, discount: (counts > 0).sum(axis=0)[None] / (counts > 0).sum(),
            ),
        ),
        Mistake(
            "left out the lower level and gave every symbol the same share",
            "What is taken from a row goes to the symbols in proportion to p(w) of the lower level, not equally.",
            "kneser-ney",
            _with(lower=lambda counts, discount: np.full((1, counts.shape[1]), 1 / counts.shape[1])),
        ),
        Mistake(
            "left the row of a symbol that nothing follows at zero",
            "Where nothing is known about what follows, the lower level is all there is: the row is p(w).",
            "kneser-ney",
            _with(unseen=lambda c, p: np.zeros_like(p)),
        ),
        Mistake(
            "made the row of a symbol that nothing follows uniform",
            "Even after a symbol that was never seen some are likelier than others: the row is p(w) of the lower level.",
            "kneser-ney",
            _with(unseen=lambda c, p: np.full_like(p, 1 / c.shape[1])),
        ),
    ),
)
