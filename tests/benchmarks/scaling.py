"""Seconds and bytes of an update: one process, two, and the share of one of many; compiled, and in bfloat16.

`python -m tests.benchmarks.scaling FILE` writes the medians as JSON, and `python -m tests.book.test_scaling FILE` puts them
into the book. For what needs two processes, torchrun starts this file once more. One thread each. The text of the language
model is random, which changes none of these figures.
"""

import functools
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed

from companion.data.text import Text
from companion.recipes import RECIPES, Recipe, change, training
from companion.recipes.places import Place, enter
from companion.recipes.task import Data

ROUNDS = 9
UPDATES = 6  # in every round
WARM_UP = 3
BATCH = 64
SHARES = [(BATCH, 1), (BATCH, 2), (BATCH, 8), (BATCH, 64), (8 * BATCH, 8), (64 * BATCH, 64)]


@functools.cache
def random_text() -> Data:
    """As many symbols as the largest batch needs."""
    parts = Text(*(np.random.default_rng(k).integers(0, 101, 10**6) for k in range(3)), "".join(map(chr, range(101))))
    return Data(parts, tuple(parts.vocabulary), tuple(parts.vocabulary), hashlib.sha256().hexdigest())


def recipes() -> list[Recipe]:
    """All recipes at their own size, and the same batch."""
    task = RECIPES["wikitext-2"].task()._replace(load=random_text)
    language = RECIPES["wikitext-2"]._replace(task=lambda: task)
    return [change(recipe, {"batch": str(BATCH)}) for recipe in (RECIPES["letters-to-phonemes"], language)]


def updates(run: training.Run, n: int = UPDATES) -> Callable[[], None]:
    """A function that makes n updates."""

    def make() -> None:
        for _ in range(n):
            training.backward(run)
            training.update(run)

    return make


def medians(
    functions: Mapping[str, Callable[[], None]], rounds: int = ROUNDS, clock: Callable[[], float] = time.process_time
) -> dict[str, float]:
    """Seconds for an update, the median over rounds in which the functions take turns; each makes UPDATES."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            start = clock()
            function()
            times[name].append((clock() - start) / UPDATES)
    return {name: float(np.median(seconds)) for name, seconds in times.items()}


# ---- one process


def shares(recipe: Recipe) -> dict[str, float]:
    """Seconds that one of p processes computes for an update, without what it sends: by "batch/p"."""
    runs = {}
    for batch, n_processes in SHARES:
        run = training.begin(change(recipe, {"batch": str(batch)}))
        run.place = Place(n_processes=n_processes)
        updates(run, 1)()
        runs[f"{batch}/{n_processes}"] = updates(run)
    return medians(runs, rounds=5)


def compiled(recipe: Recipe) -> dict[str, float]:
    """Seconds of an update as it is and with torch.compile, and those until the compiled one was warm."""
    eager, other = training.begin(recipe), training.begin(recipe)
    other.model = torch.compile(other.module)
    start = time.perf_counter()
    updates(other, 2 * UPDATES)()
    warm = time.perf_counter() - start
    updates(eager, 2 * UPDATES)()
    return medians({"eager": updates(eager), "compiled": updates(other)}) | {"first": warm}


def bfloat16(recipe: Recipe) -> float | None:
    """Seconds of an update in bfloat16; None where the processor does not run it."""
    try:
        with enter("cpu", "bfloat16") as place:
            run = training.begin(recipe, 0, place)
            updates(run, WARM_UP)()
            return medians({"it": updates(run)})["it"]
    except ValueError:
        return None


# ---- two processes


def sent() -> int | None:
    """Bytes that have gone through this machine's own network interface; None where the system does not count them so."""
    counters = Path("/proc/net/dev")
    lines = counters.read_text().splitlines() if counters.exists() else []
    return next((int(line.split(":")[1].split()[8]) for line in lines if line.strip().startswith("lo:")), None)


def pair(recipe: Recipe, place: Place) -> dict[str, Any]:
    """One process and two at the same updates in turn; while one computes alone, the other waits."""
    alone, both = training.begin(recipe), training.begin(recipe, 0, place)
    counts: list[int] = []

    def together() -> None:
        before = sent()
        updates(both)()
        distributed.barrier()
        if before is not None:
            counts.append((sent() - before) // UPDATES)

    def by_itself() -> None:
        if place.writes:
            updates(alone)()
        distributed.barrier()

    by_itself()
    together()
    # Seconds on the clock: the processes wait for each other, which processor time would not show.
    times = medians({"one": by_itself, "two": together}, clock=time.perf_counter)
    n_parameters = sum(p.numel() for p in alone.module.parameters())
    return times | {
        "parameters": n_parameters,
        "bytes": int(np.median(counts[1:])) if counts else None,
        "reduce": reduction(n_parameters),
        "reduce_one": reduction(1),
    }


def reduction(n: int) -> float:
    """Seconds in which two processes add n numbers of each other."""
    numbers, times = torch.zeros(n), []
    for _ in range(60):
        distributed.barrier()
        start = time.perf_counter()
        distributed.all_reduce(numbers)
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def pairs() -> dict[str, Any]:
    """What torchrun's two processes find out, by recipe."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "figures.json"
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
        subprocess.run([*launcher, "-m", "tests.benchmarks.scaling", "--pair", str(file)], check=True)
        return dict(json.loads(file.read_text()))


def measured() -> dict[str, Any]:
    """All figures: seconds, bytes, and what the machine was like."""
    torch.set_num_threads(1)
    before = os.getloadavg()[0]
    figures = pairs()
    for recipe in recipes():
        figures[recipe.name] |= {"shares": shares(recipe), "compile": compiled(recipe), "bfloat16": bfloat16(recipe)}
    machine = {"cores": os.cpu_count(), "load_before": before, "load_after": os.getloadavg()[0]}
    return {"machine": machine | {"system": platform.system(), "torch": torch.__version__}, "recipes": figures}


def main(arguments: list[str]) -> None:
    torch.set_num_threads(1)
    if arguments[0] != "--pair":
        Path(arguments[0]).write_text(json.dumps(measured(), indent=1) + "\n", encoding="utf-8")
        return
    with enter("cpu") as place:
        figures = {recipe.name: pair(recipe, place) for recipe in recipes()}
    if place.writes:
        Path(arguments[1]).write_text(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1:])
