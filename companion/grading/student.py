"""Grading one student: workers one after another, until every answer has a mark or nothing more can be marked."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from companion.exercises import EXERCISES
from companion.exercises.answers import seem_defined
from companion.grading.report import Mark, Report
from companion.grading.watch import KEPT_OUTPUT, Limits, Seen, run_worker

MAX_FILE = 50 << 20  # bytes


class Student(NamedTuple):
    """What a student handed in, and what was asked."""

    file: str  # as it was given
    contents: bytes
    required: tuple[str, ...] = ()  # exercises; all that the file answers where none is named

    @property
    def names(self) -> tuple[str, ...]:
        """The exercises to judge, where the file answers them."""
        return self.required or tuple(EXERCISES)


def grade(student: Student, limits: Limits, cancelled: threading.Event) -> Report:
    """The student's report, whatever the file does."""
    try:
        return _grade(student, limits, cancelled)
    except Exception as error:  # a fault of ours must not cost the others their reports
        return Report(student.file, f"grading stopped with {type(error).__name__}: {error}", (), "", 0, 0.0)


def _grade(student: Student, limits: Limits, cancelled: threading.Event) -> Report:
    begun = time.monotonic()
    workers: list[Seen] = []
    faults = []
    try:
        for seen in _workers(student, limits, cancelled):
            workers.append(seen)
    except Exception as error:  # as a full disk; the marks already given stay
        faults = [f"grading stopped with {type(error).__name__}: {error}"]
    judged = _judged(workers)
    faults = [*_faults(student, workers, judged), *faults]
    marks = judged | _others(student, workers, judged, bool(faults))
    if not marks and not faults:
        faults = ["it defines no answer to an exercise"]
    ordered = tuple(marks[name] for name in student.names if name in marks)
    first = workers[0] if workers else Seen()
    output = first.output.decode(errors="replace")[:KEPT_OUTPUT]
    return Report(student.file, "\n".join(faults) or None, ordered, output, first.printed, time.monotonic() - begun)


def _workers(student: Student, limits: Limits, cancelled: threading.Event) -> Iterator[Seen]:
    """One worker after another, each for what those before it left, as long as they come to judge something."""
    deadline = time.monotonic() + limits.all
    left, judged = list(student.names), set[str]()
    while left and len(student.contents) <= MAX_FILE:
        seen = run_worker(student.file, student.contents, left, limits, deadline, cancelled)
        yield seen
        if seen.done or seen.judging is None or time.monotonic() > deadline:
            return
        judged |= {*seen.verdicts, seen.judging}
        left = [name for name in seen.found if name not in judged]


def _judged(workers: list[Seen]) -> dict[str, Mark]:
    """The marks that the workers came to; where an answer stopped one, that answer is wrong."""
    marks: dict[str, Mark] = {}
    for seen in workers:
        marks |= {name: Mark(*verdict) for name, verdict in seen.verdicts.items()}
        if seen.judging is not None and not seen.outside:
            marks[seen.judging] = Mark(seen.judging, "wrong", f"Stopped: {seen.stopped}.")
    return marks


def _faults(student: Student, workers: list[Seen], judged: dict[str, Mark]) -> list[str]:
    """What kept the file or the rest of its answers from being judged."""
    if len(student.contents) > MAX_FILE:
        return [f"the file has more than {MAX_FILE >> 20} MiB; remove the outputs of its cells"]
    if not workers:
        return []  # the reason is told elsewhere
    first, last = workers[0], workers[-1]
    faults = list(first.ran or [])
    faults += [f"stopped from outside: {seen.stopped}" for seen in workers if seen.outside]
    if last.ran is None:
        faults.append(f"stopped while the file ran: {last.stopped}")
    elif set(last.found) - set(judged) and not last.outside:
        faults.append(f"stopped: {last.stopped}")
    return faults


def _others(student: Student, workers: list[Seen], judged: dict[str, Mark], fault: bool) -> dict[str, Mark]:
    """Marks for what was not judged: answers that the file has or seems to have, and others that were asked for."""
    found = {name for seen in workers for name in seen.found}
    seem = seem_defined(Path(student.file), student.contents[:MAX_FILE]) if fault else set()
    marks = {}
    for name in (name for name in student.names if name not in judged):
        if name in found or EXERCISES[name].function in seem:
            marks[name] = Mark(name, "no mark", "It could not be judged; see the problem.")
        elif student.required:
            marks[name] = Mark(name, "not done", f"The file does not define {EXERCISES[name].function}.")
    return marks
