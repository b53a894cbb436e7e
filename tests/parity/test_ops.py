"""Every operation and loss against torch.nn.functional and autograd: the forward pass and every gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch.nn import functional

from companion import ops

B, T, D, H, K, V = 3, 2, 4, 5, 6, 7
TOLERANCE = {np.float64: 1e-10, np.float32: 2e-5}
IDS = np.array([[2, 6], [2, 0], [5, 2]])
LABELS = np.array([4, 0, 4])
DLOSS = -1.7

Arrays = dict[str, Any]


class Case(NamedTuple):
    """One operation in both libraries."""

    shapes: dict[str, tuple[int, ...]]  # of the inputs that have a gradient
    ours: Callable[..., tuple[Any, Arrays]]  # (dy, **inputs) -> y, gradients
    theirs: Callable[..., torch.Tensor]  # **inputs -> y


def elementwise(forward: Callable[..., Any], backward: Callable[..., Any], theirs: Callable[..., Any]) -> Case:
    def ours(dy: Any, z: Any) -> tuple[Any, Arrays]:
        y = forward(z)
        return y, {"z": backward(y, dy)}

    return Case({"z": (B, T, K)}, ours, theirs)


def linear(dy: Any, W: Any, b: Any, x: Any) -> tuple[Any, Arrays]:
    params = ops.LinearParams(W, b)
    y, cache = ops.linear(params, x)
    grads, dx = ops.linear_backward(params, cache, dy)
    return y, {"W": grads.W, "b": grads.b, "x": dx}


def embedding(dy: Any, table: Any) -> tuple[Any, Arrays]:
    y, cache = ops.embedding(table, IDS)
    return y, {"table": ops.embedding_backward(table, cache, dy)}


def dropout(dy: Any, x: Any) -> tuple[Any, Arrays]:
    y, mask = ops.dropout(x, 0.3, np.random.default_rng(5))
    return y, {"x": ops.dropout_backward(mask, dy)}


def torch_dropout(x: torch.Tensor) -> torch.Tensor:
    """Torch's dropout of ones gives the value of what is kept, our stream of random numbers says which."""
    kept = torch.from_numpy(np.random.default_rng(5).random((B, K)) >= 0.3)
    factor = functional.dropout(torch.ones(1000, dtype=x.dtype), 0.3).max()
    return x * kept * factor


def loss(forward: Callable[..., Any], backward: Callable[..., Any], theirs: Callable[..., Any], target: str) -> Case:
    """A loss of z with integer labels or with targets between 0 and 1 of the dtype of z."""
    targets = LABELS if target == "labels" else np.random.default_rng(3).uniform(0.05, 0.95, (B, K))

    def of_dtype(dtype: Any) -> Any:
        return targets if target == "labels" else targets.astype(dtype)

    def ours(dy: Any, z: Any) -> tuple[Any, Arrays]:
        value, cache = forward(z, of_dtype(z.dtype))
        assert isinstance(value, float)
        return np.asarray(value, z.dtype), {"z": backward(cache, float(dy))}

    return Case({"z": (B, K)}, ours, lambda z: theirs(z, torch.from_numpy(of_dtype(z.detach().numpy().dtype))))


CASES = {
    "sigmoid": elementwise(ops.sigmoid, ops.sigmoid_backward, lambda z: torch.sigmoid(z)),
    "tanh": elementwise(ops.tanh, ops.tanh_backward, lambda z: torch.tanh(z)),
    "relu": elementwise(ops.relu, ops.relu_backward, lambda z: torch.relu(z)),
    "SIGMOID": elementwise(*ops.SIGMOID, lambda z: torch.sigmoid(z)),
    "TANH": elementwise(*ops.TANH, lambda z: torch.tanh(z)),
    "RELU": elementwise(*ops.RELU, lambda z: torch.relu(z)),
    "softmax": elementwise(ops.softmax, ops.softmax_backward, lambda z: torch.softmax(z, -1)),
    "log_softmax": elementwise(ops.log_softmax, ops.log_softmax_backward, lambda z: torch.log_softmax(z, -1)),
    "linear": Case({"W": (H, D), "b": (H,), "x": (B, D)}, linear, lambda W, b, x: functional.linear(x, W, b)),
    "embedding": Case({"table": (V, D)}, embedding, lambda table: functional.embedding(torch.from_numpy(IDS), table)),
    "dropout": Case({"x": (B, K)}, dropout, torch_dropout),
    "cross_entropy": loss(ops.cross_entropy, ops.cross_entropy_backward, functional.cross_entropy, "labels"),
    "binary_cross_entropy": loss(
        ops.binary_cross_entropy,
        ops.binary_cross_entropy_backward,
        functional.binary_cross_entropy_with_logits,
        "targets",
    ),
    "mean_squared_error": loss(ops.mean_squared_error, ops.mean_squared_error_backward, functional.mse_loss, "targets"),
}


