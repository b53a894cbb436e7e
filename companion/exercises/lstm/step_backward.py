"""Implement: back through the gates of an LSTM."""

from collections.abc import Callable
from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.gradcheck import numerical_gradient
from companion.ops import sigmoid
from companion.tree import Array


def lstm_gates_backward(
    dh: Array, ds_next: Array, i: Array, f: Array, g: Array, o: Array, s_prev: Array, s: Array
) -> tuple[Array, Array, Array, Array, Array]:
    """All (B, H) -> dz_i, dz_f, dz_g, dz_o, ds_prev, all (B, H).

    dh: all that arrives at h; ds_next: what the next step sends to s.
    """
    phi_s = np.tanh(s)
    dz_o = dh * phi_s * o * (1 - o)
    ds = ds_next + dh * o * (1 - phi_s**2)
    dz_g = ds * i * (1 - g**2)
    dz_f = ds * s_prev * f * (1 - f)
    dz_i = ds * g * i * (1 - i)
    return dz_i, dz_f, dz_g, dz_o, ds * f


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(B: int, H: int) -> tuple[Any, ...]:
        i, f, o = sigmoid(rng.normal(size=(3, B, H)))
        g = np.tanh(rng.normal(size=(B, H)))
        dh, ds_next, s_prev = rng.normal(size=(3, B, H))
        return dh, ds_next, i, f, g, o, s_prev, g * i + s_prev * f

    return [case(3, 5), case(1, 4), case(6, 2)]


def _numeric(
    dh: Array, ds_next: Array, i: Array, f: Array, g: Array, o: Array, s_prev: Array, s: Array
) -> dict[str, Array]:
    def loss(*point: Array) -> float:
        z_i, z_f, z_g, z_o, s_prev = point
        s = np.tanh(z_g) * sigmoid(z_i) + s_prev * sigmoid(z_f)
        return float((dh * np.tanh(s) * sigmoid(z_o) + ds_next * s).sum())

    def logit(y: Array) -> Array:
        return np.asarray(np.log(y / (1 - y)))

    point = [logit(i), logit(f), np.arctanh(g), logit(o), s_prev]

    def gradient(k: int) -> Array:
        return numerical_gradient(lambda a: loss(*point[:k], a, *point[k + 1 :]), point[k])

    return {name: gradient(k) for k, name in enumerate(("dz_i", "dz_f", "dz_g", "dz_o", "ds_prev"))}


def _with(
    state: Callable[..., Array] = lambda dh, ds_next, o, s: ds_next + dh * o * (1 - np.tanh(s) ** 2),
    to_i: Callable[..., Array] = lambda ds, i, g: ds * g,
    to_f: Callable[..., Array] = lambda ds, s_prev, s: ds * s_prev,
    to_g: Callable[..., Array] = lambda ds, i, g: ds * i,
    to_o: Callable[..., Array] = lambda dh, ds, s: dh * np.tanh(s),
    gate_slope: Callable[[Array], Any] = lambda y: y * (1 - y),
    node_slope: Callable[[Array], Any] = lambda g: 1 - g**2,
    kept: Callable[..., Array] = lambda ds, ds_next, f: ds * f,
) -> Any:
    """The solution with one part replaced."""

    def answer(
        dh: Array, ds_next: Array, i: Array, f: Array, g: Array, o: Array, s_prev: Array, s: Array
    ) -> tuple[Array, ...]:
        ds = state(dh, ds_next, o, s)
        dz_i, dz_f = to_i(ds, i, g) * gate_slope(i), to_f(ds, s_prev, s) * gate_slope(f)
        return dz_i, dz_f, to_g(ds, i, g) * node_slope(g), to_o(dh, ds, s) * gate_slope(o), kept(ds, ds_next, f)

    return answer


def _through_f(
    dh: Array, ds_next: Array, i: Array, f: Array, g: Array, o: Array, s_prev: Array, s: Array
) -> tuple[Array, ...]:
    return lstm_gates_backward(dh, ds_next * f, i, f, g, o, s_prev, s)


