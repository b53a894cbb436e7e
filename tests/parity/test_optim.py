"""Every optimiser against torch.optim for 50 steps, and clipping against torch.nn.utils."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from companion import optim
from companion.ops import LinearParams
from companion.tree import tree_dot, tree_items, tree_leaves, tree_map

D, H, K = 4, 5, 6
N_STEPS = 50
DECAY = 0.03

Twin = Callable[..., torch.optim.Optimizer]

# name: (settings of ours, torch's class with the same settings); none is at its default
PAIRS: dict[str, tuple[dict[str, float], Twin]] = {
    "sgd": ({"learning_rate": 0.05}, lambda p, **kw: torch.optim.SGD(p, lr=0.05, **kw)),
    "momentum": ({"learning_rate": 0.02, "mu": 0.8}, lambda p, **kw: torch.optim.SGD(p, lr=0.02, momentum=0.8, **kw)),
    "adagrad": (
        {"learning_rate": 0.07, "epsilon": 1e-3},
        lambda p, **kw: torch.optim.Adagrad(p, lr=0.07, eps=1e-3, **kw),
    ),
    "adadelta": (
        {"learning_rate": 0.6, "rho": 0.8, "epsilon": 1e-3},
        lambda p, **kw: torch.optim.Adadelta(p, lr=0.6, rho=0.8, eps=1e-3, **kw),
    ),
    "rmsprop": (
        {"learning_rate": 0.02, "rho": 0.8, "epsilon": 1e-3},
        lambda p, **kw: torch.optim.RMSprop(p, lr=0.02, alpha=0.8, eps=1e-3, **kw),
    ),
    "adam": (
        {"learning_rate": 0.03, "beta1": 0.7, "beta2": 0.95, "epsilon": 1e-3},
        lambda p, **kw: torch.optim.Adam(p, lr=0.03, betas=(0.7, 0.95), eps=1e-3, **kw),
    ),
}
DEFAULTS: dict[str, Twin] = {
    "sgd": torch.optim.SGD,
    "momentum": lambda p: torch.optim.SGD(p, momentum=0.9),
    "adagrad": torch.optim.Adagrad,
    "adadelta": torch.optim.Adadelta,
    "rmsprop": torch.optim.RMSprop,
    "adam": torch.optim.Adam,
}


def some_params(rng: np.random.Generator) -> dict[str, Any]:
    layers = tuple(LinearParams(rng.normal(size=(n, D)), rng.normal(size=n)) for n in (H, K))
    return {"layers": layers, "extra": [rng.normal(size=(2, 3, 7))]}


def gradients(params: Any, step: int) -> Any:
    """A gradient that depends on the parameters and has noise of its own in every step."""
    noise = np.random.default_rng(step)
    return tree_map(lambda p: np.sin(3 * p) + 0.5 * p + noise.normal(size=p.shape), params)


def ours(optimizer: optim.Optimizer, params: Any) -> list[Any]:
    """The parameters after every step."""
    state, history = optimizer.init(params), []
    for step in range(N_STEPS):
        params, state = optimizer.update(params, gradients(params, step), state)
        history.append(params)
    return history


def theirs(twin: Twin, params: Any, **settings: float) -> list[Any]:
    tensors = [torch.tensor(leaf, requires_grad=True) for leaf in tree_leaves(params)]
    optimizer, history = twin(tensors, **settings), []
    for step in range(N_STEPS):
        remaining = iter(tensors)
        current = tree_map(lambda _: next(remaining).detach().numpy().copy(), params)  # noqa: B023
        for tensor, gradient in zip(tensors, tree_leaves(gradients(current, step)), strict=True):
            tensor.grad = torch.from_numpy(gradient)
        optimizer.step()
        remaining = iter(tensors)
        history.append(tree_map(lambda _: next(remaining).detach().numpy().copy(), params))  # noqa: B023
    return history


def largest_difference(a: list[Any], b: list[Any]) -> float:
    pairs = zip(tree_leaves(a), tree_leaves(b), strict=True)
    return max(float(np.abs(x - y).max()) for x, y in pairs)


def test_every_optimiser_has_a_parity_test() -> None:
    assert set(PAIRS) == set(DEFAULTS) == set(optim.OPTIMIZERS)


@pytest.mark.parametrize("weight_decay", [0.0, DECAY])
@pytest.mark.parametrize("name", PAIRS)
def test_fifty_steps_equal_those_of_torch(name: str, weight_decay: float, rng: np.random.Generator) -> None:
    settings, twin = PAIRS[name]
    params = some_params(rng)
    mine = ours(optim.optimizer(name, weight_decay=weight_decay, **settings), params)
    assert largest_difference(mine, theirs(twin, params, weight_decay=weight_decay)) < 1e-10
    assert all(np.abs(a - b).min() > 0 for a, b in zip(tree_leaves(mine[-1]), tree_leaves(params), strict=True))


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_defaults_are_those_of_torch(name: str, rng: np.random.Generator) -> None:
    params = some_params(rng)
    assert largest_difference(ours(optim.OPTIMIZERS[name](), params), theirs(DEFAULTS[name], params)) < 1e-10


@pytest.mark.parametrize(
    ("name", "setting"),
    [(name, key) for name, (settings, _) in PAIRS.items() for key in (*settings, "weight_decay")],
)
def test_every_setting_reaches_the_result(name: str, setting: str, rng: np.random.Generator) -> None:
    """A setting 1 % off must not pass for equal."""
    settings, twin = PAIRS[name]
    settings = settings | {"weight_decay": DECAY}
    wrong = settings | {setting: settings[setting] * 0.99}
    params = some_params(rng)
    reference = theirs(twin, params, weight_decay=DECAY)
    assert largest_difference(ours(optim.optimizer(name, **settings), params), reference) < 1e-10
    assert largest_difference(ours(optim.optimizer(name, **wrong), params), reference) > 1e-6


@pytest.mark.parametrize("name", PAIRS)
def test_an_update_modifies_no_argument_and_keeps_float32(name: str, rng: np.random.Generator) -> None:
    optimizer = optim.optimizer(name, **PAIRS[name][0], weight_decay=DECAY)
    params = tree_map(lambda p: p.astype(np.float32), some_params(rng))
    grads = tree_map(lambda p: rng.normal(size=p.shape).astype(np.float32), params)
    _, state = optimizer.update(params, grads, optimizer.init(params))  # a state that is not zero
    before = tree_map(np.copy, (params, grads, state))
    result, new_state = optimizer.update(params, grads, state)
    for (path, now), then in zip(tree_items((params, grads, state)), tree_leaves(before), strict=True):
        np.testing.assert_array_equal(now, then, err_msg=path)
    for path, array in tree_items((result, new_state)):
        assert isinstance(array, int) or array.dtype == np.float32, path


@pytest.mark.parametrize("max_norm", [0.5, 3.0, 1e3])
def test_clipping_equals_torch_up_to_what_torch_adds_to_the_norm(max_norm: float, rng: np.random.Generator) -> None:
    """Torch divides by norm + 1e-6, we by the norm: exactly this factor apart when the gradient is clipped."""
    grads = some_params(rng)
    tensors = [torch.zeros(leaf.shape) for leaf in tree_leaves(grads)]
    for tensor, gradient in zip(tensors, tree_leaves(grads), strict=True):
        tensor.grad = torch.tensor(gradient)
    their_norm = torch.nn.utils.clip_grad_norm_(tensors, max_norm).item()
    clipped, norm = optim.clip_by_norm(grads, max_norm)
    assert norm == pytest.approx(their_norm, rel=1e-13)
    factor = (norm + 1e-6) / norm if norm > max_norm else 1.0
    for a, b in zip(tree_leaves(clipped), tensors, strict=True):
        np.testing.assert_allclose(a, b.grad.numpy() * factor, rtol=1e-13)


def test_clipping_gives_exactly_the_largest_norm_and_keeps_the_direction(rng: np.random.Generator) -> None:
    grads = some_params(rng)
    clipped, norm = optim.clip_by_norm(grads, 0.7)
    length = np.linalg.norm(np.concatenate([leaf.ravel() for leaf in tree_leaves(clipped)]))
    assert norm > 0.7
    assert length == pytest.approx(0.7, rel=1e-14)
    assert tree_dot(clipped, grads) == pytest.approx(norm * 0.7, rel=1e-14)
    for a, b in zip(tree_leaves(clipped), tree_leaves(grads), strict=True):
        np.testing.assert_allclose(a / b, 0.7 / norm, rtol=1e-13)


def test_clipping_leaves_a_small_gradient_exactly_as_it_is(rng: np.random.Generator) -> None:
    grads = some_params(rng)
    norm = float(np.sqrt(tree_dot(grads, grads)))
    for max_norm in (norm, 1.001 * norm, 1e9):
        clipped, received = optim.clip_by_norm(grads, max_norm)
        assert received == norm
        for a, b in zip(tree_leaves(clipped), tree_leaves(grads), strict=True):
            np.testing.assert_array_equal(a, b)


def test_clipping_a_gradient_of_zero_gives_zero() -> None:
    clipped, norm = optim.clip_by_norm({"W": np.zeros((H, D)), "b": np.zeros(H)}, 0.5)
    assert norm == 0
    np.testing.assert_array_equal(clipped["W"], np.zeros((H, D)))
    np.testing.assert_array_equal(clipped["b"], np.zeros(H))


def test_clipping_modifies_no_argument_and_keeps_float32(rng: np.random.Generator) -> None:
    grads = {"W": rng.normal(size=(H, D)).astype(np.float32)}
    before = grads["W"].copy()
    clipped, norm = optim.clip_by_norm(grads, 0.1)
    np.testing.assert_array_equal(grads["W"], before)
    assert clipped["W"].dtype == np.float32
    assert norm == pytest.approx(np.linalg.norm(before.astype(np.float64)), rel=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_clipping_a_gradient_that_is_not_finite_is_an_error(value: float) -> None:
    with pytest.raises(ValueError, match=rf"clip_by_norm: the norm of grads is {value}, expected a finite number"):
        optim.clip_by_norm([np.array([1.0, value]), np.array([2.0])], 0.5)
