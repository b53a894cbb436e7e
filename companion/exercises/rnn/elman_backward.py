"""Implement: backpropagation through time."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.gradcheck import numerical_gradient
from companion.tree import Array


def elman_backward(xs: Array, hs: Array, dhs: Array, W_x: Array, W_h: Array) -> tuple[Array, Array, Array, Array]:
    """Gradients dW_x (H, D), dW_h (H, H), db (H,), dh_0 (B, H) of an Elman network.

    Inputs xs (T, B, D); hidden values hs (T+1, B, H), of which hs[0] is h_0 and
    hs[t + 1] came from xs[t]; dhs (T, B, H), the error that the output of each step
    sends to its hidden values; W_x (H, D), W_h (H, H).
    """
    dW_x, dW_h, db = np.zeros_like(W_x), np.zeros_like(W_h), np.zeros(len(W_h))
    dh = np.zeros_like(hs[0])
    for t in reversed(range(len(xs))):
        dz = (dhs[t] + dh) * (1 - hs[t + 1] ** 2)
        dW_x += dz.T @ xs[t]
        dW_h += dz.T @ hs[t]
        db += dz.sum(axis=0)
        dh = dz @ W_h
    return dW_x, dW_h, db, dh


def _run(xs: Array, h_0: Array, W_x: Array, W_h: Array, b: Array) -> Array:
    hs = [h_0]
    for x in xs:
        hs.append(np.tanh(x @ W_x.T + hs[-1] @ W_h.T + b))
    return np.stack(hs)


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(T: int, B: int, D: int, H: int) -> tuple[Any, ...]:
        xs, h_0, W_x, W_h, b = (0.5 * rng.normal(size=s) for s in ((T, B, D), (B, H), (H, D), (H, H), (H,)))
        return xs, _run(xs, h_0, W_x, W_h, b), rng.normal(size=(T, B, H)), W_x, W_h

    return [case(5, 3, 4, 6), case(3, 1, 5, 2), case(1, 3, 2, 4)]


def _numeric(xs: Array, hs: Array, dhs: Array, W_x: Array, W_h: Array) -> dict[str, Array]:
    b = (np.arctanh(hs[1]) - xs[0] @ W_x.T - hs[0] @ W_h.T)[0]  # the same at every step

    def loss(h_0: Array = hs[0], W_x: Array = W_x, W_h: Array = W_h, b: Array = b) -> float:
        return float((dhs * _run(xs, h_0, W_x, W_h, b)[1:]).sum())

    return {
        "dW_x": numerical_gradient(lambda a: loss(W_x=a), W_x),
        "dW_h": numerical_gradient(lambda a: loss(W_h=a), W_h),
        "db": numerical_gradient(lambda a: loss(b=a), b),
        "dh_0": numerical_gradient(lambda a: loss(h_0=a), hs[0]),
    }


def _with(
    into: Any = lambda dh_out, dh, slope: (dh_out + dh) * slope,
    slope: Any = lambda h, previous: 1 - h**2,
    back: Any = lambda dz, W_h, dh: dz @ W_h,
    weights: Any = lambda dz, below: dz.T @ below,
    bias: Any = lambda dz: dz.sum(axis=0),
    total: Any = lambda terms: terms.sum(axis=0),
    before: Any = lambda hs: hs[:-1],
    total_h: Any = None,
    last: Any = lambda dh, previous: dh,
    errors: Any = lambda dhs: dhs,
    stop: int = 0,
) -> Any:
    """The solution with one part replaced. It collects the terms of all steps, from the first to the last, and adds them."""

    def answer(xs: Array, hs: Array, dhs: Array, W_x: Array, W_h: Array) -> Any:
        dzs, dh, previous, dhs = [], np.zeros_like(hs[0]), hs[0], errors(dhs)
        for t in reversed(range(min(stop, len(xs) - 1), len(xs))):
            previous = dhs[t] + dh
            dzs.append(into(dhs[t], dh, slope(hs[t + 1], hs[t])))
            dh = back(dzs[-1], W_h, dh)
        dzs = dzs[::-1]
        pairs = list(zip(dzs, xs[-len(dzs) :], before(hs)[-len(dzs) :]))
        dW_x = total(np.stack([weights(dz, x) for dz, x, _ in pairs]))
        dW_h = (total_h or total)(np.stack([weights(dz, h) for dz, _, h in pairs]))
        return dW_x, dW_h, total(np.stack([bias(dz) for dz in dzs])), last(dh, previous)

    return answer


def _last_only(dhs: Array) -> Array:
    only = np.zeros_like(dhs)
    only[-1] = dhs[-1]
    return only


def _dz_for_dh_0(xs: Array, hs: Array, dhs: Array, W_x: Array, W_h: Array) -> Any:
    later = elman_backward(xs[1:], hs[1:], dhs[1:], W_x, W_h)[3]
    return *elman_backward(xs, hs, dhs, W_x, W_h)[:3], (dhs[0] + later) * (1 - hs[1] ** 2)


EXERCISE = Exercise(
    name="rnn.elman_backward",
    kind="implement",
    title="Backpropagation through time",
    statement="""
        An Elman network has read a batch: `hs[t + 1] = tanh(xs[t] @ W_x.T + hs[t] @ W_h.T + b)`. At every step an output
        layer above has sent back the error `dhs[t]`. Carry these errors back through time, and return the gradients of the
        three parameters and of the initial values. The parameters are shared by all steps.
    """,
    solution=elman_backward,
    outputs=("dW_x", "dW_h", "db", "dh_0"),
    cases=_cases,
    numeric=_numeric,
    hints=(
        "Go from the last step to the first. The hidden values of a step act in two ways: on the step's own output, and on "
        "the next step. What is used twice receives the sum of both gradients.",
        "In each turn: total dh of the step, then dz behind tanh, then this step's terms of the three parameters, then the "
        "dh that goes to the step before. Which hidden values did W_h multiply in this step?",
        "`dz = (dhs[t] + dh) * (1 - hs[t + 1]**2)`; add `dz.T @ xs[t]`, `dz.T @ hs[t]` and `dz.sum(axis=0)` to the totals; "
        "`dh = dz @ W_h`. After the loop dh is dh_0.",
    ),
    mistakes=(
        Mistake(
            "overwrote the gradients of the shared parameters instead of adding to them",
            "What is left are the terms of the first step, the last that is computed. All steps use the same parameters: add.",
            "bptt-weights",
            _with(total=lambda terms: terms[0]),
        ),
        Mistake(
            "left out the first step's term of dW_h",
            "The first step multiplies W_h by h_0, which is not zero here. All other gradients are right.",
            "bptt-weights",
            _with(total_h=lambda terms: terms[1:].sum(axis=0)),
        ),
        Mistake(
            "stopped one step early",
            "The first step is missing in all three parameters, and your dh_0 is what arrives at the hidden values "
            "of that step.",
            "bptt-weights",
            _with(stop=1),
        ),
        Mistake(
            "took the slope of tanh at the pre-activation",
            "1 - z^2 is no slope; hs already holds the outputs of tanh, in which the slope is 1 - h^2.",
            "bptt-delta",
            _with(slope=lambda h, previous: 1 - np.arctanh(h) ** 2),
        ),
        Mistake(
            "applied tanh to the hidden values once more",
            "hs holds outputs of tanh, in which the slope is 1 - h^2; yours is 1 - tanh(h)^2, which is too large everywhere.",
            "bptt-delta",
            _with(slope=lambda h, previous: 1 - np.tanh(h) ** 2),
        ),
        Mistake(
            "forgot the slope of tanh",
            "The error passes every step as if the units were linear.",
            "bptt-delta",
            _with(slope=lambda h, previous: 1),
        ),
        Mistake(
            "multiplied by h^(t) where h^(t-1) belongs",
            "W_h multiplied the hidden values of the step *before*, so they belong in dW_h. The other gradients are right.",
            "bptt-weights",
            _with(before=lambda hs: hs[1:]),
        ),
        Mistake(
            "forgot the errors of later steps",
            "Every step learns from its own output only: nothing is learned about what must be remembered.",
            "bptt-hidden",
            _with(into=lambda dh_out, dh, slope: dh_out * slope),
        ),
        Mistake(
            "used only the error of the last step",
            "Every step has an output, and its error enters there, also on the way.",
            "bptt-hidden",
            _with(errors=_last_only),
        ),
        Mistake(
            "added the error from later steps behind tanh",
            "It arrives at h, as the step's own error does, and has to pass the slope of tanh with it.",
            "bptt-delta",
            _with(into=lambda dh_out, dh, slope: dh_out * slope + dh),
        ),
        Mistake(
            "averaged over the steps instead of summing",
            "The gradients of all three parameters are T times too small: shared parameters receive the *sum* of their terms.",
            "bptt-weights",
            _with(total=lambda terms: terms.mean(axis=0)),
        ),
        Mistake(
            "transposed W_h on the way back",
            "Forward it is h @ W_h.T, so back it is dz @ W_h; W_h is square, and the shape does not tell.",
            "bptt-hidden",
            _with(back=lambda dz, W_h, dh: dz @ W_h.T),
        ),
        Mistake(
            "kept adding to the error that goes back",
            "dz @ W_h already contains all that comes from later steps: it replaces the old dh, and is not added to it.",
            "bptt-hidden",
            _with(back=lambda dz, W_h, dh: dh + dz @ W_h),
        ),
        Mistake(
            "took the slope one step too early",
            "hs has one entry more than xs: step t leads from hs[t] to hs[t + 1], and tanh ended in hs[t + 1].",
            "bptt-delta",
            _with(slope=lambda h, previous: 1 - previous**2),
        ),
        Mistake(
            "multiplied by the hidden values of two steps before",
            "hs begins with the initial values: step t started from hs[t], not from hs[t - 1]. Only dW_h is affected.",
            "bptt-weights",
            _with(before=lambda hs: np.concatenate([hs[-1:], hs[:-2]])),
        ),
        Mistake(
            "averaged over the batch",
            "The mean of the loss is in the errors dhs already; yours divides all three parameters by B once more.",
            "bptt-weights",
            _with(weights=lambda dz, below: dz.T @ below / len(dz), bias=lambda dz: dz.mean(axis=0)),
        ),
        Mistake(
            "transposed the weight gradients",
            "A gradient has the shape of what it is the gradient of. For dW_h, which is square, the shape does not tell.",
            "bptt-weights",
            _with(weights=lambda dz, below: below.T @ dz),
        ),
        Mistake(
            "returned the gradient of the first hidden values as dh_0",
            "Between h_0 and the hidden values of the first step stand tanh and W_h: one more step back.",
            "bptt-initial",
            _with(last=lambda dh, previous: previous),
        ),
        Mistake(
            "returned zeros for dh_0",
            "The loss depends on the initial values too: what is left in dh after the last turn of the loop is dh_0.",
            "bptt-initial",
            _with(last=lambda dh, previous: 0 * dh),
        ),
        Mistake(
            "returned the dz of the first step as dh_0",
            "Between h_0 and the pre-activation of the first step stands W_h: dh_0 is that dz times W_h.",
            "bptt-initial",
            _dz_for_dh_0,
        ),
    ),
)
