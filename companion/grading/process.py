"""Starting a worker for one file, and ending it with everything that it started.

The worker has an environment of its own, an empty folder with nothing but the file, and no input. Its environment holds a
marker that copies of a process inherit, so that also those are found that left its session or lost their parent.
"""

import contextlib
import json
import os
import site
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from companion.grading.worker import Task

if TYPE_CHECKING:
    import psutil

MARKER = "COMPANION_GRADING"  # an environment variable; its value begins with the number of the process that grades
ROOT = Path(__file__).resolve().parents[2]  # the folder with the package, installed or not
STOP_SECONDS = 10  # for ending what runs
# A checkout comes first, lest another version is installed; the folder of installed packages stays behind Python's own.
START = (
    "import json, sys; task, root, *more = sys.argv[1:]; sys.path[:0] = {root} - {*sys.path}; sys.path += more; "
    "from companion.grading.worker import Task, work; work(Task(**json.loads(task)))"
)

Result = TypeVar("Result")


class Worker(NamedTuple):
    """A running process, and where to look at it."""

    process: "subprocess.Popen[bytes]"
    output: int  # file descriptor of what it prints
    records: int  # file descriptor of what it finds
    folder: Path
    marker: str


@contextlib.contextmanager
def started(file: str, contents: bytes, **task: Any) -> Iterator[Worker]:
    """Start a worker on a file of this name; at the end nothing of it runs, and its folder is gone."""
    marker = f"{os.getpid()}-{uuid.uuid4().hex}"
    with _folder() as folder:
        path = folder / "work" / Path(file).name
        path.parent.mkdir()
        path.write_bytes(contents)
        here, there = os.pipe()
        try:
            try:
                process = _start(Task(file=str(path), pipe=there, running=_running(), **task), folder, marker)
            finally:
                os.close(there)
            with process:
                try:
                    assert process.stdout is not None
                    yield Worker(process, process.stdout.fileno(), here, folder, marker)
                finally:
                    stop_all(marker)
                    process.kill()
        finally:
            os.close(here)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="grade-")).resolve()
    try:
        yield folder
    finally:
        remove(folder)


def remove(folder: Path) -> None:
    """Remove a folder, also one that holds folders in folders in folders: each is moved up first, so no path is long."""
    left = [str(folder)]
    for here in left:  # which grows
        with contextlib.suppress(OSError):
            os.chmod(here, 0o700)
            with os.scandir(here) as entries:
                inside = list(entries)
            for entry in inside:
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        os.chmod(entry.path, 0o700)  # moving it writes into it
                        left.append(f"{folder}-{uuid.uuid4().hex}")
                        os.rename(entry.path, left[-1])
                    else:
                        os.unlink(entry.path)
            os.rmdir(here)


def _start(task: Task, folder: Path, marker: str) -> "subprocess.Popen[bytes]":
    """Nothing of this process's environment goes along: not its variables, its input, its open files or its folder."""
    libraries = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    arguments = [json.dumps(task._asdict()), str(ROOT), *libraries]
    return subprocess.Popen(
        [sys.executable, "-s", "-P", "-B", "-X", "utf8", "-X", "faulthandler", "-c", START, *arguments],
        env=environment(folder, marker),
        cwd=Path(task.file).parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=[task.pipe],
        start_new_session=True,  # a Ctrl-C is for the process that grades, which then ends its workers
    )


def environment(folder: Path, marker: str) -> dict[str, str]:
    """All the variables that a worker has."""
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    return {
        MARKER: marker,
        "PATH": os.defpath,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "PYTHONHASHSEED": "0",  # the same marks every time
        "PYTHONUNBUFFERED": "1",  # what was printed before a crash is read
        "MPLBACKEND": "agg",
        **dict.fromkeys(threads, "1"),
    }


def marked(marker: str) -> "set[psutil.Process]":
    """The processes that carry this marker, as far as this user may look at them."""
    nothing: dict[str, str] = {}
    return {process for process in _processes() if _asked(process.environ, nothing).get(MARKER) == marker}


def stop_all(marker: str) -> None:
    """End every process with this marker. All are halted first, because one that runs could copy itself meanwhile."""
    deadline = time.monotonic() + STOP_SECONDS
    while (found := marked(marker)) and time.monotonic() < deadline:
        halted: set[psutil.Process] = set()
        while (running := found - halted) and time.monotonic() < deadline:
            for process in running:
                _asked(process.suspend, None)
            halted |= running
            found = marked(marker)
        for process in halted:
            _asked(process.kill, None)


def processes() -> int:
    """How many processes there are on this machine, which is quick to see."""
    import psutil

    return len(psutil.pids())


def memory(process: "psutil.Process") -> int:
    """Bytes of memory that a process holds."""
    return int(_asked(lambda: process.memory_info().rss, 0))


def _processes() -> "Iterator[psutil.Process]":
    import psutil

    for number in psutil.pids():
        with contextlib.suppress(psutil.Error, OSError):
            yield psutil.Process(number)


def _asked(question: Callable[[], Result], otherwise: Result) -> Result:
    """The answer of a process that may have ended, or belong to somebody else."""
    import psutil

    try:
        return question()
    except (psutil.Error, OSError):
        return otherwise


def _running() -> int:
    """Threads that run for this user: what a limit on their number counts from."""
    return sum(_asked(process.num_threads, 0) for process in _processes())
