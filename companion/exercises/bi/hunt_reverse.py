"""Find the bug: a backward layer that passes its gradient check."""

from typing import Any

import numpy as np

from companion.bptt import Mask, prefix_mask
from companion.exercises.exercise import Exercise, Mistake
from companion.gradcheck import numerical_gradient
from companion.tree import Array


def backward_layer(
    xs: Array, mask: Mask, z_end: Array, W_x: Array, W_h: Array, b: Array
) -> tuple[Array, tuple[Any, ...]]:
    """Inputs xs (T, B, D), Booleans mask (T, B), z_end (B, H) -> zs (T, B, H).

    z^(t) = tanh(x^(t) W_x^T + z^(t+1) W_h^T + b) from the last real step; z_end
    takes the place of z^(t+1); 0 on the padding. W_x (H, D), W_h (H, H), b (H,).
    The cache is (us, vs, mask, z_end, W_x, W_h): us (T, B, D) and vs (T, B, H) are
    xs and zs in the order of reading, each sequence reversed within its length.
    """
    steps, lengths = np.arange(len(xs))[:, None], mask.sum(axis=0)
    turn = np.where(mask, lengths - 1 - steps, steps), np.arange(xs.shape[1])
    us, vs, v = xs[turn], [], z_end
    for u, real in zip(us, mask[:, :, None]):
        v = real * np.tanh(u @ W_x.T + v @ W_h.T + b)
        vs.append(v)
    return np.stack(vs)[turn], (us, np.stack(vs), mask, z_end, W_x, W_h)


def buggy_backward(cache: tuple[Any, ...], dzs: Array) -> tuple[Array, Array, Array, Array]:
    """Cache of backward_layer, gradient dzs (T, B, H) -> dxs, dW_x, dW_h, db."""
    us, vs, mask, z_end, W_x, W_h = cache
    dvs, das, dv = dzs[::-1], np.zeros_like(vs), np.zeros_like(z_end)
    for t in range(len(vs))[::-1]:
        das[t] = mask[t][:, None] * (dvs[t] + dv) * (1 - vs[t] ** 2)
        dv = das[t] @ W_h
    before = np.concatenate([z_end[None], vs[:-1]])
    dW_x = np.einsum("tbh,tbd->hd", das, us)
    dW_h = np.einsum("tbh,tbk->hk", das, before)
    return (das @ W_x)[::-1], dW_x, dW_h, das.sum(axis=(0, 1))


def repaired_backward(cache: tuple[Any, ...], dzs: Array) -> tuple[Array, Array, Array, Array]:
    """Cache of backward_layer, gradient dzs (T, B, H) -> dxs, dW_x, dW_h, db."""
    us, vs, mask, z_end, W_x, W_h = cache
    steps, lengths = np.arange(len(us))[:, None], mask.sum(axis=0)
    turn = np.where(mask, lengths - 1 - steps, steps), np.arange(us.shape[1])
    dvs, das, dv = dzs[turn], np.zeros_like(vs), np.zeros_like(z_end)
    for t in range(len(vs))[::-1]:
        das[t] = mask[t][:, None] * (dvs[t] + dv) * (1 - vs[t] ** 2)
        dv = das[t] @ W_h
    before = np.concatenate([z_end[None], vs[:-1]])
    dW_x = np.einsum("tbh,tbd->hd", das, us)
    dW_h = np.einsum("tbh,tbk->hk", das, before)
    return (das @ W_x)[turn], dW_x, dW_h, das.sum(axis=(0, 1))


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(D: int, H: int, T: int, *lengths: int) -> tuple[Any, ...]:
        B, mask = len(lengths), prefix_mask(np.array(lengths), T)
        W_x, W_h, b = 0.5 * rng.normal(size=(H, D)), 0.7 * rng.normal(size=(H, H)), 0.5 * rng.normal(size=H)
        _, cache = backward_layer(rng.normal(size=(T, B, D)), mask, rng.normal(size=(B, H)), W_x, W_h, b)
        return cache, rng.normal(size=(T, B, H))

    return [case(4, 5, 7, 5, 6, 2), case(3, 2, 4, 4, 1), case(2, 3, 5, 3), case(4, 3, 1, 1, 1)]


def _turned(xs: Array, mask: Mask) -> Array:
    steps = np.arange(len(xs))[:, None]
    turned: Array = xs[np.where(mask, mask.sum(axis=0) - 1 - steps, steps), np.arange(xs.shape[1])]
    return turned


def _numeric(cache: tuple[Any, ...], dzs: Array) -> dict[str, Array]:
    us, vs, mask, z_end, W_x, W_h = cache
    b = (np.arctanh(vs[0]) - us[0] @ W_x.T - z_end @ W_h.T)[0]  # the same in every sequence

    def loss(**changed: Array) -> float:
        arguments = {"xs": _turned(us, mask), "W_x": W_x, "W_h": W_h, "b": b} | changed
        return float((dzs * backward_layer(mask=mask, z_end=z_end, **arguments)[0]).sum())

    return {
        "dxs": numerical_gradient(lambda x: loss(xs=x), _turned(us, mask)),
        "dW_x": numerical_gradient(lambda W: loss(W_x=W), W_x),
        "dW_h": numerical_gradient(lambda W: loss(W_h=W), W_h),
        "db": numerical_gradient(lambda b: loss(b=b), b),
    }


