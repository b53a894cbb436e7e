"""Arguments of a wrong kind, and numbers that would silently change the dtype or the shape of a result."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from companion import ops, optim
from companion.feedforward import feedforward, feedforward_backward, feedforward_init
from companion.gradcheck import GradientError, check_gradients
from companion.train import batches, fit
from companion.tree import tree_dot, tree_leaves

B, D, H = 3, 4, 5
ELEMENTWISE = {
    "sigmoid_backward": ops.sigmoid_backward,
    "tanh_backward": ops.tanh_backward,
    "relu_backward": ops.relu_backward,
    "softmax_backward": ops.softmax_backward,
    "log_softmax_backward": ops.log_softmax_backward,
    "dropout_backward": ops.dropout_backward,
}
RIGHT = {"rng": np.random.default_rng(0)}


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("shape", [(D,), (B, 1), (D, B)])
def test_an_upstream_gradient_of_another_shape_is_not_broadcast(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{name}: dy has shape {shape}, expected (3, 4)")):
        ELEMENTWISE[name](np.ones((B, D)), np.ones(shape))


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "relu", "softmax", "log_softmax"])
@pytest.mark.parametrize("z", [[1.0, -2.0], np.array([1, -2])])
def test_activations_take_arrays_of_floating_point_numbers(name: str, z: Any) -> None:
    with pytest.raises(
        ValueError, match=rf"^{name}: z (is a list|has dtype int64), expected a NumPy array of floating"
    ):
        getattr(ops, name)(z)


@pytest.mark.parametrize("shape", [(1,), (D,), (7, H)])
def test_a_bias_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    params = ops.LinearParams(np.ones((H, D)), np.ones(shape))
    with pytest.raises(ValueError, match=re.escape(f"linear: params.b has shape {shape}, expected (5,)")):
        ops.linear(params, np.ones((7, D)))


KINDS: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: feedforward(feedforward_init(**RIGHT, sizes=(D, 2)), np.ones((B, D)), np.tanh),
        "feedforward: activation is <ufunc 'tanh'>, expected Activation, such as ops.RELU",
    ),
    (lambda: feedforward_init(0, (D, 2)), "feedforward_init: rng is 0, expected Generator"),
    (lambda: batches(0, [np.ones((B, D))], 2, 5), "batches: rng is 0, expected Generator"),
    (lambda: next(fit(lambda p: (0.0, p), np.ones(2), [()], optim.sgd)), "fit: optimizer is <function sgd"),
    (lambda: optim.adam(epsilon=-1), "adam: epsilon is -1, expected a number in [0, inf)"),
    (lambda: optim.sgd("0.1"), "sgd: learning_rate is '0.1', expected a number"),
    (
        lambda: ops.embedding(np.ones((7, D)), np.ones((0, 2), int)),
        "embedding: ids has shape (0, 2), expected at least",
    ),
    (
        lambda: ops.linear_init(RIGHT["rng"], 0, 3),
        "linear_init: n_in, n_out are 0, 3, expected whole numbers of at least 1",
    ),
    (
        lambda: check_gradients(np.tanh, lambda c, dy: {}, {"ids": np.arange(3)}, RIGHT["rng"]),
        "check_gradients: ids holds integers, which have no gradient: leave it out of inputs",
    ),
    (
        lambda: check_gradients(lambda x: np.tanh(x), lambda c, dy: {}, {"x": np.ones((2, 3))}, RIGHT["rng"]),
        "check_gradients: forward returned a ndarray, expected a tuple (y, cache)",
    ),
    (lambda: ops.dropout(np.ones((B, D)), 0.5, 0), "dropout: rng is 0, expected Generator"),
    (lambda: ops.linear_init(0, 2, 3), "linear_init: rng is 0, expected Generator"),
    (lambda: ops.linear_init(RIGHT["rng"], 2, 3, int), "linear_init: dtype is int64, expected a floating-point type"),
    (lambda: ops.softmax(np.ones((3, 0))), "softmax: z has shape (3, 0), expected (..., K) with K at least 1"),
    (
        lambda: ops.linear(ops.LinearParams(np.ones((2, D), np.float32), np.ones(2)), np.ones((B, D), np.float32)),
        "linear: params.b has dtype float64, expected float32 as params.W",
    ),
    (
        lambda: next(fit(lambda p: (None, p), np.ones(2), [()], optim.sgd())),
        "fit: loss_and_grads returned the loss None, expected a number",
    ),
    (lambda: fit(lambda p: (0.0, p), np.ones(2), [()], "sgd"), "fit: optimizer is 'sgd', expected Optimizer"),
    (lambda: tree_dot([np.ones(2)], [np.ones(2), np.ones(2)]), "trees have different structures"),
]


@pytest.mark.parametrize(("call", "message"), KINDS, ids=[message[:30] for _, message in KINDS])
def test_a_wrong_kind_is_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_settings_that_are_numpy_numbers_keep_float32(name: str) -> None:
    names = inspect.signature(optim.OPTIMIZERS[name]).parameters
    optimizer = optim.optimizer(name, **{setting: np.float64(0.1) for setting in names})
    params = {"W": np.ones((H, D), np.float32)}
    params, state = optimizer.update(params, params, optimizer.init(params))
    assert params["W"].dtype == np.float32
    assert all(leaf.dtype == np.float32 for leaf in tree_leaves(state) if isinstance(leaf, np.ndarray))


def test_norms_of_large_and_small_float32_gradients_are_exact_enough() -> None:
    for size in (1e20, 1e-30):
        clipped, norm = optim.clip_by_norm({"W": np.full((2, 2), size, np.float32)}, size / 10)
        assert norm == pytest.approx(2 * size, rel=1e-6)
        np.testing.assert_allclose(clipped["W"], size / 20, rtol=1e-6)
        assert clipped["W"].dtype == np.float32


def test_a_resumed_run_counts_on() -> None:
    optimizer = optim.sgd(0.1)
    steps = list(fit(lambda p, x: (0.0, p), np.ones(2), [(0,), (1,)], optimizer, start=11))
    assert [step.step for step in steps] == [11, 12]


def test_a_wrong_gradient_of_a_small_slope_on_a_large_value_fails() -> None:
    """Rounding of the large value must not excuse it."""
    with pytest.raises(GradientError):
        check_gradients(
            lambda a: (1e5 + 1e-2 * a, None),
            lambda _, dy: {"a": 1.002e-2 * dy},
            {"a": np.random.default_rng(0).normal(size=(B, D))},
            np.random.default_rng(1),
        )


def test_a_cache_of_another_network_is_refused() -> None:
    rng = np.random.default_rng(0)
    _, cache = feedforward(feedforward_init(rng, (D, H, 2)), np.ones((B, D)))
    with pytest.raises(ValueError, match="cache holds 1 hidden layers, expected 0 from params"):
        feedforward_backward(feedforward_init(rng, (D, 2)), cache, np.ones((B, 2)))


def test_a_gradient_that_is_a_python_number_is_checked_like_an_array() -> None:
    x = np.array(0.3)
    check_gradients(lambda x: (x**2, x), lambda x, dy: {"x": float(2 * x * dy)}, {"x": x}, np.random.default_rng(0))
    with pytest.raises(GradientError, match="most at x: backward pass"):
        check_gradients(lambda x: (x**2, x), lambda x, dy: {"x": float(x * dy)}, {"x": x}, np.random.default_rng(0))
