"""Extend: reverse-mode automatic differentiation on a tape."""

from typing import Any

import numpy as np

from companion.exercises.exercise import Exercise, Mistake


class Tensor:
    """An array that remembers how it was made. Its .data and .grad have one shape.

    a + b, a * b   entry by entry, with broadcasting;   a.tanh() entry by entry
    a @ b          product of two matrices;   a.sum() of all entries, of shape ()
    a.backward()   .grad of all that a was made from becomes the gradient of a.sum()
    """

    def __init__(self, data: Any, parents: Any = ()) -> None:
        self.data = np.asarray(data, dtype=float)
        self.grad = np.zeros_like(self.data)
        self._parents = parents  # pairs: a Tensor, and a function from this one's gradient to that one's share

    def __add__(self, other: Any) -> Any:
        return type(self)(self.data + other.data, [(self, lambda dy: dy), (other, lambda dy: dy)])

    def __mul__(self, other: Any) -> Any:
        parents = [(self, lambda dy: dy * other.data), (other, lambda dy: dy * self.data)]
        return type(self)(self.data * other.data, parents)

    def __matmul__(self, other: Any) -> Any:
        parents = [(self, lambda dy: dy @ other.data.T), (other, lambda dy: self.data.T @ dy)]
        return type(self)(self.data @ other.data, parents)

    def tanh(self) -> Any:
        """Entry by entry; the slope 1 - y^2 is taken in the output."""
        y = np.tanh(self.data)
        return type(self)(y, [(self, lambda dy: dy * (1 - y**2))])

    def sum(self) -> Any:
        """Sum of all entries; each of them receives the whole gradient."""
        return type(self)(self.data.sum(), [(self, lambda dy: dy * np.ones_like(self.data))])

    def backward(self) -> None:
        """Play the tape in reverse: a Tensor passes its gradient on when it is complete."""
        order = self._in_order([], set())
        for tensor in order:
            tensor.grad = np.zeros_like(tensor.data)
        self.grad = np.ones_like(self.data)
        for tensor in reversed(order):
            for parent, share in tensor._parents:
                parent._receive(share(tensor.grad))

    def _in_order(self, order: Any, seen: Any) -> Any:
        """Every Tensor this one depends on, each after those it was made from."""
        if id(self) not in seen:
            seen.add(id(self))
            for parent, _ in self._parents:
                parent._in_order(order, seen)
            order.append(self)
        return order

    def _receive(self, dy: Any) -> None:
        self.grad = self.grad + self._unbroadcast(dy)

    def _unbroadcast(self, dy: Any) -> Any:
        """Sum over the axes along which broadcasting repeated this Tensor."""
        dy = dy.sum(axis=tuple(range(dy.ndim - self.data.ndim)))
        repeated = tuple(axis for axis, size in enumerate(self.data.shape) if size == 1)
        return dy.sum(axis=repeated, keepdims=True)


def _with(**method: Any) -> type:
    """The solution with one method replaced."""
    return type("Tensor", (Tensor,), method)


class _Overwriting(Tensor):
    def _receive(self, dy: Any) -> None:
        self.grad = self._unbroadcast(dy)


class _Unordered(Tensor):
    def backward(self) -> None:
        self.grad = np.ones_like(self.data)
        self._pass_down()

    def _pass_down(self) -> None:
        for parent, share in self._parents:
            parent._receive(share(self.grad))
            parent._pass_down()


class _SlopeAtInput(Tensor):
    def tanh(self) -> Any:
        return type(self)(np.tanh(self.data), [(self, lambda dy: dy * (1 - self.data**2))])


class _OwnFactor(Tensor):
    def __mul__(self, other: Any) -> Any:
        parents = [(self, lambda dy: dy * self.data), (other, lambda dy: dy * other.data)]
        return type(self)(self.data * other.data, parents)


class _NotTransposed(Tensor):
    def __matmul__(self, other: Any) -> Any:
        parents = [(self, lambda dy: dy @ other.data), (other, lambda dy: self.data @ dy)]
        return type(self)(self.data @ other.data, parents)


