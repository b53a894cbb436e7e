"""Derive: back through sharpening, to the number that the controller gave."""

from collections.abc import Callable
from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.gradcheck import numerical_gradient
from companion.ops import sigmoid, softmax
from companion.tree import Array


def sharpened_backward(w_s: Array, z: Array, dw: Array) -> tuple[Array, Array]:
    """Weightings w_s (K, N) > 0, numbers z (K,), gradient dw (K, N) -> dw_s, dz.

    The sharpness of each head is 1 + softplus(z) = 1 + log(1 + e^z).
    """
    gamma = 1 + np.logaddexp(z, 0)
    u = gamma[:, None] * np.log(w_s)
    w = np.exp(u - u.max(axis=1, keepdims=True))
    w /= w.sum(axis=1, keepdims=True)
    du = w * (dw - (dw * w).sum(axis=1, keepdims=True))
    dw_s = gamma[:, None] * du / w_s
    dgamma = (du * np.log(w_s)).sum(axis=1)
    return dw_s, dgamma / (1 + np.exp(-z))


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(K: int, N: int) -> tuple[Any, ...]:
        w_s = rng.uniform(0.5, 2, size=(K, N))
        return w_s / w_s.sum(axis=1, keepdims=True), rng.normal(size=K), rng.normal(size=(K, N))

    return [case(3, 5), case(1, 4), case(4, 3)]


def _numeric(w_s: Array, z: Array, dw: Array) -> dict[str, Array]:
    def loss(w_s: Array, z: Array) -> float:
        power = w_s ** (1 + np.logaddexp(z, 0))[:, None]
        return float((dw * power / power.sum(axis=1, keepdims=True)).sum())

    return {
        "dw_s": numerical_gradient(lambda w_s: loss(w_s, z), w_s),
        "dz": numerical_gradient(lambda z: loss(w_s, z), z),
    }


def _softened(w: Array, dw: Array) -> Array:
    return np.asarray(w * (dw - (dw * w).sum(axis=1, keepdims=True)))


def _with(
    sharpness: Callable[[Array], Array] = lambda z: 1 + np.logaddexp(z, 0),
    softened: Callable[..., Array] = _softened,
    to_w: Callable[..., Array] = lambda du, gamma, w_s, w: gamma * du / w_s,
    to_gamma: Callable[..., Array] = lambda du, w_s, w: (du * np.log(w_s)).sum(axis=1),
    slope: Callable[..., Any] = lambda z, gamma: sigmoid(z),
    weights: Callable[[Array, Array], Array] = lambda w_s, w: w,
) -> Any:
    """The solution with one part replaced."""

    def answer(w_s: Array, z: Array, dw: Array) -> tuple[Array, Array]:
        gamma = sharpness(z)
        w = softmax(gamma[:, None] * np.log(w_s))
        du = softened(weights(w_s, w), dw)
        return to_w(du, gamma[:, None], w_s, w), to_gamma(du, w_s, w) * slope(z, gamma)

    return answer


def _slope_of_the_power(w_s: Array, z: Array, dw: Array) -> tuple[Array, Array]:
    gamma = 1 + np.logaddexp(z, 0)[:, None]
    return dw * gamma * w_s ** (gamma - 1), sharpened_backward(w_s, z, dw)[1]


