"""The NumPy log-linear model against its PyTorch twin: logits, loss and every gradient, name by name."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from companion import log_linear as ours
from companion import ops
from companion.pytorch import copy_params, grads_like
from companion.pytorch.log_linear import LogLinear
from companion.tree import tree_items, tree_map

N, V = 40, 5
TOLERANCE = {np.float64: 1e-10, np.float32: 2e-5}
every_dtype = pytest.mark.parametrize("dtype", TOLERANCE)
every_order = pytest.mark.parametrize("order", [1, 2, 4])


def problem(rng: np.random.Generator, order: int, dtype: Any) -> tuple[ours.LogLinearParams, LogLinear, Any, Any]:
    """Random parameters, biases too, the twin that has them, contexts from the very start of a text, and its symbols."""
    params = tree_map(lambda p: rng.normal(size=p.shape).astype(dtype), ours.log_linear_init(rng, order, V, dtype))
    module = LogLinear(order, V).to(torch.from_numpy(params.b).dtype)
    copy_params(params, module)
    ids = rng.integers(0, V, N)
    return params, module, ours.contexts(ids, order, V), ids


def require_equal(a: Any, b: Any, dtype: Any) -> None:
    for (name, x), (_, y) in zip(tree_items(a), tree_items(b), strict=True):
        assert x.dtype == y.dtype == dtype, name
        assert x.shape == y.shape, name
        np.testing.assert_allclose(x, y, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype], err_msg=name)
        assert not x.size or np.abs(y).max() > 1e-3, f"{name} is nearly zero, so that nothing was compared"


@every_dtype
@every_order
def test_logits_and_every_gradient_equal_those_of_the_twin(order: int, dtype: Any, rng: np.random.Generator) -> None:
    params, module, before, _ = problem(rng, order, dtype)
    dlogits = rng.normal(size=(N, V)).astype(dtype)
    logits, cache = ours.log_linear(params, before)
    grads = ours.log_linear_backward(params, cache, dlogits)
    theirs = module(torch.from_numpy(before))
    theirs.backward(torch.from_numpy(dlogits))
    require_equal(logits, theirs.detach().numpy(), dtype)
    require_equal(grads, grads_like(params, module), dtype)


@every_dtype
@every_order
def test_the_loss_and_its_gradient_equal_torch(order: int, dtype: Any, rng: np.random.Generator) -> None:
    params, module, before, ids = problem(rng, order, dtype)
    logits, cache = ours.log_linear(params, before)
    loss, loss_cache = ops.cross_entropy(logits, ids)
    grads = ours.log_linear_backward(params, cache, ops.cross_entropy_backward(loss_cache))
    theirs = cross_entropy(module(torch.from_numpy(before)), torch.from_numpy(ids))
    theirs.backward()
    assert loss == pytest.approx(theirs.item(), rel=TOLERANCE[dtype])
    require_equal(grads, grads_like(params, module), dtype)


def test_places_in_another_order_do_not_pass_for_equal(rng: np.random.Generator) -> None:
    params, module, before, _ = problem(rng, 4, np.float64)
    theirs = module(torch.from_numpy(before[:, ::-1].copy())).detach().numpy()
    with pytest.raises(AssertionError):
        require_equal(ours.log_linear(params, before)[0], theirs, np.float64)


@pytest.mark.parametrize(
    ("before", "message"),
    [
        (torch.zeros(9, 1, dtype=torch.int64), "contexts has shape (9, 1), expected (N, 3)"),
        (torch.zeros(3, dtype=torch.int64), "contexts has shape (3,), expected (N, 3)"),
        (torch.full((9, 3), -1), "contexts[0, 0] is -1, expected integers in 0..5"),
        (torch.full((9, 3), V + 1), "contexts[0, 0] is 6, expected integers in 0..5"),
        (torch.zeros(9, 3), "contexts has dtype float32, expected a NumPy array of integers"),
        (np.zeros((9, 3), int), "contexts is a ndarray, expected Tensor"),
    ],
    ids=str,
)
def test_contexts_that_do_not_fit_are_refused(before: Any, message: str) -> None:
    with pytest.raises(ValueError, match="^LogLinear: " + re.escape(message)):
        LogLinear(4, V)(before)


def test_integers_of_another_size_are_contexts_too(rng: np.random.Generator) -> None:
    _, module, before, _ = problem(rng, 3, np.float64)
    expected = module(torch.from_numpy(before))
    for dtype in (torch.uint8, torch.int16):
        assert torch.equal(module(torch.from_numpy(before).to(dtype)), expected)


def test_the_two_initialisations_draw_from_the_same_distribution(rng: np.random.Generator) -> None:
    params = ours.log_linear_init(rng, 3, 100)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = LogLinear(3, 100)
    W, torch_W = params.W, module.W.detach().numpy()
    for quantile in (0.001, 0.1, 0.25, 0.75, 0.9, 0.999):
        assert np.quantile(W, quantile) == pytest.approx(np.quantile(torch_W, quantile), abs=0.05 * W.max())
    np.testing.assert_array_equal(params.b, module.b.detach().numpy())