EXERCISE = Exercise(
    name="lstm.step_backward",
    kind="implement",
    title="Back through the gates",
    statement="""
        Carry the gradient back through one step: from the hidden state and the internal state to the pre-activations of the
        three gates and of the input node, and to the internal state before. What the weights receive follows from those as in
        any layer. Write it without looking at the package: first ask on how many paths s reaches the loss.
    """,
    solution=lstm_gates_backward,
    outputs=("dz_i", "dz_f", "dz_g", "dz_o", "ds_prev"),
    cases=_cases,
    numeric=_numeric,
    hints=(
        "s is used twice: in `h = np.tanh(s) * o`, and by the next step. What is used twice receives the sum of "
        "both gradients.",
        "`ds = ds_next + dh * o * (1 - np.tanh(s)**2)`. Then `s = g * i + s_prev * f` is two products: each factor receives "
        "ds times the other factor.",
        "Multiply each by its slope, written in the output: `i * (1 - i)` for the gates, `1 - g**2` for the input node. "
        "`dz_o` comes from dh, not from ds, and `ds_prev = ds * f` needs no slope.",
    ),
    mistakes=(
        Mistake(
            "forgot the path through h in ds",
            "s also reaches the loss as tanh(s) o; yours is right in dz_o only. In the last step, where ds_next is 0, "
            "nothing but the output gate would learn.",
            "lstm-back-state",
            _with(state=lambda dh, ds_next, o, s: ds_next * 1),
        ),
        Mistake(
            "forgot what the next step sends to s",
            "ds is the sum of both paths. Without ds_next a gradient travels along the carousel for one step and ends there.",
            "lstm-back-state",
            _with(state=lambda dh, ds_next, o, s: dh * o * (1 - np.tanh(s) ** 2)),
        ),
        Mistake(
            "took the slope 1 - s^2 instead of 1 - tanh(s)^2",
            "The slope of tanh wants its output tanh(s). 1 - s^2 is negative as soon as the state is larger than 1.",
            "lstm-back-state",
            _with(state=lambda dh, ds_next, o, s: ds_next + dh * o * (1 - s**2)),
        ),
        Mistake(
            "took the slope 1 - h^2 instead of 1 - tanh(s)^2",
            "h has the output gate in it: the slope of tanh is written in tanh(s) alone.",
            "lstm-back-state",
            _with(state=lambda dh, ds_next, o, s: ds_next + dh * o * (1 - (np.tanh(s) * o) ** 2)),
        ),
        Mistake(
            "forgot the slope of tanh on the way from h to s",
            "dh o treats h = tanh(s) o as if it were s o: too much comes through where the state is large.",
            "lstm-back-state",
            _with(state=lambda dh, ds_next, o, s: ds_next + dh * o),
        ),
        Mistake(
            "forgot the output gate on the way from h to s",
            "What o did not let out in the forward pass it does not let in on the way back.",
            "lstm-back-state",
            _with(state=lambda dh, ds_next, o, s: ds_next + dh * (1 - np.tanh(s) ** 2)),
        ),
        Mistake(
            "sent ds_next through tanh and the output gate too",
            "Only the path through h passes these; what the next step sends arrives at s directly.",
            "lstm-back-state",
            _with(state=lambda dh, ds_next, o, s: (ds_next + dh) * o * (1 - np.tanh(s) ** 2)),
        ),
        Mistake(
            "multiplied ds_next by the forget gate of this step",
            "It has passed the forget gate of the next step already. That of this step acts on what goes back to s_prev.",
            "lstm-back-state",
            _through_f,
        ),
        Mistake(
            "used the new s for the old one in dz_f",
            "f multiplied the internal state of the step *before*; only dz_f is wrong.",
            "lstm-back-gates",
            _with(to_f=lambda ds, s_prev, s: ds * s),
        ),
        Mistake(
            "forgot the slopes of the three gates",
            "These are the gradients of i, f and o; those of their pre-activations have a factor y (1 - y) more.",
            "lstm-back-gates",
            _with(gate_slope=lambda y: 1.0),
        ),
        Mistake(
            "forgot the slopes of the gates and of the input node",
            "These are the gradients of i, f, g and o; each is a function of its pre-activation, with a slope.",
            "lstm-back-gates",
            _with(gate_slope=lambda y: 1.0, node_slope=lambda g: 1.0),
        ),
        Mistake(
            "took the slope of tanh for the gates",
            "The gates are logistic functions, with slope y (1 - y); 1 - y^2 is larger everywhere.",
            "lstm-back-gates",
            _with(gate_slope=lambda y: 1 - y**2),
        ),
        Mistake(
            "took the slope of the logistic function for the input node",
            "g is a tanh; g (1 - g) is negative wherever g is.",
            "lstm-back-gates",
            _with(node_slope=lambda g: g * (1 - g)),
        ),
        Mistake(
            "sent ds to the step before without the forget gate",
            "ds_prev = ds is the rule of 1997. Here the old state was multiplied by f, and so is its gradient.",
            "lstm-back-previous",
            _with(kept=lambda ds, ds_next, f: ds * 1),
        ),
        Mistake(
            "sent ds_next instead of ds to the step before",
            "The path through h belongs to what goes back as well: multiply the sum of both by f.",
            "lstm-back-previous",
            _with(kept=lambda ds, ds_next, f: ds_next * f),
        ),
        Mistake(
            "used s instead of tanh(s) in dz_o",
            "What o multiplied is tanh(s); only dz_o is wrong.",
            "lstm-back-output",
            _with(to_o=lambda dh, ds, s: dh * s),
        ),
        Mistake(
            "computed dz_o from ds instead of dh",
            "The output gate acts on h alone: s does not depend on it, so nothing reaches o through ds.",
            "lstm-back-output",
            _with(to_o=lambda dh, ds, s: ds * np.tanh(s)),
        ),
        Mistake(
            "multiplied by the wrong factor in the product g i",
            "A factor's gradient is ds times the *other* factor: g for the input gate, i for the input node.",
            "lstm-back-gates",
            _with(to_i=lambda ds, i, g: ds * i, to_g=lambda ds, i, g: ds * g),
        ),
        Mistake(
            "multiplied ds_prev by the slope of the forget gate",
            "Only ds_prev is wrong: the old state is multiplied by f and does not go through its logistic function.",
            "lstm-back-previous",
            _with(kept=lambda ds, ds_next, f: ds * f * (1 - f)),
        ),
    ),
)
