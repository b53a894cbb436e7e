"""Predict: how many numbers a network learns."""

from companion.exercises.exercise import Exercise, Mistake


def parameter_count() -> int:
    """The number of weights and biases together."""
    return 32 * 64 + 32 + 10 * 32 + 10


EXERCISE = Exercise(
    name="nn.parameter_count",
    kind="predict",
    title="Counting parameters",
    statement="""
        How many numbers does a network with 64 inputs, one hidden layer of 32 units and 10 outputs learn? Comparisons
        "at equal parameters" rest on this count.
    """,
    solution=parameter_count,
    outputs=("the count",),
    cases=lambda rng: [()],
    rtol=1e-9,
    hints=(
        "Two layers hold parameters: from the inputs to the hidden units, and from those to the outputs.",
        "A layer with $D$ inputs and $H$ units has a weight matrix of shape $(H, D)$ and one bias for each unit.",
        "$32 \\cdot 64 + 32$ for the hidden layer and $10 \\cdot 32 + 10$ for the output layer.",
    ),
    mistakes=(
        Mistake(
            "left out the biases",
            "2368 is the number of weights; every hidden and every output unit also has one bias.",
            "layer",
            lambda: 2368,
        ),
        Mistake(
            "left out the biases of the output units",
            "The ten outputs are units like the others: each adds a bias to its weighted sum.",
            "layer",
            lambda: 2400,
        ),
        Mistake(
            "left out the biases of the hidden units",
            "The 32 hidden units each add a bias to their weighted sum.",
            "layer",
            lambda: 2378,
        ),
        Mistake(
            "gave the inputs biases too",
            "An input is a number from the data, not a unit: 64 of your parameters do not exist.",
            "layer",
            lambda: 2474,
        ),
        Mistake(
            "counted units instead of parameters",
            "106 is how many numbers the network computes with for one image; the parameters sit on the connections.",
            "layer",
            lambda: 106,
        ),
        Mistake(
            "multiplied the three sizes",
            "Connections exist between neighbouring layers only: add the products of neighbours.",
            "layer",
            lambda: 64 * 32 * 10,
        ),
        Mistake(
            "gave each layer a single bias",
            "Every unit has a bias of its own: a layer has as many biases as units.",
            "layer",
            lambda: 64 * 32 + 1 + 32 * 10 + 1,
        ),
        Mistake(
            "counted the hidden layer only",
            "The ten outputs, too, have weights, from the hidden units, and biases.",
            "layer",
            lambda: 64 * 32 + 32,
        ),
        Mistake(
            "counted the output layer only",
            "The hidden units, too, have weights, from the inputs, and biases.",
            "layer",
            lambda: 32 * 10 + 10,
        ),
    ),
)
