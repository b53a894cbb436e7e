"""Right answers of other designs than the solution's. A check that refuses one of them judges style, not numbers."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from companion import ops
from tests.exercises.alternative_tapes import ClosureTensor, ListTensor, NodeTensor

# --- softmax and cross-entropy


def softmax_by_log_sum_exp(z: Any) -> Any:
    top = z.max(axis=1)
    return np.exp(z - (top + np.log(np.exp(z.T - top).sum(axis=0)))[:, None])


def softmax_row_by_row(z: Any) -> Any:
    rows = []
    for row in z:
        e = [math.exp(entry - max(row)) for entry in row]
        rows.append([entry / sum(e) for entry in e])
    return np.array(rows)


def softmax_by_pairwise_differences(z: Any) -> Any:
    return 1 / np.exp(np.minimum(z[:, None, :] - z[:, :, None], 700)).sum(axis=2)


def softmax_backward_by_jacobians(y: Any, dy: Any) -> Any:
    return np.stack([(np.diag(p) - np.outer(p, p)) @ d for p, d in zip(y, dy)])


def softmax_backward_by_einsum(y: Any, dy: Any) -> Any:
    return dy * y - np.einsum("bk,bj,bj->bk", y, y, dy)


def cross_entropy_by_one_hot(logits: Any, labels: Any) -> Any:
    hot = np.eye(logits.shape[1])[labels]
    log_y = ops.log_softmax(logits)
    return float(-(np.where(hot == 1, log_y, 0)).sum() / len(logits)), (np.exp(log_y) - hot) / len(logits)


def cross_entropy_example_by_example(logits: Any, labels: Any) -> Any:
    losses, dlogits = [], np.empty_like(logits)
    for n, (row, label) in enumerate(zip(logits, labels)):
        log_sum = row.max() + np.log(np.exp(row - row.max()).sum())
        losses.append(log_sum - row[label])
        for k in range(len(row)):
            dlogits[n, k] = (np.exp(row[k] - log_sum) - (k == label)) / len(labels)
    return [np.mean(losses), dlogits]


def cross_entropy_with_ops(logits: Any, labels: Any) -> Any:
    loss, cache = ops.cross_entropy(logits, labels)
    return loss, ops.cross_entropy_backward(cache)


# --- one hidden layer


def hidden_layer_with_ops(x: Any, labels: Any, W_1: Any, b_1: Any, W_2: Any, b_2: Any) -> Any:
    first, second = ops.LinearParams(W_1, b_1), ops.LinearParams(W_2, b_2)
    z, below_1 = ops.linear(first, x)
    h = ops.tanh(z)
    logits, below_2 = ops.linear(second, h)
    dsecond, dh = ops.linear_backward(second, below_2, ops.cross_entropy_backward(ops.cross_entropy(logits, labels)[1]))
    dfirst, _ = ops.linear_backward(first, below_1, ops.tanh_backward(h, dh))
    return (*dfirst, *dsecond)


def hidden_layer_example_by_example(x: Any, labels: Any, W_1: Any, b_1: Any, W_2: Any, b_2: Any) -> Any:
    sums = [np.zeros_like(w) for w in (W_1, b_1, W_2, b_2)]
    for example, label in zip(x, labels):
        h = np.tanh(W_1 @ example + b_1)
        e = np.exp(W_2 @ h + b_2)
        delta_2 = e / e.sum()
        delta_2[label] -= 1
        delta_1 = (1 - h) * (1 + h) * (W_2.T @ delta_2)
        for total, share in zip(sums, (np.outer(delta_1, example), delta_1, np.outer(delta_2, h), delta_2)):
            total += share / len(x)
    return sums


class Gradients(NamedTuple):
    W_1: Any
    b_1: Any
    W_2: Any
    b_2: Any


def hidden_layer_by_einsum(x: Any, labels: Any, W_1: Any, b_1: Any, W_2: Any, b_2: Any) -> Any:
    z = np.einsum("bd,hd->bh", x, W_1) + b_1
    logits = np.einsum("bh,kh->bk", np.tanh(z), W_2) + b_2
    error = (ops.softmax(logits) - (labels[:, None] == np.arange(len(b_2)))) / len(x)
    dz = np.einsum("bk,kh,bh->bh", error, W_2, np.cosh(z) ** -2)
    return Gradients(
        np.einsum("bh,bd->hd", dz, x), np.ones(len(x)) @ dz, np.einsum("bk,bh->kh", error, np.tanh(z)), error.sum(0)
    )


# --- a numerical gradient


def five_point_stencil(f: Any, x: Any, eps: float) -> Any:
    def slope(step: Any) -> Any:
        return (8 * (f(x + step) - f(x - step)) - (f(x + 2 * step) - f(x - 2 * step))) / (12 * eps)

    unit = eps * np.eye(x.size).reshape(x.size, *x.shape)
    return np.array([slope(step) for step in unit]).reshape(x.shape)


def flat_view_of_a_copy(f: Any, x: Any, eps: float) -> Any:
    point = x.copy()
    flat, gradient = point.reshape(-1), []
    for k in range(flat.size):
        before = flat[k]
        flat[k] = before + eps
        above = f(point)
        flat[k] = before - eps
        gradient.append((above - f(point)) / eps / 2)
        flat[k] = before
    return np.reshape(gradient, x.shape)


def in_place_but_restored(f: Any, x: Any, eps: float) -> Any:
    gradient = np.empty(x.shape)
    walk = np.nditer(x, flags=["multi_index"])
    for _ in walk:
        index = walk.multi_index
        before = x[index]
        x[index] = before + eps
        gradient[index] = f(x)
        x[index] = before - eps
        gradient[index] -= f(x)
        x[index] = before
    return gradient / (2 * eps)


# --- bug hunts


def relu_backward_by_sign(cache: Any, dy: Any) -> Any:
    x, W, y = cache
    dz = dy * np.sign(y)
    return dz.dot(W), np.einsum("bh,bd->hd", dz, x), np.ones(len(x)) @ dz


def relu_backward_from_the_forward_pass(cache: Any, dy: Any) -> Any:
    x, W, y = cache
    dz = dy.copy()
    dz[y <= 0] = 0
    dW = sum(np.outer(error, below) for error, below in zip(dz, x))
    return [np.stack([W.T @ error for error in dz]), dW, sum(dz)]


def skip_backward_with_one_matrix(cache: Any, dy: Any) -> Any:
    x, W, h = cache
    slope = 1 - h * h
    dx = np.stack([(np.eye(len(W)) + s[:, None] * W).T @ d for s, d in zip(slope, dy)])
    return dx, np.einsum("bi,bi,bj->ij", dy, slope, x), np.einsum("bi,bi->i", dy, slope)


def skip_backward_with_ops(cache: Any, dy: Any) -> Any:
    x, W, h = cache
    (dW, db), dx = ops.linear_backward(ops.LinearParams(W, np.zeros(len(W))), x, ops.tanh_backward(h, dy))
    dx += dy
    return dx, dW, db


# --- optimisers


class Step(NamedTuple):
    p: Any
    v: Any


def momentum_on_own_copies(p: Any, g: Any, v: Any, learning_rate: float, mu: float) -> Any:
    p, v = p.copy(), v.copy()
    v *= mu
    v += g
    p -= learning_rate * v
    return [p, v]


def momentum_as_a_named_tuple(p: Any, g: Any, v: Any, learning_rate: float, mu: float) -> Any:
    return Step(p=p - learning_rate * g - learning_rate * mu * v, v=g + mu * v)


def adam_on_own_copies(p, g, m, v, t, learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8):  # type: ignore[no-untyped-def]
    p, m, v = np.copy(p), np.copy(m), np.copy(v)
    m += (1 - beta1) * (g - m)
    v += (1 - beta2) * (g * g - v)
    p -= learning_rate * (m / (1 - beta1**t)) / (epsilon + (v / (1 - beta2**t)) ** 0.5)
    return [p, m, v]


def adam_with_the_corrections_in_the_rate(*arguments: Any) -> Any:
    p, g, m, v, t, learning_rate, beta1, beta2, epsilon = arguments
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * np.square(g)
    root = np.sqrt(1 - beta2**t)
    return p - learning_rate * root / (1 - beta1**t) * m / (np.sqrt(v) + epsilon * root), m, v


# --- dropout


def dropout_backward_in_two_steps(dy: Any, keep: Any, rate: float) -> Any:
    dx = np.zeros_like(dy)
    dx[keep] = dy[keep] / (1 - rate)
    return dx


ALTERNATIVES: dict[str, tuple[Any, ...]] = {
    "nn.parameter_count": (
        2410,
        2410.0,
        np.int64(2410),
        np.float64(2410),
        lambda: sum((65 * 32, 33 * 10)),
        np.array(2410),
    ),
    "nn.initial_loss": (2.3, 2.303, np.log(10), np.float32(2.3026), lambda: math.log(10), np.array(2.30)),
    "nn.sigmoid_slope": (
        lambda y: y - y**2,
        lambda y: 0.25 - (y - 0.5) ** 2,
        lambda y: 1 / (2 + np.exp(np.log(y / (1 - y))) + np.exp(-np.log(y / (1 - y)))),
        lambda y: np.reshape([entry * (1 - entry) for entry in y.ravel()], y.shape),
    ),
    "nn.softmax": (softmax_by_log_sum_exp, softmax_row_by_row, softmax_by_pairwise_differences, ops.softmax),
    "nn.softmax_backward": (softmax_backward_by_jacobians, softmax_backward_by_einsum, ops.softmax_backward),
    "nn.cross_entropy": (cross_entropy_by_one_hot, cross_entropy_example_by_example, cross_entropy_with_ops),
    "nn.hidden_layer_gradients": (hidden_layer_with_ops, hidden_layer_example_by_example, hidden_layer_by_einsum),
    "nn.central_difference": (five_point_stencil, flat_view_of_a_copy, in_place_but_restored),
    "nn.hunt_relu": (relu_backward_by_sign, relu_backward_from_the_forward_pass),
    "nn.hunt_skip": (skip_backward_with_one_matrix, skip_backward_with_ops),
    "nn.momentum_step": (momentum_on_own_copies, momentum_as_a_named_tuple),
    "nn.adam_step": (adam_on_own_copies, adam_with_the_corrections_in_the_rate),
    "nn.dropout_backward": (
        dropout_backward_in_two_steps,
        lambda dy, keep, rate: dy * keep / (1 - rate),
        lambda dy, keep, rate: ops.dropout_backward(keep / (1 - rate), dy),
    ),
    "nn.tape": (ClosureTensor, ListTensor, NodeTensor),
}
