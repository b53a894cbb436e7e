"""Training: what `fit` yields, exact resuming, batches that cover each pass, and early stopping."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from companion import optim
from companion.feedforward import classification_loss, feedforward_init
from companion.lstm import LSTM, lstm_init
from companion.ops import linear_init
from companion.sequence import SequenceParams, labelling_loss
from companion.train import Step, batches, fit, should_stop
from companion.tree import tree_dot, tree_items, tree_leaves, tree_map

D, H, K, N = 4, 5, 6, 11


def data(rng: np.random.Generator) -> tuple[Any, Any]:
    return rng.normal(size=(N, D)), rng.integers(0, K, N)


def pull_to(target: float) -> Callable[..., tuple[float, Any]]:
    """A loss with the known gradient p - target, scaled by the batch."""

    def loss_and_grads(params: Any, scale: float) -> tuple[float, Any]:
        grads = tree_map(lambda p: scale * (p - target), params)
        return scale * sum(float(((p - target) ** 2).sum()) for p in tree_leaves(params)) / 2, grads

    return loss_and_grads


def require_identical(a: Any, b: Any) -> None:
    for (name, x), (_, y) in zip(tree_items(a), tree_items(b), strict=True):
        np.testing.assert_array_equal(x, y, err_msg=name)


# --- fit


def test_each_step_holds_the_loss_before_and_the_parameters_after_its_update(rng: np.random.Generator) -> None:
    p = {"W": rng.normal(size=(H, D)), "b": [rng.normal(size=H)]}
    steps = list(fit(pull_to(2.0), p, [(0.5,), (3.0,), (1.5,)], optim.sgd(0.1)))
    assert [type(s) for s in steps] == [Step] * 3
    assert [s.step for s in steps] == [1, 2, 3]
    for s, scale in zip(steps, (0.5, 3.0, 1.5), strict=True):
        assert s.loss == pytest.approx(scale * sum(((leaf - 2) ** 2).sum() for leaf in tree_leaves(p)) / 2)
        p = tree_map(lambda leaf: leaf - 0.1 * scale * (leaf - 2), p)  # noqa: B023
        for x, y in zip(tree_leaves(s.params), tree_leaves(p), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-13)


def test_training_is_lazy_and_may_be_left_at_any_step(rng: np.random.Generator) -> None:
    drawn = []
    endless = ((drawn.append(k) or 1.0,) for k in itertools.count())
    run = fit(pull_to(0.0), rng.normal(size=D), endless, optim.sgd(0.1))
    assert drawn == []
    for step in run:
        if step.step == 3:
            break
    assert drawn == [0, 1, 2]


def test_training_modifies_neither_parameters_nor_an_earlier_step(rng: np.random.Generator) -> None:
    params = feedforward_init(rng, (D, H, K))
    before = tree_map(np.copy, params)
    run = fit(classification_loss, params, batches(rng, data(rng), 4, 6), optim.adam(0.1))
    first = next(run)
    kept = tree_map(np.copy, (first.params, first.state))
    *_, last = run
    require_identical(params, before)
    require_identical((first.params, first.state), kept)
    assert not np.allclose(last.params.layers[0].W, first.params.layers[0].W)


@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_a_run_resumed_from_a_step_equals_the_unbroken_run_exactly(name: str, rng: np.random.Generator) -> None:
    params, examples = feedforward_init(rng, (D, H, K)), data(rng)
    optimizer = optim.optimizer(name, learning_rate=0.05)
    stream = list(batches(rng, examples, 4, 20))
    *_, unbroken = fit(classification_loss, params, stream, optimizer, max_norm=0.5)
    *_, half = fit(classification_loss, params, stream[:9], optimizer, max_norm=0.5)
    *_, resumed = fit(classification_loss, half.params, stream[9:], optimizer, max_norm=0.5, state=half.state)
    assert resumed.loss == unbroken.loss
    require_identical((resumed.params, resumed.state), (unbroken.params, unbroken.state))


@pytest.mark.parametrize("name", sorted(set(optim.OPTIMIZERS) - {"sgd"}))
def test_a_run_resumed_without_the_state_is_another_run(name: str, rng: np.random.Generator) -> None:
    params, stream = rng.normal(size=D), [(1.0,)] * 20
    optimizer = optim.optimizer(name, learning_rate=0.05)
    *_, unbroken = fit(pull_to(2.0), params, stream, optimizer)
    *_, half = fit(pull_to(2.0), params, stream[:9], optimizer)
    *_, resumed = fit(pull_to(2.0), half.params, stream[9:], optimizer)
    assert not np.allclose(resumed.params, unbroken.params, rtol=1e-6)


def test_a_loss_of_nan_stops_the_run_at_its_step_with_the_parameters_intact(rng: np.random.Generator) -> None:
    params = rng.normal(size=D)
    run = fit(pull_to(1.0), params, [(0.5,), (0.5,), (np.nan,), (0.5,)], optim.momentum(0.1))
    seen = []
    with pytest.raises(ValueError, match=r"fit: loss is nan at step 3, expected a finite number; lower the learning"):
        seen.extend(run)  # extends step by step, and keeps what came before the error
    *_, expected = fit(pull_to(1.0), params, [(0.5,), (0.5,)], optim.momentum(0.1))
    assert [s.step for s in seen] == [1, 2]
    require_identical((seen[-1].params, seen[-1].state), (expected.params, expected.state))


def test_an_infinite_loss_is_an_error_too(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="fit: loss is inf at step 1,"):
        next(fit(pull_to(1.0), rng.normal(size=D), [(np.inf,)], optim.sgd(0.1)))


@pytest.mark.parametrize("max_norm", [None, 0.01, 1e6])
def test_the_gradient_is_clipped_to_the_largest_norm_before_the_update(
    max_norm: float | None, rng: np.random.Generator
) -> None:
    params, examples = feedforward_init(rng, (D, H, K)), data(rng)
    step = next(fit(classification_loss, params, [examples], optim.sgd(1.0), max_norm))
    _, grads = classification_loss(params, *examples)
    moved = tree_map(lambda p, q: p - q, params, step.params)
    norm, length = (np.sqrt(tree_dot(tree, tree)) for tree in (grads, moved))
    assert norm > 0.05
    assert length == pytest.approx(0.01 if max_norm == 0.01 else norm, rel=1e-9)
    assert tree_dot(moved, grads) == pytest.approx(length * norm, rel=1e-9)


def test_training_learns_what_a_shuffled_target_does_not_allow(rng: np.random.Generator) -> None:
    x = rng.normal(size=(60, D))
    labels = (x[:, 0] > 0).astype(int) + 2 * (x[:, 1] > 0)
    final = {}
    for name, target in (("right", labels), ("shuffled", rng.permutation(labels))):
        run = fit(
            classification_loss, feedforward_init(rng, (D, H, K)), batches(rng, (x, target), 20, 200), optim.adam(0.03)
        )
        final[name] = np.mean([s.loss for s in list(run)[-3:]])
    assert final["right"] < 0.4 < 0.8 < final["shuffled"]


# --- fit that carries something from batch to batch


def carrying(params: Any, carry: Any, scale: float) -> tuple[float, Any, Any]:
    """The loss of `pull_to(carry)`; what it hands on holds all batches so far."""
    before = (0.0, ()) if carry is None else carry
    loss, grads = pull_to(before[0])(params, scale)
    return loss, grads, (before[0] + scale, (*before[1], scale))


def test_what_the_loss_hands_on_reaches_the_next_batch_and_the_first_gets_none(rng: np.random.Generator) -> None:
    p, seen = rng.normal(size=D), []

    def watched(params: Any, carry: Any, *batch: Any) -> Any:
        seen.append(carry)
        return carrying(params, carry, *batch)

    steps = list(fit(watched, p, [(0.5,), (3.0,), (1.5,)], optim.sgd(0.1), carries=True))
    handed_on = [(0.5, (0.5,)), (3.5, (0.5, 3.0)), (5.0, (0.5, 3.0, 1.5))]
    assert [s.carry for s in steps] == handed_on
    assert seen == [None, *handed_on[:-1]]
    for s, target, scale in zip(steps, (0.0, 0.5, 3.5), (0.5, 3.0, 1.5), strict=True):
        assert s.loss == pytest.approx(scale * ((p - target) ** 2).sum() / 2)
        p = p - 0.1 * scale * (p - target)
        np.testing.assert_allclose(s.params, p, rtol=1e-13)


def test_a_run_that_carries_goes_on_from_the_carry_of_a_step(rng: np.random.Generator) -> None:
    params, stream, optimizer = rng.normal(size=D), [(scale,) for scale in rng.random(12)], optim.adam(0.05)
    *_, unbroken = fit(carrying, params, stream, optimizer, carries=True)
    *_, half = fit(carrying, params, stream[:5], optimizer, carries=True)
    settings: dict[str, Any] = {"state": half.state, "start": half.step + 1, "carries": True}
    *_, resumed = fit(carrying, half.params, stream[5:], optimizer, carry=half.carry, **settings)
    *_, forgetful = fit(carrying, half.params, stream[5:], optimizer, **settings)
    assert (resumed.step, resumed.loss, resumed.carry) == (unbroken.step, unbroken.loss, unbroken.carry)
    require_identical((resumed.params, resumed.state), (unbroken.params, unbroken.state))
    assert not np.allclose(forgetful.params, unbroken.params, rtol=1e-6)


def test_a_recurrent_network_that_carries_its_state_reads_a_stream_as_one_sequence(rng: np.random.Generator) -> None:
    xs, labels = rng.normal(size=(12, 2, D)), rng.integers(0, K, (12, 2))
    params = SequenceParams(lstm_init(rng, D, H), linear_init(rng, H, K))
    pieces = [(xs[t : t + 4], labels[t : t + 4]) for t in (0, 4, 8)]

    def loss_and_grads(params: Any, carry: Any, xs: Any, labels: Any) -> Any:
        return labelling_loss(LSTM, params, xs, labels, state=carry)

    steps = list(fit(loss_and_grads, params, pieces, optim.sgd(1e-300), carries=True))  # next to no learning
    whole, _, last = labelling_loss(LSTM, params, xs, labels)
    assert np.mean([s.loss for s in steps]) == pytest.approx(whole, rel=1e-12)
    for carried, expected in zip(tree_leaves(steps[-1].carry), tree_leaves(last), strict=True):
        np.testing.assert_allclose(carried, expected, rtol=1e-12)


def test_a_run_that_carries_nothing_says_so(rng: np.random.Generator) -> None:
    steps = fit(pull_to(2.0), rng.normal(size=D), [(0.5,)] * 3, optim.sgd(0.1))
    assert [s.carry for s in steps] == [None] * 3


# --- batches


@pytest.mark.parametrize("batch_size", [1, 4, 10, 11, 50])
def test_every_pass_shows_every_example_once_in_its_own_order(batch_size: int, rng: np.random.Generator) -> None:
    ids = np.arange(N)
    per_pass = -(-N // batch_size)
    stream = [rows for (rows,) in batches(rng, (ids,), batch_size, 3 * per_pass)]
    passes = [np.concatenate(stream[k * per_pass : (k + 1) * per_pass]) for k in range(3)]
    for order in passes:
        assert sorted(order) == list(ids)
        assert list(order) != list(ids)
    assert len({tuple(order) for order in passes}) == 3
    assert {len(rows) for rows in stream} == {min(batch_size, N), N - (per_pass - 1) * min(batch_size, N)}


def test_rows_of_all_arrays_stay_together_and_nothing_is_modified(rng: np.random.Generator) -> None:
    x, labels = rng.normal(size=(N, 2, D)), rng.integers(0, K, N)
    before = x.copy(), labels.copy()
    for batch_x, batch_labels in batches(rng, (x, labels), 4, 7):
        for row, label in zip(batch_x, batch_labels, strict=True):
            [source] = np.flatnonzero((x == row).all(axis=(1, 2)))
            assert labels[source] == label
        batch_x *= 0  # a batch is a copy
        batch_labels *= 0
    require_identical((x, labels), before)


def test_the_stream_alone_decides_the_order(rng: np.random.Generator) -> None:
    examples = data(rng)
    same, again, other = (list(batches(np.random.default_rng(seed), examples, 4, 7)) for seed in (6, 6, 7))
    require_identical(same, again)
    assert any(not np.array_equal(a[0], b[0]) for a, b in zip(same, other, strict=True))


def test_the_number_of_batches_is_the_number_asked_for(rng: np.random.Generator) -> None:
    for n_steps in (0, 1, 3, 8):
        assert len(list(batches(rng, data(rng), 4, n_steps))) == n_steps


def test_mistakes_are_reported_by_the_call_and_not_by_the_first_batch(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="batches: batch_size is 0"):
        batches(rng, data(rng), 0, 3)


# --- early stopping


@pytest.mark.parametrize(
    ("losses", "patience", "stop"),
    [
        ([], 1, False),
        ([3.0], 1, False),
        ([3.0, 2.0, 1.0], 1, False),
        ([3.0, 2.0, 2.5], 1, True),
        ([3.0, 2.0, 2.5], 2, False),
        ([3.0, 2.0, 2.5, 2.2], 2, True),
        ([3.0, 2.0, 2.5, 1.9], 2, False),
        ([3.0, 2.0, 2.0], 1, True),  # equal is not better
        ([3.0, np.nan, 2.0, 2.5], 2, False),  # NaN is never the lowest
        ([3.0, 2.0, np.nan, np.nan], 2, True),
        ([np.nan, np.nan], 1, True),
    ],
)
def test_early_stopping_waits_for_its_patience_after_the_lowest_loss(
    losses: list[float], patience: int, stop: bool
) -> None:
    assert should_stop(losses, patience) is stop


def test_wrong_number_of_results_names_carries() -> None:
    three, two = lambda p, x: (1.0, p, None), lambda p, carry, x: (1.0, p)
    with pytest.raises(
        ValueError, match=r"fit: loss_and_grads returned 3 values, expected \(loss, grads\); .* carries=True"
    ):
        next(fit(three, np.ones(2), [(1.0,)], optim.sgd()))
    with pytest.raises(ValueError, match=r"fit: with carries=True, loss_and_grads returned 2 values, expected \(loss"):
        next(fit(two, np.ones(2), [(1.0,)], optim.sgd(), carries=True))
    with pytest.raises(ValueError, match="fit: carry is given but carries is False"):
        fit(three, np.ones(2), [(1.0,)], optim.sgd(), carry=1)


def test_gradient_of_another_dtype_is_refused_before_it_changes_the_parameters() -> None:
    wrong = lambda p, x: (1.0, np.ones(2))  # noqa: E731
    with pytest.raises(ValueError, match=r"update: grads has dtype float64, expected float32 as the parameter"):
        next(fit(wrong, np.ones(2, np.float32), [(1.0,)], optim.adam()))


def test_clipping_mends_a_finite_gradient_whose_squares_overflow() -> None:
    clipped, norm = optim.clip_by_norm({"a": np.array([3e200, 4e200])}, 1.0)
    np.testing.assert_allclose(clipped["a"], [0.6, 0.8])
    np.testing.assert_allclose(norm, 5e200)
