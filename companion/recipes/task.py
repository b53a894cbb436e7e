"""What the training loop asks of a task: data, a model, the batch of a step, and a metric; and dropout that can be repeated.

Everything drawn at random is a function of the seed and the step: the first weights, the order of the data, and what dropout
leaves out. So a run that was interrupted needs no state of a generator to go on as if nothing had happened, and processes
that share a batch see what one process would.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

# The streams of random numbers that one seed gives.
WEIGHTS, ORDER, DROPOUT = range(3)


class Data(NamedTuple):
    """What a task learns from."""

    parts: Any  # with fields validation and test, and train unless that is drawn when it is needed
    inputs: tuple[str, ...]  # the symbols or channels that the model reads, by number
    outputs: tuple[str, ...]  # those that it predicts
    sha256: str  # of all the arrays in parts


class Batch(NamedTuple):
    """Sequences side by side."""

    inputs: Tensor  # (T, B) int64, or (T, B, D) numbers
    targets: Tensor  # (T, B) int64, or (T, B, C) numbers; whatever where the mask is False
    mask: Tensor  # (T, B) bool, True where there is something to predict
    starts: bool = True  # whether the sequences begin here, or go on from the batch before


class Dropped(NamedTuple):
    """What dropout leaves out of this process's columns of a batch: drawn for the whole batch, whoever has the others."""

    generator: torch.Generator  # on the CPU, so that every device leaves out the same
    batch: int  # columns of the whole batch
    columns: slice  # of it, those here

    def __call__(self, xs: Tensor, rate: float) -> Tensor:
        """Zero each entry of xs (T, B, D) with probability `rate` and scale the others by 1 / (1 - rate)."""
        if rate == 0:
            return xs
        shape = xs.shape[0], self.batch, xs.shape[2]
        drawn = torch.rand(shape, generator=self.generator, dtype=torch.float32)
        kept = (drawn[:, self.columns] >= rate).to(xs.device)
        return xs * kept / (1 - rate)


def symbol_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """-log p of the right symbols, summed: logits (n, K), targets (n,) int64."""
    return cross_entropy(logits, targets, reduction="sum")


def bit_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """-log p of the right bits, averaged over the C channels and summed over places: logits and targets (n, C)."""
    return binary_cross_entropy_with_logits(logits, targets, reduction="sum") / logits.shape[1]


class Task(NamedTuple):
    """The functions of one task."""

    load: Callable[[], Data]
    build: Callable[[Any, int, int], nn.Module]  # (recipe.model, how many symbols it reads, how many it predicts)
    batch: Callable[[Any, Data, int, int], Batch]  # (recipe, data, seed, step 1, 2, ...)
    evaluate: Callable[[nn.Module, Any], float]  # (module, part of the data), in evaluation mode on its own device
    loss: Callable[[Tensor, Tensor], Tensor] = symbol_loss  # (logits, targets) of the n places to predict -> their sum


# A module is called as module(inputs, mask, carry, dropped) -> logits (T, B, K), carry. The carry is a tensor (L, B, H)
# or None, the state that goes from batch to batch; dropped is a Dropped, or None when evaluating.


def digest(*arrays: NDArray[Any]) -> str:
    """The SHA-256 of what the arrays hold, for `Data`."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def number_of(seed: int, stream: int, *more: int) -> int:
    """A seed for one purpose, far from those of other purposes and of seeds near by."""
    return int(np.random.SeedSequence([seed, stream, *more]).generate_state(1, "uint64")[0] >> 1)


def lstm(n_in: int, n_hidden: int, both_ways: bool = False) -> nn.LSTM:
    """One layer of LSTM whose forget gates start open: their bias is 1 at first."""
    layer = nn.LSTM(n_in, n_hidden, bidirectional=both_ways)
    with torch.no_grad():
        for name, bias in layer.named_parameters():
            if name.startswith("bias"):
                bias[n_hidden : 2 * n_hidden] = float(name.startswith("bias_ih"))
    return layer
