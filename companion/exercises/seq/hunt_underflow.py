"""Find the bug: a forward recursion with a constant that hides an underflow."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.exercises.seq.forward import random_model
from companion.tree import Array


def buggy_log_likelihood(xs: Array, start: Array, transition: Array, emission: Array) -> float:
    """Symbols xs (T,) -> log p(xs), summed over all paths of states.

    start (S,); transition (S, S), row = from, column = to; emission (S, V).
    """
    alpha = start * emission[:, xs[0]]
    for x in xs[1:]:
        alpha = (alpha @ transition) * emission[:, x]
    return float(np.log(alpha.sum() + 1e-300))  # never the logarithm of 0


def scaled_log_likelihood(xs: Array, start: Array, transition: Array, emission: Array) -> float:
    """Symbols xs (T,) -> log p(xs), summed over all paths of states.

    start (S,); transition (S, S), row = from, column = to; emission (S, V).
    """
    alpha = start * emission[:, xs[0]]
    total = np.log(alpha.sum())
    for x in xs[1:]:
        alpha = ((alpha / alpha.sum()) @ transition) * emission[:, x]
        total += np.log(alpha.sum())
    return float(total)


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    """The last is too long for floats of 80 bits as well."""
    return [random_model(rng, *sizes) for sizes in ((6, 3, 4), (1, 2, 3), (400, 4, 27), (2500, 3, 200))]


def _with(
    share: Any = lambda alpha: alpha / alpha.sum(),
    move: Any = lambda alpha, A: alpha @ A,
    total: Any = lambda sums, rest: np.log(sums).sum(),
) -> Any:
    """The solution with one part replaced; `sums` are those before the division, `rest` is what the last step leaves."""

    def answer(xs: Array, start: Array, transition: Array, emission: Array) -> float:
        alpha = start * emission[:, xs[0]]
        sums = [alpha.sum()]
        for x in xs[1:]:
            alpha = move(share(alpha), transition) * emission[:, x]
            sums.append(alpha.sum())
        return float(total(np.array(sums), alpha))

    return answer


def _mean_field(xs: Array, start: Array, transition: Array, emission: Array) -> float:
    scales, expected = [], start
    for x in xs:
        scales.append(expected @ emission[:, x])
        expected = expected @ transition
    return float(np.log(scales).sum())


def _largest(xs: Array, start: Array, transition: Array, emission: Array) -> float:
    alpha = start * emission[:, xs[0]]
    total = 0.0
    for x in xs[1:]:
        total += np.log(alpha.max())
        alpha = ((alpha / alpha.max()) @ transition) * emission[:, x]
    return float(total + np.log(alpha.max()))


def _of_logarithms(xs: Array, start: Array, transition: Array, emission: Array) -> float:
    score = np.log(start) + np.log(emission[:, xs[0]])
    for x in xs[1:]:
        score = (score[:, None] + np.log(transition)).max(axis=0) + np.log(emission[:, x])
    return float(score.max())


def _unscaled(total: Any) -> Any:
    return _with(share=lambda alpha: alpha, total=total)


EXERCISE = Exercise(
    name="seq.hunt_underflow",
    kind="find the bug",
    title="Every long text is equally likely",
    statement="""
        Two models have learned from the letters of two authors, and a text is given to the author whose model makes it more
        likely. On single words the function below is right to the last digit. On texts of 27 different signs and
        300 or more of them, both models return -690.8 for every text, and the first author gets them all. Find the bug
        and hand in a function that is right for any length. Where does -690.8 come from, and what has hidden the bug?
    """,
    solution=scaled_log_likelihood,
    outputs=("the log-likelihood",),
    cases=_cases,
    given=(buggy_log_likelihood,),
    hints=(
        "`np.exp(-690.8)` is the constant. What, then, is `alpha.sum()`? The smallest positive float is about 5e-324, and "
        "each letter makes alpha some 27 times smaller.",
        "A constant only hides that the numbers are lost already. Divide alpha by its sum in every step, so that "
        "it never gets small, and remember what you have divided by.",
        "$p(x)$ is the product of all these sums, so its logarithm is the sum of their logarithms: add `np.log(alpha.sum())` "
        "in every step, the first included.",
    ),
    mistakes=(
        Mistake(
            "handed in the bug unchanged",
            "Once alpha has underflowed to 0, the sum is the constant alone, whatever the text.",
            "hmm-scale",
            buggy_log_likelihood,
        ),
        Mistake(
            "took the logarithm of a product that has underflowed",
            "Without the constant a long text gives log 0 = -inf, which is more honest. But p(x) itself is too small for a "
            "float, also as a product of scales: add logarithms instead.",
            "hmm-scale",
            _unscaled(lambda sums, rest: np.log(sums[-1])),
        ),
        Mistake(
            "took a smaller constant",
            "The smallest positive float is about 5e-324. A text of a few hundred letters is less likely than that.",
            "hmm-scale",
            _unscaled(lambda sums, rest: np.log(sums[-1] + 1e-320)),
        ),
        Mistake(
            "kept alpha above the constant in every step",
            "Where alpha should be smaller than the constant, you put the constant in its place: the numbers are invented.",
            "hmm-scale",
            _unscaled(lambda sums, rest: np.log(np.maximum(rest, 1e-300).sum())),
        ),
        Mistake(
            "scaled alpha, but did not remember by what",
            "What you return is the log-probability of the last symbol given all before. The other steps have to be added.",
            "hmm-scale",
            _with(total=lambda sums, rest: np.log(sums[-1])),
        ),
        Mistake(
            "left the first symbol out of the sum",
            "The first sum is p(x^(1)); it belongs to the product like the others.",
            "hmm-scale",
            _with(total=lambda sums, rest: np.log(sums[1:]).sum()),
        ),
        Mistake(
            "left the last symbol out of the sum",
            "The sum of the last step is a factor of the product, too, though nothing is divided by it any more.",
            "hmm-scale",
            _with(total=lambda sums, rest: np.log(sums[:-1]).sum()),
        ),
        Mistake(
            "added the logarithms without dividing alpha",
            "alpha.sum() is then p(x^(1) ... x^(t)), the product so far, and you add it up anew in every step.",
            "hmm-scale",
            _unscaled(lambda sums, rest: np.log(sums).sum()),
        ),
        Mistake(
            "took the mean of the logarithms",
            "That is the log-likelihood of one symbol on average; the function returns that of the whole sequence.",
            "hmm-scale",
            _with(total=lambda sums, rest: np.log(sums).mean()),
        ),
        Mistake(
            "divided by the largest entry, and lost the sum of the last step",
            "Dividing by the maximum is fine, and so is adding its logarithm; but in the last step p(x) is the *sum* of what "
            "is left, over all states.",
            "hmm-scale",
            _largest,
        ),
        Mistake(
            "took the best path only",
            "In logarithms nothing underflows, but the forward recursion sums over the state before; the maximum is Viterbi's.",
            "hmm-forward",
            _of_logarithms,
        ),
        Mistake(
            "let the symbols say nothing of the state",
            "You expect each symbol from start and transitions alone. Those already seen tell where the model is: the "
            "emission has to stay in alpha.",
            "hmm-forward",
            _mean_field,
        ),
        Mistake(
            "left the transitions out",
            "The state moves before every symbol but the first: alpha @ transition.",
            "hmm-forward",
            _with(move=lambda alpha, A: alpha),
        ),
        Mistake(
            "transposed the transition matrix",
            "Row = from, column = to, as in the code you were given: alpha @ transition.",
            "hmm-forward",
            _with(move=lambda alpha, A: A @ alpha),
        ),
        Mistake(
            "took logarithms to base 2",
            "Nothing underflows any more, but yours is in bits. The function returns nats, the natural logarithm.",
            "hmm-scale",
            _with(total=lambda sums, rest: np.log2(sums).sum()),
        ),
    ),
)
