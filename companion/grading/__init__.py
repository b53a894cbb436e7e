"""Grading: the checks of the exercises run on students' files, one process of its own for each (`companion grade`).

    python -m companion grade FILE... [--json] [--exercise NAME]... [--seconds 10] [--memory 2] [--jobs N]

A file is a Python module or a notebook; its name is the student's name in the report. Each is copied alone into an
empty folder, so it cannot read a file that lay beside it. It runs without this process's variables, input and open
files, within limits of time (`--seconds` for an answer, 60 times that for the file itself, 180 times for everything),
memory (`--memory`, in GiB), output (10 MiB), and files (64 MiB each, 256 MiB together). It is refused new processes, as
far as Python asks; otherwise they are bounded to 8. What ends a worker, as `os._exit`, a crash or an endless loop,
costs the exercise it happened in; the others are judged in a new worker, in a new folder. What happens while the file
itself runs leaves its later answers without a mark, and the report says why.

An answer bears the name of its exercise's function, or is handed to `check`, which here only collects: a chapter with the
answers filled in can be handed in as it is. Where a file has two answers to an exercise, one that is right is enough.

The report of one student, as `--json` prints a list of:

    file        the path as it was given
    status      "graded", or "problem" where somebody should look at the file
    problem     what did not run, one fault a line; null where there is none
    exercises   {name, status, message, mistake}: status is "correct", "wrong", "not done", or "no mark" where the exercise
                could not be judged; mistake names the known mistake, if it is one
    correct, wrong, not_done, no_mark   how many exercises have this status
    output      the first 2,000 characters that the file printed
    seconds     what grading it took

This protects marks from accidents. It does not protect them from a student who attacks the checker, because an answer runs
in the process that judges it, and can reach the solution there; nor this machine from one who attacks it, because the
file runs with the rights of whoever grades. Against that use a container without a network and with its own limits. The
limit on the number of processes does not hold for root, where only the watcher bounds them: do not grade as root.
"""

import contextlib
import functools
import importlib.util
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from companion.exercises import find, source
from companion.exercises.answers import KINDS
from companion.grading import report
from companion.grading.student import MAX_FILE, Student, grade
from companion.grading.watch import START_SECONDS, Limits, run_worker
from companion.validate import require_range, require_whole

LEAST_MEMORY = 0.25  # GiB, of address space; Python and NumPy take most of it
TRIED = "nn.softmax"  # the exercise that is judged before any student's, to see that grading works here


def command(
    files: Sequence[Path],
    as_json: bool = False,
    exercises: Sequence[str] = (),
    seconds: float = 10.0,
    memory: float = 2.0,
    jobs: int | None = None,
) -> int:
    """Print one report for each file, in their order; `seconds` for an answer, `memory` in GiB, `jobs` at a time.

    Returns 0 when every file has its report, whatever its marks. Raises ValueError, before anything runs, for a file that
    cannot be read or is neither .py nor .ipynb, an unknown exercise, a limit out of range, or a system without limits.
    """
    require_range("grade", "seconds", seconds, 0.1, 3600, "[]")
    require_range("grade", "memory", memory, LEAST_MEMORY, 1024, "[]")
    if jobs is not None:
        require_whole("grade", "jobs", jobs, 1)
    names = tuple(dict.fromkeys(find(name).name for name in exercises))
    students = [Student(str(file), _contents(file), names) for file in files]
    _require_system()
    limits = Limits(float(seconds), int(memory * 2**30))
    _require_start(limits)
    with _ended_in_order():
        reports = graded(students, limits, jobs or _jobs(limits))
        _print_json(reports) if as_json else _print_text(reports)
    return 0


def _jobs(limits: Limits) -> int:
    """Half of the cores, and no more than there is memory for."""
    import psutil

    return int(max(1, min((os.cpu_count() or 1) // 2, psutil.virtual_memory().available // limits.memory)))


@contextlib.contextmanager
def _ended_in_order() -> Iterator[None]:
    """Let also SIGTERM, and SIGHUP of a terminal that is closed, end what runs and remove its folders."""

    def end(number: int, frame: object) -> None:
        sys.exit(128 + number)

    numbers = (signal.SIGTERM, signal.SIGHUP) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def graded(students: Sequence[Student], limits: Limits, jobs: int = 1) -> Iterator[report.Report]:
    """The reports in the order of the students, each as soon as it and those before it are there."""
    cancelled = threading.Event()
    pool = ThreadPoolExecutor(jobs)
    try:
        yield from pool.map(functools.partial(grade, limits=limits, cancelled=cancelled), students)
    finally:
        cancelled.set()  # after a Ctrl-C: whatever runs is ended
        pool.shutdown(cancel_futures=True)


def _contents(file: Path) -> bytes:
    if file.suffix not in KINDS:
        raise ValueError(f"grade: {file} is neither {' nor '.join(KINDS)}, expected a Python module or a notebook")
    try:
        if not file.is_file():
            raise ValueError(f"grade: {file} is {'not a file' if file.exists() else 'not there'}")
        with file.open("rb") as opened:
            return opened.read(MAX_FILE + 1)
    except OSError as error:
        raise ValueError(f"grade: cannot read {file}: {error.strerror}") from error


def _require_system() -> None:
    if importlib.util.find_spec("resource") is None:
        raise ValueError("grade: this system cannot limit a process, expected Linux or macOS; on Windows use WSL")
    if importlib.util.find_spec("psutil") is None:
        raise ValueError(
            'grade: psutil is missing; python -m pip install psutil, or the extra: python -m pip install -e ".[grade]"'
        )


def _require_start(limits: Limits) -> None:
    """Raise ValueError where not even a right answer can be graded: then no student is at fault."""
    limits, deadline = limits._replace(seconds=START_SECONDS), time.monotonic() + START_SECONDS
    right = f"import numpy as np\n\n{source(find(TRIED).solution)}".encode()
    seen = run_worker("right.py", right, [TRIED], limits, deadline, threading.Event())
    if not (seen.done and seen.verdicts[TRIED].status == "correct"):
        said = [*seen.output.decode(errors="replace").splitlines(), *(v.message for v in seen.verdicts.values())]
        why = "; ".join([*filter(None, [seen.stopped]), *said[-1:]])
        raise ValueError(f"grade: not even a right answer passes with memory {limits.memory / 2**30:g} GiB: {why}")


def _print_text(reports: Iterator[report.Report]) -> None:
    n = problems = 0
    for one in reports:
        n, problems = n + 1, problems + bool(one.problem)
        _say(report.as_text(one))
    _say(f"{n} file{'' if n == 1 else 's'} graded, {problems} with a problem\n")


def _print_json(reports: Iterator[report.Report]) -> None:
    _say(json.dumps([report.as_json(one) for one in reports], indent=2) + "\n")


def _say(text: str) -> None:
    """Print, also where the output cannot show every character."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), end="", flush=True)
