"""Implement: the best path through the hidden states."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.exercises.seq.forward import hmm_forward, random_model
from companion.exercises.seq.posterior import hmm_posterior
from companion.tree import Array, Indices


def hmm_viterbi(xs: Array, start: Array, transition: Array, emission: Array) -> tuple[Indices, float]:
    """Symbols xs (T,) -> most likely path (T,) of states, its log p(path, xs).

    start (S,); transition (S, S), row = from, column = to; emission (S, V).
    """
    best, pointers = np.log(start) + np.log(emission[:, xs[0]]), []
    for x in xs[1:]:
        scores = best[:, None] + np.log(transition)
        pointers.append(scores.argmax(axis=0))
        best = scores.max(axis=0) + np.log(emission[:, x])
    path = [best.argmax()]
    for back in reversed(pointers):
        path.append(back[path[-1]])
    return np.array(path[::-1]), best.max()


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    """No symbol occurs twice, so that no two paths are equally likely."""

    def case(T: int, S: int, V: int) -> tuple[Any, ...]:
        return rng.permutation(V)[:T], *random_model(rng, T, S, V)[1:]

    return [case(30, 5, 40), case(12, 4, 15), case(1, 2, 3), case(160, 3, 200)]


def path_score(path: Any, xs: Array, start: Array, transition: Array, emission: Array) -> float:
    """Logarithm of p(path, xs)."""
    with np.errstate(divide="ignore"):
        steps = np.log(transition[path[:-1], path[1:]]).sum() + np.log(emission[path, xs]).sum()
        return float(np.log(start[path[0]]) + steps)


def recursion(
    xs: Array,
    start: Array,
    transition: Array,
    emission: Array,
    into: Any = lambda scores: scores.max(axis=0),
    origin: Any = lambda scores: scores.argmax(axis=0),
    add: Any = lambda best, log_A: best[:, None] + log_A,
    first: Any = lambda pi, e: np.log(pi) + np.log(e),
    weigh: Any = lambda E, xs, t: np.log(E[:, xs[t]]),
) -> tuple[Array, Indices]:
    """Scores (T, S) of the best paths into each state, and where they come from (T - 1, S); parts can be replaced."""
    best, pointers = [first(start, emission[:, xs[0]])], []
    for t in range(1, len(xs)):
        scores = add(best[-1], np.log(transition))
        pointers.append(origin(scores))
        best.append(into(scores) + weigh(emission, xs, t))
    return np.array(best), np.array(pointers, int).reshape(-1, len(start))


def traced(best: Array, pointers: Indices) -> list[int]:
    """The path backwards along the pointers, from the best last state."""
    path = [int(best[-1].argmax())]
    for back in pointers[::-1]:
        path.append(int(back[path[-1]]))
    return path[::-1]


def _with(transition: Any = lambda A: A, path: Any = traced, score: Any = None, **parts: Any) -> Any:
    """The solution with one part replaced."""

    def answer(xs: Array, start: Array, A: Array, emission: Array) -> Any:
        best, pointers = recursion(xs, start, transition(A), emission, **parts)
        found = np.array(path(best, pointers))
        return found, best[-1].max() if score is None else score(best, pointers, xs, found)

    return answer


def _greedy(xs: Array, start: Array, transition: Array, emission: Array) -> Any:
    path = [int((start * emission[:, xs[0]]).argmax())]
    for x in xs[1:]:
        path.append(int((transition[path[-1]] * emission[:, x]).argmax()))
    return np.array(path), path_score(path, xs, start, transition, emission)


def _likeliest_states(xs: Array, start: Array, transition: Array, emission: Array) -> Any:
    alphas = hmm_forward(xs, start, transition, emission)[0]
    path = hmm_posterior(xs, alphas, transition, emission).argmax(axis=1)
    return path, path_score(path, xs, start, transition, emission)


def _likeliest_states_so_far(xs: Array, start: Array, transition: Array, emission: Array) -> Any:
    path = hmm_forward(xs, start, transition, emission)[0].argmax(axis=1)
    return path, path_score(path, xs, start, transition, emission)


def _best_emitters(xs: Array, start: Array, transition: Array, emission: Array) -> Any:
    path = emission[:, xs].argmax(axis=0)
    return path, path_score(path, xs, start, transition, emission)


def _the_state_left_emits(xs: Array, start: Array, transition: Array, emission: Array) -> Any:
    best, pointers = np.log(start) + np.log(emission[:, xs[0]]), []
    for x in xs[1:]:
        scores = (best + np.log(emission[:, x]))[:, None] + np.log(transition)
        pointers.append(scores.argmax(axis=0))
        best = scores.max(axis=0)
    return np.array(traced(best[None], np.array(pointers, int).reshape(-1, len(start)))), best.max()


def _products(xs: Array, start: Array, transition: Array, emission: Array) -> Any:
    best, pointers = start * emission[:, xs[0]], []
    for x in xs[1:]:
        scores = best[:, None] * transition
        pointers.append(scores.argmax(axis=0))
        best = scores.max(axis=0) * emission[:, x]
    return np.array(traced(best[None], np.array(pointers, int).reshape(-1, len(start)))), np.log(best.max())


def _all_paths(xs: Array, start: Array, transition: Array, emission: Array) -> Any:
    return hmm_viterbi(xs, start, transition, emission)[0], hmm_forward(xs, start, transition, emission)[1]


EXERCISE = Exercise(
    name="seq.viterbi",
    kind="implement",
    title="The best path",
    statement="""
        Of all $S^T$ paths of hidden states, return the one that is most likely together with the symbols, and
        $\\log p(\\text{path}, \\text{xs})$. Where you stand on the best path at step $t$ is known only when the
        whole sequence has been read, so the recursion has to remember more than one path, but not more than $S$.
        One case has 160 steps.
    """,
    solution=hmm_viterbi,
    outputs=("the path", "the log-probability"),
    cases=_cases,
    hints=(
        "For each state, keep the score of the best path that *ends there*. How do these $S$ numbers follow from those of the "
        "step before? Work with logarithms, where nothing underflows.",
        "`scores[p, q]` = best score of $p$ + log of the transition from $p$ to $q$. Its maximum over $p$, plus the log "
        "emission of $q$, is the new score of $q$; its argmax over $p$ is where $q$'s best path comes from. Keep both.",
        "The last state is the argmax of the last scores. Then follow the pointers back: the state at step $t$ is "
        "what the pointers of step $t + 1$ say at the state of step $t + 1$. Turn the list round at the end.",
    ),
    mistakes=(
        Mistake(
            "took the likeliest state of every step",
            "Each state is the best by itself, given all symbols, but they need not fit together: the path can even contain a "
            "step of probability zero.",
            "viterbi",
            _likeliest_states,
        ),
        Mistake(
            "took the likeliest state of every step given the symbols so far",
            "These are the maxima of the filtered probabilities: neither the later symbols nor the steps between "
            "the states you picked count.",
            "viterbi",
            _likeliest_states_so_far,
        ),
        Mistake(
            "decided on one state in every step, for good",
            "A path that looks best now can turn out worse later. Keep the best path into *each* state, and decide at the end.",
            "viterbi",
            _greedy,
        ),
        Mistake(
            "took the state that emits each symbol best",
            "Then neither start nor the transitions have a say.",
            "viterbi",
            _best_emitters,
        ),
        Mistake(
            "took the best last state of each step instead of following the pointers",
            "The best path up to step t need not be the beginning of the best path to the end.",
            "viterbi-back",
            _with(path=lambda best, pointers: best.argmax(axis=1)),
        ),
        Mistake(
            "read the pointers one step late",
            "The state at step t is what the pointers *of step t + 1* say at the state of step t + 1; yours are those of step t.",
            "viterbi-back",
            _with(
                path=lambda best, pointers: traced(
                    best, np.vstack([0 * best[:1].astype(int), pointers])[: len(pointers)]
                )
            ),
        ),
        Mistake(
            "followed the pointers in the order of the steps",
            "You begin with the last state, so the first pointers to follow are those of the last step.",
            "viterbi-back",
            _with(path=lambda best, pointers: traced(best, pointers[::-1])),
        ),
        Mistake(
            "returned the path backwards",
            "Following the pointers gives the last state first: turn the list round.",
            "viterbi-back",
            _with(path=lambda best, pointers: traced(best, pointers)[::-1]),
        ),
        Mistake(
            "transposed the transition matrix",
            "Row = from, column = to. The score of p is added to row p, best[:, None], and the maximum runs over rows.",
            "viterbi",
            _with(transition=lambda A: A.T),
        ),
        Mistake(
            "took the maximum over the states one goes to",
            "For each state one goes *to*, the best of those one comes *from* is needed: with row = from, that is axis 0.",
            "viterbi",
            _with(into=lambda scores: scores.max(axis=1), origin=lambda scores: scores.argmax(axis=1)),
        ),
        Mistake(
            "added the scores of the step before to the columns",
            "best + log A adds best[q] to column q, where one goes *to*. They belong to the rows, where one comes from: "
            "best[:, None].",
            "viterbi",
            _with(add=lambda best, log_A: best + log_A),
        ),
        Mistake(
            "let the state that is left emit the symbol",
            "x^(t) is emitted by the state that is entered at step t: its log emission is added to the columns, or after the "
            "maximum.",
            "viterbi",
            _the_state_left_emits,
        ),
        Mistake(
            "left start out",
            "The first scores are log start + log emission of the first symbol; without start all states could begin.",
            "viterbi",
            _with(first=lambda pi, e: np.log(e)),
        ),
        Mistake(
            "left the first symbol out",
            "The first state emits, too: the first scores are log start + log emission of the first symbol.",
            "viterbi",
            _with(first=lambda pi, e: np.log(pi)),
        ),
        Mistake(
            "weighed each step with the symbol before",
            "The score of step t takes the emission of x^(t); yours takes x^(t-1), and the last symbol does not count.",
            "viterbi",
            _with(weigh=lambda E, xs, t: np.log(E[:, xs[t - 1]])),
        ),
        Mistake(
            "summed over the predecessors instead of taking the best",
            "The sum belongs to the forward recursion, which asks how likely the symbols are over *all* paths.",
            "viterbi",
            _with(into=lambda scores: np.logaddexp.reduce(scores, axis=0)),
        ),
        Mistake(
            "returned the log-probability of the symbols, summed over all paths",
            "The path is right. Asked is the score of this one path, which is the maximum of the last scores.",
            "viterbi",
            _all_paths,
        ),
        Mistake(
            "multiplied probabilities instead of adding logarithms",
            "That is right for short sequences. In a long one every score is 0 in the end, and the argmax means nothing.",
            "viterbi",
            _products,
        ),
        Mistake(
            "returned the probability instead of its logarithm",
            "For a long sequence it is 0; return the maximum of the last scores as it is.",
            "viterbi",
            _with(score=lambda best, pointers, xs, path: np.exp(best[-1].max())),
        ),
        Mistake(
            "followed the pointers from state 0",
            "The path ends in the state with the best last score; yours is the best of those that end in state 0.",
            "viterbi-back",
            _with(
                path=lambda best, pointers: traced(np.eye(1, best.shape[1]), pointers),
                score=lambda best, pointers, xs, path: best[-1, 0],
            ),
        ),
        Mistake(
            "left out all symbols but the first",
            "Every step adds the log emission of its symbol; yours adds transitions alone from the second step on.",
            "viterbi",
            _with(weigh=lambda E, xs, t: 0.0),
        ),
        Mistake(
            "numbered the states from 1",
            "The path is right but for that: states are the indices of start and of the rows, from 0 to S - 1.",
            "viterbi-back",
            _with(path=lambda best, pointers: [state + 1 for state in traced(best, pointers)]),
        ),
    ),
)
