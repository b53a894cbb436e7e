"""Derive: back through a GRU."""

from collections.abc import Callable
from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.gradcheck import numerical_gradient
from companion.ops import sigmoid
from companion.tree import Array


def gru_backward(
    dh: Array, r: Array, z: Array, n: Array, a: Array, h_prev: Array, W_h: Array
) -> tuple[Array, Array, Array, Array]:
    """Gradient dh, r, z, n, a and h_prev (B, H) -> dz_r, dz_z, dz_n, dh_prev.

    a = h_prev W_hn^T + b_n is what the reset gate multiplied; W_h (3H, H): r, z, n.
    """
    dz_n = dh * (1 - z) * (1 - n**2)
    dz_z = dh * (h_prev - n) * z * (1 - z)
    dz_r = dz_n * a * r * (1 - r)
    through_weights = np.concatenate([dz_r, dz_z, dz_n * r], axis=1) @ W_h
    return dz_r, dz_z, dz_n, through_weights + dh * z


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(B: int, H: int) -> tuple[Any, ...]:
        r, z = sigmoid(rng.normal(size=(2, B, H)))
        n = np.tanh(rng.normal(size=(B, H)))
        dh, h_prev = rng.normal(size=(2, B, H))
        W_h = rng.normal(size=(3 * H, H))
        a = h_prev @ W_h[2 * H :].T + rng.normal(size=H)
        return dh, r, z, n, a, h_prev, W_h

    return [case(3, 5), case(1, 4), case(6, 2)]


def _numeric(dh: Array, r: Array, z: Array, n: Array, a: Array, h_prev: Array, W_h: Array) -> dict[str, Array]:
    W_r, W_z, W_n = np.split(W_h, 3)
    b_n = a - h_prev @ W_n.T
    # What x and the biases gave to each block: the rest of its pre-activation.
    x_r = np.log(r / (1 - r)) - h_prev @ W_r.T
    x_z = np.log(z / (1 - z)) - h_prev @ W_z.T
    x_n = np.arctanh(n) - r * a
    point = [x_r, x_z, x_n, h_prev]

    def loss(*point: Array) -> float:
        x_r, x_z, x_n, h_prev = point
        r, z = sigmoid(x_r + h_prev @ W_r.T), sigmoid(x_z + h_prev @ W_z.T)
        n = np.tanh(x_n + r * (h_prev @ W_n.T + b_n))
        return float((dh * ((1 - z) * n + z * h_prev)).sum())

    def gradient(k: int) -> Array:
        return numerical_gradient(lambda a: loss(*point[:k], a, *point[k + 1 :]), point[k])

    return {name: gradient(k) for k, name in enumerate(("dz_r", "dz_z", "dz_n", "dh_prev"))}


