"""Bidirectional networks of any twin of a cell, twin of `companion.bidirectional` (chapter *Bidirectional networks*)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from companion.bidirectional import BidirectionalState
from companion.pytorch.rnn import unroll


def reverse(xs: Tensor, mask: Tensor | None = None) -> Tensor:
    """Reverse every sequence of xs (T, B, ...) within its own length; padding stays where it is."""
    if mask is None:
        return xs.flip(0)
    steps, lengths = torch.arange(len(xs), device=xs.device)[:, None], mask.sum(dim=0)
    from_step = torch.where(mask, lengths - 1 - steps, steps)
    return xs[from_step, torch.arange(xs.shape[1], device=xs.device)]


class Bidirectional(nn.Module):
    """Two layers of `cell(n_in, n_hidden)`, one of which reads from the end: parameters `forward.W_x`, `backward.W_x`, ..."""

    def __init__(self, cell: Callable[[int, int], nn.Module], n_in: int, n_hidden: int) -> None:
        super().__init__()
        # A child called "forward" can only be entered here: as an attribute it would be the method below.
        self._modules["forward"] = cell(n_in, n_hidden)
        self._modules["backward"] = cell(n_in, n_hidden)

    def forward(
        self, xs: Tensor, state: BidirectionalState | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, BidirectionalState]:
        """Run both directions over xs (T, B, D): ys (T, B, 2H) and both last states. Raises ValueError as `unroll` does."""
        first, last = self.children()
        state = BidirectionalState(None, None) if state is None else state
        hs, after = unroll(first, xs, state.forward, mask)
        zs, before = unroll(last, reverse(xs, mask), state.backward, mask)
        return torch.cat([hs, reverse(zs, mask)], dim=2), BidirectionalState(after, before)
