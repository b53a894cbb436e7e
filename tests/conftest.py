"""What every test can rely on: one BLAS thread, a random stream of its own, float64."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator

# Before anything imports NumPy: the libraries read these once, when they are loaded.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np
import pytest


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Seeded by the test's name, so that neither order nor a new neighbour changes its numbers."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture(autouse=True)
def _torch_in_float64(request: pytest.FixtureRequest) -> Iterator[None]:
    """Only where the test's own file says `import torch`: no other test pays for it or depends on it."""
    torch = getattr(request.module, "torch", None)
    if torch is None:
        yield
        return
    before = torch.get_default_dtype()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
