"""Extend: real-time recurrent learning, the gradient that needs no way back."""

from functools import partial
from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.gradcheck import numerical_gradient
from companion.tree import Array


def rtrl_step(h_prev: Array, h: Array, W_h: Array, S_prev: Array) -> Array:
    """Hidden values h_prev and h (H,) around a step, W_h (H, H) -> S (H, H, H).

    S[k, i, j] is the total derivative of h[k] by W_h[i, j], S_prev that of h_prev.
    """
    H = len(h)
    through_memory = np.einsum("kl,lij->kij", W_h, S_prev)
    immediate = np.eye(H)[:, :, None] * h_prev
    return np.asarray((1 - h**2)[:, None, None] * (through_memory + immediate))


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(H: int) -> tuple[Any, ...]:
        h_prev, W_h = np.tanh(rng.normal(size=H)), rng.normal(size=(H, H))
        return h_prev, np.tanh(rng.normal(size=H) + W_h @ h_prev), W_h, rng.normal(size=(H, H, H))

    return [case(4), case(3), case(1)]


def _numeric(h_prev: Array, h: Array, W_h: Array, S_prev: Array) -> dict[str, Array]:
    def after(W: Array) -> Array:
        """The hidden values after the step, when W was also in use before it."""
        before = h_prev + (S_prev * (W - W_h)).sum(axis=(1, 2))
        return np.asarray(np.tanh(np.arctanh(h) + W @ before - W_h @ h_prev))

    units = np.eye(len(h))
    return {"S": np.stack([numerical_gradient(partial(_entry, after, unit), W_h) for unit in units])}


def _entry(f: Any, unit: Array, W: Array) -> float:
    return float(unit @ f(W))


def _with(
    slope: Any = lambda h: 1 - h**2,
    carried: Any = lambda W_h, S: np.einsum("kl,lij->kij", W_h, S),
    direct: Any = lambda h_prev, h: np.einsum("ki,j->kij", np.eye(len(h)), h_prev),
    join: Any = lambda slope, carried, direct: slope * (carried + direct),
) -> Any:
    """The solution with one part replaced."""

    def answer(h_prev: Array, h: Array, W_h: Array, S_prev: Array) -> Any:
        return join(np.reshape(slope(h), (-1, 1, 1)), carried(W_h, S_prev), direct(h_prev, h))

    return answer