EXERCISE = Exercise(
    name="ntm.sharpen_backward",
    kind="derive",
    title="Back through sharpening",
    statement="""
        Carry the gradient of the sharpened weightings back to the weightings before, and on to the numbers z that the
        controller gave: its linear layer knows nothing of 1 + softplus. The shortest way begins with another form of
        equation (ntm sharpen): a power is e to the exponent times a logarithm, so that w is the softmax of what?
    """,
    solution=sharpened_backward,
    outputs=("dw_s", "dz"),
    cases=_cases,
    numeric=_numeric,
    hints=(
        "w = softmax(u) with u = gamma log w_s, each head by itself. So begin with the backward pass of a softmax.",
        "A softmax takes from dw its mean weighted by w, and multiplies by w. That is du; and u is a product: gamma receives "
        "du log w_s, summed over the rows, and log w_s receives gamma du; the slope of log is 1 / w_s.",
        "`du = w * (dw - (dw * w).sum(axis=1, keepdims=True))`, `dw_s = gamma[:, None] * du / w_s`, "
        "`dgamma = (du * np.log(w_s)).sum(axis=1)`, and the slope of softplus is the logistic function: "
        "`dz = dgamma / (1 + np.exp(-z))`.",
    ),
    mistakes=(
        Mistake(
            "took the sum below for a constant",
            "Only the numerator has a slope in yours. A weight that grows takes from all others, through the sum.",
            "ntm-back-sharpen",
            _with(softened=lambda w, dw: w * dw),
        ),
        Mistake(
            "left out the softmax, and took dw for du",
            "Between w and u is a softmax: a weight that grows takes from all others.",
            "ntm-back-sharpen",
            _with(softened=lambda w, dw: dw),
        ),
        Mistake(
            "put w_s for w in the gradient of the softmax",
            "The gradient of a softmax holds what comes out of it: the weights *after* sharpening.",
            "ntm-back-sharpen",
            _with(weights=lambda w_s, w: w_s),
        ),
        Mistake(
            "took the slope of the power alone",
            "Only dw_s is wrong. The power is then divided by the sum of all powers, in which every weight stands too.",
            "ntm-back-sharpen",
            _slope_of_the_power,
        ),
        Mistake(
            "used only the derivative of each weight with respect to its own row",
            "w (1 - w) dw forgets that a row also takes weight from the others.",
            "ntm-back-sharpen",
            _with(softened=lambda w, dw: w * (1 - w) * dw),
        ),
        Mistake(
            "summed over the heads instead of the rows",
            "Each head has a weighting of its own: the sum in the bracket runs along axis 1.",
            "ntm-back-sharpen",
            _with(softened=lambda w, dw: w * (dw - (dw * w).sum(axis=0))),
        ),
        Mistake(
            "left out the weights in the sum",
            "The bracket subtracts the mean of dw *weighted by w*; yours subtracts the plain sum.",
            "ntm-back-sharpen",
            _with(softened=lambda w, dw: w * (dw - dw.sum(axis=1, keepdims=True))),
        ),
        Mistake(
            "forgot the factor gamma in dw_s",
            "Only dw_s is wrong. A power with a larger exponent is steeper; yours is right for gamma = 1 only.",
            "ntm-back-sharpen",
            _with(to_w=lambda du, gamma, w_s, w: du / w_s),
        ),
        Mistake(
            "forgot the slope of the logarithm",
            "Only dw_s is wrong: yours is the gradient of log w_s.",
            "ntm-back-sharpen",
            _with(to_w=lambda du, gamma, w_s, w: gamma * du),
        ),
        Mistake(
            "divided by the sharpened weights",
            "Only dw_s is wrong. The slope 1 / w_s of the logarithm wants the weight *before* sharpening.",
            "ntm-back-sharpen",
            _with(to_w=lambda du, gamma, w_s, w: gamma * du / w),
        ),
        Mistake(
            "took the factor gamma - 1 in dw_s instead of gamma",
            "Only dw_s is wrong. The slope of x^gamma is gamma x^(gamma - 1): gamma is the factor, gamma - 1 the exponent.",
            "ntm-back-sharpen",
            _with(to_w=lambda du, gamma, w_s, w: (gamma - 1) * du / w_s),
        ),
        Mistake(
            "took the logarithm of the sharpened weights",
            "Only dz is wrong. gamma multiplied log w_s, the weights *before* sharpening.",
            "ntm-back-sharpen",
            _with(to_gamma=lambda du, w_s, w: (du * np.log(w)).sum(axis=1)),
        ),
        Mistake(
            "took the weights for their logarithms",
            "Only dz is wrong. The derivative of a power by its exponent holds the logarithm of the base.",
            "ntm-back-sharpen",
            _with(to_gamma=lambda du, w_s, w: (du * w_s).sum(axis=1)),
        ),
        Mistake(
            "took logarithms to base 2",
            "Only dz is wrong. The derivative of a power by its exponent holds the natural logarithm of the base.",
            "ntm-back-sharpen",
            _with(to_gamma=lambda du, w_s, w: (du * np.log2(w_s)).sum(axis=1)),
        ),
        Mistake(
            "averaged the gradient of the sharpness over the rows",
            "Only dz is wrong. The sharpness acts on all N rows, so that their shares add up.",
            "ntm-back-sharpen",
            _with(to_gamma=lambda du, w_s, w: (du * np.log(w_s)).mean(axis=1)),
        ),
        Mistake(
            "stopped at the gradient of the sharpness",
            "Only dz is wrong: yours is dgamma. The controller gave z, and the slope of softplus is still missing.",
            "ntm-heads",
            _with(slope=lambda z, gamma: 1.0),
        ),
        Mistake(
            "took the slope of the logistic function for that of softplus",
            "Only dz is wrong. The slope of log(1 + e^z) is the logistic function of z itself.",
            "ntm-heads",
            _with(slope=lambda z, gamma: sigmoid(z) * (1 - sigmoid(z))),
        ),
        Mistake(
            "took the logistic function of -z for the slope of softplus",
            "Only dz is wrong. The slope of log(1 + e^z) is 1 / (1 + e^-z): near 1 where z is large.",
            "ntm-heads",
            _with(slope=lambda z, gamma: sigmoid(-z)),
        ),
        Mistake(
            "took e^z for the slope of softplus",
            "Only dz is wrong. The slope of log(1 + e^z) is e^z / (1 + e^z), at most 1.",
            "ntm-heads",
            _with(slope=lambda z, gamma: np.exp(z)),
        ),
        Mistake(
            "took the slope of softplus at the sharpness",
            "Only dz is wrong. The slope is the logistic function of z, what went into softplus, not of what came out.",
            "ntm-heads",
            _with(slope=lambda z, gamma: sigmoid(gamma)),
        ),
        Mistake(
            "forgot the 1 in the sharpness",
            "gamma = softplus(z) may be below 1, and would blur instead of sharpen.",
            "ntm-heads",
            _with(sharpness=lambda z: np.logaddexp(z, 0)),
        ),
        Mistake(
            "took z for the sharpness",
            "z may be negative; the sharpness is 1 + softplus(z), above 1.",
            "ntm-heads",
            _with(sharpness=lambda z: z),
        ),
    ),
)
