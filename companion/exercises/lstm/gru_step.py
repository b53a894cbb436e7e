"""Implement: one step of a GRU, in the form that libraries use."""

from collections.abc import Callable
from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.ops import sigmoid
from companion.tree import Array


def gru_step(x: Array, h: Array, W_x: Array, W_h: Array, b: Array, b_n: Array) -> Array:
    """Input x (B, D), h (B, H) of the step before -> new h (B, H).

    W_x (3H, D), W_h (3H, H), b (3H,), with blocks in the order r, z, n; b_n (H,).
    """
    x_r, x_z, x_n = np.split(x @ W_x.T + b, 3, axis=1)
    h_r, h_z, h_n = np.split(h @ W_h.T, 3, axis=1)
    r = 1 / (1 + np.exp(-x_r - h_r))
    z = 1 / (1 + np.exp(-x_z - h_z))
    n = np.tanh(x_n + r * (h_n + b_n))
    return np.asarray((1 - z) * n + z * h)


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(B: int, D: int, H: int) -> tuple[Any, ...]:
        shapes = ((B, D), (B, H), (3 * H, D), (3 * H, H), (3 * H,), (H,))
        return tuple(rng.normal(size=shape) for shape in shapes)

    return [case(3, 4, 5), case(1, 2, 3), case(6, 5, 2)]


def _with(
    order: str = "rzn",
    gates: Callable[..., Array] = lambda x, h: sigmoid(x + h),
    bracket: Callable[..., Array] = lambda x_n, r, h_n, b_n: x_n + r * (h_n + b_n),
    squash: Callable[[Array], Array] = np.tanh,
    mix: Callable[..., Array] = lambda z, n, h, r: (1 - z) * n + z * h,
    with_b: float = 1.0,
) -> Any:
    """The solution with one part replaced."""

    def answer(x: Array, h: Array, W_x: Array, W_h: Array, b: Array, b_n: Array) -> Array:
        of_x = dict(zip(order, np.split(x @ W_x.T + with_b * b, 3, axis=1), strict=True))
        of_h = dict(zip(order, np.split(h @ W_h.T, 3, axis=1), strict=True))
        r, z = gates(of_x["r"], of_h["r"]), gates(of_x["z"], of_h["z"])
        return mix(z, squash(bracket(of_x["n"], r, of_h["n"], b_n)), h, r)

    return answer


def _before_the_product(bias_inside: bool) -> Any:
    """Cho's form, with b_n added where it was, or multiplied by the reset gate all the same."""

    def answer(x: Array, h: Array, W_x: Array, W_h: Array, b: Array, b_n: Array) -> Array:
        x_r, x_z, x_n = np.split(x @ W_x.T + b, 3, axis=1)
        W_r, W_z, W_n = np.split(W_h, 3)
        r, z = sigmoid(x_r + h @ W_r.T), sigmoid(x_z + h @ W_z.T)
        n = np.tanh(x_n + (r * h) @ W_n.T + (r * b_n if bias_inside else b_n))
        return np.asarray((1 - z) * n + z * h)

    return answer


