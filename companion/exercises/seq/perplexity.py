"""Implement: the perplexity of a model of words, and its bits per character."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.tree import Array, Indices


def perplexity_and_bits(p: Array, lengths: Indices) -> tuple[float, float]:
    """Probabilities p (N,) of N words of lengths (N,) -> perplexity, bits.

    The perplexity is one per word, the bits are those per character.
    """
    nats = -np.log(p)
    return np.exp(nats.mean()), nats.sum() / np.log(2) / lengths.sum()


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    """The last is so long that the product of its probabilities is 0 in floating point."""
    return [(rng.uniform(0.01, 0.9, size=N), rng.integers(2, 9, size=N)) for N in (5, 3, 1, 4000)]


def _perplexity(p: Array, lengths: Indices) -> Any:
    return np.exp(-np.log(p).mean())


def _bits(p: Array, lengths: Indices) -> Any:
    return -np.log2(p).sum() / lengths.sum()


def _with(perplexity: Any = _perplexity, bits: Any = _bits) -> Any:
    """The solution with one part replaced."""
    return lambda p, lengths: (perplexity(p, lengths), bits(p, lengths))


EXERCISE = Exercise(
    name="seq.perplexity",
    kind="implement",
    title="Two rulers for one model",
    statement="""
        A model of words gave the N words of a text the probabilities `p`, each given the words before it. They are `lengths`
        characters long, and each length includes the blank after the word. Return the model's perplexity per word, and how many
        bits it needs for one *character* of this text, so that it can be compared with a model of characters. The text may be
        long.
    """,
    solution=perplexity_and_bits,
    outputs=("the perplexity", "the bits"),
    cases=_cases,
    hints=(
        "The probability of the whole text is the product of all. Its logarithm is a sum, which does not underflow.",
        "Perplexity: take the *mean* over the words of $-\\ln p$ and then undo the logarithm, to the same base. "
        "Bits count logarithms to base 2.",
        "`np.exp(-np.log(p).mean())`; and all bits of the text, $-\\sum \\log_2 p$, shared out among all its characters.",
    ),
    mistakes=(
        Mistake(
            "averaged 1/p",
            "The perplexity is the *geometric* mean of 1/p: average the logarithms. Yours is larger, and lives on a few rare "
            "words.",
            "perplexity",
            _with(lambda p, lengths: (1 / p).mean()),
        ),
        Mistake(
            "averaged the probabilities",
            "One over the mean of p hardly notices a word that the model thought impossible; the mean of the logarithms does.",
            "perplexity",
            _with(lambda p, lengths: 1 / p.mean()),
        ),
        Mistake(
            "took e to the power of bits",
            "A mean of log2 p is undone by a power of 2, a mean of ln p by one of e.",
            "perplexity",
            _with(lambda p, lengths: np.exp(-np.log2(p).mean())),
        ),
        Mistake(
            "took 2 to the power of nats",
            "np.log is the logarithm to base e, which np.exp undoes. A power of 2 undoes np.log2.",
            "perplexity",
            _with(lambda p, lengths: 2 ** -np.log(p).mean()),
        ),
        Mistake(
            "summed the logarithms for the perplexity instead of averaging them",
            "Yours is 1 over the probability of the whole text, and grows without end with its length.",
            "perplexity",
            _with(lambda p, lengths: np.exp(-np.log(p).sum())),
        ),
        Mistake(
            "multiplied the probabilities before taking the root",
            "That is right for a short text. The product of thousands of probabilities is 0 in floating point: "
            "add logarithms instead.",
            "perplexity",
            _with(lambda p, lengths: np.prod(p) ** (-1 / len(p))),
        ),
        Mistake(
            "weighted the logarithms with p, as in an entropy",
            "An expectation over all words that *might* come needs their probabilities. These N words did come, and each counts "
            "once: take the plain mean.",
            "perplexity",
            _with(lambda p, lengths: np.exp(-(p * np.log(p)).sum())),
        ),
        Mistake(
            "lost the minus sign of the perplexity",
            "Yours is below 1: the mean probability of a word. The perplexity is one over that, a number of words.",
            "perplexity",
            _with(lambda p, lengths: np.exp(np.log(p).mean())),
        ),
        Mistake(
            "gave the perplexity per character",
            "It was asked for per word: divide by the number of words, N, before you undo the logarithm.",
            "perplexity",
            _with(lambda p, lengths: np.exp(-np.log(p).sum() / lengths.sum())),
        ),
        Mistake(
            "gave the bits per word",
            "All bits of the text are to be shared out among its characters, of which there are more than words.",
            "perplexity",
            _with(bits=lambda p, lengths: -np.log2(p).mean()),
        ),
        Mistake(
            "gave nats per character",
            "A bit is a logarithm to base 2. Divide nats by ln 2, or use np.log2.",
            "perplexity",
            _with(bits=lambda p, lengths: -np.log(p).sum() / lengths.sum()),
        ),
        Mistake(
            "averaged over the words the bits per character of each",
            "A character of a short word then counts more than one of a long word. Divide the sum of all bits by all characters.",
            "perplexity",
            _with(bits=lambda p, lengths: (-np.log2(p) / lengths).mean()),
        ),
        Mistake(
            "lost the minus sign of the bits",
            "The logarithm of a probability is negative; what it costs to write the text down is not.",
            "perplexity",
            _with(bits=lambda p, lengths: np.log2(p).sum() / lengths.sum()),
        ),
        Mistake(
            "divided the perplexity by the characters of a word",
            "The perplexity is not a sum over the characters, but its logarithm is: take the logarithm first, then divide.",
            "perplexity",
            _with(bits=lambda p, lengths: np.exp(-np.log(p).mean()) / lengths.mean()),
        ),
        Mistake(
            "gave the bits of the whole text",
            "Yours grows with the text; divide it by the number of characters.",
            "perplexity",
            _with(bits=lambda p, lengths: -np.log2(p).sum()),
        ),
        Mistake(
            "added a blank to each length",
            "The lengths include the blank after the word already; yours divides by N characters too many.",
            "perplexity",
            _with(bits=lambda p, lengths: -np.log2(p).sum() / (lengths + 1).sum()),
        ),
        Mistake(
            "took the blank off each length",
            "A model of characters has to predict the blanks as well, so they count as characters.",
            "perplexity",
            _with(bits=lambda p, lengths: -np.log2(p).sum() / (lengths - 1).sum()),
        ),
        Mistake(
            "returned the bits first and the perplexity second",
            "Both numbers are right. Exchange them.",
            "perplexity",
            lambda p, lengths: (_bits(p, lengths), _perplexity(p, lengths)),
        ),
    ),
)
