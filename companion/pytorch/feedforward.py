"""Feedforward network, twin of `companion.feedforward` (chapter *Neural networks*)."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn


class Linear(nn.Module):
    """y = x W^T + b, twin of `companion.ops.linear`; `torch.nn.Linear` with the names of this course."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.empty(n_out, n_in))  # (H, D)
        self.b = nn.Parameter(torch.zeros(n_out))  # (H,)
        nn.init.xavier_uniform_(self.W)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, D) -> y (B, H)."""
        return nn.functional.linear(x, self.W, self.b)


class Feedforward(nn.Module):
    """Logits of a network of these layer sizes; hidden layers use `activation` and, in training, dropout."""

    def __init__(
        self, sizes: tuple[int, ...], activation: Callable[[Tensor], Tensor] = torch.tanh, dropout_rate: float = 0.0
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Linear(n_in, n_out) for n_in, n_out in pairwise(sizes))
        self.activation = activation
        self.dropout = nn.Dropout(dropout_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, D) -> logits (B, K)."""
        *hidden, last = self.layers
        for layer in hidden:
            x = self.dropout(self.activation(layer(x)))
        logits: Tensor = last(x)
        return logits
