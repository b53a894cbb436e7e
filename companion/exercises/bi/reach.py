"""Predict: which answers a changed input can change."""

from companion.exercises.exercise import Exercise, Mistake


def reach() -> tuple[int, int, int, int]:
    """How many of 20 answers change: forward, delayed, window, bidirectional."""
    steps = range(1, 21)
    forward = sum(t >= 15 for t in steps)
    delayed = sum(t + 2 >= 15 for t in steps)
    window = sum(abs(t - 15) <= 2 for t in steps)
    return forward, delayed, window, len(steps)


EXERCISE = Exercise(
    name="bi.reach",
    kind="predict",
    title="Who notices letter 15?",
    statement="""
        Four networks read words of 20 letters and give one answer for each letter:

        - a forward recurrent network answers for letter $t$ when it has read letter $t$;
        - the same with a delay of 2 answers for letter $t$ two steps later (two blanks follow the word, so that it can
          finish);
        - a feedforward network sees a window of two letters on either side of letter $t$, and letter $t$;
        - a bidirectional network.

        Somebody changes letter 15. For each network, for how many of the 20 letters can the answer change? Answer with four
        numbers, in this order, as `reach = 1, 2, 3, 4`.
    """,
    solution=reach,
    outputs=("the forward network", "the delayed network", "the window", "the bidirectional network"),
    cases=lambda rng: [()],
    rtol=1e-9,
    hints=(
        "Ask of each network which letters it has seen when it answers for letter $t$, and count the $t$ for which "
        "letter 15 is "
        "among them.",
        "Forward: letters 1 to $t$. Delayed: letters 1 to $t + 2$. Window: letters $t - 2$ to $t + 2$. Bidirectional: all.",
        "The conditions are $t \\ge 15$, then $t + 2 \\ge 15$, then $13 \\le t \\le 17$, and none.",
    ),
    mistakes=(
        Mistake(
            "counted the letters before the change instead of those after it",
            "A forward network has not read letter 15 when it answers for letter 3. What changes is what comes later.",
            "online",
            lambda: (15, 17, 5, 20),
        ),
        Mistake(
            "did not count letter 15 itself",
            "Every one of the four networks has read letter 15 when it answers for letter 15.",
            "bi-output",
            lambda: (5, 7, 4, 19),
        ),
        Mistake(
            "moved the delayed answers the wrong way",
            "The delayed network has seen two letters *more* when it answers for letter t, so more answers can change.",
            "delay",
            lambda: (6, 4, 5, 20),
        ),
        Mistake(
            "left out the delay",
            "When it answers for letters 13 and 14, the delayed network has already read letter 15.",
            "delay",
            lambda: (6, 6, 5, 20),
        ),
        Mistake(
            "took the delay for one of a single step",
            "The delay is 2: when it answers for letter 13, the delayed network has just read letter 15.",
            "delay",
            lambda: (6, 7, 5, 20),
        ),
        Mistake(
            "let every network see the whole word",
            "Only the bidirectional one does: when the others answer for letter 3, they have not read letter 15.",
            "online",
            lambda: (20, 20, 20, 20),
        ),
        Mistake(
            "let the delayed network see what a window sees",
            "It is recurrent, and remembers: letter 15 can also change all answers that come after.",
            "delay",
            lambda: (6, 5, 5, 20),
        ),
        Mistake(
            "made the window one-sided",
            "It reaches two letters to the left and two to the right: letter 15 is also in the windows of 16 and 17.",
            "window",
            lambda: (6, 8, 3, 20),
        ),
        Mistake(
            "counted the neighbours but not the middle of the window",
            "The window of letter 15 holds letter 15 too.",
            "window",
            lambda: (6, 8, 4, 20),
        ),
        Mistake(
            "gave the bidirectional network its forward half only",
            "Its backward half carries letter 15 to all letters before it.",
            "bi-output",
            lambda: (6, 8, 5, 6),
        ),
        Mistake(
            "gave the bidirectional network its backward half only",
            "Its forward half carries letter 15 to all letters after it.",
            "bi-backward",
            lambda: (6, 8, 5, 15),
        ),
        Mistake(
            "counted letter 15 in both halves of the bidirectional network",
            "There is one answer for each letter, to which both halves contribute.",
            "bi-output",
            lambda: (6, 8, 5, 21),
        ),
        Mistake(
            "took the recurrent networks for ones without a memory",
            "A state carries what was read to later steps: letter 15 can change every answer after it.",
            "bi-forward",
            lambda: (1, 3, 5, 1),
        ),
    ),
)
