"""Predict: how far a window gets that is too short for the lag."""

from companion.exercises.exercise import Exercise, Mistake


def window_accuracy() -> float:
    """The best accuracy, between 0 and 1."""
    return 0.9 * 0.9 + 0.1 * 0.1


EXERCISE = Exercise(
    name="seq.window",
    kind="predict",
    title="A window that is too short",
    statement="""
        Bits arrive one after the other. Each repeats the bit before it with probability 0.9, and is the other bit with
        probability 0.1; zeros and ones are equally common. The label is $y^{(t)} = x^{(t)} \\oplus x^{(t-3)}$, where
        $\\oplus$ is 1 if the two bits differ and 0 if they agree.

        A model sees only $x^{(t)}$ and $x^{(t-1)}$, never $x^{(t-3)}$. Which fraction of the labels can it get right in the
        long run, at best?
    """,
    solution=window_accuracy,
    outputs=("the accuracy",),
    cases=lambda rng: [()],
    rtol=1e-6,
    hints=(
        "It knows $x^{(t)}$, so all that is missing is $x^{(t-3)}$. Which of the bits that it sees tells most about that?",
        "The nearest one, $x^{(t-1)}$, two steps later; once that is known, $x^{(t)}$ tells nothing more. So it guesses "
        "that $x^{(t-3)}$ equals $x^{(t-1)}$. How often does it?",
        "Two bits that lie two steps apart are equal if both steps repeat, or if *both* change: "
        "$0.9 \\cdot 0.9 + 0.1 \\cdot 0.1$.",
    ),
    mistakes=(
        Mistake(
            "took the bits for tosses of a fair coin",
            "A half is right when the bits do not depend on each other. Here neighbours are mostly equal, and a bit that is "
            "seen says something about one that is not.",
            "delayed-xor",
            lambda: 0.5,
        ),
        Mistake(
            "left out that two changes cancel",
            "If both steps change the bit, it is back where it was: add that case.",
            "delayed-xor",
            lambda: 0.81,
        ),
        Mistake(
            "put one step between the oldest bit in the window and the missing one",
            "The oldest bit it sees is x^(t-1), and the missing one is x^(t-3): there are two steps between them.",
            "input-window",
            lambda: 0.9,
        ),
        Mistake(
            "counted three steps, from t instead of from t - 1",
            "x^(t-1) is in the window and is nearer to the missing bit than x^(t). From there it is two steps, and an even "
            "number of changes leaves the bit as it was.",
            "input-window",
            lambda: 0.729,
        ),
        Mistake(
            "compared x^(t) itself with the missing bit",
            "That is how often the label is 0. The model also sees x^(t-1), which is nearer to the missing bit.",
            "input-window",
            lambda: 0.756,
        ),
        Mistake(
            "added half of the rest, as if a change were a toss of a coin",
            "When just one of the two steps changes the bit, the guess is wrong for certain, not every other time.",
            "delayed-xor",
            lambda: 0.9**2 + 0.19 / 2,
        ),
        Mistake(
            "gave the fraction that it gets wrong",
            "That is how often the missing bit differs from the one seen; the best model guesses the other way.",
            "delayed-xor",
            lambda: 0.18,
        ),
        Mistake(
            "let the window reach back to the missing bit",
            "With x^(t-3) in view the label is certain. The window has two bits, and that one is not among them.",
            "input-window",
            lambda: 1.0,
        ),
        Mistake(
            "gave a percentage",
            "A fraction lies between 0 and 1.",
            "delayed-xor",
            lambda: 82,
        ),
    ),
)