class _BreadthFirst(Tensor):
    def _in_order(self, order: Any, seen: Any) -> Any:
        order = [self]
        for tensor in order:  # grows while it is walked
            for parent, _ in tensor._parents:
                if all(parent is not known for known in order):
                    order.append(parent)
        return order[::-1]


class _Stuck(Tensor):
    def backward(self) -> None:
        self.grad = np.ones_like(self.data)


class _Unseeded(Tensor):
    def backward(self) -> None:
        self.grad = np.zeros_like(self.data)


OPERATIONS: dict[str, tuple[str, Any]] = {
    "+": ("a + b", lambda a, b: a + b),
    "*": ("a * b", lambda a, b: a * b),
    "@": ("a @ b", lambda a, b: a @ b),
    "tanh": ("a.tanh()", lambda a, b: a.tanh()),
    "sum": ("a.sum()", lambda a, b: a.sum()),
}


def _run(answer: Any, expression: str, build: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """Build one expression and read its value and gradients."""
    tensors = {name: answer(data) for name, data in inputs.items()}
    try:
        result = build(**tensors)
    except (AttributeError, TypeError):  # perhaps because of a None in the middle
        _require_operations(answer, expression)
        raise
    if result is None or result is ...:
        _require_operations(answer, expression)
        raise NotImplementedError(f"{expression} is still {result}")
    values = {f"the value of {expression}": result.data}
    result.backward()
    reached = (
        2 if any(np.any(tensor.grad) for tensor in tensors.values()) else int(bool(np.any(getattr(result, "grad", 0))))
    )
    code = getattr(getattr(answer, "backward", None), "__code__", None)
    if (
        not reached and code is not None and not code.co_names + code.co_freevars
    ):  # it does not even look at an attribute
        raise NotImplementedError("backward does nothing yet")
    gradients = {f"the gradient of {name} in {expression}": tensor.grad for name, tensor in tensors.items()}
    return values | gradients | {f"how far the gradient came in {expression}": reached}


def _require_operations(answer: Any, expression: str) -> None:
    """Raise NotImplementedError for an operation of the expression that gives None."""
    for symbol, (text, operation) in OPERATIONS.items():
        if symbol not in expression:
            continue
        try:
            result = operation(answer(np.ones((2, 2))), answer(np.ones((2, 2))))
        except Exception:  # wrong in another way
            continue
        if result is None or result is ...:
            raise NotImplementedError(f"{text} is still {result}")


def _cases(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    """From one operation to several; the square matrices come first, so that a missing transpose shows as wrong numbers."""
    a, b, c = rng.normal(size=(3, 3, 3))
    x, W, bias = rng.normal(size=(5, 4)), rng.normal(size=(4, 2)), rng.normal(size=2)
    return [
        ("a.sum()", lambda a: a.sum(), {"a": a}),
        ("a.sum().sum()", lambda a: a.sum().sum(), {"a": a}),
        ("(a + b).sum()", lambda a, b: (a + b).sum(), {"a": a, "b": b}),
        ("(a * b).sum()", lambda a, b: (a * b).sum(), {"a": a, "b": b}),
        ("a.tanh().sum()", lambda a: a.tanh().sum(), {"a": a}),
        ("(a @ b * c).sum()", lambda a, b, c: (a @ b * c).sum(), {"a": a, "b": b, "c": c}),
        ("(a * a).sum()", lambda a: (a * a).sum(), {"a": a}),
        (
            "(h + h.tanh().tanh()).sum() with h = a.tanh()",
            lambda a: ((h := a.tanh()) + h.tanh().tanh()).sum(),
            {"a": a},
        ),
        (
            "(h.tanh().tanh() + h).sum() with h = a.tanh()",
            lambda a: ((h := a.tanh()).tanh().tanh() + h).sum(),
            {"a": a},
        ),
        ("(h * a + h * h).sum() with h = a.tanh()", lambda a: ((h := a.tanh()) * a + h * h).sum(), {"a": a}),
        ("(x @ W + bias).sum()", lambda x, W, bias: (x @ W + bias).sum(), {"x": x, "W": W, "bias": bias}),
        ("(a * k).sum(), k of shape (1, 3)", lambda a, k: (a * k).sum(), {"a": a, "k": b[:1]}),
        ("a.sum() * a.tanh()", lambda a: a.sum() * a.tanh(), {"a": a}),
    ]


EXERCISE = Exercise(
    name="nn.tape",
    kind="extend",
    title="Differentiate anything",
    statement="""
        Derive nothing by hand any more: write an array that remembers the operations it went through (the *tape*), and whose
        `backward` plays them in reverse. Sixty lines are enough, and PyTorch's autograd is the same idea.
    """,
    solution=Tensor,
    outputs=(),
    run=_run,
    cases=_cases,
    arguments=("expression", "build", "inputs"),
    hints=(
        "Let each operation return a Tensor that keeps its parents and functions from its gradient to each one's share.",
        "`backward` may visit a Tensor only after *everything* made from it: sort the tape (depth first, parents before "
        "children), then walk it backwards. A Tensor used twice *adds* its gradients.",
        "If broadcasting repeated a bias, its gradient arrives with the large shape: sum over the repeated axes.",
    ),
    mistakes=(
        Mistake(
            "overwrote a gradient instead of adding to it",
            "In a * a the same Tensor is used twice and needs both shares; the second replaced the first.",
            "sum-of-paths",
            _Overwriting,
        ),
        Mistake(
            "passed gradients on before they were complete",
            "A Tensor used twice sends its gradient down twice, the second time with the first still in it: sort the tape.",
            "sum-of-paths",
            _Unordered,
        ),
        Mistake(
            "took the slope of tanh at its input",
            "1 - y^2 needs the output y = tanh(a); 1 - a^2 is negative for |a| > 1, but tanh never falls.",
            "tanh-slope",
            _SlopeAtInput,
        ),
        Mistake(
            "multiplied by the wrong factor in a product",
            "The share of a in a * b is dy * b: how fast the product changes with a is the *other* factor.",
            "chain-rule",
            _OwnFactor,
        ),
        Mistake(
            "forgot the transposes in the matrix product",
            "For square matrices the shapes fit all the same, which hides it: the shares are dy @ b.T and a.T @ dy.",
            "weight-gradient",
            _NotTransposed,
        ),
        Mistake(
            "did not sum the gradient over broadcast axes",
            "The gradient of a bias has grown to the shape of the batch; it needs the shape of the bias.",
            "bias-gradient",
            _with(_unbroadcast=lambda self, dy: dy),
        ),
        Mistake(
            "averaged over broadcast axes instead of summing",
            "The bias reaches every row of the batch, so its gradient is the sum of theirs; yours is too small by that factor.",
            "bias-gradient",
            _with(_unbroadcast=lambda self, dy: Tensor._unbroadcast(self, dy) * (self.data.size / dy.size)),
        ),
        Mistake(
            "did not sum the gradient along axes of length 1",
            "Broadcasting repeats these as it repeats missing axes: sum also along axes of length 1, with keepdims=True.",
            "bias-gradient",
            _with(_unbroadcast=lambda self, dy: dy.sum(axis=tuple(range(dy.ndim - self.data.ndim)))),
        ),
        Mistake(
            "visited a Tensor once, but before all of its shares had arrived",
            "In (h + h.tanh().tanh()).sum(), h needs the shares of both its uses before it passes its gradient on; "
            "a breadth-first walk may reach it earlier. Sort the tape depth first, parents before children; walk it backwards.",
            "sum-of-paths",
            _BreadthFirst,
        ),
        Mistake(
            "walked the tape forwards, or only one step back",
            "The gradient starts at the result, whose tape entry is the last, and has to come back all the way to the inputs.",
            "chain-rule",
            _with(_in_order=lambda self, *so_far: Tensor._in_order(self, *so_far)[::-1]),
        ),
        Mistake(
            "gave the result its gradient, but passed none on",
            "From the result every Tensor hands each parent its share, and so on to the inputs.",
            "chain-rule",
            _Stuck,
        ),
        Mistake(
            "never set the gradient of the result to 1",
            "The derivative of the result with respect to itself is 1; from 0 nothing flows anywhere.",
            "chain-rule",
            _Unseeded,
        ),
    ),
)
