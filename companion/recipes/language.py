"""A language model of characters on WikiText-2: an LSTM reads on and on, and predicts each next character.

Backpropagation is truncated: the text is cut into as many streams as a batch has columns, each stream into segments, and the
state at the end of one segment is the first state of the next, without its gradient (chapter *LSTM and GRU*).
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from companion.data.wikitext import load_wikitext
from companion.recipes.settings import LanguageModel, Recipe
from companion.recipes.task import ORDER, Batch, Data, Dropped, Task, digest, lstm
from companion.tree import Indices

N_STREAMS = 64  # into which a text is cut to be evaluated; each starts from a state of zeros, so
LEAST = 1_000  # characters should be in one
SEGMENT = 250  # steps at a time, which changes nothing but the memory it takes


class CharacterModel(nn.Module):
    """Embedding, LSTMs, and a score for each of `n_out` symbols to come next."""

    def __init__(self, settings: LanguageModel, n_in: int, n_out: int) -> None:
        super().__init__()
        widths = [settings.n_embedding] + [settings.n_hidden] * settings.n_layers
        self.embedding = nn.Embedding(n_in, settings.n_embedding)
        self.layers = nn.ModuleList(lstm(width, settings.n_hidden) for width in widths[:-1])
        self.output = nn.Linear(widths[-1], n_out)
        self.dropout = settings.dropout

    def forward(
        self, inputs: Tensor, mask: Tensor | None = None, carry: Tensor | None = None, dropped: Dropped | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits (T, B, V) for symbols (T, B), and the last states (2L, B, H): h and s of each layer."""
        xs, last = self.embedding(inputs), []
        for index, layer in enumerate(self.layers):
            xs = dropped(xs, self.dropout) if dropped else xs
            xs, state = layer(xs, None if carry is None else tuple(carry[2 * index : 2 * index + 2, None]))
            last += state
        return self.output(dropped(xs, self.dropout) if dropped else xs), torch.cat(last)


@functools.cache
def load() -> Data:
    """The characters of `load_wikitext`."""
    text = load_wikitext()
    arrays = (text.train, text.validation, text.test)  # int64
    return Data(text, tuple(text.vocabulary), tuple(text.vocabulary), digest(*arrays))


def batch(recipe: Recipe, data: Data, seed: int, step: int) -> Batch:
    """The segments of an update. Each pass through the text starts a few characters later, so that it is cut elsewhere."""
    segment, size, text = recipe.model.segment, recipe.training.batch, data.parts.train
    per_pass = (len(text) - segment - 1) // size // segment
    if per_pass < 1:
        raise ValueError(
            f"recipe {recipe.name}: batch {size} and segment {segment} ask for more than the {len(text)} characters there are"
        )
    turn, position = divmod(step - 1, per_pass)
    skipped = int(np.random.default_rng([seed, ORDER, turn]).integers(segment))
    length = (len(text) - segment - 1) // size
    first = skipped + position * segment + np.arange(size) * length
    symbols = torch.from_numpy(text[first + np.arange(segment + 1)[:, None]])
    return Batch(symbols[:-1], symbols[1:], torch.ones(segment, size, dtype=torch.bool), starts=position == 0)


def evaluate(module: nn.Module, text: Indices) -> float:
    """Bits a character: the mean of -log2 p(character | all before it in its stream), over all but the first of the text."""
    device = next(module.parameters()).device
    n_streams = max(1, min(N_STREAMS, len(text) // LEAST))
    length = -(-(len(text) - 1) // n_streams)
    places = np.arange(length)[:, None] + np.arange(n_streams) * length
    inside = torch.from_numpy(places < len(text) - 1)
    inputs, targets = (torch.from_numpy(text[np.minimum(places + k, len(text) - 1)]) for k in (0, 1))
    total, carry = 0.0, None
    for start in range(0, length, SEGMENT):
        rows = slice(start, start + SEGMENT)
        logits, carry = module(inputs[rows].to(device), None, carry)
        losses = cross_entropy(logits.flatten(0, 1).float(), targets[rows].flatten().to(device), reduction="none")
        total += float(losses.double().cpu()[inside[rows].flatten()].sum())
    return total / (len(text) - 1) / math.log(2)


TASK = Task(load, CharacterModel, batch, evaluate)
