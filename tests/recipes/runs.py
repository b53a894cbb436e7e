"""A small recipe of each task, on data made up here, and what a run leaves in its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from companion.data.phonemes import Phonemes, Words
from companion.data.text import Text
from companion.recipes import (
    RECIPES,
    LanguageModel,
    MachineModel,
    Recipe,
    TaggerModel,
    Training,
    change,
    checkpoint,
    language,
    letters,
    training,
)
from companion.recipes.task import Data

N_LABELS = 7
CHARACTERS = "abcdefghijk"


def words(rng: np.random.Generator, count: int) -> Words:
    """Words of random letters, up to seven; a label follows from its letter and the one before."""
    lengths = rng.integers(3, 8, count)
    inside = np.arange(7) < lengths[:, None]
    drawn = np.where(inside, rng.integers(1, 27, (count, 7)), 0)
    labels = np.where(inside, (drawn + np.roll(drawn, 1, axis=1)) % N_LABELS, -1)
    return Words(drawn, labels, lengths, ("",) * count)


def small_words() -> Data:
    rng = np.random.default_rng(1)
    names = tuple("KLMNOPQ"[:N_LABELS])
    return Data(Phonemes(words(rng, 200), words(rng, 40), words(rng, 40), names), letters.LETTERS, names, "1" * 64)


def small_text() -> Data:
    rng = np.random.default_rng(2)
    parts = [np.cumsum(rng.integers(0, 3, count)) % len(CHARACTERS) for count in (2000, 300, 300)]
    return Data(Text(*parts, CHARACTERS), tuple(CHARACTERS), tuple(CHARACTERS), "2" * 64)


# 200 words give 25 batches, and 2,000 characters 19 segments: the runs go through their data more than once.
SMALL: dict[str, Recipe] = {
    "letters-to-phonemes": RECIPES["letters-to-phonemes"]._replace(
        task=lambda: letters.TASK._replace(load=small_words),
        model=TaggerModel(n_embedding=3, n_hidden=4, n_layers=1, dropout=0.3),
        training=Training(
            steps=30, batch=8, learning_rate=0.05, warmup=5, max_norm=0.5, evaluate_every=9, checkpoint_every=4
        ),
    ),
    "wikitext-2": RECIPES["wikitext-2"]._replace(
        task=lambda: language.TASK._replace(load=small_text),
        model=LanguageModel(n_embedding=3, n_hidden=6, n_layers=2, dropout=0.2, segment=13),
        training=Training(
            steps=30, batch=8, learning_rate=0.05, warmup=5, max_norm=0.5, evaluate_every=9, checkpoint_every=4
        ),
    ),
    "copy": RECIPES["copy"]._replace(
        model=MachineModel(n_hidden=6, rows=24, width=4, tight_memory=True),
        training=Training(
            steps=30,
            batch=8,
            learning_rate=0.05,
            warmup=5,
            max_norm=0.5,
            amsgrad=True,
            evaluate_every=9,
            checkpoint_every=4,
        ),
    ),
}


def own(recipe: Recipe, sizes: dict[str, str]) -> dict[str, str]:
    """Those of the settings that the recipe has."""
    return {name: value for name, value in sizes.items() if name in recipe.settings()}


def run_until(step: int, name: str, folder: Path) -> None:
    """A run that is stopped after a step."""
    folder.mkdir(exist_ok=True)
    run = training.begin(SMALL[name])
    training.settle(run, folder)
    for _ in training.train(run, folder, lambda: run.step == step):
        pass


def resume(folder: Path, name: str, seed: int = 0, **changes: str) -> training.Run:
    """A run that goes on from the checkpoint in a folder."""
    run = training.begin(change(SMALL[name], changes), seed)
    training.settle(run, folder, resume=True)
    return run


class Left(NamedTuple):
    """What must be equal after an interrupted and an unbroken run."""

    names: list[str]  # of all files; that of the weights has their checksum in it
    header: dict[str, Any]  # without the time it took
    metrics: str


def left(folder: Path) -> Left:
    """Raises ValueError when the folder's checkpoint is not whole."""
    header = dict(checkpoint.read(folder).header)
    del header["seconds"]
    metrics = (folder / "metrics.jsonl").read_text() if (folder / "metrics.jsonl").exists() else ""
    return Left(sorted(path.name for path in folder.iterdir()), header, metrics)


def step_of(folder: Path) -> int:
    """The step of a folder's checkpoint, -1 when there is none. Raises ValueError when it is not whole."""
    return int(checkpoint.read(folder).header["step"]) if checkpoint.exists(folder) else -1


def contents(folder: Path) -> dict[str, bytes]:
    """All files and what is in them."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def edit(folder: Path, **fields: Any) -> None:
    """Change fields of a checkpoint's header, without a care for what belongs together."""
    path = folder / checkpoint.HEADER
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | fields), encoding="utf-8")
