"""Derive: back through the gates of all steps."""

from collections.abc import Callable
from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.gradcheck import numerical_gradient
from companion.ops import sigmoid, softmax
from companion.tree import Array


def gated_weightings_backward(w_c: Array, g: Array, start: Array, dw: Array) -> tuple[Array, Array, Array]:
    """Contents w_c (T, K, N), gates g (T, K), start (K, N) -> dw_c, dg, dstart.

    dw (T, K, N): what reads and writes of each step send to its weighting.
    """
    prev, now = np.zeros_like(w_c), start
    for t in range(len(g)):
        prev[t] = now
        now = g[t, :, None] * w_c[t] + (1 - g[t, :, None]) * now
    dw_c, dg, carried = np.zeros_like(w_c), np.zeros_like(g), np.zeros_like(start)
    for t in reversed(range(len(g))):
        total = dw[t] + carried
        dw_c[t] = g[t, :, None] * total
        dg[t] = (total * (w_c[t] - prev[t])).sum(axis=1)
        carried = (1 - g[t, :, None]) * total
    return dw_c, dg, carried


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(T: int, K: int, N: int) -> tuple[Any, ...]:
        start = softmax(rng.normal(size=(K, N)))
        w_c, g = softmax(rng.normal(size=(T, K, N))), sigmoid(rng.normal(size=(T, K)))
        return w_c, g, start, rng.normal(size=(T, K, N))

    return [case(4, 3, 5), case(1, 2, 3), case(6, 1, 4)]


def _before(w_c: Array, g: Array, start: Array) -> Array:
    """The weightings before each step, and the last one: (T + 1, K, N)."""
    w = [start]
    for t in range(len(g)):
        w.append(g[t, :, None] * w_c[t] + (1 - g[t, :, None]) * w[-1])
    return np.stack(w)


def _numeric(w_c: Array, g: Array, start: Array, dw: Array) -> dict[str, Array]:
    def loss(w_c: Array, g: Array, start: Array) -> float:
        return float((dw * _before(w_c, g, start)[1:]).sum())

    return {
        "dw_c": numerical_gradient(lambda w_c: loss(w_c, g, start), w_c),
        "dg": numerical_gradient(lambda g: loss(w_c, g, start), g),
        "dstart": numerical_gradient(lambda start: loss(w_c, g, start), start),
    }


def _with(
    arriving: Callable[[Array, Array], Array] = lambda dw, carried: dw + carried,
    dcontent: Callable[..., Array] = lambda total, g, dw: g * total,
    dgate: Callable[..., Array] = lambda total, w_c, prev, g, now, start: (total * (w_c - prev)).sum(axis=1),
    back: Callable[..., Array] = lambda total, g, earlier, dw: (1 - g) * total,
    dstart: Callable[..., Array] = lambda carried, total: carried,
) -> Any:
    """The solution with one part replaced."""

    def answer(w_c: Array, g: Array, start: Array, dw: Array) -> tuple[Array, Array, Array]:
        w = _before(w_c, g, start)
        dw_c, dg, carried, total = np.zeros_like(w_c), np.zeros_like(g), np.zeros_like(start), dw[-1]
        for t in reversed(range(len(g))):
            gate = g[t, :, None]
            total = arriving(dw[t], carried)
            dw_c[t] = dcontent(total, gate, dw[t])
            dg[t] = dgate(total, w_c[t], w[t], gate, w[t + 1], start)
            carried = back(total, gate, g[max(t - 1, 0), :, None], dw[t])
        return dw_c, dg, dstart(carried, total)

    return answer


