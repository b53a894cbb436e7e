"""Some dates of the field that the review surveys, for its timeline (chapter *Why model sequences*).

Lipton, Berkowitz and Elkan (2015) discuss nearly all of these papers; the sentences are ours.
"""

# year, name, source, what it was about: the fields of `companion.timeline.Event`
EVENTS: tuple[tuple[int, str, str, str], ...] = (
    (
        1982,
        "Hopfield nets",
        "Hopfield, 1982",
        "A net of binary units with symmetric weights settles into stored patterns: a part of one recalls the whole.",
    ),
    (
        1986,
        "Backpropagation",
        "Rumelhart, Hinton and Williams, 1986",
        "Hidden units learn representations of their own when errors are sent back through the layers by the chain rule.",
    ),
    (
        1986,
        "Jordan nets",
        "Jordan, 1986",
        "Outputs are fed back into context units, so that the next step depends on what the net has just done.",
    ),
    (
        1989,
        "Real-time learning",
        "Williams and Zipser, 1989",
        "The gradient is carried forwards with the state, so that a net can learn while it runs; each step is expensive.",
    ),
    (
        1990,
        "Backprop through time",
        "Werbos, 1990",
        "A recurrent net is laid out over its steps, and the chain rule is followed back through all of them.",
    ),
    (
        1990,
        "Elman nets",
        "Elman, 1990",
        "The hidden state is fed back; a net that predicts the next word finds classes of words that nobody told it.",
    ),
    (
        1994,
        "Vanishing gradients",
        "Hochreiter, 1991; Bengio, Simard and Frasconi, 1994",
        "A state that keeps information safely over many steps has a gradient that vanishes, so it is hard to train.",
    ),
    (
        1995,
        "Turing completeness",
        "Siegelmann and Sontag, 1995",
        "A finite net with rational weights and exact arithmetic can do whatever a Turing machine can.",
    ),
    (
        1997,
        "Long short-term memory",
        "Hochreiter and Schmidhuber, 1997",
        "Memory cells keep their state with weight one, and gates decide what is written and what is read.",
    ),
    (
        1997,
        "Bidirectional nets",
        "Schuster and Paliwal, 1997",
        "One net reads the sequence forwards and another backwards, so that every output sees past and future.",
    ),
    (
        2000,
        "Forget gate",
        "Gers, Schmidhuber and Cummins, 2000",
        "A third gate lets an LSTM cell empty itself, so that it can run on streams without end.",
    ),
    (
        2006,
        "Labels without alignment",
        "Graves, Fernández, Gomez and Schmidhuber, 2006",
        "A loss that sums over all alignments: a net learns to label speech without being told when each sound occurs.",
    ),
    (
        2010,
        "Word language model",
        "Mikolov and others, 2010",
        "A recurrent net predicts words better than a smoothed n-gram model, and a speech recogniser errs less.",
    ),
    (
        2014,
        "Encoder and decoder",
        "Cho and others, 2014; Sutskever, Vinyals and Le, 2014",
        "One net reads words into a vector, another writes their translation from it; the unit of Cho is the GRU.",
    ),
    (
        2014,
        "Attention",
        "Bahdanau, Cho and Bengio, 2014",
        "While it writes, the decoder looks back at all states of the encoder and weighs them anew for every word.",
    ),
    (
        2014,
        "Neural Turing machine",
        "Graves, Wayne and Danihelka, 2014",
        "A net learns to read and write a memory beside it by weights over its rows, and so to copy and to sort.",
    ),
)
