"""Addressing with any number of heads, rows, numbers a row and shifts: what it keeps, and which orders are only orders."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.addressing import content_address, content_address_backward, erase_add, interpolate, read, sharpen, shift
from companion.heads import HeadParameters, address, address_backward
from companion.ops import softmax
from companion.tree import tree_map

# The same examples in every run, and none kept on disk.
some = settings(derandomize=True, database=None, deadline=None, max_examples=100)
seeds = st.integers(0, 2**32 - 1)
dtypes = st.sampled_from([np.float32, np.float64])


@st.composite
def situations(draw: Any) -> Any:
    """Parameters of heads that all write, a memory (B, N, M), the weighting before (B, K, N); sure and unsure ones."""
    B, K, M = (draw(st.integers(1, 4)) for _ in range(3))
    reach = draw(st.integers(0, 3))
    N = draw(st.integers(2 * reach + 1, 9))
    rng, dtype = np.random.default_rng(draw(seeds)), draw(dtypes)
    sure = draw(st.sampled_from([0.1, 1, 10, 100]))
    heads = HeadParameters(
        rng.normal(size=(B, K, M)),
        sure * rng.uniform(0.1, 2, (B, K)),
        rng.uniform(size=(B, K)),
        softmax(sure * rng.normal(size=(B, K, 2 * reach + 1))),
        1 + sure * rng.uniform(size=(B, K)),
        rng.uniform(size=(B, K, M)),
        rng.normal(size=(B, K, M)),
    )
    rest = rng.normal(size=(B, N, M)), softmax(sure * rng.normal(size=(B, K, N)))
    return tree_map(lambda a: a.astype(dtype), (heads, *rest))


def tolerance(a: Any) -> dict[str, float]:
    eps = float(np.finfo(a.dtype).eps)
    return {"rtol": 1e4 * eps, "atol": 1e3 * eps}


def require_weighting(w: Any) -> None:
    assert (w >= 0).all()
    np.testing.assert_allclose(w.sum(axis=2), 1, rtol=100 * np.finfo(w.dtype).eps)


@some
@given(situations())
def test_after_every_stage_the_weights_are_at_least_0_and_sum_to_1(drawn: Any) -> None:
    heads, memory, prev = drawn
    content, _ = content_address(heads.key, heads.strength, memory)
    gated, _ = interpolate(content, heads.gate, prev)
    shifted, _ = shift(gated, heads.s)
    sharp, _ = sharpen(shifted, heads.sharpness)
    for w in (content, gated, shifted, sharp):
        require_weighting(w)
        assert w.dtype == memory.dtype
    np.testing.assert_array_equal(address(heads, memory, prev)[0], sharp)


def test_weights_that_do_not_sum_to_1_are_found() -> None:
    """Powers without the division, and a softmax over the heads."""
    w = softmax(np.random.default_rng(0).normal(size=(2, 3, 5)))
    for wrong in (w**2, softmax(w.transpose(0, 2, 1)).transpose(0, 2, 1), w - 0.3):
        with pytest.raises(AssertionError):
            require_weighting(wrong)


@some
@given(situations(), st.integers(-9, 9), seeds)
def test_a_memory_and_weights_turned_round_give_the_result_turned_round_both_ways(
    drawn: Any, turn: int, seed: int
) -> None:
    heads, memory, prev = drawn
    dw = np.random.default_rng(seed).normal(size=prev.shape).astype(prev.dtype)
    w, cache = address(heads, memory, prev)
    turned, cache_turned = address(heads, np.roll(memory, turn, axis=1), np.roll(prev, turn, axis=2))
    np.testing.assert_allclose(turned, np.roll(w, turn, axis=2), **tolerance(w))
    if w.dtype == np.float32:
        return  # gradients of sure heads are too steep for it
    of_heads, dmemory, dprev = address_backward(cache, dw)
    of_turned, dmemory_turned, dprev_turned = address_backward(cache_turned, np.roll(dw, turn, axis=2))
    for received, expected in (
        *zip(of_turned, of_heads, strict=True),
        (dmemory_turned, np.roll(dmemory, turn, axis=1)),
        (dprev_turned, np.roll(dprev, turn, axis=2)),
    ):
        np.testing.assert_allclose(received, expected, rtol=1e-8, atol=1e-8)


@some
@given(situations(), seeds)
def test_content_addressing_reading_and_writing_do_not_know_the_order_of_the_rows(drawn: Any, seed: int) -> None:
    heads, memory, prev = drawn
    rng = np.random.default_rng(seed)
    order = rng.permutation(memory.shape[1])
    w, cache = content_address(heads.key, heads.strength, memory)
    mixed, cache_mixed = content_address(heads.key, heads.strength, memory[:, order])
    np.testing.assert_allclose(mixed, w[:, :, order], **tolerance(w))
    if w.dtype == np.float64:  # a key of length 1e-3 or a strength of 200 makes gradients too steep for float32
        dw = rng.normal(size=w.shape)
        dkey, dstrength, dmemory = content_address_backward(cache, dw)
        received = content_address_backward(cache_mixed, dw[:, :, order])
        for a, b in zip(received, (dkey, dstrength, dmemory[:, order]), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8)
    r, r_mixed = read(memory, prev)[0], read(memory[:, order], prev[:, :, order])[0]
    np.testing.assert_allclose(r_mixed, r, **tolerance(r))
    after = erase_add(memory, prev, heads.erase, heads.add)[0]
    after_mixed = erase_add(memory[:, order], prev[:, :, order], heads.erase, heads.add)[0]
    np.testing.assert_allclose(after_mixed, after[:, order], **tolerance(after))


@some
@given(situations(), seeds)
def test_the_order_of_the_heads_and_of_the_batch_is_only_an_order(drawn: Any, seed: int) -> None:
    heads, memory, prev = drawn
    rng = np.random.default_rng(seed)
    batch, order = rng.permutation(len(memory)), rng.permutation(prev.shape[1])
    picked = tree_map(lambda a: a[batch][:, order], heads)
    w = address(heads, memory, prev)[0]
    np.testing.assert_allclose(
        address(picked, memory[batch], prev[batch][:, order])[0], w[batch][:, order], **tolerance(w)
    )
    after = erase_add(memory, w, heads.erase, heads.add)[0]
    received = erase_add(memory[batch], w[batch][:, order], picked.erase, picked.add)[0]
    np.testing.assert_allclose(received, after[batch], **tolerance(after))


@some
@given(situations(), seeds)
def test_two_shifts_are_the_shift_by_their_convolution(drawn: Any, seed: int) -> None:
    heads, _, prev = drawn
    count, N = heads.s.shape[2], prev.shape[2]
    if 2 * count - 1 > N:
        return
    other = softmax(np.random.default_rng(seed).normal(size=heads.s.shape)).astype(prev.dtype)
    twice = shift(shift(prev, heads.s)[0], other)[0]
    at_once = np.zeros((*heads.s.shape[:2], 2 * count - 1), prev.dtype)
    for i in range(count):
        at_once[:, :, i : i + count] += other[:, :, i, None] * heads.s
    np.testing.assert_allclose(twice, shift(prev, at_once)[0], **tolerance(prev))


@some
@given(situations())
def test_reads_lie_between_the_rows_and_erasing_makes_no_number_larger(drawn: Any) -> None:
    heads, memory, prev = drawn
    slack = 100 * np.finfo(memory.dtype).eps * np.abs(memory).max()
    r = read(memory, prev)[0]
    assert (r <= memory.max(axis=1, keepdims=True) + slack).all()
    assert (r >= memory.min(axis=1, keepdims=True) - slack).all()
    erased = erase_add(memory, prev, heads.erase, np.zeros_like(heads.add))[0]
    assert (np.abs(erased) <= np.abs(memory) + slack).all()
    assert (erased * memory >= 0).all()
