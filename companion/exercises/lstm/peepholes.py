"""Extend: peepholes, forward and back."""

from collections.abc import Callable
from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.gradcheck import numerical_gradient
from companion.ops import sigmoid
from companion.tree import Array


def peepholes(z: Array, s_prev: Array, p: Array, dh: Array, ds_next: Array) -> tuple[Array, Array, Array, Array, Array]:
    """Blocks z (B, 4H), p (3, H), others (B, H) -> h, s, dz, ds_prev, dp.

    z: what x and h' give to i, f, g, o; p: peephole weights of i, f, o;
    dh: all that arrives at h; ds_next: what the next step sends to s.
    """
    z_i, z_f, z_g, z_o = np.split(z, 4, axis=1)
    i = 1 / (1 + np.exp(-z_i - s_prev * p[0]))
    f = 1 / (1 + np.exp(-z_f - s_prev * p[1]))
    g = np.tanh(z_g)
    s = g * i + s_prev * f
    o = 1 / (1 + np.exp(-z_o - s * p[2]))
    h = np.tanh(s) * o
    dz_o = dh * np.tanh(s) * o * (1 - o)
    ds = ds_next + dh * o * (1 - np.tanh(s) ** 2) + dz_o * p[2]
    dz_i = ds * g * i * (1 - i)
    dz_f = ds * s_prev * f * (1 - f)
    dz_g = ds * i * (1 - g**2)
    ds_prev = ds * f + dz_i * p[0] + dz_f * p[1]
    dp = np.stack([(dz_i * s_prev).sum(0), (dz_f * s_prev).sum(0), (dz_o * s).sum(0)])
    return h, s, np.concatenate([dz_i, dz_f, dz_g, dz_o], axis=1), ds_prev, dp


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(B: int, H: int) -> tuple[Any, ...]:
        s_prev, dh, ds_next = rng.normal(size=(3, B, H))
        return rng.normal(size=(B, 4 * H)), s_prev, rng.normal(size=(3, H)), dh, ds_next

    return [case(3, 5), case(1, 4), case(6, 2)]


def _numeric(z: Array, s_prev: Array, p: Array, dh: Array, ds_next: Array) -> dict[str, Array]:
    def loss(z: Array, s_prev: Array, p: Array) -> float:
        h, s, *_ = peepholes(z, s_prev, p, dh, ds_next)
        return float((dh * h + ds_next * s).sum())

    return {
        "dz": numerical_gradient(lambda z: loss(z, s_prev, p), z),
        "ds_prev": numerical_gradient(lambda s_prev: loss(z, s_prev, p), s_prev),
        "dp": numerical_gradient(lambda p: loss(z, s_prev, p), p),
    }


def _with(
    weights: Callable[[Array], Array] = lambda p: p,
    seen: Callable[..., Array] = lambda s, s_prev: s,  # by the output gate
    to_s: Callable[..., Array] = lambda dz_o, do, p_o, s: dz_o * p_o,
    back: Callable[..., Array] = lambda dz_i, dz_f, dz_o, p: dz_i * p[0] + dz_f * p[1],
    dp_o: Callable[..., Array] = lambda dz_o, s, s_prev: dz_o * s,
    slope: Callable[[Array], Any] = lambda y: y * (1 - y),  # in dp
    through_h: float = 1.0,
    over_batch: Callable[[Array], Array] = lambda a: a.sum(axis=0),
) -> Any:
    """The solution with one part replaced."""

    def answer(z: Array, s_prev: Array, p: Array, dh: Array, ds_next: Array) -> tuple[Array, ...]:
        p = weights(p)
        z_i, z_f, z_g, z_o = np.split(z, 4, axis=1)
        i, f, g = sigmoid(z_i + s_prev * p[0]), sigmoid(z_f + s_prev * p[1]), np.tanh(z_g)
        s = g * i + s_prev * f
        o = sigmoid(z_o + seen(s, s_prev) * p[2])
        do = dh * np.tanh(s)
        dz_o = do * o * (1 - o)
        ds = ds_next + through_h * dh * o * (1 - np.tanh(s) ** 2) + to_s(dz_o, do, p[2], s)
        dz_i, dz_f, dz_g = ds * g * i * (1 - i), ds * s_prev * f * (1 - f), ds * i * (1 - g**2)
        shares = [
            ds * g * slope(i) * s_prev,
            ds * s_prev * slope(f) * s_prev,
            dp_o(do * slope(o), s, s_prev),
        ]
        dz = np.concatenate([dz_i, dz_f, dz_g, dz_o], axis=1)
        dp = np.stack([over_batch(share) for share in shares])
        return np.tanh(s) * o, s, dz, ds * f + back(dz_i, dz_f, dz_o, p), dp

    return answer


