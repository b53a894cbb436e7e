"""Files that are whole or not there: written under another name, then renamed in one step (recipes and data from packages).

A process may be killed at any moment, and a disk may be full. Whoever reads the final name finds the old contents or the new.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

TEMPORARY = ".tmp"  # the ending of a file that is being written


def write_atomically(path: Path, contents: bytes) -> None:
    """Write a file, or raise OSError and leave what was there before as it was.

    The contents are on the disk before the name points to them, so this holds also when the power fails.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        with temporary.open("wb") as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _write_names(path.parent)


def _write_names(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the system can (Windows cannot open a folder)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other processes that ask for it out of a folder; raises ValueError when one is there.

    The lock goes with the process, however that ends. Windows and some network file systems have none.
    """
    if os.name == "nt":
        yield
        return
    import fcntl

    with contextlib.ExitStack() as stack:
        try:
            descriptor = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"another process is writing into {folder}; wait for it, or take another folder") from None
        except OSError:
            pass  # who may not write there is told when trying to
        yield


def sha256(path: Path) -> str:
    """The SHA-256 checksum of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
