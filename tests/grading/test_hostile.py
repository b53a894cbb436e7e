"""Whatever one student's file does, it costs nobody else a mark, and nothing of it stays behind."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path

import psutil
import pytest

from companion.grading import graded
from companion.grading.process import MARKER, remove
from companion.grading.report import Mark, Report, as_text
from companion.grading.student import Student
from companion.grading.watch import Limits
from tests.grading.students import GOOD, IN_AN_ANSWER, IN_THE_FILE, NAMES, with_body, with_top


def left_processes(grader: int = os.getpid()) -> list[str]:
    """What carries the marker of a worker that this process started, or another."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER, "").startswith(f"{grader}-"):
                found.append(f"{process.pid} {process.status()}")
        except (psutil.Error, OSError):
            continue
    return found


def statuses(report: Report) -> tuple[str, ...]:
    assert tuple(mark.name for mark in report.marks) == NAMES
    return tuple(mark.status for mark in report.marks)


def wrong_in(report: Report) -> list[str]:
    """What differs from what the file of this name deserves."""
    name = report.file.removesuffix(".py")
    marks, problem, message = ("correct",) * 3, "", [""]
    if name in IN_AN_ANSWER:
        marks, message = ("correct", "wrong", "correct"), IN_AN_ANSWER[name][1]
    elif name in IN_THE_FILE:
        _, problem, marks = IN_THE_FILE[name]
    said = report.marks[1].message
    faults = [f"{word!r} is not in the message" for word in message if word not in said]
    faults += [f"the marks are not {marks}"] if statuses(report) != marks else []
    faults += [f"the problem is not {problem!r}"] if problem not in str(report.problem or "") else []
    faults += ["there is a problem"] if report.problem and not problem else []
    return [f"{fault}: {as_text(report)}" for fault in faults]


def test_whatever_one_student_does_costs_nobody_else_a_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One test, because one grading shows it all, with two students at a time and good ones between the others."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(Limits, "file", 4.0)
    files = {name: with_body(body) for name, (body, _) in IN_AN_ANSWER.items()}
    files |= {name: with_top(code) for name, (code, _, _) in IN_THE_FILE.items()}
    students = []
    for i, (name, text) in enumerate(files.items()):
        good = [Student(f"good_{i}.py", GOOD.encode())] if i % 4 == 0 else []
        students += [Student(f"{name}.py", text.encode()), *good]
    reports = {report.file: report for report in graded(students, Limits(seconds=1.0, memory=2 << 30), jobs=2)}
    assert list(reports) == [student.file for student in students]
    assert len(students) - len(files) >= 9
    assert [fault for report in reports.values() for fault in wrong_in(report)] == []
    assert reports["huge_print.py"].output == "x" * 2000
    assert reports["huge_print.py"].printed > 10 << 20
    assert 'crash.py", line 5 in softmax' in reports["crash.py"].output
    assert max(len(mark.message) for report in reports.values() for mark in report.marks) <= 2100
    assert left_processes() == []
    assert list(tmp_path.iterdir()) == []
    assert [thread.name for thread in threading.enumerate() if "ThreadPool" in thread.name] == []


def test_what_a_student_did_not_deserve_is_seen() -> None:
    marks = tuple(Mark(name, "correct", "") for name in NAMES)
    right = Report("good_1.py", None, marks, "", 0, 0.0)
    assert wrong_in(right) == []
    assert len(wrong_in(right._replace(problem="x"))) == 1
    assert len(wrong_in(right._replace(marks=(*marks[:2], marks[2]._replace(status="no mark"))))) == 1
    assert len(wrong_in(right._replace(file="hard_exit.py"))) == 2
    assert len(wrong_in(right._replace(file="raises.py"))) == 2


def test_memory_of_all_processes_together_is_watched() -> None:
    body = "big = np.ones(3 * 2**23)\nctypes.CDLL(None).fork()\nbig += 1\ntime.sleep(60)"
    (report,) = graded([Student("a.py", with_body(body).encode())], Limits(seconds=5.0, memory=400 << 20))
    assert "Stopped: it used more than 0.390625 GiB of memory" in report.marks[1].message
    assert left_processes() == []


def test_time_for_everything_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Limits, "all", 4.0)
    body = IN_AN_ANSWER["bare_except"][0].replace("\n", "\n    ")
    names = ["nn.softmax", "nn.cross_entropy", "nn.momentum_step", "nn.adam_step"]
    text = "".join(f"def {name[3:]}(*z):\n    {body}\n" for name in names)
    (report,) = graded([Student("a.py", text.encode())], Limits(seconds=0.1, memory=2 << 30))
    assert "it took more than 4 s in all" in str(report.problem)
    assert [mark.status for mark in report.marks][:: len(names) - 1] == ["wrong", "no mark"]
    assert report.seconds < 12


def test_folder_with_closed_folders_in_it_is_removed(tmp_path: Path) -> None:
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c" / "file").touch()
    (tmp_path / "a" / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    (tmp_path / "a" / "b").chmod(0)
    remove(tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
