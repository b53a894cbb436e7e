"""A file is whole or not there: the old contents or the new, whatever fails while it is written."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from companion.files import TEMPORARY, sha256, write_atomically

OLD, NEW = b"old", b"new" * 100_000


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fail(*arguments: Any, **options: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interrupt(*arguments: Any, **options: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("contents", [b"", b"\x00\r\n\xff", NEW])
@pytest.mark.parametrize("old", [None, OLD, NEW + OLD])
def test_a_file_has_the_new_contents_and_nothing_is_left_beside_it(contents, old, tmp_path: Path) -> None:
    path = tmp_path / "a name with spaces.json"
    if old is not None:
        path.write_bytes(old)
    write_atomically(path, contents)
    assert path.read_bytes() == contents
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("fault", [fail, interrupt])
@pytest.mark.parametrize("place", ["fsync", "replace"])
@pytest.mark.parametrize("old", [None, OLD])
def test_what_fails_leaves_the_old_contents_and_nothing_beside_them(fault, place, old, tmp_path, monkeypatch) -> None:
    path = tmp_path / "file"
    if old is not None:
        path.write_bytes(old)
    monkeypatch.setattr(os, place, fault)
    with pytest.raises((OSError, KeyboardInterrupt)):
        write_atomically(path, NEW)
    assert names(tmp_path) == ([] if old is None else ["file"])
    assert old is None or path.read_bytes() == old


def test_the_contents_are_on_the_disk_before_the_name_points_to_them(tmp_path: Path, monkeypatch) -> None:
    path, seen = tmp_path / "file", []
    path.write_bytes(OLD)
    sync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        sync(descriptor)
        seen.append(("fsync", path.read_bytes() == NEW))

    def replaced(source: Any, target: Any) -> None:
        seen.append(("replace", Path(source).read_bytes() == NEW and path.read_bytes() == OLD))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    write_atomically(path, NEW)
    folder_is_synced = [("fsync", True)] if os.name != "nt" else []
    assert seen == [("fsync", False), ("replace", True), *folder_is_synced]


def test_a_file_being_written_is_hidden_and_has_the_ending_and_the_process_in_its_name(tmp_path, monkeypatch) -> None:
    seen: list[str] = []

    def look(source: Any, target: Any) -> None:
        seen.extend(names(tmp_path))
        raise InterruptedError

    monkeypatch.setattr(os, "replace", look)
    with pytest.raises(InterruptedError):
        write_atomically(tmp_path / "file.json", NEW)
    assert seen == [f".file.json.{os.getpid()}{TEMPORARY}"]


@pytest.mark.parametrize("where", ["file/below", "nowhere/below", "folder"])
def test_a_name_that_cannot_be_written_raises_oserror_and_changes_nothing(where: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(OLD)
    (tmp_path / "folder").mkdir()
    with pytest.raises((NotADirectoryError, FileNotFoundError, IsADirectoryError, PermissionError)):
        write_atomically(tmp_path / where, NEW)
    assert names(tmp_path) == ["file", "folder"]
    assert (tmp_path / "file").read_bytes() == OLD
    assert names(tmp_path / "folder") == []


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, OLD)
    with path.open("rb") as reader:  # it opened the old file, and reads that to its end
        if os.name != "nt":
            write_atomically(path, NEW)
        assert reader.read() == OLD
    write_atomically(path, NEW)
    assert path.read_bytes() == NEW


@pytest.mark.parametrize("contents", [b"", b"abc", NEW])
def test_a_checksum_is_that_of_the_contents(contents: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(contents)
    assert sha256(tmp_path / "file") == hashlib.sha256(contents).hexdigest()


def test_a_checksum_is_that_of_the_standard(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")  # the first example of FIPS 180-2, appendix B
    assert sha256(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "file").write_bytes(b"abd")
    assert sha256(tmp_path / "file") != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
