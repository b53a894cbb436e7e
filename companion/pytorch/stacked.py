"""Layers of any twin of a cell with dropout between them, twin of `companion.stacked` (chapter *LSTM and GRU*)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from companion.pytorch.bidirectional import Bidirectional
from companion.pytorch.rnn import unroll


class Stacked(nn.Module):
    """`n_layers` layers of `cell(n_in, n_hidden)`: parameters `0.W_x`, `1.W_x`, ..., or `0.forward.W_x`, ... if `both_ways`."""

    def __init__(
        self,
        cell: Callable[[int, int], nn.Module],
        n_in: int,
        n_hidden: int,
        n_layers: int,
        both_ways: bool = False,
        dropout_rate: float = 0.0,
    ) -> None:
        super().__init__()
        for index in range(n_layers):
            layer = Bidirectional(cell, n_in, n_hidden) if both_ways else cell(n_in, n_hidden)
            self.add_module(str(index), layer)
            n_in = 2 * n_hidden if both_ways else n_hidden
        self.dropout = nn.Dropout(dropout_rate)

    def forward(
        self, xs: Tensor, state: tuple[Any, ...] | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, tuple[Any, ...]]:
        """Run all layers over xs (T, B, D): ys of the top layer and the last states. Raises ValueError as `unroll` does."""
        *layers, dropout = self.children()
        state = (None,) * len(layers) if state is None else state
        last = []
        for index, (layer, before) in enumerate(zip(layers, state, strict=True)):
            xs = dropout(xs) if index else xs
            both_ways = isinstance(layer, Bidirectional)
            xs, after = layer(xs, before, mask) if both_ways else unroll(layer, xs, before, mask)
            last.append(after)
        return xs, tuple(last)
