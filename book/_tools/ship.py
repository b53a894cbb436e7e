"""Ship a recipe's checkpoint: the first of several finished runs that differ in the seed, and what all of them reached.

python book/_tools/ship.py runs/wikitext-2-seed0 runs/wikitext-2-seed1 runs/wikitext-2-seed2
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from companion.files import sha256, write_atomically
from companion.recipes import checkpoint, loading, training
from companion.recipes.shipped import FOLDER, MAX_BYTES, SUMS

ALIKE = ("recipe", "settings", "precision", "data_sha256", "inputs", "outputs")


def main(folders: list[Path]) -> None:
    """Write the checkpoint of the first folder, without what only training needs, and the figures of all."""
    headers, runs = [], []
    for folder in folders:
        recipe, module, header = loading.load_model(folder)
        if header["step"] != recipe.training.steps:
            sys.exit(
                f"{folder} stands at step {header['step']}, expected {recipe.training.steps}: the run is not finished"
            )
        task = recipe.task()
        data = task.load()
        loading.require_data(folder, header, data)
        reached = {
            part: training.measure(task, module, getattr(data.parts, part))
            for part in ("validation", "test")
        }
        runs.append(
            {"seed": header["seed"], "seconds": header["seconds"], **reached}
        )
        headers.append(header)
        print(runs[-1])
    if any(
        header[name] != headers[0][name] for header in headers for name in ALIKE
    ):
        sys.exit(
            f"the runs differ in more than the seed; expected the same {', '.join(ALIKE)}"
        )
    _write(folders[0], headers[0], runs)


def _write(run: Path, header: dict[str, Any], runs: list[dict[str, Any]]) -> None:
    _, tensors = checkpoint.read(run)
    weights = {
        name: tensor
        for name, tensor in tensors.items()
        if name.startswith("model.")
    }
    n_parameters = sum(tensor.numel() for tensor in weights.values())
    folder = FOLDER / header["recipe"]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    checkpoint.write(
        folder, {**header, "parameters": n_parameters, "runs": runs}, weights
    )
    files = sorted(
        path for path in FOLDER.rglob("*") if path.is_file() and path != SUMS
    )
    if (size := sum(path.stat().st_size for path in files)) > MAX_BYTES:
        sys.exit(
            f"the checkpoints take {size:,} bytes, expected at most {MAX_BYTES:,} together"
        )
    lines = [
        f"{sha256(path)}  {path.relative_to(FOLDER).as_posix()}\n" for path in files
    ]
    write_atomically(SUMS, "".join(lines).encode())
    print(
        f"{header['recipe']}: {n_parameters:,} parameters; all checkpoints together {size:,} bytes"
    )


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
