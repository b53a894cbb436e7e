"""Implement: one step of an LSTM."""

from collections.abc import Callable
from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.ops import sigmoid
from companion.tree import Array


def lstm_step(x: Array, h: Array, s: Array, W_x: Array, W_h: Array, b: Array) -> tuple[Array, Array]:
    """Input x (B, D), state h and s (B, H) of the step before -> new h, s.

    W_x (4H, D), W_h (4H, H), b (4H,), with blocks in the order i, f, g, o.
    """
    z_i, z_f, z_g, z_o = np.split(x @ W_x.T + h @ W_h.T + b, 4, axis=1)
    i, f, o = (1 / (1 + np.exp(-z)) for z in (z_i, z_f, z_o))
    s = np.tanh(z_g) * i + s * f
    return np.tanh(s) * o, s


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(B: int, D: int, H: int) -> tuple[Any, ...]:
        shapes = ((B, D), (B, H), (B, H), (4 * H, D), (4 * H, H), (4 * H,))
        return tuple(rng.normal(size=shape) for shape in shapes)

    return [case(3, 4, 5), case(1, 2, 3), case(6, 5, 2)]


def _with(
    order: str = "ifgo",
    product: Callable[..., Array] = lambda x, h, s, W_x, W_h, b: x @ W_x.T + h @ W_h.T + b,
    gate: Callable[[Array], Array] = sigmoid,
    node: Callable[[Array], Array] = np.tanh,
    state: Callable[..., Array] = lambda i, f, g, o, h, s: g * i + s * f,
    output: Callable[..., Array] = lambda s, o, s_prev: np.tanh(s) * o,
    kept: Callable[[Array], Array] = lambda s: s,
) -> Any:
    """The solution with one part replaced."""

    def answer(x: Array, h: Array, s: Array, W_x: Array, W_h: Array, b: Array) -> Any:
        z = dict(zip(order, np.split(product(x, h, s, W_x, W_h, b), 4, axis=1), strict=True))
        i, f, g, o = gate(z["i"]), gate(z["f"]), node(z["g"]), gate(z["o"])
        new = state(i, f, g, o, h, s)
        return output(new, o, s), kept(new)

    return answer


def _mixed(x: Array, h: Array, s: Array, W_x: Array, W_h: Array, b: Array) -> Array:
    z = x @ W_x.T + h @ W_h.T + b
    return np.concatenate(z.reshape(4, *h.shape), axis=1)


