"""Find the bug: a backward pass that is right as long as the state is zero."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.gradcheck import numerical_gradient
from companion.tree import Array

Cache = tuple[Array, ...]


def lstm_forward(
    x: Array, h_prev: Array, s_prev: Array, W_x: Array, W_h: Array, b: Array
) -> tuple[tuple[Array, Array], Cache]:
    """Input x (B, D), h_prev and s_prev (B, H), weights -> (h, s), cache."""
    z_i, z_f, z_g, z_o = np.split(x @ W_x.T + h_prev @ W_h.T + b, 4, axis=1)
    i, f, o = (1 / (1 + np.exp(-z)) for z in (z_i, z_f, z_o))
    g = np.tanh(z_g)
    s = g * i + s_prev * f
    h = np.tanh(s) * o
    return (h, s), (x, h_prev, s_prev, i, f, g, o, s, W_x, W_h)


def buggy_backward(cache: Cache, dy: tuple[Array, Array]) -> tuple[Array, ...]:
    """Cache, dy = (dh, ds) (B, H) each -> dW_x, dW_h, db, dx, dh_prev, ds_prev."""
    x, s_prev, h_prev, i, f, g, o, s, W_x, W_h = cache
    dh, ds_next = dy
    ds = ds_next + dh * o * (1 - np.tanh(s) ** 2)
    dz_i = ds * g * i * (1 - i)
    dz_f = ds * s_prev * f * (1 - f)
    dz_g = ds * i * (1 - g**2)
    dz_o = dh * np.tanh(s) * o * (1 - o)
    dz = np.concatenate([dz_i, dz_f, dz_g, dz_o], axis=1)
    return dz.T @ x, dz.T @ h_prev, dz.sum(axis=0), dz @ W_x, dz @ W_h, ds * f


def lstm_backward(cache: Cache, dy: tuple[Array, Array]) -> tuple[Array, ...]:
    """Cache, dy = (dh, ds) (B, H) each -> dW_x, dW_h, db, dx, dh_prev, ds_prev."""
    x, h_prev, s_prev, i, f, g, o, s, W_x, W_h = cache
    dh, ds_next = dy
    ds = ds_next + dh * o * (1 - np.tanh(s) ** 2)
    dz_i = ds * g * i * (1 - i)
    dz_f = ds * s_prev * f * (1 - f)
    dz_g = ds * i * (1 - g**2)
    dz_o = dh * np.tanh(s) * o * (1 - o)
    dz = np.concatenate([dz_i, dz_f, dz_g, dz_o], axis=1)
    return dz.T @ x, dz.T @ h_prev, dz.sum(axis=0), dz @ W_x, dz @ W_h, ds * f


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(B: int, D: int, H: int) -> tuple[Any, ...]:
        shapes = ((B, D), (B, H), (B, H), (4 * H, D), (4 * H, H), (4 * H,))
        _, cache = lstm_forward(*(rng.normal(size=shape) for shape in shapes))
        return cache, tuple(rng.normal(size=(2, B, H)))

    return [case(3, 4, 5), case(1, 2, 4), case(6, 5, 2)]


def _numeric(cache: Cache, dy: tuple[Array, Array]) -> dict[str, Array]:
    x, h_prev, s_prev, i, f, g, o, _, W_x, W_h = cache
    z = np.concatenate([np.log(i / (1 - i)), np.log(f / (1 - f)), np.arctanh(g), np.log(o / (1 - o))], axis=1)
    b = (z - x @ W_x.T - h_prev @ W_h.T)[0]  # the same in every row
    point = [x, h_prev, s_prev, W_x, W_h, b]

    def loss(*point: Array) -> float:
        (h, s), _ = lstm_forward(*point)
        return float((dy[0] * h + dy[1] * s).sum())

    def gradient(k: int) -> Array:
        return numerical_gradient(lambda a: loss(*point[:k], a, *point[k + 1 :]), point[k])

    return {name: gradient(k) for k, name in enumerate(("dx", "dh_prev", "ds_prev", "dW_x", "dW_h", "db"))}


def _with(**changed: Any) -> Any:
    """The solution with one line replaced: a function of all that the solution has at that point."""

    def answer(cache: Cache, dy: tuple[Array, Array]) -> tuple[Array, ...]:
        names = ("x", "h_prev", "s_prev", "i", "f", "g", "o", "s", "W_x", "W_h", "dh", "ds_next")
        v: dict[str, Array] = dict(zip(names, (*cache, *dy), strict=True))
        for name, line in LINES.items():
            v[name] = changed.get(name, line)(v)
        return tuple(v[name] for name in ("dW_x", "dW_h", "db", "dx", "dh_prev", "ds_prev"))

    return answer


LINES: dict[str, Any] = {
    "ds": lambda v: v["ds_next"] + v["dh"] * v["o"] * (1 - np.tanh(v["s"]) ** 2),
    "dz_i": lambda v: v["ds"] * v["g"] * v["i"] * (1 - v["i"]),
    "dz_f": lambda v: v["ds"] * v["s_prev"] * v["f"] * (1 - v["f"]),
    "dz_g": lambda v: v["ds"] * v["i"] * (1 - v["g"] ** 2),
    "dz_o": lambda v: v["dh"] * np.tanh(v["s"]) * v["o"] * (1 - v["o"]),
    "dz": lambda v: np.concatenate([v["dz_i"], v["dz_f"], v["dz_g"], v["dz_o"]], axis=1),
    "dW_x": lambda v: v["dz"].T @ v["x"],
    "dW_h": lambda v: v["dz"].T @ v["h_prev"],
    "db": lambda v: v["dz"].sum(axis=0),
    "dx": lambda v: v["dz"] @ v["W_x"],
    "dh_prev": lambda v: v["dz"] @ v["W_h"],
    "ds_prev": lambda v: v["ds"] * v["f"],
}

EXERCISE = Exercise(
    name="lstm.hunt_state",
    kind="find the bug",
    title="Right from a standing start",
    statement="""
        From the zero state, where every sequence begins, `check_gradients` agrees with this backward pass in W_x, W_h, b, x
        and both states. From a random state it finds a quarter of W_x wrong and, with W_x out of the way, nearly all of W_h.
        The forward pass is right; the backward pass has one bug. Which quarter is it? And which products vanish when the
        state is zero?
    """,
    solution=lstm_backward,
    outputs=("dW_x", "dW_h", "db", "dx", "dh_prev", "ds_prev"),
    cases=_cases,
    numeric=_numeric,
    given=(lstm_forward, buggy_backward),
    hints=(
        "The wrong rows of W_x are one block of four: the forget gate's. Only one line computes dz_f. What does it need?",
        "It needs the old internal state; dW_h needs the old hidden state. Both lines read as they should. So what is in "
        "the two variables?",
        "The forward pass packs `(x, h_prev, s_prev, ...)`, the backward pass unpacks `x, s_prev, h_prev, ...`. Both are "
        "(B, H), and from the zero state they are equal.",
    ),
    mistakes=(
        Mistake(
            "handed in the bug unchanged",
            "dz_f and dW_h are wrong as soon as the hidden state and the internal state differ.",
            "lstm-back-gates",
            buggy_backward,
        ),
        Mistake(
            "put it right for the recurrent weights only",
            "dW_h now has the hidden state, but dz_f is still multiplied by it too, and is part of every gradient but ds_prev.",
            "lstm-back-gates",
            _with(dz_f=lambda v: v["ds"] * v["h_prev"] * v["f"] * (1 - v["f"])),
        ),
        Mistake(
            "put it right for the forget gate only",
            "dz_f is right now. W_h multiplied the hidden state; its gradient still has the internal state there.",
            "lstm-back-gates",
            _with(dW_h=lambda v: v["dz"].T @ v["s_prev"]),
        ),
        Mistake(
            "used the new internal state in dz_f",
            "f multiplied the state of the step before. This would be wrong even from the zero state, unlike the bug.",
            "lstm-back-gates",
            _with(dz_f=lambda v: v["ds"] * v["s"] * v["f"] * (1 - v["f"])),
        ),
        Mistake(
            "used the new hidden state in dW_h",
            "W_h multiplied the hidden state of the step before. The new one is what this step made.",
            "lstm-back-gates",
            _with(dW_h=lambda v: v["dz"].T @ (np.tanh(v["s"]) * v["o"])),
        ),
        Mistake(
            "exchanged the two gradients that go back",
            "dh_prev is what W_h sends back, ds_prev what the forget gate sends back; the bug is not in their order.",
            "lstm-back-previous",
            _with(dh_prev=lambda v: v["ds"] * v["f"], ds_prev=lambda v: v["dz"] @ v["W_h"]),
        ),
        Mistake(
            "took the gradient out of the forget gate",
            "dz_f = 0 is right from the zero state only; with it the forget gate would never learn.",
            "lstm-back-gates",
            _with(dz_f=lambda v: 0 * v["ds"]),
        ),
        Mistake(
            "sent ds to the step before without the forget gate",
            "ds_prev was right: the old state was multiplied by f, and so is its gradient.",
            "lstm-back-previous",
            _with(ds_prev=lambda v: v["ds"] * 1),
        ),
        Mistake(
            "took the path through h out of ds",
            "ds was right: s reaches the loss through h and through the next step.",
            "lstm-back-state",
            _with(ds=lambda v: v["ds_next"] * 1),
        ),
    ),
)
