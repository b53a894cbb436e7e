"""Three other designs of automatic differentiation: closures as in micrograd, one global list, nodes that count their users."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = Any


def reduced(dy: Array, shape: tuple[int, ...]) -> Array:
    """Sum over the axes along which broadcasting repeated an array of this shape."""
    while dy.ndim > len(shape):
        dy = dy.sum(axis=0)
    for axis, size in enumerate(shape):
        if size == 1:
            dy = dy.sum(axis=axis, keepdims=True)
    return dy


class ClosureTensor:
    """After micrograd: every result carries a function `_backward` that adds to the gradients of its parents."""

    def __init__(self, data: Array, children: tuple[Any, ...] = ()) -> None:
        self.data = np.array(data, dtype=np.float64)
        self.grad = np.zeros(self.data.shape)
        self._backward: Callable[[], None] = lambda: None
        self._prev = set(children)

    def __add__(self, other: Any) -> Any:
        out = ClosureTensor(self.data + other.data, (self, other))

        def _backward() -> None:
            self.grad += reduced(out.grad, self.data.shape)
            other.grad += reduced(out.grad, other.data.shape)

        out._backward = _backward
        return out

    def __mul__(self, other: Any) -> Any:
        out = ClosureTensor(self.data * other.data, (self, other))

        def _backward() -> None:
            self.grad += reduced(out.grad * other.data, self.data.shape)
            other.grad += reduced(out.grad * self.data, other.data.shape)

        out._backward = _backward
        return out

    def __matmul__(self, other: Any) -> Any:
        out = ClosureTensor(self.data @ other.data, (self, other))

        def _backward() -> None:
            self.grad += out.grad @ other.data.T
            other.grad += self.data.T @ out.grad

        out._backward = _backward
        return out

    def tanh(self) -> Any:
        out = ClosureTensor(np.tanh(self.data), (self,))

        def _backward() -> None:
            self.grad += (1 - out.data**2) * out.grad

        out._backward = _backward
        return out

    def sum(self) -> Any:
        out = ClosureTensor(self.data.sum(), (self,))

        def _backward() -> None:
            self.grad += out.grad

        out._backward = _backward
        return out

    def backward(self) -> None:
        order: list[Any] = []
        visited: set[Any] = set()

        def build(v: Any) -> None:
            if v not in visited:
                visited.add(v)
                for child in v._prev:
                    build(child)
                order.append(v)

        build(self)
        self.grad = np.ones(self.data.shape)
        for v in reversed(order):
            v._backward()


TAPE: list[tuple[Any, list[tuple[Any, Callable[[Array], Array]]]]] = []  # in order of computation


class ListTensor:
    """A Wengert list: operations append to one global tape, which `backward` plays from its end."""

    def __init__(self, data: Array) -> None:
        self.data = data
        self.grad = 0.0 * data

    def _record(self, data: Array, *shares: tuple[Any, Callable[[Array], Array]]) -> Any:
        result = ListTensor(data)
        TAPE.append((result, list(shares)))
        return result

    def __add__(self, other: Any) -> Any:
        return self._record(self.data + other.data, (self, lambda d: d), (other, lambda d: d))

    def __mul__(self, other: Any) -> Any:
        return self._record(self.data * other.data, (self, lambda d: d * other.data), (other, lambda d: d * self.data))

    def __matmul__(self, other: Any) -> Any:
        shares = (self, lambda d: np.inner(d, other.data)), (other, lambda d: np.tensordot(self.data, d, axes=(0, 0)))
        return self._record(self.data @ other.data, *shares)

    def tanh(self) -> Any:
        return self._record(np.tanh(self.data), (self, lambda d: d / np.cosh(self.data) ** 2))

    def sum(self) -> Any:
        return self._record(np.sum(self.data), (self, lambda d: np.full(self.data.shape, d)))

    def backward(self) -> None:
        self.grad = self.data * 0 + 1
        while TAPE:
            result, shares = TAPE.pop()
            for tensor, share in shares:
                tensor.grad = tensor.grad + reduced(np.asarray(share(result.grad)), np.shape(tensor.data))


class NodeTensor:
    """Nodes count who uses them and pass their gradient on when the last user has reported: no sorting."""

    def __init__(self, data: Array, *inputs: Any, slope: Any = None) -> None:
        self.data, self.inputs, self.slope, self.users = np.asarray(data), inputs, slope, 0
        self.grad: Any = np.zeros_like(self.data)

    def __add__(self, other: Any) -> Any:
        return NodeTensor(self.data + other.data, self, other, slope=lambda d: (d, d))

    def __mul__(self, other: Any) -> Any:
        return NodeTensor(self.data * other.data, self, other, slope=lambda d: (d * other.data, self.data * d))

    def __matmul__(self, other: Any) -> Any:
        slope = lambda d: (d @ other.data.T, (d.T @ self.data).T)  # noqa: E731
        return NodeTensor(self.data @ other.data, self, other, slope=slope)

    def sum(self) -> Any:
        return NodeTensor(self.data.sum(), self, slope=lambda d: (d + np.zeros(self.data.shape),))

    def tanh(self) -> Any:
        e = np.exp(2 * self.data)
        return NodeTensor((e - 1) / (e + 1), self, slope=lambda d: (d * 4 * e / (e + 1) ** 2,))

    def _count(self) -> None:
        self.users += 1
        if self.users == 1:
            for node in self.inputs:
                node._count()

    def _give(self, d: Array) -> None:
        self.grad = self.grad + reduced(d, self.data.shape)
        self.users -= 1
        if self.users == 0 and self.inputs:
            for node, share in zip(self.inputs, self.slope(self.grad)):
                node._give(share)

    def backward(self) -> None:
        self._count()
        self._give(np.ones_like(self.data))
