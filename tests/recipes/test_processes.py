"""Recipes under PyTorch's own launcher: two processes compute what one does, survive each other's death, and one writes.

Measured: gradients of two processes and of one differ by 2e-7 of their norm in float32, which is rounding, and by 6e-16 in
float64; weights after 20 updates by 4e-8. Two runs of two processes do not differ in a single bit.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file

from companion.recipes import checkpoint, logbook, training
from companion.recipes.places import Place
from tests.recipes.processes import LETTERS, N_UPDATES, STEPS, TYPES, language, measure, trained

ROOT = Path(__file__).parents[2]
LIMIT = 100  # seconds for whatever a process is waited for
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}  # of gradients, relative to the norm of each tensor
WEIGHTS = 1e-5  # of weights after 20 updates, likewise
LONG = 200  # updates of a run that is killed twice: some seconds

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="torchrun is tested on Linux and macOS only")
Tensors = Mapping[str, torch.Tensor]


@pytest.fixture(autouse=True)
def _in_float32(_torch_in_float64: None) -> None:
    torch.set_default_dtype(torch.float32)


# ---- starting processes, and never leaving one behind


@contextlib.contextmanager
def torchrun(log: Path, *arguments: str) -> Iterator[psutil.Popen]:
    """Start two processes; what they and torchrun print goes into a file. All are gone in the end."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *arguments]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "COV_"))}
    with log.open("wb") as file:
        agent = psutil.Popen(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=environment | {"PYTHONPATH": str(ROOT)},
        )
        try:
            yield agent
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                for process in [*agent.children(recursive=True), agent]:
                    process.kill()
            agent.wait(LIMIT)


def ended(log: Path, *arguments: str) -> tuple[int, str]:
    """The exit status of a start, and what was printed."""
    with torchrun(log, *arguments) as agent:
        status = agent.wait(LIMIT)
    return status, log.read_text(encoding="utf-8", errors="replace")


def workers(agent: psutil.Popen) -> list[psutil.Process]:
    """The processes that torchrun started, in the order of their ranks."""
    return sorted(agent.children(), key=lambda process: (process.create_time(), process.pid))


def wait_for(folder: Path, step: int, agent: psutil.Popen) -> None:
    """Wait until a run has a checkpoint of this step or a later one."""
    end = time.monotonic() + LIMIT
    while not checkpoint.exists(folder) or checkpoint.read_header(folder / checkpoint.HEADER)["step"] < step:
        assert time.monotonic() < end, f"no step {step}"
        assert agent.poll() is None, "the run ended before"
        time.sleep(0.01)


# ---- comparing tensors


def furthest(found: Tensors, expected: Tensors) -> float:
    """The largest relative difference of two tensors of the same name: the norm of the difference, by that of the expected."""
    assert found.keys() == expected.keys() and expected
    return max(float((found[k].double() - expected[k].double()).norm() / expected[k].double().norm()) for k in expected)


def same(found: Tensors, expected: Tensors) -> bool:
    """Whether all tensors are equal, bit for bit."""
    return found.keys() == expected.keys() and all(torch.equal(found[k], expected[k]) for k in expected)


def part(tensors: Tensors, start: str) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in tensors.items() if name.startswith(start)}


def test_a_tensor_that_differs_is_found() -> None:
    expected = {"a": torch.ones(3), "b": torch.tensor([3.0, 4.0])}
    found = expected | {"b": torch.tensor([3.0, 4.5])}
    assert furthest(found, expected) == pytest.approx(0.1)
    assert furthest(expected, expected) == 0
    assert (same(found, expected), same(expected, expected), same({}, expected)) == (False, True, False)


# ---- shares of a batch, without any launcher


def share(recipe: Any, rank: int, n_processes: int) -> tuple[dict[str, torch.Tensor], int]:
    """The gradients of one process before they are averaged, and how many targets it has."""
    run = replace(training.begin(recipe), place=Place(rank=rank, n_processes=n_processes))
    training.backward(run)
    mask = run.task.batch(recipe, run.data, 0, 1).mask
    gradients = {name: parameter.grad for name, parameter in run.module.named_parameters()}
    return gradients, int(mask[:, run.place.columns(mask.shape[1])].sum())


def averaged(shares: list[tuple[dict[str, torch.Tensor], int]], by_targets: bool) -> dict[str, torch.Tensor]:
    """The mean over processes; without `by_targets`, of gradients that each process divided by its own targets alone."""
    total, n = sum(count for _, count in shares), len(shares)
    factors = [1 / n if by_targets else total / n / count / n for _, count in shares]
    return {name: sum(f * gradients[name] for f, (gradients, _) in zip(factors, shares)) for name in shares[0][0]}


