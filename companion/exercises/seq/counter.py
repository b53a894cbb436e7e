"""Extend: a net with a counter that reads brackets."""

from itertools import product
from typing import Any

import numpy as np

from companion.exercises.compare import described
from companion.exercises.exercise import Exercise, Mistake
from companion.exercises.judge import Problem
from companion.tree import Array

DEPTH = 20  # to which the statement asks the net to count; halving what is left goes on to 52 in floating point


def bracket_net() -> tuple[Array, Array, Array, Array, float]:
    """W_h (H, H), W_x (H, 2), b (H,) and the read-out v (H,), v_0."""
    W_h = np.array([[0.5, 0.5, 0], [2, 2, 0], [-2, -2, 3]])  # the counter after a, after b; the error
    W_x = np.array([[1, 0], [0, 1], [0, 1]])
    b = np.array([-0.5, -2, 0])
    return W_h, W_x, b, np.array([-2, -2, -2]), 1.0


def balanced(word: str) -> bool:
    """Whether every b closes an a that was open, and every a is closed."""
    depths = np.cumsum([1 if letter == "a" else -1 for letter in word])
    return not word or bool(depths.min() >= 0 and depths[-1] == 0)


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    """One demand after the other, so that the first that fails says what is wrong; then all short words, and deep ones."""
    every = tuple("".join(letters) for length in range(8) for letters in product("ab", repeat=length))
    deep = tuple("a" * depth + "b" * (depth + more) for depth in (9, 12, DEPTH) for more in (0, -1, 1, -2))
    demands = (
        ("ab", "a", "b", "ba"),
        ("aabb", "aab", "abb"),
        ("abab", "aababb", "aaabbb"),
        ("",),
        ("ba", "bab", "baab", "baabb", "abbaab", "abbaabb"),
        deep,
        every,
    )
    return [(" ".join(demand),) for demand in demands]  # the empty word is what stands before the first blank


def _run(answer: Any, words: str) -> dict[str, Any]:
    """1 for each word between blanks that the net of these weights accepts, 0 for the others."""
    found = answer()
    if found is None or found is ...:
        return {"the net": found}
    W_h, W_x, b, v, v_0 = _checked(found)
    accepted = {}
    for word in words.split(" "):
        h = np.zeros(len(b))
        for letter in word:
            h = np.clip(W_h @ h + W_x[:, "ab".index(letter)] + b, 0, 1)
        accepted[f"{word!r} (1 if accepted)"] = int(v @ h + v_0 > 0)
    return accepted


def _checked(found: Any) -> tuple[Array, ...]:
    """The five arrays, if their shapes fit together."""
    if not isinstance(found, tuple | list) or len(found) != 5:
        raise Problem(f"bracket_net is {described(found)}, expected W_h, W_x, b, v, v_0.")
    names = ("W_h", "W_x", "b", "v", "v_0")
    try:
        arrays = [np.array(array, dtype=float) for array in found]
    except (TypeError, ValueError):
        raise Problem("bracket_net holds something else than numbers, expected W_h, W_x, b, v, v_0.") from None
    H = arrays[2].size
    for name, array, shape in zip(names, arrays, ((H, H), (H, 2), (H,), (H,), ()), strict=True):
        if array.shape != shape:
            raise Problem(f"bracket_net: {name} has shape {array.shape}, expected {shape} for {H} units.")
        if not np.isfinite(array).all():
            raise Problem(f"bracket_net: {name} holds a number that is not finite.")
    return tuple(arrays)


def _with(
    rows: dict[int, Any] | None = None,
    x: dict[int, Any] | None = None,
    b: Any = (-0.5, -2, 0),
    v: Any = (-2, -2, -2),
    v_0: float = 1.0,
) -> Any:
    """The solution with some rows of W_h and W_x, the biases or the read-out replaced."""

    def answer() -> tuple[Array, Array, Array, Array, float]:
        W_h, W_x, *_ = bracket_net()
        W_x = W_x.astype(float)
        for row, weights in (rows or {}).items():
            W_h[row] = weights
        for row, weights in (x or {}).items():
            W_x[row] = weights
        return W_h, W_x, np.array(b), np.array(v), v_0

    return answer


def _a_then_b() -> tuple[Array, Array, Array, Array, float]:
    """Two more units: one for a b that was seen, one for an a after it."""
    W_h, W_x, b, v, v_0 = bracket_net()
    wide = np.zeros((5, 5))
    wide[:3, :3], wide[3, 3], wide[4, 3:] = W_h, 1, 1
    return wide, np.vstack([W_x, [[0, 1], [1, 0]]]), np.append(b, [0, -1]), np.append(v, [0, -2]), v_0


def _never_empty() -> tuple[Array, Array, Array, Array, float]:
    """One more unit, which says that a letter was read."""
    W_h, W_x, b, v, v_0 = bracket_net()
    wide = np.zeros((4, 4))
    wide[:3, :3], wide[3, 3] = W_h, 1
    return wide, np.vstack([W_x, [[1, 1]]]), np.append(b, 0), np.append(v, v_0), 0.0


