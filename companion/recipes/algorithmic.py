"""The five algorithmic tasks of Graves et al. 2014, learned by a neural Turing machine or by an LSTM.

Every update draws fresh episodes, all of one length. A run is validated on lengths that it trains on, and tested on longer
ones, which no training has seen; only the n-grams are tested on new sequences of the same length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.random import Generator, default_rng
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits

from companion import bptt, ntm
from companion.bptt import Cell
from companion.data import algorithmic as tasks
from companion.data.algorithmic import Episodes
from companion.heads import head_slices
from companion.lstm import LSTM
from companion.pytorch import fast_ntm
from companion.pytorch import lstm as twin_lstm
from companion.pytorch import ntm as twin
from companion.recipes.settings import MachineModel, Recipe, StackedModel
from companion.recipes.task import ORDER, Batch, Data, Dropped, Task, bit_loss, digest, lstm
from companion.tree import Array, tree_map

SEQUENCES = 32  # of each length that is evaluated
VALIDATION, TEST = 1, 2  # seeds of what is evaluated

# --- models


CELLS: dict[str, tuple[Cell, Any]] = {
    "lstm": (LSTM, twin_lstm.LSTM),
    "feedforward": (ntm.Feedforward, twin.Feedforward),
}


class Machine(nn.Module):
    """A neural Turing machine and, from its output, logits for `n_out` channels at every step."""

    def __init__(self, settings: MachineModel, n_in: int, n_out: int) -> None:
        super().__init__()
        cell, controller = CELLS[settings.controller]
        if cell is LSTM:
            controller = partial(controller, forget_bias=settings.forget_bias)
        names = ("rows", "width", "read_heads", "write_heads", "shift_range", "gate_bias")
        sizes: dict[str, Any] = {name: getattr(settings, name) for name in names}
        self.machine = twin.NTM(n_in, settings.n_hidden, controller, **sizes)
        self.layer, self.settings = fast_ntm.fast_layer(cell, **sizes), settings
        self.output = nn.Linear(settings.n_hidden + settings.read_heads * settings.width, n_out)
        heads = settings.read_heads + settings.write_heads
        with torch.no_grad():
            self.machine.W_z.mul_(settings.head_range / ntm.HEAD_RANGE)
            self.machine.b_z[head_slices(self.machine.sizes).strength] += settings.strength_bias
            self.output.weight.mul_(settings.output_range)
        self.start = nn.Parameter(0.05 * torch.randn(heads, settings.rows)) if settings.learned_start else None

    def forward(
        self, inputs: Tensor, mask: Tensor | None = None, carry: None = None, dropped: Dropped | None = None
    ) -> tuple[Tensor, None]:
        """Logits (T, B, C) for inputs (T, B, D). On the processor the fast layer computes them, elsewhere PyTorch's twin."""
        rows = self.settings.rows
        if self.settings.tight_memory and self.training and mask is not None and dropped is not None:
            rows = spare_rows(mask, dropped.generator)
        state = self.initial_state(inputs.shape[1], rows)
        if inputs.device.type == "cpu" and not torch.is_autocast_enabled("cpu"):
            return self.output(fast_ntm.run(self.layer, self.machine, inputs, state)), None
        return self.output(self.machine.run(inputs, state)[0]), None

    def initial_state(self, batch: int, rows: int) -> Any:
        """That of the machine, with so many rows, or with heads as they have learned to start."""
        state: Any = self.machine.initial_state(batch, rows)
        if self.start is None:
            return state
        return state._replace(w=self.start[:, :rows].softmax(dim=1).expand(batch, -1, -1))


def spare_rows(mask: Tensor, generator: torch.Generator) -> int:
    """2 to 9 rows more than answers are asked for: no weight depends on how many, and where a head scribbles, it harms."""
    return int(mask[:, 0].sum()) + int(torch.randint(2, 10, (), generator=generator))


