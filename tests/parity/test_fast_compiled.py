"""The compiled LSTM against `unroll`, in one sequence and in batches; without numba it says how to get it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from companion.lstm import LSTM
from tests.contract.cells import problem, run
from tests.parity.test_fast import TOLERANCE, require_equal, run_layer


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    ("shape", "lengths"),
    [((7, 1, 4, 5), None), ((530, 1, 3, 6), None), ((530, 1, 3, 6), [514]), ((7, 3, 4, 5), [4, 7, 1])],
)
def test_outputs_states_and_every_gradient_equal_those_of_unroll(
    shape: tuple[int, int, int, int], lengths: Any, dtype: Any, rng: np.random.Generator
) -> None:
    compiled = pytest.importorskip("companion.fast.compiled", exc_type=ImportError)
    p = problem(LSTM, rng, dtype, lengths, shape)
    require_equal(run_layer(compiled.LSTM, p), run(LSTM, p), dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_its_tanh_is_that_of_numpy(dtype: Any) -> None:
    compiled = pytest.importorskip("companion.fast.compiled", exc_type=ImportError)
    numbers = compiled.NUMBERS.astype(dtype)
    x = np.concatenate([np.linspace(-25, 25, 1001), [1e-20, -1e-8, 0, 1e4]]).astype(dtype)
    y = np.array([compiled.tanh_of(value, numbers) for value in x])
    assert y.dtype == dtype
    np.testing.assert_allclose(y, np.tanh(x), rtol=8 * np.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("module", ["companion.fast.compiled", "companion.fast.compiled_ntm"])
def test_without_numba_it_says_how_to_install_it(module: str) -> None:
    code = f"import sys; sys.modules['numba'] = None; import {module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert f"{module} needs numba" in done.stderr
    assert "pip install 'rnn-review-companion[fast]'" in done.stderr
