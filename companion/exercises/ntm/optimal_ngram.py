"""Derive: the best prediction of a bit from a table that nobody has seen."""

from collections.abc import Callable
from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.tree import Array, Indices


def next_bit_probabilities(bits: Indices, context: int, a: float, b: float) -> Array:
    """Bits (T,) of 0 and 1 -> p (T,).

    p[t] is the probability that bits[t] is 1, given bits[:t] and no later ones.
    """
    counts = np.zeros((2**context, 2))  # of zeros and of ones after each context
    p = np.full(len(bits), 0.5)
    for t in range(context, len(bits)):
        row = counts[int("".join(map(str, bits[t - context : t])), 2)]
        p[t] = (row[1] + a) / (row.sum() + a + b)
        row[bits[t]] += 1
    return p


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    """Bits of random sources, long enough for every context to come often, and one too short for any to come."""

    def case(T: int, context: int, a: float, b: float) -> tuple[Any, ...]:
        table, bits = rng.beta(a, b, 2**context), list(rng.integers(0, 2, context))
        while len(bits) < T:
            bits.append(int(rng.random() < table[int("".join(map(str, bits[-context:])), 2)]))
        return np.array(bits), context, a, b

    return [case(40, 2, 0.7, 1.6), case(60, 3, 0.5, 0.5), case(25, 1, 2.0, 0.8), case(5, 4, 1.3, 0.4)]


def _with(
    estimate: Callable[..., float] = lambda ones, zeros, a, b: (ones + a) / (ones + zeros + a + b),
    key: Callable[..., Any] = lambda bits, t, k: tuple(bits[t - k : t]),
    peek: bool = False,
    early: Callable[..., float] | None = None,
    whole: bool = False,
) -> Any:
    """The solution with another estimate of the counts, another context, or other bits that are counted."""

    def answer(bits: Indices, context: int, a: float, b: float) -> Any:
        T, p = len(bits), np.full(len(bits), 0.5)
        keys = {t: key(bits, t, context) for t in range(context, T)}
        for t in range(context, T):
            past = range(context, T) if whole else range(context, t + peek)
            found = [bits[i] for i in past if keys[i] == keys[t]]
            p[t] = estimate(sum(found), len(found) - sum(found), a, b)
        if early is not None:
            p[:context] = [early(bits[:t], a, b) for t in range(min(context, T))]
        return p

    return answer


def _divided(over: float, by: float) -> float:
    return over / by if by else 0.5


def _one_step_late(bits: Indices, context: int, a: float, b: float) -> Any:
    return np.append(0.5, next_bit_probabilities(bits, context, a, b)[:-1])


