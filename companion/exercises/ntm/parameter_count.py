"""Predict: how many numbers a neural Turing machine learns."""

from companion.exercises.exercise import Exercise, Mistake


def ntm_parameter_count() -> int:
    """The number of weights and biases together, without a layer on top."""
    D, H, M, R, W, S = 7, 64, 10, 2, 1, 5
    K = R + W
    P = K * (M + 1 + 1 + S + 1) + W * (M + M)
    return 4 * H * (D + R * M + H + 1) + P * (H + 1)


def _count(
    inputs: int = 7 + 2 * 10, blocks: int = 4, biases: int = 1, heads: int = 74, bias_of_heads: int = 1, more: int = 0
) -> int:
    """Controller and linear map of the heads, with some number of each replaced."""
    return blocks * 64 * (inputs + 64 + biases) + heads * (64 + bias_of_heads) + more


EXERCISE = Exercise(
    name="ntm.parameter_count",
    kind="predict",
    title="Counting the parameters of the machine",
    statement="""
        An NTM has a memory of 100 rows of 10 numbers, two read heads, one write head, and moves of up to two rows a step either
        way. Its controller is an LSTM with 64 units, with a forget gate and one bias for each pre-activation of a unit, and 7
        numbers come in at every step. How many numbers does the machine learn, without a layer that makes answers of its output?
        It starts every sequence from the same state, which is not learned. Find first how many numbers the three heads are told
        at one step, for yourself.
    """,
    solution=ntm_parameter_count,
    outputs=("the count",),
    cases=lambda rng: [()],
    rtol=1e-9,
    hints=(
        "Two things learn: the controller, and the one linear map from its output to all that the heads are told. The memory "
        "and the weightings are a state, as the hidden values of an LSTM are. What does the controller see beside the input?",
        "Any head is told a key (10), a strength, a gate, the shares of its moves (how many are there, from 2 back to 2 on?) "
        "and a sharpness. One that writes is told an erase and an add vector too.",
        "P = 3 (10 + 1 + 1 + 5 + 1) + 10 + 10 numbers, each with 64 weights and a bias. The LSTM has 7 + 2 * 10 inputs: 7 from "
        "outside, and what the two heads read one step before.",
    ),
    mistakes=(
        Mistake(
            "counted the numbers of the memory",
            "The memory starts the same for every sequence and is written anew: it is a state. None of the weights depends on "
            "its 100 rows, and a trained machine can be given more.",
            "ntm-parameters",
            lambda: _count(more=100 * 10),
        ),
        Mistake(
            "learned where the heads start",
            "A weighting of 100 numbers for each head could be learned, but here all heads start at row 0.",
            "ntm-parameters",
            lambda: _count(more=3 * 100),
        ),
        Mistake(
            "did not show the controller what was read",
            "What the two read heads saw one step before comes in with the 7 inputs: 20 more columns in each of the four blocks.",
            "ntm-controller",
            lambda: _count(inputs=7),
        ),
        Mistake(
            "showed the controller one vector that was read",
            "There are two read heads, each with 10 numbers a step.",
            "ntm-controller",
            lambda: _count(inputs=7 + 10),
        ),
        Mistake(
            "showed the controller three vectors that were read",
            "The write head reads nothing: two vectors of 10 numbers come back.",
            "ntm-controller",
            lambda: _count(inputs=7 + 3 * 10),
        ),
        Mistake(
            "gave the read heads an erase and an add vector",
            "Only a head that writes is told what to erase and what to add.",
            "ntm-parameters",
            lambda: _count(heads=74 + 2 * 20),
        ),
        Mistake(
            "gave the write head no key, strength, gate, shift and sharpness",
            "A write head addresses its row as a read head does; only what it does there differs.",
            "ntm-parameters",
            lambda: _count(heads=2 * 18 + 20),
        ),
        Mistake(
            "left out the erase vector, or the add vector",
            "The write head is told two vectors of 10 numbers beside its key.",
            "ntm-parameters",
            lambda: _count(heads=74 - 10),
        ),
        Mistake(
            "left out both the erase and the add vector",
            "The write head is told what to erase and what to add: twice 10 numbers beside its key.",
            "ntm-parameters",
            lambda: _count(heads=74 - 20),
        ),
        Mistake(
            "counted two numbers too few for each head: three moves instead of five, or two of strength, gate and sharpness "
            "left out",
            "Up to two rows either way: -2, -1, 0, 1 and 2 make five. And each head has all three of the others.",
            "ntm-parameters",
            lambda: _count(heads=74 - 3 * 2),
        ),
        Mistake(
            "counted one number too few for each head",
            "Beside its key each is told a strength, a gate and a sharpness, and five moves: to stay is a move too.",
            "ntm-parameters",
            lambda: _count(heads=74 - 3),
        ),
        Mistake(
            "told each head its move as a single number",
            "A head is told a distribution over its moves: five numbers before the softmax.",
            "ntm-heads",
            lambda: _count(heads=74 - 3 * 4),
        ),
        Mistake(
            "counted one head",
            "Three heads have parameters of their own, or they would all stand at the same row.",
            "ntm-parameters",
            lambda: _count(heads=18 + 20),
        ),
        Mistake(
            "left out the biases of what the heads are told",
            "z = h W_z^T + b_z: each of the P numbers has a bias. One of them keeps the gates nearly shut at the start.",
            "ntm-heads",
            lambda: _count(bias_of_heads=0),
        ),
        Mistake(
            "left out all biases",
            "Each unit of each block of the LSTM has one, and so has each of the P numbers that the heads are told.",
            "ntm-parameters",
            lambda: _count(biases=0, bias_of_heads=0),
        ),
        Mistake(
            "counted the controller only",
            "The linear map to the heads learns as well: without it the controller could not say anything to them.",
            "ntm-parameters",
            lambda: _count(heads=0),
        ),
        Mistake(
            "counted the linear map to the heads only",
            "The LSTM, with its four blocks, learns most of the numbers.",
            "ntm-parameters",
            lambda: _count(blocks=0),
        ),
        Mistake(
            "counted what the heads are told at one step",
            "P is right. Each of these numbers is the controller's output times 64 weights, plus a bias; and the "
            "controller has weights of its own.",
            "ntm-parameters",
            lambda: 74,
        ),
        Mistake(
            "let the heads see what was read as well",
            "What they are told comes from the controller's output alone, 64 numbers; what was read reaches it a step later.",
            "ntm-heads",
            lambda: _count(bias_of_heads=1 + 20),
        ),
        Mistake(
            "counted one block of the LSTM",
            "Input, forget and output gate and the input node have weights of their own: four blocks.",
            "ntm-parameters",
            lambda: _count(blocks=1),
        ),
        Mistake(
            "counted two bias vectors in the LSTM, as PyTorch does",
            "Only their sum acts, and the statement gives each block one.",
            "ntm-parameters",
            lambda: _count(biases=2),
        ),
    ),
)
