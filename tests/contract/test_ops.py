"""Every operation alone: gradients against central differences, extreme inputs, and identities that must hold."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from companion import ops
from companion.gradcheck import GradientError, check_gradients
from companion.tree import tree_items, tree_leaves, tree_map

B, D, H, K, V = 3, 4, 5, 6, 7
HUGE = 1e4
IDS = np.array([[2, 6], [2, 0], [5, 2]])  # row 2 three times, row 6 once, rows 1, 3, 4 never
LABELS = np.array([4, 0, 4])

Pair = tuple[Callable[..., tuple[Any, Any]], Callable[[Any, Any], Any], dict[str, Any]]


def elementwise(forward: Callable[..., Any], backward: Callable[..., Any], name: str = "z") -> Callable[..., Pair]:
    """A pair that keeps its output; the inputs stay away from 0, where ReLU has no derivative."""

    def pair(rng: np.random.Generator, dtype: Any) -> Pair:
        z = rng.choice([-1, 1], (B, K)) * rng.uniform(0.2, 2, (B, K))
        return lambda z: (forward(z),) * 2, lambda y, dy: {name: backward(y, dy)}, {name: z.astype(dtype)}

    return pair


def linear_pair(rng: np.random.Generator, dtype: Any) -> Pair:
    params = ops.LinearParams(rng.normal(size=(H, D)).astype(dtype), rng.normal(size=H).astype(dtype))

    def forward(params: ops.LinearParams, x: Any) -> tuple[Any, Any]:
        y, cache = ops.linear(params, x)
        return y, (params, cache)

    def backward(cache: Any, dy: Any) -> Any:
        dparams, dx = ops.linear_backward(*cache, dy)
        return {"params": dparams, "x": dx}

    return forward, backward, {"params": params, "x": rng.normal(size=(B, D)).astype(dtype)}


def embedding_pair(rng: np.random.Generator, dtype: Any) -> Pair:
    def forward(table: Any) -> tuple[Any, Any]:
        y, cache = ops.embedding(table, IDS)
        return y, (table, cache)

    table = rng.normal(size=(V, D)).astype(dtype)
    return forward, lambda cache, dy: {"table": ops.embedding_backward(*cache, dy)}, {"table": table}


def dropout_pair(rng: np.random.Generator, dtype: Any) -> Pair:
    seed = int(rng.integers(1000))  # the same mask for every evaluation
    x = rng.normal(size=(B, K)).astype(dtype)
    return (
        lambda x: ops.dropout(x, 0.4, np.random.default_rng(seed)),
        lambda mask, dy: {"x": ops.dropout_backward(mask, dy)},
        {"x": x},
    )


def loss_pair(forward: Callable[..., Any], backward: Callable[..., Any], targets: str) -> Callable[..., Pair]:
    def pair(rng: np.random.Generator, dtype: Any) -> Pair:
        target = LABELS if targets == "labels" else rng.uniform(0.1, 0.9, (B, K)).astype(dtype)
        logits = (2 * rng.normal(size=(B, K))).astype(dtype)
        return lambda z: forward(z, target), lambda cache, dy: {"z": backward(cache, float(dy))}, {"z": logits}

    return pair


PAIRS = {
    "sigmoid": elementwise(ops.sigmoid, ops.sigmoid_backward),
    "tanh": elementwise(ops.tanh, ops.tanh_backward),
    "relu": elementwise(ops.relu, ops.relu_backward),
    "SIGMOID": elementwise(*ops.SIGMOID),
    "TANH": elementwise(*ops.TANH),
    "RELU": elementwise(*ops.RELU),
    "softmax": elementwise(ops.softmax, ops.softmax_backward),
    "log_softmax": elementwise(ops.log_softmax, ops.log_softmax_backward),
    "linear": linear_pair,
    "embedding": embedding_pair,
    "dropout": dropout_pair,
    "cross_entropy": loss_pair(ops.cross_entropy, ops.cross_entropy_backward, "labels"),
    "binary_cross_entropy": loss_pair(ops.binary_cross_entropy, ops.binary_cross_entropy_backward, "targets"),
    "mean_squared_error": loss_pair(ops.mean_squared_error, ops.mean_squared_error_backward, "targets"),
}


@pytest.mark.parametrize("name", PAIRS)
def test_the_backward_pass_agrees_with_central_differences(name: str, rng: np.random.Generator) -> None:
    forward, backward, inputs = PAIRS[name](rng, np.float64)
    report = check_gradients(forward, backward, inputs, rng)
    assert report.worst < 1e-7
    assert all(abs(comparison.numeric) > 1e-6 for comparison in report.comparisons), "nothing was compared"


@pytest.mark.parametrize("name", PAIRS)
def test_a_backward_pass_off_by_one_part_in_a_hundred_thousand_is_caught(name: str, rng: np.random.Generator) -> None:
    forward, backward, inputs = PAIRS[name](rng, np.float64)
    with pytest.raises(GradientError, match="differs from central differences"):
        check_gradients(forward, lambda c, dy: tree_map(lambda g: g * 1.00001, backward(c, dy)), inputs, rng)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", PAIRS)
def test_outputs_and_gradients_keep_the_dtype_of_the_inputs(name: str, dtype: Any, rng: np.random.Generator) -> None:
    forward, backward, inputs = PAIRS[name](rng, dtype)
    y, cache = forward(**inputs)
    dy = tree_map(lambda a: rng.normal(size=np.shape(a)).astype(dtype), y)
    outputs = [] if isinstance(y, float) else [("y", y)]  # losses are Python floats
    for path, array in [*outputs, *tree_items(backward(cache, dy))]:
        assert array.dtype == dtype, path


@pytest.mark.parametrize("name", PAIRS)
def test_no_argument_is_modified(name: str, rng: np.random.Generator) -> None:
    forward, backward, inputs = PAIRS[name](rng, np.float64)
    ids, labels = IDS.copy(), LABELS.copy()
    before = tree_map(np.copy, inputs)
    y, cache = forward(**inputs)
    y_before, cache_before = tree_map(np.copy, y), tree_map(np.copy, cache)
    dy = tree_map(lambda a: rng.normal(size=np.shape(a)), y)
    dy_before = tree_map(np.copy, dy)
    backward(cache, dy)
    for now, then in (
        (inputs, before), (y, y_before), (cache, cache_before), (dy, dy_before), (IDS, ids), (LABELS, labels)
    ):  # fmt: skip
        for a, b in zip(tree_leaves(now), tree_leaves(then), strict=True):
            np.testing.assert_array_equal(a, b)


# --- extreme inputs


def test_sigmoid_of_huge_inputs_is_zero_and_one_without_overflow() -> None:
    np.testing.assert_array_equal(ops.sigmoid(np.array([-HUGE, 0, HUGE])), [0, 0.5, 1])


def test_sigmoid_equals_its_definition_to_the_last_digits() -> None:
    z = np.array([-3.7, -0.2, 0.9, 5.1])
    np.testing.assert_allclose(ops.sigmoid(z), [1 / (1 + math.exp(-value)) for value in z], rtol=1e-14)


def test_softmax_of_huge_logits_does_not_overflow() -> None:
    z = np.array([[HUGE, HUGE - math.log(3), -HUGE], [-HUGE, -HUGE, -HUGE]])
    np.testing.assert_allclose(ops.softmax(z), [[0.75, 0.25, 0], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-11)


def test_log_softmax_of_huge_logits_keeps_what_softmax_rounds_to_zero() -> None:
    z = np.array([[HUGE, -HUGE, 0.0]])
    np.testing.assert_array_equal(ops.log_softmax(z), [[0, -2 * HUGE, -HUGE]])


@pytest.mark.parametrize(("label", "expected"), [(0, 0.0), (1, 2 * HUGE), (2, HUGE)])
def test_cross_entropy_of_huge_logits_is_finite_and_right(label: int, expected: float) -> None:
    loss, cache = ops.cross_entropy(np.array([[HUGE, -HUGE, 0.0]]), np.array([label]))
    assert loss == expected
    np.testing.assert_array_equal(ops.cross_entropy_backward(cache), [[1, 0, 0] - np.eye(3)[label]])


def test_binary_cross_entropy_of_huge_logits_is_finite_and_right() -> None:
    logits = np.array([HUGE, HUGE, -HUGE, -HUGE, 0.0])
    loss, cache = ops.binary_cross_entropy(logits, np.array([1.0, 0.25, 0.0, 1.0, 0.5]))
    assert loss == pytest.approx((0 + 0.75 * HUGE + 0 + HUGE + math.log(2)) / 5, rel=1e-14)
    np.testing.assert_allclose(ops.binary_cross_entropy_backward(cache), np.array([0, 0.75, 0, -1, 0]) / 5, rtol=1e-14)


# --- identities


def test_softmax_rows_are_positive_and_sum_to_one(rng: np.random.Generator) -> None:
    y = ops.softmax(3 * rng.normal(size=(2, B, K)))
    assert (y > 0).all()
    np.testing.assert_allclose(y.sum(axis=-1), 1, rtol=1e-14)
    assert not np.allclose(y.sum(axis=-2), 1)


def test_softmax_does_not_change_when_a_row_is_shifted(rng: np.random.Generator) -> None:
    z, shift = rng.normal(size=(B, K)), 50 * rng.normal(size=(B, 1))
    np.testing.assert_allclose(ops.softmax(z + shift), ops.softmax(z), rtol=1e-12)
    np.testing.assert_allclose(ops.log_softmax(z + shift), ops.log_softmax(z), rtol=1e-12)


def test_log_softmax_is_the_logarithm_of_softmax(rng: np.random.Generator) -> None:
    z = rng.normal(size=(B, K))
    np.testing.assert_allclose(ops.log_softmax(z), np.log(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)), rtol=1e-12)


def test_softmax_gradients_sum_to_zero_over_each_row(rng: np.random.Generator) -> None:
    z, dy = rng.normal(size=(2, B, K))
    for dz in (ops.softmax_backward(ops.softmax(z), dy), ops.log_softmax_backward(ops.log_softmax(z), dy)):
        np.testing.assert_allclose(dz.sum(axis=1), 0, atol=1e-14)
        assert np.abs(dz).max() > 0.01


def test_cross_entropy_is_the_mean_over_single_examples(rng: np.random.Generator) -> None:
    logits = rng.normal(size=(B, K))
    single = [math.log(sum(map(math.exp, row))) - row[label] for row, label in zip(logits, LABELS, strict=True)]
    assert ops.cross_entropy(logits, LABELS)[0] == pytest.approx(sum(single) / B, rel=1e-14)


def test_cross_entropy_gradient_rows_sum_to_zero_and_only_the_label_is_pushed_up(rng: np.random.Generator) -> None:
    grad = ops.cross_entropy_backward(ops.cross_entropy(rng.normal(size=(B, K)), LABELS)[1])
    np.testing.assert_allclose(grad.sum(axis=1), 0, atol=1e-15)
    np.testing.assert_array_equal(grad < 0, np.eye(K)[LABELS] == 1)


def test_uniform_logits_cost_the_logarithm_of_the_number_of_classes() -> None:
    assert ops.cross_entropy(np.full((B, K), 0.7), LABELS)[0] == pytest.approx(math.log(K), rel=1e-14)


def test_binary_cross_entropy_of_two_classes_is_cross_entropy(rng: np.random.Generator) -> None:
    logits, labels = rng.normal(size=B), np.array([1, 0, 1])
    binary, _ = ops.binary_cross_entropy(logits, labels.astype(float))
    assert binary == pytest.approx(ops.cross_entropy(np.stack([0 * logits, logits], axis=1), labels)[0], rel=1e-14)


def test_mean_squared_error_is_the_mean_over_all_entries_not_over_rows() -> None:
    loss, cache = ops.mean_squared_error(np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[0.5, 2.0], [1.0, 9.0]]))
    assert loss == (0.25 + 0 + 4 + 16) / 4
    np.testing.assert_array_equal(ops.mean_squared_error_backward(cache, 3.0), 3 * np.array([[1, 0], [4, -8]]) / 4)


def test_linear_equals_a_loop_over_examples_and_units(rng: np.random.Generator) -> None:
    W, b, x = rng.normal(size=(H, D)), rng.normal(size=H), rng.normal(size=(B, D))
    loop = [[sum(W[h, d] * x[i, d] for d in range(D)) + b[h] for h in range(H)] for i in range(B)]
    np.testing.assert_allclose(ops.linear(ops.LinearParams(W, b), x)[0], loop, rtol=1e-12)


def test_linear_gradients_have_the_inner_products_of_a_linear_map(rng: np.random.Generator) -> None:
    params = ops.LinearParams(rng.normal(size=(H, D)), rng.normal(size=H))
    y, cache = ops.linear(params, rng.normal(size=(B, D)))
    dy = rng.normal(size=(B, H))
    grads, dx = ops.linear_backward(params, cache, dy)
    without_bias = (dy * (y - params.b)).sum()
    assert (grads.W * params.W).sum() == pytest.approx(without_bias, rel=1e-12)
    assert (dx * cache).sum() == pytest.approx(without_bias, rel=1e-12)
    assert (grads.b * params.b).sum() == pytest.approx((dy * params.b).sum(), rel=1e-12)


def test_linear_init_is_uniform_in_the_glorot_interval_with_zero_biases(rng: np.random.Generator) -> None:
    W, b = ops.linear_init(rng, n_in=200, n_out=100, dtype=np.float32)
    limit = math.sqrt(6 / 300)
    assert W.shape == (100, 200)
    assert W.dtype == b.dtype == np.float32
    assert 0.99 * limit < np.abs(W).max() <= np.float32(limit)
    assert W.std() == pytest.approx(limit / math.sqrt(3), rel=0.03)
    assert abs(W.mean()) < 5 * W.std() / math.sqrt(W.size)
    np.testing.assert_array_equal(b, np.zeros(100))


def test_embedding_is_a_product_with_one_hot_rows_and_repeated_ids_sum(rng: np.random.Generator) -> None:
    table, dy = rng.normal(size=(V, D)), rng.normal(size=(*IDS.shape, D))
    y, cache = ops.embedding(table, IDS)
    np.testing.assert_allclose(y, np.eye(V)[IDS] @ table, rtol=1e-14)
    dtable = ops.embedding_backward(table, cache, dy)
    np.testing.assert_allclose(dtable[2], dy[0, 0] + dy[1, 0] + dy[2, 1], rtol=1e-14)
    np.testing.assert_allclose(dtable, np.einsum("btv,btd->vd", np.eye(V)[IDS], dy), rtol=1e-13)


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.8])
def test_dropout_keeps_the_mean_and_its_mask_has_two_values(rate: float, rng: np.random.Generator) -> None:
    x = rng.uniform(1, 2, (300, 400))
    y, mask = ops.dropout(x, rate, rng)
    kept = mask > 0
    np.testing.assert_array_equal(mask, np.where(kept, 1 / (1 - rate), 0))
    np.testing.assert_array_equal(y, x * mask)
    sigma = math.sqrt(rate * (1 - rate) / mask.size)
    assert abs(kept.mean() - (1 - rate)) <= 5 * sigma
    assert abs((y - x).mean()) <= 5 * 2 * sigma / (1 - rate)
    rows = kept.mean(axis=1)  # entries, not whole rows or columns, are dropped
    assert rows.std() == pytest.approx(math.sqrt(rate * (1 - rate) / 400), rel=0.3)


def test_relu_has_slope_zero_at_zero() -> None:
    y = ops.relu(np.array([-1.5, 0.0, 2.5]))
    np.testing.assert_array_equal(y, [0, 0, 2.5])
    np.testing.assert_array_equal(ops.relu_backward(y, np.array([3.0, 5.0, 7.0])), [0, 0, 7])


def test_every_operation_with_a_backward_pass_stands_in_the_table() -> None:
    pairs = {name.removesuffix("_backward") for name in vars(ops) if name.endswith("_backward")}
    assert pairs - set(PAIRS) == set()
