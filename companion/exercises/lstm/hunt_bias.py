"""Find the bug: a forget bias that makes no difference."""

from collections.abc import Callable
from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.ops import sigmoid
from companion.tree import Array


def buggy_step(x: Array, h: Array, s: Array, W_x: Array, W_h: Array, b: Array) -> tuple[Array, Array]:
    """Input x (B, D), h and s (B, H), weights (4H, ...), b (4H,) -> new h, s."""
    H = h.shape[1]
    z = x @ W_x.T + h @ W_h.T
    i = 1 / (1 + np.exp(-(z[:, :H] + b[:H])))
    f = 1 / (1 + np.exp(-(z[:, H : 2 * H] + b[3 * H :])))
    g = np.tanh(z[:, 2 * H : 3 * H] + b[2 * H : 3 * H])
    o = 1 / (1 + np.exp(-(z[:, 3 * H :] + b[3 * H :])))
    s = g * i + s * f
    return np.tanh(s) * o, s


def lstm_step_by_slices(x: Array, h: Array, s: Array, W_x: Array, W_h: Array, b: Array) -> tuple[Array, Array]:
    """Input x (B, D), h and s (B, H), weights (4H, ...), b (4H,) -> new h, s."""
    H = h.shape[1]
    z = x @ W_x.T + h @ W_h.T
    i = 1 / (1 + np.exp(-(z[:, :H] + b[:H])))
    f = 1 / (1 + np.exp(-(z[:, H : 2 * H] + b[H : 2 * H])))
    g = np.tanh(z[:, 2 * H : 3 * H] + b[2 * H : 3 * H])
    o = 1 / (1 + np.exp(-(z[:, 3 * H :] + b[3 * H :])))
    s = g * i + s * f
    return np.tanh(s) * o, s


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(B: int, D: int, H: int) -> tuple[Any, ...]:
        shapes = ((B, D), (B, H), (B, H), (4 * H, D), (4 * H, H), (4 * H,))
        return tuple(rng.normal(size=shape) for shape in shapes)

    return [case(3, 4, 5), case(1, 5, 2), case(4, 2, 3)]


def _with(
    change: Callable[..., tuple[Array, ...]],
    state: Callable[..., Array] = lambda i, f, g, s: g * i + s * f,
) -> Any:
    """The solution with other pre-activations; `change` takes z and b in blocks, and returns them for i, f, g and o."""

    def answer(x: Array, h: Array, s: Array, W_x: Array, W_h: Array, b: Array) -> Any:
        z = x @ W_x.T + h @ W_h.T
        i, f, g, o = change(np.split(z, 4, axis=1), np.split(b, 4))
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        s = state(i, f, g, s)
        return np.tanh(s) * o, s

    return answer


EXERCISE = Exercise(
    name="lstm.hunt_bias",
    kind="find the bug",
    title="A forget bias without effect",
    statement="""
        While all biases are zero, as many tests leave them, this step agrees with `lstm.lstm_step` to rounding. Then its
        author sets the forget bias to 7, in a cell whose weights and other biases are zero, and expects nine tenths of the
        internal state after 100 steps. Less than 1e-29 of it is left. The blocks are in the order i, f, g, o.
    """,
    solution=lstm_step_by_slices,
    outputs=("h", "s"),
    cases=_cases,
    given=(buggy_step,),
    hints=(
        "What is left after 100 steps tells how open the forget gate was. Which pre-activation makes a gate so?",
        "The forget gate stays at one half, whatever its bias is: it does not see its bias. Compare the four slices of `b`.",
        "`f` adds `b[3 * H :]`, the bias of the output gate; its own is `b[H : 2 * H]`.",
    ),
    mistakes=(
        Mistake(
            "handed in the bug unchanged",
            "One of the four gates still adds the bias of another one.",
            "lstm-gates",
            buggy_step,
        ),
        Mistake(
            "gave the forget gate the bias of the input gate",
            "b[:H] belongs to i, the first block; the forget gate is the second.",
            "lstm-gates",
            _with(lambda z, b: (z[0] + b[0], z[1] + b[0], z[2] + b[2], z[3] + b[3])),
        ),
        Mistake(
            "gave the forget gate the bias of the input node",
            "b[2 * H : 3 * H] belongs to g, the third block; the forget gate is the second.",
            "lstm-gates",
            _with(lambda z, b: (z[0] + b[0], z[1] + b[2], z[2] + b[2], z[3] + b[3])),
        ),
        Mistake(
            "exchanged the biases of forget and output gate",
            "The forget gate still adds the bias of o, and now the output gate, which was right, adds the bias of f.",
            "lstm-gates",
            _with(lambda z, b: (z[0] + b[0], z[1] + b[3], z[2] + b[2], z[3] + b[1])),
        ),
        Mistake(
            "gave the output gate the bias of the forget gate",
            "The forget gate is right now; but the output gate was right before, and is not any more.",
            "lstm-gates",
            _with(lambda z, b: (z[0] + b[0], z[1] + b[1], z[2] + b[2], z[3] + b[1])),
        ),
        Mistake(
            "added both biases to the forget gate",
            "b_f + b_o: the bias of the output gate has no business there.",
            "lstm-gates",
            _with(lambda z, b: (z[0] + b[0], z[1] + b[1] + b[3], z[2] + b[2], z[3] + b[3])),
        ),
        Mistake(
            "took the bias out of the forget gate",
            "The wrong bias is gone, but the forget gate has one of its own, the second block of b.",
            "lstm-gates",
            _with(lambda z, b: (z[0] + b[0], z[1], z[2] + b[2], z[3] + b[3])),
        ),
        Mistake(
            "made the weights fit the wrong bias",
            "Weights and bias of your forget gate now both belong to the output gate: f = o.",
            "lstm-gates",
            _with(lambda z, b: (z[0] + b[0], z[3] + b[3], z[2] + b[2], z[3] + b[3])),
        ),
        Mistake(
            "have the sign of the forget bias the wrong way round",
            "The bias is added to the pre-activation: a larger one has to open the gate.",
            "lstm-gates",
            _with(lambda z, b: (z[0] + b[0], z[1] - b[1], z[2] + b[2], z[3] + b[3])),
        ),
        Mistake(
            "took 1 - f for f, and left the bias as it was",
            "f keeps the state where it is near 1, as the equation has it. The bug is in what f is computed from.",
            "lstm-state",
            _with(
                lambda z, b: (z[0] + b[0], z[1] + b[3], z[2] + b[2], z[3] + b[3]),
                lambda i, f, g, s: g * i + s * (1 - f),
            ),
        ),
    ),
)
