"""A recurrent layer with a linear one on top: losses against loops, gradients against central differences, masks, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from companion import sequence
from companion.bidirectional import both_ways
from companion.bptt import prefix_mask
from companion.fast import lstm as fast_lstm
from companion.gradcheck import GradientError, GradientReport, check_gradients
from companion.gru import GRU
from companion.lstm import LSTM
from companion.ops import LinearParams, cross_entropy_backward, mean_squared_error, mean_squared_error_backward
from companion.rnn import Elman
from companion.sequence import (
    SequenceParams,
    final_loss,
    labelling_accuracy,
    labelling_loss,
    last_steps,
    predict,
    predict_backward,
)
from companion.tree import tree_leaves, tree_map
from tests.contract.cells import (
    LENGTHS,
    B,
    D,
    H,
    K,
    T,
    bytes_of,
    compared,
    dtypes_of,
    random_like,
    random_params,
    require_equal,
)

CELLS: dict[str, Any] = {
    "Elman": Elman,
    "LSTM": LSTM,
    "fast LSTM": fast_lstm.LSTM,
    "GRU both ways": both_ways(GRU),
}
every_cell = pytest.mark.parametrize("name", CELLS)
MASK = prefix_mask(LENGTHS, T)
REAL = [(t, b) for b, length in enumerate(LENGTHS) for t in range(length)]


def given(name: str, rng: np.random.Generator, dtype: Any = np.float64) -> tuple[Any, Any, Any]:
    """Random parameters, inputs and labels; labels of padding are -1, which no loss may read."""
    width = 2 * H if "both ways" in name else H
    output = LinearParams(rng.normal(size=(K, width)).astype(dtype), rng.normal(size=K).astype(dtype))
    xs, labels = rng.normal(size=(T, B, D)).astype(dtype), rng.integers(0, K, (T, B))
    return SequenceParams(random_params(CELLS[name], rng, dtype), output), xs, np.where(MASK, labels, -1)


def nats(logits: Any, label: int) -> float:
    """Cross-entropy of one step, without the functions under test."""
    return float(np.log(np.exp(logits).sum()) - logits[label])


def logits_alone(name: str, params: Any, xs: Any) -> list[Any]:
    """For every sequence, the logits (length, K) of its real steps, run by itself and without a mask."""
    found = []
    for b, length in enumerate(LENGTHS):
        ys, _, _ = sequence.as_layer(CELLS[name]).forward(params.recurrent, xs[:length, b : b + 1])
        found.append(np.array([params.output.W @ y + params.output.b for y in ys[:, 0]]))
    return found


# --- losses against loops


def test_an_elman_network_gives_the_loss_of_loops_over_sequences_steps_and_units(rng: np.random.Generator) -> None:
    params, xs, labels = given("Elman", rng)
    (W_x, W_h, b), (W, b_y) = params
    total = 0.0
    for n, length in enumerate(LENGTHS):
        h = [0.0] * H
        for t in range(length):
            h = [float(np.tanh(W_x[j] @ xs[t, n] + W_h[j] @ h + b[j])) for j in range(H)]
            total += nats(np.array([W[k] @ h + b_y[k] for k in range(K)]), labels[t, n])
    loss, _, _ = labelling_loss(Elman, params, xs, labels, MASK)
    assert loss == pytest.approx(total / sum(LENGTHS), rel=1e-12)


@every_cell
def test_the_loss_of_a_masked_batch_is_that_of_its_sequences_weighted_by_their_steps(
    name: str, rng: np.random.Generator
) -> None:
    params, xs, labels = given(name, rng)
    alone = [
        [nats(step, labels[t, b]) for t, step in enumerate(z)] for b, z in enumerate(logits_alone(name, params, xs))
    ]
    loss, grads, _ = labelling_loss(CELLS[name], params, xs, labels, MASK)
    assert loss == pytest.approx(np.mean([step for steps in alone for step in steps]), rel=1e-12)
    assert abs(loss - np.mean([np.mean(steps) for steps in alone])) > 1e-3  # the mean of their means is another number
    total = tree_map(np.zeros_like, params)
    for b, length in enumerate(LENGTHS):
        row = slice(b, b + 1)
        value, share, _ = labelling_loss(CELLS[name], params, xs[:length, row], labels[:length, row])
        assert value == pytest.approx(np.mean(alone[b]), rel=1e-12)
        total = tree_map(lambda a, g, n=length: a + g * n / sum(LENGTHS), total, share)
    require_equal(grads, total)


@every_cell
def test_the_final_loss_is_that_of_the_last_real_step_of_every_sequence(name: str, rng: np.random.Generator) -> None:
    params, xs, _ = given(name, rng)
    targets, alone = rng.integers(0, K, B), logits_alone(name, params, xs)
    expected = np.mean([nats(z[-1], label) for z, label in zip(alone, targets, strict=True)])
    value, _ = final_loss(CELLS[name], params, xs, targets, MASK)
    assert value == pytest.approx(expected, rel=1e-12)
    assert (
        abs(final_loss(CELLS[name], params, xs, targets)[0] - expected) > 1e-3
    )  # the last step of the array is not it
    numbers = rng.normal(size=(B, K))
    squares = [(z[-1, k] - numbers[b, k]) ** 2 for b, z in enumerate(alone) for k in range(K)]
    value, _ = final_loss(CELLS[name], params, xs, numbers, MASK, mean_squared_error, mean_squared_error_backward)
    assert value == pytest.approx(np.mean(squares), rel=1e-12)


@every_cell
def test_labels_and_inputs_of_padded_steps_change_nothing(name: str, rng: np.random.Generator) -> None:
    params, xs, labels = given(name, rng)
    loss, grads, last = labelling_loss(CELLS[name], params, xs, labels, MASK)
    other = np.where(MASK[:, :, None], xs, rng.normal(size=xs.shape))
    for wrong in (K + 3, 0, -7):
        again = labelling_loss(CELLS[name], params, other, np.where(MASK, labels, wrong), MASK)
        assert again[0] == loss
        require_equal(again[1:], (grads, last), rtol=0, atol=0, least=-1)


@pytest.mark.parametrize("name", [name for name in CELLS if "both ways" not in name])
def test_a_stream_in_two_pieces_with_the_state_carried_gives_the_losses_of_the_whole(
    name: str, rng: np.random.Generator
) -> None:
    params, xs, labels = given(name, rng)
    labels, cell, cut = np.abs(labels), CELLS[name], 3
    whole, _, last = labelling_loss(cell, params, xs, labels)
    first, _, state = labelling_loss(cell, params, xs[:cut], labels[:cut])
    second, _, end = labelling_loss(cell, params, xs[cut:], labels[cut:], state=state)
    forgetful, _, _ = labelling_loss(cell, params, xs[cut:], labels[cut:])
    assert (cut * first + (T - cut) * second) / T == pytest.approx(whole, rel=1e-12)
    assert abs(forgetful - second) > 1e-3
    require_equal(end, last)


def test_accuracy_counts_real_steps_only_and_each_once(rng: np.random.Generator) -> None:
    logits, labels = rng.normal(size=(T, B, K)), rng.integers(0, K, (T, B))
    for t, b in REAL[::2]:
        labels[t, b] = max(range(K), key=lambda k: logits[t, b, k])
    right = [max(range(K), key=lambda k: logits[t, b, k]) == labels[t, b] for t, b in REAL]
    padded = np.where(MASK, labels, -1)
    assert labelling_accuracy(logits, padded, MASK) == pytest.approx(sum(right) / len(REAL))
    assert 0.4 < sum(right) / len(REAL) < 1
    every = [logits[t, b].argmax() == labels[t, b] for t in range(T) for b in range(B)]
    assert labelling_accuracy(logits, labels) == pytest.approx(sum(every) / (T * B))


def test_last_steps_pick_one_entry_of_every_sequence(rng: np.random.Generator) -> None:
    a = rng.normal(size=(T, B, D))
    expected = [a[length - 1, b] for b, length in enumerate(LENGTHS)]
    np.testing.assert_array_equal(a[last_steps(MASK, T, B)], expected)
    np.testing.assert_array_equal(a[last_steps(None, T, B)], a[-1])


# --- gradients


def check_loss(loss_and_grads: Callable[[Any], Any], params: Any, rng: np.random.Generator) -> GradientReport:
    """Central differences of a function params -> (loss, grads, ...)."""

    def backward(grads: Any, dloss: Any) -> Any:
        return {"params": tree_map(lambda g: g * dloss, grads)}

    return check_gradients(lambda params: loss_and_grads(params)[:2], backward, {"params": params}, rng)


def check_labelling(name: str, rng: np.random.Generator) -> None:
    params, xs, labels = given(name, rng)
    state = random_like(rng, predict(CELLS[name], params, xs)[1])
    compared(check_loss(lambda p: labelling_loss(CELLS[name], p, xs, labels, MASK, state), params, rng))


@every_cell
def test_gradients_of_the_labelling_loss_are_those_of_central_differences(name: str, rng: np.random.Generator) -> None:
    check_labelling(name, rng)


@every_cell
@pytest.mark.parametrize("kind", ["labels", "numbers"])
def test_gradients_of_the_final_loss_are_those_of_central_differences(
    name: str, kind: str, rng: np.random.Generator
) -> None:
    params, xs, _ = given(name, rng)
    targets = rng.integers(0, K, B) if kind == "labels" else rng.normal(size=(B, K))
    pair = () if kind == "labels" else (mean_squared_error, mean_squared_error_backward)
    report = check_loss(lambda p: final_loss(CELLS[name], p, xs, targets, MASK, *pair), params, rng)
    # The backward half has read nothing yet but the last step itself, from a state of zeros.
    unused = {"params.recurrent.backward.W_h"} if "both ways" in name else set()
    assert {c.name for c in report.comparisons if abs(c.numeric) < 1e-7} == unused


@every_cell
def test_gradients_of_predict_are_those_of_central_differences(name: str, rng: np.random.Generator) -> None:
    params, xs, _ = given(name, rng)
    state = random_like(rng, predict(CELLS[name], params, xs)[1])

    def forward(params: Any, xs: Any, state: Any) -> Any:
        logits, last, cache = predict(CELLS[name], params, xs, state, MASK)
        return (logits * MASK[:, :, None], last), (params, cache)

    def backward(cache: Any, upstream: Any) -> Any:
        dlogits, dlast = upstream
        grads = predict_backward(CELLS[name], *cache, dlogits * MASK[:, :, None], dlast)
        return dict(zip(("params", "xs", "state"), grads, strict=True))

    compared(check_gradients(forward, backward, {"params": params, "xs": xs, "state": state}, rng))


WRONG = {
    "sum for mean": lambda cache: cache.difference,
    "mean over the batch only": lambda cache: cache.difference / B,
    "mean over padding too": lambda cache: cache.difference / (T * B),
    "the last row forgotten": lambda cache: np.concatenate(
        [cross_entropy_backward(cache)[:-1], cache.difference[:1] * 0]
    ),
    "order of the steps lost": lambda cache: cross_entropy_backward(cache)[::-1],
}


@pytest.mark.parametrize("mistake", WRONG)
def test_the_gradient_check_finds_a_wrong_gradient_of_the_loss(
    mistake: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequence, "cross_entropy_backward", WRONG[mistake])
    with pytest.raises(GradientError):
        check_labelling("Elman", rng)


# --- what holds for every function of the package


@every_cell
def test_float32_stays_float32_and_no_argument_is_modified(name: str, rng: np.random.Generator) -> None:
    params, xs, labels = given(name, rng, np.float32)
    state = random_like(rng, predict(CELLS[name], params, xs)[1])
    targets, numbers = rng.integers(0, K, B), rng.normal(size=(B, K)).astype(np.float32)
    arguments = (params, xs, labels, MASK, state, targets, numbers)
    before = bytes_of(arguments)
    loss, grads, last = labelling_loss(CELLS[name], params, xs, labels, MASK, state)
    value, final_grads = final_loss(CELLS[name], params, xs, targets, MASK)
    error, error_grads = final_loss(
        CELLS[name], params, xs, numbers, MASK, mean_squared_error, mean_squared_error_backward
    )
    logits, _, _ = predict(CELLS[name], params, xs, state, MASK)
    labelling_accuracy(logits, labels, MASK)
    assert bytes_of(arguments) == before
    assert dtypes_of((grads, last, final_grads, error_grads, logits)) == {np.dtype(np.float32)}
    assert [type(number) for number in (loss, value, error)] == [float] * 3
    assert all(type(tree) is SequenceParams for tree in (grads, final_grads, error_grads))
    assert len(tree_leaves(grads)) == len(tree_leaves(params))
