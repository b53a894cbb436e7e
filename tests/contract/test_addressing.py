"""Each stage of addressing alone: central differences, PyTorch's autograd of another formula, loops, and identities."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from companion import addressing
from companion.addressing import WEIGHT_FLOOR, content_address, sharpen, shift
from companion.tree import tree_leaves, tree_map
from tests.contract.cells import bytes_of, dtypes_of, require_equal
from tests.contract.stages import REACH, STAGES, B, K, M, N, both_ways, check_stage, weighting


def content_formula(key: Any, strength: Any, memory: Any) -> torch.Tensor:
    cosine = torch.cosine_similarity(key[:, :, None], memory[:, None], dim=-1)
    return torch.exp(strength[:, :, None] * cosine - torch.logsumexp(strength[:, :, None] * cosine, -1, True))


def shift_formula(w: Any, s: Any) -> torch.Tensor:
    """A circular convolution is a product of Fourier transforms."""
    round_the_end = torch.roll(torch.nn.functional.pad(s, (0, w.shape[2] - s.shape[2])), -(s.shape[2] // 2), 2)
    return torch.fft.irfft(torch.fft.rfft(w) * torch.fft.rfft(round_the_end), n=w.shape[2])


def sharpen_formula(w: Any, sharpness: Any) -> torch.Tensor:
    power = (w + WEIGHT_FLOOR) ** sharpness[:, :, None]
    return power / power.sum(dim=2, keepdim=True)


def erase_add_formula(memory: Any, w: Any, erase: Any, add: Any) -> torch.Tensor:
    for k in range(w.shape[1]):
        memory = memory - memory * torch.einsum("bn,bm->bnm", w[:, k], erase[:, k])
    return memory + torch.einsum("bkn,bkm->bnm", w, add)


FORMULAS: dict[str, Callable[..., torch.Tensor]] = {
    "content_address": content_formula,
    "interpolate": lambda content, gate, prev: torch.lerp(prev, content, gate[:, :, None]),
    "shift": shift_formula,
    "sharpen": sharpen_formula,
    "read": lambda memory, w: torch.einsum("bnm,bkn->bkm", memory, w),
    "erase_add": erase_add_formula,
}
every_stage = pytest.mark.parametrize("name", STAGES)


@every_stage
def test_a_stage_agrees_with_central_differences(name: str, rng: np.random.Generator) -> None:
    check_stage(STAGES[name], rng)


@every_stage
def test_a_stage_and_its_gradients_are_those_of_autograd_on_another_formula(
    name: str, rng: np.random.Generator
) -> None:
    stage = STAGES[name]
    inputs = stage.inputs(rng)
    tensors = [torch.tensor(a, requires_grad=True) for a in inputs.values()]
    expected = FORMULAS[name](*tensors)
    dy = rng.normal(size=expected.shape)
    gradients = torch.autograd.grad(expected, tensors, torch.from_numpy(dy))
    all_expected = (expected.detach().numpy(), *(g.numpy() for g in gradients))
    require_equal(both_ways(stage, inputs, dy), all_expected, rtol=1e-10, atol=1e-12)


@every_stage
def test_float32_is_kept_and_near_float64_and_no_argument_is_modified(name: str, rng: np.random.Generator) -> None:
    stage = STAGES[name]
    inputs = tree_map(np.float32, stage.inputs(rng))
    y, cache = stage.forward(**inputs)
    dy = rng.normal(size=y.shape).astype(np.float32)
    kept = (inputs, y, dy, cache)
    before = bytes_of(kept)
    received = both_ways(stage, inputs, dy)
    assert dtypes_of((received, cache)) == {np.dtype(np.float32)}
    assert bytes_of(kept) == before
    for result in tree_leaves(received):
        assert not any(np.shares_memory(result, a) for a in tree_leaves(kept))
    exact = both_ways(stage, tree_map(np.float64, inputs), np.float64(dy))
    require_equal(tree_map(np.float64, received), exact, rtol=2e-5, atol=2e-6)


# --- what each stage must give where the answer is known


def test_the_lengths_of_key_and_rows_change_nothing_and_have_no_gradient(rng: np.random.Generator) -> None:
    inputs = STAGES["content_address"].inputs(rng)
    key, strength, memory = inputs.values()
    w, cache = content_address(key, strength, memory)
    longer, _ = content_address(3 * key, strength, memory * rng.uniform(0.5, 2, (B, N, 1)))
    np.testing.assert_allclose(longer, w, rtol=1e-12)
    dkey, _, dmemory = addressing.content_address_backward(cache, rng.normal(size=w.shape))
    np.testing.assert_allclose((dkey * key).sum(axis=2), 0, atol=1e-14)
    np.testing.assert_allclose((dmemory * memory).sum(axis=2), 0, atol=1e-14)
    assert np.abs(dkey).max() > 0.01 < np.abs(dmemory).max()


def test_the_row_most_like_the_key_is_found_and_a_row_of_zeros_is_unlike_all(rng: np.random.Generator) -> None:
    memory = np.eye(N, M)[None] + 0  # rows M, M + 1, ... are zero
    key = np.array([[[0, 0, 5.0, 0], [0, -1, 0, 0]]])
    w, _ = content_address(key, np.array([[2.0, 2.0]]), memory)
    others = np.exp([[2.0], [-2.0]]) + N - 1
    expected = np.where(np.arange(N) == [[2], [1]], np.exp([[2.0], [-2.0]]), 1) / others
    np.testing.assert_allclose(w[0], expected, rtol=1e-12)
    sure, _ = content_address(key, np.array([[1e3, 1e3]]), memory)
    assert sure[0, 0, 2] == 1
    assert sure[0, 1, 1] == 0


@pytest.mark.parametrize("gate", [0.0, 1.0])
def test_a_closed_gate_keeps_the_weighting_before_and_an_open_one_takes_the_new(
    gate: float, rng: np.random.Generator
) -> None:
    inputs = STAGES["interpolate"].inputs(rng) | {"gate": np.full((B, K), gate)}
    dy = rng.normal(size=(B, K, N))
    w, dcontent, _, dprev = both_ways(STAGES["interpolate"], inputs, dy)
    np.testing.assert_array_equal(w, inputs["content" if gate else "prev"])
    np.testing.assert_array_equal(dcontent if gate else dprev, dy)
    assert not (dprev if gate else dcontent).any()


@pytest.mark.parametrize("reach", [0, 1, 2, 3])
def test_a_shift_is_the_double_sum_of_the_paper_and_keeps_the_sum(reach: int, rng: np.random.Generator) -> None:
    """Eq. 8, where s has an entry for every row, and index -1 of s is that of the last row."""
    w, s = weighting(rng, B, K, N), weighting(rng, B, K, 2 * reach + 1)
    received, _ = shift(w, s)
    of_rows = np.zeros((B, K, N))
    for move in range(-reach, reach + 1):
        of_rows[:, :, move % N] += s[:, :, reach + move]
    for i in range(N):
        expected = sum(w[:, :, j] * of_rows[:, :, (i - j) % N] for j in range(N))
        np.testing.assert_allclose(received[:, :, i], expected, rtol=1e-12)
    np.testing.assert_allclose(received.sum(axis=2), 1, rtol=1e-12)


@pytest.mark.parametrize("row", [0, 3, N - 1])
@pytest.mark.parametrize("move", [-2, -1, 0, 1, 2])
def test_a_sure_shift_moves_a_sure_focus_round_the_end(row: int, move: int) -> None:
    w, s = np.eye(N)[None, [row]], np.eye(2 * REACH + 1)[None, [REACH + move]]
    moved, cache = shift(w, s)
    np.testing.assert_array_equal(moved[0, 0], np.eye(N)[(row + move) % N])
    back, _ = addressing.shift_backward(cache, moved)
    np.testing.assert_array_equal(back, w)


def test_the_way_back_through_a_shift_is_the_reversed_shift(rng: np.random.Generator) -> None:
    inputs, dy = STAGES["shift"].inputs(rng), rng.normal(size=(B, K, N))
    _, dw, _ = both_ways(STAGES["shift"], inputs, dy)
    np.testing.assert_allclose(dw, shift(dy, inputs["s"][:, :, ::-1].copy())[0], rtol=1e-12, atol=1e-15)
    assert not np.allclose(dw, shift(dy, inputs["s"])[0])


def test_sharpness_of_one_changes_nothing_and_more_of_it_moves_weight_to_the_largest(rng: np.random.Generator) -> None:
    w = weighting(rng, B, K, N)
    np.testing.assert_allclose(sharpen(w, np.ones((B, K)))[0], w, rtol=2 * N * WEIGHT_FLOOR / w.min())
    results = [w, *(sharpen(w, np.full((B, K), gamma))[0] for gamma in (1.5, 3.0, 10.0))]
    for flatter, sharper in pairwise(results):
        np.testing.assert_array_equal(np.argsort(sharper), np.argsort(w))
        np.testing.assert_allclose(sharper.sum(axis=2), 1, rtol=1e-12)
        assert ((sharper * np.log(sharper)).sum(axis=2) > (flatter * np.log(flatter)).sum(axis=2)).all()


def test_the_scale_of_what_is_sharpened_changes_nothing_and_has_no_gradient(rng: np.random.Generator) -> None:
    w, sharpness = STAGES["sharpen"].inputs(rng).values()
    y, cache = sharpen(w, sharpness)
    np.testing.assert_allclose(sharpen(0.3 * w, sharpness)[0], y, rtol=1e-9)
    dw, _ = addressing.sharpen_backward(cache, rng.normal(size=y.shape))
    np.testing.assert_allclose((dw * w).sum(axis=2), 0, atol=1e-9)
    assert np.abs(dw).max() > 0.01


@pytest.mark.parametrize("gamma", ["1", "1.5", "3", "50"])
def test_rows_of_weight_zero_have_the_gradient_of_the_floored_formula(gamma: str) -> None:
    """Central differences by less than the floor, which float64 cannot take beside a weight of 1: in 60 digits."""
    w = [Decimal(v) for v in ("0", "1", "0", "0.25", "1e-13")]
    dy = [Decimal(v) for v in ("1.5", "-0.5", "0.75", "2", "-1")]
    step = Decimal("1e-25")

    def loss(v: list[Decimal], g: Decimal) -> Decimal:
        powers = [(x + Decimal(WEIGHT_FLOOR)) ** g for x in v]
        return sum((a * p for a, p in zip(dy, powers, strict=True)), Decimal(0)) / sum(powers)

    with localcontext() as context:
        context.prec = 60
        units = [[step if i == n else Decimal(0) for i in range(len(w))] for n in range(len(w))]
        expected = [
            float(
                loss([a + b for a, b in zip(w, unit, strict=True)], Decimal(gamma))
                - loss([a - b for a, b in zip(w, unit, strict=True)], Decimal(gamma))
            )
            / (2 * float(step))
            for unit in units
        ]
        of_gamma = float((loss(w, Decimal(gamma) + step) - loss(w, Decimal(gamma) - step)) / (2 * step))
    _, cache = sharpen(np.array([[w]], float), np.array([[float(gamma)]]))
    dw, dsharpness = addressing.sharpen_backward(cache, np.array([[dy]], float))
    np.testing.assert_allclose(dw[0, 0], expected, rtol=1e-9, atol=1e-20)
    np.testing.assert_allclose(dsharpness[0, 0], of_gamma, rtol=1e-9, atol=1e-20)
