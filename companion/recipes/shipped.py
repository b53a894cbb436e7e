"""The checkpoints that come with the package: one folder for each recipe, and the checksums of all files in them."""

from pathlib import Path
from typing import Any

from companion.recipes.settings import Recipe

FOLDER = Path(__file__).parent / "checkpoints"
SUMS = FOLDER / "SHA256SUMS"  # as `sha256sum` writes and checks it
MAX_BYTES = 20_000_000  # of all of them together


def folder_of(recipe: Recipe) -> Path:
    """Where the checkpoint of a recipe is."""
    return FOLDER / recipe.name


def told(recipe: Recipe, header: dict[str, Any]) -> str:
    """What the shipped checkpoint is, in a line: parameters, time, and the metric over its seeds."""
    runs = header["runs"]
    values = sorted(run["test"] for run in runs)
    minutes = min(run["seconds"] for run in runs) / 60  # the others may have shared their core
    return (
        f"{header['parameters']:,} parameters, {minutes:.0f} minutes on one core at best; {recipe.metric} on test data: "
        f"{values[len(values) // 2]:.3f} ({values[0]:.3f} to {values[-1]:.3f} over {len(runs)} seeds)"
    )
