"""Optimisers: from a gradient to the next parameters (chapter *Neural networks*; review, section 2).

Each function below returns an `Optimizer`, two pure functions over trees:

    state = optimizer.init(params)
    params, state = optimizer.update(params, grads, state)

With g the gradient (plus weight_decay times the parameters, that is L2 regularisation) and p the parameters:

    SGD        p <- p - lr g
    momentum   v <- mu v + g                          p <- p - lr v
    AdaGrad    a <- a + g^2                           p <- p - lr g / (sqrt(a) + eps)
    AdaDelta   a <- rho a + (1 - rho) g^2             d = g sqrt(u + eps) / sqrt(a + eps)
               u <- rho u + (1 - rho) d^2             p <- p - lr d
    RMSprop    a <- rho a + (1 - rho) g^2             p <- p - lr g / (sqrt(a) + eps)
    Adam       m <- beta1 m + (1 - beta1) g           p <- p - lr m^ / (sqrt(v^) + eps)
               v <- beta2 v + (1 - beta2) g^2         m^ = m / (1 - beta1^t),  v^ = v / (1 - beta2^t)

Defaults (but for mu) and the place of each eps are those of `torch.optim`. Sources: Polyak 1964 (momentum), Duchi et al. 2011
(AdaGrad), Zeiler 2012 (AdaDelta), Tieleman and Hinton 2012 (RMSprop), Kingma and Ba 2015 (Adam), Pascanu et al. 2013
(clipping).
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np

from companion.tree import Tree, tree_dot, tree_items, tree_leaves, tree_map
from companion.validate import require_known, require_range

Params = TypeVar("Params")


class Optimizer(NamedTuple):
    """Two pure functions: `init(params) -> state` and `update(params, grads, state) -> (params, state)`."""

    init: Callable[[Any], Any]
    update: Callable[[Any, Any, Any], tuple[Any, Any]]


def _zeros(params: Tree) -> Tree:
    return tree_map(np.zeros_like, params)


def _checked_and_decayed(params: Any, grads: Tree, weight_decay: float) -> Tree:
    """The gradients, once their shapes are right, with the gradient of weight_decay / 2 ||p||^2 added."""
    if [np.shape(g) for g in tree_leaves(grads)] != [np.shape(p) for p in tree_leaves(params)]:
        _refuse_shapes(params, grads)
    for (name, p), g in zip(tree_items(params), tree_leaves(grads)):
        if isinstance(p, np.ndarray) and np.asarray(g).dtype != p.dtype:
            path, dtype = f"grads.{name}" if name else "grads", np.asarray(g).dtype
            raise ValueError(f"update: {path} has dtype {dtype}, expected {p.dtype} as the parameter")
    return tree_map(lambda p, g: g + weight_decay * p, params, grads) if weight_decay else grads


def _refuse_shapes(params: Any, grads: Any) -> None:
    """Name the first gradient whose shape differs; broadcasting would change the shape of the parameter."""
    for (name, p), (g_name, g) in zip(tree_items(params), tree_items(grads)):
        if g_name == name and np.shape(g) != np.shape(p):
            path = f"grads.{name}" if name else "grads"
            raise ValueError(f"update: {path} has shape {np.shape(g)}, expected {np.shape(p)} as the parameter")
    received, expected = ([name for name, _ in tree_items(tree)] for tree in (grads, params))
    raise ValueError(f"update: grads has the entries {received}, expected {expected} as the parameters")


def _moving_average(average: Tree, values: Tree, rate: float) -> Tree:
    return tree_map(lambda a, x: rate * a + (1 - rate) * x, average, values)


def _average_square(average: Tree, values: Tree, rate: float) -> Tree:
    return tree_map(lambda a, x: rate * a + (1 - rate) * x * x, average, values)


def sgd(learning_rate: float = 1e-3, weight_decay: float = 0.0) -> Optimizer:
    """Stochastic gradient descent; its state is empty."""
    learning_rate, weight_decay = _rates("sgd", learning_rate, weight_decay)

    def update(params: Params, grads: Params, state: tuple[()]) -> tuple[Params, tuple[()]]:
        grads = _checked_and_decayed(params, grads, weight_decay)
        return tree_map(lambda p, g: p - learning_rate * g, params, grads), state

    return Optimizer(lambda params: (), update)


def momentum(learning_rate: float = 1e-3, mu: float = 0.9, weight_decay: float = 0.0) -> Optimizer:
    """Heavy-ball momentum with velocity decay `mu`; its state is the velocity v."""
    learning_rate, weight_decay, mu = _rates("momentum", learning_rate, weight_decay, mu=mu)

    def update(params: Params, grads: Params, v: Params) -> tuple[Params, Params]:
        grads = _checked_and_decayed(params, grads, weight_decay)
        v = tree_map(lambda v, g: mu * v + g, v, grads)
        return tree_map(lambda p, v: p - learning_rate * v, params, v), v

    return Optimizer(_zeros, update)


def adagrad(learning_rate: float = 1e-2, weight_decay: float = 0.0, epsilon: float = 1e-10) -> Optimizer:
    """AdaGrad: the step shrinks with the sum a of all squared gradients so far."""
    learning_rate, weight_decay, epsilon = _rates("adagrad", learning_rate, weight_decay, epsilon=epsilon)

    def update(params: Params, grads: Params, a: Params) -> tuple[Params, Params]:
        grads = _checked_and_decayed(params, grads, weight_decay)
        a = tree_map(lambda a, g: a + g * g, a, grads)
        return tree_map(lambda p, g, a: p - learning_rate * g / (np.sqrt(a) + epsilon), params, grads, a), a

    return Optimizer(_zeros, update)


class AdaDeltaState(NamedTuple):
    """Moving averages of `adadelta`, each a tree like the parameters."""

    a: Any  # of squared gradients
    u: Any  # of squared steps


def adadelta(
    learning_rate: float = 1.0, rho: float = 0.9, weight_decay: float = 0.0, epsilon: float = 1e-6
) -> Optimizer:
    """AdaDelta: the ratio of two moving averages gives the step the unit of the parameters."""
    learning_rate, weight_decay, rho, epsilon = _rates(
        "adadelta", learning_rate, weight_decay, rho=rho, epsilon=epsilon
    )

    def update(params: Params, grads: Params, state: AdaDeltaState) -> tuple[Params, AdaDeltaState]:
        grads = _checked_and_decayed(params, grads, weight_decay)
        a = _average_square(state.a, grads, rho)
        d = tree_map(lambda g, u, a: g * np.sqrt(u + epsilon) / np.sqrt(a + epsilon), grads, state.u, a)
        u = _average_square(state.u, d, rho)
        return tree_map(lambda p, d: p - learning_rate * d, params, d), AdaDeltaState(a, u)

    return Optimizer(lambda params: AdaDeltaState(_zeros(params), _zeros(params)), update)


def rmsprop(
    learning_rate: float = 1e-2, rho: float = 0.99, weight_decay: float = 0.0, epsilon: float = 1e-8
) -> Optimizer:
    """RMSprop: AdaGrad with a moving average in place of the sum, so that steps do not die out."""
    learning_rate, weight_decay, rho, epsilon = _rates("rmsprop", learning_rate, weight_decay, rho=rho, epsilon=epsilon)

    def update(params: Params, grads: Params, a: Params) -> tuple[Params, Params]:
        grads = _checked_and_decayed(params, grads, weight_decay)
        a = _average_square(a, grads, rho)
        return tree_map(lambda p, g, a: p - learning_rate * g / (np.sqrt(a) + epsilon), params, grads, a), a

    return Optimizer(_zeros, update)


class AdamState(NamedTuple):
    """State of `adam`."""

    t: int  # updates so far
    m: Any  # moving average of gradients, a tree like the parameters
    v: Any  # moving average of squared gradients, a tree like the parameters


def adam(
    learning_rate: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    weight_decay: float = 0.0,
    epsilon: float = 1e-8,
) -> Optimizer:
    """Adam; the two corrections undo that m and v start at zero. Weight decay is L2, not the decoupled AdamW."""
    settings = _rates("adam", learning_rate, weight_decay, beta1=beta1, beta2=beta2, epsilon=epsilon)
    learning_rate, weight_decay, beta1, beta2, epsilon = settings

    def update(params: Params, grads: Params, state: AdamState) -> tuple[Params, AdamState]:
        grads = _checked_and_decayed(params, grads, weight_decay)
        t = state.t + 1
        m = _moving_average(state.m, grads, beta1)
        v = _average_square(state.v, grads, beta2)

        def step(p: Any, m: Any, v: Any) -> Any:
            m_hat = m / (1 - beta1**t)
            v_hat = v / (1 - beta2**t)
            return p - learning_rate * m_hat / (np.sqrt(v_hat) + epsilon)

        return tree_map(step, params, m, v), AdamState(t, m, v)

    return Optimizer(lambda params: AdamState(0, _zeros(params), _zeros(params)), update)


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": sgd,
    "momentum": momentum,
    "adagrad": adagrad,
    "adadelta": adadelta,
    "rmsprop": rmsprop,
    "adam": adam,
}


def optimizer(name: str, **settings: float) -> Optimizer:
    """The optimiser of this name with these settings, for the command line and configuration files.

    Raises ValueError for an unknown name, with the names there are.
    """
    return require_known("optimizer", "name", name, OPTIMIZERS)(**settings)


def clip_by_norm(grads: Tree, max_norm: float) -> tuple[Tree, float]:
    """Scale the whole tree down so that its Euclidean norm is at most `max_norm`; also return the norm before.

    One factor for all leaves keeps the direction (Pascanu et al. 2013, algorithm 1). Finite entries whose squares overflow
    are clipped as well. Raises ValueError when an entry is NaN or infinite: no factor mends that.
    """
    require_range("clip_by_norm", "max_norm", max_norm, 0, float("inf"), "()")
    norm = float(np.sqrt(tree_dot(grads, grads)))
    if not np.isfinite(norm):
        largest = max(float(np.abs(leaf).max(initial=0)) for leaf in tree_leaves(grads))
        if not np.isfinite(largest):
            raise ValueError(f"clip_by_norm: the norm of grads is {norm}, expected a finite number")
        clipped, ratio = clip_by_norm(tree_map(lambda g: g / largest, grads), max_norm / largest)
        return tree_map(lambda g: g * largest, clipped), ratio * largest
    scale = float(min(1.0, max_norm / norm)) if norm else 1.0
    return tree_map(lambda g: g * scale, grads), norm


def _rates(function: str, learning_rate: float, weight_decay: float, **others: float) -> tuple[float, ...]:
    """All settings as Python floats, because a NumPy scalar would turn float32 parameters into float64.

    Raises ValueError for a setting that is out of range.
    """
    require_range(function, "learning_rate", learning_rate, 0, float("inf"), "()")
    require_range(function, "weight_decay", weight_decay, 0, float("inf"))
    for name, value in others.items():
        require_range(function, name, value, 0, float("inf") if name == "epsilon" else 1)
    return tuple(map(float, (learning_rate, weight_decay, *others.values())))
