"""Find the bug: a model of a text that is better than what the text was drawn from."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.tree import Array, Indices


def buggy_bigrams(ids: Indices, V: int, discount: float) -> Array:
    """Text ids (N,) of symbols 0 ... V-1, discount in (0, 1) -> p (V, V)."""
    counts = np.zeros((V, V))
    np.add.at(counts, (ids[:-1], ids[1:]), 1)
    unigram = (np.bincount(ids, minlength=V) + 1) / (len(ids) + V)
    total = counts.sum(axis=1, keepdims=True)
    kept = np.maximum(counts - discount, 0) / np.maximum(total, 1)
    return np.where(total > 0, kept + discount * unigram, unigram)


def repaired_bigrams(ids: Indices, V: int, discount: float) -> Array:
    """Text ids (N,) of symbols 0 ... V-1, discount in (0, 1) -> p (V, V)."""
    counts = np.zeros((V, V))
    np.add.at(counts, (ids[:-1], ids[1:]), 1)
    unigram = (np.bincount(ids, minlength=V) + 1) / (len(ids) + V)
    total = counts.sum(axis=1, keepdims=True)
    kept = np.maximum(counts - discount, 0) / np.maximum(total, 1)
    taken = discount * (counts > 0).sum(axis=1, keepdims=True) / np.maximum(total, 1)
    return np.where(total > 0, kept + taken * unigram, unigram)


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    """Texts in which pairs repeat; some symbols of the second never occur."""
    return [
        (np.array([0, 1, 2, 0, 1, 3, 0, 1, 1, 2, 3, 3, 0, 1]), 4, 0.75),
        (rng.choice([0, 2, 3, 5], size=25), 7, 0.5),
        (rng.integers(3, size=12), 5, 0.3),
    ]


def _with(
    taken: Any = lambda counts, total, discount: discount * (counts > 0).sum(axis=1, keepdims=True) / total,
    kept: Any = lambda counts, discount: np.maximum(counts - discount, 0),
    base: Any = lambda unigram: unigram,
    joined: Any = lambda kept, given, counts: kept + given,
) -> Any:
    """The repaired function with one part replaced."""

    def answer(ids: Indices, V: int, discount: float) -> Any:
        counts = np.zeros((V, V))
        np.add.at(counts, (ids[:-1], ids[1:]), 1)
        unigram = (np.bincount(ids, minlength=V) + 1) / (len(ids) + V)
        total = counts.sum(axis=1, keepdims=True)
        some = np.maximum(total, 1)
        rows = joined(kept(counts, discount) / some, taken(counts, some, discount) * base(unigram), counts)
        return np.where(total > 0, rows, unigram)

    return answer


def _normalised(ids: Indices, V: int, discount: float) -> Any:
    p = buggy_bigrams(ids, V, discount)
    return p / p.sum(axis=1, keepdims=True)


def _continuation(ids: Indices, V: int, discount: float) -> Any:
    counts = np.zeros((V, V))
    np.add.at(counts, (ids[:-1], ids[1:]), 1)
    seen, total = counts > 0, counts.sum(axis=1, keepdims=True)
    lower = seen.sum(axis=0) / seen.sum()
    rows = np.maximum(counts - discount, 0) + discount * seen.sum(axis=1, keepdims=True) * lower
    return np.where(total > 0, rows / np.maximum(total, 1), lower)


EXERCISE = Exercise(
    name="seq.hunt_smoothing",
    kind="find the bug",
    title="Better than the truth",
    statement="""
        Somebody draws a text of 5,000 symbols from a Markov chain over 20 symbols, fits this smoothed bigram table to it with a
        discount of 0.75, and measures its perplexity on 5,000 symbols more. It is about 9, where the very chain that drew the
        text reaches 14, and in the long run no model is better than that. The first test, on a text in which no pair
        occurs twice, finds that every row sums to one.
        Find the bug: what is taken from the counts of a row should be given back in proportion to `unigram`.
    """,
    solution=repaired_bigrams,
    outputs=("p",),
    cases=_cases,
    given=(buggy_bigrams,),
    hints=(
        "A model whose rows sum to more than one can look as good as it likes. Sum the rows of a text in which pairs repeat.",
        "How much is taken from a row? From each of its entries above 0 the discount, whatever the count. "
        "How much is given back?",
        "After the division by `total`, the share that was taken is `discount` times the number of entries above 0, over "
        "`total`. It is `discount` alone only where every pair of the row occurs once.",
    ),
    mistakes=(
        Mistake(
            "handed in the bug unchanged",
            "Rows in which pairs repeat still sum to more than one, and a perplexity of such a table means nothing.",
            "kneser-ney",
            buggy_bigrams,
        ),
        Mistake(
            "divided every row by its sum",
            "Now the rows sum to one, but rare symbols have too much: each row should give back just what was taken from it.",
            "kneser-ney",
            _normalised,
        ),
        Mistake(
            "left out the number of pairs that were discounted",
            "The discount is taken from *every* count above 0; yours gives it back once, and the rows sum to less than one.",
            "kneser-ney",
            _with(lambda counts, total, discount: discount / total),
        ),
        Mistake(
            "left out the discount in what is given back",
            "The number of pairs over the total would be right for a discount of 1; the rows sum to more than one.",
            "kneser-ney",
            _with(lambda counts, total, discount: (counts > 0).sum(axis=1, keepdims=True) / total),
        ),
        Mistake(
            "did not divide what is given back by the total",
            "The counts were divided by the total of their row, so what was taken from them has to be, too.",
            "kneser-ney",
            _with(lambda counts, total, discount: discount * (counts > 0).sum(axis=1, keepdims=True)),
        ),
        Mistake(
            "counted the discounted pairs of a column",
            "What is taken from row v are the pairs that begin with v: count along the row, axis 1.",
            "kneser-ney",
            _with(lambda counts, total, discount: discount * (counts > 0).sum(axis=0)[:, None] / total),
        ),
        Mistake(
            "gave back only to the pairs that were never seen",
            "Then a part of what was taken is lost, for the unigram probabilities of those pairs do not sum to one.",
            "kneser-ney",
            _with(joined=lambda kept, given, counts: np.where(counts > 0, kept, given)),
        ),
        Mistake(
            "gave nothing back",
            "A pair that was never seen has probability 0 now, and the rows sum to less than one.",
            "kneser-ney",
            _with(lambda counts, total, discount: 0.0),
        ),
        Mistake(
            "gave every symbol the same share",
            "The rows sum to one, but what was taken should go to the symbols in proportion to `unigram`.",
            "kneser-ney",
            _with(base=lambda unigram: np.full_like(unigram, 1 / len(unigram))),
        ),
        Mistake(
            "mixed instead of discounting",
            "(1 - D) c / total + D unigram sums to one too, but takes most from the largest counts, which are the most certain.",
            "kneser-ney",
            _with(lambda counts, total, discount: discount, lambda counts, discount: (1 - discount) * counts),
        ),
        Mistake(
            "replaced `unigram` by the number of different symbols before each",
            "That is the lower level of Kneser-Ney, and your rows sum to one. But what was taken from a row should be given back "
            "in proportion to `unigram`: the bug is elsewhere.",
            "continuation",
            _continuation,
        ),
    ),
)
