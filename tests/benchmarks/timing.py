"""Ratios of processor times, measured in one interleaved run: what else the machine does meets all competitors alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Times = dict[str, np.ndarray[Any, Any]]  # seconds of every round, by name


def interleaved(functions: Mapping[str, Callable[[], Any]], rounds: int) -> Times:
    """Processor seconds of every function in every round, in turn; the order of a round is that of the last one reversed.

    Each is called twice and timed the second time: as in training, it finds the memory it used before, not that of another.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    names = list(functions)
    for _ in range(rounds):
        for name in names:
            functions[name]()
            start = time.process_time()
            functions[name]()
            times[name].append(time.process_time() - start)
        names.reverse()
    return {name: np.array(seconds) for name, seconds in times.items()}


def ratio(times: Times, slow: str, fast: str) -> float:
    """How many times as fast: the median over the rounds."""
    return float(np.median(times[slow] / times[fast]))


def line(times: Times, slow: str, fast: str, goal: float | None = None) -> str:
    """One line of a report, such as `fast layer: 1.02 x the speed of torch.nn.LSTM (0.97 to 1.05; goal 0.95)`.

    The numbers in brackets are the quartiles over the rounds.
    """
    low, high = np.quantile(times[slow] / times[fast], [0.25, 0.75])
    against = "" if goal is None else f"; goal {goal:g}"
    return f"{fast}: {ratio(times, slow, fast):.2f} x the speed of {slow} ({low:.2f} to {high:.2f}{against})"


def milliseconds(times: Times) -> str:
    """The median of every function, in one line."""
    return ", ".join(f"{name} {1e3 * np.median(seconds):.1f} ms" for name, seconds in times.items())
