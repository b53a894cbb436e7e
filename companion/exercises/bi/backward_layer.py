"""Derive: backpropagation through the layer that reads from the end."""

from typing import Any

import numpy as np

from companion.bptt import Mask, prefix_mask
from companion.exercises.exercise import Exercise, Mistake
from companion.gradcheck import numerical_gradient
from companion.tree import Array


def backward_layer_gradients(
    xs: Array, zs: Array, mask: Mask, z_end: Array, dzs: Array, W_x: Array, W_h: Array
) -> tuple[Array, Array, Array, Array]:
    """Gradients dW_x, dW_h, db, dxs of a layer that reads from the end.

    z^(t) = tanh(x^(t) W_x^T + z^(t+1) W_h^T + b) on real steps, where z_end (B, H)
    takes the place of z^(t+1) at each last one; 0 on the padding. dzs is what comes
    from above, arbitrary on the padding. xs (T, B, D), zs and dzs (T, B, H),
    Booleans mask (T, B), W_x (H, D), W_h (H, H), b (H,).
    """
    dW_x, dW_h, db = np.zeros_like(W_x), np.zeros_like(W_h), np.zeros(len(W_x))
    dxs, dz_from_before = np.zeros_like(xs), np.zeros_like(z_end)
    for t in range(len(xs)):
        dz = dzs[t] + dz_from_before
        da = np.where(mask[t][:, None], dz * (1 - zs[t] ** 2), 0)
        ends = t + 1 == len(xs) or ~mask[t + 1][:, None]
        after = np.where(ends, z_end, zs[min(t + 1, len(xs) - 1)])
        dW_x += da.T @ xs[t]
        dW_h += da.T @ after
        db += da.sum(axis=0)
        dxs[t] = da @ W_x
        dz_from_before = da @ W_h
    return dW_x, dW_h, db, dxs


def _forward(xs: Array, mask: Mask, z_end: Array, W_x: Array, W_h: Array, b: Array) -> Array:
    zs, z = np.zeros((*mask.shape, len(b))), z_end
    for t in range(len(xs))[::-1]:
        z = np.where(mask[t][:, None], np.tanh(xs[t] @ W_x.T + z @ W_h.T + b), z)
        zs[t] = np.where(mask[t][:, None], z, 0)
    return zs


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    """The padding holds random numbers, in dzs too, so that it shows when it is read."""

    def case(D: int, H: int, T: int, *lengths: int) -> tuple[Any, ...]:
        B, mask = len(lengths), prefix_mask(np.array(lengths), T)
        W_x, W_h, b = 0.5 * rng.normal(size=(H, D)), 0.7 * rng.normal(size=(H, H)), 0.5 * rng.normal(size=H)
        xs, z_end, dzs = rng.normal(size=(T, B, D)), rng.normal(size=(B, H)), rng.normal(size=(T, B, H))
        return xs, _forward(xs, mask, z_end, W_x, W_h, b), mask, z_end, dzs, W_x, W_h

    return [case(4, 5, 7, 5, 7, 2), case(3, 2, 4, 4, 1), case(2, 3, 5, 3), case(4, 3, 1, 1, 1)]


def _numeric(xs: Array, zs: Array, mask: Mask, z_end: Array, dzs: Array, W_x: Array, W_h: Array) -> dict[str, Array]:
    after = zs[1, 0] if mask[1:2, 0].any() else z_end[0]
    b = np.arctanh(zs[0, 0]) - xs[0, 0] @ W_x.T - after @ W_h.T  # the same at every real step

    def loss(**changed: Array) -> float:
        arguments = {"xs": xs, "W_x": W_x, "W_h": W_h, "b": b} | changed
        return float((dzs * _forward(mask=mask, z_end=z_end, **arguments)).sum())

    return {
        "dW_x": numerical_gradient(lambda W: loss(W_x=W), W_x),
        "dW_h": numerical_gradient(lambda W: loss(W_h=W), W_h),
        "db": numerical_gradient(lambda b: loss(b=b), b),
        "dxs": numerical_gradient(lambda x: loss(xs=x), xs),
    }


def _with(
    steps: Any = lambda T: range(T),
    slope: Any = lambda z: 1 - z**2,
    real: Any = lambda mask: mask,
    after: Any = lambda zs, after: after,
    carry: Any = lambda da, W_h: da @ W_h,
    count: Any = lambda t, T, mask: 1.0,
) -> Any:
    """The solution with one part replaced; `count` is what a step's term weighs in the gradients of the parameters."""

    def answer(xs: Array, zs: Array, mask: Mask, z_end: Array, dzs: Array, W_x: Array, W_h: Array) -> Any:
        T, kept = len(xs), real(mask)[:, :, None]
        following = np.concatenate([zs[1:], z_end[None]])
        ends = np.concatenate([~mask[1:], np.ones_like(mask[:1])])[:, :, None]
        states = after(zs, np.where(ends, z_end, following))
        das, from_neighbour = np.zeros_like(zs), np.zeros_like(z_end)
        for t in steps(T):
            das[t] = kept[t] * (dzs[t] + from_neighbour) * slope(zs[t])
            from_neighbour = carry(das[t], W_h)
        counted = das * np.array([count(t, T, mask) for t in range(T)])[:, None, None]
        dW_x, dW_h = np.einsum("tbh,tbd->hd", counted, xs), np.einsum("tbh,tbk->hk", counted, states)
        return dW_x, dW_h, counted.sum(axis=(0, 1)), das @ W_x

    return answer


