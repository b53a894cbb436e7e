"""What can go wrong in a folder: a byte that changes, what a killed writer left, another run, files of other people."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.recipes import RECIPES, checkpoint, training
from tests.recipes.forks import Server, serving
from tests.recipes.runs import SMALL, contents, edit, left, resume, run_until, step_of

TEXT = "wikitext-2"
STEP = 7
# What nothing else tells, so that another value cannot be noticed.
UNPROTECTED = ("metrics", "seconds", "versions", "device", "processes", "threads")
positions = st.floats(0, 1, exclude_max=True)
forked = pytest.mark.skipif(sys.platform != "linux", reason="the processes are forked; that is safe on Linux only")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, recipe in SMALL.items():
        monkeypatch.setitem(RECIPES, name, recipe)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stopped")
    run_until(STEP, TEXT, folder)
    return folder


@pytest.fixture
def folder(stopped: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stopped, tmp_path / "run"))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


def protected(header: dict[str, object]) -> dict[str, object]:
    """What must be the same; a field more or less that nobody reads cannot be noticed either."""
    return {name: header.get(name) for name in (*checkpoint.FIELDS, "precision") if name not in UNPROTECTED}


def with_byte(whole: bytes, position: float, byte: int) -> bytes:
    place = int(position * len(whole))
    return whole[:place] + bytes([byte]) + whole[place + 1 :]


def require_same_or_refused(folder: Path, changed: bytes, name: str) -> None:
    """Put changed bytes into the place of a file; what is read then is what it was, or nothing."""
    path = folder / name
    whole, header = path.read_bytes(), checkpoint.read(folder).header
    path.write_bytes(changed)
    refusal, run = "", None
    try:
        run = resume(folder, TEXT)
        found = checkpoint.read(folder).header
    except ValueError as error:
        refusal = str(error)
    finally:
        path.write_bytes(whole)
    if run is None:
        assert str(folder) in refusal
        assert "\n" not in refusal
        return
    assert name == checkpoint.HEADER or changed == whole
    assert protected(found) == protected(header)
    assert run.step == STEP


@settings(max_examples=150, deadline=None)
@given(positions, st.integers(0, 255))
def test_a_header_with_another_byte_says_the_same_or_is_refused(stopped: Path, position: float, byte: int) -> None:
    whole = (stopped / checkpoint.HEADER).read_bytes()
    require_same_or_refused(stopped, with_byte(whole, position, byte), checkpoint.HEADER)


@settings(max_examples=50, deadline=None)
@given(positions, st.integers(0, 255))
def test_weights_with_another_byte_are_refused(stopped: Path, position: float, byte: int) -> None:
    name = checkpoint.read(stopped).header["weights"]
    require_same_or_refused(stopped, with_byte((stopped / name).read_bytes(), position, byte), name)


@settings(max_examples=50, deadline=None)
@given(positions, st.booleans())
def test_a_truncated_file_is_refused(stopped: Path, position: float, of_weights: bool) -> None:
    name = checkpoint.read(stopped).header["weights"] if of_weights else checkpoint.HEADER
    whole = (stopped / name).read_bytes()
    require_same_or_refused(stopped, whole[: int(position * len(whole))], name)


@pytest.mark.parametrize("field", ["step", "seed", "weights", "weights_sha256", "data_sha256"])
def test_every_other_digit_in_these_fields_is_noticed(field: str, folder: Path) -> None:
    value = checkpoint.read(folder).header[field]
    for k, character in enumerate(str(value)):
        other = str(value)[:k] + ("1" if character != "1" else "2") + str(value)[k + 1 :]
        edit(folder, **{field: type(value)(other)})
        with pytest.raises(ValueError, match=field):
            resume(folder, TEXT)


# ---- what writers leave, and what is not theirs

LEFTOVERS = [
    ".checkpoint.json.123.tmp",
    ".metrics.jsonl.4567.tmp",
    ".loss.png.1.tmp",
    ".step-00000004-0123abcd.safetensors.89.tmp",
    "step-00000004-0123abcd.safetensors",
    "step-00000099-0123abcd.safetensors",
]
OWN = ["notes.txt", "step-best.safetensors", "model.safetensors", ".notes.tmp", "checkpoint.json.bak", "step-1.txt"]


@pytest.mark.parametrize("when", ["with the next checkpoint", "at the end"])
def test_what_killed_writers_left_goes_and_files_of_others_stay(when: str, folder: Path) -> None:
    if when == "at the end":
        shutil.rmtree(folder)
        run_until(SMALL[TEXT].training.steps, TEXT, folder)
    (folder / "step-00000001-00000000.safetensors.d").mkdir()
    for name in (*LEFTOVERS, *OWN):
        (folder / name).write_text("x")
    run = resume(folder, TEXT)
    if when != "at the end":
        for _ in training.train(run, folder, lambda: True):
            pass
    names = {path.name for path in folder.iterdir()}
    assert names & set(LEFTOVERS) == set()
    assert set(OWN) <= names
    assert step_of(folder) == run.step


def test_a_folder_of_the_name_of_old_weights_is_no_trouble(folder: Path) -> None:
    (folder / "step-00000004-0123abcd.safetensors").mkdir()
    assert [update.step for update in training.train(resume(folder, TEXT), folder, lambda: True)] == [STEP + 1]
    assert step_of(folder) == STEP + 1


LINES = ['{"step": 6, "loss": 1.0', "[1]", "7", "null", "{}", '{"step": "x"}', "\udcff", ""]


@pytest.mark.parametrize("line", LINES)
def test_a_logbook_with_a_line_that_is_none_loses_that_line(line: str, folder: Path) -> None:
    good = '{"step": 5, "loss": 2.0}\n'
    (folder / "metrics.jsonl").write_bytes(f"{good}{line}".encode(errors="surrogateescape"))
    resume(folder, TEXT)
    assert (folder / "metrics.jsonl").read_text() == good


@forked
def test_a_second_run_in_a_folder_is_refused_and_does_not_disturb_the_first(server: Server, tmp_path: Path) -> None:
    assert server("commands", lines=[["train", TEXT, "--out", str(tmp_path / "whole")]])[0][0] == 0
    (first, _), (second, text) = server("two_runs", folder=tmp_path / "run", name=TEXT)
    assert (first, second) == (0, 2), text
    assert str(tmp_path / "run") in text.splitlines()[-1]
    assert left(tmp_path / "run") == left(tmp_path / "whole")


@forked
def test_going_on_after_the_last_step_changes_nothing_and_says_where_it_all_is(server: Server, tmp_path: Path) -> None:
    line = ["train", TEXT, "--out", str(tmp_path / "run")]
    assert server("commands", lines=[line])[0][0] == 0
    before = contents(tmp_path / "run")
    assert [status for status, _ in server("commands", lines=[[*line, "--resume"], line])] == [0, 2]
    assert contents(tmp_path / "run") == before


@forked
def test_a_checkpoint_that_is_not_whole_is_refused_by_every_command(server: Server, folder: Path) -> None:
    path = folder / json.loads((folder / checkpoint.HEADER).read_text())["weights"]
    path.write_bytes(path.read_bytes()[:-1])
    before = contents(folder)
    lines = [["train", TEXT, "--out", str(folder)], ["train", TEXT, "--out", str(folder), "--resume"]]
    for status, text in server("commands", lines=[*lines, ["evaluate", str(folder)]]):
        assert status == 2
        assert len(text.splitlines()) == 1
        assert str(folder) in text
    assert contents(folder) == before
