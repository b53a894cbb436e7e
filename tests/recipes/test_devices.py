"""Devices and precisions: a GPU computes what a CPU computes, and what a device cannot do is refused in one line.

Without a GPU the tests of one are skipped, and say so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from companion.__main__ import main
from companion.recipes import Recipe, training
from companion.recipes.places import Place, enter
from tests.recipes.processes import LETTERS, language

HAS_GPU = torch.cuda.is_available()
needs_gpu = pytest.mark.skipif(not HAS_GPU, reason="there is no GPU that this PyTorch can use")
without_gpu = pytest.mark.skipif(HAS_GPU, reason="there is a GPU")
N_UPDATES = 20
# Relative to the norm of each tensor. TensorFloat-32, which PyTorch lets cuDNN use, keeps 10 bits of a factor.
GRADIENTS = {"float32": 1e-4, "TensorFloat-32": 1e-2}
WEIGHTS = {"float32": 1e-3, "TensorFloat-32": 2e-2}
LOSS = {"bfloat16": 0.05, "float16": 0.1}  # of the loss after the updates; float16 leaves out some of the first


@pytest.fixture(autouse=True)
def _in_float32(_torch_in_float64: None) -> None:
    torch.set_default_dtype(torch.float32)


@pytest.fixture(params=[LETTERS, language()], ids=lambda recipe: recipe.name)
def recipe(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=list(GRADIENTS))
def arithmetic(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", request.param == "TensorFloat-32")
    return request.param


def started(recipe: Recipe, place: Place) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], float]:
    """The first gradients, and the weights and the loss after some updates."""
    run, gradients = training.begin(recipe, 0, place), {}
    for _ in range(N_UPDATES):
        loss = training.backward(run)
        gradients = gradients or {name: p.grad.cpu().clone() for name, p in run.module.named_parameters()}
        training.update(run)
    return gradients, {name: p.detach().cpu() for name, p in run.module.named_parameters()}, loss


def furthest(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    return max(float((found[name] - tensor).norm() / tensor.norm()) for name, tensor in expected.items())


@needs_gpu
def test_cpu_and_gpu_agree(recipe: Recipe, arithmetic: str) -> None:
    on_cpu = started(recipe, Place())
    with enter("cuda") as place:
        on_gpu = started(recipe, place)
    assert 0 < furthest(on_gpu[0], on_cpu[0]) < GRADIENTS[arithmetic]
    assert furthest(on_gpu[1], on_cpu[1]) < WEIGHTS[arithmetic]


@needs_gpu
def test_a_run_that_stops_on_a_gpu_goes_on_there_and_on_a_cpu(tmp_path: Path) -> None:
    for device in ("cuda", "cpu"):
        folder, recipe = tmp_path / device, language()
        folder.mkdir()
        with enter("cuda") as place:
            first = training.begin(recipe, 0, place)
            training.settle(first, folder)
            list(training.train(first, folder, lambda run=first: run.step >= N_UPDATES // 2))
        with enter(device) as place:
            second = training.begin(recipe, 0, place)
            training.settle(second, folder, resume=True)
            list(training.train(second, folder))
        assert second.step == N_UPDATES
        whole = started(recipe, Place())[1]
        weights = {name: p.detach().cpu() for name, p in second.module.named_parameters()}
        assert furthest(weights, whole) < WEIGHTS["TensorFloat-32"]


def refusal(device: str, precision: str) -> str:
    """What is said about a precision on a device; nothing where it runs."""
    try:
        with enter(device, precision):
            return ""
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_gpu)])
@pytest.mark.parametrize("precision", list(LOSS))
def test_a_short_format_learns_as_float32_does_or_is_refused(recipe: Recipe, device: str, precision: str) -> None:
    told = refusal(device, precision)
    if told:
        reason = rf"but an LSTM does not run in it on {device}.*, expected 'float32' \(.*\)"
        assert re.fullmatch(f"recipes: precision is '{precision}', {reason}", told)
        assert (device, precision) != ("cuda", "float16"), "every GPU has it"
        return
    with enter(device, precision) as place:
        _, weights, loss = started(recipe, place)
    _, exact, expected = started(recipe, Place())
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
    assert furthest(weights, exact) > 1e-4, "the products were as long as ever"
    assert math.isclose(loss, expected, rel_tol=LOSS[precision])


@without_gpu
@pytest.mark.parametrize("command", [["train", LETTERS.name, "--out"], ["evaluate"]])
def test_a_gpu_that_is_not_there_is_refused_in_one_line(command: list[str], tmp_path: Path, capsys: Any) -> None:
    tmp_path.joinpath("x").mkdir()
    assert main([*command, str(tmp_path / "x"), "--device", "cuda"]) == 2
    told = (
        "recipes: device is 'cuda' for process 0 of this machine, expected 'cpu' or 'auto': PyTorch .* finds 0 GPUs\n"
    )
    assert re.fullmatch(told, capsys.readouterr().err)
    assert list((tmp_path / "x").iterdir()) == []


@without_gpu
def test_without_a_gpu_auto_is_the_cpu() -> None:
    with enter() as place:
        assert place.device.type == "cpu"


@pytest.mark.parametrize(("option", "value"), [("--device", "tpu"), ("--precision", "float8")])
def test_unknown_device_or_precision_is_refused_in_one_line(
    option: str, value: str, tmp_path: Path, capsys: Any
) -> None:
    assert main(["train", LETTERS.name, "--out", str(tmp_path / "x"), option, value]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"recipes: {option[2:]} is '{value}', expected") and told.count("\n") == 1
    assert not (tmp_path / "x").exists()


def test_restart_goes_on_with_what_the_same_launch_began_and_with_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--set", "n_hidden=2", "--set", "n_layers=1", "--set", "n_embedding=2", "--steps", "1", "--device", "cpu"]
    train = ["train", "letters-to-phonemes", *small, "--out"]
    assert main([*train, str(tmp_path / "old")]) == 0
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    assert main([*train, str(tmp_path / "own")]) == 0
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert main([*train, str(tmp_path / "own")]) == 0
    capsys.readouterr()
    assert main([*train, str(tmp_path / "old")]) == 2
    assert "already holds a run" in capsys.readouterr().err
