"""Letters to phonemes: a stacked bidirectional LSTM reads a word both ways and says how each letter is spoken.

The data and its split are those of the chapter *Bidirectional networks*; the model is larger, and trains longer.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from companion.data.phonemes import Words, load_phonemes, time_major
from companion.recipes.settings import Recipe, TaggerModel
from companion.recipes.task import ORDER, Batch, Data, Dropped, Task, digest, lstm

LETTERS = ("", *"abcdefghijklmnopqrstuvwxyz")


class Tagger(nn.Module):
    """Embedding, bidirectional LSTMs, and a score for each of `n_out` labels at every step."""

    def __init__(self, settings: TaggerModel, n_in: int, n_out: int) -> None:
        super().__init__()
        widths = [settings.n_embedding] + [2 * settings.n_hidden] * settings.n_layers
        self.embedding = nn.Embedding(n_in, settings.n_embedding)
        self.layers = nn.ModuleList(lstm(width, settings.n_hidden, both_ways=True) for width in widths[:-1])
        self.output = nn.Linear(widths[-1], n_out)
        self.dropout = settings.dropout

    def forward(
        self, inputs: Tensor, mask: Tensor, carry: None = None, dropped: Dropped | None = None
    ) -> tuple[Tensor, None]:
        """Logits (T, B, K) for letters (T, B); the layers read each word to its own end, whatever follows it."""
        xs, lengths = self.embedding(inputs), mask.sum(dim=0).cpu()
        for layer in self.layers:
            xs = dropped(xs, self.dropout) if dropped else xs
            packed, _ = layer(pack_padded_sequence(xs, lengths, enforce_sorted=False))
            xs, _ = pad_packed_sequence(packed, total_length=len(inputs))
        return self.output(dropped(xs, self.dropout) if dropped else xs), None


@functools.cache
def load() -> Data:
    """The words of `load_phonemes`; raises ValueError when its package is not installed."""
    try:
        phonemes = load_phonemes()
    except ImportError as error:
        raise ValueError(str(error)) from error
    parts = (phonemes.train, phonemes.validation, phonemes.test)
    arrays = [array for words in parts for array in (words.letters, words.labels)]
    return Data(phonemes, LETTERS, phonemes.labels, digest(*arrays))


def batch(recipe: Recipe, data: Data, seed: int, step: int) -> Batch:
    """The words of an update: a pass takes the words in an order of its own, and leaves out the last few."""
    words, size = data.parts.train, recipe.training.batch
    per_pass = len(words.letters) // size
    if not per_pass:
        raise ValueError(
            f"recipe {recipe.name}: batch is {size}, expected at most the {len(words.letters)} words there are"
        )
    turn, position = divmod(step - 1, per_pass)
    order = np.random.default_rng([seed, ORDER, turn]).permutation(len(words.letters))
    return as_batch(words, order[position * size : (position + 1) * size])


def as_batch(words: Words, rows: Any) -> Batch:
    """These words as tensors."""
    letters, labels, mask = (torch.from_numpy(np.ascontiguousarray(array)) for array in time_major(words, rows))
    return Batch(letters, labels, mask)


def evaluate(module: nn.Module, words: Words) -> float:
    """The share of letters whose label is right."""
    device = next(module.parameters()).device
    right = total = 0
    for rows in np.array_split(np.arange(len(words.letters)), max(1, len(words.letters) // 500)):
        inputs, targets, mask, _ = as_batch(words, rows)
        logits, _ = module(inputs.to(device), mask.to(device))
        right += int((logits.argmax(dim=2).cpu() == targets)[mask].sum())
        total += int(mask.sum())
    return right / total


TASK = Task(load, Tagger, batch, evaluate)
