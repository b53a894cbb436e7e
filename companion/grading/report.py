"""What grading says of one student: a mark for every exercise, what went wrong with the file, and what it printed."""

import textwrap
from typing import Any, Literal, NamedTuple

from companion.exercises import Verdict

Status = Literal["correct", "wrong", "not done", "no mark"]


class Mark(NamedTuple):
    """The verdict on one exercise, or why there is none."""

    name: str
    status: Status  # "no mark" where the file stopped before the exercise could be judged
    message: str
    mistake: str | None = None  # the name of the known mistake, if it is one

    def __str__(self) -> str:
        if self.status == "no mark":
            return f"{self.name}: no mark. {self.message}".rstrip()
        return str(Verdict(self.name, self.status, self.message, self.mistake))


class Report(NamedTuple):
    """All there is to say of one student."""

    file: str  # as it was given
    problem: str | None  # what kept the file or a part of it from running, one fault a line
    marks: tuple[Mark, ...]
    output: str  # the first characters that the file printed
    printed: int  # bytes that it printed
    seconds: float

    def count(self, status: Status) -> int:
        """How many marks are of this status."""
        return sum(mark.status == status for mark in self.marks)


def as_json(report: Report) -> dict[str, Any]:
    """The report as `grade --json` prints it; the keys are described in `companion.grading`."""
    return {
        "file": printable(report.file),
        "status": "problem" if report.problem else "graded",
        "problem": printable(report.problem) if report.problem else None,
        "exercises": [mark._replace(message=printable(mark.message))._asdict() for mark in report.marks],
        "correct": report.count("correct"),
        "wrong": report.count("wrong"),
        "not_done": report.count("not done"),
        "no_mark": report.count("no mark"),
        "output": printable(report.output),
        "seconds": round(report.seconds, 2),
    }


def as_text(report: Report) -> str:
    """The report in lines: the file and its totals, the problem, and every mark."""
    statuses: tuple[Status, ...] = ("correct", "wrong", "not done", "no mark")
    counts = [f"{n} {status}" for status in statuses if (n := report.count(status)) or status != "no mark"]
    lines = [f"{report.file}: {', '.join(counts)}"]
    lines += [f"problem: {fault}" for fault in (report.problem or "").splitlines()]
    lines += [str(mark) for mark in report.marks]
    if report.printed:
        lines.append(f"(It printed {report.printed:,} bytes; --json shows the first of them.)")
    return printable(lines[0] + "\n" + textwrap.indent("\n".join(lines[1:]), "  ")) + "\n"


def printable(text: str) -> str:
    """The text with what a terminal or a strict JSON reader would take amiss written as an escape."""
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)
