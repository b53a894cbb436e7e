"""Bits and strings that separate models with a memory from models without (chapter *Why model sequences*).

    delayed XOR        y^t = x^t xor x^(t-k)      a window of k + 1 inputs is enough, and nothing less
    running parity     y^t = x^t xor y^(t-1)      no window is enough, one bit of memory is
    a^n b^n            balanced or not?           no fixed number of states is enough, a counter is

All is drawn from a seeded generator, as much as is asked for: nothing is stored, and a test set is a second seed.
"""

from typing import NamedTuple

import numpy as np

from companion.tree import Indices
from companion.validate import require_instance, require_whole


class Bits(NamedTuple):
    """Streams of bits, each with an answer at every step."""

    xs: Indices  # (T, B) int64, 0 or 1
    ys: Indices  # (T, B) int64, 0 or 1


def delayed_xor(rng: np.random.Generator, steps: int, batch: int, lag: int) -> Bits:
    """Draw fair bits; the answer is the exclusive or of a bit and the one `lag` steps before it.

    The first `lag` answers take a bit from before the stream began: nobody can know them, so leave them out of a score.

    Raises ValueError unless steps, batch and lag are whole numbers of at least 1.
    """
    _require("delayed_xor", rng, steps=steps, batch=batch, lag=lag)
    bits = rng.integers(0, 2, (lag + steps, batch))
    xs = bits[lag:].copy()
    return Bits(xs, xs ^ bits[:steps])


def running_parity(rng: np.random.Generator, steps: int, batch: int) -> Bits:
    """Draw fair bits; the answer is whether the number of ones so far is odd.

    Raises ValueError unless steps and batch are whole numbers of at least 1.
    """
    _require("running_parity", rng, steps=steps, batch=batch)
    xs = rng.integers(0, 2, (steps, batch))
    return Bits(xs, np.bitwise_xor.accumulate(xs, axis=0))


def balanced_strings(rng: np.random.Generator, n_strings: int, most: int) -> list[tuple[str, bool]]:
    """Draw strings of a and b in random order, each with whether it is a^n b^n for some n >= 1.

    Half of them are, rounded down, with n uniform in 1 ... most. The others are near misses, with n uniform in 0 ... most:
    a^n b^n with a b too many, with an a too many, with an a and a b exchanged, or with all b before all a. At n = 0 the last
    two are the empty string.

    Raises ValueError unless n_strings >= 2 and most >= 1.
    """
    require_instance("balanced_strings", "rng", rng, np.random.Generator, "such as np.random.default_rng(0)")
    require_whole("balanced_strings", "n_strings", n_strings, 2)
    require_whole("balanced_strings", "most", most, 1)
    strings = [("a" * n + "b" * n, True) for n in rng.integers(1, most + 1, n_strings // 2)]
    strings += [(_near_miss(rng, n), False) for n in rng.integers(0, most + 1, n_strings - n_strings // 2)]
    return [strings[k] for k in rng.permutation(n_strings)]


def _near_miss(rng: np.random.Generator, n: int) -> str:
    exchanged = ["a"] * n + ["b"] * n
    if n:
        i, j = rng.integers(0, n), rng.integers(n, 2 * n)
        exchanged[i], exchanged[j] = exchanged[j], exchanged[i]
    misses = ("a" * n + "b" * (n + 1), "a" * (n + 1) + "b" * n, "".join(exchanged), "b" * n + "a" * n)
    return misses[rng.integers(0, len(misses))]


def _require(function: str, rng: np.random.Generator, **sizes: int) -> None:
    require_instance(function, "rng", rng, np.random.Generator, "such as np.random.default_rng(0)")
    for name, value in sizes.items():
        require_whole(function, name, value, 1)
