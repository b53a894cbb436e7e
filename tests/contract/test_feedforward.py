"""The feedforward network: central differences, a naive loop as oracle, and what it must leave alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from companion import ops
from companion.feedforward import (
    FeedforwardParams,
    accuracy,
    classification_loss,
    feedforward,
    feedforward_backward,
    feedforward_init,
)
from companion.gradcheck import GradientError, check_gradients, numerical_gradient
from companion.tree import tree_items, tree_leaves, tree_map

B, D, H, K = 3, 4, 5, 6
SIZES = {1: (D, K), 2: (D, H, K), 3: (D, H, 7, K)}
ACTIVATIONS = {"tanh": ops.TANH, "relu": ops.RELU, "sigmoid": ops.SIGMOID}
NAIVE: dict[str, Callable[[float], float]] = {
    "tanh": math.tanh,
    "relu": lambda z: z if z > 0 else 0.0,
    "sigmoid": lambda z: 1 / (1 + math.exp(-z)),
}
LABELS = np.array([4, 0, 4])


def random_params(rng: np.random.Generator, sizes: tuple[int, ...], dtype: Any = np.float64) -> FeedforwardParams:
    """Random biases too: zeros would hide a bias that is lost or taken twice."""
    params = feedforward_init(rng, sizes, dtype)
    return tree_map(lambda p: (p + 0.5 * rng.normal(size=p.shape)).astype(dtype), params)


def pair(activation: ops.Activation, dropout_rate: float, seed: int) -> tuple[Any, Any]:
    """Forward and backward pass for the gradient check, with the same dropout masks in every evaluation."""

    def forward(params: FeedforwardParams, x: Any) -> tuple[Any, Any]:
        rng = np.random.default_rng(seed) if dropout_rate else None
        y, cache = feedforward(params, x, activation, dropout_rate, rng)
        return y, (params, cache)

    def backward(cache: Any, dy: Any) -> Any:
        grads, dx = feedforward_backward(*cache, dy)
        return {"params": grads, "x": dx}

    return forward, backward


@pytest.mark.parametrize("dropout_rate", [0.0, 0.3])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("n_layers", SIZES)
def test_backpropagation_agrees_with_central_differences(
    n_layers: int, activation: str, dropout_rate: float, rng: np.random.Generator
) -> None:
    inputs = {"params": random_params(rng, SIZES[n_layers]), "x": rng.normal(size=(B, D))}
    report = check_gradients(*pair(ACTIVATIONS[activation], dropout_rate, seed=8), inputs, rng)
    assert [c.name for c in report.comparisons] == [name for name, _ in tree_items(inputs)]
    assert all(abs(c.numeric) > 1e-6 for c in report.comparisons), "nothing was compared"


def test_a_backward_pass_that_forgets_dropout_is_caught(rng: np.random.Generator) -> None:
    forward, backward = pair(ops.TANH, 0.3, seed=8)

    def forgetful(cache: Any, dy: Any) -> Any:
        params, kept = cache
        return backward((params, kept._replace(hidden=tuple(c._replace(mask=None) for c in kept.hidden))), dy)

    inputs = {"params": random_params(rng, SIZES[2]), "x": rng.normal(size=(B, D))}
    with pytest.raises(GradientError, match=r"gradient of params\.layers\.0\.W differs"):
        check_gradients(forward, forgetful, inputs, rng)


@pytest.mark.parametrize("dropout_rate", [0.0, 0.4])
def test_the_gradient_of_the_loss_agrees_with_central_differences(
    dropout_rate: float, rng: np.random.Generator
) -> None:
    params, x = random_params(rng, SIZES[2]), rng.normal(size=(B, D))

    def loss(layers: Any) -> tuple[float, Any]:
        stream = np.random.default_rng(2) if dropout_rate else None
        return classification_loss(FeedforwardParams(layers), x, LABELS, ops.SIGMOID, dropout_rate, stream)

    _, grads = loss(params.layers)
    for index, layer in enumerate(params.layers):
        for name in layer._fields:

            def of_array(array: Any, index: int = index, name: str = name) -> float:
                layers = list(params.layers)
                layers[index] = layers[index]._replace(**{name: array})
                return loss(tuple(layers))[0]

            numeric = numerical_gradient(of_array, getattr(layer, name))
            np.testing.assert_allclose(getattr(grads.layers[index], name), numeric, rtol=1e-6, atol=1e-9)
            assert np.abs(numeric).max() > 1e-3


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("n_layers", SIZES)
def test_logits_equal_a_loop_over_examples_and_units(n_layers: int, activation: str, rng: np.random.Generator) -> None:
    params, x = random_params(rng, SIZES[n_layers]), rng.normal(size=(B, D))
    logits, _ = feedforward(params, x, ACTIVATIONS[activation])
    for example in range(B):
        h = list(x[example])
        for index, (W, b) in enumerate(params.layers):
            z = []
            for unit in range(len(b)):
                total = b[unit]
                for source in range(len(h)):
                    total += W[unit, source] * h[source]
                z.append(total)
            is_last = index == len(params.layers) - 1
            h = z if is_last else [NAIVE[activation](value) for value in z]
        np.testing.assert_allclose(logits[example], h, rtol=1e-12)


def test_the_loss_and_gradient_of_a_batch_are_means_over_its_examples(rng: np.random.Generator) -> None:
    params, x = random_params(rng, SIZES[3]), rng.normal(size=(B, D))
    loss, grads = classification_loss(params, x, LABELS, ops.SIGMOID)
    single = [classification_loss(params, x[i : i + 1], LABELS[i : i + 1], ops.SIGMOID) for i in range(B)]
    assert loss == pytest.approx(sum(value for value, _ in single) / B, rel=1e-13)
    mean = tree_map(lambda *g: sum(g) / B, *(g for _, g in single))
    for a, b in zip(tree_leaves(grads), tree_leaves(mean), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-15)


def test_a_step_against_the_gradient_lowers_the_loss_by_its_squared_norm(rng: np.random.Generator) -> None:
    params, x = random_params(rng, SIZES[2]), rng.normal(size=(B, D))
    loss, grads = classification_loss(params, x, LABELS)
    rate = 1e-5
    after, _ = classification_loss(tree_map(lambda p, g: p - rate * g, params, grads), x, LABELS)
    squared_norm = sum((g**2).sum() for g in tree_leaves(grads))
    assert loss - after == pytest.approx(rate * squared_norm, rel=1e-3)


@pytest.mark.parametrize("dropout_rate", [0.0, 0.4])
def test_no_argument_is_modified(dropout_rate: float, rng: np.random.Generator) -> None:
    params, x, dy = random_params(rng, SIZES[3]), rng.normal(size=(B, D)), rng.normal(size=(B, K))
    labels = LABELS.copy()
    logits, cache = feedforward(params, x, ops.RELU, dropout_rate, rng)
    kept = (params, x, dy, logits, cache.hidden, labels)
    before = tree_map(lambda a: None if a is None else a.copy(), kept)
    feedforward_backward(params, cache, dy)
    classification_loss(params, x, labels, ops.RELU, dropout_rate, rng)
    accuracy(params, x, labels)
    for (name, now), then in zip(tree_items(kept), tree_leaves(before), strict=True):
        np.testing.assert_array_equal(now, then, err_msg=name)


@pytest.mark.parametrize("dropout_rate", [0.0, 0.4])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_of_the_parameters_is_kept(
    dtype: Any, activation: str, dropout_rate: float, rng: np.random.Generator
) -> None:
    params, x = random_params(rng, SIZES[3], dtype), rng.normal(size=(B, D)).astype(dtype)
    logits, cache = feedforward(params, x, ACTIVATIONS[activation], dropout_rate, rng)
    backward = feedforward_backward(params, cache, logits)
    _, grads = classification_loss(params, x, LABELS, ACTIVATIONS[activation], dropout_rate, rng)
    for name, array in tree_items((logits, cache.hidden, backward, grads)):
        assert array is None or array.dtype == dtype, name


def test_dropout_reaches_every_hidden_layer_but_neither_input_nor_logits(rng: np.random.Generator) -> None:
    params, x = random_params(rng, SIZES[3]), rng.normal(size=(B, D))
    logits, cache = feedforward(params, x, ops.SIGMOID, 0.5, rng)
    first, second = cache.hidden
    np.testing.assert_array_equal(first.x, x)
    for layer, above in ((first, second.x), (second, cache.last)):
        assert set(np.unique(layer.mask)) == {0.0, 2.0}
        np.testing.assert_array_equal(above, layer.h * layer.mask)
    last = params.layers[-1]
    np.testing.assert_allclose(logits, cache.last @ last.W.T + last.b)


def test_logits_averaged_over_many_dropout_masks_approach_those_without_for_a_linear_readout(
    rng: np.random.Generator,
) -> None:
    params, x = random_params(rng, SIZES[2]), rng.normal(size=(B, D))
    n = 4000
    repeated, _ = feedforward(params, np.repeat(x, n, axis=0), dropout_rate=0.3, rng=rng)
    samples = repeated.reshape(B, n, K)
    expected, _ = feedforward(params, x)
    standard_error = samples.std(axis=1) / math.sqrt(n)
    assert (np.abs(samples.mean(axis=1) - expected) < 5 * standard_error).all()
    assert (standard_error > 1e-4).all()


def test_without_dropout_the_random_stream_is_not_used(rng: np.random.Generator) -> None:
    params, x = random_params(rng, SIZES[2]), rng.normal(size=(B, D))
    state = rng.bit_generator.state
    with_stream, _ = feedforward(params, x, rng=rng)
    assert rng.bit_generator.state == state
    np.testing.assert_array_equal(with_stream, feedforward(params, x)[0])


def test_initial_parameters_follow_the_sizes_and_the_stream() -> None:
    params = feedforward_init(np.random.default_rng(4), (D, H, K), np.float32)
    assert [(layer.W.shape, layer.b.shape) for layer in params.layers] == [((H, D), (H,)), ((K, H), (K,))]
    again, other = (feedforward_init(np.random.default_rng(seed), (D, H, K), np.float32) for seed in (4, 5))
    for (name, a), b, c in zip(tree_items(params), tree_leaves(again), tree_leaves(other), strict=True):
        assert a.dtype == np.float32
        np.testing.assert_array_equal(a, b)
        assert name.endswith("b") or not np.array_equal(a, c)


@pytest.mark.parametrize("n_right", [0, 1, 4, 7])
def test_accuracy_is_the_fraction_of_largest_logits_at_the_label(n_right: int, rng: np.random.Generator) -> None:
    params, x = random_params(rng, SIZES[2]), rng.normal(size=(7, D))
    best = [max(range(K), key=lambda k: row[k]) for row in feedforward(params, x, ops.SIGMOID)[0]]
    labels = np.array([k if i < n_right else (k + 1) % K for i, k in enumerate(best)])
    assert accuracy(params, x, labels, ops.SIGMOID) == n_right / 7
