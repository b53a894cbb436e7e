"""What the statements of the bug hunts of *Bidirectional networks* say of the bugs is so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from companion import optim
from companion.bidirectional import reverse
from companion.bptt import prefix_mask
from companion.exercises.bi import hunt_reverse, hunt_stream
from companion.exercises.bi.masked_loss import masked_cross_entropy
from companion.gradcheck import GradientError, check_gradients

NAMES = ("W_x", "W_h", "b", "xs")  # in the order in which the statement says that they are checked


def check(backward: Any, *lengths: int) -> Any:
    """The gradient check of the layer on a batch of these lengths, as the chapter shows it."""
    rng = np.random.default_rng(0)
    inputs = {"W_x": rng.normal(size=(5, 4)) / 2, "W_h": rng.normal(size=(5, 5)) / 2, "b": rng.normal(size=5)}
    inputs["xs"], z_end = rng.normal(size=(7, 3, 4)), rng.normal(size=(3, 5))
    mask = prefix_mask(np.array(lengths), 7)

    def gradients(cache: Any, dzs: Any) -> Any:
        found = dict(zip(("xs", "W_x", "W_h", "b"), backward(cache, dzs)))
        return {name: found[name] for name in NAMES}

    return check_gradients(
        lambda W_x, W_h, b, xs: hunt_reverse.backward_layer(xs, mask, z_end, W_x, W_h, b), gradients, inputs, rng
    )


def test_reversed_padding_passes_the_gradient_check_when_all_lengths_are_equal() -> None:
    assert check(hunt_reverse.buggy_backward, 7, 7, 7).worst < 1e-7
    assert check(hunt_reverse.repaired_backward, 7, 4, 2).worst < 1e-7


def test_reversed_padding_fails_the_gradient_check_when_lengths_differ() -> None:
    with pytest.raises(GradientError, match="gradient of W_x differs") as caught:
        check(hunt_reverse.buggy_backward, 7, 4, 2)
    assert str(caught.value).count("gradient of") == 1
    statement = " ".join(hunt_reverse.EXERCISE.statement.split())
    assert "it stops at W_x, the first of W_x, W_h, b and xs, which it takes in this order" in statement


def accuracy(backward: Any, seed: int) -> float:
    """Of a tagger after 200 steps: the label of a letter is its number plus that of the next letter, modulo 4."""
    rng = np.random.default_rng(seed)
    K, H, T, B = 4, 16, 10, 16
    W_x, W_h, V = rng.normal(size=(H, K)) / 2, rng.normal(size=(H, H)) / 4, rng.normal(size=(K, H)) / 4
    params = {"W_x": W_x, "W_h": W_h, "b": np.zeros(H), "V": V, "c": np.zeros(K)}
    optimizer = optim.adam(1e-2)
    state = optimizer.init(params)
    right = 0.0
    for _ in range(200):
        mask = prefix_mask(rng.integers(2, T + 1, size=B), T)
        letters = rng.integers(K, size=(T, B)) * mask
        labels = (letters + np.concatenate([letters[1:], np.zeros_like(letters[:1])])) % K
        weights = (params[name] for name in ("W_x", "W_h", "b"))
        zs, cache = hunt_reverse.backward_layer(np.eye(K)[letters], mask, np.zeros((B, H)), *weights)
        logits = zs @ params["V"].T + params["c"]
        right = float((logits.argmax(axis=2) == labels)[mask].mean())
        _, dlogits = masked_cross_entropy(logits, labels, mask)
        _, dW_x, dW_h, db = backward(cache, dlogits @ params["V"])
        grads = {"W_x": dW_x, "W_h": dW_h, "b": db}
        grads |= {"V": np.einsum("tbk,tbh->kh", dlogits, zs), "c": dlogits.sum(axis=(0, 1))}
        params, state = optimizer.update(params, grads, state)
    return right


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_tagger_with_reversed_padding_learns_only_worse(seed: int) -> None:
    assert accuracy(hunt_reverse.repaired_backward, seed) > 0.98
    assert 0.5 < accuracy(hunt_reverse.buggy_backward, seed) < 0.9


def stream(layer: Any, k: int, change: float = 0.0) -> Any:
    """Outputs for 24 steps, taken k at a time, after adding something to the last input."""
    rng = np.random.default_rng(0)
    directions = [tuple(rng.normal(size=shape) for shape in ((5, 4), (5, 5), (5,), (5,))) for _ in range(2)]
    xs = rng.normal(size=(24, 4))
    xs[-1] += change
    return layer(xs, *directions, k)


def test_streamed_layer_has_a_right_forward_half_and_a_backward_half_wrong_in_every_chunk() -> None:
    whole, chunked = stream(hunt_stream.repaired_stream, 24), stream(hunt_stream.buggy_stream, 8)
    np.testing.assert_array_equal(chunked[:, :5], whole[:, :5])
    error = np.abs(chunked - whole)[:, 5:]
    assert all(error[start : start + 8].max() > 0.5 for start in (0, 8, 16))


@pytest.mark.parametrize("k", [24, 100])
def test_streamed_layer_passes_a_test_with_one_chunk(k: int) -> None:
    np.testing.assert_array_equal(stream(hunt_stream.buggy_stream, k), stream(hunt_stream.repaired_stream, 24))


@pytest.mark.parametrize("k", [1, 5, 8, 24])
def test_repaired_stream_does_not_depend_on_the_chunks_and_waits_for_the_end(k: int) -> None:
    whole = stream(hunt_stream.repaired_stream, 24)
    np.testing.assert_allclose(stream(hunt_stream.repaired_stream, k), whole, rtol=1e-12)
    assert (stream(hunt_stream.repaired_stream, k, change=1.0) != whole)[0, 5:].any()  # a last input reaches output 1
    if k < 24:
        before = stream(hunt_stream.buggy_stream, k)
        assert (stream(hunt_stream.buggy_stream, k, change=1.0) == before)[0].all()


def test_reversal_within_lengths_is_what_the_layers_of_the_hunts_do() -> None:
    rng = np.random.default_rng(0)
    xs, mask = rng.normal(size=(7, 3, 4)), prefix_mask(np.array([7, 4, 2]), 7)
    _, cache = hunt_reverse.backward_layer(
        xs, mask, np.zeros((3, 5)), *(rng.normal(size=s) for s in ((5, 4), (5, 5), 5))
    )
    np.testing.assert_array_equal(cache[0], reverse(xs, mask))
