"""The NumPy network against its PyTorch twin: logits, every gradient, dropout with the same masks, and the loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from companion import feedforward as ours
from companion import ops
from companion.pytorch import copy_params, grads_like
from companion.pytorch import feedforward as twin
from companion.tree import tree_items, tree_leaves, tree_map

B, D, H, K = 3, 4, 5, 6
SIZES = {1: (D, K), 2: (D, H, K), 3: (D, H, 7, K)}
ACTIVATIONS = {
    "tanh": (ops.TANH, torch.tanh),
    "relu": (ops.RELU, torch.relu),
    "sigmoid": (ops.SIGMOID, torch.sigmoid),
}
TOLERANCE = {np.float64: 1e-10, np.float32: 2e-5}
LABELS = np.array([4, 0, 4])


def random_params(rng: np.random.Generator, sizes: tuple[int, ...], dtype: Any = np.float64) -> Any:
    """Random biases too: zeros would hide a bias that is lost or taken twice."""
    params = ours.feedforward_init(rng, sizes, dtype)
    return tree_map(lambda p: (p + 0.5 * rng.normal(size=p.shape)).astype(dtype), params)


def twin_of(params: Any, sizes: tuple[int, ...], activation: Any, dropout_rate: float = 0.0) -> twin.Feedforward:
    module = twin.Feedforward(sizes, activation, dropout_rate)
    module = module.to(torch.from_numpy(tree_leaves(params)[0]).dtype)
    copy_params(params, module)
    return module


def require_equal(a: Any, b: Any, dtype: Any) -> None:
    assert type(a) is type(b)
    for (name, x), (_, y) in zip(tree_items(a), tree_items(b), strict=True):
        assert x.dtype == y.dtype == dtype, name
        np.testing.assert_allclose(x, y, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype], err_msg=name)
        assert np.abs(y).max() > 1e-3, f"{name} is nearly zero, so that nothing was compared"


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("n_layers", SIZES)
def test_logits_and_every_gradient_equal_those_of_the_twin(
    n_layers: int, activation: str, dtype: Any, rng: np.random.Generator
) -> None:
    sizes, (phi, torch_phi) = SIZES[n_layers], ACTIVATIONS[activation]
    params = random_params(rng, sizes, dtype)
    module = twin_of(params, sizes, torch_phi)
    x, dy = rng.normal(size=(B, D)).astype(dtype), rng.normal(size=(B, K)).astype(dtype)

    logits, cache = ours.feedforward(params, x, phi)
    grads, dx = ours.feedforward_backward(params, cache, dy)
    torch_x = torch.tensor(x, requires_grad=True)
    torch_logits = module(torch_x)
    torch_logits.backward(torch.from_numpy(dy))

    require_equal(logits, torch_logits.detach().numpy(), dtype)
    require_equal(grads, grads_like(params, module), dtype)
    require_equal(dx, torch_x.grad.numpy(), dtype)


def test_another_activation_does_not_pass_for_equal(rng: np.random.Generator) -> None:
    params, x = random_params(rng, SIZES[3]), rng.normal(size=(B, D))
    theirs = twin_of(params, SIZES[3], torch.tanh)(torch.from_numpy(x)).detach().numpy()
    for activation in (ops.SIGMOID, ops.RELU):
        with pytest.raises(AssertionError):
            require_equal(ours.feedforward(params, x, activation)[0], theirs, np.float64)


class GivenDropout(nn.Module):
    """Stands in for nn.Dropout and multiplies by the masks it was given, one a call."""

    def __init__(self, masks: list[Any]) -> None:
        super().__init__()
        self.masks = iter(masks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.from_numpy(next(self.masks))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("n_layers", [2, 3])
def test_dropout_with_the_same_masks_equals_the_twin(n_layers: int, activation: str, rng: np.random.Generator) -> None:
    sizes, (phi, torch_phi) = SIZES[n_layers], ACTIVATIONS[activation]
    params = random_params(rng, sizes)
    x, dy = rng.normal(size=(B, D)), rng.normal(size=(B, K))
    logits, cache = ours.feedforward(params, x, phi, dropout_rate=0.4, rng=rng)
    masks = [layer.mask for layer in cache.hidden]
    assert all(0 < (mask == 0).sum() < mask.size for mask in masks)
    grads, dx = ours.feedforward_backward(params, cache, dy)

    module = twin_of(params, sizes, torch_phi, dropout_rate=0.4)
    module.dropout = GivenDropout(masks)
    torch_x = torch.tensor(x, requires_grad=True)
    torch_logits = module(torch_x)
    torch_logits.backward(torch.from_numpy(dy))
    require_equal(logits, torch_logits.detach().numpy(), np.float64)
    require_equal(grads, grads_like(params, module), np.float64)
    require_equal(dx, torch_x.grad.numpy(), np.float64)


def test_dropout_of_the_twin_ends_with_training_and_never_touches_the_logits(rng: np.random.Generator) -> None:
    params, x = random_params(rng, SIZES[2]), rng.normal(size=(B, D))
    module = twin_of(params, SIZES[2], torch.tanh, dropout_rate=0.4)
    expected, _ = ours.feedforward(params, x)
    training = module(torch.from_numpy(x)).detach().numpy()
    assert not np.allclose(training, expected)
    assert (training != 0).all()
    require_equal(module.eval()(torch.from_numpy(x)).detach().numpy(), expected, np.float64)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_classification_loss_and_its_gradient_equal_torch(
    activation: str, dtype: Any, rng: np.random.Generator
) -> None:
    phi, torch_phi = ACTIVATIONS[activation]
    params, x = random_params(rng, SIZES[3], dtype), rng.normal(size=(B, D)).astype(dtype)
    loss, grads = ours.classification_loss(params, x, LABELS, phi)
    module = twin_of(params, SIZES[3], torch_phi)
    torch_loss = nn.functional.cross_entropy(module(torch.from_numpy(x)), torch.from_numpy(LABELS))
    torch_loss.backward()
    assert loss == pytest.approx(torch_loss.item(), rel=TOLERANCE[dtype])
    require_equal(grads, grads_like(params, module), dtype)


def test_the_two_initialisations_draw_from_the_same_distribution(rng: np.random.Generator) -> None:
    sizes = (300, 200, 100)
    params = ours.feedforward_init(rng, sizes)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = twin.Feedforward(sizes)
    for layer, torch_layer in zip(params.layers, module.layers, strict=True):
        W, torch_W = layer.W, torch_layer.W.detach().numpy()
        assert W.shape == torch_W.shape
        for quantile in (0.001, 0.1, 0.25, 0.75, 0.9, 0.999):
            assert np.quantile(W, quantile) == pytest.approx(np.quantile(torch_W, quantile), abs=0.05 * W.max())
        np.testing.assert_array_equal(layer.b, torch_layer.b.detach().numpy())


def test_copying_wrong_names_or_shapes_is_an_error_and_copies_nothing(rng: np.random.Generator) -> None:
    module = twin.Feedforward(SIZES[2])
    before = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
    right = random_params(rng, SIZES[2])
    last = right.layers[-1]
    for wrong, fragment in (
        (right.layers, r"copy_params: params has \{'0\.W': \(5, 4\).*expected \{'layers\.0\.W': \(5, 4\)"),
        (ours.FeedforwardParams((right.layers[0], last._replace(W=last.W.T))), r"'layers\.1\.W': \(5, 6\).*expected"),
        (ours.FeedforwardParams(right.layers[:1]), r"copy_params: params has .*expected .*'layers\.1\.b': \(6,\)"),
    ):
        with pytest.raises(ValueError, match=fragment):
            copy_params(wrong, module)
    for name, parameter in module.named_parameters():
        assert torch.equal(parameter, before[name])


def test_copies_do_not_share_memory_in_either_direction(rng: np.random.Generator) -> None:
    params = random_params(rng, SIZES[2])
    before = tree_map(np.copy, params)
    module = twin_of(params, SIZES[2], torch.tanh)
    module(torch.from_numpy(rng.normal(size=(B, D)))).sum().backward()
    grads = grads_like(params, module)
    kept = tree_map(np.copy, grads)
    torch.optim.SGD(module.parameters(), lr=0.5).step()
    for parameter in module.parameters():
        parameter.grad.zero_()
    require_equal(params, before, np.float64)
    require_equal(grads, kept, np.float64)


def test_gradients_before_backward_are_an_error(rng: np.random.Generator) -> None:
    params = random_params(rng, SIZES[2])
    with pytest.raises(ValueError, match=r"grads_like: layers\.0\.W has no gradient, expected a call of backward"):
        grads_like(params, twin_of(params, SIZES[2], torch.tanh))
