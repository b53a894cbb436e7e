"""Reading and writing where the answer is known, and every stage at the ends of its range."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from companion import addressing
from companion.addressing import content_address, erase_add, interpolate, read, sharpen, shift
from companion.tree import tree_leaves
from tests.contract.stages import STAGES, START, B, K, M, N, both_ways, weighting

# --- reading and writing


def test_a_sure_focus_reads_its_row_and_sends_the_gradient_there(rng: np.random.Generator) -> None:
    memory, dr = rng.normal(size=(1, N, M)), rng.normal(size=(1, 2, M))
    r, dmemory, dw = both_ways(STAGES["read"], {"memory": memory, "w": np.eye(N)[None, [5, 0]]}, dr)
    np.testing.assert_array_equal(r[0], memory[0, [5, 0]])
    np.testing.assert_array_equal(dmemory[0, [5, 0]], dr[0])
    assert not dmemory[0, 1:5].any()
    np.testing.assert_allclose(dw[0, 1], [dr[0, 1] @ row for row in memory[0]], rtol=1e-12)


def test_erasing_and_adding_equal_loops_over_rows_and_their_numbers(rng: np.random.Generator) -> None:
    """Eqs. 3 and 4, head by head: all erase before any adds."""
    memory, w, erase, add = inputs = STAGES["erase_add"].inputs(rng).values()
    received, _ = erase_add(*inputs)
    for b, n, m in np.ndindex(B, N, M):
        kept = memory[b, n, m]
        for k in range(K):
            kept *= 1 - w[b, k, n] * erase[b, k, m]
        added = sum(w[b, k, n] * add[b, k, m] for k in range(K))
        assert received[b, n, m] == pytest.approx(kept + added, rel=1e-12)


def test_the_order_of_the_heads_that_write_is_only_an_order(rng: np.random.Generator) -> None:
    inputs, dy = STAGES["erase_add"].inputs(rng), rng.normal(size=(B, N, M))
    turned = {name: a if name == "memory" else a[:, ::-1] for name, a in inputs.items()}
    after, dmemory, *of_heads = both_ways(STAGES["erase_add"], inputs, dy)
    after_turned, dmemory_turned, *of_turned = both_ways(STAGES["erase_add"], turned, dy)
    np.testing.assert_allclose(after_turned, after, rtol=1e-12)
    np.testing.assert_allclose(dmemory_turned, dmemory, rtol=1e-12)
    for a, b in zip(of_turned, of_heads, strict=True):
        np.testing.assert_allclose(a[:, ::-1], b, rtol=1e-12)


def test_a_head_that_erases_all_overwrites_its_row_and_no_other(rng: np.random.Generator) -> None:
    memory, add = rng.normal(size=(1, N, M)), rng.normal(size=(1, 1, M))
    after, cache = erase_add(memory, np.eye(N)[None, [4]], np.ones((1, 1, M)), add)
    np.testing.assert_array_equal(after[0, 4], add[0, 0])
    np.testing.assert_array_equal(np.delete(after, 4, axis=1), np.delete(memory, 4, axis=1))
    np.testing.assert_array_equal(read(after, np.eye(N)[None, [4]])[0], add)
    dmemory, *_ = addressing.erase_add_backward(cache, np.ones((1, N, M)))
    np.testing.assert_array_equal(dmemory[0], np.repeat(np.arange(N) != 4, M).reshape(N, M))


def test_two_heads_that_both_erase_all_of_a_row_still_have_their_gradients(rng: np.random.Generator) -> None:
    """The share that the others keep is 0 there: a quotient of products would be 0 / 0."""
    memory, w, add = rng.normal(size=(1, N, M)), np.eye(N)[None, [4, 4]], rng.normal(size=(1, 2, M))
    _, cache = erase_add(memory, w, np.ones((1, 2, M)), add)
    dmemory, dw, derase, dadd = addressing.erase_add_backward(cache, rng.normal(size=memory.shape))
    assert np.isfinite([*dmemory.flat, *dw.flat]).all()
    assert not derase.any()  # one of them alone would erase it
    np.testing.assert_array_equal(dadd[0, 0], dadd[0, 1])


def test_heads_without_weight_leave_the_memory_alone(rng: np.random.Generator) -> None:
    inputs = STAGES["erase_add"].inputs(rng) | {"w": np.zeros((B, K, N))}
    dy = rng.normal(size=(B, N, M))
    after, dmemory, *_ = both_ways(STAGES["erase_add"], inputs, dy)
    np.testing.assert_array_equal(after, inputs["memory"])
    np.testing.assert_array_equal(dmemory, dy)


# --- the ends of the ranges; a warning of NumPy would be an error here

ROWS = 128


def focus(rows: int = ROWS) -> Any:
    return np.eye(rows)[None, [0, rows - 1]]


def spread(rng: np.random.Generator) -> Any:
    """Weights that differ little: their 50th powers underflow in float32."""
    return weighting(rng, 1, 2, ROWS) * 0.01 + 0.99 / ROWS


EXTREMES: dict[str, Any] = {
    "sharpness of 50 on weights spread out": lambda r: ("sharpen", spread(r), np.full((1, 2), 50.0)),
    "sharpness of 1e4 on weights spread out": lambda r: ("sharpen", spread(r), np.full((1, 2), 1e4)),
    "sharpness of 50 on equal weights": lambda r: ("sharpen", np.full((1, 2, ROWS), 1 / ROWS), np.full((1, 2), 50.0)),
    "sharpness of 50 on one row": lambda r: ("sharpen", focus(), np.full((1, 2), 50.0)),
    "sharpness of 1 on one row": lambda r: ("sharpen", focus(), np.ones((1, 2))),
    "sharpness of 3 on no weight at all": lambda r: ("sharpen", np.zeros((1, 2, ROWS)), np.full((1, 2), 3.0)),
    "strength of 1000": lambda r: (
        "content_address",
        r.normal(size=(1, 2, M)),
        np.full((1, 2), 1e3),
        r.normal(size=(1, ROWS, M)),
    ),
    "strength of 1e-6": lambda r: (
        "content_address",
        r.normal(size=(1, 2, M)),
        np.full((1, 2), 1e-6),
        r.normal(size=(1, ROWS, M)),
    ),
    "rows of zeros": lambda r: ("content_address", r.normal(size=(1, 2, M)), np.ones((1, 2)), np.zeros((1, ROWS, M))),
    "a new memory": lambda r: (
        "content_address",
        r.normal(size=(1, 2, M)),
        np.full((1, 2), 200.0),
        np.full((1, ROWS, M), START),
    ),
    "a key of 1e-20": lambda r: (
        "content_address",
        np.full((1, 2, M), 1e-20),
        np.full((1, 2), 200.0),
        r.normal(size=(1, ROWS, M)),
    ),
    "a gate of 1": lambda r: ("interpolate", focus(), np.ones((1, 2)), focus()),
    "a shift of one row": lambda r: ("shift", focus(), np.eye(3)[None, [0, 2]]),
    "as many shifts as rows": lambda r: ("shift", focus(3), np.eye(3)[None, [0, 2]]),
    "one row": lambda r: ("shift", np.ones((1, 2, 1)), np.ones((1, 2, 1))),
    "an erased row": lambda r: (
        "erase_add",
        r.normal(size=(1, ROWS, M)),
        focus(),
        np.ones((1, 2, M)),
        np.zeros((1, 2, M)),
    ),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", EXTREMES)
def test_at_the_ends_of_the_ranges_all_numbers_are_finite(name: str, dtype: Any, rng: np.random.Generator) -> None:
    stage, *arguments = EXTREMES[name](rng)
    inputs = dict(zip(STAGES[stage].inputs(rng), [a.astype(dtype) for a in arguments], strict=True))
    y, _ = STAGES[stage].forward(**inputs)
    results = both_ways(STAGES[stage], inputs, rng.normal(size=y.shape).astype(dtype))
    assert all(np.isfinite(a).all() for a in tree_leaves(results))
    if stage != "erase_add":
        assert (y >= 0).all()
        np.testing.assert_allclose(y.sum(axis=2), 1, rtol=1e-5)


def test_a_new_memory_looks_the_same_everywhere_to_every_key(rng: np.random.Generator) -> None:
    memory = np.full((B, N, M), START)
    w, cache = content_address(rng.normal(size=(B, K, M)), np.full((B, K), 50.0), memory)
    np.testing.assert_allclose(w, 1 / N, rtol=1e-12)
    _, dstrength, dmemory = addressing.content_address_backward(cache, rng.normal(size=w.shape))
    np.testing.assert_allclose(dstrength, 0, atol=1e-12)
    assert np.abs(dmemory).max() > 0.01 / START, "a row can turn towards a key: that is why it does not start at 0"


def test_the_weight_of_a_sure_head_survives_a_thousand_sharp_moves() -> None:
    """Where a power of every weight would underflow, the sum stays 1 and the focus where the shifts bring it."""
    w, s, gamma = np.eye(N, dtype=np.float32)[None, [2]], np.float32([[[0.05, 0.05, 0.9]]]), np.float32([[20.0]])
    for _ in range(1000):
        w = sharpen(shift(interpolate(w, np.zeros((1, 1), np.float32), w)[0], s)[0], gamma)[0]
    assert w[0, 0, (2 + 1000) % N] > 0.999
    assert w.sum() == pytest.approx(1, rel=1e-6)
