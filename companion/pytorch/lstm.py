"""The three forms of the LSTM, twins of `companion.lstm` (chapter *LSTM and GRU*)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from companion.lstm import LSTMState
from companion.pytorch.rnn import weight


class LSTM1997(nn.Module):
    """Twin of `companion.lstm.LSTM1997`, without a forget gate."""

    def __init__(self, n_in: int, n_hidden: int, input_bias: float = 0.0) -> None:
        super().__init__()
        self.W_x = weight(3 * n_hidden, n_in, n_hidden)  # (3H, D), blocks i, g, o
        self.W_h = weight(3 * n_hidden, n_hidden, n_hidden)  # (3H, H)
        self.b = nn.Parameter(torch.zeros(3 * n_hidden))  # (3H,)
        with torch.no_grad():
            self.b[:n_hidden] = input_bias

    def initial_state(self, batch: int) -> LSTMState:
        """Zeros (B, H), twice."""
        return zeros(self.W_h, batch)

    def forward(self, x: Tensor, state: Any) -> tuple[Tensor, LSTMState]:
        """One step: x (B, D), h' and s' (B, H) -> y = h (B, H) and the next state."""
        z = linear(x, self.W_x, self.b) + linear(state.h, self.W_h)
        z_i, z_g, z_o = z.chunk(3, dim=1)
        s: Any = z_i.sigmoid() * z_g.tanh() + state.s
        h: Any = s.tanh() * z_o.sigmoid()
        return h, LSTMState(h, s)


class LSTM(nn.Module):
    """Twin of `companion.lstm.LSTM`."""

    def __init__(self, n_in: int, n_hidden: int, forget_bias: float = 1.0) -> None:
        super().__init__()
        self.W_x = weight(4 * n_hidden, n_in, n_hidden)  # (4H, D), blocks i, f, g, o
        self.W_h = weight(4 * n_hidden, n_hidden, n_hidden)  # (4H, H)
        self.b = nn.Parameter(torch.zeros(4 * n_hidden))  # (4H,)
        with torch.no_grad():
            self.b[n_hidden : 2 * n_hidden] = forget_bias

    def initial_state(self, batch: int) -> LSTMState:
        """Zeros (B, H), twice."""
        return zeros(self.W_h, batch)

    def forward(self, x: Tensor, state: Any) -> tuple[Tensor, LSTMState]:
        """One step: x (B, D), h' and s' (B, H) -> y = h (B, H) and the next state."""
        z = linear(x, self.W_x, self.b) + linear(state.h, self.W_h)
        z_i, z_f, z_g, z_o = z.chunk(4, dim=1)
        s: Any = z_i.sigmoid() * z_g.tanh() + z_f.sigmoid() * state.s
        h: Any = s.tanh() * z_o.sigmoid()
        return h, LSTMState(h, s)


class PeepholeLSTM(LSTM):
    """Twin of `companion.lstm.PeepholeLSTM`: an LSTM whose gates see the internal state."""

    def __init__(self, n_in: int, n_hidden: int, forget_bias: float = 1.0) -> None:
        super().__init__(n_in, n_hidden, forget_bias)
        self.p = nn.Parameter(torch.zeros(3, n_hidden))  # (3, H) of i, f, o

    def forward(self, x: Tensor, state: Any) -> tuple[Tensor, LSTMState]:
        """One step: x (B, D), h' and s' (B, H) -> y = h (B, H) and the next state."""
        p_i, p_f, p_o = self.p
        z = linear(x, self.W_x, self.b) + linear(state.h, self.W_h)
        z_i, z_f, z_g, z_o = z.chunk(4, dim=1)
        i, f = torch.sigmoid(z_i + p_i * state.s), torch.sigmoid(z_f + p_f * state.s)
        s: Any = i * z_g.tanh() + f * state.s
        h: Any = s.tanh() * torch.sigmoid(z_o + p_o * s)
        return h, LSTMState(h, s)


def zeros(W_h: Tensor, batch: int) -> LSTMState:
    """The initial state of all three."""
    h, s = W_h.new_zeros(2, batch, W_h.shape[1])
    return LSTMState(h, s)
