"""How long `import companion.lstm` takes, in times of `import numpy`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROUNDS = 15
CODE = "import time; start = time.process_time(); import {}; print(time.process_time() - start)"


def seconds(module: str, cache: Path) -> float:
    """Processor seconds of an import in a fresh interpreter, without those of its own start."""
    command = [sys.executable, "-c", CODE.format(module)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(cache)  # readers have bytecode, whatever this environment says
    return float(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)


def test_import(benchmark: Any, capsys: Any, tmp_path: Path) -> None:
    modules = ["numpy", "companion.lstm", "companion.fast.lstm"]
    for module in modules:
        seconds(module, tmp_path)
    times = np.array([[seconds(module, tmp_path) for module in modules] for _ in range(ROUNDS)])
    benchmark.pedantic(lambda: seconds("companion.lstm", tmp_path), rounds=1)
    with capsys.disabled():
        print(f"\nimport numpy: {1e3 * np.median(times[:, 0]):.0f} ms")
        for k in (1, 2):
            print(f"  {modules[k]}: {np.median(times[:, k] / times[:, 0]):.2f} x numpy (goal: at most 1.3)")
