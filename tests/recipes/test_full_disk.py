"""A disk that is full, or on which nobody may write: one clear line, exit status 2, nothing lost; with room the run goes on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from companion.recipes import checkpoint
from tests.recipes.forks import Server, serving
from tests.recipes.runs import SMALL, Left, contents, left, step_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="full and read-only disks are made with what Linux has")
LETTERS = "letters-to-phonemes"
FULL = "No space left on device"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as server:
        server("train", arguments=["no such recipe"])  # it is ready when it answers
        yield server


@pytest.fixture(params=SMALL)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def unbroken(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of runs to which nothing happened."""
    folders = {name: tmp_path_factory.mktemp("whole") for name in SMALL}
    for name, folder in folders.items():
        assert server("train", arguments=[name, "--out", str(folder)], figure=True)[0] == 0
    return folders


def require_line(status: Any, text: str, *parts: str) -> None:
    """One line of error after the bar, exit status 2."""
    assert status == 2, text
    last = text.splitlines()[-1]
    assert [part for part in parts if part not in last] == [], last
    assert "Traceback" not in text


def given(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer, unless the machine does not allow what it takes."""
    if "skip" in answer:
        pytest.skip(answer["skip"])
    return answer


# What is about to be written for the n-th time when the disk becomes full, and the last good step then.
FAULTS = {
    "the first checkpoint": ("companion.recipes.checkpoint.write", 1, -1),
    "weights": ("companion.recipes.checkpoint.write", 4, 8),
    "a header": ("companion.recipes.checkpoint.write_atomically", 8, 8),
    "the logbook": ("companion.recipes.training.append", 1, 8),
    "the figure": ("companion.recipes.logbook.draw", 1, 30),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_run_on_a_full_disk_loses_nothing_and_goes_on_with_room(server, unbroken, name, fault, tmp_path) -> None:
    place, count, step = FAULTS[fault]
    (tmp_path / "disk").mkdir()
    answer = given(server("full_disk", folder=tmp_path / "disk", name=name, place=place, count=count))
    line = [str(tmp_path / "disk" / "run"), FULL, "no checkpoint" if step < 0 else f"step {step}"]
    for when, files in (("first", "after"), ("second", "still")):
        require_line(*answer[when], *line)
        weights = {file for file in answer[files] if file.startswith(f"step-{step:08d}")}
        assert set(answer[files]) - {"metrics.jsonl"} == (weights | {checkpoint.HEADER} if step >= 0 else set())
        assert {file: answer[files][file] for file in weights} == {file: answer["kept"][file] for file in weights}
    assert answer["third"][0] == 0
    assert Left(*answer["left"]) == left(unbroken[name])


# The first checkpoint has no averages yet, and is shorter than 0.9 of the last; the second line in the logbook ends beyond 60.
@pytest.mark.parametrize(("place", "limit", "step"), [("weights", 0.9, 0), ("append", 60, 8)])
def test_a_run_that_may_write_no_longer_files_loses_nothing(
    server, unbroken, name, place, limit, step, tmp_path
) -> None:
    line, size = [name, "--out", str(tmp_path / "run")], next(unbroken[name].glob("*.safetensors")).stat().st_size
    at = {"append": ("companion.recipes.training.append", 2), "weights": None}[place]
    answer = server("train", arguments=line, at=at, limit=limit if limit > 1 else int(limit * size))
    require_line(*answer, line[-1], "File too large", f"step {step}")
    assert step_of(tmp_path / "run") == step
    if place == "append":
        assert (tmp_path / "run" / "metrics.jsonl").stat().st_size == limit, (
            "no half line was left, so nothing was tested"
        )
    assert server("train", arguments=[*line, "--resume"], figure=True)[0] == 0
    assert left(tmp_path / "run") == left(unbroken[name])


# ---- where nobody may write


def test_a_read_only_disk_is_refused_in_one_line_and_not_changed(server, tmp_path) -> None:
    answer = given(server("read_only", folder=tmp_path, name=LETTERS))
    require_line(*answer["resumed"], str(tmp_path / "run"), "Read-only file system", "step 11")
    require_line(*answer["started"], str(tmp_path / "other"), "Read-only file system")
    assert answer["after"] == answer["kept"]
    assert len(answer["kept"]) == 3


def test_a_folder_without_permission_is_refused_in_one_line_and_not_changed(server, tmp_path) -> None:
    run, empty = tmp_path / "run", tmp_path / "empty"
    server("train", arguments=[LETTERS, "--out", str(run)], at=("companion.recipes.training.update", 11), signals=[2])
    empty.mkdir()
    kept = contents(run)
    for mode, reason in ((0o555, "Permission denied"), (0o000, "Permission denied")):
        for folder in (run, empty):
            folder.chmod(mode)
        try:
            outs = [[*pair] for pair in ((run, "--resume"), (run,), (empty,), (empty / "below",))]
            lines = [["train", LETTERS, "--out", str(out), *more] for out, *more in outs]
            answers = given(server("not_allowed", lines=lines))["commands"]
        finally:
            for folder in (run, empty):
                folder.chmod(0o755)
        for (out, *more), (status, text) in zip(outs, answers):
            require_line(status, text, str(out), "already holds a run" if mode and (out, more) == (run, []) else reason)
    assert contents(run) == kept
    assert contents(empty) == {}


def test_a_folder_that_cannot_be_one_is_refused_and_left_alone(server, tmp_path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("mine")
    link.symlink_to(tmp_path / "nowhere")
    outs = [file, file / "below", link]
    answers = server("commands", lines=[["train", LETTERS, "--out", str(out)] for out in outs])
    for out, (status, text) in zip(outs, answers, strict=True):
        require_line(status, text, "cannot make the folder", str(out))
    assert file.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]
