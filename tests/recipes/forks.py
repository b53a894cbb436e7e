"""Processes that can be killed, a few milliseconds each: forked from one that has PyTorch and the data loaded.

`Server` starts `python -m tests.recipes.forks`, which reads one job a line: the name of a function of `jobs.py`, its
arguments, and after how many seconds to kill the process that works on it. It answers with what the function returned, or
with the signal that ended it. A job that hangs is killed and reported.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 60.0  # seconds for one job
KILLED = (-9, -25)  # SIGKILL, and SIGXFSZ of who writes more than it may


class Server:
    """The process that forks."""

    def __init__(self) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen([sys.executable, "-m", __spec__.name], cwd=ROOT, text=True, **pipes)

    def __call__(self, job: str, kill_after: float | None = None, **arguments: Any) -> Any:
        """What the job returned, or minus the number of the signal that killed it. Raises RuntimeError when it failed."""
        self.process.stdin.write(json.dumps([job, arguments, kill_after], default=str) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline() or '{"failed": "the server died"}')
        if "failed" in answer:
            raise RuntimeError(answer["failed"])
        return answer["returned"] if "returned" in answer else -answer["signal"]

    def close(self) -> None:
        """End it."""
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """A server for as long as it is needed."""
    server = Server()
    try:
        yield server
    finally:
        server.close()


def serve() -> None:
    """Answer one job after the other, until there are no more."""
    from tests.recipes import jobs

    jobs.prepare()
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a job prints is no answer
    for line in sys.stdin:
        print(json.dumps(_answer(jobs, *json.loads(line))), file=out, flush=True)


def _answer(jobs: Any, job: str, arguments: dict[str, Any], kill_after: float | None) -> dict[str, Any]:
    reader, writer = os.pipe()
    process = os.fork()
    if not process:
        os.close(reader)
        _work(getattr(jobs, job), arguments, writer)
    os.close(writer)
    answer, late = _until_closed(reader, TIMEOUT if kill_after is None else kill_after)
    if late:
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    os.close(reader)
    if late and kill_after is None:
        return {"failed": f"{job} took more than {TIMEOUT} seconds"}
    number = os.waitstatus_to_exitcode(status)
    return {"signal": -number} if number < 0 else json.loads(answer)


def _until_closed(reader: int, seconds: float) -> tuple[bytes, bool]:
    """What a job writes until it ends, and whether it is late."""
    answer = b""
    while select.select([reader], [], [], seconds)[0]:
        chunk = os.read(reader, 1 << 16)
        if not chunk:
            return answer, False
        answer += chunk
    return answer, True


def _work(function: Any, arguments: dict[str, Any], writer: int) -> None:
    try:
        answer = {"returned": function(**arguments)}
    except BaseException:
        answer = {"failed": traceback.format_exc()}
    os.write(writer, json.dumps(answer).encode())
    os._exit(0)


if __name__ == "__main__":
    serve()