class StackedLSTM(nn.Module):
    """Layers of LSTMs and, from the last one, logits for `n_out` channels at every step."""

    def __init__(self, settings: StackedModel, n_in: int, n_out: int) -> None:
        super().__init__()
        widths = [n_in] + [settings.n_hidden] * settings.n_layers
        self.layers = nn.ModuleList(lstm(width, settings.n_hidden) for width in widths[:-1])
        self.output = nn.Linear(settings.n_hidden, n_out)

    def forward(
        self, inputs: Tensor, mask: Tensor | None = None, carry: None = None, dropped: Dropped | None = None
    ) -> tuple[Tensor, None]:
        """Logits (T, B, C) for inputs (T, B, D)."""
        xs = inputs
        for layer in self.layers:
            xs, _ = layer(xs)
        return self.output(xs), None


def build(settings: MachineModel | StackedModel, n_in: int, n_out: int) -> nn.Module:
    """The model that the settings are of."""
    return Machine(settings, n_in, n_out) if isinstance(settings, MachineModel) else StackedLSTM(settings, n_in, n_out)


# --- what is trained on and evaluated


class Parts(NamedTuple):
    """What is evaluated: a set of episodes for each length."""

    validation: tuple[Episodes, ...]
    test: tuple[Episodes, ...]


class Algorithm(NamedTuple):
    """One of the tasks."""

    draw: Callable[[Generator, int, float], Episodes]  # (rng, batch, share of the training done): those of an update
    validation: tuple[Callable[[Generator, int], Episodes], ...]  # for each length
    test: tuple[Callable[[Generator, int], Episodes], ...]


def load(algorithm: Algorithm) -> Data:
    """The episodes that are evaluated, always the same; what is trained on is drawn when it is needed."""
    sets = [
        tuple(_float32(draw(default_rng([seed, index]), SEQUENCES)) for index, draw in enumerate(draws))
        for seed, draws in ((VALIDATION, algorithm.validation), (TEST, algorithm.test))
    ]
    validation, test = sets
    inputs, outputs = (
        tuple(f"{kind} {k + 1}" for k in range(part.shape[2]))
        for kind, part in (("input", validation[0].xs), ("output", validation[0].targets))
    )
    arrays = [array for part in sets for episodes in part for array in episodes]
    return Data(Parts(validation, test), inputs, outputs, digest(*arrays))


def batch(algorithm: Algorithm, recipe: Recipe, data: Data, seed: int, step: int) -> Batch:
    """The episodes of an update."""
    rng, training = default_rng([seed, ORDER, step]), recipe.training
    return as_batch(_float32(algorithm.draw(rng, training.batch, step / training.steps)))


def as_batch(episodes: Episodes) -> Batch:
    """Episodes as tensors."""
    xs, targets, mask = (torch.from_numpy(array) for array in episodes)
    return Batch(xs, targets, mask)


def _float32(episodes: Episodes) -> Episodes:
    return episodes._replace(xs=episodes.xs.astype(np.float32), targets=episodes.targets.astype(np.float32))


# --- metrics


def logits_of(module: nn.Module, episodes: Episodes) -> Tensor:
    """Logits (T, B, C) of a model for episodes, on the processor."""
    device = next(module.parameters()).device
    logits: Tensor = module(torch.from_numpy(episodes.xs).to(device))[0].cpu()
    return logits


def weightings(module: Machine, xs: Array) -> Array:
    """Where the heads of a machine on the processor look while it is shown xs (T, B, D): (T, B, K, N), those that read first.

    Raises ValueError unless xs has the dtype of the weights.
    """
    sizes = module.machine.sizes
    machine = ntm.ntm(CELLS[module.settings.controller][0], *sizes)
    state: Any = tree_map(lambda tensor: tensor.detach().numpy(), module.initial_state(xs.shape[1], sizes.rows))
    _, _, caches = bptt.unroll(machine, fast_ntm.params_of(module.machine), xs, state)
    return np.stack([cache.address.sharpen.w for cache in caches.steps])