EXERCISE = Exercise(
    name="ntm.optimal_ngram",
    kind="derive",
    title="The best that any predictor can do",
    statement="""
        A source of bits has a table with one probability for each context, the `context` bits before: that the next bit is 1.
        For every sequence it draws each entry of the table from a Beta(a, b) distribution, whose density is proportional to
        $p^{a-1} (1-p)^{b-1}$. The first `context` bits are fair coins, and every later one is drawn from the table. Nobody sees
        the table. Derive the probability that the next bit is 1, given all bits so far, and write the predictor that no net
        can beat. The chapter has it for a = b = 1/2 only. `context` is at least 1.
    """,
    solution=next_bit_probabilities,
    outputs=("p",),
    cases=_cases,
    hints=(
        "Which of the earlier bits say anything about the entry that is asked for now? Those that came after the same context, "
        "and were drawn from the table: N1 ones and N0 zeros.",
        "By Bayes' rule the density of the entry is proportional to $p^{N_1} (1-p)^{N_0}$ times that of the prior, which is a "
        "Beta distribution again. The probability of a 1 is its mean. A Beta(a, b) has the mean a / (a + b).",
        "$(N_1 + a) / (N_1 + N_0 + a + b)$, and 1/2 in the first `context` steps. Go through the bits once: predict, and only "
        "then count the bit, with a dictionary or an array of counts for the contexts.",
    ),
    mistakes=(
        Mistake(
            "counted the bit that is to be predicted",
            "Predict first, then count. With the answer among the counts the prediction is always too good.",
            "ntm-optimal-ngram",
            _with(peek=True),
        ),
        Mistake(
            "counted the whole sequence, with what comes later",
            "A predictor knows bits[:t] only. Counts of the whole sequence contain the bit itself and all after it.",
            "ntm-optimal-ngram",
            _with(whole=True),
        ),
        Mistake(
            "exchanged a and b",
            "a goes with the ones: p^(a - 1) grows towards p = 1 when a is large.",
            "ntm-optimal-ngram",
            _with(lambda ones, zeros, a, b: (ones + b) / (ones + zeros + a + b)),
        ),
        Mistake(
            "gave the probability of a zero",
            "p is that of a 1; yours and the right one sum to 1.",
            "ntm-optimal-ngram",
            _with(lambda ones, zeros, a, b: (zeros + b) / (ones + zeros + a + b)),
        ),
        Mistake(
            "left out what is known before",
            "N1 / (N1 + N0) is 0 or 1 after a single bit, and one surprise then costs infinitely much.",
            "ntm-optimal-ngram",
            _with(lambda ones, zeros, a, b: _divided(ones, ones + zeros)),
        ),
        Mistake(
            "took a = b = 1/2 whatever they are",
            "That is the formula of the chapter. With another prior other numbers are added: go back to Bayes' rule.",
            "ntm-optimal-ngram",
            _with(lambda ones, zeros, a, b: (ones + 0.5) / (ones + zeros + 1)),
        ),
        Mistake(
            "added 1 to each count",
            "That is right if every probability is equally likely before, Beta(1, 1).",
            "ntm-optimal-ngram",
            _with(lambda ones, zeros, a, b: (ones + 1) / (ones + zeros + 2)),
        ),
        Mistake(
            "added a to the ones, and 1 to their number",
            "What is added below is a + b, which is 1 only for numbers such as those of the chapter.",
            "ntm-optimal-ngram",
            _with(lambda ones, zeros, a, b: (ones + a) / (ones + zeros + 1)),
        ),
        Mistake(
            "took the most likely entry instead of the mean",
            "The largest density is at (N1 + a - 1) / (N + a + b - 2). The next bit may come from any entry, each with "
            "its own probability: that makes the mean.",
            "ntm-optimal-ngram",
            _with(lambda ones, zeros, a, b: _divided(ones + a - 1, ones + zeros + a + b - 2)),
        ),
        Mistake(
            "predicted the more likely bit",
            "A 0 or 1 is not a probability: the one time that it is wrong costs infinitely much.",
            "ntm-optimal-ngram",
            _with(lambda ones, zeros, a, b: float((ones + a) / (ones + zeros + a + b) > 0.5)),
        ),
        Mistake(
            "counted all bits, whatever came before",
            "Every context has an entry of its own, and bits after another context say nothing of it.",
            "ntm-optimal-ngram",
            _with(key=lambda bits, t, k: ()),
        ),
        Mistake(
            "took a context that is one bit too short",
            "The entry depends on `context` bits; with one less you mix two entries.",
            "ntm-optimal-ngram",
            _with(key=lambda bits, t, k: tuple(bits[t - k + 1 : t])),
        ),
        Mistake(
            "took a context that is one bit too long",
            "The entry depends on `context` bits; with one more you split what belongs together, and learn half as fast.",
            "ntm-optimal-ngram",
            _with(key=lambda bits, t, k: tuple(bits[max(t - k - 1, 0) : t])),
        ),
        Mistake(
            "let only the number of ones in the context count",
            "01 and 10 are different contexts, with an entry each.",
            "ntm-optimal-ngram",
            _with(key=lambda bits, t, k: int(sum(bits[t - k : t]))),
        ),
        Mistake(
            "gave the first bits the mean of the table",
            "The first `context` bits do not come from the table: they are fair coins.",
            "ntm-optimal-ngram",
            _with(early=lambda before, a, b: a / (a + b)),
        ),
        Mistake(
            "counted the first bits too",
            "The first `context` bits are fair coins whatever they have been: 1/2 each.",
            "ntm-optimal-ngram",
            _with(early=lambda before, a, b: (sum(before) + a) / (len(before) + a + b)),
        ),
        Mistake(
            "are one step late",
            "p[t] is for bits[t] itself, given those before it. Yours at t is for the bit before.",
            "ntm-optimal-ngram",
            _one_step_late,
        ),
        Mistake(
            "are one step early",
            "p[t] is for bits[t], not for bits[t + 1]: bits[t] may not be looked at.",
            "ntm-optimal-ngram",
            lambda bits, context, a, b: next_bit_probabilities(np.append(bits, 0), context, a, b)[1:],
        ),
    ),
)