def both(case: Case, inputs: Arrays, rng: np.random.Generator) -> tuple[Arrays, Arrays]:
    """Outputs and gradients by name, ours and torch's, for one random upstream gradient."""
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in inputs.items()}
    y = case.theirs(**tensors)
    dy = rng.normal(size=tuple(y.shape)) if y.ndim else np.asarray(DLOSS)
    dy = dy.astype(y.detach().numpy().dtype)
    y.backward(torch.from_numpy(dy))
    theirs = {"y": y.detach().numpy()} | {f"d{name}": tensor.grad.numpy() for name, tensor in tensors.items()}
    ours_y, grads = case.ours(dy, **inputs)
    return {"y": ours_y} | {f"d{name}": grad for name, grad in grads.items()}, theirs


def require_equal(ours: Arrays, theirs: Arrays, dtype: Any) -> None:
    assert ours.keys() == theirs.keys()
    for name in theirs:
        assert ours[name].dtype == theirs[name].dtype == dtype, name
        assert ours[name].shape == theirs[name].shape, name
        np.testing.assert_allclose(ours[name], theirs[name], rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype], err_msg=name)
        assert np.abs(theirs[name]).max() > 1e-3, f"{name} is nearly zero, so that nothing was compared"


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", CASES)
def test_the_operation_and_its_gradients_equal_those_of_torch(name: str, dtype: Any, rng: np.random.Generator) -> None:
    case = CASES[name]
    inputs = {key: (1.5 * rng.normal(size=shape)).astype(dtype) for key, shape in case.shapes.items()}
    require_equal(*both(case, inputs, rng), dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", CASES)
def test_a_difference_of_ten_tolerances_in_one_gradient_would_be_seen(
    name: str, dtype: Any, rng: np.random.Generator
) -> None:
    case = CASES[name]
    inputs = {key: (1.5 * rng.normal(size=shape)).astype(dtype) for key, shape in case.shapes.items()}
    ours, theirs = both(case, inputs, rng)
    for key in ours:
        wrong = ours[key] + np.asarray(10 * TOLERANCE[dtype] * np.abs(ours[key]).max() + 10 * TOLERANCE[dtype], dtype)
        with pytest.raises(AssertionError, match=key):
            require_equal(ours | {key: wrong.astype(dtype)}, theirs, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", ["cross_entropy", "binary_cross_entropy", "log_softmax", "sigmoid"])
def test_huge_logits_give_what_torch_gives(name: str, dtype: Any, rng: np.random.Generator) -> None:
    case = CASES[name]
    shape = case.shapes["z"]
    z = rng.choice([-1e4, 1e4], shape) + rng.normal(size=shape)
    ours, theirs = both(case, {"z": z.astype(dtype)}, rng)
    for key in theirs:
        assert np.isfinite(ours[key]).all()
        np.testing.assert_allclose(ours[key], theirs[key], rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_masks_hold_the_same_two_values_as_those_of_torch(rate: float, rng: np.random.Generator) -> None:
    _, ours = ops.dropout(rng.normal(size=(40, 50)), rate, rng)
    theirs = functional.dropout(torch.ones(40, 50), rate).numpy()
    np.testing.assert_allclose(np.unique(ours), np.unique(theirs), rtol=1e-12)
    assert len(np.unique(ours)) == 2


def test_every_operation_with_a_backward_pass_stands_in_the_table() -> None:
    pairs = {name.removesuffix("_backward") for name in vars(ops) if name.endswith("_backward")}
    assert pairs - set(CASES) == set()
