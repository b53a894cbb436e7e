"""Derive: a hidden Markov model of running parity."""

from typing import Any

import numpy as np

from companion.exercises.compare import described
from companion.exercises.exercise import Exercise, Mistake
from companion.exercises.judge import Problem
from companion.tree import Array


def parity_hmm() -> tuple[Array, Array, Array]:
    """The tables start (S,), transition (S, S) from row to column, emission (S, 4)."""
    x, y = np.divmod(np.arange(4), 2)
    start = np.where(y == x, 0.5, 0.0)
    transition = np.where(y == x ^ y[:, None], 0.5, 0.0)
    return start, transition, np.eye(4)


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    """Not one step alone: two states can be right there, and nowhere else."""
    return [(2,), (3,), (5,)]


def _run(answer: Any, steps: int) -> dict[str, Any]:
    """How many states, and what the model says of every sequence of so many pairs: that is the same for all right answers."""
    found = answer()
    if found is None or found is ...:
        return {"the number of states": found}
    start, transition, emission = _checked(found)
    p: Array = (start * emission.T)[..., None, :]  # (4, 1, S): p of the symbol and the state
    for _ in range(steps - 1):
        p = ((p @ transition)[:, None] * emission.T[:, None]).reshape(4 * len(p), -1, len(start))
    return {
        "the number of states": len(start),
        "the probability of [symbol 1, symbol 2, ...]": p.sum(axis=-1).reshape((4,) * steps),
    }


def _checked(found: Any) -> tuple[Array, Array, Array]:
    """The three tables as arrays, if they are distributions of the right shapes."""
    if not isinstance(found, tuple | list) or len(found) != 3:
        raise Problem(f"parity_hmm is {described(found)}, expected three arrays: start, transition, emission.")
    names = ("start", "transition", "emission")
    try:
        tables = [np.array(table, dtype=float) for table in found]
    except (TypeError, ValueError):
        raise Problem("parity_hmm holds something else than numbers, expected three arrays of them.") from None
    S = tables[0].size
    for name, table, shape in zip(names, tables, ((S,), (S, S), (S, 4)), strict=True):
        if table.shape != shape:
            raise Problem(f"parity_hmm: {name} has shape {table.shape}, expected {shape} for {S} states.")
        if not (np.all(table >= 0) and np.allclose(table.sum(axis=-1), 1)):
            raise Problem(f"parity_hmm: {name} is not a distribution in every row: entries >= 0 that sum to 1.")
    return tables[0], tables[1], tables[2]


def _model(follows: Any, first: Any = lambda x, y: y == x) -> Any:
    """A model with a state for each pair, of which some may follow each, all equally likely."""

    def answer() -> tuple[Array, Array, Array]:
        x, y = np.divmod(np.arange(4), 2)
        start = first(x, y) * np.ones(4)
        transition = follows(x[:, None], y[:, None], x, y) * np.ones((4, 4))
        return start / start.sum(), transition / transition.sum(axis=1, keepdims=True), np.eye(4)

    return answer


def _parity(x: Any, y: Any, x_next: Any, y_next: Any) -> Any:
    return y_next == x_next ^ y


def _two_states() -> tuple[Array, Array, Array]:
    half = np.full((2, 2), 0.5)
    return np.array([0.5, 0.5]), half, np.array([[0.5, 0, 0.5, 0], [0, 0.5, 0, 0.5]])


def _states_of_the_last_y() -> tuple[Array, Array, Array]:
    half = np.full((2, 2), 0.5)
    return np.array([1.0, 0.0]), half, np.array([[0.5, 0, 0, 0.5], [0, 0.5, 0.5, 0]])


def _eight_states() -> tuple[Array, Array, Array]:
    start, transition, emission = parity_hmm()
    return np.tile(start, 2) / 2, np.tile(transition, (2, 2)) / 2, np.tile(emission, (2, 1))


