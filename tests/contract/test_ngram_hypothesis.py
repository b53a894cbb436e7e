"""n-gram models on any text: distributions in every context, and the same numbers as a dictionary and a recursion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.ngram import AddK, KneserNey, Smoothing, WittenBell, fit_ngram, log_probabilities, probabilities

# The same examples in every run, and none kept on disk.
some = settings(derandomize=True, database=None, deadline=None, max_examples=150)
Text = list[list[int]]


def oracle(
    text: Text, order: int, V: int, smoothing: Smoothing, mistake: str = ""
) -> Callable[[int, tuple[Any, ...]], float]:
    """p(w, context of order-1 symbols) by the equations, from a dictionary of all strings; None is the start mark."""
    grams: Counter[tuple[Any, ...]] = Counter()
    for ids in text if mistake != "joined" else [[w for part in text for w in part]]:
        padded = [None] * (order - 1) + ids
        for end in range(order, len(padded) + 1):
            grams.update(tuple(padded[end - m : end]) for m in range(1, order + 1))
    continuations = Counter(gram[1:] for gram in grams)

    def count(gram: tuple[Any, ...]) -> int:
        lower = isinstance(smoothing, KneserNey) and len(gram) < order and mistake != "raw counts below"
        return continuations[gram] if lower else grams[gram]

    def discount(m: int) -> float:
        counts = [count(gram) for gram in list(grams) if len(gram) == (order if mistake == "one estimate" else m)]
        given = smoothing.discount
        return given if given is not None else counts.count(1) / (counts.count(1) + 2 * counts.count(2) or 1) or 0.75

    def p(w: int, h: tuple[Any, ...]) -> float:
        counts = [count((*h, v)) for v in range(V)]
        total, kinds, c = sum(counts), V - counts.count(0), counts[w]
        if isinstance(smoothing, AddK):
            return (c + smoothing.k) / (total + smoothing.k * V) if total or smoothing.k else 1 / V
        below = p(w, h[1:]) if h else (0 if mistake == "no floor" else 1 / V)
        if not total:
            return below
        if isinstance(smoothing, WittenBell):
            return (c + kinds * below) / (total + kinds)
        D = discount(len(h) + 1)
        return (max(c - D, 0) + D * kinds * below) / total

    return p


def oracle_logs(text: Text, held_out: list[int], order: int, V: int, smoothing: Smoothing, mistake: str = "") -> Any:
    p = oracle(text, order, V, smoothing, mistake)
    padded = [None] * (order - 1) + held_out
    values = [p(w, tuple(padded[t : t + order - 1])) for t, w in enumerate(held_out)]
    with np.errstate(divide="ignore"):
        return np.log(values)


@st.composite
def problems(draw: Any) -> tuple[Text, list[int], int, int, Smoothing]:
    V, order = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    symbols = st.integers(0, V - 1)
    text = draw(st.lists(st.lists(symbols, min_size=1, max_size=15), min_size=1, max_size=3))
    smoothing = draw(
        st.one_of(
            st.builds(AddK, st.sampled_from([0, 0.0, 1]) | st.floats(1e-6, 1e6)),
            st.just(WittenBell()),
            st.builds(KneserNey, st.sampled_from([None, 0, 1]) | st.floats(1e-6, 1)),
        )
    )
    return text, draw(st.lists(symbols, min_size=1, max_size=12)), order, V, smoothing


def fitted(text: Text, order: int, V: int, smoothing: Smoothing) -> Any:
    return fit_ngram([np.array(ids) for ids in text], order, V, smoothing)


@some
@given(problems())
def test_probabilities_sum_to_one_in_every_context(problem: Any) -> None:
    """After every start of the held-out sequence, seen and unseen contexts alike, from no symbol to more than count."""
    text, held_out, order, V, smoothing = problem
    model = fitted(text, order, V, smoothing)
    for end in range(len(held_out) + 1):
        p = probabilities(model, held_out[:end])
        assert p.shape == (V,)
        assert np.all(p >= 0)
        assert p.sum() == pytest.approx(1, rel=1e-12)
        if smoothing not in (AddK(0), KneserNey(0)):
            assert np.all(p > 0)


@some
@given(problems())
def test_log_probabilities_are_those_of_each_context_and_of_the_oracle(problem: Any) -> None:
    text, held_out, order, V, smoothing = problem
    model = fitted(text, order, V, smoothing)
    received = log_probabilities(model, np.array(held_out))
    with np.errstate(divide="ignore"):
        single = np.log([probabilities(model, held_out[:t])[w] for t, w in enumerate(held_out)])
    np.testing.assert_allclose(received, single, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(received, oracle_logs(*problem), rtol=1e-9, atol=1e-12)


@some
@given(problems(), st.randoms(use_true_random=False))
def test_the_order_of_the_sequences_does_not_matter(problem: Any, random: Any) -> None:
    text, held_out, order, V, smoothing = problem
    shuffled = random.sample(text, len(text))
    received, expected = (
        log_probabilities(fitted(t, order, V, smoothing), np.array(held_out)) for t in (shuffled, text)
    )
    np.testing.assert_array_equal(received, expected)


@pytest.mark.parametrize(
    ("mistake", "smoothing"),
    [
        ("raw counts below", KneserNey(0.6)),
        ("raw counts below", KneserNey(None)),
        ("one estimate", KneserNey(None)),
        ("no floor", KneserNey(0.6)),
        ("no floor", WittenBell()),
        ("joined", AddK(0.5)),
        ("joined", WittenBell()),
        ("joined", KneserNey(0.6)),
    ],
)
def test_a_wrong_oracle_is_found(mistake: str, smoothing: Smoothing) -> None:
    rng = np.random.default_rng(4)
    text = [rng.integers(3, size=n).tolist() for n in (40, 25, 10)]
    held_out = rng.integers(4, size=30).tolist()
    received = log_probabilities(fitted(text, 3, 4, smoothing), np.array(held_out))
    np.testing.assert_allclose(received, oracle_logs(text, held_out, 3, 4, smoothing), rtol=1e-12)
    assert np.abs(received - oracle_logs(text, held_out, 3, 4, smoothing, mistake)).max() > 0.02
