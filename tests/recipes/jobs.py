"""What a forked process does (`forks.py`): commands of the command line, and faults in the middle of them."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib
import io
import itertools
import os
import resource
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from companion.__main__ import main
from companion.recipes import RECIPES, training
from tests.recipes.runs import SMALL, left

NEW_MOUNTS, NEW_USER = 0x20000, 0x10000000  # unshare(2)
READ_ONLY, REMOUNT, PRIVATE = 1, 32, 0x44000  # mount(2); the last with MS_REC
DISK = 1 << 18  # bytes; a few checkpoints
READERS = dict(RECIPES)


def prepare() -> None:
    """Load everything that a job needs, and use it once."""
    import matplotlib.figure  # noqa: F401

    torch.set_num_threads(1)  # a process with threads of its own cannot be forked
    RECIPES.update(SMALL)
    for name in SMALL:
        with tempfile.TemporaryDirectory() as folder:
            run = training.begin(RECIPES[name])
            training.settle(run, Path(folder))
            for _ in training.train(run, Path(folder), lambda: True):
                pass


def command(*arguments: str) -> tuple[Any, str]:
    """Exit status and standard error of the command line; instead of a traceback, the name of the exception as status."""
    text = io.StringIO()
    with contextlib.redirect_stderr(text), contextlib.redirect_stdout(io.StringIO()):
        try:
            status: Any = main(arguments)
        except BaseException as error:
            status = type(error).__name__
            traceback.print_exc(file=text)
    return status, text.getvalue()


def before(place: str, count: int, act: Callable[[], object]) -> None:
    """Do something just before the count-th call of a function from now on; place is such as "os.fsync"."""
    module, _, name = place.rpartition(".")
    owner = importlib.import_module(module)
    function, calls = getattr(owner, name), itertools.count(1)

    def called(*arguments: Any, **options: Any) -> Any:
        if next(calls) == count:
            act()
        return function(*arguments, **options)

    setattr(owner, name, called)


def train(
    arguments: Sequence[str],
    at: tuple[str, int] | None = None,
    signals: Sequence[int] = (9,),
    limit: int | None = None,
    fatal: bool = False,
    figure: bool = False,
) -> tuple[Any, str]:
    """The command `train`, with a fault at the n-th call of a function, or at once: signals, or, if there is a limit, the
    system's refusal of any file that grows beyond it, which is fatal or an error."""

    def fault() -> None:
        if limit is None:
            for number in signals:
                os.kill(os.getpid(), number)
            return
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL if fatal else signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    if at:
        before(*at, fault)
    elif limit is not None:
        fault()
    if not figure:
        sys.modules["matplotlib.figure"] = None  # type: ignore[assignment]
    return command("train", *arguments)


def commands(lines: Sequence[Sequence[str]], small: bool = True) -> list[tuple[Any, str]]:
    """Several commands, one after the other, with the small recipes or those that readers have."""
    if not small:
        RECIPES.update(READERS)
    return [command(*line) for line in lines]


def two_runs(folder: str, name: str) -> list[Any]:
    """A run, and in the middle of it another one that wants to go on in the same folder."""
    answers: list[Any] = []
    line = ("train", name, "--out", folder, "--resume")
    before("companion.recipes.training.update", 10, lambda: answers.append(command(*line)))
    return [command(*line), *answers]


def full_disk(folder: str, name: str, place: str, count: int) -> dict[str, Any]:
    """A run on a disk that is full just before the count-th call of a function; then there is room, and it goes on."""
    try:
        own_disk(folder)
    except OSError as error:
        return {"skip": f"no file system can be mounted here: {error}"}
    out, filler = Path(folder, "run"), Path(folder, "filler")
    kept: dict[str, str] = {}

    def fill() -> None:
        kept.update(sums(out))
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 4096)

    before(place, count, fill)
    line = ("train", name, "--out", str(out))
    found: dict[str, Any] = {"first": command(*line), "kept": kept, "after": sums(out)}
    found |= {"second": command(*line, "--resume"), "still": sums(out)}
    filler.unlink()
    return found | {"third": command(*line, "--resume"), "left": left(out)}


def read_only(folder: str, name: str) -> dict[str, Any]:
    """A run that was stopped, on a disk on which nobody may write now."""
    try:
        own_disk(folder)
    except OSError as error:
        return {"skip": f"no file system can be mounted here: {error}"}
    out = Path(folder, "run")
    before("companion.recipes.training.update", 11, lambda: os.kill(os.getpid(), signal.SIGINT))
    command("train", name, "--out", str(out))
    kept = sums(out)
    _system("mount", None, folder.encode(), None, REMOUNT | READ_ONLY, None)
    found = {"resumed": command("train", name, "--out", str(out), "--resume")}
    found |= {"started": command("train", name, "--out", str(Path(folder, "other")))}
    return found | {"kept": kept, "after": sums(out)}


def not_allowed(lines: Sequence[Sequence[str]]) -> Any:
    """Commands of a user who must heed permissions, as root does not: one in a user namespace of its own that maps nobody."""
    if not os.geteuid():
        try:
            _system("unshare", NEW_USER)
        except OSError as error:
            return {"skip": f"root may write everywhere, and cannot give that up here: {error}"}
    return {"commands": commands(lines)}


def sums(folder: Path) -> dict[str, str]:
    """The checksum of every file."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.is_file()}


def own_disk(folder: str) -> None:
    """Mount a small empty file system that only this process sees, and that ends with it."""
    user, group = os.getuid(), os.getgid()
    try:
        _system("unshare", NEW_USER | NEW_MOUNTS)
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            Path("/proc/self", name).write_text(text)
    except OSError:
        _system("unshare", NEW_MOUNTS)
    _system("mount", None, b"/", None, PRIVATE, None)
    _system("mount", b"tmpfs", folder.encode(), b"tmpfs", 0, f"size={DISK}".encode())


def _system(name: str, *arguments: Any) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
