"""The stages of addressing in PyTorch against `companion.addressing` and `companion.heads`, by autograd; numbers at the edge."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from companion import addressing, heads, ops
from companion.pytorch import ntm as twin
from companion.tree import tree_map
from tests.parity.recurrent import TOLERANCE, B, arrays, require_equal, send_back

every_dtype = pytest.mark.parametrize("dtype", TOLERANCE)

# --- the stages

STAGES = ["content_address", "interpolate", "shift", "sharpen", "read", "erase_add"]
every_stage = pytest.mark.parametrize("name", STAGES)
N, M, K = 9, 6, 2


def arguments(stage: Callable[..., Any], rng: np.random.Generator, dtype: Any = np.float64) -> dict[str, Any]:
    """Something random for each argument that the stage has."""
    possible = {
        "key": np.tanh(rng.normal(size=(B, K, M))),
        "strength": rng.uniform(0.5, 5, (B, K)),
        "memory": rng.normal(size=(B, N, M)),
        "gate": rng.uniform(size=(B, K)),
        **{name: ops.softmax(rng.normal(size=(B, K, N))) for name in ("content", "prev", "w")},
        "s": ops.softmax(rng.normal(size=(B, K, 5))),
        "sharpness": rng.uniform(1, 4, (B, K)),
        "erase": rng.uniform(size=(B, K, M)),
        "add": rng.normal(size=(B, K, M)),
    }
    return {name: possible[name].astype(dtype) for name in inspect.signature(stage).parameters}


def both_ways(stage: Callable[..., torch.Tensor], args: dict[str, Any], dy: Any) -> tuple[Any, ...]:
    """The result and the gradient of every argument, by autograd."""
    inputs = {name: torch.tensor(array, requires_grad=True) for name, array in args.items()}
    y = stage(**inputs)
    y.backward(torch.from_numpy(dy))
    return (y.detach().numpy(), *(tensor.grad.numpy() for tensor in inputs.values()))


def by_numpy(name: str, args: dict[str, Any], dy: Any = None) -> tuple[Any, ...]:
    y, cache = getattr(addressing, name)(**args)
    back = () if dy is None else getattr(addressing, f"{name}_backward")(cache, dy)
    return (y, *back)


@every_dtype
@every_stage
def test_a_stage_and_its_gradients_equal_those_of_numpy(name: str, dtype: Any, rng: np.random.Generator) -> None:
    args = arguments(getattr(addressing, name), rng, dtype)
    dy = rng.normal(size=by_numpy(name, args)[0].shape).astype(dtype)
    require_equal(both_ways(getattr(twin, name), args, dy), by_numpy(name, args, dy), dtype)


@pytest.mark.parametrize("name", [*STAGES, "head_parameters", "address"])
def test_a_stage_has_the_names_of_numpy(name: str) -> None:
    theirs = getattr(heads if name in ("head_parameters", "address") else addressing, name)
    assert list(inspect.signature(getattr(twin, name)).parameters) == list(inspect.signature(theirs).parameters)


def over_the_wrong_axis(key: Any, strength: Any, memory: Any) -> Any:
    cosine = torch.cosine_similarity(key[:, :, None], memory[:, None], dim=3)
    return torch.softmax(strength[:, :, None] * cosine, dim=1)


def added_before_erased(memory: Any, w: Any, erase: Any, add: Any) -> Any:
    return twin.erase_add(memory + w.mT @ add, w, erase, 0 * add)


def one_after_the_other(memory: Any, w: Any, erase: Any, add: Any) -> Any:
    for k in range(K):
        memory = twin.erase_add(memory, w[:, k, None], erase[:, k, None], add[:, k, None])
    return memory


WRONG: list[tuple[str, Callable[..., Any]]] = [
    ("content_address", over_the_wrong_axis),
    ("content_address", lambda key, strength, memory: torch.softmax(strength[:, :, None] * (key @ memory.mT), dim=2)),
    (
        "content_address",
        lambda key, strength, memory: twin.content_address(key.detach(), strength, memory) + 0 * key.sum(),
    ),
    ("interpolate", lambda content, gate, prev: twin.interpolate(prev, gate, content)),
    ("interpolate", lambda content, gate, prev: twin.interpolate(content, gate, prev.detach()) + 0 * prev),
    ("shift", lambda w, s: twin.shift(w, s.flip(2))),
    ("sharpen", lambda w, sharpness: w ** sharpness[:, :, None]),
    ("sharpen", lambda w, sharpness: torch.softmax(sharpness[:, :, None] * w, dim=2)),
    ("read", lambda memory, w: w.flip(1) @ memory),
    ("erase_add", added_before_erased),
    ("erase_add", one_after_the_other),
    ("erase_add", lambda memory, w, erase, add: memory * (1 - w.mT @ erase) + w.mT @ add),
]


@every_dtype
@pytest.mark.parametrize(("name", "wrong"), WRONG)
def test_a_wrong_stage_does_not_pass(
    name: str, wrong: Callable[..., Any], dtype: Any, rng: np.random.Generator
) -> None:
    args = arguments(getattr(addressing, name), rng, dtype)
    dy = rng.normal(size=by_numpy(name, args)[0].shape).astype(dtype)
    with pytest.raises(AssertionError):
        require_equal(both_ways(wrong, args, dy), by_numpy(name, args, dy), dtype)


# --- the heads

SIZES = heads.NTMSizes(N, M, read_heads=2, write_heads=3, shift_range=2)


def compare_heads(dtype: Any, rng: np.random.Generator) -> None:
    """Every block of z from -45 to 45, with noise."""
    P = sum(int(np.prod(shape)) for shape in heads.head_shapes(SIZES))
    z = (np.linspace(-45, 45, 91)[:, None] + rng.normal(size=(91, P))).astype(dtype)
    expected = heads.head_parameters(SIZES, z)
    dy = tree_map(lambda a: rng.normal(size=a.shape).astype(dtype), expected)
    tensor = torch.tensor(z, requires_grad=True)
    received = twin.head_parameters(SIZES, tensor)
    send_back(received, dy)
    require_equal(arrays(received), expected, dtype)
    require_equal(tensor.grad.numpy(), heads.head_parameters_backward(expected, dy), dtype)


@every_dtype
def test_what_the_heads_are_told_equals_numpy(dtype: Any, rng: np.random.Generator) -> None:
    compare_heads(dtype, rng)


def test_the_softplus_of_torch_as_it_is_does_not_pass(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twin, "_softplus", torch.nn.functional.softplus)
    with pytest.raises(AssertionError):
        compare_heads(np.float64, rng)


# --- numbers at the edge


def extremes(dtype: Any, rng: np.random.Generator) -> dict[str, tuple[str, dict[str, Any]]]:
    """Arguments of a stage where a plainer formula overflows, underflows or divides by zero."""
    content, sharp = (arguments(getattr(addressing, name), rng, dtype) for name in ("content_address", "sharpen"))
    memory, one_hot = content["memory"].copy(), np.zeros((B, K, N), dtype)
    memory[:, 2], one_hot[:, :, 0] = 0, 1
    spread = np.full((B, K, 128), 1 / 128, dtype)
    start, strong = np.full_like(memory, 1e-6), np.full((B, K), 200, dtype)
    return {
        "a row of zeros": ("content_address", content | {"memory": memory}),
        "nothing but zeros": ("content_address", content | {"memory": 0 * memory}),
        "the memory at the start": ("content_address", content | {"memory": start}),
        "a strength of 200": ("content_address", content | {"strength": strong}),
        "a strength of 200, a row of zeros": ("content_address", content | {"strength": strong, "memory": memory}),
        "a start at one row": ("sharpen", sharp | {"w": one_hot}),
        "gamma 30, a start at one row": ("sharpen", {"w": one_hot, "sharpness": np.full((B, K), 30, dtype)}),
        "gamma 30, spread out": ("sharpen", {"w": spread, "sharpness": np.full((B, K), 30, dtype)}),
    }


EXTREMES = list(extremes(np.float32, np.random.default_rng(0)))


@every_dtype
@pytest.mark.parametrize("name", EXTREMES)
def test_extremes_give_the_finite_numbers_of_numpy(name: str, dtype: Any, rng: np.random.Generator) -> None:
    stage, args = extremes(dtype, rng)[name]
    dy = rng.normal(size=by_numpy(stage, args)[0].shape).astype(dtype)
    for x, y in zip(both_ways(getattr(twin, stage), args, dy), by_numpy(stage, args, dy)):
        assert np.isfinite(x).all()
        # In float32 a gradient of 1e6 for a number of 1e-6 is the difference of larger ones.
        np.testing.assert_allclose(
            x, y, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * max(1, np.abs(y).max()), strict=True
        )


def test_plainer_formulas_are_not_finite_there(rng: np.random.Generator) -> None:
    """The powers of equation 9 as they stand, and the norm without a floor, in float32."""

    def powers(w: Any, sharpness: Any) -> Any:
        power = w ** sharpness[:, :, None]
        return power / power.sum(dim=2, keepdim=True)

    def norms(key: Any, strength: Any, memory: Any) -> Any:
        norm = (memory**2).sum(dim=2).sqrt()[:, None] * (key**2).sum(dim=2).sqrt()[:, :, None]
        return torch.softmax(strength[:, :, None] * (key @ memory.mT) / norm, dim=2)

    for name, plain in (("gamma 30, spread out", powers), ("a row of zeros", norms)):
        stage, args = extremes(np.float32, rng)[name]
        dy = rng.normal(size=by_numpy(stage, args)[0].shape).astype(np.float32)
        assert not all(np.isfinite(array).all() for array in both_ways(plain, args, dy))
