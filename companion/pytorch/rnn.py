"""Simple recurrent networks, twins of `companion.rnn`, and `unroll` for the twin of any cell (chapter *Recurrent networks*).

A twin of a cell is called as `cell(x, state) -> (y, state)`. States are the named tuples of the NumPy files, of tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from companion.bptt import require_mask
from companion.rnn import ElmanState, JordanState
from companion.tree import tree_map

Activation = Callable[[Tensor], Tensor]


def unroll(cell: nn.Module, xs: Tensor, state: Any = None, mask: Tensor | None = None) -> tuple[Tensor, Any]:
    """Run `cell` over xs (T, B, D) and return ys (T, B, H) and the last state, as `companion.bptt.unroll` does.

    Raises ValueError for a mask (T, B) that is not boolean, or not True for the steps of each sequence and then False.
    """
    state = cell.initial_state(xs.shape[1]) if state is None else state  # type: ignore[operator]
    if mask is not None:
        require_mask("unroll", mask.cpu().numpy(), *xs.shape[:2])
    ys = []
    for t, x in enumerate(xs):
        y, new = cell(x, state)
        if mask is not None:
            y, new = _where(mask[t], y, torch.zeros_like(y)), _where(mask[t], new, state)
        state = new
        ys.append(y)
    return torch.stack(ys), state


def _where(rows: Tensor, new: Any, old: Any) -> Any:
    """New where a row is True, old elsewhere, leaf by leaf."""
    return tree_map(lambda a, b: torch.where(rows.view(-1, *[1] * (a.ndim - 1)), a, b), new, old)


def weight(rows: int, columns: int, n_hidden: int) -> nn.Parameter:
    """A matrix of weights, uniform in +-1 / sqrt(n_hidden)."""
    limit = n_hidden**-0.5
    return nn.Parameter(torch.empty(rows, columns).uniform_(-limit, limit))


class Elman(nn.Module):
    """Twin of `companion.rnn.Elman`, or of `companion.rnn.elman(activation)`."""

    def __init__(self, n_in: int, n_hidden: int, activation: Activation = torch.tanh) -> None:
        super().__init__()
        self.W_x = weight(n_hidden, n_in, n_hidden)  # (H, D)
        self.W_h = weight(n_hidden, n_hidden, n_hidden)  # (H, H)
        self.b = nn.Parameter(torch.zeros(n_hidden))  # (H,)
        self.activation = activation

    def initial_state(self, batch: int) -> ElmanState:
        """Zeros (B, H)."""
        zeros: Any = self.W_h.new_zeros(batch, self.W_h.shape[1])
        return ElmanState(zeros)

    def forward(self, x: Tensor, state: Any) -> tuple[Tensor, ElmanState]:
        """One step: x (B, D), h' (B, H) -> y = h (B, H) and the next state."""
        h: Any = self.activation(linear(x, self.W_x, self.b) + linear(state.h, self.W_h))
        return h, ElmanState(h)


class Jordan(nn.Module):
    """Twin of `companion.rnn.jordan(n_out, decay, activation, output)`."""

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        n_out: int | None = None,
        decay: float = 0.5,
        activation: Activation = torch.tanh,
        output: Activation = torch.sigmoid,
    ) -> None:
        super().__init__()
        n_out = n_hidden if n_out is None else n_out
        self.W_x = weight(n_hidden, n_in, n_hidden)  # (H, D)
        self.W_h = weight(n_hidden, n_out, n_hidden)  # (H, K)
        self.b = nn.Parameter(torch.zeros(n_hidden))  # (H,)
        self.W_y = weight(n_out, n_hidden, n_hidden)  # (K, H)
        self.b_y = nn.Parameter(torch.zeros(n_out))  # (K,)
        self.decay, self.activation, self.output = decay, activation, output

    def initial_state(self, batch: int) -> JordanState:
        """Zeros (B, K)."""
        zeros: Any = self.W_h.new_zeros(batch, self.W_h.shape[1])
        return JordanState(zeros)

    def forward(self, x: Tensor, state: Any) -> tuple[Tensor, JordanState]:
        """One step: x (B, D), c' (B, K) -> y (B, K) and the next state."""
        h = self.activation(linear(x, self.W_x, self.b) + linear(state.c, self.W_h))
        y = self.output(linear(h, self.W_y, self.b_y))
        return y, JordanState(self.decay * state.c + y)
