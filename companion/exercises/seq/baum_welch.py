"""Implement: one step of Baum-Welch from one sequence."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.exercises.seq.forward import hmm_forward, random_model
from companion.exercises.seq.posterior import hmm_posterior
from companion.tree import Array


def baum_welch_step(
    xs: Array, alphas: Array, betas: Array, scales: Array, transition: Array, emission: Array
) -> tuple[Array, Array, Array]:
    """Symbols xs (T,), alphas and betas (T, S), scales (T,) -> the new model.

    Old and new: start (S,), transition (S, S) from-to, emission (S, V).
    """
    gammas = alphas * betas
    symbols = np.eye(emission.shape[1])[xs]
    emitted = gammas.T @ symbols
    moved = np.zeros_like(transition)
    for t in range(len(xs) - 1):
        arrives = emission[:, xs[t + 1]] * betas[t + 1] / scales[t + 1]
        moved += alphas[t][:, None] * transition * arrives
    return (
        gammas[0],
        moved / moved.sum(axis=1, keepdims=True),
        emitted / emitted.sum(axis=1, keepdims=True),
    )


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    cases = []
    for sizes in ((9, 3, 4), (12, 4, 2), (2, 2, 3)):
        xs, start, transition, emission = random_model(rng, *sizes)
        alphas = hmm_forward(xs, start, transition, emission)[0]
        betas = hmm_posterior(xs, alphas, transition, emission) / alphas
        expected = np.vstack([start, alphas[:-1] @ transition])
        scales = (expected * emission[:, xs].T).sum(axis=1)
        cases.append((xs, alphas, betas, scales, transition, emission))
    return cases


def _rows(counts: Array) -> Array:
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def _xis(xs: Array, a: Array, b: Array, c: Array, A: Array, E: Array) -> Array:
    """(T - 1, S, S): how likely the states of steps t and t + 1 are together."""
    return a[:-1, :, None] * A * (E[:, xs[1:]].T * b[1:] / c[1:, None])[:, None]


def _with(
    start: Any = lambda gammas, alphas: gammas[0],
    xis: Any = _xis,
    transition: Any = lambda xis, gammas: _rows(xis.sum(axis=0)),
    weights: Any = lambda gammas, alphas: gammas,
    emission: Any = lambda counts, gammas: _rows(counts),
) -> Any:
    """The solution with one part replaced."""

    def answer(xs: Array, alphas: Array, betas: Array, scales: Array, A: Array, E: Array) -> Any:
        gammas = alphas * betas
        counts = weights(gammas, alphas).T @ np.eye(E.shape[1])[xs]
        moves = transition(xis(xs, alphas, betas, scales, A, E), gammas)
        return start(gammas, alphas), moves, emission(counts, gammas)

    return answer


EXERCISE = Exercise(
    name="seq.baum_welch",
    kind="implement",
    title="One step of Baum-Welch",
    statement="""
        Nobody has told you the hidden states; you have a model and what it believes of them. Row $t$ of `alphas` is the
        distribution of the state given the symbols up to $x^{(t)}$, `scales[t]` is $p(x^{(t)} \\mid x^{(1)}, \\dots, x^{(t-1)})$,
        and `betas` are scaled such that row $t$ of `alphas * betas` is the distribution of the state given all
        symbols. Return the new `start`, `transition` and `emission`: the frequencies one would count if the states were
        known, with the expected counts in their place.
    """,
    solution=baum_welch_step,
    outputs=("the new start", "the new transition", "the new emission"),
    cases=_cases,
    hints=(
        "If the states were known: how would you estimate the probability that state $i$ goes to $q$, and that $q$ emits $v$? "
        "By which number is each count divided?",
        "State $q$ emits $v$ in as many steps as the sum of $\\gamma^{(t)}_q$ over the steps with $x^{(t)} = v$. That $i$ at "
        "step $t$ goes to $q$ has the probability $\\alpha^{(t)}_i A_{iq} E_q(x^{(t+1)}) \\beta^{(t+1)}_q / c^{(t+1)}$.",
        "Add these up over the $T - 1$ steps from $t$ to $t + 1$, and divide every row of both tables by its own sum. "
        "The new start is $\\gamma^{(1)}$.",
    ),
    mistakes=(
        Mistake(
            "took the mean over all steps for start",
            "start is where sequences begin: the distribution of the first state alone, given all symbols.",
            "baum-welch",
            _with(start=lambda gammas, alphas: gammas.mean(axis=0)),
        ),
        Mistake(
            "took the first row of alphas for start",
            "That is the first state given the first symbol. The later symbols tell something of it as well: alphas * betas.",
            "baum-welch",
            _with(start=lambda gammas, alphas: alphas[0]),
        ),
        Mistake(
            "normalised the columns of the transitions",
            "Rows are the states one comes from, and from each one goes somewhere: the rows sum to one.",
            "baum-welch",
            _with(transition=lambda xis, gammas: xis.sum(axis=0) / xis.sum(axis=(0, 1))),
        ),
        Mistake(
            "divided the transitions by visits that include the last step",
            "From the last state nobody goes anywhere. With its visit in the denominator your rows sum to less than one.",
            "baum-welch",
            _with(transition=lambda xis, gammas: xis.sum(axis=0) / gammas.sum(axis=0)[:, None]),
        ),
        Mistake(
            "divided the emissions by visits without the last step",
            "The last state emits as well: without its visit in the denominator your rows sum to more than one.",
            "baum-welch",
            _with(emission=lambda counts, gammas: counts / gammas[:-1].sum(axis=0)[:, None]),
        ),
        Mistake(
            "left the last step out of the emissions",
            "There are T - 1 transitions, but T symbols: the last one is emitted, too.",
            "baum-welch",
            _with(weights=lambda gammas, alphas: gammas * (np.arange(len(gammas)) < len(gammas) - 1)[:, None]),
        ),
        Mistake(
            "divided each column of the transitions by the sum of a row",
            "A sum over axis 1 drops that axis, and dividing by it goes along the columns: keepdims=True keeps it.",
            "baum-welch",
            _with(transition=lambda xis, gammas: xis.sum(axis=0) / xis.sum(axis=(0, 2))),
        ),
        Mistake(
            "divided the expected counts by their total",
            "Then the whole table of transitions sums to one. It should be a distribution for each state one comes from: "
            "divide every row by its own sum.",
            "baum-welch",
            _with(transition=lambda xis, gammas: xis.sum(axis=0) / xis.sum()),
        ),
        Mistake(
            "handed in the expected counts of transitions as they are",
            "They are numbers of steps; divided by the sum of their row they are probabilities.",
            "baum-welch",
            _with(transition=lambda xis, gammas: xis.sum(axis=0)),
        ),
        Mistake(
            "treated the states of neighbouring steps as independent",
            "gamma^(t) times gamma^(t+1) forgets that the second state depends on the first: the transition has to stand "
            "between them.",
            "hmm-transitions",
            _with(xis=lambda xs, a, b, c, A, E: (a * b)[:-1, :, None] * (a * b)[1:, None]),
        ),
        Mistake(
            "left the old transitions out",
            "What is expected depends on the model one has: of two states that explain the symbols equally well, the one that "
            "is reached more easily is more likely.",
            "hmm-transitions",
            _with(xis=lambda xs, a, b, c, A, E: _xis(xs, a, b, c, np.ones_like(A), E)),
        ),
        Mistake(
            "left the emission of the next symbol out",
            "alphas know the symbols up to x^(t) and betas those from x^(t+2) on: x^(t+1) is still missing.",
            "hmm-transitions",
            _with(xis=lambda xs, a, b, c, A, E: _xis(xs, a, b, c, A, np.ones_like(E))),
        ),
        Mistake(
            "left the next symbol out, emission and scale",
            "alphas know the symbols up to x^(t) and betas those from x^(t+2) on. What x^(t+1) says of the state one goes to "
            "is E / c at step t + 1.",
            "hmm-transitions",
            _with(xis=lambda xs, a, b, c, A, E: _xis(xs, a, b, np.ones_like(c), A, np.ones_like(E))),
        ),
        Mistake(
            "took the symbol of step t for the transition from t to t + 1",
            "alphas have weighed x^(t) already; the state one goes to emits x^(t+1).",
            "hmm-transitions",
            _with(xis=lambda xs, a, b, c, A, E: a[:-1, :, None] * A * (E[:, xs[:-1]].T * b[1:] / c[1:, None])[:, None]),
        ),
        Mistake(
            "left the betas out of the transitions",
            "Without them a transition is judged by the symbols up to x^(t+1); the later ones have a say as well.",
            "hmm-transitions",
            _with(xis=lambda xs, a, b, c, A, E: _xis(xs, a, np.ones_like(b), c, A, E)),
        ),
        Mistake(
            "took the betas of step t instead of t + 1",
            "The state one goes to lives at t + 1, and its beta speaks of the symbols after that.",
            "hmm-transitions",
            _with(xis=lambda xs, a, b, c, A, E: a[:-1, :, None] * A * (E[:, xs[1:]].T * b[:-1] / c[1:, None])[:, None]),
        ),
        Mistake(
            "started from gamma instead of alpha",
            "gamma^(t) already knows the future; multiplied with the emission and beta of step t + 1 it counts it twice.",
            "hmm-transitions",
            _with(xis=lambda xs, a, b, c, A, E: _xis(xs, a * b, b, c, A, E)),
        ),
        Mistake(
            "left the scales out",
            "Each step should count as one transition in all. Without the division by c, steps with likely symbols count more.",
            "hmm-transitions",
            _with(xis=lambda xs, a, b, c, A, E: _xis(xs, a, b, np.ones_like(c), A, E)),
        ),
        Mistake(
            "divided by the scale of step t instead of t + 1",
            "The symbol that enters here is x^(t+1), and c^(t+1) is its probability.",
            "hmm-transitions",
            _with(xis=lambda xs, a, b, c, A, E: a[:-1, :, None] * A * (E[:, xs[1:]].T * b[1:] / c[:-1, None])[:, None]),
        ),
        Mistake(
            "left the old transitions out, and made each step sum to one",
            "How likely a step is depends on the model one has: A belongs in the product. With it, each step sums to one "
            "by itself.",
            "hmm-transitions",
            _with(
                xis=lambda xs, a, b, c, A, E: (
                    (xi := _xis(xs, a, b, c, np.ones_like(A), E)) / xi.sum(axis=(1, 2), keepdims=True)
                )
            ),
        ),
        Mistake(
            "counted only the likeliest state of each step in the emissions",
            "That throws away how sure the model is. Each step counts for every state, with its probability.",
            "hmm-posterior",
            _with(weights=lambda gammas, alphas: np.eye(gammas.shape[1])[gammas.argmax(axis=1)]),
        ),
        Mistake(
            "counted the emissions with alphas",
            "The later symbols tell something of the state as well: the weights are alphas * betas.",
            "hmm-posterior",
            _with(weights=lambda gammas, alphas: alphas),
        ),
        Mistake(
            "normalised the columns of the emissions",
            "Then a symbol's column sums to one. A row is a state, which always emits something: rows sum to one.",
            "baum-welch",
            _with(emission=lambda counts, gammas: counts / counts.sum(axis=0)),
        ),
        Mistake(
            "divided the emissions by the number of steps",
            "A state emits only in the steps in which it is visited: divide by the expected number of these.",
            "baum-welch",
            _with(emission=lambda counts, gammas: counts / len(gammas)),
        ),
    ),
)
