"""How often the algorithmic recipes succeed: the same recipe from many seeds, and with one setting changed.

`python -m tests.benchmarks.machines FILE` adds to FILE, as JSON, every run that is not in it yet; delete an entry to repeat it.
One thread and one process; several can work on one file each, and `--merge FILE PART PART` puts them together. A run of
`copy` takes about ten seconds, of the slowest recipe several minutes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

from companion.files import write_atomically
from companion.recipes import RECIPES, change, training

SEEDS = 10  # of every machine
FEW = 3  # of every changed setting, and of the LSTMs
MACHINES = ("copy", "repeat-copy", "associative-recall", "n-grams", "priority-sort")
# What is changed in `copy`, one thing at a time.
ABLATIONS: tuple[dict[str, str], ...] = (
    {"learned_start": "true"},
    {"gate_bias": "0"},
    {"forget_bias": "1"},
    {"tight_memory": "false"},
    {"amsgrad": "false"},
    {"max_norm": "10"},
    {"max_norm": "1e9"},
    {"batch": "1", "steps": "64000"},
    {"batch": "4", "steps": "16000"},
    {"batch": "64", "steps": "1000"},
    {"controller": "feedforward"},
)


class Job(NamedTuple):
    """One run."""

    recipe: str
    changes: dict[str, str]
    seed: int


def jobs() -> Iterator[Job]:
    """All runs, the quick ones first."""
    yield from (Job("copy", {}, seed) for seed in range(SEEDS))
    yield from (Job("copy", changes, seed) for changes in ABLATIONS for seed in range(FEW))
    yield from (Job(name, {}, seed) for name in MACHINES[1:] for seed in range(SEEDS))
    yield from (Job(f"{name}-lstm", {}, seed) for name in MACHINES for seed in range(FEW))


def run(job: Job) -> dict[str, Any]:
    """Train once, and tell the metric as it was validated on the way, and on the test at the end."""
    recipe = change(RECIPES[job.recipe], job.changes)
    state, curve, started = training.begin(recipe, job.seed), [], time.process_time()
    told = {"recipe": job.recipe, "changes": job.changes, "seed": job.seed, "settings": recipe.settings()}
    try:
        while state.step < recipe.training.steps:
            training.backward(state)
            training.update(state)
            if state.step % recipe.training.evaluate_every == 0 or state.step == recipe.training.steps:
                curve.append([state.step, training.evaluate(state, "validation")])
    except ValueError as error:  # a run may also end in numbers that are not finite
        return told | {"validation": curve, "test": None, "error": str(error)}
    seconds = time.process_time() - started
    return told | {"validation": curve, "test": training.evaluate(state, "test"), "seconds": round(seconds, 1)}


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--merge", type=Path, nargs="+", default=[])
    parser.add_argument("--only", nargs="+", default=None, help="recipes")
    parser.add_argument("--share", default="0/1", help="k/n: every n-th run, from the k-th")
    options = parser.parse_args()
    torch.set_num_threads(1)
    done = json.loads(options.file.read_text()) if options.file.exists() else []
    for part in options.merge:
        done += json.loads(part.read_text())
    k, n = map(int, options.share.split("/"))
    for number, job in enumerate(jobs()):
        there = any((d["recipe"], d["changes"], d["seed"]) == (job.recipe, job.changes, job.seed) for d in done)
        if options.merge or there or number % n != k or (options.only and job.recipe not in options.only):
            continue
        done.append(run(job))
        told = done[-1]
        print(*job, told["validation"][-1:], told["test"], told.get("seconds", told.get("error")), flush=True)
        write_atomically(options.file, json.dumps(done, indent=1).encode())
    write_atomically(options.file, json.dumps(done, indent=1).encode())


if __name__ == "__main__":
    main()
