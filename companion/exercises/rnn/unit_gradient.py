"""Implement: the gradient of the one weight of a unit that feeds itself."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.gradcheck import numerical_gradient
from companion.tree import Array


def unit_gradient(w: float, h_0: float, xs: Array, ys: Array) -> Any:
    """Weight w, initial value h_0, inputs xs (T,), targets ys (T,) -> number dw."""
    T = len(xs)
    hs = [h_0]
    for x in xs:
        hs.append(np.tanh(w * hs[-1] + x))
    dw, dh = 0.0, 0.0
    for t in reversed(range(T)):
        dh = dh + (hs[t + 1] - ys[t]) / T
        dz = dh * (1 - hs[t + 1] ** 2)
        dw = dw + dz * hs[t]
        dh = dz * w
    return dw


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(T: int) -> tuple[Any, ...]:
        w, h_0 = rng.uniform(0.6, 1.4), rng.uniform(0.3, 0.9)
        return w, h_0, rng.normal(size=T), rng.normal(size=T)

    return [case(6), case(4), case(1)]


def _numeric(w: float, h_0: float, xs: Array, ys: Array) -> dict[str, Array]:
    def loss(w: Array) -> float:
        h, total = np.asarray(h_0), 0.0
        for x, y in zip(xs, ys):
            h = np.tanh(w * h + x)
            total += 0.5 * float(h - y) ** 2
        return total / len(xs)

    return {"dw": numerical_gradient(loss, np.array(w))}


def _with(
    error: Any = lambda h, y, T: (h - y) / T,
    counts: Any = lambda t, T: True,
    slope: Any = lambda z, h: 1 - h**2,
    times: Any = lambda before, after, x: before,
    back: Any = lambda dz, dh, w: dz * w,
    term: Any = lambda t, T: True,
) -> Any:
    """The solution with one part replaced; `counts` says which errors are used, `term` which steps add to dw."""

    def answer(w: float, h_0: float, xs: Array, ys: Array) -> Any:
        hs, zs, T = [h_0], [], len(xs)
        for x in xs:
            zs.append(w * hs[-1] + x)
            hs.append(np.tanh(zs[-1]))
        dw = dh = np.float64(0)
        for t in reversed(range(T)):
            dh = dh + (error(hs[t + 1], ys[t], T) if counts(t, T) else 0)
            dz = dh * slope(zs[t], hs[t + 1])
            dw = dw + (dz * times(hs[t], hs[t + 1], xs[t]) if term(t, T) else 0)
            dh = back(dz, dh, w)
        return dw

    return answer


EXERCISE = Exercise(
    name="rnn.unit_gradient",
    kind="implement",
    title="One weight, used at every step",
    statement="""
        The smallest recurrent network: $h^{(t)} = \\tanh(w\\, h^{(t-1)} + x^{(t)})$, one unit and one weight. The loss is
        $L = \\frac{1}{T} \\sum_t \\frac{1}{2} (h^{(t)} - y^{(t)})^2$. Return $dw = dL/dw$, the *total* derivative:
        $w$ acts on $h^{(t)}$
        directly, at step $t$, and also through every $h$ before it.
    """,
    solution=unit_gradient,
    outputs=("dw",),
    cases=_cases,
    numeric=_numeric,
    hints=(
        "Run forward and keep all $h^{(t)}$. The immediate partial derivative, with $h^{(t-1)}$ held fixed, is "
        "$(1 - (h^{(t)})^2)\\, h^{(t-1)}$. What must it be multiplied by, and over what summed?",
        "By $dh^{(t)}$, the gradient of the *whole* loss: it has a share from step $t$ itself, $(h^{(t)} - y^{(t)}) "
        "/ T$, and one that "
        "comes back from step $t+1$, through tanh and $w$.",
        "Go from the last step to the first with `dh = 0`: add the step's own error to dh; `dz = dh * (1 - h**2)`; add "
        "`dz * h_before` to dw; `dh = dz * w` for the step before.",
    ),
    mistakes=(
        Mistake(
            "held the value of the step before fixed in every step",
            "These are the immediate partial derivatives, each with its own error only. w also acts through all values before.",
            "immediate-partial",
            _with(back=lambda dz, dh, w: 0),
        ),
        Mistake(
            "kept only the immediate term of the last step",
            "w is used at every step: T immediate terms add up, and yours is one of them.",
            "immediate-partial",
            _with(counts=lambda t, T: t == T - 1, back=lambda dz, dh, w: 0),
        ),
        Mistake(
            "used only the error of the last step",
            "That is the gradient of the last step's loss; here every step has a target.",
            "total-loss",
            _with(counts=lambda t, T: t == T - 1),
        ),
        Mistake(
            "took the sum over the steps instead of the mean",
            "Your gradient is T times too large, so that the step length would grow with the sequence.",
            "total-loss",
            _with(error=lambda h, y, T: h - y),
        ),
        Mistake(
            "left out the term of the first step",
            "The first step uses w too, on h_0. With h_0 = 0 its term would be zero, and you would not notice.",
            "immediate-partial",
            _with(term=lambda t, T: t > 0),
        ),
        Mistake(
            "overwrote dw in every step instead of adding to it",
            "What is left is the term of the first step, the last that is computed on the way back.",
            "immediate-partial",
            _with(term=lambda t, T: t == 0),
        ),
        Mistake(
            "forgot the slope of tanh",
            "The gradient passes every step as if the unit were linear.",
            "bptt-delta",
            _with(slope=lambda z, h: 1),
        ),
        Mistake(
            "took the slope of tanh at the pre-activation",
            "1 - z^2 is no slope (negative for |z| > 1); the formula wants the output h = tanh(z).",
            "bptt-delta",
            _with(slope=lambda z, h: 1 - z**2),
        ),
        Mistake(
            "multiplied by h^(t) where h^(t-1) belongs",
            "w stands before the value of the step *before*; that is its derivative.",
            "immediate-partial",
            _with(times=lambda before, after, x: after),
        ),
        Mistake(
            "forgot the weight on the way back",
            "From h^(t) to h^(t-1) the gradient passes tanh and w.",
            "bptt-hidden",
            _with(back=lambda dz, dh, w: dz),
        ),
        Mistake(
            "forgot the slope of tanh on the way back",
            "Your immediate derivatives have it; from h^(t) to h^(t-1) the gradient passes tanh too, and then w.",
            "bptt-hidden",
            _with(back=lambda dz, dh, w: dh * w),
        ),
        Mistake(
            "multiplied by the input instead of the value of the step before",
            "The input has no weight here: w stands before h^(t-1).",
            "immediate-partial",
            _with(times=lambda before, after, x: x),
        ),
        Mistake(
            "have the error the wrong way round",
            "y - h flips the sign of the gradient: training would climb.",
            "total-loss",
            _with(error=lambda h, y, T: (y - h) / T),
        ),
        Mistake(
            "lost the factor 1/2 of the loss",
            "The derivative of (h - y)^2 / 2 is h - y; your gradient is twice too large.",
            "total-loss",
            _with(error=lambda h, y, T: 2 * (h - y) / T),
        ),
    ),
)
