"""Predict: how many numbers two bidirectional LSTM layers learn."""

from companion.exercises.exercise import Exercise, Mistake


def blstm_parameters() -> int:
    """The number of weights and biases of both layers together."""
    first = 2 * 4 * (20 * 10 + 20 * 20 + 20)
    second = 2 * 4 * (20 * 40 + 20 * 20 + 20)
    return first + second


EXERCISE = Exercise(
    name="bi.parameters",
    kind="predict",
    title="What the second direction costs",
    statement="""
        Two bidirectional LSTM layers lie one on top of the other. The inputs are vectors of 10 numbers. Each layer has 20
        units in each direction, and the second layer reads both directions of the first. A direction holds the weights
        `W_x` and `W_h` and one bias vector `b`. How many numbers do the two layers learn? (Without a softmax on top.)
    """,
    solution=blstm_parameters,
    outputs=("the count",),
    cases=lambda rng: [()],
    rtol=1e-9,
    hints=(
        "Four LSTMs of 20 units learn here, two in each layer. Only the number of their inputs differs.",
        "An LSTM of $H$ units with $D$ inputs has four blocks $i, f, g, o$ of $H D + H H + H$ numbers. What is $D$ in the "
        "second layer?",
        "The second layer has $D = 2 H = 40$ inputs: $2 \\cdot 4 \\cdot (20 \\cdot 10 + 20 \\cdot 20 + 20)$ below and "
        "$2 \\cdot 4 \\cdot (20 \\cdot 40 + 20 \\cdot 20 + 20)$ above.",
    ),
    mistakes=(
        Mistake(
            "let the second layer read one direction only",
            "Its inputs are the outputs of both directions side by side, twice as many as a direction has units.",
            "stacked-input",
            lambda: 11520,
        ),
        Mistake(
            "gave the second layer the inputs of the first",
            "9920 counts ten inputs in both layers; the second reads what the first puts out.",
            "stacked-input",
            lambda: 9920,
        ),
        Mistake(
            "counted one direction only",
            "The two directions share nothing: each has its own W_x, W_h and b, so there are twice as many.",
            "bi-parameters",
            lambda: 7360,
        ),
        Mistake(
            "forgot the blocks of the gates",
            "3680 is for tanh units; an LSTM has four such blocks, i, f, g and o.",
            "bi-parameters",
            lambda: 3680,
        ),
        Mistake(
            "counted three blocks, as for a GRU",
            "An LSTM has four: the input, forget and output gates, and the candidate g.",
            "bi-parameters",
            lambda: 11040,
        ),
        Mistake(
            "left out the biases",
            "14400 is the number of weights; every block of every direction also has 20 biases.",
            "bi-parameters",
            lambda: 14400,
        ),
        Mistake(
            "counted two bias vectors in each direction",
            "PyTorch keeps two, which only ever appear as their sum; here there is one.",
            "bi-parameters",
            lambda: 15040,
        ),
        Mistake(
            "took each layer for one of 40 units",
            "W_h of 40 units would connect the two directions with each other; each feeds back into itself only, which "
            "makes 2 x 20 x 20 weights in a block instead of 40 x 40.",
            "bi-parameters",
            lambda: 21120,
        ),
        Mistake(
            "left out the recurrent weights",
            "Each block of each direction also has W_h, of 20 x 20 numbers.",
            "bi-parameters",
            lambda: 8320,
        ),
        Mistake(
            "counted the first layer only",
            "The second layer learns too, and has the wider W_x of the two.",
            "stacked-input",
            lambda: 4960,
        ),
        Mistake(
            "counted the second layer only",
            "The first layer learns too; only its W_x is narrower.",
            "stacked-input",
            lambda: 9760,
        ),
        Mistake(
            "stacked two layers that read forward only",
            "5760 is for two LSTMs. Each layer has a second one for the other direction, and the upper layer reads both.",
            "bi-parameters",
            lambda: 5760,
        ),
    ),
)
