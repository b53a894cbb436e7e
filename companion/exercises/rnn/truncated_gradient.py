"""Implement: truncated backpropagation through time."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.gradcheck import numerical_gradient
from companion.tree import Array


def truncated_gradient(hs: Array, dhs: Array, W_h: Array, k1: int, k2: int) -> Array:
    """Hidden values hs (T+1, B, H), output errors dhs (T, B, H) -> dW_h (H, H).

    hs[0] is the initial state, hs[t + 1] = tanh(... + hs[t] @ W_h.T); its error is
    dhs[t].
    """
    dW_h = np.zeros_like(W_h)
    for first in range(0, len(dhs), k1):
        end = min(first + k1, len(dhs))
        dh = np.zeros_like(hs[0])
        for t in reversed(range(max(0, end - k2), end)):
            own = dhs[t] if t >= first else 0
            dz = (dh + own) * (1 - hs[t + 1] ** 2)
            dW_h += dz.T @ hs[t]
            dh = dz @ W_h
    return dW_h


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(T: int, B: int, H: int, k1: int, k2: int) -> tuple[Any, ...]:
        W_h, h = 1.5 * rng.normal(size=(H, H)) / np.sqrt(H), 0.5 * rng.normal(size=(B, H))
        hs = [h]
        for _ in range(T):
            hs.append(np.tanh(0.5 * rng.normal(size=(B, H)) + hs[-1] @ W_h.T))
        return np.stack(hs), rng.normal(size=(T, B, H)), W_h, k1, k2

    return [case(7, 3, 5, 2, 4), case(8, 2, 4, 4, 4), case(6, 4, 3, 1, 3), case(5, 1, 2, 2, 9)]


def _numeric(hs: Array, dhs: Array, W_h: Array, k1: int, k2: int) -> dict[str, Array]:
    def loss(W: Array) -> float:
        total = 0.0
        for first in range(0, len(dhs), k1):
            end = min(first + k1, len(dhs))
            start = max(0, end - k2)
            h = hs[start]  # held fixed: what lies before the window is taken as given
            for t in range(start, end):
                h = np.tanh(np.arctanh(hs[t + 1]) + h @ W.T - hs[t] @ W_h.T)
                total += float((dhs[t] * h).sum()) if t >= first else 0.0
        return total

    return {"dW_h": numerical_gradient(loss, W_h)}


def _with(
    firsts: Any = lambda T, k1: range(0, T, k1),
    start: Any = lambda first, end, k1, k2: max(0, end - k2),
    counts: Any = lambda t, first, end: t >= first,
    before: Any = lambda h, t, start: h,
    total: Any = lambda terms: sum(terms),
    back: Any = lambda dz, W_h: dz @ W_h,
    slope: Any = lambda h: 1 - h**2,
    partner: Any = lambda hs, t: hs[t],
) -> Any:
    """The solution with one part replaced; `counts` says which errors a window sends back."""

    def answer(hs: Array, dhs: Array, W_h: Array, k1: int, k2: int) -> Any:
        terms = []
        for first in firsts(len(dhs), k1):
            end = min(first + k1, len(dhs))
            dh, dW_h, begin = np.zeros_like(hs[0]), np.zeros_like(W_h), start(first, end, k1, k2)
            for t in reversed(range(begin, end)):
                dz = (dh + dhs[t] * counts(t, first, end)) * slope(hs[t + 1])
                dW_h += dz.T @ before(partner(hs, t), t, begin)
                dh = back(dz, W_h)
            terms.append(dW_h)
        return total(terms)

    return answer


def _each_by_itself(hs: Array, dhs: Array, W_h: Array, k1: int, k2: int) -> Array:
    return truncated_gradient(hs, dhs, W_h, 1, k2)


EXERCISE = Exercise(
    name="rnn.truncated_gradient",
    kind="implement",
    title="Truncated backpropagation through time",
    statement="""
        A sequence of $T$ steps is too long to go back through as a whole. So after every `k1` steps, and once more at the
        end of the sequence if steps are left, the errors of the steps *since the last time* go back together through the
        most recent `k2` steps and no further ($k_2 \\ge k_1$; near the beginning there may be fewer than `k2`). The forward
        pass is not cut. Return the sum of all these contributions to $dW_h$.
    """,
    solution=truncated_gradient,
    outputs=("dW_h",),
    cases=_cases,
    numeric=_numeric,
    hints=(
        "Draw $T = 7$, $k_1 = 2$, $k_2 = 3$: which errors go back after steps 2, 4, 6 and 7, and through which steps?",
        "Two loops: over the blocks of k1 steps, and inside, from the block's last step back over k2 steps. In a step that "
        "belongs to an earlier block, no new error enters: it has been used already. What came from above still passes.",
        "With `end = min(first + k1, T)`, t runs back from `end - 1` to `max(0, end - k2)`; only for `t >= first` is dhs[t] "
        "added to dh. Otherwise it is the backward pass you know, and `hs[t]` is there also at the cut.",
    ),
    mistakes=(
        Mistake(
            "went back to the beginning every time",
            "That is full backpropagation through time: nothing is cut after k2 steps.",
            "truncated",
            _with(start=lambda first, end, k1, k2: 0),
        ),
        Mistake(
            "used the errors of earlier blocks once more",
            "Where windows overlap, each error must be sent back once: in the window that ends its own block.",
            "truncated",
            _with(counts=lambda t, first, end: True),
        ),
        Mistake(
            "lost the term of the first step of each window",
            "Only the way back is cut: that step started from hs[t], not from zero. Or else your windows are one step short.",
            "truncated",
            _with(before=lambda h, t, start: h * (t > start or t == 0)),
        ),
        Mistake(
            "went back through k1 steps instead of k2",
            "Your windows end where their block begins; they may reach k2 steps back, beyond it.",
            "truncated",
            _with(start=lambda first, end, k1, k2: first),
        ),
        Mistake(
            "went back k2 steps from the beginning of the block",
            "The window of k2 steps is counted from the block's end; yours is longer by the block.",
            "truncated",
            _with(start=lambda first, end, k1, k2: max(0, first - k2)),
        ),
        Mistake(
            "sent every error back k2 steps by itself",
            "That is k1 = 1. Here the errors of a block go together, so its earlier errors reach less far back than the last.",
            "truncated",
            _each_by_itself,
        ),
        Mistake(
            "used only the error of the last step of each block",
            "All errors since the last time are sent back, each entering at its own step.",
            "truncated",
            _with(counts=lambda t, first, end: t == end - 1),
        ),
        Mistake(
            "left out the steps after the last full block",
            "Where T is no multiple of k1, the errors of the last steps are never used.",
            "truncated",
            _with(firsts=lambda T, k1: range(0, T - T % k1, k1)),
        ),
        Mistake(
            "went one step too far back",
            "t runs over k2 steps: its last value is end - k2, not the one before.",
            "truncated",
            _with(start=lambda first, end, k1, k2: max(0, end - k2 - 1)),
        ),
        Mistake(
            "averaged over the blocks instead of summing",
            "Each error belongs to one block, so that the blocks' contributions add up to one gradient.",
            "truncated",
            _with(total=lambda terms: sum(terms) / len(terms)),
        ),
        Mistake(
            "kept the contribution of the last block only",
            "Every block adds to the gradient: initialise dW_h once, before both loops.",
            "truncated",
            _with(total=lambda terms: terms[-1]),
        ),
        Mistake(
            "transposed W_h on the way back",
            "Forward it is h @ W_h.T, so back it is dz @ W_h; W_h is square, and the shape does not tell.",
            "bptt-hidden",
            _with(back=lambda dz, W_h: dz @ W_h.T),
        ),
        Mistake(
            "went back only once every k2 steps",
            "Your windows stand side by side. Errors are sent back after every k1 steps, so that windows may overlap.",
            "truncated",
            lambda hs, dhs, W_h, k1, k2: truncated_gradient(hs, dhs, W_h, k2, k2),
        ),
        Mistake(
            "let a window begin before the first step",
            "A negative t is no error in Python: it counts from the end of the sequence. Go back to step 0 at most.",
            "truncated",
            _with(start=lambda first, end, k1, k2: end - k2),
        ),
        Mistake(
            "forgot the slope of tanh",
            "The cuts are right, but within a window every error also passes tanh.",
            "bptt-delta",
            _with(slope=lambda h: 1),
        ),
        Mistake(
            "multiplied by h^(t) where h^(t-1) belongs",
            "The cuts are right, but W_h multiplied the hidden values the step started from, hs[t].",
            "bptt-weights",
            _with(partner=lambda hs, t: hs[t + 1]),
        ),
        Mistake(
            "made every window k1 steps long instead of k2",
            "Your windows stop after k1 steps; they may reach back over k2, so that errors also travel through steps of "
            "earlier blocks.",
            "truncated",
            _with(start=lambda first, end, k1, k2: max(0, end - k1)),
        ),
    ),
)