def wrong_bits(module: nn.Module, part: Iterable[Episodes]) -> float:
    """Wrong bits a sequence, averaged over the sets."""
    return float(np.mean([tasks.wrong_bits(logits_of(module, episodes).numpy(), episodes) for episodes in part]))


def over_optimum(module: nn.Module, part: Iterable[Episodes]) -> float:
    """Cross-entropy of n-grams, divided by that of the best predictor there is; averaged over the sets."""
    return float(np.mean([_over_optimum(logits_of(module, episodes), episodes) for episodes in part]))


def _over_optimum(logits: Tensor, episodes: Episodes) -> float:
    _, targets, mask, _ = as_batch(episodes)
    best = torch.from_numpy(tasks.optimal_ngrams(episodes.xs))
    ours = binary_cross_entropy_with_logits(logits[mask], targets[mask])
    return float(ours / binary_cross_entropy(best[mask], targets[mask]))


# --- the five tasks


def _copy(rng: Generator, batch: int, done: float) -> Episodes:
    return tasks.copy(rng, batch, int(rng.integers(1, 21)))


def _repeat_copy(rng: Generator, batch: int, done: float) -> Episodes:
    """Lengths and repeats up to 10, which they reach in the middle of the training."""
    largest = min(10, 2 + int(16 * done))
    return tasks.repeat_copy(rng, batch, *(int(number) for number in rng.integers(1, largest + 1, 2)))


def _associative_recall(rng: Generator, batch: int, done: float) -> Episodes:
    """From 3 items on: of 2, the controller remembers the answer by itself, and learns to do without the memory."""
    return tasks.associative_recall(rng, batch, int(rng.integers(3, 7)))


def _dynamic_ngrams(rng: Generator, batch: int, done: float) -> Episodes:
    """Of 20 bits at first, from 40 % of the training on of 200."""
    return tasks.dynamic_ngrams(rng, batch, length=min(200, 20 + int(180 * done / 0.4)))


def _priority_sort(rng: Generator, batch: int, done: float) -> Episodes:
    """Of 2 to 20 vectors, from 40 % of the training on of 20, the 4 in 5 of highest priority."""
    length = min(20, 2 + int(18 * done / 0.4))
    return tasks.priority_sort(rng, batch, length, answers=round(0.8 * length))


def _of(draw: Callable[..., Episodes], name: str, *values: int) -> tuple[Callable[[Generator, int], Episodes], ...]:
    return tuple(partial(draw, **{name: value}) for value in values)


COPY = Algorithm(_copy, _of(tasks.copy, "length", 1, 5, 10, 15, 20), _of(tasks.copy, "length", 120))
REPEAT_COPY = Algorithm(
    _repeat_copy,
    tuple(
        partial(tasks.repeat_copy, length=length, repeats=repeats)
        for length, repeats in ((1, 10), (5, 5), (10, 1), (10, 10))
    ),
    (partial(tasks.repeat_copy, length=20, repeats=10), partial(tasks.repeat_copy, length=10, repeats=20)),
)
ASSOCIATIVE_RECALL = Algorithm(
    _associative_recall,
    _of(tasks.associative_recall, "items", 3, 4, 5, 6),
    _of(tasks.associative_recall, "items", 8, 10, 12, 15),
)
NGRAMS = Algorithm(_dynamic_ngrams, (tasks.dynamic_ngrams,) * 8, (tasks.dynamic_ngrams,) * 32)
PRIORITY_SORT = Algorithm(_priority_sort, (tasks.priority_sort,) * 4, _of(tasks.priority_sort, "length", 25))


def task(algorithm: Algorithm, evaluate: Callable[[nn.Module, Any], float] = wrong_bits) -> Task:
    """What the training loop asks for."""
    return Task(cache(partial(load, algorithm)), build, partial(batch, algorithm), evaluate, bit_loss)


TASKS = {
    "copy": task(COPY),
    "repeat-copy": task(REPEAT_COPY),
    "associative-recall": task(ASSOCIATIVE_RECALL),
    "n-grams": task(NGRAMS, over_optimum),
    "priority-sort": task(PRIORITY_SORT),
}
