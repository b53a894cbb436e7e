"""The logbook of a run: one line of JSON for every measurement, and the figure at its end."""

import contextlib
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from companion.files import write_atomically
from companion.recipes import checkpoint

NAME = "metrics.jsonl"
FIGURE = "loss.png"


def append(folder: Path, entry: Mapping[str, Any]) -> None:
    """Add a line; raises ValueError when it cannot be written."""
    with _writing(folder, NAME), (folder / NAME).open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


@contextlib.contextmanager
def _writing(folder: Path, name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ValueError(
            f"cannot write {folder / name}: {error.strerror or error}; {checkpoint.last_good(folder)}"
        ) from error


def read(folder: Path) -> list[dict[str, Any]]:
    """All entries; a line that a killed process left half written is none."""
    entries = []
    path = folder / NAME
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []:
        with contextlib.suppress(ValueError):
            entries.append(json.loads(line))
    return [entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("step"), int)]


def cut_back(folder: Path, step: int) -> None:
    """Keep the entries up to a step: those after it will be measured again. Raises ValueError when it cannot be written."""
    kept = [entry for entry in read(folder) if entry["step"] <= step]
    contents = "".join(json.dumps(entry) + "\n" for entry in kept).encode()
    with _writing(folder, NAME):
        if (folder / NAME).exists() and (folder / NAME).read_bytes() != contents:
            write_atomically(folder / NAME, contents)


def draw(folder: Path, title: str, metric: str) -> Path:
    """Draw loss and metric against updates into the folder; needs matplotlib. Raises ValueError when it cannot be written."""
    from matplotlib.figure import Figure

    from companion.plot import describe

    entries = read(folder)
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    axes = figure.subplots(1, 2)
    for ax, name, label in zip(axes, ("loss", "validation"), ("loss [nats]", metric)):
        points = [(entry["step"], entry[name]) for entry in entries if name in entry]
        ax.plot(*zip(*points), lw=1.2, marker="o" if name == "validation" else "")
        describe(ax, {"loss": title, "validation": "On validation data"}[name], "updates", label)
    contents = io.BytesIO()
    figure.savefig(contents, format="png", dpi=120)
    with _writing(folder, FIGURE):
        write_atomically(folder / FIGURE, contents.getvalue())
    return folder / FIGURE