EXERCISE = Exercise(
    name="lstm.gru_step",
    kind="implement",
    title="One step of a GRU",
    statement="""
        Compute the new hidden state of a GRU in the form that libraries use: the reset gate r multiplies what the *weights*
        made of the old hidden state, bias b_n included, and the update gate z says how much of the old hidden state stays.
        The blocks are in the order r, z, n, where n is the candidate.
    """,
    solution=gru_step,
    outputs=("h",),
    cases=_cases,
    hints=(
        "Unlike in the LSTM, the part of x and the part of h cannot be added right away: the candidate needs them apart. "
        "Compute `x @ W_x.T + b` and `h @ W_h.T`, and split each in three.",
        "Both gates are logistic functions of a sum of two parts. In the candidate the reset gate multiplies one bracket only: "
        "the part of h and b_n.",
        "`n = np.tanh(x_n + r * (h_n + b_n))`, and the new state is `(1 - z) * n + z * h`: z near 1 keeps.",
    ),
    mistakes=(
        Mistake(
            "took 1 - z for z",
            "An update gate near 1 *keeps* the old state here and in libraries. Some papers write it the other way round.",
            "gru-state",
            _with(mix=lambda z, n, h, r: z * n + (1 - z) * h),
        ),
        Mistake(
            "put the reset gate before the product with the weights (Cho's form)",
            "(r h) W_hn^T gates the units before the weights mix them; here r gates what the weights have mixed.",
            "gru-candidate",
            _before_the_product(bias_inside=False),
        ),
        Mistake(
            "put the reset gate before the product with the weights (Cho's form), and in front of b_n too",
            "r multiplies the bracket h W_hn^T + b_n as a whole, after the product; in Cho's form it multiplies h.",
            "gru-cho",
            _before_the_product(bias_inside=True),
        ),
        Mistake(
            "left b_n outside the bracket that the reset gate multiplies",
            "A bias outside is nothing new, b has one already. r multiplies h W_hn^T + b_n.",
            "gru-candidate",
            _with(bracket=lambda x_n, r, h_n, b_n: x_n + r * h_n + b_n),
        ),
        Mistake(
            "let the reset gate multiply the part of x too",
            "A reset gate of 0 shall forget the past, not the input.",
            "gru-candidate",
            _with(bracket=lambda x_n, r, h_n, b_n: r * (x_n + h_n + b_n)),
        ),
        Mistake(
            "let the reset gate multiply the part of x instead of the part of h",
            "A reset gate of 0 shall forget the past; yours forgets the input.",
            "gru-candidate",
            _with(bracket=lambda x_n, r, h_n, b_n: r * x_n + h_n + b_n),
        ),
        Mistake(
            "left out the reset gate",
            "Without r the candidate always sees the old state in full.",
            "gru-candidate",
            _with(bracket=lambda x_n, r, h_n, b_n: x_n + h_n + b_n),
        ),
        Mistake(
            "took 1 - r for r",
            "The reset gate resets where it is near *0*: it multiplies what the candidate sees of the past.",
            "gru-candidate",
            _with(bracket=lambda x_n, r, h_n, b_n: x_n + (1 - r) * (h_n + b_n)),
        ),
        Mistake(
            "let the reset gate act on the state that z keeps",
            "z h takes the old state as it is. The reset gate changes only what the candidate sees.",
            "gru-state",
            _with(mix=lambda z, n, h, r: (1 - z) * n + z * r * h),
        ),
        Mistake(
            "took the gates in another order: z, r, n",
            "The first block is the reset gate, the second the update gate.",
            "gru-gates",
            _with(order="zrn"),
        ),
        Mistake(
            "took the blocks in another order: r, n, z",
            "The second block is the update gate, the third the candidate.",
            "gru-gates",
            _with(order="rnz"),
        ),
        Mistake(
            "took the blocks in another order: n, z, r",
            "The first block is the reset gate, the third the candidate.",
            "gru-gates",
            _with(order="nzr"),
        ),
        Mistake(
            "forgot the tanh of the candidate",
            "Without it nothing keeps the hidden state between -1 and 1.",
            "gru-candidate",
            _with(squash=lambda a: a),
        ),
        Mistake(
            "took the logistic function for the candidate",
            "A candidate that is never negative could not move the state below 0.",
            "gru-candidate",
            _with(squash=sigmoid),
        ),
        Mistake(
            "left out 1 - z in front of the candidate",
            "n + z h is no mixture: the shares of candidate and old state have to add up to 1.",
            "gru-state",
            _with(mix=lambda z, n, h, r: n + z * h),
        ),
        Mistake(
            "left out the old state in the mixture",
            "(1 - z) n keeps nothing, however large z is. A test from the zero state would not notice.",
            "gru-state",
            _with(mix=lambda z, n, h, r: (1 - z) * n),
        ),
        Mistake(
            "forgot the bias b_n",
            "It stands beside h W_hn^T, in the bracket that the reset gate multiplies.",
            "gru-candidate",
            _with(bracket=lambda x_n, r, h_n, b_n: x_n + r * h_n),
        ),
        Mistake(
            "forgot the biases b",
            "Each of the three blocks adds its part of b, outside the bracket of the reset gate.",
            "gru-gates",
            _with(with_b=0.0),
        ),
        Mistake(
            "left the old state out of both gates",
            "r and z look at the input *and* at the old hidden state.",
            "gru-gates",
            _with(gates=lambda x, h: sigmoid(x)),
        ),
    ),
)
