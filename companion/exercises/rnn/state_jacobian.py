"""Derive: how the last hidden values depend on the initial ones."""

from functools import partial
from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.gradcheck import numerical_gradient
from companion.tree import Array


def state_jacobian(hs: Array, W_h: Array) -> Array:
    """Hidden values hs (T, H) of steps 1 to T, W_h (H, H) -> J (H, H).

    J[i, j] is the derivative of unit i after step T by unit j before step 1.
    """
    J = np.eye(len(W_h))
    for h in hs:
        J = (1 - h**2)[:, None] * W_h @ J
    return J


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(T: int, H: int) -> tuple[Any, ...]:
        W_h, h, hs = rng.normal(size=(H, H)), rng.normal(size=H), []
        for _ in range(T):
            h = np.tanh(0.5 * rng.normal(size=H) + W_h @ h / np.sqrt(H))
            hs.append(h)
        return np.stack(hs), W_h / np.sqrt(H)

    return [case(3, 4), case(1, 5), case(6, 2)]


def _numeric(hs: Array, W_h: Array) -> dict[str, Array]:
    def last(shift: Array) -> Array:
        """The last hidden values after the initial ones were moved by `shift`, with the same inputs as before."""
        for h in hs:
            shift = np.tanh(np.arctanh(h) + W_h @ shift) - h
        return np.asarray(hs[-1] + shift)

    units, zero = np.eye(len(W_h)), np.zeros(len(W_h))
    return {"J": np.stack([numerical_gradient(partial(_entry, last, unit), zero) for unit in units])}


def _entry(f: Any, unit: Array, shift: Array) -> float:
    return float(unit @ f(shift))


def _with(
    step: Any = lambda h, W_h: np.diag(1 - h**2) @ W_h,
    join: Any = lambda J, earlier: J @ earlier,
    used: Any = lambda hs: hs,
    result: Any = lambda J: J,
) -> Any:
    """The solution with the Jacobian of one step, the way two are joined, the steps used or the result replaced."""

    def answer(hs: Array, W_h: Array) -> Any:
        J = None
        for h in used(hs):
            now = step(h, W_h)
            J = now if J is None else join(now, J)
        return result(np.eye(len(W_h)) if J is None else J)

    return answer