EXERCISE = Exercise(
    name="rnn.rtrl_step",
    kind="extend",
    title="Learning in real time",
    statement="""
        Backpropagation through time has to wait for the end of a sequence and to remember all of it. *Real-time recurrent
        learning* carries the derivatives forward instead, beside the hidden values. For one sequence
        $h^{(t)} = \\tanh(W_h h^{(t-1)} + W_x x^{(t)} + b)$, with columns: from $S^{(t-1)}$, the total derivatives
        of all hidden values by
        all recurrent weights, compute $S^{(t)}$. ($x^{(t)}$ and $b$ are not needed: what they did is in `h`.)
    """,
    solution=rtrl_step,
    outputs=("S",),
    cases=_cases,
    numeric=_numeric,
    hints=(
        "$W_h$ acts on $h^{(t)}$ in two ways: directly at step $t$, and through $h^{(t-1)}$, which depends on it "
        "too. The total "
        "derivative is the sum, and tanh stands after both.",
        "Direct: weight $(i, j)$ brings $h_j^{(t-1)}$ to unit $i$ and to no other. Through the memory: unit $k$ hears unit $l$ "
        "with the weight $w_{kl}$, and $h_l^{(t-1)}$ has the derivatives $S^{(t-1)}_{lij}$.",
        "$S^{(t)}_{kij} = (1 - (h_k^{(t)})^2) \\left( \\sum_l w_{kl} S^{(t-1)}_{lij} + [k = i]\\, h_j^{(t-1)} "
        "\\right)$. The sum is "
        '`np.einsum("kl,lij->kij", W_h, S_prev)`, and `np.eye(H)[:, :, None] * h_prev` is the rest.',
    ),
    mistakes=(
        Mistake(
            "forgot what comes through the memory",
            "Only the immediate derivatives are left, as if h_prev did not depend on the weights: S_prev plays no part.",
            "rtrl",
            _with(carried=lambda W_h, S: 0 * S),
        ),
        Mistake(
            "forgot the immediate derivatives",
            "S only passes on what it was; begun at zero, it would stay zero for ever.",
            "rtrl",
            _with(direct=lambda h_prev, h: 0),
        ),
        Mistake(
            "added S_prev without the Jacobian of the step",
            "What came before reaches h only through W_h and tanh.",
            "rtrl",
            _with(carried=lambda W_h, S: S, join=lambda slope, carried, direct: carried + slope * direct),
        ),
        Mistake(
            "forgot W_h before S_prev",
            "Unit k hears every unit l of the step before, each with its weight: a sum over l, not unit k's own row alone.",
            "rtrl",
            _with(carried=lambda W_h, S: S),
        ),
        Mistake(
            "forgot the slope of tanh",
            "Both parts enter the pre-activation, and tanh stands between it and h.",
            "rtrl",
            _with(slope=lambda h: np.ones_like(h)),
        ),
        Mistake(
            "applied the slope of tanh to the immediate part only",
            "What comes through the memory enters the pre-activation as well and has to pass tanh.",
            "rtrl",
            _with(join=lambda slope, carried, direct: carried + slope * direct),
        ),
        Mistake(
            "applied the slope of tanh to the part through the memory only",
            "The immediate part enters the pre-activation as well and has to pass tanh.",
            "rtrl",
            _with(join=lambda slope, carried, direct: slope * carried + direct),
        ),
        Mistake(
            "took the slope of tanh at the pre-activation",
            "1 - z^2 is no slope; h is the output of tanh, in which the slope is 1 - h^2.",
            "rtrl",
            _with(slope=lambda h: 1 - np.arctanh(h) ** 2),
        ),
        Mistake(
            "took the slope of the step before",
            "1 - h_prev^2 is the slope that S_prev has in it already; this step's tanh ended in h.",
            "rtrl",
            lambda h_prev, h, W_h, S_prev: (
                (1 - h_prev**2)[:, None, None] / (1 - h**2)[:, None, None] * rtrl_step(h_prev, h, W_h, S_prev)
            ),
        ),
        Mistake(
            "multiplied the slopes along the wrong axis",
            "Without its two new axes, 1 - h^2 runs along j, the last axis of S; it belongs to unit k, along the first.",
            "rtrl",
            lambda h_prev, h, W_h, S_prev: (1 - h**2) / (1 - h**2)[:, None, None] * rtrl_step(h_prev, h, W_h, S_prev),
        ),
        Mistake(
            "multiplied S_prev by W_h from the right",
            "S_prev @ W_h sums over the last axis of S_prev, the weights' columns; the right sum runs over the "
            "first, the units. "
            "All axes have the length H, so that the shape does not tell.",
            "rtrl",
            _with(carried=lambda W_h, S: S @ W_h),
        ),
        Mistake(
            "used the new hidden values in the immediate part",
            "W_h multiplies the hidden values from *before* the step.",
            "rtrl",
            _with(direct=lambda h_prev, h: np.einsum("ki,j->kij", np.eye(len(h)), h)),
        ),
        Mistake(
            "gave the immediate part to every unit",
            "Weight (i, j) leads to unit i alone: for k other than i its immediate derivative is zero.",
            "rtrl",
            _with(direct=lambda h_prev, h: h_prev),
        ),
        Mistake(
            "confused the two ends of a weight",
            "W_h[i, j] leads from unit j to unit i: it brings h_prev[j] to unit i; yours brings h_prev[i] to unit j.",
            "rtrl",
            _with(direct=lambda h_prev, h: np.einsum("kj,i->kij", np.eye(len(h)), h_prev)),
        ),
        Mistake(
            "transposed W_h",
            "Unit k hears unit l with the weight W_h[k, l]: sum over the second index of W_h.",
            "rtrl",
            _with(carried=lambda W_h, S: np.einsum("lk,lij->kij", W_h, S)),
        ),
        Mistake(
            "summed over the wrong axis of S_prev",
            "W_h @ S_prev sums over the middle axis, the weights' rows. The sum runs over its first, the hidden units. "
            "All axes have the length H, so that the shape does not tell.",
            "rtrl",
            _with(carried=lambda W_h, S: W_h @ S),
        ),
    ),
)
