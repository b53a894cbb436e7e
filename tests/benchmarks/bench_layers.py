"""Forward and backward pass of whole layers in float32: the fast ones against torch.nn and against loops over time.

Goals: 0.95 x the speed of torch.nn at sizes A and C, 0.35 x at B, 1.5 x there with numba; 3 x that of a loop as courses write it
(`courses`) at A and B. That loop is measured in float32, like all else, and at A and B also in float64, which is what NumPy
takes unless it is told otherwise. Our own `unroll` of the readable cell, which checks arguments at every step, is there too.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
import torch

from companion import gru, lstm, rnn
from companion.bptt import unrolled
from companion.fast import gru as fast_gru
from companion.fast import lstm as fast_lstm
from companion.fast import rnn as fast_rnn
from companion.tree import tree_leaves, tree_map
from tests.benchmarks import courses
from tests.benchmarks.timing import interleaved, line, milliseconds

SIZES = {"A": (100, 32, 128, 256), "B": (1000, 1, 64, 64), "C": (50, 128, 512, 512)}  # T, B, D, H
ROUNDS = {"A": 11, "B": 15, "C": 7}
LAYERS: dict[str, Any] = {
    "RNN": (fast_rnn.Elman, unrolled(rnn.Elman)),
    "LSTM": (fast_lstm.LSTM, unrolled(lstm.LSTM)),
    "GRU": (fast_gru.GRU, unrolled(gru.GRU)),
}
AGAINST_TORCH = {"A": 0.95, "B": 0.35, "C": 0.95}
AGAINST_COURSES = {"A": 3.0, "B": 3.0, "C": None}


def both_ways(layer: Any, params: Any, xs: Any, dys: Any) -> Any:
    """Gradients of all weights, of xs and of the initial state, as a function without arguments."""

    def run() -> Any:
        _, _, cache = layer.forward(params, xs)
        return layer.backward(params, cache, dys)

    return run


def course_both_ways(name: str, params: Any, xs: Any, dys: Any, parts: int) -> Any:
    """The same with weights (in, out), for a state of so many parts."""
    step, step_backward = courses.STEPS[name]
    weights = {key: np.ascontiguousarray(W.T) for key, W in params._asdict().items()}
    zeros = (np.zeros_like(dys[0]),) * parts

    def run() -> Any:
        _, caches = courses.forward(step, weights, xs, zeros)
        return courses.backward(step_backward, weights, caches, dys, zeros)

    return run


def torch_both_ways(name: str, xs: Any, dys: Any) -> Any:
    (_, B, D), H = xs.shape, dys.shape[2]
    module, torch_dys = getattr(torch.nn, name)(D, H, dtype=torch.float32), torch.from_numpy(dys)

    def run() -> Any:
        module.zero_grad()
        torch_xs = torch.from_numpy(xs).requires_grad_()
        states = [torch.zeros(1, B, H, dtype=torch.float32, requires_grad=True) for _ in range(1 + (name == "LSTM"))]
        ys, _ = module(torch_xs, tuple(states) if name == "LSTM" else states[0])
        ys.backward(torch_dys)
        return torch_xs.grad

    return run


def sequences(rng: np.random.Generator, T: int, B: int, D: int, H: int) -> Any:
    """Random xs (T, B, D) and dys (T, B, H)."""
    return (rng.normal(size=(T, B, n)).astype(np.float32) for n in (D, H))


@pytest.mark.parametrize("name", LAYERS)
def test_a_course_style_loop_computes_the_same(name: str, rng: np.random.Generator) -> None:
    fast, _ = LAYERS[name]
    params = tree_map(lambda a: rng.normal(size=a.shape).astype(a.dtype) / 2, fast.init(rng, 4, 5, np.float32))
    xs, dys = sequences(rng, 7, 3, 4, 5)
    dparams, dxs, dstate = both_ways(fast, params, xs, dys)()
    grads, *others = course_both_ways(name, params, xs, dys, len(dstate))()
    dparams = [g.T for g in dparams]
    for theirs, ours in zip([*grads.values(), *tree_leaves(others)], [*dparams, dxs, *dstate], strict=True):
        assert np.abs(ours).max() > 0.01
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", LAYERS)
def test_layer(name: str, size: str, benchmark: Any, capsys: Any, rng: np.random.Generator) -> None:
    T, B, D, H = SIZES[size]
    fast, unrolled_cell = LAYERS[name]
    params = fast.init(rng, D, H, np.float32)
    xs, dys = sequences(rng, T, B, D, H)
    library, course = f"torch.nn.{name}", "a course-style loop"
    runs = {library: torch_both_ways(name, xs, dys), "fast layer": both_ways(fast, params, xs, dys)}
    if name == "LSTM" and size == "B" and importlib.util.find_spec("numba"):
        from companion.fast import compiled

        runs["fast layer with numba"] = both_ways(compiled.LSTM, params, xs, dys)
    parts = len(fast.forward(params, xs)[1])
    runs[course] = course_both_ways(name, params, xs, dys, parts)
    if size != "C":
        double = (tree_map(np.float64, a) for a in (params, xs, dys))
        runs[f"{course} in float64"] = course_both_ways(name, *double, parts)
    runs["our unroll"] = both_ways(unrolled_cell, params, xs, dys)
    times = interleaved(runs, ROUNDS[size])
    goals = {library: AGAINST_TORCH[size], course: AGAINST_COURSES[size]}
    slower = [key for key in runs if not key.startswith("fast layer")]
    lines = [line(times, key, "fast layer", goals.get(key)) for key in slower]
    if "fast layer with numba" in runs:
        lines.append(line(times, library, "fast layer with numba", 1.5))
    lines.append(line(times, library, course))
    benchmark.extra_info["seconds"] = {key: list(map(float, seconds)) for key, seconds in times.items()}
    benchmark.pedantic(runs["fast layer"], rounds=3)
    with capsys.disabled():
        print(f"\n{name} {size} (T={T}, B={B}, D={D}, H={H}): {milliseconds(times)}", *lines, sep="\n  ")
