"""Predict: how many numbers an LSTM layer learns."""

from companion.exercises.exercise import Exercise, Mistake


def lstm_parameter_count() -> int:
    """The number of weights and biases together."""
    return 4 * (64 * 28 + 64 * 64 + 64)


EXERCISE = Exercise(
    name="lstm.parameter_count",
    kind="predict",
    title="Counting the parameters of an LSTM",
    statement="""
        How many numbers does one LSTM layer with 28 inputs and 64 units learn? It has a forget gate and no peepholes,
        and each pre-activation of a unit has one bias.
    """,
    solution=lstm_parameter_count,
    outputs=("the count",),
    cases=lambda rng: [()],
    rtol=1e-9,
    hints=(
        "The layer computes several pre-activations for each unit, each as an Elman layer computes its only one. How many?",
        "Four: three gates and the input node. Each is $x W_x^\\top + h' W_h^\\top + b$ with matrices and biases of its own.",
        "One block has $64 \\cdot 28$ input weights, $64 \\cdot 64$ recurrent weights and 64 biases; there are four blocks.",
    ),
    mistakes=(
        Mistake(
            "counted two bias vectors, as PyTorch does",
            "torch.nn.LSTM keeps a second vector of 4 H biases. Only the sum of both acts, so here there is one.",
            "parameter-count",
            lambda: 4 * 64 * (28 + 64 + 2),
        ),
        Mistake(
            "left out the biases",
            "Each unit of each block adds a bias: your count is 4 H too small.",
            "parameter-count",
            lambda: 4 * 64 * (28 + 64),
        ),
        Mistake(
            "gave all blocks one common bias vector",
            "A unit's three gates and its input node have a bias each: the forget gate's can be 1 while the others are 0.",
            "parameter-count",
            lambda: 4 * 64 * (28 + 64) + 64,
        ),
        Mistake(
            "gave each block a single bias",
            "A bias belongs to one unit of one block: there are 4 H of them, not 4.",
            "parameter-count",
            lambda: 4 * 64 * (28 + 64) + 4,
        ),
        Mistake(
            "counted one block only",
            "That is an Elman layer. Each gate and the input node has weights and biases of its own.",
            "parameter-count",
            lambda: 64 * (28 + 64 + 1),
        ),
        Mistake(
            "counted three blocks",
            "Input gate, forget gate and output gate are three; the input node g is the fourth.",
            "parameter-count",
            lambda: 3 * 64 * (28 + 64 + 1),
        ),
        Mistake(
            "left out the recurrent weights",
            "All four blocks also look at the hidden state of the step before, through a matrix (H, H) each.",
            "parameter-count",
            lambda: 4 * 64 * (28 + 1),
        ),
        Mistake(
            "left out the input weights",
            "All four blocks also look at the input, through a matrix (H, D) each.",
            "parameter-count",
            lambda: 4 * 64 * (64 + 1),
        ),
        Mistake(
            "connected each unit only to itself across time",
            "The recurrent weights of a block are a full matrix (H, H): each unit sees the hidden state of all units.",
            "parameter-count",
            lambda: 4 * 64 * (28 + 1 + 1),
        ),
        Mistake(
            "added peepholes",
            "Peepholes would be 3 H further weights, but this layer has none.",
            "parameter-count",
            lambda: 4 * 64 * (28 + 64 + 1) + 3 * 64,
        ),
        Mistake(
            "exchanged the number of inputs and the number of units",
            "The recurrent matrix of a block has as many rows and columns as there are units.",
            "parameter-count",
            lambda: 4 * 28 * (28 + 64 + 1),
        ),
    ),
)
