"""Check a hand-derived gradient against central differences (chapter *Neural networks*).

For a function y = f(inputs) with Jacobian J, the backward pass computes J^T v for any upstream gradient v. Along a
random direction u of the inputs, both sides of

    <v, J u>  =  <J^T v, u>

are single numbers: the left one by central differences, (f(inputs + eps u) - f(inputs - eps u)) / (2 eps), the right
one by the backward pass. Two evaluations of f test a whole array; only when they disagree is every entry perturbed by
itself, to say which one is wrong.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from companion.tree import Array, tree_dot, tree_items, tree_leaves, tree_map
from companion.validate import require_dtype, require_finite

# A central difference errs by about eps^2 times the third derivative and 1e-16 / eps by rounding: 1e-5 balances them.
EPS = 1e-5
MACHINE_EPSILON = float(np.finfo(np.float64).eps)


class Comparison(NamedTuple):
    """The directional derivative along one input, computed twice."""

    name: str  # path of the input, as "0.W_x"
    numeric: float  # by central differences
    analytic: float  # by the backward pass
    error: float  # relative


class GradientReport(NamedTuple):
    """The outcome of `check_gradients`; print it to see both numbers for every input."""

    comparisons: tuple[Comparison, ...]

    @property
    def worst(self) -> float:
        """Largest relative error."""
        return max([c.error for c in self.comparisons], default=0.0)

    def __str__(self) -> str:
        width = max([len("input"), *(len(c.name) for c in self.comparisons)])
        rows = [f"{'input':<{width}} {'numeric':>13} {'analytic':>13} {'rel. error':>10}"]
        rows += [f"{c.name:<{width}} {c.numeric:>13.6g} {c.analytic:>13.6g} {c.error:>10.0e}" for c in self.comparisons]
        return "\n".join(rows)


class GradientError(AssertionError):
    """A backward pass disagrees with central differences."""


def check_gradients(
    forward: Callable[..., tuple[Any, Any]],
    backward: Callable[[Any, Any], Any],
    inputs: dict[str, Any],
    rng: np.random.Generator,
    rtol: float = 1e-7,
    eps: float = EPS,
) -> GradientReport:
    """Compare `backward(cache, dy) -> {name: gradient}` with central differences of `forward(**inputs) -> (y, cache)`.

    The inputs are float64 trees by argument name (leave integers, such as labels, out of them); y is a float or a tree of
    arrays, and is projected on random numbers v. Returns a report with both numbers for every array. Where both are below
    the rounding of y, they count as zero and agree.

    Raises ValueError for inputs that are not float64 or not finite, GradientError (an AssertionError) when a gradient
    is missing, has another shape, or differs by more than `rtol`; the message names the entry that differs most.
    """
    for name, array in tree_items(inputs):
        if np.issubdtype(np.asarray(array).dtype, np.integer):
            raise ValueError(f"check_gradients: {name} holds integers, which have no gradient: leave it out of inputs")
        require_dtype("check_gradients", name, array, np.float64)
        require_finite("check_gradients", name, array)
    result = forward(**inputs)
    if type(result) is not tuple or len(result) != 2:
        raise ValueError(f"check_gradients: forward returned a {type(result).__name__}, expected a tuple (y, cache)")
    y, cache = result
    v = tree_map(lambda a: rng.normal(size=np.shape(a)), y)
    grads = backward(cache, v)
    _require_same_shapes(inputs, grads)
    # Rounding of <v, f>, with a margin: where the true derivative is 0, the central difference is nothing else.
    noise = 10 * MACHINE_EPSILON / eps * sum(float(np.abs(a * b).sum()) for a, b in zip(tree_leaves(y), tree_leaves(v)))

    def loss(inputs: dict[str, Any]) -> float:
        return tree_dot(tree_map(np.asarray, forward(**inputs)[0]), v)

    comparisons = []
    gradients = {name: np.asarray(gradient) for name, gradient in tree_items(grads)}
    for name, array in tree_items(inputs):
        comparison = _compare(loss, inputs, name, gradients[name], rng, eps)
        both_zero = abs(comparison.numeric) <= noise and abs(comparison.analytic) <= noise
        if not (comparison.error <= rtol or both_zero):  # written so that NaN fails too
            raise GradientError(_describe(loss, inputs, name, array, gradients[name], comparison, rtol, eps))
        comparisons.append(comparison)
    return GradientReport(tuple(comparisons))


def numerical_gradient(f: Callable[[Array], float], x: Array, eps: float = EPS) -> Array:
    """Central differences of a scalar function f at x, one entry at a time; x is left as it was."""
    require_dtype("numerical_gradient", "x", x, np.float64)
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = eps
        gradient[index] = (f(x + step) - f(x - step)) / (2 * eps)
    return gradient


def _compare(
    loss: Callable[[dict[str, Any]], float],
    inputs: dict[str, Any],
    name: str,
    gradient: Array,
    rng: np.random.Generator,
    eps: float,
) -> Comparison:
    u = rng.normal(size=gradient.shape)
    numeric = (loss(_shifted(inputs, name, eps * u)) - loss(_shifted(inputs, name, -eps * u))) / (2 * eps)
    analytic = float((gradient * u).sum())
    # A random projection may happen to be near 0; its usual size is the norm of the products.
    scale = float(np.max([abs(numeric), abs(analytic), np.linalg.norm(gradient * u)]))  # NaN if one is
    difference = abs(numeric - analytic)
    return Comparison(name, numeric, analytic, difference / scale if difference else 0.0)


def _shifted(inputs: dict[str, Any], name: str, step: Array) -> dict[str, Any]:
    """The inputs with `step` added to the array of this name."""
    names = iter([path for path, _ in tree_items(inputs)])
    return tree_map(lambda a: a + step if next(names) == name else a, inputs)


def _require_same_shapes(inputs: dict[str, Any], grads: Any) -> None:
    expected = {name: np.shape(array) for name, array in tree_items(inputs)}
    received = {name: np.shape(array) for name, array in tree_items(grads)}
    if received != expected:
        raise GradientError(f"check_gradients: backward returned gradients {received}, expected {expected}")
    for name, array in tree_items(grads):
        if np.asarray(array).dtype != np.float64:
            raise GradientError(
                f"check_gradients: the gradient of {name} is {np.asarray(array).dtype}, expected float64"
            )


def _describe(
    loss: Callable[[dict[str, Any]], float],
    inputs: dict[str, Any],
    name: str,
    array: Array,
    gradient: Array,
    comparison: Comparison,
    rtol: float,
    eps: float,
) -> str:
    numeric = numerical_gradient(lambda a: loss(_shifted(inputs, name, a - array)), array, eps)
    difference = np.abs(numeric - gradient)
    worst = np.unravel_index(int(np.argmax(difference)), array.shape)  # argmax takes NaN for the largest
    wrong = max(1, int((~(difference <= rtol * np.abs(numeric).max())).sum()))
    at = f"[{', '.join(str(int(k)) for k in worst)}]" if worst else ""
    return (
        f"gradient of {name} differs from central differences (relative error {comparison.error:.0e} along a random "
        f"direction)\n  most at {name}{at}: backward pass {gradient[worst]:.6g}, central differences "
        f"{numeric[worst]:.6g}\n  {wrong} of {array.size} entries differ"
    )
