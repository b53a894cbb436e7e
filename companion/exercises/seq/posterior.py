"""Implement: the posterior of the hidden states, from the forward pass and a backward one."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.exercises.seq.forward import hmm_forward, random_model
from companion.tree import Array


def hmm_posterior(xs: Array, alphas: Array, transition: Array, emission: Array) -> Array:
    """Symbols xs (T,), filtered probabilities alphas (T, S) -> gammas (T, S).

    transition (S, S), row = from, column = to; emission (S, V).
    """
    betas = np.ones_like(alphas)
    for t in range(len(xs) - 2, -1, -1):
        later = transition @ (emission[:, xs[t + 1]] * betas[t + 1])
        betas[t] = later / (alphas[t] @ later)
    return alphas * betas


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    cases = []
    for sizes in ((7, 3, 4), (5, 4, 2), (1, 2, 3), (160, 3, 200)):
        xs, start, transition, emission = random_model(rng, *sizes)
        cases.append((xs, hmm_forward(xs, start, transition, emission)[0], transition, emission))
    return cases


def _with(
    later: Any = lambda beta, t, xs, A, E: A @ (E[:, xs[t + 1]] * beta),
    last: Any = lambda alphas: np.ones_like(alphas[-1]),
    share: Any = lambda beta, alpha: beta / (alpha @ beta),
    result: Any = lambda alphas, betas: alphas * betas / (alphas * betas).sum(axis=1, keepdims=True),
) -> Any:
    """The solution with one part replaced."""

    def answer(xs: Array, alphas: Array, transition: Array, emission: Array) -> Any:
        betas = np.ones_like(alphas)
        betas[-1] = last(alphas)
        for t in range(len(xs) - 2, -1, -1):
            betas[t] = share(later(betas[t + 1], t, xs, transition, emission), alphas[t])
        return result(alphas, betas)

    return answer


def _one_step_ahead(xs: Array, alphas: Array, transition: Array, emission: Array) -> Any:
    """Looks at the next symbol alone."""
    gammas = alphas.copy()
    gammas[:-1] *= (transition @ emission[:, xs[1:]]).T
    return gammas / gammas.sum(axis=1, keepdims=True)


def _gammas_carried(xs: Array, alphas: Array, transition: Array, emission: Array) -> Any:
    gammas = alphas.copy()
    for t in range(len(xs) - 2, -1, -1):
        gammas[t] *= transition @ (emission[:, xs[t + 1]] * gammas[t + 1])
        gammas[t] /= gammas[t].sum()
    return gammas


EXERCISE = Exercise(
    name="seq.posterior",
    kind="implement",
    title="What the whole sequence says",
    statement="""
        The forward pass has given you `alphas`: row $t$ is the distribution of the state at step $t$ given the symbols
        up to $x^{(t)}$. The symbols that come after also tell something about it. Return `gammas`, whose row $t$ is
        the distribution of the state at step $t$ given *all* the symbols. The sums that the forward pass divided by
        are not handed over: you can do without them. One case has 160 steps and 200 different symbols.
    """,
    solution=hmm_posterior,
    outputs=("gammas",),
    cases=_cases,
    hints=(
        "In which row do `alphas` and `gammas` agree already? Start there and go backwards.",
        "A state $i$ at step $t$ explains the future by going to some $q$, which emits $x^{(t+1)}$ and explains the rest: "
        "$\\beta^{(t)}_i \\propto \\sum_q A_{iq} E_q(x^{(t+1)})\\, \\beta^{(t+1)}_q$. After the last step "
        "nothing is left to explain: all ones.",
        "Row $t$ of the answer is $\\alpha^{(t)} \\beta^{(t)}$, normalised to sum one. Divide each beta by some "
        "number too, or 160 steps underflow; the sum of $\\alpha^{(t)} \\beta^{(t)}$ is a good one.",
    ),
    mistakes=(
        Mistake(
            "used only what the past says",
            "These are alphas, right in the last row alone. A backward pass without the emissions gives them too: where no "
            "symbol is weighed, each beta stays a row of equal numbers.",
            "hmm-posterior",
            lambda xs, alphas, transition, emission: alphas.copy(),
        ),
        Mistake(
            "returned the betas alone",
            "They are what the *future* says. The past says alphas, and the two are multiplied.",
            "hmm-posterior",
            _with(result=lambda alphas, betas: betas / betas.sum(axis=1, keepdims=True)),
        ),
        Mistake(
            "took the symbol of the same step in the backward pass",
            "alphas[t] knows x^(t) already; the future of step t begins with x^(t+1), emitted by the next state.",
            "hmm-backward",
            _with(later=lambda beta, t, xs, A, E: A @ (E[:, xs[t]] * beta)),
        ),
        Mistake(
            "let the state of step t, not the next one, emit the next symbol",
            "The emission of x^(t+1) belongs to the state one goes *to*: multiply before the sum over q, not after.",
            "hmm-backward",
            _with(later=lambda beta, t, xs, A, E: E[:, xs[t + 1]] * (A @ beta)),
        ),
        Mistake(
            "counted the symbol of the step twice",
            "alphas[t] has weighed the state with x^(t); your betas weigh it once more.",
            "hmm-backward",
            lambda xs, alphas, transition, emission: _with(
                result=lambda a, b: (g := a * b * emission[:, xs].T) / g.sum(axis=1, keepdims=True)
            )(xs, alphas, transition, emission),
        ),
        Mistake(
            "transposed the transition matrix",
            "Backwards, the sum runs over the states one goes *to*, the columns: transition @ (...). The transpose asks for "
            "the way into state p, where the way out of it counts.",
            "hmm-backward",
            _with(later=lambda beta, t, xs, A, E: A.T @ (E[:, xs[t + 1]] * beta)),
        ),
        Mistake(
            "began the backward pass with the last row of alphas",
            "After the last step nothing is left to explain: the last beta is all ones. With yours the last "
            "row is the square of alphas[-1], normalised.",
            "hmm-backward",
            _with(last=lambda alphas: alphas[-1]),
        ),
        Mistake(
            "began the backward pass with zeros",
            "Zero times anything stays zero. The last beta is all ones: each state explains an empty future equally well.",
            "hmm-backward",
            _with(last=lambda alphas: 0 * alphas[-1]),
        ),
        Mistake(
            "normalised over the steps instead of the states",
            "Each row, a step, should sum to one; in yours the columns do.",
            "hmm-posterior",
            _with(result=lambda a, b: a * b / (a * b).sum(axis=0)),
        ),
        Mistake(
            "normalised the betas and not the product",
            "Rows of betas that sum to one do not make rows of alphas * betas that do: divide the product by its sum.",
            "hmm-posterior",
            _with(share=lambda beta, alpha: beta / beta.sum(), result=lambda a, b: a * b),
        ),
        Mistake(
            "added what past and future say",
            "Both have to agree on a state: their probabilities are multiplied. Your row is a mean of the two opinions.",
            "hmm-posterior",
            _with(result=lambda a, b: (a + b) / (a + b).sum(axis=1, keepdims=True)),
        ),
        Mistake(
            "let the betas underflow",
            "In a long sequence unscaled betas reach 0, and then you divide 0 by 0. Divide each by some number; "
            "which one does not matter if you normalise the product.",
            "hmm-scale",
            _with(share=lambda beta, alpha: beta),
        ),
        Mistake(
            "did not normalise at all",
            "The rows of alphas * betas, with the betas as they come, sum to the probability of the symbols "
            "still to come, not to one.",
            "hmm-posterior",
            _with(share=lambda beta, alpha: beta, result=lambda a, b: a * b),
        ),
        Mistake(
            "looked at the next symbol only",
            "The last two rows are right. What comes after the next symbol tells something, too: go back step by step.",
            "hmm-backward",
            _one_step_ahead,
        ),
        Mistake(
            "marked the most likely state only",
            "Asked is the distribution: how likely each state is, not which one is the likeliest.",
            "hmm-posterior",
            lambda xs, alphas, transition, emission: np.eye(len(transition))[
                hmm_posterior(xs, alphas, transition, emission).argmax(axis=1)
            ],
        ),
        Mistake(
            "carried gamma back instead of beta",
            "gamma^(t+1) holds the past too, which alpha^(t) brings in once more. Only what the *future* says, beta, goes back.",
            "hmm-backward",
            _gammas_carried,
        ),
        Mistake(
            "divided the product by the sums of its columns",
            "The sum over axis=0 runs over the steps. Each row, a step, should sum to one: axis=1, keepdims=True.",
            "hmm-posterior",
            _with(share=lambda beta, alpha: beta / beta.sum(), result=lambda a, b: a * b / (a * b).sum(axis=0)),
        ),
        Mistake(
            "divided the product, with betas as they come, by the sums of its columns",
            "A row is a step and should sum to one by itself: axis=1, keepdims=True. In yours the last steps weigh most.",
            "hmm-posterior",
            _with(share=lambda beta, alpha: beta, result=lambda a, b: a * b / (a * b).sum(axis=0)),
        ),
    ),
)
