"""Implement: the accuracy by letters and by words."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.tree import Indices


def letters_and_words(predictions: Indices, labels: Indices, lengths: Indices) -> tuple[float, float]:
    """Predictions, labels (T, B), lengths (B,) -> accuracy by letters, by words.

    Both lie between 0 and 1. What stands behind the end of a word means nothing.
    """
    real = np.arange(len(labels))[:, None] < lengths
    right = predictions == labels
    return right[real].mean(), (right | ~real).all(axis=0).mean()


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    """Mostly right predictions, and padding that is sometimes right by chance."""

    def case(T: int, errors: int, *lengths: int) -> tuple[Any, ...]:
        labels = rng.integers(9, size=(T, len(lengths)))
        real = np.arange(T)[:, None] < np.array(lengths)
        predictions = np.where(real, labels, rng.integers(9, size=labels.shape))
        for b in rng.choice(len(lengths), size=errors, replace=False):
            predictions[rng.integers(lengths[b]), b] += 1
        predictions[-1, 0] = labels[-1, 0]
        return predictions, labels, np.array(lengths)

    return [case(8, 3, 5, 6, 2, 4, 8, 1, 3), case(4, 1, 4, 1, 3), case(5, 2, 3, 2), case(1, 1, 1, 1)]


def _with(
    real: Any = lambda t, lengths, T: t < lengths,
    letters: Any = lambda right, real: right[real].mean(),
    words: Any = lambda right, real: (right | ~real).all(axis=0).mean(),
) -> Any:
    """The solution with one part replaced."""

    def answer(predictions: Indices, labels: Indices, lengths: Indices) -> Any:
        T = len(labels)
        mask = real(np.arange(T)[:, None], lengths, T)
        right = predictions == labels
        return letters(right, mask), words(right, mask)

    return answer


def _of_each_word(right: Any, real: Any) -> Any:
    return (right & real).sum(axis=0) / real.sum(axis=0)


EXERCISE = Exercise(
    name="bi.accuracy",
    kind="implement",
    title="Right letters, right words",
    statement="""
        A network has given one label for each letter of B words, padded to T steps. Return two fractions: of the letters of
        all words, how many are right, every letter counting once; and of the words, how many are right in every letter.
        Build the mask from the lengths first.
    """,
    solution=letters_and_words,
    outputs=("the accuracy by letters", "the accuracy by words"),
    cases=_cases,
    hints=(
        "A step t, counted from 0, of a word of n letters is real where t < n. Compare a column of steps with the lengths.",
        "`right[real]` holds one True or False for every real letter, and nothing of the padding. A word asks the same of all "
        "its letters, and nothing of its padding.",
        "`real = np.arange(T)[:, None] < lengths`. A word is right where `(right | ~real).all(axis=0)`.",
    ),
    mistakes=(
        Mistake(
            "counted the padding as right letters",
            "Your accuracy by letters is too high, and rises with the amount of padding. For words it does no harm.",
            "masked-loss",
            _with(letters=lambda right, real: (right | ~real).mean()),
        ),
        Mistake(
            "ignored the lengths",
            "The padding is counted as if it were letters, right or wrong by chance.",
            "masked-loss",
            _with(real=lambda t, lengths, T: t < T + 0 * lengths),
        ),
        Mistake(
            "divided by all T B steps, the padding included",
            "Every padded step counts as a wrong letter.",
            "masked-loss",
            _with(letters=lambda right, real: (right & real).mean()),
        ),
        Mistake(
            "counted one step too many, <= for <",
            "A word of n letters has the steps 0 to n - 1; with t <= n the first padded step counts too.",
            "masked-step",
            _with(real=lambda t, lengths, T: t <= lengths),
        ),
        Mistake(
            "counted one step too few",
            "Counted from 0, the last letter of a word of n letters is step n - 1; you left it out.",
            "masked-step",
            _with(real=lambda t, lengths, T: t < lengths - 1),
        ),
        Mistake(
            "put the real steps at the end of the array",
            "The words begin at step 0 and the padding follows: your mask holds where t >= T - n, which is padding first.",
            "masked-step",
            _with(real=lambda t, lengths, T: t >= T - lengths),
        ),
        Mistake(
            "took the mean over the words of each word's accuracy",
            "A letter of a short word then counts more than one of a long word; every letter should count once.",
            "masked-loss",
            _with(letters=lambda right, real: _of_each_word(right, real).mean()),
        ),
        Mistake(
            "gave a word credit for the letters that are right",
            "A word with one wrong letter is a wrong word; your words get a fraction.",
            "masked-loss",
            _with(words=lambda right, real: _of_each_word(right, real).mean()),
        ),
        Mistake(
            "called a word right when one of its letters is",
            "np.any asks for one right letter, np.all for all of them.",
            "masked-loss",
            _with(words=lambda right, real: (right & real).any(axis=0).mean()),
        ),
        Mistake(
            "asked the padding of a word to be right too",
            "A short word then fails for what stands behind its end, so only words that fill all T steps have a fair chance.",
            "masked-loss",
            _with(words=lambda right, real: right.all(axis=0).mean()),
        ),
        Mistake(
            "looked along the wrong axis for the words that are right",
            "A word is a column: yours asks, for every step, whether all words are right there.",
            "masked-loss",
            _with(words=lambda right, real: (right | ~real).all(axis=1).mean()),
        ),
        Mistake(
            "gave percentages",
            "Both numbers are right, but 100 times too large: fractions lie between 0 and 1.",
            "masked-loss",
            _with(
                letters=lambda right, real: 100 * right[real].mean(),
                words=lambda right, real: 100 * (right | ~real).all(axis=0).mean(),
            ),
        ),
        Mistake(
            "counted the errors",
            "Yours are the fractions of wrong letters and of wrong words.",
            "masked-loss",
            _with(
                letters=lambda right, real: 1 - right[real].mean(),
                words=lambda right, real: 1 - (right | ~real).all(axis=0).mean(),
            ),
        ),
    ),
)
