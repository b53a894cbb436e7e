"""How long `import companion.lstm` takes, in times of `import numpy`; goal: at most 1.3.

Measured on a copy of the package that may keep its bytecode, as readers have it from the second time on, and on one that may
not: there Python compiles our files at every import, while NumPy has brought its own bytecode.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import companion

ROUNDS = 15
MODULES = ["numpy", "companion.lstm", "companion.fast.lstm"]
CODE = "import time; start = time.process_time(); import {}; print(time.process_time() - start)"


def seconds(module: str, folder: Path, environment: dict[str, str]) -> float:
    """Processor seconds of an import in a fresh interpreter, without those of its own start."""
    command = [sys.executable, "-c", CODE.format(module)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, env=environment)
    return float(done.stdout)


@pytest.mark.parametrize("bytecode", [True, False])
def test_import(bytecode: bool, benchmark: Any, capsys: Any, tmp_path: Path) -> None:
    package = Path(companion.__file__).parent
    shutil.copytree(package, tmp_path / "companion", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    if not bytecode:
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
    for module in MODULES:
        seconds(module, tmp_path, environment)
    assert (tmp_path / "companion/__pycache__").exists() == bytecode
    times = np.array([[seconds(module, tmp_path, environment) for module in MODULES] for _ in range(ROUNDS)])
    benchmark.pedantic(lambda: seconds("companion.lstm", tmp_path, environment), rounds=1)
    with capsys.disabled():
        print(
            f"\nimport numpy: {1e3 * np.median(times[:, 0]):.0f} ms; {'with' if bytecode else 'without'} our bytecode:"
        )
        for k in (1, 2):
            print(f"  {MODULES[k]}: {np.median(times[:, k] / times[:, 0]):.2f} x numpy (goal: at most 1.3)")