EXERCISE = Exercise(
    name="seq.parity_hmm",
    kind="derive",
    title="A hidden Markov model that never forgets",
    statement="""
        Bits $x^{(t)}$ are tosses of a fair coin, and $y^{(t)} = x^{(t)} \\oplus y^{(t-1)}$ with $y^{(0)} = 0$: whether the
        number of ones so far is odd. That depends on *every* bit, and no window is long enough. Build, by hand, the hidden
        Markov model of the pairs: its symbols are $2 x^{(t)} + y^{(t)}$, from 0 to 3, and it gives every sequence of them its
        true probability. Use as few states as can do it.

        Answer with three arrays as `parity_hmm = start, transition, emission`; entry $[i, j]$ of `transition` is the
        probability of going from state $i$ to state $j$. The order of the states is yours.
    """,
    solution=parity_hmm,
    outputs=("the number of states",),
    run=_run,
    cases=_cases,
    arguments=("steps",),
    hints=(
        "Given the state, what is emitted and which state follows are drawn independently. So what a state emits must not "
        "decide what may come later. Can a state emit both (x, y) = (1, 1) and (1, 0)? Or (0, 0) and (1, 0)?",
        "It cannot, because a state that is entered when y was 0 must emit (0, 0) or (1, 1), which lead on differently. "
        "So each state emits one symbol: let the states be the pairs, and the emission the identity.",
        "After (x, y) come two pairs with probability 1/2 each: $x'$ is 0 or 1, and $y' = x' \\oplus y$. "
        "At the start it is the same with $y = 0$: (0, 0) or (1, 1).",
    ),
    mistakes=(
        Mistake(
            "used two states",
            "Some state then emits two different pairs, and which of them it was has no influence on the state that follows: "
            "the model loses either the last y or the next one.",
            "hmm",
            _two_states,
        ),
        Mistake(
            "let two states stand for the y before",
            "Such a state emits two pairs, which lead to different ys; but the next state does not know which of them it was. "
            "From the second step on, your model gives impossible pairs a probability.",
            "hmm",
            _states_of_the_last_y,
        ),
        Mistake(
            "used more states than it takes",
            "A state has to know the pair that it emits, and nothing else of the past: there are four pairs.",
            "state-count",
            _eight_states,
        ),
        Mistake(
            "let the first pair be any of the four",
            "Nothing comes before it, so y^(0) = 0 and the first y is the first x.",
            "running-parity",
            _model(_parity, lambda x, y: True),
        ),
        Mistake(
            "started in the pair (0, 0)",
            "The start is the distribution of the *first* pair, when x has been tossed once: it can be (0, 0) or (1, 1).",
            "hmm",
            _model(_parity, lambda x, y: x + y == 0),
        ),
        Mistake(
            "started from odd parity",
            "y^(0) = 0: after no bits at all, the number of ones is even, and the first y is the first x.",
            "running-parity",
            _model(_parity, lambda x, y: y != x),
        ),
        Mistake(
            "took the exclusive or with the last x instead of the last y, or numbered the pairs as x + 2y",
            "x^(t) xor x^(t-1) is delayed XOR with lag 1; parity takes up its own last value. Exchange x and y, and the one "
            "looks like the other: the symbol is 2x + y.",
            "running-parity",
            _model(lambda x, y, x_next, y_next: y_next == x_next ^ x),
        ),
        Mistake(
            "transposed the transitions",
            "Row i holds the probabilities of what follows state i. Yours lets the next y be x xor y of the state it leaves.",
            "hmm",
            _model(lambda x, y, x_next, y_next: y == x ^ y_next),
        ),
        Mistake(
            "let y be x, without the past",
            "Your model forgets y at once: the parity changes where x is 1, and stays where x is 0.",
            "running-parity",
            _model(lambda x, y, x_next, y_next: y_next == x_next),
        ),
        Mistake(
            "took or for exclusive or",
            "Once y is 1 yours stays 1. The exclusive or of 1 and 1 is 0: two ones are an even number.",
            "running-parity",
            _model(lambda x, y, x_next, y_next: y_next == (x_next | y)),
        ),
        Mistake(
            "turned the exclusive or round",
            "Yours changes y where x is 0. A zero does not change the number of ones.",
            "running-parity",
            _model(lambda x, y, x_next, y_next: y_next != x_next ^ y),
        ),
        Mistake(
            "let any pair follow any pair",
            "Only x is a toss of a coin; given x and the last y, the next y is certain. Each row has two entries above 0.",
            "running-parity",
            _model(lambda x, y, x_next, y_next: True),
        ),
    ),
)