EXERCISE = Exercise(
    name="lstm.step",
    kind="implement",
    title="One step of an LSTM",
    statement="""
        Compute the new hidden state and the new internal state. The weights of all four blocks are stacked in one matrix,
        in the order i, f, g, o, so that a single product serves them all.
    """,
    solution=lstm_step,
    outputs=("h", "s"),
    cases=_cases,
    hints=(
        "First the pre-activations of all blocks at once, (B, 4H). They depend on x and on the *hidden* state h; cut them "
        "in four with `np.split(z, 4, axis=1)`.",
        "Three of the blocks are gates, between 0 and 1; the input node g may be negative. The new internal state mixes g "
        "and the old s; each has a gate.",
        "`s = np.tanh(z_g) * i + s * f` with `i`, `f` logistic functions of their blocks, then `h = np.tanh(s) * o`.",
    ),
    mistakes=(
        Mistake(
            "took the gates in another order: i, f, o, g",
            "The third block is the input node and the fourth the output gate; you exchanged these two.",
            "lstm-gates",
            _with(order="ifog"),
        ),
        Mistake(
            "took the gates in another order: i, g, f, o",
            "The second block is the forget gate and the third the input node; you exchanged these two.",
            "lstm-gates",
            _with(order="igfo"),
        ),
        Mistake(
            "took the gates in another order: i, o, f, g",
            "The blocks after the first are f, g, o; you turned these three round by one place.",
            "lstm-gates",
            _with(order="iofg"),
        ),
        Mistake(
            "took the gates in another order: g, i, f, o",
            "The input node is the third block, not the first; all gates before it moved by one place.",
            "lstm-gates",
            _with(order="gifo"),
        ),
        Mistake(
            "took the gates in another order: f, i, o, g",
            "Input and forget gate are the first two blocks in this order, input node and output gate the last two.",
            "lstm-gates",
            _with(order="fiog"),
        ),
        Mistake(
            "exchanged the input gate and the forget gate",
            "i decides how much of g comes in, f how much of the old state stays; the first block is i.",
            "lstm-state",
            _with(order="figo"),
        ),
        Mistake(
            "left out the old internal state",
            "s = g i remembers nothing. A test from a zero state would not notice.",
            "lstm-state",
            _with(state=lambda i, f, g, o, h, s: g * i),
        ),
        Mistake(
            "left out the forget gate",
            "s = g i + s' is the cell of 1997: nothing ever leaves it.",
            "lstm-state",
            _with(state=lambda i, f, g, o, h, s: g * i + s),
        ),
        Mistake(
            "took 1 - f for f",
            "A forget gate of 1 *keeps* the state; with 1 - f it would erase it.",
            "lstm-state",
            _with(state=lambda i, f, g, o, h, s: g * i + s * (1 - f)),
        ),
        Mistake(
            "let the forget gate keep h instead of s",
            "The memory is the internal state. h has already gone through tanh and the output gate.",
            "lstm-state",
            _with(state=lambda i, f, g, o, h, s: g * i + h * f),
        ),
        Mistake(
            "left out the input gate",
            "Without i all that the input node offers goes into the state in full.",
            "lstm-state",
            _with(state=lambda i, f, g, o, h, s: g + s * f),
        ),
        Mistake(
            "forgot the tanh of the internal state",
            "s is right; but h = s o is not kept between -1 and 1 as s grows.",
            "lstm-output",
            _with(output=lambda s, o, s_prev: s * o),
        ),
        Mistake(
            "took the logistic function of the internal state instead of tanh",
            "s is right, but no entry of your h can be negative.",
            "lstm-output",
            _with(output=lambda s, o, s_prev: sigmoid(s) * o),
        ),
        Mistake(
            "applied the output gate before tanh",
            "h = tanh(s o) squashes what the gate let through; the gate belongs behind tanh.",
            "lstm-output",
            _with(output=lambda s, o, s_prev: np.tanh(s * o)),
        ),
        Mistake(
            "left out the output gate",
            "s is right, but h = tanh(s) shows the whole memory in every step.",
            "lstm-output",
            _with(output=lambda s, o, s_prev: np.tanh(s)),
        ),
        Mistake(
            "computed h from the old internal state",
            "s is right; h is one step late, because it shows what the cell held before this input.",
            "lstm-output",
            _with(output=lambda s, o, s_prev: np.tanh(s_prev) * o),
        ),
        Mistake(
            "returned tanh(s) instead of s",
            "h is right, but the next step needs the state as it is: squashed in every step, it could not carry anything far.",
            "lstm-state",
            _with(kept=np.tanh),
        ),
        Mistake(
            "squashed the new internal state",
            "The state itself stays as it is, g i + f times the old one; tanh comes only on the way to h.",
            "lstm-state",
            _with(state=lambda i, f, g, o, h, s: np.tanh(g * i + s * f)),
        ),
        Mistake(
            "took the logistic function for the input node",
            "g has to be able to lower the state as well as to raise it: it is a tanh, between -1 and 1.",
            "lstm-gates",
            _with(node=sigmoid),
        ),
        Mistake(
            "left the input node without a tanh",
            "The pre-activation of g is not kept between -1 and 1, so that a single step could fill the cell.",
            "lstm-gates",
            _with(node=lambda z: z),
        ),
        Mistake(
            "took tanh for the gates too",
            "A gate is a share between 0 and 1: a logistic function. A negative one would turn the state's sign round.",
            "lstm-gates",
            _with(gate=np.tanh),
        ),
        Mistake(
            "forgot the bias",
            "Every block adds its part of b. A test with zero biases would not notice.",
            "lstm-gates",
            _with(product=lambda x, h, s, W_x, W_h, b: x @ W_x.T + h @ W_h.T),
        ),
        Mistake(
            "forgot the recurrent weights",
            "The gates see the input only; they should also see the hidden state of the step before, h W_h^T.",
            "lstm-gates",
            _with(product=lambda x, h, s, W_x, W_h, b: x @ W_x.T + b),
        ),
        Mistake(
            "let the gates see the internal state s instead of the hidden state h",
            "W_h multiplies h, which the output gate has let out.",
            "lstm-gates",
            _with(product=lambda x, h, s, W_x, W_h, b: x @ W_x.T + s @ W_h.T + b),
        ),
        Mistake(
            "cut the pre-activations into gates with a reshape that mixes the examples",
            "z.reshape(4, B, H) reads row after row, so that a gate gets numbers of all. Cut with np.split along axis 1.",
            "lstm-gates",
            _with(product=_mixed),
        ),
        Mistake(
            "coupled the input gate to the forget gate",
            "s = g (1 - f) + s' f is an LSTM with one gate less. Here i has a block of its own, and need not be 1 - f.",
            "lstm-state",
            _with(state=lambda i, f, g, o, h, s: g * (1 - f) + s * f),
        ),
    ),
)
