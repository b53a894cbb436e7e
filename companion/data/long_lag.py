"""Long time lags: tasks whose answer lies many steps back (chapters *Recurrent networks* and *LSTM*).

The tasks follow Hochreiter and Schmidhuber (1997), *Long short-term memory*, Neural Computation 9(8), each in the simpler
form that its function states. Sequences are drawn from a seeded generator, as many as are asked for: nothing is stored,
and a test set is a second seed.
"""

from typing import Any, NamedTuple

import numpy as np

from companion.tree import Array, Indices
from companion.validate import require_instance, require_whole

TRIVIAL_ADDING_ERROR = 1 / 6  # mean squared error of answering 1, the mean, to every adding problem: its variance


class Adding(NamedTuple):
    """Adding problems."""

    xs: Array  # (T, B, 2) a value in [0, 1) and a mark, 1 at two steps and 0 at all others
    targets: Array  # (B, 1) the sum of the two marked values


class Symbols(NamedTuple):
    """Sequences that are to be answered with a class."""

    xs: Array  # (T, B, D)
    targets: Indices  # (B,) int64, due after the last step; for `delayed_echo` (T, B), one at every step


def adding(rng: np.random.Generator, batch: int, steps: int, dtype: Any = np.float64) -> Adding:
    """Draw adding problems: add the two values that carry a mark, one in each half of the sequence.

    Answering 1 to everything has a mean squared error of 1/6 = 0.167: a net below it has found at least one mark.

    Values and target are as in Le, Jaitly and Hinton (2015), and one mark lies in each half as in Arjovsky, Shah and Bengio
    (2016). In the original task (experiment 4) values lie in [-1, 1], lengths vary, the first mark is within the first ten
    steps, and the target is scaled to [0, 1].

    Raises ValueError unless batch >= 1, steps >= 2, and dtype is floating-point.
    """
    _require("adding", rng, dtype, batch=(batch, 1), steps=(steps, 2))
    values, column = rng.random((steps, batch)).astype(dtype), np.arange(batch)
    marks = np.zeros((steps, batch), dtype)
    marks[rng.integers(0, steps // 2, batch), column] = 1
    marks[rng.integers(steps // 2, steps, batch), column] = 1
    return Adding(np.stack([values, marks], axis=-1), (values * marks).sum(axis=0)[:, None])


def temporal_order(rng: np.random.Generator, batch: int, steps: int, dtype: Any = np.float64) -> Symbols:
    """Draw sequences (T, B, 6) of one-hot symbols X, Y, a, b, c, d; which of X and Y came first, and which second?

    One of X and Y stands at a step in [T/10, T/5), another in [T/2, 3T/5), with places rounded down, and the rest are
    distractors. The classes are 0 for X X, 1 for X Y, 2 for Y X and 3 for Y Y, equally likely.

    Task 6a of Hochreiter and Schmidhuber (1997) has the same symbols, places (at T = 100) and classes. It also starts every
    sequence with E, ends it with B as the sign to answer, and draws the length from 100 to 110; here the end is the sign.

    Raises ValueError unless batch >= 1, steps >= 10, and dtype is floating-point.
    """
    _require("temporal_order", rng, dtype, batch=(batch, 1), steps=(steps, 10))
    symbols, column = rng.integers(2, 6, (steps, batch)), np.arange(batch)
    first, second = rng.integers(0, 2, (2, batch))
    symbols[rng.integers(steps // 10, steps // 5, batch), column] = first
    symbols[rng.integers(steps // 2, 3 * steps // 5, batch), column] = second
    return Symbols(np.eye(6, dtype=dtype)[symbols], 2 * first + second)


def recall(rng: np.random.Generator, batch: int, lag: int, dtype: Any = np.float64) -> Symbols:
    """Draw sequences (lag + 1, B, 3) whose first step shows a symbol, 0 or 1; which was it, after `lag` steps of noise?

    The symbol is one-hot in channels 0 and 1, which are silent afterwards; channel 2 is silent at first and then standard
    normal noise. It is close to the latch problem of Bengio, Simard and Frasconi (1994).

    Raises ValueError unless batch >= 1, lag >= 1, and dtype is floating-point.
    """
    _require("recall", rng, dtype, batch=(batch, 1), lag=(lag, 1))
    targets = rng.integers(0, 2, batch)
    xs = np.zeros((lag + 1, batch, 3), dtype)
    xs[0, np.arange(batch), targets] = 1
    xs[1:, :, 2] = rng.normal(size=(lag, batch))
    return Symbols(xs, targets)


def delayed_echo(rng: np.random.Generator, batch: int, steps: int, delay: int, dtype: Any = np.float64) -> Symbols:
    """Draw streams (T, B, 1) of random bits as -1 and 1; the target (T, B) is the bit, 0 or 1, of `delay` steps before.

    The first `delay` targets are bits from before the stream began: nobody can know them, so leave them out of a score.

    Raises ValueError unless batch >= 1, steps >= 1, delay >= 0, and dtype is floating-point.
    """
    _require("delayed_echo", rng, dtype, batch=(batch, 1), steps=(steps, 1), delay=(delay, 0))
    bits = rng.integers(0, 2, (delay + steps, batch))
    return Symbols((2 * bits[delay:, :, None] - 1).astype(dtype), bits[:steps])


def _require(function: str, rng: np.random.Generator, dtype: Any, **sizes: tuple[int, int]) -> None:
    require_instance(function, "rng", rng, np.random.Generator, "such as np.random.default_rng(0)")
    if not np.issubdtype(dtype, np.floating):
        raise ValueError(f"{function}: dtype is {np.dtype(dtype)}, expected a floating-point type")
    for name, (value, least) in sizes.items():
        require_whole(function, name, value, least)
