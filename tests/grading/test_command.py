"""`grade`: what it prints, in which order, and what it refuses before anything runs."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from companion import grading
from companion.grading import student
from companion.grading.report import Mark, Report, as_json, as_text
from tests.grading.students import AFTER, BEFORE, GOOD, SOFTMAX
from tests.grading.test_hostile import left_processes

Capture = pytest.CaptureFixture[str]
Write = Callable[[str, str], Path]
ROOT = Path(grading.__file__).resolve().parents[2]
KEYS = ["file", "status", "problem", "exercises", "correct", "wrong", "not_done", "no_mark", "output", "seconds"]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Save what a student handed in."""

    def save(name: str, text: str) -> Path:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return save


def notebook(*sources: str) -> str:
    """A notebook with these code cells, and text above each."""
    cells: list[dict[str, Any]] = []
    for source in sources:
        cells.append({"cell_type": "markdown", "metadata": {}, "source": ["Now **you**."]})
        code = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
        cells.append({**code, "source": source.splitlines(keepends=True)})
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def told(*files: Path, capsys: Capture, **options: Any) -> list[dict[str, Any]]:
    """The reports, read from what the command prints."""
    assert grading.command(files, as_json=True, **options) == 0
    out, err = capsys.readouterr()
    assert err == ""
    reports: list[dict[str, Any]] = json.loads(out)
    assert [report["file"] for report in reports] == [str(file) for file in files]
    assert all(list(report) == KEYS for report in reports)
    return reports


def statuses(report: dict[str, Any]) -> dict[str, str]:
    return {exercise["name"]: exercise["status"] for exercise in report["exercises"]}


def test_modules_and_notebooks_are_graded_in_the_order_given(write: Write, capsys: Capture) -> None:
    wrong = "def softmax(z):\n    return np.exp(z) / np.exp(z).sum(axis=0)\ninitial_loss = ...\n"
    slow = write("anna/a.py", f"import time\ntime.sleep(1)\n{GOOD}")
    files = [slow, write("ben/a.py", BEFORE + wrong), write("c.ipynb", notebook(BEFORE, "%pylab\n" + SOFTMAX, AFTER))]
    anna, ben, carl = told(*files, write("d.ipynb", notebook(BEFORE, wrong)), capsys=capsys, jobs=3)[:3]
    assert (anna["correct"], carl["correct"], anna["problem"], carl["problem"]) == (3, 3, None, None)
    assert (ben["correct"], ben["wrong"], ben["not_done"], ben["no_mark"]) == (1, 1, 1, 0)
    assert ben["exercises"][2]["mistake"] == "normalised over the batch"
    assert anna["status"] == ben["status"] == "graded"