EXERCISE = Exercise(
    name="rnn.state_jacobian",
    kind="derive",
    title="The Jacobian over many steps",
    statement="""
        One sequence, no batch: $h^{(t)} = \\tanh(W_h h^{(t-1)} + W_x x^{(t)} + b)$, here with columns. Derive the
        Jacobian of one step,
        and from it that of all $T$ steps together, $J = \\partial h^{(T)} / \\partial h^{(0)}$, given the hidden values
        $h^{(1)} \\dots h^{(T)}$. Its size says whether gradients vanish or explode.
    """,
    solution=state_jacobian,
    outputs=("J",),
    cases=_cases,
    numeric=_numeric,
    hints=(
        "For one step: $\\partial h_i^{(t)} / \\partial h_j^{(t-1)}$ is the slope of unit $i$ times one weight. Which?",
        "It is $(1 - (h_i^{(t)})^2)\\, w_{ij}$: the slope scales *rows* of $W_h$. For several steps the chain rule multiplies "
        "matrices. In which order?",
        "$J = J^{(T)} J^{(T-1)} \\cdots J^{(1)}$ with $J^{(t)} = \\mathrm{diag}(1 - (h^{(t)})^2)\\, W_h$: start "
        "with the identity and multiply "
        "the next step's matrix from the left.",
    ),
    mistakes=(
        Mistake(
            "multiplied the steps in the opposite order",
            "The first step acts first, so it stands on the right: the last step's matrix comes first.",
            "jacobian-product",
            _with(join=lambda J, earlier: earlier @ J),
        ),
        Mistake(
            "scaled the columns of W_h by the slopes instead of the rows",
            "The slope belongs to the unit that *receives*, and that is the row of W_h: the diagonal matrix stands "
            "on the left.",
            "jacobian",
            _with(step=lambda h, W_h: W_h * (1 - h**2)),
        ),
        Mistake(
            "transposed W_h",
            "Row i of W_h holds the weights into unit i, and row i of the Jacobian what unit i depends on: no transpose.",
            "jacobian",
            _with(step=lambda h, W_h: np.diag(1 - h**2) @ W_h.T),
        ),
        Mistake(
            "returned the transpose",
            "Your rows are the units before step 1; that matrix carries gradients back as a column. "
            "In J a row is a unit after step T.",
            "jacobian-product",
            _with(result=lambda J: J.T),
        ),
        Mistake(
            "forgot the slope of tanh",
            "Yours is the power of W_h, as of a linear network. The slopes, all below 1, make it smaller.",
            "jacobian",
            _with(step=lambda h, W_h: W_h),
        ),
        Mistake(
            "took the slope of tanh at the pre-activation",
            "1 - z^2 is no slope; hs already holds the outputs of tanh, in which the slope is 1 - h^2.",
            "jacobian",
            _with(step=lambda h, W_h: np.diag(1 - np.arctanh(h) ** 2) @ W_h),
        ),
        Mistake(
            "applied tanh to the hidden values once more",
            "hs holds outputs of tanh, in which the slope is 1 - h^2; yours is 1 - tanh(h)^2, which is too large everywhere.",
            "jacobian",
            _with(step=lambda h, W_h: np.diag(1 - np.tanh(h) ** 2) @ W_h),
        ),
        Mistake(
            "added the Jacobians of the steps instead of multiplying them",
            "The steps come one after another, so their derivatives multiply; a sum belongs to several paths side by side.",
            "jacobian-product",
            _with(join=lambda J, earlier: J + earlier),
        ),
        Mistake(
            "multiplied entry by entry",
            "`*` forgets that a unit acts on all units of the next step, each of which acts on all of the step after: use `@`.",
            "jacobian-product",
            _with(join=lambda J, earlier: J * earlier),
        ),
        Mistake(
            "collected the slopes of all steps in front of the product",
            "Matrices do not commute: the slopes of a step stand between its W_h and that of the next.",
            "jacobian-product",
            lambda hs, W_h: np.diag(np.prod(1 - hs**2, axis=0)) @ np.linalg.matrix_power(W_h, len(hs)),
        ),
        Mistake(
            "used the slopes of the last step for every step",
            "Each step has its own hidden values, and so its own slopes.",
            "jacobian-product",
            lambda hs, W_h: np.linalg.matrix_power(np.diag(1 - hs[-1] ** 2) @ W_h, len(hs)),
        ),
        Mistake(
            "left out the first step",
            "Your product starts at h^1; from h^0 to h^1 is a step like the others.",
            "jacobian-product",
            _with(used=lambda hs: hs[1:]),
        ),
        Mistake(
            "left out the last step",
            "Your product ends at h^(T-1): the slopes of h^(T) are missing.",
            "jacobian-product",
            _with(used=lambda hs: hs[:-1]),
        ),
        Mistake(
            "gave the Jacobian of the last step only",
            "That is from h^(T-1) to h^(T); the steps before it are factors too.",
            "jacobian-product",
            _with(used=lambda hs: hs[-1:]),
        ),
        Mistake(
            "gave the Jacobian of the first step only",
            "That is from h^0 to h^1; the steps after it are factors too.",
            "jacobian-product",
            _with(used=lambda hs: hs[:1]),
        ),
        Mistake(
            "forgot the square in the slope of tanh",
            "The slope is 1 - h^2. 1 - h would be above 1 wherever h is negative, and tanh is nowhere as steep as that.",
            "jacobian",
            _with(step=lambda h, W_h: np.diag(1 - h) @ W_h),
        ),
    ),
)