def _new_state_in_dp(z: Array, s_prev: Array, p: Array, dh: Array, ds_next: Array) -> tuple[Array, ...]:
    h, s, dz, ds_prev, dp = peepholes(z, s_prev, p, dh, ds_next)
    dz_i, dz_f = np.split(dz, 4, axis=1)[:2]
    return h, s, dz, ds_prev, np.stack([(dz_i * s).sum(axis=0), (dz_f * s).sum(axis=0), dp[2]])


def _g_and_o_exchanged(z: Array, s_prev: Array, p: Array, dh: Array, ds_next: Array) -> tuple[Array, ...]:
    h, s, dz, ds_prev, dp = peepholes(z, s_prev, p, dh, ds_next)
    dz_i, dz_f, dz_g, dz_o = np.split(dz, 4, axis=1)
    return h, s, np.concatenate([dz_i, dz_f, dz_o, dz_g], axis=1), ds_prev, dp


EXERCISE = Exercise(
    name="lstm.peepholes",
    kind="extend",
    title="Gates that look into the cell",
    statement="""
        Give the LSTM peepholes: each unit's gates also see its own internal state, with one weight each. Input and forget
        gate see the state before the step; the output gate comes later, and sees the new one. Compute the step and its
        backward pass. On how many paths does the new state reach the loss now, and on how many the old one?
    """,
    solution=peepholes,
    outputs=("h", "s", "dz", "ds_prev", "dp"),
    cases=_cases,
    numeric=_numeric,
    hints=(
        "Add `s_prev * p[0]` to z_i and `s_prev * p[1]` to z_f. Only when s is there can the output gate be computed, with "
        "`s * p[2]` added to z_o.",
        "s reaches the loss through the next step, through tanh, and through the output gate: compute dz_o first. s_prev "
        "reaches s through the forget gate's product, and through the two gates that saw it.",
        "`ds = ds_next + dh * o * (1 - np.tanh(s)**2) + dz_o * p[2]`, then `ds_prev = ds * f + dz_i * p[0] + dz_f * p[1]`; "
        "the rows of dp are sums over the batch of dz_i s_prev, dz_f s_prev and dz_o s.",
    ),
    mistakes=(
        Mistake(
            "let the output gate see the old internal state",
            "It comes after the new state and looks at that: it can let out what has only just come in.",
            "peepholes",
            _with(
                seen=lambda s, s_prev: s_prev,
                to_s=lambda dz_o, do, p_o, s: 0 * dz_o,
                back=lambda dz_i, dz_f, dz_o, p: dz_i * p[0] + dz_f * p[1] + dz_o * p[2],
                dp_o=lambda dz_o, s, s_prev: dz_o * s_prev,
            ),
        ),
        Mistake(
            "let the output gate see the old internal state, and gave none of that back",
            "It comes after the new state and looks at that, so that the new state gets a gradient from it, dz_o p_o.",
            "peepholes",
            _with(
                seen=lambda s, s_prev: s_prev,
                to_s=lambda dz_o, do, p_o, s: 0 * dz_o,
                dp_o=lambda dz_o, s, s_prev: dz_o * s_prev,
            ),
        ),
        Mistake(
            "let the output gate see tanh(s)",
            "A peephole shows the internal state itself, before tanh.",
            "peepholes",
            _with(
                seen=lambda s, s_prev: np.tanh(s),
                to_s=lambda dz_o, do, p_o, s: dz_o * p_o * (1 - np.tanh(s) ** 2),
                dp_o=lambda dz_o, s, s_prev: dz_o * np.tanh(s),
            ),
        ),
        Mistake(
            "left the peepholes out",
            "This is the LSTM without them: the internal state itself decides nothing.",
            "peepholes",
            _with(weights=lambda p: 0 * p),
        ),
        Mistake(
            "shared one peephole weight between the three gates",
            "Each gate has a weight of its own for each unit: i, f and o are the rows of p.",
            "peepholes",
            _with(weights=lambda p: np.stack([p[0]] * 3)),
        ),
        Mistake(
            "took the rows of p in the order i, o, f",
            "p has the order of the gates among the blocks: i, f, o.",
            "peepholes",
            _with(weights=lambda p: p[[0, 2, 1]]),
        ),
        Mistake(
            "took the rows of p in the order f, i, o",
            "p has the order of the gates among the blocks: i, f, o; the first row belongs to i.",
            "peepholes",
            _with(weights=lambda p: p[[1, 0, 2]]),
        ),
        Mistake(
            "forgot the path through the output gate in ds",
            "h and s are right; but the output gate saw s, and so dz_o p_o is the third part of its gradient.",
            "peepholes-back",
            _with(to_s=lambda dz_o, do, p_o, s: 0 * dz_o),
        ),
        Mistake(
            "forgot the slope of the output gate on its peephole",
            "What goes back through a peephole is dz_o p_o: the gradient before the gate, with its factor o (1 - o).",
            "peepholes-back",
            _with(to_s=lambda dz_o, do, p_o, s: do * p_o),
        ),
        Mistake(
            "forgot the path through h in ds",
            "The new state still reaches the loss as tanh(s) o, as it does without peepholes.",
            "lstm-back-state",
            _with(through_h=0.0),
        ),
        Mistake(
            "sent the gradient of the output gate's peephole to the old state",
            "The output gate saw the new internal state: dz_o p_o belongs to ds.",
            "peepholes-back",
            _with(
                to_s=lambda dz_o, do, p_o, s: 0 * dz_o,
                back=lambda dz_i, dz_f, dz_o, p: dz_i * p[0] + dz_f * p[1] + dz_o * p[2],
            ),
        ),
        Mistake(
            "forgot the peepholes of input and forget gate in ds_prev",
            "Only ds_prev is wrong: both gates saw the old state, and dz_i p_i and dz_f p_f go back to it.",
            "peepholes-back",
            _with(back=lambda dz_i, dz_f, dz_o, p: 0 * dz_i),
        ),
        Mistake(
            "forgot the peephole of the input gate in ds_prev",
            "Only ds_prev is wrong: the input gate saw the old state as the forget gate did.",
            "peepholes-back",
            _with(back=lambda dz_i, dz_f, dz_o, p: dz_f * p[1]),
        ),
        Mistake(
            "forgot the peephole of the forget gate in ds_prev",
            "Only ds_prev is wrong: the forget gate multiplied the old state *and* saw it, which are two paths.",
            "peepholes-back",
            _with(back=lambda dz_i, dz_f, dz_o, p: dz_i * p[0]),
        ),
        Mistake(
            "used the old internal state in all rows of dp",
            "Only the last row of dp is wrong: p_o multiplied the new state.",
            "peepholes-back",
            _with(dp_o=lambda dz_o, s, s_prev: dz_o * s_prev),
        ),
        Mistake(
            "used the new internal state in all rows of dp",
            "The first two rows of dp are wrong: p_i and p_f multiplied the state before the step.",
            "peepholes-back",
            _new_state_in_dp,
        ),
        Mistake(
            "averaged dp over the batch",
            "A peephole weight acts on every example, so its gradients add up; where the mean is wanted, it is in dh already.",
            "peepholes-back",
            _with(over_batch=lambda a: a.mean(axis=0)),
        ),
        Mistake(
            "forgot the slopes of the gates in dp",
            "Only dp is wrong: its rows come from dz_i, dz_f and dz_o, the gradients before the logistic functions.",
            "peepholes-back",
            _with(slope=lambda y: 1.0),
        ),
        Mistake(
            "exchanged the blocks of g and o in dz",
            "Only dz is wrong: its blocks have the order of those in z, which is i, f, g, o.",
            "lstm-gates",
            _g_and_o_exchanged,
        ),
    ),
)
