"""Where the exercises of each chapter are shown, and right answers to them of other designs."""

from __future__ import annotations

from typing import Any

from tests.exercises import (
    alternatives_bi,
    alternatives_lstm,
    alternatives_nn,
    alternatives_ntm,
    alternatives_ntm_hunts,
    alternatives_rnn,
    alternatives_seq_hmm,
    alternatives_seq_text,
)

# The part of an exercise's name before the dot, and the notebook that shows it and holds its equations.
CHAPTERS = {
    "seq": "why-sequences.ipynb",
    "nn": "neural-networks.ipynb",
    "rnn": "recurrent-networks.ipynb",
    "lstm": "lstm.ipynb",
    "bi": "bidirectional.ipynb",
    "ntm": "neural-turing-machine.ipynb",
}
ALTERNATIVES: dict[str, tuple[Any, ...]] = {
    **alternatives_seq_hmm.ALTERNATIVES,
    **alternatives_seq_text.ALTERNATIVES,
    **alternatives_nn.ALTERNATIVES,
    **alternatives_rnn.ALTERNATIVES,
    **alternatives_lstm.ALTERNATIVES,
    **alternatives_bi.ALTERNATIVES,
    **alternatives_ntm.ALTERNATIVES,
    **alternatives_ntm_hunts.ALTERNATIVES,
}
