"""A neural Turing machine that copies, with weights set by hand: both heads walk down the memory, one row a step.

The memory has a row more than there are vectors to copy. So a head that starts at row 0 has gone once round when the first answer
is asked, and reads a row just before it is written over. The controller says +-1 for the bits of the input, which are added.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from companion.bptt import Cell
from companion.data.algorithmic import Episodes, copy
from companion.heads import NTMSizes, head_shapes
from companion.memory_trace import Trace, record
from companion.ntm import Feedforward, FeedforwardParams, NTMParams, ntm
from companion.ops import LinearParams

LARGE = 20.0  # far enough from 0 for every squashing to be at its end


def copying_machine(length: int, bits: int = 8, rows: int = 0, **heads: int) -> tuple[Cell, NTMParams, LinearParams]:
    """Cell, parameters and readout; of more rows than length + 1, which is the default, it reads only what was empty."""
    sizes = NTMSizes(rows or length + 1, bits, **heads)
    eye = np.eye(bits)
    controller = FeedforwardParams(np.zeros((bits, bits + 1 + bits * sizes.read_heads)), np.full(bits, -LARGE))
    controller.W_x[:, :bits] = 2 * LARGE * eye
    shapes = head_shapes(sizes)
    W = {name: np.zeros((*shape, bits)) for name, shape in shapes._asdict().items()}
    b = {name: np.zeros(shape) for name, shape in shapes._asdict().items()}
    b["key"] += 1  # any direction: it is not looked for
    b["gate"] -= 2 * LARGE  # begin where it is
    b["s"][:, -1] = 2 * LARGE  # but one row further
    b["sharpness"] += LARGE
    b["erase"] += 2 * LARGE
    W["add"] += LARGE * eye
    joined = NTMParams(
        controller,
        np.concatenate([W[name].reshape(-1, bits) for name in shapes._fields]),
        np.concatenate([b[name].ravel() for name in shapes._fields]),
    )
    readout = LinearParams(np.concatenate([0 * eye, *[5 * eye] * sizes.read_heads], axis=1), np.zeros(bits))
    return ntm(Feedforward, rows=sizes.rows, width=bits, **heads), joined, readout


def copied(length: int = 4, bits: int = 8, rows: int = 0, seed: int = 0, **told: Any) -> tuple[Trace, Episodes]:
    """What the machine does with one random sequence, and the sequence."""
    episode = copy(np.random.default_rng(seed), 1, length, bits)
    about = {"targets": episode.targets.astype(float), "mask": episode.mask} | told
    return record(*copying_machine(length, bits, rows), episode.xs, **about), episode
