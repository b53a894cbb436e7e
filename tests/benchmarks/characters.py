"""A character model of the size of Karpathy's min-char-rnn (2015), twice: as courses write it, and as quickly as we can.

A tanh network with 100 units reads 25 one-hot characters at a time; the state goes on to the next 25. The loss is the sum of
-log p over the 25 next characters, every entry of the gradient is clipped to [-5, 5], and AdaGrad divides a step of 0.1 by
the root of the sum of squared gradients plus 1e-8. `Plain` loops over time for everything and over the parameters one by one.
`Quick` has the same mathematics with ideas of `companion.fast.blocks`: a lookup for the input product, one product for the
output layer of all steps, one for each gradient of weights, and all parameters in one vector, so that an update is a few
operations.
"""

from __future__ import annotations

from typing import Any

import numpy as np

H, STEPS, RATE, LIMIT = 100, 25, 0.1, 5.0


def initial(rng: np.random.Generator, V: int) -> dict[str, Any]:
    """Small random weights, zero biases."""
    shapes = {"W_x": (H, V), "W_h": (H, H), "b": (H,), "W_y": (V, H), "b_y": (V,)}
    return {name: 0.01 * rng.normal(size=shape) * (len(shape) == 2) for name, shape in shapes.items()}


class Plain:
    """One sequence at a time, step by step, column vectors, float64."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.params = {name: (a if a.ndim == 2 else a[:, None]).copy() for name, a in params.items()}
        self.memory = {name: np.zeros_like(a) for name, a in self.params.items()}
        self.h = np.zeros((H, 1))

    def gradients(self, inputs: Any, targets: Any) -> tuple[float, dict[str, Any]]:
        p, loss = self.params, 0.0
        xs, hs, probabilities = {}, {-1: self.h}, {}
        for t in range(len(inputs)):
            xs[t] = np.zeros((p["W_x"].shape[1], 1))
            xs[t][inputs[t]] = 1
            hs[t] = np.tanh(np.dot(p["W_x"], xs[t]) + np.dot(p["W_h"], hs[t - 1]) + p["b"])
            y = np.dot(p["W_y"], hs[t]) + p["b_y"]
            probabilities[t] = np.exp(y) / np.sum(np.exp(y))
            loss -= np.log(probabilities[t][targets[t], 0])
        grads, dh_next = {name: np.zeros_like(a) for name, a in p.items()}, np.zeros_like(self.h)
        for t in reversed(range(len(inputs))):
            dy = probabilities[t].copy()
            dy[targets[t]] -= 1
            grads["W_y"] += np.dot(dy, hs[t].T)
            grads["b_y"] += dy
            dz = (1 - hs[t] * hs[t]) * (np.dot(p["W_y"].T, dy) + dh_next)
            grads["b"] += dz
            grads["W_x"] += np.dot(dz, xs[t].T)
            grads["W_h"] += np.dot(dz, hs[t - 1].T)
            dh_next = np.dot(p["W_h"].T, dz)
        self.h = hs[len(inputs) - 1]
        return loss, grads

    def update(self, inputs: Any, targets: Any) -> float:
        """One update from inputs and targets (25,); returns the loss before it."""
        loss, grads = self.gradients(inputs, targets)
        for name, g in grads.items():
            np.clip(g, -LIMIT, LIMIT, out=g)
            self.memory[name] += g * g
            self.params[name] -= RATE * g / np.sqrt(self.memory[name] + 1e-8)
        return loss


class Quick:
    """A batch of sequences."""

    def __init__(self, params: dict[str, Any], batch: int, dtype: Any = np.float64) -> None:
        self.vector = np.concatenate([a.ravel() for a in params.values()]).astype(dtype)
        self.memory, self.grads = np.zeros_like(self.vector), np.empty_like(self.vector)
        shapes = {name: a.shape for name, a in params.items()}
        self.params, self.views = split(self.vector, shapes), split(self.grads, shapes)
        self.h = np.zeros((batch, H), dtype)
        self.one_hot = np.eye(len(params["b_y"]), dtype=dtype)

    def gradients(self, inputs: Any, targets: Any) -> float:
        p, g, (steps, batch) = self.params, self.views, inputs.shape
        table, W_hT = p["W_x"].T + p["b"], p["W_h"].T.copy()
        hs, zs = np.empty((steps + 1, batch, H), table.dtype), table[inputs]  # a one-hot product picks a column of W_x
        hs[0] = self.h
        for z, h, h_new in zip(zs, hs, hs[1:]):
            h.dot(W_hT, out=h_new)
            np.add(h_new, z, out=h_new)
            np.tanh(h_new, out=h_new)
        self.h = hs[-1].copy()

        ys, rows = hs[1:].reshape(-1, H), np.arange(inputs.size)
        dlogits = np.exp(ys @ p["W_y"].T + p["b_y"])
        dlogits /= dlogits.sum(axis=1, keepdims=True)
        loss = -float(np.log(dlogits[rows, targets.ravel()]).sum()) / batch
        dlogits[rows, targets.ravel()] -= 1
        dlogits /= batch
        np.dot(dlogits.T, ys, out=g["W_y"])
        np.sum(dlogits, axis=0, out=g["b_y"])

        dys, slopes, dh = (dlogits @ p["W_y"]).reshape(zs.shape), 1 - hs[1:] * hs[1:], np.zeros_like(self.h)
        for dy, dz in zip(dys[::-1], slopes[::-1]):
            np.add(dy, dh, out=dh)
            np.multiply(dz, dh, out=dz)  # a slope becomes dz
            dz.dot(p["W_h"], out=dh)
        dzs = slopes.reshape(-1, H)
        np.dot(dzs.T, hs[:-1].reshape(-1, H), out=g["W_h"])
        np.dot(dzs.T, self.one_hot[inputs.ravel()], out=g["W_x"])
        np.sum(dzs, axis=0, out=g["b"])
        return loss

    def update(self, inputs: Any, targets: Any) -> float:
        """One update from inputs and targets (25, B); returns the loss before it, a mean over the batch."""
        loss, g = self.gradients(inputs, targets), self.grads
        np.clip(g, -LIMIT, LIMIT, out=g)
        self.memory += g * g
        self.vector -= RATE * g / np.sqrt(self.memory + 1e-8)
        return loss


def split(vector: Any, shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """Views of a vector, one for each parameter."""
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])
    return {
        name: piece.reshape(shape)
        for (name, shape), piece in zip(shapes.items(), np.split(vector, ends[:-1]), strict=True)
    }