EXERCISE = Exercise(
    name="seq.counter",
    kind="extend",
    title="Brackets",
    statement="""
        Read a as an opening bracket and b as a closing one. A word is balanced if every b closes an a that is still open and
        no a is left open in the end: `ab`, `aabbab` and the empty word are, `aab` and `ba` are not. Write the weights of a net
        that accepts, of all words with no more than 20 open brackets at once, exactly the balanced ones.

        The net is $h^{(t)} = \\mathrm{clip}(W_h h^{(t-1)} + W_x x^{(t)} + b, 0, 1)$ with $h^{(0)} = 0$, where $x^{(t)}$ is
        $(1, 0)$ for a and $(0, 1)$ for b, and accepts a word if $v \\cdot h^{(T)} + v_0 > 0$. Use as many units H as you like
        and answer with `bracket_net = W_h, W_x, b, v, v_0`. Whatever accepts the right words is right.
    """,
    solution=bracket_net,
    outputs=("the net",),
    run=_run,
    cases=_cases,
    arguments=("words",),
    hints=(
        "A counter c between 0 and 1 never gets full if a takes it to c/2 + 1/2, and b back, to 2c - 1; only floating point "
        "ends that, at depth 53. But what a unit does cannot depend on the letter, so give the counter two units, of which one "
        "is always 0, and whose sum is c.",
        "A large negative number switches a unit off: $c/2 + x_a - 1/2$ is c/2 + 1/2 after an a and at most 0 after a b; "
        "$2c + x_b - 2$ is 2c - 1 after a b and at most 0 after an a. What remains is a b that closes nothing: c is 0 before it.",
        "A third unit, $3e - 2c + x_b$, becomes 1 at a b when c is 0, stays 0 when c is 1/2 or more, and once it is 1 it stays 1 "
        "whatever c does. Accept if $1 - 2c - 2e > 0$.",
    ),
    mistakes=(
        Mistake(
            "have a net that refuses even ab",
            "Follow it by hand: a fills the counter in part and b has to empty it, with the unit of the other letter switched "
            "off each time, and no error. What is left for the read-out then is v_0: it has to be above 0.",
            "counter",
            _with(x={0: [0, 0], 1: [0, 0]}, b=(0.5, -1, 0)),
        ),
        Mistake(
            "forgot that a b may find nothing to close",
            "Clipped at 0, the counter stays 0 at a b too many, so that abb looks like ab: a unit has to notice it, "
            "and the read-out to ask that unit.",
            "counter",
            _with({2: [0, 0, 0]}, {2: [0, 0]}),
        ),
        Mistake(
            "let the error be forgotten at the next letter",
            "The unit has to hold itself when it is 1, as a latch does: no letter makes a word right again.",
            "latch",
            _with({2: [-2, -2, 0]}),
        ),
        Mistake(
            "let the error fade when the counter rises",
            "The error holds itself with weight 1, but open brackets pull it down: its own weight has to win.",
            "latch",
            _with({2: [-2, -2, 1]}),
        ),
        Mistake(
            "accept only words in which no a follows a b",
            "That is the language of the same number of a's and b's in two blocks. Brackets may open again: abab is balanced.",
            "counter",
            _a_then_b,
        ),
        Mistake(
            "lose count at an a that follows a b",
            "Yours accepts abab and aaabbb and refuses aababb. The a has to go on from the count that the b has left, and that "
            "is in another unit: both units read the sum of the two.",
            "counter",
            _with({0: [0.5, 0, 0]}),
        ),
        Mistake(
            "lose count at a b that follows another",
            "Yours accepts aababb and refuses aaabbb. The second b has to go on from the count that the first has left: both "
            "units read the sum of the two.",
            "counter",
            _with({1: [2, 0, 0]}),
        ),
        Mistake(
            "count in equal steps",
            "With steps of 1/8 the counter is full at depth 8, and what is deeper is not counted. Take smaller steps, or "
            "halve what is left.",
            "counter",
            _with(
                {0: [1, 1, 0], 1: [1, 1, 0], 2: [-8, -8, 9]}, {0: [1.125, 0], 1: [0, 0.875]}, (-1, -1, 0), (-8, -8, -8)
            ),
        ),
        Mistake(
            "accept aab",
            "After aab the counter has to stand where it stood after a: b undoes what a does, and from c/2 + 1/2 back to c is "
            "2c - 1. And the read-out has to see the counter after a b as well as after an a.",
            "counter",
            _with({1: [0.5, 0.5, 0]}, b=(-0.5, -1, 0)),
        ),
        Mistake(
            "refuse ab and accept ba",
            "Column 0 of W_x is for a, column 1 for b. And row i of W_h and W_x is what unit i reads: W_h may be transposed.",
            "counter",
            _with(x={0: [0, 1], 1: [1, 0], 2: [1, 0]}),
        ),
        Mistake(
            "refuse the empty word",
            "It has no bracket that is not closed. After no letters h is 0, and v_0 alone decides.",
            "counter",
            _never_empty,
        ),
        Mistake(
            "accept everything",
            "The read-out is above 0 whatever the net says: a counter of 1/2 or more, or an error, has to bring it down.",
            "counter",
            _with(v=(0, 0, 0)),
        ),
        Mistake(
            "accept words with an open bracket",
            "One open bracket is c = 1/2, two are 3/4: the read-out has to be 0 or below from 1/2 on.",
            "counter",
            _with(v=(-1.5, -1.5, -2)),
        ),
    ),
)