EXERCISE = Exercise(
    name="ntm.interpolate_backward",
    kind="derive",
    title="Back through the gates of all steps",
    statement="""
        The heads of the last exercise, w(t) = g(t) w_c(t) + (1 - g(t)) w(t - 1), on the way back. Each weighting reaches the
        loss on two paths: it was read and written with, from where dw arrives, and the next step was mixed from it.
    """,
    solution=gated_weightings_backward,
    outputs=("dw_c", "dg", "dstart"),
    cases=_cases,
    numeric=_numeric,
    hints=(
        "Run the steps forward first and keep the weighting *before* each. Then go from the last step to the first, and "
        "carry along what the next step sends back.",
        "At each step add what was carried to dw[t]. The sum goes three ways: g of it to the content, 1 - g of it to the "
        "weighting before, and to the gate its product with w_c - w', summed over the rows.",
        "In the loop backwards: `total = dw[t] + carried`, `dw_c[t] = g[t, :, None] * total`, "
        "`dg[t] = (total * (w_c[t] - prev[t])).sum(axis=1)`, `carried = (1 - g[t, :, None]) * total`; at the end it is "
        "dstart.",
    ),
    mistakes=(
        Mistake(
            "dropped what the next step sends back",
            "Every step learns only from its own reads and writes. What a head found at one step would never be credited "
            "for a read some steps later.",
            "ntm-back-interpolate",
            _with(arriving=lambda dw, carried: dw),
        ),
        Mistake(
            "dropped what reads and writes of each step but the last send",
            "Every dw[t] has to be added when its step comes.",
            "ntm-back-interpolate",
            _with(arriving=lambda dw, carried: carried if carried.any() else dw),
        ),
        Mistake(
            "carried back one step only",
            "What goes on to the step before is a share of the *total*, in which the later steps are already.",
            "ntm-back-interpolate",
            _with(back=lambda total, g, earlier, dw: (1 - g) * dw),
        ),
        Mistake(
            "carried the gradient back without its factor 1 - g",
            "Where the gate is open the old weighting has no influence, and receives no gradient.",
            "ntm-back-interpolate",
            _with(back=lambda total, g, earlier, dw: total),
        ),
        Mistake(
            "used the gate of the step that receives what is carried back",
            "The step that sends it mixed the weighting in, with its own 1 - g(t); the gate of step t - 1 came before that.",
            "ntm-back-interpolate",
            _with(back=lambda total, g, earlier, dw: (1 - earlier) * total),
        ),
        Mistake(
            "carried the share g back, and gave 1 - g to the content",
            "The content came in with g, the weighting before with 1 - g; they get their gradients with the same factors.",
            "ntm-back-interpolate",
            _with(dcontent=lambda total, g, dw: (1 - g) * total, back=lambda total, g, earlier, dw: g * total),
        ),
        Mistake(
            "gave the content the whole gradient",
            "Only dw_c is wrong. The content came in with the share g, and so does its gradient.",
            "ntm-back-interpolate",
            _with(dcontent=lambda total, g, dw: total),
        ),
        Mistake(
            "gave the content the gradient of its own step only",
            "Only dw_c is wrong. Through the later weightings the content of this step reaches their reads too.",
            "ntm-back-interpolate",
            _with(dcontent=lambda total, g, dw: g * dw),
        ),
        Mistake(
            "compared the content with the new weighting in dg",
            "Only dg is wrong. The gate chose between w_c and the weighting *before* the step; the new one lies in between.",
            "ntm-back-interpolate",
            _with(dgate=lambda total, w_c, prev, g, now, start: (total * (w_c - now)).sum(axis=1)),
        ),
        Mistake(
            "compared the content with start in dg",
            "Only dg is wrong. The weighting before a step is start at the first step only.",
            "ntm-back-interpolate",
            _with(dgate=lambda total, w_c, prev, g, now, start: (total * (w_c - start)).sum(axis=1)),
        ),
        Mistake(
            "forgot in dg what the gate takes away from the weighting before",
            "Only dg is wrong. The gate stands in the equation twice, as g and as 1 - g.",
            "ntm-back-interpolate",
            _with(dgate=lambda total, w_c, prev, g, now, start: (total * w_c).sum(axis=1)),
        ),
        Mistake(
            "have the sign of dg the wrong way round",
            "Only dg is wrong. More gate is more content and less of the weighting before: w_c - w'.",
            "ntm-back-interpolate",
            _with(dgate=lambda total, w_c, prev, g, now, start: (total * (prev - w_c)).sum(axis=1)),
        ),
        Mistake(
            "averaged dg over the rows",
            "Only dg is wrong. One gate acts on all N rows, so that their shares add up.",
            "ntm-back-interpolate",
            _with(dgate=lambda total, w_c, prev, g, now, start: (total * (w_c - prev)).mean(axis=1)),
        ),
        Mistake(
            "went on through the logistic function in dg",
            "Only dg is wrong. Asked is the gradient of the gate itself, without the slope g (1 - g).",
            "ntm-back-interpolate",
            _with(
                dgate=lambda total, w_c, prev, g, now, start: (g * (1 - g) * total * (w_c - prev)).sum(axis=1),
            ),
        ),
        Mistake(
            "gave start what arrives at the first weighting",
            "Only dstart is wrong. Start went into the first weighting with the share 1 - g.",
            "ntm-back-interpolate",
            _with(dstart=lambda carried, total: total),
        ),
    ),
)
