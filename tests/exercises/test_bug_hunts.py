"""What the statements of the bug hunts say of the bugs is so."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from companion import ops, optim
from companion.data.digits import load_digits
from companion.exercises.nn import hunt_relu, hunt_skip
from companion.train import batches, fit

DIGITS = load_digits()


def validation_loss(layer: Any, backward: Any, sizes: tuple[int, ...], seed: int) -> float:
    """Of a network of these layers with a linear one on top, after 400 steps of gradient descent on the digits."""
    rng = np.random.default_rng(seed)
    weights = [ops.linear_init(rng, a, b) for a, b in pairwise(sizes)]

    def loss_and_grads(params: Any, x: Any, labels: Any) -> Any:
        caches = []
        for hidden in params[:-1]:
            x, cache = layer(x, *hidden)
            caches.append(cache)
        logits, cache = ops.linear(params[-1], x)
        loss, loss_cache = ops.cross_entropy(logits, labels)
        last, dx = ops.linear_backward(params[-1], cache, ops.cross_entropy_backward(loss_cache))
        grads = [last]
        for cache in reversed(caches):
            dx, dW, db = backward(cache, dx)
            grads.append(ops.LinearParams(dW, db))
        return loss, grads[::-1]

    *_, step = fit(loss_and_grads, weights, batches(rng, DIGITS.train, 32, 400), optim.sgd(0.1))
    return float(loss_and_grads(step.params, *DIGITS.validation)[0])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_buggy_relu_network_stays_at_the_loss_of_guessing(seed: int) -> None:
    sizes = (64, 32, 32, 10)
    assert validation_loss(hunt_relu.relu_layer, hunt_relu.buggy_backward, sizes, seed) > 2.2
    assert validation_loss(hunt_relu.relu_layer, hunt_relu.relu_layer_backward, sizes, seed) < 0.5


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_buggy_skip_layer_is_harmless_alone_and_a_little_worse_among_three(seed: int) -> None:
    right, wrong = hunt_skip.skip_layer_backward, hunt_skip.buggy_backward
    alone = (64, 64, 10)
    assert validation_loss(hunt_skip.skip_layer, wrong, alone, seed) == validation_loss(
        hunt_skip.skip_layer, right, alone, seed
    )
    three = (64, 64, 64, 64, 10)
    with_bug = validation_loss(hunt_skip.skip_layer, wrong, three, seed)
    without = validation_loss(hunt_skip.skip_layer, right, three, seed)
    assert 1.02 * without < with_bug < 2 * without
