"""The log-linear language model: central differences, loops as oracles, what its optimum is known to be, what it cannot say."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from companion.gradcheck import GradientError, check_gradients
from companion.log_linear import LogLinearParams, contexts, log_linear, log_linear_backward, log_linear_init
from companion.ngram import AddK, fit_ngram, probabilities
from companion.ops import cross_entropy, cross_entropy_backward, softmax
from companion.optim import sgd
from companion.train import fit
from companion.tree import tree_items, tree_leaves, tree_map

N, V, ORDER = 40, 5, 4
START = V  # the number of the start mark


def random_params(rng: np.random.Generator, order: int = ORDER, n_symbols: int = V, dtype: Any = np.float64) -> Any:
    """Random biases too: zeros would hide a bias that is lost or taken twice."""
    params = log_linear_init(rng, order, n_symbols, dtype)
    return tree_map(lambda p: rng.normal(size=p.shape).astype(dtype), params)


def text(rng: np.random.Generator, n: int = N, n_symbols: int = V) -> Any:
    """Each symbol depends on the one before, so that contexts matter, and every pair occurs."""
    ids = [0]
    while len(ids) < n:
        ids.append(ids[-1] if rng.random() < 0.4 else int(rng.integers(0, n_symbols)))
    return np.array(ids)


def loss_and_grads(params: LogLinearParams, before: Any, ids: Any) -> tuple[float, LogLinearParams]:
    logits, cache = log_linear(params, before)
    loss, loss_cache = cross_entropy(logits, ids)
    return loss, log_linear_backward(params, cache, cross_entropy_backward(loss_cache))


def trained(params: LogLinearParams, before: Any, ids: Any, n_steps: int, rate: float) -> LogLinearParams:
    for step in fit(loss_and_grads, params, [(before, ids)] * n_steps, sgd(rate)):
        params = step.params
    return params


# ---- contexts


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.uint64])
@pytest.mark.parametrize("order", [1, 2, 4, N + 3])
def test_contexts_are_the_symbols_before_the_nearest_first(order: int, dtype: Any, rng: np.random.Generator) -> None:
    ids = text(rng)
    before = contexts(ids.astype(dtype), order, V)
    assert before.shape == (N, order - 1)
    assert before.dtype == np.int64
    for t in range(N):
        for j in range(1, order):
            assert before[t, j - 1] == (ids[t - j] if t >= j else START)


def test_contexts_are_an_array_of_their_own(rng: np.random.Generator) -> None:
    ids = text(rng)
    before, copy = contexts(ids, ORDER, V), ids.copy()
    before[:] = 0
    np.testing.assert_array_equal(ids, copy)
    assert before.flags.owndata


# ---- forward and backward


@pytest.mark.parametrize("order", [1, 2, 4])
def test_logits_are_the_bias_and_one_vote_from_each_place(order: int, rng: np.random.Generator) -> None:
    ids, params = text(rng), random_params(rng, order)
    logits, _ = log_linear(params, contexts(ids, order, V))
    for t in range(N):
        for v in range(V):
            votes = [params.W[j - 1, ids[t - j] if t >= j else START, v] for j in range(1, order)]
            assert logits[t, v] == pytest.approx(params.b[v] + sum(votes), rel=1e-12)


def pair(before: Any, backward: Callable[..., LogLinearParams] = log_linear_backward) -> tuple[Any, Any]:
    """Forward and backward pass for the gradient check."""

    def forward(params: LogLinearParams) -> tuple[Any, Any]:
        logits, cache = log_linear(params, before)
        return logits, (params, cache)

    return forward, lambda cache, dy: {"params": backward(*cache, dy)}


@pytest.mark.parametrize("order", [2, 4])
def test_the_backward_pass_agrees_with_central_differences(order: int, rng: np.random.Generator) -> None:
    before = contexts(text(rng), order, V)
    report = check_gradients(*pair(before), {"params": random_params(rng, order)}, rng)
    assert [c.name for c in report.comparisons] == ["params.W", "params.b"]
    assert all(abs(c.numeric) > 1e-6 for c in report.comparisons), "nothing was compared"


def last_of_repeated_rows(params: LogLinearParams, cache: Any, dlogits: Any) -> LogLinearParams:
    right, dW = log_linear_backward(params, cache, dlogits), np.zeros_like(params.W)
    dW[np.arange(len(dW)), cache] += dlogits[:, None]
    return right._replace(W=dW)


WRONG_BACKWARD: dict[str, Callable[..., LogLinearParams]] = {
    "the last of repeated rows": last_of_repeated_rows,
    "places in reverse": lambda p, c, dy: log_linear_backward(p, c[:, ::-1], dy),
    "places one too far": lambda p, c, dy: log_linear_backward(p, np.roll(c, 1, axis=0), dy),
    "mean in place of sum": lambda p, c, dy: tree_map(lambda g: g / N, log_linear_backward(p, c, dy)),
    "no start mark": lambda p, c, dy: log_linear_backward(p, c % V, dy),
    "bias lost": lambda p, c, dy: log_linear_backward(p, c, dy)._replace(b=np.zeros(V)),
}


@pytest.mark.parametrize("name", WRONG_BACKWARD)
def test_a_wrong_backward_pass_is_caught(name: str, rng: np.random.Generator) -> None:
    forward, backward = pair(contexts(text(rng), ORDER, V), WRONG_BACKWARD[name])
    with pytest.raises(GradientError):
        check_gradients(forward, backward, {"params": random_params(rng)}, rng)


@pytest.mark.parametrize("order", [1, 4])
def test_gradients_equal_a_sum_over_steps_and_places(order: int, rng: np.random.Generator) -> None:
    params, before, dlogits = random_params(rng, order), contexts(text(rng), order, V), rng.normal(size=(N, V))
    grads = log_linear_backward(params, log_linear(params, before)[1], dlogits)
    dW = np.zeros_like(params.W)
    for t in range(N):
        for j in range(order - 1):
            dW[j, before[t, j]] += dlogits[t]
    np.testing.assert_allclose(grads.W, dW, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(grads.b, sum(dlogits), rtol=1e-12)


@pytest.mark.parametrize("order", [1, 4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_of_the_parameters_is_kept_and_no_argument_is_modified(
    dtype: Any, order: int, rng: np.random.Generator
) -> None:
    params, before, ids = random_params(rng, order, dtype=dtype), contexts(text(rng), order, V), text(rng)
    given = (params, before, ids)
    kept = tree_map(lambda a: a.copy(), given)
    logits, _ = log_linear(params, before)
    _, grads = loss_and_grads(params, before, ids)
    assert {a.dtype for a in tree_leaves((logits, grads))} == {np.dtype(dtype)}
    logits += 1
    for (name, now), then in zip(tree_items(given), tree_leaves(kept), strict=True):
        np.testing.assert_array_equal(now, then, err_msg=name)


# ---- what is known of the optimum


def test_the_gradient_is_the_expected_less_the_counted_features(rng: np.random.Generator) -> None:
    ids, params = text(rng), random_params(rng)
    before = contexts(ids, ORDER, V)
    _, grads = loss_and_grads(params, before, ids)
    predicted = softmax(log_linear(params, before)[0])
    np.testing.assert_allclose(grads.b, predicted.mean(axis=0) - np.bincount(ids, minlength=V) / N, atol=1e-15)
    for j in range(ORDER - 1):
        for q in range(V + 1):
            met = before[:, j] == q
            expected, counted = predicted[met].sum(axis=0), np.bincount(ids[met], minlength=V)
            np.testing.assert_allclose(grads.W[j, q], (expected - counted) / N, atol=1e-15)


def test_without_contexts_training_ends_at_the_relative_frequencies(rng: np.random.Generator) -> None:
    ids = text(rng, 300)
    params = trained(random_params(rng, 1), contexts(ids, 1, V), ids, 400, rate=2.0)
    np.testing.assert_allclose(softmax(params.b), np.bincount(ids, minlength=V) / len(ids), atol=1e-9)


def test_one_place_of_context_ends_at_the_relative_frequencies_of_pairs(rng: np.random.Generator) -> None:
    ids = text(rng, 300)
    counts = np.zeros((V + 1, V))
    np.add.at(counts, (contexts(ids, 2, V)[:, 0], ids), 1)
    assert counts[:V].min() > 0
    frequencies = counts[:V] / counts[:V].sum(axis=1, keepdims=True)
    before, later = contexts(ids, 2, V)[1:], ids[1:]  # the first symbol alone would push its weight to infinity

    exact = LogLinearParams(np.zeros((1, V + 1, V)), np.zeros(V))
    exact.W[0, :V] = np.log(frequencies)
    assert max(np.abs(g).max() for g in loss_and_grads(exact, before, later)[1]) < 1e-15

    params = trained(random_params(rng, 2), before, later, 1500, rate=6.0)
    predicted = softmax(log_linear(params, np.arange(V)[:, None])[0])
    np.testing.assert_allclose(predicted, frequencies, atol=1e-6)
    assert np.abs(softmax(log_linear(random_params(rng, 2), np.arange(V)[:, None])[0]) - frequencies).max() > 0.1


def test_the_loss_is_convex_along_every_line(rng: np.random.Generator) -> None:
    ids = text(rng)
    before = contexts(ids, ORDER, V)
    for _ in range(20):
        a, b = random_params(rng), random_params(rng)
        middle = tree_map(lambda p, q: (p + q) / 2, a, b)
        at_a, at_b, between = (loss_and_grads(params, before, ids)[0] for params in (a, b, middle))
        assert between < (at_a + at_b) / 2


# ---- exclusive or: what two places cannot say together

PAIRS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
XOR = np.array([0, 1, 1, 0])


def test_the_exclusive_or_of_two_symbols_cannot_be_represented(rng: np.random.Generator) -> None:
    for _ in range(50):
        params = random_params(rng, order=3, n_symbols=2)
        logits, _ = log_linear(params, PAIRS)
        for_one = logits[:, 1] - logits[:, 0]
        assert for_one[0] + for_one[3] == pytest.approx(for_one[1] + for_one[2])  # XOR needs < 0 here and > 0 there
        assert (logits.argmax(axis=1) == XOR).sum() < 4
        assert cross_entropy(logits, XOR)[0] > np.log(2)
    nothing = tree_map(np.zeros_like, params)
    loss, grads = loss_and_grads(nothing, PAIRS, XOR)
    assert loss == pytest.approx(np.log(2))
    assert max(np.abs(g).max() for g in grads) < 1e-16  # the optimum, as the loss is convex


def test_a_trigram_represents_the_exclusive_or(rng: np.random.Generator) -> None:
    before = rng.integers(0, 2, (N, 2))
    triples = np.column_stack([before, before[:, 0] ^ before[:, 1]])
    trigram, bigram = (fit_ngram(list(triples), order, 2, AddK(0)) for order in (3, 2))
    np.testing.assert_array_equal([probabilities(trigram, pair) for pair in PAIRS], np.eye(2)[XOR])
    assert min(probabilities(bigram, pair).min() for pair in PAIRS) > 0.1


def test_what_one_of_the_two_places_says_is_learned(rng: np.random.Generator) -> None:
    params = trained(random_params(rng, 3, 2), PAIRS, PAIRS[:, 1], 500, rate=2.0)
    np.testing.assert_array_equal(log_linear(params, PAIRS)[0].argmax(axis=1), PAIRS[:, 1])


# ---- initial parameters and bad input


def test_initial_weights_are_small_random_numbers_that_follow_the_seed() -> None:
    params, again, other = (log_linear_init(np.random.default_rng(s), 3, 60, np.float32) for s in (4, 4, 5))
    assert params.W.shape == (2, 61, 60)
    assert {a.dtype for a in params} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(params.W, again.W)
    assert not np.array_equal(params.W, other.W)
    assert params.W.std() == pytest.approx(0.01, rel=0.05)
    np.testing.assert_array_equal(params.b, np.zeros(60))


def logits_of(r: np.random.Generator, before: Any = None, **arrays: Any) -> Any:
    """The model with these arrays, at these contexts."""
    before = contexts(text(r), ORDER, V) if before is None else before
    return log_linear(random_params(r)._replace(**arrays), before)


def back_from(r: np.random.Generator, dlogits: Any) -> LogLinearParams:
    return log_linear_backward(random_params(r), contexts(text(r), ORDER, V), dlogits)


F32, LEAST, INIT = np.float32, "expected a whole number of at least 1", "log_linear_init: "
AT, BACK = "log_linear: ", "log_linear_backward: "
WRONG: dict[str, tuple[Callable[[np.random.Generator], Any], str]] = {
    "order 0": (lambda r: log_linear_init(r, 0, V), f"{INIT}order is 0, {LEAST}"),
    "no symbols": (lambda r: log_linear_init(r, 2, 0), f"{INIT}n_symbols is 0, {LEAST}"),
    "seed": (lambda r: log_linear_init(3, 2, V), f"{INIT}rng is 3, expected Generator"),
    "int dtype": (lambda r: log_linear_init(r, 2, V, int), f"{INIT}dtype is int64, expected a floating-point type"),
    "order of float": (lambda r: contexts(text(r), 2.0, V), f"contexts: order is 2.0, {LEAST}"),
    "bool symbols": (lambda r: contexts(text(r), 2, True), f"contexts: n_symbols is True, {LEAST}"),
    "unknown": (lambda r: contexts(np.array([0, V]), 2, V), "contexts: ids[1] is 5, expected integers in 0..4"),
    "negative": (lambda r: contexts(np.array([-1]), 2, V), "contexts: ids[0] is -1, expected integers in 0..4"),
    "floats": (lambda r: contexts(np.zeros(3), 2, V), "contexts: ids has dtype float64, expected a NumPy array of int"),
    "two texts": (lambda r: contexts(text(r)[:, None], 2, V), "contexts: ids has shape (40, 1), expected (N,)"),
    "no text": (lambda r: contexts(text(r)[:0], 2, V), "contexts: ids has shape (0,), expected (N,)"),
    "order": (lambda r: logits_of(r, np.zeros((9, 4), int)), f"{AT}contexts has shape (9, 4), expected (N, 3)"),
    "list": (lambda r: logits_of(r, [[0, 0, 0]]), f"{AT}contexts is a list, expected ndarray"),
    "no places": (
        lambda r: logits_of(r, np.ones((9, 0)), W=np.ones((0, 6, V))),
        f"{AT}contexts has dtype float64, exp",
    ),
    "cache": (lambda r: log_linear_backward(random_params(r), None, None), f"{BACK}cache is a NoneType, expected nda"),
    "no rows": (lambda r: logits_of(r, np.zeros((0, 3), int)), f"{AT}contexts has shape (0, 3), expected (N, 3)"),
    "one row": (lambda r: logits_of(r, np.zeros(3, int)), f"{AT}contexts has shape (3,), expected (N, 3) from"),
    "no mark": (lambda r: logits_of(r, np.full((9, 3), 6)), f"{AT}contexts[0, 0] is 6, expected integers in 0..5"),
    "not params": (lambda r: log_linear((1, 2), text(r)), f"{AT}params is a tuple, expected LogLinearParams"),
    "W": (lambda r: logits_of(r, W=np.zeros((3, V, V))), f"{AT}params.W has shape (3, 5, 5), expected (n-1, 6, 5)"),
    "W flat": (lambda r: logits_of(r, W=np.zeros(V)), f"{AT}params.W has shape (5,), expected (n-1, 6, 5)"),
    "b of ints": (lambda r: logits_of(r, b=np.zeros(V, int)), f"{AT}params.b has dtype int64, expected a NumPy"),
    "b table": (lambda r: logits_of(r, b=np.zeros((V, 1))), f"{AT}params.b has shape (5, 1), expected (V,)"),
    "mixed": (lambda r: logits_of(r, b=np.zeros(V, F32)), f"{AT}params.W has dtype float64, expected float32 as"),
    "short": (lambda r: back_from(r, np.ones((1, V))), f"{BACK}dlogits has shape (1, 5), expected (40, 5) as logits"),
    "float32": (lambda r: back_from(r, np.ones((N, V), F32)), f"{BACK}dlogits has dtype float32, expected float64 as"),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_error_names_function_argument_received_and_expected(name: str, rng: np.random.Generator) -> None:
    call, message = WRONG[name]
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        call(rng)