def _whole_array(xs: Array, mask: Mask) -> Array:
    return xs[::-1]


def _not_at_all(xs: Array, mask: Mask) -> Array:
    return xs


def _within_longest(xs: Array, mask: Mask) -> Array:
    n = mask.sum(axis=0).max()
    return np.concatenate([xs[:n][::-1], xs[n:]])


def _one_late(xs: Array, mask: Mask) -> Array:
    steps = np.arange(len(xs))[:, None]
    order = np.where(mask, np.minimum(mask.sum(axis=0) - steps, len(xs) - 1), steps)
    turned: Array = xs[order, np.arange(xs.shape[1])]
    return turned


def _with(turn_in: Any = _turned, turn_out: Any = _turned, real: Any = lambda mask: mask) -> Any:
    """The solution with other reversals of dzs on the way in and of dxs on the way out."""

    def answer(cache: tuple[Any, ...], dzs: Array) -> Any:
        us, vs, mask, z_end, W_x, W_h = cache
        dus, *rest = repaired_backward((us, vs, real(mask), z_end, W_x, W_h), _turned(turn_in(dzs, mask), real(mask)))
        return turn_out(_turned(dus, real(mask)), mask), *rest

    return answer


EXERCISE = Exercise(
    name="bi.hunt_reverse",
    kind="find the bug",
    title="Right for every batch it was tested on",
    statement="""
        The author of this layer tested it well: random weights, a random state to begin with, central differences of every
        gradient. But every sequence of that batch had seven steps. Let `check_gradients` look at two batches, as in the cell
        below: with lengths 7, 7 and 7 it is content; with lengths 7, 4 and 2 it stops at W_x, the first of W_x, W_h, b and
        xs, which it takes in this order. A tagger trained with this layer on short and long sequences does learn, only
        worse: on a small task, when the right one makes hardly a mistake, it still has a tenth to a half of the labels
        wrong. The forward pass is right; the backward pass has one bug, in two places. Hand in the corrected function.
    """,
    solution=repaired_backward,
    outputs=("dxs", "dW_x", "dW_h", "db"),
    cases=_cases,
    numeric=_numeric,
    given=(backward_layer, buggy_backward),
    hints=(
        "All four gradients are wrong for unequal lengths, and all four come from `das`. What goes into `das`, and in which "
        "order of steps?",
        "Follow a sequence of two steps in an array of seven: in which rows of `us` does it stand, and in which rows of "
        "`dzs[::-1]` does its gradient stand?",
        "Reversing must leave the padding in its place, on the way in (`dvs`) and on the way out (`dxs`): build the "
        "index `turn` "
        "from the mask as the forward pass does, and write `dzs[turn]` and `(das @ W_x)[turn]`.",
    ),
    mistakes=(
        Mistake(
            "handed in the bug unchanged",
            "dzs[::-1] reversed the padding too: a short sequence receives as its gradient what belongs to its padding.",
            "reverse",
            buggy_backward,
        ),
        Mistake(
            "repaired the way in only",
            "The gradients of the parameters are right now; dxs still has a short sequence's gradients on its padding, and a "
            "layer below would learn from them.",
            "bi-gradients",
            _with(turn_out=_whole_array),
        ),
        Mistake(
            "repaired the way out only",
            "dxs is in its place again, but computed from a dzs whose padding comes first.",
            "bi-gradients",
            _with(turn_in=_whole_array),
        ),
        Mistake(
            "did not reverse the gradient on the way in",
            "das runs in the order of reading; its first row needs the gradient of each last real step.",
            "bi-gradients",
            _with(turn_in=_not_at_all),
        ),
        Mistake(
            "did not reverse dxs on the way out",
            "The gradients of the parameters are right; dxs is still in the order of reading, last step first.",
            "bi-gradients",
            _with(turn_out=_not_at_all),
        ),
        Mistake(
            "reversed nothing",
            "das runs in the order of reading, dzs and dxs in the order of time; without a reversal they do not fit, not even "
            "for equal lengths.",
            "bi-gradients",
            _with(turn_in=_not_at_all, turn_out=_not_at_all),
        ),
        Mistake(
            "reversed within the length of the longest sequence",
            "Only the longest comes out right; the padding of the shorter ones still comes first.",
            "reverse",
            _with(turn_in=_within_longest, turn_out=_within_longest),
        ),
        Mistake(
            "put the mask over the array turned round",
            "That clears what had landed on the padding, but does not bring it back to where it belongs.",
            "reverse",
            _with(turn_in=_whole_array, turn_out=lambda xs, mask: xs[::-1] * mask[:, :, None]),
        ),
        Mistake(
            "are off by one step",
            "Counted from 0, step t of a sequence of n steps stands at n - 1 - t in the order of reading, not at n - t.",
            "reverse",
            _with(turn_in=_one_late, turn_out=_one_late),
        ),
    ),
)