@pytest.mark.parametrize("n_processes", [2, 4])
def test_shares_average_to_the_whole_gradient_although_words_differ_in_length(n_processes: int) -> None:
    whole, n_targets = share(LETTERS, 0, 1)
    shares = [share(LETTERS, rank, n_processes) for rank in range(n_processes)]
    assert sum(count for _, count in shares) == n_targets and len({count for _, count in shares}) > 1
    assert furthest(averaged(shares, by_targets=True), whole) < TOLERANCE[torch.float32]
    assert furthest(averaged(shares, by_targets=False), whole) > 1e-3


# ---- two real processes


def test_two_processes_compute_what_one_computes_and_one_of_them_writes(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    measure(Place(), one)
    shutil.copytree(one / "half", two / "others")
    status, printed = ended(tmp_path / "log", "-m", "tests.recipes.processes", "measure", str(two))
    assert status == 0, printed
    for recipe in (LETTERS, language()):
        for dtype in TYPES:
            check_gradients(*(load(folder, f"{recipe.name}-{dtype}") for folder in (one, two)), TOLERANCE[dtype])
    check_weights(one, two)
    by_rank = [json.loads((two / f"changed-{rank}.json").read_text()) for rank in (0, 1)]
    assert all(any(name in changed for changed in by_rank[0]) for name in (checkpoint.HEADER, logbook.NAME))
    assert by_rank[1] == []


def load(folder: Path, name: str) -> list[dict[str, torch.Tensor]]:
    """The tensors of every process, by rank."""
    return [load_file(path) for path in sorted(folder.glob(f"{name}-?.safetensors"))]


def check_gradients(one: list[Any], two: list[Any], tolerance: float) -> None:
    (alone,) = one
    first, second = two
    for step in STEPS:
        for rank in two:
            assert furthest(part(rank, f"{step}."), part(alone, f"{step}.")) < tolerance
        columns = torch.cat([first[f"seen.{step}"], second[f"seen.{step}"]], dim=1)
        assert torch.equal(columns, alone[f"seen.{step}"])
        assert all(float(rank[f"loss.{step}"]) == pytest.approx(float(alone[f"loss.{step}"]), rel=1e-6) for rank in two)


def check_weights(one: Path, two: Path) -> None:
    """Runs of one process and of two, and runs that the one began and the other ended."""
    (alone,) = load(one, "whole")
    for name in ("whole", "others"):
        ranks = load(two, name)
        assert same(ranks[0], ranks[1])
        assert furthest(ranks[0], alone) < WEIGHTS
    assert [checkpoint.read(two / name).header["step"] for name in ("half", "others")] == [N_UPDATES // 2, N_UPDATES]
    assert furthest(trained(Place(), two / "half"), alone) < WEIGHTS


def test_killed_processes_are_started_again_and_the_run_ends_as_one_never_killed(tmp_path: Path) -> None:
    start = ("-m", "tests.recipes.processes", "train", "wikitext-2", f"--steps={LONG}", "--device=cpu", "--out")
    whole, broken, log = tmp_path / "whole", tmp_path / "broken", tmp_path / "log"
    status, printed = ended(log, *start, str(whole))
    assert status == 0, printed
    assert printed.count("on validation data") == 1
    with torchrun(log, "--max-restarts=1", *start, str(broken)) as agent:
        for step, rank in ((20, 1), (60, 0)):
            wait_for(broken, step, agent)
            workers(agent)[rank].kill()
        assert agent.wait(LIMIT) != 0
    stopped = checkpoint.read(broken).header["step"]
    assert 60 <= stopped < LONG
    status, printed = ended(log, *start, str(broken), "--resume")
    assert status == 0, printed
    assert same(checkpoint.read(broken).tensors, checkpoint.read(whole).tensors)
    assert logbook.read(broken) == logbook.read(whole)
    assert {path.suffix for path in broken.iterdir()} == {".json", ".jsonl", ".png", ".safetensors"}


def test_a_batch_that_cannot_be_shared_out_is_refused(tmp_path: Path) -> None:
    command = ("-m", "companion", "train", LETTERS.name, "--batch=63", "--device=cpu", "--out", str(tmp_path / "out"))
    status, printed = ended(tmp_path / "log", *command)
    assert status == 1
    # Both say so, unless torchrun ends the second because the first has ended.
    told = "train: batch is 63, expected a multiple of the 2 processes that share it\n"
    assert 1 <= printed.count(told) <= 2
    assert "exitcode  : 2" in printed
    assert not (tmp_path / "out").exists()
