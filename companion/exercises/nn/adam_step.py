"""Implement: Adam and its bias correction."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake
from companion.tree import Array


def adam_step(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    t: int,
    learning_rate: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> tuple[Array, Array, Array]:
    """Parameters p, gradient g, averages m and v (all of one shape) -> new p, m, v.

    t = 1, 2, ... is the number of this step.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    return p - learning_rate * m_hat / (np.sqrt(v_hat) + epsilon), m, v


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    def case(t: int, *settings: float) -> tuple[Any, ...]:
        p, g, m, v = rng.normal(size=(4, 3, 4))
        return (p, g, 0 * m, 0 * v, t, *settings) if t == 1 else (p, g, m, v**2, t, *settings)

    return [case(3, 0.5, 0.9, 0.99, 0.1), case(1, 0.5, 0.9, 0.999, 0.1), case(40, 0.1, 0.8, 0.99, 0.01)]


def _with(
    m_hat: Any = lambda m, beta1, t: m / (1 - beta1**t),
    v_hat: Any = lambda v, beta2, t: v / (1 - beta2**t),
    square: Any = lambda g: g**2,
    root: Any = lambda v_hat, epsilon: np.sqrt(v_hat) + epsilon,
    keep_corrected: bool = False,
) -> Any:
    """The solution with one part replaced."""

    def answer(
        p: Array, g: Array, m: Array, v: Array, t: int, learning_rate: float, beta1: float, beta2: float, epsilon: float
    ) -> Any:
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * square(g)
        m_, v_ = m_hat(m, beta1, t), v_hat(v, beta2, t)
        p = p - learning_rate * m_ / root(v_, epsilon)
        return (p, m_, v_) if keep_corrected else (p, m, v)

    return answer


def _forgetful(
    p: Array, g: Array, m: Array, v: Array, t: int, learning_rate: float, beta1: float, beta2: float, epsilon: float
) -> Any:
    m = (1 - beta1) * m + beta1 * g
    v = (1 - beta2) * v + beta2 * g**2
    step = m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + epsilon)
    return p - learning_rate * step, m, v


EXERCISE = Exercise(
    name="nn.adam_step",
    kind="implement",
    title="Adam's bias correction",
    statement="""
        Take one step of Adam. Both averages start at zero, so they are too small at first; the correction undoes exactly that.
    """,
    solution=adam_step,
    outputs=("p", "m", "v"),
    cases=_cases,
    arguments=("p", "g", "m", "v", "t", "learning_rate", "beta1", "beta2", "epsilon"),
    hints=(
        "Update both averages first: m of the gradient, v of its square, each with its own beta.",
        "After t steps from zero the weights in the average add up to $1 - \\beta^t$, not to 1: divide by that.",
        "Step with `m_hat / (np.sqrt(v_hat) + epsilon)`, but return m and v *without* the correction.",
    ),
    mistakes=(
        Mistake(
            "left out the bias correction",
            "The first steps are wrong in size: with the usual settings the very first is about three times too long.",
            "bias-correction",
            _with(m_hat=lambda m, beta1, t: m, v_hat=lambda v, beta2, t: v),
        ),
        Mistake(
            "corrected m but not v",
            "v is too small at first, so with the usual settings the first step is about thirty times too long.",
            "bias-correction",
            _with(v_hat=lambda v, beta2, t: v),
        ),
        Mistake(
            "corrected v but not m",
            "m is too small at first, so with the usual settings the first step is ten times too short.",
            "bias-correction",
            _with(m_hat=lambda m, beta1, t: m),
        ),
        Mistake(
            "counted steps from 0",
            "t is 1 in the first step; with t - 1 the correction divides by 1 - beta^0 = 0.",
            "bias-correction",
            _with(m_hat=lambda m, b, t: m / (1 - b ** (t - 1)), v_hat=lambda v, b, t: v / (1 - b ** (t - 1))),
        ),
        Mistake(
            "counted the step twice",
            "t already is the number of this step; with t + 1 the correction is too weak.",
            "bias-correction",
            _with(m_hat=lambda m, b, t: m / (1 - b ** (t + 1)), v_hat=lambda v, b, t: v / (1 - b ** (t + 1))),
        ),
        Mistake(
            "multiplied beta by t instead of raising it to the power t",
            "1 - beta t is negative from the second step on; the weights of a moving average fall as beta^t.",
            "bias-correction",
            _with(m_hat=lambda m, beta1, t: m / (1 - beta1 * t), v_hat=lambda v, beta2, t: v / (1 - beta2 * t)),
        ),
        Mistake(
            "returned the corrected averages",
            "The next step would correct them a second time. The correction is for the step only; m and v go on as they are.",
            "adam",
            _with(keep_corrected=True),
        ),
        Mistake(
            "put epsilon under the root",
            "sqrt(v + eps) is at least sqrt(eps), which for 1e-8 is 1e-4: small gradients would hardly move anything.",
            "adam",
            _with(root=lambda v_hat, epsilon: np.sqrt(v_hat + epsilon)),
        ),
        Mistake(
            "forgot the square root",
            "Without it the step has the unit 1 / gradient, and small gradients give enormous steps.",
            "adam",
            _with(root=lambda v_hat, epsilon: v_hat + epsilon),
        ),
        Mistake(
            "averaged the gradient in v, not its square",
            "v may then be negative and its root NaN; it is the *square* whose average measures the size of gradients.",
            "adam",
            _with(square=lambda g: g),
        ),
        Mistake(
            "corrected with 1 - beta instead of 1 - beta^t",
            "That is right in the first step only; later the averages hold more than one gradient and need less correction.",
            "bias-correction",
            _with(m_hat=lambda m, beta1, t: m / (1 - beta1), v_hat=lambda v, beta2, t: v / (1 - beta2)),
        ),
        Mistake(
            "walked uphill",
            "m_hat points along the gradient, to larger loss: subtract the step, do not add it.",
            "adam",
            lambda p, *rest: (2 * p - adam_step(p, *rest)[0], *adam_step(p, *rest)[1:]),
        ),
        Mistake(
            "exchanged beta1 and beta2",
            "beta1 belongs to m, the average of the gradient; beta2 to v, the average of its square.",
            "adam",
            lambda p, g, m, v, t, rate, beta1, beta2, epsilon: adam_step(p, g, m, v, t, rate, beta2, beta1, epsilon),
        ),
        Mistake(
            "exchanged beta and 1 - beta in the averages",
            "beta is what an average keeps of its old value, 1 - beta what it takes of the new.",
            "adam",
            _forgetful,
        ),
        Mistake(
            "used the default settings instead of the arguments",
            "learning_rate, beta1, beta2 and epsilon come with the call, and need not be 0.001, 0.9, 0.999 and 1e-8.",
            "adam",
            lambda p, g, m, v, t, *settings: adam_step(p, g, m, v, t),
        ),
        Mistake(
            "left out the argument epsilon, or wrote 1e-8 in its place",
            "m and v are right, but the step needs the epsilon of the call.",
            "adam",
            lambda p, g, m, v, t, rate, beta1, beta2, _: adam_step(p, g, m, v, t, rate, beta1, beta2, 1e-8),
        ),
    ),
)
