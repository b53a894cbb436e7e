"""Implement: the forward recursion of a hidden Markov model, scaled."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.tree import Array


def hmm_forward(xs: Array, start: Array, transition: Array, emission: Array) -> tuple[Array, float]:
    """Symbols xs (T,) -> filtered probabilities alphas (T, S), log p(xs).

    start (S,); transition (S, S), row = from, column = to; emission (S, V).
    """
    alphas, log_likelihood, expected = [], 0.0, start
    for x in xs:
        joint = expected * emission[:, x]
        scale = joint.sum()
        alphas.append(joint / scale)
        log_likelihood += np.log(scale)
        expected = alphas[-1] @ transition
    return np.array(alphas), log_likelihood


def random_model(rng: np.random.Generator, T: int, S: int, V: int) -> tuple[Any, ...]:
    """Symbols xs (T,), and start (S,), transition (S, S) and emission (S, V) of a model with random rows."""
    start, transition = rng.dirichlet(np.ones(S)), rng.dirichlet(np.ones(S), size=S)
    return rng.integers(V, size=T), start, transition, rng.dirichlet(np.ones(V), size=S)


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    return [random_model(rng, *sizes) for sizes in ((7, 3, 4), (5, 4, 2), (1, 2, 3), (160, 3, 200))]


def _with(
    expected: Any = lambda alpha, transition, start: alpha @ transition,
    first: Any = lambda start, transition: start,
    seen: Any = lambda xs, t, emission: emission[:, xs[t]],
    share: Any = lambda joint: joint / joint.sum(),
    logs: Any = lambda scales: np.log(scales).sum(),
) -> Any:
    """The solution with one part replaced."""

    def answer(xs: Array, start: Array, transition: Array, emission: Array) -> Any:
        alphas: list[Array] = []
        scales: list[float] = []
        for t in range(len(xs)):
            prior = expected(alphas[-1], transition, start) if t else first(start, transition)
            joint = prior * seen(xs, t, emission)
            scales.append(float(joint.sum()))
            alphas.append(share(joint))
        return np.array(alphas), logs(np.array(scales))

    return answer


def _unscaled(xs: Array, start: Array, transition: Array, emission: Array) -> Any:
    joint = [start * emission[:, xs[0]]]
    for x in xs[1:]:
        joint.append(joint[-1] @ transition * emission[:, x])
    return np.array(joint), float(np.log(joint[-1].sum()))


def _scaled_at_the_end(xs: Array, start: Array, transition: Array, emission: Array) -> Any:
    joint, log_likelihood = _unscaled(xs, start, transition, emission)
    return joint / joint.sum(axis=1, keepdims=True), log_likelihood


def _all_products(xs: Array, start: Array, transition: Array, emission: Array) -> Any:
    joint, _ = _unscaled(xs, start, transition, emission)
    return joint / joint.sum(axis=1, keepdims=True), np.log(joint.sum(axis=1)).sum()


def _ones(xs: Array, start: Array, transition: Array, emission: Array) -> Any:
    alphas = hmm_forward(xs, start, transition, emission)[0]
    return alphas, np.log(alphas.sum(axis=1)).sum()


def _before(xs: Array, start: Array, transition: Array, emission: Array) -> Any:
    alphas, log_likelihood = hmm_forward(xs, start, transition, emission)
    return np.vstack([start, alphas[:-1] @ transition]), log_likelihood


def _before_division(xs: Array, start: Array, transition: Array, emission: Array) -> Any:
    expected, log_likelihood = _before(xs, start, transition, emission)
    return expected * emission[:, xs].T, log_likelihood


def _after(xs: Array, start: Array, transition: Array, emission: Array) -> Any:
    alphas, log_likelihood = hmm_forward(xs, start, transition, emission)
    return alphas @ transition, log_likelihood


def _best_predecessor(xs: Array, start: Array, transition: Array, emission: Array) -> Any:
    return _with(expected=lambda alpha, A, pi: (alpha[:, None] * A).max(axis=0))(xs, start, transition, emission)


EXERCISE = Exercise(
    name="seq.forward",
    kind="implement",
    title="What the past says of the present",
    statement="""
        Row $t$ of `alphas` is the distribution of the hidden state at step $t$ given the symbols up to and including
        $x^{(t)}$; it sums to one. Each step goes from one row to the next: move by the transitions, weigh with the symbol,
        normalise. Return `alphas` and the logarithm of the probability of the whole sequence (in nats), which you get from
        what you normalised by. One of the cases has 160 steps and 200 different symbols, so that the
        probability itself is too small for a float.
    """,
    solution=hmm_forward,
    outputs=("alphas", "the log-likelihood"),
    cases=_cases,
    hints=(
        "Before it sees $x^{(t)}$, the model expects state $q$ with $\\sum_i \\alpha^{(t-1)}_i A_{iq}$. In the first step it "
        "expects `start`. What does Bayes' rule do with the symbol?",
        "Multiply what is expected by `emission[:, x]`, entry by entry. The sum of these products is "
        "$c^{(t)} = p(x^{(t)} \\mid x^{(1)}, \\dots, x^{(t-1)})$: divide by it.",
        "The chain rule makes $\\log p(x) = \\sum_t \\log c^{(t)}$. What is expected next is `alphas[-1] @ transition`.",
    ),
    mistakes=(
        Mistake(
            "transposed the transition matrix",
            "A row of it belongs to the state one comes *from*, so the sum runs over rows: alpha @ transition.",
            "hmm-forward",
            _with(expected=lambda alpha, A, pi: A @ alpha),
        ),
        Mistake(
            "went through the transitions before the first symbol",
            "The first state is drawn from start itself; no step has been taken yet.",
            "hmm-forward",
            _with(first=lambda pi, A: pi @ A),
        ),
        Mistake(
            "began with all states equally likely",
            "The first state is drawn from start, which is not uniform here.",
            "hmm-forward",
            _with(first=lambda pi, A: np.full_like(pi, 1 / len(pi))),
        ),
        Mistake(
            "weighed each step with the symbol before",
            "Row t should know x^(t); yours weighs with x^(t-1), and is one symbol late.",
            "hmm-forward",
            _with(seen=lambda xs, t, E: E[:, xs[max(t - 1, 0)]]),
        ),
        Mistake(
            "left the first symbol out",
            "Row 0 of yours is start. It should know the first symbol already: start * emission[:, xs[0]], normalised.",
            "hmm-forward",
            _with(seen=lambda xs, t, E: E[:, xs[t]] if t else np.ones(len(E))),
        ),
        Mistake(
            "stored what is expected before the symbol is seen",
            "The log-likelihood is right. But row t of alphas should know x^(t): store the normalised product.",
            "hmm-forward",
            _before,
        ),
        Mistake(
            "stored each row before you divided it by its sum",
            "The log-likelihood is right. But your rows sum to the scales, not to one.",
            "hmm-scale",
            _before_division,
        ),
        Mistake(
            "stored the row after it had moved on",
            "The log-likelihood is right. But row t of yours is what is expected at step t + 1: store it before the transition.",
            "hmm-forward",
            _after,
        ),
        Mistake(
            "took start for what is expected in every step",
            "From the second step on the model expects what the step before leaves: alpha @ transition. Yours forgets it all.",
            "hmm-forward",
            _with(expected=lambda alpha, A, pi: pi),
        ),
        Mistake(
            "left out the transitions",
            "Yours holds the state fixed and only gathers evidence for it; the state moves before every symbol but the first.",
            "hmm-forward",
            _with(expected=lambda alpha, A, pi: alpha),
        ),
        Mistake(
            "returned the joint probabilities, never normalised",
            "Your rows are p(state, x^1 ... x^t) and shrink with every step; after some hundred they are 0.",
            "hmm-scale",
            _unscaled,
        ),
        Mistake(
            "normalised only after the loop",
            "That is right for short sequences. In a long one the products underflow to 0 before you divide: 0 / 0.",
            "hmm-scale",
            _scaled_at_the_end,
        ),
        Mistake(
            "added the scales instead of their logarithms",
            "The probability of a sequence is the *product* of the scales, so its logarithm is the sum of their logarithms.",
            "hmm-scale",
            _with(logs=lambda c: c.sum()),
        ),
        Mistake(
            "left the scale of the first step out",
            "The alphas are right. The first sum is p(x^(1)), and is a factor like the others.",
            "hmm-scale",
            _with(logs=lambda c: np.log(c[1:]).sum()),
        ),
        Mistake(
            "summed each row only after it was normalised",
            "Its sum is then one and the logarithm 0. Take the sum before you divide by it.",
            "hmm-scale",
            _ones,
        ),
        Mistake(
            "added the logarithms of products that were never scaled",
            "The sum over p(state, x^1 ... x^t) is the probability of *all* symbols so far; yours multiplies them up once more.",
            "hmm-scale",
            _all_products,
        ),
        Mistake(
            "multiplied the scales and took the logarithm at the end",
            "That is right for short sequences. In a long one the product underflows to 0: add up the logarithms.",
            "hmm-scale",
            _with(logs=lambda c: np.log(c.prod())),
        ),
        Mistake(
            "took the scale of the last step alone",
            "That is the log-probability of the last symbol given all before; those of the others have to be added.",
            "hmm-scale",
            _with(logs=lambda c: np.log(c[-1])),
        ),
        Mistake(
            "returned the probability instead of its logarithm",
            "It is 0 for long sequences; return the sum of the logarithms of the scales.",
            "hmm-scale",
            _with(logs=lambda c: c.prod()),
        ),
        Mistake(
            "forgot the sign of a logarithm",
            "Probabilities below one have negative logarithms. Yours is the loss, -log p(x).",
            "hmm-scale",
            _with(logs=lambda c: -np.log(c).sum()),
        ),
        Mistake(
            "took the mean of the logarithms",
            "That is the log-likelihood of one symbol on average; asked is that of the whole sequence.",
            "hmm-scale",
            _with(logs=lambda c: np.log(c).mean()),
        ),
        Mistake(
            "took logarithms to base 2",
            "That is the answer in bits; asked are nats, the natural logarithm.",
            "hmm-scale",
            _with(logs=lambda c: np.log2(c).sum()),
        ),
        Mistake(
            "took the best predecessor instead of the sum over all",
            "Any state may have come before. The maximum is for the best single path, which is Viterbi's question.",
            "hmm-forward",
            _best_predecessor,
        ),
        Mistake(
            "divided by the largest entry instead of the sum",
            "That keeps the numbers from underflowing, but your rows do not sum to one, and the scales are no probabilities.",
            "hmm-scale",
            _with(share=lambda joint: joint / joint.max()),
        ),
    ),
)
