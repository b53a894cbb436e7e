"""Find the bug: the same index is right on the way forward and wrong on the way back."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.gradcheck import numerical_gradient
from companion.tree import Array


def elman_net(xs: Array, W_x: Array, W_h: Array, b: Array) -> tuple[Array, Any]:
    """Inputs xs (T, B, D), W_x (H, D), W_h (H, H), b (H,) -> hs (T, B, H), cache.

    The initial state is zero; the cache is (xs, hs, W_x, W_h).
    """
    hs = np.zeros((len(xs), xs.shape[1], len(b)))
    for t in range(len(xs)):
        hs[t] = np.tanh(xs[t] @ W_x.T + hs[t - 1] @ W_h.T + b)
    return hs, (xs, hs, W_x, W_h)


def buggy_backward(cache: Any, dhs: Array) -> tuple[Array, Array, Array, Array]:
    """Cache of elman_net, gradient dhs (T, B, H) -> dxs, dW_x, dW_h, db."""
    xs, hs, W_x, W_h = cache
    dxs, dh = np.zeros_like(xs), np.zeros_like(hs[0])
    dW_x, dW_h, db = np.zeros_like(W_x), np.zeros_like(W_h), np.zeros(len(W_h))
    for t in reversed(range(len(xs))):
        dz = (dhs[t] + dh) * (1 - hs[t] ** 2)
        dW_x += dz.T @ xs[t]
        dW_h += dz.T @ hs[t - 1]
        db += dz.sum(axis=0)
        dxs[t], dh = dz @ W_x, dz @ W_h
    return dxs, dW_x, dW_h, db


def elman_net_backward(cache: Any, dhs: Array) -> tuple[Array, Array, Array, Array]:
    """Cache of elman_net, gradient dhs (T, B, H) -> dxs, dW_x, dW_h, db."""
    xs, hs, W_x, W_h = cache
    dxs, dh = np.zeros_like(xs), np.zeros_like(hs[0])
    dW_x, dW_h, db = np.zeros_like(W_x), np.zeros_like(W_h), np.zeros(len(W_h))
    for t in reversed(range(len(xs))):
        dz = (dhs[t] + dh) * (1 - hs[t] ** 2)
        dW_x += dz.T @ xs[t]
        if t > 0:  # the first step started from zero; hs[-1] is the last
            dW_h += dz.T @ hs[t - 1]
        db += dz.sum(axis=0)
        dxs[t], dh = dz @ W_x, dz @ W_h
    return dxs, dW_x, dW_h, db


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(T: int, B: int, D: int, H: int) -> tuple[Any, ...]:
        arrays = (0.7 * rng.normal(size=shape) for shape in ((T, B, D), (H, D), (H, H), (H,)))
        return elman_net(*arrays)[1], rng.normal(size=(T, B, H))

    return [case(4, 3, 2, 5), case(2, 4, 5, 3), case(7, 1, 3, 2)]


def _numeric(cache: Any, dhs: Array) -> dict[str, Array]:
    xs, hs, W_x, W_h = cache
    b = (np.arctanh(hs[0]) - xs[0] @ W_x.T)[0]  # the same in every row

    def loss(xs: Array = xs, W_x: Array = W_x, W_h: Array = W_h, b: Array = b) -> float:
        return float((dhs * elman_net(xs, W_x, W_h, b)[0]).sum())

    return {
        "dxs": numerical_gradient(lambda a: loss(xs=a), xs),
        "dW_x": numerical_gradient(lambda a: loss(W_x=a), W_x),
        "dW_h": numerical_gradient(lambda a: loss(W_h=a), W_h),
        "db": numerical_gradient(lambda a: loss(b=a), b),
    }


def _with(before: Any, first: int = 0) -> Any:
    """The solution with another partner of dz^(t) in dW_h, and steps below `first` left out of all parameters."""

    def answer(cache: Any, dhs: Array) -> Any:
        xs, hs, W_x, W_h = cache
        dh, dzs = np.zeros_like(hs[0]), np.zeros_like(hs)
        for t in reversed(range(first, len(xs))):
            dzs[t] = (dhs[t] + dh) * (1 - hs[t] ** 2)
            dh = dzs[t] @ W_h
        dW_x = sum(dz.T @ x for dz, x in zip(dzs, xs))
        return dzs @ W_x, dW_x, sum(dz.T @ h for dz, h in zip(dzs, before(hs))), dzs.sum(axis=(0, 1))

    return answer


def _shifted(hs: Array, first: Array) -> Array:
    """The hidden values each step started from, if the first started from `first`."""
    return np.concatenate([first[None], hs[:-1]])


EXERCISE = Exercise(
    name="rnn.hunt_minus_one",
    kind="find the bug",
    title="Right by luck on the way forward",
    statement="""
        With this backward pass a network of 16 units learns to recall the first of five random signs as well as it should. No
        loss curve shows the bug, yet one of the four gradients is wrong, before the first update by a tenth to a third of its
        size. The forward pass gives the right numbers. Let `check_gradients` take W_x, W_h, b and xs in this order: which does
        it let pass, and at which does it stop? Then hand in the corrected backward pass.
    """,
    solution=elman_net_backward,
    outputs=("dxs", "dW_x", "dW_h", "db"),
    cases=_cases,
    numeric=_numeric,
    given=(elman_net, buggy_backward),
    hints=(
        "Only dW_h is wrong, so dz is right, and of its partners in the products, the inputs. What about the hidden values?",
        "Which row is `hs[t - 1]` when t is 0? What does that row hold while the forward pass computes its first "
        "step, and what "
        "does it hold on the way back?",
        "`hs[-1]` is the last row: still zero at the beginning of the forward pass, and full on the way back. The first step "
        "started from zero, so it adds nothing to dW_h: `if t > 0`.",
    ),
    mistakes=(
        Mistake(
            "handed in the bug unchanged",
            "At t = 0 the index t - 1 means the last row: dW_h treats the last hidden values as if the first step "
            "had seen them.",
            "bptt-weights",
            buggy_backward,
        ),
        Mistake(
            "left the first step out of everything",
            "Stopping the loop at t = 1 repairs dW_h, but the first step has an input and a bias: dxs, dW_x and db need it.",
            "bptt-weights",
            _with(lambda hs: _shifted(hs, 0 * hs[0]), first=1),
        ),
        Mistake(
            "let each step meet its own hidden values",
            "hs[t] needs no negative index, but W_h multiplied the hidden values of the step before.",
            "bptt-weights",
            _with(lambda hs: hs),
        ),
        Mistake(
            "let the first step meet its own hidden values",
            "max(t - 1, 0) avoids the negative index, but the first step started from zero, not from hs[0].",
            "bptt-weights",
            _with(lambda hs: _shifted(hs, hs[0])),
        ),
        Mistake(
            "let each step meet the hidden values of the next",
            "The index moved the wrong way: W_h multiplied the hidden values of the step before.",
            "bptt-weights",
            _with(lambda hs: np.concatenate([hs[1:], 0 * hs[:1]])),
        ),
        Mistake(
            "left out the last term of dW_h instead of the first",
            "The wrong term is that of t = 0, where t - 1 is negative; the last step did see the hidden values before it.",
            "bptt-weights",
            _with(lambda hs: np.concatenate([hs[-1:], hs[:-2], 0 * hs[:1]])),
        ),
        Mistake(
            "dropped the first two terms of dW_h",
            "Only t = 0 has no hidden values before it: the condition is t > 0.",
            "bptt-weights",
            _with(lambda hs: np.concatenate([0 * hs[:1], 0 * hs[:1], hs[1:-1]])),
        ),
    ),
)
