"""Find the bug: Viterbi's path along pointers of the wrong step."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.exercises.seq.forward import random_model
from companion.tree import Array, Indices


def buggy_best_path(xs: Array, log_start: Array, log_transition: Array, log_emission: Array) -> tuple[Indices, float]:
    """Symbols xs (T,) -> most likely path (T,) of states, its log p(path, xs).

    Logarithms, -inf for what cannot happen: log_start (S,), log_transition (S, S),
    row = from, column = to, log_emission (S, V).
    """
    T, S = len(xs), len(log_start)
    best = log_start + log_emission[:, xs[0]]
    pointers = np.zeros((T, S), dtype=int)
    for t in range(1, T):
        scores = best[:, None] + log_transition
        pointers[t] = scores.argmax(axis=0)
        best = scores.max(axis=0) + log_emission[:, xs[t]]
    path = np.zeros(T, dtype=int)
    path[-1] = best.argmax()
    for t in range(T - 1)[::-1]:
        path[t] = pointers[t, path[t + 1]]
    return path, best.max()


def best_path(xs: Array, log_start: Array, log_transition: Array, log_emission: Array) -> tuple[Indices, float]:
    """Symbols xs (T,) -> most likely path (T,) of states, its log p(path, xs).

    Logarithms, -inf for what cannot happen: log_start (S,), log_transition (S, S),
    row = from, column = to, log_emission (S, V).
    """
    T, S = len(xs), len(log_start)
    best = log_start + log_emission[:, xs[0]]
    pointers = np.zeros((T, S), dtype=int)
    for t in range(1, T):
        scores = best[:, None] + log_transition
        pointers[t] = scores.argmax(axis=0)
        best = scores.max(axis=0) + log_emission[:, xs[t]]
    path = np.zeros(T, dtype=int)
    path[-1] = best.argmax()
    for t in range(T - 1)[::-1]:
        path[t] = pointers[t + 1, path[t + 1]]
    return path, best.max()


def circle(stays: Array, emission: Array) -> tuple[Array, Array, Array]:
    """Logarithms of a model that begins anywhere and stays in a state (S,) or goes on to the next one, round and round."""
    S = len(stays)
    transition = np.diag(stays) + np.roll(np.diag(1 - stays), 1, axis=1)
    with np.errstate(divide="ignore"):
        return np.log(np.full(S, 1 / S)), np.log(transition), np.log(emission)


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    """No symbol occurs twice, so that no two paths are equally likely."""

    def random(T: int, S: int, V: int) -> tuple[Any, ...]:
        _, *model = random_model(rng, T, S, V)
        return rng.permutation(V)[:T], *map(np.log, model)

    going_round = circle(rng.uniform(0.7, 0.95, size=4), rng.dirichlet(np.ones(70), size=4))
    return [random(40, 5, 50), random(1, 2, 3), (rng.permutation(70)[:60], *going_round), random(150, 3, 200)]


def _with(
    path: Any = None,
    pointing: Any = lambda scores: scores.argmax(axis=0),
    transition: Any = lambda log_A: log_A,
    last: Any = lambda best: best.argmax(),
) -> Any:
    """The solution with one part replaced; `path` is called with all scores (T, S), all pointers and the last state."""

    def answer(xs: Array, log_start: Array, log_A: Array, log_E: Array) -> Any:
        best = [log_start + log_E[:, xs[0]]]
        pointers = np.zeros((len(xs), len(log_start)), dtype=int)
        for t in range(1, len(xs)):
            scores = best[-1][:, None] + transition(log_A)
            pointers[t] = pointing(scores)
            best.append(scores.max(axis=0) + log_E[:, xs[t]])
        found = (path or _traced())(np.array(best), pointers, last(best[-1]))
        return np.array(found, dtype=int), best[-1].max()

    return answer


def _traced(shift: int = 1, own: bool = False) -> Any:
    """Back from the last state with the pointers of step t + shift at the state of step t + 1, or of t itself."""

    def path(best: Array, pointers: Indices, last: int) -> Indices:
        found = np.zeros(len(best), dtype=int)
        found[-1] = last
        for t in range(len(best) - 1)[::-1]:
            found[t] = pointers[min(t + shift, len(best) - 1), found[t if own else t + 1]]
        return found

    return path


def _forwards(best: Array, pointers: Indices, last: int) -> list[int]:
    path = [int(best[0].argmax())]
    for back in pointers[1:]:
        path.append(int(back[path[-1]]))
    return path


def _shifted(best: Array, pointers: Indices, last: int) -> Indices:
    path = _traced(0)(best, pointers, last)
    return np.append(path[1:], last)


EXERCISE = Exercise(
    name="seq.hunt_pointers",
    kind="find the bug",
    title="A path that nobody can walk",
    statement="""
        A model of four states keeps its state with probability 0.95 and otherwise goes on to the next one, round and round;
        it shows the number of its state every other time, and otherwise one of the three others. The function below
        returns the log-probability of the best path to the last digit. Its path differs from the best one in
        about 4 steps of 100 and hits the true states in 77 of 100 instead of 78: no accuracy gave the bug
        away. But half of its paths of 100 steps take a step of probability zero. Find the bug, and hand in the
        corrected function.
    """,
    solution=best_path,
    outputs=("the path", "the log-probability"),
    cases=_cases,
    given=(buggy_best_path,),
    hints=(
        "The score is right, so the first loop is. Write down the pointers of a sequence of three steps: which of the "
        "rows are filled, and which rows does the second loop read?",
        "`pointers[t, q]` says from which state *at step t - 1* the best path came into q at step t. "
        "Which row, and which entry of it, tell the state at step t?",
        "The state at step t + 1 is known, and row t + 1 says where it came from: `path[t] = pointers[t + 1, path[t + 1]]`.",
    ),
    mistakes=(
        Mistake(
            "handed in the bug unchanged",
            "Row t of the pointers tells the state of step t - 1, and is read for step t; the first state is even read "
            "from row 0, which is never filled.",
            "viterbi-back",
            buggy_best_path,
        ),
        Mistake(
            "moved the row by two steps instead of one",
            "Row t + 1 leads from step t + 1 to step t. Yours reads row t + 2 at the state of step t + 1.",
            "viterbi-back",
            _with(path=_traced(2)),
        ),
        Mistake(
            "looked the pointer up at the state of step t",
            "That is what you want to know, and is still 0: the entry to read is that of the state at step t + 1.",
            "viterbi-back",
            _with(path=_traced(1, own=True)),
        ),
        Mistake(
            "took the best last state of each step",
            "The best path up to step t need not be the beginning of the best path to the end. Which state it pays to come from "
            "depends on the one that comes next: follow the pointers.",
            "viterbi-back",
            _with(path=lambda best, pointers, last: best.argmax(axis=1)),
        ),
        Mistake(
            "followed the pointers forwards",
            "A pointer says where a path *comes from*; it can be followed only from the end.",
            "viterbi-back",
            _with(path=_forwards),
        ),
        Mistake(
            "shifted the finished path by a step",
            "The path was traced through the wrong rows; moving it afterwards does not make them the right ones.",
            "viterbi-back",
            _with(path=_shifted),
        ),
        Mistake(
            "turned the path round",
            "The second loop writes the last state into the last place, so the path is in order already.",
            "viterbi-back",
            _with(path=lambda best, pointers, last: _traced()(best, pointers, last)[::-1]),
        ),
        Mistake(
            "pointed to where a state goes instead of where it comes from",
            "scores[p, q] goes from p to q, so the best p for every q is the argmax over rows, axis 0, as it was.",
            "viterbi-back",
            _with(pointing=lambda scores: scores.argmax(axis=1)),
        ),
        Mistake(
            "transposed the transitions",
            "The first loop was right: row = from, column = to.",
            "viterbi",
            _with(transition=lambda log_A: log_A.T),
        ),
        Mistake(
            "began at state 0",
            "The path ends in the state with the best last score; from there the pointers lead back.",
            "viterbi-back",
            _with(last=lambda best: 0),
        ),
    ),
)
