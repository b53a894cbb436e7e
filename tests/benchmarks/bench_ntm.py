"""Neural Turing machines, forward and backward pass in float32: sequences a second of processor time, on the copy task.

Copy of 20 vectors of 8 bits: 41 steps, 9 inputs; an LSTM with 100 units, a memory of 128 x 20, one read and one write head. The
measure is a PyTorch version as it is usually published, one sequence at a time (`loop_ntm`). Goals: in NumPy 10 x its speed, also
one sequence at a time, and 60 x in batches of 16; compiled by numba 200 x in batches of 16; our PyTorch twin 20 x.
What is timed is compared first: all must find the same gradients.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from companion import ntm
from companion.bptt import unrolled
from companion.fast import ntm as fast_ntm
from companion.heads import NTMSizes
from companion.pytorch import copy_params, grads_like
from companion.pytorch import ntm as torch_ntm
from companion.tree import tree_items
from tests.benchmarks.loop_ntm import LoopNTM
from tests.benchmarks.timing import Times, interleaved

T, D, H, BATCH = 41, 9, 100, 16
SIZES = NTMSizes()
ROUNDS = 9
LOOP, UNROLL, NUMPY, NUMBA, TWIN = "a loop as published", "our unroll", "NumPy", "numba", "our PyTorch twin"
GOALS = {(NUMPY, 1): 10.0, (NUMPY, BATCH): 60.0, (NUMBA, BATCH): 200.0, (TWIN, BATCH): 20.0}

Run = Callable[[], Any]  # returns the gradients of the parameters


def of_layer(layer: Any, params: Any, xs: Any, dys: Any) -> Run:
    def run() -> Any:
        _, _, cache = layer.forward(params, xs)
        return layer.backward(params, cache, dys)[0]

    return run


def of_loop(params: Any, xs: Any, dys: Any) -> Run:
    module, tensors = LoopNTM(params, SIZES), (torch.from_numpy(xs), torch.from_numpy(dys))

    def run() -> Any:
        module.zero_grad()
        module(tensors[0]).backward(tensors[1])
        return module.gradients()

    return run


def of_twin(params: Any, xs: Any, dys: Any) -> Run:
    module, tensors = (
        torch_ntm.NTM(D, params.W_z.shape[1]).to(tensor_type(xs)),
        (torch.from_numpy(xs), torch.from_numpy(dys)),
    )
    copy_params(params, module)

    def run() -> Any:
        module.zero_grad()
        module.run(tensors[0])[0].backward(tensors[1])
        return grads_like(params, module)

    return run


def tensor_type(a: Any) -> torch.dtype:
    return torch.from_numpy(a).dtype


def runs(rng: np.random.Generator, batch: int, dtype: Any) -> dict[str, Run]:
    """All of them on one batch, each as a function without arguments."""
    params = ntm.NTM.init(rng, D, H, dtype)
    xs = rng.integers(0, 2, (T, batch, D)).astype(dtype)
    given = params, xs, rng.normal(size=(T, batch, H + SIZES.width)).astype(dtype)
    layers = {UNROLL: unrolled(ntm.NTM), NUMPY: fast_ntm.NTM}
    if importlib.util.find_spec("numba"):
        from companion.fast import compiled_ntm

        layers[NUMBA] = compiled_ntm.NTM
    of_layers = {name: of_layer(layer, *given) for name, layer in layers.items()}
    return {LOOP: of_loop(*given), TWIN: of_twin(*given), **of_layers}


@pytest.mark.parametrize(("dtype", "share"), [(np.float64, 1e-9), (np.float32, 1e-3)])
def test_all_find_the_same_gradients(dtype: Any, share: float, rng: np.random.Generator) -> None:
    torch.set_default_dtype(tensor_type(np.zeros(1, dtype)))  # the fixture of conftest.py puts it back
    gradients = {name: run() for name, run in runs(rng, 3, dtype).items()}
    for name, dparams in gradients.items():
        for (path, ours), (_, right) in zip(tree_items(dparams), tree_items(gradients[UNROLL]), strict=True):
            largest = np.abs(right).max()
            assert largest > 1e-3
            np.testing.assert_allclose(ours, right, rtol=0, atol=share * largest, err_msg=f"{name} {path}")


def test_sequences_a_second(benchmark: Any, capsys: Any, rng: np.random.Generator) -> None:
    torch.set_default_dtype(torch.float32)
    functions = {(name, batch): run for batch in (1, BATCH) for name, run in runs(rng, batch, np.float32).items()}
    times = interleaved({f"{name}, {batch}": run for (name, batch), run in functions.items()}, ROUNDS)
    benchmark.extra_info["seconds"] = {key: list(map(float, seconds)) for key, seconds in times.items()}
    benchmark.pedantic(functions[NUMPY, BATCH], rounds=3)
    lines = [row(times, name, batch) for name, batch in functions]
    with capsys.disabled():
        print(
            f"\nNTM, copy of 20 vectors: sequences a second; times the speed of {LOOP} one by one", *lines, sep="\n  "
        )


def row(times: Times, name: str, batch: int) -> str:
    """Such as `NumPy, 16:  450.0 a second,  60.1 x (58.0 to 63.2; goal 60)`; in brackets the quartiles over the rounds."""
    seconds = times[f"{name}, {batch}"]
    low, middle, high = np.quantile(batch * times[f"{LOOP}, 1"] / seconds, [0.25, 0.5, 0.75])
    goal = f"; goal {GOALS[name, batch]:g}" if (name, batch) in GOALS else ""
    return f"{name}, {batch}: {batch / np.median(seconds):.1f} a second, {middle:.1f} x ({low:.1f} to {high:.1f}{goal})"