def test_text_has_totals_and_one_verdict_a_line(write: Write, capsys: Capture) -> None:
    file = write("a.py", f"{BEFORE}\nprint('hello')\n{SOFTMAX}\ninitial_loss = ...\n")
    assert grading.command([file]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == f"{file}: 2 correct, 0 wrong, 1 not done"
    assert lines[0] == "  nn.parameter_count: correct."
    assert lines[1].startswith("  nn.initial_loss: not done yet. Replace the `...`")
    assert lines[3:] == ["  (It printed 6 bytes; --json shows the first of them.)", "1 file graded, 0 with a problem"]


def test_cell_that_raises_does_not_stop_the_later_ones(write: Write, capsys: Capture) -> None:
    cells = [
        BEFORE,
        "x = 1\nprint(missing)",
        "def softmax(z:\n    return z",
        AFTER,
        "def f():\n    return 1 / 0",
        "f()",
    ]
    (report,) = told(write("a.ipynb", notebook(*cells)), capsys=capsys)
    assert statuses(report) == {
        "nn.parameter_count": "correct",
        "nn.softmax": "no mark",
        "rnn.vanishing_lag": "correct",
    }
    assert report["status"] == "problem"
    assert report["problem"].splitlines() == [
        "code cell 2, line 2: NameError: name 'missing' is not defined",
        "code cell 3, line 1: SyntaxError: '(' was never closed",
        "code cell 6, line 1: ZeroDivisionError: division by zero",
    ]


def test_asked_exercises_that_are_missing_are_not_done(write: Write, capsys: Capture) -> None:
    names = ["nn.softmax", "nn.adam_step", "nn.softmax"]
    good, broken = told(write("a.py", GOOD), write("b.py", "x = (\n"), capsys=capsys, exercises=names)
    assert statuses(good) == {"nn.softmax": "correct", "nn.adam_step": "not done"}
    assert good["exercises"][1]["message"] == "The file does not define adam_step."
    assert statuses(broken) == {"nn.softmax": "not done", "nn.adam_step": "not done"}
    assert broken["problem"] == "line 1: SyntaxError: '(' was never closed"


def test_unreadable_contents_are_the_students_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    for module in (grading, student):
        monkeypatch.setattr(module, "MAX_FILE", 2 << 20)
    handed_in = {
        "a.py": (b"softmax = \xff\xfe\n", "SyntaxError"),
        "b.py": (b"softmax = '\0'\n", "null byte"),
        "c.py": (b"", "it defines no answer to an exercise"),
        "d.py": (b"from companion.ops import softmax\n", "it defines no answer to an exercise"),
        "e.ipynb": (b"", "it is not a notebook of format 4 (JSONDecodeError"),
        "f.ipynb": (b"\xff", "it is not a notebook of format 4 (UnicodeDecodeError"),
        "g.ipynb": (b"[" * 10**6, "it is not a notebook of format 4 (RecursionError"),
        "h.ipynb": (b'{"worksheets": []}', "it is not a notebook of format 4 (KeyError: 'cells')"),
        "i.py": (b"#" * ((2 << 20) + 1), "the file has more than 2 MiB"),
        "j.py": (GOOD.encode(), ""),
    }
    for name, (contents, _) in handed_in.items():
        (tmp_path / name).write_bytes(contents)
    reports = told(*(tmp_path / name for name in handed_in), capsys=capsys, jobs=2)
    for report, (_, problem) in zip(reports, handed_in.values(), strict=True):
        assert problem in (report["problem"] or "")
        assert report["correct"] == (3 if report["problem"] is None else 0)


def test_nothing_is_inherited(write: Write, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_TEACHER", "x")
    code = (
        "import os, sys\nprint(sorted({*os.environ} - {'LC_CTYPE', '__CF_USER_TEXT_ENCODING'}))\n"
        "print(os.listdir('.'), repr(sys.stdin.read()), sys.argv[1:])\n"
        "open('left_here', 'w').close()\nopen(os.environ['HOME'] + '/there', 'w').close()\n"
    )
    files = [write("a.py", GOOD + code), write("b.py", GOOD + code)]
    (write("data.csv", "1,2\n")).chmod(0o644)
    for report in told(*files, capsys=capsys, jobs=1):
        variables, listed = report["output"].splitlines()
        assert variables == str(
            [
                "COMPANION_GRADING", "HOME", "MKL_NUM_THREADS", "MPLBACKEND", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
                "PATH", "PYTHONHASHSEED", "PYTHONUNBUFFERED", "TMPDIR", "VECLIB_MAXIMUM_THREADS",
            ]
        )  # fmt: skip
        assert listed == f"['{Path(report['file']).name}'] '' []"


@pytest.mark.parametrize(
    ("files", "options", "words"),
    [
        (["none.py"], {}, "none.py is not there"),
        (["good.py", "folder.py"], {}, "folder.py is not a file"),
        (["good.py", "notes.txt"], {}, "notes.txt is neither .py nor .ipynb, expected a Python module or a notebook"),
        (["good.py"], {"exercises": ["softmax"]}, "name is 'softmax', expected one of: "),
        (["good.py"], {"seconds": 0}, "grade: seconds is 0, expected a number in [0.1, 3600]"),
        (["good.py"], {"memory": 0.2}, "grade: memory is 0.2, expected a number in [0.25, 1024]"),
        (["good.py"], {"jobs": 0}, "grade: jobs is 0, expected a whole number of at least 1"),
    ],
)
def test_bad_arguments_are_found_before_anything_runs(
    files: list[str], options: dict[str, Any], words: str, write: Write, tmp_path: Path, capsys: Capture
) -> None:
    write("good.py", f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    write("notes.txt", "")
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(ValueError, match=r"^(grade|companion\.exercises): ") as caught:
        grading.command([tmp_path / name for name in files], **options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("module", "words"), [("resource", "on Windows use WSL"), ("psutil", "pip install psutil")])
def test_what_grading_needs_is_named(module: str, words: str, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == module else find(name))
    with pytest.raises(ValueError, match="^grade: .*" + words):
        grading.command([write("a.py", GOOD)])


def test_grading_that_does_not_work_here_is_no_students_fault(
    write: Write, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(
        ValueError, match=r"^grade: not even a right answer passes with memory 2 GiB: .* exit status 1$"
    ):
        grading.command([write("a.py", GOOD)])
    assert capsys.readouterr().out == ""


def test_fault_of_the_grader_costs_one_report(write: Write, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def failing(path: Path, contents: bytes) -> set[str]:
        raise TypeError("broken")

    monkeypatch.setattr("companion.grading.student.seem_defined", failing)
    bad, good = told(write("a.py", "x = y\n"), write("b.py", GOOD), capsys=capsys)
    assert bad["problem"] == "grading stopped with TypeError: broken"
    assert good["correct"] == 3


def test_ctrl_c_ends_all_workers(write: Write, tmp_path: Path) -> None:
    file = write("a.py", f"import time\nopen({str(tmp_path / 'begun')!r}, 'w')\ntime.sleep(60)\n")
    code = (
        f"from companion.grading import command; from pathlib import Path; command([Path({str(file)!r})] * 3, jobs=2)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, start_new_session=True)
    for _ in range(400):
        if (tmp_path / "begun").exists():
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert b"KeyboardInterrupt" in process.communicate(timeout=20)[1]
    assert left_processes(process.pid) == []


def test_checkout_that_is_not_installed_can_grade(write: Write, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "companion", tmp_path / "course" / "companion", ignore=shutil.ignore_patterns("__pycache__"))
    file = write("a.py", f"import companion\nprint(companion.__file__)\n{GOOD}")
    code = (
        f"from companion.grading import command; from pathlib import Path; command([Path({str(file)!r})], as_json=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "course",
        capture_output=True,
        text=True,
        check=True,
    )
    (report,) = json.loads(done.stdout)
    assert (report["correct"], report["output"]) == (3, f"{tmp_path / 'course' / 'companion' / '__init__.py'}\n")


def test_report_holds_no_character_that_a_terminal_obeys() -> None:
    mark = Mark("nn.softmax", "wrong", "\x1b[2J\udc80 σ", None)
    report = Report("a.py", "one\ntwo\r", (mark,), "\a", 1, 0.5)
    assert "\\x1b[2J\\udc80 σ" in as_text(report)
    assert "  problem: one\n  problem: two\n" in as_text(report)
    assert as_json(report)["output"] == "\\x07"
    assert json.loads(json.dumps(as_json(report)))["exercises"][0]["message"] == "\\x1b[2J\\udc80 σ"


def test_output_that_cannot_show_a_character_gets_an_escape(write: Write) -> None:
    file = write("a.py", "def softmax(z):\n    raise ValueError('σ is missing')\n")
    code = f"from companion.grading import command; from pathlib import Path; command([Path({str(file)!r})])"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, env=environment)
    assert b"ValueError: \\u03c3 is missing" in done.stdout