def _off_the_padding(xs: Array, zs: Array, mask: Mask, z_end: Array, dzs: Array, W_x: Array, W_h: Array) -> Any:
    read = _with(after=lambda zs, after: np.concatenate([zs[1:], z_end[None]]))
    return read(xs, zs, mask, z_end, dzs, W_x, W_h)


EXERCISE = Exercise(
    name="bi.backward_layer",
    kind="derive",
    title="Backpropagation that runs forward in time",
    statement="""
        The backward layer of a bidirectional network computes $z^{(t)}$ from $x^{(t)}$ and $z^{(t+1)}$, beginning at each
        sequence's last step. Derive its backward pass: which neighbour receives the error of step t, and in which order do
        you have to go through the steps? Write it without reversing any array.
    """,
    solution=backward_layer_gradients,
    outputs=("dW_x", "dW_h", "db", "dxs"),
    cases=_cases,
    numeric=_numeric,
    hints=(
        "Draw three steps with arrows from $z^{(3)}$ to $z^{(2)}$ to $z^{(1)}$. Errors travel against the arrows: from which "
        "step to which?",
        "Step 1 feeds no other step, so its error is complete at once: go from t = 1 to T. The error behind tanh, "
        "$\\mathrm{d}a^{(t)} = \\mathrm{d}z^{(t)} (1 - (z^{(t)})^2)$, sends $\\mathrm{d}a^{(t)} W_h$ to step $t + 1$.",
        "The terms of step t are `da.T @ xs[t]` for W_x, `da.T @ after` for W_h, with `after` the state of step t + 1 or, at a "
        "last real step, `z_end`; sum them over the steps. On the padding `da` is 0.",
    ),
    mistakes=(
        Mistake(
            "went through the steps from the last to the first",
            "That is right for a forward layer. Here step t feeds step t - 1, so the error goes from t - 1 to t: "
            "begin at t = 1.",
            "bi-gradients",
            _with(steps=lambda T: range(T)[::-1]),
        ),
        Mistake(
            "passed no error from step to step",
            "Each step is treated as if its output were used only above; it also feeds the step before it.",
            "bi-gradients",
            _with(carry=lambda da, W_h: 0),
        ),
        Mistake(
            "ignored the mask",
            "Arbitrary numbers of dzs on the padding come into every gradient, and dxs is not 0 on the padding.",
            "masked-step",
            _with(real=np.ones_like),
        ),
        Mistake(
            "paired the error with the state before instead of the one after",
            "W_h multiplied z^(t+1) in the forward pass; only dW_h is wrong.",
            "bi-backward",
            _with(after=lambda zs, after: np.concatenate([np.zeros_like(zs[:1]), zs[:-1]])),
        ),
        Mistake(
            "paired the error with the state of the same step",
            "W_h multiplied z^(t+1) in the forward pass, not z^(t); only dW_h is wrong.",
            "bi-backward",
            _with(after=lambda zs, after: zs),
        ),
        Mistake(
            "left out the term of z_end",
            "At each last real step W_h multiplied z_end: dW_h lacks these terms. Had z_end been 0, no test would "
            "have shown it.",
            "bi-backward",
            _with(after=lambda zs, after: np.concatenate([zs[1:], np.zeros_like(zs[:1])])),
        ),
        Mistake(
            "read the state after a short sequence off the padding",
            "Behind its last real step zs is 0, but the layer began with z_end there, whether or not padding follows.",
            "masked-step",
            _off_the_padding,
        ),
        Mistake(
            "kept the term of the last step instead of summing",
            "All steps share the parameters, so their terms add up; with = where += belongs only that of step T stays.",
            "bi-gradients",
            _with(count=lambda t, T, mask: float(t == T - 1)),
        ),
        Mistake(
            "took the mean over the steps instead of the sum",
            "The loss depends on the parameters through every step; their terms add up. dxs is right.",
            "bi-gradients",
            _with(count=lambda t, T, mask: 1 / T),
        ),
        Mistake(
            "took the mean over the batch instead of the sum",
            "A mean, if there is one, is already in dzs; the terms of the sequences add up. dxs is right.",
            "bi-gradients",
            _with(count=lambda t, T, mask: 1 / mask.shape[1]),
        ),
        Mistake(
            "forgot the slope of tanh",
            "The error passes every unit as if it were linear, and on the way through time it is not damped.",
            "bi-gradients",
            _with(slope=lambda z: 1),
        ),
        Mistake(
            "transposed W_h on the way to the next step",
            "Forward is z W_h^T, so the way back is da W_h; W_h is square, so that the shape does not tell.",
            "bi-gradients",
            _with(carry=lambda da, W_h: da @ W_h.T),
        ),
        Mistake(
            "paired the error with the state before, and put z_end before the first step",
            "z_end stands behind the last real step, and W_h multiplied the state *after* step t; only dW_h is wrong.",
            "bi-backward",
            _with(after=lambda zs, after: np.concatenate([after[-1:], zs[:-1]])),
        ),
    ),
)
