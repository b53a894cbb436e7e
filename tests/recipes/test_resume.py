"""A run that is killed, wherever it was, ends where it would have ended: bit for bit, with nothing lost or half written."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from companion.files import TEMPORARY
from companion.recipes import RECIPES, Recipe, checkpoint, training
from tests.recipes.forks import KILLED, ROOT, Server, serving
from tests.recipes.runs import SMALL, Left, left, step_of

N_RUNS = 8  # killed at random moments, twice each
pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the processes to kill are forked; that is safe on Linux only"
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as server:
        server("train", arguments=["no such recipe"])  # it is ready when it answers
        yield server


@pytest.fixture(params=SMALL)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def recipe(name: str, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    monkeypatch.setitem(RECIPES, name, SMALL[name])
    return SMALL[name]


def train(server: Server, folder: Path, name: str, *more: str) -> Left:
    """Go on to the end, and what there is then."""
    status, text = server("train", arguments=[name, "--out", str(folder), "--resume", *more])
    assert status == 0, text
    return left(folder)


def kill(server: Server, folder: Path, name: str, *more: str, **how: Any) -> bool:
    """Go on and be killed, unless the end comes first; the checkpoint is whole then, and not behind the one before."""
    step = step_of(folder)
    ended = server("train", arguments=[name, "--out", str(folder), "--resume", *more], **how)
    assert step_of(folder) >= step
    return ended in KILLED  # else it is a status and a text


# ---- at random moments


@pytest.mark.parametrize(("name", "every"), [("letters-to-phonemes", 1), ("wikitext-2", 4)])
def test_runs_killed_at_random_moments_end_where_an_unbroken_one_does(server, name, every, tmp_path) -> None:
    rng, more = np.random.default_rng(every), ["--set", f"checkpoint_every={every}"]
    started = time.perf_counter()
    whole = train(server, tmp_path / "whole", name, *more)
    seconds, n_kills, steps = time.perf_counter() - started, 0, set()
    for k in range(N_RUNS):
        for share in (0.8, 0.5):
            in_time = kill(server, tmp_path / str(k), name, *more, kill_after=rng.uniform(0, share * seconds))
            n_kills += in_time
            seconds *= 1 if in_time else 0.7  # the machine may be quicker now
            steps.add(step_of(tmp_path / str(k)))
        assert train(server, tmp_path / str(k), name, *more) == whole
    assert n_kills >= 10  # with both recipes at least 20
    assert len(steps) >= 3, f"all were killed at the same few steps: {steps}"


# ---- while a checkpoint is written

# For the weights and then for the header: bring it to the disk, name it, bring the name to the disk; then remove the older.
MOMENTS = [("os.fsync", n) for n in range(1, 9)] + [("os.replace", n) for n in range(1, 5)] + [("os.unlink", 1)]


def test_runs_killed_while_writing_end_where_an_unbroken_one_does(server, tmp_path) -> None:
    name = "letters-to-phonemes"  # what is written, and how, is no matter of the recipe
    more = ["--steps", "6", "--set", "checkpoint_every=1"]
    whole, seen = train(server, tmp_path / "whole", name, *more), set()
    for k, moment in enumerate(MOMENTS):
        folder = tmp_path / str(k)
        for _ in range(2):  # of a new run, then of one that goes on and first mends its logbook
            assert kill(server, folder, name, *more, at=moment), f"{moment} does not happen"
            seen |= remains(folder)
        assert train(server, folder, name, *more) == whole
    assert seen == {"half a file", "weights without a header", "older weights"}


def test_a_run_killed_in_the_middle_of_a_file_ends_where_an_unbroken_one_does(server, name, tmp_path) -> None:
    whole = train(server, tmp_path / "whole", name)
    size = next((tmp_path / "whole").glob("*.safetensors")).stat().st_size
    folder = tmp_path / "killed"
    for limit in (size // 8, size // 2, size - 1):
        assert kill(server, folder, name, limit=limit, fatal=True)
        assert any(path.stat().st_size == limit for path in folder.glob(f".*{TEMPORARY}"))
    assert train(server, folder, name) == whole


def remains(folder: Path) -> set[str]:
    """What a killed writer left in a folder."""
    names = {path.name for path in folder.iterdir()}
    found = {"half a file"} if any(name.endswith(TEMPORARY) for name in names) else set()
    weights = {name for name in names if name.endswith(".safetensors")}
    if not checkpoint.exists(folder):
        return found | ({"weights without a header"} if weights else set())
    used = checkpoint.read(folder).header["weights"]
    found |= {"weights without a header"} if any(name > used for name in weights) else set()
    return found | ({"older weights"} if any(name < used for name in weights) else set())


# ---- stopped, at any step


def test_a_run_stopped_after_every_step_ends_where_an_unbroken_one_does(recipe, tmp_path) -> None:
    for folder in ("whole", "broken"):
        (tmp_path / folder).mkdir()
    run = training.begin(recipe)
    training.settle(run, tmp_path / "whole")
    for update in training.train(run, tmp_path / "whole"):
        again = training.begin(recipe)
        training.settle(again, tmp_path / "broken", resume=update.step > 1)
        assert [other.step for other in training.train(again, tmp_path / "broken", lambda: True)] == [update.step]
        if update.step % recipe.training.checkpoint_every == 0:
            assert left(tmp_path / "broken").header == left(tmp_path / "whole").header
    assert update.step == recipe.training.steps
    assert left(tmp_path / "broken") == left(tmp_path / "whole")


def test_a_run_resumed_from_every_checkpoint_ends_where_an_unbroken_one_does(recipe, tmp_path) -> None:
    run = training.begin(recipe)
    (tmp_path / "whole").mkdir()
    training.settle(run, tmp_path / "whole")
    for update in training.train(run, tmp_path / "whole"):
        if update.step % 4 == 0:
            shutil.copytree(tmp_path / "whole", tmp_path / str(update.step))
    for step in range(4, recipe.training.steps + 1, 4):
        again = training.begin(recipe)
        training.settle(again, tmp_path / str(step), resume=True)
        assert again.step == step
        assert len(list(training.train(again, tmp_path / str(step)))) == recipe.training.steps - step
        assert left(tmp_path / str(step)) == left(tmp_path / "whole")


# ---- the command line as readers have it


REAL = ["train", "letters-to-phonemes", "--device", "cpu", "--steps", "150", "--batch", "50"]
REAL += [
    text for pair in ("n_hidden=8", "n_layers=1", "checkpoint_every=4", "evaluate_every=75") for text in ("--set", pair)
]


def interrupted(folder: Path, number: int, wait: float) -> tuple[int, str]:
    """Start or go on, send a signal a while after the next checkpoint; the exit status and standard error."""
    before = step_of(folder)
    command = [sys.executable, "-m", "companion", *REAL, "--out", str(folder), "--resume"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        try:
            end = time.monotonic() + 60
            while step_of(folder) <= max(before, 0) and process.poll() is None and time.monotonic() < end:
                time.sleep(0.005)
            time.sleep(wait)
            process.send_signal(number)
            _, text = process.communicate(timeout=60)
        finally:
            process.kill()
    return process.returncode, text


def test_the_command_line_killed_twice_and_stopped_once_ends_where_an_unbroken_run_does(server, tmp_path) -> None:
    folder, steps = tmp_path / "broken", [0]
    for number, wait in ((signal.SIGKILL, 0.1), (signal.SIGKILL, 0.03), (signal.SIGINT, 0)):
        status, text = interrupted(folder, number, wait)
        steps.append(step_of(folder))
        assert status == (130 if number == signal.SIGINT else -number), text
        assert steps[-1] > steps[-2]
    assert f"Stopped after update {steps[-1]} of 150" in text.splitlines()[-1]
    lines = [[*REAL, "--out", str(tmp_path / name), "--resume"] for name in ("broken", "whole")]
    assert [status for status, _ in server("commands", lines=lines, small=False)] == [0, 0]
    assert left(folder) == left(tmp_path / "whole")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_told_to_stop_leaves_a_checkpoint_of_that_step(server, name, number, tmp_path) -> None:
    whole, folder = train(server, tmp_path / "whole", name), tmp_path / "run"
    at = ("companion.recipes.training.update", 11)
    status, text = server("train", arguments=[name, "--out", str(folder)], at=at, signals=[number])
    assert status == 130, text
    assert "Stopped after update 11 of 30; go on with the same command and --resume." in text
    assert step_of(folder) == 11
    assert train(server, folder, name) == whole


def test_a_second_ctrl_c_ends_a_run_at_once_and_leaves_its_last_checkpoint(server, name, tmp_path) -> None:
    whole, folder = train(server, tmp_path / "whole", name), tmp_path / "run"
    at = ("companion.recipes.checkpoint.write", 3)
    status, text = server("train", arguments=[name, "--out", str(folder)], at=at, signals=[signal.SIGINT] * 2)
    assert status in (130, "KeyboardInterrupt"), text
    assert step_of(folder) == 4
    assert train(server, folder, name) == whole