def _with(
    to_n: Callable[..., Array] = lambda dh, z: dh * (1 - z),
    to_z: Callable[..., Array] = lambda dh, h_prev, n: dh * (h_prev - n),
    to_r: Callable[..., Array] = lambda dz_n, a, h_prev, W_n: dz_n * a,
    gate_slope: Callable[[Array], Any] = lambda y: y * (1 - y),
    candidate_slope: Callable[[Array], Any] = lambda n: 1 - n**2,
    da: Callable[..., Array] = lambda dz_n, r: dz_n * r,
    kept: Callable[..., Array] = lambda dh, z: dh * z,
    gates: float = 1.0,
    weights: float = 1.0,
) -> Any:
    """The solution with one part replaced; `gates` and `weights` are 0 where a path to h_prev is missing."""

    def answer(dh: Array, r: Array, z: Array, n: Array, a: Array, h_prev: Array, W_h: Array) -> tuple[Array, ...]:
        dz_n = to_n(dh, z) * candidate_slope(n)
        dz_z = to_z(dh, h_prev, n) * gate_slope(z)
        dz_r = to_r(dz_n, a, h_prev, W_h[2 * len(W_h) // 3 :]) * gate_slope(r)
        back = np.concatenate([gates * dz_r, gates * dz_z, da(dz_n, r)], axis=1) @ W_h
        return dz_r, dz_z, dz_n, weights * back + kept(dh, z)

    return answer


def _transposed(dh: Array, r: Array, z: Array, n: Array, a: Array, h_prev: Array, W_h: Array) -> tuple[Array, ...]:
    W = np.concatenate([block.T for block in np.split(W_h, 3)])
    return gru_backward(dh, r, z, n, a, h_prev, W)


def _da_for_dz_n(dh: Array, r: Array, z: Array, n: Array, a: Array, h_prev: Array, W_h: Array) -> tuple[Array, ...]:
    dz_r, dz_z, dz_n, dh_prev = gru_backward(dh, r, z, n, a, h_prev, W_h)
    return dz_r, dz_z, dz_n * r, dh_prev


EXERCISE = Exercise(
    name="lstm.gru_backward",
    kind="derive",
    title="Back through a GRU",
    statement="""
        Derive the backward pass of one step, with $h = (1 - z)\\, n + z\\, h'$ and $n = \\tanh(x W_{xn}^\\top + b + r\\, a)$,
        where $a = h' W_{hn}^\\top + b_n$. Return the gradients of the three pre-activations, $z_r$, $z_z$ and $z_n$, and of
        $h'$, the hidden state before. Draw all the paths from $h'$ to $h$ first: there are four.
    """,
    solution=gru_backward,
    outputs=("dz_r", "dz_z", "dz_n", "dh_prev"),
    cases=_cases,
    numeric=_numeric,
    hints=(
        "Start at $h = (1 - z)\\, n + z\\, h'$. The update gate occurs twice: what is $\\partial h / \\partial z$?",
        "It is $h' - n$. Then $dz_n = dh\\, (1 - z)(1 - n^2)$, and inside tanh stands the product $r\\,a$: its factors receive "
        "$dz_n\\, a$ and $dz_n\\, r$.",
        "Four paths lead to $h'$: directly, `dh * z`; and through the weights of r, z and n, which send back "
        "`np.concatenate([dz_r, dz_z, dz_n * r], axis=1) @ W_h`.",
    ),
    mistakes=(
        Mistake(
            "forgot the direct path from the old hidden state to the new one",
            "Only dh_prev is wrong: dh z is missing, the path on which a GRU carries a gradient far.",
            "gru-back-state",
            _with(kept=lambda dh, z: 0 * dh),
        ),
        Mistake(
            "took 1 - z for z",
            "z keeps the old state, and 1 - z is the candidate's share; yours belongs to h = z n + (1 - z) h'.",
            "gru-back-state",
            _with(
                to_n=lambda dh, z: dh * z,
                to_z=lambda dh, h_prev, n: dh * (n - h_prev),
                kept=lambda dh, z: dh * (1 - z),
            ),
        ),
        Mistake(
            "took 1 - z for z in the direct path",
            "Only dh_prev is wrong: the old hidden state has the factor z in h, and so does its gradient.",
            "gru-back-state",
            _with(kept=lambda dh, z: dh * (1 - z)),
        ),
        Mistake(
            "took z for 1 - z in the candidate's share",
            "dz_z and the direct path are right; but n has the factor 1 - z in h.",
            "gru-back-candidate",
            _with(to_n=lambda dh, z: dh * z),
        ),
        Mistake(
            "left out the candidate's share 1 - z",
            "n has the factor 1 - z in h, and so has its gradient.",
            "gru-back-candidate",
            _with(to_n=lambda dh, z: dh),
        ),
        Mistake(
            "sent the whole gradient along the direct path",
            "Only dh_prev is wrong: the update gate lets through the share z of it.",
            "gru-back-state",
            _with(kept=lambda dh, z: dh * 1),
        ),
        Mistake(
            "have the sign of h' - n the wrong way round",
            "A larger z takes more of h' and less of n, so that dh/dz = h' - n.",
            "gru-back-gates",
            _with(to_z=lambda dh, h_prev, n: dh * (n - h_prev)),
        ),
        Mistake(
            "forgot that the update gate takes from the candidate too",
            "z occurs twice in h: in z h' and in (1 - z) n. Its gradient has both, h' - n.",
            "gru-back-gates",
            _with(to_z=lambda dh, h_prev, n: dh * h_prev),
        ),
        Mistake(
            "forgot the reset gate on the way back through the weights",
            "Only dh_prev is wrong: the reset gate multiplied a, and so the gradient of a is dz_n r.",
            "gru-back-candidate",
            _with(da=lambda dz_n, r: dz_n),
        ),
        Mistake(
            "multiplied by the old hidden state in dz_r, instead of by a",
            "The reset gate multiplied a = h' W_hn^T + b_n, after the weights.",
            "gru-back-gates",
            _with(to_r=lambda dz_n, a, h_prev, W_n: dz_n * h_prev),
        ),
        Mistake(
            "left out a in dz_r",
            "Inside tanh stands r a: the gradient of r is dz_n times the other factor, a.",
            "gru-back-gates",
            _with(to_r=lambda dz_n, a, h_prev, W_n: dz_n),
        ),
        Mistake(
            "went back to the reset gate through the weights, as in Cho's form",
            "(dz_n W_hn) h' is right where the reset gate stands before the product. Here it stands behind it.",
            "gru-back-gates",
            _with(to_r=lambda dz_n, a, h_prev, W_n: dz_n @ W_n * h_prev),
        ),
        Mistake(
            "forgot the slope of the candidate",
            "n = tanh(z_n): dz_n has a factor 1 - n^2, and dz_r and dh_prev get it from there.",
            "gru-back-candidate",
            _with(candidate_slope=lambda n: 1.0),
        ),
        Mistake(
            "took the slope of the logistic function for the candidate",
            "n is a tanh; n (1 - n) is negative wherever n is.",
            "gru-back-candidate",
            _with(candidate_slope=lambda n: n * (1 - n)),
        ),
        Mistake(
            "forgot the slopes of the two gates",
            "dz_r and dz_z are gradients before the logistic functions: each has a factor y (1 - y).",
            "gru-back-gates",
            _with(gate_slope=lambda y: 1.0),
        ),
        Mistake(
            "took the slope of tanh for the gates",
            "The gates are logistic functions, with slope y (1 - y).",
            "gru-back-gates",
            _with(gate_slope=lambda y: 1 - y**2),
        ),
        Mistake(
            "left the paths through the gates out of dh_prev",
            "Only dh_prev is wrong: both gates saw the old hidden state, and send something back through their weights.",
            "gru-back-state",
            _with(gates=0.0),
        ),
        Mistake(
            "left the paths through the weights out of dh_prev",
            "Only dh_prev is wrong: dh z is the direct path; three more go through W_h.",
            "gru-back-state",
            _with(weights=0.0),
        ),
        Mistake(
            "transposed the blocks of W_h on the way back",
            "Only dh_prev is wrong; square blocks fit all the same. Forward h' meets W_h^T, so on the way back it is W_h.",
            "gru-back-state",
            _transposed,
        ),
        Mistake(
            "returned dz_n times r as dz_n",
            "That is the gradient of a. Before tanh stands z_n, whose gradient has no r; the rest is right.",
            "gru-back-candidate",
            _da_for_dz_n,
        ),
        Mistake(
            "forgot that the update gate lets the old hidden state through too",
            "z occurs twice in h: yours has the share of (1 - z) n, which is -n, but that of z h' is missing.",
            "gru-back-gates",
            _with(to_z=lambda dh, h_prev, n: -dh * n),
        ),
    ),
)
