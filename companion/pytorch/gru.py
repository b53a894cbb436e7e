"""Both forms of the gated recurrent unit, twins of `companion.gru` (chapter *LSTM and GRU*)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from companion.gru import GRUState
from companion.pytorch.rnn import weight


class ChoGRU(nn.Module):
    """Twin of `companion.gru.ChoGRU`: the reset gate acts before the product."""

    def __init__(self, n_in: int, n_hidden: int) -> None:
        super().__init__()
        self.W_x = weight(3 * n_hidden, n_in, n_hidden)  # (3H, D), blocks r, z, n
        self.W_h = weight(3 * n_hidden, n_hidden, n_hidden)  # (3H, H)
        self.b = nn.Parameter(torch.zeros(3 * n_hidden))  # (3H,)

    def initial_state(self, batch: int) -> GRUState:
        """Zeros (B, H)."""
        zeros: Any = self.W_h.new_zeros(batch, self.W_h.shape[1])
        return GRUState(zeros)

    def forward(self, x: Tensor, state: Any) -> tuple[Tensor, GRUState]:
        """One step: x (B, D), h' (B, H) -> y = h (B, H) and the next state."""
        x_r, x_z, x_n = linear(x, self.W_x, self.b).chunk(3, dim=1)
        W_hr, W_hz, W_hn = self.W_h.chunk(3)
        r, z = torch.sigmoid(x_r + linear(state.h, W_hr)), torch.sigmoid(x_z + linear(state.h, W_hz))
        n = torch.tanh(x_n + linear(r * state.h, W_hn))
        h: Any = (1 - z) * n + z * state.h
        return h, GRUState(h)


class GRU(ChoGRU):
    """Twin of `companion.gru.GRU`: the reset gate acts after the product, on its bias b_n too."""

    def __init__(self, n_in: int, n_hidden: int) -> None:
        super().__init__(n_in, n_hidden)
        self.b_n = nn.Parameter(torch.zeros(n_hidden))  # (H,)

    def forward(self, x: Tensor, state: Any) -> tuple[Tensor, GRUState]:
        """One step: x (B, D), h' (B, H) -> y = h (B, H) and the next state."""
        x_r, x_z, x_n = linear(x, self.W_x, self.b).chunk(3, dim=1)
        h_r, h_z, h_n = linear(state.h, self.W_h).chunk(3, dim=1)
        r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
        n = torch.tanh(x_n + r * (h_n + self.b_n))
        h: Any = (1 - z) * n + z * state.h
        return h, GRUState(h)
