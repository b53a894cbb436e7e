"""Processor seconds until the adding problem of 100 steps is solved: with biases for long memories, and with forget bias 1."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

from companion.data.long_lag import Adding, adding
from companion.fast.lstm import lstm_sequence, lstm_sequence_backward
from companion.lstm import LSTMState, chrono_bias, lstm_init
from companion.ops import linear, linear_backward, linear_init, mean_squared_error, mean_squared_error_backward
from companion.optim import adam
from companion.train import fit

T, B, H = 100, 16, 64
SOLVED, LIMIT = 0.01, 40.0  # mean squared error on held-out sequences, and seconds after which we give up


class Params(NamedTuple):
    lstm: Any
    output: Any


def initial(rng: np.random.Generator, start: str) -> Params:
    lstm = lstm_init(rng, 2, H, np.float32, forget_bias=1.0)
    return Params(chrono_bias(rng, lstm, T) if start == "chrono" else lstm, linear_init(rng, H, 1, np.float32))


def loss_and_grads(params: Params, xs: Any, targets: Any) -> tuple[float, Params]:
    ys, _, cache = lstm_sequence(params.lstm, xs)
    answers, output_cache = linear(params.output, ys[-1])
    loss, loss_cache = mean_squared_error(answers, targets)
    doutput, dh = linear_backward(params.output, output_cache, mean_squared_error_backward(loss_cache))
    dlstm, _, _ = lstm_sequence_backward(params.lstm, cache, np.zeros_like(ys), LSTMState(dh, np.zeros_like(dh)))
    return loss, Params(dlstm, doutput)


def batches(rng: np.random.Generator) -> Iterator[Adding]:
    while True:
        yield adding(rng, B, T, np.float32)


def held_out_error(params: Params, held_out: Adding) -> float:
    answers, _ = linear(params.output, lstm_sequence(params.lstm, held_out.xs)[0][-1])
    return mean_squared_error(answers, held_out.targets)[0]


def solve(seed: int, start: str) -> tuple[float, int, float]:
    """Seconds with all tests on held-out sequences, updates, and the last held-out error."""
    rng, held_out = np.random.default_rng(seed), adding(np.random.default_rng(1000), 500, T, np.float32)
    began = time.process_time()
    for step in fit(loss_and_grads, initial(rng, start), batches(rng), adam(5e-3), max_norm=1.0):
        if step.step % 100 == 0:
            error, seconds = held_out_error(step.params, held_out), time.process_time() - began
            if error < SOLVED or seconds > LIMIT:
                break
    return seconds, step.step, error


@pytest.mark.parametrize("start", ["chrono", "forget bias 1"])
def test_adding_problem(start: str, benchmark: Any, capsys: Any) -> None:
    results = benchmark.pedantic(lambda: [solve(seed, start) for seed in range(3)], rounds=1)
    goal = " (goal: at most 10 s)" if start == "chrono" else ""
    with capsys.disabled():
        print(f"\nadding problem, T = {T}, {start}{goal}")
        for seed, (seconds, updates, error) in enumerate(results):
            print(f"  seed {seed}: error {error:.4f} after {updates} updates, {seconds:.1f} s of processor time")
