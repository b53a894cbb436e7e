"""Losses of sequences against torch: a recurrent module, nn.Linear, and torch's losses, on packed and on whole sequences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from companion.bidirectional import BidirectionalParams, both_ways
from companion.bptt import prefix_mask
from companion.ops import LinearParams, mean_squared_error, mean_squared_error_backward
from companion.pytorch.convert import from_torch, to_torch
from companion.sequence import SequenceParams, final_loss, labelling_loss
from tests.parity.recurrent import (
    KINDS,
    LENGTHS,
    TOLERANCE,
    B,
    D,
    H,
    K,
    T,
    gradients_of,
    like,
    random_module,
    require_equal,
)

MASK = prefix_mask(LENGTHS, T)
every_kind = pytest.mark.parametrize("name", KINDS)
every_dtype = pytest.mark.parametrize("dtype", TOLERANCE)
one_or_both_ways = pytest.mark.parametrize("bidirectional", [False, True], ids=["one way", "both ways"])


class Torch:
    """A recurrent module and a linear layer, with what this package computes from the same weights."""

    def __init__(self, name: str, rng: np.random.Generator, dtype: Any, bidirectional: bool) -> None:
        self.kind = KINDS[name]
        params = from_torch(random_module(self.kind, rng, dtype, bidirectional=bidirectional))
        self.module = to_torch(params, "relu" if name == "RNN, ReLU" else "tanh")
        width = 2 * H if bidirectional else H
        W, b = rng.normal(size=(K, width)).astype(dtype), rng.normal(size=K).astype(dtype)
        self.linear = nn.Linear(width, K, dtype=torch.from_numpy(W).dtype)
        self.linear.load_state_dict({"weight": torch.from_numpy(W), "bias": torch.from_numpy(b)})
        self.params = SequenceParams(params, LinearParams(W, b))
        self.cell = both_ways(self.kind.cell) if bidirectional else self.kind.cell
        self.xs = rng.normal(size=(T, B, D)).astype(dtype)

    def logits(self, masked: bool) -> Any:
        """(T, B, K)."""
        xs = torch.from_numpy(self.xs)
        if not masked:
            return self.linear(self.module(xs)[0])
        packed = pack_padded_sequence(xs, torch.from_numpy(LENGTHS), enforce_sorted=False)
        return self.linear(pad_packed_sequence(self.module(packed)[0], total_length=T)[0])

    def gradients(self) -> SequenceParams:
        recurrent = like(self.kind, self.module, gradients_of(self.kind, self.module), BidirectionalParams)
        weight, bias = (parameter.grad.numpy() for parameter in (self.linear.weight, self.linear.bias))
        return SequenceParams(recurrent, LinearParams(weight, bias))


@one_or_both_ways
@every_dtype
@pytest.mark.parametrize("masked", [True, False], ids=["packed", "whole"])
@every_kind
def test_labelling_loss_and_every_gradient_equal_torch(
    name: str, masked: bool, dtype: Any, bidirectional: bool, rng: np.random.Generator
) -> None:
    theirs, labels = Torch(name, rng, dtype, bidirectional), rng.integers(0, K, (T, B))
    labels = np.where(MASK, labels, -1) if masked else labels
    loss = cross_entropy(theirs.logits(masked).reshape(T * B, K), torch.from_numpy(labels).flatten(), ignore_index=-1)
    loss.backward()
    value, grads, _ = labelling_loss(theirs.cell, theirs.params, theirs.xs, labels, MASK if masked else None)
    assert value == pytest.approx(loss.item(), rel=TOLERANCE[dtype])
    require_equal(grads, theirs.gradients(), dtype)


@every_dtype
@pytest.mark.parametrize("masked", [True, False], ids=["packed", "whole"])
@pytest.mark.parametrize("of_numbers", [False, True], ids=["labels", "numbers"])
@every_kind
def test_final_loss_and_every_gradient_equal_torch(
    name: str, of_numbers: bool, masked: bool, dtype: Any, rng: np.random.Generator
) -> None:
    theirs, mask = Torch(name, rng, dtype, bidirectional=False), MASK if masked else None
    ends = theirs.logits(masked)[LENGTHS - 1 if masked else [T - 1] * B, torch.arange(B)]
    targets = rng.normal(size=(B, K)).astype(dtype) if of_numbers else rng.integers(0, K, B)
    loss = (mse_loss if of_numbers else cross_entropy)(ends, torch.from_numpy(targets))
    loss.backward()
    pair = (mean_squared_error, mean_squared_error_backward) if of_numbers else ()
    value, grads = final_loss(theirs.cell, theirs.params, theirs.xs, targets, mask, *pair)
    assert value == pytest.approx(loss.item(), rel=TOLERANCE[dtype])
    require_equal(grads, theirs.gradients(), dtype)


@every_kind
def test_a_loss_that_counts_padding_does_not_pass_for_equal(name: str, rng: np.random.Generator) -> None:
    theirs, labels = Torch(name, rng, np.float64, bidirectional=True), rng.integers(0, K, (T, B))
    padded = torch.from_numpy(np.where(MASK, labels, -1)).flatten()
    loss = cross_entropy(theirs.logits(masked=True).reshape(T * B, K), padded, ignore_index=-1)
    loss.backward()
    value, grads, _ = labelling_loss(theirs.cell, theirs.params, theirs.xs, labels)
    assert abs(value - loss.item()) > 1e-3
    with pytest.raises(AssertionError):
        require_equal(grads, theirs.gradients(), np.float64)
