"""One student's file is run and judged here, in a process of its own; `companion.grading.process` starts and watches it.

What it finds goes to a pipe of its own, one JSON line at a time, so that what was marked stays marked whatever comes next:
`{"ready": true}`, `{"ran": [what did not run], "found": [exercises]}`, then for each exercise `{"judging": name}` and
`{"verdict": [name, status, message, mistake]}`, and at the end `{"done": true}`.
"""

import functools
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from companion.exercises import EXERCISES, Verdict, judge
from companion.exercises.answers import Answers, judge_all, run_file
from companion.exercises.sandbox import explain

MESSAGE = 2_000  # characters of a message; an exception may carry a whole array
PROBLEMS = 20  # of one file; a notebook whose first cell fails tends to fail everywhere
FILE_BYTES = 64 << 20
OPEN_FILES = 256
THREADS = 500  # beyond what the user runs already; it has no effect for root

STARTS = {
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "pty.spawn",
    "subprocess.Popen",
}
SIGNALS = {"os.kill", "os.killpg", "signal.pidfd_send_signal"}


class Task(NamedTuple):
    """What a worker is told."""

    file: str  # a path
    names: list[str]  # exercises to judge if the file defines them, in this order
    pipe: int  # file descriptor
    seconds: float  # for each exercise
    memory: int  # bytes of address space
    alive: int  # seconds after which the worker ends, even when nobody watches it any more
    running: int  # processes and threads of this user now


def work(task: Task) -> None:
    """Run the file, judge its answers, tell, and end this process."""
    tell = _teller(task.pipe)
    limit(task)
    sys.argv = [task.file]
    sys.addaudithook(refuse_processes)
    tell({"ready": True})
    try:
        answers = run_file(Path(task.file))
    except BaseException as error:  # KeyboardInterrupt, say
        answers = Answers({}, (f"{type(error).__name__} ended the file",))
    found = [name for name in task.names if answers.to(EXERCISES[name])]
    tell({"ran": [_short(problem) for problem in answers.problems[:PROBLEMS]], "found": found})
    for name in found:
        tell({"judging": name})
        verdict = judge_all(name, answers.to(EXERCISES[name]), functools.partial(_judge, seconds=task.seconds))
        tell({"verdict": verdict._replace(message=_short(verdict.message))})
    tell({"done": True})
    os._exit(0)  # neither threads that never end nor functions left to atexit are waited for


def limit(task: Task) -> None:
    """Bound what this process and its children can use, each for itself."""
    import resource  # Windows has none

    bounds = {
        resource.RLIMIT_CPU: task.alive,
        resource.RLIMIT_AS: task.memory,
        resource.RLIMIT_FSIZE: FILE_BYTES,
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_NPROC: task.running + THREADS,
        resource.RLIMIT_CORE: 0,
    }
    for kind, bound in bounds.items():
        _, hard = resource.getrlimit(kind)
        bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        try:
            resource.setrlimit(kind, (bound, bound))
        except (ValueError, OSError):  # macOS does not bound the address space; the watcher looks at the memory used
            continue
    signal.alarm(task.alive)


def refuse_processes(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: no new processes, and no signals to others. As an OSError, which libraries are prepared for."""
    if event in STARTS:
        raise PermissionError(f"starting a process is not allowed in grading ({event})")
    if event in SIGNALS and arguments[0] != os.getpid():
        raise PermissionError(f"a signal to another process is not allowed in grading ({event})")


def _teller(pipe: int) -> Callable[[dict[str, Any]], None]:
    own = os.getpid()

    def tell(record: dict[str, Any]) -> None:
        if os.getpid() != own:
            os._exit(1)  # a copy that the student's code made of this process
        line = json.dumps(record).encode() + b"\n"
        while line:
            line = line[os.write(pipe, line) :]

    return tell


def _judge(name: str, answer: Any, seconds: float) -> Verdict:
    """The verdict, also where the answer escapes the checker or the file broke what the checker stands on."""
    sys.settrace(None)  # a tracer that the file left behind would take the place of the time limit
    try:
        return judge(name, answer, seconds)
    except Exception as error:
        text = f"The check stopped with {type(error).__name__}: does the file change NumPy or another module?"
        return Verdict(name, "wrong", text)
    except BaseException as error:
        return Verdict(name, "wrong", explain(error, EXERCISES[name].function))


def _short(text: str) -> str:
    """A text cut to its limit; with a word on why a file is not there that the student has."""
    cut = text if len(text) <= MESSAGE else text[:MESSAGE] + " ..."
    if "FileNotFoundError" in cut:
        return cut + " (a file is graded alone, in an empty folder)"
    missing = "ModuleNotFoundError" in cut
    return cut + (" (a file is graded alone, with the packages that are installed here)" if missing else "")
