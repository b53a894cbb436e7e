"""Characters per second of a small character model, and the loss that the same processor time buys."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from companion.data.text import load_text, streams
from tests.benchmarks.characters import STEPS, Plain, Quick, initial
from tests.benchmarks.timing import interleaved, ratio

SECONDS = 8.0  # of training, for the loss at equal time


def batches(batch: int) -> Iterator[tuple[Any, Any]]:
    """Inputs and targets (25, B), pass after pass."""
    blocks = streams(load_text().train, batch, STEPS)
    return itertools.cycle((block[:-1], block[1:]) for block in blocks)


def model(kind: str, batch: int) -> Any:
    params = initial(np.random.default_rng(0), len(load_text().vocabulary))
    return Plain(params) if kind == "plain" else Quick(params, batch, np.dtype(kind))


def updates(kind: str, batch: int, n: int) -> Any:
    """A function that makes n updates and returns the last loss."""
    trained, data = model(kind, batch), batches(batch)

    def run() -> float:
        for inputs, targets in itertools.islice(data, n):
            loss = trained.update(*((inputs[:, 0], targets[:, 0]) if kind == "plain" else (inputs, targets)))
        return float(loss)

    return run


def test_both_compute_the_same() -> None:
    plain, quick = updates("plain", 1, 1), updates("float64", 1, 1)
    for _ in range(4):  # later on, rounding grows: AdaGrad's first steps are large
        assert plain() == pytest.approx(quick(), rel=1e-9)


def test_characters_per_second(benchmark: Any, capsys: Any) -> None:
    runs = {name: updates(name, 1, 20) for name in ("plain", "float64", "float32")}
    quick = updates("float32", 64, 5)
    times = interleaved({**runs, "batch 64": quick}, rounds=15)
    speed = {name: ratio(times, "plain", name) for name in runs} | {
        "batch 64": 64 / 4 * ratio(times, "plain", "batch 64")
    }
    per_second = 20 * STEPS / np.median(times["plain"])
    benchmark.extra_info.update(speed)
    benchmark.pedantic(quick, rounds=1)
    with capsys.disabled():
        print(f"\ncharacters per second: {per_second:.0f} step by step (plain)")
        for name, goal in (("float64", 2.8), ("float32", 2.8), ("batch 64", 20)):
            print(f"  {name:9} {speed[name]:6.2f} x plain (goal {goal:g})")


def test_loss_at_equal_time(benchmark: Any, capsys: Any) -> None:
    kinds = [("plain", 1), ("float32", 1), ("float32", 16)]
    results = benchmark.pedantic(lambda: [trained_for(SECONDS, *kind) for kind in kinds], rounds=1)
    with capsys.disabled():
        print(f"\nloss after {SECONDS:g} s of processor time, nats per character over the last tenth of the updates")
        for (kind, batch), (loss, characters) in zip(kinds, results, strict=True):
            print(f"  {kind:8} batch {batch:2}: {loss:.3f} after {characters} characters")


def trained_for(seconds: float, kind: str, batch: int) -> tuple[float, int]:
    """Mean loss per character over the last tenth of the updates, and characters seen, after so much processor time."""
    run, losses, start = updates(kind, batch, 1), [], time.process_time()
    while time.process_time() - start < seconds:
        losses.append(run())
    return float(np.mean(losses[-len(losses) // 10 :])) / STEPS, len(losses) * batch * STEPS
