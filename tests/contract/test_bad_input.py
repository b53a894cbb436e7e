"""Every public entry point says what is wrong: the function, the argument, what it received and what it expected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from companion import ops, optim
from companion.feedforward import accuracy, classification_loss, feedforward, feedforward_backward, feedforward_init
from companion.gradcheck import check_gradients, numerical_gradient
from companion.train import batches, fit, should_stop
from companion.tree import tree_map

B, D, H, K, V = 3, 4, 5, 6, 7


class Wrong(NamedTuple):
    """A call, and the parts that its message must have in this order: function, argument, received, expected."""

    call: Callable[[np.random.Generator], Any]
    message: tuple[str, str, str, str]


def normal(rng: np.random.Generator, *shape: int) -> Any:
    return rng.normal(size=shape)


def layer(rng: np.random.Generator, dtype: Any = np.float64) -> ops.LinearParams:
    return ops.linear_init(rng, D, H, dtype)


def net(rng: np.random.Generator, dtype: Any = np.float64) -> Any:
    return feedforward_init(rng, (D, H, K), dtype)


def labels(rng: np.random.Generator) -> Any:
    return rng.integers(0, K, B)


def with_entry(array: Any, index: tuple[int, ...], value: float) -> Any:
    array = array.copy()
    array[index] = value
    return array


def update(rng: np.random.Generator, name: str, grads: Any) -> Any:
    """One update of a tree with W (H, D) and b (H,)."""
    optimizer, params = optim.optimizer(name), {"W": normal(rng, H, D), "b": normal(rng, H)}
    return optimizer.update(params, grads, optimizer.init(params))


def examples(r: np.random.Generator) -> Any:
    return normal(r, B, D), labels(r)


def check(rng: np.random.Generator, x: Any) -> Any:
    """The gradient check of y = x."""
    return check_gradients(lambda x: (x, x), lambda cache, dy: {"x": dy}, {"x": x}, rng)


FLOATS = "expected a NumPy array of floating-point numbers"
LABELS = "expected a NumPy array of integers in 0..5"
X = "expected (B, 4) from params.W"

# The forward pass of a network reports the layer that refuses its input.
LAYERS: dict[str, Callable[[np.random.Generator, Any], Any]] = {
    "linear": lambda r, x: ops.linear(layer(r), x),
    "feedforward": lambda r, x: feedforward(net(r), x),
    "classification_loss": lambda r, x: classification_loss(net(r), x, labels(r)),
    "accuracy": lambda r, x: accuracy(net(r), x, labels(r)),
}
INPUTS: dict[str, tuple[Callable[[np.random.Generator], Any], str, str]] = {
    "too wide": (lambda r: normal(r, B, H), "has shape (3, 5)", X),
    "transposed": (lambda r: normal(r, D, B), "has shape (4, 3)", X),
    "a single example": (lambda r: normal(r, D), "has shape (4,)", X),
    "images": (lambda r: normal(r, B, 2, 2), "has shape (3, 2, 2)", X),
    "an empty batch": (lambda r: normal(r, 0, D), "has shape (0, 4)", X + " and no empty axis"),
    "a list": (lambda r: normal(r, B, D).tolist(), "is a list", "expected a NumPy array of float64"),
    "int": (
        lambda r: np.ones((B, D), int),
        "has dtype int64",
        "expected float64 as params.W; convert it with x.astype",
    ),
    "float32": (lambda r: normal(r, B, D).astype(np.float32), "has dtype float32", "expected float64 as params.W"),
}
CASES: dict[str, Wrong] = {
    f"{function} of x {name}": Wrong(lambda r, f=f, x=x: f(r, x(r)), ("linear", "x", received, expected))
    for function, f in LAYERS.items()
    for name, (x, received, expected) in INPUTS.items()
}
CASES["float64 x with float32 parameters"] = Wrong(
    lambda r: feedforward(net(r, np.float32), normal(r, B, D)),
    ("linear", "x", "has dtype float64", "expected float32 as params.W; convert it with x.astype('float32')"),
)

WITH_LABELS: dict[str, Callable[[np.random.Generator, Any], Any]] = {
    "cross_entropy": lambda r, y: ops.cross_entropy(normal(r, B, K), y),
    "classification_loss": lambda r, y: classification_loss(net(r), normal(r, B, D), y),
    "accuracy": lambda r, y: accuracy(net(r), normal(r, B, D), y),
}
WRONG_LABELS: dict[str, tuple[Any, str, str, str]] = {
    "too large": (np.array([0, 5, 6]), "labels[2]", "is 6", "expected integers in 0..5"),
    "negative": (np.array([0, -1, 5]), "labels[1]", "is -1", "expected integers in 0..5"),
    "float": (np.array([0.0, 1.0, 5.0]), "labels", "has dtype float64", LABELS),
    "bool": (np.array([True, False, True]), "labels", "has dtype bool", LABELS),
    "a list": ([0, 1, 5], "labels", "is a list", LABELS),
    "too few": (np.array([0, 5]), "labels", "has shape (2,)", "expected (3,) one label for each row"),
    "a single one": (np.array([5]), "labels", "has shape (1,)", "expected (3,) one label for each row"),
    "a column": (np.array([[0], [1], [5]]), "labels", "has shape (3, 1)", "expected (3,) one label for each row"),
    "one-hot": (np.eye(K, dtype=int)[:B], "labels", "has shape (3, 6)", "expected (3,) one label for each row"),
}
CASES |= {
    f"{function} of labels {name}": Wrong(
        lambda r, f=f, y=y: f(r, y),
        ("accuracy" if function == "accuracy" else "cross_entropy", argument, received, expected),
    )
    for function, f in WITH_LABELS.items()
    for name, (y, argument, received, expected) in WRONG_LABELS.items()
}

bce, mse = ops.binary_cross_entropy, ops.mean_squared_error
CASES |= {
    "empty logits": Wrong(lambda r: ops.cross_entropy(np.ones((0, K)), np.ones(0, int)),
        ("cross_entropy", "logits", "(0, 6)", "expected (B, K) and no empty axis")),
    "logits of one example": Wrong(lambda r: ops.cross_entropy(np.ones(K), labels(r)),
        ("cross_entropy", "logits", "(6,)", "expected (B, K)")),
    "logits in a list": Wrong(lambda r: ops.cross_entropy([[1.0, 2.0]], labels(r)),
        ("cross_entropy", "logits", "is a list", FLOATS)),
    "integer logits": Wrong(lambda r: ops.cross_entropy(np.ones((B, K), int), labels(r)),
        ("cross_entropy", "logits", "has dtype int64", FLOATS)),
    "targets broadcast": Wrong(lambda r: bce(normal(r, B, K), np.ones((B, 1))),
        ("binary_cross_entropy", "targets", "(3, 1)", "expected (3, 6) as logits")),
    "integer targets": Wrong(lambda r: bce(normal(r, B), np.array([0, 1, 1])),
        ("binary_cross_entropy", "targets", "int64", "expected float64 as logits")),
    "targets above 1": Wrong(lambda r: bce(normal(r, B), np.array([0, 255.0, 1])),
        ("binary_cross_entropy", "targets", "is 255.0", "expected a number in [0, 1]")),
    "targets of NaN": Wrong(lambda r: bce(normal(r, B), np.array([0, np.nan, 1])),
        ("binary_cross_entropy", "targets", "is nan", "expected a number in [0, 1]")),
    "binary logits in a list": Wrong(lambda r: bce([0.5], np.ones(1)),
        ("binary_cross_entropy", "logits", "is a list", FLOATS)),
    "a column against a row": Wrong(lambda r: mse(normal(r, B, 1), normal(r, B)),
        ("mean_squared_error", "targets", "(3,)", "expected (3, 1) as y")),
    "float32 targets": Wrong(lambda r: mse(normal(r, B), np.ones(B, np.float32)),
        ("mean_squared_error", "targets", "float32", "expected float64 as y")),
    "dy of another batch": Wrong(lambda r: ops.linear_backward(layer(r), normal(r, B, D), normal(r, 2, H)),
        ("linear_backward", "dy", "(2, 5)", "expected (3, 5) as y")),
    "dy of one example": Wrong(lambda r: ops.linear_backward(layer(r), normal(r, B, D), normal(r, H)),
        ("linear_backward", "dy", "(5,)", "expected (3, 5) as y")),
    "wide dy": Wrong(lambda r: feedforward_backward(net(r), feedforward(net(r), normal(r, B, D))[1], normal(r, B, H)),
        ("linear_backward", "dy", "(3, 5)", "expected (3, 6) as y")),
    "id too large": Wrong(lambda r: ops.embedding(normal(r, V, D), np.array([[0, 1], [7, 2]])),
        ("embedding", "ids[1, 0]", "is 7", "expected integers in 0..6")),
    "id negative": Wrong(lambda r: ops.embedding(normal(r, V, D), np.array([0, -1])),
        ("embedding", "ids[1]", "is -1", "expected integers in 0..6")),
    "float ids": Wrong(lambda r: ops.embedding(normal(r, V, D), np.ones(2)),
        ("embedding", "ids", "has dtype float64", "expected a NumPy array of integers in 0..6")),
    "ids in a list": Wrong(lambda r: ops.embedding(normal(r, V, D), [0, 1]),
        ("embedding", "ids", "is a list", "expected a NumPy array of integers in 0..6")),
    "dy for one id": Wrong(lambda r: ops.embedding_backward(normal(r, V, D), np.array([1, 2, 2]), normal(r, D)),
        ("embedding_backward", "dy", "(4,)", "expected (3, 4) as y")),
    "integer x in dropout": Wrong(lambda r: ops.dropout(np.ones((B, D), int), 0.5, r),
        ("dropout", "x", "has dtype int64", FLOATS)),
    "one size": Wrong(lambda r: feedforward_init(r, (D,)),
        ("feedforward_init", "sizes", "(4,)", "expected two or more sizes of at least 1")),
    "size 0": Wrong(lambda r: feedforward_init(r, (D, 0, K)),
        ("feedforward_init", "sizes", "(4, 0, 6)", "expected two or more sizes of at least 1")),
    "negative size": Wrong(lambda r: feedforward_init(r, (D, -2, K)),
        ("feedforward_init", "sizes", "(4, -2, 6)", "expected two or more sizes of at least 1")),
    "dropout without rng": Wrong(lambda r: feedforward(net(r), normal(r, B, D), dropout_rate=0.5),
        ("feedforward", "dropout_rate is 0.5", "rng is None", "expected a np.random.Generator")),
    "loss with dropout without rng": Wrong(lambda r: classification_loss(net(r), *examples(r), dropout_rate=0.5),
        ("feedforward", "dropout_rate is 0.5", "rng is None", "expected a np.random.Generator")),
}  # fmt: skip
CASES |= {
    f"dropout rate {rate}": Wrong(
        lambda r, rate=rate: feedforward(net(r), normal(r, B, D), dropout_rate=rate, rng=r),
        ("feedforward", "dropout_rate", f"is {rate}", "expected a number in [0, 1)"),
    )
    for rate in (1, 1.0, 1.5, -0.1, float("nan"))
}

CASES |= {
    f"{name} with {setting} {value}": Wrong(
        lambda r, name=name, setting=setting, value=value: optim.optimizer(name, **{setting: value}),
        (name, setting, f"is {value}", f"expected a number in {interval}"),
    )
    for names, setting, values, interval in (
        (optim.OPTIMIZERS, "learning_rate", (0, -0.1, float("nan"), float("inf")), "(0, inf)"),
        (optim.OPTIMIZERS, "weight_decay", (-0.1, float("nan")), "[0, inf)"),
        (["momentum"], "mu", (1, 1.5, -0.1), "[0, 1)"),
        (["adadelta", "rmsprop"], "rho", (1, -0.1), "[0, 1)"),
        (["adam"], "beta1", (1, -0.1), "[0, 1)"),
        (["adam"], "beta2", (1, -0.1), "[0, 1)"),
    )
    for name in names
    for value in values
}
CASES |= {
    f"{name} with a gradient of another shape": Wrong(
        lambda r, name=name: update(r, name, {"W": normal(r, H, D), "b": normal(r, B, H)}),
        ("update", "grads.b", "has shape (3, 5)", "expected (5,)"),
    )
    for name in optim.OPTIMIZERS
}
CASES |= {
    f"{name} with a gradient of another structure": Wrong(
        lambda r, name=name: update(r, name, {"W": normal(r, H, D)}),
        ("update", "grads", "['W']", "expected ['W', 'b']"),
    )
    for name in optim.OPTIMIZERS
}
CASES |= {
    f"clipping to {value}": Wrong(
        lambda r, value=value: optim.clip_by_norm(normal(r, H), value),
        ("clip_by_norm", "max_norm", f"is {value}", "expected a number in (0, inf)"),
    )
    for value in (0, -1.0, float("nan"))
}


def loss_of(value: float) -> Callable[..., Any]:
    return lambda params, scale: (value, params)


sgd = optim.sgd()
CASES |= {
    "unknown optimiser": Wrong(lambda r: optim.optimizer("adamw"),
        ("optimizer", "name", "is 'adamw'", "expected one of: sgd, momentum, adagrad, adadelta, rmsprop, adam")),
    "loss of NaN": Wrong(lambda r: next(fit(loss_of(np.nan), normal(r, D), [(1.0,)], sgd)),
        ("fit", "loss", "is nan at step 1", "expected a finite number")),
    "loss of minus infinity": Wrong(lambda r: next(fit(loss_of(-np.inf), normal(r, D), [(1.0,)], sgd)),
        ("fit", "loss", "is -inf at step 1", "expected a finite number")),
    "max_norm 0": Wrong(lambda r: next(fit(loss_of(1.0), normal(r, D), [(1.0,)], sgd, max_norm=0)),
        ("fit", "max_norm", "is 0", "expected a number in (0, inf)")),
    "gradient of NaN, clipped": Wrong(lambda r: next(fit(loss_of(1.0), np.full(D, np.nan), [(1.0,)], sgd, max_norm=1)),
        ("fit", "the gradient", "is not finite at step 1", "expected finite numbers")),
    "batch_size 0": Wrong(lambda r: batches(r, examples(r), 0, 5), ("batches", "batch_size", "is 0", "at least 1")),
    "half a batch": Wrong(lambda r: batches(r, examples(r), 1.5, 5),
        ("batches", "batch_size", "is 1.5", "expected a whole number, at least 1")),
    "negative n_steps": Wrong(lambda r: batches(r, examples(r), 2, -1),
        ("batches", "n_steps", "is -1", "expected a whole number, at least 0")),
    "no rows": Wrong(lambda r: batches(r, (normal(r, 0, D), np.ones(0, int)), 2, 5),
        ("batches", "arrays", "have [0, 0] rows", "expected equally many, at least 1")),
    "no arrays": Wrong(lambda r: batches(r, (), 2, 5), ("batches", "arrays", "have [] rows", "at least 1")),
    "unequal rows": Wrong(lambda r: batches(r, (normal(r, B, D), np.ones(2, int)), 2, 5),
        ("batches", "arrays", "have [3, 2] rows", "expected equally many")),
    "one array": Wrong(lambda r: batches(r, normal(r, B, D), 2, 5),
        ("batches", "arrays", "is one array", "expected a tuple of arrays, such as (x, labels)")),
    "labels in a list": Wrong(lambda r: batches(r, (normal(r, B, D), [0, 1, 2]), 2, 5),
        ("batches", "arrays[1]", "is a list", "expected a NumPy array")),
    "NaN in the data": Wrong(lambda r: batches(r, (with_entry(normal(r, B, D), (2, 1), np.nan), labels(r)), 2, 5),
        ("batches", "arrays[0]", "1 values that are not finite, the first at [2, 1] (nan)", "expected finite numbers")),
    "infinity in the data": Wrong(lambda r: batches(r, (labels(r), with_entry(normal(r, B), (0,), np.inf)), 2, 5),
        ("batches", "arrays[1]", "the first at [0] (inf)", "expected finite numbers")),
    "patience 0": Wrong(lambda r: should_stop([1.0, 2.0], 0),
        ("should_stop", "patience", "is 0", "expected at least 1")),
    "float32 in the gradient check": Wrong(lambda r: check(r, np.ones(D, np.float32)),
        ("check_gradients", "x", "has dtype float32", "expected float64")),
    "NaN in the gradient check": Wrong(lambda r: check(r, np.array([1, np.nan])),
        ("check_gradients", "x", "first at [1] (nan)", "expected finite numbers")),
    "integers in numerical_gradient": Wrong(lambda r: numerical_gradient(lambda x: 0.0, np.ones(D, int)),
        ("numerical_gradient", "x", "has dtype int64", "expected float64")),
    "trees of two structures": Wrong(lambda r: tree_map(lambda a, b: a, (1, 2), [1, 2]),
        ("tree_map", "at the root", "list(0, 1)", "expected tuple(0, 1)")),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_error_names_function_argument_received_and_expected(name: str, rng: np.random.Generator) -> None:
    call, parts = CASES[name]
    with pytest.raises(ValueError) as raised:  # noqa: PT011 the whole message is compared below
        call(rng)
    message = str(raised.value)
    assert message.startswith(f"{parts[0]}: ")
    position = 0
    for part in parts:
        position = message.find(part, position)
        assert position >= 0, f"{part!r} is missing, or not in its place, in {message!r}"
        position += len(part)
    assert "\n" not in message
    assert len(message) < 250


def test_right_calls_of_the_same_entry_points_pass(rng: np.random.Generator) -> None:
    """The table above would also be satisfied by functions that refuse everything."""
    for f in LAYERS.values():
        f(rng, normal(rng, B, D))
    for f in WITH_LABELS.values():
        f(rng, np.array([0, 5, 0], np.int32))
    bce(normal(rng, B, K), np.eye(B, K))
    mse(normal(rng, B, K), normal(rng, B, K))
    feedforward(net(rng), normal(rng, B, D), dropout_rate=0.999, rng=rng)
    for name in optim.OPTIMIZERS:
        update(rng, name, {"W": normal(rng, H, D), "b": normal(rng, H)})
    assert len(list(batches(rng, [normal(rng, B, D), labels(rng)], np.int64(2), 5))) == 5
    ops.embedding(normal(rng, V, D), np.array([[0, 6]], np.uint8))
