"""Predict: how many states a hidden Markov model needs for a delayed sum."""

from companion.exercises.exercise import Exercise, Mistake


def state_count() -> int:
    """The smallest number of states."""
    return 3**5  # one for each value of x^(t-4), ..., x^(t)


EXERCISE = Exercise(
    name="seq.state_count",
    kind="predict",
    title="A delayed sum of base-three digits",
    statement="""
        Digits $x^{(t)} \\in \\{0, 1, 2\\}$ are drawn independently, and the answer looks four steps back:
        $y^{(t)} = (x^{(t)} + x^{(t-4)}) \\bmod 3$. In the first four steps, where $x^{(t-4)}$ is a digit that nobody saw, the
        answer may be anything. A hidden Markov model whose states emit pairs $(x^{(t)}, y^{(t)})$ is to be exact: every
        sequence of pairs that can occur, and no other, has a positive probability. How many states does it need at
        least? Why can it not do with fewer?
    """,
    solution=state_count,
    outputs=("the count",),
    cases=lambda rng: [()],
    rtol=1e-9,
    hints=(
        "All that a pair may depend on is the state that emits it, and all that the next state may depend on is that state too, "
        "*not* what it has emitted. What does a state have to know?",
        "When a state emits, its answer is settled, so it knows $x^{(t)}$ and $x^{(t-4)}$. The next four answers need "
        "$x^{(t-3)}, \\dots, x^{(t)}$. If one state stood for two such memories, the past of one could go on with the "
        "future of the other, and some answer would be wrong.",
        "A state holds the five digits $x^{(t-4)}, \\dots, x^{(t)}$. Each takes three values, whatever the others are.",
    ),
    mistakes=(
        Mistake(
            "kept only the four digits that later answers need",
            "They are enough for what comes next. But the state also emits the answer of its own step, and if it does not "
            "hold the digit of four steps before, it has to guess it.",
            "state-count",
            lambda: 3**4,
        ),
        Mistake(
            "counted bits instead of digits",
            "Each of the digits it has to hold takes three values, not two.",
            "state-count",
            lambda: 2**5,
        ),
        Mistake(
            "gave each digit that it holds one state",
            "At every step the model is in one state, and this one has to tell the values of *all* the digits it holds.",
            "state-count",
            lambda: 5,
        ),
        Mistake(
            "added up the values of the digits instead of multiplying them",
            "Every value of one digit can occur together with every value of another: the possibilities multiply.",
            "state-count",
            lambda: 3 * 5,
        ),
        Mistake(
            "added up the values of four digits",
            "Their possibilities multiply, and there is a digit more: the state settles the answer of its own step as well.",
            "state-count",
            lambda: 3 * 4,
        ),
        Mistake(
            "exchanged base and exponent",
            "The number of values is the base, the number of digits held the exponent: one more digit makes it three "
            "times as large.",
            "state-count",
            lambda: 5**3,
        ),
        Mistake(
            "counted the pairs that can be emitted",
            "That many symbols there are. The same pair can follow upon many different memories, which call for "
            "different answers later.",
            "state-count",
            lambda: 9,
        ),
        Mistake(
            "let the state hold the answer as one more digit",
            "The answer follows from the first and the last digit held; it adds nothing to what the state has to tell.",
            "state-count",
            lambda: 3**6,
        ),
        Mistake(
            "let the state hold a pair for each of five steps",
            "The earlier answers will not be asked for again, and what matters in the later ones follows from the digits.",
            "state-count",
            lambda: 9**5,
        ),
        Mistake(
            "let the state hold one digit only",
            "One digit would do for a sum with the step before, if that sum were all; here four steps lie between.",
            "state-count",
            lambda: 3,
        ),
        Mistake(
            "counted numbers of four bits",
            "The digits take three values, and the state also settles the answer of its own step.",
            "state-count",
            lambda: 2**4,
        ),
    ),
)
