"""Hidden Markov models against hmmlearn: forward and backward pass, a round of Baum-Welch, the best path.

Goals at 200 sequences of 100 steps, 32 states, 64 symbols: both passes at 25 x the speed of hmmlearn's default, which works in
log space, and at 3.5 x that of its "scaling"; a round of Baum-Welch at 35 x and 4 x; Viterbi, which hmmlearn has once, at
1.5 x. All in float64; Viterbi, whose time is that of moving numbers through the cache, is there in float32 too. What is timed
is compared first: all must find the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hmmlearn.hmm import CategoricalHMM

from companion.baum_welch import expected_counts, maximise
from companion.hmm import HMM, forward_backward, hmm_init, viterbi
from companion.tree import tree_map
from tests.benchmarks.timing import interleaved, line, milliseconds

T, B, S, V = 100, 200, 32, 64
ROUNDS = 9
LOG, SCALING = "hmmlearn in log space", "hmmlearn with scaling"
IMPLEMENTATIONS = {LOG: "log", SCALING: "scaling"}
OURS, OURS_32 = "ours", "ours in float32"

Task = Callable[[], tuple[Any, ...]]  # returns what to compare


def theirs(hmm: HMM, implementation: str, xs: Any) -> tuple[Any, Any, list[int]]:
    """Their model with the same parameters, and the sequences one after the other with their lengths, as it takes them."""
    model = CategoricalHMM(S, implementation=implementation, n_iter=1, tol=0, init_params="", n_features=V)
    model.startprob_, model.transmat_, model.emissionprob_ = hmm.start, hmm.transition, hmm.emission.probabilities
    return model, xs.T.reshape(-1, 1), [T] * B


def their_passes(hmm: HMM, implementation: str, xs: Any) -> Task:
    model, *sequences = theirs(hmm, implementation, xs)

    def run() -> tuple[Any, ...]:
        total, gammas = model.score_samples(*sequences)
        return total, gammas.reshape(B, T, S).swapaxes(0, 1)

    return run


def our_passes(hmm: HMM, xs: Any) -> Task:
    def run() -> tuple[Any, ...]:
        gammas, log_likelihood = forward_backward(hmm, xs)
        return log_likelihood.sum(), gammas

    return run


def their_round(hmm: HMM, implementation: str, xs: Any) -> Task:
    def run() -> tuple[Any, ...]:
        model, *sequences = theirs(hmm, implementation, xs)  # anew: fitting changes it
        model.fit(*sequences)
        return model.monitor_.history[-1], model.startprob_, model.transmat_, model.emissionprob_

    return run


def our_round(hmm: HMM, xs: Any) -> Task:
    def run() -> tuple[Any, ...]:
        counts = expected_counts(hmm, xs)
        new = maximise(hmm, counts)
        return counts.log_likelihood.sum(), new.start, new.transition, new.emission.probabilities

    return run


def their_path(hmm: HMM, implementation: str, xs: Any) -> Task:
    model, *sequences = theirs(hmm, implementation, xs)

    def run() -> tuple[Any, ...]:
        total, path = model.decode(*sequences)
        return total, path.reshape(B, T).T

    return run


def our_path(hmm: HMM, xs: Any) -> Task:
    def run() -> tuple[Any, ...]:
        paths, log_probabilities = viterbi(hmm, xs)
        return log_probabilities.sum(), paths

    return run


TASKS: dict[str, tuple[Callable[..., Task], Callable[..., Task], dict[str, float]]] = {
    "forward and backward": (their_passes, our_passes, {LOG: 25, SCALING: 3.5}),
    "a round of Baum-Welch": (their_round, our_round, {LOG: 35, SCALING: 4}),
    "Viterbi": (their_path, our_path, {SCALING: 1.5}),
}


@pytest.mark.parametrize("task", TASKS)
def test_hmm(task: str, benchmark: Any, capsys: Any, rng: np.random.Generator) -> None:
    their, our, goals = TASKS[task]
    hmm, xs = hmm_init(rng, S, V), rng.integers(0, V, (T, B))
    ours = {OURS: our(hmm, xs)}
    if task == "Viterbi":
        ours[OURS_32] = our(tree_map(np.float32, hmm), xs)
    runs = {name: their(hmm, IMPLEMENTATIONS[name], xs) for name in goals} | ours
    found = {name: run() for name, run in runs.items()}
    for name in goals:
        for a, b in zip(found[OURS], found[name], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-13)
    if OURS_32 in found:
        for a, b in zip(found[OURS], found[OURS_32], strict=True):
            assert np.mean(np.abs(a - b) > 1e-5 * np.abs(a)) < 0.001
    times = interleaved(runs, ROUNDS)
    benchmark.extra_info["seconds"] = {name: list(map(float, seconds)) for name, seconds in times.items()}
    benchmark.pedantic(runs[OURS], rounds=3)
    with capsys.disabled():
        print(f"\n{task} (T={T}, B={B}, S={S}, V={V}): {milliseconds(times)}")
        print(*(f"  {line(times, name, us, goal)}" for us in ours for name, goal in goals.items()), sep="\n")
