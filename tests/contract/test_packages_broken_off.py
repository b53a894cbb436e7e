"""A fetch that is killed, finds no room, shares its folder with another or loses its connection leaves nothing half-done."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import importlib.metadata
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from companion.data import packages
from companion.data.packages import WORK, fetch, fetch_all
from companion.files import sha256
from tests.contract.wheels import (
    PACKAGE,
    VERSION,
    Index,
    Terminal,
    alter,
    entries,
    files,
    make_index,
    start,
    take_offline,
)

POSIX = pytest.mark.skipif(os.name == "nt", reason="needs the signals and limits of Linux or macOS")
NOISE = random.Random(5)
LARGE = {f"tiny_data/{k}.bin": NOISE.randbytes(2_000_000) for k in range(4)}
KILLS = 20
FETCHED = {f"{PACKAGE}-{VERSION}/{name}" for name in LARGE}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    return make_index(tmp_path, monkeypatch, LARGE)


def whole(index: Index) -> int:
    """How many files have their final name; every one of them must be right."""
    there = [k for k in range(len(index.sources)) if index.place(k).exists()]
    assert all(sha256(index.place(k)) == index.sources[k].member_sha256 for k in there)
    return len(there)


def assert_all_there_and_nothing_else(index: Index) -> None:
    fetch_all(index.sources, progress=False)
    assert whole(index) == len(LARGE)
    assert files(index.kept) == FETCHED
    assert entries(index.kept) == {f"{PACKAGE}-{VERSION}"}


# ---- killed


@POSIX
def test_killed_at_any_moment_it_leaves_no_half_file_and_the_next_one_ends_without_litter(index: Index) -> None:
    begun = time.monotonic()
    unbroken = start(index)
    assert unbroken.communicate()[1].startswith("Fetching")
    span = time.monotonic() - begun
    found, groups = set(), []
    for k in range(KILLS):
        for place in index.kept.glob(f"{PACKAGE}*/*/*"):
            place.unlink()
        process = start(index)
        time.sleep(NOISE.uniform(0.1, 1) * span)
        process.kill() if k % 2 else os.killpg(process.pid, signal.SIGKILL)
        process.communicate()  # every second time its pip goes on alone
        groups.append(process.pid)
        found.add(whole(index))
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    assert 0 in found
    assert_all_there_and_nothing_else(index)


def kill_when_downloaded(index: Index) -> Path:
    """The wheel that a process leaves when it is killed between the download and the unpacking."""
    process = start(index, "packages._unpack = lambda *a: os.kill(os.getpid(), 9)")
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    (wheel,) = index.kept.glob(f"{WORK}{process.pid}-*/*.whl")
    return wheel


@POSIX
def test_a_wheel_that_had_arrived_whole_is_not_downloaded_again(index: Index) -> None:
    kill_when_downloaded(index)
    take_offline(index)
    assert_all_there_and_nothing_else(index)


@POSIX
def test_a_left_wheel_that_was_altered_is_not_used(index: Index) -> None:
    alter(kill_when_downloaded(index))
    take_offline(index)
    with pytest.raises(ValueError, match="cannot be had: pip says"):
        fetch_all(index.sources)
    assert whole(index) == 0


@POSIX
def test_killed_while_unpacking_what_was_unpacked_stays(index: Index) -> None:
    code = "packages.write_atomically = lambda path, c: path.write_bytes(c[:99]) and os.kill(os.getpid(), 9)"
    start(index, f"write = packages.write_atomically\n{code}").communicate()
    assert whole(index) == 0
    code = "packages.shutil.rmtree = lambda *a, **k: os.kill(os.getpid(), 9)"  # all is done but for cleaning
    start(index, code).communicate()
    assert whole(index) == len(LARGE)
    assert_all_there_and_nothing_else(index)


@POSIX
def test_interrupted_from_the_keyboard_it_ends_its_pip_and_leaves_nothing(index: Index) -> None:
    process = start(index)
    while not list(index.kept.glob(f"{WORK}*/*")):  # pip has begun
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate()[1]
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    assert entries(index.kept) == set()


@POSIX
def test_the_folder_of_a_living_process_stays_and_an_old_one_of_any_machine_goes(index: Index) -> None:
    mine, other, old = (index.kept / f".fetch-{name}-a_b" for name in (f"{WORK[7:]}{os.getpid()}", "a-b-1", "a-b-2"))
    for folder in (mine, other, old):
        folder.mkdir(parents=True)
    os.utime(old, (1, 1))
    fetch_all(index.sources)
    assert entries(index.kept) == {mine.name, other.name, f"{PACKAGE}-{VERSION}"}


# ---- no room, and company


@POSIX
@pytest.mark.parametrize("packed", [False, True], ids=["for the wheel", "for what is in it"])
def test_without_room_one_line_says_so_and_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    index = make_index(
        tmp_path, monkeypatch, {"tiny_data/a.bin": bytes(2_000_000) if packed else NOISE.randbytes(2_000_000)}
    )
    process = start(index, "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))")
    error = process.communicate()[1].splitlines()[-1]
    assert process.returncode == 1
    assert error.startswith(
        "ValueError: fetch: tiny_data/a.bin of tiny-data 1.0 co" if packed else "ValueError: fetch: "
    )
    assert "File too large" in error
    assert entries(index.kept) == set()
    assert_room_is_enough(index)


def assert_room_is_enough(index: Index) -> None:
    assert sha256(fetch(index.sources[0])) == index.sources[0].member_sha256


@POSIX
def test_several_processes_at_once_do_not_disturb_each_other(index: Index) -> None:
    processes = [start(index) for _ in range(3)]
    for process in processes:
        error = process.communicate()[1]
        assert process.returncode == 0, error
    assert_all_there_and_nothing_else(index)


# ---- a connection that breaks


class Broken(http.server.BaseHTTPRequestHandler):
    """An index that ends its first answer in the middle of the wheel, and can go on from there."""

    def do_GET(self) -> None:
        server: Any = self.server
        name = server.wheel.name
        if self.path != f"/{name}":
            digest = hashlib.sha256(server.wheel.read_bytes()).hexdigest()
            self._send(
                200,
                f'<!DOCTYPE html><a href="/{name}#sha256={digest}">{name}</a>'.encode(),
                {"Content-Type": "text/html"},
            )
            return
        contents = server.wheel.read_bytes()
        first = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        server.asked.append(first)
        ranges = {
            "Accept-Ranges": "bytes",
            "ETag": '"1"',
            "Content-Range": f"bytes {first}-{len(contents) - 1}/{len(contents)}",
        }
        self._send(
            206 if first else 200, contents[first:], ranges, len(contents) // 2 if len(server.asked) == 1 else None
        )

    def _send(self, status: int, contents: bytes, headers: dict[str, str], end: int | None = None) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(contents)), "Connection": "close"}).items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(contents[:end])
            self.wfile.flush()
            time.sleep(1 if end else 0)  # so long the bar has to look at what has arrived

    def log_message(self, *a: Any) -> None:
        pass


@pytest.fixture
def server(index: Index, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Broken)
    server.wheel, server.asked = index.wheel, []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_broken_connection_is_taken_up_again_by_a_pip_that_can_and_refused_by_another(
    index: Index, server: Any
) -> None:
    if tuple(map(int, importlib.metadata.version("pip").split(".")[:2])) >= (25, 1):
        fetch_all(index.sources)
        assert len(server.asked) == 2
        assert server.asked[1] > 0.4 * index.wheel.stat().st_size
    else:
        with pytest.raises(ValueError, match="cannot be had: "):
            fetch_all(index.sources)
        assert entries(index.kept) == set()
    assert_all_there_and_nothing_else(index)


def test_the_bar_shows_what_has_arrived(index: Index, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tqdm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with contextlib.suppress(ValueError):  # of a pip that cannot resume
        fetch_all(index.sources)
    seen = [int(part.split("%")[0]) for part in sys.stderr.getvalue().split("1.0: ")[1:]]
    assert seen[0] == 0
    assert any(40 <= percent <= 60 for percent in seen)
    assert max(seen) <= 100
    assert not packages._abandoned(index.kept)
