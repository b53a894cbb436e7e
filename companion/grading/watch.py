"""Watching one worker: reading what it finds and prints, and ending it where it goes over a limit."""

import contextlib
import json
import os
import selectors
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from companion.exercises import Verdict
from companion.grading.process import Worker, marked, memory, processes, started

START_SECONDS = 60  # for Python and NumPy, on a busy machine
MAX_OUTPUT = 10 << 20  # bytes
KEPT_OUTPUT = 2_000  # characters
MAX_RECORDS = 4 << 20  # bytes; a file that writes into the worker's own pipe is stopped here
MAX_FILES = 256 << 20  # bytes
BLOCK = 4096  # bytes that a file takes at least
MAX_PROCESSES = 8
LOOK = 0.05  # seconds between two looks at the clock, and
LOOK_AROUND = 0.5  # between two at memory, files and processes


class Limits(NamedTuple):
    """What one student may use."""

    seconds: float  # for each exercise
    memory: int  # bytes

    @property
    def answer(self) -> float:
        """Seconds after which an answer that cannot be interrupted is ended from outside."""
        return 2 * self.seconds + 2

    @property
    def file(self) -> float:
        """Seconds in which the file itself must have run; it may be a chapter with all its experiments."""
        return 60 * self.seconds

    @property
    def all(self) -> float:
        """Seconds for everything together: after each answer that had to be ended from outside, the file runs again."""
        return 180 * self.seconds


@dataclass
class Seen:
    """What was seen of a worker."""

    since: float = field(default_factory=time.monotonic)  # when it began what it is doing
    ready: bool = False
    ran: list[str] | None = None  # what did not run of the file; None as long as the file runs
    found: list[str] = field(default_factory=list)  # exercises that the file answers
    judging: str | None = None
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    done: bool = False
    stopped: str = ""  # why it did not come to its end
    outside: bool = False  # whether what stopped it is not the fault of what it was judging
    output: bytes = b""  # the first of what it printed
    printed: int = 0  # bytes
    rest: bytes = b""  # the beginning of a record
    recorded: int = 0  # bytes

    def hear_output(self, read: bytes) -> None:
        """Keep the beginning of what is printed, and count the rest."""
        self.output = (self.output + read)[: 4 * KEPT_OUTPUT]  # a character takes up to four bytes
        self.printed += len(read)

    def hear_records(self, read: bytes) -> None:
        """Take in the records that are complete."""
        self.recorded += len(read)
        *lines, self.rest = (self.rest + read).split(b"\n")
        for line in lines:
            try:
                self._note(json.loads(line))
            except (ValueError, TypeError, AttributeError, RecursionError):
                continue  # the file wrote into a pipe that is not its own

    def _note(self, record: dict[str, Any]) -> None:
        self.since = time.monotonic()
        self.ready = self.ready or "ready" in record
        self.done = "done" in record
        if "ran" in record:
            self.ran, self.found = list(record["ran"]), list(record["found"])
        if "judging" in record:
            self.judging = record["judging"]
        if "verdict" in record:
            verdict = Verdict(*record["verdict"])
            self.verdicts[verdict.exercise] = verdict
            self.judging = None


def run_worker(
    file: str, contents: bytes, names: list[str], limits: Limits, deadline: float, cancelled: threading.Event
) -> Seen:
    """Run a file and judge its answers to these exercises, until all is done or something stops it."""
    seen = Seen()
    alive = START_SECONDS + int(max(1, deadline - time.monotonic()))
    task = {"names": names, "seconds": limits.seconds, "memory": limits.memory, "alive": alive}
    with started(file, contents, **task) as worker, selectors.DefaultSelector() as selector:
        selector.register(worker.output, selectors.EVENT_READ, seen.hear_output)
        selector.register(worker.records, selectors.EVENT_READ, seen.hear_records)
        looked, crowd = time.monotonic(), processes()
        while not (seen.done or seen.stopped):
            ended = worker.process.poll()  # before the pipes are read, which may hold its last words
            heard = _listen(selector, LOOK if ended is None else 0)
            now = time.monotonic()
            seen.stopped = _over_output(seen) or _over_time(seen, limits, now, deadline)
            if ended is not None and not heard:
                seen.stopped = seen.stopped or _ending(ended)
            # No answer kills its own process; the system does where memory is short, and a person may.
            seen.outside = now > deadline or ended == -signal.SIGKILL
            if now > looked + LOOK_AROUND or processes() > crowd + MAX_PROCESSES:
                seen.stopped = seen.stopped or _over_size(worker, limits)
                looked, crowd = time.monotonic(), processes()
            if cancelled.is_set():
                raise RuntimeError("cancelled")
        while _listen(selector, 0) and not _over_output(seen):
            continue
    return seen


def _listen(selector: selectors.BaseSelector, seconds: float) -> bool:
    """Read what has come, and wait for it so long; whether there was anything."""
    heard = False
    for key, _ in selector.select(seconds) if selector.get_map() else []:
        read = os.read(key.fd, 1 << 16)
        if read:
            key.data(read)
            heard = True
        else:
            selector.unregister(key.fd)
    if not selector.get_map():
        time.sleep(seconds)
    return heard


def _over_output(seen: Seen) -> str:
    if seen.printed > MAX_OUTPUT or seen.recorded > MAX_RECORDS:
        return f"it printed more than {MAX_OUTPUT >> 20} MiB"
    return ""


def _over_time(seen: Seen, limits: Limits, now: float, deadline: float) -> str:
    if now > deadline:
        return f"it took more than {limits.all:g} s in all"
    taken = now - seen.since
    if not seen.ready:
        return f"Python did not start within {START_SECONDS} s" if taken > START_SECONDS else ""
    if seen.ran is None:
        return f"it did not come to its end within {limits.file:g} s" if taken > limits.file else ""
    if taken > limits.answer:
        return f"no answer within {limits.answer:g} s (a bare `except:`, or one long call, cannot be interrupted)"
    return ""


def _over_size(worker: Worker, limits: Limits) -> str:
    """What is too large, of what cannot be bounded from inside: all files and all processes together."""
    own = marked(worker.marker)
    if len(own) > MAX_PROCESSES:
        return f"it started more than {MAX_PROCESSES} processes"
    if sum(memory(process) for process in own) > limits.memory:
        return f"it used more than {limits.memory / 2**30:g} GiB of memory"
    if _is_larger(worker.folder, MAX_FILES):
        return f"it wrote more than {MAX_FILES >> 20} MiB of files"
    return ""


def _is_larger(folder: Path, limit: int) -> bool:
    """Whether the files in a folder take more than `limit` bytes; stops counting there."""
    total, folders = 0, [str(folder)]
    while folders and total <= limit:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                total += BLOCK + entry.stat(follow_symlinks=False).st_size
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
    return total > limit


def _ending(status: int) -> str:
    """How a process ended, in words."""
    if status >= 0:
        return f"the process ended with exit status {status}"
    names = {int(number): number.name for number in signal.Signals}
    return f"the process was killed by signal {-status} ({names.get(-status, 'of no name')})"
