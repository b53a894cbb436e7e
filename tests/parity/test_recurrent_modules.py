"""Recurrent layers against torch.nn.RNN, LSTM and GRU: one layer or two, one direction or both, whole or packed sequences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from companion.pytorch.convert import from_torch
from companion.tree import tree_map
from tests.parity.recurrent import (
    KINDS,
    LENGTHS,
    TOLERANCE,
    check_module,
    given,
    of_module,
    ours,
    random_module,
    require_equal,
)

assert torch  # the fixture in conftest.py looks for the name

every_kind = pytest.mark.parametrize("name", KINDS)
whole_or_packed = pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "packed"])


@pytest.mark.parametrize("bidirectional", [False, True], ids=["one way", "both ways"])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("dtype", TOLERANCE)
@whole_or_packed
@every_kind
def test_outputs_last_states_and_every_gradient_equal_torch(
    name: str, lengths: Any, dtype: Any, num_layers: int, bidirectional: bool, rng: np.random.Generator
) -> None:
    check_module(KINDS[name], rng, dtype, lengths, num_layers=num_layers, bidirectional=bidirectional)


@every_kind
def test_other_weights_states_or_masks_do_not_pass_for_equal(name: str, rng: np.random.Generator) -> None:
    kind = KINDS[name]
    module = random_module(kind, rng)
    g = given(kind.cell, from_torch(module), rng, LENGTHS)
    theirs = of_module(kind, module, g)
    wrong = {
        "zero state": g._replace(state=tree_map(np.zeros_like, g.state)),
        "zero dstate": g._replace(dstate=tree_map(np.zeros_like, g.dstate)),
        "no mask": g._replace(mask=None),
        "no bias": g._replace(params=g.params._replace(b=0 * g.params.b)),
        "rows in another order": g._replace(params=tree_map(lambda a: np.roll(a, 1, axis=0), g.params)),
        "W_h turned around": g._replace(params=g.params._replace(W_h=np.ascontiguousarray(g.params.W_h[::-1, ::-1]))),
    }
    for case, changed in wrong.items():
        if case == "zero dstate":
            require_equal(ours(kind.cell, changed)[:2], theirs[:2], np.float64)
        with pytest.raises(AssertionError):
            require_equal(ours(kind.cell, changed), theirs, np.float64)
    require_equal(ours(kind.cell, g), theirs, np.float64)
