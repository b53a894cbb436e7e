"""How often the algorithmic recipes succeed: the same recipe from many seeds, and with one setting changed.

`python -m tests.benchmarks.machines FILE` adds to FILE, as JSON, every run that is not in it yet or is there with other settings.
A run that was stopped goes on from its checkpoint in `--runs`, so delete that folder, too, before a run is repeated. One thread
and one process; several can work on one file each, and `--merge PART PART` puts these into FILE. A run of `copy` takes about a
minute, of the slowest recipe several.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from companion.data import algorithmic
from companion.files import write_atomically
from companion.memory_trace import Sweep, sweep
from companion.recipes import RECIPES, change, logbook, training
from companion.recipes.algorithmic import Machine, weightings
from companion.recipes.settings import with_settings

SEEDS = 10  # of every machine
FEW = 3  # of every changed setting, and of the LSTMs
MACHINES = ("copy", "repeat-copy", "associative-recall", "n-grams", "priority-sort")
# What is changed in `copy`, one thing at a time.
ABLATIONS: tuple[dict[str, str], ...] = (
    {"learned_start": "true", "tight_memory": "false"},
    {"gate_bias": "0"},
    {"forget_bias": "1"},
    {"tight_memory": "false"},
    {"amsgrad": "false"},
    {"max_norm": "10"},
    {"batch": "4", "steps": "16000", "evaluate_every": "400"},
    {"batch": "64", "steps": "1000", "evaluate_every": "25"},
    {"controller": "feedforward"},
)


class Job(NamedTuple):
    """One run."""

    recipe: str
    changes: dict[str, str]
    seed: int

    def folder(self, runs: Path) -> Path:
        """Where its checkpoint is."""
        changes = "".join(f"-{name}-{value}" for name, value in self.changes.items())
        return runs / f"{self.recipe}{changes}-seed{self.seed}"


def jobs() -> Iterator[Job]:
    """All runs, the quick ones first."""
    yield from (Job("copy", {}, seed) for seed in range(SEEDS))
    yield from (Job("copy", changes, seed) for changes in ABLATIONS for seed in range(FEW))
    yield from (Job(name, {}, seed) for seed in range(SEEDS) for name in MACHINES[1:])
    yield from (Job(f"{name}-lstm", {}, seed) for name in MACHINES for seed in range(FEW))


def run(job: Job, folder: Path) -> dict[str, Any]:
    """Train to the end, and tell the metric as it was validated on the way, and on the test."""
    recipe = change(RECIPES[job.recipe], job.changes)
    folder.mkdir(parents=True, exist_ok=True)
    state = training.begin(recipe, job.seed)
    training.settle(state, folder, resume=True)
    told = {"recipe": job.recipe, "changes": job.changes, "seed": job.seed, "settings": recipe.settings()}
    try:
        for _ in training.train(state, folder):
            pass
        if isinstance(state.module, Machine) and job.recipe.startswith("copy"):
            told["sweep"] = swept(state.module)
        told["test"] = training.evaluate(state, "test")
    except ValueError as error:  # a run may also end in numbers that are not finite
        told |= {"test": None, "error": str(error)}
    return told | {"validation": [[e["step"], e["validation"]] for e in logbook.read(folder) if "validation" in e]}


def swept(module: Machine) -> Sweep:
    """What the heads do with 8 sequences of 120 vectors."""
    length = 120
    w = weightings(module, algorithmic.copy(np.random.default_rng(0), 8, length, dtype=np.float32).xs)
    return sweep(w[:length, :, 1], w[length:, :, 0])


def up_to_date(job: Job, told: dict[str, Any] | None) -> bool:
    """Whether what is told is of this run with its settings as they are; one that is not told has its default."""
    recipe = change(RECIPES[job.recipe], job.changes)
    try:
        return told is not None and with_settings(recipe, told["settings"]) == recipe
    except ValueError:  # a setting that there is no longer
        return False


def write(file: Path, done: dict[str, dict[str, Any]]) -> None:
    """A line for each run, in the order of the jobs; runs that are no longer asked for are left out."""
    lines = ",\n".join(json.dumps(done[str(job)]) for job in jobs() if str(job) in done)
    write_atomically(file, f"[\n{lines}\n]\n".encode())


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of their checkpoints")
    parser.add_argument("--merge", type=Path, nargs="+", default=[])
    parser.add_argument("--only", nargs="+", default=None, help="recipes")
    parser.add_argument("--share", default="0/1", help="k/n: every n-th run, from the k-th")
    options = parser.parse_args()
    torch.set_num_threads(1)
    done: dict[str, dict[str, Any]] = {}
    for file in (options.file, *options.merge):
        runs = json.loads(file.read_text()) if file.exists() else []
        done |= {str(Job(told["recipe"], told["changes"], told["seed"])): told for told in runs}
    k, n = map(int, options.share.split("/"))
    for number, job in enumerate(jobs()):
        ours = not options.merge and number % n == k and (not options.only or job.recipe in options.only)
        if ours and not up_to_date(job, done.get(str(job))):
            done[str(job)] = run(job, job.folder(options.runs))
            print(*job, {key: done[str(job)].get(key) for key in ("test", "error")}, flush=True)
            write(options.file, done)
    write(options.file, done)


if __name__ == "__main__":
    main()
